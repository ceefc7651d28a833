//! The list of exchanges: only the rows that are in view are in the document.

use std::rc::Rc;

use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, KeyboardEvent, MouseEvent};

use super::listing::{Column, Order};
use super::log::Row;
use super::state::Capture;
use super::toolbar::{NEEDS_DEVTOOLS, can_record, request_menu};
use crate::kit::icons::{self, icon};
use crate::kit::reactive::{Dynamic, Once, memo};
use crate::kit::table::{Window, target};
use crate::kit::text::printable;

/// Where a row stands and what may change about it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Place {
    capture: String,
    index: usize,
    number: u64,
    note: String,
    flagged: bool,
}

/// The list.
#[component]
pub fn List() -> View {
    let capture = Capture::here();
    let window = Window::new(move || capture.listed.with(|listed| listed.len()));
    let keys = move |event: KeyboardEvent| {
        let listed = capture.listed.get_clone_untracked();
        let selected = capture.selected.get_untracked();
        let at = listed.iter().position(|number| Some(*number) == selected);
        let on_header = event
            .target()
            .and_then(|target| target.dyn_into::<Element>().ok())
            .is_some_and(|target| target.tag_name() == "BUTTON");
        match (event.key().as_str(), selected) {
            // A title of a column sorts.
            ("Enter" | " ", _) if on_header => return,
            (" ", Some(number)) => capture.mark(number),
            ("Escape", Some(_)) => capture.selected.set(None),
            (key, _) => {
                let Some(to) = target(key, at, listed.len()) else {
                    return;
                };
                capture.selected.set(Some(listed[to]));
                window.reveal(to);
            }
        }
        event.prevent_default();
        event.stop_propagation();
    };
    // Rows that are the same stay in the document: a click on one does not fall between two that are drawn.
    let places = create_memo(move || {
        capture.version.track();
        let listed = capture.listed.get_clone();
        let log = capture.log();
        let log = log.borrow();
        window
            .range()
            .filter_map(|index| {
                let row = log.row(listed[index])?;
                Some(Place {
                    capture: log.id().to_owned(),
                    index,
                    number: row.exchange.number,
                    note: row.note.clone(),
                    flagged: row.flagged,
                })
            })
            .collect::<Vec<_>>()
    });
    let place_view = move |place: Place| -> View {
        let log = capture.log();
        let row = log.borrow().row(place.number).cloned();
        row.map_or_else(View::new, |row| row_view(capture, place.index, &row))
    };
    let has_notes = memo(move || {
        capture.version.track();
        capture.log().borrow().has_notes()
    });
    let body = window.body();
    let active = move || capture.selected.get().map(|number| format!("request-{number}"));
    view! {
        div(class=if has_notes.get() { "capture-list has-notes" } else { "capture-list" }, role="grid", tabindex="0", aria-label="Requests", aria-multiselectable="true",
            aria-rowcount=(capture.listed.with(|listed| listed.len()) + 1).to_string(), aria-activedescendant=active(),
            on:keydown=keys) {
            div(class="capture-head", role="row", aria-rowindex="1") { (Once { of: move || head(capture) }) }
            div(class="capture-rows", role="rowgroup", data-testid="capture-rows", r#ref=body,
                on:scroll=move |event: Event| window.scrolled(&event)) {
                div(class="capture-space", role="presentation", style=window.space()) {
                    Keyed(list=places, key=Place::clone, view=place_view)
                }
            }
            (Dynamic { of: move || if capture.listed.with(|listed| listed.is_empty()) {
                view! {
                    div(class="empty") {
                        p { (hint(capture)) }
                        p(class="hint") { (NEVER_SHOWN) }
                    }
                }
            } else {
                View::new()
            } })
        }
    }
}

/// What a person would look for in vain.
const NEVER_SHOWN: &str = "DevTools never show requests of shared workers and pop-ups, beacons and keepalive requests that \
    a page sends as it goes, and pages that come back from the back/forward cache. They tell of a WebSocket when it has closed.";

fn hint(capture: Capture) -> &'static str {
    capture.version.track();
    if !capture.log().borrow().rows().is_empty() {
        "No request matches the filter."
    } else if capture.recording.get() {
        "Recording. Use the page, or reload it."
    } else if can_record() {
        "Record the page's requests, or import a HAR file."
    } else {
        NEEDS_DEVTOOLS
    }
}

fn head(capture: Capture) -> View {
    let cell = move |column: Column| {
        let sort = move || match capture.order.get() {
            // By default, it is the start that they are sorted by.
            order if order.column != column || order == Order::default() => "none",
            Order { descending: true, .. } => "descending",
            Order { .. } => "ascending",
        };
        let order = move |_| {
            let Order {
                column: by,
                descending,
            } = capture.order.get_untracked();
            capture.order.set(Order {
                column,
                descending: by == column && !descending,
            });
        };
        let mark = move || match sort() {
            "ascending" => icon(icons::UP),
            "descending" => icon(icons::DOWN),
            _ => View::new(),
        };
        view! {
            span(class=column.class(), role="columnheader", aria-sort=sort()) {
                button(class="capture-sort", r#type="button", on:click=order) { (column.title()) (mark()) }
            }
        }
    };
    let cells: Vec<View> = Column::ALL.into_iter().map(cell).collect();
    view! { (cells) span(class="cell note", role="columnheader") { "Note" } }
}

fn row_view(capture: Capture, index: usize, row: &Row) -> View {
    let exchange = Rc::clone(&row.exchange);
    let number = exchange.number;
    let cells: Vec<View> = Column::ALL
        .into_iter()
        .map(|column| {
            let text = printable(&column.text(&exchange), 300);
            let title = column.explanation(&exchange).map(|text| printable(&text, 1000));
            view! { span(class=column.class(), role="gridcell", title=title) { (text) } }
        })
        .collect();
    let response = &exchange.response;
    let failed = response.status == 0 || response.status >= 400 || response.error.is_some();
    let is_marked = move || capture.marked.with(|marked| marked.contains(&number));
    let is_selected = move || capture.selected.get() == Some(number);
    let class = move || {
        let mut class = String::from("capture-row");
        for (name, on) in [
            ("failed", failed),
            ("marked", is_marked()),
            ("selected", is_selected()),
        ] {
            if on {
                class.push(' ');
                class += name;
            }
        }
        class
    };
    let click = move |event: MouseEvent| {
        if event.ctrl_key() || event.meta_key() {
            capture.mark(number);
        }
        capture.selected.set(Some(number));
    };
    let note = match (row.note.as_str(), row.flagged) {
        ("", false) => String::new(),
        ("", true) => "⚑ Marked by a guest".to_owned(),
        (note, true) => format!("⚑ {}", printable(note, 1024)),
        (note, false) => printable(note, 1024),
    };
    let note = if note.is_empty() {
        view! { span(class="cell note", role="gridcell") }
    } else {
        let title = note.clone();
        view! { span(class="cell note", role="gridcell", data-testid="capture-note", title=title) { (note) } }
    };
    let menu = move |event: MouseEvent| {
        capture.selected.set(Some(number));
        capture.cx.menu.context(&event, request_menu(capture, number));
    };
    let url = printable(&exchange.request.url, 1000);
    let style = Window::place(index);
    view! {
        div(class=class(), role="row", id=format!("request-{number}"), style=style, title=url, data-testid="capture-row",
            data-number=number.to_string(), aria-rowindex=(index + 2).to_string(),
            aria-selected=is_selected().to_string(), on:click=click, on:contextmenu=menu) {
            (cells) (note)
        }
    }
}
