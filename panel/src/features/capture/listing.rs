//! The order in which exchanges are listed, and what stands in their columns.

use std::rc::Rc;

use qemuweb_capture::{Exchange, Filter};

use super::log::Log;
use crate::kit::text::{bytes, milliseconds, printable};

/// A column of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Column {
    /// The number, in the order in which exchanges finished. The default order is that in which they began.
    #[default]
    Number,
    /// The last part of the URL.
    Name,
    /// The host with the path up to the name.
    Path,
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
    pub const ALL: [Self; 8] = [
        Self::Number,
        Self::Name,
        Self::Path,
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
            Self::Path => "Path",
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
            Self::Path => "cell path",
            Self::Method => "cell method",
            Self::Status => "cell status",
            Self::Kind => "cell kind",
            Self::Size => "cell size",
            Self::Time => "cell time",
        }
    }

    /// What stands in a row.
    pub fn text(self, exchange: &Exchange) -> String {
        match self {
            Self::Number => exchange.number.to_string(),
            Self::Name => name(exchange),
            Self::Path => path(exchange),
            Self::Method => exchange.request.method.clone(),
            Self::Status => match (exchange.response.status, &exchange.response.error) {
                (_, Some(error)) => format!("(failed) {error}"),
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

/// The host with the path up to the name.
fn path(exchange: &Exchange) -> String {
    let url = exchange.request.url.split(['?', '#']).next().unwrap_or_default();
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let folder = rest
        .trim_end_matches('/')
        .rsplit_once('/')
        .map_or(rest, |(folder, _)| folder);
    printable(folder, 300)
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

/// The numbers that are listed, kept so that what comes costs no more than itself.
#[derive(Default)]
pub struct Listing {
    /// Of what log, which edition of it, what filter and what order it is.
    of: (String, u32, String, Order),
    /// Rows of the log that were looked at.
    seen: usize,
    listed: Rc<Vec<u64>>,
}

impl Listing {
    /// The numbers of the exchanges that a filter, whose text is `text`, lets through, in an order.
    pub fn renew(&mut self, log: &Log, text: &str, filter: &Filter, order: Order) -> Rc<Vec<u64>> {
        let of = (log.id().to_owned(), log.edition(), text.to_owned(), order);
        if self.of != of || self.seen > log.rows().len() {
            *self = Self {
                of,
                ..Self::default()
            };
        }
        let new = &log.rows()[self.seen..];
        let begins_anew = self.seen == 0;
        self.seen = log.rows().len();
        let new = new.iter().map(|row| &*row.exchange);
        let mut new: Vec<&Exchange> = new.filter(|exchange| filter.matches(exchange)).collect();
        if new.is_empty() {
            return Rc::clone(&self.listed);
        }
        let listed = Rc::make_mut(&mut self.listed);
        let started = |number: u64| log.row(number).map_or(0.0, |row| row.exchange.started);
        if order == Order::default() && !begins_anew {
            for exchange in new {
                // What began first stands first, as in DevTools: a document before its images, though it ends after them.
                let is_before = |number: &u64| started(*number) <= exchange.started;
                let place = match listed.last() {
                    Some(last) if !is_before(last) => listed.partition_point(is_before),
                    _ => listed.len(),
                };
                listed.insert(place, exchange.number);
            }
            return Rc::clone(&self.listed);
        }
        if !begins_anew {
            let all = listed.iter().filter_map(|number| log.row(*number));
            new.extend(all.map(|row| &*row.exchange));
        }
        new.sort_by(|a, b| a.started.total_cmp(&b.started));
        sort(&mut new, order);
        *listed = new.into_iter().map(|exchange| exchange.number).collect();
        Rc::clone(&self.listed)
    }
}

/// Sorts what stands in the order of its starts, which decides among equals.
fn sort(exchanges: &mut [&Exchange], order: Order) {
    let column = order.column;
    let number = |number: u64| (number, String::new());
    let text = |text: String| (0, text);
    // From behind, equals stay in their order while the largest comes first.
    if order.descending {
        exchanges.reverse();
    }
    if column != Column::Number {
        exchanges.sort_by_cached_key(|it| match column {
            Column::Number => number(0),
            Column::Name => text(name(it)),
            Column::Path => text(path(it)),
            Column::Method => text(it.request.method.clone()),
            Column::Kind => text(kind(it)),
            Column::Status => number(u64::from(it.response.status)),
            Column::Size => number(size(it).map_or(0, |size| size.saturating_add(1))),
            // Times are positive, so that their bits are in their order.
            Column::Time => number(it.time.max(0.0).to_bits()),
        });
        if order.descending {
            exchanges.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use qemuweb_capture::{Doubt, Limits};

    use super::*;

    fn exchange(url: &str, status: u16) -> Exchange {
        let mut exchange = Exchange::default();
        exchange.request.url = url.to_owned();
        exchange.response.status = status;
        exchange
    }

    fn list(log: &Log, filter: &str, order: Order) -> Vec<u64> {
        let parsed = filter.parse().unwrap();
        Listing::default().renew(log, filter, &parsed, order).to_vec()
    }

    #[test]
    fn lists_are_filtered_and_sorted() {
        let mut log = Log::new("c1".to_owned(), "", Limits::default());
        for (url, status) in [
            ("https://a.test/z", 200),
            ("https://a.test/dir/", 404),
            ("https://b.test", 0),
        ] {
            log.push(exchange(url, status), false);
        }
        assert_eq!(list(&log, "domain:a.test", Order::default()), [1, 2]);
        let by = |column, descending| Order { column, descending };
        assert_eq!(list(&log, "", by(Column::Status, true)), [2, 1, 3]);
        assert_eq!(list(&log, "", by(Column::Name, false)), [3, 2, 1]);
        assert_eq!(list(&log, "", by(Column::Path, true)), [3, 1, 2]);
        assert_eq!(list(&log, "", by(Column::Number, true)), [3, 2, 1]);
    }

    #[test]
    fn what_began_first_stands_first_whenever_it_comes() {
        let mut log = Log::new("c1".to_owned(), "", Limits::default());
        let mut listing = Listing::default();
        let mut renew = |log: &Log| {
            listing
                .renew(log, "", &Filter::default(), Order::default())
                .to_vec()
        };
        let push = |log: &mut Log, started: f64| {
            let mut exchange = exchange("https://a.test", 200);
            exchange.started = started;
            log.push(exchange, false);
        };
        for started in [2.0, 1.0, 3.0, 1.0] {
            push(&mut log, started);
        }
        assert_eq!(renew(&log), [2, 4, 1, 3]);
        for (started, order) in [
            (2.5, &[2, 4, 1, 5, 3][..]),
            (0.5, &[6, 2, 4, 1, 5, 3]),
            (9.0, &[6, 2, 4, 1, 5, 3, 7]),
        ] {
            push(&mut log, started);
            assert_eq!(renew(&log), order);
        }
        log.restart("c2".to_owned());
        assert_eq!(renew(&log), [0_u64; 0]);
    }

    #[test]
    fn what_is_redacted_later_is_listed_anew() {
        let mut log = Log::new("c1".to_owned(), "", Limits::default());
        log.push(exchange("https://a.test/?badge=b1a2d3", 200), false);
        let mut listing = Listing::default();
        let filter = "b1a2d3".parse().unwrap();
        let mut renew = |log: &Log| listing.renew(log, "b1a2d3", &filter, Order::default()).len();
        assert_eq!(renew(&log), 1);
        log.set_names("badge");
        assert_eq!(renew(&log), 0);
    }

    #[test]
    fn rows_explain_what_is_odd() {
        let mut exchange = exchange("https://a.test", 0);
        exchange.response.error = Some("net::ERR_FAILED".to_owned());
        exchange.doubts = vec![Doubt::HeaderOrder, Doubt::RequestBody];
        assert_eq!(Column::Status.text(&exchange), "(failed) net::ERR_FAILED");
        exchange.request.url = "https://a.test/b/c/d?e".to_owned();
        assert_eq!(
            (Column::Path.text(&exchange), Column::Name.text(&exchange)),
            ("a.test/b/c".to_owned(), "d?e".to_owned())
        );
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
}
