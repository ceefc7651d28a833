//! Why a machine cannot start ([`ConfigError`]) and what is worth knowing before it does ([`ConfigWarning`]).
//!
//! Both are typed for code and read as plain sentences for people, which is also their JSON form.

use serde::{Serialize, Serializer};
use thiserror::Error;

/// A reason why a description is no machine that QEMU can run in a browser.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A field has a value that it cannot have.
    #[error("{field}: expected {expected}, found {found}")]
    Invalid {
        /// Path of the field, such as `inputs.additionalDisks[1].url`.
        field: String,
        /// What the field may hold.
        expected: String,
        /// What it holds, shortened.
        found: String,
    },
    /// A field that has to be there is not.
    #[error("{field}: missing field")]
    Missing {
        /// Path of the field.
        field: String,
    },
    /// A field that nobody knows, perhaps misspelt.
    #[error("{field}: unknown field")]
    Unknown {
        /// Path of the field.
        field: String,
    },
    /// The machine has nothing to start.
    #[error("profile {profile} has nothing to boot: {help}")]
    NothingToBoot {
        /// The profile's id.
        profile: String,
        /// What to supply.
        help: String,
    },
    /// The machine's memory does not fit into a WebAssembly heap.
    #[error(
        "{field}: the machine needs a heap of {required_mib} MiB ({guest_mib} for the guest, {tb_size_mib} for \
         translated code, {qemu_mib} for QEMU itself), but WebAssembly allows {limit_mib}; give the guest at most \
         {largest_guest_mib} MiB"
    )]
    HeapTooSmall {
        /// Path of the field that sets the guest's memory.
        field: String,
        /// The heap that the machine needs, in MiB.
        required_mib: u32,
        /// The guest's memory, in MiB.
        guest_mib: u32,
        /// QEMU's buffer of translated code, in MiB.
        tb_size_mib: u32,
        /// What QEMU takes beside, in MiB.
        qemu_mib: u32,
        /// The largest heap, in MiB.
        limit_mib: u32,
        /// The most guest memory that would fit, in MiB.
        largest_guest_mib: u32,
    },
    /// The extra arguments are no sequence of shell words.
    #[error("extraArgs: a quote is not closed, or the line ends in a backslash")]
    UnbalancedQuotes,
    /// A QEMU option that cannot work in a browser, or would take away what QemuWeb relies on.
    #[error("{field}: {argument} is not possible: {reason}")]
    Refused {
        /// Path of the field that holds the argument.
        field: String,
        /// The argument, shortened.
        argument: String,
        /// Why, and what to do instead.
        reason: &'static str,
    },
}

impl ConfigError {
    /// An [`ConfigError::Invalid`] that shows the offending value in quotes.
    pub(crate) fn invalid(field: impl Into<String>, expected: impl Into<String>, found: &str) -> Self {
        Self::Invalid {
            field: field.into(),
            expected: expected.into(),
            found: excerpt(found),
        }
    }

    /// An [`ConfigError::Invalid`] about a number.
    pub(crate) fn out_of_range(field: impl Into<String>, expected: impl Into<String>, found: u64) -> Self {
        Self::Invalid {
            field: field.into(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// The same error where all paths begin at `parent`.
    pub(crate) fn within(mut self, parent: &str) -> Self {
        match &mut self {
            Self::Invalid { field, .. }
            | Self::Missing { field }
            | Self::Unknown { field }
            | Self::HeapTooSmall { field, .. }
            | Self::Refused { field, .. } => *field = format!("{parent}.{field}"),
            Self::NothingToBoot { .. } | Self::UnbalancedQuotes => {}
        }
        self
    }

    /// Path of the field that is to blame, to show the error beside it in a form.
    pub fn field(&self) -> &str {
        match self {
            Self::Invalid { field, .. }
            | Self::Missing { field }
            | Self::Unknown { field }
            | Self::HeapTooSmall { field, .. }
            | Self::Refused { field, .. } => field,
            Self::NothingToBoot { .. } => "inputs",
            Self::UnbalancedQuotes => "overrides.extraArgs",
        }
    }
}

/// What a person should know about a machine that starts all the same.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigWarning {
    /// User-mode networking was asked for.
    #[error(
        "net: user-mode networking is not part of this build of QEMU; the machine starts without a network"
    )]
    NoNetwork,
    /// A writable disk's changes are not kept.
    #[error(
        "disk {number}: what the guest writes is gone when the machine stops, as {reason}; the image itself is not changed"
    )]
    WritesNotKept {
        /// The disk's number, the boot disk first, counted from 0.
        number: usize,
        /// Why.
        reason: &'static str,
    },
    /// IDE disks cannot be read-only.
    #[error(
        "disk {number}: IDE has no read-only disks; the guest's writes are accepted and dropped at the end"
    )]
    IdeIsWritable {
        /// The disk's number, counted from 0.
        number: usize,
    },
    /// An IDE disk was asked for on a machine without IDE.
    #[error("disk {number}: machine {machine} has no IDE controller; the disk is attached as virtio-blk")]
    NoIde {
        /// The disk's number, counted from 0.
        number: usize,
        /// The machine type.
        machine: String,
    },
    /// The profile's kernel is started although there is a boot disk.
    #[error("machine {machine} does not boot disks: the profile's kernel starts, with the disk attached")]
    DiskNotBooted {
        /// The machine type.
        machine: String,
    },
    /// What is started is no guest of ours, and no Linux.
    #[error(
        "what starts expects a PC as they were: the machine is one (pc, with IDE disks), whatever the profile says"
    )]
    WholePc,
    /// A field has no effect on this machine.
    #[error("{field}: ignored, {reason}")]
    Ignored {
        /// Path of the field.
        field: &'static str,
        /// Why it has no effect.
        reason: &'static str,
    },
    /// The kernel is not told to use the console.
    #[error("the kernel's command line has no console={console}: its messages will not be seen")]
    NoConsole {
        /// The console that QemuWeb shows.
        console: &'static str,
    },
    /// The machine type is none of those that the builder knows.
    #[error(
        "machine {machine} is unknown here; it is taken for one with a PCI bus, and QEMU judges the rest"
    )]
    UnknownMachine {
        /// The machine type.
        machine: String,
    },
}

impl Serialize for ConfigError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for ConfigWarning {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A hostile or long text made fit to stand in a message: quoted, escaped and cut to 60 characters.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
