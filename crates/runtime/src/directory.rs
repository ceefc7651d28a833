//! The directory in QEMU's memory that tells the host where each channel's rings are.
//!
//! QEMU's `qemuweb_directory()` returns its address (`qemu-wasm/src/` holds QEMU's side):
//!
//! | offset | field |
//! |--:|---|
//! | 0 | magic `QWDI` |
//! | 4 | version, 1 |
//! | 8 | wake: an event sequence; the host adds one and notifies it after it touched a ring |
//! | 12 | number of channels, which grows and is notified |
//! | 16 | up to 16 channels of 64 bytes: name in 56 bytes, NUL-terminated; address of the ring to the guest; of the ring from it |

use crate::ring::{Ring, RingError, SharedMemory};

/// First word of the directory: the bytes `QWDI`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"QWDI");
/// The layout that this code knows.
pub const VERSION: u32 = 1;
/// Most channels that a VM can have.
pub const MAX_CHANNELS: u32 = 16;

const WAKE: u32 = 8;
const N_CHANNELS: u32 = 12;
const CHANNELS: u32 = 16;
const CHANNEL_SIZE: u32 = 64;
const NAME_SIZE: usize = 56;

/// Why the directory cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// It does not lie inside the memory, or is not aligned.
    #[error("channel directory at {address:#x} does not lie in the memory of {memory} bytes")]
    OutOfBounds {
        /// Where it was said to be.
        address: u32,
        /// The memory's size in bytes.
        memory: u64,
    },
    /// The first word is not [`MAGIC`].
    #[error("expected the channel directory's magic {MAGIC:#x}, found {0:#x}")]
    BadMagic(u32),
    /// QEMU was built for another layout.
    #[error(
        "expected channel directory version {VERSION}, found {0}: build QEMU and the extension from the same tree"
    )]
    BadVersion(u32),
    /// More channels than there is room for.
    #[error("the channel directory claims {0} channels, more than {MAX_CHANNELS}")]
    TooManyChannels(u32),
    /// A channel's ring is broken.
    #[error("channel {name}: {source}")]
    Ring {
        /// The channel's name.
        name: String,
        /// What is wrong with it.
        source: RingError,
    },
}

/// A pair of rings with a name, as QEMU's `-chardev ring,id=NAME` made it.
#[derive(Clone, Debug)]
pub struct Channel {
    /// The chardev's id.
    pub name: String,
    /// Host to guest: the host produces.
    pub to_guest: Ring,
    /// Guest to host: the host consumes.
    pub from_guest: Ring,
}

/// The directory of a running QEMU.
#[derive(Clone, Copy, Debug)]
pub struct Directory {
    address: u32,
}

impl Directory {
    /// The directory at `address`, after checking its header.
    ///
    /// # Errors
    /// [`DirectoryError`] when there is none of this version.
    pub fn open(memory: &impl SharedMemory, address: u32) -> Result<Self, DirectoryError> {
        let end = u64::from(address) + u64::from(CHANNELS + MAX_CHANNELS * CHANNEL_SIZE);
        if !address.is_multiple_of(64) || end > memory.len() {
            return Err(DirectoryError::OutOfBounds {
                address,
                memory: memory.len(),
            });
        }
        match (memory.load(address), memory.load(address + 4)) {
            (MAGIC, VERSION) => Ok(Self { address }),
            (MAGIC, version) => Err(DirectoryError::BadVersion(version)),
            (magic, _) => Err(DirectoryError::BadMagic(magic)),
        }
    }

    /// Address of the word that wakes QEMU's main loop.
    pub fn wake_address(&self) -> u32 {
        self.address + WAKE
    }

    /// Address of the number of channels: what the host waits on for new ones.
    pub fn count_address(&self) -> u32 {
        self.address + N_CHANNELS
    }

    /// How many channels exist now.
    ///
    /// # Errors
    /// [`DirectoryError::TooManyChannels`].
    pub fn count(&self, memory: &impl SharedMemory) -> Result<u32, DirectoryError> {
        match memory.load(self.count_address()) {
            count if count <= MAX_CHANNELS => Ok(count),
            count => Err(DirectoryError::TooManyChannels(count)),
        }
    }

    /// The channel at `index`, below [`Self::count`].
    ///
    /// # Errors
    /// [`DirectoryError::Ring`] when one of its rings is not sound.
    pub fn channel(&self, memory: &impl SharedMemory, index: u32) -> Result<Channel, DirectoryError> {
        let entry = self.address + CHANNELS + index.min(MAX_CHANNELS - 1) * CHANNEL_SIZE;
        let mut name = [0; NAME_SIZE];
        memory.read(entry, &mut name);
        let length = name.iter().position(|&byte| byte == 0).unwrap_or(NAME_SIZE);
        let name = String::from_utf8_lossy(&name[..length]).into_owned();
        let ring = |offset| {
            Ring::open(memory, memory.load(entry + offset)).map_err(|source| DirectoryError::Ring {
                name: name.clone(),
                source,
            })
        };
        let (to_guest, from_guest) = (ring(56)?, ring(60)?);
        Ok(Channel {
            name,
            to_guest,
            from_guest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::memory::LocalMemory;

    fn directory() -> LocalMemory {
        let memory = LocalMemory::new(8192);
        memory.store(64, MAGIC);
        memory.store(68, VERSION);
        memory.lay_ring(2048, 256, 0);
        memory.lay_ring(4096, 256, 0);
        memory.write(80, b"serial0\0");
        memory.store(80 + 56, 2048);
        memory.store(80 + 60, 4096);
        memory.store(76, 1);
        memory
    }

    #[test]
    fn finds_a_channel() {
        let memory = directory();
        let directory = Directory::open(&memory, 64).unwrap();
        assert_eq!(directory.count(&memory).unwrap(), 1);
        let channel = directory.channel(&memory, 0).unwrap();
        assert_eq!(channel.name, "serial0");
        assert_eq!(channel.to_guest.write(&memory, b"hi").unwrap(), 2);
        assert_eq!(directory.wake_address(), 72);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let memory = directory();
        assert!(matches!(
            Directory::open(&memory, 8128),
            Err(DirectoryError::OutOfBounds { .. })
        ));
        assert_eq!(
            Directory::open(&memory, 0).unwrap_err(),
            DirectoryError::BadMagic(0)
        );
        memory.store(76, 17);
        let directory = Directory::open(&memory, 64).unwrap();
        assert_eq!(
            directory.count(&memory).unwrap_err(),
            DirectoryError::TooManyChannels(17)
        );
        memory.store(80 + 60, 4160);
        assert!(matches!(
            directory.channel(&memory, 0),
            Err(DirectoryError::Ring { .. })
        ));
        memory.store(68, 2);
        assert_eq!(
            Directory::open(&memory, 64).unwrap_err(),
            DirectoryError::BadVersion(2)
        );
    }
}
