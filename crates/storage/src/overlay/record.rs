//! The form of what an overlay keeps: a disk's header, its blocks, and its journal. All numbers are little-endian.
//!
//! A block is 64 pages of 4 KiB. Of each page it says whether it is there, is zero, or is neither and thus the base's: a small
//! write to a large disk keeps a page and not a block.
//!
//! | | header | block | journal |
//! |--:|---|---|---|
//! | 0 | `QWDH` | `QWBK` | `QWJL` |
//! | 4 | version, 1 | version, 1 | version, 1 |
//! | 8 | CRC-32 of what follows | same | same |
//! | 12 | bytes in a page, 4096 | 0 | number of voids |
//! | 16 | pages in a block, 64 | pages that are there, a bit each | number of pieces |
//! | 20 | size of the disk in bytes, 8 bytes | | voids: blocks whose pages in earlier records hold no longer, 8 bytes each |
//! | 24 | | pages that are zero | |
//! | 28 | what the base is known by, UTF-8 | | pieces: block, pages there, pages zero, 8 bytes each |
//! | 32 | | the pages that are there | then their pages |

/// Bytes in a page.
pub const PAGE: usize = 4096;
/// Pages in a block, one a bit.
pub const PAGES: usize = 64;
/// Bytes in a block.
pub const BLOCK: u64 = (PAGE * PAGES) as u64;

const VERSION: u32 = 1;
const HEADER: [u8; 4] = *b"QWDH";
const BLOCK_MAGIC: [u8; 4] = *b"QWBK";
const JOURNAL: [u8; 4] = *b"QWJL";

/// What was kept is not what this version writes, or is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found}")]
pub struct Malformed {
    /// What should be there.
    pub expected: String,
    /// What is.
    pub found: String,
}

pub(crate) fn malformed(expected: impl Into<String>, found: impl Into<String>) -> Malformed {
    Malformed {
        expected: expected.into(),
        found: found.into(),
    }
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its size in bytes.
    pub size: u64,
    /// What the base is known by; nothing if there is none.
    pub base: String,
}

/// Some pages of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// The pages that are there.
    pub present: u64,
    /// The pages that are zero, none of which are there.
    pub zero: u64,
    /// The pages that are there, in their order.
    pub data: Vec<u8>,
}

impl Piece {
    /// The bytes of a page, if it is there.
    pub fn page(&self, page: usize) -> Option<&[u8]> {
        let before = (self.present & ((1 << page) - 1)).count_ones() as usize;
        let there = self.present & (1 << page) != 0;
        there
            .then(|| self.data.get(before * PAGE..(before + 1) * PAGE))
            .flatten()
    }

    /// The numbers of the pages that are there, with their bytes.
    pub fn pages(&self) -> impl Iterator<Item = (usize, &[u8])> {
        bits(self.present).zip(self.data.chunks_exact(PAGE))
    }
}

/// The numbers of the bits that are set.
pub(super) fn bits(mask: u64) -> impl Iterator<Item = usize> {
    (0..PAGES).filter(move |bit| mask & (1 << bit) != 0)
}

/// One record of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Blocks whose pages in earlier records hold no longer.
    pub voids: Vec<u64>,
    /// Pages that hold, by block.
    pub pieces: Vec<(u64, Piece)>,
}

impl Header {
    /// As it is kept.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = begin(HEADER, 28 + self.base.len());
        bytes.extend((PAGE as u32).to_le_bytes());
        bytes.extend((PAGES as u32).to_le_bytes());
        bytes.extend(self.size.to_le_bytes());
        bytes.extend(self.base.as_bytes());
        end(bytes)
    }

    /// From what was kept.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut rest = check(HEADER, bytes)?;
        let short = || malformed("a disk's header", format!("{} bytes", bytes.len()));
        let sizes = (rest.number().ok_or_else(short)?, rest.number().ok_or_else(short)?);
        if sizes != (PAGE as u32, PAGES as u32) {
            return Err(malformed(
                format!("blocks of {PAGES} pages of {PAGE} bytes"),
                format!("{} of {}", sizes.1, sizes.0),
            ));
        }
        let size = rest.long().ok_or_else(short)?;
        match std::str::from_utf8(rest.0) {
            Ok(base) => Ok(Self {
                size,
                base: base.into(),
            }),
            Err(_) => Err(malformed("the name of a base", "something else than text")),
        }
    }
}

impl Piece {
    /// As it is kept when it is a block by itself.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = begin(BLOCK_MAGIC, 32 + self.data.len());
        bytes.extend([0; 4]);
        bytes.extend(self.present.to_le_bytes());
        bytes.extend(self.zero.to_le_bytes());
        bytes.extend(&self.data);
        end(bytes)
    }

    /// From what was kept as a block.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut rest = check(BLOCK_MAGIC, bytes)?;
        let short = || malformed("a block", format!("{} bytes", bytes.len()));
        rest.number().ok_or_else(short)?;
        let masks = (rest.long().ok_or_else(short)?, rest.long().ok_or_else(short)?);
        let piece = rest.piece(masks).ok_or_else(short)?;
        if !rest.0.is_empty() {
            return Err(short());
        }
        Ok(piece)
    }
}

impl Entry {
    /// Bytes that it takes.
    pub fn len(voids: usize, pieces: usize, pages: usize) -> usize {
        20 + voids * 8 + pieces * 24 + pages * PAGE
    }

    /// As it is kept.
    pub fn encode(&self) -> Vec<u8> {
        let data: usize = self.pieces.iter().map(|(_, piece)| piece.data.len()).sum();
        let mut bytes = begin(
            JOURNAL,
            Self::len(self.voids.len(), self.pieces.len(), data / PAGE),
        );
        bytes.extend((self.voids.len() as u32).to_le_bytes());
        bytes.extend((self.pieces.len() as u32).to_le_bytes());
        bytes.extend(self.voids.iter().flat_map(|block| block.to_le_bytes()));
        for (block, piece) in &self.pieces {
            for number in [*block, piece.present, piece.zero] {
                bytes.extend(number.to_le_bytes());
            }
        }
        for (_, piece) in &self.pieces {
            bytes.extend(&piece.data);
        }
        end(bytes)
    }

    /// From what was kept.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut rest = check(JOURNAL, bytes)?;
        let short = || malformed("a journal's record", format!("{} bytes", bytes.len()));
        let voids = rest.number().ok_or_else(short)? as usize;
        let pieces = rest.number().ok_or_else(short)? as usize;
        // The counts are believed only once the bytes are seen to be there.
        let mut entry = Self::default();
        for _ in 0..voids {
            entry.voids.push(rest.long().ok_or_else(short)?);
        }
        let mut heads = Vec::new();
        for _ in 0..pieces {
            let mut next = || rest.long().ok_or_else(short);
            heads.push((next()?, (next()?, next()?)));
        }
        for (block, masks) in heads {
            entry.pieces.push((block, rest.piece(masks).ok_or_else(short)?));
        }
        if !rest.0.is_empty() {
            return Err(short());
        }
        Ok(entry)
    }
}

fn begin(magic: [u8; 4], size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size);
    bytes.extend(magic);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend([0; 4]);
    bytes
}

fn end(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = crc32fast::hash(&bytes[12..]);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// What follows the checksum, after checking all before.
pub(crate) fn check(magic: [u8; 4], bytes: &[u8]) -> Result<Rest<'_>, Malformed> {
    let name = |magic: &[u8]| String::from_utf8_lossy(magic).into_owned();
    let mut rest = Rest(bytes);
    let found = rest.take(4).unwrap_or_default();
    if found != magic {
        return Err(malformed(name(&magic), format!("{:?}", name(found))));
    }
    match rest.number() {
        Some(VERSION) => (),
        version => {
            return Err(malformed(
                format!("version {VERSION}"),
                version.map_or("none".into(), |version| format!("version {version}")),
            ));
        }
    }
    let sum = rest.number();
    if sum != Some(crc32fast::hash(rest.0)) {
        return Err(malformed("a checksum that fits", "damaged bytes"));
    }
    Ok(rest)
}

/// Bytes that are still to be read.
pub(crate) struct Rest<'a>(pub(crate) &'a [u8]);

impl<'a> Rest<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    pub(crate) fn long(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn piece(&mut self, (present, zero): (u64, u64)) -> Option<Piece> {
        let data = self.take(present.count_ones() as usize * PAGE)?;
        (present & zero == 0).then(|| Piece {
            present,
            zero,
            data: data.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn piece() -> impl Strategy<Value = Piece> {
        let few =
            any::<[u8; 4]>().prop_map(|bits| bits.iter().fold(0_u64, |mask, bit| mask | 1 << (bit % 64)));
        (few, any::<u64>(), any::<u8>()).prop_map(|(present, zero, byte)| Piece {
            present,
            zero: zero & !present,
            data: vec![byte; present.count_ones() as usize * PAGE],
        })
    }

    proptest! {
        #[test]
        fn what_is_kept_comes_back(
            size: u64,
            base in ".*",
            voids in proptest::collection::vec(any::<u64>(), 0..5),
            pieces in proptest::collection::vec((any::<u64>(), piece()), 0..4),
        ) {
            let header = Header { size, base };
            prop_assert_eq!(Header::decode(&header.encode()).unwrap(), header);
            for (_, piece) in &pieces {
                prop_assert_eq!(&Piece::decode(&piece.encode()).unwrap(), piece);
            }
            let entry = Entry { voids, pieces };
            let pages = entry.pieces.iter().map(|(_, piece)| piece.data.len() / PAGE).sum();
            let bytes = entry.encode();
            prop_assert_eq!(bytes.len(), Entry::len(entry.voids.len(), entry.pieces.len(), pages));
            prop_assert_eq!(Entry::decode(&bytes).unwrap(), entry);
        }

        #[test]
        fn damage_is_noticed(piece in piece(), at: prop::sample::Index, bit in 0..8_u8, cut: prop::sample::Index) {
            for bytes in [piece.encode(), Entry { voids: vec![1], pieces: vec![(3, piece)] }.encode(),
                Header { size: 1, base: "b".into() }.encode()] {
                let mut damaged = bytes.clone();
                damaged[at.index(bytes.len())] ^= 1 << bit;
                for bytes in [&damaged[..], &bytes[..cut.index(bytes.len())]] {
                    prop_assert!(Piece::decode(bytes).is_err());
                    prop_assert!(Entry::decode(bytes).is_err());
                    prop_assert!(Header::decode(bytes).is_err());
                }
            }
        }

        /// Bytes whose checksum fits are not trusted either.
        #[test]
        fn survives_any_bytes(kind in 0_usize..3, words in proptest::collection::vec(prop_oneof![Just(0_u32), 0..9_u32, any::<u32>()], 0..40)) {
            let mut bytes = begin([HEADER, BLOCK_MAGIC, JOURNAL][kind], 0);
            bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            let bytes = end(bytes);
            let _ = (Header::decode(&bytes), Piece::decode(&bytes), Entry::decode(&bytes));
        }
    }

    #[test]
    fn other_versions_are_refused() {
        let mut bytes = Piece::default().encode();
        bytes[4] = 2;
        assert_eq!(
            Piece::decode(&bytes).unwrap_err(),
            malformed("version 1", "version 2")
        );
        let mut bytes = Header {
            size: 1,
            base: String::new(),
        }
        .encode();
        bytes[16] = 32;
        let bytes = end(bytes);
        assert_eq!(Header::decode(&bytes).unwrap_err().found, "32 of 4096");
    }
}
