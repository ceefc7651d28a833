//! The dialog that asks before something is lost, and the frame that all dialogs share.

use std::rc::Rc;

use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlDialogElement;

use super::later;
use super::reactive::client_effect;

/// A question, and what to do if the answer is yes.
#[derive(Clone)]
pub struct Confirm {
    title: String,
    text: &'static str,
    ok: &'static str,
    /// Whether something is lost by it.
    is_destructive: bool,
    action: Rc<dyn Fn()>,
}

impl Confirm {
    /// The same question about something by which nothing is lost.
    pub fn harmless(self) -> Self {
        Self {
            is_destructive: false,
            ..self
        }
    }

    /// A question about losing something, with the name of the action that `ok` does.
    pub fn new(title: String, text: &'static str, ok: &'static str, action: impl Fn() + 'static) -> Self {
        Self {
            title,
            text,
            ok,
            is_destructive: true,
            action: Rc::new(action),
        }
    }
}

/// Keeps a `<dialog>` open, modally, as long as `is_open` says so. Escape calls `cancel`. The browser gives the
/// focus back to where it was.
pub fn modal(dialog: NodeRef, is_open: impl Fn() -> bool + 'static) {
    client_effect(move || {
        let is_open = is_open();
        let Some(dialog) = dialog
            .try_get()
            .map(|node| node.unchecked_into::<HtmlDialogElement>())
        else {
            return;
        };
        // The dialog's content may be made by the same change: let it come first.
        later::soon(move || match (is_open, dialog.open()) {
            // It fails only for a dialog that is not in the document, which this one always is.
            (true, false) => drop(dialog.show_modal()),
            (false, true) => dialog.close(),
            _ => {}
        });
    });
}

/// The dialog for [`Confirm`].
#[component(inline_props)]
pub fn ConfirmDialog(confirm: Signal<Option<Confirm>>) -> View {
    let dialog = create_node_ref();
    let content = move || match confirm.get_clone() {
        None => View::new(),
        Some(Confirm {
            title,
            text,
            ok,
            is_destructive,
            action,
        }) => {
            let class = if is_destructive {
                "button danger"
            } else {
                "button primary"
            };
            let answer = move |_| {
                confirm.set(None);
                action();
            };
            view! {
                h2(id="confirm-title") { (title) }
                p(id="confirm-text") { (text) }
                div(class="dialog-buttons") {
                    button(class="button", r#type="button", "autofocus"="true", data-testid="confirm-cancel",
                        on:click=move |_| confirm.set(None)) { "Cancel" }
                    button(class=class, r#type="button", data-testid="confirm-ok", on:click=answer) { (ok) }
                }
            }
        }
    };
    modal(dialog, move || confirm.with(Option::is_some));
    view! {
        dialog(class="dialog", r#ref=dialog, role="alertdialog", aria-labelledby="confirm-title",
            aria-describedby="confirm-text",
            on:close=move |_| if confirm.with_untracked(Option::is_some) { confirm.set(None) }) {
            (content)
        }
    }
}

#[cfg(test)]
mod tests {
    use sycamore::web::render_to_string;

    use super::*;

    fn render(question: Option<Confirm>) -> String {
        render_to_string(|| {
            let confirm = create_signal(question);
            view! { ConfirmDialog(confirm=confirm) }
        })
    }

    #[test]
    fn what_loses_something_looks_like_it() {
        let question = || Confirm::new("Force stop a?".into(), "It is lost.", "Force stop", || ());
        let html = render(Some(question()));
        assert!(
            html.contains("button danger") && html.contains("It is lost."),
            "{html}"
        );
        assert!(render(Some(question().harmless())).contains("button primary"));
        assert!(!render(None).contains("confirm-ok"));
    }
}
