//! The local files of definitions: each has an identity, and is kept as long as some definition names it.

use std::collections::{BTreeMap, BTreeSet};

use qemuweb_wire::vm::FileId;

use crate::io::Content;

/// The files that are kept.
#[derive(Debug)]
pub(crate) struct Files<A> {
    /// Nothing for one that was too large to be kept over the end of the browser.
    files: BTreeMap<FileId, Option<Content<A>>>,
}

impl<A: Clone> Files<A> {
    pub(crate) fn new(files: Vec<(FileId, Option<Content<A>>)>) -> Self {
        let files = files.into_iter().collect();
        Self { files }
    }

    pub(crate) fn insert(&mut self, id: FileId, content: Option<Content<A>>) {
        self.files.insert(id, content);
    }

    /// The identities of all of them.
    pub(crate) fn ids(&self) -> impl Iterator<Item = FileId> {
        self.files.keys().copied()
    }

    pub(crate) fn get(&self, id: FileId) -> Option<&Content<A>> {
        self.files.get(&id)?.as_ref()
    }

    pub(crate) fn is_known(&self, id: FileId) -> bool {
        self.files.contains_key(&id)
    }

    /// Forgets the files that are not `used`, and gives them.
    pub(crate) fn forget_unused(&mut self, used: &BTreeSet<FileId>) -> Vec<FileId> {
        let unused = self.files.extract_if(.., |id, _| !used.contains(id));
        unused.map(|(id, _)| id).collect()
    }
}
