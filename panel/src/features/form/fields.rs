//! Plain fields: text and numbers, devices, boot order.

use qemuweb_vm_config::{BootFrom, DiskInterface, Firmware, NetMode};
use sycamore::prelude::*;
use web_sys::Event;

use super::draft::{Draft, Field};
use super::state::Form;
use crate::kit::browser::{is_checked, value_of};
use crate::kit::reactive::{Dynamic, memo};

/// A field that one types into.
pub(super) struct Text {
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    /// The type of the `<input>`.
    pub(super) kind: &'static str,
    /// Whose errors stand below it.
    pub(super) field: Option<Field>,
    /// What holds while it is empty.
    pub(super) placeholder: fn(&Draft) -> String,
    pub(super) get: fn(&Draft) -> String,
    pub(super) set: fn(&mut Draft, String),
}

/// Draws a field that one types into.
pub(super) fn text(form: Form, field: Text) -> View {
    let Text {
        id,
        label,
        kind,
        field,
        placeholder,
        get,
        set,
    } = field;
    let class = if kind == "number" { "" } else { "mono" };
    let is_wrong = move || field.is_some_and(|field| !form.errors_of(field).is_empty());
    let error_id = format!("{id}-error");
    let errors = match field {
        Some(field) => errors(form, field, error_id.clone()),
        None => View::new(),
    };
    view! {
        label(r#for=id) { (label) }
        input(r#type=kind, id=id, class=class, data-testid=id, "spellcheck"="false", autocomplete="off",
            aria-invalid=is_wrong().to_string(), aria-describedby=error_id,
            placeholder=form.draft.with(placeholder), prop:value=form.draft.with(get),
            on:input=move |event: Event| form.change(|draft| set(draft, value_of(&event))))
        (errors)
    }
}

/// What is wrong with a field, below it.
pub(super) fn errors(form: Form, field: Field, id: String) -> View {
    let errors = memo(move || form.errors_of(field));
    view! {
        p(class="field-error", id=id, data-testid="field-error", hidden=errors.with(Vec::is_empty)) {
            (errors.with(|errors| errors.join(". ")))
        }
    }
}

/// The devices that can be switched on and off.
pub(super) fn devices(form: Form) -> View {
    type Switch = (
        &'static str,
        &'static str,
        fn(&Draft) -> bool,
        fn(&mut Draft, bool),
    );
    let switches: [Switch; 5] = [
        (
            "rng",
            "Random numbers",
            |d| d.profile.devices.rng,
            |d, on| d.profile.devices.rng = on,
        ),
        (
            "usb",
            "USB",
            |d| d.profile.devices.usb,
            |d, on| d.profile.devices.usb = on,
        ),
        (
            "keyboard",
            "Keyboard",
            |d| d.profile.devices.keyboard,
            |d, on| {
                d.profile.devices.keyboard = on;
            },
        ),
        (
            "graphics",
            "Graphics",
            |d| d.profile.supports_graphics,
            |d, on| d.profile.supports_graphics = on,
        ),
        (
            "network",
            "Network",
            |d| net(d) == NetMode::User,
            |d, on| {
                d.overrides.net = Some(if on { NetMode::User } else { NetMode::None });
            },
        ),
    ];
    let mut boxes = switches.into_iter().map(|(id, name, get, set)| {
        view! {
            label(class="check") {
                input(r#type="checkbox", data-testid=format!("device-{id}"), prop:checked=form.draft.with(get),
                    on:change=move |event: Event| form.change(|draft| set(draft, is_checked(&event))))
                (name)
            }
        }
    });
    let first = boxes.next();
    let further: Vec<View> = boxes.collect();
    view! {
        span(class="label", id="devices-label") { "Devices" }
        div(class="checks", role="group", aria-labelledby="devices-label") {
            (first)
            details(class="further") {
                summary { "For a screen or a network" }
                p(class="hint") { "The panel shows the serial console only, and this build of QEMU has no network." }
                div(class="checks") { (further) }
            }
        }
    }
}

fn net(draft: &Draft) -> NetMode {
    draft.overrides.net.unwrap_or(draft.profile.devices.net)
}

/// Where a built-in guest has its home directory; nothing for other machines.
pub(super) fn home(form: Form) -> View {
    let has_home = memo(move || form.checked.with(|checked| checked.has_home));
    let is = move |wanted: &'static str| move || form.draft.with(|draft| draft.home() == wanted);
    let choose = move |event: Event| form.change(|draft| draft.set_home(&value_of(&event)));
    view! {
        (Dynamic { of: move || if has_home.get() {
            let (lasting, until, none) = (is(""), is("until-power-off"), is("none"));
            view! {
                label(r#for="home") { "Home directory" }
                select(id="home", data-testid="home", on:change=choose) {
                    option(value="", prop:selected=lasting()) { "on a disk that is kept in this browser" }
                    option(value="until-power-off", prop:selected=until()) { "on a disk that is discarded at power off" }
                    option(value="none", prop:selected=none()) { "in the guest’s memory" }
                }
            }
        } else {
            View::new()
        } })
    }
}

/// How disks are attached, and what starts first.
pub(super) fn boot(form: Form) -> View {
    let interface = move |event: Event| {
        let chosen = match value_of(&event).as_str() {
            "virtio-blk" => Some(DiskInterface::VirtioBlk),
            "ide" => Some(DiskInterface::Ide),
            "scsi" => Some(DiskInterface::Scsi),
            _ => None,
        };
        form.change(|draft| draft.overrides.disk_interface = chosen);
    };
    let from = move |event: Event| {
        let chosen = match value_of(&event).as_str() {
            "kernel" => Some(BootFrom::Kernel),
            "disk" => Some(BootFrom::Disk),
            _ => None,
        };
        form.change(|draft| draft.overrides.boot_from = chosen);
    };
    let firmware = move |event: Event| {
        let chosen = match value_of(&event).as_str() {
            "bios" => Some(Firmware::Bios),
            "uefi" => Some(Firmware::Uefi),
            _ => None,
        };
        form.change(|draft| draft.overrides.firmware = chosen);
    };
    let is_firmware =
        |wanted: Option<Firmware>| move || form.draft.with(|draft| draft.overrides.firmware == wanted);
    let (needed, bios, uefi) = (
        is_firmware(None),
        is_firmware(Some(Firmware::Bios)),
        is_firmware(Some(Firmware::Uefi)),
    );
    let has_interface = |wanted: Option<DiskInterface>| {
        move || form.draft.with(|draft| draft.overrides.disk_interface == wanted)
    };
    let (auto, virtio) = (has_interface(None), has_interface(Some(DiskInterface::VirtioBlk)));
    let (ide, scsi) = (
        has_interface(Some(DiskInterface::Ide)),
        has_interface(Some(DiskInterface::Scsi)),
    );
    let boots =
        |wanted: Option<BootFrom>| move || form.draft.with(|draft| draft.overrides.boot_from == wanted);
    let (any, kernel, disk) = (
        boots(None),
        boots(Some(BootFrom::Kernel)),
        boots(Some(BootFrom::Disk)),
    );
    let first = |wanted: &'static str| move || form.draft.with(|draft| draft.first_boot_device() == wanted);
    let (default, hard, cdrom, floppy) = (first(""), first("disk"), first("cdrom"), first("floppy"));
    view! {
        label(r#for="disk-interface") { "Disks are" }
        select(id="disk-interface", data-testid="disk-interface", on:change=interface) {
            option(value="", prop:selected=auto()) { "as the profile has them" }
            option(value="virtio-blk", prop:selected=virtio()) { "virtio-blk" }
            option(value="ide", prop:selected=ide()) { "IDE or SATA" }
            option(value="scsi", prop:selected=scsi()) { "SCSI" }
        }
        label(r#for="boot-from") { "Boot from" }
        select(id="boot-from", data-testid="boot-from", on:change=from) {
            option(value="", prop:selected=any()) { "what is there" }
            option(value="kernel", prop:selected=kernel()) { "the kernel" }
            option(value="disk", prop:selected=disk()) { "the disk" }
        }
        label(r#for="firmware") { "Firmware" }
        select(id="firmware", data-testid="firmware", on:change=firmware) {
            option(value="", prop:selected=needed()) { "what the disk needs" }
            option(value="bios", prop:selected=bios()) { "BIOS" }
            option(value="uefi", prop:selected=uefi()) { "UEFI" }
        }
        label(r#for="boot-order") { "Boot order" }
        select(id="boot-order", data-testid="boot-order",
            on:change=move |event: Event| form.change(|draft| draft.set_boot_order(&value_of(&event)))) {
            option(value="", prop:selected=default()) { "the firmware's own" }
            option(value="disk", prop:selected=hard()) { "hard disk, then CD" }
            option(value="cdrom", prop:selected=cdrom()) { "CD, then hard disk" }
            option(value="floppy", prop:selected=floppy()) { "floppy, then hard disk" }
        }
    }
}
