//! A file or a block device that is read and written past the guest's cache.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use super::{Failure, fail};

/// What direct access asks of addresses at most.
const ALIGNMENT: usize = 4096;

/// A file or a block device, open for reading and writing.
pub(super) struct Target {
    file: File,
    size: u64,
    is_direct: bool,
    is_new: bool,
}

impl Target {
    /// Opens what is there, of which `limit` bytes are used at most, or makes a file of `size` bytes. A block device on which a
    /// file system is mounted is left alone. With O_DIRECT in pieces of `piece` bytes, or without where that is not to be had.
    pub(super) fn open(path: &Path, size: Option<u64>, piece: usize) -> Result<Self, Failure> {
        let named = |error: io::Error| match error.kind() {
            ErrorKind::ResourceBusy => Failure::Said(format!(
                "{} is in use: unmount what is on it first",
                path.display()
            )),
            _ => Failure::Said(format!("cannot open {}: {error}", path.display())),
        };
        let is_new = !path.exists();
        match size {
            Some(size) if is_new => {
                let file = File::create_new(path).map_err(named)?;
                file.set_len(size).and_then(|()| file.sync_all()).map_err(named)?;
            }
            None if is_new => {
                return fail(format!(
                    "there is no {}: with --size MIB it is made",
                    path.display()
                ));
            }
            _ => (),
        }
        let open = |flags: OFlags| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(flags.bits().cast_signed())
                .open(path)
        };
        // A device that is mounted cannot be opened exclusively.
        let is_device = path.metadata().map_err(named)?.file_type().is_block_device();
        let exclusive = if is_device { OFlags::EXCL } else { OFlags::empty() };
        let mut buffer = Buffer::new(piece);
        let direct = open(exclusive | OFlags::DIRECT).and_then(|file| {
            // Where pieces of that size cannot be had, reading one tells.
            let _ = file.read_at(buffer.bytes(piece), piece as u64)?;
            Ok(file)
        });
        let is_direct = direct.is_ok();
        let mut file = match direct {
            Err(error) if error.kind() == ErrorKind::InvalidInput => open(exclusive),
            opened => opened,
        }
        .map_err(named)?;
        let end = file.seek(SeekFrom::End(0)).map_err(named)?;
        Ok(Self {
            size: size.map_or(end, |size| size.min(end)),
            file,
            is_direct,
            is_new,
        })
    }

    /// Its size in bytes, or as much of it as is used.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether it is read and written past the guest's cache.
    pub(super) fn is_direct(&self) -> bool {
        self.is_direct
    }

    /// Whether it was made.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    pub(super) fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// Returns once the disk says that what was written lasts.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Memory that direct access takes.
pub(super) struct Buffer {
    memory: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// Of `size` bytes.
    pub(super) fn new(size: usize) -> Self {
        let memory = vec![0; size + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        Self { memory, start }
    }

    /// Its first `count` bytes.
    pub(super) fn bytes(&mut self, count: usize) -> &mut [u8] {
        &mut self.memory[self.start..self.start + count]
    }
}
