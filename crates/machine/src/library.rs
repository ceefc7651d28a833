//! The files that a person has stored in the extension, known by the hash of their content.
//!
//! The rest of the core asks for a file by its hash and nothing else, so that another store of content can take this one's place.

use qemuweb_vm_config::{Attachment, InputSource, StoredFile};
use qemuweb_wire::Failure;
use qemuweb_wire::stored::{StorageUse, StoredInfo};
use qemuweb_wire::topic::LibraryState;

use crate::io::{Attached, Stored};

/// The most files that are kept.
const MAX_FILES: usize = 500;
/// Files that can be brought back after they were removed.
const MAX_REMOVED: usize = 20;
/// The longest name of a file, in characters.
const LONGEST_NAME: usize = 255;

/// All stored files.
#[derive(Debug)]
pub(crate) struct Library<A> {
    /// In the order of their names.
    files: Vec<Stored<A>>,
    /// What was removed and can be brought back, the latest last.
    removed: Vec<Stored<A>>,
    /// How full the storage was when it was asked last.
    pub(crate) storage: Option<StorageUse>,
}

impl<A: Clone> Library<A> {
    /// The files of the database.
    pub(crate) fn new(files: Vec<Stored<A>>) -> Self {
        let mut library = Self {
            files: Vec::new(),
            removed: Vec::new(),
            storage: None,
        };
        files.into_iter().for_each(|file| library.insert(file));
        library
    }

    pub(crate) fn state(&self) -> LibraryState {
        LibraryState {
            files: self.files.iter().map(|stored| stored.info.clone()).collect(),
            storage: self.storage,
        }
    }

    /// The bytes of a file.
    pub(crate) fn content(&self, hash: &str) -> Option<&A> {
        self.find(hash).map(|stored| &stored.file)
    }

    pub(crate) fn info(&self, hash: &str) -> Option<&StoredInfo> {
        self.find(hash).map(|stored| &stored.info)
    }

    fn find(&self, hash: &str) -> Option<&Stored<A>> {
        self.files.iter().find(|stored| stored.info.file.hash == hash)
    }

    pub(crate) fn insert(&mut self, stored: Stored<A>) {
        let is_same = |known: &Stored<A>| known.info.file.hash == stored.info.file.hash;
        self.files.retain(|known| !is_same(known));
        self.removed.retain(|known| !is_same(known));
        self.files.push(stored);
        self.files.sort_by(|a, b| a.info.file.name.cmp(&b.info.file.name));
    }

    /// Takes a file out, with the way back.
    ///
    /// # Errors
    /// A [`Failure`] when there is none of this hash.
    pub(crate) fn take_out(&mut self, hash: &str) -> Result<(), Failure> {
        let is_meant = |stored: &mut Stored<A>| stored.info.file.hash == hash;
        let removed: Vec<_> = self.files.extract_if(.., is_meant).collect();
        if removed.is_empty() {
            return Err(unknown(hash));
        }
        self.removed.extend(removed);
        let excess = self.removed.len().saturating_sub(MAX_REMOVED);
        self.removed.drain(..excess);
        Ok(())
    }

    /// A file that was taken out and can be brought back.
    ///
    /// # Errors
    /// A [`Failure`] when there is none of this hash.
    pub(crate) fn removed(&self, hash: &str) -> Result<&Stored<A>, Failure> {
        let found = self.removed.iter().rfind(|stored| stored.info.file.hash == hash);
        found.ok_or_else(|| unknown(hash))
    }

    /// Whether another file can be stored.
    ///
    /// # Errors
    /// A [`Failure`] when there are too many.
    pub(crate) fn check_room(&self) -> Result<(), Failure> {
        if self.files.len() >= MAX_FILES {
            let failure = Failure::new(format!("there are {MAX_FILES} stored files"));
            return Err(failure.with_next_step("Delete some of them."));
        }
        Ok(())
    }

    /// Has the stored files among `sources` sent along with `attachments`, as a VM's Workers take them.
    ///
    /// # Errors
    /// A [`Failure`] that names the file that is stored no more.
    pub(crate) fn attach<'a>(
        &self,
        sources: impl Iterator<Item = &'a mut InputSource>,
        attachments: &mut Vec<Attached<A>>,
    ) -> Result<(), Failure> {
        for source in sources {
            if let InputSource::Stored(stored) = source {
                let content = self.content(&stored.hash).ok_or_else(|| not_stored(stored))?;
                *source = InputSource::Attachment(Attachment {
                    index: u32::try_from(attachments.len()).unwrap_or(u32::MAX),
                    name: stored.name.clone(),
                    size: stored.size,
                });
                attachments.push(Attached::File(content.clone()));
            }
        }
        Ok(())
    }
}

/// A file's name as it is kept.
pub(crate) fn cut_name(name: &str) -> String {
    name.chars().take(LONGEST_NAME).collect()
}

/// What to say of a file that is not here.
pub fn not_stored(file: &StoredFile) -> Failure {
    Failure::new(format!(
        "{} is not among the files that are stored in this browser",
        file.name
    ))
    .with_next_step(format!(
        "Store it again (its hash is {}), or choose another file in the VM's settings.",
        file.hash
    ))
}

fn unknown(hash: &str) -> Failure {
    Failure::new(format!("there is no stored file {hash}"))
        .with_next_step("It may have been removed in another panel.")
}
