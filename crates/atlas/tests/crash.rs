//! The power goes between any two transactions: what was registered is there and whole, and nothing is half.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use futures_executor::block_on;
use proptest::prelude::*;
use qemuweb_atlas::bundle::OnConflict;
use qemuweb_atlas::error::AtlasError;
use qemuweb_atlas::manifest::{CHUNK, ManifestType};
use qemuweb_atlas::metadata::FileFilter;
use qemuweb_atlas::records::{Page, Records, Table};
use qemuweb_atlas::store::{Atlas, FileOptions};
use support::{TestRecords, bytes, go_on};

/// What is done. Names and contents are few, so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Store(u8, u8),
    Delete(u8),
    Undelete(u8),
    Rename(u8, u8),
    Replace(u8, u8),
    Purge,
    Pin(u8),
    Unpin,
    Collect,
    Import(u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let (name, content) = (0..4_u8, 0..5_u8);
    prop_oneof![
        4 => (name.clone(), content.clone()).prop_map(|(name, content)| Step::Store(name, content)),
        2 => name.clone().prop_map(Step::Delete),
        1 => name.clone().prop_map(Step::Undelete),
        1 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => (name.clone(), content.clone()).prop_map(|(name, content)| Step::Replace(name, content)),
        1 => Just(Step::Purge),
        1 => name.clone().prop_map(Step::Pin),
        1 => Just(Step::Unpin),
        3 => Just(Step::Collect),
        2 => (name, content).prop_map(|(name, content)| Step::Import(name, content)),
    ]
}

/// Contents share chunks: the first is that of many, the last is their own.
fn content(number: u8) -> Vec<u8> {
    match number {
        0 => Vec::new(),
        number => {
            let mut content = vec![number / 3; CHUNK];
            content.extend(bytes(number.into(), 100));
            content
        }
    }
}

fn name(number: u8) -> String {
    format!("file {number}")
}

fn raw() -> FileOptions {
    FileOptions::uploaded(ManifestType::Raw)
}

/// Does a step as far as it can be done, and returns why it could not.
async fn act(atlas: &Atlas, step: &Step, bundles: &[Vec<u8>]) -> Result<(), AtlasError> {
    let id = |number: u8| {
        atlas
            .find(&name(number))
            .map_or_else(|| "none".into(), |file| file.id)
    };
    match step {
        Step::Store(file, number) => {
            let stored = atlas.store_file(&name(*file), &content(*number), raw()).await;
            stored.map(drop)
        }
        Step::Delete(file) => atlas.delete(&id(*file)).await,
        Step::Undelete(file) => {
            let deleted = atlas.list_deleted();
            let file = deleted.iter().find(|deleted| deleted.name == name(*file));
            match file {
                Some(file) => atlas.undelete(&file.id, None).await.map(drop),
                None => Ok(()),
            }
        }
        Step::Rename(from, to) => atlas.rename(&id(*from), &name(*to)).await.map(drop),
        Step::Replace(file, number) => {
            let mut put = atlas.put();
            put.write(&content(*number)).await?;
            let (manifest, _hold) = put.finish(&raw()).await?;
            atlas.replace_content(&id(*file), manifest, None).await.map(drop)
        }
        Step::Purge => atlas.purge_deleted(u64::MAX).await.map(drop),
        Step::Pin(file) => match atlas.find(&name(*file)) {
            Some(file) => atlas.pin(file.manifest_hash, "vm").await,
            None => Ok(()),
        },
        Step::Unpin => atlas.unpin("vm").await,
        Step::Collect => atlas.collect(&mut go_on).await.map(drop),
        Step::Import(file, number) => {
            let bundle = &bundles[usize::from(*file) * 5 + usize::from(*number)];
            let size = bundle.len() as u64;
            let imported = atlas
                .import_bundle(bundle, size, OnConflict::KeepBoth, &mut go_on)
                .await;
            imported.map(drop)
        }
    }
}

/// Names with contents, and the same of what was deleted, the latest last.
type State = (BTreeMap<String, Vec<u8>>, Vec<(String, Vec<u8>)>);

async fn state(atlas: &Atlas) -> State {
    let mut files = BTreeMap::new();
    for file in atlas.list_files(&FileFilter::default()) {
        let content = atlas.read_file(&file.name).await.unwrap().unwrap();
        assert_eq!(content.len() as u64, file.size);
        if let Some(record) = file.provenance_id {
            atlas.provenance_chain(record).await.unwrap();
        }
        files.insert(file.name, content);
    }
    let mut deleted = Vec::new();
    for file in atlas.list_deleted().into_iter().rev() {
        deleted.push((file.name.clone(), read(atlas, file.manifest_hash).await));
    }
    for (manifest, _) in atlas.pins().await.unwrap() {
        read(atlas, manifest).await;
    }
    (files, deleted)
}

async fn read(atlas: &Atlas, manifest: qemuweb_atlas::hash::ContentHash) -> Vec<u8> {
    let reader = atlas.open_content("some file", manifest).await.unwrap();
    let mut content = Vec::new();
    reader.copy_to(&mut content, &mut go_on).await.unwrap();
    content
}

async fn keys(database: &TestRecords, table: Table) -> BTreeSet<String> {
    let all = Page {
        prefix: String::new(),
        after: None,
        most: usize::MAX,
    };
    database
        .records
        .keys(table, &all)
        .await
        .unwrap()
        .into_iter()
        .collect()
}

/// A bundle for each name and content.
async fn bundles() -> Vec<Vec<u8>> {
    let mut bundles = Vec::new();
    for file in 0..4 {
        for number in 0..5 {
            let atlas = TestRecords::default().open().await;
            atlas
                .store_file(&name(file), &content(number), raw())
                .await
                .unwrap();
            let mut bundle = Vec::new();
            atlas
                .export_bundle(&[name(file)], &mut bundle, &mut go_on)
                .await
                .unwrap();
            bundles.push(bundle);
        }
    }
    bundles
}

thread_local! {
    static BUNDLES: Vec<Vec<u8>> = block_on(bundles());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_was_registered_survives(
        steps in prop::collection::vec(step(), 1..16),
        crashes in prop::collection::vec((0..16_u32, any::<bool>()), 1..4),
    ) {
        let bundles = BUNDLES.with(Clone::clone);
        block_on(async {
            let database = TestRecords::default();
            let mut crashes = crashes.into_iter();
            let mut atlas = database.open().await;
            let mut crash = crashes.next();
            for step in &steps {
                let before = state(&atlas).await;
                if let Some((commits, makes_last)) = crash {
                    database.commits.set(Some(commits + 1));
                    database.makes_last.set(makes_last);
                    database.count.set(0);
                }
                let done = act(&atlas, step, &bundles).await;
                let is_off = database.commits.get() == Some(0);
                database.commits.set(None);
                if is_off {
                    // The power has gone: another start of the browser.
                    atlas = database.open().await;
                    crash = crashes.next();
                } else {
                    crash = crash.map(|(commits, last)| (commits - database.count.get().min(commits), last));
                }
                let after = state(&atlas).await;
                let is_quiet = matches!(step, Step::Collect | Step::Pin(_) | Step::Unpin) || done.is_err();
                if is_quiet && !is_off {
                    assert_eq!(before, after);
                }
                if is_off && after != before {
                    // Then all of it was done: the same step on what was before leads to the same.
                    let same = TestRecords::default();
                    let other = same.open().await;
                    repeat(&other, &before).await;
                    act(&other, step, &bundles).await.unwrap();
                    assert_eq!(state(&other).await, after, "{step:?} was done by half");
                }
                assert_eq!(atlas.verify_all(&mut go_on).await.unwrap().faults, []);
                // Whatever was cut off, what a manifest names is there: somebody may register it.
                let chunks = keys(&database, Table::Chunks).await;
                for manifest in keys(&database, Table::Manifests).await {
                    for chunk in atlas.manifest(manifest.parse().unwrap()).await.unwrap().chunks {
                        assert!(chunks.contains(&chunk.hash.to_string()), "{manifest} lost {chunk:?}");
                    }
                }
            }
            // What nothing refers to goes, all of it, and nothing else.
            let before = state(&atlas).await;
            atlas.collect(&mut go_on).await.unwrap();
            assert_eq!(state(&atlas).await, before);
            let atlas = database.open().await;
            assert_eq!(state(&atlas).await, before);
            let (mut manifests, mut chunks) = (BTreeSet::new(), BTreeSet::new());
            let files = atlas.list_files(&FileFilter::default()).into_iter().chain(atlas.list_deleted());
            let pins = atlas.pins().await.unwrap().into_iter().map(|(manifest, _)| manifest);
            for hash in files.map(|file| file.manifest_hash).chain(pins).collect::<Vec<_>>() {
                manifests.insert(hash.to_string());
                let manifest = atlas.manifest(hash).await.unwrap();
                chunks.extend(manifest.chunks.iter().map(|chunk| chunk.hash.to_string()));
            }
            assert_eq!(keys(&database, Table::Manifests).await, manifests);
            assert_eq!(keys(&database, Table::Chunks).await, chunks);
        });
    }
}

/// Makes a store with these files and deleted files.
async fn repeat(atlas: &Atlas, state: &State) {
    for (name, content) in &state.1 {
        let file = atlas.store_file(name, content, raw()).await.unwrap();
        atlas.delete(&file.id).await.unwrap();
    }
    for (name, content) in &state.0 {
        atlas.store_file(name, content, raw()).await.unwrap();
    }
}
