//! Entries as Chromium 156 gave them, shortened, and what becomes of them.

mod bodies;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::arbitrary;
use crate::exchange::Direction;

/// When DevTools told.
const TOLD: f64 = 1_796_069_258_000.0;

/// An entry with these fields over those of a plain one. `.` leads into objects.
fn entry(fields: &[(&str, Value)]) -> Value {
    let mut entry = json!({
        "_connectionId": "44", "_resourceType": "fetch", "connection": "45657", "serverIPAddress": "[::1]",
        "startedDateTime": "2026-11-30T20:07:37.750Z", "time": 4.7,
        "timings": {"blocked": -0.804, "receive": 1, "send": 0, "wait": 3},
        "request": {"method": "GET", "url": "http://a.test/", "httpVersion": "HTTP/1.1", "bodySize": 0, "headersSize": 496,
            "headers": []},
        "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "bodySize": 53, "headersSize": 141,
            "headers": [], "content": {"size": 53, "mimeType": "text/plain"}, "_error": null, "_transferSize": 194,
            "_fetchedViaServiceWorker": false}
    });
    for (path, value) in fields {
        let pointer = format!("/{}", path.replace('.', "/"));
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        entry.pointer_mut(parent).unwrap()[name] = value.clone();
    }
    entry
}

fn headers(list: &[(&str, &str)]) -> Value {
    list.iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect()
}

fn mended(fields: &[(&str, Value)], content: Content) -> Exchange {
    let entry = Entry::parse(&entry(fields).to_string()).unwrap();
    entry.into_exchange(content, TOLD, &Limits::default()).unwrap()
}

fn text(text: &str) -> Content {
    Content::Text(text.to_owned())
}

#[test]
fn what_is_made_up_goes() {
    let exchange = mended(
        &[
            ("response.content", json!({"size": 2, "mimeType": "x-unknown"})),
            ("response.bodySize", json!(-166)),
        ],
        Content::Base64("AP8=".to_owned()),
    );
    assert_eq!(exchange.response.body.unwrap().mime_type, "");
    assert_eq!(exchange.connection.as_deref(), Some("44"));
    assert_eq!(exchange.server_ip.unwrap().to_string(), "::1");
    assert_eq!(exchange.timings.blocked, None);
    let exchange = mended(
        &[
            ("_connectionId", Value::Null),
            ("response.headersSize", json!(-1)),
        ],
        text("x"),
    );
    assert_eq!(exchange.connection, None);
    assert_eq!(exchange.response.transfer_size, Some(194));
    let uncounted = [
        ("response.headersSize", json!(-1)),
        ("response._transferSize", json!(0)),
    ];
    assert_eq!(mended(&uncounted, text("x")).response.transfer_size, None);
}

#[test]
fn errors_that_are_none_go() {
    let aborted = ("response._error", json!("net::ERR_ABORTED"));
    let document = |kind: &str, disposition: &str| {
        vec![
            aborted.clone(),
            ("_resourceType", json!("document")),
            ("response.content", json!({"size": 0, "mimeType": kind})),
            (
                "response.headers",
                headers(&[("Content-Disposition", disposition)]),
            ),
        ]
    };
    for (fields, is_error) in [
        (vec![aborted.clone(), ("request.method", json!("HEAD"))], false),
        (vec![aborted.clone(), ("response.status", json!(204))], false),
        (document("text/plain", "Attachment; filename=x"), false),
        (document("application/zip", "inline"), false),
        (document("text/html", "inline"), true),
        (document("application/xhtml+xml", "inline"), true),
        (vec![aborted.clone()], true),
        (vec![aborted.clone(), ("response.status", json!(0))], true),
        (
            vec![
                ("response._error", json!("net::ERR_FAILED")),
                ("request.method", json!("HEAD")),
            ],
            true,
        ),
    ] {
        assert_eq!(
            mended(&fields, Content::Nothing).response.error.is_some(),
            is_error,
            "{fields:?}"
        );
    }
}

#[test]
fn web_sockets_that_fail_say_so() {
    let socket = |messages: Value| {
        vec![
            ("_resourceType", json!("websocket")),
            ("response.status", json!(0)),
            ("response.content", json!({"size": 0, "mimeType": "x-unknown"})),
            ("request.method", json!("")),
            ("startedDateTime", json!("1969-12-31T23:59:59.000Z")),
            ("time", json!(1_074_500.337)),
            ("timings.wait", json!(1_074_499.982)),
            ("_webSocketMessages", messages),
        ]
    };
    let error = "Error in connection establishment: net::ERR_CONNECTION_REFUSED";
    let exchange = mended(
        &socket(json!([{"type": "error", "data": error, "opcode": -1, "time": 1073.499982}])),
        Content::Nothing,
    );
    assert_eq!(exchange.response.error.as_deref(), Some(error));
    assert_eq!(
        (exchange.request.method.as_str(), exchange.started, exchange.time),
        ("GET", TOLD, 0.0)
    );
    assert_eq!(exchange.timings.wait, None);
    assert!(exchange.messages.is_empty());
    assert_eq!(exchange.doubts, [Doubt::Start]);
    assert_eq!(
        mended(&socket(json!([])), Content::Nothing).doubts,
        [Doubt::Start, Doubt::Failure]
    );

    let fields = [
        ("_resourceType", json!("websocket")),
        ("response.status", json!(101)),
        (
            "_webSocketMessages",
            json!([
                {"type": "send", "data": "Zoë", "opcode": 1, "time": 1_796_069_258.44},
                {"type": "error", "data": "lost", "opcode": -1, "time": 1073.5},
                {"type": "receive", "data": "Aen/", "opcode": 2, "time": 1_796_069_258.45}
            ]),
        ),
    ];
    let exchange = mended(&fields, Content::Nothing);
    let messages: Vec<_> = exchange
        .messages
        .iter()
        .map(|message| (message.direction, message.body.bytes()))
        .collect();
    assert_eq!(
        messages,
        [
            (Direction::Send, "Zoë".as_bytes()),
            (Direction::Receive, &b"\x01\xe9\xff"[..])
        ]
    );
    assert_eq!(exchange.response.error.as_deref(), Some("lost"));
    assert_eq!(exchange.doubts, []);
}

#[test]
fn the_order_of_headers_is_not_known() {
    let fields = [("request.headers", headers(&[("a", ""), ("b", "")]))];
    assert_eq!(
        mended(&fields, text("x")).doubts,
        [Doubt::ResponseBodyRecoded, Doubt::HeaderOrder]
    );
}

#[test]
fn odd_entries_are_errors() {
    assert!(Entry::parse("[]").is_err());
    for json in [
        "{}",
        r#"{"request": 1, "response": []}"#,
        r#"{"_webSocketMessages": {}}"#,
    ] {
        let entry = Entry::parse(json).unwrap();
        assert!(entry.key() == entry.key() && entry.ended().is_none());
        assert!(
            entry
                .into_exchange(Content::Nothing, TOLD, &Limits::default())
                .is_err(),
            "{json}"
        );
    }
    let base64 = Content::Base64("?".to_owned());
    let entry = Entry::parse(&entry(&[]).to_string()).unwrap();
    let exchange = entry.into_exchange(base64, TOLD, &Limits::default()).unwrap();
    assert_eq!(exchange.response.body.unwrap().data, None);
    assert!(exchange.doubts.contains(&Doubt::ResponseBodyUnknown));
}

/// Anything that may stand where something else is expected.
fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        arbitrary::text().prop_map(Value::from),
        Just(json!([{"type": "error"}, 1, {"type": "send", "opcode": -1}])),
        Just(json!({"size": -1, "mimeType": "x-unknown", "text": "\u{0}"})),
    ]
}

proptest! {
    #[test]
    fn any_entry_is_read_or_refused(
        path in prop::sample::select(vec![
            "request", "request.method", "request.url", "request.headers", "request.postData", "response", "response.status",
            "response.headers", "response.content", "response.bodySize", "response._error", "startedDateTime", "time",
            "timings", "_webSocketMessages", "_connectionId", "_resourceType", "pageref",
        ]),
        value in odd(),
        kind in 0..4,
        given in arbitrary::text(),
    ) {
        let entry = Entry::parse(&entry(&[(path, value)]).to_string()).unwrap();
        let _ = (entry.key(), entry.ended(), entry.page(), entry.is_pending(), entry.has_content());
        let content = match kind {
            0 => Content::Text(given),
            1 => Content::Base64(given),
            2 => Content::Nothing,
            _ => Content::Late,
        };
        if let Ok(exchange) = entry.into_exchange(content, TOLD, &Limits::default()) {
            prop_assert!(exchange.started > 0.0 && exchange.time.is_finite());
        }
    }
}
