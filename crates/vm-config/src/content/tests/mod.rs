//! What each family of files is taken for, and what is said of those that do not do.

mod disks;
mod kernels;
mod volumes;

use proptest::prelude::*;

use super::*;
use crate::inputs::KernelKind;

const X86_HDRS: usize = 0x202;
const ARM64_MAGIC: usize = 0x38;
const BOOT_SIGNATURE: usize = 510;
const ALL_KINDS: [FileKind; 5] = [
    FileKind::Kernel,
    FileKind::Initrd,
    FileKind::Disk,
    FileKind::Cdrom,
    FileKind::Floppy,
];

/// A file of `size` bytes, zeros but for some.
fn file(size: usize, parts: &[(usize, &[u8])]) -> Sample {
    let mut bytes = vec![0; size];
    for (offset, part) in parts {
        bytes[*offset..offset + part.len()].copy_from_slice(part);
    }
    Sample::whole(bytes)
}

fn head(parts: &[(usize, &[u8])]) -> Sample {
    file(CONTENT_HEAD, parts)
}

fn found(sample: &Sample) -> Content {
    recognize(sample).expect("a whole file")
}

fn check(kind: FileKind, sample: &Sample, arch: Arch) -> Result<Content, WrongContent> {
    check_in(Role::of(kind, arch), sample)
}

fn check_in(role: Role, sample: &Sample) -> Result<Content, WrongContent> {
    check_content(role, "k", sample).expect("a whole file")
}

fn check_boot(sample: &Sample) -> Result<Content, WrongContent> {
    let role = Role {
        boots: true,
        ..Role::of(FileKind::Disk, Arch::X86_64)
    };
    check_in(role, sample)
}

fn with(sample: &Sample, offset: usize, part: &[u8]) -> Sample {
    let mut bytes = sample.head().to_vec();
    bytes[offset..offset + part.len()].copy_from_slice(part);
    Sample::whole(bytes)
}

fn initrd(beside: InitrdFor, sample: &Sample) -> Result<Content, WrongContent> {
    let role = Role {
        beside,
        ..Role::of(FileKind::Initrd, Arch::X86_64)
    };
    check_in(role, sample)
}

/// A cpio archive of the files of these sizes, and what follows it.
fn cpio(sizes: &[usize], then: &[u8]) -> Sample {
    let mut bytes = Vec::new();
    let entry = |bytes: &mut Vec<u8>, name: &str, size: usize| {
        let mut fields = [0; 13];
        (fields[6], fields[11]) = (size, name.len() + 1);
        bytes.extend(b"070701");
        fields
            .iter()
            .for_each(|field| bytes.extend(format!("{field:08x}").bytes()));
        bytes.extend(name.bytes().chain([0]));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.resize((bytes.len() + size).next_multiple_of(4), b'x');
    };
    for size in sizes {
        entry(&mut bytes, "kernel/x86/microcode/GenuineIntel.bin", *size);
    }
    entry(&mut bytes, "TRAILER!!!", 0);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes.extend(then);
    Sample::whole(bytes)
}

#[test]
fn initial_ram_disks_suit_the_kernel() {
    let script = Sample::whole(b"#!ipxe\nshell\n".to_vec());
    let floppy = file(1_474_560, &[(0, &[0xeb, 0xfe]), (BOOT_SIGNATURE, &[0x55, 0xaa])]);
    let text = Sample::whole(b"hello\n".to_vec());
    let (lzo, zstd) = (head(&[(0, b"\x89LZO")]), head(&[(0, &[0x28, 0xb5, 0x2f, 0xfd])]));
    let kernel = InitrdFor::Kernel;
    for (beside, sample, fits) in [
        (kernel(KernelKind::Ipxe), &script, true),
        (kernel(KernelKind::Ipxe), &text, false),
        (kernel(KernelKind::Memdisk), &floppy, true),
        (kernel(KernelKind::Memdisk), &script, false),
        (kernel(KernelKind::Multiboot), &text, true),
        (kernel(KernelKind::Xen), &script, true),
        (kernel(KernelKind::Linux), &text, false),
        (kernel(KernelKind::Linux), &lzo, true),
        (InitrdFor::BuiltIn, &zstd, true),
        (InitrdFor::BuiltIn, &floppy, false),
        (InitrdFor::BuiltIn, &script, false),
        (InitrdFor::Unseen, &script, true),
        (InitrdFor::Unseen, &floppy, true),
    ] {
        assert_eq!(initrd(beside, sample).is_ok(), fits, "{beside:?} {sample:.0?}");
    }
    assert_eq!(
        initrd(InitrdFor::BuiltIn, &head(&[(0, &[4, 0x22, 0x4d, 0x18])]))
            .unwrap_err()
            .next_step,
        "Compress it again with lz4 -l."
    );
}

#[test]
fn archives_that_follow_each_other_are_seen() {
    let xz = cpio(&[3, 10_000, 0], b"\xfd7zXZ\0 and so on");
    assert_eq!(
        found(&xz),
        Content::Cpio {
            then: Some(Compression::Xz)
        }
    );
    assert!(initrd(InitrdFor::BuiltIn, &xz).is_ok());
    assert_eq!(found(&cpio(&[7], b"")), Content::Cpio { then: None });
    let lzo = cpio(&[1 << 20], b"\x89LZO");
    // Its middle is not read.
    let bytes = lzo.head().to_vec();
    let mut part = Sample::new(bytes[..CONTENT_HEAD].to_vec(), bytes.len() as u64);
    let content = loop {
        match recognize(&part) {
            Ok(content) => break content,
            Err(wanted) => {
                let range = usize::try_from(wanted.start).unwrap()..usize::try_from(wanted.end).unwrap();
                part.add(&wanted, bytes[range].to_vec());
            }
        }
    };
    assert_eq!(
        content,
        Content::Cpio {
            then: Some(Compression::Lzo)
        }
    );
}

#[test]
fn says_what_it_found() {
    let text = Sample::whole(b"hello".to_vec());
    let error = check_content(Role::of(FileKind::Kernel, Arch::X86_64), "notes.txt", &text).unwrap();
    assert_eq!(
        error.unwrap_err().to_string(),
        "notes.txt is no kernel for x86_64: expected a bzImage, a kernel for Multiboot, or an ELF file with a PVH entry \
         (vmlinux), found text"
    );
    let disk = |bytes: Vec<u8>| check(FileKind::Disk, &Sample::whole(bytes), Arch::X86_64);
    assert!(
        disk(vec![0; 1000])
            .unwrap_err()
            .found
            .contains("no 512-byte sectors")
    );
    assert!(disk(vec![0; 1024]).is_ok());
    assert_eq!(
        found(&Sample::whole(b"<!DOCTYPE html>\n".to_vec())),
        Content::WebPage
    );
    assert_eq!(
        found(&Sample::whole("größer\n".as_bytes()[..3].to_vec())),
        Content::Text
    );
    for (magic, word) in [
        (&b"PK\x03\x04"[..], "zip"),
        (b"MSWIM\0\0\0", "WIM"),
        (b"LUKS\xba\xbe", "LUKS"),
    ] {
        assert!(disk(magic.to_vec()).unwrap_err().found.contains(word), "{word}");
    }
}

#[test]
fn what_is_stored_has_a_part_to_play() {
    let part = |sample: &Sample| {
        let checked = check_any_content("f", sample).expect("a whole file");
        checked.map(|(_, kind, arch)| (kind, arch))
    };
    let image = head(&[(ARM64_MAGIC, b"ARM\x64")]);
    assert_eq!(part(&image), Ok((FileKind::Kernel, Some(Arch::Aarch64))));
    assert_eq!(
        part(&Sample::whole(vec![0x1f, 0x8b])),
        Ok((FileKind::Initrd, None))
    );
    assert_eq!(part(&volumes::cd(&[(0, true)])), Ok((FileKind::Cdrom, None)));
    assert_eq!(part(&Sample::whole(vec![0; 1024])), Ok((FileKind::Disk, None)));
    assert_eq!(
        part(&Sample::whole(b"hello".to_vec())).unwrap_err().to_string(),
        "f is no file to boot from: expected a kernel, an initial RAM disk or a disk image, found text"
    );
    assert!(part(&Sample::whole(vec![0; 1000])).is_err());
}

/// Beginnings that lead deep into a reader.
fn beginnings() -> impl Strategy<Value = Vec<u8>> {
    let magics: Vec<&[u8]> = vec![
        b"",
        b"QFI\xfb\0\0\0\x03",
        b"QFI\xfb\0\0\0\x02",
        b"QFI\xfb\0\0\0\x01",
        b"KDMV",
        b"# Disk DescriptorFile\nparentCID=",
        b"vhdxfile",
        b"conectix",
        b"\x7fELF\x02\x01",
        b"\x7fELF\x01\x01",
        b"MZ\0\0zimg",
        b"070701",
        b"QED\0",
        b"WithoutFreeSpace",
        b"\x27\x05\x19\x56",
    ];
    let magic = prop::sample::select(magics);
    (magic, prop::collection::vec(any::<u8>(), 0..1200)).prop_map(|(magic, rest)| [magic, &rest].concat())
}

proptest! {
    // Each reads megabytes.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn never_panics_and_never_asks_for_ever(bytes in beginnings(), size in prop_oneof![0..4096_u64, any::<u64>()]) {
        let mut sample = Sample::new(bytes.clone(), size.max(bytes.len() as u64));
        let mut asked = 0;
        while let Err(wanted) = check_any_content("k", &sample) {
            prop_assert!(wanted.start < wanted.end && wanted.end - wanted.start < 2 << 20, "{:?}", wanted);
            let length = usize::try_from(wanted.end - wanted.start).unwrap();
            sample.add(&wanted, bytes.iter().copied().cycle().take(length).collect());
            asked += 1;
            prop_assert!(asked < 1000);
        }
        for kind in ALL_KINDS {
            for arch in [Arch::X86_64, Arch::Aarch64] {
                for beside in [InitrdFor::Unseen, InitrdFor::BuiltIn, InitrdFor::Kernel(KernelKind::Memdisk)] {
                    let role = Role { kind, arch, boots: true, beside };
                    if let Ok(Err(error)) = check_content(role, "k", &sample) {
                        prop_assert!(!error.to_string().contains('\n') && !error.next_step.is_empty());
                    }
                }
            }
        }
    }
}
