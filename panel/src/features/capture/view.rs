//! The capture view: toolbar, list, details, and how it all goes in one line.

use sycamore::prelude::*;

use super::details::Details;
use super::list::List;
use super::settings::SettingsDialog;
use super::state::Capture;
use super::toolbar::Toolbar;
use crate::kit::reactive::{Dynamic, memo};
use crate::kit::text::{bytes, count};

/// The view.
#[component]
pub fn CaptureView() -> View {
    let capture = Capture::here();
    let mistake = memo(move || capture.parsed.with(|parsed| parsed.as_ref().err().cloned()));
    let has_secrets = memo(move || {
        capture.version.track();
        capture.keep_secrets.get() || capture.log().borrow().with_secrets()
    });
    let class = memo(move || {
        if capture.selected.get().is_some() {
            "capture-body with-details"
        } else {
            "capture-body"
        }
    });
    view! {
        section(class="capture", aria-label="Page traffic", data-testid="capture") {
            Toolbar {}
            (Dynamic { of: move || match mistake.get_clone() {
                Some(mistake) => view! { p(class="form-errors", role="alert", data-testid="error") { (mistake) } },
                None => View::new(),
            } })
            (Dynamic { of: move || if has_secrets.get() {
                view! {
                    p(class="capture-secrets", role="status", data-testid="capture-secrets") {
                        "With secrets: cookies, passwords and tokens are kept in this capture, and go wherever it goes."
                    }
                }
            } else {
                View::new()
            } })
            div(class=class.get()) {
                List {}
                Details {}
            }
            Status {}
            SettingsDialog {}
        }
    }
}

/// What the capture holds, and what the last action came to.
#[component]
fn Status() -> View {
    let capture = Capture::here();
    let text = memo(move || {
        capture.version.track();
        let listed = capture.listed.with(|listed| listed.len());
        let marked = capture.marked.with(|marked| marked.len());
        let log = capture.log();
        let log = log.borrow();
        let limits = log.limits();
        let mut text = format!(
            "{listed} of {}, {} kept of at most {}",
            count(log.rows().len(), "request"),
            bytes(log.bytes() as u64),
            bytes(limits.capture as u64)
        );
        if marked > 0 {
            text += &format!(", {marked} marked");
        }
        if log.cut() > 0 {
            text += &format!(
                "; {} cut (at most {} per body)",
                log.cut(),
                bytes(limits.body as u64)
            );
        }
        if log.doubtful() > 0 {
            text += &format!(
                "; {} with a body that DevTools do not give for certain (?)",
                log.doubtful()
            );
        }
        if log.left_out() > 0 {
            text += &format!(
                "; {} left out: a capture holds {} requests or {}",
                log.left_out(),
                limits.exchanges,
                bytes(limits.capture as u64)
            );
        }
        text
    });
    view! {
        p(class="capture-summary", title=text.get_clone()) {
            span(class="capture-message", role="status", data-testid="capture-message") { (capture.message.get_clone()) }
            span(role="status", data-testid="capture-summary") { (text.get_clone()) }
        }
    }
}
