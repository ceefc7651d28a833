//! Files that are damaged, encoded in other ways, or none.

use super::odd::ENTRY;
use super::*;

#[test]
fn files_are_read_as_far_as_they_are_whole() {
    let log = |entries: &str| format!(r#"{{"log": {{"version": "1.2", "entries": [{entries}]}}}}"#);
    let two = log(&format!("{ENTRY}, {ENTRY}"));
    let utf16: Vec<u8> = two.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let line = ENTRY.replace('\n', " ");
    let latin1: Vec<u8> = two
        .replace("OK", "D\u{e9}j\u{e0}")
        .chars()
        .map(|c| c as u8)
        .collect();
    let bytes = |file: &str| file.as_bytes().to_vec();
    let table = [
        (bytes(&two), 2, ""),
        (
            [two.as_bytes(), &[0; 4096]].concat(),
            2,
            "The file ends in zeros, as after a crash.",
        ),
        ([b"\xef\xbb\xbf", two.as_bytes(), b"\r\n"].concat(), 2, ""),
        (
            [b"\xff\xfe".to_vec(), utf16.clone()].concat(),
            2,
            "The file was read as UTF-16LE.",
        ),
        (utf16, 2, "The file was read as UTF-16LE."),
        (latin1, 2, "The file was read as Latin-1."),
        (format!("{line}\n{line}\r\n\n{line}").into_bytes(), 3, ""),
        (format!("[{ENTRY}, {ENTRY}]").into_bytes(), 2, ""),
        (
            format!("[{two}, {two}]").into_bytes(),
            4,
            "The file holds 2 archives, one after the other.",
        ),
        (format!(r#"{{"entries": [{ENTRY}]}}"#).into_bytes(), 1, ""),
        (format!(r#"{{"log": [{ENTRY}]}}"#).into_bytes(), 1, ""),
        (
            format!(r#"{{"entries": [{ENTRY}]}} </pre>"#).into_bytes(),
            1,
            "What stands beside the entries is no JSON.",
        ),
        (
            format!("{two}\n{two}").into_bytes(),
            4,
            "The file holds 2 archives, one after the other.",
        ),
        (
            format!(r#"{{"log": {{"entries": [{ENTRY},], "entries": [{ENTRY}, {ENTRY}]}}}}"#).into_bytes(),
            2,
            "",
        ),
        (
            bytes(&two[..two.len() - 2]),
            2,
            "The file is cut off: what follows its last whole entry is lost.",
        ),
        (
            bytes(&two[..two.len() - 40]),
            1,
            "The file is cut off: what follows its last whole entry is lost.",
        ),
        (
            format!("{line}\n{}", &line[..100]).into_bytes(),
            1,
            "The file is cut off: what follows its last whole entry is lost.",
        ),
        (
            log(&format!("{ENTRY}, {{\"a\": tru}}, {ENTRY}")).into_bytes(),
            2,
            "1 entry was left out. The first of them is entry 1: expected an entry of an HTTP archive (HAR 1.2), found: \
             expected ident at line 1 column 10.",
        ),
        (
            log(&ENTRY.replace("hello", "a\tb")).into_bytes(),
            1,
            "Mended: JSON that is none (1 entry).",
        ),
    ];
    for (file, count, told) in table {
        let archive = read_archive(&file, &Limits::default()).unwrap();
        let start = String::from_utf8_lossy(&file[..file.len().min(80)]);
        assert_eq!(
            (archive.exchanges.len(), archive.to_string().trim()),
            (count, told),
            "{start}"
        );
        for (index, exchange) in archive.exchanges.iter().enumerate() {
            assert_eq!(
                (exchange.number, exchange.request.url.as_str()),
                (index as u64 + 1, "https://example.org/a")
            );
        }
        if told.contains("Latin-1") {
            assert_eq!(archive.exchanges[0].response.status_text, "Déjà");
        }
    }
}

#[test]
fn what_is_no_archive_is_named() {
    let table: &[(&[u8], &str)] = &[
        (b"", "an empty file"),
        (b"\0\0\0", "an empty file"),
        (b"[]", "JSON without a list of entries"),
        (b"{}", "JSON without a list of entries"),
        (b"{\"log\": {}}", "JSON without a list of entries"),
        (b"{\"log\": {\"entries\": {}}}", "JSON without a list of entries"),
        (b"{\"log\": ", "JSON that is cut off"),
        (b"{log: 1}", "JSON that is damaged"),
        (b"\0\x01", "no JSON"),
        (b"GET / HTTP/1.1", "no JSON"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"<?xml version='1.0'?>", "XML"),
        (
            b"\x1f\x8b\x08\0",
            "a gzip file: unpack it first, for example with gunzip",
        ),
        (
            b"\x78\xda\x01",
            "a zlib file, such as mitmproxy's .zhar: unpack it first, for example with zlib-flate -uncompress",
        ),
        (
            b"PK\x03\x04",
            "a ZIP file: unpack it and choose the .har file in it",
        ),
        (
            b"\x0a\x0d\x0d\x0a",
            "packets in pcapng, which QemuWeb writes but does not read",
        ),
        (
            b"{\"traceEvents\": [], \"metadata\": {}}",
            "a performance trace of DevTools",
        ),
        (b"[{\"ph\": \"X\", \"ts\": 1}]", "a performance trace of DevTools"),
        (
            b"{\"info\": {\"_postman_id\": \"1\"}, \"item\": []}",
            "a Postman collection",
        ),
        (
            b"{\"_type\": \"export\", \"__export_format\": 4}",
            "an Insomnia collection: export it as HAR",
        ),
        (
            b"{\"constants\": {}, \"events\": []}",
            "a NetLog of Chromium (chrome://net-export)",
        ),
    ];
    for (file, what) in table {
        let error = read_archive(file, &Limits::default()).unwrap_err().to_string();
        assert!(error.starts_with("expected an HTTP archive"), "{error}");
        assert_eq!(error.split_once("found: ").unwrap().1, *what, "{file:?}");
    }
}

#[test]
fn nesting_costs_no_stack() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for field in [
        "\"pages\": []",
        "\"cache\": {}",
        "\"_error\": null",
        "\"bodySize\": 2",
    ] {
        let name = field.split(':').next().unwrap();
        let within = CHROMIUM.replace(field, &format!("{name}: {deep}"));
        let archive = read_archive(within.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(archive.exchanges.len(), 1, "{field}");
    }
    for file in [
        deep.clone(),
        "[".repeat(200_000),
        "{\"log\":".repeat(50_000),
        "[{\"entries\":".repeat(50_000),
    ] {
        assert!(read_archive(file.as_bytes(), &Limits::default()).is_err());
    }
}
