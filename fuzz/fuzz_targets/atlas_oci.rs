//! An OCI archive into Atlas, as it is, and with checksums that fit.
#![no_main]

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;

use futures_executor::block_on;
use libfuzzer_sys::fuzz_target;
use qemuweb_atlas::bundle::OnConflict;
use qemuweb_atlas::hash::ContentHash;
use qemuweb_atlas::memory::MemoryRecords;
use qemuweb_atlas::records::Environment;
use qemuweb_atlas::store::Atlas;
use qemuweb_storage::transfer::Progress;

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
    // Headers whose checksums fit.
    let mut archive = data.to_vec();
    for block in archive.chunks_exact_mut(512) {
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        let sum = sum(&block[..148]) + 256 + sum(&block[156..]);
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    check(archive);
    // A layout whose manifest is what came, and so is its layer.
    let hex = ContentHash::of(data).hex();
    let size = data.len();
    let of = format!(r#"{{"mediaType":"","digest":"sha256:{hex}","size":{size}}}"#);
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{of}]}}"#);
    let mut archive = file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    archive.extend(file("index.json", index.as_bytes()));
    archive.extend(file(&format!("blobs/sha256/{hex}"), data));
    check(archive);
});

fn file(path: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..path.len()].copy_from_slice(path.as_bytes());
    header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut file = [&header[..], bytes].concat();
    file.resize(file.len().next_multiple_of(512), 0);
    file
}

fn check(archive: Vec<u8>) {
    block_on(async {
        let records = Rc::new(MemoryRecords::default());
        let atlas = Atlas::open(records, Rc::new(Counting::default())).await.unwrap();
        let size = archive.len() as u64;
        let imported = atlas
            .import_oci(&archive, size, OnConflict::KeepBoth, &mut go_on)
            .await;
        assert!(imported.is_ok() || atlas.list_files(&Default::default()).is_empty());
        assert_eq!(atlas.verify_all(&mut go_on).await.unwrap().faults, []);
    });
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
