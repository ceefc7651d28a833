//! ELF files, and the two ways into a 32-bit PC kernel that QEMU knows beside Linux's own: Multiboot and PVH.
//!
//! What QEMU's `-kernel` takes: `hw/i386/multiboot.c`, `load_elfboot` in `hw/i386/x86-common.c`. Formats: the ELF
//! specification (gABI), Multiboot Specification 0.6.96 and 2.0, Xen's `public/elfnote.h`.

use super::sample::{Sample, Seen};
use super::{Content, unusable};
use crate::inputs::KernelKind;
use crate::types::Arch;

const EM_386: u16 = 3;
const EM_ARM: u16 = 40;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;

/// Machines that people have kernels for, by ELF's `e_machine`.
const MACHINES: &[(u16, &str)] = &[
    (2, "SPARC"),
    (4, "Motorola 68000"),
    (8, "MIPS"),
    (15, "PA-RISC"),
    (20, "32-bit PowerPC"),
    (21, "64-bit PowerPC"),
    (22, "IBM S/390"),
    (EM_ARM, "32-bit Arm"),
    (42, "SuperH"),
    (43, "64-bit SPARC"),
    (50, "Itanium"),
    (92, "OpenRISC"),
    (94, "Xtensa"),
    (189, "MicroBlaze"),
    (243, "RISC-V"),
    (247, "BPF"),
    (258, "LoongArch"),
];

const MULTIBOOT_MAGIC: u32 = 0x1bad_b002;
/// How far QEMU looks for the header, in bytes.
const MULTIBOOT_END: u64 = 8192 - 48;
/// The header tells where the file is to be loaded, which need not be ELF then.
const MULTIBOOT_HAS_ADDRESSES: u32 = 1 << 16;
const MULTIBOOT2_MAGIC: u32 = 0xe852_50d6;
/// How far a Multiboot 2 header may lie from the start, in bytes.
const MULTIBOOT2_END: u64 = 32 << 10;

const PT_NOTE: u32 = 4;
/// Most program headers that are looked at.
const MAX_HEADERS: u64 = 64;
/// The note that names the entry of a PVH kernel, `XEN_ELFNOTE_PHYS32_ENTRY` of owner `Xen`.
const PVH_ENTRY: u32 = 18;

/// Where the parts of an ELF file are, in its class.
struct Elf {
    is_64_bit: bool,
    machine: u16,
}

impl Elf {
    fn of(sample: &Sample) -> Seen<Option<Self>> {
        if !sample.has(0, b"\x7fELF")? {
            return Ok(None);
        }
        let is_big_endian = sample.byte(5)? == 2;
        let machine = if is_big_endian {
            sample.be16(18)?
        } else {
            sample.le16(18)?
        };
        Ok(Some(Self {
            is_64_bit: sample.byte(4)? == 2,
            machine,
        }))
    }

    /// Offset and length of each segment of notes in the file.
    fn notes(&self, sample: &Sample) -> Seen<Vec<(u64, u64)>> {
        let (table, size, count) = if self.is_64_bit {
            (sample.le64(32)?, sample.le16(54)?, sample.le16(56)?)
        } else {
            (u64::from(sample.le32(28)?), sample.le16(42)?, sample.le16(44)?)
        };
        let mut notes = Vec::new();
        for number in 0..u64::from(count).min(MAX_HEADERS) {
            let header = table.saturating_add(number * u64::from(size));
            if sample.le32(header)? != PT_NOTE {
                continue;
            }
            notes.push(if self.is_64_bit {
                (sample.le64(header + 8)?, sample.le64(header + 32)?)
            } else {
                (
                    u64::from(sample.le32(header + 4)?),
                    u64::from(sample.le32(header + 16)?),
                )
            });
        }
        Ok(notes)
    }

    /// Whether some note names an entry for PVH.
    fn has_pvh_entry(&self, sample: &Sample) -> Seen<bool> {
        for (start, length) in self.notes(sample)? {
            let end = start.saturating_add(length.min(64 << 10));
            let mut note = start;
            while note.saturating_add(12) <= end {
                let (name, descriptor) = (sample.le32(note)?, sample.le32(note + 4)?);
                if sample.le32(note + 8)? == PVH_ENTRY && sample.has(note + 12, b"Xen\0")? {
                    return Ok(true);
                }
                let padded = |length: u32| u64::from(length).next_multiple_of(4);
                note += 12 + padded(name) + padded(descriptor);
            }
        }
        Ok(false)
    }
}

/// What an ELF file is, if it is one.
pub(super) fn recognize(sample: &Sample) -> Seen<Option<Content>> {
    let Some(elf) = Elf::of(sample)? else {
        return Ok(None);
    };
    let content = match elf.machine {
        EM_AARCH64 => Content::Kernel(Arch::Aarch64, KernelKind::Linux),
        EM_386 | EM_X86_64 => x86(sample, &elf)?,
        machine => {
            let name = MACHINES.iter().find(|(number, _)| *number == machine);
            let name = name.map_or_else(
                || format!("machine number {machine}"),
                |(_, name)| (*name).to_owned(),
            );
            unusable(
                format!("an ELF file for {name}"),
                "Choose a kernel for x86_64 or aarch64.",
            )
        }
    };
    Ok(Some(content))
}

fn x86(sample: &Sample, elf: &Elf) -> Seen<Content> {
    if let Some(flags) = multiboot_flags(sample)? {
        if elf.machine == EM_X86_64 && flags & MULTIBOOT_HAS_ADDRESSES == 0 {
            return Ok(unusable(
                "a Multiboot kernel in a 64-bit ELF file, which QEMU does not load",
                "Make a 32-bit one with objcopy -O elf32-i386, or boot it from a disk with GRUB.",
            ));
        }
        return Ok(Content::Kernel(Arch::X86_64, multiboot_kind(sample)?));
    }
    if elf.has_pvh_entry(sample)? {
        return Ok(Content::Kernel(Arch::X86_64, KernelKind::Linux));
    }
    if has_multiboot2(sample)? {
        return Ok(unusable(
            "a kernel for Multiboot 2, which QEMU does not load",
            "Boot it from a CD or disk with GRUB, such as grub-mkrescue makes.",
        ));
    }
    let bits = if elf.is_64_bit { "64-bit" } else { "32-bit" };
    Ok(unusable(
        format!("a {bits} ELF file for x86 with neither a Multiboot header nor a PVH entry"),
        "Choose the bzImage, or a kernel with CONFIG_PVH.",
    ))
}

/// A Multiboot kernel in a format of its own, whose header tells where to load it.
pub(super) fn multiboot_without_elf(sample: &Sample) -> Seen<Option<Content>> {
    let flags = multiboot_flags(sample)?.unwrap_or_default();
    let is_kernel = flags & MULTIBOOT_HAS_ADDRESSES != 0;
    Ok(is_kernel.then_some(Content::Kernel(Arch::X86_64, KernelKind::Multiboot)))
}

/// The flags of a sound Multiboot header, if there is one.
fn multiboot_flags(sample: &Sample) -> Seen<Option<u32>> {
    let header = sample.bytes(0, MULTIBOOT_END + 12)?;
    let words: Vec<u32> = header
        .as_chunks()
        .0
        .iter()
        .map(|word| u32::from_le_bytes(*word))
        .collect();
    let sound = words.windows(3).find(|words| {
        words[0] == MULTIBOOT_MAGIC && words[0].wrapping_add(words[1]).wrapping_add(words[2]) == 0
    });
    Ok(sound.map(|words| words[1]))
}

fn has_multiboot2(sample: &Sample) -> Seen<bool> {
    let header = sample.bytes(0, MULTIBOOT2_END)?;
    let (words, _) = header.as_chunks::<4>();
    let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    Ok(words.windows(4).step_by(2).any(|words| {
        let sum = words[..4].iter().fold(0_u32, |sum, word| sum.wrapping_add(*word));
        words[0] == MULTIBOOT2_MAGIC && sum == 0
    }))
}

/// Xen, which names its serial port in its own way, has no name near its start. It is linked to 2 MiB and answers to both
/// Multiboot protocols.
fn multiboot_kind(sample: &Sample) -> Seen<KernelKind> {
    /// The physical address in the first program header, which follows the 52 bytes of a 32-bit file's own.
    const LOAD_ADDRESS: u64 = 52 + 12;
    let load_address = sample.le32(LOAD_ADDRESS)?;
    let is_xen = load_address == 2 << 20 && has_multiboot2(sample)?;
    Ok(if is_xen {
        KernelKind::Xen
    } else {
        KernelKind::Multiboot
    })
}
