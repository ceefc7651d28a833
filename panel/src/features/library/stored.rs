//! The files that are stored in the extension: what they are, who uses them, storing, using and deleting them.

use std::rc::Rc;

use qemuweb_vm_config::{InputSource, StoredFile};
use qemuweb_wire::failure::Failure;
use qemuweb_wire::stored::{StorageUse, StoredInfo};
use qemuweb_wire::vm::VmInfo;
use sycamore::prelude::*;
use web_sys::{DragEvent, Event};

use super::state::Library;
use crate::kit::buttons::{icon_button, text_button};
use crate::kit::failure_view::failure_view;
use crate::kit::files::{self, Chosen};
use crate::kit::icons;
use crate::kit::later::Owner;
use crate::kit::reactive::{Dynamic, memo};
use crate::kit::text;

/// The names of the VMs that boot from a file.
fn users(vms: &[Rc<VmInfo>], hash: &str) -> Vec<String> {
    let names = |source: &InputSource| matches!(source, InputSource::Stored(file) if file.hash == hash);
    let uses = |vm: &&Rc<VmInfo>| {
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

/// The files, and the way to store another. `offer` uses one for a new machine.
pub fn stored_files(offer: impl Fn(&StoredInfo) + Copy + 'static) -> View {
    let library = Library::here();
    let cx = library.machines.cx;
    let failure = create_signal(None::<Failure>);
    let owner = Owner::here();
    let keep = move |chosen: Chosen| {
        failure.set(None);
        owner.then_or(
            library.store(chosen),
            move |result| failure.set(result.err()),
            move |result| cx.report_of(result),
        );
    };
    let chosen = move |event: Event| {
        if let Some(file) = files::chosen(&event) {
            keep(Chosen::file(file));
        }
    };
    let dropped = move |event: DragEvent| {
        event.prevent_default();
        owner.then(async move { files::dropped(&event).await }, move |chosen| {
            if let Some(chosen) = chosen {
                keep(chosen);
            }
        });
    };
    let rows = memo(move || {
        let vms = library.machines.vms.get_clone();
        let of = |stored: StoredInfo| Rc::new((users(&vms, &stored.file.hash), stored));
        library.stored.get_clone().into_iter().map(of).collect::<Vec<_>>()
    });
    let list = move || -> Vec<View> {
        let rows = rows.get_clone();
        rows.into_iter()
            .map(|row| file_row(library, &row.1, &row.0, offer))
            .collect()
    };
    let busy = move || {
        library.storing.with(|storing| {
            storing.as_ref().map_or_else(String::new, |storing| {
                let done = text::bytes(storing.done);
                let total = storing
                    .total
                    .map_or_else(String::new, |total| format!(" of {}", text::bytes(total)));
                format!("Storing {}: {done}{total}", storing.name)
            })
        })
    };
    let total = move || library.stored.with(|files| summary(files, library.storage.get()));
    view! {
        section(aria-labelledby="stored-title", data-testid="stored-files") {
            h2(id="stored-title") { "Stored files" }
            p(class="hint") {
                "Kernels, initrds and disk images that stay in this browser, for machines to boot from. "
                span(data-testid="stored-summary") { (total()) }
            }
            ul(class="recent", hidden=rows.with(Vec::is_empty)) { (list()) }
            div(class="import", on:drop=dropped, on:dragover=|event: DragEvent| event.prevent_default()) {
                label(r#for="store-file") { "Store a file" }
                input(r#type="file", id="store-file", data-testid="store-file",
                    disabled=!cx.can_launch() || library.storing.with(Option::is_some), on:change=chosen)
                span(role="status", data-testid="storing") { (busy()) }
                (Dynamic { of: move || if library.storing.with(|storing| storing.as_ref().is_some_and(|it| it.cancel.is_some())) {
                    text_button("cancel-storing", "Cancel", move |_| {
                        if let Some(cancel) = library.storing.get_clone_untracked().and_then(|it| it.cancel) {
                            cancel.cancel();
                        }
                    })
                } else {
                    View::new()
                } })
            }
            (Dynamic { of: move || match failure.get_clone() {
                None => View::new(),
                Some(found) => failure_view(found, text_button("dismiss", "Dismiss", move |_| failure.set(None))),
            } })
        }
    }
}

fn file_row(
    library: Library,
    stored: &StoredInfo,
    users: &[String],
    offer: impl Fn(&StoredInfo) + 'static,
) -> View {
    let StoredFile { hash, name, size } = stored.file.clone();
    let mut facts = vec![text::bytes(size), stored.what.clone()];
    if !users.is_empty() {
        facts.push(format!("used by {}", users.join(", ")));
    }
    let facts = facts.join(" · ");
    let use_label = format!("Use {name} for a new machine");
    let data_name = name.clone();
    let (offered, file) = (stored.clone(), stored.file.clone());
    let delete = icon_button(
        icons::REMOVE,
        "delete-stored",
        format!("Delete {name}"),
        move |_| {
            library.delete_file(file.clone());
        },
    );
    view! {
        li(class="recent-row stored-row", data-testid="stored-row", data-name=data_name, title=hash) {
            span(class="vm-name") { (name) }
            span(class="vm-state") { (facts) }
            button(class="button small", r#type="button", data-testid="use-stored", aria-label=use_label,
                on:click=move |_| offer(&offered)) { "Use" }
            (delete)
        }
    }
}

#[cfg(test)]
pub mod tests {
    use qemuweb_wire::VmState;
    use qemuweb_wire::topic::LibraryState;

    use qemuweb_vm_config::{Arch, DiskFormat, DiskInput, FileKind};
    use sycamore::web::render_to_string;

    use super::*;
    use crate::cx::Cx;
    use crate::features::machines::state::Machines;
    use crate::features::machines::words::tests::{rows, vm};

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
            let machines = Machines::new(Cx::new(0.0));
            let library = Library::new(machines);
            provide_context(library);
            machines.heard(&rows([user]), None);
            let storage = Some(StorageUse {
                used: 1 << 20,
                quota: 5 << 20,
                persisted: None,
            });
            let files = vec![disk];
            library.heard(&LibraryState { files, storage });
            stored_files(|_| ())
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
