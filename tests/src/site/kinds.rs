//! One answer of each kind that a capture has to tell truly, below `/kind/`, and a ledger of what was really sent and got.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, LOCATION,
};
use hyper::http::response::Builder;
use hyper::{Method, Request, Response, StatusCode};

use super::answers::{Body, NoAnswer, brotli, gzip, whole};

/// What a text says in which every encoding differs: UTF-8 of it is not Latin-1, nor the other way round.
const TEXT: &str = "Zoë says “hi”, 東京 🦀\n";

/// Bytes beyond what DevTools keep of a binary body.
const TOO_LARGE: usize = 15_000_001;

/// What went over the wire for one path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The request's body as the server got it.
    pub got: Vec<u8>,
    /// The response's body as the server sent it, without content encoding.
    pub sent: Vec<u8>,
}

/// What was told, by path and query.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Arc<Mutex<BTreeMap<String, Told>>>);

impl Ledger {
    pub(super) fn told(&self, path: &str) -> Option<Told> {
        self.lock().get(path).cloned()
    }

    pub(super) fn note(&self, path: &str, got: Vec<u8>, sent: Vec<u8>) {
        self.lock().insert(path.to_owned(), Told { got, sent });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Told>> {
        // A map is whole even if a thread that changed it panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body by name: its content type, if it says one, and its bytes before any content encoding.
fn body(name: &str) -> Option<(Option<&'static str>, Vec<u8>)> {
    let text = || TEXT.as_bytes().to_vec();
    let all_bytes = || (0..=255).collect::<Vec<u8>>();
    let utf_16 = || {
        TEXT.encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>()
    };
    Some(match name {
        "stream" => (
            Some("text/event-stream"),
            format!("data: {TEXT}\ndata: [DONE]\n\n").into_bytes(),
        ),
        "plain" => (Some("text/plain"), text()),
        "csv" => (Some("text/csv"), text()),
        "markdown" => (Some("text/markdown"), text()),
        "css" => (Some("text/css"), format!("/* {TEXT} */").into_bytes()),
        "yaml" => (Some("text/yaml"), text()),
        "vtt" => (Some("text/vtt"), format!("WEBVTT\n\n{TEXT}").into_bytes()),
        "json" => (Some("application/json"), format!("[{TEXT:?}]").into_bytes()),
        "script" => (Some("text/javascript"), format!("/* {TEXT} */").into_bytes()),
        "untyped" => (None, text()),
        // No charset, and no UTF-8 either.
        "old-plain" => (Some("text/plain"), all_bytes()),
        // Read as Latin-1 it is as long as the UTF-8 of another text.
        "short-plain" => (Some("text/plain"), "é".as_bytes().to_vec()),
        "latin-1" => (Some("text/plain; charset=iso-8859-1"), all_bytes()),
        "utf-8" => (Some("text/plain; charset=utf-8"), text()),
        "utf-8-mark" => (Some("text/plain"), [b"\xef\xbb\xbf", TEXT.as_bytes()].concat()),
        "utf-8-broken" => (Some("text/plain; charset=utf-8"), b"a\xffb".to_vec()),
        "utf-16" => (Some("text/plain; charset=utf-16le"), utf_16()),
        "shift-jis" => (
            Some("text/plain; charset=shift_jis"),
            b"\x93\x8c\x8b\x9e".to_vec(),
        ),
        "binary" => (Some("application/octet-stream"), all_bytes()),
        "empty" => (Some("text/plain"), Vec::new()),
        "gzip" | "br" => (Some("application/json"), format!("[{TEXT:?}]").into_bytes()),
        "file" => (Some("text/plain"), text()),
        "large" => (Some("application/octet-stream"), vec![b'x'; TOO_LARGE]),
        "sw/page" => (
            Some("text/html"),
            b"<!doctype html><meta charset=utf-8><title>Page of a service worker</title>".to_vec(),
        ),
        "sw/through" => (Some("text/plain"), text()),
        "home" => (
            Some("text/html"),
            b"<!doctype html><meta charset=utf-8><title>Home</title><img src=/pixel.gif?home>".to_vec(),
        ),
        "sw/worker.js" => (Some("text/javascript"), WORKER.as_bytes().to_vec()),
        "many" => (Some("text/html"), MANY.as_bytes().to_vec()),
        _ if name.starts_with("many/") => (Some("text/plain"), name.as_bytes().to_vec()),
        _ => return None,
    })
}

/// Answers one request by itself and lets the others through.
const WORKER: &str = "
    addEventListener('install', () => skipWaiting());
    addEventListener('activate', event => event.waitUntil(clients.claim()));
    addEventListener('fetch', event => {
        if (event.request.url.endsWith('/own')) event.respondWith(new Response('made by the worker'));
        else if (event.request.url.endsWith('/through')) event.respondWith(fetch(event.request));
    });";

/// Makes many requests at once, as pages do while they load.
const MANY: &str = "<!doctype html><meta charset=utf-8><title>Many</title><script>
    const text = url => fetch(url).then(response => response.text());
    window.loaded = Promise.all(Array.from({length: 300}, (_, n) => text('/kind/many/' + n))).then(() => true);
    </script>";

/// Answers a request below `/kind/`; nothing to a name that is not known.
pub(super) async fn answer(
    request: Request<Incoming>,
    ledger: &Ledger,
) -> Result<Option<Response<Body>>, NoAnswer> {
    let path = request
        .uri()
        .path_and_query()
        .map_or_else(String::new, ToString::to_string);
    let name = request
        .uri()
        .path()
        .strip_prefix("/kind/")
        .unwrap_or_default()
        .to_owned();
    let method = request.method().clone();
    let got = request.into_body().collect().await?.to_bytes().to_vec();
    let builder = Response::builder().header(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    let (response, sent) = match name.as_str() {
        // Pages of another origin may do what they asked for.
        name if method == Method::OPTIONS && name != "refused" => (
            builder
                .header(ACCESS_CONTROL_ALLOW_HEADERS, "x-own, content-type")
                .header(ACCESS_CONTROL_ALLOW_METHODS, "PUT, POST")
                .body(whole(Bytes::new()))?,
            Vec::new(),
        ),
        "none" => (
            builder.status(StatusCode::NO_CONTENT).body(whole(Bytes::new()))?,
            Vec::new(),
        ),
        "sent" => (builder.body(whole("thanks"))?, b"thanks".to_vec()),
        "login" => (
            builder
                .status(StatusCode::SEE_OTHER)
                .header(LOCATION, "/kind/home")
                .body(whole("see there"))?,
            b"see there".to_vec(),
        ),
        "range" => (
            builder
                .status(StatusCode::PARTIAL_CONTENT)
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(ACCEPT_RANGES, "bytes")
                .header(CONTENT_RANGE, "bytes 2-4/10")
                .body(whole("234"))?,
            b"234".to_vec(),
        ),
        "allowed" => (builder.body(whole("allowed"))?, b"allowed".to_vec()),
        "refused" => (
            Response::builder()
                .header(CONTENT_TYPE, "text/plain")
                .body(whole("not for you"))?,
            b"not for you".to_vec(),
        ),
        "endless" => (endless(builder, "text/plain", "piece ")?, Vec::new()),
        "endless-stream" => (
            endless(
                builder,
                "text/event-stream",
                "event: said\ndata: Zoë\ndata: 東京\n\n",
            )?,
            Vec::new(),
        ),
        name => {
            let Some((kind, sent)) = body(name) else {
                return Ok(None);
            };
            let builder = match kind {
                Some(kind) => builder.header(CONTENT_TYPE, kind),
                None => builder,
            };
            let response = match name {
                "gzip" => builder
                    .header(CONTENT_ENCODING, "gzip")
                    .body(whole(gzip(&sent)))?,
                "br" => builder
                    .header(CONTENT_ENCODING, "br")
                    .body(whole(brotli(&sent)))?,
                "file" => builder
                    .header(CONTENT_DISPOSITION, "attachment; filename=file.txt")
                    .body(whole(sent.clone()))?,
                _ => builder.body(whole(sent.clone()))?,
            };
            (response, sent)
        }
    };
    ledger.note(&path, got, sent);
    Ok(Some(response))
}

/// A body that never ends by itself.
fn endless(
    builder: Builder,
    kind: &'static str,
    piece: &'static str,
) -> Result<Response<Body>, hyper::http::Error> {
    let pieces = stream::repeat(piece).then(|piece| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(Frame::data(Bytes::from(piece)))
    });
    builder
        .header(CONTENT_TYPE, kind)
        .body(StreamBody::new(pieces).boxed_unsync())
}
