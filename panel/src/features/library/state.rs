//! The stored files and people's profiles as the host tells of them.

use qemuweb_vm_config::{VmProfile, find_profile};
use qemuweb_wire::client::Canceller;
use qemuweb_wire::stored::{StorageUse, StoredInfo};
use qemuweb_wire::topic::LibraryState;
use sycamore::prelude::*;

use crate::features::machines::state::Machines;

/// A file that is being stored.
#[derive(Clone)]
pub struct Storing {
    /// Its name.
    pub name: String,
    /// Bytes read.
    pub done: u64,
    /// Its size in bytes, once it is known.
    pub total: Option<u64>,
    /// What gives it up.
    pub cancel: Option<Canceller>,
}

/// What people keep. Copies are the same.
#[derive(Clone, Copy)]
pub struct Library {
    /// The VMs that use it.
    pub machines: Machines,
    /// The profiles that people have made.
    pub profiles: Signal<Vec<VmProfile>>,
    /// The files that are stored.
    pub stored: Signal<Vec<StoredInfo>>,
    /// How full the storage is.
    pub storage: Signal<Option<StorageUse>>,
    /// The file that is being stored.
    pub storing: Signal<Option<Storing>>,
}

impl Library {
    /// Nothing kept. Call it in the root scope.
    pub fn new(machines: Machines) -> Self {
        Self {
            machines,
            profiles: create_signal(Vec::new()),
            stored: create_signal(Vec::new()),
            storage: create_signal(None),
            storing: create_signal(None),
        }
    }

    /// That of the page that a component is in.
    pub fn here() -> Self {
        use_context()
    }

    /// Takes in the stored files as they are now.
    pub fn heard(self, state: &LibraryState) {
        self.stored.set(state.files.clone());
        self.storage.set(state.storage);
    }

    /// The profile of this id, ours or the person's. Tracked.
    pub fn profile(self, id: &str) -> Option<VmProfile> {
        find_profile(id).or_else(|| {
            self.profiles
                .with(|profiles| profiles.iter().find(|profile| profile.id == id).cloned())
        })
    }
}
