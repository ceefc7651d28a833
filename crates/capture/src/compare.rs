//! What differs between two captures of the same page.

use std::collections::{BTreeMap, VecDeque};

use crate::exchange::Exchange;

/// How much the time must differ to be told: by so many milliseconds, and by the factor [`SLOWER`].
const MIN_DELAY: f64 = 20.0;
/// See [`MIN_DELAY`].
const SLOWER: f64 = 1.5;

/// A request that is not the same in both captures.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// What differs.
    pub change: Change,
}

/// How a request differs.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is in the second capture only.
    New,
    /// It is in the first capture only.
    Gone,
    /// It is in both, with differences; the first capture's value comes first.
    Changed {
        /// Another status.
        status: Option<(u16, u16)>,
        /// Another size of the response's body.
        size: Option<(u64, u64)>,
        /// Clearly slower or faster, in milliseconds.
        time: Option<(f64, f64)>,
    },
}

/// Compares two captures. Requests are matched by method and URL, the first with the first and so on; the order is that
/// of the second capture, with what is gone at the end.
///
/// # Examples
///
/// ```
/// use qemuweb_capture::{Change, Exchange, compare};
///
/// let mut old = Exchange::default();
/// old.request.url = "https://example.org/".to_owned();
/// old.response.status = 200;
/// let mut new = old.clone();
/// new.response.status = 500;
/// let differences = compare([&old], [&new]);
/// assert!(matches!(differences[0].change, Change::Changed { status: Some((200, 500)), .. }));
/// ```
pub fn compare<'a>(
    old: impl IntoIterator<Item = &'a Exchange>,
    new: impl IntoIterator<Item = &'a Exchange>,
) -> Vec<Difference> {
    let mut known: BTreeMap<(&str, &str), VecDeque<&Exchange>> = BTreeMap::new();
    for exchange in old {
        known.entry(key(exchange)).or_default().push_back(exchange);
    }
    let mut differences = Vec::new();
    for exchange in new {
        let former = known.get_mut(&key(exchange)).and_then(VecDeque::pop_front);
        let change = match former {
            None => Some(Change::New),
            Some(former) => changed(former, exchange),
        };
        differences.extend(change.map(|change| difference(exchange, change)));
    }
    let mut gone: Vec<&Exchange> = known.into_values().flatten().collect();
    gone.sort_by_key(|exchange| exchange.number);
    differences.extend(
        gone.into_iter()
            .map(|exchange| difference(exchange, Change::Gone)),
    );
    differences
}

fn key(exchange: &Exchange) -> (&str, &str) {
    (&exchange.request.method, &exchange.request.url)
}

fn difference(exchange: &Exchange, change: Change) -> Difference {
    Difference {
        method: exchange.request.method.clone(),
        url: exchange.request.url.clone(),
        change,
    }
}

fn changed(old: &Exchange, new: &Exchange) -> Option<Change> {
    let size = |exchange: &Exchange| exchange.response.body.as_ref().map_or(0, |body| body.size);
    let status = (old.response.status, new.response.status);
    let sizes = (size(old), size(new));
    let (least, most) = (old.time.min(new.time), old.time.max(new.time));
    let status = (status.0 != status.1).then_some(status);
    let size = (sizes.0 != sizes.1).then_some(sizes);
    let time = (most - least > MIN_DELAY && most > least * SLOWER).then_some((old.time, new.time));
    (status.is_some() || size.is_some() || time.is_some()).then_some(Change::Changed { status, size, time })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Body, arbitrary};

    fn exchange(url: &str, status: u16, size: usize, time: f64) -> Exchange {
        let mut exchange = Exchange {
            time,
            ..Exchange::default()
        };
        exchange.request.url = url.to_owned();
        exchange.response.status = status;
        exchange.response.body = Some(Body::new("", vec![0; size]));
        exchange
    }

    #[test]
    fn differences_are_told() {
        let old = [
            exchange("a", 200, 1, 10.0),
            exchange("a", 200, 1, 10.0),
            exchange("b", 200, 1, 10.0),
            exchange("c", 200, 1, 100.0),
        ];
        let new = [
            exchange("a", 200, 1, 12.0),
            exchange("c", 200, 2, 200.0),
            exchange("d", 200, 1, 10.0),
            exchange("a", 404, 1, 10.0),
        ];
        let told: Vec<_> = compare(&old, &new)
            .into_iter()
            .map(|difference| (difference.url, difference.change))
            .collect();
        let changed = |status, size, time| Change::Changed { status, size, time };
        assert_eq!(
            told,
            [
                ("c".to_owned(), changed(None, Some((1, 2)), Some((100.0, 200.0)))),
                ("d".to_owned(), Change::New),
                ("a".to_owned(), changed(Some((200, 404)), None, None)),
                ("b".to_owned(), Change::Gone),
            ]
        );
    }

    proptest! {
        #[test]
        fn a_capture_is_like_itself(list in prop::collection::vec(arbitrary::exchange(), 0..5)) {
            prop_assert_eq!(compare(&list, &list), []);
        }

        #[test]
        fn all_is_new_beside_nothing(list in prop::collection::vec(arbitrary::exchange(), 0..5)) {
            prop_assert_eq!(compare([], &list).len(), list.len());
            prop_assert_eq!(compare(&list, []).len(), list.len());
        }
    }
}
