//! Saved captures: save, open, rename, delete with undo, and compare with the one that is shown.

use std::rc::Rc;

use qemuweb_capture::{Change, Difference, compare, har};
use qemuweb_wire::Failure;
use sycamore::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Event, HtmlInputElement};

use super::files::import;
use super::recorder::new_id;
use super::state::{Capture, Choice};
use super::storage::{self, Saved};
use crate::kit::buttons::text_button;
use crate::kit::later::Owner;
use crate::kit::reactive::effect;
use crate::kit::text::{bytes, milliseconds, printable};

/// Most differences that are listed.
const MAX_DIFFERENCES: usize = 1000;

/// The signals of this part of the view.
#[derive(Clone, Copy)]
struct Shelf {
    capture: Capture,
    saved: Signal<Vec<Saved>>,
    differences: Signal<Option<(String, Rc<Vec<Difference>>)>>,
    owner: Owner,
}

/// Saved captures.
#[component]
pub fn SavedCaptures() -> View {
    let capture = Capture::here();
    let shelf = Shelf {
        capture,
        saved: create_signal(Vec::new()),
        differences: create_signal(None),
        owner: Owner::here(),
    };
    effect(move || {
        capture.shelf.track();
        shelf.refresh();
    });
    let rows = move || -> View {
        let rows: Vec<View> = shelf
            .saved
            .get_clone()
            .into_iter()
            .map(|saved| row(shelf, saved))
            .collect();
        view! { (rows) }
    };
    let summary = move || {
        let all = format!("Saved captures ({})", shelf.saved.with(Vec::len));
        match shelf.bytes() {
            0 => all,
            size => {
                let most = shelf.capture.bounds.get().saved_bytes();
                format!("{all}: {} of {}", bytes(size as u64), bytes(most))
            }
        }
    };
    view! {
        details(class="capture-saved", data-testid="capture-saved") {
            summary { (summary()) }
            button(class="button small", r#type="button", data-testid="capture-save", on:click=move |_| shelf.save()) {
                "Save this capture"
            }
            ul { (rows()) }
            (differences(shelf))
        }
    }
}

fn row(shelf: Shelf, saved: Saved) -> View {
    let Saved {
        id,
        name,
        page,
        count,
        bytes: size,
        with_secrets,
        ..
    } = saved.clone();
    let secrets = if with_secrets { ", with secrets" } else { "" };
    let what = format!(
        "{}: {count} requests, {}{secrets}",
        printable(&page, 80),
        bytes(size as u64)
    );
    let time = js_sys::Date::new(&saved.time.into())
        .to_locale_string("default", &JsValue::UNDEFINED)
        .as_string()
        .unwrap_or_default();
    let rename = move |event: Event| {
        let input = event
            .target()
            .and_then(|target| target.dyn_into::<HtmlInputElement>().ok());
        if let Some(name) = input
            .map(|input| input.value())
            .filter(|name| !name.trim().is_empty())
        {
            let saved = Saved {
                name,
                ..saved.clone()
            };
            shelf.act(async move { storage::keep(&saved, None).await });
        }
    };
    let label = format!("Name of {name}");
    let (open, other, gone) = (id.clone(), id.clone(), id.clone());
    let (open_name, other_name, gone_name) = (name.clone(), name.clone(), name.clone());
    let open = text_button("capture-open", "Open", move |_| shelf.open(&open, &open_name));
    let compare = text_button("capture-compare", "Compare", move |_| {
        shelf.compare(&other, &other_name)
    });
    let delete = text_button("capture-delete", "Delete", move |_| {
        shelf.delete(&gone, &gone_name)
    });
    view! {
        li(class="capture-target", data-testid="capture-saved-row", data-id=id) {
            input(r#type="text", aria-label=label, value=name, maxlength="100", on:change=rename)
            span(class="capture-status", title=time) { (what) }
            (open) (compare) (delete)
        }
    }
}

fn differences(shelf: Shelf) -> View {
    let content = move || -> View {
        let Some((name, differences)) = shelf.differences.get_clone() else {
            return View::new();
        };
        let title = match differences.len() {
            0 => format!("The same requests as in {name}."),
            count => format!("{count} differences from {name}:"),
        };
        let rows: Vec<View> = differences
            .iter()
            .take(MAX_DIFFERENCES)
            .map(|difference| {
                let text = format!(
                    "{}: {} {}",
                    told(&difference.change),
                    difference.method,
                    difference.url
                );
                let text = printable(&text, 500);
                view! { li { (text) } }
            })
            .collect();
        view! {
            div(data-testid="capture-differences", role="region", aria-label="Differences") {
                p { (title) }
                ul(class="capture-differences") { (rows) }
            }
        }
    };
    view! { (content()) }
}

fn told(change: &Change) -> String {
    match change {
        Change::New => "new".to_owned(),
        Change::Gone => "gone".to_owned(),
        Change::Changed { status, size, time } => {
            let status = status.map(|(old, new)| format!("status {old} → {new}"));
            let size = size.map(|(old, new)| format!("size {} → {}", bytes(old), bytes(new)));
            let time = time.map(|(old, new)| format!("time {} → {}", milliseconds(old), milliseconds(new)));
            let parts: Vec<String> = [status, size, time].into_iter().flatten().collect();
            parts.join(", ")
        }
    }
}

impl Shelf {
    /// Does something to the database, then shows what is in it.
    fn act(self, action: impl Future<Output = Result<(), Failure>> + 'static) {
        let work = async move {
            let result = action.await;
            result.and(storage::all().await)
        };
        let report = move |failure: Failure| self.capture.cx.report_of::<()>(Err(failure));
        self.owner.then_or(
            work,
            move |saved| match saved {
                Ok(saved) => self.saved.set(saved),
                Err(failure) => report(failure),
            },
            move |saved| drop(saved.map_err(report)),
        );
    }

    /// Bytes of all saved captures' files.
    fn bytes(self) -> usize {
        self.saved
            .with(|saved| saved.iter().map(|saved| saved.bytes).sum())
    }

    fn refresh(self) {
        self.act(async { Ok(()) });
    }

    fn save(self) {
        let capture = self.capture;
        let exchanges = capture.chosen(Choice::All);
        let mut file = Vec::new();
        if let Err(error) = har::write_archive(&mut file, exchanges.iter().map(Rc::as_ref)) {
            return self.capture.cx.notices.report(Failure::from_error(&error));
        }
        let bounds = self.capture.bounds.get_untracked();
        if let Err(failure) = bounds.check_saved(self.bytes(), file.len()) {
            return self.capture.cx.notices.report(failure);
        }
        let page = exchanges
            .first()
            .map(|exchange| {
                exchange
                    .request
                    .url
                    .split('/')
                    .take(3)
                    .collect::<Vec<_>>()
                    .join("/")
            })
            .unwrap_or_default();
        let saved = Saved {
            id: new_id(),
            name: format!("Capture {}", self.saved.with_untracked(Vec::len) + 1),
            time: js_sys::Date::now(),
            page,
            count: exchanges.len(),
            bytes: file.len(),
            with_secrets: capture.log().borrow().with_secrets(),
        };
        self.act(async move { storage::keep(&saved, Some(&file)).await });
    }

    fn open(self, id: &str, name: &str) {
        let (id, name) = (id.to_owned(), name.to_owned());
        let capture = self.capture;
        self.act(async move {
            let file = storage::har(&id).await?;
            capture.cx.run(|| {
                import(capture, &file);
                capture.message.set(format!("{name} is open."));
            });
            Ok(())
        });
    }

    fn compare(self, id: &str, name: &str) {
        let (id, name) = (id.to_owned(), name.to_owned());
        self.act(async move {
            let file = storage::har(&id).await?;
            let limits = self.capture.bounds.get_untracked().limits();
            let archive = har::read_archive(&file, &limits).map_err(|error| Failure::from_error(&error))?;
            self.owner.run(|| {
                let shown = self.capture.chosen(Choice::All);
                let differences = compare(&archive.exchanges, shown.iter().map(Rc::as_ref));
                self.differences.set(Some((name, Rc::new(differences))));
            });
            Ok(())
        });
    }

    fn delete(self, id: &str, name: &str) {
        let (id, name) = (id.to_owned(), name.to_owned());
        self.act(async move {
            let record = storage::remove(&id).await?;
            let cx = self.capture.cx;
            let shelf = self.capture.shelf;
            cx.run(|| {
                cx.undo.offer(format!("Deleted {name}."), move || {
                    let record = record.clone();
                    let put = async move { storage::put(&record).await };
                    cx.later(put, move |result| {
                        cx.report_of(result);
                        shelf.set(shelf.get_untracked() + 1);
                    });
                });
            });
            Ok(())
        });
    }
}
