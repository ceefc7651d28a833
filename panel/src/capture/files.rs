//! Captures as files: HAR in and out, pcapng out.

use std::rc::Rc;

use js_sys::{Array, Uint8Array};
use qemuweb_capture::{Exchange, PacketWriter, har};
use qemuweb_runtime::Failure;
use sycamore::prelude::*;
use sycamore::web::document;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, BlobPropertyBag, Event, File, HtmlAnchorElement, HtmlInputElement, Url};

use super::log::Log;
use super::state::{Capture, Choice};
use crate::workbench::Workbench;

/// Largest file that is read, in bytes.
const MAX_FILE: f64 = 512e6;

/// Writes the chosen exchanges as HAR.
pub fn export_har(workbench: Workbench, choice: Choice) {
    let exchanges = workbench.capture.chosen(choice);
    let mut file = Vec::new();
    let written = har::write_archive(&mut file, exchanges.iter().map(Rc::as_ref));
    save(
        workbench,
        written,
        &file,
        "application/json",
        "har",
        exchanges.len(),
    );
}

/// Writes the chosen exchanges as packets.
pub fn export_packets(workbench: Workbench, choice: Choice) {
    let exchanges = workbench.capture.chosen(choice);
    let mut file = Vec::new();
    let written = PacketWriter::write_file(&mut file, exchanges.iter().map(Rc::as_ref));
    save(
        workbench,
        written,
        &file,
        "application/vnd.tcpdump.pcap",
        "pcapng",
        exchanges.len(),
    );
}

fn save(
    workbench: Workbench,
    written: std::io::Result<()>,
    file: &[u8],
    mime_type: &str,
    extension: &str,
    count: usize,
) {
    let capture = workbench.capture;
    let name = format!("{}.{extension}", file_stem(&capture.log().borrow()));
    let saved = written
        .map_err(|error| Failure::from_error(&error))
        .and_then(|()| {
            download(file, mime_type, &name).map_err(|_| Failure::new("the browser made no file"))
        });
    match saved {
        Ok(()) => capture.message.set(format!("{count} requests are in {name}.")),
        Err(failure) => workbench.store.report(failure),
    }
}

/// A file's name without its extension; a capture with secrets says so.
fn file_stem(log: &Log) -> String {
    let secrets = if log.with_secrets() { "-with-secrets" } else { "" };
    format!("page-{}{secrets}", log.id())
}

/// Has the browser save bytes as a file.
fn download(bytes: &[u8], mime_type: &str, name: &str) -> Result<(), JsValue> {
    let options = BlobPropertyBag::new();
    options.set_type(mime_type);
    let parts = Array::of1(&Uint8Array::from(bytes));
    let blob = Blob::new_with_u8_array_sequence_and_options(&parts, &options)?;
    let url = Url::create_object_url_with_blob(&blob)?;
    let link: HtmlAnchorElement = document().create_element("a")?.unchecked_into();
    link.set_href(&url);
    link.set_download(name);
    link.click();
    Url::revoke_object_url(&url)
}

/// The button that asks for a HAR file.
pub fn import_button(workbench: Workbench) -> View {
    let chosen = move |event: Event| {
        let Some(input) = event
            .target()
            .and_then(|target| target.dyn_into::<HtmlInputElement>().ok())
        else {
            return;
        };
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            spawn_local(async move {
                let result = read(&file).await;
                workbench.run(|| match result {
                    Ok(json) => import(workbench, &json),
                    Err(failure) => workbench.store.report(failure),
                });
            });
        }
        // The same file can be chosen again.
        input.set_value("");
    };
    view! {
        label(class="button small file-button") {
            "Import HAR"
            input(r#type="file", class="visually-hidden", accept=".har,application/json", data-testid="capture-import",
                on:change=chosen)
        }
    }
}

async fn read(file: &File) -> Result<Vec<u8>, Failure> {
    if file.size() > MAX_FILE {
        return Err(Failure::new(format!(
            "expected a HAR file of at most {} MB, found one of {:.0} MB",
            MAX_FILE / 1e6,
            file.size() / 1e6
        ))
        .with_next_step("Record fewer requests, or leave the bodies out."));
    }
    let buffer = JsFuture::from(file.array_buffer()).await;
    buffer
        .map(|buffer| Uint8Array::new(&buffer).to_vec())
        .map_err(|_| Failure::new(format!("{} could not be read", file.name())))
}

/// Puts the exchanges of a HAR file in place of the capture's.
pub fn import(workbench: Workbench, json: &[u8]) {
    let capture = workbench.capture;
    let limits = *capture.log().borrow().limits();
    match har::read_archive(json, &limits) {
        Ok(archive) => {
            let keep_secrets = capture.keep_secrets.get_untracked();
            capture.clear(new_id());
            capture.keep_secrets.set(keep_secrets);
            // What was left out, left aside or mended.
            let remarks = archive.to_string();
            let count = fill(capture, archive.exchanges, keep_secrets);
            capture.message.set(match count {
                1 => format!("1 request was read.{remarks}"),
                count => format!("{count} requests were read.{remarks}"),
            });
        }
        Err(error) => workbench.store.report(
            Failure::from_error(&error).with_next_step("Choose a file that a browser exported as HAR."),
        ),
    }
}

fn fill(capture: Capture, exchanges: Vec<Exchange>, keep_secrets: bool) -> usize {
    let log = capture.log();
    let mut log = log.borrow_mut();
    for exchange in exchanges {
        log.push(exchange, keep_secrets);
    }
    let taken = log.rows().len();
    drop(log);
    capture.touch();
    taken
}

#[cfg(target_arch = "wasm32")]
use super::recorder::new_id;

#[cfg(not(target_arch = "wasm32"))]
fn new_id() -> String {
    String::new()
}
