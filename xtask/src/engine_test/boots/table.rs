//! What people bring, and what comes of it. The files are made by `qemu-wasm/check/boots`.

use qemuweb_vm_config::DEFAULT_PROFILE_ID;

use super::{Boot, Step};

/// A PC for systems that are not ours.
const PC: &str = "linux-x86_64-pc-nographic";
const ARM: &str = "linux-aarch64-virt-nographic";

/// What is done in a few seconds, if nothing else wants the processor.
const SOON: f64 = 180.0;
/// What takes a minute or more.
const LONG: f64 = 1800.0;

/// What the boot sector says, by the number of the BIOS's drive that it came from.
const FROM_FLOPPY: [Step; 2] = [Step::Says("BOOT-SECTOR-RUNS"), Step::Says("BOOTED-FROM-DRIVE-00")];
const FROM_DISK: [Step; 2] = [Step::Says("BOOT-SECTOR-RUNS"), Step::Says("BOOTED-FROM-DRIVE-80")];

/// All of them.
pub(super) fn boots() -> Vec<Boot> {
    [
        sectors(),
        floppies(),
        kernels(),
        loaders(),
        formats(),
        data_disks(),
        programs(),
        initial_ram_disks(),
        arm(),
        long(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn sectors() -> Vec<Boot> {
    const A20_AND_RESET: [Step; 3] = [
        Step::Says("A20-CLOSED"),
        Step::Says("A20-OPENED"),
        Step::Says("RESET-BY-KEYBOARD-CONTROLLER"),
    ];
    const V86: [Step; 3] = [
        Step::Says("VIRTUAL-8086-CALLS-BIOS"),
        Step::Says("VIRTUAL-8086-READS-DISK"),
        Step::Says("VIRTUAL-8086-CLOCK-TICKS"),
    ];
    vec![
        pc("a bare boot sector as disk")
            .disk("sector.img")
            .then(FROM_DISK),
        pc("a boot sector in 64 KiB as disk")
            .disk("sector-64k.img")
            .then(FROM_DISK),
        pc("keyboard controller, disk")
            .disk("keyboard-controller.img")
            .then(A20_AND_RESET),
        pc("keyboard controller, floppy")
            .disk("keyboard-controller-floppy.img")
            .then(A20_AND_RESET),
        pc("virtual-8086 mode, disk")
            .disk("virtual-8086-disk.img")
            .then(V86),
        pc("virtual-8086 mode, floppy")
            .disk("virtual-8086-floppy.img")
            .then(V86),
        pc("GPT without a boot loader")
            .disk("gpt-without-loader.img")
            .refused(&["a boot loader"]),
    ]
}

/// In each format that QEMU knows by its size.
fn floppies() -> Vec<Boot> {
    const FORMATS: [(&str, &str); 22] = [
        ("floppy of 160 KiB", "floppy-160.img"),
        ("floppy of 180 KiB", "floppy-180.img"),
        ("floppy of 320 KiB", "floppy-320.img"),
        ("floppy of 360 KiB", "floppy-360.img"),
        ("floppy of 410 KiB", "floppy-410.img"),
        ("floppy of 720 KiB", "floppy-720.img"),
        ("floppy of 800 KiB", "floppy-800.img"),
        ("floppy of 820 KiB", "floppy-820.img"),
        ("floppy of 1040 KiB", "floppy-1040.img"),
        ("floppy of 1120 KiB", "floppy-1120.img"),
        ("floppy of 1200 KiB", "floppy-1200.img"),
        ("floppy of 1440 KiB", "floppy-1440.img"),
        ("floppy of 1476 KiB", "floppy-1476.img"),
        ("floppy of 1600 KiB", "floppy-1600.img"),
        ("floppy of 1680 KiB", "floppy-1680.img"),
        ("floppy of 1722 KiB", "floppy-1722.img"),
        ("floppy of 1743 KiB", "floppy-1743.img"),
        ("floppy of 1840 KiB", "floppy-1840.img"),
        ("floppy of 1920 KiB", "floppy-1920.img"),
        ("floppy of 2880 KiB", "floppy-2880.img"),
        ("floppy of 3200 KiB", "floppy-3200.img"),
        ("floppy of 3840 KiB", "floppy-3840.img"),
    ];
    FORMATS
        .iter()
        .map(|(name, file)| pc(name).disk(file).then(FROM_FLOPPY))
        .collect()
}

/// What is started as a kernel, and is none of Linux's.
fn kernels() -> Vec<Boot> {
    vec![
        pc("multiboot").kernel("multiboot.elf").then([
            Step::Says("MULTIBOOT-KERNEL-RUNS"),
            Step::Says("MULTIBOOT-KERNEL-DONE"),
        ]),
        pc("multiboot with a module")
            .kernel("multiboot.elf")
            .initrd("module-1.txt")
            .append("some words")
            .then([Step::Says("some words"), Step::Says("HAS: first module")]),
        pc("iPXE with a script")
            .kernel("ipxe.lkrn")
            .initrd("script.ipxe")
            .then([Step::Says("IPXE-SCRIPT-RUNS"), Step::Says("platform pcbios")]),
        pc("memdisk with a floppy")
            .kernel("memdisk")
            .initrd("floppy-1440.img")
            .then(FROM_FLOPPY),
        pc("Xen")
            .kernel("xen")
            .append("com1=115200 console=com1")
            .then([Step::Says("Xen version 4.")]),
        pc("Xen, packed")
            .kernel("xen.gz")
            .append("com1=115200 console=com1")
            .then([Step::Says("Xen version 4.")]),
        pc("memtest86+")
            .kernel("memtest86+x64.bin")
            .append("console=ttyS0,115200")
            .then([Step::Says("Memtest86+ v7")]),
    ]
}

/// Boot loaders on their media.
fn loaders() -> Vec<Boot> {
    let syslinux = [Step::Says("SYSLINUX-READS-ITS-FILE"), Step::Says("boot: ")];
    vec![
        pc("GRUB's rescue CD").disk("grub.iso").then([
            Step::Says("GRUB-READS-ITS-FILES"),
            Step::Says("grub>"),
            Step::Types("boot_multiboot\r"),
            Step::Says("HAS: first module"),
        ]),
        pc("GRUB's rescue CD from Debian")
            .disk("grub-rescue-cdrom.iso")
            .then([Step::Says("GNU GRUB")]),
        pc("GRUB's rescue floppy")
            .disk("grub-rescue-floppy.img")
            .then([Step::Says("GNU GRUB")]),
        pc("syslinux on a floppy")
            .disk("syslinux-floppy.img")
            .then(syslinux),
        pc("syslinux on a disk").disk("syslinux-disk.img").then(syslinux),
        pc("syslinux on a disk with a GPT")
            .disk("syslinux-gpt.img")
            .then(syslinux),
        pc("isolinux")
            .disk("isolinux.iso")
            .then([Step::Says("by isolinux"), Step::Says("HAS: first module")]),
        pc("iPXE's CD")
            .disk("ipxe.iso")
            .then([Step::Says("Open Source Network Boot")]),
        pc("a disk for UEFI")
            .disk("uefi-x86_64.img")
            .memory(256)
            .within(LONG)
            .then([Step::Says("BOOTED-BY-UEFI")]),
    ]
}

/// A boot sector in every format of disk images.
fn formats() -> Vec<Boot> {
    const READ: [&str; 12] = [
        "v2.qcow2",
        "zstd.qcow2",
        "extended-l2.qcow2",
        "sparse.vmdk",
        "stream.vmdk",
        "disk.vdi",
        "disk.vhdx",
        "dynamic.vhd",
        "fixed.vhd",
        "disk.qed",
        "disk.hdd",
        "version-1.qcow",
    ];
    let mut boots: Vec<_> = READ
        .iter()
        .map(|file| pc(file).disk(file).then(FROM_DISK))
        .collect();
    boots.extend([
        pc("qcow2 with a data file elsewhere")
            .disk("data-file.qcow2")
            .refused(&["data-file.raw"]),
        pc("an internal snapshot")
            .disk("snapshots.qcow2")
            .snapshot("bootable")
            .then(FROM_DISK),
        // Its boot sector was erased after the snapshot; an empty disk is one for our own guest.
        pc("an image with snapshots, as it is now")
            .disk("snapshots.qcow2")
            .then([Step::Says("Welcome to QemuWeb")]),
        pc("an internal snapshot that there is none of")
            .disk("snapshots.qcow2")
            .snapshot("another")
            .refused(&["bootable", "empty"]),
    ]);
    boots
}

/// Disks with files, beside a kernel.
fn data_disks() -> Vec<Boot> {
    const ON_DISK: &str = "the file on the disk";
    let cloud = |name, disk| {
        pc(name)
            .kernel("cloud-vmlinuz")
            .initrd("cloud-initrd.gz")
            .append("console=ttyS0 quiet")
            .memory(256)
            .disk(disk)
            .within(LONG)
    };
    let read = |name, profile, disk, command| {
        boot(name, profile)
            .beside_kernel(disk)
            .then([Step::Runs(command, ON_DISK)])
    };
    vec![
        read(
            "ext4",
            DEFAULT_PROFILE_ID,
            "ext4.img",
            "mount -t ext4 /dev/vda /mnt && cat /mnt/file.txt",
        ),
        read(
            "XFS",
            DEFAULT_PROFILE_ID,
            "xfs.qcow2",
            "mount -t xfs /dev/vda /mnt && cat /mnt/file.txt",
        ),
        read(
            "btrfs",
            DEFAULT_PROFILE_ID,
            "btrfs.img",
            "mount -t btrfs /dev/vda /mnt && cat /mnt/file.txt",
        ),
        read(
            "FAT of a floppy's size",
            DEFAULT_PROFILE_ID,
            "fat-1440.img",
            "mount -t vfat /dev/vda /mnt && cat /mnt/file.txt",
        ),
        read(
            "FAT of a floppy's size on Arm",
            ARM,
            "fat-1440.img",
            "mount -t vfat /dev/vda /mnt && cat /mnt/file.txt",
        ),
        cloud("ext4 with Debian's kernel", "ext4.img")
            .then([Step::Says("MOUNTED-ext4: the file on the disk")]),
        cloud("XFS with Debian's kernel", "xfs.qcow2")
            .then([Step::Says("MOUNTED-xfs: the file on the disk")]),
        cloud("btrfs with Debian's kernel", "btrfs.img")
            .then([Step::Says("MOUNTED-btrfs: the file on the disk")]),
    ]
}

/// Programs for processors that people compile for, in the built-in guest.
fn programs() -> Vec<Boot> {
    let runs = |name, program, expected| {
        boot(name, DEFAULT_PROFILE_ID).beside_kernel("ext4.img").then([
            Step::Runs("mount -t ext4 /dev/vda /mnt && echo mounted", "mounted"),
            Step::Runs(program, expected),
        ])
    };
    vec![
        runs("32-bit program", "/mnt/i686", "I686-RUNS b3200e1e8f232127"),
        runs(
            "32-bit system calls",
            "/mnt/syscall32",
            "SYSTEM-CALLS-BY-INTERRUPT-RUN",
        ),
        runs("x86-64-v2", "/mnt/x86-64-v2", "X86-64-V2-RUNS b3200e1ed1ed37af"),
        runs("x86-64-v3", "/mnt/x86-64-v3", "X86-64-V3-RUNS b3200e1fc8b503ce"),
        runs(
            "x87's precision",
            "/mnt/precision | sed 's/^[0-9]* //'",
            "passed, 0 failed",
        ),
    ]
}

/// With the built-in kernel, in every form that Linux unpacks.
fn initial_ram_disks() -> Vec<Boot> {
    const FORMS: [&str; 8] = [
        "initrd.cpio",
        "initrd.gz",
        "initrd.bz2",
        "initrd.xz",
        "initrd.lzma",
        "initrd.zst",
        "initrd.lz4",
        "initrd-concatenated",
    ];
    FORMS
        .iter()
        .map(|file| {
            boot(file, DEFAULT_PROFILE_ID)
                .initrd(file)
                .then([Step::Says("Welcome to QemuWeb: userspace")])
        })
        .collect()
}

fn arm() -> Vec<Boot> {
    let runs = [
        Step::Says("ARM64-IMAGE-RUNS"),
        Step::Says("ARM64-IMAGE-HAS-DEVICE-TREE"),
    ];
    vec![
        boot("arm64 Image", ARM).kernel("arm64-image").then(runs),
        boot("arm64 Image, gzip", ARM).kernel("arm64-image.gz").then(runs),
        boot("arm64 EFI zboot, gzip", ARM)
            .kernel("arm64-zboot-gzip")
            .then(runs),
        boot("arm64 EFI zboot, zstd", ARM)
            .kernel("arm64-zboot-zstd22")
            .refused(&["zstd"]),
        boot("a disk for UEFI on Arm", ARM)
            .disk("uefi-aarch64.img")
            .memory(256)
            .within(LONG)
            .then([Step::Says("Open Source Network Boot")]),
    ]
}

/// What takes minutes.
fn long() -> Vec<Boot> {
    let installer = |name, profile, kernel, initrd, append| {
        boot(name, profile)
            .kernel(kernel)
            .initrd(initrd)
            .append(append)
            .memory(1024)
            .within(LONG)
            .then([Step::Says("Select a language")])
    };
    vec![
        installer(
            "Debian's installer",
            PC,
            "installer-amd64-linux",
            "installer-amd64-initrd.gz",
            "console=ttyS0",
        ),
        installer(
            "Debian's installer on Arm",
            ARM,
            "installer-arm64-linux",
            "installer-arm64-initrd.gz",
            "console=ttyAMA0",
        ),
        pc("memtest86+, a pass of 64 MiB")
            .kernel("memtest86+x64.bin")
            .append("console=ttyS0,115200")
            .memory(64)
            .within(2.0 * LONG)
            .then([Step::Says("Pass:  1")]),
    ]
}

fn pc(name: &'static str) -> Boot {
    boot(name, PC)
}

fn boot(name: &'static str, profile: &'static str) -> Boot {
    Boot {
        name,
        profile,
        kernel: None,
        initrd: None,
        append: None,
        disks: Vec::new(),
        snapshot: None,
        is_beside_kernel: false,
        memory_mib: None,
        limit: SOON,
        steps: Vec::new(),
    }
}

impl Boot {
    fn kernel(self, file: &'static str) -> Self {
        Boot {
            kernel: Some(file),
            ..self
        }
    }

    fn initrd(self, file: &'static str) -> Self {
        Boot {
            initrd: Some(file),
            ..self
        }
    }

    fn append(self, words: &'static str) -> Self {
        Boot {
            append: Some(words),
            ..self
        }
    }

    fn disk(mut self, file: &'static str) -> Self {
        self.disks.push(file);
        self
    }

    /// The state of the first disk that is started.
    fn snapshot(self, name: &'static str) -> Self {
        Boot {
            snapshot: Some(name),
            ..self
        }
    }

    /// A disk beside the profile's kernel.
    fn beside_kernel(self, file: &'static str) -> Self {
        Boot {
            is_beside_kernel: true,
            ..self.disk(file)
        }
    }

    fn memory(self, mib: u32) -> Self {
        Boot {
            memory_mib: Some(mib),
            ..self
        }
    }

    fn within(self, seconds: f64) -> Self {
        Boot {
            limit: seconds,
            ..self
        }
    }

    fn then(self, steps: impl IntoIterator<Item = Step>) -> Self {
        Boot {
            steps: steps.into_iter().collect(),
            ..self
        }
    }

    fn refused(self, words: &'static [&'static str]) -> Self {
        self.then([Step::IsRefused(words)])
    }
}
