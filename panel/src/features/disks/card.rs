//! A disk in the tab: what it is, how it is used, what can be done with it.

use std::rc::Rc;

use qemuweb_vm_config::DiskFormat;
use qemuweb_wire::disk::ExportAs;
use qemuweb_wire::vm::VmId;
use sycamore::prelude::*;
use web_sys::{FocusEvent, KeyboardEvent, MouseEvent};

use super::grow::Growing;
use super::jobs::job_view;
use super::rows::Row;
use super::state::Disks;
use super::words;
use crate::kit::browser::press;
use crate::kit::buttons::explained;
use crate::kit::failure_view::headline;
use crate::kit::icons::{self, icon};
use crate::kit::menu::Item;
use crate::kit::reactive::{Once, memo};
use crate::kit::roving;

/// The id of the field that takes a file to import.
pub(super) const IMPORT: &str = "disk-import";

/// What a card shows of its disk.
type Shown = ReadSignal<Option<Rc<Row>>>;

/// Draws a disk of the VM that is shown. `importing` is the disk that a file is chosen for.
pub(super) fn card(disks: Disks, disk_id: &str, importing: Signal<Option<(VmId, Rc<Row>)>>) -> View {
    let vm_id = untrack(|| disks.machines.of_shown(|vm| vm.vm_id.clone()));
    let id = disk_id.to_owned();
    let row: Shown = memo(move || disks.row(&id).map(Rc::new));
    let of = move |get: fn(&Row) -> String| {
        memo(move || row.with(|row| row.as_deref().map(get).unwrap_or_default()))
    };
    let name = of(|row| row.name().to_owned());
    let about = of(about);
    let chain = memo(move || {
        let disk = row.with(|row| row.as_ref().and_then(|row| row.disk.clone()));
        disk.map(|(disk, fate)| words::chain(&disk, fate))
            .unwrap_or_default()
    });
    let facts = memo(move || row.with(|row| row.as_deref().map(Row::facts).unwrap_or_default()));
    let alarm = of(|row| {
        let alarm = row.in_use.as_ref().and_then(|disk| disk.alarm.as_ref());
        alarm.map(headline).unwrap_or_default()
    });
    let layers = move || -> Vec<View> {
        let chain = chain.get_clone();
        chain.into_iter().map(|layer| view! { li { (layer) } }).collect()
    };
    let values = move || -> Vec<View> {
        let facts = facts.get_clone();
        facts
            .into_iter()
            .map(|(name, value)| view! { div { dt { (name) } dd(data-fact=name) { (value) } } })
            .collect()
    };
    let (data_id, job) = (
        disk_id.to_owned(),
        job_view(disks, vm_id.clone(), disk_id.to_owned()),
    );
    view! {
        article(class="disk-card", data-testid="disk-card", data-disk-id=data_id, data-channel=name.get_clone(), aria-label=name.get_clone()) {
            div(class="disk-head") {
                h2 { (name.get_clone()) }
                span(class="disk-about") { (about.get_clone()) }
            }
            ol(class="disk-chain", aria-label="Backing chain", hidden=chain.with(Vec::is_empty)) { (layers()) }
            p(class="disk-alarm", data-testid="disk-alarm", hidden=alarm.with(String::is_empty)) {
                (Once { of: || icon(icons::WARNING) }) (alarm.get_clone())
            }
            dl(class="disk-facts") { (values()) }
            (Once { of: move || tools(disks, vm_id, row, importing) })
            (job)
        }
    }
}

/// What a disk is, in words.
fn about(row: &Row) -> String {
    match &row.disk {
        Some((disk, fate)) => {
            let drive = words::drive(disk.kind);
            format!("{drive} · {} · {}", disk.format.as_str(), fate.text())
        }
        None => "what was written to a disk that the machine has no more".to_owned(),
    }
}

fn tools(disks: Disks, vm_id: VmId, row: Shown, importing: Signal<Option<(VmId, Rc<Row>)>>) -> View {
    let toolbar = create_node_ref();
    let why = move |get: fn(&Row) -> Option<&'static str>| {
        memo(move || row.with(|row| row.as_deref().and_then(get)))
    };
    let now = move || row.get_clone_untracked();
    let vm = create_signal(vm_id);
    let discard = move |_: MouseEvent| {
        if let Some(row) = now() {
            disks.ask_discard(&vm.get_clone_untracked(), &row);
        }
    };
    let export = move |event: MouseEvent| {
        if let Some(row) = now() {
            disks
                .cx
                .menu
                .below(&event, exports(disks, &vm.get_clone_untracked(), &row));
        }
    };
    let import = move |_: MouseEvent| {
        if let Some(row) = now() {
            importing.set_silent(Some((vm.get_clone_untracked(), row)));
            press(IMPORT);
        }
    };
    let grow = move |_: MouseEvent| {
        if let Some(row) = now() {
            disks.growing.set(Some(Growing {
                vm_id: vm.get_clone_untracked(),
                channel: row.name().to_owned(),
                now: row.size_of_disk(),
            }));
        }
    };
    let name = untrack(|| row.with(|row| row.as_ref().map(|row| row.name().to_owned())));
    let label = format!("Actions for {}", name.unwrap_or_default());
    view! {
        div(class="disk-tools", role="toolbar", aria-label=label, r#ref=toolbar,
            on:keydown=move |event: KeyboardEvent| roving::keydown(&event, toolbar, roving::Axis::Horizontal),
            on:focusin=move |event: FocusEvent| roving::focusin(&event, toolbar)) {
            (Once { of: move || explained("disk-export", "Export ▸", "0", why(Row::why_not_export), export) })
            (Once { of: move || explained("disk-import-open", "Import changes…", "-1", why(Row::why_not_import), import) })
            (Once { of: move || explained("disk-grow", "Grow…", "-1", why(Row::why_not_grow), grow) })
            (Once { of: move || explained("disk-discard-changes", "Discard changes…", "-1", why(Row::why_not_discard), discard) })
        }
    }
}

/// What a disk can be exported as, as the lines of a menu.
fn exports(disks: Disks, vm_id: &str, row: &Rc<Row>) -> Vec<Item> {
    let format = row.disk.as_ref().map_or(DiskFormat::Raw, |(disk, _)| disk.format);
    let as_it_is = match format {
        DiskFormat::Raw | DiskFormat::Qcow2 => "All of it, raw".to_owned(),
        format => format!("All of it, as it is ({})", format.as_str()),
    };
    let item = |test_id, text: String, format| {
        let (vm_id, of) = (vm_id.to_owned(), Rc::clone(row));
        Item::new(test_id, text, move || disks.export(&vm_id, &of, format)).unless(row.why_not_as(format))
    };
    vec![
        item(
            "export-overlay",
            "Its changes alone".to_owned(),
            ExportAs::Overlay,
        ),
        Item::line(),
        item("export-raw", as_it_is, ExportAs::Raw),
        item("export-qcow2", "All of it, qcow2".to_owned(), ExportAs::Qcow2),
        item(
            "export-qcow2-zlib",
            "All of it, qcow2, compressed (zlib)".to_owned(),
            ExportAs::Qcow2Zlib,
        ),
        item(
            "export-qcow2-zstd",
            "All of it, qcow2, compressed (zstd)".to_owned(),
            ExportAs::Qcow2Zstd,
        ),
    ]
}
