//! Which of DevTools' reports are taken: each request once, and nothing that was cleared.
//!
//! DevTools tell of a request when it has ended, and list those that they know when asked. A list overlaps with what is
//! told meanwhile, may hold requests whose body is still coming, and knows nothing of what the person has cleared.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Entry;

/// What reports of one request have in common: its start, method and URL. Others may have the same; keys are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    pub(super) fn new(started: &str, method: &str, url: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (started, method, url).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// How often keys occurred.
#[derive(Debug, Default)]
struct Counts(HashMap<Key, u32>);

impl Counts {
    fn add(&mut self, key: Key) {
        *self.0.entry(key).or_default() += 1;
    }

    /// Takes one away, if there is one.
    fn take(&mut self, key: Key) -> bool {
        self.0.get_mut(&key).is_some_and(|count| {
            let had = *count > 0;
            *count = count.saturating_sub(1);
            had
        })
    }
}

/// Why DevTools were asked for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Listing {
    /// Recording begins: what they know and was not cleared.
    All,
    /// The page went to another document: what belongs to its load, redirects that led there included.
    Page,
}

/// What was told while a recording goes on.
#[derive(Debug, Default)]
pub struct Intake {
    /// What ended before is cleared, in milliseconds since the epoch.
    cleared: f64,
    listing: Option<Listing>,
    /// Entries of the list whose content has not come yet.
    unsettled: usize,
    /// Ended since the list was asked for.
    ended: Counts,
    /// Taken into this capture, and into the one before a navigation.
    taken: Counts,
    before: Counts,
}

impl Intake {
    /// The person clears, at a time in milliseconds since the epoch.
    pub fn clear(&mut self, now: f64) {
        *self = Self {
            cleared: now,
            ..Self::default()
        };
    }

    /// Recording begins with a list of what DevTools know.
    pub fn begin(&mut self) {
        self.listing = Some(Listing::All);
        self.restart();
    }

    /// The page went to another document, with which the capture begins anew.
    pub fn navigate(&mut self) {
        self.listing = Some(Listing::Page);
        self.before = std::mem::take(&mut self.taken);
        self.restart();
    }

    fn restart(&mut self) {
        self.unsettled = 0;
        self.ended = Counts::default();
    }

    /// DevTools told of a request that has ended.
    pub fn told(&mut self, key: Key) {
        if self.listing.is_some() || self.unsettled > 0 {
            self.ended.add(key);
        }
    }

    /// Which entries of a list are to be read; `page` is the newest page load in it.
    pub fn listed(&mut self, entries: &[Entry], page: Option<&str>) -> Vec<bool> {
        let Some(listing) = self.listing.take() else {
            return vec![false; entries.len()];
        };
        let is_wanted = |entry: &Entry| match listing {
            Listing::All => entry.ended().is_none_or(|ended| ended > self.cleared),
            Listing::Page => page.is_some() && entry.page() == page,
        };
        let wanted: Vec<bool> = entries
            .iter()
            .map(|entry| !entry.is_pending() && is_wanted(entry))
            .collect();
        self.unsettled = wanted.iter().filter(|wanted| **wanted).count();
        wanted
    }

    /// Whether an entry of the list is taken, now that DevTools `answered` about its content, or did not. It is not if it
    /// was told of meanwhile, or goes on.
    pub fn settle(&mut self, key: Key, answered: bool) -> bool {
        self.unsettled = self.unsettled.saturating_sub(1);
        !self.ended.take(key) && answered
    }

    /// Notes that a request is taken. Says whether it is new, and not one that was there before the navigation, too.
    pub fn take(&mut self, key: Key) -> bool {
        self.taken.add(key);
        !self.before.take(key)
    }
}

/// The newest page load in the `pages` of a list, as JSON.
pub fn newest_page(pages: &str) -> Option<String> {
    let pages: Vec<serde_json::Value> = serde_json::from_str(pages).ok()?;
    let newest = pages.iter().max_by(|a, b| {
        let started = |page: &serde_json::Value| crate::time::parse(page["startedDateTime"].as_str()?);
        started(a)
            .partial_cmp(&started(b))
            .unwrap_or(std::cmp::Ordering::Equal)
    })?;
    newest["id"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(url: &str, page: &str) -> Entry {
        Entry::parse(&format!(
            r#"{{"startedDateTime": "1970-01-01T00:00:01.000Z", "time": 500, "pageref": "{page}",
                "request": {{"method": "GET", "url": "{url}"}}, "response": {{"status": 200}}}}"#
        ))
        .unwrap()
    }

    fn begun(now: f64) -> Intake {
        let mut intake = Intake::default();
        intake.clear(now);
        intake.begin();
        intake
    }

    #[test]
    fn what_is_told_while_a_list_is_made_is_taken_once() {
        let mut intake = begun(0.0);
        let (a, b) = (entry("a", ""), entry("b", ""));
        intake.told(a.key());
        let listed = intake.listed(&[a.clone(), a.clone(), b.clone()], None);
        assert_eq!(listed, [true; 3]);
        // The first was told of; the second is another like it.
        assert!(!intake.settle(a.key(), true));
        assert!(intake.settle(a.key(), true));
        // This one's body was still coming.
        intake.told(b.key());
        assert!(!intake.settle(b.key(), true));
        // No list is under way any more.
        intake.told(a.key());
        assert!(intake.ended.0.values().all(|count| *count == 0));
    }

    #[test]
    fn what_goes_on_is_left_to_its_end() {
        let mut intake = begun(0.0);
        let a = entry("a", "");
        assert_eq!(intake.listed(std::slice::from_ref(&a), None), [true]);
        assert!(!intake.settle(a.key(), false));
        for (pending, json) in [
            (true, r#"{"response": {"status": 0}}"#),
            (true, r#"{"response": {"status": 0, "_error": null}}"#),
            (
                false,
                r#"{"response": {"status": 0, "_error": "net::ERR_FAILED"}}"#,
            ),
            (
                true,
                r#"{"_resourceType": "websocket", "timings": {"receive": 0}, "response": {"status": 101}}"#,
            ),
            (
                false,
                r#"{"_resourceType": "websocket", "timings": {"receive": 0.3}, "response": {"status": 0}}"#,
            ),
        ] {
            assert_eq!(Entry::parse(json).unwrap().is_pending(), pending, "{json}");
        }
    }

    #[test]
    fn what_was_cleared_stays_away() {
        for (cleared, expected) in [(0.0, true), (1499.0, true), (1500.0, false), (9999.0, false)] {
            assert_eq!(
                begun(cleared).listed(&[entry("a", "")], None),
                [expected],
                "{cleared}"
            );
        }
    }

    #[test]
    fn a_navigation_keeps_what_led_to_it() {
        let mut intake = begun(9999.0);
        let (old, post) = (entry("old", "page_1"), entry("post", "page_2"));
        assert!(intake.take(old.key()) && intake.take(post.key()));
        intake.navigate();
        let list = [post.clone(), old, entry("none", "")];
        assert_eq!(intake.listed(&list, Some("page_2")), [true, false, false]);
        assert!(intake.settle(post.key(), true));
        // Guests have it already.
        assert!(!intake.take(post.key()) && intake.take(post.key()));
        intake.navigate();
        assert_eq!(intake.listed(&[post], None), [false]);
    }

    #[test]
    fn the_newest_page_is_found() {
        let pages = r#"[{"id": "page_2", "startedDateTime": "2026-11-30T20:07:43.984Z"},
            {"id": "page_1", "startedDateTime": "2026-11-30T20:07:41.422Z"}, {"id": "page_3"}]"#;
        assert_eq!(newest_page(pages).as_deref(), Some("page_2"));
        assert_eq!(newest_page("[]"), None);
        assert_eq!(newest_page("{"), None);
    }
}
