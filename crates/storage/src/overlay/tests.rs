//! How changes are kept, by what the database is asked for. That they are kept at all, the model of [`crate::cow`] checks.

use futures_executor::LocalPool;
use futures_util::future::{join, join_all};

use super::record::{BLOCK, PAGE};
use super::*;
use crate::cow::CowBlockDevice;
use crate::device::BlockDevice;
use crate::testing::{TestStore, pool};

const PAGE_BYTES: u64 = PAGE as u64;

fn blank(size: u64) -> (TestStore, LocalPool, CowBlockDevice<TestStore>) {
    let store = TestStore::default();
    let (mut pool, runtime) = pool();
    let opened = CowBlockDevice::open(None, store.clone(), size, Limits::default(), runtime);
    let disk = pool.run_until(opened).unwrap();
    (store, pool, disk)
}

/// What was done since the last time.
fn done(store: &TestStore) -> Vec<String> {
    store.log.borrow_mut().drain(..).collect()
}

#[test]
fn a_small_flush_costs_a_page_and_a_large_write_its_blocks() {
    let (store, mut pool, disk) = blank(64 << 20);
    pool.run_until(async {
        disk.write(10 * BLOCK, &vec![1; 4 * BLOCK as usize])
            .await
            .unwrap();
        disk.sync().await.unwrap();
        assert_eq!(done(&store), ["commit 4 puts, 0 deletes, 0 journal, trim None"]);
        // In the midst of a block that is full.
        disk.write(10 * BLOCK + 8 * PAGE_BYTES, &[2; PAGE]).await.unwrap();
        disk.sync().await.unwrap();
        let entry = Entry::len(0, 1, 1);
        assert_eq!(
            done(&store),
            [format!("commit 0 puts, 0 deletes, {entry} journal, trim None")]
        );
        disk.sync().await.unwrap();
        assert!(done(&store).is_empty());
        // A block of its own makes the journal's page worthless, and with it the journal.
        disk.write(10 * BLOCK, &vec![3; BLOCK as usize]).await.unwrap();
        disk.sync().await.unwrap();
        assert_eq!(
            done(&store),
            ["commit 1 puts, 0 deletes, 0 journal, trim Some(0)"]
        );
    });
    assert!(store.platter.borrow().journal.is_empty());
}

#[test]
fn flushes_that_come_together_share_a_transaction() {
    let (store, mut pool, disk) = blank(64 << 20);
    pool.run_until(async {
        join_all((0..20).map(async |page| {
            disk.write(page * 64 * PAGE_BYTES, &[1; PAGE]).await.unwrap();
            disk.sync().await.unwrap();
        }))
        .await;
    });
    assert!(done(&store).len() <= 3);
}

#[test]
fn discarded_blocks_are_deleted() {
    let (store, mut pool, disk) = blank(64 << 20);
    pool.run_until(async {
        // Nothing is there to be discarded.
        disk.discard(0, 64 << 20).await.unwrap();
        disk.sync().await.unwrap();
        assert!(done(&store).is_empty());
        disk.write(0, &vec![1; 8 * BLOCK as usize]).await.unwrap();
        disk.sync().await.unwrap();
        disk.discard(BLOCK, 6 * BLOCK).await.unwrap();
        disk.sync().await.unwrap();
    });
    assert_eq!(
        store.platter.borrow().blocks.keys().copied().collect::<Vec<_>>(),
        [0, 7]
    );
}

#[test]
fn the_journal_is_folded_into_blocks() {
    let (store, mut pool, disk) = blank(1 << 30);
    let pages = 3000_u64;
    pool.run_until(async {
        for page in 0..pages {
            disk.write(page * 17 * PAGE_BYTES, &[page as u8; PAGE])
                .await
                .unwrap();
            if page % 10 == 9 {
                disk.sync().await.unwrap();
                let journal: usize = store.platter.borrow().journal.values().map(Vec::len).sum();
                assert!(journal <= Limits::default().journal, "{journal}");
            }
        }
    });
    // What was begun in the background comes to its end.
    pool.run();
    let (header, blocks) = {
        let platter = store.platter.borrow();
        (platter.header.is_some(), platter.blocks.len())
    };
    assert!(header && blocks > 300, "{blocks} blocks");
    pool.run_until(async {
        let mut bytes = [0; PAGE];
        for page in 0..pages {
            disk.read(page * 17 * PAGE_BYTES, &mut bytes).await.unwrap();
            assert!(bytes == [page as u8; PAGE]);
        }
    });
}

#[test]
fn a_flush_does_not_wait_until_the_journal_is_folded() {
    let (store, mut pool, disk) = blank(1 << 30);
    pool.run_until(async {
        for block in 0..1200 {
            disk.write(block * BLOCK, &[1; PAGE]).await.unwrap();
        }
        disk.sync().await.unwrap();
        done(&store);
        disk.write(2000 * BLOCK, &[2; PAGE]).await.unwrap();
        disk.sync().await.unwrap();
        let before = done(&store).len();
        assert!(before < 10, "{before} transactions came before");
    });
    pool.run();
    assert!(done(&store).len() > 200, "nothing was folded");
}

#[test]
fn what_is_warm_asks_the_database_for_nothing() {
    let (store, mut pool, disk) = blank(64 << 20);
    pool.run_until(disk.write(0, &vec![1; 16 << 20])).unwrap();
    pool.run_until(disk.sync()).unwrap();
    done(&store);
    let mut bytes = vec![0; 16 << 20];
    pool.run_until(disk.read(0, &mut bytes)).unwrap();
    assert!(done(&store).is_empty());
    let (mut pool, runtime) = crate::testing::pool();
    let opened = CowBlockDevice::open(None, store.clone(), 0, Limits::default(), runtime);
    let disk = pool.run_until(opened).unwrap();
    for expected in [64, 0] {
        let mut page = [0; PAGE];
        for offset in (0..16 << 20).step_by(3 * PAGE) {
            pool.run_until(disk.read(offset as u64, &mut page)).unwrap();
        }
        assert_eq!(done(&store).len(), expected);
    }
}

/// A record that was read before the next one was written, and arrives after what was written has left memory.
#[test]
fn a_record_that_arrives_late_is_read_anew() {
    let (store, mut pool, disk) = blank(64 << 20);
    pool.run_until(disk.write(PAGE_BYTES, &[1; PAGE])).unwrap();
    pool.run_until(disk.close()).unwrap();
    // In a record of its own, which tells of the one page.
    store.platter.borrow_mut().journal.clear();
    let one = Piece {
        present: 2,
        zero: 0,
        data: vec![1; PAGE],
    };
    store.platter.borrow_mut().blocks.insert(0, one.encode());
    let (mut pool, runtime) = crate::testing::pool();
    let limits = Limits {
        cached: 1,
        ..Limits::default()
    };
    let opened = CowBlockDevice::open(None, store.clone(), 0, limits, runtime);
    let disk = pool.run_until(opened).unwrap();
    store.slow.set(500);
    let mut page = [0; PAGE];
    pool.run_until(async {
        let writes = async {
            disk.write(0, &vec![2; BLOCK as usize]).await.unwrap();
            disk.sync().await.unwrap();
        };
        let (read, ()) = join(disk.read(PAGE_BYTES, &mut page), writes).await;
        read.unwrap();
        disk.read(0, &mut page).await.unwrap();
    });
    assert!(page == [2; PAGE]);
}

#[test]
fn what_another_version_has_kept_is_refused() {
    let store = TestStore::default();
    let (mut pool, runtime) = pool();
    let mut open = |store: &TestStore| {
        let opened = CowBlockDevice::open(None, store.clone(), 8192, Limits::default(), runtime.clone());
        pool.run_until(opened).err()
    };
    assert_eq!(open(&store), None);
    store
        .platter
        .borrow_mut()
        .blocks
        .insert(0, Piece::default().encode());
    assert!(matches!(open(&store), Some(BlockError::Foreign { .. })));
    let mut header = Header {
        size: 8192,
        base: String::new(),
    }
    .encode();
    store.platter.borrow_mut().header = Some(header.clone());
    assert_eq!(open(&store), None);
    header[4] = 2;
    store.platter.borrow_mut().header = Some(header);
    let error = open(&store).unwrap();
    assert!(
        error.to_string().contains("expected version 1, found version 2"),
        "{error}"
    );
    let based = Header {
        size: 8192,
        base: "an image".into(),
    };
    store.platter.borrow_mut().header = Some(based.encode());
    assert!(matches!(open(&store), Some(BlockError::Changed { .. })));
}

#[test]
fn a_damaged_block_is_an_error_and_the_others_are_not() {
    let (store, mut pool, disk) = blank(64 << 20);
    pool.run_until(disk.write(0, &vec![1; 2 * BLOCK as usize]))
        .unwrap();
    pool.run_until(disk.close()).unwrap();
    store.platter.borrow_mut().blocks.get_mut(&1).unwrap()[5000] ^= 1;
    let (mut pool, runtime) = crate::testing::pool();
    let opened = CowBlockDevice::open(None, store.clone(), 0, Limits::default(), runtime);
    let disk = pool.run_until(opened).unwrap();
    let mut page = [0; PAGE];
    pool.run_until(disk.read(0, &mut page)).unwrap();
    let error = pool.run_until(disk.read(BLOCK, &mut page)).unwrap_err();
    assert!(matches!(error, BlockError::Foreign { .. }), "{error}");
    store.platter.borrow_mut().blocks.remove(&1);
    assert!(pool.run_until(disk.read(BLOCK, &mut page)).is_err());
}
