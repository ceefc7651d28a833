//! Anything around a secret that is known, and a secret in a form, a part, JSON and a header: it is in no output.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qemuweb_capture::{Body, Exchange, Header, PacketWriter, Redactor, curl_command, fetch_call, har, jsonl};

const SECRET: &str = "s3cr3tV4lu3x9z8";
const MIME_TYPES: [&str; 8] = [
    "",
    "text/plain",
    "application/json",
    "text/html",
    "text/javascript",
    "application/xml",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
];

fuzz_target!(|data: &[u8]| {
    let Some((&kind, data)) = data.split_first() else {
        return;
    };
    let mime_type = MIME_TYPES[usize::from(kind) % MIME_TYPES.len()];
    let mut redactor = Redactor::default();
    let mut login = Exchange::default();
    login.request.body = Some(Body::new(MIME_TYPES[6], format!("a=b&password={SECRET}")));
    redactor.redact(&mut login);
    let middle = data.len() / 2;
    let around = [&data[..middle], SECRET.as_bytes(), &data[middle..]].concat();
    let text = String::from_utf8_lossy(&around).into_owned();
    let mut exchange = Exchange::default();
    exchange.request.url.clone_from(&text);
    let names = [
        "Location",
        "X-Text",
        "Cookie",
        "Authorization",
        "Sec-WebSocket-Protocol",
    ];
    exchange.request.headers = names
        .map(|name| Header {
            name: name.to_owned(),
            value: text.clone(),
        })
        .into();
    exchange.request.body = Some(Body::new(mime_type, around.clone()));
    exchange.response.body = Some(Body::new(mime_type, around));
    redactor.redact(&mut exchange);
    let mut out = Vec::new();
    for exchange in [&login, &exchange] {
        jsonl::write_exchange(&mut out, "fuzz", exchange).expect("memory takes all");
        out.extend(curl_command(exchange).into_bytes());
        out.extend(fetch_call(exchange).into_bytes());
    }
    PacketWriter::write_file(&mut out, [&login, &exchange]).expect("memory takes all");
    har::write_archive(&mut out, [&login, &exchange]).expect("memory takes all");
    let leaks = out
        .windows(SECRET.len())
        .any(|window| window == SECRET.as_bytes());
    assert!(!leaks, "{}", String::from_utf8_lossy(&out));
});
