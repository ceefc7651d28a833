//! The capture view: toolbar, filter, list, details, and how it all goes.

use std::rc::Rc;

use qemuweb_capture::Doubt;
use qemuweb_runtime::protocol::VmInfo;
use sycamore::prelude::*;

use super::bounds::BoundsForm;
use super::details::Details;
use super::list::List;
use super::send::send;
use super::state::{Capture, Choice};
use super::toolbar::Toolbar;
use crate::kit::text::bytes;

/// The view.
#[component]
pub fn CaptureView() -> View {
    let capture = Capture::here();
    let mistake = create_selector(move || capture.parsed.with(|parsed| parsed.as_ref().err().cloned()));
    view! {
        section(class="capture", aria-label="Page traffic", data-testid="capture") {
            Toolbar {}
            div(class="capture-filter") {
                input(r#type="search", class="mono", data-testid="capture-filter", aria-label="Filter requests",
                    placeholder="Filter: text, /regex/, method:, status-code:, domain:, mime-type:, larger-than:, -not",
                    "spellcheck"="false", autocomplete="off", bind:value=capture.filter)
            }
            (match mistake.get_clone() {
                Some(mistake) => view! { p(class="form-errors", role="alert", data-testid="error") { (mistake) } },
                None => View::new(),
            })
            (if capture.keep_secrets.get() || { capture.version.track(); capture.log().borrow().with_secrets() } {
                view! {
                    p(class="capture-secrets", role="status", data-testid="capture-secrets") {
                        "With secrets: cookies, passwords and tokens are kept in this capture, and go wherever it goes."
                    }
                }
            } else {
                View::new()
            })
            List {}
            Details {}
            (saved())
            BoundsForm {}
            Targets {}
            Status {}
        }
    }
}

#[cfg(target_arch = "wasm32")]
fn saved() -> View {
    view! { super::saved::SavedCaptures {} }
}

/// Rendered natively, in tests, nothing is saved.
#[cfg(not(target_arch = "wasm32"))]
fn saved() -> View {
    View::new()
}

/// The VMs to which exchanges go.
#[component]
fn Targets() -> View {
    let capture = Capture::here();
    let vms = create_selector(move || {
        let view = |vm: &Rc<VmInfo>| (vm.vm_id.clone(), vm.name.clone());
        capture
            .machines
            .vms
            .with(|vms| vms.iter().map(view).collect::<Vec<_>>())
    });
    let rows = move || -> View {
        let vms = vms.get_clone();
        if vms.is_empty() {
            return view! { p(class="empty") { "Start a virtual machine to send requests to it." } };
        }
        let rows: Vec<View> = vms
            .into_iter()
            .map(|(vm_id, name)| view! { Target(vm_id=vm_id, name=name) })
            .collect();
        view! { (rows) }
    };
    view! {
        div(class="capture-targets", role="group", aria-label="Virtual machines that get requests") {
            (rows())
            (match capture.message.get_clone() {
                message if message.is_empty() => View::new(),
                message => view! { p(class="capture-message", role="status", data-testid="capture-message") { (message) } },
            })
        }
    }
}

/// One VM: live or not, send now, and how it goes.
#[component(inline_props)]
fn Target(vm_id: String, name: String) -> View {
    let capture = Capture::here();
    let id = create_signal(vm_id.clone());
    let is_live = create_selector(move || id.with(|id| capture.targets.with(|targets| targets.contains(id))));
    let status = create_selector(move || {
        let status = id.with(|id| {
            capture
                .machines
                .vms
                .with(|vms| vms.iter().find(|vm| vm.vm_id == *id).map(|vm| vm.capture))
        });
        let held = id.with(|id| {
            capture
                .held
                .with(|held| held.get(id).copied().unwrap_or_default())
        });
        status.map_or_else(String::new, |status| {
            let dropped = |dropped: u64| {
                if dropped > 0 {
                    format!(", {dropped} dropped")
                } else {
                    String::new()
                }
            };
            let mut text = format!(
                "{} sent, {} waiting{}",
                status.lines.sent,
                status.lines.waiting + held.waiting,
                dropped(status.lines.dropped + held.dropped)
            );
            if !status.lines.open && status.lines.waiting > 0 {
                text += "; in the guest, run page-capture follow";
            }
            if status.packets.open || status.packets.sent > 0 {
                text += &format!(
                    "; packets: {} sent{}",
                    status.packets.sent,
                    dropped(status.packets.dropped)
                );
            }
            text
        })
    });
    let toggle = move |_| {
        let id = id.get_clone_untracked();
        capture.targets.update(|targets| {
            if !targets.remove(&id) {
                targets.insert(id);
            }
        });
    };
    let send_now = move |_| {
        let choice = if capture.marked.with_untracked(|marked| marked.is_empty()) {
            Choice::Listed
        } else {
            Choice::Marked
        };
        let exchanges = capture.chosen(choice);
        let capture_id = capture.log().borrow().id().to_owned();
        id.with_untracked(|vm_id| send(capture, vm_id, &capture_id, &exchanges));
        capture
            .message
            .set(format!("{} requests are on their way.", exchanges.len()));
    };
    let label = format!("Send requests to {name} as they come");
    let send_label = format!("Send the marked requests, or all that are listed, to {name}");
    let send_title = send_label.clone();
    view! {
        div(class="capture-target", data-vm-id=vm_id, data-testid="capture-target") {
            label {
                input(r#type="checkbox", data-testid="capture-live", aria-label=label, prop:checked=is_live.get(), on:change=toggle)
                span { "Live to " (name) }
            }
            button(class="button small", r#type="button", data-testid="capture-send", title=send_title,
                aria-label=send_label, on:click=send_now) { "Send" }
            span(class="capture-status", data-testid="capture-status") { (status.get_clone()) }
        }
    }
}

/// What the capture holds.
#[component]
fn Status() -> View {
    let capture = Capture::here();
    let text = create_selector(move || {
        capture.version.track();
        let listed = capture.listed.with(|listed| listed.len());
        let marked = capture.marked.with(|marked| marked.len());
        let log = capture.log();
        let log = log.borrow();
        let limits = log.limits();
        let mut text = format!(
            "{listed} of {} requests, {} kept of at most {}",
            log.rows().len(),
            bytes(log.bytes() as u64),
            bytes(limits.capture as u64)
        );
        if marked > 0 {
            text += &format!(", {marked} marked");
        }
        let cut = log
            .rows()
            .iter()
            .filter(|row| !row.exchange.cut.is_empty())
            .count();
        if cut > 0 {
            text += &format!("; {cut} cut (at most {} per body)", bytes(limits.body as u64));
        }
        let is_doubtful = |doubts: &[Doubt]| doubts.iter().any(|doubt| doubt.is_of_body());
        let doubtful = log
            .rows()
            .iter()
            .filter(|row| is_doubtful(&row.exchange.doubts))
            .count();
        if doubtful > 0 {
            text += &format!("; {doubtful} with a body that DevTools do not give for certain (?)");
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
    view! { p(class="capture-summary", role="status", data-testid="capture-summary") { (text.get_clone()) } }
}
