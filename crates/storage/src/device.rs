//! What every disk can do, and how it fails.

use std::rc::Rc;

use async_trait::async_trait;
use futures_util::future::LocalBoxFuture;

/// Bytes in a sector: what every offset and length of a request is a multiple of.
pub const SECTOR: u64 = 512;

/// A disk. Requests may be in flight at the same time; of those that overlap, any may come first. A device is only ever used by
/// the thread that made it.
#[async_trait(?Send)]
pub trait BlockDevice {
    /// What it is known by: a name for people and errors.
    fn id(&self) -> &str;

    /// Its size in bytes, a multiple of [`SECTOR`].
    fn size(&self) -> u64;

    /// The size in bytes of what [`Self::read_blocks`] and [`Self::write_blocks`] count in, and of what it is best used in.
    fn block_size(&self) -> u32;

    /// Whether it refuses writes.
    fn readonly(&self) -> bool;

    /// Reads `target.len()` bytes at `offset`.
    ///
    /// # Errors
    /// [`BlockError`]; what is in `target` then is undefined.
    async fn read(&self, offset: u64, target: &mut [u8]) -> Result<(), BlockError>;

    /// Writes `source` at `offset`. It lasts once a later [`Self::sync`] has returned.
    ///
    /// # Errors
    /// [`BlockError`]; each sector then holds its former bytes or the new ones.
    async fn write(&self, offset: u64, source: &[u8]) -> Result<(), BlockError>;

    /// Forgets `length` bytes at `offset`, to free their space; they read as zeroes.
    ///
    /// # Errors
    /// As for [`Self::write`].
    async fn discard(&self, offset: u64, length: u64) -> Result<(), BlockError>;

    /// Makes `length` bytes at `offset` zero, without taking space for them.
    ///
    /// # Errors
    /// As for [`Self::write`].
    async fn write_zeroes(&self, offset: u64, length: u64) -> Result<(), BlockError>;

    /// Returns once all that was written before would survive a loss of power, as far as the browser can promise it.
    ///
    /// # Errors
    /// [`BlockError`] when it could not be kept; nothing is forgotten, and another `sync` tries again.
    async fn sync(&self) -> Result<(), BlockError>;

    /// Changes the size to `size` bytes, which is no less than before. What is new reads as zeroes.
    ///
    /// # Errors
    /// [`BlockError::ReadOnly`] on devices that cannot grow, [`BlockError::Shrunk`].
    async fn grow(&self, size: u64) -> Result<(), BlockError> {
        let _ = size;
        Err(BlockError::ReadOnly { id: self.id().into() })
    }

    /// Syncs, and lets go of what the device holds. It refuses requests afterwards.
    ///
    /// # Errors
    /// As for [`Self::sync`].
    async fn close(&self) -> Result<(), BlockError>;

    /// What the device holds from `offset` on, as far as that is known without reading it: how much of the first part of
    /// `length` bytes is of one kind. At least a sector is, unless `length` is 0.
    ///
    /// # Errors
    /// As for [`Self::read`].
    async fn block_status(&self, offset: u64, length: u64) -> Result<Extent, BlockError> {
        check(self, offset, length)?;
        Ok(Extent { length, zero: false })
    }

    /// Reads `count` blocks, the first of which is `index`. The last block of a device may be a part of one.
    ///
    /// # Errors
    /// As for [`Self::read`].
    async fn read_blocks(&self, index: u64, count: u64) -> Result<Vec<u8>, BlockError> {
        let block = u64::from(self.block_size());
        let offset = index.saturating_mul(block);
        let length = count
            .saturating_mul(block)
            .min(self.size().saturating_sub(offset));
        let mut bytes = vec![0; span(self, offset, length)?];
        self.read(offset, &mut bytes).await?;
        Ok(bytes)
    }

    /// Writes `data` from block `index` on.
    ///
    /// # Errors
    /// As for [`Self::write`].
    async fn write_blocks(&self, index: u64, data: &[u8]) -> Result<(), BlockError> {
        self.write(index.saturating_mul(u64::from(self.block_size())), data)
            .await
    }
}

/// A part of a device that is of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its length in bytes, a multiple of [`SECTOR`].
    pub length: u64,
    /// Whether it is known to read as zeroes. What is not known to may do so, too.
    pub zero: bool,
}

/// Checks that a request lies on the device and is of whole sectors.
///
/// # Errors
/// [`BlockError::OutOfRange`], [`BlockError::Misaligned`].
pub fn check<D: BlockDevice + ?Sized>(device: &D, offset: u64, length: u64) -> Result<(), BlockError> {
    let (id, size) = (device.id(), device.size());
    let end = offset.checked_add(length);
    if end.is_none_or(|end| end > size) {
        return Err(BlockError::OutOfRange {
            id: id.into(),
            offset,
            length,
            size,
        });
    }
    if !offset.is_multiple_of(SECTOR) || !length.is_multiple_of(SECTOR) {
        return Err(BlockError::Misaligned {
            id: id.into(),
            offset,
            length,
        });
    }
    Ok(())
}

/// `length` as a size in memory, after [`check`].
///
/// # Errors
/// As for [`check`].
pub fn span<D: BlockDevice + ?Sized>(device: &D, offset: u64, length: u64) -> Result<usize, BlockError> {
    check(device, offset, length)?;
    usize::try_from(length).map_err(|_| BlockError::OutOfRange {
        id: device.id().into(),
        offset,
        length,
        size: device.size(),
    })
}

/// Reads from what lies beneath a disk, which may be shorter than the disk: what lies beyond its end is zero.
pub(crate) async fn read_beneath(
    base: &dyn BlockDevice,
    offset: u64,
    target: &mut [u8],
) -> Result<(), BlockError> {
    let inside = base.size().saturating_sub(offset).min(target.len() as u64);
    let (inside, beyond) = target.split_at_mut(inside as usize);
    beyond.fill(0);
    if inside.is_empty() {
        return Ok(());
    }
    base.read(offset, inside).await
}

/// What of `length` bytes from `offset` on is of one kind, in what lies beneath a disk.
pub(crate) async fn status_beneath(
    base: Option<&dyn BlockDevice>,
    offset: u64,
    length: u64,
) -> Result<Extent, BlockError> {
    match base {
        Some(base) if offset < base.size() => {
            base.block_status(offset, length.min(base.size() - offset)).await
        }
        _ => Ok(Extent { length, zero: true }),
    }
}

/// Why a disk did not do what it was asked. Each says what to do next in [`BlockError::next_step`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The request does not lie on the device.
    #[error("expected a request within the {size} bytes of {id}, found {length} bytes at {offset}")]
    OutOfRange {
        /// The device.
        id: String,
        /// Where the request begins, in bytes.
        offset: u64,
        /// Its length in bytes.
        length: u64,
        /// The device's size in bytes.
        size: u64,
    },
    /// The request is not of whole sectors.
    #[error("expected whole sectors of {SECTOR} bytes on {id}, found {length} bytes at {offset}")]
    Misaligned {
        /// The device.
        id: String,
        /// Where the request begins, in bytes.
        offset: u64,
        /// Its length in bytes.
        length: u64,
    },
    /// The device takes no writes.
    #[error("{id} is read-only")]
    ReadOnly {
        /// The device.
        id: String,
    },
    /// A disk only grows.
    #[error("expected a size of {size} bytes or more for {id}, found {wanted}")]
    Shrunk {
        /// The device.
        id: String,
        /// Its size in bytes.
        size: u64,
        /// The size that was asked for.
        wanted: u64,
    },
    /// The device was closed.
    #[error("{id} is closed")]
    Closed {
        /// The device.
        id: String,
    },
    /// An image is no longer the one that the disk began with.
    #[error("{id} has changed while it was in use: expected {expected}, found {found}")]
    Changed {
        /// The image.
        id: String,
        /// What it was known by.
        expected: String,
        /// What it is known by now.
        found: String,
    },
    /// An image on the web cannot be used as a disk.
    #[error("{id}: {source}")]
    Remote {
        /// The image's address.
        id: String,
        /// What the server did.
        source: crate::http::RemoteError,
    },
    /// A qcow2 image cannot be used, or a part of it cannot be read.
    #[error("{id}: {source}")]
    Qcow2 {
        /// The image.
        id: String,
        /// What is the matter with it.
        source: crate::qcow2::Qcow2Error,
    },
    /// A file could not be read.
    #[error("could not read {length} bytes at {offset} of {id}: {reason}")]
    Unreadable {
        /// The file.
        id: String,
        /// Where the read began, in bytes.
        offset: u64,
        /// Its length in bytes.
        length: u64,
        /// What the browser says.
        reason: String,
    },
    /// The browser has no room left.
    #[error("there is no room to keep the changes of {id}: {reason}")]
    NoSpace {
        /// The disk.
        id: String,
        /// What the browser says.
        reason: String,
    },
    /// The database failed.
    #[error("the changes of {id} could not be kept or read: {reason}")]
    Store {
        /// The disk.
        id: String,
        /// What the browser says.
        reason: String,
    },
    /// What the database holds is not what this version wrote.
    #[error("the changes of {id} are of another form: expected {expected}, found {found}")]
    Foreign {
        /// The disk.
        id: String,
        /// What this version writes.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Somebody else uses the disk.
    #[error("{id} is in use by another window or VM")]
    Busy {
        /// The disk.
        id: String,
    },
}

impl BlockError {
    /// What a person can do about it.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::OutOfRange { .. } | Self::Misaligned { .. } | Self::Closed { .. } => {
                "This is a fault of the guest or of QemuWeb: restart the VM."
            }
            Self::ReadOnly { .. } => "Attach the disk with an overlay, so that changes have a place.",
            Self::Shrunk { .. } => "Shrink the file system in the guest, and copy it to a smaller disk.",
            Self::Changed { .. } => {
                "Put the former image back, or choose the image again and discard the disk's changes, which belong to the former."
            }
            Self::Remote { source, .. } => source.next_step(),
            Self::Qcow2 { source, .. } => source.next_step(),
            Self::Unreadable { .. } => "Check that the file is still there, and choose it again.",
            Self::NoSpace { .. } => {
                "Free space on this computer or remove VMs that you no longer need, and go on: nothing is lost until then."
            }
            Self::Store { .. } => "Stop the VM and start it again. If it stays so, restart the browser.",
            Self::Foreign { .. } => "Use the version of QemuWeb that made it, or discard the disk's changes.",
            Self::Busy { .. } => "Stop the VM that uses it, or close the other window.",
        }
    }
}

/// What devices need of the thread that they live on.
pub trait Runtime {
    /// Runs `task` beside what waits.
    fn spawn(&self, task: LocalBoxFuture<'static, ()>);
    /// Passes after `milliseconds`.
    fn sleep(&self, milliseconds: u32) -> LocalBoxFuture<'static, ()>;
}

/// A [`Runtime`] that devices share.
pub type SharedRuntime = Rc<dyn Runtime>;
