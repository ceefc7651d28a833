//! Entries in which something is odd or missing.

use super::*;

/// An entry into which a table puts what is odd.
pub(super) const ENTRY: &str = r#"{"startedDateTime": "2026-01-31T12:00:00.000Z", "time": 10,
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
            "Mended: text with half a character (1 entry).",
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
        (
            r#""connection": "7""#,
            r#""connection": "443""#,
            &|e| e.connection = None,
            "",
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
            r#""status": 200, "content": {"mimeType": "application/zip"}, "_error": "net::ERR_ABORTED""#,
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
