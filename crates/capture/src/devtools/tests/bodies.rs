//! Bodies: given in a form of their own, in part, or not at all.

use serde_json::{Value, json};

use super::super::*;
use super::{TOLD, entry, headers, mended, text};

#[test]
fn half_a_character_spoils_no_entry() {
    let json = entry(&[("request.url", json!("http://a.test/?q=HALF"))]).to_string();
    let live = Entry::parse(&json.replace("HALF", r"\ud83d")).unwrap();
    let exchange = live.into_exchange(text("ok"), TOLD, &Limits::default()).unwrap();
    assert_eq!(exchange.request.url, "http://a.test/?q=\u{fffd}");
}

#[test]
fn an_event_stream_reads_as_the_page_reads_it() {
    let stream = "data: Zoë 🦀\n\n";
    let given = from_windows_1252(stream.as_bytes());
    let exchange = mended(
        &[
            (
                "response.headers",
                headers(&[("content-type", "text/event-stream")]),
            ),
            (
                "response.content",
                json!({"size": stream.len(), "mimeType": "text/event-stream"}),
            ),
        ],
        text(&given),
    );
    assert_eq!(exchange.response.body.unwrap().text(), Some(stream));
    assert_eq!(exchange.doubts, []);
}

#[test]
fn media_types_keep_their_parameters() {
    let typed = |told: &str, header: &str| {
        let fields = [
            ("response.headers", headers(&[("content-type", header)])),
            ("response.content", json!({"size": 1, "mimeType": told})),
        ];
        mended(&fields, text("x")).response.body.unwrap().mime_type
    };
    assert_eq!(
        typed("text/plain", "Text/Plain; charset=x"),
        "Text/Plain; charset=x"
    );
    // What the browser found out by looking is another type.
    assert_eq!(typed("text/html", "text/plain; charset=x"), "text/html");
}

#[test]
fn bodies_that_are_not_given_say_why() {
    use Doubt::{ResponseBodyGone, ResponseBodyLate, ResponseBodyTooLarge, ResponseBodyUnknown};
    let length = |length: &str| ("response.headers", headers(&[("content-length", length)]));
    let content = |size: u64, kind: &str| ("response.content", json!({"size": size, "mimeType": kind}));
    let binary = "application/octet-stream";
    for (fields, given, expected) in [
        (
            vec![content(15_000_001, binary)],
            Content::Nothing,
            (Some(15_000_001), Some(ResponseBodyTooLarge)),
        ),
        (
            vec![content(14_000_000, binary)],
            Content::Nothing,
            (Some(14_000_000), Some(ResponseBodyGone)),
        ),
        (
            vec![content(14_000_000, "text/css")],
            Content::Nothing,
            (Some(14_000_000), Some(ResponseBodyTooLarge)),
        ),
        (
            vec![content(53, "text/plain")],
            Content::Late,
            (Some(53), Some(ResponseBodyLate)),
        ),
        (
            vec![content(53, "text/plain")],
            text(""),
            (Some(53), Some(ResponseBodyGone)),
        ),
        // Empty for certain.
        (
            vec![content(0, "text/plain"), length("0")],
            Content::Nothing,
            (Some(0), None),
        ),
        (
            vec![content(0, "text/plain"), ("response.bodySize", json!(0))],
            text(""),
            (Some(0), None),
        ),
        (
            vec![
                content(0, "text/plain"),
                ("response.bodySize", json!(5)),
                ("response.headers", headers(&[("transfer-encoding", "chunked")])),
            ],
            text(""),
            (Some(0), None),
        ),
        (
            vec![
                content(0, "text/plain"),
                ("response._fetchedViaServiceWorker", json!(true)),
            ],
            text(""),
            (Some(0), None),
        ),
        // A service worker's own, a redirect, one in HTTP/2 that does not tell its length.
        (
            vec![content(0, "text/plain"), length("32")],
            text(""),
            (Some(32), Some(ResponseBodyUnknown)),
        ),
        (
            vec![
                content(0, "x-unknown"),
                length("9"),
                ("response.status", json!(303)),
            ],
            Content::Nothing,
            (Some(9), Some(ResponseBodyUnknown)),
        ),
        (
            vec![content(0, "text/plain"), ("response.bodySize", json!(-1))],
            text(""),
            (Some(0), Some(ResponseBodyUnknown)),
        ),
        // Broken off.
        (
            vec![
                content(6, "text/plain"),
                ("response._error", json!("net::ERR_ABORTED")),
            ],
            Content::Nothing,
            (Some(6), Some(ResponseBodyUnknown)),
        ),
        // There are none.
        (
            vec![("request.method", json!("HEAD")), length("32")],
            Content::Nothing,
            (None, None),
        ),
        (vec![("response.status", json!(204))], text(""), (None, None)),
        (
            vec![
                ("response.status", json!(0)),
                ("response._error", json!("net::ERR_FAILED")),
            ],
            Content::Nothing,
            (None, None),
        ),
    ] {
        let exchange = mended(&fields, given);
        let doubts: Vec<_> = exchange
            .doubts
            .iter()
            .copied()
            .filter(|doubt| doubt.is_of_body())
            .collect();
        let body = exchange.response.body;
        assert_eq!(
            (body.as_ref().map(|body| body.size), doubts),
            (expected.0, Vec::from_iter(expected.1)),
            "{fields:?}"
        );
        let is_known = expected.1.is_none();
        assert!(
            body.is_none_or(|body| body.data.is_some() == is_known),
            "{fields:?}"
        );
    }
}

#[test]
fn an_event_stream_that_the_page_closed_has_its_events() {
    let event = |data, name, id| json!({"data": data, "eventName": name, "eventId": id, "time": 1});
    let fields = [
        ("response._error", json!("net::ERR_ABORTED")),
        (
            "response.content",
            json!({"size": 90, "mimeType": "text/event-stream"}),
        ),
        (
            "_eventSourceMessages",
            json!([
                event("Zoë\n東京", "message", ""),
                event("", "end", "7"),
                event("x", "", "7"),
                1
            ]),
        ),
    ];
    let exchange = mended(&fields, Content::Nothing);
    let expected = "data: Zoë\ndata: 東京\n\nevent: end\nid: 7\ndata: \n\ndata: x\n\n";
    assert!(
        exchange
            .response
            .body
            .as_ref()
            .unwrap()
            .text()
            .unwrap()
            .starts_with(expected)
    );
    assert_eq!(
        exchange.doubts,
        [Doubt::ResponseBodyRecoded, Doubt::ResponseBodyUnknown]
    );
    // The bytes themselves are better.
    let fields = [fields[1].clone(), fields[2].clone()];
    assert_eq!(
        mended(&fields, text("data: 1\n\n")).response.body.unwrap().text(),
        Some("data: 1\n\n")
    );
}

#[test]
fn requests_have_the_bytes_that_were_sent() {
    use Doubt::{RequestBody, RequestBodyUnknown};
    let post = |data: Option<Value>, list: &[(&str, &str)]| {
        let mut fields = vec![
            ("request.method", json!("POST")),
            ("request.headers", headers(list)),
        ];
        fields.extend(data.map(|data| ("request.postData", data)));
        let exchange = mended(&fields, Content::Late);
        let doubt = exchange
            .doubts
            .iter()
            .copied()
            .find(|doubt| matches!(doubt, RequestBody | RequestBodyUnknown));
        let body = exchange.request.body.map(|body| body.data.ok_or(body.size));
        (body, doubt)
    };
    let data = |text: &str| Some(json!({"mimeType": "", "text": text}));
    let bytes = |bytes: &[u8]| Some(Ok(bytes.to_vec()));
    assert_eq!(
        post(data("é"), &[("content-length", "1")]),
        (bytes(b"\xe9"), None)
    );
    assert_eq!(
        post(data("é"), &[("Content-Length", "2")]),
        (bytes("é".as_bytes()), None)
    );
    assert_eq!(post(data("é"), &[]), (bytes("é".as_bytes()), Some(RequestBody)));
    assert_eq!(
        post(
            data("packed"),
            &[("content-encoding", "gzip"), ("content-length", "6")]
        ),
        (bytes(b"packed"), Some(RequestBody))
    );
    assert_eq!(
        post(data("\u{fffd}"), &[("content-length", "3")]),
        (bytes("\u{fffd}".as_bytes()), Some(RequestBody))
    );
    // Streamed, as a file, and with none.
    assert_eq!(post(None, &[]), (Some(Err(0)), Some(RequestBodyUnknown)));
    assert_eq!(
        post(None, &[("content-length", "8")]),
        (Some(Err(8)), Some(RequestBodyUnknown))
    );
    assert_eq!(post(None, &[("content-length", "0")]), (None, None));
}

#[test]
fn limits_hold() {
    let limits = Limits {
        body: 3,
        ..Limits::default()
    };
    let json = entry(&[("response.content", json!({"size": 9, "mimeType": "text/plain"}))]).to_string();
    let read = |content| {
        let entry = Entry::parse(&json).unwrap();
        entry
            .into_exchange(content, TOLD, &limits)
            .unwrap()
            .response
            .body
            .unwrap()
    };
    for body in [
        read(text("123456789")),
        read(Content::Base64("MTIzNDU2Nzg5".to_owned())),
    ] {
        assert_eq!((body.bytes(), body.size), (&b"123"[..], 9));
    }
}
