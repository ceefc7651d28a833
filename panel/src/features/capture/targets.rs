//! Where requests go: each VM with its own switch, its button, and how it goes.

use std::rc::Rc;

use qemuweb_wire::vm::VmInfo;
use sycamore::prelude::*;

use super::send::send;
use super::state::{Capture, Choice};
use crate::kit::reactive::memo;
use crate::kit::text::count;

/// The VMs to which exchanges go.
#[component]
pub(super) fn Targets() -> View {
    let capture = Capture::here();
    let vms = memo(move || {
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
        }
    }
}

/// One VM: live or not, send now, and how it goes.
#[component(inline_props)]
fn Target(vm_id: String, name: String) -> View {
    let capture = Capture::here();
    let id = create_signal(vm_id.clone());
    let is_live = memo(move || id.with(|id| capture.targets.with(|targets| targets.contains(id))));
    let status = memo(move || {
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
            .set(format!("{} are on their way.", count(exchanges.len(), "request")));
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
