//! A byte ring in memory that two agents share: one producer, one consumer, no locks.
//!
//! QEMU allocates the rings inside its own WebAssembly memory (`qemu-wasm/src/include/qemu/wasm-host.h`);
//! this is our side. Layout, all words little-endian `u32`, at a 64-byte aligned address:
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
//! QEMU could change any word at any time. Our own counter is therefore ours ([`Producer`], [`Consumer`]): it is stored for
//! QEMU to see and never read back. QEMU's is checked before it is used, and a ring whose counters make no sense is
//! reported, never followed.

use crate::SharedMemory;

/// First word of a ring: the bytes `QWRG`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"QWRG");
/// Largest capacity that the host accepts, in bytes.
pub const MAX_CAPACITY: u32 = 16 << 20;

const CAPACITY: u32 = 4;
const HEAD: u32 = 64;
const TAIL: u32 = 128;
const DROPPED: u32 = 132;
const DATA: u32 = 192;

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

/// Where a ring lies, as it was when its header was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        ring.checked(
            memory
                .load(ring.head_address())
                .wrapping_sub(memory.load(ring.tail_address())),
        )?;
        Ok(ring)
    }

    /// Our end, if we write.
    pub fn producer(self, memory: &impl SharedMemory) -> Producer {
        Producer {
            ring: self,
            head: memory.load(self.head_address()),
        }
    }

    /// Our end, if we read.
    pub fn consumer(self, memory: &impl SharedMemory) -> Consumer {
        Consumer {
            ring: self,
            tail: memory.load(self.tail_address()),
        }
    }

    /// Address of the producer's counter: what a consumer waits on.
    pub fn head_address(&self) -> u32 {
        self.address + HEAD
    }

    /// Address of the consumer's counter: what a producer waits on for room.
    pub fn tail_address(&self) -> u32 {
        self.address + TAIL
    }

    /// How many bytes the ring can hold.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    fn checked(&self, used: u32) -> Result<u32, RingError> {
        if used > self.capacity {
            return Err(RingError::Corrupt {
                used,
                capacity: self.capacity,
            });
        }
        Ok(used)
    }

    fn data_address(&self, counter: u32) -> u32 {
        self.address + DATA + (counter & (self.capacity - 1))
    }

    fn until_wrap(&self, counter: u32) -> u32 {
        self.capacity - (counter & (self.capacity - 1))
    }
}

/// The end of a ring that writes.
#[derive(Debug)]
pub struct Producer {
    ring: Ring,
    head: u32,
}

impl Producer {
    /// Where the ring lies.
    pub fn ring(&self) -> Ring {
        self.ring
    }

    /// The consumer's counter as it stands: what a wait for room starts from.
    pub fn tail(&self, memory: &impl SharedMemory) -> u32 {
        memory.load(self.ring.tail_address())
    }

    /// Bytes that wait to be read.
    ///
    /// # Errors
    /// [`RingError::Corrupt`] when the consumer's counter makes no sense.
    pub fn used(&self, memory: &impl SharedMemory) -> Result<u32, RingError> {
        self.ring.checked(self.head.wrapping_sub(self.tail(memory)))
    }

    /// How many bytes the consumer has passed over unread, modulo 2³². Those that it passes over next are told here before
    /// they are in its counter.
    pub fn dropped(&self, memory: &impl SharedMemory) -> u32 {
        memory.load(self.ring.address + DROPPED)
    }

    /// Puts in as many of `bytes` as fit and returns how many. The caller then wakes the consumer.
    ///
    /// # Errors
    /// [`RingError::Corrupt`] when the consumer's counter makes no sense.
    pub fn write(&mut self, memory: &impl SharedMemory, bytes: &[u8]) -> Result<usize, RingError> {
        let free = (self.ring.capacity - self.used(memory)?) as usize;
        let taken = &bytes[..free.min(bytes.len())];
        let (first, rest) = taken.split_at((self.ring.until_wrap(self.head) as usize).min(taken.len()));
        memory.write(self.ring.data_address(self.head), first);
        memory.write(self.ring.address + DATA, rest);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "at most the capacity, which is a u32"
        )]
        let count = taken.len() as u32;
        self.head = self.head.wrapping_add(count);
        memory.store(self.ring.head_address(), self.head);
        Ok(taken.len())
    }
}

/// The end of a ring that reads.
#[derive(Debug)]
pub struct Consumer {
    ring: Ring,
    tail: u32,
}

impl Consumer {
    /// Where the ring lies.
    pub fn ring(&self) -> Ring {
        self.ring
    }

    /// The producer's counter as it stands: what a wait for bytes starts from.
    pub fn head(&self, memory: &impl SharedMemory) -> u32 {
        memory.load(self.ring.head_address())
    }

    /// Takes out the bytes that wait, at most `most`. The caller then wakes the producer.
    ///
    /// # Errors
    /// [`RingError::Corrupt`] when the producer's counter makes no sense.
    pub fn read(&mut self, memory: &impl SharedMemory, most: u32) -> Result<Vec<u8>, RingError> {
        let used = self.ring.checked(self.head(memory).wrapping_sub(self.tail))?;
        let count = used.min(most);
        let mut bytes = vec![0; count as usize];
        let (first, rest) = bytes.split_at_mut(self.ring.until_wrap(self.tail).min(count) as usize);
        memory.read(self.ring.data_address(self.tail), first);
        memory.read(self.ring.address + DATA, rest);
        self.tail = self.tail.wrapping_add(count);
        memory.store(self.ring.tail_address(), self.tail);
        Ok(bytes)
    }
}

/// Lays an empty ring whose counters stand at `counter`, as QEMU does.
#[cfg(test)]
pub(crate) fn lay(memory: &impl SharedMemory, address: u32, capacity: u32, counter: u32) {
    memory.store(address, MAGIC);
    memory.store(address + CAPACITY, capacity);
    memory.store(address + HEAD, counter);
    memory.store(address + TAIL, counter);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory::local::LocalMemory;

    fn ends(memory: &LocalMemory, capacity: u32, counter: u32) -> (Producer, Consumer) {
        lay(memory, 64, capacity, counter);
        let ring = Ring::open(memory, 64).unwrap();
        (ring.producer(memory), ring.consumer(memory))
    }

    #[test]
    fn what_does_not_fit_is_left() {
        let memory = LocalMemory::new(1024);
        let (mut producer, mut consumer) = ends(&memory, 8, u32::MAX - 2);
        assert_eq!(producer.write(&memory, b"abcdefghij").unwrap(), 8);
        assert_eq!(producer.write(&memory, b"x").unwrap(), 0);
        assert_eq!(consumer.read(&memory, 3).unwrap(), b"abc");
        assert_eq!(producer.write(&memory, b"ijkl").unwrap(), 3);
        assert_eq!(consumer.read(&memory, u32::MAX).unwrap(), b"defghijk");
    }

    #[test]
    fn rings_that_are_none_are_refused() {
        let memory = LocalMemory::new(1024);
        assert_eq!(Ring::open(&memory, 0), Err(RingError::BadMagic(0)));
        assert_eq!(Ring::open(&memory, 4), Err(RingError::Misaligned(4)));
        assert!(matches!(
            Ring::open(&memory, 960),
            Err(RingError::OutOfBounds { .. })
        ));
        for capacity in [0, 3, MAX_CAPACITY * 2] {
            lay(&memory, 64, capacity, 0);
            assert_eq!(Ring::open(&memory, 64), Err(RingError::BadCapacity(capacity)));
        }
        lay(&memory, 64, 1024, 0);
        assert!(matches!(
            Ring::open(&memory, 64),
            Err(RingError::OutOfBounds { .. })
        ));
        lay(&memory, 64, 8, 0);
        memory.store(64 + HEAD, 9);
        assert_eq!(
            Ring::open(&memory, 64),
            Err(RingError::Corrupt { used: 9, capacity: 8 })
        );
    }

    #[test]
    fn our_own_counters_are_not_read_back() {
        let memory = LocalMemory::new(1024);
        let (mut producer, mut consumer) = ends(&memory, 8, 0);
        producer.write(&memory, b"ab").unwrap();
        memory.store(64 + TAIL, 1);
        assert_eq!(consumer.read(&memory, 8).unwrap(), b"ab");
        memory.store(64 + HEAD, 1);
        assert_eq!(producer.write(&memory, b"cd").unwrap(), 2);
        assert_eq!(consumer.read(&memory, 8).unwrap(), b"cd");
    }

    #[test]
    fn counters_that_make_no_sense_are_told() {
        let memory = LocalMemory::new(1024);
        let (mut producer, mut consumer) = ends(&memory, 8, 0);
        memory.store(64 + HEAD, 9);
        assert!(consumer.read(&memory, 1).is_err());
        memory.store(64 + TAIL, 1);
        assert!(producer.write(&memory, b"x").is_err());
    }

    proptest! {
        /// Whatever is written comes out, in order and once.
        #[test]
        fn bytes_come_out_as_they_went_in(
            start: u32,
            steps in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..50), 0_u32..60), 0..40),
        ) {
            let memory = LocalMemory::new(1024);
            let (mut producer, mut consumer) = ends(&memory, 32, start);
            let (mut sent, mut received) = (Vec::new(), Vec::new());
            for (bytes, most) in steps {
                let taken = producer.write(&memory, &bytes).unwrap();
                sent.extend_from_slice(&bytes[..taken]);
                received.extend(consumer.read(&memory, most).unwrap());
            }
            received.extend(consumer.read(&memory, u32::MAX).unwrap());
            prop_assert_eq!(sent, received);
        }

        /// A hostile header, and words that change under us, never make us touch memory outside the ring or panic.
        #[test]
        fn survives_any_words(
            words in proptest::collection::vec(any::<u32>(), 48),
            changes in proptest::collection::vec((0_u32..48, any::<u32>()), 0..10),
            address: u32,
        ) {
            let memory = LocalMemory::new(4096);
            for (index, word) in words.iter().enumerate() {
                memory.store(index as u32 * 4, *word);
            }
            lay(&memory, 64, 32, words[0]);
            for address in [0, 64, address] {
                if let Ok(ring) = Ring::open(&memory, address) {
                    let (mut producer, mut consumer) = (ring.producer(&memory), ring.consumer(&memory));
                    for (index, word) in &changes {
                        memory.store(64 + index * 4, *word);
                        let _ = producer.write(&memory, b"hello");
                        let read = consumer.read(&memory, 1 << 20);
                        prop_assert!(read.is_err() || read.unwrap().len() <= ring.capacity() as usize);
                    }
                }
            }
        }
    }
}
