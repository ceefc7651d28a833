//! Each profile, started with nothing named.

use expect_test::{Expect, expect};
use qemuweb_vm_config::{VmInputs, VmOverrides};

use crate::check;

fn check_default(profile: &str, expected: &Expect) {
    check(profile, &VmInputs::default(), &VmOverrides::default(), expected);
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
            -machine q35,smbus=off,usb=off,hpet=off,vmport=off,smm=off,sata=off,i8042=off
            -cpu max,-la57
            -smp 1
            -accel tcg,tb-size=32
            -m 128M
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
            -machine q35,smbus=off,usb=off,hpet=off,vmport=off,smm=off,sata=off,i8042=off
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
            -drive if=none,id=home,file=ring:home,format=raw,discard=unmap
            -device virtio-blk-pci,drive=home,serial=home
            -object rng-builtin,id=rng0
            -device virtio-rng-pci,rng=rng0
            -device virtio-balloon-pci,id=balloon0
            mount /vm/kernel
            mount /vm/initrd
            serve home home.sparse.gz (Copy)
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
            -machine q35,smbus=off,usb=off,hpet=off,vmport=off,smm=off,sata=off
            -cpu max,-la57
            -smp 1
            -accel tcg,tb-size=64
            -m 512M
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
            -device VGA
            -device qemu-xhci,id=usb0
            -device virtio-tablet-pci
            mount /vm/kernel
            mount /vm/initrd
            serve home home.sparse.gz (Copy)
        "#]],
    );
}

#[test]
fn pc_x86_64() {
    check_default(
        "pc-x86_64",
        &expect![[r#"
        -L /pc-bios
        -nodefaults
        -no-user-config
        -display none
        -machine pc,graphics=off
        -cpu max,-la57
        -smp 1
        -accel tcg,tb-size=32
        -m 256M
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
        error: profile pc-x86_64 has nothing to boot: Supply a disk, CD or floppy image to start, or a kernel that a PC's BIOS serves: memtest86+, iPXE, memdisk, one for Multiboot.
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
            -device virtio-gpu-pci
            -device qemu-xhci,id=usb0
            -device virtio-keyboard-pci
            -device virtio-tablet-pci
            mount /vm/kernel
            mount /vm/initrd
            serve home home.sparse.gz (Copy)
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
            -drive if=none,id=home,file=ring:home,format=raw,discard=unmap
            -device virtio-blk-device,drive=home,serial=home
            -object rng-builtin,id=rng0
            -device virtio-rng-device,rng=rng0
            mount /vm/kernel
            mount /vm/initrd
            serve home home.sparse.gz (Copy)
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
            -machine q35,smbus=off,usb=off,hpet=off,vmport=off,smm=off,sata=off,i8042=off
            -cpu max,-la57
            -smp 1
            -accel tcg,tb-size=32
            -m 128M
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
            -machine q35,graphics=off
            -cpu max,-la57
            -smp 1
            -accel tcg,tb-size=128
            -m 1024M
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
            warning: net: user-mode networking is not part of this build of QEMU; the machine starts without a network
            error: profile hashicorp-vault has nothing to boot: Supply a bootable x86-64 disk image with HashiCorp Vault installed: QemuWeb ships none.
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
            -machine q35,graphics=off
            -cpu max,-la57
            -smp 1
            -accel tcg,tb-size=32
            -m 256M
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
            warning: net: user-mode networking is not part of this build of QEMU; the machine starts without a network
            error: profile alpine-linux has nothing to boot: Supply an Alpine Linux disk image for x86-64, or Alpine's vmlinuz-virt as kernel and initramfs-virt as initrd: QemuWeb ships none.
        "#]],
    );
}

#[test]
fn debian_x86_64_disk() {
    check_default(
        "debian-x86_64-disk",
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
            error: profile debian-x86_64-disk has nothing to boot: Supply the disk image of a root file system (raw or qcow2): qemu-wasm/guest/build-disk.sh x86_64 makes debian-x86_64.qcow2.
        "#]],
    );
}

#[test]
fn debian_aarch64_disk() {
    check_default(
        "debian-aarch64-disk",
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
            error: profile debian-aarch64-disk has nothing to boot: Supply the disk image of a root file system (raw or qcow2): qemu-wasm/guest/build-disk.sh aarch64 makes debian-aarch64.qcow2.
        "#]],
    );
}
