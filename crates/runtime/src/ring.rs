//! A byte ring in memory that two agents share: one producer, one consumer, no locks.
//!
//! QEMU allocates the rings inside its own WebAssembly memory (`qemu-wasm/src/include/chardev/char-wasm-ring.h`);
//! this is the host's side. Layout, all words little-endian `u32`, at a 64-byte aligned address:
//!
//! | offset | field | stored by |
//! |--:|---|---|
//! | 0 | magic `QWRG` | QEMU, once |
//! | 4 | capacity in bytes, a power of two | QEMU, once |
//! | 64 | head: bytes ever written, modulo 2³² | the producer |
//! | 128 | tail: bytes ever read, modulo 2³² | the consumer |
//! | 132 | dropped: how many of those it passed over unread, modulo 2³² | the consumer |
//! | 192 | data | the producer |
//!
//! QEMU's side is as untrusted as the guest that it runs: every word is checked before it is used, and a
//! ring whose counters make no sense is reported, never followed.

/// First word of a ring: the bytes `QWRG`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"QWRG");
/// Largest capacity that the host accepts, in bytes.
pub const MAX_CAPACITY: u32 = 16 << 20;

const CAPACITY: u32 = 4;
const HEAD: u32 = 64;
const TAIL: u32 = 128;
const DROPPED: u32 = 132;
const DATA: u32 = 192;

/// Memory shared with another agent, addressed in bytes.
///
/// Implementations do not panic: an address outside the memory reads as zero and stores nothing. Word
/// accesses are sequentially consistent.
pub trait SharedMemory {
    /// Size in bytes.
    fn len(&self) -> u64;
    /// The word at `address`, a multiple of four.
    fn load(&self, address: u32) -> u32;
    /// Stores the word at `address`, a multiple of four.
    fn store(&self, address: u32, value: u32);
    /// Copies the bytes from `address` on into `target`.
    fn read(&self, address: u32, target: &mut [u8]);
    /// Copies `source` to `address`.
    fn write(&self, address: u32, source: &[u8]);
    /// Whether the memory has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a ring cannot be used, or be used any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// The ring does not lie inside the memory.
    #[error("ring at {address:#x} with {capacity} bytes lies outside the memory of {memory} bytes")]
    OutOfBounds {
        /// Where it was said to be.
        address: u32,
        /// Its capacity in bytes.
        capacity: u32,
        /// The memory's size in bytes.
        memory: u64,
    },
    /// The address is no multiple of 64.
    #[error("ring address {0:#x} is not aligned to 64 bytes")]
    Misaligned(u32),
    /// The first word is not [`MAGIC`].
    #[error("expected a ring's magic {MAGIC:#x}, found {0:#x}")]
    BadMagic(u32),
    /// The capacity is no power of two or more than [`MAX_CAPACITY`].
    #[error("expected a ring capacity that is a power of two up to {MAX_CAPACITY}, found {0}")]
    BadCapacity(u32),
    /// The counters claim more bytes than fit.
    #[error("ring claims {used} bytes in use of {capacity}")]
    Corrupt {
        /// Bytes in use, as head and tail tell.
        used: u32,
        /// Capacity in bytes.
        capacity: u32,
    },
}

/// One end of a ring; whether it produces or consumes is its owner's to know.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    address: u32,
    capacity: u32,
}

impl Ring {
    /// The ring at `address`, after checking its header.
    ///
    /// # Errors
    /// [`RingError`] when there is no sound ring at `address`.
    pub fn open(memory: &impl SharedMemory, address: u32) -> Result<Self, RingError> {
        if !address.is_multiple_of(64) {
            return Err(RingError::Misaligned(address));
        }
        let outside = |capacity| RingError::OutOfBounds {
            address,
            capacity,
            memory: memory.len(),
        };
        if u64::from(address) + u64::from(DATA) > memory.len() {
            return Err(outside(0));
        }
        let magic = memory.load(address);
        if magic != MAGIC {
            return Err(RingError::BadMagic(magic));
        }
        let capacity = memory.load(address + CAPACITY);
        if !capacity.is_power_of_two() || capacity > MAX_CAPACITY {
            return Err(RingError::BadCapacity(capacity));
        }
        if u64::from(address) + u64::from(DATA) + u64::from(capacity) > memory.len() {
            return Err(outside(capacity));
        }
        let ring = Self { address, capacity };
        ring.used(memory)?;
        Ok(ring)
    }

    /// Address of the producer's counter: what a consumer waits on.
    pub fn head_address(&self) -> u32 {
        self.address + HEAD
    }

    /// The producer's counter as it stands: what a consumer passes to its wait.
    pub fn head(&self, memory: &impl SharedMemory) -> u32 {
        memory.load(self.head_address())
    }

    /// Address of the consumer's counter: what a producer waits on for room.
    pub fn tail_address(&self) -> u32 {
        self.address + TAIL
    }

    /// The consumer's counter as it stands: what a producer passes to its wait.
    pub fn tail(&self, memory: &impl SharedMemory) -> u32 {
        memory.load(self.tail_address())
    }

    /// How many bytes the consumer has passed over unread, modulo 2³². Those that it passes over next are told here before
    /// they are in its counter.
    pub fn dropped(&self, memory: &impl SharedMemory) -> u32 {
        memory.load(self.address + DROPPED)
    }

    /// How many bytes the ring can hold.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Bytes that wait to be read.
    ///
    /// # Errors
    /// [`RingError::Corrupt`] when the counters make no sense.
    pub fn used(&self, memory: &impl SharedMemory) -> Result<u32, RingError> {
        let used = self.head(memory).wrapping_sub(self.tail(memory));
        if used > self.capacity {
            return Err(RingError::Corrupt {
                used,
                capacity: self.capacity,
            });
        }
        Ok(used)
    }

    /// Takes out all bytes that wait. The caller then wakes the producer.
    ///
    /// # Errors
    /// [`RingError::Corrupt`] when the counters make no sense.
    pub fn read_all(&self, memory: &impl SharedMemory) -> Result<Vec<u8>, RingError> {
        let used = self.used(memory)?;
        let tail = self.tail(memory);
        let mut bytes = vec![0; used as usize];
        let (first, rest) = bytes.split_at_mut(self.until_wrap(tail).min(used) as usize);
        memory.read(self.data_address(tail), first);
        memory.read(self.address + DATA, rest);
        memory.store(self.tail_address(), tail.wrapping_add(used));
        Ok(bytes)
    }

    /// Puts in as many of `bytes` as fit and returns how many. The caller then wakes the consumer.
    ///
    /// # Errors
    /// [`RingError::Corrupt`] when the counters make no sense.
    pub fn write(&self, memory: &impl SharedMemory, bytes: &[u8]) -> Result<usize, RingError> {
        let free = (self.capacity - self.used(memory)?) as usize;
        let taken = &bytes[..free.min(bytes.len())];
        let head = self.head(memory);
        let (first, rest) = taken.split_at((self.until_wrap(head) as usize).min(taken.len()));
        memory.write(self.data_address(head), first);
        memory.write(self.address + DATA, rest);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "at most the capacity, which is a u32"
        )]
        memory.store(self.head_address(), head.wrapping_add(taken.len() as u32));
        Ok(taken.len())
    }

    fn data_address(&self, counter: u32) -> u32 {
        self.address + DATA + (counter & (self.capacity - 1))
    }

    fn until_wrap(&self, counter: u32) -> u32 {
        self.capacity - (counter & (self.capacity - 1))
    }
}

/// Memory in this process, for tests.
#[cfg(test)]
pub(crate) mod memory {
    use super::SharedMemory;
    use std::cell::RefCell;

    pub(crate) struct LocalMemory(RefCell<Vec<u8>>);

    impl LocalMemory {
        pub(crate) fn new(size: usize) -> Self {
            Self(RefCell::new(vec![0; size]))
        }

        /// Lays an empty ring whose counters stand at `counter`.
        pub(crate) fn lay_ring(&self, address: u32, capacity: u32, counter: u32) {
            self.store(address, super::MAGIC);
            self.store(address + super::CAPACITY, capacity);
            self.store(address + super::HEAD, counter);
            self.store(address + super::TAIL, counter);
        }
    }

    impl SharedMemory for LocalMemory {
        fn len(&self) -> u64 {
            self.0.borrow().len() as u64
        }
        fn load(&self, address: u32) -> u32 {
            let mut word = [0; 4];
            self.read(address, &mut word);
            u32::from_le_bytes(word)
        }
        fn store(&self, address: u32, value: u32) {
            self.write(address, &value.to_le_bytes());
        }
        fn read(&self, address: u32, target: &mut [u8]) {
            if let Some(bytes) = self
                .0
                .borrow()
                .get(address as usize..)
                .and_then(|b| b.get(..target.len()))
            {
                target.copy_from_slice(bytes);
            }
        }
        fn write(&self, address: u32, source: &[u8]) {
            let mut bytes = self.0.borrow_mut();
            if let Some(bytes) = bytes
                .get_mut(address as usize..)
                .and_then(|b| b.get_mut(..source.len()))
            {
                bytes.copy_from_slice(source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::memory::LocalMemory;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_no_ring() {
        let memory = LocalMemory::new(1024);
        assert_eq!(Ring::open(&memory, 4).unwrap_err(), RingError::Misaligned(4));
        assert_eq!(Ring::open(&memory, 0).unwrap_err(), RingError::BadMagic(0));
        assert!(matches!(
            Ring::open(&memory, 1024 - 64),
            Err(RingError::OutOfBounds { .. })
        ));
        memory.lay_ring(0, 48, 0);
        assert_eq!(Ring::open(&memory, 0).unwrap_err(), RingError::BadCapacity(48));
        memory.lay_ring(0, 1024, 0);
        assert!(matches!(
            Ring::open(&memory, 0),
            Err(RingError::OutOfBounds { capacity: 1024, .. })
        ));
    }

    #[test]
    fn reports_counters_that_make_no_sense() {
        let memory = LocalMemory::new(1024);
        memory.lay_ring(0, 64, 0);
        let ring = Ring::open(&memory, 0).unwrap();
        memory.store(HEAD, 65);
        let corrupt = RingError::Corrupt {
            used: 65,
            capacity: 64,
        };
        assert_eq!(ring.read_all(&memory).unwrap_err(), corrupt);
        assert_eq!(ring.write(&memory, b"x").unwrap_err(), corrupt);
    }

    #[test]
    fn a_full_ring_takes_nothing() {
        let memory = LocalMemory::new(1024);
        memory.lay_ring(0, 8, 0);
        let ring = Ring::open(&memory, 0).unwrap();
        assert_eq!(ring.write(&memory, b"0123456789").unwrap(), 8);
        assert_eq!(ring.write(&memory, b"89").unwrap(), 0);
        assert_eq!(ring.read_all(&memory).unwrap(), b"01234567");
    }

    proptest! {
        /// Whatever the sizes of reads and writes, and across the wrap of the counters, the bytes come out
        /// whole and in order.
        #[test]
        fn keeps_bytes_in_order(
            start in any::<u32>(),
            writes in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..40),
        ) {
            let memory = LocalMemory::new(1024);
            memory.lay_ring(64, 32, start);
            let ring = Ring::open(&memory, 64).unwrap();
            let (mut sent, mut received) = (Vec::new(), Vec::new());
            for (bytes, read) in writes {
                let taken = ring.write(&memory, &bytes).unwrap();
                sent.extend_from_slice(&bytes[..taken]);
                if read {
                    received.extend(ring.read_all(&memory).unwrap());
                }
            }
            received.extend(ring.read_all(&memory).unwrap());
            prop_assert_eq!(sent, received);
        }

        /// A hostile header never makes the host touch memory outside the ring or panic.
        #[test]
        fn survives_any_header(words in proptest::collection::vec(any::<u32>(), 48), address in any::<u32>()) {
            let memory = LocalMemory::new(4096);
            for (index, word) in words.iter().enumerate() {
                memory.store(index as u32 * 4, *word);
            }
            for address in [0, address] {
                if let Ok(ring) = Ring::open(&memory, address) {
                    let _ = ring.write(&memory, b"hello");
                    let _ = ring.read_all(&memory);
                }
            }
        }
    }
}
