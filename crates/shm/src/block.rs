//! A disk's channel: requests from QEMU, and their completions, of [`Kind::Block`](crate::directory::Kind::Block), version 1.
//!
//! The first ring goes to QEMU and has completions, the second comes from it and has requests. QEMU gives each request a tag
//! of its own choice that no other request in flight has; completions come in any order. The bytes themselves are in neither
//! ring: a request names areas of QEMU's memory, which stay where they are until its completion. All numbers are
//! little-endian.
//!
//! A request:
//!
//! | offset | field |
//! |--:|---|
//! | 0 | bytes of this entry, all areas included |
//! | 4 | tag |
//! | 8 | operation ([`Op`]) |
//! | 12 | flags: 1, the data lasts before the completion (FUA); 2, zeroes may free the space; else 0 |
//! | 16 | offset on the disk in bytes, 8 bytes; of `Resize` the new size |
//! | 24 | length in bytes, 8 bytes: of `Read` and `Write` that of all areas together |
//! | 32 | areas, up to [`MAX_AREAS`]: address and length in bytes, 4 bytes each |
//!
//! A completion:
//!
//! | offset | field |
//! |--:|---|
//! | 0 | tag |
//! | 4 | 0, or a negative error number as Linux has them |
//!
//! `Info` has one area of 24 bytes, which is filled with the disk's size (8 bytes), the size of the pieces that it is best
//! used in (4), flags (4: 1, it is read-only; 2, it can be discarded), and 8 zeroes.
//!
//! QEMU could send anything. What is decoded lies within the memory and within the limits below; a sender that does not keep to
//! this is refused for good.

use crate::SharedMemory;

/// Most areas of a request.
pub const MAX_AREAS: usize = 256;
/// Most bytes that a request may move.
pub const MAX_TRANSFER: u64 = 1 << 20;
/// Most requests in flight: a ring of 256 KiB has room for all of them.
pub const MAX_IN_FLIGHT: usize = 126;
/// Bytes of the area of an `Info` request.
pub const INFO_SIZE: usize = 24;
/// Bytes of a completion.
pub const COMPLETION_SIZE: usize = 8;

const HEAD: usize = 32;
const FUA: u32 = 1;
const UNMAP: u32 = 2;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Op {
    /// Fills the areas from the disk.
    Read = 1,
    /// Takes the areas to the disk.
    Write = 2,
    /// All that is completed lasts.
    Flush = 3,
    /// The range may be forgotten.
    Discard = 4,
    /// The range becomes zero.
    WriteZeroes = 5,
    /// Tells of the disk.
    Info = 6,
    /// The disk gets larger.
    Resize = 7,
}

impl Op {
    const ALL: [Self; 7] = [
        Self::Read,
        Self::Write,
        Self::Flush,
        Self::Discard,
        Self::WriteZeroes,
        Self::Info,
        Self::Resize,
    ];
}

/// A piece of QEMU's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Where it begins.
    pub address: u32,
    /// How long it is.
    pub length: u32,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What its completion is known by.
    pub tag: u32,
    /// What it is for.
    pub op: Op,
    /// The data lasts before the completion.
    pub fua: bool,
    /// Zeroes may free the space.
    pub unmap: bool,
    /// Where on the disk, in bytes.
    pub offset: u64,
    /// How much, in bytes.
    pub length: u64,
    /// Where in memory.
    pub areas: Vec<Area>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The request's tag.
    pub tag: u32,
    /// 0, or a negative error number.
    pub status: i32,
}

/// What `Info` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// The disk's size in bytes.
    pub size: u64,
    /// The size of the pieces that it is best used in, in bytes.
    pub block_size: u32,
    /// Whether it refuses writes.
    pub readonly: bool,
    /// Whether discarding frees space.
    pub discards: bool,
}

/// What QEMU sent is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockChannelError {
    /// An entry's length cannot be.
    #[error("expected an entry of {HEAD} bytes and whole areas, at most {MAX_AREAS}, found {0} bytes")]
    BadLength(u32),
    /// An operation that this code does not know.
    #[error("expected an operation from 1 to 7, found {0}")]
    UnknownOp(u32),
    /// Flags that this code does not know.
    #[error("expected flags up to 3, found {0:#x}")]
    UnknownFlags(u32),
    /// An area does not lie in the memory.
    #[error("{length} bytes at {address:#x} do not lie in the memory of {memory} bytes")]
    OutOfBounds {
        /// Where the area begins.
        address: u32,
        /// Its length in bytes.
        length: u32,
        /// The memory's size in bytes.
        memory: u64,
    },
    /// The areas are not as long as the operation needs.
    #[error("expected areas of {expected} bytes, found {found}")]
    BadAreas {
        /// What the operation needs.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// More bytes than a request may move.
    #[error("expected a transfer of at most {MAX_TRANSFER} bytes, found {0}")]
    TooLong(u64),
    /// A tag that another request has.
    #[error("two requests in flight have the tag {0}")]
    TagInUse(u32),
    /// More requests than there may be.
    #[error("more than {MAX_IN_FLIGHT} requests are in flight")]
    TooMany,
}

impl Request {
    /// As it is in the ring.
    pub fn encode(&self) -> Vec<u8> {
        let size = HEAD + self.areas.len() * 8;
        let mut bytes = Vec::with_capacity(size);
        let flags = u32::from(self.fua) * FUA + u32::from(self.unmap) * UNMAP;
        #[expect(clippy::cast_possible_truncation, reason = "an entry has at most 256 areas")]
        for word in [size as u32, self.tag, self.op as u32, flags] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(self.offset.to_le_bytes());
        bytes.extend(self.length.to_le_bytes());
        for area in &self.areas {
            bytes.extend(area.address.to_le_bytes());
            bytes.extend(area.length.to_le_bytes());
        }
        bytes
    }

    /// From a whole entry.
    fn decode(entry: &[u8], memory: u64) -> Result<Self, BlockChannelError> {
        let word = |offset| word(entry, offset);
        let long = |offset| u64::from(word(offset)) | u64::from(word(offset + 4)) << 32;
        let op = Op::ALL.into_iter().find(|op| *op as u32 == word(8));
        let flags = word(12);
        if flags & !(FUA | UNMAP) != 0 {
            return Err(BlockChannelError::UnknownFlags(flags));
        }
        let areas = entry[HEAD..].chunks_exact(8).map(|area| Area {
            address: self::word(area, 0),
            length: self::word(area, 4),
        });
        let request = Self {
            tag: word(4),
            op: op.ok_or(BlockChannelError::UnknownOp(word(8)))?,
            fua: flags & FUA != 0,
            unmap: flags & UNMAP != 0,
            offset: long(16),
            length: long(24),
            areas: areas.collect(),
        };
        request.check(memory).map(|()| request)
    }

    fn check(&self, memory: u64) -> Result<(), BlockChannelError> {
        let mut found = 0;
        for area in &self.areas {
            found += u64::from(area.length);
            if u64::from(area.address) + u64::from(area.length) > memory {
                return Err(BlockChannelError::OutOfBounds {
                    address: area.address,
                    length: area.length,
                    memory,
                });
            }
        }
        let expected = match self.op {
            Op::Read | Op::Write => self.length,
            Op::Info => INFO_SIZE as u64,
            Op::Flush | Op::Discard | Op::WriteZeroes | Op::Resize => 0,
        };
        if found != expected {
            return Err(BlockChannelError::BadAreas { expected, found });
        }
        if found > MAX_TRANSFER {
            return Err(BlockChannelError::TooLong(found));
        }
        Ok(())
    }

    /// The bytes that a write takes to the disk.
    pub fn gather(&self, memory: &impl SharedMemory) -> Vec<u8> {
        // No more than `MAX_TRANSFER`, as was checked.
        let mut bytes = vec![0; self.areas.iter().map(|area| area.length as usize).sum()];
        let mut rest = &mut bytes[..];
        for area in &self.areas {
            let (place, after) = rest.split_at_mut(area.length as usize);
            memory.read(area.address, place);
            rest = after;
        }
        bytes
    }

    /// Fills the areas with what was read.
    pub fn scatter(&self, memory: &impl SharedMemory, bytes: &[u8]) {
        let mut rest = bytes;
        for area in &self.areas {
            let (piece, after) = rest.split_at(rest.len().min(area.length as usize));
            memory.write(area.address, piece);
            rest = after;
        }
    }
}

impl Completion {
    /// As it is in the ring.
    pub fn encode(&self) -> [u8; COMPLETION_SIZE] {
        let mut bytes = [0; COMPLETION_SIZE];
        bytes[..4].copy_from_slice(&self.tag.to_le_bytes());
        bytes[4..].copy_from_slice(&self.status.to_le_bytes());
        bytes
    }

    /// From the ring.
    pub fn decode(bytes: [u8; COMPLETION_SIZE]) -> Self {
        Self {
            tag: word(&bytes, 0),
            status: word(&bytes, 4).cast_signed(),
        }
    }
}

impl Info {
    /// As it is in its area.
    pub fn encode(&self) -> [u8; INFO_SIZE] {
        let mut bytes = [0; INFO_SIZE];
        let flags = u32::from(self.readonly) + u32::from(self.discards) * 2;
        bytes[..8].copy_from_slice(&self.size.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.block_size.to_le_bytes());
        bytes[12..16].copy_from_slice(&flags.to_le_bytes());
        bytes
    }
}

/// Makes requests of the bytes that come, in pieces of any size, and knows which are in flight.
#[derive(Debug, Default)]
pub struct Requests {
    /// The beginning of an entry that has not come whole.
    begun: Vec<u8>,
    in_flight: std::collections::HashSet<u32>,
}

impl Requests {
    /// The requests that are whole with `bytes`, for a memory of `memory` bytes.
    ///
    /// # Errors
    /// [`BlockChannelError`]; nothing that the channel sends later makes sense then.
    pub fn take(&mut self, bytes: &[u8], memory: u64) -> Result<Vec<Request>, BlockChannelError> {
        self.begun.extend(bytes);
        let (mut requests, mut at) = (Vec::new(), 0);
        while let Some(&[a, b, c, d]) = self.begun.get(at..at + 4) {
            let size = u32::from_le_bytes([a, b, c, d]);
            let areas = (size as usize).checked_sub(HEAD);
            if areas.is_none_or(|areas| !areas.is_multiple_of(8) || areas / 8 > MAX_AREAS) {
                return Err(BlockChannelError::BadLength(size));
            }
            let Some(entry) = self.begun.get(at..at + size as usize) else {
                break;
            };
            let request = Request::decode(entry, memory)?;
            if self.in_flight.len() == MAX_IN_FLIGHT {
                return Err(BlockChannelError::TooMany);
            }
            if !self.in_flight.insert(request.tag) {
                return Err(BlockChannelError::TagInUse(request.tag));
            }
            requests.push(request);
            at += size as usize;
        }
        self.begun.drain(..at);
        Ok(requests)
    }

    /// A request is over: its tag may come again.
    pub fn complete(&mut self, tag: u32) {
        self.in_flight.remove(&tag);
    }

    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }
}

/// The word at `offset`, zero beyond the end.
fn word(bytes: &[u8], offset: usize) -> u32 {
    match bytes.get(offset..offset + 4) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory::local::LocalMemory;
    use crate::ring::{Ring, lay};

    const MEMORY: u64 = 1 << 20;

    fn request(tag: u32) -> Request {
        Request {
            tag,
            op: Op::Write,
            fua: true,
            unmap: false,
            offset: 1 << 40,
            length: 12,
            areas: vec![
                Area {
                    address: 65_536,
                    length: 8,
                },
                Area {
                    address: 70_000,
                    length: 4,
                },
            ],
        }
    }

    fn requests() -> impl Strategy<Value = Vec<Request>> {
        let areas = proptest::collection::vec((0_u32..(1 << 19), 0_u32..5000), 0..20);
        let one = (0..7_usize, any::<(bool, bool, u64, u64)>(), areas).prop_map(
            |(op, (fua, unmap, offset, length), areas)| {
                let op = Op::ALL[op];
                let mut areas: Vec<_> = areas
                    .into_iter()
                    .map(|(address, length)| Area { address, length })
                    .collect();
                let mut length = length;
                match op {
                    Op::Read | Op::Write => length = areas.iter().map(|area| u64::from(area.length)).sum(),
                    Op::Info => {
                        areas = vec![Area {
                            address: 8,
                            length: INFO_SIZE as u32,
                        }]
                    }
                    _ => areas.clear(),
                }
                Request {
                    tag: 0,
                    op,
                    fua,
                    unmap,
                    offset,
                    length,
                    areas,
                }
            },
        );
        proptest::collection::vec(one, 0..20).prop_map(|mut requests| {
            for (tag, request) in (7_u32..).zip(&mut requests) {
                request.tag = tag;
            }
            requests
        })
    }

    #[test]
    fn what_is_no_request_is_refused() {
        type Change = fn(&mut Vec<u8>);
        let table: &[(Change, BlockChannelError)] = &[
            (|entry| entry[0] = 31, BlockChannelError::BadLength(31)),
            (|entry| entry[0] = 44, BlockChannelError::BadLength(44)),
            (|entry| entry[3] = 255, BlockChannelError::BadLength(0xff00_0030)),
            (
                |entry| entry[..2].copy_from_slice(&[40, 8]),
                BlockChannelError::BadLength(2088),
            ),
            (|entry| entry[8] = 0, BlockChannelError::UnknownOp(0)),
            (|entry| entry[8] = 8, BlockChannelError::UnknownOp(8)),
            (|entry| entry[12] = 4, BlockChannelError::UnknownFlags(4)),
            (
                |entry| entry[24] = 13,
                BlockChannelError::BadAreas {
                    expected: 13,
                    found: 12,
                },
            ),
            (
                |entry| entry[31] = 1,
                BlockChannelError::BadAreas {
                    expected: 12 + (1 << 56),
                    found: 12,
                },
            ),
            (
                |entry| entry[8] = 3,
                BlockChannelError::BadAreas {
                    expected: 0,
                    found: 12,
                },
            ),
            (
                |entry| entry[8] = 6,
                BlockChannelError::BadAreas {
                    expected: 24,
                    found: 12,
                },
            ),
            (
                |entry| entry[32..36].copy_from_slice(&0xffff_fffc_u32.to_le_bytes()),
                BlockChannelError::OutOfBounds {
                    address: 0xffff_fffc,
                    length: 8,
                    memory: MEMORY,
                },
            ),
            (
                |entry| entry[32..36].copy_from_slice(&(MEMORY as u32 - 7).to_le_bytes()),
                BlockChannelError::OutOfBounds {
                    address: MEMORY as u32 - 7,
                    length: 8,
                    memory: MEMORY,
                },
            ),
        ];
        for (change, expected) in table {
            let mut entry = request(1).encode();
            change(&mut entry);
            assert_eq!(Requests::default().take(&entry, MEMORY).unwrap_err(), *expected);
        }
        let long = Request {
            length: MAX_TRANSFER + 1,
            areas: vec![Area {
                address: 0,
                length: MAX_TRANSFER as u32 + 1,
            }],
            ..request(1)
        };
        let refused = Requests::default().take(&long.encode(), 1 << 32).unwrap_err();
        assert_eq!(refused, BlockChannelError::TooLong(MAX_TRANSFER + 1));
    }

    #[test]
    fn tags_are_of_one_request_at_a_time() {
        let mut requests = Requests::default();
        requests.take(&request(5).encode(), MEMORY).unwrap();
        assert_eq!(
            requests.take(&request(5).encode(), MEMORY).unwrap_err(),
            BlockChannelError::TagInUse(5)
        );
        requests.complete(5);
        let mut requests = Requests::default();
        for tag in 0..MAX_IN_FLIGHT as u32 {
            requests.take(&request(tag).encode(), MEMORY).unwrap();
        }
        let more = request(MAX_IN_FLIGHT as u32).encode();
        assert_eq!(
            requests.take(&more, MEMORY).unwrap_err(),
            BlockChannelError::TooMany
        );
        assert_eq!(requests.in_flight(), MAX_IN_FLIGHT);
    }

    #[test]
    fn bytes_go_to_their_areas_and_back() {
        let memory = LocalMemory::new(MEMORY as usize);
        let request = request(1);
        request.scatter(&memory, b"hello, world");
        assert_eq!(request.gather(&memory), b"hello, world");
        assert_eq!(memory.load(70_000), u32::from_le_bytes(*b"orld"));
    }

    #[test]
    fn completions_and_info_have_their_places() {
        let completion = Completion {
            tag: 0x0403_0201,
            status: -28,
        };
        assert_eq!(completion.encode(), [1, 2, 3, 4, 0xe4, 0xff, 0xff, 0xff]);
        assert_eq!(Completion::decode(completion.encode()), completion);
        let info = Info {
            size: 0x0102_0304_0506,
            block_size: 4096,
            readonly: true,
            discards: true,
        };
        assert_eq!(
            info.encode(),
            [
                6, 5, 4, 3, 2, 1, 0, 0, 0, 16, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
            ]
        );
    }

    proptest! {
        /// Through a small ring, in whatever pieces, all requests arrive as they were sent.
        #[test]
        fn requests_arrive(requests in requests(), pieces in proptest::collection::vec(1_u32..200, 1..50)) {
            let memory = LocalMemory::new(MEMORY as usize);
            lay(&memory, 64, 256, u32::MAX - 100);
            let ring = Ring::open(&memory, 64).unwrap();
            let (mut producer, mut consumer) = (ring.producer(&memory), ring.consumer(&memory));
            let sent: Vec<u8> = requests.iter().flat_map(Request::encode).collect();
            let (mut rest, mut arrived, mut taker) = (&sent[..], Vec::new(), Requests::default());
            for most in pieces.into_iter().cycle() {
                let written = producer.write(&memory, rest).unwrap();
                rest = &rest[written..];
                let read = consumer.read(&memory, most).unwrap();
                if read.is_empty() && rest.is_empty() {
                    break;
                }
                arrived.extend(taker.take(&read, MEMORY).unwrap());
            }
            prop_assert_eq!(taker.in_flight(), requests.len());
            prop_assert_eq!(arrived, requests);
        }

        /// Whatever QEMU sends: no panic, and no area outside the memory.
        #[test]
        fn survives_any_bytes(
            words in proptest::collection::vec(prop_oneof![Just(40_u32), 0..9_u32, any::<u32>()], 0..60),
            length in 0..100_u64,
        ) {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let mut requests = Requests::default();
            for piece in bytes.chunks(7) {
                let Ok(taken) = requests.take(piece, length) else {
                    break;
                };
                for request in taken {
                    prop_assert!(request.areas.iter().all(|area| u64::from(area.address) + u64::from(area.length) <= length));
                }
            }
        }
    }
}
