//! Bundles: what goes out comes in again, and what others send is believed only as far as it fits.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod support;

use std::ops::ControlFlow;

use async_trait::async_trait;
use ed25519_dalek::{Signer as _, SigningKey};
use futures_executor::block_on;
use proptest::prelude::*;
use qemuweb_atlas::bundle::{ImportResult, OnConflict, Outcome};
use qemuweb_atlas::canonical::Canonical;
use qemuweb_atlas::error::AtlasError;
use qemuweb_atlas::hash::ContentHash;
use qemuweb_atlas::manifest::{CHUNK, ManifestType};
use qemuweb_atlas::metadata::{FileFilter, FileOrigin};
use qemuweb_atlas::provenance::signature::{Hex, PublicKey, Signer};
use qemuweb_atlas::provenance::{Actor, ProvenanceType, Statement};
use qemuweb_atlas::store::{Atlas, FileOptions};
use qemuweb_storage::transfer::Progress;
use sha2::{Digest, Sha256};
use support::{TestRecords, bytes, go_on};

struct Key(SigningKey);

#[async_trait(?Send)]
impl Signer for Key {
    fn public_key(&self) -> PublicKey {
        Hex(self.0.verifying_key().to_bytes())
    }

    async fn sign(&self, message: &[u8]) -> Result<Hex<64>, String> {
        Ok(Hex(self.0.sign(message).to_bytes()))
    }
}

/// A store with three files, a chain of records and a signature.
async fn example(large: usize) -> Atlas {
    let atlas = TestRecords::default().open().await;
    let mut options = FileOptions::uploaded(ManifestType::Raw);
    options.tags = vec!["disk".into()];
    options.shared_with_assistant = true;
    let disk = atlas
        .store_file("disks/one", &bytes(1, large), options)
        .await
        .unwrap();
    let log = FileOptions::uploaded(ManifestType::Log);
    atlas
        .store_file("log", b"all is well", log.clone())
        .await
        .unwrap();
    atlas
        .store_file(
            "empty",
            b"",
            FileOptions {
                provenance: None,
                ..log
            },
        )
        .await
        .unwrap();
    let first = disk.provenance_id.unwrap();
    let statement = Statement {
        parents: vec![first],
        ..Statement::new(disk.manifest_hash, ProvenanceType::Attest, Actor::User, 9)
    };
    let last = atlas.add_provenance(&statement).await.unwrap().id;
    atlas
        .replace_content(&disk.id, disk.manifest_hash, Some(last))
        .await
        .unwrap();
    for record in [first, last] {
        atlas
            .sign(record, &Key(SigningKey::from_bytes(&[1; 32])))
            .await
            .unwrap();
    }
    atlas
}

fn names(atlas: &Atlas) -> Vec<String> {
    let files = atlas.list_files(&FileFilter::default());
    files.into_iter().map(|file| file.name).collect()
}

async fn export(atlas: &Atlas) -> Vec<u8> {
    let mut bundle = Vec::new();
    let written = atlas
        .export_bundle(&names(atlas), &mut bundle, &mut go_on)
        .await
        .unwrap();
    assert_eq!(written, bundle.len() as u64);
    bundle
}

async fn import(atlas: &Atlas, bundle: &Vec<u8>) -> Result<ImportResult, AtlasError> {
    let size = bundle.len() as u64;
    atlas
        .import_bundle(bundle, size, OnConflict::KeepBoth, &mut go_on)
        .await
}

fn small() -> Vec<u8> {
    block_on(async { export(&example(100).await).await })
}

#[test]
fn what_goes_out_comes_in_again_and_goes_out_the_same() {
    block_on(async {
        let atlas = example(2 * CHUNK + 3).await;
        let bundle = export(&atlas).await;
        let mut again = Vec::new();
        let mut twice = names(&atlas);
        twice.reverse();
        twice.push("log".into());
        atlas.export_bundle(&twice, &mut again, &mut go_on).await.unwrap();
        assert!(again == bundle);
        let database = TestRecords::default();
        let other = database.open().await;
        let result = import(&other, &bundle).await.unwrap();
        let outcomes = ["disks/one", "empty", "log"].map(|name| (name.to_owned(), Outcome::New));
        assert_eq!(result.files, outcomes);
        assert_eq!((result.records, result.signatures), (3, 2));
        assert_eq!(result.written, 2 * CHUNK as u64 + 3 + 11);
        let other = database.open().await;
        for file in atlas.list_files(&FileFilter::default()) {
            let copy = other.find(&file.name).unwrap();
            assert_eq!(copy.manifest_hash, file.manifest_hash);
            assert_eq!(
                (copy.kind, copy.size, &copy.tags),
                (file.kind, file.size, &file.tags)
            );
            assert_eq!(
                (copy.origin, copy.shared_with_assistant),
                (FileOrigin::Imported, false)
            );
            let (ours, theirs) = (
                atlas.read_file(&file.name).await,
                other.read_file(&file.name).await,
            );
            assert!(ours.unwrap() == theirs.unwrap());
            assert_eq!(copy.provenance_id, file.provenance_id);
            if let Some(record) = file.provenance_id {
                let theirs = other.provenance_chain(record).await.unwrap();
                assert_eq!(atlas.provenance_chain(record).await.unwrap(), theirs);
            }
        }
        assert!(export(&other).await == bundle);
        let result = import(&other, &bundle).await.unwrap();
        assert!(
            result
                .files
                .iter()
                .all(|(_, outcome)| *outcome == Outcome::AlreadyThere)
        );
        assert_eq!((result.written, result.records, result.signatures), (0, 0, 0));
        assert_eq!(names(&other).len(), 3);
    });
}

#[test]
fn the_bytes_of_a_bundle_stay_what_they_are() {
    assert_eq!(ContentHash::of(&small()).hex(), KNOWN);
}

/// Written down once; a bundle of another version must have another version's number.
const KNOWN: &str = "9caee8acdde244cae6914be68e4b5f7df4cb6b4a19426a12b2369f750e626e6c";

#[test]
fn an_empty_bundle_is_one() {
    block_on(async {
        let atlas = TestRecords::default().open().await;
        let bundle = export(&atlas).await;
        assert_eq!(import(&atlas, &bundle).await.unwrap(), ImportResult::default());
        let unknown = atlas
            .export_bundle(&["x".into()], &mut Vec::new(), &mut go_on)
            .await;
        assert!(matches!(unknown, Err(AtlasError::Unknown { .. })), "{unknown:?}");
    });
}

#[test]
fn files_of_the_same_name_are_both_kept_or_not() {
    let bundle = small();
    block_on(async {
        for on_conflict in [OnConflict::KeepOurs, OnConflict::KeepBoth] {
            let atlas = TestRecords::default().open().await;
            let ours = FileOptions::uploaded(ManifestType::Log);
            atlas.store_file("log", b"ours", ours.clone()).await.unwrap();
            atlas.store_file("log (2)", b"ours too", ours).await.unwrap();
            let size = bundle.len() as u64;
            let result = atlas
                .import_bundle(&bundle, size, on_conflict, &mut go_on)
                .await
                .unwrap();
            let kept_as = (on_conflict == OnConflict::KeepBoth).then(|| "log (3)".to_owned());
            let expected = Outcome::Conflicting {
                kept_as: kept_as.clone(),
            };
            assert_eq!(result.files[2], ("log".into(), expected));
            assert_eq!(atlas.read_file("log").await.unwrap().unwrap(), b"ours");
            if let Some(name) = kept_as {
                assert_eq!(atlas.read_file(&name).await.unwrap().unwrap(), b"all is well");
            }
        }
    });
}

#[test]
fn a_damaged_chunk_rejects_the_files_that_have_it() {
    let mut bundle = small();
    block_on(async {
        let place = bundle
            .windows(11)
            .position(|bytes| bytes == b"all is well")
            .unwrap();
        bundle[place] ^= 1;
        let atlas = TestRecords::default().open().await;
        let result = import(&atlas, &bundle).await.unwrap();
        let rejected = Outcome::Rejected {
            chunk: 0,
            expected: ContentHash::of(b"all is well"),
            found: ContentHash::of(&bundle[place..place + 11]),
        };
        assert_eq!(result.files[2], ("log".into(), rejected));
        assert_eq!(names(&atlas), ["disks/one", "empty"]);
        assert_eq!(atlas.verify_all(&mut go_on).await.unwrap().faults, []);
    });
}

#[test]
fn a_cancelled_import_leaves_nothing() {
    block_on(async {
        let bundle = export(&example(3 * CHUNK).await).await;
        let atlas = TestRecords::default().open().await;
        let size = bundle.len() as u64;
        let mut watch = |progress: Progress| match progress.done > size / 2 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let result = atlas
            .import_bundle(&bundle, size, OnConflict::KeepOurs, &mut watch)
            .await;
        assert_eq!(result, Err(AtlasError::Cancelled));
        assert_eq!(names(&atlas), [""; 0]);
        assert!(atlas.collect(&mut go_on).await.unwrap().chunks > 0);
        assert_eq!(atlas.usage().await.unwrap().quota.used, 0);
    });
}

/// Imports what may be no bundle: whatever comes of it, the store is whole, and has what it had.
fn check(bundle: &Vec<u8>) -> Result<ImportResult, AtlasError> {
    block_on(async {
        let database = TestRecords::default();
        let atlas = database.open().await;
        let ours = FileOptions::uploaded(ManifestType::Log);
        atlas.store_file("log", b"ours", ours).await.unwrap();
        let result = import(&atlas, bundle).await;
        assert_eq!(atlas.verify_all(&mut go_on).await.unwrap().faults, []);
        assert_eq!(atlas.read_file("log").await.unwrap().unwrap(), b"ours");
        let names = names(&database.open().await);
        if let Err(error) = &result {
            assert_eq!(names, ["log"], "{error}");
        }
        for name in names {
            if let Some(record) = atlas.find(&name).unwrap().provenance_id {
                atlas.provenance_chain(record).await.unwrap();
            }
        }
        result
    })
}

#[test]
fn a_bundle_that_is_cut_anywhere_is_refused() {
    let bundle = small();
    for length in 0..bundle.len() {
        check(&bundle[..length].to_vec()).unwrap_err();
    }
    let mut longer = bundle.clone();
    longer.push(0);
    check(&longer).unwrap_err();
    check(&[bundle.clone(), bundle].concat()).unwrap_err();
}

#[test]
fn a_flipped_bit_is_never_taken_in() {
    let bundle = small();
    for place in 0..bundle.len() {
        let mut bundle = bundle.clone();
        bundle[place] ^= 1 << (place % 8);
        match check(&bundle) {
            Err(_) => (),
            Ok(result) => {
                let rejected =
                    |(_, outcome): &&(String, Outcome)| matches!(outcome, Outcome::Rejected { .. });
                assert_eq!(result.files.iter().filter(rejected).count(), 1, "byte {place}");
            }
        }
    }
}

/// The records of a bundle: tags and bytes.
fn records(bundle: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
    let (mut rest, mut records) = (&bundle[8..], Vec::new());
    while let Some((head, after)) = rest.split_first_chunk::<12>() {
        let length = u64::from_le_bytes(head[4..].try_into().unwrap()) as usize;
        records.push((head[..4].try_into().unwrap(), after[..length].to_vec()));
        rest = &after[length..];
    }
    records
}

/// A bundle of records, with an end that fits.
fn sealed(records: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut bundle = b"QWAB\x01\0\0\0".to_vec();
    let mut hash = Sha256::new();
    hash.update(&bundle);
    let mut counts = [0_u64; 5];
    for (tag, bytes) in records.iter().filter(|(tag, _)| tag != b"ENDS") {
        let head = [&tag[..], &(bytes.len() as u64).to_le_bytes()].concat();
        hash.update(&head);
        if tag != b"CHNK" {
            hash.update(bytes);
        }
        let place = [b"MANI", b"PROV", b"SIGN", b"FILE", b"CHNK"]
            .iter()
            .position(|known| *known == tag);
        counts[place.unwrap_or(0)] += 1;
        bundle.extend(head);
        bundle.extend(bytes);
    }
    bundle.extend(b"ENDS");
    bundle.extend(72_u64.to_le_bytes());
    bundle.extend(counts.iter().flat_map(|count| count.to_le_bytes()));
    bundle.extend(hash.finalize());
    bundle
}

#[test]
fn records_without_each_other_and_in_another_order_are_refused() {
    let bundle = small();
    let whole = records(&bundle);
    assert_eq!(sealed(&whole), bundle);
    let all_but_end = whole.len() - 1;
    for place in 0..all_but_end {
        let mut less = whole.clone();
        let (tag, _) = less.remove(place);
        // A signature, or a file without content and history, is no part of anything else.
        if &tag != b"SIGN" {
            check(&sealed(&less)).unwrap_err();
        }
        let mut more = whole.clone();
        more.insert(place, whole[place].clone());
        check(&sealed(&more)).unwrap_err();
        if place + 1 < all_but_end {
            let mut other = whole.clone();
            other.swap(place, place + 1);
            check(&sealed(&other)).unwrap_err();
        }
    }
}

#[test]
fn a_forged_signature_stays_out_and_is_told() {
    let mut records = records(&small());
    let signature = records.iter_mut().find(|(tag, _)| tag == b"SIGN").unwrap();
    let text = String::from_utf8(signature.1[32..].to_vec()).unwrap();
    let place = 32 + text.find("\"signature\":\"").unwrap() + 13;
    signature.1[place] = if signature.1[place] == b'0' { b'1' } else { b'0' };
    let result = check(&sealed(&records)).unwrap();
    assert_eq!((result.signatures, result.rejected_signatures.len()), (1, 1));
}

#[test]
fn sizes_that_nobody_has_take_no_memory() {
    for tag in [b"MANI", b"PROV", b"SIGN", b"FILE", b"CHNK", b"ENDS"] {
        for length in [0, 1, 64 << 20, (64 << 20) + 1, u64::from(u32::MAX), u64::MAX] {
            let bundle = [&b"QWAB\x01\0\0\0"[..], tag, &length.to_le_bytes(), b"{}"].concat();
            check(&bundle).unwrap_err();
        }
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let whole = records(&small());
    let place = whole.iter().rposition(|(tag, _)| tag == b"FILE").unwrap();
    for name in ["../log", "/log", "", "lo\\u0000g", "log\\\\x"] {
        let mut records = whole.clone();
        let text = String::from_utf8(records[place].1.clone()).unwrap();
        records[place].1 = text.replace("\"log\"", &format!("\"{name}\"")).into_bytes();
        assert_ne!(records, whole);
        let refused = check(&sealed(&records));
        assert!(
            matches!(refused, Err(AtlasError::Malformed { .. })),
            "{name}: {refused:?}"
        );
    }
}

thread_local! {
    static SMALL: Vec<u8> = small();
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes).unwrap_err();
        check(&[&b"QWAB\x01\0\0\0"[..], &bytes].concat()).unwrap_err();
    }

    #[test]
    fn bundles_that_were_changed_are_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut: Option<prop::sample::Index>,
        is_sealed: bool,
    ) {
        let mut bundle = SMALL.with(Clone::clone);
        if is_sealed {
            let mut records = records(&bundle);
            for (place, byte) in changes {
                let count = records.len();
                let bytes = &mut records[place.index(count)].1;
                if !bytes.is_empty() {
                    let at = usize::from(byte) * 7 % bytes.len();
                    bytes[at] = byte;
                }
            }
            bundle = sealed(&records);
        } else {
            for (place, byte) in changes {
                let at = place.index(bundle.len());
                bundle[at] = byte;
            }
            if let Some(cut) = cut {
                let at = cut.index(bundle.len());
                bundle.truncate(at);
            }
        }
        let _ = check(&bundle);
    }
}

#[test]
fn a_bundle_file_has_one_encoding() {
    let file = qemuweb_atlas::bundle::BundleFile {
        name: "a".into(),
        manifest_hash: ContentHash::of(b""),
        tags: Vec::new(),
        provenance_id: None,
    };
    let text = String::from_utf8(file.encode().unwrap()).unwrap();
    assert_eq!(
        text,
        format!("{{\"manifestHash\":\"{}\",\"name\":\"a\"}}", ContentHash::of(b""))
    );
}
