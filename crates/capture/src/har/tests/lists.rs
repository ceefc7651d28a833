//! What stands in HAR's lists, and in those of recorders.

use super::*;

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
        // The size of what was decoded.
        (
            22,
            urlencoded,
            r#"{"name": "password", "value": "tom&jerry=7 x"}"#,
            urlencoded,
            "password=tom%26jerry%3D7+x",
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
