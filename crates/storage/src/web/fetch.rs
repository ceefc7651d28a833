//! [`Ranges`] by `fetch`.

use async_trait::async_trait;
use futures_util::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use js_sys::{Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, ReadableStreamDefaultReader, RequestCache, RequestCredentials, RequestInit, Response,
};

use super::reason;
use crate::http::{Ranges, Reply};

/// How long a server may say nothing, in milliseconds.
const SILENCE_MS: u32 = 20_000;

#[wasm_bindgen]
extern "C" {
    /// `fetch`, of a page or a Worker.
    #[wasm_bindgen(js_name = fetch)]
    fn fetch_url(url: &str, init: &RequestInit) -> Promise;
}

/// An image's address.
pub struct FetchRanges {
    url: String,
    credentials: bool,
}

impl FetchRanges {
    /// The image at `url`. With `credentials`, the person's cookies go with each request.
    pub fn new(url: impl Into<String>, credentials: bool) -> Self {
        Self {
            url: url.into(),
            credentials,
        }
    }
}

/// What `promise` resolves to, if that does not take too long.
async fn in_time(promise: Promise) -> Result<JsValue, String> {
    match select(JsFuture::from(promise), TimeoutFuture::new(SILENCE_MS)).await {
        Either::Left((result, _)) => result.map_err(|error| reason(&error)),
        Either::Right(_) => Err(format!("nothing came for {} s", SILENCE_MS / 1000)),
    }
}

#[async_trait(?Send)]
impl Ranges for FetchRanges {
    async fn fetch(&self, start: u64, end: u64) -> Result<Reply, String> {
        let failed = |exception: JsValue| reason(&exception);
        let controller = AbortController::new().map_err(failed)?;
        let headers = web_sys::Headers::new().map_err(failed)?;
        let last = end.saturating_sub(1);
        headers
            .append("Range", &format!("bytes={start}-{last}"))
            .map_err(failed)?;
        let init = RequestInit::new();
        init.set_headers_headers(&headers);
        init.set_signal(Some(&controller.signal()));
        // The browser's cache would keep a second copy of what we keep, and mix answers of different times.
        init.set_cache(RequestCache::NoStore);
        init.set_credentials(if self.credentials {
            RequestCredentials::Include
        } else {
            RequestCredentials::Omit
        });
        let reply = async {
            let response: Response = in_time(fetch_url(&self.url, &init)).await?.unchecked_into();
            let header = |name: &str| response.headers().get(name).ok().flatten();
            let mut reply = Reply {
                status: response.status(),
                content_range: header("content-range"),
                content_length: header("content-length"),
                content_encoding: header("content-encoding"),
                content_type: header("content-type"),
                etag: header("etag"),
                last_modified: header("last-modified"),
                retry_after: header("retry-after"),
                body: Vec::new(),
            };
            if reply.status == 206 {
                reply.body = body(&response, end - start).await;
            }
            Ok(reply)
        };
        let reply = reply.await;
        // Nobody reads the rest.
        controller.abort();
        reply
    }
}

/// A response's body as far as it comes, and no more than a byte beyond `most`.
async fn body(response: &Response, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Some(stream) = response.body() else {
        return bytes;
    };
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    while bytes.len() as u64 <= most {
        let Ok(read) = in_time(reader.read()).await else {
            break;
        };
        let value = Reflect::get(&read, &"value".into()).unwrap_or_default();
        let Some(piece) = value.dyn_ref::<Uint8Array>() else {
            break;
        };
        let room = (most + 1 - bytes.len() as u64).min(u64::from(piece.length())) as u32;
        bytes.extend(piece.subarray(0, room).to_vec());
    }
    bytes
}
