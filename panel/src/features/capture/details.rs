//! The exchange that is selected: headers, bodies, times, messages; as curl and fetch; what a guest said about it.

use qemuweb_capture::devtools::from_windows_1252;
use qemuweb_capture::{Body, Direction, Doubt, Exchange, Header, curl_command, fetch_call};
use sycamore::prelude::*;

use super::state::Capture;
use super::toolbar::type_in;
use crate::kit::browser::copy;
use crate::kit::buttons::{text_button, tool};
use crate::kit::icons;
use crate::kit::reactive::Once;
use crate::kit::text::{bytes, milliseconds, printable};

/// Most characters of a body that are shown.
const SHOWN: usize = 64 << 10;

/// The details.
#[component]
pub fn Details() -> View {
    let capture = Capture::here();
    let selected = capture.selected;
    let content = move || -> View {
        let Some(exchange) = selected.get().and_then(|number| capture.exchange(number)) else {
            return View::new();
        };
        let sections = sections(&exchange);
        let (curl, fetch) = (curl_command(&exchange), fetch_call(&exchange));
        let typed = curl.clone();
        let curl_button = text_button("capture-copy-curl", "Copy as curl", move |_| copy(curl.clone()));
        let fetch_button = text_button("capture-copy-fetch", "Copy as fetch", move |_| {
            copy(fetch.clone())
        });
        let type_button = text_button("capture-type-curl", "Type curl into console", move |_| {
            type_in(capture, &typed);
        });
        view! {
            section(class="capture-details", aria-label="Request", data-testid="capture-details") {
                div(class="capture-actions", role="toolbar", aria-label="Request") {
                    (curl_button)
                    (fetch_button)
                    (type_button)
                    span(class="spacer")
                    (Once { of: move || tool(icons::CLOSE, "capture-close", "Close (Escape)", || false, move |_| selected.set(None)) })
                }
                div(class="capture-sections") { (sections) }
            }
        }
    };
    view! { (content()) }
}

fn sections(exchange: &Exchange) -> View {
    let (request, response) = (&exchange.request, &exchange.response);
    let mut general = vec![
        ("URL", request.url.clone()),
        ("Method", request.method.clone()),
        ("Status", status(exchange)),
        ("Took", milliseconds(exchange.time)),
    ];
    let mut add = |name, value: Option<String>| general.extend(value.map(|value| (name, value)));
    let protocol = Some(&response.http_version).filter(|version| !version.is_empty());
    add("Protocol", protocol.cloned());
    add("Address", exchange.server_ip.map(|address| address.to_string()));
    add("Type", exchange.resource_type.clone());
    add("Priority", exchange.priority.clone());
    add("Initiator", exchange.initiator.clone());
    add("Error", response.error.clone());
    add("Over the network", response.transfer_size.map(bytes));
    let cut: Vec<String> = exchange.cut.iter().map(ToString::to_string).collect();
    add("Kept in part", (!cut.is_empty()).then(|| cut.join(", ")));
    add(
        "Secrets",
        Some(if exchange.redacted { "redacted" } else { "kept" }.to_owned()),
    );
    let general = general.into_iter().map(|(name, value)| (name.to_owned(), value));
    let timings = &exchange.timings;
    let times = [
        ("Blocked", timings.blocked),
        ("DNS", timings.dns),
        ("Connect", timings.connect),
        ("TLS, part of connect", timings.ssl),
        ("Send", timings.send),
        ("Wait", timings.wait),
        ("Receive", timings.receive),
    ];
    let times = times
        .into_iter()
        .filter_map(|(name, time)| Some((name.to_owned(), format!("{:.2} ms", time?))));
    let headers = |headers: &[Header]| {
        let pair = |header: &Header| (header.name.clone(), header.value.clone());
        headers.iter().map(pair).collect::<Vec<_>>()
    };
    let messages = exchange.messages.iter().map(|message| {
        let arrow = match message.direction {
            Direction::Send => "sent",
            Direction::Receive => "received",
        };
        (arrow.to_owned(), text_of(&message.body))
    });
    let order = |title: &'static str| {
        let is_unknown = exchange.doubts.contains(&Doubt::HeaderOrder);
        (
            title,
            if is_unknown {
                "in DevTools' order, not in that in which they were sent"
            } else {
                ""
            },
        )
    };
    let sections = [
        doubts(&exchange.doubts),
        pairs(("General", ""), general),
        pairs(order("Response headers"), headers(&response.headers)),
        pairs(order("Request headers"), headers(&request.headers)),
        body("Request body", request.body.as_ref()),
        body("Response body", response.body.as_ref()),
        pairs(("Messages", ""), messages),
        pairs(("Times", ""), times),
    ];
    View::from(Vec::from(sections))
}

/// The status with its text, or that there is none.
fn status(exchange: &Exchange) -> String {
    let response = &exchange.response;
    match (response.status, &response.error) {
        (0, Some(_)) => "failed, no response".to_owned(),
        (0, None) => "no response".to_owned(),
        (status, _) => format!("{status} {}", response.status_text),
    }
}

/// What is not known for certain, in sentences. What no recorded exchange tells stands where it belongs.
fn doubts(doubts: &[Doubt]) -> View {
    let sentences: Vec<View> = doubts
        .iter()
        .filter(|doubt| **doubt != Doubt::HeaderOrder)
        .map(|doubt| {
            let sentence = doubt.to_string();
            view! { li { (sentence) } }
        })
        .collect();
    if sentences.is_empty() {
        return View::new();
    }
    view! {
        details(open=true, class="capture-doubts", data-testid="capture-doubts") {
            summary { "Not certain" }
            ul { (sentences) }
        }
    }
}

/// A section of names and values, with a title and a hint beside it.
fn pairs(
    (title, hint): (&'static str, &'static str),
    list: impl IntoIterator<Item = (String, String)>,
) -> View {
    let rows: Vec<View> = list
        .into_iter()
        .map(|(name, value)| {
            let (name, value) = (printable(&name, 1000), printable(&value, SHOWN));
            view! { div { dt { (name) } dd { (value) } } }
        })
        .collect();
    if rows.is_empty() {
        return View::new();
    }
    view! { details(open=true) { summary { (title) span(class="hint") { " " (hint) } } dl { (rows) } } }
}

fn body(title: &'static str, body: Option<&Body>) -> View {
    let Some(body) = body else { return View::new() };
    let size = format!("{}, {}", body.mime_type, bytes(body.size));
    let text = text_of(body);
    view! {
        details(open=true) {
            summary { (title) span(class="hint") { " " (printable(&size, 300)) } }
            pre(class="mono") { (text) }
        }
    }
}

fn text_of(body: &Body) -> String {
    match (body.text(), &body.data) {
        (Some(text), _) => printable(text, SHOWN),
        // Text of before UTF-8: most of it is in this encoding, or in one that is alike for the most part.
        (None, Some(data)) if body.mime_type.starts_with("text/") => {
            let shown = data.get(..SHOWN).unwrap_or(data);
            printable(&from_windows_1252(shown), SHOWN)
        }
        (None, Some(_)) => "(no text)".to_owned(),
        (None, None) => "(not given by DevTools)".to_owned(),
    }
}
