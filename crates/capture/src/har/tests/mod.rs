//! HAR files of browsers, of ours and of nobody.

use proptest::prelude::*;

mod files;
mod lists;
mod odd;

use super::*;
use crate::{Body, Exchange, Limits, arbitrary};

fn written(exchanges: &[Exchange]) -> Vec<u8> {
    let mut file = Vec::new();
    write_archive(&mut file, exchanges).unwrap();
    file
}

/// As Chromium 156 writes it, shortened.
const CHROMIUM: &str = r#"{"log": {"version": "1.2", "creator": {"name": "WebInspector", "version": "537.36"}, "pages": [],
"entries": [{
    "_connectionId": "58",
    "_initiator": {"type": "script", "stack": {"callFrames": [
        {"functionName": "load", "scriptId": "5", "url": "https://example.org/app.js", "lineNumber": 12, "columnNumber": 4}]}},
    "_priority": "High", "_resourceType": "fetch", "cache": {}, "connection": "443", "pageref": "page_1",
    "request": {"method": "POST", "url": "https://example.org/api?a=1", "httpVersion": "http/2.0",
        "headers": [{"name": ":method", "value": "POST"}, {"name": "content-type", "value": "text/plain"}],
        "queryString": [{"name": "a", "value": "1"}], "cookies": [], "headersSize": -1, "bodySize": 2,
        "postData": {"mimeType": "text/plain", "text": "hi"}},
    "response": {"status": 200, "statusText": "", "httpVersion": "http/2.0", "headers": [], "cookies": [],
        "content": {"size": 3, "mimeType": "image/gif", "text": "AP+A", "encoding": "base64"},
        "redirectURL": "", "headersSize": -1, "bodySize": -1, "_transferSize": 120, "_error": null},
    "serverIPAddress": "[2001:db8::1]", "startedDateTime": "2026-01-31T12:00:00.250Z", "time": 20.5,
    "timings": {"blocked": 1.5, "dns": -1, "ssl": -1, "connect": -1, "send": 0.5, "wait": 18, "receive": 0.5,
        "_blocked_queueing": 1}
}]}}"#;

#[test]
fn chromium_is_understood() {
    let archive = read_archive(CHROMIUM.as_bytes(), &Limits::default()).unwrap();
    let exchange = &archive.exchanges[0];
    assert_eq!(exchange.number, 1);
    assert_eq!(exchange.started, 1_769_860_800_250.0);
    assert_eq!(exchange.server_ip, "2001:db8::1".parse().ok());
    assert_eq!(exchange.connection.as_deref(), Some("58"));
    assert_eq!(
        exchange.initiator.as_deref(),
        Some("script https://example.org/app.js:12")
    );
    assert_eq!(exchange.request.body, Some(Body::new("text/plain", "hi")));
    assert_eq!(
        exchange.response.body,
        Some(Body::new("image/gif", [0, 0xff, 0x80]))
    );
    assert_eq!(exchange.response.transfer_size, Some(120));
    assert_eq!((exchange.timings.dns, exchange.timings.wait), (None, Some(18.0)));
}

#[test]
fn an_entry_that_is_none_spoils_no_other() {
    let broken = CHROMIUM.replace(
        "\"entries\": [",
        "\"entries\": [7, null, {\"startedDateTime\": \"now\", \"request\": {\"method\": \"\", \"url\": \"\"}, \"response\": {}},",
    );
    let archive = read_archive(broken.as_bytes(), &Limits::default()).unwrap();
    assert_eq!((archive.exchanges.len(), archive.left_out), (1, 3));
    let reasons: Vec<String> = archive
        .skipped
        .iter()
        .map(|skipped| skipped.error.to_string())
        .collect();
    assert!(reasons[0].ends_with("found a number"), "{reasons:?}");
    assert!(reasons[1].ends_with("found null"), "{reasons:?}");
    assert!(
        reasons[2].ends_with("found one whose request has neither"),
        "{reasons:?}"
    );
    assert_eq!(
        archive.to_string(),
        " 3 entries were left out. The first of them is entry 0: expected an entry with a request that has a URL or a \
         method, found a number."
    );
}

#[test]
fn limits_bound_what_is_kept() {
    let exchange = Exchange {
        response: crate::Response {
            body: Some(Body::new("", vec![0; 1000])),
            ..crate::Response::default()
        },
        ..Exchange::default()
    };
    let file = written(&vec![exchange; 20]);
    let limits = Limits {
        exchanges: 10,
        body: 100,
        ..Limits::default()
    };
    let archive = read_archive(&file, &limits).unwrap();
    assert_eq!((archive.exchanges.len(), archive.left_out), (10, 10));
    let body = archive.exchanges[9].response.body.as_ref().unwrap();
    assert_eq!((body.bytes().len(), body.size), (100, 1000));
}

#[test]
fn a_huge_file_takes_what_the_limits_say() {
    let entry = r#"{"startedDateTime": "2026-01-31T12:00:00Z", "request": {"method": "GET", "url": "https://x.test/"},
        "response": {"status": 200, "content": {"mimeType": "text/plain", "text": "BODY"}}}"#;
    let large = entry.replace("BODY", &"x".repeat(32 << 20));
    let file = format!(
        r#"{{"log": {{"entries": [{large}{}]}}}}"#,
        format!(",{entry}").repeat(50_000)
    );
    let limits = Limits::default();
    let archive = read_archive(file.as_bytes(), &limits).unwrap();
    assert_eq!((archive.exchanges.len(), archive.left_out), (50_000, 1));
    let body = archive.exchanges[0].response.body.as_ref().unwrap();
    assert_eq!((body.bytes().len(), body.size), (limits.body, 32 << 20));
    let memory: usize = archive.exchanges.iter().map(Exchange::footprint).sum();
    assert!(memory < limits.capture, "{memory}");
}

proptest! {
    #[test]
    fn what_is_written_is_read(list in prop::collection::vec(arbitrary::exchange(), 0..4)) {
        let mut expected = list.clone();
        for (index, exchange) in expected.iter_mut().enumerate() {
            exchange.number = index as u64 + 1;
            // HAR has no place for a response's body that is there but empty in every respect.
            exchange.response.body.take_if(|body| body.data.is_none() && body.size == 0 && body.mime_type.is_empty());
        }
        let archive = read_archive(&written(&list), &Limits::default()).unwrap();
        prop_assert_eq!(archive.to_string(), "");
        prop_assert_eq!(archive.exchanges, expected);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = read_archive(&bytes, &Limits::default());
    }

    #[test]
    fn damaged_files_are_read_or_refused(at in 0..CHROMIUM.len(), byte: u8) {
        let mut file = CHROMIUM.as_bytes().to_vec();
        file[at] = byte;
        let _ = read_archive(&file, &Limits::default());
    }
}
