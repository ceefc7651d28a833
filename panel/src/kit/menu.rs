//! Menus: below a button, or where the pointer asked for one. A page shows one at a time.
//!
//! The browser's popover closes it by Escape and by a click elsewhere, and gives the focus back.

use std::rc::Rc;

use sycamore::prelude::*;
use sycamore::web::window;
use wasm_bindgen::prelude::*;
use web_sys::{Element, Event, FocusEvent, HtmlElement, KeyboardEvent, MouseEvent};

use super::browser::{find, focus};
use super::later::Owner;
use super::reactive::client_effect;
use super::roving;

/// What a menu's line is.
#[derive(Clone)]
enum Kind {
    Action,
    Check(bool),
    Title,
    Line,
}

/// A line of a menu.
#[derive(Clone)]
pub struct Item {
    kind: Kind,
    test_id: &'static str,
    text: String,
    is_disabled: bool,
    /// Why it cannot be chosen, for people.
    reason: Option<&'static str>,
    act: Rc<dyn Fn()>,
}

impl Item {
    /// Does something.
    pub fn new(test_id: &'static str, text: impl Into<String>, act: impl Fn() + 'static) -> Self {
        Self {
            kind: Kind::Action,
            test_id,
            text: text.into(),
            is_disabled: false,
            reason: None,
            act: Rc::new(act),
        }
    }

    /// Is on or off, and turns that round.
    pub fn check(
        test_id: &'static str,
        text: impl Into<String>,
        is_on: bool,
        act: impl Fn() + 'static,
    ) -> Self {
        Self {
            kind: Kind::Check(is_on),
            ..Self::new(test_id, text, act)
        }
    }

    /// Says what the lines below are about.
    pub fn title(text: impl Into<String>) -> Self {
        Self {
            kind: Kind::Title,
            ..Self::new("menu-title", text, || ())
        }
    }

    /// Parts what stands above it from what stands below.
    pub fn line() -> Self {
        Self {
            kind: Kind::Line,
            ..Self::new("menu-line", "", || ())
        }
    }

    /// Cannot be chosen unless `can` says so.
    #[must_use]
    pub fn only_if(mut self, can: bool) -> Self {
        self.is_disabled = !can;
        self
    }

    /// Cannot be chosen for a reason, if there is one. The keyboard reaches it all the same, so that the reason is heard.
    #[must_use]
    pub fn unless(mut self, reason: Option<&'static str>) -> Self {
        self.reason = reason;
        self
    }
}

#[derive(Clone)]
struct Open {
    /// The corner where it begins, in CSS pixels of the page.
    at: (i32, i32),
    items: Vec<Item>,
}

/// The page's menu. Copies are the same.
#[derive(Clone, Copy)]
pub struct Menu(Signal<Option<Open>>);

impl Menu {
    /// Closed. Call it in the root scope.
    pub fn new() -> Self {
        Self(create_signal(None))
    }

    /// Opens it below the button that was clicked.
    pub fn below(self, event: &MouseEvent, items: Vec<Item>) {
        let at = below(event);
        self.0.set(Some(Open { at, items }));
    }

    /// Opens it where a context menu was asked for, by the pointer or by a key.
    pub fn context(self, event: &MouseEvent, items: Vec<Item>) {
        event.prevent_default();
        event.stop_propagation();
        let at = (event.client_x(), event.client_y());
        self.0.set(Some(Open { at, items }));
    }
}

impl Default for Menu {
    fn default() -> Self {
        Self::new()
    }
}

#[wasm_bindgen]
extern "C" {
    /// What web-sys lacks of an element that pops over.
    type Popover;

    #[wasm_bindgen(method, catch, js_name = showPopover)]
    fn show_popover(this: &Popover) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = hidePopover)]
    fn hide_popover(this: &Popover) -> Result<(), JsValue>;

    #[wasm_bindgen(method, getter, js_name = newState)]
    fn new_state(this: &Popover) -> Option<String>;
}

/// Where the page's menu shows up.
#[component(inline_props)]
pub fn MenuPopover(menu: Menu) -> View {
    let place = create_node_ref();
    let owner = Owner::here();
    client_effect(move || {
        let Some(at) = menu.0.with(|open| open.as_ref().map(|open| open.at)) else {
            return;
        };
        owner.soon(move || {
            if let Some(place) = place.try_get() {
                show(&place.unchecked_into(), at);
            }
        });
    });
    let toggled = move |event: Event| {
        let is_closed = event.unchecked_ref::<Popover>().new_state().as_deref() == Some("closed");
        if is_closed && menu.0.with_untracked(Option::is_some) {
            menu.0.set(None);
        }
    };
    let items = move || -> Vec<View> {
        let items = menu.0.get_clone().map(|open| open.items).unwrap_or_default();
        items.into_iter().map(|item| line(menu, place, item)).collect()
    };
    view! {
        div(class="menu", role="menu", "popover"="auto", data-testid="menu", r#ref=place, on:toggle=toggled,
            on:keydown=move |event: KeyboardEvent| {
                roving::keydown(&event, place, roving::Axis::Vertical);
                event.stop_propagation();
            },
            on:focusin=move |event: FocusEvent| roving::focusin(&event, place)) {
            (items())
        }
    }
}

/// Opens a popover of the caller's own below the button that was clicked.
pub fn pop_below(event: &MouseEvent, popover: NodeRef) {
    if let Some(popover) = popover.try_get() {
        show(&popover.unchecked_into(), below(event));
    }
}

/// The corner below the button that was clicked.
fn below(event: &MouseEvent) -> (i32, i32) {
    let target = event
        .target()
        .and_then(|target| target.dyn_into::<Element>().ok());
    let button = target.and_then(|target| target.closest("button").ok().flatten());
    button.map_or((event.client_x(), event.client_y()), |button| {
        let rect = button.get_bounding_client_rect();
        (rect.left() as i32, rect.bottom() as i32)
    })
}

/// Opens the popover at a corner, moved so that all of it is in view, with the focus on its first line.
fn show(place: &HtmlElement, at: (i32, i32)) {
    // It fails for one that is open already, which only moves.
    let _ = place.unchecked_ref::<Popover>().show_popover();
    let inside = |wanted: i32, size: i32, room: Result<JsValue, JsValue>| {
        let room = room.ok().and_then(|room| room.as_f64()).unwrap_or(0.0) as i32;
        wanted.min(room - size - 4).max(4)
    };
    let left = inside(at.0, place.offset_width(), window().inner_width());
    let top = inside(at.1, place.offset_height(), window().inner_height());
    // Lengths are valid values.
    let _ = place.style().set_property("left", &format!("{left}px"));
    let _ = place.style().set_property("top", &format!("{top}px"));
    if let Some(first) = find(place, "button:not([disabled]), input:not([disabled])") {
        focus(&first);
    }
}

fn line(menu: Menu, place: NodeRef, item: Item) -> View {
    let Item {
        kind,
        test_id,
        text,
        is_disabled,
        reason,
        act,
    } = item;
    let choose = move |_: MouseEvent| {
        if reason.is_some() {
            return;
        }
        if let Some(place) = place.try_get() {
            // It fails for one that is closed.
            let _ = place.unchecked_ref::<Popover>().hide_popover();
        }
        menu.0.set(None);
        act();
    };
    match kind {
        Kind::Action => {
            let has_reason = if reason.is_some() { "true" } else { "false" };
            let reason = reason.map(|reason| view! { span(class="menu-reason") { (reason) } });
            view! {
                button(class="menu-item", role="menuitem", r#type="button", tabindex="-1", data-testid=test_id,
                    disabled=is_disabled, aria-disabled=has_reason, on:click=choose) { (text) (reason) }
            }
        }
        Kind::Check(is_on) => view! {
            button(class="menu-item", role="menuitemcheckbox", aria-checked=is_on.to_string(), r#type="button",
                tabindex="-1", data-testid=test_id, disabled=is_disabled, on:click=choose) { (text) }
        },
        Kind::Title => view! { p(class="menu-title", role="presentation") { (text) } },
        Kind::Line => view! { hr(class="menu-line", role="separator") },
    }
}
