//! Overlays that leave and come back, and files that were cut, damaged or made to deceive.

use std::ops::ControlFlow;

use futures_executor::LocalPool;
use proptest::prelude::*;

use super::*;
use crate::cow::{Base, CowBlockDevice};
use crate::device::{BlockDevice, BlockError};
use crate::memory::MemoryBlockDevice;
use crate::overlay::Limits;
use crate::overlay::record::{BLOCK, PAGE};
use crate::testing::{Platter, TestStore, pool};
use crate::transfer::{Progress, Sink, TransferError};

const DISK: u64 = 4 * BLOCK + 3 * 512;
const BASE: &str = "sha256:the base";

type Disk = CowBlockDevice<TestStore>;

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn base() -> Option<Base> {
    let bytes = (0..2 * BLOCK + 512).map(|at| (at / 97) as u8).collect();
    Some(Base {
        device: std::rc::Rc::new(MemoryBlockDevice::with_bytes("base", bytes, true)),
        identity: BASE.into(),
    })
}

fn open(store: &TestStore, size: u64, base: Option<Base>) -> (LocalPool, Disk) {
    let (mut pool, runtime) = pool();
    let opened = CowBlockDevice::open(base, store.clone(), size, Limits::default(), runtime);
    let disk = pool.run_until(opened).unwrap();
    (pool, disk)
}

fn exported(pool: &mut LocalPool, disk: &Disk) -> Vec<u8> {
    let mut file = Vec::new();
    let length = pool.run_until(export(disk, &mut file, &mut go_on)).unwrap();
    assert_eq!(length, file.len() as u64);
    file
}

fn imported(file: &Vec<u8>, base: &str) -> Result<TestStore, TransferError> {
    let store = TestStore::default();
    let (mut pool, _) = pool();
    let size = file.len() as u64;
    let result = pool.run_until(import(file, size, base, &store, &mut go_on));
    if result.is_err() {
        assert_eq!(*store.platter.borrow(), Platter::default());
    }
    result.map(|_| store)
}

fn content(pool: &mut LocalPool, disk: &Disk) -> Vec<u8> {
    let mut bytes = vec![0; disk.size() as usize];
    pool.run_until(disk.read(0, &mut bytes)).unwrap();
    bytes
}

/// A file of some changes over the base.
fn sample() -> Vec<u8> {
    let (mut pool, disk) = open(&TestStore::default(), DISK, base());
    pool.run_until(async {
        disk.write(512, &[7; 20 * PAGE]).await.unwrap();
        disk.discard(BLOCK, BLOCK).await.unwrap();
        disk.write(3 * BLOCK, &noise(9000 / 512 * 512)).await.unwrap();
    });
    exported(&mut pool, &disk)
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(next).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, u8, u64),
    Discard(u64, u64),
    Sync,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let sectors = DISK / 512;
    prop_oneof![
        4 => (0..sectors, any::<u8>(), 1..200_u64).prop_map(|(at, byte, count)| Step::Write(at, byte, count)),
        2 => (0..sectors, 1..900_u64).prop_map(|(at, count)| Step::Discard(at, count)),
        1 => Just(Step::Sync),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_exported_comes_back(steps in proptest::collection::vec(step(), 0..12), based: bool) {
        let base = || if based { base() } else { None };
        let store = TestStore::default();
        let (mut pool, mut disk) = open(&store, DISK, base());
        pool.run_until(disk.grow(DISK)).unwrap();
        for step in steps {
            let length = |at: u64, count: u64| (count * 512).min(DISK - at * 512);
            match step {
                Step::Write(at, byte, count) => {
                    let bytes = vec![byte; length(at, count) as usize];
                    pool.run_until(disk.write(at * 512, &bytes)).unwrap();
                }
                Step::Discard(at, count) => pool.run_until(disk.discard(at * 512, length(at, count))).unwrap(),
                Step::Sync => pool.run_until(disk.sync()).unwrap(),
                Step::Reopen => {
                    pool.run_until(disk.close()).unwrap();
                    (pool, disk) = open(&store, DISK, base());
                }
            }
        }
        let file = exported(&mut pool, &disk);
        prop_assert!(file == exported(&mut pool, &disk));
        let expected = content(&mut pool, &disk);
        let name = if based { BASE } else { "" };
        let copy = imported(&file, name).unwrap();
        let (mut copy_pool, copy) = open(&copy, 0, base());
        prop_assert!(content(&mut copy_pool, &copy) == expected);
        prop_assert!(file == exported(&mut copy_pool, &copy));
        // Without a VM, and without the base.
        pool.run_until(disk.close()).unwrap();
        let (mut pool, runtime) = crate::testing::pool();
        let mut stored = Vec::new();
        pool.run_until(export_stored(store.clone(), runtime, &mut stored, &mut go_on)).unwrap();
        let (mut pool, copy) = open(&imported(&stored, name).unwrap(), 0, base());
        prop_assert!(content(&mut pool, &copy) == expected);
    }

    #[test]
    fn cuts_and_damage_are_refused(at: prop::sample::Index, bit in 0..8_u8, cut: prop::sample::Index) {
        let file = sample();
        let mut damaged = file.clone();
        damaged[at.index(file.len())] ^= 1 << bit;
        prop_assert!(imported(&damaged, BASE).is_err());
        let place = cut.index(file.len());
        let error = imported(&file[..place].to_vec(), BASE).err().unwrap();
        let TransferError::Malformed { at, .. } = error else {
            return Err(TestCaseError::fail(error.to_string()));
        };
        prop_assert!(at <= place as u64);
        let longer = [file, vec![0; 1 + place]].concat();
        prop_assert!(imported(&longer, BASE).is_err());
    }

    /// Bytes whose checksums fit are not believed either.
    #[test]
    fn survives_any_bytes(
        size: u64,
        words in proptest::collection::vec(prop_oneof![Just(0_u64), 0..9_u64, any::<u64>()], 3),
        packed in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let file = [header(size), block(words[0], words[1], words[2], &packed)].concat();
        let error = imported(&file, "").err().unwrap();
        let malformed = matches!(error, TransferError::Malformed { .. });
        prop_assert!(malformed, "{}", error);
    }
}

fn header(size: u64) -> Vec<u8> {
    let header = crate::overlay::record::Header {
        size,
        base: String::new(),
    };
    write::encode_header(&header).unwrap()
}

fn block(block: u64, present: u64, zero: u64, packed: &[u8]) -> Vec<u8> {
    let mut bytes = write::record(BLOCK_RECORD, 0);
    bytes.extend((packed.len() as u32).to_le_bytes());
    bytes.extend(
        [block, present, zero]
            .iter()
            .flat_map(|number| number.to_le_bytes()),
    );
    bytes.extend(packed);
    write::sealed(bytes, 4)
}

/// What is said of a file that holds `records`, and no end.
fn said(size: u64, records: &[Vec<u8>]) -> String {
    let file = [vec![header(size)], records.to_vec()].concat().concat();
    imported(&file, "").err().unwrap().to_string()
}

#[test]
fn what_cannot_be_is_refused_with_the_place() {
    let page = vec![1; PAGE];
    for (size, records, expected) in [
        (
            1000,
            vec![],
            "at byte 20: expected a disk's size, a multiple of 512 bytes, found 1000 bytes",
        ),
        (
            4096,
            vec![],
            "at byte 32: expected 4 bytes of a block or the end, found the file's end after 0",
        ),
        (
            4096,
            vec![b"QWOX".to_vec()],
            "at byte 32: expected a block or the end, found \"QWOX\"",
        ),
        (
            4096,
            vec![block(0, 2, 0, &page)],
            "at byte 32: expected pages of a disk of 4096 bytes, found block 0, which lies beyond",
        ),
        (
            1 << 40,
            vec![block(1, 1, 0, &page), block(1, 0, 1, &[])],
            "at byte 4164: expected block 2 or a later one, found block 1",
        ),
        (
            4096,
            vec![block(0, 1, 1, &page)],
            "at byte 32: expected pages that are there or zero, found a block of other pages",
        ),
        (
            4096,
            vec![block(0, 1, 0, &vec![1; 5000])],
            "at byte 32: expected at most 4096 bytes of a block, found 5000 bytes",
        ),
        (
            4096,
            vec![block(u64::MAX, 1, 0, &page)],
            "at byte 32: expected pages of a disk of 4096 bytes, found block 18446744073709551615, which lies beyond",
        ),
    ] {
        assert_eq!(said(size, &records), expected);
    }
    let mut later = sample();
    later[4] = 2;
    let error = imported(&later, BASE).err().unwrap();
    assert_eq!(
        error.to_string(),
        "at byte 4: expected version 1, found version 2"
    );
    let error = imported(
        &b"PK\x03\x04 and so on, more than a header's bytes".to_vec(),
        BASE,
    )
    .err();
    assert!(
        error
            .unwrap()
            .to_string()
            .contains("begins with QWOF, found \"PK")
    );
}

#[test]
fn an_end_that_does_not_fit_is_refused() {
    let file = sample();
    let end = file.len() - END_BYTES;
    let forged = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut tail = file[end..].to_vec();
        change(&mut tail);
        let tail = write::sealed(tail, 4);
        let file = [&file[..end], &tail].concat();
        imported(&file, BASE).err().map(|error| error.to_string())
    };
    assert_eq!(forged(&|_| ()), None);
    let place = format!("at byte {end}: expected");
    let counts = forged(&|tail| tail[8] += 1).unwrap();
    assert!(counts.starts_with(&format!("{place} 4 blocks")), "{counts}");
    let digest = forged(&|tail| tail[40] ^= 1).unwrap();
    assert_eq!(
        digest,
        format!("{place} the checksum of the whole file, found another one")
    );
    // A block that is left out.
    let records = [
        header(1 << 20),
        block(0, 1, 0, &[1; PAGE]),
        block(2, 1, 0, &[1; PAGE]),
    ];
    let whole = records.concat();
    let mut tail = write::record(END, 0);
    tail.extend([1_u64, 1, 0].iter().flat_map(|number| number.to_le_bytes()));
    tail.extend(<sha2::Sha256 as sha2::Digest>::digest(&whole));
    let file = [records[0].clone(), records[1].clone(), write::sealed(tail, 4)].concat();
    assert!(imported(&file, "").is_err());
}

#[test]
fn a_wrong_base_is_refused_by_name() {
    let error = imported(&sample(), "sha256:other").err().unwrap();
    assert_eq!(
        error.to_string(),
        format!("the file's changes belong to the base {BASE}, and the disk lies over the base sha256:other")
    );
    assert!(
        imported(&sample(), "")
            .err()
            .unwrap()
            .to_string()
            .ends_with("lies over no base")
    );
}

/// Whatever an import is stopped by, there is no disk, and the next one makes it.
#[test]
fn an_import_is_whole_or_nothing() {
    let (mut pool, disk) = open(&TestStore::default(), 64 << 20, None);
    pool.run_until(disk.write(0, &noise(17 << 20))).unwrap();
    let file = exported(&mut pool, &disk);
    let size = file.len() as u64;
    let whole = imported(&file, "").unwrap().platter.borrow().clone();
    let again = |store: &TestStore| {
        assert_eq!(store.platter.borrow().header, None);
        let (mut pool, runtime) = crate::testing::pool();
        if !store.platter.borrow().blocks.is_empty() {
            let opened = CowBlockDevice::open(None, store.clone(), 0, Limits::default(), runtime);
            assert!(matches!(
                pool.run_until(opened).err(),
                Some(BlockError::Foreign { .. })
            ));
        }
        let mut pool = crate::testing::pool().0;
        pool.run_until(import(&file, size, "", store, &mut go_on))
            .unwrap();
        assert!(*store.platter.borrow() == whole);
        let error = pool
            .run_until(import(&file, size, "", store, &mut go_on))
            .unwrap_err();
        assert!(matches!(error, TransferError::Occupied { .. }), "{error}");
    };
    let mut begun = 0;
    for steps in 0..6 {
        // The power goes.
        let store = TestStore::default();
        store.steps.set(Some(steps));
        let (mut pool, runtime) = crate::testing::pool();
        let (task, copy) = (file.clone(), store.clone());
        runtime.spawn(Box::pin(async move {
            let _ = import(&task, size, "", &copy, &mut go_on).await;
        }));
        pool.run_until_stalled();
        store.steps.set(None);
        begun += usize::from(!store.platter.borrow().blocks.is_empty());
        if store.platter.borrow().header.is_none() {
            again(&store);
        }
    }
    assert!(begun > 2);
    // The database fails.
    let store = TestStore::default();
    store.failures.set(1);
    let mut pool = crate::testing::pool().0;
    let error = pool
        .run_until(import(&file, size, "", &store, &mut go_on))
        .unwrap_err();
    assert!(
        matches!(error, TransferError::Block(BlockError::NoSpace { .. })),
        "{error}"
    );
    again(&store);
    // Somebody cancels, while it is checked and while it is written.
    for share in [1, 3, 5, 7] {
        let store = TestStore::default();
        let mut watch = |progress: Progress| match progress.done * 8 >= progress.total * share {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let result = pool.run_until(import(&file, size, "", &store, &mut watch));
        assert_eq!(result, Err(TransferError::Cancelled));
        assert_eq!(store.platter.borrow().blocks.is_empty(), share < 6);
        again(&store);
    }
}

/// A sink that writes to the disk.
struct Meddler<'a>(&'a Disk);

#[async_trait::async_trait(?Send)]
impl Sink for Meddler<'_> {
    async fn write(&mut self, _: &[u8]) -> Result<(), String> {
        self.0
            .write(0, &[1; 512])
            .await
            .map_err(|error| error.to_string())
    }

    async fn write_head(&mut self, _: &[u8]) -> Result<(), String> {
        Err("there is no way back".into())
    }
}

#[test]
fn a_disk_that_changes_meanwhile_is_not_exported() {
    let (mut pool, disk) = open(&TestStore::default(), 64 << 20, None);
    pool.run_until(disk.write(0, &noise(4 << 20))).unwrap();
    let error = pool
        .run_until(export(&disk, &mut Meddler(&disk), &mut go_on))
        .unwrap_err();
    assert!(matches!(error, TransferError::Changed { .. }), "{error}");
}
