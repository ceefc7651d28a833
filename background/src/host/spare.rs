//! Spares: Workers that are started before anybody asks for a VM, and have fetched and compiled what its start is
//! likely to need.
//!
//! The browser shares the machine code of QEMU among all Workers with the same program. So a spare also keeps what was
//! compiled and optimized for a VM, when that has ended, for the next one.

use qemuweb_runtime::Failure;
use qemuweb_runtime::vm_worker::VmWorkerCommand;
use qemuweb_vm_config::{Arch, FileKind, InputSource, VmInputs, VmProfile, build_qemu_args};

use super::State;
use super::worker::VmWorker;

/// The Workers that wait for a VM, at most one for each architecture.
#[derive(Default)]
pub(super) struct Spares(Vec<Spare>);

struct Spare {
    /// Whose QEMU it has.
    arch: Arch,
    worker: VmWorker,
}

impl Spares {
    /// A Worker for a VM of `arch`. Without a spare for it, the others were wrong guesses, and go.
    ///
    /// # Errors
    /// As [`VmWorker::spawn`].
    pub(super) fn take(&mut self, arch: Arch) -> Result<VmWorker, Failure> {
        match self.0.iter().position(|spare| spare.arch == arch) {
            Some(index) => Ok(self.0.swap_remove(index).worker),
            None => {
                self.0.clear();
                VmWorker::spawn()
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl State {
    /// Prepares for a VM of this profile with the package's own images.
    pub(super) fn prepare_profile(&mut self, profile: &VmProfile) {
        let files = build_qemu_args(profile, &VmInputs::default(), None).files_to_mount;
        let guest_files = files.into_iter().filter_map(|file| match file.source {
            InputSource::Builtin(builtin) if file.kind != FileKind::Firmware => Some(builtin.path),
            _ => None,
        });
        self.prepare(profile.arch, guest_files.collect());
    }

    /// Prepares for a VM of `arch` with these files of the package's guests, unless there is nobody who could start a VM.
    pub(super) fn prepare(&mut self, arch: Arch, guest_files: Vec<String>) {
        let cannot_run = self.capabilities.missing().iter().any(|missing| missing.fatal);
        if cannot_run || self.clients.is_empty() {
            return;
        }
        let prepare = VmWorkerCommand::Prepare { arch, guest_files };
        if let Some(spare) = self.spares.0.iter().find(|spare| spare.arch == arch) {
            // It fetches what it does not have.
            spare.worker.post(&prepare, Vec::new());
            return;
        }
        // A start without a spare tells what is wrong.
        let Ok(worker) = VmWorker::spawn() else { return };
        let state = self.shared.clone();
        worker.listen(move |event| {
            if event.is_err()
                && let Some(state) = state.upgrade()
            {
                state.borrow_mut().spares.clear();
            }
        });
        worker.post(&prepare, Vec::new());
        self.spares.0.push(Spare { arch, worker });
    }
}
