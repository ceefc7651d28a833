//! The file of an overlay, as it is, and with checksums that fit.
#![no_main]

use std::ops::ControlFlow;

use futures_executor::block_on;
use libfuzzer_sys::fuzz_target;
use qemuweb_storage::overlay_file::{Contents, verify};
use sha2::{Digest, Sha256};

fuzz_target!(|data: &[u8]| {
    check(data.to_vec());
    let Some((size, mut rest)) = data.split_first_chunk() else {
        return;
    };
    let header = [&4096_u32.to_le_bytes()[..], &64_u32.to_le_bytes(), size, &[0; 4]].concat();
    let mut file = sealed(b"QWOF\x01\0\0\0", &header);
    let mut counts = [0_u64; 3];
    while let Some((head, after)) = rest.split_first_chunk::<26>() {
        let (numbers, length) = head.split_at(24);
        let length = usize::from(length[0]) * 16 + usize::from(length[1] % 16);
        let (packed, after) = after.split_at(length.min(after.len()));
        let record = [&(packed.len() as u32).to_le_bytes()[..], numbers, packed].concat();
        file.extend(sealed(b"QWOB", &record));
        let ones = |at: usize| {
            numbers[at..at + 8]
                .iter()
                .map(|byte| u64::from(byte.count_ones()))
                .sum::<u64>()
        };
        counts = [counts[0] + 1, counts[1] + ones(8), counts[2] + ones(16)];
        rest = after;
    }
    let digest = Sha256::digest(&file);
    let end: Vec<u8> = counts
        .iter()
        .flat_map(|count| count.to_le_bytes())
        .chain(digest)
        .collect();
    file.extend(sealed(b"QWOE", &end));
    if let Some(contents) = check(file) {
        assert_eq!([contents.blocks, contents.pages, contents.zeroes], counts);
    }
});

fn sealed(head: &[u8], bytes: &[u8]) -> Vec<u8> {
    [head, &crc32fast::hash(bytes).to_le_bytes(), bytes].concat()
}

fn check(file: Vec<u8>) -> Option<Contents> {
    let size = file.len() as u64;
    let mut watch = |_| ControlFlow::Continue(());
    block_on(verify(&file, size, &mut watch)).ok()
}
