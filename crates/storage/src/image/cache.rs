//! Pages of an image: those that are kept, and those on their way.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use async_lock::Semaphore;
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared, try_join_all};
use lru::LruCache;

use super::ahead::Ahead;
use super::{Policy, Source};
use crate::device::{BlockError, SharedRuntime};

/// A fetch on its way, which any number of readers wait for.
type Flight = Shared<LocalBoxFuture<'static, Result<Rc<Run>, BlockError>>>;

/// Bytes that came in one fetch.
struct Run {
    offset: u64,
    bytes: Vec<u8>,
}

/// A page that is kept.
struct Page {
    bytes: Box<[u8]>,
    /// It was fetched ahead, and nobody has read it yet.
    unread: bool,
}

struct State {
    pages: LruCache<u64, Page>,
    /// What is on its way, by page, and whether somebody waits for it.
    flights: HashMap<u64, (Flight, bool)>,
    ahead: Ahead,
}

struct Inner<S> {
    source: S,
    size: u64,
    policy: Policy,
    runtime: SharedRuntime,
    slots: Semaphore,
    state: RefCell<State>,
}

/// A cache over a source of `size` bytes.
pub(super) struct Cache<S>(Rc<Inner<S>>);

impl<S: Source + 'static> Cache<S> {
    pub(super) fn new(source: S, size: u64, policy: Policy, runtime: SharedRuntime) -> Self {
        Self(Rc::new(Inner {
            source,
            size,
            policy,
            runtime,
            slots: Semaphore::new(policy.in_flight),
            state: RefCell::new(State {
                pages: LruCache::unbounded(),
                flights: HashMap::new(),
                ahead: Ahead::default(),
            }),
        }))
    }

    pub(super) fn keep(&self, bytes: &[u8]) {
        let whole = if bytes.len() as u64 == self.0.size {
            bytes.len()
        } else {
            bytes.len() / self.0.page_bytes() * self.0.page_bytes()
        };
        self.0.state.borrow_mut().ahead.fetched(bytes.len() as u64);
        self.0.insert(0, &bytes[..whole], |_| false);
    }

    pub(super) fn fetched(&self) -> u64 {
        self.0.state.borrow().ahead.total()
    }

    pub(super) fn clear(&self) {
        self.0.state.borrow_mut().pages.clear();
    }

    /// Reads bytes that lie within the image.
    pub(super) async fn read(&self, offset: u64, target: &mut [u8]) -> Result<(), BlockError> {
        if target.is_empty() {
            return Ok(());
        }
        let end = offset + target.len() as u64;
        let flights = self.plan(offset, target);
        for run in try_join_all(flights).await? {
            let (from, to) = (
                run.offset.max(offset),
                (run.offset + run.bytes.len() as u64).min(end),
            );
            if from < to {
                let source = &run.bytes[(from - run.offset) as usize..(to - run.offset) as usize];
                target[(from - offset) as usize..(to - offset) as usize].copy_from_slice(source);
            }
        }
        Ok(())
    }

    /// Copies what is kept into `target`, and returns the flights that bring the rest, starting those that are missing.
    fn plan(&self, offset: u64, target: &mut [u8]) -> Vec<Flight> {
        let inner = &self.0;
        let page_bytes = inner.page_bytes() as u64;
        let end = offset + target.len() as u64;
        let pages = offset / page_bytes..end.div_ceil(page_bytes);
        let (mut flights, mut missing) = (Vec::new(), Vec::new());
        let mut last_flight = None;
        for page in pages {
            let mut state = inner.state.borrow_mut();
            let State {
                pages,
                flights: flying,
                ahead,
            } = &mut *state;
            if let Some(kept) = pages.get_mut(&page) {
                if std::mem::take(&mut kept.unread) {
                    ahead.used(kept.bytes.len() as u64);
                }
                let start = page * page_bytes;
                let (from, to) = (start.max(offset), (start + kept.bytes.len() as u64).min(end));
                target[(from - offset) as usize..(to - offset) as usize]
                    .copy_from_slice(&kept.bytes[(from - start) as usize..(to - start) as usize]);
            } else if let Some((flight, waited_for)) = flying.get_mut(&page) {
                if !std::mem::replace(waited_for, true) {
                    ahead.used(inner.page_length(page));
                }
                // A flight brings pages in a row: it is waited for once.
                if last_flight
                    .as_ref()
                    .is_none_or(|last: &Flight| !last.ptr_eq(flight))
                {
                    last_flight = Some(flight.clone());
                    flights.push(flight.clone());
                }
            } else {
                ahead.fetched(inner.page_length(page));
                missing.push(page);
            }
        }
        flights.extend(inner.start(&missing, true));
        let mut state = inner.state.borrow_mut();
        let ahead = state.ahead.note(offset, end - offset, inner.size, &inner.policy);
        let ahead = ahead.start / page_bytes..ahead.end.div_ceil(page_bytes);
        let ahead: Vec<u64> = ahead
            .filter(|page| !state.pages.contains(page) && !state.flights.contains_key(page))
            .collect();
        let bytes = ahead.iter().map(|&page| inner.page_length(page)).sum();
        state.ahead.fetched_ahead(bytes);
        drop(state);
        inner.start(&ahead, false);
        flights
    }
}

impl<S: Source + 'static> Inner<S> {
    fn page_bytes(&self) -> usize {
        self.policy.page as usize
    }

    /// A page's bytes, which are fewer at the image's end.
    fn page_length(&self, page: u64) -> u64 {
        let page_bytes = u64::from(self.policy.page);
        page_bytes.min(self.size.saturating_sub(page * page_bytes))
    }

    /// Starts fetching `pages`, neighbours at once.
    fn start(self: &Rc<Self>, pages: &[u64], waited_for: bool) -> Vec<Flight> {
        let most = u64::from(self.policy.longest / self.policy.page).max(1);
        let mut flights = Vec::new();
        let mut rest = pages;
        while let Some(&first) = rest.first() {
            let count = (0..most)
                .take_while(|&next| rest.get(next as usize) == Some(&(first + next)))
                .count();
            rest = &rest[count..];
            let range = first..first + count as u64;
            let flight = Rc::clone(self).fly(range.clone()).boxed_local().shared();
            let mut state = self.state.borrow_mut();
            for page in range {
                state.flights.insert(page, (flight.clone(), waited_for));
            }
            drop(state);
            // So that it goes on though who reads is gone.
            self.runtime.spawn(flight.clone().map(drop).boxed_local());
            flights.push(flight);
        }
        flights
    }

    async fn fly(self: Rc<Self>, pages: Range<u64>) -> Result<Rc<Run>, BlockError> {
        let slot = self.slots.acquire().await;
        let offset = pages.start * u64::from(self.policy.page);
        let length = pages.clone().map(|page| self.page_length(page)).sum::<u64>();
        let result = self.source.fetch(offset, length as usize).await;
        drop(slot);
        let mut unread = Vec::new();
        let mut state = self.state.borrow_mut();
        for page in pages.clone() {
            if state
                .flights
                .remove(&page)
                .is_some_and(|(_, waited_for)| !waited_for)
            {
                unread.push(page);
            }
        }
        drop(state);
        let bytes = result?;
        self.insert(pages.start, &bytes, |page| unread.binary_search(&page).is_ok());
        Ok(Rc::new(Run { offset, bytes }))
    }

    /// Keeps pages, and drops those that were used longest ago.
    fn insert(&self, first: u64, bytes: &[u8], unread: impl Fn(u64) -> bool) {
        let mut state = self.state.borrow_mut();
        for (page, bytes) in (first..).zip(bytes.chunks(self.page_bytes())) {
            state.pages.put(
                page,
                Page {
                    bytes: bytes.into(),
                    unread: unread(page),
                },
            );
        }
        let most = (self.policy.kept / self.policy.page).max(1) as usize;
        while state.pages.len() > most {
            state.pages.pop_lru();
        }
    }
}
