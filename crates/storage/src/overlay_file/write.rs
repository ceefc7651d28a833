//! From an overlay into a file.

use sha2::{Digest, Sha256};

use super::{BLOCK_BYTES, BLOCK_RECORD, END, END_BYTES, HEADER, HEADER_BYTES, MOST_NAME, VERSION};
use crate::compression::{Compression, LARGEST_WINDOW, Packer};
use crate::cow::CowBlockDevice;
use crate::device::{BlockError, SharedRuntime};
use crate::overlay::record::{BLOCK, Header, PAGE, PAGES, Piece};
use crate::overlay::store::Blocks;
use crate::overlay::{Limits, Overlay};
use crate::transfer::{Output, Sink, TransferError, Watch, report};

/// Pages of an overlay that are in memory while it is exported without a VM.
const CACHED: usize = (4 << 20) / PAGE;

/// Writes what was changed of `disk` to `sink`, flushed or not, and returns how many bytes that were.
///
/// # Errors
/// [`TransferError::Changed`] when somebody has written to the disk meanwhile, and others; what was written is then of no use.
pub async fn export<B: Blocks + 'static>(
    disk: &CowBlockDevice<B>,
    sink: &mut dyn Sink,
    watch: &mut dyn Watch,
) -> Result<u64, TransferError> {
    write(disk.overlay(), sink, watch).await
}

/// Writes what is kept in `store` to `sink`, for a disk that no VM uses and whose base need not be there. It returns how many
/// bytes that were.
///
/// # Errors
/// As for [`export`], and [`BlockError::Foreign`] when there is no disk in the store.
pub async fn export_stored<B: Blocks + 'static>(
    store: B,
    runtime: SharedRuntime,
    sink: &mut dyn Sink,
    watch: &mut dyn Watch,
) -> Result<u64, TransferError> {
    let foreign = |expected: String, found: String| BlockError::Foreign {
        id: store.id().into(),
        expected,
        found,
    };
    let header = store.open().await?.header;
    let header = header.ok_or_else(|| foreign("a disk".into(), "none".into()))?;
    let header = Header::decode(&header).map_err(|error| foreign(error.expected, error.found))?;
    let limits = Limits {
        cached: CACHED,
        ..Limits::default()
    };
    // How long the base is, nobody knows: what is zero stays so.
    let overlay = Overlay::open(store, header.size, &header.base, u64::MAX, limits, runtime).await?;
    let written = write(&overlay, sink, watch).await;
    overlay.close().await;
    written
}

async fn write<B: Blocks + 'static>(
    overlay: &Overlay<B>,
    sink: &mut dyn Sink,
    watch: &mut dyn Watch,
) -> Result<u64, TransferError> {
    let (header, changes, blocks) = (overlay.header(), overlay.changes(), overlay.touched());
    let mut output = Hashed {
        output: Output::new(sink),
        hash: Sha256::new(),
    };
    output.write(&encode_header(&header)?).await?;
    let mut packer = Packer::new(Compression::Deflate, LARGEST_WINDOW);
    let (mut count, mut pages, mut zeroes) = (0_u64, 0, 0);
    let total = blocks.len() as u64 * BLOCK;
    report(watch, 0, total).await?;
    for (done, block) in (1..).zip(blocks) {
        let piece = overlay.piece(block).await?;
        if piece.present | piece.zero != 0 {
            count += 1;
            pages += u64::from(piece.present.count_ones());
            zeroes += u64::from(piece.zero.count_ones());
            output.write(&encode_block(block, &piece, &mut packer)).await?;
        }
        report(watch, done * BLOCK, total).await?;
    }
    if overlay.changes() != changes {
        return Err(TransferError::Changed {
            id: overlay.id().into(),
        });
    }
    let digest: [u8; 32] = output.hash.finalize().into();
    let mut end = record(END, END_BYTES);
    end.extend(
        [count, pages, zeroes]
            .iter()
            .flat_map(|number| number.to_le_bytes()),
    );
    end.extend(digest);
    let mut output = output.output;
    output.write(&sealed(end, 4)).await?;
    output.finish(None).await
}

/// What is appended, and the checksum of it.
struct Hashed<'a> {
    output: Output<'a>,
    hash: Sha256,
}

impl Hashed<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        self.hash.update(bytes);
        self.output.write(bytes).await
    }
}

pub(super) fn encode_header(header: &Header) -> Result<Vec<u8>, TransferError> {
    let name = header.base.as_bytes();
    if name.len() > MOST_NAME {
        return Err(TransferError::malformed(
            HEADER_BYTES as u64,
            format!("a base known by at most {MOST_NAME} bytes"),
            format!("{} bytes", name.len()),
        ));
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES + name.len());
    bytes.extend(HEADER);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend((PAGE as u32).to_le_bytes());
    bytes.extend((PAGES as u32).to_le_bytes());
    bytes.extend(header.size.to_le_bytes());
    bytes.extend((name.len() as u32).to_le_bytes());
    bytes.extend(name);
    Ok(sealed(bytes, 8))
}

fn encode_block(block: u64, piece: &Piece, packer: &mut Packer) -> Vec<u8> {
    let packed = packer.pack(&piece.data).unwrap_or(&piece.data);
    let mut bytes = record(BLOCK_RECORD, BLOCK_BYTES + packed.len());
    bytes.extend((packed.len() as u32).to_le_bytes());
    bytes.extend(
        [block, piece.present, piece.zero]
            .iter()
            .flat_map(|number| number.to_le_bytes()),
    );
    bytes.extend(packed);
    sealed(bytes, 4)
}

pub(super) fn record(magic: [u8; 4], capacity: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(capacity);
    bytes.extend(magic);
    bytes.extend([0; 4]);
    bytes
}

/// Puts the checksum of what follows it at its place.
pub(super) fn sealed(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    let sum = crc32fast::hash(&bytes[at + 4..]);
    bytes[at..at + 4].copy_from_slice(&sum.to_le_bytes());
    bytes
}
