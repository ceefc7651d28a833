//! Where kernels and disks come from: a local file, an address, a stored file, or the profile.

use qemuweb_vm_config::{DiskFormat, DiskInput, FileKind, InputSource, MAX_DISKS, Media};
use qemuweb_wire::stored::StoredInfo;
use sycamore::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{DragEvent, Event, HtmlInputElement, HtmlSelectElement, MouseEvent};

use super::draft::{Draft, Field, attachment, blank_disk, disk_of, disk_of_stored};
use super::fields::errors;
use super::state::Form;
use crate::features::machines::words::describe;
use crate::kit::browser::{is_checked, value_of};
use crate::kit::files::{self, Chosen};
use crate::kit::icons::{self, icon};
use crate::kit::reactive::{Once, memo};
use crate::kit::text::bytes;

impl Form {
    /// Takes a file among the attachments.
    fn attach(self, chosen: Chosen) -> InputSource {
        let Chosen { name, size, file } = chosen;
        let mut files = self.files.get_clone_untracked();
        let source = attachment(self.kept.with_untracked(Vec::len) + files.len(), name, size);
        files.push(file);
        self.files.set(files);
        source
    }
}

/// A file field with an address beside it.
pub(super) struct Source {
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    pub(super) field: Field,
    /// The kinds of stored files that are offered.
    pub(super) kinds: &'static [FileKind],
    pub(super) get: fn(&Draft) -> Option<InputSource>,
    pub(super) set: fn(&mut Draft, Option<InputSource>),
}

/// Draws a file field with an address beside it.
pub(super) fn source(form: Form, source: Source) -> View {
    let Source {
        id,
        label,
        field,
        kinds,
        get,
        set,
    } = source;
    let take = move |found: InputSource| form.change(|draft| set(draft, Some(found)));
    let current = memo(move || form.draft.with(get));
    let clear_label = format!("Without this {}", label.to_lowercase());
    let clear_title = clear_label.clone();
    let input_id = format!("{id}-file");
    let chosen = move || match current.get_clone() {
        None => View::new(),
        Some(source) => {
            let (text, label, title) = (describe(&source), clear_label.clone(), clear_title.clone());
            let cookies = cookies(&source, take);
            view! {
                span(class="chosen", data-testid=format!("{id}-chosen")) {
                    span(class="chosen-name") { (text) }
                    (cookies)
                    button(class="tool", r#type="button", title=title, aria-label=label,
                        on:click=move |_| form.change(|draft| set(draft, None))) { (Once { of: move || icon(icons::CLOSE) }) }
                }
            }
        }
    };
    let files = file_input(form, input_id.clone(), take);
    let address = address(
        format!("{id}-url"),
        format!("Address of the {}", label.to_lowercase()),
        take,
    );
    let stored = stored(
        form,
        format!("{id}-stored"),
        format!("Stored file as the {}", label.to_lowercase()),
        kinds,
        move |stored| take(InputSource::Stored(stored.file.clone())),
    );
    let errors = errors(form, field, format!("{id}-error"));
    view! {
        label(r#for=input_id) { (label) }
        div(class="source") { (files) (address) (stored) (chosen()) }
        (errors)
    }
}

/// The choice whether an address is fetched with the person's cookies; nothing for other sources.
fn cookies(source: &InputSource, take: impl Fn(InputSource) + 'static) -> View {
    if source.url().is_none() {
        return View::new();
    }
    let is_with = matches!(source, InputSource::UrlWithCredentials(_));
    let source = source.clone();
    let change = move |event: Event| take(source.clone().with_credentials(is_checked(&event)));
    view! {
        label(class="check") {
            input(r#type="checkbox", data-testid="with-cookies", prop:checked=is_with, on:change=change)
            "with my cookies"
        }
    }
}

/// The choice of a local file, by a picker or by dropping it.
fn file_input(form: Form, id: String, take: impl Fn(InputSource) + Copy + 'static) -> View {
    let receive = move |chosen: Option<Chosen>| {
        if let Some(chosen) = chosen {
            take(form.attach(chosen));
        }
    };
    let changed = move |event: Event| {
        receive(files::chosen(&event).map(Chosen::file));
    };
    let clicked = move |event: MouseEvent| {
        if files::has_picker() {
            event.prevent_default();
            form.owner.then(files::pick(), receive);
        }
    };
    let dropped = move |event: DragEvent| {
        event.prevent_default();
        form.owner
            .then(async move { files::dropped(&event).await }, receive);
    };
    let test_id = id.clone();
    view! {
        input(r#type="file", id=id, data-testid=test_id, on:change=changed, on:click=clicked, on:drop=dropped,
            on:dragover=|event: DragEvent| event.prevent_default())
    }
}

/// An address, taken when it is complete.
fn address(id: String, label: String, take: impl Fn(InputSource) + Copy + 'static) -> View {
    let changed = move |event: Event| {
        let url = value_of(&event).trim().to_owned();
        if url.is_empty() {
            return;
        }
        take(InputSource::Url(url));
        if let Some(input) = event
            .target()
            .and_then(|target| target.dyn_into::<HtmlInputElement>().ok())
        {
            input.set_value("");
        }
    };
    let test_id = id.clone();
    view! {
        input(r#type="url", id=id, data-testid=test_id, aria-label=label, placeholder="or https://…",
            "spellcheck"="false", autocomplete="off", on:change=changed)
    }
}

/// The choice among the stored files of some kinds; not there where none is stored.
fn stored(
    form: Form,
    id: String,
    label: String,
    kinds: &'static [FileKind],
    take: impl Fn(&StoredInfo) + Copy + 'static,
) -> View {
    let library = form.library;
    let files = memo(move || {
        let mut files = library.stored.get_clone();
        files.retain(|stored| kinds.contains(&stored.kind));
        files
    });
    let chosen = move |event: Event| {
        let hash = value_of(&event);
        let files = files.get_clone_untracked();
        if let Some(stored) = files.iter().find(|stored| stored.file.hash == hash) {
            take(stored);
        }
        let select = event.target().map(JsCast::dyn_into::<HtmlSelectElement>);
        if let Some(Ok(select)) = select {
            select.set_value("");
        }
    };
    let options = move || -> Vec<View> {
        let files = files.get_clone();
        files
            .into_iter()
            .map(|StoredInfo { file, .. }| {
                let text = format!("{} ({})", file.name, bytes(file.size));
                view! { option(value=file.hash) { (text) } }
            })
            .collect()
    };
    let test_id = id.clone();
    view! {
        select(id=id, data-testid=test_id, aria-label=label, hidden=files.with(Vec::is_empty), on:change=chosen) {
            option(value="") { "or a stored file…" }
            (options())
        }
    }
}

/// The disks: those that are there, and the way to add one.
#[component(inline_props)]
pub(super) fn Disks(form: Form) -> View {
    let numbers = memo(move || {
        form.draft
            .with(|draft| (0..draft.disks.len()).collect::<Vec<_>>())
    });
    let is_full = move || numbers.with(Vec::len) >= MAX_DISKS;
    let add = move |source: InputSource| form.change(|draft| draft.disks.push(disk_of(source)));
    let files = file_input(form, "disk-file".to_owned(), add);
    let blank = blank(form);
    let address = address("disk-url".to_owned(), "Address of a disk image".to_owned(), add);
    let stored = stored(
        form,
        "disk-stored".to_owned(),
        "Stored file as a disk".to_owned(),
        &[FileKind::Disk, FileKind::Cdrom, FileKind::Floppy],
        move |stored| form.change(|draft| draft.disks.push(disk_of_stored(stored))),
    );
    view! {
        label(r#for="disk-file") { "Disks" }
        div(class="disks") {
            ul(class="disk-list") {
                Keyed(list=numbers, key=|number| *number, view=move |number| view! { Disk(form=form, number=number) })
            }
            div(class="source", hidden=is_full()) { (files) (address) (stored) (blank) }
        }
        p(class="hint") {
            "Images of disks (raw, qcow2, VMDK, VDI, VHDX, VHD and others), CDs and floppies; the first boots. What the \
             guest writes is kept in this browser; your file is not changed."
        }
    }
}

/// The way to add a new disk, of a size in GiB.
fn blank(form: Form) -> View {
    let size = create_node_ref();
    let add = move |_: MouseEvent| {
        let Some(size) = size
            .try_get()
            .and_then(|size| size.dyn_into::<HtmlInputElement>().ok())
        else {
            return;
        };
        // What is no number is refused as too small a disk.
        let gib = size.value_as_number();
        let gib = if gib.is_finite() { gib } else { 0.0 };
        form.change(|draft| {
            let disk = blank_disk(&draft.disks, gib);
            draft.disks.push(disk);
        });
    };
    view! {
        span(class="new-disk") {
            input(r#ref=size, r#type="number", min="0.01", step="any", value="4", aria-label="Size of a new disk in GiB",
                data-testid="new-disk-size")
            button(class="button", r#type="button", data-testid="new-disk", on:click=add) { "Add a new disk (GiB)" }
        }
    }
}

/// A disk that is there.
#[component(inline_props)]
fn Disk(form: Form, number: usize) -> View {
    let disk = memo(move || form.draft.with(|draft| draft.disks.get(number).cloned()));
    let change = move |change: &dyn Fn(&mut DiskInput)| {
        form.change(|draft| {
            if let Some(disk) = draft.disks.get_mut(number) {
                change(disk);
            }
        });
    };
    let media = move |event: Event| {
        let media = match value_of(&event).as_str() {
            "cdrom" => Some(Media::Cdrom),
            "floppy" => Some(Media::Floppy),
            "disk" => Some(Media::Disk),
            _ => None,
        };
        change(&|disk| disk.media = media);
    };
    let format = move |event: Event| {
        let name = value_of(&event);
        let format = DiskFormat::ALL
            .iter()
            .copied()
            .find(|format| format.as_str() == name);
        change(&|disk| disk.format = format);
    };
    let snapshot = move |event: Event| {
        let name = value_of(&event).trim().to_owned();
        let name = Some(name).filter(|name| !name.is_empty());
        change(&|disk| disk.snapshot = name.clone());
    };
    let remove = move |_| form.change(|draft| drop(draft.disks.remove(number)));
    let name = move || {
        disk.with(|disk| {
            disk.as_ref()
                .map(|disk| describe(&disk.source))
                .unwrap_or_default()
        })
    };
    let is = |wanted: Option<Media>| {
        move || disk.with(|disk| disk.as_ref().is_some_and(|disk| disk.media == wanted))
    };
    let (auto, hard, cdrom, floppy) = (
        is(None),
        is(Some(Media::Disk)),
        is(Some(Media::Cdrom)),
        is(Some(Media::Floppy)),
    );
    let of_disk = move |get: fn(&DiskInput) -> View| {
        // Not inside `with`: views make signals, which must not be made while one is borrowed.
        move || disk.get_clone().as_ref().map(get).unwrap_or_default()
    };
    let formats = of_disk(formats);
    let snapshots = of_disk(snapshots);
    let snapshot_name = move || {
        disk.with(|disk| {
            disk.as_ref()
                .and_then(|disk| disk.snapshot.clone())
                .unwrap_or_default()
        })
    };
    let has_format = move || disk.with(|disk| disk.as_ref().is_some_and(|disk| disk.source.url().is_some()));
    let has_snapshots = move || disk.with(|disk| disk.as_ref().is_some_and(may_have_snapshots));
    let cookies = move || match disk.get_clone() {
        Some(disk) => cookies(&disk.source, move |source| {
            change(&|disk| disk.source = source.clone())
        }),
        None => View::new(),
    };
    let is_readonly = move || disk.with(|disk| disk.as_ref().is_some_and(|disk| disk.readonly));
    let is_discarded = move || disk.with(|disk| disk.as_ref().is_some_and(|disk| disk.discard_at_power_off));
    let errors = errors(form, Field::Disk(number), format!("disk-{number}-error"));
    let (remove_title, media_label) = (format!("Remove disk {number}"), format!("Drive of disk {number}"));
    let remove_label = remove_title.clone();
    let (format_label, snapshot_label) = (
        format!("Format of disk {number}"),
        format!("Snapshot of disk {number}"),
    );
    let (snapshots_id, snapshots_list) = (
        format!("disk-{number}-snapshots"),
        format!("disk-{number}-snapshots"),
    );
    view! {
        li(class="disk", data-testid="disk") {
            span(class="chosen-name") { (name()) }
            select(aria-label=media_label, data-testid="disk-media", on:change=media) {
                option(value="", prop:selected=auto()) { "by content" }
                option(value="disk", prop:selected=hard()) { "hard disk" }
                option(value="cdrom", prop:selected=cdrom()) { "CD" }
                option(value="floppy", prop:selected=floppy()) { "floppy" }
            }
            select(aria-label=format_label, data-testid="disk-format", hidden=!has_format(), on:change=format) {
                (formats())
            }
            input(r#type="text", aria-label=snapshot_label, data-testid="disk-snapshot", placeholder="latest state",
                "spellcheck"="false", autocomplete="off", list=snapshots_list, hidden=!has_snapshots(),
                prop:value=snapshot_name(), on:change=snapshot)
            datalist(id=snapshots_id) { (snapshots()) }
            (cookies())
            label(class="check") {
                input(r#type="checkbox", prop:checked=is_readonly(), on:change=move |event: Event| {
                    let readonly = is_checked(&event);
                    change(&|disk| disk.readonly = readonly);
                })
                "read-only"
            }
            label(class="check", hidden=is_readonly()) {
                input(r#type="checkbox", data-testid="disk-discard", prop:checked=is_discarded(), on:change=move |event: Event| {
                    let discards = is_checked(&event);
                    change(&|disk| disk.discard_at_power_off = discards);
                })
                "discard at power off"
            }
            button(class="tool", r#type="button", title=remove_title, aria-label=remove_label, on:click=remove) {
                (Once { of: move || icon(icons::CLOSE) })
            }
            (errors)
        }
    }
}

/// The formats that an image at an address may have: what its name promises, or one that is said. Of files that are here
/// the content tells.
fn formats(disk: &DiskInput) -> View {
    let chosen = disk.format;
    let options: Vec<View> = DiskFormat::ALL
        .iter()
        .map(|format| {
            let (name, is_chosen) = (format.as_str(), chosen == Some(*format));
            view! { option(value=name, prop:selected=is_chosen) { (name) } }
        })
        .collect();
    view! {
        option(value="", prop:selected=chosen.is_none()) { "format by name" }
        (options)
    }
}

/// The snapshots that are known to be in an image.
fn snapshots(disk: &DiskInput) -> View {
    let names = disk.snapshots.iter().cloned();
    let options: Vec<View> = names.map(|name| view! { option(value=name) {} }).collect();
    view! { (options) }
}

fn may_have_snapshots(disk: &DiskInput) -> bool {
    let name = disk.source.file_name().to_ascii_lowercase();
    disk.snapshot.is_some() || disk.format == Some(DiskFormat::Qcow2) || name.ends_with(".qcow2")
}
