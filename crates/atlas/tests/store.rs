//! What a store does while nothing goes wrong, and when bytes, room and people do.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod support;

use std::ops::ControlFlow;

use futures_executor::{LocalPool, block_on};
use futures_util::future::{join, join_all};
use qemuweb_atlas::error::{AtlasError, Found, StoreError};
use qemuweb_atlas::hash::ContentHash;
use qemuweb_atlas::manifest::{CHUNK, ManifestType};
use qemuweb_atlas::metadata::{FileFilter, FileOrigin};
use qemuweb_atlas::records::Table;
use qemuweb_atlas::store::{Fault, FileOptions};
use qemuweb_storage::transfer::Progress;
use support::{TestRecords, bytes, go_on, yields};

fn raw() -> FileOptions {
    FileOptions::uploaded(ManifestType::Raw)
}

#[test]
fn a_file_is_read_as_it_was_stored() {
    block_on(async {
        let database = TestRecords::default();
        let atlas = database.open().await;
        for (index, size) in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7]
            .into_iter()
            .enumerate()
        {
            let content = bytes(index as u64, size);
            let name = format!("files/{size}");
            let file = atlas.store_file(&name, &content, raw()).await.unwrap();
            assert_eq!(file.size, size as u64);
            let atlas = database.open().await;
            assert_eq!(atlas.find(&name).unwrap(), file);
            assert!(atlas.read_file(&name).await.unwrap().unwrap() == content);
            let reader = atlas.open_file(&file.id).await.unwrap();
            let mut copy = Vec::new();
            reader.copy_to(&mut copy, &mut go_on).await.unwrap();
            assert!(copy == content);
            for (offset, length) in [
                (0, size / 2),
                (size / 3, size / 3),
                (size.saturating_sub(9), 9.min(size)),
            ] {
                let mut part = vec![0; length];
                reader.read(offset as u64, &mut part).await.unwrap();
                assert!(part == content[offset..offset + length]);
            }
            let beyond = reader.read(size as u64, &mut [0]).await;
            assert!(matches!(beyond, Err(AtlasError::OutOfRange { .. })), "{beyond:?}");
            let beyond = reader.read(u64::MAX, &mut [0]).await;
            assert!(matches!(beyond, Err(AtlasError::OutOfRange { .. })), "{beyond:?}");
        }
        assert_eq!(atlas.read_file("nothing").await.unwrap(), None);
    });
}

#[test]
fn pieces_of_any_size_make_the_same_file() {
    block_on(async {
        let atlas = TestRecords::default().open().await;
        let content = bytes(1, 2 * CHUNK + 12345);
        let whole = atlas.store_file("whole", &content, raw()).await.unwrap();
        for piece in [70_001, CHUNK, CHUNK + 1, content.len()] {
            let mut put = atlas.put();
            for bytes in content.chunks(piece) {
                put.write(bytes).await.unwrap();
            }
            assert_eq!(put.received(), content.len() as u64);
            assert_eq!(put.written(), 0);
            let file = put.register(&format!("by {piece}"), raw()).await.unwrap();
            assert_eq!(file.manifest_hash, whole.manifest_hash);
        }
    });
}

#[test]
fn what_is_nearly_the_same_shares_its_chunks() {
    block_on(async {
        let database = TestRecords::default();
        let atlas = database.open().await;
        let mut content = bytes(7, 5 * CHUNK);
        atlas.store_file("one", &content, raw()).await.unwrap();
        content[CHUNK + 17] ^= 1;
        let two = atlas.store_file("two", &content, raw()).await.unwrap();
        let usage = atlas.usage().await.unwrap();
        assert_eq!((usage.files, usage.chunks), (2, 6));
        assert_eq!(usage.saved(), 4 * CHUNK as u64);
        atlas.delete(&two.id).await.unwrap();
        let usage = atlas.usage().await.unwrap();
        assert_eq!((usage.deleted, usage.deleted_only), (1, CHUNK as u64));
        assert_eq!(usage.stored, 5 * CHUNK as u64);
        assert!(usage.quota.used > usage.stored);
    });
}

#[test]
fn blobs_last_as_long_as_they_are_held() {
    block_on(async {
        let atlas = TestRecords::default().open().await;
        let hold = atlas.hold();
        let hash = atlas.put_blob(b"bytes".to_vec(), &hold).await.unwrap();
        assert_eq!(hash, ContentHash::of(b"bytes"));
        atlas.collect(&mut go_on).await.unwrap();
        assert_eq!(atlas.get_blob(hash).await.unwrap().unwrap(), b"bytes");
        drop(hold);
        assert_eq!(atlas.collect(&mut go_on).await.unwrap().chunks, 1);
        assert_eq!(atlas.get_blob(hash).await.unwrap(), None);
        let large = atlas.put_blob(vec![0; CHUNK + 1], &atlas.hold()).await;
        assert!(matches!(large, Err(AtlasError::TooLarge { .. })), "{large:?}");
    });
}

#[test]
fn files_are_found_renamed_tagged_and_shared() {
    block_on(async {
        let database = TestRecords::default();
        let atlas = database.open().await;
        let mut options = FileOptions::uploaded(ManifestType::Kernel);
        options.tags = vec!["linux".into(), "Arm".into(), "linux".into()];
        let kernel = atlas
            .store_file("boot/vmlinuz", b"kernel", options)
            .await
            .unwrap();
        assert_eq!(kernel.tags, ["Arm", "linux"]);
        let log = FileOptions {
            origin: FileOrigin::Generated,
            ..FileOptions::uploaded(ManifestType::Log)
        };
        let log = atlas.store_file("Notes", b"log", log).await.unwrap();
        let taken = atlas.rename(&log.id, "boot/vmlinuz").await;
        assert_eq!(
            taken,
            Err(AtlasError::NameTaken {
                name: "boot/vmlinuz".into()
            })
        );
        let taken = atlas.store_file("Notes", b"x", raw()).await;
        assert!(matches!(taken, Err(AtlasError::NameTaken { .. })), "{taken:?}");
        for bad in [
            "",
            "/x",
            "x/",
            "a//b",
            "..",
            "a/../b",
            ".",
            "a\\b",
            "a\nb",
            "a\0",
            &"x".repeat(1025),
        ] {
            let renamed = atlas.rename(&log.id, bad).await;
            assert!(
                matches!(renamed, Err(AtlasError::Invalid(_))),
                "{bad:?}: {renamed:?}"
            );
        }
        atlas.rename(&log.id, "Ärger").await.unwrap();
        atlas.tag(&log.id, vec!["b".into(), "a".into()]).await.unwrap();
        atlas.tag(&log.id, vec![" a".into()]).await.unwrap_err();
        atlas.share_with_assistant(&log.id, true).await.unwrap();
        let copy = atlas
            .register_file("copy", kernel.manifest_hash, raw())
            .await
            .unwrap();
        assert_eq!((copy.kind, copy.size), (ManifestType::Kernel, 6));
        let atlas = database.open().await;
        let names = |filter: FileFilter| -> Vec<String> {
            atlas
                .list_files(&filter)
                .into_iter()
                .map(|file| file.name)
                .collect()
        };
        assert_eq!(names(FileFilter::default()), ["boot/vmlinuz", "copy", "Ärger"]);
        let text = |text: &str| FileFilter {
            text: text.into(),
            ..FileFilter::default()
        };
        assert_eq!(names(text("VMLINUZ arm")), ["boot/vmlinuz"]);
        assert_eq!(names(text("äRGER")), ["Ärger"]);
        assert_eq!(names(text("vmlinuz b")), ["boot/vmlinuz"]);
        assert_eq!(names(text("vmlinuz x86")), [""; 0]);
        let tags = |tags: &[&str]| FileFilter {
            tags: tags.iter().map(|tag| (*tag).into()).collect(),
            ..FileFilter::default()
        };
        assert_eq!(names(tags(&["a", "b"])), ["Ärger"]);
        assert_eq!(names(tags(&["a", "linux"])), [""; 0]);
        let shared = FileFilter {
            shared_with_assistant: Some(true),
            ..FileFilter::default()
        };
        assert_eq!(names(shared), ["Ärger"]);
        let kinds = FileFilter {
            kinds: vec![ManifestType::Kernel],
            ..FileFilter::default()
        };
        assert_eq!(names(kinds), ["boot/vmlinuz", "copy"]);
        let origins = FileFilter {
            origins: vec![FileOrigin::Generated],
            ..FileFilter::default()
        };
        assert_eq!(names(origins), ["Ärger"]);
        let content = FileFilter {
            manifest_hash: Some(copy.manifest_hash),
            ..FileFilter::default()
        };
        assert_eq!(names(content), ["boot/vmlinuz", "copy"]);
    });
}

#[test]
fn what_was_deleted_comes_back_until_it_is_purged() {
    block_on(async {
        let database = TestRecords::default();
        let atlas = database.open().await;
        let file = atlas.store_file("a", b"first", raw()).await.unwrap();
        // Two panels delete it.
        let (one, two) = join(atlas.delete(&file.id), atlas.delete(&file.id)).await;
        assert_eq!((one, two), (Ok(()), Ok(())));
        assert_eq!(atlas.find("a"), None);
        let other = atlas.store_file("a", b"second", raw()).await.unwrap();
        atlas.collect(&mut go_on).await.unwrap();
        let atlas = database.open().await;
        assert_eq!(atlas.list_deleted().len(), 1);
        let taken = atlas.undelete(&file.id, None).await;
        assert!(matches!(taken, Err(AtlasError::NameTaken { .. })), "{taken:?}");
        atlas.undelete(&file.id, Some("b")).await.unwrap();
        assert_eq!(atlas.read_file("b").await.unwrap().unwrap(), b"first");
        atlas.delete(&other.id).await.unwrap();
        assert_eq!(atlas.purge_deleted(0).await.unwrap(), 0);
        assert_eq!(atlas.purge_deleted(u64::MAX).await.unwrap(), 1);
        let collected = atlas.collect(&mut go_on).await.unwrap();
        assert_eq!((collected.manifests, collected.chunks), (1, 1));
        let gone = atlas.undelete(&other.id, None).await;
        assert!(matches!(gone, Err(AtlasError::Unknown { .. })), "{gone:?}");
        assert!(matches!(
            atlas.delete(&other.id).await,
            Err(AtlasError::Unknown { .. })
        ));
    });
}

#[test]
fn pins_and_readers_keep_what_is_gone_otherwise() {
    block_on(async {
        let database = TestRecords::default();
        let atlas = database.open().await;
        let content = bytes(3, CHUNK + 5);
        let file = atlas.store_file("disk", &content, raw()).await.unwrap();
        atlas.pin(file.manifest_hash, "vm:1").await.unwrap();
        let pinned_nothing = atlas.pin(ContentHash::of(b""), "vm:1").await;
        assert!(matches!(pinned_nothing, Err(AtlasError::Unknown { .. })));
        atlas.delete(&file.id).await.unwrap();
        atlas.purge_deleted(u64::MAX).await.unwrap();
        let atlas = database.open().await;
        atlas.collect(&mut go_on).await.unwrap();
        let reader = atlas.open_content("disk", file.manifest_hash).await.unwrap();
        atlas.unpin("vm:2").await.unwrap();
        atlas.unpin("vm:1").await.unwrap();
        assert_eq!(atlas.collect(&mut go_on).await.unwrap().chunks, 0);
        let mut copy = Vec::new();
        reader.copy_to(&mut copy, &mut go_on).await.unwrap();
        assert!(copy == content);
        drop(reader);
        assert_eq!(atlas.collect(&mut go_on).await.unwrap().chunks, 2);
    });
}

#[test]
fn a_flipped_bit_is_found_told_and_mended() {
    block_on(async {
        let database = TestRecords::default();
        let atlas = database.open().await;
        let content = bytes(9, 3 * CHUNK);
        let file = atlas.store_file("a", &content, raw()).await.unwrap();
        atlas.store_file("b", &content[CHUNK..], raw()).await.unwrap();
        assert_eq!(atlas.verify_all(&mut go_on).await.unwrap().faults, []);
        let chunk = atlas.manifest(file.manifest_hash).await.unwrap().chunks[2].hash;
        let key = chunk.to_string();
        let mut wrong = content[2 * CHUNK..].to_vec();
        wrong[77] ^= 4;
        assert!(
            database
                .records
                .damage(Table::Chunks, &key, |bytes| bytes[77] ^= 4)
        );
        let verified = atlas.verify_all(&mut go_on).await.unwrap();
        assert_eq!((verified.files, verified.chunks), (2, 3));
        let found = |fault: &Fault| match fault {
            Fault::Chunk(damage) => (
                damage.file.clone(),
                damage.chunk,
                damage.expected,
                damage.found.clone(),
            ),
            Fault::Manifest { .. } => panic!("{fault:?}"),
        };
        let faults: Vec<_> = verified.faults.iter().map(found).collect();
        let other = Found::Other(ContentHash::of(&wrong));
        assert_eq!(
            faults,
            [
                ("a".into(), 2, chunk, other.clone()),
                ("b".into(), 1, chunk, other)
            ]
        );
        let read = atlas.read_file("a").await;
        assert!(matches!(read, Err(AtlasError::Damaged(_))), "{read:?}");
        // Who stores the same bytes again mends them all.
        atlas.store_file("again", &content, raw()).await.unwrap();
        assert_eq!(atlas.verify_all(&mut go_on).await.unwrap().faults, []);
        assert!(database.records.lose(Table::Chunks, &key));
        let one = atlas.verify(&file.id, &mut go_on).await.unwrap();
        assert_eq!(found(&one.faults[0]), ("a".into(), 2, chunk, Found::Nothing));
        database
            .records
            .damage(Table::Manifests, &file.manifest_hash.to_string(), |bytes| {
                bytes[40] ^= 1
            });
        let one = atlas.verify(&file.id, &mut go_on).await.unwrap();
        assert!(matches!(&one.faults[..], [Fault::Manifest { .. }]), "{one:?}");
        // Nobody knows which chunks are its: none goes.
        atlas.collect(&mut go_on).await.unwrap_err();
    });
}

#[test]
fn a_full_database_loses_nothing() {
    block_on(async {
        let database = TestRecords::default();
        let atlas = database.open().await;
        let content = bytes(5, CHUNK);
        let file = atlas.store_file("a", &content, raw()).await.unwrap();
        database.records.set_quota(Some(2 * CHUNK as u64));
        let full = atlas.store_file("b", &bytes(6, 2 * CHUNK), raw()).await;
        assert!(
            matches!(full, Err(AtlasError::Store(StoreError::NoSpace { .. }))),
            "{full:?}"
        );
        assert_eq!(
            atlas.list_files(&FileFilter::default()),
            std::slice::from_ref(&file)
        );
        atlas.collect(&mut go_on).await.unwrap();
        atlas.delete(&file.id).await.unwrap();
        atlas.undelete(&file.id, None).await.unwrap();
        assert!(atlas.read_file("a").await.unwrap().unwrap() == content);
        atlas.store_file("small", b"small", raw()).await.unwrap();
        assert_eq!(atlas.verify_all(&mut go_on).await.unwrap().faults, []);
    });
}

#[test]
fn a_put_that_is_cancelled_leaves_nothing() {
    block_on(async {
        let atlas = TestRecords::default().open().await;
        let content = bytes(5, 3 * CHUNK);
        let mut seen = Vec::new();
        let mut watch = |progress: Progress| {
            seen.push(progress);
            match progress.done > 2 * CHUNK as u64 {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let size = content.len() as u64;
        let stored = atlas.store_source("a", &content, size, raw(), &mut watch).await;
        assert_eq!(stored, Err(AtlasError::Cancelled));
        assert!(
            seen.iter().all(|progress| progress.total == size) && seen.len() > 4,
            "{seen:?}"
        );
        assert_eq!(atlas.list_files(&FileFilter::default()), []);
        let collected = atlas.collect(&mut go_on).await.unwrap();
        assert!((1..=2).contains(&collected.chunks), "{collected:?}");
        atlas
            .store_source("a", &content, size, raw(), &mut go_on)
            .await
            .unwrap();
        assert!(atlas.read_file("a").await.unwrap().unwrap() == content);
    });
}

#[test]
fn collections_beside_puts_take_nothing_that_is_needed() {
    let mut pool = LocalPool::new();
    pool.run_until(async {
        let database = TestRecords::default();
        let atlas = database.open().await;
        let contents: Vec<Vec<u8>> = (0..6).map(|seed| bytes(seed, 10_000)).collect();
        // The same content comes, goes and comes again while others collect.
        let people = (0..4_usize).map(|person| {
            let (atlas, contents) = (&atlas, &contents);
            async move {
                for round in 0..60 {
                    let content = &contents[(person * 5 + round * 7) % 6];
                    let file = atlas
                        .store_file(&format!("{person}-{round}"), content, raw())
                        .await
                        .unwrap();
                    let reader = atlas.open_file(&file.id).await.unwrap();
                    if round < 59 {
                        atlas.delete(&file.id).await.unwrap();
                        atlas.purge_deleted(u64::MAX).await.unwrap();
                    }
                    let mut copy = Vec::new();
                    reader.copy_to(&mut copy, &mut go_on).await.unwrap();
                    assert!(copy == *content);
                }
            }
        });
        let collector = async {
            let mut gone = 0;
            for _ in 0..200 {
                gone += atlas.collect(&mut go_on).await.unwrap().chunks;
            }
            gone
        };
        let (_, gone) = join(join_all(people), collector).await;
        assert!(gone > 0, "nothing was ever collected: the test shows nothing");
        assert_eq!(atlas.verify_all(&mut go_on).await.unwrap().faults, []);
    });
}

#[test]
fn content_may_come_again_at_any_moment_of_its_collection() {
    for delay in 0..150 {
        let mut pool = LocalPool::new();
        pool.run_until(async {
            let database = TestRecords::default();
            let atlas = database.open().await;
            let content = bytes(delay.into(), 1000);
            let file = atlas.store_file("first", &content, raw()).await.unwrap();
            atlas.delete(&file.id).await.unwrap();
            atlas.purge_deleted(u64::MAX).await.unwrap();
            let again = async {
                yields(delay).await;
                atlas.store_file("again", &content, raw()).await.unwrap();
            };
            let (collected, ()) = join(atlas.collect(&mut go_on), again).await;
            collected.unwrap();
            assert_eq!(
                atlas.verify_all(&mut go_on).await.unwrap().faults,
                [],
                "after {delay}"
            );
        });
    }
}
