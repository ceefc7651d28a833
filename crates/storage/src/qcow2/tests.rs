//! Images that come back as they went, and images that were damaged or made to deceive. What QEMU makes and takes,
//! `tests/qcow2.rs` tries.

use std::ops::ControlFlow;
use std::rc::Rc;

use async_trait::async_trait;
use futures_executor::block_on;
use proptest::prelude::*;

use super::chain::{self, BackingFiles};
use super::header::BackingFile;
use super::reader::Qcow2BlockDevice;
use super::writer::{Options, export};
use crate::compression::Compression;
use crate::cow::Base;
use crate::device::{BlockDevice, BlockError};
use crate::memory::MemoryBlockDevice;
use crate::transfer::Progress;

/// Finds whatever is asked for: always this file, if there is one.
struct Always(Option<Vec<u8>>);

#[async_trait(?Send)]
impl BackingFiles for Always {
    async fn find(&self, _: &str, wanted: &BackingFile) -> Result<Option<Base>, BlockError> {
        Ok(self.0.clone().map(|bytes| file(&wanted.name, bytes)))
    }
}

fn file(name: &str, bytes: Vec<u8>) -> Base {
    Base {
        device: Rc::new(MemoryBlockDevice::with_bytes(name, bytes, true)),
        identity: name.into(),
    }
}

fn open(bytes: Vec<u8>) -> Result<Qcow2BlockDevice, BlockError> {
    block_on(chain::open(file("image", bytes), &Always(None)))
}

fn written(content: &[u8], options: Options) -> Vec<u8> {
    let device = MemoryBlockDevice::with_bytes("disk", content.to_vec(), true);
    let mut image = Vec::new();
    let length = block_on(export(&device, &mut image, options, &mut |_: Progress| {
        ControlFlow::Continue(())
    }));
    assert_eq!(length.unwrap(), image.len() as u64);
    image
}

/// Reads all of an image that may be damaged, by pieces, and looks at all of its tables.
fn read_all(image: &Qcow2BlockDevice) -> Result<Vec<u8>, BlockError> {
    block_on(async {
        let size = image.size();
        let mut at = 0;
        while at < size.min(1 << 30) {
            let extent = image.block_status(at, size - at).await?;
            assert!(extent.length > 0 && extent.length <= size - at);
            at += extent.length;
        }
        let mut bytes = vec![0; size.min(4 << 20) as usize];
        image.read(0, &mut bytes).await?;
        Ok(bytes)
    })
}

fn options() -> impl Strategy<Value = Options> {
    let compression = prop_oneof![
        Just(None),
        Just(Some(Compression::Deflate)),
        Just(Some(Compression::Zstd))
    ];
    (9..=13_u32, compression).prop_map(|(cluster_bits, compression)| Options {
        cluster_bits,
        compression,
    })
}

/// A disk of runs of sectors: of zeroes, of one byte, of bytes that do not compress.
fn runs() -> impl Strategy<Value = Vec<(u8, u8, usize)>> {
    proptest::collection::vec((0..3_u8, any::<u8>(), 1..120_usize), 1..12)
}

fn content(runs: &[(u8, u8, usize)]) -> Vec<u8> {
    let mut state = 1_u64;
    let mut content = Vec::new();
    for &(kind, byte, sectors) in runs {
        content.extend((0..sectors * 512).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            [0, byte, (state >> 56) as u8][usize::from(kind)]
        }));
    }
    content
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_was_written_is_read(runs in runs(), options in options()) {
        let content = content(&runs);
        let image = open(written(&content, options)).unwrap();
        prop_assert_eq!(image.size(), content.len() as u64);
        prop_assert!(read_all(&image).unwrap() == content);
    }

    /// Every field of the header, and entries of tables wherever they are.
    #[test]
    fn damaged_images_are_refused_or_read(
        runs in runs(),
        options in options(),
        header in proptest::collection::vec((0..120_usize, any::<u8>()), 0..3),
        words in proptest::collection::vec((any::<prop::sample::Index>(), word()), 0..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut image = written(&content(&runs), options);
        for (at, byte) in header {
            image[at] = byte;
        }
        for (at, word) in words {
            let at = at.index(image.len() / 8) * 8;
            image[at..at + 8].copy_from_slice(&word.to_be_bytes());
        }
        if let Some(cut) = cut {
            image.truncate(cut.index(image.len()));
        }
        for beneath in [None, Some(image.clone())] {
            let opened = block_on(chain::open(file("image", image.clone()), &Always(beneath)));
            // Whatever is wrong is noticed before the file is asked for what it does not have.
            if let Err(error) = opened.and_then(|image| read_all(&image)) {
                let named = matches!(error, BlockError::Qcow2 { .. });
                prop_assert!(named, "{}", error);
            }
        }
    }

    #[test]
    fn survives_any_header(bytes in proptest::collection::vec(any::<u8>(), 0..600), kind in 0..4_u32) {
        let head = [b"QFI\xfb", &kind.to_be_bytes()[..]].concat();
        if let Ok(image) = open([head, bytes].concat()) {
            let _ = read_all(&image);
        }
    }
}

/// What an entry of a table may be.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0..64_u64, 0..512_u64).prop_map(|(cluster, low)| cluster << 9 | low),
        (0..64_u64, 0..16_u64).prop_map(|(cluster, flags)| cluster << 9 | flags << 60),
    ]
}

#[test]
fn an_image_over_itself_comes_to_an_end() {
    let mut image = written(&[1; 4096], Options::default());
    // Its own name, at the end of the header.
    image[8..16].copy_from_slice(&200_u64.to_be_bytes());
    image[16..20].copy_from_slice(&4_u32.to_be_bytes());
    image[200..204].copy_from_slice(b"self");
    let opened = block_on(chain::open(file("self", image.clone()), &Always(Some(image))));
    let error = opened.err().unwrap();
    assert_eq!(
        error.to_string(),
        "self: expected at most 16 images over each other, found one more, self"
    );
}

#[test]
fn an_export_that_is_cut_short_is_no_image() {
    let device = MemoryBlockDevice::with_bytes("disk", vec![1; 8 << 20], true);
    let mut image = Vec::new();
    let mut watch = |progress: Progress| match progress.done > 4 << 20 {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let error = block_on(export(&device, &mut image, Options::default(), &mut watch)).unwrap_err();
    assert_eq!(error, crate::transfer::TransferError::Cancelled);
    assert!(image.len() > 1 << 20 && open(image).is_err());
}
