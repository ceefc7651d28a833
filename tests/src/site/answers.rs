//! What the site answers: a page, and what pages fetch in all manners.

use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{SinkExt, StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION,
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SET_COOKIE, UPGRADE,
};
use hyper::http::response::Builder;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::kinds::{self, Ledger};

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Why there is no answer, and the connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// The page asked for it.
    #[error("an answer that breaks off was asked for")]
    Wanted,
    /// There is no kind of this name.
    #[error("the site has no such kind of answer")]
    Unknown,
    /// The request broke off.
    #[error(transparent)]
    Request(#[from] hyper::Error),
    /// There is no such answer in HTTP.
    #[error(transparent)]
    Response(#[from] hyper::http::Error),
}

const PAGE: &str = "<!doctype html><meta charset=utf-8><title>Inspected page</title><h1>Inspected page</h1>";

/// One transparent pixel.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// What is compressed, and long enough to become shorter by it.
fn packed() -> String {
    format!(r#"{{"packed": true, "padding": "{}"}}"#, "-".repeat(1000))
}

/// Answers a request: 404 below `/missing`, the page to what it does not know.
pub(super) async fn answer(request: Request<Incoming>, ledger: &Ledger) -> Result<Response<Body>, NoAnswer> {
    if request.uri().path().starts_with("/kind/") {
        return match kinds::answer(request, ledger).await? {
            Some(response) => Ok(response),
            None => Err(NoAnswer::Unknown),
        };
    }
    // Pages of the other server may read it too.
    let builder = Response::builder().header(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    let path = request.uri().path().to_owned();
    let response = match path.as_str() {
        "/packed.json" => packed_with(builder, "gzip", gzip(packed().as_bytes()))?,
        "/brotli.json" => packed_with(builder, "br", brotli(packed().as_bytes()))?,
        "/chunked.txt" => streamed(builder, &["piece ", "by piece"], Duration::ZERO)?,
        "/stream.txt" => streamed(builder, &["one\n", "two\n", "three\n"], Duration::from_millis(50))?,
        "/moved" => builder
            .status(StatusCode::FOUND)
            .header(LOCATION, "/packed.json")
            .body(whole(""))?,
        "/pixel.gif" => typed(builder, "image/gif").body(whole(PIXEL))?,
        // Says back what it got, as pages do that mean well.
        "/echo" => {
            let sent = request.into_body().collect().await?;
            typed(builder, "text/plain")
                .header(SET_COOKIE, "id=cookie-of-the-server")
                .body(whole(sent.to_bytes()))?
        }
        "/failing" => typed(builder, "text/plain")
            .status(StatusCode::INTERNAL_SERVER_ERROR)
            .body(whole("out of order"))?,
        "/broken" => return Err(NoAnswer::Wanted),
        "/socket" => socket(request)?,
        path if path.starts_with("/missing") => typed(builder, "text/plain")
            .status(StatusCode::NOT_FOUND)
            .body(whole("not here"))?,
        _ => typed(builder, "text/html").body(whole(PAGE))?,
    };
    Ok(response)
}

fn typed(builder: Builder, kind: &'static str) -> Builder {
    builder.header(CONTENT_TYPE, kind)
}

pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

fn packed_with(
    builder: Builder,
    encoding: &'static str,
    bytes: Vec<u8>,
) -> Result<Response<Body>, hyper::http::Error> {
    typed(builder, "application/json")
        .header(CONTENT_ENCODING, encoding)
        .body(whole(bytes))
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Memory takes all.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

pub(super) fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // Memory takes all.
    let _ = brotli::CompressorWriter::new(&mut out, 4096, 5, 20).write_all(bytes);
    out
}

/// A body whose length is not told, in pieces with pauses between them.
fn streamed(
    builder: Builder,
    pieces: &'static [&'static str],
    pause: Duration,
) -> Result<Response<Body>, hyper::http::Error> {
    let pieces = stream::iter(pieces).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        Ok(Frame::data(Bytes::from(*piece)))
    });
    typed(builder, "text/plain").body(StreamBody::new(pieces).boxed_unsync())
}

/// Goes over to WebSocket and says back each message.
fn socket(request: Request<Incoming>) -> Result<Response<Body>, hyper::http::Error> {
    let key = request
        .headers()
        .get(SEC_WEBSOCKET_KEY)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    let accept = derive_accept_key(key);
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else {
            return;
        };
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, accept)
        .body(whole(""))
}
