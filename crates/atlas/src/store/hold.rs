//! What must not be collected though nothing in the database refers to it.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::Atlas;
use crate::hash::ContentHash;
use crate::manifest::FileManifest;

/// All holds on a store.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    counts: HashMap<ContentHash, usize>,
    /// What was held since a collection began, were it for a moment.
    pub(crate) since: Option<HashSet<ContentHash>>,
    /// What a transaction takes out just now.
    pub(crate) going: HashSet<ContentHash>,
}

impl Holds {
    /// Whether somebody holds it, or has since the collection began.
    pub(crate) fn is_held(&self, hash: &ContentHash) -> bool {
        self.counts.contains_key(hash) || self.since.as_ref().is_some_and(|since| since.contains(hash))
    }

    /// All that is held.
    pub(crate) fn held(&self) -> impl Iterator<Item = ContentHash> {
        self.counts.keys().copied()
    }

    fn add(&mut self, hash: ContentHash) {
        *self.counts.entry(hash).or_default() += 1;
        if let Some(since) = &mut self.since {
            since.insert(hash);
        }
    }

    fn remove(&mut self, hash: ContentHash) {
        if let Some(count) = self.counts.get_mut(&hash) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&hash);
            }
        }
    }
}

/// Keeps chunks and manifests from being collected, until it is dropped.
pub struct Hold {
    atlas: Atlas,
    held: RefCell<HashSet<ContentHash>>,
}

impl Hold {
    pub(super) fn new(atlas: Atlas) -> Self {
        Self {
            atlas,
            held: RefCell::default(),
        }
    }

    pub(crate) fn atlas(&self) -> &Atlas {
        &self.atlas
    }

    /// Holds one more. What a transaction takes out just now may be gone: see [`Self::add_present`].
    pub(crate) fn add(&self, hash: ContentHash) {
        if self.held.borrow_mut().insert(hash) {
            self.atlas.inner.holds.borrow_mut().add(hash);
        }
    }

    /// Holds one more, and returns when whoever looks whether it is there finds the truth.
    pub(crate) async fn add_present(&self, hash: ContentHash) {
        self.add(hash);
        let is_going = || self.atlas.inner.holds.borrow().going.contains(&hash);
        if is_going() {
            drop(self.atlas.inner.changing.lock().await);
        }
    }

    pub(crate) fn add_file(&self, hash: ContentHash, manifest: &FileManifest) {
        self.add(hash);
        manifest.chunks.iter().for_each(|chunk| self.add(chunk.hash));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut holds = self.atlas.inner.holds.borrow_mut();
        self.held.get_mut().drain().for_each(|hash| holds.remove(hash));
    }
}
