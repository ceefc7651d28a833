//! The panel's shortcuts: what they do, and the dialog that lists them.

use sycamore::prelude::*;
use sycamore::web::document;
use wasm_bindgen::JsCast;
use web_sys::{Element, KeyboardEvent};

use super::page::Page;
use crate::cx::LauncherTab;
use crate::features::console::keys::CAPTURE_CHORD;
use crate::features::machines::list::focus_filter;
use crate::kit::browser::{find_all, focus};
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

/// The shortcut of a key, if it is one. `in_text` tells whether the focus is where one types.
pub fn shortcut(key: &str, ctrl: bool, in_text: bool) -> Option<Shortcut> {
    match (key, ctrl, in_text) {
        ("F6", false, _) => Some(Shortcut::NextRegion),
        ("f", true, _) | ("/", false, false) => Some(Shortcut::Filter),
        ("?", false, false) => Some(Shortcut::Help),
        ("n" | "N", false, false) => Some(Shortcut::New),
        _ => None,
    }
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
    let Some(shortcut) = shortcut(&event.key(), event.ctrl_key() || event.meta_key(), in_text) else {
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
const LIST: [(&str, &str); 14] = [
    ("?", "This list"),
    ("/ or Ctrl+F", "Filter virtual machines"),
    ("N", "New virtual machine"),
    ("F6", "Next region: toolbar, list, main area"),
    ("Arrow keys, Home, End", "Move inside a toolbar, a list or tabs"),
    ("Enter", "Show the virtual machine"),
    ("Delete", "Remove the virtual machine, which can be undone"),
    ("Escape", "Close a dialog or the search, empty the filter"),
    ("Ctrl+F", "In the console: search"),
    ("Ctrl+Shift+C", "In the console: copy the selection"),
    ("Ctrl+Shift+V", "In the console: paste"),
    ("Shift+Page Up, Shift+Page Down", "In the console: scroll"),
    (
        "F1 to F12, Ctrl+P, Ctrl+R, …",
        "In the console: stay with DevTools until the keyboard is captured",
    ),
    (CAPTURE_CHORD, "In the console: capture or release the keyboard"),
];

/// The dialog that lists the shortcuts.
#[component]
pub fn ShortcutsDialog() -> View {
    let help = Page::here().help;
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
        assert_eq!(shortcut("?", false, false), Some(Shortcut::Help));
        for key in ["?", "/", "n"] {
            assert_eq!(shortcut(key, false, true), None);
        }
        assert_eq!(shortcut("f", true, true), Some(Shortcut::Filter));
        assert_eq!(shortcut("n", true, false), None);
        assert_eq!(shortcut("F6", false, true), Some(Shortcut::NextRegion));
    }
}
