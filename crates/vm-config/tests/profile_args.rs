//! Snapshots: the arguments of every profile, as it comes and with each kind of input.
//!
//! `UPDATE_EXPECT=1 cargo test -p qemuweb-vm-config` writes them anew.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use qemuweb_vm_config::{
    BootDevice, BootFrom, DiskFormat, DiskInput, DiskInterface, InputSource, VmInputs, VmOverrides,
    build_qemu_args, find_profile,
};

/// Shows a result with an option and its value on one line.
fn show(profile: &str, inputs: &VmInputs, overrides: &VmOverrides) -> String {
    let profile = find_profile(profile).expect("a profile of ours");
    let result = build_qemu_args(&profile, inputs, Some(overrides));
    let mut text = String::new();
    for arg in &result.args {
        let separator = if arg.starts_with('-') { "\n" } else { " " };
        write!(text, "{separator}{arg}").expect("a string");
    }
    for file in &result.files_to_mount {
        write!(
            text,
            "\nmount {}{}",
            file.path,
            if file.readonly { "" } else { " (writable)" }
        )
        .expect("a string");
    }
    for warning in &result.warnings {
        write!(text, "\nwarning: {warning}").expect("a string");
    }
    for error in &result.errors {
        write!(text, "\nerror: {error}").expect("a string");
    }
    text.trim_start().to_owned() + "\n"
}

fn check(profile: &str, inputs: &VmInputs, overrides: &VmOverrides, expected: &Expect) {
    expected.assert_eq(&show(profile, inputs, overrides));
}

fn check_default(profile: &str, expected: &Expect) {
    check(profile, &VmInputs::default(), &VmOverrides::default(), expected);
}

fn url(name: &str) -> InputSource {
    InputSource::Url(format!("https://example.org/{name}"))
}

#[test]
fn minimal_x86_64() {
    check_default(
        "minimal-x86_64",
        &expect![[r#"
        -L /pc-bios
        -nodefaults
        -no-user-config
        -display none
        -machine q35
        -cpu qemu64
        -smp 1
        -accel tcg,tb-size=32
        -m 128M
        -kernel /vm/kernel
        -initrd /vm/initrd
        -append console=ttyS0 quiet
        -chardev ring,id=serial0
        -serial chardev:serial0
        -chardev ring,id=qmp0
        -mon chardev=qmp0,mode=control
        -device virtio-serial-pci,id=vserial0
        -chardev ring,id=agent0
        -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
        -object rng-builtin,id=rng0
        -device virtio-rng-pci,rng=rng0
        mount /vm/kernel
        mount /vm/initrd
    "#]],
    );
}

#[test]
fn linux_x86_64_pc_nographic() {
    check_default(
        "linux-x86_64-pc-nographic",
        &expect![[r#"
        -L /pc-bios
        -nodefaults
        -no-user-config
        -display none
        -machine q35
        -cpu qemu64
        -smp 1
        -accel tcg,tb-size=64
        -m 512M
        -kernel /vm/kernel
        -initrd /vm/initrd
        -append console=ttyS0 quiet
        -chardev ring,id=serial0
        -serial chardev:serial0
        -chardev ring,id=qmp0
        -mon chardev=qmp0,mode=control
        -device virtio-serial-pci,id=vserial0
        -chardev ring,id=agent0
        -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
        -object rng-builtin,id=rng0
        -device virtio-rng-pci,rng=rng0
        mount /vm/kernel
        mount /vm/initrd
    "#]],
    );
}

#[test]
fn linux_x86_64_pc_graphics() {
    check_default(
        "linux-x86_64-pc-graphics",
        &expect![[r#"
        -L /pc-bios
        -nodefaults
        -no-user-config
        -display none
        -machine q35
        -cpu qemu64
        -smp 1
        -accel tcg,tb-size=64
        -m 512M
        -kernel /vm/kernel
        -initrd /vm/initrd
        -append console=ttyS0 quiet
        -chardev ring,id=serial0
        -serial chardev:serial0
        -chardev ring,id=qmp0
        -mon chardev=qmp0,mode=control
        -device virtio-serial-pci,id=vserial0
        -chardev ring,id=agent0
        -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
        -object rng-builtin,id=rng0
        -device virtio-rng-pci,rng=rng0
        -device VGA
        -device qemu-xhci,id=usb0
        -device usb-tablet,bus=usb0.0
        mount /vm/kernel
        mount /vm/initrd
    "#]],
    );
}

#[test]
fn linux_aarch64_virt_nographic() {
    check_default(
        "linux-aarch64-virt-nographic",
        &expect![[r#"
        -L /pc-bios
        -nodefaults
        -no-user-config
        -display none
        -machine virt
        -cpu cortex-a57
        -smp 1
        -accel tcg,tb-size=64
        -m 512M
        -kernel /vm/kernel
        -initrd /vm/initrd
        -append console=ttyAMA0 quiet
        -chardev ring,id=serial0
        -serial chardev:serial0
        -chardev ring,id=qmp0
        -mon chardev=qmp0,mode=control
        -device virtio-serial-pci,id=vserial0
        -chardev ring,id=agent0
        -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
        -object rng-builtin,id=rng0
        -device virtio-rng-pci,rng=rng0
        mount /vm/kernel
        mount /vm/initrd
    "#]],
    );
}

#[test]
fn linux_aarch64_virt_graphics() {
    check_default(
        "linux-aarch64-virt-graphics",
        &expect![[r#"
        -L /pc-bios
        -nodefaults
        -no-user-config
        -display none
        -machine virt
        -cpu cortex-a57
        -smp 1
        -accel tcg,tb-size=64
        -m 512M
        -kernel /vm/kernel
        -initrd /vm/initrd
        -append console=ttyAMA0 quiet
        -chardev ring,id=serial0
        -serial chardev:serial0
        -chardev ring,id=qmp0
        -mon chardev=qmp0,mode=control
        -device virtio-serial-pci,id=vserial0
        -chardev ring,id=agent0
        -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
        -object rng-builtin,id=rng0
        -device virtio-rng-pci,rng=rng0
        -device virtio-gpu-pci
        -device qemu-xhci,id=usb0
        -device usb-kbd,bus=usb0.0
        -device usb-tablet,bus=usb0.0
        mount /vm/kernel
        mount /vm/initrd
    "#]],
    );
}

#[test]
fn microvm_x86_64() {
    check_default(
        "microvm-x86_64",
        &expect![[r#"
        -L /pc-bios
        -nodefaults
        -no-user-config
        -display none
        -machine microvm
        -cpu qemu64
        -smp 1
        -accel tcg,tb-size=32
        -m 128M
        -kernel /vm/kernel
        -initrd /vm/initrd
        -append console=ttyS0 quiet
        -chardev ring,id=serial0
        -serial chardev:serial0
        -chardev ring,id=qmp0
        -mon chardev=qmp0,mode=control
        -device virtio-serial-device,id=vserial0
        -chardev ring,id=agent0
        -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
        -object rng-builtin,id=rng0
        -device virtio-rng-device,rng=rng0
        mount /vm/kernel
        mount /vm/initrd
    "#]],
    );
}

#[test]
fn busybox_router() {
    check_default(
        "busybox-router",
        &expect![[r#"
        -L /pc-bios
        -nodefaults
        -no-user-config
        -display none
        -machine q35
        -cpu qemu64
        -smp 1
        -accel tcg,tb-size=32
        -m 128M
        -kernel /vm/kernel
        -initrd /vm/initrd
        -append console=ttyS0 quiet
        -chardev ring,id=serial0
        -serial chardev:serial0
        -chardev ring,id=qmp0
        -mon chardev=qmp0,mode=control
        -device virtio-serial-pci,id=vserial0
        -chardev ring,id=agent0
        -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
        -object rng-builtin,id=rng0
        -device virtio-rng-pci,rng=rng0
        mount /vm/kernel
        mount /vm/initrd
        warning: net: user-mode networking is not part of this build of QEMU; the machine starts without a network
    "#]],
    );
}

#[test]
fn hashicorp_vault() {
    check_default(
        "hashicorp-vault",
        &expect![[r#"
        -L /pc-bios
        -nodefaults
        -no-user-config
        -display none
        -machine q35
        -cpu qemu64
        -smp 1
        -accel tcg,tb-size=128
        -m 1024M
        -chardev ring,id=serial0
        -serial chardev:serial0
        -chardev ring,id=qmp0
        -mon chardev=qmp0,mode=control
        -device virtio-serial-pci,id=vserial0
        -chardev ring,id=agent0
        -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
        -object rng-builtin,id=rng0
        -device virtio-rng-pci,rng=rng0
        warning: net: user-mode networking is not part of this build of QEMU; the machine starts without a network
        error: profile hashicorp-vault has nothing to boot: Supply a bootable x86-64 disk image (raw or qcow2) with HashiCorp Vault installed: QemuWeb ships none.
    "#]],
    );
}

#[test]
fn alpine_linux() {
    check_default(
        "alpine-linux",
        &expect![[r#"
        -L /pc-bios
        -nodefaults
        -no-user-config
        -display none
        -machine q35
        -cpu qemu64
        -smp 1
        -accel tcg,tb-size=32
        -m 256M
        -chardev ring,id=serial0
        -serial chardev:serial0
        -chardev ring,id=qmp0
        -mon chardev=qmp0,mode=control
        -device virtio-serial-pci,id=vserial0
        -chardev ring,id=agent0
        -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
        -object rng-builtin,id=rng0
        -device virtio-rng-pci,rng=rng0
        warning: net: user-mode networking is not part of this build of QEMU; the machine starts without a network
        error: profile alpine-linux has nothing to boot: Supply an Alpine Linux disk image for x86-64 (raw or qcow2), or Alpine's vmlinuz-virt as kernel and initramfs-virt as initrd: QemuWeb ships none.
    "#]],
    );
}

#[test]
fn a_disk_of_ones_own_boots_on_a_pc() {
    let inputs = VmInputs {
        disk: Some(DiskInput::new(url("debian.QCOW2?x=1"))),
        ..VmInputs::default()
    };
    let overrides = VmOverrides {
        boot_order: vec![BootDevice::Cdrom, BootDevice::Disk],
        ..VmOverrides::default()
    };
    check(
        "linux-x86_64-pc-nographic",
        &inputs,
        &overrides,
        &expect![[r#"
        -L /pc-bios
        -nodefaults
        -no-user-config
        -display none
        -machine q35,graphics=off
        -cpu qemu64
        -smp 1
        -accel tcg,tb-size=64
        -m 512M
        -boot order=dc
        -chardev ring,id=serial0
        -serial chardev:serial0
        -chardev ring,id=qmp0
        -mon chardev=qmp0,mode=control
        -device virtio-serial-pci,id=vserial0
        -chardev ring,id=agent0
        -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
        -drive if=none,id=disk0,file=/vm/disk0.qcow2,format=qcow2,snapshot=on
        -device virtio-blk-pci,drive=disk0
        -object rng-builtin,id=rng0
        -device virtio-rng-pci,rng=rng0
        mount /vm/disk0.qcow2 (writable)
        warning: disk 0: what the guest writes lasts until the machine stops; the image itself is not changed
    "#]],
    );
}

#[test]
fn a_disk_as_root_file_system_of_the_built_in_kernel() {
    let inputs = VmInputs {
        disk: Some(DiskInput::new(url("debian.qcow2"))),
        ..VmInputs::default()
    };
    let overrides = VmOverrides {
        cmdline: Some("root=/dev/vda1 rw".into()),
        ..VmOverrides::default()
    };
    check(
        "linux-aarch64-virt-nographic",
        &inputs,
        &overrides,
        &expect![[r#"
            -L /pc-bios
            -nodefaults
            -no-user-config
            -display none
            -machine virt
            -cpu cortex-a57
            -smp 1
            -accel tcg,tb-size=64
            -m 512M
            -kernel /vm/kernel
            -append console=ttyAMA0 quiet root=/dev/vda1 rw
            -chardev ring,id=serial0
            -serial chardev:serial0
            -chardev ring,id=qmp0
            -mon chardev=qmp0,mode=control
            -device virtio-serial-pci,id=vserial0
            -chardev ring,id=agent0
            -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
            -drive if=none,id=disk0,file=/vm/disk0.qcow2,format=qcow2,snapshot=on
            -device virtio-blk-pci,drive=disk0
            -object rng-builtin,id=rng0
            -device virtio-rng-pci,rng=rng0
            mount /vm/kernel
            mount /vm/disk0.qcow2 (writable)
            warning: disk 0: what the guest writes lasts until the machine stops; the image itself is not changed
        "#]],
    );
}

#[test]
fn a_disk_on_a_machine_that_boots_none() {
    let inputs = VmInputs {
        disk: Some(DiskInput::new(url("debian.qcow2"))),
        ..VmInputs::default()
    };
    check(
        "linux-aarch64-virt-nographic",
        &inputs,
        &VmOverrides::default(),
        &expect![[r#"
            -L /pc-bios
            -nodefaults
            -no-user-config
            -display none
            -machine virt
            -cpu cortex-a57
            -smp 1
            -accel tcg,tb-size=64
            -m 512M
            -kernel /vm/kernel
            -initrd /vm/initrd
            -append console=ttyAMA0 quiet
            -chardev ring,id=serial0
            -serial chardev:serial0
            -chardev ring,id=qmp0
            -mon chardev=qmp0,mode=control
            -device virtio-serial-pci,id=vserial0
            -chardev ring,id=agent0
            -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
            -drive if=none,id=disk0,file=/vm/disk0.qcow2,format=qcow2,snapshot=on
            -device virtio-blk-pci,drive=disk0
            -object rng-builtin,id=rng0
            -device virtio-rng-pci,rng=rng0
            mount /vm/kernel
            mount /vm/initrd
            mount /vm/disk0.qcow2 (writable)
            warning: machine virt does not boot disks: the profile's kernel starts, with the disk attached
            warning: disk 0: what the guest writes lasts until the machine stops; the image itself is not changed
        "#]],
    );
    let overrides = VmOverrides {
        boot_from: Some(BootFrom::Disk),
        ..VmOverrides::default()
    };
    check(
        "microvm-x86_64",
        &inputs,
        &overrides,
        &expect![[r#"
            -L /pc-bios
            -nodefaults
            -no-user-config
            -display none
            -machine microvm
            -cpu qemu64
            -smp 1
            -accel tcg,tb-size=32
            -m 128M
            -chardev ring,id=serial0
            -serial chardev:serial0
            -chardev ring,id=qmp0
            -mon chardev=qmp0,mode=control
            -device virtio-serial-device,id=vserial0
            -chardev ring,id=agent0
            -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
            -drive if=none,id=disk0,file=/vm/disk0.qcow2,format=qcow2,snapshot=on
            -device virtio-blk-device,drive=disk0
            -object rng-builtin,id=rng0
            -device virtio-rng-device,rng=rng0
            mount /vm/disk0.qcow2 (writable)
            warning: disk 0: what the guest writes lasts until the machine stops; the image itself is not changed
            error: overrides.bootFrom: expected kernel (machine "microvm" does not boot disks), found "disk"
        "#]],
    );
}

#[test]
fn a_kernel_of_ones_own_and_every_override() {
    let inputs = VmInputs {
        kernel: Some(url("vmlinuz")),
        initrd: Some(url("initrd")),
        kernel_cmdline: Some("console=ttyS0,115200 a=\"b c\"".into()),
        ..VmInputs::default()
    };
    let overrides = VmOverrides {
        memory_mib: Some(2048),
        smp: Some(4),
        cpu: Some("max,-avx".into()),
        cmdline: Some("debug".into()),
        extra_args: Some("-device 'virtio-balloon-pci' -no-reboot".into()),
        ..VmOverrides::default()
    };
    check(
        "minimal-x86_64",
        &inputs,
        &overrides,
        &expect![[r#"
        -L /pc-bios
        -nodefaults
        -no-user-config
        -display none
        -machine q35
        -cpu max,-avx
        -smp 4
        -accel tcg,tb-size=256
        -m 2048M
        -kernel /vm/kernel
        -initrd /vm/initrd
        -append console=ttyS0,115200 a="b c" debug
        -chardev ring,id=serial0
        -serial chardev:serial0
        -chardev ring,id=qmp0
        -mon chardev=qmp0,mode=control
        -device virtio-serial-pci,id=vserial0
        -chardev ring,id=agent0
        -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
        -object rng-builtin,id=rng0
        -device virtio-rng-pci,rng=rng0
        -device virtio-balloon-pci
        -no-reboot
        mount /vm/kernel
        mount /vm/initrd
    "#]],
    );
}

#[test]
fn disks_of_every_kind() {
    let disk = |name: &str, interface, readonly| DiskInput {
        readonly,
        interface: Some(interface),
        ..DiskInput::new(url(name))
    };
    let inputs = VmInputs {
        additional_disks: vec![
            disk("a.img", DiskInterface::VirtioBlk, true),
            disk("b.qcow2", DiskInterface::Ide, true),
            disk("c.qcow2", DiskInterface::Scsi, false),
            DiskInput {
                format: Some(DiskFormat::Qcow2),
                ..disk("d", DiskInterface::Ide, false)
            },
            disk("e", DiskInterface::Scsi, true),
        ],
        ..VmInputs::default()
    };
    check(
        "linux-x86_64-pc-nographic",
        &inputs,
        &VmOverrides::default(),
        &expect![[r#"
            -L /pc-bios
            -nodefaults
            -no-user-config
            -display none
            -machine q35
            -cpu qemu64
            -smp 1
            -accel tcg,tb-size=64
            -m 512M
            -kernel /vm/kernel
            -initrd /vm/initrd
            -append console=ttyS0 quiet
            -chardev ring,id=serial0
            -serial chardev:serial0
            -chardev ring,id=qmp0
            -mon chardev=qmp0,mode=control
            -device virtio-serial-pci,id=vserial0
            -chardev ring,id=agent0
            -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
            -device virtio-scsi-pci,id=scsi0
            -drive if=none,id=disk0,file=/vm/disk0.raw,format=raw,readonly=on
            -device virtio-blk-pci,drive=disk0
            -drive if=none,id=disk1,file=/vm/disk1.qcow2,format=qcow2,snapshot=on
            -device ide-hd,bus=ide.0,unit=0,drive=disk1
            -drive if=none,id=disk2,file=/vm/disk2.qcow2,format=qcow2,snapshot=on
            -device scsi-hd,bus=scsi0.0,drive=disk2
            -drive if=none,id=disk3,file=/vm/disk3.qcow2,format=qcow2,snapshot=on
            -device ide-hd,bus=ide.1,unit=0,drive=disk3
            -drive if=none,id=disk4,file=/vm/disk4.raw,format=raw,readonly=on
            -device scsi-hd,bus=scsi0.0,drive=disk4
            -object rng-builtin,id=rng0
            -device virtio-rng-pci,rng=rng0
            mount /vm/kernel
            mount /vm/initrd
            mount /vm/disk0.raw
            mount /vm/disk1.qcow2
            mount /vm/disk2.qcow2 (writable)
            mount /vm/disk3.qcow2 (writable)
            mount /vm/disk4.raw
            warning: disk 1: IDE has no read-only disks; the guest's writes are accepted and dropped at the end
            warning: disk 2: what the guest writes lasts until the machine stops; the image itself is not changed
            warning: disk 3: what the guest writes lasts until the machine stops; the image itself is not changed
        "#]],
    );
    check(
        "microvm-x86_64",
        &inputs,
        &VmOverrides::default(),
        &expect![[r#"
        -L /pc-bios
        -nodefaults
        -no-user-config
        -display none
        -machine microvm
        -cpu qemu64
        -smp 1
        -accel tcg,tb-size=32
        -m 128M
        -kernel /vm/kernel
        -initrd /vm/initrd
        -append console=ttyS0 quiet
        -chardev ring,id=serial0
        -serial chardev:serial0
        -chardev ring,id=qmp0
        -mon chardev=qmp0,mode=control
        -device virtio-serial-device,id=vserial0
        -chardev ring,id=agent0
        -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
        -device virtio-scsi-device,id=scsi0
        -drive if=none,id=disk0,file=/vm/disk0.raw,format=raw,readonly=on
        -device virtio-blk-device,drive=disk0
        -drive if=none,id=disk1,file=/vm/disk1.qcow2,format=qcow2,readonly=on
        -device virtio-blk-device,drive=disk1
        -drive if=none,id=disk2,file=/vm/disk2.qcow2,format=qcow2,snapshot=on
        -device scsi-hd,bus=scsi0.0,drive=disk2
        -drive if=none,id=disk3,file=/vm/disk3.qcow2,format=qcow2,snapshot=on
        -device virtio-blk-device,drive=disk3
        -drive if=none,id=disk4,file=/vm/disk4.raw,format=raw,readonly=on
        -device scsi-hd,bus=scsi0.0,drive=disk4
        -object rng-builtin,id=rng0
        -device virtio-rng-device,rng=rng0
        mount /vm/kernel
        mount /vm/initrd
        mount /vm/disk0.raw
        mount /vm/disk1.qcow2
        mount /vm/disk2.qcow2 (writable)
        mount /vm/disk3.qcow2 (writable)
        mount /vm/disk4.raw
        warning: disk 1: machine microvm has no IDE controller; the disk is attached as virtio-blk
        warning: disk 3: machine microvm has no IDE controller; the disk is attached as virtio-blk
        warning: disk 2: what the guest writes lasts until the machine stops; the image itself is not changed
        warning: disk 3: what the guest writes lasts until the machine stops; the image itself is not changed
    "#]],
    );
}

#[test]
fn what_does_not_fit() {
    let overrides = VmOverrides {
        memory_mib: Some(8192),
        smp: Some(99),
        ..VmOverrides::default()
    };
    check(
        "minimal-x86_64",
        &VmInputs::default(),
        &overrides,
        &expect![[r#"
        -L /pc-bios
        -nodefaults
        -no-user-config
        -display none
        -machine q35
        -cpu qemu64
        -smp 99
        -accel tcg,tb-size=256
        -m 8192M
        -kernel /vm/kernel
        -initrd /vm/initrd
        -append console=ttyS0 quiet
        -chardev ring,id=serial0
        -serial chardev:serial0
        -chardev ring,id=qmp0
        -mon chardev=qmp0,mode=control
        -device virtio-serial-pci,id=vserial0
        -chardev ring,id=agent0
        -device virtserialport,bus=vserial0.0,chardev=agent0,name=org.qemuweb.agent.0
        -object rng-builtin,id=rng0
        -device virtio-rng-pci,rng=rng0
        mount /vm/kernel
        mount /vm/initrd
        error: smp: expected 1 to 8 processors, found 99
        error: memoryMiB: the machine needs a heap of 8576 MiB (8192 for the guest, 256 for translated code, 128 for QEMU itself), but WebAssembly allows 4096; give the guest at most 3712 MiB
    "#]],
    );
}
