//! The disks of the VM that is shown, and what is kept of all, as the host tells of them.

use std::rc::Rc;

use qemuweb_wire::call::{ListDisks, VmDisks};
use qemuweb_wire::disk::{KeptDisk, VmDisk};
use qemuweb_wire::failure::Failure;
use qemuweb_wire::vm::VmId;
use sycamore::prelude::*;

use super::grow::Growing;
use super::jobs::Job;
use super::rows::{self, Known, Row};
use crate::cx::{Connection, Cx, LauncherTab, Tab};
use crate::features::library::state::Library;
use crate::features::machines::state::Machines;
use crate::features::monitor::state::{Monitors, ToldDisks};
use crate::kit::reactive::{effect, memo};

/// The disks. They are asked for while somebody looks at them. Copies are the same.
#[derive(Clone, Copy)]
pub struct Disks {
    pub(super) cx: Cx,
    pub(super) machines: Machines,
    pub(super) library: Library,
    /// How those of the VM that is shown are used, and how they were the second before.
    pub(super) now: Signal<ToldDisks>,
    before: Signal<ToldDisks>,
    /// What the VM that is shown is defined with, once that is known.
    pub(super) defined: Signal<Option<Vec<VmDisk>>>,
    /// What is kept of all disks, once that is known.
    pub(super) kept: Signal<Option<Vec<KeptDisk>>>,
    /// Why that is not known.
    pub(super) failure: Signal<Option<Failure>>,
    /// Exports and imports, at most one of a disk.
    pub(super) jobs: Signal<Vec<Rc<Job>>>,
    /// The disk that is to grow.
    pub(super) growing: Signal<Option<Growing>>,
    /// What was done, for people.
    pub(super) said: Signal<String>,
    /// How often it was asked: what is answered late is dropped.
    asked: Signal<u32>,
}

impl Disks {
    /// Nothing known yet. Call it in the root scope.
    pub fn new(monitors: Monitors, library: Library) -> Self {
        let machines = monitors.machines;
        let (cx, nav) = (machines.cx, machines.cx.nav);
        let disks = Self {
            cx,
            machines,
            library,
            now: monitors.disks,
            before: create_signal(ToldDisks::default()),
            defined: create_signal(None),
            kept: create_signal(None),
            failure: create_signal(None),
            jobs: create_signal(Vec::new()),
            growing: create_signal(None),
            said: create_signal(String::new()),
            asked: create_signal(0),
        };
        let former = create_signal(ToldDisks::default());
        effect(move || {
            let now = disks.now.get_clone();
            disks.before.set(former.replace_silent(now));
        });
        let shown = memo(move || machines.of_shown(|vm| Some(vm.vm_id.clone())));
        effect(move || {
            shown.track();
            disks.defined.set(None);
            disks.said.set(String::new());
        });
        let wanted = memo(move || {
            let is_connected = cx
                .connection
                .with(|connection| *connection == Connection::Connected);
            let of_vm = machines.of_shown(|vm| {
                let is_active = vm.state.is_active();
                Some((vm.vm_id.clone(), vm.revision, vm.run, is_active))
            });
            let shows_disks = of_vm.is_some() && nav.tab.get() == Tab::Disks;
            let shows_storage = of_vm.is_none() && nav.launcher.get() == LauncherTab::Files;
            let vm_ids = |vms: &Vec<Rc<_>>| vms.iter().map(id_of).collect::<Vec<_>>();
            (is_connected && (shows_disks || shows_storage)).then(|| {
                let used = library
                    .storage
                    .with(|storage| storage.map(|storage| storage.used));
                (of_vm, machines.vms.with(vm_ids), used)
            })
        });
        effect(move || {
            if wanted.with(Option::is_some) {
                untrack(|| disks.refresh());
            }
        });
        disks
    }

    /// Those of the page that a component is in.
    pub fn here() -> Self {
        use_context()
    }

    /// Asks the host anew.
    pub(super) fn refresh(self) {
        let number = self.asked.get_untracked().wrapping_add(1);
        self.asked.set_silent(number);
        let kept = self.cx.call(ListDisks {});
        let vm = self.machines.shown_now();
        let defined = vm.map(|vm| {
            let vm_id = vm.vm_id.clone();
            self.cx.call(VmDisks { vm_id })
        });
        let both = async move {
            let defined = match defined {
                Some(defined) => Some(defined.await?),
                None => None,
            };
            Ok::<_, Failure>((kept.await?, defined))
        };
        self.cx.later(both, move |answer| {
            if self.asked.get_untracked() != number {
                return;
            }
            match answer {
                Ok((kept, defined)) => batch(|| {
                    self.failure.set(None);
                    self.kept.set(Some(kept));
                    self.defined.set(defined);
                }),
                Err(failure) => self.failure.set(Some(failure)),
            }
        });
    }

    /// Something about what is known of the VM that is shown. Tracked.
    fn of_known<T>(self, get: impl FnOnce(&Known<'_>) -> T) -> Option<T> {
        let vm = self.machines.shown.get_clone()?;
        let defined = self.defined.get_clone()?;
        let kept = self.kept.get_clone().unwrap_or_default();
        let (before, now) = (self.before.get_clone(), self.now.get_clone());
        Some(get(&Known {
            vm: &vm,
            defined: &defined,
            kept: &kept,
            before: &before,
            now: &now,
        }))
    }

    /// The ids of the disks of the VM that is shown, once they are known. Tracked.
    pub(super) fn ids(self) -> Option<Vec<String>> {
        self.of_known(rows::ids)
    }

    /// A disk of the VM that is shown. Tracked.
    pub(super) fn row(self, disk_id: &str) -> Option<Row> {
        let vm_id = self.machines.of_shown(|vm| vm.vm_id.clone());
        let is_busy = self.job_of(&vm_id, disk_id).is_some_and(|job| job.is_under_way());
        self.of_known(|known| rows::row(known, disk_id, is_busy))
    }
}

fn id_of(vm: &Rc<qemuweb_wire::vm::VmInfo>) -> VmId {
    vm.vm_id.clone()
}
