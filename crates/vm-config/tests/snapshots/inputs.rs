//! Disks, kernels and overrides.

use expect_test::expect;
use qemuweb_vm_config::{
    BootDevice, BootFrom, DiskFormat, DiskInput, DiskInterface, Firmware, InputSource, KernelKind, Media,
    System, VmInputs, VmOverrides,
};

use crate::check;

fn url(name: &str) -> InputSource {
    InputSource::Url(format!("https://example.org/{name}"))
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
            -cpu max,-la57
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
            -device virtserialport,bus=vserial0.0,chardev=agent0,id=agent0,name=org.qemuweb.agent.0
            -chardev ring,id=capture0,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture0,id=capture0,name=org.qemuweb.capture.0
            -chardev ring,id=capture1,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture1,id=capture1,name=org.qemuweb.capture.1
            -drive if=none,id=disk0,file=ring:disk0,format=qcow2,discard=unmap
            -device virtio-blk-pci,drive=disk0
            -object rng-builtin,id=rng0
            -device virtio-rng-pci,rng=rng0
            -device virtio-balloon-pci,id=balloon0
            serve disk0 debian.QCOW2 (Changes)
        "#]],
    );
}

#[test]
fn a_system_that_is_none_of_ours_has_a_whole_pc() {
    let floppy = DiskInput {
        media: Some(Media::Floppy),
        ..DiskInput::new(url("freedos.img"))
    };
    let other = DiskInput {
        system: Some(System::Other),
        ..DiskInput::new(url("dos.img"))
    };
    let inputs = VmInputs {
        disk: Some(floppy),
        additional_disks: vec![other],
        ..VmInputs::default()
    };
    let none = VmOverrides::default();
    check(
        "minimal-x86_64",
        &inputs,
        &none,
        &expect![[r#"
            -L /pc-bios
            -nodefaults
            -no-user-config
            -display none
            -machine pc,graphics=off
            -cpu max,-la57
            -smp 1
            -accel tcg,tb-size=32
            -m 128M
            -boot order=acd
            -chardev ring,id=serial0
            -serial chardev:serial0
            -chardev ring,id=qmp0
            -mon chardev=qmp0,mode=control
            -device virtio-serial-pci,id=vserial0
            -chardev ring,id=agent0
            -device virtserialport,bus=vserial0.0,chardev=agent0,id=agent0,name=org.qemuweb.agent.0
            -chardev ring,id=capture0,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture0,id=capture0,name=org.qemuweb.capture.0
            -chardev ring,id=capture1,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture1,id=capture1,name=org.qemuweb.capture.1
            -drive if=none,id=disk0,file=ring:disk0,format=raw,discard=unmap
            -device ide-hd,bus=ide.0,unit=0,drive=disk0
            -drive if=floppy,index=0,file=ring:floppy0,format=raw
            -object rng-builtin,id=rng0
            -device virtio-rng-pci,rng=rng0
            -device virtio-balloon-pci,id=balloon0
            -parallel null
            -device VGA
            serve disk0 dos.img (Changes)
            serve floppy0 freedos.img (Changes)
            warning: what starts expects a PC as they were: the machine is one (pc, with IDE disks), whatever the profile says
        "#]],
    );
    let inputs = VmInputs {
        kernel: Some(url("ipxe.lkrn")),
        initrd: Some(url("script.ipxe")),
        kernel_kind: Some(KernelKind::Ipxe),
        ..VmInputs::default()
    };
    check(
        "linux-x86_64-pc-nographic",
        &inputs,
        &none,
        &expect![[r#"
            -L /pc-bios
            -nodefaults
            -no-user-config
            -display none
            -machine pc,graphics=off
            -cpu max,-la57
            -smp 1
            -accel tcg,tb-size=64
            -m 512M
            -kernel /vm/kernel
            -initrd /vm/initrd
            -append ''
            -chardev ring,id=serial0
            -serial chardev:serial0
            -chardev ring,id=qmp0
            -mon chardev=qmp0,mode=control
            -device virtio-serial-pci,id=vserial0
            -chardev ring,id=agent0
            -device virtserialport,bus=vserial0.0,chardev=agent0,id=agent0,name=org.qemuweb.agent.0
            -chardev ring,id=capture0,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture0,id=capture0,name=org.qemuweb.capture.0
            -chardev ring,id=capture1,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture1,id=capture1,name=org.qemuweb.capture.1
            -object rng-builtin,id=rng0
            -device virtio-rng-pci,rng=rng0
            -device virtio-balloon-pci,id=balloon0
            -parallel null
            -device VGA
            mount /vm/kernel
            mount /vm/initrd
            warning: what starts expects a PC as they were: the machine is one (pc, with IDE disks), whatever the profile says
        "#]],
    );
}

#[test]
fn a_disk_that_only_uefi_starts() {
    let inputs = VmInputs {
        disk: Some(DiskInput {
            system: Some(System::Linux),
            firmware: Some(Firmware::Uefi),
            snapshot: Some("before, the update".into()),
            ..DiskInput::new(url("debian.qcow2"))
        }),
        ..VmInputs::default()
    };
    for profile in ["linux-x86_64-pc-nographic", "linux-aarch64-virt-nographic"] {
        let text = crate::show(profile, &inputs, &VmOverrides::default());
        assert!(
            text.contains("-drive if=pflash,unit=0,file=/vm/flash0."),
            "{text}"
        );
        assert!(text.contains("load-snapshot=before,, the update"), "{text}");
        assert!(!text.contains("-kernel") && !text.contains("error:"), "{text}");
    }
    // Without flash it is but attached; asked for, that is an error.
    let text = crate::show("microvm-x86_64", &inputs, &VmOverrides::default());
    assert!(
        text.contains("warning: machine microvm") && !text.contains("error:"),
        "{text}"
    );
    let overrides = VmOverrides {
        firmware: Some(Firmware::Uefi),
        ..VmOverrides::default()
    };
    let text = crate::show("microvm-x86_64", &inputs, &overrides);
    assert!(
        text.contains("error: overrides.firmware: expected bios"),
        "{text}"
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
            -device virtserialport,bus=vserial0.0,chardev=agent0,id=agent0,name=org.qemuweb.agent.0
            -chardev ring,id=capture0,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture0,id=capture0,name=org.qemuweb.capture.0
            -chardev ring,id=capture1,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture1,id=capture1,name=org.qemuweb.capture.1
            -drive if=none,id=disk0,file=ring:disk0,format=qcow2,discard=unmap
            -device virtio-blk-pci,drive=disk0
            -object rng-builtin,id=rng0
            -device virtio-rng-pci,rng=rng0
            -device virtio-balloon-pci,id=balloon0
            mount /vm/kernel
            serve disk0 debian.qcow2 (Changes)
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
            -device virtserialport,bus=vserial0.0,chardev=agent0,id=agent0,name=org.qemuweb.agent.0
            -chardev ring,id=capture0,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture0,id=capture0,name=org.qemuweb.capture.0
            -chardev ring,id=capture1,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture1,id=capture1,name=org.qemuweb.capture.1
            -drive if=none,id=disk0,file=ring:disk0,format=qcow2,discard=unmap
            -device virtio-blk-pci,drive=disk0
            -drive if=none,id=home,file=ring:home,format=raw,discard=unmap
            -device virtio-blk-pci,drive=home,serial=home
            -object rng-builtin,id=rng0
            -device virtio-rng-pci,rng=rng0
            -device virtio-balloon-pci,id=balloon0
            mount /vm/kernel
            mount /vm/initrd
            serve disk0 debian.qcow2 (Changes)
            serve home home.sparse.gz (Copy)
            warning: machine virt does not boot disks: the profile's kernel starts, with the disk attached
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
            -machine microvm,acpi=off
            -cpu max,-la57
            -smp 1
            -accel tcg,tb-size=32
            -m 128M
            -chardev ring,id=serial0
            -serial chardev:serial0
            -chardev ring,id=qmp0
            -mon chardev=qmp0,mode=control
            -device virtio-serial-device,id=vserial0
            -chardev ring,id=agent0
            -device virtserialport,bus=vserial0.0,chardev=agent0,id=agent0,name=org.qemuweb.agent.0
            -chardev ring,id=capture0,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture0,id=capture0,name=org.qemuweb.capture.0
            -chardev ring,id=capture1,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture1,id=capture1,name=org.qemuweb.capture.1
            -drive if=none,id=disk0,file=ring:disk0,format=qcow2,discard=unmap
            -device virtio-blk-device,drive=disk0
            -object rng-builtin,id=rng0
            -device virtio-rng-device,rng=rng0
            serve disk0 debian.qcow2 (Changes)
            error: overrides.bootFrom: expected kernel (machine "microvm,acpi=off" does not boot disks), found "disk"
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
            -machine q35,graphics=off
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
            -device virtserialport,bus=vserial0.0,chardev=agent0,id=agent0,name=org.qemuweb.agent.0
            -chardev ring,id=capture0,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture0,id=capture0,name=org.qemuweb.capture.0
            -chardev ring,id=capture1,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture1,id=capture1,name=org.qemuweb.capture.1
            -object rng-builtin,id=rng0
            -device virtio-rng-pci,rng=rng0
            -device virtio-balloon-pci,id=balloon0
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
            -machine q35,smbus=off,usb=off,hpet=off,vmport=off,smm=off,i8042=off
            -cpu max,-la57
            -smp 1
            -accel tcg,tb-size=64
            -m 512M
            -bios qboot.rom
            -kernel /vm/kernel
            -initrd /vm/initrd
            -append console=ttyS0 quiet noreplace-smp no_timer_check tsc=reliable lapic_timer_khz=1000000 tsc_early_khz=1000000
            -chardev ring,id=serial0
            -serial chardev:serial0
            -chardev ring,id=qmp0
            -mon chardev=qmp0,mode=control
            -device virtio-serial-pci,id=vserial0
            -chardev ring,id=agent0
            -device virtserialport,bus=vserial0.0,chardev=agent0,id=agent0,name=org.qemuweb.agent.0
            -chardev ring,id=capture0,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture0,id=capture0,name=org.qemuweb.capture.0
            -chardev ring,id=capture1,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture1,id=capture1,name=org.qemuweb.capture.1
            -device virtio-scsi-pci,id=scsi0
            -drive if=none,id=disk0,file=ring:disk0,format=raw,readonly=on
            -device virtio-blk-pci,drive=disk0
            -drive if=none,id=disk1,file=ring:disk1,format=qcow2,snapshot=on
            -device ide-hd,bus=ide.0,unit=0,drive=disk1
            -drive if=none,id=disk2,file=ring:disk2,format=qcow2,discard=unmap
            -device scsi-hd,bus=scsi0.0,drive=disk2
            -drive if=none,id=disk3,file=ring:disk3,format=qcow2,discard=unmap
            -device ide-hd,bus=ide.1,unit=0,drive=disk3
            -drive if=none,id=disk4,file=ring:disk4,format=raw,readonly=on
            -device scsi-hd,bus=scsi0.0,drive=disk4
            -drive if=none,id=home,file=ring:home,format=raw,discard=unmap
            -device virtio-blk-pci,drive=home,serial=home
            -object rng-builtin,id=rng0
            -device virtio-rng-pci,rng=rng0
            -device virtio-balloon-pci,id=balloon0
            mount /vm/kernel
            mount /vm/initrd
            serve disk0 a.img (Nothing)
            serve disk1 b.qcow2 (Nothing)
            serve disk2 c.qcow2 (Changes)
            serve disk3 d (Changes)
            serve disk4 e (Nothing)
            serve home home.sparse.gz (Copy)
            warning: disk 1: IDE has no read-only disks; the guest's writes are accepted and dropped at the end
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
            -machine microvm,acpi=off
            -cpu max,-la57
            -smp 1
            -accel tcg,tb-size=32
            -m 128M
            -kernel /vm/kernel
            -initrd /vm/initrd
            -append console=ttyS0 quiet noreplace-smp no_timer_check tsc=reliable lapic_timer_khz=1000000 tsc_early_khz=1000000
            -chardev ring,id=serial0
            -serial chardev:serial0
            -chardev ring,id=qmp0
            -mon chardev=qmp0,mode=control
            -device virtio-serial-device,id=vserial0
            -chardev ring,id=agent0
            -device virtserialport,bus=vserial0.0,chardev=agent0,id=agent0,name=org.qemuweb.agent.0
            -chardev ring,id=capture0,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture0,id=capture0,name=org.qemuweb.capture.0
            -chardev ring,id=capture1,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture1,id=capture1,name=org.qemuweb.capture.1
            -device virtio-scsi-device,id=scsi0
            -drive if=none,id=disk0,file=ring:disk0,format=raw,readonly=on
            -device virtio-blk-device,drive=disk0
            -drive if=none,id=disk1,file=ring:disk1,format=qcow2,readonly=on
            -device virtio-blk-device,drive=disk1
            -drive if=none,id=disk2,file=ring:disk2,format=qcow2,discard=unmap
            -device scsi-hd,bus=scsi0.0,drive=disk2
            -drive if=none,id=disk3,file=ring:disk3,format=qcow2,discard=unmap
            -device virtio-blk-device,drive=disk3
            -drive if=none,id=disk4,file=ring:disk4,format=raw,readonly=on
            -device scsi-hd,bus=scsi0.0,drive=disk4
            -drive if=none,id=home,file=ring:home,format=raw,discard=unmap
            -device virtio-blk-device,drive=home,serial=home
            -object rng-builtin,id=rng0
            -device virtio-rng-device,rng=rng0
            mount /vm/kernel
            mount /vm/initrd
            serve disk0 a.img (Nothing)
            serve disk1 b.qcow2 (Nothing)
            serve disk2 c.qcow2 (Changes)
            serve disk3 d (Changes)
            serve disk4 e (Nothing)
            serve home home.sparse.gz (Copy)
            warning: disk 1: machine microvm,acpi=off has no IDE controller; the disk is attached as virtio-blk
            warning: disk 3: machine microvm,acpi=off has no IDE controller; the disk is attached as virtio-blk
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
            -machine q35,smbus=off,usb=off,hpet=off,vmport=off,smm=off,sata=off,i8042=off
            -cpu max,-la57
            -smp 99
            -accel tcg,tb-size=256
            -m 8192M
            -bios qboot.rom
            -kernel /vm/kernel
            -initrd /vm/initrd
            -append console=ttyS0 quiet noreplace-smp no_timer_check tsc=reliable lapic_timer_khz=1000000 tsc_early_khz=1000000
            -chardev ring,id=serial0
            -serial chardev:serial0
            -chardev ring,id=qmp0
            -mon chardev=qmp0,mode=control
            -device virtio-serial-pci,id=vserial0
            -chardev ring,id=agent0
            -device virtserialport,bus=vserial0.0,chardev=agent0,id=agent0,name=org.qemuweb.agent.0
            -chardev ring,id=capture0,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture0,id=capture0,name=org.qemuweb.capture.0
            -chardev ring,id=capture1,discard=on
            -device virtserialport,bus=vserial0.0,chardev=capture1,id=capture1,name=org.qemuweb.capture.1
            -drive if=none,id=home,file=ring:home,format=raw,discard=unmap
            -device virtio-blk-pci,drive=home,serial=home
            -object rng-builtin,id=rng0
            -device virtio-rng-pci,rng=rng0
            -device virtio-balloon-pci,id=balloon0
            mount /vm/kernel
            mount /vm/initrd
            serve home home.sparse.gz (Copy)
            error: overrides.smp: expected 1 to 8 processors, found 99
            error: overrides.memoryMiB: the machine needs a heap of 8832 MiB (8192 for the guest, 256 for translated code, 384 for QEMU itself), but WebAssembly allows 4095; give the guest at most 3455 MiB
        "#]],
    );
}
