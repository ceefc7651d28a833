//! The panel's shortcuts: what they do, and the dialog that lists them.

use sycamore::prelude::*;
use sycamore::web::document;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, KeyboardEvent};

use super::page::Page;
use crate::cx::LauncherTab;
use crate::features::console::keys::CAPTURE_CHORD;
use crate::features::machines::list::focus_filter;
use crate::kit::browser::{find_all, focus, is_checked, preference, set_preference};
use crate::kit::dialog::modal;

/// What a shortcut does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// Goes to the filter.
    Filter,
    /// Lists the shortcuts.
    Help,
    /// Opens the launcher.
    New,
    /// Goes to the next region: toolbar, list, main area.
    NextRegion,
}

/// The shortcut of a key, if it is one. `in_text` tells whether the focus is where one types, `single` whether a key by itself
/// is a shortcut.
pub fn shortcut(key: &str, ctrl: bool, in_text: bool, single: bool) -> Option<Shortcut> {
    match (key, ctrl) {
        ("F6", false) => Some(Shortcut::NextRegion),
        ("f", true) => Some(Shortcut::Filter),
        _ if in_text || ctrl || !single => None,
        ("/", _) => Some(Shortcut::Filter),
        ("?", _) => Some(Shortcut::Help),
        ("n" | "N", _) => Some(Shortcut::New),
        _ => None,
    }
}

/// Where it is kept whether a key by itself is a shortcut: who speaks to the computer, or touches keys by mistake, wants none.
const SINGLE: &str = "shortcuts.single";

/// Whether a key by itself is a shortcut.
pub fn are_single_kept() -> bool {
    !cfg!(target_arch = "wasm32") || preference(SINGLE).is_none_or(|on| on != "false")
}

/// Handles a key that nothing in the page took.
pub fn keydown(event: &KeyboardEvent, page: Page) {
    let target: Option<Element> = event.target().and_then(|target| target.dyn_into().ok());
    if event.default_prevented() || event.alt_key() || target.as_ref().is_some_and(|it| closest(it, "dialog"))
    {
        return;
    }
    let in_text = target
        .as_ref()
        .is_some_and(|it| closest(it, "input, textarea, select"));
    let Some(shortcut) = shortcut(
        &event.key(),
        event.ctrl_key() || event.meta_key(),
        in_text,
        page.single_keys.get_untracked(),
    ) else {
        return;
    };
    event.prevent_default();
    // DevTools would take Ctrl+F.
    event.stop_propagation();
    match shortcut {
        Shortcut::Filter => focus_filter(page.machines),
        Shortcut::Help => page.help.set(true),
        Shortcut::New => page.cx.nav.open_launcher(LauncherTab::Guests),
        Shortcut::NextRegion => next_region(target.as_ref()),
    }
}

fn closest(element: &Element, selector: &str) -> bool {
    element.closest(selector).ok().flatten().is_some()
}

/// Moves the focus into the region after the one that has it.
fn next_region(focused: Option<&Element>) {
    const REGIONS: &str = ".toolbar, .sidebar, .main";
    const STOPS: &str =
        "textarea, input, select, button:not([disabled]):not([tabindex='-1']), [tabindex='0']";
    let Some(body) = document().body() else { return };
    let regions = find_all(&body, REGIONS);
    let current = regions
        .iter()
        .position(|region| region.contains(focused.map(AsRef::as_ref)));
    let after = current.map_or(0, |current| current + 1);
    let first_stop = (0..regions.len())
        .map(|step| &regions[(after + step) % regions.len()])
        .find_map(|region| {
            find_all(region, STOPS)
                .into_iter()
                .find(|stop| stop.offset_parent().is_some())
        });
    if let Some(stop) = first_stop {
        focus(&stop);
    }
}

/// Keys and what they do, for people.
const LIST: [(&str, &str); 18] = [
    ("?", "This list"),
    ("/ or Ctrl+F", "Filter virtual machines"),
    ("N", "New virtual machine"),
    ("F6", "Next region: toolbar, list, main area"),
    ("Arrow keys, Home, End", "Move inside a toolbar, a list or tabs"),
    ("Enter", "Show the virtual machine"),
    ("Delete", "Remove the virtual machine, which can be undone"),
    (
        "Shift+F10, Menu",
        "What can be done with the virtual machine or the request",
    ),
    ("Space", "In the list of requests: mark one to be sent"),
    ("Escape", "In the list of requests: close the details"),
    ("Escape", "Close a dialog or the search, empty the filter"),
    ("Ctrl+F", "In the console: search"),
    ("Ctrl+Shift+C", "In the console: copy the selection"),
    ("Ctrl+Shift+V", "In the console: paste"),
    ("Shift+Page Up, Shift+Page Down", "In the console: scroll"),
    (
        "F1 to F12, Ctrl+P, Ctrl+R, …",
        "In the console: stay with DevTools until the keyboard is captured",
    ),
    (
        "Ctrl+N, Ctrl+T, Ctrl+W",
        "Stay with the browser where it does not give them away, captured or not",
    ),
    (CAPTURE_CHORD, "In the console: capture or release the keyboard"),
];

/// The dialog that lists the shortcuts.
#[component]
pub fn ShortcutsDialog() -> View {
    let page = Page::here();
    let help = page.help;
    let single = page.single_keys;
    let change = move |event: Event| {
        let on = is_checked(&event);
        single.set(on);
        set_preference(SINGLE, if on { "true" } else { "false" });
    };
    let dialog = create_node_ref();
    modal(dialog, move || help.get());
    let rows: Vec<View> = LIST
        .into_iter()
        .map(|(keys, what)| view! { tr { th(scope="row") { kbd { (keys) } } td { (what) } } })
        .collect();
    view! {
        dialog(class="dialog wide", r#ref=dialog, aria-labelledby="shortcuts-title",
            on:close=move |_| help.set(false)) {
            h2(id="shortcuts-title") { "Keyboard shortcuts" }
            // It takes the focus, so that keys scroll it.
            div(class="dialog-scroll", tabindex="0",
                "autofocus"="true") { table(class="shortcuts") { tbody { (rows) } } }
            label(class="check") {
                input(r#type="checkbox", data-testid="single-keys", prop:checked=single.get(), on:change=change)
                "N, / and ? by themselves are shortcuts"
            }
            div(class="dialog-buttons") {
                button(class="button", r#type="button", on:click=move |_| help.set(false)) { "Close" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_text_where_one_types() {
        assert_eq!(shortcut("?", false, false, true), Some(Shortcut::Help));
        for key in ["?", "/", "n"] {
            assert_eq!(shortcut(key, false, true, true), None);
        }
        assert_eq!(shortcut("f", true, true, true), Some(Shortcut::Filter));
        assert_eq!(shortcut("n", true, false, true), None);
        assert_eq!(shortcut("F6", false, true, true), Some(Shortcut::NextRegion));
    }

    #[test]
    fn single_keys_can_be_turned_off() {
        for key in ["?", "/", "n", "N"] {
            assert!(shortcut(key, false, false, true).is_some());
            assert_eq!(shortcut(key, false, false, false), None);
        }
        assert_eq!(shortcut("f", true, false, false), Some(Shortcut::Filter));
        assert_eq!(shortcut("F6", false, false, false), Some(Shortcut::NextRegion));
    }
}
