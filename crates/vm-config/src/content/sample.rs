//! The bytes of a file that recognition has seen so far, and which it wants next.
//!
//! A file may be larger than memory, and a browser reads it asynchronously. So recognition reads nothing itself: it
//! looks at a [`Sample`], and where it needs bytes that are not there it ends with their [`Range`]; whoever has the file
//! adds them and starts it again.

use std::ops::Range;

/// What recognition comes to: an answer, or the part of the file that it has to see first.
pub type Seen<T> = Result<T, Range<u64>>;

/// Bytes at the start of a file that nearly always suffice.
pub const CONTENT_HEAD: usize = 36 << 10;
/// The shortest piece that is asked for: a page of whatever holds the file.
const PIECE: u64 = 4096;
/// How many pieces are asked for before recognition makes do with what it has. A hostile file could name places for ever.
const MAX_PIECES: usize = 160;
/// The longest piece.
const MAX_LENGTH: u64 = 1 << 20;

/// The parts of a file that were read.
#[derive(Clone, Debug)]
pub struct Sample {
    size: u64,
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Sample {
    /// The beginning of a file of `size` bytes: [`CONTENT_HEAD`] of them, or all if there are fewer.
    pub fn new(head: Vec<u8>, size: u64) -> Self {
        Self {
            size,
            pieces: vec![(0, head)],
        }
    }

    /// A whole file.
    pub fn whole(bytes: Vec<u8>) -> Self {
        let size = bytes.len() as u64;
        Self::new(bytes, size)
    }

    /// The file's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds what was read of a range that recognition asked for. What was asked for and is not there is taken for the end
    /// of the file.
    pub fn add(&mut self, wanted: &Range<u64>, bytes: Vec<u8>) {
        let end = wanted.start + bytes.len() as u64;
        if end < wanted.end {
            self.size = self.size.min(end);
        }
        self.pieces.push((wanted.start, bytes));
    }

    /// The `length` bytes at `start`, or those of them that are in the file.
    pub(super) fn bytes(&self, start: u64, length: u64) -> Seen<&[u8]> {
        let end = start.saturating_add(length.min(MAX_LENGTH)).min(self.size);
        if start >= end {
            return Ok(&[]);
        }
        for (at, piece) in &self.pieces {
            let Some(skipped) = start
                .checked_sub(*at)
                .and_then(|skipped| usize::try_from(skipped).ok())
            else {
                continue;
            };
            let rest = piece.get(skipped..).unwrap_or_default();
            if let Ok(needed) = usize::try_from(end - start)
                && rest.len() >= needed
            {
                return Ok(&rest[..needed]);
            }
        }
        if self.pieces.len() >= MAX_PIECES {
            return Ok(&[]);
        }
        let from = start - start % PIECE;
        Err(from..end.next_multiple_of(PIECE).min(self.size))
    }

    /// Whether these bytes stand at `offset`.
    pub(super) fn has(&self, offset: u64, magic: &[u8]) -> Seen<bool> {
        Ok(self.bytes(offset, magic.len() as u64)? == magic)
    }

    /// `N` bytes at `offset`, with zeros for what lies beyond the end.
    pub(super) fn array<const N: usize>(&self, offset: u64) -> Seen<[u8; N]> {
        let bytes = self.bytes(offset, N as u64)?;
        let mut array = [0; N];
        array[..bytes.len()].copy_from_slice(bytes);
        Ok(array)
    }

    pub(super) fn byte(&self, offset: u64) -> Seen<u8> {
        self.array::<1>(offset).map(|[byte]| byte)
    }

    pub(super) fn le16(&self, offset: u64) -> Seen<u16> {
        self.array(offset).map(u16::from_le_bytes)
    }

    pub(super) fn le32(&self, offset: u64) -> Seen<u32> {
        self.array(offset).map(u32::from_le_bytes)
    }

    pub(super) fn le64(&self, offset: u64) -> Seen<u64> {
        self.array(offset).map(u64::from_le_bytes)
    }

    pub(super) fn be16(&self, offset: u64) -> Seen<u16> {
        self.array(offset).map(u16::from_be_bytes)
    }

    pub(super) fn be32(&self, offset: u64) -> Seen<u32> {
        self.array(offset).map(u32::from_be_bytes)
    }

    pub(super) fn be64(&self, offset: u64) -> Seen<u64> {
        self.array(offset).map(u64::from_be_bytes)
    }

    /// The text of `length` bytes at `offset`, up to a NUL and made fit for a message.
    pub(super) fn text(&self, offset: u64, length: u64) -> Seen<String> {
        let bytes = self.bytes(offset, length.min(1024))?;
        let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(printable(&String::from_utf8_lossy(bytes)))
    }

    /// The first bytes, as many as were read at once.
    pub(super) fn head(&self) -> &[u8] {
        self.pieces.first().map_or(&[], |(_, head)| head)
    }
}

/// A stranger's text without control characters, cut to a length that a sentence can hold.
pub(super) fn printable(text: &str) -> String {
    const LONGEST: usize = 120;
    text.chars()
        .filter(|c| !c.is_control())
        .take(LONGEST)
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_what_it_lacks_and_takes_a_short_answer_for_the_end() {
        let mut sample = Sample::new(vec![1; 10], 10_000);
        assert_eq!(sample.bytes(0, 10), Ok(&[1; 10][..]));
        let wanted = sample.le32(5000).unwrap_err();
        assert_eq!(wanted, 4096..8192);
        sample.add(&wanted, vec![2; 4096]);
        assert_eq!(sample.le32(5000), Ok(0x0202_0202));
        let wanted = sample.byte(9999).unwrap_err();
        assert_eq!(wanted, 8192..10_000);
        sample.add(&wanted, vec![3; 8]);
        assert_eq!((sample.size(), sample.byte(9999)), (8200, Ok(0)));
        assert_eq!(sample.le16(8199), Ok(3));
        assert_eq!(sample.bytes(u64::MAX, u64::MAX), Ok(&[][..]));
    }

    #[test]
    fn does_not_ask_for_ever() {
        let mut sample = Sample::new(Vec::new(), u64::MAX);
        let mut asked = 0;
        while let Err(wanted) = sample.byte(asked << 20) {
            assert!(wanted.end - wanted.start <= PIECE);
            sample.add(&wanted, vec![0; PIECE as usize]);
            asked += 1;
        }
        assert!(asked < 200);
    }
}
