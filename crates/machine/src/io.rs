//! What goes into the core and what comes out of it.

use std::collections::HashMap;
use std::rc::Rc;

use qemuweb_vm_config::{Arch, VmProfile};
use qemuweb_wire::Failure;
use qemuweb_wire::capabilities::RuntimeCapabilities;
use qemuweb_wire::disk::KeptDisk;
use qemuweb_wire::message::HostMessage;
use qemuweb_wire::stored::{StorageUse, StoredInfo};
use qemuweb_wire::stream::StreamMessage;
use qemuweb_wire::vm::{FileId, Progress, VmDefinition, VmId};

use crate::persist::KeptVm;
use crate::storage::{DiskJob, StorageCommand, StorageEvent};
use crate::worker::BootOrder;

/// Names a client for as long as it is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u32);

/// Names all that belongs to one life of a VM; no other life, of whatever VM, ever has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

/// Names an effect that is answered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// Names a stream for as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// What a message carries beside its JSON. `A` is opaque: a `JsValue` in the browser, a number in tests.
#[derive(Clone, Debug, PartialEq)]
pub enum Attached<A> {
    /// Bytes.
    Bytes(Rc<[u8]>),
    /// A file, or what has its bytes.
    File(A),
    /// The way to a file, which has to be opened.
    Handle(A),
    /// Anything else, such as a port.
    Other(A),
}

/// A file that is kept for definitions.
#[derive(Clone, Debug, PartialEq)]
pub struct Content<A> {
    /// The file, or its handle.
    pub file: A,
    /// Whether it is a handle.
    pub is_handle: bool,
}

/// A file that a person has stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored<A> {
    /// What is known of it.
    pub info: StoredInfo,
    /// Its bytes.
    pub file: A,
}

/// The UEFI variables that a VM has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variables {
    /// The package's file that they began as, which is of one architecture.
    pub file: String,
    /// Their bytes.
    pub bytes: Rc<[u8]>,
}

/// What the core begins with.
#[derive(Clone, Debug)]
pub struct Begin<A> {
    /// What the browser offers.
    pub capabilities: RuntimeCapabilities,
    /// What was kept.
    pub kept: Kept<A>,
    /// Why the former host failed, if it did. VMs that were active then have ended with it.
    pub failed: Option<Failure>,
}

/// What was kept of a former host.
#[derive(Clone, Debug)]
pub struct Kept<A> {
    /// The VMs, in their order.
    pub vms: Vec<KeptVm>,
    /// Files of VMs that an older version kept with them, by their index.
    pub former_files: HashMap<VmId, Vec<Option<Content<A>>>>,
    /// The files of definitions. Nothing for one that was too large to be kept.
    pub files: Vec<(FileId, Option<Content<A>>)>,
    /// People's own profiles.
    pub profiles: Vec<VmProfile>,
    /// The stored files.
    pub stored: Vec<Stored<A>>,
    /// UEFI variables.
    pub variables: HashMap<VmId, Variables>,
    /// What could not be read, and why.
    pub failures: Vec<Failure>,
}

impl<A> Default for Kept<A> {
    fn default() -> Self {
        Self {
            vms: Vec::new(),
            former_files: HashMap::new(),
            files: Vec::new(),
            profiles: Vec::new(),
            stored: Vec::new(),
            variables: HashMap::new(),
            failures: Vec::new(),
        }
    }
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum Input<A> {
    /// A client is there.
    Joined(ClientId),
    /// A client is gone, however it went.
    Left(ClientId),
    /// A client said something: see [`qemuweb_wire::message::ClientMessage`].
    Message {
        /// Who.
        client: ClientId,
        /// The version of its protocol.
        version: u32,
        /// The message.
        json: String,
        /// What belongs to it.
        attachments: Vec<Attached<A>>,
    },
    /// Something came on a stream: see [`StreamMessage`].
    OnStream {
        /// Which stream.
        stream: StreamId,
        /// The version of the client's protocol.
        version: u32,
        /// The message.
        json: String,
        /// The bytes that belong to it.
        bytes: Option<Rc<[u8]>>,
    },
    /// A VM's Worker said something.
    Worker(RunId, FromWorker),
    /// A VM's storage Worker said something.
    Storage(RunId, StorageEvent),
    /// QEMU opened a channel.
    ChannelOpened {
        /// In which life.
        run: RunId,
        /// The channel's name.
        channel: String,
        /// How many bytes its ring to the guest takes.
        capacity: u32,
    },
    /// Bytes came on a channel.
    Received {
        /// In which life.
        run: RunId,
        /// The channel's name.
        channel: String,
        /// The bytes, in order.
        bytes: Vec<u8>,
    },
    /// The guest's side took something out of a channel's ring, or dropped it.
    Moved {
        /// In which life.
        run: RunId,
        /// The channel's name.
        channel: String,
        /// Bytes that are in the ring now.
        used: u32,
        /// Bytes that QEMU has dropped in all, because another program has the channel.
        dropped: u64,
    },
    /// A program in the guest opened or closed the port that is a channel.
    Port {
        /// In which life.
        run: RunId,
        /// The channel's name.
        channel: String,
        /// How often it was opened or closed, odd while it is open. It may have been several times since this was told last.
        opened: u32,
    },
    /// A task goes on.
    Progressed {
        /// Which.
        task: TaskId,
        /// Bytes done.
        done: u64,
        /// Bytes in all, if that is known.
        total: Option<u64>,
    },
    /// A task is done.
    Done(TaskId, Outcome<A>),
    /// Time has passed: see [`Core::deadline`](crate::Core::deadline).
    Tick,
}

/// What a VM's Worker says.
#[derive(Clone, Debug, PartialEq)]
pub enum FromWorker {
    /// Its code runs and takes commands.
    Ready,
    /// Files are fetched or QEMU is loaded.
    Progress(Progress),
    /// QEMU is loaded, and its channels are watched from now on.
    Loaded,
    /// QEMU wrote a line to its standard output or error.
    Output(String),
    /// The machine's UEFI variables, or that they are as they were.
    Variables(Option<Variables>),
    /// QEMU exited with this status.
    Exited(i32),
    /// QEMU could not be started, crashed, or cannot be trusted any more.
    Failed(Failure),
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<A> {
    /// Of [`Effect::OpenFiles`]: the files, in order.
    Opened(Result<Vec<A>, Failure>),
    /// Of [`Effect::Recognize`]: the definition with what its files tell.
    Recognized(Result<Box<VmDefinition>, Failure>),
    /// Of [`Effect::HashFile`]: what it is, and its bytes.
    Hashed(Result<Box<Stored<A>>, Failure>),
    /// Of [`Effect::Write`]. A stored file's bytes are now those that are kept.
    Written(Result<Option<A>, Failure>),
    /// Of [`Effect::MeasureStorage`].
    Measured(Option<StorageUse>),
    /// Of [`Effect::DoWithDisks`]: what was to be told, and the file that was to be made.
    DidWithDisks(Result<(Vec<KeptDisk>, Option<A>), Failure>),
}

/// What the host has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect<A> {
    /// Tell a client something.
    Send {
        /// Whom.
        client: ClientId,
        /// What.
        message: Box<HostMessage>,
        /// What belongs to it.
        attachments: Vec<A>,
    },
    /// Listen on a stream's port.
    OpenStream {
        /// Which stream.
        stream: StreamId,
        /// Whose.
        client: ClientId,
        /// Its port.
        port: A,
    },
    /// Say something on a stream.
    SendOnStream {
        /// Which stream.
        stream: StreamId,
        /// What.
        message: StreamMessage,
        /// The bytes that belong to it.
        bytes: Option<Rc<[u8]>>,
    },
    /// A stream has ended: close its port.
    CloseStream(StreamId),
    /// Start a Worker, or take a spare one, and have it boot.
    StartWorker(RunId, Box<BootOrder<A>>),
    /// End a run's Workers: QEMU's threads first; its storage Worker when it has kept all.
    EndWorker(RunId),
    /// Tell a run's storage Worker something.
    AskStorage(RunId, StorageCommand),
    /// A storage Worker that was to end had its time.
    EndStorage(RunId),
    /// Put bytes into a channel's ring, which has room for them.
    WriteChannel {
        /// In which life.
        run: RunId,
        /// The channel's name.
        channel: String,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A VM may be started soon.
    PrepareSpare {
        /// Which QEMU.
        arch: Arch,
        /// Files of the package's guests that it is going to need.
        guest_files: Vec<String>,
    },
    /// Nobody is there who could start a VM.
    DropSpares,
    /// Open the files of a definition, with their names.
    OpenFiles {
        /// Answered with [`Outcome::Opened`].
        task: TaskId,
        /// What to open.
        files: Vec<(String, Content<A>)>,
    },
    /// Look into the files of a definition.
    Recognize(TaskId, Box<Recognize<A>>),
    /// See what a file is and make its hash.
    HashFile {
        /// Answered with [`Outcome::Hashed`].
        task: TaskId,
        /// What people call it.
        name: String,
        /// The file.
        content: Content<A>,
    },
    /// End a task as soon as possible. It is answered no more.
    CancelTask(TaskId),
    /// Write to the database, in the order of these effects.
    Write(TaskId, Box<Write<A>>),
    /// Ask the browser how full the storage is.
    MeasureStorage(TaskId),
    /// Do something with disks that nobody uses.
    DoWithDisks {
        /// Answered with [`Outcome::DidWithDisks`].
        task: TaskId,
        /// What.
        job: Box<DiskJob>,
        /// The files that it names.
        attachments: Vec<Attached<A>>,
    },
    /// Show how many VMs are active.
    Badge(usize),
    /// Nobody needs this host any more.
    Close,
}

/// What to look into.
#[derive(Clone, Debug, PartialEq)]
pub struct Recognize<A> {
    /// The definition as it came.
    pub definition: VmDefinition,
    /// The files that it names by index, with their names.
    pub files: Vec<(String, Content<A>)>,
    /// The stored files that it names, by hash.
    pub stored: HashMap<String, A>,
}

/// A change of the database.
#[expect(clippy::large_enum_variant, reason = "effects have it in a box")]
#[derive(Clone, Debug, PartialEq)]
pub enum Write<A> {
    /// A VM as it is now.
    PutVm(KeptVm),
    /// A VM is forgotten.
    RemoveVm(VmId),
    /// A definition's file.
    PutFile(FileId, Content<A>),
    /// A file that no definition names any more.
    RemoveFile(FileId),
    /// A profile.
    PutProfile(VmProfile),
    /// A profile is forgotten, by its id.
    RemoveProfile(String),
    /// A VM's UEFI variables.
    PutVariables(VmId, Variables),
    /// A VM has none any more.
    RemoveVariables(VmId),
    /// A stored file.
    PutStored(Stored<A>),
    /// A stored file is forgotten, by its hash.
    RemoveStored(String),
}
