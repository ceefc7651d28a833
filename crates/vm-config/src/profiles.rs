//! The profiles that come with QemuWeb.
//!
//! Each boots the built-in guest of its architecture when the user names nothing, except those that say in
//! their help text which image they need.

use crate::builder::whole_pc;
use crate::inputs::{InputSource, VmInputs};
use crate::types::{Arch, DiskInterface, NetMode, SerialMode, VmDeviceConfig, VmProfile};

/// The id of the profile that starts when none is named.
pub const DEFAULT_PROFILE_ID: &str = "minimal-x86_64";

/// The id of the profile for systems that are none of ours.
pub const WHOLE_PC_PROFILE_ID: &str = "pc-x86_64";

/// The processor of a PC: all that TCG has, which is what distributions compile for up to x86-64-v3, and costs no speed
/// (`docs/engine.md`). Without page tables of five levels, which only take longer to walk. Names like `Haswell` bring what TCG
/// lacks, and warnings of it; `qemu64` with AVX hangs Linux 6.12 before its console is there.
const PC_CPU: &str = "max,-la57";

/// The profiles for general use: the seed's five, `pc-x86_64`, `microvm-x86_64`, and one for Debian's disk of each
/// architecture.
pub fn default_profiles() -> Vec<VmProfile> {
    vec![
        VmProfile {
            id: DEFAULT_PROFILE_ID.into(),
            name: "Minimal x86-64".into(),
            description: "A small PC with the built-in Linux: a sandbox shell in the least memory.".into(),
            memory_mib: 128,
            ..pc()
        },
        VmProfile {
            id: "linux-x86_64-pc-nographic".into(),
            name: "Linux PC (x86-64), console".into(),
            description: "A PC with a serial console. Boots the built-in Linux, your kernel, or your disk."
                .into(),
            ..pc()
        },
        with_graphics(VmProfile {
            id: "linux-x86_64-pc-graphics".into(),
            name: "Linux PC (x86-64), graphics".into(),
            description: "A PC with a VGA adapter, USB, and a serial console.".into(),
            ..pc()
        }),
        whole_pc(&VmProfile {
            id: WHOLE_PC_PROFILE_ID.into(),
            name: "PC (x86-64) for other systems".into(),
            description: "A PC as they were, with all its parts: floppies, IDE disks, VGA text, PS/2, timers, serial and \
                          parallel ports. For disks, CDs and floppies that bring a system of their own."
                .into(),
            memory_mib: 256,
            kernel_help_text: Some(
                "Supply a disk, CD or floppy image to start, or a kernel that a PC's BIOS serves: memtest86+, iPXE, memdisk, \
                 one for Multiboot."
                    .into(),
            ),
            default_inputs: VmInputs::default(),
            ..pc()
        }),
        VmProfile {
            id: "linux-aarch64-virt-nographic".into(),
            name: "Linux on Arm (aarch64), console".into(),
            description:
                "A 64-bit Arm machine with a serial console. Boots the built-in Linux or your kernel.".into(),
            ..virt()
        },
        with_graphics(VmProfile {
            id: "linux-aarch64-virt-graphics".into(),
            name: "Linux on Arm (aarch64), graphics".into(),
            description: "A 64-bit Arm machine with a virtio GPU, USB, and a serial console.".into(),
            ..virt()
        }),
        VmProfile {
            id: "microvm-x86_64".into(),
            name: "microVM (x86-64)".into(),
            description:
                "A machine without PCI and with next to no devices, for the fastest start. It cannot switch \
                          itself off."
                    .into(),
            // With ACPI, the machine has no timer that a kernel without kvmclock could calibrate its clock by.
            machine: "microvm,acpi=off".into(),
            memory_mib: 128,
            requires_kernel: true,
            kernel_help_text: Some(
                "A microVM has no firmware that boots disks. Supply a kernel with virtio-mmio built in \
                 (an uncompressed vmlinux with PVH, or a bzImage), or none to start the built-in one."
                    .into(),
            ),
            ..pc()
        },
        debian_disk(
            VmProfile {
                id: "debian-x86_64-disk".into(),
                name: "Debian disk (x86-64)".into(),
                ..pc()
            },
            PC_CMDLINE,
        ),
        debian_disk(
            VmProfile {
                id: "debian-aarch64-disk".into(),
                name: "Debian disk (aarch64)".into(),
                ..virt()
            },
            VIRT_CMDLINE,
        ),
    ]
}

/// What has systemd wait for the devices and services of an emulated machine, instead of giving up after 90 seconds.
const PATIENT_SYSTEMD: &str = "systemd.default_device_timeout_sec=900 systemd.default_timeout_start_sec=900";

/// The built-in kernel with the root file system of a disk image.
fn debian_disk(profile: VmProfile, cmdline: &str) -> VmProfile {
    let arch = profile.arch;
    VmProfile {
        description:
            "Debian with systemd, from a disk image of yours without a partition table, started by the \
                      built-in kernel."
                .into(),
        requires_kernel: true,
        kernel_help_text: Some(format!(
            "Supply the disk image of a root file system (raw or qcow2): qemu-wasm/guest/build-disk.sh {arch} makes \
             debian-{arch}.qcow2."
        )),
        default_inputs: VmInputs {
            initrd: None,
            kernel_cmdline: Some(format!("{cmdline} root=/dev/vda rw {PATIENT_SYSTEMD}")),
            ..profile.default_inputs
        },
        ..profile
    }
}

/// The profiles of machines that serve other machines.
pub fn infrastructure_profiles() -> Vec<VmProfile> {
    vec![
        VmProfile {
            id: "busybox-router".into(),
            name: "BusyBox router".into(),
            description:
                "A small router for virtual networks (routing, NAT, DHCP), run by the built-in Linux.".into(),
            memory_mib: 128,
            devices: VmDeviceConfig {
                net: NetMode::User,
                ..console_devices()
            },
            ..pc()
        },
        VmProfile {
            id: "hashicorp-vault".into(),
            name: "HashiCorp Vault".into(),
            description: "A machine for a secrets server.".into(),
            memory_mib: 1024,
            kernel_help_text: Some(
                "Supply a bootable x86-64 disk image with HashiCorp Vault installed: QemuWeb \
                 ships none."
                    .into(),
            ),
            devices: VmDeviceConfig {
                net: NetMode::User,
                ..console_devices()
            },
            default_inputs: VmInputs::default(),
            ..pc()
        },
        VmProfile {
            id: "alpine-linux".into(),
            name: "Alpine Linux".into(),
            description: "A light base for images of your own.".into(),
            memory_mib: 256,
            kernel_help_text: Some(
                "Supply an Alpine Linux disk image for x86-64, or Alpine's vmlinuz-virt as kernel \
                 and initramfs-virt as initrd: QemuWeb ships none."
                    .into(),
            ),
            devices: VmDeviceConfig {
                net: NetMode::User,
                ..console_devices()
            },
            default_inputs: VmInputs::default(),
            ..pc()
        },
    ]
}

/// The profile of this id, among all that come with QemuWeb.
pub fn find_profile(id: &str) -> Option<VmProfile> {
    default_profiles()
        .into_iter()
        .chain(infrastructure_profiles())
        .find(|profile| profile.id == id)
}

/// Arguments of the built-in kernel: it neither doubts nor measures the clocks of an emulated processor, which count
/// nanoseconds (`qemu-wasm/guest/kernel/patches`), and does not rewrite itself for a single one.
const PC_CMDLINE: &str = "console=ttyS0 quiet noreplace-smp no_timer_check tsc=reliable lapic_timer_khz=1000000 \
                          tsc_early_khz=1000000";

/// A PC with a serial console.
fn pc() -> VmProfile {
    VmProfile {
        id: String::new(),
        name: String::new(),
        description: String::new(),
        arch: Arch::X86_64,
        machine: "q35".into(),
        cpu: Some(PC_CPU.into()),
        memory_mib: 512,
        smp: 1,
        supports_graphics: false,
        default_args: vec![],
        requires_kernel: false,
        kernel_help_text: None,
        devices: console_devices(),
        block_size_bytes: None,
        max_memory_mib: None,
        default_inputs: built_in_guest(Arch::X86_64, "vmlinux.gz", PC_CMDLINE),
    }
}

/// Arguments of the built-in kernel on Arm, whose clocks tell their frequencies.
const VIRT_CMDLINE: &str = "console=ttyAMA0 quiet";

/// An Arm machine with a serial console.
fn virt() -> VmProfile {
    VmProfile {
        arch: Arch::Aarch64,
        machine: "virt".into(),
        cpu: Some("cortex-a57".into()),
        requires_kernel: true,
        kernel_help_text: Some(
            "This machine has no firmware that boots disks. Supply an arm64 kernel (an uncompressed Image, or \
             Image.gz), or none to start the built-in one."
                .into(),
        ),
        default_inputs: built_in_guest(Arch::Aarch64, "Image.gz", VIRT_CMDLINE),
        ..pc()
    }
}

/// Devices of a machine that is used through its serial console.
fn console_devices() -> VmDeviceConfig {
    VmDeviceConfig {
        disk_interface: DiskInterface::VirtioBlk,
        net: NetMode::None,
        rng: true,
        serial: SerialMode::TtyS0,
        usb: false,
        keyboard: false,
    }
}

/// The same machine with a graphics adapter, USB and a keyboard.
fn with_graphics(profile: VmProfile) -> VmProfile {
    VmProfile {
        supports_graphics: true,
        devices: VmDeviceConfig {
            usb: true,
            keyboard: true,
            ..profile.devices
        },
        ..profile
    }
}

/// The kernel and initial RAM disk in the extension's package.
fn built_in_guest(arch: Arch, kernel: &str, cmdline: &str) -> VmInputs {
    VmInputs {
        kernel: Some(InputSource::builtin(format!("{arch}/{kernel}"))),
        initrd: Some(InputSource::builtin(format!("{arch}/initramfs.cpio.gz"))),
        kernel_cmdline: Some(cmdline.to_owned()),
        ..VmInputs::default()
    }
}
