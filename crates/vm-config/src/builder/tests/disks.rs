//! Which disks a machine has, what starts, and what becomes of what is written.

use super::super::build_qemu_args;
use crate::error::{ConfigError, ConfigWarning};
use crate::inputs::{BlankDisk, DiskFormat, DiskInput, InputSource, Media, VmInputs};
use crate::types::{DiskInterface, HomeDisk, Keep, VmOverrides};

use super::profile;

#[test]
fn a_kernel_that_will_be_silent_is_warned_of() {
    let inputs = VmInputs {
        kernel_cmdline: Some("quiet".into()),
        ..VmInputs::default()
    };
    let result = build_qemu_args(&profile("linux-aarch64-virt-nographic"), &inputs, None);
    assert_eq!(result.warnings, [ConfigWarning::NoConsole { console: "ttyAMA0" }]);
}

#[test]
fn a_debian_disk_starts_with_the_built_in_kernel() {
    let inputs = VmInputs {
        disk: Some(DiskInput::new(InputSource::Url(
            "https://example.org/debian.qcow2".into(),
        ))),
        ..VmInputs::default()
    };
    for id in ["debian-x86_64-disk", "debian-aarch64-disk"] {
        let result = build_qemu_args(&profile(id), &inputs, None);
        assert_eq!(result.errors, []);
        assert_eq!(result.warnings, [], "{id}");
        assert!(result.command_line().contains("root=/dev/vda rw"));
        assert!(!result.args.iter().any(|arg| arg == "-initrd"));
    }
}

#[test]
fn a_disk_of_data_is_attached_to_the_guest_of_the_profile() {
    let disk = |is_data| VmInputs {
        disk: Some(DiskInput {
            is_data,
            ..DiskInput::new(InputSource::Url("https://example.org/data.img".into()))
        }),
        ..VmInputs::default()
    };
    let kernel_starts = |id: &str, is_data| {
        let result = build_qemu_args(&profile(id), &disk(is_data), None);
        assert_eq!(result.warnings, [], "{id}");
        result.args.iter().any(|arg| arg == "-kernel")
    };
    assert!(kernel_starts("minimal-x86_64", true));
    assert!(!kernel_starts("minimal-x86_64", false));
    // Nothing else could start.
    assert!(!kernel_starts("pc-x86_64", true));
}

#[test]
fn what_is_written_lasts_unless_it_cannot_or_is_not_to() {
    let disk = || DiskInput::new(InputSource::Url("https://example.org/a.raw".into()));
    let of = |format| DiskInput {
        format: Some(format),
        ..disk()
    };
    let kept = |disk: DiskInput| {
        let inputs = VmInputs {
            disk: Some(disk),
            ..VmInputs::default()
        };
        let result = build_qemu_args(&profile("linux-x86_64-pc-nographic"), &inputs, None);
        let drive = result.args.iter().find(|arg| arg.contains("id=disk0")).cloned();
        let drive = drive.expect("a drive");
        let layer = if drive.contains("snapshot=on") {
            "temporary"
        } else if drive.contains("readonly=on") {
            "read-only"
        } else {
            "none"
        };
        let warned = result
            .warnings
            .iter()
            .any(|it| matches!(it, ConfigWarning::WritesNotKept { .. }));
        (result.disks[0].keep, layer, warned)
    };
    assert_eq!(kept(disk()), (Keep::Changes, "none", false));
    for format in DiskFormat::ALL {
        let expected = match format {
            DiskFormat::Vmdk | DiskFormat::Bochs | DiskFormat::Cloop | DiskFormat::Dmg => {
                (Keep::Nothing, "temporary", true)
            }
            _ => (Keep::Changes, "none", false),
        };
        assert_eq!(kept(of(*format)), expected, "{format:?}");
    }
    let discarded = DiskInput {
        discard_at_power_off: true,
        ..disk()
    };
    assert_eq!(kept(discarded), (Keep::UntilPowerOff, "none", false));
    let readonly = DiskInput {
        readonly: true,
        ..disk()
    };
    assert_eq!(kept(readonly.clone()), (Keep::Nothing, "read-only", false));
    let ide = DiskInput {
        interface: Some(DiskInterface::Ide),
        ..readonly
    };
    assert_eq!(kept(ide), (Keep::Nothing, "temporary", false));
    let snapshot = DiskInput {
        snapshot: Some("before".into()),
        ..of(DiskFormat::Qcow2)
    };
    assert_eq!(kept(snapshot), (Keep::Nothing, "temporary", true));
}

#[test]
fn built_in_guests_have_a_home_of_their_own() {
    let home = |id: &str, inputs: &VmInputs, home| {
        let overrides = VmOverrides {
            home,
            ..VmOverrides::default()
        };
        let result = build_qemu_args(&profile(id), inputs, Some(&overrides));
        let disk = result.disks.iter().find(|disk| disk.channel == "home").cloned();
        let device = result
            .args
            .iter()
            .any(|arg| arg.ends_with(",drive=home,serial=home"));
        assert_eq!(device, disk.is_some());
        disk.map(|disk| disk.keep)
    };
    let none = VmInputs::default();
    for id in [
        "minimal-x86_64",
        "linux-x86_64-pc-nographic",
        "linux-aarch64-virt-nographic",
    ] {
        assert_eq!(home(id, &none, None), Some(Keep::Copy), "{id}");
        let until = Some(HomeDisk::UntilPowerOff);
        assert_eq!(home(id, &none, until), Some(Keep::UntilPowerOff), "{id}");
        assert_eq!(home(id, &none, Some(HomeDisk::None)), None, "{id}");
    }
    let foreign = VmInputs {
        kernel: Some(InputSource::Url("https://example.org/bzImage".into())),
        ..VmInputs::default()
    };
    assert_eq!(home("minimal-x86_64", &foreign, None), None);
}

#[test]
fn optical_discs_and_floppies_go_into_their_drives() {
    let on = |media| DiskInput {
        media: Some(media),
        ..DiskInput::new(InputSource::Url("https://example.org/image".into()))
    };
    let inputs = VmInputs {
        disk: Some(on(Media::Cdrom)),
        additional_disks: vec![on(Media::Floppy), on(Media::Floppy), on(Media::Floppy)],
        ..VmInputs::default()
    };
    let pc = build_qemu_args(&profile("linux-x86_64-pc-nographic"), &inputs, None);
    assert!(
        pc.command_line()
            .contains("-device ide-cd,bus=ide.0,unit=0,drive=disk0")
    );
    assert!(pc.command_line().contains("-drive if=floppy,index=1,"));
    assert_eq!(pc.errors[0].field(), "inputs.additionalDisks[2].media");
    let arm = build_qemu_args(&profile("linux-aarch64-virt-nographic"), &inputs, None);
    assert!(
        arm.command_line()
            .contains("-device scsi-cd,bus=scsi0.0,drive=disk0")
    );
    assert_eq!(arm.errors[0].field(), "inputs.additionalDisks[0].media");
}

#[test]
fn a_new_disk_is_raw_and_starts_nothing() {
    let blank = |id: &str, size| InputSource::Blank(BlankDisk { id: id.into(), size });
    let with = |disk| VmInputs {
        disk: Some(DiskInput::new(disk)),
        ..VmInputs::default()
    };
    let result = build_qemu_args(
        &profile("linux-x86_64-pc-nographic"),
        &with(blank("d", 1 << 30)),
        None,
    );
    assert_eq!(result.errors, []);
    assert_eq!(
        (result.disks[0].format, result.disks[0].keep),
        (DiskFormat::Raw, Keep::Changes)
    );
    assert!(result.args.iter().any(|arg| arg == "-kernel"));
    for (id, size, field) in [
        ("", 1 << 30, "inputs.disk.blank.id"),
        ("a:b", 1 << 30, "inputs.disk.blank.id"),
        ("d", 0, "inputs.disk.blank.size"),
        ("d", u64::MAX, "inputs.disk.blank.size"),
    ] {
        let result = build_qemu_args(
            &profile("linux-x86_64-pc-nographic"),
            &with(blank(id, size)),
            None,
        );
        assert_eq!(
            result.errors.iter().map(ConfigError::field).collect::<Vec<_>>(),
            [field]
        );
    }
    let kernel = VmInputs {
        kernel: Some(blank("d", 1 << 30)),
        ..VmInputs::default()
    };
    assert_eq!(
        build_qemu_args(&profile("minimal-x86_64"), &kernel, None).errors[0].field(),
        "inputs.kernel"
    );
}
