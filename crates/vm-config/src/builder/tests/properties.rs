//! What holds for every input, however hostile.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::super::build_qemu_args;
use crate::inputs::{
    Attachment, BlankDisk, BuiltinFile, DiskFormat, DiskInput, Firmware, InputSource, KernelKind, Media,
    StoredFile, System, VmInputs,
};
use crate::profiles::{default_profiles, infrastructure_profiles};
use crate::types::{BootDevice, BootFrom, DiskInterface, HomeDisk, NetMode, VmOverrides, VmProfile};

/// Text that tries to break out of the argument that it belongs to.
fn hostile_text() -> impl Strategy<Value = String> {
    let fragments = prop::sample::select(vec![
        ",",
        "=",
        " ",
        "\n",
        "\t",
        "\0",
        "'",
        "\"",
        "\\",
        "--",
        "-daemonize",
        ",file=/etc/passwd",
        "id=",
        "/",
        "..",
        "root=",
        "console=ttyS0",
        "{",
        "}",
        "🦀",
        "https://",
        ".qcow2",
        "?",
        "#",
        "%s",
        "$(x)",
        "`",
    ]);
    prop_oneof![
        ".{0,40}".prop_map(String::from),
        vec(fragments, 0..12).prop_map(|parts| parts.concat()),
    ]
}

fn source() -> impl Strategy<Value = InputSource> {
    prop_oneof![
        hostile_text().prop_map(|path| InputSource::Builtin(BuiltinFile { path })),
        (any::<u32>(), hostile_text(), any::<u64>())
            .prop_map(|(index, name, size)| InputSource::Attachment(Attachment { index, name, size })),
        hostile_text().prop_map(InputSource::Url),
        (hostile_text(), hostile_text(), any::<u64>())
            .prop_map(|(hash, name, size)| InputSource::Stored(StoredFile { hash, name, size })),
        (hostile_text(), any::<u64>()).prop_map(|(id, size)| InputSource::Blank(BlankDisk { id, size })),
    ]
}

fn interface() -> impl Strategy<Value = DiskInterface> {
    prop::sample::select(vec![
        DiskInterface::VirtioBlk,
        DiskInterface::Ide,
        DiskInterface::Scsi,
    ])
}

fn disk() -> impl Strategy<Value = DiskInput> {
    let format = prop::sample::select(vec![DiskFormat::Raw, DiskFormat::Qcow2]);
    (
        source(),
        any::<bool>(),
        option::of(format),
        option::of(interface()),
        option::of(prop::sample::select(vec![
            Media::Disk,
            Media::Cdrom,
            Media::Floppy,
        ])),
        option::of(prop::sample::select(vec![System::Linux, System::Other])),
        option::of(prop::sample::select(vec![Firmware::Bios, Firmware::Uefi])),
    )
        .prop_map(
            |(source, readonly, format, interface, media, system, firmware)| DiskInput {
                system,
                firmware,
                readonly,
                format,
                interface,
                media,
                ..DiskInput::new(source)
            },
        )
}

fn inputs() -> impl Strategy<Value = VmInputs> {
    let kind = prop::sample::select(vec![KernelKind::Linux, KernelKind::Ipxe, KernelKind::Xen]);
    (
        option::of(disk()),
        option::of(source()),
        option::of(source()),
        option::of(hostile_text()),
        option::of(kind),
        vec(disk(), 0..20),
    )
        .prop_map(
            |(disk, kernel, initrd, kernel_cmdline, kernel_kind, additional_disks)| VmInputs {
                disk,
                kernel,
                initrd,
                kernel_cmdline,
                kernel_kind,
                additional_disks,
            },
        )
}

prop_compose! {
    fn overrides()(
        memory_mib in option::of(any::<u32>()),
        smp in option::of(any::<u32>()),
        cpu in option::of(hostile_text()),
        cmdline in option::of(hostile_text()),
        extra_args in option::of(hostile_text()),
        boot_from in option::of(prop::sample::select(vec![BootFrom::Kernel, BootFrom::Disk])),
        boot_order in vec(prop::sample::select(vec![BootDevice::Disk, BootDevice::Cdrom]), 0..4),
        net in option::of(prop::sample::select(vec![NetMode::User, NetMode::None])),
        disk_interface in option::of(interface()),
        tb_size_mib in option::of(any::<u32>()),
        firmware in option::of(prop::sample::select(vec![Firmware::Bios, Firmware::Uefi])),
        home in option::of(prop::sample::select(vec![HomeDisk::Lasting, HomeDisk::UntilPowerOff, HomeDisk::None])),
    ) -> VmOverrides {
        VmOverrides {
            firmware, home,
            memory_mib, smp, cpu, cmdline, extra_args, boot_from, boot_order, net, disk_interface, tb_size_mib,
        }
    }
}

fn any_profile() -> impl Strategy<Value = VmProfile> {
    let profiles = default_profiles()
        .into_iter()
        .chain(infrastructure_profiles())
        .collect::<Vec<_>>();
    (
        prop::sample::select(profiles),
        option::of(hostile_text()),
        vec(hostile_text(), 0..4),
    )
        .prop_map(|(profile, machine, default_args)| {
            let machine = machine.unwrap_or_else(|| profile.machine.clone());
            VmProfile {
                machine,
                default_args,
                ..profile
            }
        })
}

/// The same request with every text of the user's replaced by a harmless one of the same meaning.
fn tamed(inputs: &VmInputs) -> VmInputs {
    // That a disk is new decides its format and what starts.
    let tame_source = |source: &InputSource| match source {
        InputSource::Blank(_) => InputSource::Blank(BlankDisk {
            id: "x".into(),
            size: 1 << 30,
        }),
        _ => InputSource::Url("https://example.org/x".into()),
    };
    let tame_disk = |disk: &DiskInput| DiskInput {
        source: tame_source(&disk.source),
        ..disk.clone()
    };
    VmInputs {
        disk: inputs.disk.as_ref().map(tame_disk),
        kernel: inputs.kernel.as_ref().map(tame_source),
        initrd: inputs.initrd.as_ref().map(tame_source),
        kernel_cmdline: inputs.kernel_cmdline.as_ref().map(|_| "x".into()),
        kernel_kind: inputs.kernel_kind,
        additional_disks: inputs.additional_disks.iter().map(tame_disk).collect(),
    }
}

proptest! {
    #[test]
    fn never_panics(profile in any_profile(), inputs in inputs(), overrides in overrides()) {
        let result = build_qemu_args(&profile, &inputs, Some(&overrides));
        for text in result.errors.iter().map(ToString::to_string) {
            prop_assert!(!text.contains('\0') && !text.contains('\n'), "{text:?}");
        }
        serde_json::to_string(&result).expect("serializable");
        let _ = result.command_line();
    }

    #[test]
    fn hostile_names_inject_nothing(
        index in 0..default_profiles().len(),
        inputs in inputs(),
        overrides in overrides(),
    ) {
        let profile = default_profiles().remove(index);
        // What a text may rightly decide: whether the command line names a root file system.
        let names_root = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains("root="));
        prop_assume!(!names_root(&inputs.kernel_cmdline) && !names_root(&overrides.cmdline));
        let overrides = VmOverrides { extra_args: None, cpu: None, ..overrides };
        let tame_overrides = VmOverrides { cmdline: overrides.cmdline.as_ref().map(|_| "y".into()), ..overrides.clone() };

        let args = build_qemu_args(&profile, &inputs, Some(&overrides)).args;
        let tame = build_qemu_args(&profile, &tamed(&inputs), Some(&tame_overrides)).args;
        prop_assert_eq!(args.len(), tame.len());
        let mut previous = "";
        for (arg, tame) in args.iter().zip(&tame) {
            let by_format = previous == "-drive";
            if previous == "-append" {
                // The one argument that is the user's text.
            } else if by_format {
                // A file's name may decide its format, and nothing else.
                let neutral = |arg: &str| arg.replace("qcow2", "raw");
                prop_assert_eq!(neutral(arg), neutral(tame));
            } else {
                prop_assert_eq!(arg, tame);
            }
            previous = arg;
        }
    }

    #[test]
    fn mounted_paths_are_ours_and_distinct(profile in any_profile(), inputs in inputs()) {
        let result = build_qemu_args(&profile, &inputs, None);
        let mut paths: Vec<_> = result.files_to_mount.iter().map(|file| file.path.clone()).collect();
        for path in &paths {
            let name = path.strip_prefix("/vm/").expect("below the mount folder");
            prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.'), "{}", path);
        }
        for disk in &result.disks {
            prop_assert!(disk.channel.chars().all(|c| c.is_ascii_alphanumeric()), "{}", disk.channel);
            let named = format!("file={},", disk.file_name());
            prop_assert_eq!(result.args.iter().filter(|arg| arg.contains(&named)).count(), 1);
        }
        paths.extend(result.disks.into_iter().map(|disk| disk.channel));
        paths.sort();
        let count = paths.len();
        paths.dedup();
        prop_assert_eq!(paths.len(), count);
    }

    #[test]
    fn inputs_survive_json(inputs in inputs(), overrides in overrides()) {
        let text = serde_json::to_string(&inputs).expect("serializable");
        prop_assert_eq!(serde_json::from_str::<VmInputs>(&text).expect("readable"), inputs);
        let text = serde_json::to_string(&overrides).expect("serializable");
        prop_assert_eq!(serde_json::from_str::<VmOverrides>(&text).expect("readable"), overrides);
    }
}
