//! The directory in QEMU's memory that tells the host which channels there are, of what kind, for whom, and where their rings lie.
//!
//! QEMU's `qemuweb_directory()` returns its address (`qemu-wasm/src/include/qemu/wasm-host.h` is QEMU's side). All words are
//! little-endian `u32`:
//!
//! | offset | field |
//! |--:|---|
//! | 0 | magic `QWDI` |
//! | 4 | version, 2 |
//! | 8 | wake: an event sequence; the host adds one and notifies it after it touched a ring |
//! | 12 | number of channels, which grows and is notified |
//! | 64 | up to 64 channels of 128 bytes |
//!
//! A channel:
//!
//! | offset | field |
//! |--:|---|
//! | 0 | name in 56 bytes, NUL-terminated |
//! | 56 | kind: how its rings are used ([`Kind`]) |
//! | 60 | version of that use |
//! | 64 | owner: who is to pump it ([`Owner`]) |
//! | 68 | opened: how often the guest's side was opened or closed, odd while it is open; notified |
//! | 72 | number of rings, at most 12 |
//! | 76 | addresses of the rings |

use crate::SharedMemory;
use crate::ring::{Ring, RingError};

/// First word of the directory: the bytes `QWDI`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"QWDI");
/// The layout that this code knows.
pub const VERSION: u32 = 2;
/// Most channels that a VM can have.
pub const MAX_CHANNELS: u32 = 64;
/// Most rings that a channel can have.
pub const MAX_RINGS: u32 = 12;

const WAKE: u32 = 8;
const N_CHANNELS: u32 = 12;
const CHANNELS: u32 = 64;
const CHANNEL_SIZE: u32 = 128;
const NAME_SIZE: usize = 56;
const KIND: u32 = 56;
const CHANNEL_VERSION: u32 = 60;
const OWNER: u32 = 64;
const OPENED: u32 = 68;
const N_RINGS: u32 = 72;
const RINGS: u32 = 76;

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
    /// A channel that this code does not know how to use.
    #[error("channel {name} is of kind {kind}, version {version}, for owner {owner}, with {rings} rings")]
    Unknown {
        /// The channel's name.
        name: String,
        /// Its kind's number.
        kind: u32,
        /// Its version.
        version: u32,
        /// Its owner's number.
        owner: u32,
        /// How many rings it claims.
        rings: u32,
    },
    /// A channel's ring is broken.
    #[error("channel {name}: {source}")]
    Ring {
        /// The channel's name.
        name: String,
        /// What is wrong with it.
        source: RingError,
    },
}

/// How a channel's rings are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Bytes in both directions, as QEMU's `-chardev ring` makes it: the first ring goes to the guest, the second comes from it.
    Bytes,
    /// A disk ([`crate::block`]): the first ring has completions for QEMU, the second its requests.
    Block,
}

/// Who pumps a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The VM host itself.
    Host,
    /// The storage Worker.
    Storage,
}

impl Kind {
    const fn find(kind: u32, version: u32, rings: u32) -> Option<Self> {
        match (kind, version, rings) {
            (1, 1, 2) => Some(Self::Bytes),
            (2, 1, 2) => Some(Self::Block),
            _ => None,
        }
    }
}

impl Owner {
    const fn find(owner: u32) -> Option<Self> {
        match owner {
            1 => Some(Self::Host),
            2 => Some(Self::Storage),
            _ => None,
        }
    }
}

/// A channel as it was when it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The name that QEMU knows it by: a chardev's id.
    pub name: String,
    /// How its rings are used.
    pub kind: Kind,
    /// Who pumps it.
    pub owner: Owner,
    /// As many as its kind has.
    pub rings: Vec<Ring>,
    opened: u32,
}

impl Channel {
    /// Address of the count of openings and closings: what the host waits on.
    pub fn opened_address(&self) -> u32 {
        self.opened
    }

    /// How often the guest's side was opened or closed, odd while it is open.
    pub fn opened(&self, memory: &impl SharedMemory) -> u32 {
        memory.load(self.opened)
    }
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
    /// [`DirectoryError::Unknown`] when this code has no use for it, and [`DirectoryError::Ring`] when one of its rings is not
    /// sound.
    pub fn channel(&self, memory: &impl SharedMemory, index: u32) -> Result<Channel, DirectoryError> {
        let entry = self.address + CHANNELS + index.min(MAX_CHANNELS - 1) * CHANNEL_SIZE;
        let mut name = [0; NAME_SIZE];
        memory.read(entry, &mut name);
        let length = name.iter().position(|&byte| byte == 0).unwrap_or(NAME_SIZE);
        let name = String::from_utf8_lossy(&name[..length]).into_owned();
        let word = |offset| memory.load(entry + offset);
        let (kind, version, owner, rings) = (word(KIND), word(CHANNEL_VERSION), word(OWNER), word(N_RINGS));
        let known = Kind::find(kind, version, rings.min(MAX_RINGS + 1)).zip(Owner::find(owner));
        let Some((kind, owner)) = known else {
            return Err(DirectoryError::Unknown {
                name,
                kind,
                version,
                owner,
                rings,
            });
        };
        let rings = (0..rings).map(|ring| Ring::open(memory, word(RINGS + ring * 4)));
        match rings.collect() {
            Ok(rings) => Ok(Channel {
                name,
                kind,
                owner,
                rings,
                opened: entry + OPENED,
            }),
            Err(source) => Err(DirectoryError::Ring { name, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory::local::LocalMemory;
    use crate::ring::lay;

    const FIRST: u32 = 64 + CHANNELS;

    fn directory() -> LocalMemory {
        let memory = LocalMemory::new(16 << 10);
        memory.store(64, MAGIC);
        memory.store(68, VERSION);
        lay(&memory, 12 << 10, 256, 0);
        lay(&memory, 13 << 10, 256, 0);
        memory.write(FIRST, b"serial0\0");
        for (offset, word) in [
            (KIND, 1),
            (CHANNEL_VERSION, 1),
            (OWNER, 1),
            (OPENED, 3),
            (N_RINGS, 2),
            (RINGS, 12 << 10),
            (RINGS + 4, 13 << 10),
        ] {
            memory.store(FIRST + offset, word);
        }
        memory.store(76, 1);
        memory
    }

    #[test]
    fn finds_a_channel() {
        let memory = directory();
        let directory = Directory::open(&memory, 64).unwrap();
        assert_eq!(directory.count(&memory).unwrap(), 1);
        let channel = directory.channel(&memory, 0).unwrap();
        assert_eq!(
            (channel.name.as_str(), channel.kind, channel.owner),
            ("serial0", Kind::Bytes, Owner::Host)
        );
        assert_eq!((channel.rings.len(), channel.opened(&memory)), (2, 3));
        assert_eq!(directory.wake_address(), 72);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let memory = directory();
        assert!(matches!(
            Directory::open(&memory, 16 << 10),
            Err(DirectoryError::OutOfBounds { .. })
        ));
        assert_eq!(
            Directory::open(&memory, 0).unwrap_err(),
            DirectoryError::BadMagic(0)
        );
        memory.store(76, MAX_CHANNELS + 1);
        let directory = Directory::open(&memory, 64).unwrap();
        assert_eq!(
            directory.count(&memory).unwrap_err(),
            DirectoryError::TooManyChannels(MAX_CHANNELS + 1)
        );
        for (offset, word, known) in [
            (KIND, 9, 1),
            (CHANNEL_VERSION, 2, 1),
            (OWNER, 0, 1),
            (N_RINGS, 3, 2),
            (N_RINGS, u32::MAX, 2),
        ] {
            memory.store(FIRST + offset, word);
            assert!(matches!(
                directory.channel(&memory, 0),
                Err(DirectoryError::Unknown { .. })
            ));
            memory.store(FIRST + offset, known);
        }
        memory.store(FIRST + RINGS, 64);
        assert!(matches!(
            directory.channel(&memory, 0),
            Err(DirectoryError::Ring { .. })
        ));
        memory.store(68, 1);
        assert_eq!(
            Directory::open(&memory, 64).unwrap_err(),
            DirectoryError::BadVersion(1)
        );
    }

    proptest! {
        #[test]
        fn survives_any_entry(words in proptest::collection::vec(any::<u32>(), 32), index: u32, address: u32) {
            let memory = directory();
            for (offset, word) in words.iter().enumerate() {
                memory.store(FIRST + offset as u32 * 4, *word);
            }
            for address in [64, address] {
                if let Ok(directory) = Directory::open(&memory, address) {
                    let _ = directory.channel(&memory, 0);
                    let _ = directory.channel(&memory, index);
                }
            }
        }
    }
}
