//! The console's place in the page: the terminal of the VM that is shown, its tools and its search bar.

use std::rc::Rc;

use qemuweb_wire::VmState;
use qemuweb_wire::vm::VmId;
use sycamore::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::{HtmlElement, HtmlInputElement, KeyboardEvent, MouseEvent, ResizeObserver};

use super::keys::CAPTURE_CHORD;
use super::state::Consoles;
use super::terminal::Console;
use crate::features::machines::menu;
use crate::kit::browser::{copy, focus, preference, set_preference};
use crate::kit::buttons::tool;
use crate::kit::icons::{self, icon};
use crate::kit::later::Owner;
use crate::kit::reactive::{Dynamic, Once, client_effect, memo};

/// Where the choice to speak output to screen readers is kept.
const SCREEN_READER: &str = "console.screenReader";

/// The console.
#[component]
pub fn ConsoleView() -> View {
    let consoles = Consoles::here();
    let place = create_node_ref();
    is_not_ssr! {
        mount_shown(consoles, place);
        fit_with(consoles, place);
    }
    view! {
        div(class=if consoles.captured.get() { "console-frame captured" } else { "console-frame" }, id="panel-console",
            role="tabpanel", aria-labelledby="tab-console") {
            SearchBar(consoles=consoles)
            (Dynamic { of: move || if consoles.captured.get() {
                view! {
                    p(class="capture-notice", role="status") {
                        "All keys go to the guest that the browser gives away: Ctrl+N, Ctrl+T and Ctrl+W may stay with it. Press " kbd { (CAPTURE_CHORD) } " to release the keyboard."
                    }
                }
            } else {
                View::new()
            } })
            div(class="console", data-testid="console", r#ref=place)
        }
    }
}

/// Keeps the terminal of the selected VM in its place.
#[cfg_attr(
    not(target_arch = "wasm32"),
    expect(dead_code, reason = "there is no terminal outside of a browser")
)]
fn mount_shown(consoles: Consoles, place: NodeRef) {
    let mounted: Signal<Option<Rc<Console>>> = create_signal(None);
    let leave = move || {
        if let Some(console) = mounted.take_silent() {
            console.unmount();
        }
    };
    on_cleanup(leave);
    let owner = Owner::here();
    client_effect(move || {
        let vm_id: Option<VmId> = consoles.cx.nav.selected.get_clone();
        owner.soon(move || {
            leave();
            let (Some(place), Some(vm_id)) = (place.try_get(), vm_id) else {
                return;
            };
            let Some(console) = consoles.open(&vm_id) else {
                return;
            };
            console.mount(&place.unchecked_into::<HtmlElement>());
            console.set_screen_reader(preference(SCREEN_READER).is_some_and(|on| on == "true"));
            mounted.set_silent(Some(console));
            give_focus(consoles);
        });
    });
    client_effect(move || {
        consoles.cx.nav.to_console.track();
        owner.soon(move || give_focus(consoles));
    });
}

/// Gives the terminal the focus if it is to have it and is there.
fn give_focus(consoles: Consoles) {
    let wanted = consoles.cx.nav.to_console;
    if wanted.get_untracked()
        && let Some(console) = consoles.shown().filter(|console| console.is_mounted())
    {
        wanted.set(false);
        console.focus();
    }
}

/// Fits the terminal whenever its place changes its size.
#[cfg_attr(
    not(target_arch = "wasm32"),
    expect(dead_code, reason = "there is no terminal outside of a browser")
)]
fn fit_with(consoles: Consoles, place: NodeRef) {
    let resized = Closure::<dyn FnMut()>::new(move || {
        if let Some(console) = consoles.shown() {
            console.fit();
        }
    });
    let Ok(observer) = ResizeObserver::new(resized.as_ref().unchecked_ref()) else {
        return;
    };
    let observed = observer.clone();
    Owner::here().soon(move || {
        if let Some(place) = place.try_get() {
            observed.observe(place.unchecked_ref());
        }
    });
    on_cleanup(move || {
        observer.disconnect();
        drop(resized);
    });
}

/// The buttons at the end of the row of tabs.
#[component]
pub fn ConsoleTools() -> View {
    let consoles = Consoles::here();
    let speaks = create_signal(preference_or_default());
    let speak = move |_| {
        speaks.set(!speaks.get_untracked());
        set_preference(
            SCREEN_READER,
            if speaks.get_untracked() { "true" } else { "false" },
        );
        if let Some(console) = consoles.shown() {
            console.set_screen_reader(speaks.get_untracked());
        }
    };
    let capture = move |_| {
        consoles.captured.set(!consoles.captured.get_untracked());
        if let Some(console) = consoles.shown() {
            console.focus();
        }
    };
    let copy_all = move |_| {
        if let Some(console) = consoles.shown() {
            let selected = console.selection();
            copy(if selected.is_empty() {
                console.all_text()
            } else {
                selected
            });
        }
    };
    let runs = memo(move || consoles.machines.of_shown(|vm| vm.state == VmState::Running));
    let send_size = move |_| {
        if let (Some(console), Some(vm_id)) =
            (consoles.shown(), consoles.cx.nav.selected.get_clone_untracked())
        {
            consoles.type_in(&vm_id, format!("{}\r", console.size_command()).as_bytes());
            console.focus();
        }
    };
    let capture_title = format!("Capture the keyboard ({CAPTURE_CHORD})");
    let files = move |event: MouseEvent| {
        if let Some(vm_id) = consoles.cx.nav.selected.get_clone_untracked() {
            let items = menu::file_items(consoles.machines, &vm_id);
            consoles.cx.menu.below(&event, items.into());
        }
    };
    view! {
        div(class="tools", role="group", aria-label="Console") {
            button(class="tool", r#type="button", data-testid="console-files", title="Files to and from the guest",
                aria-label="Files to and from the guest", aria-haspopup="menu", on:click=files) { (Once { of: move || icon(icons::FILES) }) }
            button(class="tool", r#type="button", data-testid="capture", title=capture_title,
                aria-label="Capture the keyboard",
                aria-pressed=consoles.captured.get().to_string(), on:click=capture) { (Once { of: move || icon(icons::KEYBOARD) }) }
            button(class="tool", r#type="button", title="Search (Ctrl+F)", aria-label="Search the console",
                aria-pressed=consoles.searching.get().to_string(),
                on:click=move |_| consoles.searching.set(!consoles.searching.get_untracked())) { (Once { of: move || icon(icons::SEARCH) }) }
            button(class="tool", r#type="button", title="Copy the selection, or all output", aria-label="Copy output",
                on:click=copy_all) { (Once { of: move || icon(icons::COPY) }) }
            button(class="tool", r#type="button", title="Type the terminal’s size into the guest (stty rows … cols …)",
                aria-label="Type the terminal’s size into the guest", data-testid="send-size", disabled=!runs.get(),
                on:click=send_size) { (Once { of: move || icon(icons::RESIZE) }) }
            button(class="tool", r#type="button", title="Announce output to screen readers",
                aria-label="Announce output to screen readers",
                aria-pressed=speaks.get().to_string(), on:click=speak) { (Once { of: move || icon(icons::SPEAK) }) }
        }
    }
}

/// Whether output is announced; a choice can be stored in a browser only.
fn preference_or_default() -> bool {
    cfg!(target_arch = "wasm32") && preference(SCREEN_READER).is_some_and(|on| on == "true")
}

/// The search bar, when it is open.
#[component(inline_props)]
fn SearchBar(consoles: Consoles) -> View {
    let term = create_signal(String::new());
    let field = create_node_ref();
    let owner = Owner::here();
    let find = move |forward: bool, incremental: bool| {
        if let Some(console) = consoles.shown() {
            // xterm.js calls back at once: no signal may be borrowed.
            console.find(&term.get_clone_untracked(), forward, incremental);
        }
    };
    let close = move || {
        consoles.searching.set(false);
        if let Some(console) = consoles.shown() {
            console.end_search();
            console.focus();
        }
    };
    let keys = move |event: KeyboardEvent| match event.key().as_str() {
        "Enter" => {
            event.prevent_default();
            find(!event.shift_key(), false);
        }
        "Escape" => {
            event.stop_propagation();
            close();
        }
        _ => {}
    };
    client_effect(move || {
        if consoles.searching.get() {
            // The field comes with the same change.
            owner.soon(move || {
                if let Some(field) = field.try_get() {
                    focus(&field);
                    field.unchecked_into::<HtmlInputElement>().select();
                }
            });
        }
    });
    let result = move || {
        consoles.cx.nav.selected.track();
        let term = term.get_clone();
        consoles
            .shown()
            .map(|console| console.search_result(&term))
            .unwrap_or_default()
    };
    view! {
        (Dynamic { of: move || if consoles.searching.get() {
            view! {
                div(class="search-bar", role="search", on:keydown=keys) {
                    input(r#type="search", data-testid="console-search", placeholder="Find in console",
                        aria-label="Find in console",
                        "spellcheck"="false", autocomplete="off", r#ref=field, bind:value=term,
                        on:input=move |_| find(true, true))
                    span(class="search-result", aria-live="polite") { (result()) }
                    (Once { of: move || tool(icons::UP, "search-previous", "Previous match (Shift+Enter)", || false, move |_| find(false, false)) })
                    (Once { of: move || tool(icons::DOWN, "search-next", "Next match (Enter)", || false, move |_| find(true, false)) })
                    (Once { of: move || tool(icons::CLOSE, "search-close", "Close (Escape)", || false, move |_| close()) })
                }
            }
        } else {
            View::new()
        } })
    }
}
