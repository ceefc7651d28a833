//! The files that are stored in the extension: what they are, who uses them, storing, using and deleting them.

use std::rc::Rc;

use qemuweb_runtime::failure::Failure;
use qemuweb_runtime::protocol::{Command, StorageUse, StoredInfo, VmInfo};
use qemuweb_vm_config::{InputSource, StoredFile};
use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{DragEvent, Event, HtmlInputElement};

use crate::failure_view::failure_view;
use crate::icons::{self, icon};
use crate::later::Owner;
use crate::launcher::{can_launch, show_form};
use crate::local_files::{self, Chosen};
use crate::text;
use crate::workbench::Workbench;

/// A file that is being stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storing {
    /// Its name.
    pub name: String,
    /// Bytes read.
    pub done: u64,
    /// Its size in bytes.
    pub total: u64,
}

/// The names of the VMs that boot from a file.
fn users(vms: &[VmInfo], hash: &str) -> Vec<String> {
    let names = |source: &InputSource| matches!(source, InputSource::Stored(file) if file.hash == hash);
    let uses = |vm: &&VmInfo| {
        let definition = &vm.definition;
        let defaults = definition.profile.default_inputs.sources();
        definition.inputs.sources().chain(defaults).any(names)
    };
    vms.iter().filter(uses).map(|vm| vm.name.clone()).collect()
}

/// How much is stored and how much more fits, in words.
fn summary(files: &[StoredInfo], storage: Option<StorageUse>) -> String {
    let bytes = files.iter().map(|stored| stored.file.size).sum();
    let mut parts = match files.len() {
        0 => vec!["Nothing is stored yet".to_owned()],
        1 => vec![format!("1 file, {}", text::bytes(bytes))],
        count => vec![format!("{count} files, {}", text::bytes(bytes))],
    };
    parts.extend(storage.map(|storage| format!("{} free", text::bytes(storage.free()))));
    parts.join("; ") + "."
}

/// The section of the launcher.
#[component(inline_props)]
pub fn StoredFiles(workbench: Workbench) -> View {
    let store = workbench.store;
    let failure = create_signal(None::<Failure>);
    let owner = Owner::here();
    let deleted = store.deleted_file;
    let keep = move |chosen: Chosen| {
        failure.set(None);
        let Chosen { name, file, .. } = chosen;
        let answer = workbench.request(Command::StoreFile { name }, vec![file]);
        let work = async move {
            let result = answer.await;
            workbench.run(|| store.storing.set(None));
            result
        };
        owner.then_or(
            work,
            move |result| failure.set(result.err()),
            move |result| workbench.report_of(result),
        );
    };
    let chosen = move |event: Event| {
        let input = event.target().map(JsCast::dyn_into::<HtmlInputElement>);
        if let Some(Ok(input)) = input {
            if let Some(file) = input.files().and_then(|files| files.get(0)) {
                keep(Chosen::file(file));
            }
            input.set_value("");
        }
    };
    let dropped = move |event: DragEvent| {
        event.prevent_default();
        owner.then(async move { local_files::dropped(&event).await }, move |chosen| {
            if let Some(chosen) = chosen {
                keep(chosen);
            }
        });
    };
    let delete = move |file: StoredFile| {
        let hash = file.hash.clone();
        workbench.command(Command::RemoveStored { hash });
        deleted.set(Some(file));
    };
    let rows = create_selector(move || {
        let vms = store.vms.get_clone();
        let of = |stored: StoredInfo| Rc::new((users(&vms, &stored.file.hash), stored));
        store.stored.get_clone().into_iter().map(of).collect::<Vec<_>>()
    });
    let list = move || -> Vec<View> {
        let rows = rows.get_clone();
        rows.into_iter()
            .map(|row| file_row(workbench, &row.1, &row.0, delete))
            .collect()
    };
    let busy = move || {
        store.storing.with(|storing| {
            storing.as_ref().map_or_else(String::new, |storing| {
                let (done, total) = (text::bytes(storing.done), text::bytes(storing.total));
                format!("Storing {}: {done} of {total}", storing.name)
            })
        })
    };
    let total = move || store.stored.with(|files| summary(files, store.storage.get()));
    view! {
        section(aria-labelledby="stored-title", data-testid="stored-files") {
            h2(id="stored-title") { "Stored files" }
            p(class="hint") {
                "Kernels, initrds and disk images that stay in this browser, for machines to boot from. "
                span(data-testid="stored-summary") { (total()) }
            }
            (undo(workbench, deleted))
            ul(class="recent", hidden=rows.with(Vec::is_empty)) { (list()) }
            div(class="import", on:drop=dropped, on:dragover=|event: DragEvent| event.prevent_default()) {
                label(r#for="store-file") { "Store a file" }
                input(r#type="file", id="store-file", data-testid="store-file",
                    disabled=!can_launch(workbench) || store.storing.with(Option::is_some), on:change=chosen)
                span(role="status", data-testid="storing") { (busy()) }
            }
            (match failure.get_clone() {
                None => View::new(),
                Some(found) => {
                    let dismiss = view! {
                        button(class="button small", r#type="button", on:click=move |_| failure.set(None)) { "Dismiss" }
                    };
                    failure_view(found, dismiss)
                }
            })
        }
    }
}

/// The way back from deleting a file.
fn undo(workbench: Workbench, deleted: Signal<Option<StoredFile>>) -> View {
    let bar = move || match deleted.get_clone() {
        None => View::new(),
        Some(file) => {
            let text = format!("Deleted {}.", file.name);
            let restore = move |_| {
                let hash = file.hash.clone();
                workbench.command(Command::RestoreStored { hash });
                deleted.set(None);
            };
            view! {
                p(class="undo", role="status") {
                    (text)
                    button(class="button small", r#type="button", data-testid="undo-stored", on:click=restore) { "Undo" }
                }
            }
        }
    };
    view! { (bar()) }
}

fn file_row(
    workbench: Workbench,
    stored: &StoredInfo,
    users: &[String],
    delete: impl Fn(StoredFile) + Copy + 'static,
) -> View {
    let StoredFile { hash, name, size } = stored.file.clone();
    let mut facts = vec![text::bytes(size), stored.what.clone()];
    if !users.is_empty() {
        facts.push(format!("used by {}", users.join(", ")));
    }
    let facts = facts.join(" · ");
    let (use_label, delete_label) = (format!("Use {name} for a new machine"), format!("Delete {name}"));
    let (delete_title, data_name) = (delete_label.clone(), name.clone());
    let (offered, file) = (stored.clone(), stored.file.clone());
    let offer = move |_| {
        workbench.store.offered.set(Some(offered.clone()));
        show_form();
    };
    view! {
        li(class="recent-row stored-row", data-testid="stored-row", data-name=data_name, title=hash) {
            span(class="vm-name") { (name) }
            span(class="vm-state") { (facts) }
            button(class="button small", r#type="button", data-testid="use-stored", aria-label=use_label,
                on:click=offer) { "Use" }
            button(class="tool", r#type="button", data-testid="delete-stored", title=delete_title,
                aria-label=delete_label, on:click=move |_| delete(file.clone())) { (icon(icons::REMOVE)) }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use qemuweb_runtime::VmState;
    use qemuweb_runtime::protocol::Event;
    use qemuweb_vm_config::{Arch, DiskFormat, DiskInput, FileKind};
    use sycamore::web::render_to_string;

    use super::*;
    use crate::text::tests::vm;

    /// A stored file of this name and kind.
    pub fn stored(name: &str, kind: FileKind, arch: Option<Arch>) -> StoredInfo {
        StoredInfo {
            file: StoredFile {
                hash: format!("sha256:{:064x}", name.bytes().map(u32::from).sum::<u32>()),
                name: name.to_owned(),
                size: 3 << 20,
            },
            what: "a thing".to_owned(),
            kind,
            arch,
            format: DiskFormat::Qcow2,
        }
    }

    #[test]
    fn files_tell_size_content_and_users() {
        let disk = stored("d.img", FileKind::Disk, None);
        let mut user = vm("a", VmState::NOT_STARTED);
        user.definition.inputs.disk = Some(DiskInput::new(InputSource::Stored(disk.file.clone())));
        let html = render_to_string(|| {
            let workbench = Workbench::new(0.0);
            workbench.store.apply(&Event::VmList { vms: vec![user] });
            let storage = Some(StorageUse {
                used: 1 << 20,
                quota: 5 << 20,
            });
            let files = vec![disk];
            workbench.store.apply(&Event::StoredFiles { files, storage });
            view! { StoredFiles(workbench=workbench) }
        });
        for part in [
            "d.img",
            "a thing · used by a name",
            "1 file, 3.0 MiB; 4.0 MiB free.",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert_eq!(summary(&[], None), "Nothing is stored yet.");
    }
}
