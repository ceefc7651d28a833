//! What a guest may say through the capture's port: notes and marks for rows, and nothing else.
//!
//! A line is a JSON object: `{"type": "note", "capture": "c1", "number": 3, "text": "look here"}` or
//! `{"type": "flag", "capture": "c1", "number": 3, "on": true}`. The guest is not trusted: lines are bounded in length,
//! and a note's text is cut, freed of controls and shown as plain text.

use serde::{Deserialize, Serialize};

use crate::jsonl::{MAX_CAPTURE_ID, is_control};
use crate::limits::cut_text;

/// Longest line that a guest may send, in bytes.
pub const MAX_LINE: usize = 4096;

/// Longest note, in bytes.
pub const MAX_NOTE: usize = 1024;

/// Most lines that one [`Annotations::push`] takes; a guest that sends more at once loses the rest.
const MAX_AT_ONCE: usize = 256;

/// What a guest says about an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Annotation {
    /// A note instead of the former one; an empty text takes it away.
    Note {
        /// The capture's id.
        capture: String,
        /// The exchange's number in it.
        number: u64,
        /// What the note says.
        text: String,
    },
    /// A mark.
    Flag {
        /// The capture's id.
        capture: String,
        /// The exchange's number in it.
        number: u64,
        /// Whether it is set or taken away.
        on: bool,
    },
}

/// Reads a guest's lines out of the pieces in which they come.
#[derive(Debug, Default)]
pub struct Annotations {
    line: Vec<u8>,
    too_long: bool,
    refused: u64,
}

impl Annotations {
    /// Takes a piece and gives the annotations that it completes. Lines that are none are counted and passed over.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Annotation> {
        let mut found = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (piece, ended) = match piece.strip_suffix(b"\n") {
                Some(piece) => (piece, true),
                None => (piece, false),
            };
            if self.line.len() + piece.len() > MAX_LINE {
                self.too_long = true;
                self.line.clear();
            }
            if !self.too_long {
                self.line.extend_from_slice(piece);
            }
            if ended {
                match parse(&self.line).filter(|_| !self.too_long && found.len() < MAX_AT_ONCE) {
                    Some(annotation) => found.push(annotation),
                    None => self.refused += 1,
                }
                self.line.clear();
                self.too_long = false;
            }
        }
        found
    }

    /// How many lines were no annotations.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

fn parse(line: &[u8]) -> Option<Annotation> {
    let mut annotation: Annotation = serde_json::from_slice(line).ok()?;
    let (Annotation::Note { capture, .. } | Annotation::Flag { capture, .. }) = &annotation;
    if capture.len() > MAX_CAPTURE_ID {
        return None;
    }
    if let Annotation::Note { text, .. } = &mut annotation {
        text.retain(|c| c == '\n' || !is_control(c));
        cut_text(text, MAX_NOTE);
    }
    Some(annotation)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn annotations_come_in_pieces() {
        let mut annotations = Annotations::default();
        let note = "{\"type\":\"note\",\"capture\":\"c1\",\"number\":3,\"text\":\"\\u001b[2Jhere\"}\n";
        let flag = "{\"type\":\"flag\",\"capture\":\"c1\",\"number\":4,\"on\":true}\n";
        let text = format!("{note}nonsense\n{flag}");
        let found: Vec<_> = text
            .as_bytes()
            .chunks(7)
            .flat_map(|piece| annotations.push(piece))
            .collect();
        assert_eq!(
            found,
            [
                Annotation::Note {
                    capture: "c1".to_owned(),
                    number: 3,
                    text: "[2Jhere".to_owned()
                },
                Annotation::Flag {
                    capture: "c1".to_owned(),
                    number: 4,
                    on: true
                }
            ]
        );
        assert_eq!(annotations.refused(), 1);
    }

    #[test]
    fn long_lines_are_passed_over() {
        let mut annotations = Annotations::default();
        for _ in 0..100 {
            assert!(annotations.push(&[b'x'; 1000]).is_empty());
            assert!(annotations.line.len() <= MAX_LINE);
        }
        let flag = b"\n{\"type\":\"flag\",\"capture\":\"\",\"number\":1,\"on\":false}\n";
        assert_eq!(annotations.push(flag).len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
            let mut annotations = Annotations::default();
            for piece in pieces {
                annotations.push(&piece);
            }
        }

        #[test]
        fn notes_are_bounded(text in ".{0,600}") {
            let line = serde_json::json!({"type": "note", "capture": "c", "number": 1, "text": text});
            let found = Annotations::default().push(format!("{line}\n").as_bytes());
            if let [Annotation::Note { text, .. }] = &found[..] {
                let is_plain = !text.contains('\u{1b}');
                prop_assert!(text.len() <= MAX_NOTE && is_plain);
            }
        }
    }
}
