//! The storage of this browser: how full it is, how safe, and what disks of VMs that are gone take of it.

use std::rc::Rc;

use qemuweb_wire::disk::KeptDisk;
use qemuweb_wire::stored::StorageUse;
use qemuweb_wire::vm::VmInfo;
use sycamore::prelude::*;

use super::actions::owner;
use super::state::Disks;
use super::words;
use crate::kit::buttons::{icon_button, text_button};
use crate::kit::failure_view::failure_view;
use crate::kit::icons;
use crate::kit::reactive::{Dynamic, memo};
use crate::kit::text;

/// Longest name of a disk's image that is shown, in characters.
const LONGEST: usize = 100;

/// How much is stored of how much, and whether it may go.
fn summary(storage: StorageUse) -> Vec<String> {
    let mut parts = vec![format!(
        "{} of {} in use.",
        text::bytes(storage.used),
        text::bytes(storage.quota)
    )];
    parts.extend(storage.persisted.map(|persisted| {
        if persisted {
            "The browser has marked it as persistent: it is not cleared to make room."
        } else {
            "The browser has not marked it as persistent; the extension’s permission “unlimitedStorage” keeps it from \
             being cleared to make room. It goes with the extension."
        }
        .to_owned()
    }));
    parts
}

/// What is kept for VMs that are gone: for none of those that there are.
fn gone(kept: &[KeptDisk], vms: &[Rc<VmInfo>]) -> Vec<KeptDisk> {
    let is_gone = |disk: &&KeptDisk| disk.vm_name.is_none() || vms.iter().all(|vm| vm.vm_id != disk.vm_id);
    kept.iter().filter(is_gone).cloned().collect()
}

/// The section.
#[component]
pub fn Storage() -> View {
    let disks = Disks::here();
    let (machines, storage) = (disks.machines, disks.library.storage);
    let gone = memo(move || {
        let kept = disks.kept.get_clone().unwrap_or_default();
        machines.vms.with(|vms| gone(&kept, vms))
    });
    let all = move || {
        disks
            .kept
            .with(|kept| kept.iter().flatten().map(|disk| disk.kept).sum::<u64>())
    };
    let text = move || {
        let mut parts = storage.get().map(summary).unwrap_or_default();
        if disks.kept.with(Option::is_some) {
            parts.push(format!(
                "Guests have written about {} to disks.",
                text::bytes(all())
            ));
        }
        parts.join(" ")
    };
    let rows = move || -> Vec<View> {
        let gone = gone.get_clone();
        gone.into_iter().map(|disk| gone_row(disks, disk)).collect()
    };
    let is_many = memo(move || gone.with(Vec::len) > 1);
    view! {
        section(aria-labelledby="storage-title", data-testid="storage") {
            h2(id="storage-title") { "Storage of this browser" }
            p(class="hint", data-testid="storage-summary") { (text()) }
            (Dynamic { of: move || match disks.failure.get_clone() {
                None => View::new(),
                Some(failure) => failure_view(failure, text_button("disks-again", "Try again", move |_| disks.refresh())),
            } })
            div(hidden=gone.with(Vec::is_empty), data-testid="gone-disks") {
                h3(id="gone-title") { "Disks of machines that are gone" }
                ul(class="recent", aria-labelledby="gone-title") { (rows()) }
                (Dynamic { of: move || if is_many.get() {
                    let remove = text_button("remove-all-gone", "Remove all…", move |_| disks.ask_remove(gone.get_clone_untracked()));
                    view! { div(class="import") { (remove) } }
                } else {
                    View::new()
                } })
            }
        }
    }
}

fn gone_row(disks: Disks, disk: KeptDisk) -> View {
    let name = format!("{} of {}", words::name(&disk.disk_id), owner(&disk));
    let mut facts = vec![format!("{} of changes", text::bytes(disk.kept))];
    facts.extend(disk.size.map(|size| format!("a disk of {}", text::bytes(size))));
    if !disk.base.is_empty() {
        facts.push(format!("over {}", text::printable(&disk.base, LONGEST)));
    }
    if disk.vm_name.is_some() {
        facts.push("its machine can be brought back until the browser closes".to_owned());
    }
    let facts = facts.join(" · ");
    let (data_id, title) = (disk.vm_id.clone(), disk.disk_id.clone());
    let remove = icon_button(
        icons::REMOVE,
        "remove-gone",
        format!("Remove {name}…"),
        move |_| {
            disks.ask_remove(vec![disk.clone()]);
        },
    );
    view! {
        li(class="recent-row stored-row", data-testid="gone-disk", data-vm-id=data_id, title=title) {
            span(class="vm-name") { (name) }
            span(class="vm-state") { (facts) }
            (remove)
        }
    }
}

#[cfg(test)]
mod tests {
    use qemuweb_wire::VmState;

    use super::*;
    use crate::features::machines::words::tests::{rows, vm};

    #[test]
    fn the_storage_says_how_safe_it_is() {
        let storage = |persisted| StorageUse {
            used: 3 << 20,
            quota: 5 << 30,
            persisted,
        };
        assert_eq!(summary(storage(None)), ["3.0 MiB of 5.0 GiB in use."]);
        assert!(summary(storage(Some(true)))[1].contains("marked it as persistent: "));
        assert!(summary(storage(Some(false)))[1].contains("unlimitedStorage"));
    }

    #[test]
    fn disks_are_gone_when_their_vm_is_or_another_has_its_id() {
        let kept = |vm_id: &str, name: Option<&str>| KeptDisk {
            vm_id: vm_id.into(),
            vm_name: name.map(Into::into),
            disk_id: "home-1".into(),
            size: None,
            kept: 0,
            base: String::new(),
        };
        let all = [
            kept("a", Some("a name")),
            kept("a", None),
            kept("b", Some("b name")),
            kept("c", None),
        ];
        let vms = rows([vm("a", VmState::Running)]);
        let found: Vec<_> = gone(&all, &vms).iter().map(owner).map(str::to_owned).collect();
        assert_eq!(found, ["a", "b name", "c"]);
    }
}
