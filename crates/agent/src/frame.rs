//! Frames: how messages lie in the stream of bytes.
//!
//! A frame is the length of its message (2 bytes, little-endian), the message, both freed of zeros by COBS, and a zero. The
//! length tells a frame that was cut off from a short one.

use crate::cobs;

/// Most bytes of a message.
pub const MAX_MESSAGE: usize = (16 << 10) + 64;

/// Most bytes of a frame. As it is less than 32 KiB, Linux writes one to a virtio port as a whole or not at all.
pub const MAX_FRAME: usize = cobs::encoded_len(2 + MAX_MESSAGE) + 1;

/// Appends a frame with a message of at most [`MAX_MESSAGE`] bytes.
///
/// # Panics
/// If the message is longer.
pub fn write(message: &[u8], out: &mut Vec<u8>) {
    assert!(message.len() <= MAX_MESSAGE, "the sender cuts what is longer");
    let mut whole = Vec::with_capacity(2 + message.len());
    whole.extend_from_slice(&(message.len() as u16).to_le_bytes());
    whole.extend_from_slice(message);
    cobs::encode(&whole, out);
    out.push(0);
}

/// Ends what another sender may have left unfinished, so that the next frame is read.
pub fn resynchronize(out: &mut Vec<u8>) {
    out.push(0);
}

/// Finds the messages in a stream that comes in pieces.
#[derive(Debug, Default)]
pub struct Reader {
    encoded: Vec<u8>,
    too_long: bool,
}

/// A frame holds no message: it was cut off, or is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMessage;

impl Reader {
    /// Takes a piece and calls `found` with each message that it completes.
    pub fn push(&mut self, bytes: &[u8], mut found: impl FnMut(Result<&[u8], NoMessage>)) {
        let mut decoded = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == 0) {
            let (piece, ended) = match piece.strip_suffix(&[0]) {
                Some(piece) => (piece, true),
                None => (piece, false),
            };
            if self.too_long || self.encoded.len() + piece.len() >= MAX_FRAME {
                self.too_long = true;
                self.encoded.clear();
            } else {
                self.encoded.extend_from_slice(piece);
            }
            if !ended {
                continue;
            }
            if self.too_long {
                found(Err(NoMessage));
            } else if !self.encoded.is_empty() {
                decoded.clear();
                found(message(&self.encoded, &mut decoded).ok_or(NoMessage));
            }
            self.encoded.clear();
            self.too_long = false;
        }
    }

    /// Forgets the beginning of a frame.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

fn message<'a>(encoded: &[u8], decoded: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    cobs::decode(encoded, decoded)?;
    let (len, message) = decoded.split_first_chunk()?;
    (usize::from(u16::from_le_bytes(*len)) == message.len()).then_some(message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let (mut reader, mut found) = (Reader::default(), Vec::new());
        for piece in pieces {
            reader.push(piece, |message| found.push(message.ok().map(<[u8]>::to_vec)));
        }
        found
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(message, &mut out);
        out
    }

    #[test]
    fn the_longest_message_fits() {
        let longest = vec![1; MAX_MESSAGE];
        let frame = framed(&longest);
        assert!(frame.len() <= MAX_FRAME);
        assert_eq!(read(&[&frame]), [Some(longest)]);
    }

    #[test]
    fn too_long_frames_are_passed_over_without_taking_memory() {
        let mut reader = Reader::default();
        let mut found = Vec::new();
        for _ in 0..100 {
            reader.push(&[1; 4096], |message| found.push(message.is_ok()));
            assert!(reader.encoded.len() <= MAX_FRAME);
        }
        reader.push(&[0], |message| found.push(message.is_ok()));
        reader.push(&framed(b"next"), |message| found.push(message.is_ok()));
        assert_eq!(found, [false, true]);
    }

    proptest! {
        #[test]
        fn split_anywhere(first in prop::collection::vec(any::<u8>(), 0..600), second in prop::collection::vec(any::<u8>(), 0..600), at: prop::sample::Index) {
            let mut stream = framed(&first);
            stream.extend(framed(&second));
            let (a, b) = stream.split_at(at.index(stream.len()));
            prop_assert_eq!(read(&[a, b]), [Some(first), Some(second)]);
        }

        #[test]
        fn in_step_again_after_a_cut(first in prop::collection::vec(any::<u8>(), 0..600), second in prop::collection::vec(any::<u8>(), 0..600), at: prop::sample::Index) {
            let mut stream = framed(&first);
            let kept = at.index(stream.len());
            stream.truncate(kept);
            resynchronize(&mut stream);
            stream.extend(framed(&second));
            let found = read(&[&stream]);
            prop_assert_eq!(found.last().unwrap(), &Some(second));
            // But for its last byte, which is the zero that was put there, the frame that was cut off is none.
            prop_assert!(kept + 1 == framed(&first).len() || found[..found.len() - 1].iter().all(Option::is_none));
        }

        #[test]
        fn anything_is_read(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            read(&[&bytes]);
        }
    }
}
