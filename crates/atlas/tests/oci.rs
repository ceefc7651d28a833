//! OCI archives: what skopeo takes, and what others send.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod support;

use std::path::Path;
use std::process::Command;

use futures_executor::block_on;
use proptest::prelude::*;
use qemuweb_atlas::bundle::{ImportResult, OnConflict, Outcome};
use qemuweb_atlas::error::AtlasError;
use qemuweb_atlas::hash::ContentHash;
use qemuweb_atlas::manifest::{CHUNK, ManifestType};
use qemuweb_atlas::metadata::FileFilter;
use qemuweb_atlas::store::{Atlas, FileOptions};
use support::{TestRecords, bytes, go_on};

async fn example(large: usize) -> Atlas {
    let atlas = TestRecords::default().open().await;
    let mut options = FileOptions::uploaded(ManifestType::Kernel);
    options.mime_type = Some("application/x-kernel".into());
    atlas
        .store_file("boot/kernel", &bytes(1, large), options)
        .await
        .unwrap();
    let log = FileOptions::uploaded(ManifestType::Log);
    atlas
        .store_file("log", b"all is well", log.clone())
        .await
        .unwrap();
    // The same bytes are one blob.
    atlas.store_file("log too", b"all is well", log).await.unwrap();
    atlas
}

async fn export(atlas: &Atlas) -> Vec<u8> {
    let names: Vec<String> = files(atlas).into_iter().map(|(name, _)| name).collect();
    let mut archive = Vec::new();
    atlas
        .export_oci(&names, "latest", &mut archive, &mut go_on)
        .await
        .unwrap();
    archive
}

async fn import(atlas: &Atlas, archive: &Vec<u8>) -> Result<ImportResult, AtlasError> {
    let size = archive.len() as u64;
    atlas
        .import_oci(archive, size, OnConflict::KeepBoth, &mut go_on)
        .await
}

fn files(atlas: &Atlas) -> Vec<(String, ContentHash)> {
    let files = atlas.list_files(&FileFilter::default());
    files
        .into_iter()
        .map(|file| (file.name, file.manifest_hash))
        .collect()
}

#[test]
fn what_goes_out_comes_in_again() {
    block_on(async {
        let atlas = example(2 * CHUNK + 3).await;
        let archive = export(&atlas).await;
        assert!(export(&atlas).await == archive);
        let other = TestRecords::default().open().await;
        let result = import(&other, &archive).await.unwrap();
        assert!(
            result.files.iter().all(|(_, outcome)| *outcome == Outcome::New),
            "{result:?}"
        );
        assert_eq!(files(&other), files(&atlas));
        assert_eq!(other.verify_all(&mut go_on).await.unwrap().faults, []);
        let result = import(&other, &archive).await.unwrap();
        assert!(
            result
                .files
                .iter()
                .all(|(_, outcome)| *outcome == Outcome::AlreadyThere),
            "{result:?}"
        );
        assert_eq!(result.written, 0);
        // Manifests and configs are not kept.
        other.collect(&mut go_on).await.unwrap();
        assert_eq!(files(&other), files(&atlas));
        let stored = other.usage().await.unwrap().stored;
        assert_eq!(stored, 2 * CHUNK as u64 + 3 + 11);
    });
}

fn skopeo(arguments: &[&str]) -> Option<String> {
    let output = match Command::new("skopeo").args(arguments).output() {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: skopeo cannot be run: {error}");
            return None;
        }
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {arguments:?}: {errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn place(of: &Path, form: &str, name: &str) -> String {
    format!("{form}:{}:latest", of.join(name).display())
}

#[test]
fn skopeo_looks_at_it_and_copies_it() {
    block_on(async {
        let atlas = example(CHUNK + 3).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ours.tar"), export(&atlas).await).unwrap();
        let ours = place(folder.path(), "oci-archive", "ours.tar");
        let Some(inspected) = skopeo(&["inspect", &ours]) else {
            return;
        };
        let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
        assert_eq!(inspected["Layers"].as_array().unwrap().len(), 3, "{inspected}");
        let layer = inspected["Layers"][1].as_str().unwrap();
        assert_eq!(layer, ContentHash::of(b"all is well").to_string());
        let copy = place(folder.path(), "oci-archive", "copy.tar");
        let policy = "--insecure-policy";
        skopeo(&[policy, "copy", "--preserve-digests", &ours, &copy]);
        let copied = std::fs::read(folder.path().join("copy.tar")).unwrap();
        let other = TestRecords::default().open().await;
        import(&other, &copied).await.unwrap();
        assert_eq!(files(&other), files(&atlas));
    });
}

/// Writes archives that are not ours, with Python's own tar: pax headers, other orders, an index within the index.
const PROGRAM: &str = r#"
import hashlib, io, json, sys, tarfile
layer, blobs = b"layer " * 1000, {}
def blob(data, kind, **more):
    digest = hashlib.sha256(data).hexdigest()
    blobs["blobs/sha256/" + digest] = data
    return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(data), **more}
def dump(value): return json.dumps(value, indent=2).encode()
base = "application/vnd.oci.image."
title = {"org.opencontainers.image.title": "../../etc/passwd"}
manifest = blob(dump({"schemaVersion": 2, "config": blob(b"{}", base + "config.v1+json"),
    "layers": [blob(layer, base + "layer.v1.tar", annotations=title), blob(b"", "application/x-empty")]}), base + "manifest.v1+json")
index = blob(dump({"schemaVersion": 2, "manifests": [manifest]}), base + "index.v1+json")
files = dict(blobs)
files["./index.json"] = dump({"schemaVersion": 2, "manifests": [index, manifest]})
files["oci-layout"] = dump({"imageLayoutVersion": "1.0.0"})
files["long/" * 60 + "name"] = b"passed over"
out = io.BytesIO()
with tarfile.open(fileobj=out, mode="w", format={"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT}[sys.argv[1]]) as archive:
    for name, data in reversed(files.items()):
        info = tarfile.TarInfo(name)
        info.size, info.mtime = len(data), 1.5
        if sys.argv[1] == "pax": info.pax_headers = {"size": str(len(data)), "comment": "ä"}
        archive.addfile(info, io.BytesIO(data))
    link = tarfile.TarInfo("link"); link.type, link.linkname = tarfile.SYMTYPE, "oci-layout"
    archive.addfile(link)
sys.stdout.buffer.write(out.getvalue())
"#;

#[test]
fn archives_of_others_are_read() {
    for form in ["pax", "gnu"] {
        let output = match Command::new("python3").args(["-c", PROGRAM, form]).output() {
            Ok(output) => output,
            Err(error) => {
                println!("skipped: python3 cannot be run: {error}");
                return;
            }
        };
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        block_on(async {
            let atlas = TestRecords::default().open().await;
            let result = import(&atlas, &output.stdout).await.unwrap();
            assert_eq!(result.files.len(), 2, "{result:?}");
            let layer = ContentHash::of(&b"layer ".repeat(1000))
                .to_string()
                .replace(':', "-");
            let file = atlas.find(&layer).unwrap();
            assert_eq!((file.kind, file.size), (ManifestType::OciLayer, 6000));
            let chain = atlas.provenance_chain(file.provenance_id.unwrap()).await.unwrap();
            assert_eq!(chain.len(), 1);
            assert!(atlas.read_file(&layer).await.unwrap().unwrap() == b"layer ".repeat(1000));
        });
    }
}

thread_local! {
    static SMALL: Vec<u8> = block_on(async { export(&example(100).await).await });
}

/// Imports what may be no archive: whatever comes of it, the store is whole, and has what it had.
fn check(archive: &Vec<u8>) -> Result<ImportResult, AtlasError> {
    block_on(async {
        let database = TestRecords::default();
        let atlas = database.open().await;
        let ours = FileOptions::uploaded(ManifestType::Log);
        atlas.store_file("log", b"ours", ours).await.unwrap();
        let result = import(&atlas, archive).await;
        let atlas = database.open().await;
        assert_eq!(atlas.verify_all(&mut go_on).await.unwrap().faults, []);
        assert_eq!(atlas.read_file("log").await.unwrap().unwrap(), b"ours");
        if result.is_err() {
            assert_eq!(files(&atlas).len(), 1);
        }
        result
    })
}

#[test]
fn an_archive_that_is_cut_or_flipped_is_refused() {
    let archive = SMALL.with(Clone::clone);
    // The end of an archive is two empty blocks; GNU tar takes one, or none, as well.
    for length in (0..archive.len() - 1024).step_by(7) {
        check(&archive[..length].to_vec()).unwrap_err();
    }
    for place in 0..archive.len() {
        // What fills up files is nobody's, nor is what is after the end; of a folder, the name does not matter.
        let mut archive = archive.clone();
        archive[place] ^= 1 << (place % 8);
        if let Ok(result) = check(&archive) {
            assert_eq!(result.files.len(), 3, "byte {place}");
            let outcomes = result.files.iter().map(|(name, _)| name.as_str());
            assert!(outcomes.eq(["boot/kernel", "log", "log too"]), "byte {place}");
        }
    }
}

proptest! {
    #[test]
    fn archives_that_were_changed_are_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut: Option<prop::sample::Index>,
        mends: bool,
    ) {
        let mut archive = SMALL.with(Clone::clone);
        for (place, byte) in changes {
            let at = place.index(archive.len());
            archive[at] = byte;
        }
        if mends {
            // Headers whose checksums fit.
            for block in archive.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
                let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
                let sum = sum(&block[..148]) + 256 + sum(&block[156..]);
                block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        if let Some(cut) = cut {
            let at = cut.index(archive.len());
            archive.truncate(at);
        }
        let _ = check(&archive);
    }
}
