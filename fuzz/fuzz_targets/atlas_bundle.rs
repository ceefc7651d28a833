//! A bundle of Atlas, as it is, and with an end that fits.
#![no_main]

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;

use futures_executor::block_on;
use libfuzzer_sys::fuzz_target;
use qemuweb_atlas::bundle::OnConflict;
use qemuweb_atlas::memory::MemoryRecords;
use qemuweb_atlas::records::Environment;
use qemuweb_atlas::store::Atlas;
use qemuweb_storage::transfer::Progress;
use sha2::{Digest, Sha256};

#[derive(Default)]
struct Counting(Cell<u64>);

impl Environment for Counting {
    fn now(&self) -> u64 {
        0
    }

    fn new_id(&self) -> String {
        self.0.set(self.0.get() + 1);
        self.0.get().to_string()
    }
}

fuzz_target!(|data: &[u8]| {
    check(data.to_vec());
    // Records, each a tag, two bytes of length, and that many bytes.
    let tags = [b"MANI", b"PROV", b"SIGN", b"FILE", b"CHNK"];
    let (mut rest, mut counts) = (data, [0_u64; 5]);
    let mut bundle = b"QWAB\x01\0\0\0".to_vec();
    let mut hash = Sha256::new();
    hash.update(&bundle);
    while let Some(([tag, low, high], after)) = rest.split_first_chunk::<3>() {
        let place = usize::from(*tag) % tags.len();
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (bytes, after) = after.split_at(length);
        let head = [&tags[place][..], &(length as u64).to_le_bytes()].concat();
        hash.update(&head);
        if place < 4 {
            hash.update(bytes);
        }
        counts[place] += 1;
        bundle.extend(head);
        bundle.extend(bytes);
        rest = after;
    }
    bundle.extend(b"ENDS");
    bundle.extend(72_u64.to_le_bytes());
    bundle.extend(counts.iter().flat_map(|count| count.to_le_bytes()));
    bundle.extend(hash.finalize());
    check(bundle);
});

/// Imports it. What was taken in is whole, and goes out and comes in again.
fn check(bundle: Vec<u8>) {
    block_on(async {
        let atlas = open().await;
        let size = bundle.len() as u64;
        let Ok(result) = atlas
            .import_bundle(&bundle, size, OnConflict::KeepBoth, &mut go_on)
            .await
        else {
            assert!(atlas.list_files(&Default::default()).is_empty());
            return;
        };
        assert_eq!(atlas.verify_all(&mut go_on).await.unwrap().faults, []);
        let files = atlas.list_files(&Default::default());
        assert!(files.len() <= result.files.len());
        let names: Vec<String> = files.into_iter().map(|file| file.name).collect();
        let mut again = Vec::new();
        atlas.export_bundle(&names, &mut again, &mut go_on).await.unwrap();
        let other = open().await;
        let size = again.len() as u64;
        other
            .import_bundle(&again, size, OnConflict::KeepOurs, &mut go_on)
            .await
            .unwrap();
        assert_eq!(other.list_files(&Default::default()).len(), names.len());
    });
}

async fn open() -> Atlas {
    let records = Rc::new(MemoryRecords::default());
    Atlas::open(records, Rc::new(Counting::default())).await.unwrap()
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
