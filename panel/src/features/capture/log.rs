//! The exchanges of one capture, with what guests said about them, and the order in which they are listed.

use std::rc::Rc;

use qemuweb_capture::annotation::Annotation;
use qemuweb_capture::{Exchange, Limits, Redactor};

/// An exchange in the list.
#[derive(Clone, Debug)]
pub struct Row {
    /// The exchange.
    pub exchange: Rc<Exchange>,
    /// What a guest noted about it; plain text of a guest that nobody trusts.
    pub note: String,
    /// Whether a guest marked it.
    pub flagged: bool,
}

/// One capture.
#[derive(Debug)]
pub struct Log {
    id: String,
    /// By their numbers, of which those of exchanges that were left out are missing.
    rows: Vec<Row>,
    bytes: usize,
    left_out: usize,
    /// How many were cut, and how many have a body that is not certain.
    cut: usize,
    doubtful: usize,
    has_notes: bool,
    /// Raised when what is in it already has changed.
    edition: u32,
    with_secrets: bool,
    limits: Limits,
    redactor: Redactor,
}

impl Log {
    /// An empty capture; `names` are what the person wants redacted beside what is common.
    pub fn new(id: String, names: &str, limits: Limits) -> Self {
        Self {
            id,
            rows: Vec::new(),
            bytes: 0,
            left_out: 0,
            cut: 0,
            doubtful: 0,
            has_notes: false,
            edition: 0,
            with_secrets: false,
            limits,
            redactor: Redactor::new(split(names)),
        }
    }

    /// Empties it for another capture. What the redactor has learned of secrets stays: they are in use still.
    pub fn restart(&mut self, id: String) {
        let empty = Self::new(id, "", self.limits);
        let before = std::mem::replace(self, empty);
        self.redactor = before.redactor;
        self.edition = before.edition + 1;
    }

    /// What guests and files know it by.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its exchanges in the order in which they finished.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Bytes of memory that it takes, roughly.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many exchanges were not taken because it is full.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Whether a guest has said anything about any of them.
    pub fn has_notes(&self) -> bool {
        self.has_notes
    }

    /// How many exchanges were cut to the limits.
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// How many exchanges have a body that DevTools do not give for certain.
    pub fn doubtful(&self) -> usize {
        self.doubtful
    }

    /// Another number than before, when anything but what came last has changed.
    pub fn edition(&self) -> u32 {
        self.edition
    }

    /// Whether any exchange in it may have its secrets.
    pub fn with_secrets(&self) -> bool {
        self.with_secrets
    }

    /// The bounds on what is kept.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Keeps as much as this from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Has these names redacted beside what is common, from now on and in what is here already, but for what was kept
    /// with its secrets.
    pub fn set_names(&mut self, names: &str) {
        if !self.redactor.set_names(split(names)) {
            return;
        }
        self.edition += 1;
        for row in self.rows.iter_mut().filter(|row| row.exchange.redacted) {
            self.bytes -= row.exchange.footprint();
            self.redactor.redact(Rc::make_mut(&mut row.exchange));
            self.bytes += row.exchange.footprint();
        }
    }

    /// How many secrets are known by their value and looked for everywhere.
    pub fn learned(&self) -> usize {
        self.redactor.learned()
    }

    /// An exchange as it may leave the log: without what was learned after it came.
    pub fn released(&mut self, number: u64) -> Option<Rc<Exchange>> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let row = self.rows.get_mut(index)?;
        if row.exchange.redacted && self.redactor.knows(&row.exchange) {
            self.bytes -= row.exchange.footprint();
            self.redactor.redact_known(Rc::make_mut(&mut row.exchange));
            self.bytes += row.exchange.footprint();
        }
        Some(Rc::clone(&row.exchange))
    }

    /// Takes an exchange, without its secrets unless `keep_secrets`, and numbers it. It is returned for who else wants it,
    /// and kept unless the capture is full.
    pub fn push(&mut self, mut exchange: Exchange, keep_secrets: bool) -> Rc<Exchange> {
        if keep_secrets {
            // A file may say of itself that it was redacted: only what was redacted here is.
            exchange.redacted = false;
            self.with_secrets = true;
        } else {
            self.redactor.redact(&mut exchange);
        }
        exchange.number = (self.rows.len() + self.left_out) as u64 + 1;
        let exchange = Rc::new(exchange);
        if self.rows.len() >= self.limits.exchanges || self.bytes >= self.limits.capture {
            self.left_out += 1;
            return exchange;
        }
        self.bytes += exchange.footprint();
        self.cut += usize::from(!exchange.cut.is_empty());
        self.doubtful += usize::from(exchange.doubts.iter().any(|doubt| doubt.is_of_body()));
        self.rows.push(Row {
            exchange: Rc::clone(&exchange),
            note: String::new(),
            flagged: false,
        });
        exchange
    }

    fn index(&self, number: u64) -> Option<usize> {
        self.rows
            .binary_search_by_key(&number, |row| row.exchange.number)
            .ok()
    }

    /// The row of a number.
    pub fn row(&self, number: u64) -> Option<&Row> {
        self.rows.get(self.index(number)?)
    }

    /// Takes what a guest says. One about another capture is passed over.
    pub fn annotate(&mut self, annotation: &Annotation) {
        let (Annotation::Note { capture, number, .. } | Annotation::Flag { capture, number, .. }) =
            annotation;
        let index = self.index(*number);
        let row = index.and_then(|index| self.rows.get_mut(index));
        let Some(row) = row.filter(|_| *capture == self.id) else {
            return;
        };
        self.has_notes = true;
        match annotation {
            Annotation::Note { text, .. } => row.note.clone_from(text),
            Annotation::Flag { on, .. } => row.flagged = *on,
        }
    }
}

/// The names in what the person typed.
fn split(names: &str) -> impl Iterator<Item = &str> {
    names.split([',', ';', ' ', '\n', '\t']).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(url: &str, status: u16) -> Exchange {
        let mut exchange = Exchange::default();
        exchange.request.url = url.to_owned();
        exchange.response.status = status;
        exchange
    }

    fn log() -> Log {
        let mut log = Log::new("c1".to_owned(), "employee", Limits::default());
        for (url, status) in [
            ("https://a.test/z?token=hush-hush", 200),
            ("https://a.test/dir/?employee=me", 404),
            ("https://b.test", 0),
        ] {
            log.push(exchange(url, status), false);
        }
        log
    }

    #[test]
    fn secrets_do_not_enter() {
        let log = log();
        assert!(!format!("{:?}", log.rows()).contains("hush-hush"));
        assert!(
            log.row(2)
                .unwrap()
                .exchange
                .request
                .url
                .ends_with("dir/?employee=[redacted]")
        );
        assert!(!log.with_secrets());
    }

    #[test]
    fn opting_in_is_remembered() {
        let mut log = log();
        log.push(exchange("https://a.test/?token=open", 200), true);
        log.push(exchange("https://a.test/", 200), false);
        assert!(log.with_secrets());
        assert!(log.row(4).unwrap().exchange.request.url.contains("open"));
    }

    #[test]
    fn a_file_is_not_believed_that_it_was_redacted() {
        let mut claims = exchange("https://a.test/?token=open-sesame-1", 200);
        claims.redacted = true;
        let mut log = log();
        log.push(claims.clone(), true);
        assert!(log.with_secrets() && !log.row(4).unwrap().exchange.redacted);
        log.restart("c2".to_owned());
        log.push(claims, false);
        assert!(!log.with_secrets() && !format!("{:?}", log.rows()).contains("open"));
    }

    #[test]
    fn names_reach_what_is_there_and_what_was_learned_stays() {
        let mut log = log();
        log.push(exchange("https://a.test/?badge=b1a2d3g4e5", 200), false);
        log.push(
            exchange("https://a.test/?password=hunter2-hunter2&badge=x", 200),
            true,
        );
        log.push(exchange("https://a.test/b1a2d3g4e5", 200), false);
        log.set_names("employee, badge");
        let url = |log: &mut Log, number| log.released(number).unwrap().request.url.clone();
        assert_eq!(url(&mut log, 4), "https://a.test/?badge=[redacted]");
        // Kept with its secrets; and what was learned since.
        assert!(url(&mut log, 5).contains("hunter2"));
        assert_eq!(url(&mut log, 6), "https://a.test/[redacted]");
        let footprints = log.rows().iter().map(|row| row.exchange.footprint());
        assert_eq!(log.bytes(), footprints.sum::<usize>());
        let learned = log.learned();
        log.restart("c2".to_owned());
        assert_eq!((log.learned(), log.bytes(), log.rows().len()), (learned, 0, 0));
        log.push(exchange("https://a.test/b1a2d3g4e5?badge=9", 200), false);
        assert_eq!(url(&mut log, 1), "https://a.test/[redacted]?badge=[redacted]");
    }

    #[test]
    fn what_finds_no_room_is_counted_and_passed_on() {
        let mut log = log();
        log.limits.exchanges = 3;
        let passed_on = log.push(exchange("https://a.test/?token=hush-hush", 200), false);
        assert_eq!((log.left_out(), log.rows().len(), passed_on.number), (1, 3, 4));
        assert!(passed_on.redacted && !passed_on.request.url.contains("hush-hush"));
        // Numbers are not used again, and rows are found by theirs.
        log.limits.exchanges = 9;
        assert_eq!(log.push(exchange("https://c.test", 200), false).number, 5);
        assert!(log.row(4).is_none());
        assert_eq!(log.row(5).unwrap().exchange.request.url, "https://c.test");
    }

    #[test]
    fn guests_annotate_their_capture_only() {
        let mut log = log();
        let note = |capture: &str, number| Annotation::Note {
            capture: capture.to_owned(),
            number,
            text: "look".to_owned(),
        };
        for annotation in [note("c2", 1), note("c1", 0), note("c1", 99), note("c1", 2)] {
            log.annotate(&annotation);
        }
        log.annotate(&Annotation::Flag {
            capture: "c1".to_owned(),
            number: 3,
            on: true,
        });
        let said: Vec<_> = log
            .rows()
            .iter()
            .map(|row| (row.note.as_str(), row.flagged))
            .collect();
        assert_eq!(said, [("", false), ("look", false), ("", true)]);
    }
}
