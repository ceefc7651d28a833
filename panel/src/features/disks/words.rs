//! What the panel says of disks: what becomes of writes, what a disk consists of, how fast it is, how large one wants it. Pure.

use qemuweb_vm_config::{DiskInput, FileKind, Keep};
use qemuweb_wire::disk::{Transfers, VmDisk};
use qemuweb_wire::vm::VmInfo;

use crate::features::monitor::state::ToldDisks;
use crate::kit::text;

/// A disk's size is a multiple of this, in bytes.
const SECTOR: u64 = 512;
/// Nothing larger is asked for, in bytes: numbers of JavaScript's are exact up to here.
const MAX_SIZE: f64 = 9_007_199_254_740_991.0;

/// How much a disk reads and writes, in bytes per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) read: f64,
    pub(super) written: f64,
}

/// The rate of a disk by its channel, between two times that the disks were told of. What went backwards began anew.
pub(super) fn rate(before: &ToldDisks, now: &ToldDisks, channel: &str) -> Option<Rate> {
    let seconds = (now.at? - before.at?) / 1000.0;
    let of = |told: &ToldDisks| {
        let disk = told.disks.iter().find(|disk| disk.channel == channel);
        disk.map(|disk| (disk.read, disk.written))
    };
    let (before, now) = (of(before)?, of(now)?);
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let per_second =
        |before: Transfers, now: Transfers| now.bytes.saturating_sub(before.bytes) as f64 / seconds;
    (seconds > 0.0).then(|| Rate {
        read: per_second(before.0, now.0),
        written: per_second(before.1, now.1),
    })
}

/// A rate in words.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and is positive"
)]
pub(super) fn per_second(rate: f64) -> String {
    format!("{}/s", text::bytes(rate as u64))
}

/// What people call a disk by as what it is kept: without the end that tells VMs of one id apart.
pub(super) fn name(disk_id: &str) -> &str {
    disk_id.rsplit_once('.').map_or(disk_id, |(name, _)| name)
}

/// What drive a disk is in.
pub(super) fn drive(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Cdrom => "CD",
        FileKind::Floppy => "floppy",
        _ => "hard disk",
    }
}

/// What becomes of what the guest writes to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It lasts.
    Kept,
    /// It was chosen that it does not.
    Discarded,
    /// There is no such thing.
    ReadOnly,
    /// QEMU has it in a temporary layer, since it writes no images of this format.
    OnlyRead,
    /// QEMU has it in a temporary layer, since a snapshot was chosen.
    Snapshot,
}

impl Fate {
    /// That of a disk of a VM.
    pub(super) fn of(vm: &VmInfo, disk: &VmDisk) -> Self {
        match disk.keep {
            Keep::Changes | Keep::Copy => Self::Kept,
            Keep::UntilPowerOff => Self::Discarded,
            Keep::Nothing if disk.kind == FileKind::Cdrom => Self::ReadOnly,
            Keep::Nothing => match defined(vm, &disk.channel) {
                Some(input) if input.readonly => Self::ReadOnly,
                Some(input) if input.snapshot.is_some() => Self::Snapshot,
                Some(_) => Self::OnlyRead,
                None => Self::ReadOnly,
            },
        }
    }

    /// In words.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Kept => "kept in this browser",
            Self::Discarded => "discarded at power off",
            Self::ReadOnly => "read-only",
            Self::OnlyRead => "gone at power off: QEMU only reads images of this format",
            Self::Snapshot => "gone at power off: a snapshot of the image was chosen",
        }
    }
}

/// What a VM is defined with as the disk of this channel: `disk0` is the first.
fn defined<'a>(vm: &'a VmInfo, channel: &str) -> Option<&'a DiskInput> {
    let number: usize = channel.strip_prefix("disk")?.parse().ok()?;
    let (own, defaults) = (&vm.definition.inputs, &vm.definition.profile.default_inputs);
    let inputs = if own.disk.is_some() || !own.additional_disks.is_empty() {
        own
    } else {
        defaults
    };
    inputs.disk.iter().chain(&inputs.additional_disks).nth(number)
}

/// What a disk consists of, from its image up.
pub(super) fn chain(disk: &VmDisk, fate: Fate) -> Vec<String> {
    let image = text::printable(&disk.image, 120);
    let mut chain = vec![format!("{image} ({})", disk.format.as_str())];
    let layer = match (disk.keep, fate) {
        (Keep::Copy, _) => "the machine’s own copy, kept",
        (_, Fate::Kept) => "changes, kept",
        (_, Fate::Discarded) => "changes until power off",
        (_, Fate::ReadOnly) => return chain,
        (_, Fate::OnlyRead | Fate::Snapshot) => "QEMU’s temporary layer",
    };
    chain.push(layer.to_owned());
    chain
}

/// The units of a size that is typed, and how many bytes they have.
pub(super) const UNITS: [(&str, u64); 2] = [("GiB", 1 << 30), ("MiB", 1 << 20)];

/// The size in bytes that a person wants a disk of `now` bytes to have, or what is wrong with it.
pub(super) fn new_size(typed: &str, unit: u64, now: Option<u64>) -> Result<u64, String> {
    let typed = typed.trim().replace(',', ".");
    let number: f64 = typed
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number > 0.0)
        .ok_or_else(|| format!("expected a number such as 16, found {typed:?}"))?;
    #[expect(clippy::cast_precision_loss, reason = "a power of two")]
    let bytes = number * unit as f64;
    if bytes > MAX_SIZE {
        return Err("no disk can be that large".to_owned());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above"
    )]
    let bytes = (bytes as u64).next_multiple_of(SECTOR);
    match now {
        Some(now) if bytes <= now => Err(format!(
            "expected more than {}: a disk only grows",
            text::bytes(now)
        )),
        _ => Ok(bytes),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use qemuweb_vm_config::{DiskFormat, InputSource};
    use qemuweb_wire::VmState;
    use qemuweb_wire::disk::DiskUse;

    use super::*;
    use crate::features::machines::words::tests::vm;

    pub(crate) fn disk(channel: &str, keep: Keep) -> VmDisk {
        VmDisk {
            channel: channel.into(),
            disk_id: format!("{channel}-1"),
            image: "data.img".into(),
            format: DiskFormat::Raw,
            kind: FileKind::Disk,
            keep,
        }
    }

    /// A disk that has read and written so many bytes.
    pub(crate) fn in_use(channel: &str, read: u64, written: u64) -> DiskUse {
        let bytes = |bytes| Transfers { requests: 1, bytes };
        DiskUse {
            channel: channel.into(),
            disk_id: format!("{channel}-1"),
            image: "data.img".into(),
            format: DiskFormat::Raw,
            kind: FileKind::Disk,
            keep: Keep::Changes,
            size: 8 << 30,
            kept: 3 << 20,
            dirty: 4096,
            read: bytes(read),
            written: bytes(written),
            flushes: 7,
            flush_ms: Some(2.5),
            alarm: None,
        }
    }

    pub(crate) fn told(at: Option<f64>, disks: Vec<DiskUse>) -> ToldDisks {
        ToldDisks { at, disks }
    }

    #[test]
    fn rates_are_between_two_times_that_are_known() {
        let first = told(Some(1000.0), vec![in_use("disk0", 0, 4096)]);
        let second = told(Some(3000.0), vec![in_use("disk0", 2048, 0)]);
        let found = rate(&first, &second, "disk0").unwrap();
        assert_eq!((found.read, found.written), (1024.0, 0.0));
        assert_eq!(rate(&first, &second, "disk1"), None);
        assert_eq!(rate(&told(None, first.disks.clone()), &second, "disk0"), None);
        assert_eq!(rate(&second, &second, "disk0"), None);
        assert_eq!(per_second(1536.0), "1.5 KiB/s");
        assert_eq!((name("home.1f"), name("home")), ("home", "home"));
    }

    #[test]
    fn what_becomes_of_writes_is_told_with_its_reason() {
        let mut machine = vm("a", VmState::NOT_STARTED);
        let source = InputSource::Url("https://example.org/d.vmdk".into());
        machine.definition.inputs.disk = Some(DiskInput::new(source.clone()));
        machine.definition.inputs.additional_disks = vec![
            DiskInput {
                readonly: true,
                ..DiskInput::new(source.clone())
            },
            DiskInput {
                snapshot: Some("s".into()),
                ..DiskInput::new(source)
            },
        ];
        let fate = |channel: &str, keep| Fate::of(&machine, &disk(channel, keep));
        assert_eq!(fate("home", Keep::Copy), Fate::Kept);
        assert_eq!(fate("disk0", Keep::UntilPowerOff), Fate::Discarded);
        assert_eq!(fate("disk0", Keep::Nothing), Fate::OnlyRead);
        assert_eq!(fate("disk1", Keep::Nothing), Fate::ReadOnly);
        assert_eq!(fate("disk2", Keep::Nothing), Fate::Snapshot);
        assert_eq!(fate("disk9", Keep::Nothing), Fate::ReadOnly);
        let cd = VmDisk {
            kind: FileKind::Cdrom,
            ..disk("disk0", Keep::Nothing)
        };
        assert_eq!(Fate::of(&machine, &cd), Fate::ReadOnly);
    }

    #[test]
    fn chains_begin_with_the_image() {
        assert_eq!(
            chain(&disk("disk0", Keep::Changes), Fate::Kept),
            ["data.img (raw)", "changes, kept"]
        );
        assert_eq!(
            chain(&disk("disk0", Keep::Nothing), Fate::ReadOnly),
            ["data.img (raw)"]
        );
        let foreign = VmDisk {
            image: "a\u{1b}b".into(),
            ..disk("disk0", Keep::Nothing)
        };
        assert_eq!(
            chain(&foreign, Fate::OnlyRead),
            ["a\u{fffd}b (raw)", "QEMU’s temporary layer"]
        );
    }

    #[test]
    fn sizes_are_whole_sectors_and_grow() {
        assert_eq!(new_size(" 16 ", 1 << 30, Some(8 << 30)), Ok(16 << 30));
        assert_eq!(new_size("1,5", 1 << 20, None), Ok(3 << 19));
        assert_eq!(new_size("0.0001", 1 << 20, None).unwrap() % SECTOR, 0);
        for (typed, part) in [
            ("", "a number"),
            ("x", "a number"),
            ("-3", "a number"),
            ("inf", "a number"),
            ("8", "only grows"),
            ("1e30", "that large"),
        ] {
            let fault = new_size(typed, 1 << 30, Some(8 << 30)).unwrap_err();
            assert!(fault.contains(part), "{typed}: {fault}");
        }
    }
}
