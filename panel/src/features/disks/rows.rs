//! The disks of a VM as rows: what it is defined with, how that is used, what is kept, and what can be done with it. Pure.

use qemuweb_vm_config::{DiskFormat, FileKind};
use qemuweb_wire::disk::{DiskUse, ExportAs, KeptDisk, VmDisk};
use qemuweb_wire::vm::VmInfo;

use super::words::{self, Fate, Rate};
use crate::features::monitor::state::ToldDisks;
use crate::kit::text;

/// A disk of a VM.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// As what it is kept, or would be.
    pub(super) disk_id: String,
    /// What it is in the VM's next run; nothing for what was kept of a disk that the VM has no more.
    pub(super) disk: Option<(VmDisk, Fate)>,
    /// How this run uses it.
    pub(super) in_use: Option<DiskUse>,
    /// How fast.
    pub(super) rate: Option<Rate>,
    /// What is kept of it.
    pub(super) kept: Option<KeptDisk>,
    /// Whether its VM is active.
    pub(super) is_active: bool,
    /// Whether it is being exported or imported.
    pub(super) is_busy: bool,
}

/// What rows are made of.
pub(super) struct Known<'a> {
    pub(super) vm: &'a VmInfo,
    pub(super) defined: &'a [VmDisk],
    pub(super) kept: &'a [KeptDisk],
    pub(super) before: &'a ToldDisks,
    pub(super) now: &'a ToldDisks,
}

/// The ids of the disks of a VM, those that it is defined with first.
pub(super) fn ids(known: &Known<'_>) -> Vec<String> {
    let defined = known.defined.iter().map(|disk| &disk.disk_id);
    let mut ids: Vec<String> = defined.cloned().collect();
    // What another VM of this id has left is shown with the storage.
    let own = |kept: &&KeptDisk| kept.vm_id == known.vm.vm_id && kept.vm_name.is_some();
    for kept in known.kept.iter().filter(own) {
        if !ids.contains(&kept.disk_id) {
            ids.push(kept.disk_id.clone());
        }
    }
    ids
}

/// A disk of a VM.
pub(super) fn row(known: &Known<'_>, disk_id: &str, is_busy: bool) -> Row {
    let is_active = known.vm.state.is_active();
    let disk = known.defined.iter().find(|disk| disk.disk_id == disk_id);
    let mut in_use = known.now.disks.iter().filter(|_| is_active);
    let in_use = in_use.rfind(|disk| disk.disk_id == disk_id).cloned();
    let is_it = |kept: &&KeptDisk| kept.vm_id == known.vm.vm_id && kept.disk_id == disk_id;
    Row {
        disk_id: disk_id.to_owned(),
        disk: disk.map(|disk| (disk.clone(), Fate::of(known.vm, disk))),
        rate: in_use
            .as_ref()
            .and_then(|disk| words::rate(known.before, known.now, &disk.channel)),
        in_use,
        kept: known.kept.iter().find(is_it).cloned(),
        is_active,
        is_busy,
    }
}

impl Row {
    /// What it is called: the name of its channel, or as what it is kept.
    pub(super) fn name(&self) -> &str {
        self.disk
            .as_ref()
            .map_or(words::name(&self.disk_id), |(disk, _)| &disk.channel)
    }

    /// Bytes of changes that are kept.
    pub(super) fn bytes_kept(&self) -> u64 {
        let in_use = self.in_use.as_ref().map(|disk| disk.kept);
        let stored = self.kept.as_ref().map(|disk| disk.kept);
        in_use.or(stored).unwrap_or(0)
    }

    /// Its size in bytes, where that is known. Of a format with a structure of its own that is the image's.
    pub(super) fn size(&self) -> Option<u64> {
        let in_use = self.in_use.as_ref().map(|disk| disk.size);
        in_use.or(self.kept.as_ref().and_then(|disk| disk.size))
    }

    fn is_raw(&self) -> bool {
        let of = |(disk, _): &(VmDisk, Fate)| disk.format == DiskFormat::Raw;
        self.disk.as_ref().is_none_or(of)
    }

    /// The size that it has to outgrow, where that is known.
    pub(super) fn size_of_disk(&self) -> Option<u64> {
        self.size().filter(|_| self.is_raw())
    }

    /// What is worth knowing of it, as names and values.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        if let Some(size) = self.size() {
            let name = if self.is_raw() { "Size" } else { "Image’s size" };
            facts.push((name, text::bytes(size)));
        }
        let is_kept = self.disk.as_ref().is_none_or(|(_, fate)| *fate == Fate::Kept);
        if is_kept || self.kept.is_some() {
            facts.push(("Kept", text::bytes(self.bytes_kept())));
        }
        let Some(used) = &self.in_use else { return facts };
        if is_kept {
            facts.push(("Not flushed", text::bytes(used.dirty)));
        }
        let moved = |rate: Option<f64>, bytes: u64| {
            let rate = rate.map_or_else(|| "–".to_owned(), words::per_second);
            format!("{rate}, {} in all", text::bytes(bytes))
        };
        let rate = self.rate;
        facts.push(("Read", moved(rate.map(|rate| rate.read), used.read.bytes)));
        facts.push((
            "Written",
            moved(rate.map(|rate| rate.written), used.written.bytes),
        ));
        let flushes = match used.flush_ms {
            Some(ms) => format!("{}, {ms:.1} ms each", used.flushes),
            None => used.flushes.to_string(),
        };
        facts.push(("Flushes", flushes));
        facts
    }

    /// Why nothing of it can be exported, discarded or imported, if so.
    fn why_untouched(&self) -> Option<&'static str> {
        if self.is_active {
            return Some("The machine is writing to it: shut it down first.");
        }
        self.is_busy
            .then_some("It is being exported or imported: wait for the end of that.")
    }

    /// Why nothing is kept of it, if so.
    fn why_not_kept(&self) -> Option<&'static str> {
        match self.disk.as_ref()?.1 {
            Fate::Kept => None,
            Fate::Discarded => Some("What is written to it is discarded at power off, as its settings say."),
            Fate::ReadOnly => Some("It is read-only."),
            Fate::OnlyRead | Fate::Snapshot => Some("Nothing that is written to it is kept."),
        }
    }

    /// Why its changes cannot be discarded, if so.
    pub(super) fn why_not_discard(&self) -> Option<&'static str> {
        let nothing = self.kept.is_none().then_some("Nothing is kept of it.");
        self.why_untouched().or(nothing)
    }

    /// Why nothing can be exported, if so.
    pub(super) fn why_not_export(&self) -> Option<&'static str> {
        let discarded = |(_, fate): &(VmDisk, Fate)| *fate == Fate::Discarded;
        match &self.disk {
            None => Some("The machine has this disk no more."),
            Some(disk) if discarded(disk) => self.why_not_kept(),
            Some(_) => self.why_untouched(),
        }
    }

    /// Why it cannot be exported so, where something can be.
    pub(super) fn why_not_as(&self, format: ExportAs) -> Option<&'static str> {
        let (disk, _) = self.disk.as_ref()?;
        match format {
            ExportAs::Overlay if self.kept.is_none() => {
                self.why_not_kept().or(Some("Nothing was written to it."))
            }
            ExportAs::Qcow2 | ExportAs::Qcow2Zlib | ExportAs::Qcow2Zstd => {
                let is_read = matches!(disk.format, DiskFormat::Raw | DiskFormat::Qcow2);
                (!is_read).then_some("Only raw and qcow2 disks are converted: export it as it is.")
            }
            ExportAs::Overlay | ExportAs::Raw => None,
        }
    }

    /// Why nothing can be imported, if so.
    pub(super) fn why_not_import(&self) -> Option<&'static str> {
        if self.disk.is_none() {
            return Some("The machine has this disk no more.");
        }
        let has_some = self
            .kept
            .is_some()
            .then_some("Discard its changes first: an import never overwrites.");
        self.why_not_kept().or_else(|| self.why_untouched()).or(has_some)
    }

    /// Why it cannot grow, if so.
    pub(super) fn why_not_grow(&self) -> Option<&'static str> {
        let Some((disk, fate)) = &self.disk else {
            return Some("The machine has this disk no more.");
        };
        match (disk.kind, fate) {
            (FileKind::Disk, Fate::Kept | Fate::Discarded) if self.in_use.is_some() => None,
            (FileKind::Disk, Fate::Kept | Fate::Discarded) => {
                Some("Disks grow while the machine runs: start it first.")
            }
            (FileKind::Disk, _) => self.why_not_kept(),
            _ => Some("Only hard disks grow."),
        }
    }
}

#[cfg(test)]
mod tests {
    use qemuweb_vm_config::Keep;
    use qemuweb_wire::VmState;

    use super::super::words::tests::{disk, in_use, told};
    use super::*;
    use crate::features::machines::words::tests::vm;

    fn kept(vm_id: &str, disk_id: &str, name: Option<&str>) -> KeptDisk {
        KeptDisk {
            vm_id: vm_id.into(),
            vm_name: name.map(Into::into),
            disk_id: disk_id.into(),
            size: Some(8 << 30),
            kept: 1 << 20,
            base: String::new(),
        }
    }

    /// The row of `disk0-1`, by what the VM's state, its disks and what is kept are.
    fn of(state: VmState, keep: Keep, is_kept: bool) -> Row {
        let (vm, defined) = (vm("a", state), [disk("disk0", keep)]);
        let kept = [kept("a", "disk0-1", Some("a name"))];
        let now = told(Some(2000.0), vec![in_use("disk0", 2048, 0)]);
        let known = Known {
            vm: &vm,
            defined: &defined,
            kept: if is_kept { &kept } else { &[] },
            before: &told(Some(1000.0), vec![in_use("disk0", 0, 0)]),
            now: &now,
        };
        row(&known, "disk0-1", false)
    }

    #[test]
    fn what_is_kept_of_former_disks_is_shown_and_that_of_others_is_not() {
        let (vm, defined) = (vm("a", VmState::NOT_STARTED), [disk("disk0", Keep::Changes)]);
        let kept = [
            kept("a", "old-1", Some("a name")),
            kept("a", "home-0", None),
            kept("b", "home-1", Some("b name")),
            kept("a", "disk0-1", Some("a name")),
        ];
        let nothing = ToldDisks::default();
        let known = Known {
            vm: &vm,
            defined: &defined,
            kept: &kept,
            before: &nothing,
            now: &nothing,
        };
        assert_eq!(ids(&known), ["disk0-1", "old-1"]);
        let old = row(&known, "old-1", false);
        assert_eq!((old.name(), old.why_not_discard()), ("old-1", None));
        assert!(
            old.why_not_export().is_some() && old.why_not_import().is_some() && old.why_not_grow().is_some()
        );
        assert_eq!(
            old.facts(),
            [("Size", "8.0 GiB".into()), ("Kept", "1.0 MiB".into())]
        );
    }

    #[test]
    fn a_disk_in_use_tells_how_and_can_grow_only() {
        let row = of(VmState::Running, Keep::Changes, true);
        assert_eq!(
            row.facts(),
            [
                ("Size", "8.0 GiB".to_owned()),
                ("Kept", "3.0 MiB".to_owned()),
                ("Not flushed", "4.0 KiB".to_owned()),
                ("Read", "2.0 KiB/s, 2.0 KiB in all".to_owned()),
                ("Written", "0 B/s, 0 B in all".to_owned()),
                ("Flushes", "7, 2.5 ms each".to_owned()),
            ]
        );
        assert_eq!(row.why_not_grow(), None);
        assert_eq!(row.size_of_disk(), Some(8 << 30));
        for why in [row.why_not_discard(), row.why_not_export(), row.why_not_import()] {
            assert!(why.unwrap().contains("shut it down"), "{why:?}");
        }
    }

    #[test]
    fn a_disk_at_rest_is_exported_and_discarded_or_imported() {
        let full = of(VmState::NOT_STARTED, Keep::Changes, true);
        assert_eq!((full.why_not_discard(), full.why_not_export()), (None, None));
        assert!(full.why_not_import().unwrap().contains("Discard"));
        assert!(full.why_not_grow().unwrap().contains("start it"));
        assert_eq!(full.why_not_as(ExportAs::Overlay), None);
        assert_eq!(full.facts().len(), 2, "nothing of the former run");
        let empty = of(VmState::NOT_STARTED, Keep::Changes, false);
        assert_eq!((empty.why_not_import(), empty.why_not_export()), (None, None));
        assert!(empty.why_not_discard().is_some() && empty.why_not_as(ExportAs::Overlay).is_some());
        let busy = Row {
            is_busy: true,
            ..full
        };
        assert!(busy.why_not_discard().is_some() && busy.why_not_export().is_some());
    }

    #[test]
    fn what_is_not_kept_is_neither_exported_nor_imported() {
        let discarded = of(VmState::NOT_STARTED, Keep::UntilPowerOff, false);
        assert!(discarded.why_not_export().is_some() && discarded.why_not_import().is_some());
        let read = of(VmState::NOT_STARTED, Keep::Nothing, false);
        assert_eq!(read.why_not_export(), None);
        assert_eq!(read.why_not_as(ExportAs::Raw), None);
        assert_eq!(read.why_not_as(ExportAs::Overlay), Some("It is read-only."));
        assert!(read.why_not_import().is_some() && read.why_not_grow().is_some());
        let mut foreign = of(VmState::NOT_STARTED, Keep::Changes, true);
        foreign.disk.as_mut().unwrap().0.format = DiskFormat::Vmdk;
        assert!(foreign.why_not_as(ExportAs::Qcow2).is_some());
        assert_eq!(foreign.why_not_as(ExportAs::Raw), None);
        assert_eq!(foreign.size_of_disk(), None);
    }
}
