//! Whole disks that leave, as raw and as qcow2 images, and come back as new ones.

use std::ops::ControlFlow;
use std::rc::Rc;

use async_trait::async_trait;
use futures_executor::{LocalPool, block_on};
use proptest::prelude::*;

use super::image::{export_raw, import};
use super::{Progress, Sink, TransferError};
use crate::cow::{Base, CowBlockDevice};
use crate::device::{BlockDevice, BlockError};
use crate::memory::MemoryBlockDevice;
use crate::overlay::Limits;
use crate::overlay::record::BLOCK;
use crate::qcow2::chain::{self, BackingFiles};
use crate::qcow2::header::BackingFile;
use crate::qcow2::writer::{self, Options};
use crate::testing::{TestStore, pool};

const DISK: u64 = 6 * BLOCK + 512;

struct NoFiles;

#[async_trait(?Send)]
impl BackingFiles for NoFiles {
    async fn find(&self, _: &str, _: &BackingFile) -> Result<Option<Base>, BlockError> {
        Ok(None)
    }
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A base that begins with data and ends, before the disk does, with zeroes.
fn base() -> Option<Base> {
    let mut bytes = vec![0; 3 * BLOCK as usize + 512];
    bytes[..BLOCK as usize].fill(3);
    Some(Base {
        device: Rc::new(MemoryBlockDevice::with_bytes("base", bytes, true)),
        identity: "base".into(),
    })
}

fn open(store: &TestStore, size: u64, base: Option<Base>) -> (LocalPool, CowBlockDevice<TestStore>) {
    let (mut pool, runtime) = pool();
    let opened = CowBlockDevice::open(base, store.clone(), size, Limits::default(), runtime);
    let disk = pool.run_until(opened).unwrap();
    (pool, disk)
}

async fn content(disk: &dyn BlockDevice) -> Vec<u8> {
    let mut bytes = vec![0; disk.size() as usize];
    disk.read(0, &mut bytes).await.unwrap();
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn disks_come_back_whole(
        changes in proptest::collection::vec((0..DISK / 512, 1..700_u64, 0..3_u8), 0..8),
        based: bool,
        reopened: bool,
    ) {
        let base = || if based { base() } else { None };
        let store = TestStore::default();
        let (mut pool, mut disk) = open(&store, DISK, base());
        for (at, count, byte) in changes {
            let length = (count * 512).min(DISK - at * 512);
            pool.run_until(async {
                match byte {
                    0 => disk.discard(at * 512, length).await.unwrap(),
                    byte => disk.write(at * 512, &vec![byte; length as usize]).await.unwrap(),
                }
            });
        }
        if reopened {
            pool.run_until(disk.close()).unwrap();
            (pool, disk) = open(&store, DISK, base());
        }
        let (expected, copy) = pool.run_until(async {
            let expected = content(&disk).await;
            let mut at = 0;
            while at < DISK {
                let extent = disk.block_status(at, DISK - at).await.unwrap();
                let end = at + extent.length;
                assert!(extent.length > 0 && end <= DISK);
                let bytes = &expected[at as usize..end as usize];
                assert!(!extent.zero || bytes.iter().all(|&byte| byte == 0));
                at = end;
            }
            let (mut raw, mut qcow2) = (Vec::new(), Vec::new());
            export_raw(&disk, &mut raw, &mut go_on).await.unwrap();
            assert!(raw == expected);
            writer::export(&disk, &mut qcow2, Options::default(), &mut go_on).await.unwrap();
            let file = Base {
                device: Rc::new(MemoryBlockDevice::with_bytes("image", qcow2, true)),
                identity: "image".into(),
            };
            let image = chain::open(file, &NoFiles).await.unwrap();
            let copy = TestStore::default();
            assert_eq!(import(&image, &copy, &mut go_on).await, Ok(DISK));
            // Zeroes take no place.
            let blocks = expected.chunks(BLOCK as usize).filter(|block| block.iter().any(|&byte| byte != 0));
            assert_eq!(copy.platter.borrow().blocks.len(), blocks.count());
            (expected, copy)
        });
        let (mut pool, copy) = open(&copy, 0, None);
        prop_assert!(pool.run_until(content(&copy)) == expected);
    }
}

#[test]
fn an_import_goes_to_a_new_disk_only() {
    // A disk that lies over nothing, and was changed.
    let store = TestStore::default();
    let (mut pool, disk) = open(&store, DISK, None);
    pool.run_until(disk.write(0, &[1; 512])).unwrap();
    pool.run_until(disk.close()).unwrap();
    let before = store.platter.borrow().clone();
    let image = MemoryBlockDevice::with_bytes("image", vec![1; 1 << 20], true);
    let error = pool.run_until(import(&image, &store, &mut go_on)).unwrap_err();
    assert!(matches!(error, TransferError::Occupied { .. }), "{error}");
    assert_eq!(*store.platter.borrow(), before);
}

/// A stream, which has no way back, and room for so many bytes.
struct Stream(u64);

#[async_trait(?Send)]
impl Sink for Stream {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let rest = self.0.checked_sub(bytes.len() as u64);
        self.0 = rest.ok_or("no space left")?;
        Ok(())
    }

    async fn write_head(&mut self, _: &[u8]) -> Result<(), String> {
        Err("a stream has no way back".into())
    }
}

#[test]
fn a_sink_that_fails_ends_the_export() {
    let disk = MemoryBlockDevice::with_bytes("disk", vec![1; 3 << 20], true);
    assert_eq!(
        block_on(export_raw(&disk, &mut Stream(3 << 20), &mut go_on)),
        Ok(3 << 20)
    );
    let full = block_on(export_raw(&disk, &mut Stream(2 << 20), &mut go_on)).unwrap_err();
    assert_eq!(full.to_string(), "the export could not be written: no space left");
    let options = Options::default();
    let error = block_on(writer::export(&disk, &mut Stream(9 << 20), options, &mut go_on)).unwrap_err();
    assert!(error.to_string().ends_with("no way back"), "{error}");
}
