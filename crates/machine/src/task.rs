//! What waits for an effect that is answered later.

use qemuweb_wire::call::CloneVm;
use qemuweb_wire::vm::{FileId, VmId};

use crate::clients::Ticket;
use crate::io::{Attached, Content};
use crate::storage::DiskJob;

/// What to do with a task's outcome.
#[derive(Clone, Debug)]
pub(crate) enum Task<A> {
    /// A definition's files are looked into.
    Define(Box<Defining<A>>),
    /// A VM's files are opened for its start.
    Start {
        /// Who asked.
        ticket: Ticket,
        vm_id: VmId,
        /// The definition whose files they are.
        revision: u64,
    },
    /// A file is hashed to be stored.
    Hash {
        ticket: Ticket,
        /// What people call it.
        name: String,
    },
    /// A stored file is written.
    Store {
        /// Who asked.
        ticket: Ticket,
        info: Box<qemuweb_wire::stored::StoredInfo>,
        /// Whether the reply tells what it is.
        tells: bool,
    },
    /// The files of a VM are opened for something that is done with one of its disks.
    OpenDisk {
        /// Who asked.
        ticket: Ticket,
        job: Box<DiskJob>,
        what: WithDisks,
        /// A file that came with the call.
        file: Option<Attached<A>>,
    },
    /// Something is done with disks.
    Disks {
        /// Who asked.
        ticket: Ticket,
        what: WithDisks,
    },
    /// Something else is written.
    Write,
    /// The browser tells how full the storage is.
    Measure,
}

/// What is done with disks.
#[derive(Clone, Debug)]
pub(crate) enum WithDisks {
    /// What is kept is told.
    List,
    /// One is forgotten.
    Discard,
    /// A file is made of one, to be called so.
    Export { name: String },
    /// The changes of one are taken over from a file.
    Import,
    /// They are copied for a VM that is then defined.
    Copy {
        call: CloneVm,
        /// The other one's number.
        born: u64,
    },
}

/// A definition on its way.
#[derive(Clone, Debug)]
pub(crate) struct Defining<A> {
    /// Who asked.
    pub(crate) ticket: Ticket,
    pub(crate) vm_id: VmId,
    pub(crate) name: String,
    /// Its files: those that are kept, and new ones.
    pub(crate) files: Vec<NewFile<A>>,
    /// The revision that it replaces, where the client says.
    pub(crate) replaces: Option<u64>,
    /// Whether it is to be started then.
    pub(crate) starts: bool,
}

/// A file of a definition on its way.
#[derive(Clone, Debug)]
pub(crate) struct NewFile<A> {
    /// As what it is kept, if it is.
    pub(crate) id: Option<FileId>,
    /// Nothing for one that was too large to be kept.
    pub(crate) content: Option<Content<A>>,
}

impl<A> Task<A> {
    /// Whether this call's client can end the task. What is being written is written to the end, and a VM that somebody wants
    /// is wanted also when their page is gone.
    pub(crate) fn can_be_cancelled_for(&self, of: Ticket) -> bool {
        match self {
            Self::Define(defining) => defining.ticket == of,
            Self::Start { ticket, .. } | Self::Hash { ticket, .. } | Self::OpenDisk { ticket, .. } => {
                *ticket == of
            }
            // A file that is made is nobody's yet, and what is imported is seen when all of it is there.
            Self::Disks {
                ticket,
                what: WithDisks::Export { .. } | WithDisks::Import,
            } => *ticket == of,
            Self::Store { .. } | Self::Disks { .. } | Self::Write | Self::Measure => false,
        }
    }
}
