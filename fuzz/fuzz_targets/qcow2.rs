//! A qcow2 image of anybody, and images of ours in which some bytes are others.
#![no_main]

use std::ops::ControlFlow;
use std::rc::Rc;

use async_trait::async_trait;
use futures_executor::block_on;
use libfuzzer_sys::fuzz_target;
use qemuweb_storage::compression::Compression;
use qemuweb_storage::cow::Base;
use qemuweb_storage::device::{BlockDevice, BlockError};
use qemuweb_storage::memory::MemoryBlockDevice;
use qemuweb_storage::qcow2::chain::{self, BackingFiles};
use qemuweb_storage::qcow2::header::BackingFile;
use qemuweb_storage::qcow2::writer::{Options, export};

/// As many bytes of a disk are looked at.
const MOST: u64 = 16 << 20;

/// Every image lies over the same bytes.
struct Same(Vec<u8>);

#[async_trait(?Send)]
impl BackingFiles for Same {
    async fn find(&self, _: &str, _: &BackingFile) -> Result<Option<Base>, BlockError> {
        Ok(Some(file(self.0.clone())))
    }
}

fn file(bytes: Vec<u8>) -> Base {
    Base {
        device: Rc::new(MemoryBlockDevice::with_bytes("image", bytes, true)),
        identity: "image".into(),
    }
}

fuzz_target!(|data: &[u8]| {
    read(data.to_vec());
    let [kind, patches @ ..] = data else {
        return;
    };
    let mut image = ours(*kind);
    // Of 16 bytes each: a place, how many bytes, the bytes.
    for patch in patches.chunks_exact(16) {
        let at = (usize::from(patch[0]) << 8 | usize::from(patch[1])) % image.len();
        let length = usize::from(patch[2] % 14).min(image.len() - at).min(13);
        image[at..at + length].copy_from_slice(&patch[3..3 + length]);
    }
    read(image);
});

/// An image of some clusters that compress and some that do not.
fn ours(kind: u8) -> Vec<u8> {
    let mut bytes = vec![0; 24 << 10];
    bytes[..4096].fill(1);
    for (at, byte) in bytes[9000..14_000].iter_mut().enumerate() {
        *byte = (at * at >> 3) as u8;
    }
    let disk = MemoryBlockDevice::with_bytes("disk", bytes, true);
    let options = Options {
        cluster_bits: 9 + u32::from(kind % 4),
        compression: [None, Some(Compression::Deflate), Some(Compression::Zstd)][usize::from(kind / 4) % 3],
    };
    let mut image = Vec::new();
    let mut watch = |_| ControlFlow::Continue(());
    block_on(export(&disk, &mut image, options, &mut watch)).expect("memory takes all");
    image
}

fn read(bytes: Vec<u8>) {
    let files = Same(bytes.clone());
    let read = async {
        let image = chain::open(file(bytes), &files).await?;
        let (mut at, size) = (0, image.size().min(MOST));
        while at < size {
            let extent = image.block_status(at, size - at).await?;
            assert!(extent.length > 0 && extent.length <= size - at);
            at += extent.length;
        }
        for at in (0..size.min(1 << 20)).step_by(64 << 10) {
            let mut bytes = vec![0; (size - at).min(64 << 10) as usize];
            // What cannot be read does not keep the rest from it.
            match image.read(at, &mut bytes).await {
                Ok(()) | Err(BlockError::Qcow2 { .. }) => (),
                Err(other) => return Err(other),
            }
        }
        Ok::<(), BlockError>(())
    };
    if let Err(error) = block_on(read) {
        // Whatever is wrong is noticed before the file is asked for what it does not have.
        assert!(matches!(error, BlockError::Qcow2 { .. }), "{error}");
    }
}
