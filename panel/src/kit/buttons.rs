//! The buttons: an icon with a name, or a text.

use sycamore::prelude::*;
use web_sys::MouseEvent;

use super::icons::{self, Icon, icon};
use super::reactive::Once;

/// A button of a toolbar that shows an icon; `name` is its tooltip and accessible name. The toolbar gives it its tab stop.
pub fn tool(
    shape: Icon,
    test_id: &'static str,
    name: impl Into<String>,
    is_disabled: impl Fn() -> bool + 'static,
    click: impl FnMut(MouseEvent) + 'static,
) -> View {
    let title = name.into();
    let label = title.clone();
    view! {
        button(class="tool", r#type="button", tabindex="-1", data-testid=test_id, title=title, aria-label=label,
            disabled=is_disabled(), on:click=click) { (Once { of: move || icon(shape) }) }
    }
}

/// [`tool`] outside of a toolbar: a tab stop of its own, and always possible.
pub fn icon_button(
    shape: Icon,
    test_id: &'static str,
    name: impl Into<String>,
    click: impl FnMut(MouseEvent) + 'static,
) -> View {
    let title = name.into();
    let label = title.clone();
    view! {
        button(class="tool", r#type="button", data-testid=test_id, title=title, aria-label=label, on:click=click) {
            (Once { of: move || icon(shape) })
        }
    }
}

/// A cross that puts away what it stands in.
pub fn dismiss(name: impl Into<String>, click: impl FnMut(MouseEvent) + 'static) -> View {
    icon_button(icons::CLOSE, "dismiss", name, click)
}

/// A small button of a toolbar with a text. Where `why_not` tells why it cannot be used it does nothing, but the keyboard reaches
/// it, so that the reason is heard.
pub fn explained(
    test_id: &'static str,
    text: &'static str,
    tab_index: &'static str,
    why_not: ReadSignal<Option<&'static str>>,
    mut click: impl FnMut(MouseEvent) + 'static,
) -> View {
    let is_off = move || why_not.with(Option::is_some).to_string();
    let act = move |event| {
        if why_not.with_untracked(Option::is_none) {
            click(event);
        }
    };
    view! {
        button(class="button small", r#type="button", tabindex=tab_index, data-testid=test_id, title=why_not.get().unwrap_or_default(),
            aria-description=why_not.get().unwrap_or_default(), aria-disabled=is_off(), on:click=act) { (text) }
    }
}

/// A small button with a text.
pub fn text_button(
    test_id: &'static str,
    text: impl Into<String>,
    click: impl FnMut(MouseEvent) + 'static,
) -> View {
    let text = text.into();
    view! { button(class="button small", r#type="button", data-testid=test_id, on:click=click) { (text) } }
}
