//! What is started: combinations of inputs and overrides that together have every argument that the builder knows.

use qemuweb_vm_config::{
    Arch, Attachment, BootDevice, BootFrom, DiskFormat, DiskInput, DiskInterface, Firmware, InputSource,
    KernelKind, Media, NetMode, QemuArgsResult, System, VmInputs, VmOverrides, VmProfile, build_qemu_args,
    default_profiles, infrastructure_profiles,
};

/// The arguments of all machines of `arch`, with the profile's id.
pub(crate) fn machines(arch: Arch) -> Vec<(String, QemuArgsResult)> {
    let profiles = default_profiles().into_iter().chain(infrastructure_profiles());
    let mut machines = Vec::new();
    for profile in profiles.filter(|profile| profile.arch == arch) {
        for (inputs, overrides) in combinations(&profile) {
            let result = build_qemu_args(&profile, &inputs, Some(&overrides));
            assert_eq!(result.errors, [], "{}: {inputs:?} {overrides:?}", profile.id);
            machines.push((profile.id.clone(), result));
        }
    }
    machines
}

/// Inputs and overrides that this profile accepts.
fn combinations(profile: &VmProfile) -> Vec<(VmInputs, VmOverrides)> {
    let none = VmOverrides::default;
    let is_pc = matches!(profile.machine.as_str(), "q35" | "pc");
    let may_have_uefi = !profile.machine.starts_with("microvm");
    let mut combinations = vec![
        (
            VmInputs {
                kernel: Some(file("vmlinuz")),
                ..VmInputs::default()
            },
            none(),
        ),
        (
            VmInputs {
                kernel: Some(file("vmlinuz")),
                initrd: Some(file("initrd, with = signs")),
                kernel_cmdline: Some("console=ttyS0 a,b=c \"d e\" -enable-kvm".into()),
                ..VmInputs::default()
            },
            VmOverrides {
                memory_mib: Some(256),
                smp: Some(4),
                cpu: Some("max".into()),
                cmdline: Some("debug".into()),
                net: Some(NetMode::User),
                tb_size_mib: Some(48),
                ..none()
            },
        ),
        (
            VmInputs {
                kernel: Some(file("vmlinuz")),
                ..VmInputs::default()
            },
            VmOverrides {
                extra_args: Some(
                    "-name 'a,, b' -rtc clock=vm -no-reboot -chardev null,id=extra -object iothread,id=t"
                        .into(),
                ),
                ..none()
            },
        ),
    ];
    if may_have_uefi {
        let disk = DiskInput {
            firmware: Some(Firmware::Uefi),
            system: Some(System::Linux),
            ..DiskInput::new(file("disk"))
        };
        let inputs = VmInputs {
            disk: Some(disk),
            ..VmInputs::default()
        };
        combinations.push((inputs, none()));
    }
    if is_pc {
        combinations.extend(other_systems());
    }
    combinations.push((
        VmInputs {
            kernel: Some(file("vmlinuz")),
            disk: Some(DiskInput {
                snapshot: Some("before".into()),
                ..DiskInput::new(file("disk.qcow2"))
            }),
            ..VmInputs::default()
        },
        none(),
    ));
    if profile.default_inputs.kernel.is_some() && !profile.id.starts_with("debian-") {
        combinations.push((VmInputs::default(), none()));
    }
    let on = |media: Media, readonly: bool| DiskInput {
        media: Some(media),
        readonly,
        ..DiskInput::new(file("image"))
    };
    let mut drives = vec![on(Media::Cdrom, false), on(Media::Cdrom, true)];
    if is_pc {
        drives.extend([on(Media::Floppy, false), on(Media::Floppy, true)]);
    }
    combinations.push((
        VmInputs {
            disk: Some(DiskInput::new(file("disk"))),
            additional_disks: drives,
            ..VmInputs::default()
        },
        none(),
    ));
    let interfaces = [DiskInterface::VirtioBlk, DiskInterface::Ide, DiskInterface::Scsi];
    for interface in interfaces {
        for format in [DiskFormat::Raw, DiskFormat::Qcow2] {
            for readonly in [false, true] {
                let disk = DiskInput {
                    readonly,
                    format: Some(format),
                    ..DiskInput::new(file("disk"))
                };
                let inputs = VmInputs {
                    kernel: Some(file("vmlinuz")),
                    disk: Some(disk.clone()),
                    additional_disks: vec![disk; 2],
                    ..VmInputs::default()
                };
                combinations.push((
                    inputs,
                    VmOverrides {
                        disk_interface: Some(interface),
                        ..none()
                    },
                ));
            }
        }
    }
    let mixed = interfaces.map(|interface| DiskInput {
        interface: Some(interface),
        ..DiskInput::new(file("disk.qcow2"))
    });
    if is_pc {
        let inputs = VmInputs {
            disk: Some(DiskInput::new(file("disk"))),
            additional_disks: mixed.to_vec(),
            ..VmInputs::default()
        };
        let boot_order = vec![
            BootDevice::Cdrom,
            BootDevice::Disk,
            BootDevice::Network,
            BootDevice::Floppy,
        ];
        combinations.push((inputs.clone(), none()));
        combinations.push((
            inputs,
            VmOverrides {
                boot_order,
                boot_from: (!profile.requires_kernel).then_some(BootFrom::Disk),
                ..none()
            },
        ));
    } else {
        let kernel = Some(file("vmlinuz"));
        combinations.push((
            VmInputs {
                kernel,
                additional_disks: mixed.to_vec(),
                ..VmInputs::default()
            },
            none(),
        ));
    }
    combinations
}

fn file(name: &str) -> InputSource {
    InputSource::Attachment(Attachment {
        index: 0,
        name: name.into(),
        size: 1,
    })
}

/// Floppies, disks and kernels that a whole PC starts.
fn other_systems() -> Vec<(VmInputs, VmOverrides)> {
    let on = |media: Media| DiskInput {
        media: Some(media),
        system: Some(System::Other),
        ..DiskInput::new(file("image"))
    };
    let kernel = |kind: KernelKind| VmInputs {
        kernel: Some(file("kernel")),
        initrd: Some(file("module")),
        kernel_kind: Some(kind),
        ..VmInputs::default()
    };
    let disks = [Media::Floppy, Media::Disk, Media::Cdrom].map(|media| VmInputs {
        disk: Some(on(media)),
        additional_disks: vec![on(Media::Floppy)],
        ..VmInputs::default()
    });
    let kernels = [KernelKind::Ipxe, KernelKind::Memdisk, KernelKind::Memtest].map(kernel);
    let inputs = disks.into_iter().chain(kernels);
    inputs.map(|inputs| (inputs, VmOverrides::default())).collect()
}
