//! The capture view's toolbar: record, clear, reload, filter, send, and a menu of what is wanted less often.

use std::rc::Rc;

use qemuweb_capture::{curl_command, fetch_call};
use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{FocusEvent, HtmlElement, KeyboardEvent, MouseEvent};

use super::files;
use super::send;
use super::state::{Capture, Choice};
use super::targets::Targets;
use crate::kit::browser::{copy, set_preference};
use crate::kit::buttons::tool;
use crate::kit::dialog::Confirm;
use crate::kit::icons::{self, icon};
use crate::kit::menu::{Item, pop_below};
use crate::kit::reactive::{Once, memo};
use crate::kit::roving;

/// Where it is kept whether the traffic stands beside the VM.
pub const BESIDE: &str = "traffic.beside";

/// The toolbar.
#[component]
pub fn Toolbar() -> View {
    let capture = Capture::here();
    let nav = capture.cx.nav;
    let bar = create_node_ref();
    let targets = create_node_ref();
    let can_record = can_record();
    let record_title = if can_record {
        "Record the page's requests"
    } else {
        NEEDS_DEVTOOLS
    };
    let is_live = memo(move || capture.targets.with(|targets| !targets.is_empty()));
    let stand_beside = move |_| {
        let beside = !nav.beside.get_untracked();
        nav.beside.set(beside);
        set_preference(BESIDE, if beside { "true" } else { "false" });
    };
    view! {
        div(class="capture-toolbar", role="toolbar", aria-label="Capture", r#ref=bar,
            on:keydown=move |event: KeyboardEvent| keys(&event, bar),
            on:focusin=move |event: FocusEvent| roving::focusin(&event, bar)) {
            button(class="tool labelled record", r#type="button", data-testid="capture-record", tabindex="0",
                disabled=!can_record, title=record_title, aria-pressed=capture.recording.get().to_string(),
                on:click=move |_| record(capture)) {
                (Once { of: move || icon(icons::RECORD) }) span { (if capture.recording.get() { "Stop" } else { "Record" }) }
            }
            (Once { of: move || tool(icons::CLEAR, "capture-clear", "Clear", || false, move |_| clear(capture)) })
            (Once { of: move || tool(icons::RESET, "capture-reload", "Reload the page to capture it", move || !can_record, move |_| reload(capture)) })
            input(r#type="search", class="mono", data-testid="capture-filter", aria-label="Filter requests",
                title="text, /regex/, method:, status-code:, domain:, mime-type:, larger-than:, -not",
                placeholder="Filter: text, /regex/, domain:, -not", "spellcheck"="false", autocomplete="off",
                bind:value=capture.filter)
            button(class="tool labelled", r#type="button", data-testid="capture-send-menu", tabindex="-1",
                title="Send requests to virtual machines", aria-haspopup="dialog", aria-pressed=is_live.get().to_string(),
                on:click=move |event: MouseEvent| pop_below(&event, targets)) {
                (Once { of: move || icon(icons::SEND) }) span { (if is_live.get() { "Live" } else { "Send" }) }
            }
            button(class="tool", r#type="button", data-testid="capture-beside", tabindex="-1",
                title="Beside the virtual machine", aria-label="Beside the virtual machine",
                aria-pressed=nav.beside.get().to_string(), on:click=stand_beside) { (Once { of: move || icon(icons::PANES) }) }
            button(class="tool", r#type="button", data-testid="capture-more", tabindex="-1", title="More",
                aria-label="More", aria-haspopup="menu",
                on:click=move |event: MouseEvent| capture.cx.menu.below(&event, more(capture))) { (Once { of: move || icon(icons::MORE) }) }
            (Once { of: move || files::import_input(capture) })
        }
        div(class="menu capture-send", "popover"="auto", role="dialog", aria-label="Send requests", r#ref=targets) {
            Targets {}
        }
    }
}

/// What the button says where nothing can be recorded.
pub const NEEDS_DEVTOOLS: &str =
    "Recording needs DevTools: open them on the page (F12), and there the panel QemuWeb.";

/// Arrow keys move inside the toolbar, but not out of a text.
fn keys(event: &KeyboardEvent, bar: NodeRef) {
    let in_text = event
        .target()
        .and_then(|target| target.dyn_into::<HtmlElement>().ok())
        .is_some_and(|target| target.tag_name() == "INPUT");
    if !in_text {
        roving::keydown(event, bar, roving::Axis::Horizontal);
    }
}

/// What is wanted less often.
fn more(capture: Capture) -> Vec<Item> {
    let has_rows = !capture.log().borrow().rows().is_empty();
    vec![
        Item::check(
            "capture-preserve",
            "Preserve log",
            capture.preserve.get_untracked(),
            move || capture.preserve.set(!capture.preserve.get_untracked()),
        ),
        Item::check(
            "capture-secrets-toggle",
            "Keep secrets",
            capture.keep_secrets.get_untracked(),
            move || toggle_secrets(capture),
        ),
        Item::line(),
        Item::new("capture-import-har", "Import HAR…", files::choose_import),
        Item::new("capture-export-har", "Export HAR", move || {
            files::export_har(capture, Choice::All);
        })
        .only_if(has_rows),
        Item::new("capture-export-pcapng", "Export pcapng", move || {
            files::export_packets(capture, Choice::All);
        })
        .only_if(has_rows),
        Item::line(),
        Item::new(
            "capture-settings",
            "Saved captures, redaction, limits…",
            move || {
                capture.settings.set(true);
            },
        ),
    ]
}

fn toggle_secrets(capture: Capture) {
    if capture.keep_secrets.get_untracked() {
        capture.keep_secrets.set(false);
        return;
    }
    capture.cx.confirm.set(Some(Confirm::new(
        "Keep secrets in this capture?".to_owned(),
        "From now on cookies, passwords, tokens and other credentials of the page are kept, sent to virtual machines \
         and written to files. The capture stays marked. Clear it to go back.",
        "Keep secrets",
        move || capture.keep_secrets.set(true),
    )));
}

/// What can be done with one request.
pub fn request_menu(capture: Capture, number: u64) -> Vec<Item> {
    let Some(exchange) = capture.exchange(number) else {
        return Vec::new();
    };
    let (url, curl, fetch) = (
        exchange.request.url.clone(),
        curl_command(&exchange),
        fetch_call(&exchange),
    );
    let host = host_of(&url);
    let is_marked = capture.marked.with_untracked(|marked| marked.contains(&number));
    let mut items = vec![
        Item::new("request-copy-url", "Copy URL", move || copy(url.clone())),
        Item::new("request-copy-curl", "Copy as curl", {
            let curl = curl.clone();
            move || copy(curl.clone())
        }),
        Item::new("request-copy-fetch", "Copy as fetch", move || copy(fetch.clone())),
        Item::new("request-type-curl", "Type curl into console", move || {
            type_in(capture, &curl);
        }),
        Item::check("request-mark", "Marked", is_marked, move || capture.mark(number)),
        Item::line(),
    ];
    if let Some(host) = host {
        let text = format!("Filter by {host}");
        items.push(Item::new("request-filter", text, move || {
            capture.filter.set(format!("domain:{host}"));
        }));
    }
    let vms = capture.machines.vms.get_clone_untracked();
    for vm in vms.into_iter().filter(|vm| vm.state.is_active()) {
        let exchange = Rc::clone(&exchange);
        items.push(Item::new(
            "request-send",
            format!("Send to {}", vm.name),
            move || {
                let id = capture.log().borrow().id().to_owned();
                send::send(capture, &vm.vm_id, &id, std::slice::from_ref(&exchange));
                capture
                    .message
                    .set(format!("Request {number} is on its way to {}.", vm.name));
            },
        ));
    }
    items
}

fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    (!host.is_empty()).then(|| host.to_owned())
}

/// Types a command into the console of the VM that is selected, and shows that. Without a line's end: the person reads it and
/// presses Enter.
pub fn type_in(capture: Capture, command: &str) {
    let (cx, machines) = (capture.cx, capture.machines);
    let vm = cx.nav.selected.get_clone_untracked();
    let vm = vm.and_then(|vm_id| machines.vm(&vm_id));
    match vm.filter(|vm| vm.state.is_active() && cx.client().is_some()) {
        Some(vm) => {
            capture.consoles.type_in(&vm.vm_id, command.as_bytes());
            capture.message.set(format!(
                "The command stands in the console of {}. Press Enter there to run it.",
                vm.name
            ));
            cx.nav.show_console(&vm.vm_id);
        }
        None => capture
            .message
            .set("Show a running virtual machine first.".to_owned()),
    }
}

#[cfg(target_arch = "wasm32")]
pub(super) use super::recorder::{clear, reload};

/// Whether the page's requests can be recorded here.
#[cfg(target_arch = "wasm32")]
pub fn can_record() -> bool {
    qemuweb_chrome::devtools::is_available()
}

#[cfg(target_arch = "wasm32")]
fn record(capture: Capture) {
    let is_recording = capture.recording.get_untracked();
    super::recorder::set_recording(capture, !is_recording);
}

/// Rendered natively, in tests, nothing is recorded.
#[cfg(not(target_arch = "wasm32"))]
mod native {
    use super::Capture;

    /// Nothing is.
    pub fn can_record() -> bool {
        false
    }

    pub(super) fn record(_: Capture) {}

    pub(super) fn reload(_: Capture) {}

    pub(super) fn clear(capture: Capture) {
        capture.clear(String::new());
    }
}

#[cfg(not(target_arch = "wasm32"))]
pub use native::can_record;
#[cfg(not(target_arch = "wasm32"))]
use native::{clear, record, reload};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_taken_from_addresses() {
        for (url, host) in [
            ("https://a.test/x?y", Some("a.test")),
            ("https://u:p@a.test:8080", Some("a.test")),
            ("data:text/plain,x", None),
            ("https://", None),
        ] {
            assert_eq!(host_of(url).as_deref(), host, "{url}");
        }
    }
}
