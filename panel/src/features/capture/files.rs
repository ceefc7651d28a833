//! Captures as files: HAR in and out, pcapng out.

use std::rc::Rc;

use js_sys::Uint8Array;
use qemuweb_capture::{Exchange, PacketWriter, har};
use qemuweb_wire::Failure;
use sycamore::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Event, File};

use super::log::Log;
use super::state::{Capture, Choice};
use crate::kit::browser::press;
use crate::kit::files::{self, Chosen};
use crate::kit::text::bytes;

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 512 << 20;

/// Writes the chosen exchanges as HAR.
pub fn export_har(capture: Capture, choice: Choice) {
    let exchanges = capture.chosen(choice);
    let mut file = Vec::new();
    let written = har::write_archive(&mut file, exchanges.iter().map(Rc::as_ref));
    save(
        capture,
        written,
        &file,
        "application/json",
        "har",
        exchanges.len(),
    );
}

/// Writes the chosen exchanges as packets.
pub fn export_packets(capture: Capture, choice: Choice) {
    let exchanges = capture.chosen(choice);
    let mut file = Vec::new();
    let written = PacketWriter::write_file(&mut file, exchanges.iter().map(Rc::as_ref));
    save(
        capture,
        written,
        &file,
        "application/vnd.tcpdump.pcap",
        "pcapng",
        exchanges.len(),
    );
}

fn save(
    capture: Capture,
    written: std::io::Result<()>,
    file: &[u8],
    mime_type: &str,
    extension: &str,
    count: usize,
) {
    let name = format!("{}.{extension}", file_stem(&capture.log().borrow(), &file_time()));
    let saved = written
        .map_err(|error| Failure::from_error(&error))
        .and_then(|()| {
            files::download(file, mime_type, &name).map_err(|_| Failure::new("the browser made no file"))
        });
    match saved {
        Ok(()) => capture.message.set(format!("{count} requests are in {name}.")),
        Err(failure) => capture.cx.notices.report(failure),
    }
}

/// A file's name without its extension: the site and the time. A capture with secrets says so.
fn file_stem(log: &Log, time: &str) -> String {
    let site = log.rows().first().and_then(|row| {
        let rest = row.exchange.request.url.split_once("://")?.1;
        rest.split(['/', '?', '#']).next()?.rsplit('@').next()
    });
    let site: String = site
        .unwrap_or("page")
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .take(60)
        .collect();
    let secrets = if log.with_secrets() { "-with-secrets" } else { "" };
    format!("{site}-{time}{secrets}")
}

/// The time as it stands in names of files: `2026-11-30T16-05-09`.
fn file_time() -> String {
    let time = if cfg!(target_arch = "wasm32") {
        String::from(js_sys::Date::new_0().to_iso_string())
    } else {
        String::new()
    };
    time.chars()
        .take(19)
        .map(|c| if c == ':' { '-' } else { c })
        .collect()
}

/// The id of the field that takes a HAR file.
const IMPORT: &str = "capture-import";

/// Asks for a HAR file.
pub fn choose_import() {
    press(IMPORT);
}

/// The field that takes a HAR file; [`choose_import`] presses it.
pub fn import_input(capture: Capture) -> View {
    let chosen = move |event: Event| {
        if let Some(file) = files::chosen(&event) {
            capture
                .cx
                .later(async move { read(&file).await }, move |read| match read {
                    Ok(json) => import(capture, &json),
                    Err(failure) => capture.cx.notices.report(failure),
                });
        }
    };
    view! {
        input(r#type="file", id=IMPORT, class="visually-hidden", accept=".har,application/json", "tabindex"="-1",
            aria-label="Import HAR", data-testid=IMPORT, on:change=chosen)
    }
}

async fn read(file: &File) -> Result<Vec<u8>, Failure> {
    let chosen = Chosen::file(file.clone());
    if chosen.size > MAX_FILE {
        return Err(Failure::new(format!(
            "expected a HAR file of at most {}, found one of {}",
            bytes(MAX_FILE),
            bytes(chosen.size)
        ))
        .with_next_step("Record fewer requests, or leave the bodies out."));
    }
    let buffer = JsFuture::from(file.array_buffer()).await;
    buffer
        .map(|buffer| Uint8Array::new(&buffer).to_vec())
        .map_err(|_| Failure::new(format!("{} could not be read", file.name())))
}

/// Puts the exchanges of a HAR file in place of the capture's.
pub fn import(capture: Capture, json: &[u8]) {
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
        Err(error) => capture.cx.notices.report(
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

#[cfg(test)]
mod tests {
    use qemuweb_capture::Limits;

    use super::*;

    #[test]
    fn files_are_named_by_site_and_time() {
        for (url, name) in [
            ("https://u:p@shop.test:8080/a", "shop.test-8080-T"),
            ("https://../../etc", "..-T"),
            ("data:x", "page-T"),
        ] {
            let mut log = Log::new("c1".to_owned(), "", Limits::default());
            let mut exchange = Exchange::default();
            exchange.request.url = url.to_owned();
            log.push(exchange, true);
            assert_eq!(file_stem(&log, "T"), format!("{name}-with-secrets"), "{url}");
        }
    }
}
