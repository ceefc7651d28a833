//! HAR files of browsers, of ours and of nobody.

use proptest::prelude::*;

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

/// An entry into which a table puts what is odd.
const ENTRY: &str = r#"{"startedDateTime": "2026-01-31T12:00:00.000Z", "time": 10,
    "request": {"method": "POST", "url": "https://example.org/a", "httpVersion": "HTTP/1.1",
        "headers": [{"name": "A", "value": "1"}], "queryString": [], "cookies": [], "headersSize": -1, "bodySize": 2,
        "postData": {"mimeType": "text/plain", "text": "hi"}},
    "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1",
        "headers": [{"name": "B", "value": "2"}], "cookies": [], "redirectURL": "", "headersSize": -1, "bodySize": 5,
        "content": {"size": 5, "mimeType": "text/plain", "text": "hello"}, "_transferSize": 90},
    "cache": {}, "timings": {"send": 1, "wait": 2, "receive": 3}, "connection": "7", "serverIPAddress": "192.0.2.9"}"#;

/// The one exchange of an archive with `ENTRY` changed, and what is told about it.
#[track_caller]
fn odd(from: &str, to: &str) -> (Exchange, String) {
    assert!(ENTRY.contains(from), "{from}");
    let file = format!(r#"{{"log": {{"entries": [{}]}}}}"#, ENTRY.replacen(from, to, 1));
    let mut archive = read_archive(file.as_bytes(), &Limits::default()).unwrap();
    let told = archive.to_string();
    assert_eq!(archive.exchanges.len(), 1, "{told}");
    (archive.exchanges.remove(0), told)
}

fn plain() -> Exchange {
    odd("{", "{").0
}

#[test]
fn one_odd_field_goes_alone() {
    let body = |mime_type: &str, text: &str| Some(Body::new(mime_type, text));
    let header = |name: &str, value: &str| crate::Header {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    type Change<'a> = &'a dyn Fn(&mut Exchange);
    let table: &[(&str, &str, Change<'_>, &str)] = &[
        (
            r#""value": "1"}"#,
            r#""value": {"type": "string"}}, {"name": "C", "value": "3"}"#,
            &|e| e.request.headers = vec![header("C", "3")],
            "Left aside: the value of a header (1 entry).",
        ),
        (
            r#""value": "2"}"#,
            r#""value": 1234}, {"name": "C", "value": true}, {"name": "D", "value": null}"#,
            &|e| e.response.headers = vec![header("B", "1234"), header("C", "true")],
            "Left aside: the value of a header (1 entry). Mended: the value of a header (1 entry).",
        ),
        (
            r#"[{"name": "A", "value": "1"}]"#,
            r#"{"A": "1", "B": []}"#,
            &|_| {},
            "Left aside: the value of a header (1 entry).",
        ),
        (
            r#"[{"name": "A", "value": "1"}]"#,
            "7",
            &|e| e.request.headers.clear(),
            "Left aside: the headers (1 entry).",
        ),
        (
            r#""text": "hello""#,
            r#""text": "ok \ud83d""#,
            &|e| e.response.body = body("text/plain", "ok \u{fffd}"),
            "",
        ),
        (
            r#""text": "hello""#,
            r#""text": 42"#,
            &|e| e.response.body = body("text/plain", "42"),
            "Mended: the response's body (1 entry).",
        ),
        (
            r#""text": "hello""#,
            r#""text": {"a": [1]}"#,
            &|e| e.response.body = body("text/plain", "{\"a\": [1]}"),
            "Mended: the response's body (1 entry).",
        ),
        (
            r#"{"size": 5, "mimeType": "text/plain", "text": "hello"}"#,
            "null",
            &|e| e.response.body = None,
            "",
        ),
        (
            r#"{"size": 5, "mimeType": "text/plain", "text": "hello"}"#,
            "\"\"",
            &|e| e.response.body = None,
            "Mended: the response's body (1 entry).",
        ),
        (
            r#"{"size": 5, "mimeType": "text/plain", "text": "hello"}"#,
            "[]",
            &|e| e.response.body = None,
            "Left aside: the response's body (1 entry).",
        ),
        (
            r#"{"size": 5, "mimeType": "text/plain", "text": "hello"}"#,
            r#"{"size": null, "mimeType": null, "text": null}"#,
            &|e| e.response.body = None,
            "",
        ),
        (
            r#""text": "hello""#,
            r#""text": "", "encoding": null"#,
            &|e| e.response.body = Some(Body::unknown("text/plain", 5)),
            "",
        ),
        (
            r#""text": "hello""#,
            r#""encoding": "base64", "text": "aGVs\r\n bG8""#,
            &|_| {},
            "",
        ),
        (
            r#""text": "hello""#,
            r#""encoding": "BASE64", "text": "-_-_""#,
            &|e| e.response.body = Some(Body::new("text/plain", [0xfb, 0xff, 0xbf])),
            "",
        ),
        (
            r#""text": "hello""#,
            r#""encoding": "base64", "text": "h*llo""#,
            &|e| e.response.body = Some(Body::unknown("text/plain", 5)),
            "Left aside: a body that is said to be base64 and is not (1 entry).",
        ),
        (
            r#"{"mimeType": "text/plain", "text": "hi"}"#,
            "\"a=b\"",
            &|e| e.request.body = body("", "a=b"),
            "Mended: the request's body (1 entry).",
        ),
        (
            r#""text": "hi""#,
            r#""text": {"a": 1}"#,
            &|e| e.request.body = body("text/plain", "{\"a\": 1}"),
            "Mended: the request's body (1 entry).",
        ),
        (
            r#""text": "hi""#,
            r#""text": null, "params": null"#,
            &|e| e.request.body = Some(Body::unknown("text/plain", 2)),
            "",
        ),
        (
            r#""status": 200"#,
            r#""status": "200""#,
            &|_| {},
            "Mended: the status (1 entry).",
        ),
        (r#""status": 200"#, r#""status": 200.0"#, &|_| {}, ""),
        (
            r#""status": 200"#,
            r#""status": 1e300"#,
            &|e| e.response.status = 0,
            "Left aside: the status (1 entry).",
        ),
        (r#""status": 200"#, r#""status": 100, "status": 200"#, &|_| {}, ""),
        (r#""time": 10"#, r#""time": 1, "time": 10"#, &|_| {}, ""),
        (r#""time": 10"#, r#""time": null"#, &|e| e.time = 0.0, ""),
        (r#""time": 10"#, r#""time": -1"#, &|e| e.time = 0.0, ""),
        (
            r#""time": 10"#,
            r#""time": "long""#,
            &|e| e.time = 0.0,
            "Left aside: the duration (1 entry).",
        ),
        (
            r#""time": 10"#,
            r#""time": NaN"#,
            &|e| e.time = 0.0,
            "Mended: JSON that is none (1 entry).",
        ),
        (
            r#""time": 10"#,
            r#""time": 1e999"#,
            &|e| e.time = 0.0,
            "Left aside: the duration (1 entry).",
        ),
        (
            r#"{"send": 1, "wait": 2, "receive": 3}"#,
            "null",
            &|e| e.timings = crate::Timings::default(),
            "",
        ),
        (
            r#""wait": 2"#,
            r#""wait": "2.5""#,
            &|e| e.timings.wait = Some(2.5),
            "Mended: a timing (1 entry).",
        ),
        (r#""wait": 2"#, r#""wait": -0.8"#, &|e| e.timings.wait = None, ""),
        (
            r#""2026-01-31T12:00:00.000Z""#,
            "\"\"",
            &|e| e.started = 0.0,
            "Missing: the start time (1 entry).",
        ),
        (
            r#""2026-01-31T12:00:00.000Z""#,
            "\"now\"",
            &|e| e.started = 0.0,
            "Left aside: the start time (1 entry).",
        ),
        (r#""2026-01-31T12:00:00.000Z""#, "1769860800000", &|_| {}, ""),
        (
            r#""connection": "7""#,
            r#""connection": 7"#,
            &|_| {},
            "Mended: the connection (1 entry).",
        ),
        (
            r#""connection": "7""#,
            r#""connection": {}"#,
            &|e| e.connection = None,
            "Left aside: the connection (1 entry).",
        ),
        (
            r#""connection": "7""#,
            r#""connection": "443", "_connectionId": "58", "_priority": 2, "_initiator": "https://x/a.js""#,
            &|e| {
                e.connection = Some("58".to_owned());
                e.priority = Some("2".to_owned());
                e.initiator = Some("https://x/a.js".to_owned());
            },
            "Mended: the priority (1 entry).",
        ),
        (r#"192.0.2.9"#, "192.0.2.9:443", &|_| {}, ""),
        (r#"192.0.2.9"#, "host.example/192.0.2.9:443", &|_| {}, ""),
        (
            r#"192.0.2.9"#,
            "fe80::1%en0",
            &|e| e.server_ip = "fe80::1".parse().ok(),
            "",
        ),
        (
            r#"192.0.2.9"#,
            "[2001:db8::1%eth0]:8443",
            &|e| e.server_ip = "2001:db8::1".parse().ok(),
            "",
        ),
        (
            r#"192.0.2.9"#,
            "[::ffff:1.2.3.4]",
            &|e| e.server_ip = "::ffff:1.2.3.4".parse().ok(),
            "",
        ),
        (r#"192.0.2.9"#, "", &|e| e.server_ip = None, ""),
        (
            r#"192.0.2.9"#,
            "example.org",
            &|e| e.server_ip = None,
            "Left aside: the server's address (1 entry).",
        ),
        (
            r#""_transferSize": 90"#,
            r#""_transferSize": -1"#,
            &|e| e.response.transfer_size = None,
            "",
        ),
        (
            r#""_transferSize": 90"#,
            r#""_transferSize": "90""#,
            &|_| {},
            "Mended: the transferred size (1 entry).",
        ),
        (
            r#""httpVersion": "HTTP/1.1","#,
            r#""httpVersion": ["HTTP/1.1"],"#,
            &|e| e.request.http_version.clear(),
            "Left aside: the protocol's version (1 entry).",
        ),
        (
            r#""method": "POST", "#,
            "",
            &|e| e.request.method.clear(),
            "Missing: the method (1 entry).",
        ),
        (
            r#""url": "https://example.org/a", "#,
            "",
            &|e| e.request.url.clear(),
            "Missing: the URL (1 entry).",
        ),
    ];
    for (from, to, change, told) in table {
        let mut expected = plain();
        change(&mut expected);
        let (found, remarks) = odd(from, to);
        assert_eq!(found, expected, "{to}");
        assert_eq!(remarks.trim(), *told, "{to}");
    }
}

#[test]
fn a_request_stays_without_its_response() {
    for response in ["null", "7", "[]"] {
        let file = ENTRY.replacen(
            r#""response": {"#,
            &format!(r#""response": {response}, "x": {{"#),
            1,
        );
        let exchange = read_entry(&file, &Limits::default()).unwrap();
        assert_eq!(exchange.response, crate::Response::default());
        assert_eq!(exchange.request, plain().request);
    }
    let (exchange, told) = odd(r#""response""#, r#""answer""#);
    assert_eq!(
        (exchange.response.status, told.trim()),
        (0, "Missing: the response (1 entry).")
    );
}

#[test]
fn an_entry_without_a_time_follows_the_one_before() {
    let none = ENTRY.replace("\"2026-01-31T12:00:00.000Z\"", "\"\"");
    let file = format!("[{none}, {ENTRY}, {none}]");
    let archive = read_archive(file.as_bytes(), &Limits::default()).unwrap();
    let started: Vec<f64> = archive
        .exchanges
        .iter()
        .map(|exchange| exchange.started)
        .collect();
    assert_eq!(started, [0.0, 1_769_860_800_000.0, 1_769_860_800_000.0]);
    assert_eq!(archive.to_string(), " Missing: the start time (2 entries).");
}

#[test]
fn failures_are_shown_and_errors_that_are_none_are_not() {
    let bare = r#""headers": [], "content": {"size": 0, "mimeType": "x-unknown"}, "bodySize": -1"#;
    let full = r#""headers": [{"name": "B", "value": "2"}], "content": {"size": 5, "text": "hello"}"#;
    let download = r#""headers": [{"name": "content-disposition", "value": "attachment; filename=a"}]"#;
    let table: &[(&str, &str, &str, u16, Option<&str>)] = &[
        (
            "GET",
            &format!(r#""status": 200, {bare}, "_failureText": "net::ERR_ABORTED""#),
            "",
            0,
            Some("net::ERR_ABORTED"),
        ),
        (
            "GET",
            &format!(r#""status": 200, {full}, "_failureText": "net::ERR_FAILED""#),
            "",
            200,
            Some("net::ERR_FAILED"),
        ),
        ("GET", &format!(r#""status": -1, {bare}"#), "", 0, None),
        (
            "GET",
            &format!(r#""status": 0, {bare}, "_error": "net::ERR_NAME_NOT_RESOLVED""#),
            "",
            0,
            Some("net::ERR_NAME_NOT_RESOLVED"),
        ),
        (
            "GET",
            &format!(r#""status": 0, {bare}, "_error": null"#),
            "",
            0,
            None,
        ),
        (
            "GET",
            &format!(r#""status": 0, {bare}, "_error": {{"code": "ECONNRESET"}}"#),
            "",
            0,
            Some("ECONNRESET"),
        ),
        (
            "GET",
            &format!(r#""status": 200, {full}, "_charlesStatus": "COMPLETE""#),
            "",
            200,
            None,
        ),
        (
            "GET",
            &format!(r#""status": 200, {full}, "_charlesStatus": "EXCEPTION""#),
            "",
            200,
            Some("Charles: EXCEPTION"),
        ),
        (
            "GET",
            &format!(r#""status": -1, {bare}"#),
            r#", "_wasAborted": true"#,
            0,
            Some("aborted"),
        ),
        (
            "HEAD",
            &format!(r#""status": 200, {full}, "_error": "net::ERR_ABORTED""#),
            "",
            200,
            None,
        ),
        (
            "HEAD",
            r#""status": 200, "headers": [], "_error": "net::ERR_ABORTED""#,
            "",
            200,
            None,
        ),
        (
            "GET",
            &format!(r#""status": 200, {download}, "_error": "net::ERR_ABORTED""#),
            "",
            200,
            None,
        ),
        (
            "GET",
            &format!(r#""status": 200, {full}, "_error": "net::ERR_ABORTED""#),
            r#", "_resourceType": "document""#,
            200,
            None,
        ),
        (
            "GET",
            &format!(r#""status": 200, {full}, "_error": "net::ERR_ABORTED""#),
            r#", "_resourceType": "fetch""#,
            200,
            Some("net::ERR_ABORTED"),
        ),
    ];
    for (method, response, beside, status, error) in table {
        let entry = format!(
            r#"{{"request": {{"method": "{method}", "url": "https://example.org/"}}, "response": {{{response}}}{beside}}}"#
        );
        let exchange = read_entry(&entry, &Limits::default()).unwrap();
        assert_eq!(
            (exchange.response.status, exchange.response.error.as_deref()),
            (*status, *error),
            "{entry}"
        );
    }
}

#[test]
fn lists_come_to_where_they_were_sent() {
    let table: &[(&str, &str, &str)] = &[
        (
            "https://x.test/s",
            r#"{"name": "q", "value": "a b&c"}"#,
            "https://x.test/s?q=a%20b%26c",
        ),
        (
            "https://x.test/s#top",
            r#"{"name": "q", "value": "ä"}, {"name": "flag"}"#,
            "https://x.test/s?q=%C3%A4&flag#top",
        ),
        (
            "https://x.test/s?q=1",
            r#"{"name": "q", "value": "1"}, {"name": "r", "value": "2"}"#,
            "https://x.test/s?q=1&r=2",
        ),
        (
            "https://x.test/s?q=a%20b",
            r#"{"name": "q", "value": "a b"}"#,
            "https://x.test/s?q=a%20b",
        ),
        (
            "https://x.test/s?q=a+b&c%5B%5D=1",
            r#"{"name": "q", "value": "a%20b"}, {"name": "c[]", "value": "1"}"#,
            "https://x.test/s?q=a+b&c%5B%5D=1",
        ),
        (
            "https://x.test/s?c%5B%5D=1",
            r#"{"name": "c%5B%5D", "value": "1"}"#,
            "https://x.test/s?c%5B%5D=1",
        ),
        (
            "https://x.test/s?a=1;b=2",
            r#"{"name": "a", "value": "1"}, {"name": "b", "value": "2"}"#,
            "https://x.test/s?a=1;b=2",
        ),
        (
            "https://x.test/s?a=%E9",
            r#"{"name": "b", "value": "2"}"#,
            "https://x.test/s?a=%E9",
        ),
        (
            "https://x.test/s?",
            r#"{"name": "", "value": ""}"#,
            "https://x.test/s?",
        ),
        (
            "https://x.test/s?",
            r#"{"name": "a", "value": ""}"#,
            "https://x.test/s?a",
        ),
    ];
    for (url, list, complete) in table {
        let entry = format!(r#"{{"request": {{"method": "GET", "url": "{url}", "queryString": [{list}]}}}}"#);
        assert_eq!(
            read_entry(&entry, &Limits::default()).unwrap().request.url,
            *complete,
            "{entry}"
        );
    }
    for (headers, complete) in [
        ("", "Cookie: a=1; b=2"),
        (r#"{"name": "cookie", "value": "a=1; b=2"}"#, "cookie: a=1; b=2"),
        (r#"{"name": "cookie", "value": "b=2"}"#, "cookie: b=2; a=1"),
    ] {
        let entry = format!(
            r#"{{"request": {{"method": "GET", "url": "https://x.test/", "headers": [{headers}],
                "cookies": [{{"name": "a", "value": "1"}}, {{"name": "b", "value": 2}}]}},
                "response": {{"cookies": [{{"name": "s", "value": "x=y", "path": "/", "expires": "2026-01-31T12:00:00.000Z",
                    "httpOnly": true, "secure": false, "sameSite": "Lax"}}, {{"name": "t", "value": "", "expires": ""}}]}}}}"#
        );
        let exchange = read_entry(&entry, &Limits::default()).unwrap();
        let lines = |headers: &[crate::Header]| -> Vec<String> {
            headers
                .iter()
                .map(|header| format!("{}: {}", header.name, header.value))
                .collect()
        };
        assert_eq!(lines(&exchange.request.headers), [complete]);
        assert_eq!(
            lines(&exchange.response.headers),
            [
                "Set-Cookie: s=x=y; Path=/; Expires=Sat, 31 Jan 2026 12:00:00 GMT; SameSite=Lax; HttpOnly",
                "Set-Cookie: t="
            ]
        );
    }
}

#[test]
fn forms_are_made_of_their_fields() {
    let urlencoded = "application/x-www-form-urlencoded";
    let table: &[(i64, &str, &str, &str, &str)] = &[
        (
            0,
            urlencoded,
            r#"{"name": "password", "value": "tom&jerry=7 ü"}, {"name": "go", "value": "Login"}"#,
            urlencoded,
            "password=tom%26jerry%3D7+%C3%BC&go=Login",
        ),
        (
            -1,
            "",
            r#"{"name": "a", "value": 1}, {"name": "b"}"#,
            urlencoded,
            "a=1&b=",
        ),
        // Told as it was sent: the size shows it.
        (
            9,
            urlencoded,
            r#"{"name": "a", "value": "b%26c"}, {"name": "d"}"#,
            urlencoded,
            "a=b%26c&d",
        ),
        (
            9,
            urlencoded,
            r#"{"name": "{\"a\": 17}", "value": ""}"#,
            urlencoded,
            "{\"a\": 17}",
        ),
        (
            0,
            "multipart/form-data; boundary=XX",
            r#"{"name": "p", "value": "1"}, {"name": "f", "fileName": "a.txt", "contentType": "text/plain", "value": "content"}"#,
            "multipart/form-data; boundary=XX",
            "--XX\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\n1\r\n--XX\r\nContent-Disposition: form-data; name=\"f\"; \
             filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\ncontent\r\n--XX--\r\n",
        ),
    ];
    for (size, mime_type, params, right, text) in table {
        let entry = format!(
            r#"{{"request": {{"method": "POST", "url": "https://x.test/", "bodySize": {size},
                "postData": {{"mimeType": "{mime_type}", "params": [{params}]}}}}}}"#
        );
        let exchange = read_entry(&entry, &Limits::default()).unwrap();
        assert_eq!(
            exchange.request.body,
            Some(Body::new(*right, text.as_bytes())),
            "{entry}"
        );
    }
    // The boundary stands in the header only; what the file holds is not told.
    let entry = r#"{"request": {"method": "POST", "url": "https://x.test/",
        "headers": [{"name": "Content-Type", "value": "multipart/form-data; boundary=YY"}], "bodySize": 5000,
        "postData": {"mimeType": "multipart/form-data", "params": [{"name": "f", "fileName": "a.png"}]}}}"#;
    let exchange = read_entry(entry, &Limits::default()).unwrap();
    let body = exchange.request.body.unwrap();
    assert_eq!(
        (body.mime_type.as_str(), body.size),
        ("multipart/form-data; boundary=YY", 5000)
    );
    assert!(
        body.text()
            .unwrap()
            .starts_with("--YY\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.png\"\r\n")
    );
    assert_eq!(exchange.cut, [crate::Cut::RequestBody]);
}

#[test]
fn messages_of_all_recorders_are_read() {
    let entry = r#"{"startedDateTime": "2026-01-31T12:00:00Z", "request": {"method": "GET", "url": "wss://x.test/"},
        "response": {"status": 101}, "_webSocketMessages": [
            {"type": "send", "time": 1769860800.5, "opcode": 1, "data": "hi"},
            {"type": "receive", "time": "2026-01-31T12:00:00.600Z", "opcode": 2, "data": "not base64!"},
            {"type": "request", "time": 1769860800700, "opcode": "text", "data": null},
            {"type": "receive", "time": 1769860800.8, "opcode": 2, "data": "AP+A"},
            {"type": "received", "time": 4711.5, "opcode": 1, "data": "AP+A"},
            {"direction": "outgoing", "opcode": "binary", "payload": "AP+A", "encoding": "base64"},
            {"type": "error", "time": 4712.5, "opcode": -1, "data": "broken pipe"}]}"#;
    let exchange = read_entry(entry, &Limits::default()).unwrap();
    let start = 1_769_860_800_000.0;
    let found: Vec<_> = exchange
        .messages
        .iter()
        .map(|message| {
            (
                message.direction,
                message.time - start,
                message.opcode,
                message.body.bytes(),
            )
        })
        .collect();
    use crate::Direction::{Receive, Send};
    let expected: [(_, _, _, &[u8]); 6] = [
        (Send, 500.0, 1, b"hi"),
        (Receive, 600.0, 2, b"not base64!"),
        (Send, 700.0, 1, b""),
        (Receive, 800.0, 2, b"\0\xff\x80"),
        (Receive, 800.0, 1, b"AP+A"),
        (Send, 800.0, 2, b"\0\xff\x80"),
    ];
    assert_eq!(found, expected);
    assert_eq!(exchange.response.error.as_deref(), Some("broken pipe"));
}

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
        ([two.as_bytes(), &[0; 4096]].concat(), 2, ""),
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
