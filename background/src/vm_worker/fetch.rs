//! Fetching files of the package and of the web, with progress and limits.
//!
//! Bytes stay in JavaScript's buffers, which the browser takes back: this module's own memory would never shrink again.

use js_sys::{Array, Reflect, Uint8Array};
use qemuweb_wire::Failure;
use qemuweb_wire::web::failure_from_exception;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, ReadableStream, ReadableStreamDefaultReader, ReferrerPolicy, RequestCredentials, RequestInit,
    Response,
};

use super::{ProgressMeter, scope};
use crate::blob::gunzip;

/// Most bytes that one file may have in QEMU's memory file system. Larger disks are attached as files, which are
/// read in place.
const MAX_FILE: u32 = 1 << 30;

/// The bytes at an address of the web, whose size is told to `meter`, if there is one, as soon as the server tells it. The host of the address
/// gets the person's cookies only if they asked for that (`with_credentials`), and never learns who asks.
///
/// # Errors
/// As [`fetch`].
pub(super) async fn fetch_url(
    url: &str,
    with_credentials: bool,
    meter: Option<&ProgressMeter>,
) -> Result<Uint8Array, Failure> {
    if let Some(meter) = meter {
        meter.expect_file();
    }
    let options = RequestInit::new();
    options.set_referrer_policy(ReferrerPolicy::NoReferrer);
    options.set_credentials(if with_credentials {
        RequestCredentials::Include
    } else {
        RequestCredentials::Omit
    });
    fetch_with(url, &options, false, meter, |response| {
        let header = |name| response.headers().get(name).ok().flatten();
        // An encoded answer is shorter than its content.
        if header("content-encoding").is_none()
            && let Some(meter) = meter
            && let Some(size) = header("content-length").and_then(|size| size.parse().ok())
        {
            meter.learn_size(size);
        }
    })
    .await
}

/// The bytes at `url`, decompressed from gzip if `decompress` is set; `meter` counts them.
///
/// # Errors
/// A [`Failure`] when it cannot be fetched, is no gzip, or is larger than [`MAX_FILE`].
pub(super) async fn fetch(
    url: &str,
    decompress: bool,
    meter: Option<&ProgressMeter>,
) -> Result<Uint8Array, Failure> {
    fetch_with(url, &RequestInit::new(), decompress, meter, |_| ()).await
}

async fn fetch_with(
    url: &str,
    options: &RequestInit,
    decompress: bool,
    meter: Option<&ProgressMeter>,
    answered: impl FnOnce(&Response),
) -> Result<Uint8Array, Failure> {
    let failed = |exception: JsValue| failure_from_exception(format!("could not fetch {url}"), &exception);
    let response: Response = JsFuture::from(scope().fetch_with_str_and_init(url, options))
        .await
        .map_err(|exception| {
            failed(exception).with_next_step(
                "Check the address. If it is right, edit the machine and start it from there: the browser then asks whether \
                 QemuWeb may fetch from that host.",
            )
        })?
        .unchecked_into();
    if !response.ok() {
        let failure = Failure::new(format!(
            "could not fetch {url}: expected status 200, found {}",
            response.status()
        ));
        return Err(match response.status() {
            401 | 403 => failure.with_next_step(
                "If you are signed in there, choose in the VM's settings that the file is fetched with your cookies.",
            ),
            _ => failure.with_next_step("Check the address."),
        });
    }
    answered(&response);
    let empty = || Failure::new(format!("could not fetch {url}: the answer has no body"));
    let body = response.body().ok_or_else(empty)?;
    let body = if decompress {
        gunzip(&body).map_err(failed)?
    } else {
        body
    };
    read_all(&body, meter).await.map_err(|error| match error {
        ReadError::Exception(exception) => failed(exception),
        ReadError::TooLarge => Failure::new(format!("{url} is larger than {} MiB", MAX_FILE >> 20))
            .with_next_step("Attach it as a local file: those are read in place."),
    })
}

/// Reads a file of QEMU's build or of the guests as JSON.
///
/// # Errors
/// A [`Failure`] when it is not there or is no JSON of this shape.
pub(super) async fn fetch_json<T: serde::de::DeserializeOwned>(url: &str) -> Result<T, Failure> {
    let bytes = fetch(url, false, None).await?;
    serde_json::from_slice(&bytes.to_vec()).map_err(|error| Failure {
        causes: vec![error.to_string()],
        ..Failure::new(format!("could not read {url}"))
    })
}

enum ReadError {
    Exception(JsValue),
    TooLarge,
}

impl From<JsValue> for ReadError {
    fn from(exception: JsValue) -> Self {
        Self::Exception(exception)
    }
}

/// What is packed with gzip in `bytes`.
///
/// # Errors
/// A [`Failure`] when it is no gzip, or more than [`MAX_FILE`].
pub(super) async fn unpack(name: &str, bytes: &Uint8Array) -> Result<Uint8Array, Failure> {
    let unpacked = async {
        let packed = Blob::new_with_u8_array_sequence(&Array::of1(bytes))?;
        read_all(&gunzip(&packed.stream())?, None).await
    };
    unpacked.await.map_err(|error| match error {
        ReadError::Exception(exception) => failure_from_exception(
            format!("could not unpack {name}, which is packed with gzip"),
            &exception,
        )
        .with_next_step("Get it again: it may be damaged or cut off."),
        ReadError::TooLarge => Failure::new(format!("{name} unpacks to more than {} MiB", MAX_FILE >> 20)),
    })
}

async fn read_all(body: &ReadableStream, meter: Option<&ProgressMeter>) -> Result<Uint8Array, ReadError> {
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    let mut chunks = Vec::new();
    let mut size = 0_u32;
    loop {
        let result = JsFuture::from(reader.read()).await?;
        if Reflect::get(&result, &"done".into())?.is_truthy() {
            break;
        }
        let chunk: Uint8Array = Reflect::get(&result, &"value".into())?.unchecked_into();
        size = size.saturating_add(chunk.length());
        if size > MAX_FILE {
            // The reader is dropped with the Worker's failure; nothing waits for the cancellation.
            drop(reader.cancel());
            return Err(ReadError::TooLarge);
        }
        if let Some(meter) = meter {
            meter.add(u64::from(chunk.length()));
        }
        chunks.push(chunk);
    }
    let bytes = Uint8Array::new_with_length(size);
    let mut offset = 0;
    for chunk in &chunks {
        bytes.set(chunk, offset);
        offset += chunk.length();
    }
    Ok(bytes)
}
