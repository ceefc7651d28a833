//! What a person can do with disks.

use std::rc::Rc;

use qemuweb_wire::call::{DiscardDisk, ExportDisk, GrowDisk, ImportDisk, SyncOverlay};
use qemuweb_wire::disk::{ExportAs, Exported, KeptDisk};
use qemuweb_wire::failure::Failure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, File};

use super::rows::Row;
use super::state::Disks;
use super::words;
use crate::cx::{Answer, not_connected};
use crate::kit::dialog::Confirm;
use crate::kit::files::{Chosen, download_blob};
use crate::kit::text;

impl Disks {
    /// Has all that the guest of a VM has written so far be kept.
    pub(super) fn flush(self, vm_id: &str) {
        let call = SyncOverlay {
            vm_id: vm_id.to_owned(),
        };
        self.said.set(String::new());
        self.cx.command_then(call, move |()| {
            self.said
                .set("All that the guest has written so far is kept.".to_owned());
        });
    }

    /// Forgets what was written to a disk, after asking.
    pub(super) fn ask_discard(self, vm_id: &str, row: &Row) {
        let vm = self
            .machines
            .vm(vm_id)
            .map_or_else(|| vm_id.to_owned(), |vm| vm.name.clone());
        let (amount, name) = (text::bytes(row.bytes_kept()), row.name().to_owned());
        let (vm_id, disk_id) = (vm_id.to_owned(), row.disk_id.clone());
        self.cx.confirm.set(Some(Confirm::new(
            format!("Discard {amount} of changes to {name} of {vm}?"),
            "All that the guest has ever written to this disk is lost, and it begins as its image again. There is no way \
             back; an export can be imported again.",
            "Discard",
            move || {
                let said = format!("Discarded {amount} of changes to {name}.");
                let call = DiscardDisk {
                    vm_id: vm_id.clone(),
                    disk_id: disk_id.clone(),
                };
                self.cx.command_then(call, move |()| {
                    self.said.set(said);
                    self.refresh();
                });
            },
        )));
    }

    /// Makes a file of a disk and has the browser save it.
    pub(super) fn export(self, vm_id: &str, row: &Row, format: ExportAs) {
        let Some(client) = self.cx.client() else {
            return self.cx.notices.report(not_connected());
        };
        let id = self.begin(vm_id, &row.disk_id, format!("Exporting {}", row.name()));
        let call = ExportDisk {
            vm_id: vm_id.to_owned(),
            disk_id: row.disk_id.clone(),
            format,
        };
        let progress = move |done, total| self.cx.run(|| self.progressed(id, done, total));
        let call = client.call_for_attachments(call, Some(Rc::new(progress)));
        self.change_job(id, |job| job.cancel = Some(call.canceller()));
        self.cx.later(call, move |result| {
            self.ended(id, result.and_then(|(exported, files)| save(&exported, files)));
        });
    }

    /// Takes over the changes of a disk from a file.
    pub(super) fn import(self, vm_id: &str, row: &Row, file: File) {
        let Some(client) = self.cx.client() else {
            return self.cx.notices.report(not_connected());
        };
        let Chosen { name, file, .. } = Chosen::file(file);
        let title = format!("Importing {} into {}", text::printable(&name, 80), row.name());
        let id = self.begin(vm_id, &row.disk_id, title);
        let call = ImportDisk {
            vm_id: vm_id.to_owned(),
            disk_id: row.disk_id.clone(),
        };
        let progress = move |done, total| self.cx.run(|| self.progressed(id, done, total));
        let call = client.call_with(call, vec![file], Some(Rc::new(progress)));
        self.change_job(id, |job| job.cancel = Some(call.canceller()));
        let done = format!("Imported the changes in {}.", text::printable(&name, 80));
        self.cx
            .later(call, move |result| self.ended(id, result.map(|()| done)));
    }

    /// Makes a disk of a running VM larger.
    pub(super) fn grow(self, vm_id: String, channel: String, size: u64) -> Answer<()> {
        self.cx.call(GrowDisk { vm_id, channel, size })
    }

    /// Forgets what is kept of disks whose VMs are gone, after asking.
    pub(super) fn ask_remove(self, disks: Vec<KeptDisk>) {
        let kept = text::bytes(disks.iter().map(|disk| disk.kept).sum());
        let what = match &disks[..] {
            [] => return,
            [disk] => format!("{} of {}", words::name(&disk.disk_id), owner(disk)),
            more => text::count(more.len(), "disk"),
        };
        self.cx.confirm.set(Some(Confirm::new(
            format!("Remove {what}, with {kept} of changes?"),
            "All that guests have written to it is lost. A machine that is brought back begins with new disks.",
            "Remove",
            move || self.remove(disks.clone()),
        )));
    }

    fn remove(self, disks: Vec<KeptDisk>) {
        let calls: Vec<Answer<()>> = disks
            .into_iter()
            .map(|KeptDisk { vm_id, disk_id, .. }| self.cx.call(DiscardDisk { vm_id, disk_id }))
            .collect();
        let all = async move {
            let mut failures = Vec::new();
            for call in calls {
                failures.extend(call.await.err());
            }
            failures
        };
        self.cx.later(all, move |failures| {
            failures
                .into_iter()
                .for_each(|failure| self.cx.notices.report(failure));
            self.refresh();
        });
    }
}

/// What people call the VM of a disk.
pub(super) fn owner(disk: &KeptDisk) -> &str {
    disk.vm_name.as_ref().unwrap_or(&disk.vm_id)
}

/// Has the browser save the file of an export, and says so.
fn save(exported: &Exported, files: Vec<JsValue>) -> Result<String, Failure> {
    let no_file = || Failure::new("expected a file of the disk, found none").with_next_step("Try again.");
    let blob: Blob = files
        .into_iter()
        .next()
        .and_then(|file| file.dyn_into().ok())
        .ok_or_else(no_file)?;
    download_blob(&blob, &exported.name).map_err(|_| no_file())?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "JavaScript's count of bytes: whole and positive"
    )]
    let size = text::bytes(blob.size() as u64);
    Ok(format!(
        "Exported {}, {size}, to the browser’s downloads.",
        exported.name
    ))
}
