//! Makes a raw image of a sparse one (`storage::sparse`), for programs that know no other:
//!
//!   unpack SPARSE-IMAGE RAW-IMAGE
//!
//! What is zero takes no space in it.

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use futures_executor::block_on;
use qemuweb_storage::device::BlockDevice as _;
use qemuweb_storage::sparse::SparseBlockDevice;

/// How many bytes are read at once.
const PIECE: u64 = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = words.as_slice() else {
        return Err("expected: unpack SPARSE-IMAGE RAW-IMAGE".into());
    };
    let image = SparseBlockDevice::open(from, &fs::read(from)?)?;
    let raw = File::create(to)?;
    raw.set_len(image.size())?;
    let mut bytes = vec![0; PIECE as usize];
    for offset in (0..image.size()).step_by(PIECE as usize) {
        let piece = &mut bytes[..PIECE.min(image.size() - offset) as usize];
        block_on(image.read(offset, piece))?;
        let pages = (offset..).step_by(4096).zip(piece.chunks(4096));
        for (offset, page) in pages.filter(|(_, page)| page.iter().any(|&byte| byte != 0)) {
            raw.write_all_at(page, offset)?;
        }
    }
    Ok(())
}
