//! What was left aside or mended while an archive was read, counted by kind, so that the person can be told in a line.

use std::fmt;

/// What became of something that is not as HAR 1.2 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is not there, though an entry needs it.
    Missing,
    /// It was left aside: nothing can be made of it.
    LeftAside,
    /// It was understood though it is odd.
    Mended,
}

/// One kind of remark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remark {
    /// What became of it.
    pub fate: Fate,
    /// What it is, such as "the value of a header".
    pub what: &'static str,
    /// In how many entries.
    pub entries: usize,
}

/// All remarks on an archive. There are as many as there are kinds, however large the archive is.
///
/// `Display` gives sentences, each preceded by a blank; nothing when there is nothing to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    file: Vec<String>,
    kinds: Vec<Kind>,
    entry: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    remark: Remark,
    /// The last entry that was counted.
    counted: usize,
}

/// Most remarks on the file as a whole.
const MAX_FILE: usize = 8;

impl Remarks {
    /// The remarks on entries, the most frequent first.
    pub fn kinds(&self) -> Vec<Remark> {
        let mut kinds: Vec<Remark> = self.kinds.iter().map(|kind| kind.remark).collect();
        kinds.sort_by_key(|remark| std::cmp::Reverse(remark.entries));
        kinds
    }

    /// The remarks on the file as a whole: a sentence each.
    pub fn file(&self) -> &[String] {
        &self.file
    }

    /// Whether all was as it should be.
    pub fn is_empty(&self) -> bool {
        self.file.is_empty() && self.kinds.is_empty()
    }

    /// What follows is about the next entry.
    pub(super) fn next_entry(&mut self) {
        self.entry += 1;
    }

    /// Counts the entry for a kind, once.
    pub(super) fn note(&mut self, fate: Fate, what: &'static str) {
        let is_same = |kind: &&mut Kind| kind.remark.fate == fate && kind.remark.what == what;
        match self.kinds.iter_mut().find(is_same) {
            Some(kind) if kind.counted == self.entry => {}
            Some(kind) => {
                kind.remark.entries += 1;
                kind.counted = self.entry;
            }
            None => self.kinds.push(Kind {
                remark: Remark {
                    fate,
                    what,
                    entries: 1,
                },
                counted: self.entry,
            }),
        }
    }

    /// Tells something about the file as a whole.
    pub(super) fn tell(&mut self, sentence: String) {
        if self.file.len() < MAX_FILE && !self.file.contains(&sentence) {
            self.file.push(sentence);
        }
    }
}

impl fmt::Display for Remarks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for sentence in &self.file {
            write!(formatter, " {sentence}")?;
        }
        for (fate, start) in [
            (Fate::Missing, "Missing"),
            (Fate::LeftAside, "Left aside"),
            (Fate::Mended, "Mended"),
        ] {
            let kinds = self.kinds();
            let list: Vec<String> = kinds
                .iter()
                .filter(|remark| remark.fate == fate)
                .map(|remark| match remark.entries {
                    1 => format!("{} (1 entry)", remark.what),
                    count => format!("{} ({count} entries)", remark.what),
                })
                .collect();
            if !list.is_empty() {
                write!(formatter, " {start}: {}.", list.join(", "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_counts_once_for_a_kind() {
        let mut remarks = Remarks::default();
        assert_eq!((remarks.to_string(), remarks.is_empty()), (String::new(), true));
        for times in [1, 3, 2] {
            remarks.next_entry();
            for _ in 0..times {
                remarks.note(Fate::LeftAside, "the value of a header");
            }
        }
        remarks.note(Fate::Mended, "the status");
        remarks.tell("It was read as Latin-1.".to_owned());
        assert_eq!(
            remarks.to_string(),
            " It was read as Latin-1. Left aside: the value of a header (3 entries). Mended: the status (1 entry)."
        );
    }
}
