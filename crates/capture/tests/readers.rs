//! What other readers of pcapng than Wireshark's make of our packets: scapy and dpkt, installed with pip as
//! `readers/requirements.txt` pins them into the per-user cache. Where there is no pip this is skipped, and says so.
#![allow(clippy::unwrap_used)]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use qemuweb_capture::{Limits, PacketWriter, har};

const REQUIREMENTS: &str = include_str!("readers/requirements.txt");

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers")
}

/// Where the modules are; they are installed first if they are not yet. Nothing without pip.
fn modules() -> Option<PathBuf> {
    let pip = Command::new("python3").args(["-m", "pip", "--version"]).output();
    if !pip.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let cache = match std::env::var_os("QEMUWEB_CACHE") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".cache/qemuweb"),
    };
    let mut hasher = DefaultHasher::new();
    REQUIREMENTS.hash(&mut hasher);
    let target = cache.join(format!("python/{:016x}", hasher.finish()));
    if !target.exists() {
        let part = target.with_extension(std::process::id().to_string());
        let output = Command::new("python3")
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--require-hashes",
                "--no-deps",
                "--target",
            ])
            .arg(&part)
            .arg("--requirement")
            .arg(directory().join("requirements.txt"))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pip: {errors}");
        // Another run may have been faster; both have the same.
        if std::fs::rename(&part, &target).is_err() {
            std::fs::remove_dir_all(&part).unwrap();
        }
    }
    Some(target)
}

/// What each reader prints for a file.
fn read(modules: &Path, reader: &str, file: &Path) -> Vec<String> {
    let output = Command::new("python3")
        .arg(directory().join("packets.py"))
        .arg(reader)
        .arg(file)
        .env("PYTHONPATH", modules)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{reader}: {errors}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(str::to_owned).collect()
}

#[test]
fn scapy_and_dpkt_read_every_packet() {
    let Some(modules) = modules() else {
        println!("SKIPPED: python3 has no pip here");
        return;
    };
    let archive = har::read_archive(include_bytes!("site.har"), &Limits::default()).unwrap();
    let mut bytes = Vec::new();
    PacketWriter::write_file(&mut bytes, &archive.exchanges).unwrap();
    let path = std::env::temp_dir().join(format!("qemuweb-readers-{}.pcapng", std::process::id()));
    std::fs::write(&path, &bytes).unwrap();
    let (scapy, dpkt) = (read(&modules, "scapy", &path), read(&modules, "dpkt", &path));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(scapy.len(), dpkt.len());
    for (ours, theirs) in scapy.iter().zip(&dpkt) {
        let parts = |line: &str| {
            let (time, rest) = line.split_once(' ').unwrap();
            (time.parse::<u64>().unwrap(), rest.to_owned())
        };
        let ((time, rest), (other_time, other_rest)) = (parts(ours), parts(theirs));
        // Both go through floats, which hold no nanoseconds.
        assert!(
            time.abs_diff(other_time) <= 1 && rest == other_rest,
            "{ours} {theirs}"
        );
    }
    // The first is the SYN of the first exchange: 1.5 ms after the start, from the first client to the server.
    assert_eq!(scapy[0], "1769860800001500 58 49152 8080 2 ");
    let starting_with = |text: &str| {
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        scapy
            .iter()
            .filter(|line| line.rsplit(' ').next().unwrap().starts_with(&hex))
            .count()
    };
    let counts = ["GET /", "HEAD /", "PRI * HTTP/2.0", "HTTP/1.1 "].map(starting_with);
    assert_eq!(counts, [9, 1, 2, 9], "{scapy:#?}");
}
