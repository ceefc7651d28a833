//! The disks' programs on files.

use std::fs;

use super::*;

fn says(program: impl FnOnce(&[&str], Out<'_>) -> Result<(), Failure>, words: &str) -> (String, bool) {
    let (mut out, words) = (Vec::new(), words.split(' ').collect::<Vec<_>>());
    let result = program(&words, &mut out);
    let mut text = String::from_utf8(out).unwrap();
    let is_good = result.is_ok();
    if let Err(Failure::Said(said)) = result {
        text.push_str(&said);
    }
    (text, is_good)
}

/// A folder, and a path in it.
fn file() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk").to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn what_is_written_is_found_good_and_goes_on() {
    let (_folder, path) = file();
    let (said, is_good) = says(ledger, &format!("write {path} 5 --size 2 --batches 6"));
    assert!(
        is_good
            && said.starts_with("ledger of 4096 sectors, from batch 1, ")
            && said.ends_with("flushed 6\n"),
        "{said}"
    );
    let (said, is_good) = says(ledger, &format!("check {path} 5 6"));
    assert!(
        is_good && said.ends_with("0 faulty; batch 6 was flushed, go on with --from 7\n"),
        "{said}"
    );
    let (said, is_good) = says(ledger, &format!("write {path} 5 --from 7 --batches 2"));
    assert!(is_good && said.ends_with("\nflushed 7\nflushed 8\n"), "{said}");
    assert!(says(ledger, &format!("check {path} 5 8")).1);
    // Another seed finds nothing of its own, and a flush that never was is missing.
    assert!(!says(ledger, &format!("check {path} 6 0")).1);
    let (said, is_good) = says(ledger, &format!("check {path} 5 9"));
    assert!(
        !is_good && said.contains("expected the record of batch 9"),
        "{said}"
    );
}

#[test]
fn a_lost_sector_is_named() {
    let (_folder, path) = file();
    assert!(says(ledger, &format!("write {path} 1 --size 1 --batches 40")).1);
    let mut bytes = fs::read(&path).unwrap();
    let sector = bytes.chunks(512).rposition(|sector| sector[0] != 0).unwrap();
    bytes[sector * 512..(sector + 1) * 512].fill(0);
    fs::write(&path, bytes).unwrap();
    let (said, is_good) = says(ledger, &format!("check {path} 1 40"));
    assert!(
        !is_good && said.starts_with(&format!("sector {sector}: expected the record of batch ")),
        "{said}"
    );
    assert!(
        said.contains("found zeroes: it is lost\n") && said.contains(" 1 faulty"),
        "{said}"
    );
}

#[test]
fn a_disk_is_measured() {
    let (_folder, path) = file();
    let (said, is_good) = says(bench, &format!("{path} --size 2 --seconds 0"));
    assert!(is_good, "{said}");
    let line: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(line["bytes"], 2 << 20);
    for row in [
        "seq_write_durable_mib_s",
        "seq_read_mib_s",
        "rand_read_4k_per_s",
        "rand_write_4k_per_s",
    ] {
        assert!(line[row].as_f64().unwrap() > 0.0, "{row} of {said}");
    }
    assert!(line["fsync_4k_us"]["count"].as_u64().unwrap() >= 1);
    assert!(!fs::exists(&path).unwrap());
}

#[test]
fn nothing_is_overwritten_by_mistake() {
    let (_folder, path) = file();
    fs::write(&path, "precious").unwrap();
    let (said, is_good) = says(bench, &path);
    assert!(!is_good && said.contains("is there already"), "{said}");
    fs::write(&path, [b"precious".as_slice(), &[0; 1024]].concat()).unwrap();
    let (said, is_good) = says(ledger, &format!("write {path} 1"));
    assert!(!is_good && said.contains("has something on it"), "{said}");
    assert!(fs::read(&path).unwrap().starts_with(b"precious\0"));
}

#[test]
fn words_that_are_wrong_are_named() {
    for (words, expected) in [
        ("write /nowhere 1", "there is no /nowhere"),
        ("write /nowhere 1 --size", "found --size"),
        ("write /nowhere 1 --speed 3", "found --speed 3"),
        (
            "write /dev/null x --size 1",
            "expected a number for SEED, found x",
        ),
        ("check /dev/null 1 0", "expected a disk of 1 to"),
        ("erase /dev/null", "see disk-ledger help"),
    ] {
        let (said, is_good) = says(ledger, words);
        assert!(!is_good && said.contains(expected), "{words}: {said}");
    }
    let (said, is_good) = says(bench, "/nowhere --size 0");
    assert!(!is_good && said.contains("for --size, found 0"), "{said}");
}
