//! Manifests and records have the same hash everywhere: known values, and those that a Python program computes.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

use std::process::Command;

use qemuweb_atlas::canonical::Canonical;
use qemuweb_atlas::hash::ContentHash;
use qemuweb_atlas::manifest::{BlobChunk, CHUNK, FileManifest, ManifestType};
use qemuweb_atlas::provenance::{Actor, BuildInfo, DerivationRecord, ProvenanceType, Statement};

/// Computes what the tests below do, with Python's own JSON and SHA-256.
const PROGRAM: &str = r#"
import hashlib, json

CHUNK = 4 << 20
def name(data): return "sha256:" + hashlib.sha256(data).hexdigest()
def show(value):
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    print(name(text), text.decode())
    return name(text)
def manifest(data, kind, mime=None):
    pieces = [data[at:at + CHUNK] for at in range(0, len(data), CHUNK)]
    value = {"version": 1, "type": kind, "totalSize": len(data),
             "chunks": [{"hash": name(piece), "size": len(piece)} for piece in pieces]}
    if mime: value["mimeType"] = mime
    return show(value)

empty = manifest(b"", "generic")
short = manifest(b"hello", "log", 'text/plain; charset="utf-8"')
long = manifest(bytes(range(256)) * (CHUNK // 128) + b"end", "qcow2")
created = {"version": 1, "manifestHash": short, "type": "create", "actor": "user", "created": 0}
built = {"version": 1, "manifestHash": long, "type": "build", "actor": "build", "created": 1700000000000,
  "parents": sorted([name(b"a"), name(b"b")]),
  "buildInfo": {"builder": "qemu-wasm/build.sh", "version": "1", "revision": "abc",
                "arguments": ["--quiet", "a\tb\"\\/ \u00e4 \u2028 \U0001f600"], "started": 1, "finished": 9007199254740991},
  "derivation": {"inputs": [empty], "operation": "convert"}, "note": "Zeile 1\nZeile 2"}
show(created)
show(built)
"#;

fn manifest(data: &[u8], kind: ManifestType, mime: Option<&str>) -> FileManifest {
    let chunks = data.chunks(CHUNK).map(|bytes| BlobChunk {
        hash: ContentHash::of(bytes),
        size: bytes.len() as u64,
    });
    FileManifest::new(kind, chunks.collect(), mime.map(str::to_owned)).unwrap()
}

fn ours() -> Vec<(ContentHash, Vec<u8>)> {
    let empty = manifest(b"", ManifestType::Generic, None);
    let short = manifest(b"hello", ManifestType::Log, Some("text/plain; charset=\"utf-8\""));
    let pattern: Vec<u8> = (0..=255).collect();
    let mut data = pattern.repeat(CHUNK / 128);
    data.extend(b"end");
    let long = manifest(&data, ManifestType::Qcow2, None);
    let created = Statement::new(short.hash().unwrap(), ProvenanceType::Create, Actor::User, 0);
    let mut parents = vec![ContentHash::of(b"a"), ContentHash::of(b"b")];
    parents.sort();
    let built = Statement {
        parents,
        build_info: Some(BuildInfo {
            builder: "qemu-wasm/build.sh".into(),
            version: Some("1".into()),
            revision: Some("abc".into()),
            arguments: vec!["--quiet".into(), "a\tb\"\\/ \u{e4} \u{2028} \u{1f600}".into()],
            started: Some(1),
            finished: Some(9_007_199_254_740_991),
            ..BuildInfo::default()
        }),
        derivation: Some(DerivationRecord {
            inputs: vec![empty.hash().unwrap()],
            operation: "convert".into(),
            arguments: Vec::new(),
        }),
        note: Some("Zeile 1\nZeile 2".into()),
        ..Statement::new(
            long.hash().unwrap(),
            ProvenanceType::Build,
            Actor::Build,
            1_700_000_000_000,
        )
    };
    let all = [
        (empty.hash(), empty.encode()),
        (short.hash(), short.encode()),
        (long.hash(), long.encode()),
        (created.hash(), created.encode()),
        (built.hash(), built.encode()),
    ];
    all.into_iter()
        .map(|(hash, bytes)| (hash.unwrap(), bytes.unwrap()))
        .collect()
}

#[test]
fn python_computes_the_same_hashes() {
    let run = Command::new("python3")
        .args(["-X", "utf8", "-c", PROGRAM])
        .output();
    let output = match run {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: python3 cannot be run: {error}");
            return;
        }
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let theirs = String::from_utf8(output.stdout).unwrap();
    let ours: Vec<_> = ours();
    let lines = ours
        .iter()
        .map(|(hash, bytes)| format!("{hash} {}\n", String::from_utf8_lossy(bytes)));
    assert_eq!(lines.collect::<String>(), theirs);
}

#[test]
fn hashes_stay_what_they_are() {
    let known: Vec<String> = ours().iter().map(|(hash, _)| hash.hex()).collect();
    assert_eq!(known, KNOWN);
}

/// Written down once, from the Python program above.
const KNOWN: [&str; 5] = [
    "40bdc0f00dac117ba07619897a77ea99e2caa82f73a18a9a6194e34a24a2788e",
    "a99c1ba23c10a4da6ef266b9200b075f2ca8221104a07697acef55b04f367a4a",
    "7219cdc6214431b543ecba93aa9e96d1d8d6493b237631d03518f0f63f6d6a0f",
    "d95b120e776676286354e6ce4ac362b28db2684cf1f6e9c39c828f0ee778d3c3",
    "f6805e9185af4e073c7e57d6e5c607a7631a9f0b86a770ad9ad26f0dab396726",
];

#[test]
fn what_was_encoded_is_read_back() {
    for (hash, bytes) in ours() {
        let again = match FileManifest::decode(&bytes) {
            Ok(manifest) => manifest.hash(),
            Err(_) => Statement::decode(&bytes).unwrap().hash(),
        };
        assert_eq!(again.unwrap(), hash);
    }
}
