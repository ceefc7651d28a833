//! What the builder promises for every input, however hostile; and its errors one by one.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::build_qemu_args;
use crate::error::{ConfigError, ConfigWarning};
use crate::inputs::{
    Attachment, BuiltinFile, DiskFormat, DiskInput, Firmware, InputSource, KernelKind, Media, StoredFile,
    System, VmInputs,
};
use crate::profiles::{default_profiles, infrastructure_profiles};
use crate::types::{BootDevice, BootFrom, DiskInterface, HomeDisk, Keep, NetMode, VmOverrides, VmProfile};

fn profile(id: &str) -> VmProfile {
    crate::profiles::find_profile(id).expect("a profile of ours")
}

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
    let tame_source = |_: &InputSource| InputSource::Url("https://example.org/x".into());
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

#[test]
fn profiles_have_the_seeds_json_names() {
    for profile in default_profiles().into_iter().chain(infrastructure_profiles()) {
        let json = serde_json::to_value(&profile).expect("serializable");
        for name in ["memoryMiB", "supportsGraphics", "defaultArgs", "requiresKernel"] {
            assert!(json.get(name).is_some(), "{name}");
        }
        assert!(json["devices"].get("diskInterface").is_some());
        assert_eq!(
            serde_json::from_value::<VmProfile>(json).expect("readable"),
            profile
        );
    }
}

#[test]
fn every_profile_is_without_errors_or_says_what_it_needs() {
    for profile in default_profiles().into_iter().chain(infrastructure_profiles()) {
        let result = build_qemu_args(&profile, &VmInputs::default(), None);
        let needs_disk = profile.id.starts_with("debian-");
        if profile.default_inputs.kernel.is_some() && !needs_disk {
            assert_eq!(result.errors, [], "{}", profile.id);
        } else {
            let help = profile.kernel_help_text.expect("says what it needs");
            assert_eq!(
                result.errors,
                [ConfigError::NothingToBoot {
                    profile: profile.id,
                    help
                }]
            );
        }
    }
}

#[test]
fn refuses_sources_that_cannot_be() {
    let sources = [
        (InputSource::builtin("../secret"), "inputs.kernel.builtin.path"),
        (InputSource::builtin(""), "inputs.kernel.builtin.path"),
        (
            InputSource::builtin("/x86_64/vmlinux.gz"),
            "inputs.kernel.builtin.path",
        ),
        (
            InputSource::builtin("x86_64/%2e%2e/x"),
            "inputs.kernel.builtin.path",
        ),
        (InputSource::Url("file:///etc/passwd".into()), "inputs.kernel.url"),
        (
            InputSource::Url("javascript:alert(1)".into()),
            "inputs.kernel.url",
        ),
        (InputSource::Url("https://".into()), "inputs.kernel.url"),
        (
            InputSource::Attachment(Attachment {
                index: 0,
                name: "vmlinuz".into(),
                size: 0,
            }),
            "inputs.kernel.attachment.size",
        ),
    ];
    for (source, field) in sources {
        let inputs = VmInputs {
            kernel: Some(source),
            ..VmInputs::default()
        };
        let result = build_qemu_args(&profile("minimal-x86_64"), &inputs, None);
        assert_eq!(
            result.errors.iter().map(ConfigError::field).collect::<Vec<_>>(),
            [field]
        );
    }
}

#[test]
fn refuses_machines_that_cannot_be() {
    let cases = [
        ("", "machine"),
        (",accel=kvm", "machine"),
        ("q35,accel=kvm", "machine"),
        ("q35 -daemonize", "machine"),
        ("virt", "machine"),
    ];
    for (machine, field) in cases {
        let profile = VmProfile {
            machine: machine.into(),
            ..profile("minimal-x86_64")
        };
        let result = build_qemu_args(&profile, &VmInputs::default(), None);
        assert_eq!(
            result.errors.iter().map(ConfigError::field).collect::<Vec<_>>(),
            [field],
            "{machine}"
        );
    }
}

#[test]
fn the_heap_is_bounded_with_numbers() {
    let profile = profile("minimal-x86_64");
    let memory = |memory_mib| VmOverrides {
        memory_mib: Some(memory_mib),
        ..VmOverrides::default()
    };
    let errors = |mib| build_qemu_args(&profile, &VmInputs::default(), Some(&memory(mib))).errors;
    let largest = crate::limits::largest_guest_mib();
    assert_eq!(errors(largest), []);
    let [
        error @ ConfigError::HeapTooSmall {
            required_mib: 4096, ..
        },
    ] = &errors(largest + 1)[..]
    else {
        panic!("expected one error about the heap");
    };
    assert!(error.to_string().contains("at most 3455 MiB"), "{error}");
    assert!(!errors(u32::MAX).is_empty());

    let capped = VmProfile {
        max_memory_mib: Some(256),
        ..profile.clone()
    };
    let result = build_qemu_args(&capped, &VmInputs::default(), Some(&memory(257)));
    assert_eq!(
        result.errors.iter().map(ConfigError::field).collect::<Vec<_>>(),
        ["overrides.memoryMiB"]
    );
}

#[test]
fn extra_arguments_are_split_as_a_shell_would_and_judged() {
    let extra = |line: &str| VmOverrides {
        extra_args: Some(line.into()),
        ..VmOverrides::default()
    };
    let build = |line: &str| {
        build_qemu_args(
            &profile("minimal-x86_64"),
            &VmInputs::default(),
            Some(&extra(line)),
        )
    };

    let result = build(r#"-name 'a b' -fw_cfg name=opt/x,string="c  d""#);
    assert_eq!(result.errors, []);
    assert!(
        result
            .args
            .ends_with(&["-name", "a b", "-fw_cfg", "name=opt/x,string=c  d"].map(String::from))
    );

    assert_eq!(build("-name 'a").errors, [ConfigError::UnbalancedQuotes]);
    let [ConfigError::Refused { argument, .. }] = &build("-name x -netdev tap,id=n").errors[..] else {
        panic!("expected one refusal");
    };
    assert_eq!(argument, "\"-netdev tap,id=n\"");
}

#[test]
fn a_profile_cannot_ask_for_more_than_a_person() {
    let profile = VmProfile {
        default_args: vec!["-enable-kvm".into()],
        ..profile("minimal-x86_64")
    };
    let result = build_qemu_args(&profile, &VmInputs::default(), None);
    assert_eq!(
        result.errors.iter().map(ConfigError::field).collect::<Vec<_>>(),
        ["defaultArgs"]
    );
}

#[test]
fn a_nul_is_an_error() {
    let inputs = VmInputs {
        kernel_cmdline: Some("console=ttyS0 \0".into()),
        ..VmInputs::default()
    };
    let result = build_qemu_args(&profile("minimal-x86_64"), &inputs, None);
    assert_eq!(result.errors.len(), 1);
}

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
fn errors_and_warnings_are_sentences_in_json() {
    let profile = VmProfile {
        devices: crate::types::VmDeviceConfig {
            net: NetMode::User,
            ..profile("minimal-x86_64").devices
        },
        smp: 0,
        ..profile("minimal-x86_64")
    };
    let json =
        serde_json::to_value(build_qemu_args(&profile, &VmInputs::default(), None)).expect("serializable");
    assert_eq!(json["errors"][0], "smp: expected 1 to 8 processors, found 0");
    assert!(
        json["warnings"][0]
            .as_str()
            .is_some_and(|text| text.starts_with("net: "))
    );
    assert_eq!(json["filesToMount"][0]["path"], "/vm/kernel");
}
