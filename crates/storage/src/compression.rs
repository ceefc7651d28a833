//! Compression of clusters and blocks, one at a time.
//!
//! Both kinds are told apart by who uses them; neither carries a checksum. QEMU inflates with a window of 4 KiB
//! (`block/qcow2-threads.c`), so what is deflated for it must not look back further.

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::encoding::CompressionLevel;
use ruzstd::io::Read as _;
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

/// Bits of the window that QEMU inflates with, and of the largest one.
pub(crate) const QEMU_WINDOW: u8 = 12;
pub(crate) const LARGEST_WINDOW: u8 = 15;
/// Fast before small.
const LEVEL: i32 = 3;
/// The largest window of a zstd frame: what every decoder should have, by RFC 8878 (3.1.1.1.2).
const ZSTD_WINDOW: u64 = 8 << 20;

/// How to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Deflate without a header (RFC 1951), which qcow2 calls zlib.
    Deflate,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// Compresses one piece of bytes after another.
pub(crate) struct Packer {
    /// Nothing for zstd, whose compressor keeps nothing.
    deflate: Option<Deflate>,
    packed: Vec<u8>,
}

impl Packer {
    /// `window_bits` are those of whoever inflates.
    pub(crate) fn new(compression: Compression, window_bits: u8) -> Self {
        let deflates = compression == Compression::Deflate;
        Self {
            deflate: deflates.then(|| Deflate::new(LEVEL, false, window_bits)),
            packed: Vec::new(),
        }
    }

    /// `bytes` compressed, unless that makes them no shorter.
    pub(crate) fn pack(&mut self, bytes: &[u8]) -> Option<&[u8]> {
        match &mut self.deflate {
            None => {
                self.packed.clear();
                ruzstd::encoding::compress(bytes, &mut self.packed, CompressionLevel::Fastest);
            }
            Some(deflate) => {
                // As much as zlib's deflateBound says is enough for any settings: a stream that was not finished for want of
                // room leaves zlib-rs 0.6.8 with less of it after each reset, until it panics.
                let most = bytes.len() + bytes.len() / 8 + bytes.len() / 64 + 64;
                self.packed.resize(most, 0);
                deflate.reset();
                match deflate.compress(bytes, &mut self.packed, DeflateFlush::Finish) {
                    Ok(Status::StreamEnd) => self.packed.truncate(deflate.total_out() as usize),
                    _ => return None,
                }
            }
        }
        (self.packed.len() < bytes.len()).then_some(self.packed.as_slice())
    }
}

/// Fills `target` with what `packed` begins with. What follows the end of the packed bytes is not looked at. Returns how many
/// bytes were used.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn unpack(compression: Compression, packed: &[u8], target: &mut [u8]) -> Result<usize, String> {
    match compression {
        Compression::Deflate => inflate(packed, target),
        Compression::Zstd => decode_zstd(packed, target),
    }
}

fn inflate(packed: &[u8], target: &mut [u8]) -> Result<usize, String> {
    let mut inflate = Inflate::new(false, LARGEST_WINDOW);
    match inflate.decompress(packed, target, InflateFlush::Finish) {
        Err(error) => Err(error.as_str().into()),
        // Whether the stream ends there as well, QEMU does not ask either.
        Ok(_) if inflate.total_out() == target.len() as u64 => Ok(inflate.total_in() as usize),
        Ok(_) => Err(format!("{} of {} bytes", inflate.total_out(), target.len())),
    }
}

fn decode_zstd(packed: &[u8], target: &mut [u8]) -> Result<usize, String> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(ZSTD_WINDOW);
    let mut rest = packed;
    decoder.reset(&mut rest).map_err(|error| error.to_string())?;
    let mut filled = 0;
    // A block has at most 128 KiB, and what was decoded beyond the window is taken before the next one: memory stays bounded.
    while !decoder.is_finished() {
        decoder
            .decode_blocks(&mut rest, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|error| error.to_string())?;
        filled += decoder
            .read(&mut target[filled..])
            .map_err(|error| error.to_string())?;
        if decoder.can_collect() > 0 {
            return Err(format!("more than {} bytes", target.len()));
        }
    }
    if filled < target.len() {
        return Err(format!("{filled} of {} bytes", target.len()));
    }
    Ok(packed.len() - rest.len())
}
