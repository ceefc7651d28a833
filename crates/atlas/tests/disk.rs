//! A stored file as a disk.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod support;

use futures_executor::{LocalPool, block_on};
use futures_util::future::join_all;
use proptest::prelude::*;
use qemuweb_atlas::disk::AtlasBlockDevice;
use qemuweb_atlas::manifest::{CHUNK, ManifestType};
use qemuweb_atlas::records::Table;
use qemuweb_atlas::store::FileOptions;
use qemuweb_storage::device::{BlockDevice, BlockError, Extent};
use support::{TestRecords, bytes};

/// Two chunks of bytes, three of zeroes, and a part of one that ends within a sector.
fn content() -> Vec<u8> {
    let mut content = bytes(1, 2 * CHUNK);
    content.resize(5 * CHUNK, 0);
    content.extend(bytes(2, 1000));
    content
}

async fn disk(database: &TestRecords) -> AtlasBlockDevice {
    let atlas = database.open().await;
    let file = match atlas.find("disk") {
        Some(file) => file,
        None => {
            let options = FileOptions::uploaded(ManifestType::Raw);
            atlas.store_file("disk", &content(), options).await.unwrap()
        }
    };
    let reader = atlas.open_file(&file.id).await.unwrap();
    AtlasBlockDevice::new(reader)
}

#[test]
fn it_reads_as_the_file_does_and_takes_no_writes() {
    block_on(async {
        let disk = disk(&TestRecords::default()).await;
        let mut expected = content();
        assert_eq!(disk.size(), 5 * CHUNK as u64 + 1024);
        assert!(disk.readonly());
        expected.resize(disk.size() as usize, 0);
        let whole = disk.read_blocks(0, 6).await.unwrap();
        assert!(whole == expected);
        let readonly = Err(BlockError::ReadOnly { id: "disk".into() });
        assert_eq!(disk.write(0, &[0; 512]).await, readonly);
        assert_eq!(disk.discard(0, 512).await, readonly);
        assert_eq!(disk.write_zeroes(0, 512).await, readonly);
        assert_eq!(disk.grow(u64::MAX).await, readonly);
        let beyond = disk.read(disk.size(), &mut [0; 512]).await;
        assert!(matches!(beyond, Err(BlockError::OutOfRange { .. })), "{beyond:?}");
        let odd = disk.read(1, &mut [0; 512]).await;
        assert!(matches!(odd, Err(BlockError::Misaligned { .. })), "{odd:?}");
        disk.close().await.unwrap();
        let closed = disk.read(0, &mut [0; 512]).await;
        assert_eq!(closed, Err(BlockError::Closed { id: "disk".into() }));
    });
}

#[test]
fn chunks_of_zeroes_are_known_without_reading() {
    block_on(async {
        let disk = disk(&TestRecords::default()).await;
        let (size, chunk) = (disk.size(), CHUNK as u64);
        let status = async |offset, length| disk.block_status(offset, length).await.unwrap();
        let of = |length, zero| Extent { length, zero };
        assert_eq!(status(0, size).await, of(2 * chunk, false));
        assert_eq!(status(2 * chunk, size - 2 * chunk).await, of(3 * chunk, true));
        assert_eq!(status(2 * chunk + 512, chunk).await, of(chunk, true));
        assert_eq!(status(5 * chunk, 1024).await, of(1024, false));
        assert_eq!(status(chunk, 512).await, of(512, false));
        assert_eq!(status(0, 0).await, of(0, false));
    });
}

#[test]
fn a_damaged_chunk_is_an_error_and_no_bytes() {
    block_on(async {
        let database = TestRecords::default();
        let disk = disk(&database).await;
        let chunk = disk.read_blocks(1, 1).await.unwrap();
        let hash = qemuweb_atlas::hash::ContentHash::of(&chunk);
        // Another start reads it anew.
        let disk = self::disk(&database).await;
        database
            .records
            .damage(Table::Chunks, &hash.to_string(), |bytes| bytes[99] ^= 1);
        let read = disk.read(CHUNK as u64, &mut [0; 512]).await;
        assert!(matches!(read, Err(BlockError::Changed { .. })), "{read:?}");
        disk.read(0, &mut [0; 512]).await.unwrap();
        database
            .records
            .damage(Table::Chunks, &hash.to_string(), |bytes| bytes[99] ^= 1);
        disk.read(CHUNK as u64, &mut [0; 512]).await.unwrap();
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_ranges_at_the_same_time_are_the_files(
        ranges in prop::collection::vec((0..10_242_u64, 1..4096_u64), 1..12),
    ) {
        let mut pool = LocalPool::new();
        pool.run_until(async {
            let disk = disk(&TestRecords::default()).await;
            let mut expected = content();
            expected.resize(disk.size() as usize, 0);
            let disk = &disk;
            let reads = ranges.into_iter().map(|(sector, count)| async move {
                let sector = sector * 4 % (disk.size() / 512);
                let count = count.min(disk.size() / 512 - sector);
                let mut target = vec![0; count as usize * 512];
                disk.read(sector * 512, &mut target).await.unwrap();
                (sector as usize * 512, target)
            });
            for (offset, read) in join_all(reads).await {
                assert!(read == expected[offset..offset + read.len()]);
            }
        });
    }
}
