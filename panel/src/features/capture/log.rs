//! The exchanges of one capture, with what guests said about them, and the order in which they are listed.

use std::cmp::Ordering;
use std::rc::Rc;

use qemuweb_capture::annotation::Annotation;
use qemuweb_capture::{Exchange, Filter, Limits, Redactor};

use crate::kit::text::{bytes, milliseconds, printable};

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
        match annotation {
            Annotation::Note { text, .. } => row.note.clone_from(text),
            Annotation::Flag { on, .. } => row.flagged = *on,
        }
    }

    /// The numbers of the exchanges that a filter lets through, in an order.
    pub fn listed(&self, filter: &Filter, order: Order) -> Vec<u64> {
        let mut listed: Vec<&Exchange> = self
            .rows
            .iter()
            .map(|row| &*row.exchange)
            .filter(|exchange| filter.matches(exchange))
            .collect();
        // What began first stands first, as in DevTools: a document before its images, though it ends after them.
        listed.sort_by(|a, b| a.started.total_cmp(&b.started));
        if order != Order::default() {
            listed.sort_by(|a, b| {
                let ordering = order.column.compare(a, b);
                if order.descending {
                    ordering.reverse()
                } else {
                    ordering
                }
            });
        }
        listed.into_iter().map(|exchange| exchange.number).collect()
    }
}

/// The names in what the person typed.
fn split(names: &str) -> impl Iterator<Item = &str> {
    names.split([',', ';', ' ', '\n', '\t']).map(str::trim)
}

/// A column of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Column {
    /// The number, in the order in which exchanges finished. The default order is that in which they began.
    #[default]
    Number,
    /// The last part of the URL.
    Name,
    /// The method.
    Method,
    /// The status code.
    Status,
    /// What the resource is for.
    Kind,
    /// Bytes over the network, or of the body.
    Size,
    /// Milliseconds in all.
    Time,
}

/// By what the list is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The column.
    pub column: Column,
    /// Whether the largest comes first.
    pub descending: bool,
}

impl Column {
    /// All columns, in the order in which they stand.
    pub const ALL: [Self; 7] = [
        Self::Number,
        Self::Name,
        Self::Method,
        Self::Status,
        Self::Kind,
        Self::Size,
        Self::Time,
    ];

    /// What stands above it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Number => "#",
            Self::Name => "Name",
            Self::Method => "Method",
            Self::Status => "Status",
            Self::Kind => "Type",
            Self::Size => "Size",
            Self::Time => "Time",
        }
    }

    /// Its name for styles.
    pub fn class(self) -> &'static str {
        match self {
            Self::Number => "cell number",
            Self::Name => "cell name",
            Self::Method => "cell method",
            Self::Status => "cell status",
            Self::Kind => "cell kind",
            Self::Size => "cell size",
            Self::Time => "cell time",
        }
    }

    fn compare(self, a: &Exchange, b: &Exchange) -> Ordering {
        match self {
            Self::Number => a.number.cmp(&b.number),
            Self::Name => name(a).cmp(&name(b)),
            Self::Method => a.request.method.cmp(&b.request.method),
            Self::Status => a.response.status.cmp(&b.response.status),
            Self::Kind => kind(a).cmp(&kind(b)),
            Self::Size => size(a).cmp(&size(b)),
            Self::Time => a.time.total_cmp(&b.time),
        }
    }

    /// What stands in a row.
    pub fn text(self, exchange: &Exchange) -> String {
        match self {
            Self::Number => exchange.number.to_string(),
            Self::Name => name(exchange),
            Self::Method => exchange.request.method.clone(),
            Self::Status => match (exchange.response.status, &exchange.response.error) {
                (_, Some(_)) => "(failed)".to_owned(),
                (0, None) => "(none)".to_owned(),
                (status, None) => status.to_string(),
            },
            Self::Kind => kind(exchange),
            Self::Size => {
                let size = size(exchange).map_or_else(String::new, bytes);
                let mark = if exchange.doubts.iter().any(|doubt| doubt.is_of_body()) {
                    " ?"
                } else {
                    ""
                };
                format!("{size}{mark}")
            }
            Self::Time => milliseconds(exchange.time),
        }
    }

    /// What there is to say about what stands in a row: why it failed, what is not certain about a body.
    pub fn explanation(self, exchange: &Exchange) -> Option<String> {
        match self {
            Self::Status => exchange.response.error.clone(),
            Self::Size => {
                let doubts = exchange.doubts.iter().filter(|doubt| doubt.is_of_body());
                let sentences: Vec<String> = doubts.map(ToString::to_string).collect();
                (!sentences.is_empty()).then(|| sentences.join("\n"))
            }
            _ => None,
        }
    }
}

/// The last part of the URL with its query, or the host.
pub fn name(exchange: &Exchange) -> String {
    let url = exchange.request.url.split('#').next().unwrap_or_default();
    let (path, query) = match url.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (url, String::new()),
    };
    let trimmed = path.trim_end_matches('/');
    let last = trimmed.rsplit('/').next().unwrap_or(trimmed);
    let name = if last.is_empty() { path } else { last };
    printable(&format!("{name}{query}"), 300)
}

fn kind(exchange: &Exchange) -> String {
    exchange
        .resource_type
        .clone()
        .unwrap_or_else(|| exchange.mime_type())
}

fn size(exchange: &Exchange) -> Option<u64> {
    let response = &exchange.response;
    // Of a body that was not given, the size may be unknown as well.
    let body = response
        .body
        .as_ref()
        .filter(|body| body.size > 0 || body.data.is_some());
    response.transfer_size.or(body.map(|body| body.size))
}

#[cfg(test)]
mod tests {
    use qemuweb_capture::Doubt;

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
        assert_eq!(name(&log.row(2).unwrap().exchange), "dir?employee=[redacted]");
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
    fn lists_are_filtered_and_sorted() {
        let log = log();
        let filter = "domain:a.test".parse().unwrap();
        assert_eq!(log.listed(&filter, Order::default()), [1, 2]);
        let order = Order {
            column: Column::Status,
            descending: true,
        };
        assert_eq!(log.listed(&Filter::default(), order), [2, 1, 3]);
        let by_name = Order {
            column: Column::Name,
            descending: false,
        };
        assert_eq!(log.listed(&Filter::default(), by_name), [3, 2, 1]);
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
    fn rows_explain_what_is_odd() {
        let mut exchange = exchange("https://a.test", 0);
        exchange.response.error = Some("net::ERR_FAILED".to_owned());
        exchange.doubts = vec![Doubt::HeaderOrder, Doubt::RequestBody];
        assert_eq!(Column::Status.text(&exchange), "(failed)");
        assert_eq!(
            Column::Status.explanation(&exchange).as_deref(),
            Some("net::ERR_FAILED")
        );
        assert_eq!(Column::Size.text(&exchange), " ?");
        assert_eq!(
            Column::Size.explanation(&exchange),
            Some(Doubt::RequestBody.to_string())
        );
        exchange.doubts.pop();
        assert_eq!(Column::Size.explanation(&exchange), None);
    }

    #[test]
    fn what_began_first_stands_first() {
        let mut log = Log::new("c1".to_owned(), "", Limits::default());
        for started in [2.0, 1.0, 3.0, 1.0] {
            let mut exchange = exchange("https://a.test", 200);
            exchange.started = started;
            log.push(exchange, false);
        }
        assert_eq!(log.listed(&Filter::default(), Order::default()), [2, 4, 1, 3]);
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
