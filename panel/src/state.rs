//! What the panel shows: signals, fed by the host's events.
//!
//! The host owns all state; this is a view of it and goes with the page. All signals live in the root scope,
//! as long as the page, so that handlers and tasks may hold them. While a signal is borrowed (`with`), no signal
//! may be set or made, and nothing be called that does: such code takes a clone.

use std::cmp::Ordering::Equal;
use std::collections::{BTreeMap, HashMap, VecDeque};

use qemuweb_runtime::RuntimeCapabilities;
use qemuweb_runtime::failure::Failure;
use qemuweb_runtime::monitor::{Metrics, MonitorEvent};
use qemuweb_runtime::protocol::{Event, LogLevel, StorageUse, StoredInfo, VmId, VmInfo};
use qemuweb_vm_config::{StoredFile, VmProfile, find_profile};
use sycamore::prelude::*;

use crate::dialog::Confirm;
use crate::stored_files::Storing;

/// Log lines that are kept, of all VMs together.
const MAX_LOG_LINES: usize = 500;

/// Events of a VM's monitor that are shown.
const MAX_EVENTS: usize = 100;

/// Measurements of a VM that are drawn.
const MAX_METRICS: usize = 60;

/// Failures that are shown at a time; older ones go.
const MAX_NOTICES: usize = 3;

/// Whether there is a host to speak to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Being looked for.
    Connecting,
    /// There.
    Connected,
    /// Gone, or never found.
    Lost(Failure),
}

/// A failure that waits to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Tells it from others.
    pub key: u32,
    /// What failed.
    pub failure: Failure,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Which VM, if it belongs to one.
    pub vm_id: Option<VmId>,
    /// How grave it is.
    pub level: LogLevel,
    /// The line.
    pub message: String,
}

/// The tabs of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tab {
    /// The serial console.
    Console,
    /// Configuration, times, log.
    Details,
    /// QEMU's monitor and what is measured.
    Monitor,
    /// Name and hardware.
    Settings,
}

/// What is told of a VM while it runs: the latest last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// QEMU's events.
    pub events: VecDeque<MonitorEvent>,
    /// How busy it was, every four seconds.
    pub metrics: VecDeque<Metrics>,
}

/// A VM that was just removed and can be brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Its id.
    pub vm_id: VmId,
    /// Its name.
    pub name: String,
}

/// The signals of a page.
#[derive(Clone, Copy)]
pub struct Store {
    /// Whether there is a host.
    pub connection: Signal<Connection>,
    /// All VMs, in the order in which they were defined.
    pub vms: Signal<Vec<VmInfo>>,
    /// The profiles that people have made.
    pub profiles: Signal<Vec<VmProfile>>,
    /// What is told of VMs while they run.
    pub told: Signal<HashMap<VmId, Told>>,
    /// The VM that was removed last, as long as that can be undone from here.
    pub removed: Signal<Option<Removed>>,
    /// The profile that the launcher's form was last asked to show.
    pub template: Signal<Option<VmProfile>>,
    /// The files that are stored.
    pub stored: Signal<Vec<StoredInfo>>,
    /// How full the storage is.
    pub storage: Signal<Option<StorageUse>>,
    /// The file that is being stored.
    pub storing: Signal<Option<Storing>>,
    /// The stored file that was deleted last, as long as that can be undone from here.
    pub deleted_file: Signal<Option<StoredFile>>,
    /// The person's profile that was deleted last, likewise.
    pub deleted_profile: Signal<Option<VmProfile>>,
    /// The stored file that the launcher's form was last asked to use.
    pub offered: Signal<Option<StoredInfo>>,
    /// The sizes of the package's guest images in bytes, by path below `guest/`.
    pub image_sizes: Signal<BTreeMap<String, u64>>,
    /// What the host's browser offers.
    pub capabilities: Signal<Option<RuntimeCapabilities>>,
    /// The VM that is shown.
    pub selected: Signal<Option<VmId>>,
    /// Whether the launcher is shown in place of a VM.
    pub launching: Signal<bool>,
    /// The tab that is shown.
    pub tab: Signal<Tab>,
    /// What VMs' names must contain to be listed.
    pub filter: Signal<String>,
    /// Failures that belong to no VM's state.
    pub notices: Signal<Vec<Notice>>,
    /// What the host logged, the latest last.
    pub log: Signal<VecDeque<LogLine>>,
    /// The question that waits for an answer.
    pub confirm: Signal<Option<Confirm>>,
    /// Whether the list of shortcuts is open.
    pub help: Signal<bool>,
    /// Whether the list of VMs is unfolded, where it folds.
    pub list_open: Signal<bool>,
    /// Whether the console's search bar is open.
    pub searching: Signal<bool>,
    /// Whether all keys go to the guest.
    pub captured: Signal<bool>,
    /// The time in milliseconds since the epoch, renewed while something is being timed.
    pub now: Signal<f64>,
    /// The view of the VM that is shown; nothing while the launcher is.
    pub shown: ReadSignal<Option<VmInfo>>,
    last_key: Signal<u32>,
}

impl Store {
    /// An empty store. Call it in the root scope.
    pub fn new(now: f64) -> Self {
        let vms = create_signal(Vec::<VmInfo>::new());
        let selected = create_signal(None::<VmId>);
        let launching = create_signal(false);
        let shown = create_selector(move || {
            if launching.get() {
                return None;
            }
            selected.with(|id| vms.with(|vms| vms.iter().find(|vm| Some(&vm.vm_id) == id.as_ref()).cloned()))
        });
        Self {
            connection: create_signal(Connection::Connecting),
            vms,
            profiles: create_signal(Vec::new()),
            told: create_signal(HashMap::new()),
            removed: create_signal(None),
            template: create_signal(None),
            stored: create_signal(Vec::new()),
            storage: create_signal(None),
            storing: create_signal(None),
            deleted_file: create_signal(None),
            deleted_profile: create_signal(None),
            offered: create_signal(None),
            image_sizes: create_signal(BTreeMap::new()),
            capabilities: create_signal(None),
            selected,
            launching,
            tab: create_signal(Tab::Console),
            filter: create_signal(String::new()),
            notices: create_signal(Vec::new()),
            log: create_signal(VecDeque::new()),
            confirm: create_signal(None),
            help: create_signal(false),
            list_open: create_signal(false),
            searching: create_signal(false),
            captured: create_signal(false),
            now: create_signal(now),
            shown,
            last_key: create_signal(0),
        }
    }

    /// Takes in an event. Console output is not the store's business.
    pub fn apply(&self, event: &Event) {
        match event {
            Event::Capabilities { capabilities } => self.capabilities.set(Some(capabilities.clone())),
            Event::VmList { vms } => self.vms.set(vms.clone()),
            Event::VmChanged { vm } => {
                self.vms
                    .update(|vms| match vms.iter_mut().find(|old| old.vm_id == vm.vm_id) {
                        Some(old) => old.clone_from(vm),
                        None => vms.push((**vm).clone()),
                    });
                // A failure of the VM's own is shown with the VM.
                if self
                    .notices
                    .with_untracked(|all| all.iter().any(|it| Some(&it.failure) == vm.failure.as_ref()))
                {
                    self.notices
                        .update(|all| all.retain(|it| Some(&it.failure) != vm.failure.as_ref()));
                }
            }
            Event::ProfileList { profiles } => self.profiles.set(profiles.clone()),
            Event::StoredFiles { files, storage } => {
                self.storing.set(None);
                self.stored.set(files.clone());
                self.storage.set(*storage);
            }
            Event::Storing { name, done, total } => self.storing.set(Some(Storing {
                name: name.clone(),
                done: *done,
                total: *total,
            })),
            Event::Monitor { vm_id, event } => self.told.update(|told| {
                let events = &mut told.entry(vm_id.clone()).or_default().events;
                if !events.contains(event) {
                    events.push_back(event.clone());
                }
                if events.len() > MAX_EVENTS {
                    events.pop_front();
                }
            }),
            Event::Metrics { vm_id, metrics } => self.told.update(|told| {
                let kept = &mut told.entry(vm_id.clone()).or_default().metrics;
                // A client that watches again is told again what it knows.
                if kept.back().is_none_or(|last| last.at < metrics.at) {
                    kept.push_back(*metrics);
                }
                if kept.len() > MAX_METRICS {
                    kept.pop_front();
                }
            }),
            Event::VmRemoved { vm_id } => {
                self.told.update(|told| drop(told.remove(vm_id)));
                self.vms.update(|vms| vms.retain(|vm| vm.vm_id != *vm_id));
                if self.selected.with(|selected| selected.as_ref() == Some(vm_id)) {
                    self.selected.set(None);
                }
            }
            Event::Progress { vm_id, progress } => self.vms.update(|vms| {
                if let Some(vm) = vms.iter_mut().find(|vm| vm.vm_id == *vm_id) {
                    vm.progress = Some(*progress);
                }
            }),
            Event::Log {
                vm_id,
                level,
                message,
            } => self.log.update(|log| {
                log.push_back(LogLine {
                    vm_id: vm_id.clone(),
                    level: *level,
                    message: message.clone(),
                });
                if log.len() > MAX_LOG_LINES {
                    log.pop_front();
                }
            }),
            Event::Error { vm_id, failure } => {
                let vm = vm_id.as_ref().and_then(|vm_id| self.vm(vm_id));
                if vm.is_none_or(|vm| vm.failure.as_ref() != Some(failure)) {
                    self.report(failure.clone());
                }
            }
            // `VmChanged` comes with these.
            Event::VmStarted { .. }
            | Event::VmStopped { .. }
            | Event::VmHandles { .. }
            | Event::SerialOut { .. }
            | Event::CaptureAnnotated { .. } => {}
        }
    }

    /// Shows a failure until it is dismissed.
    pub fn report(&self, failure: Failure) {
        let key = self.last_key.get_untracked() + 1;
        self.last_key.set(key);
        self.notices.update(|notices| {
            // The same thing that fails again needs no second place.
            notices.retain(|notice| notice.failure != failure);
            notices.push(Notice { key, failure });
            if notices.len() > MAX_NOTICES {
                notices.remove(0);
            }
        });
    }

    /// Takes a failure away.
    pub fn dismiss(&self, key: u32) {
        self.notices
            .update(|notices| notices.retain(|notice| notice.key != key));
    }

    /// A VM's view as it is now, without tracking.
    pub fn vm(&self, vm_id: &str) -> Option<VmInfo> {
        self.vms
            .with_untracked(|vms| vms.iter().find(|vm| vm.vm_id == vm_id).cloned())
    }

    /// The ids of the VMs that the filter lets through. Tracked.
    pub fn listed(&self) -> Vec<VmId> {
        let filter = self.filter.get_clone();
        self.vms.with(|vms| {
            let mut listed: Vec<_> = vms.iter().filter(|vm| passes(vm, &filter)).collect();
            // Favourites first, each in the order in which they were defined.
            listed.sort_by_key(|vm| !vm.favourite);
            listed.into_iter().map(|vm| vm.vm_id.clone()).collect()
        })
    }

    /// The VMs that a person is most likely to want: favourites, then those that were started last. Tracked.
    pub fn recent(&self, most: usize) -> Vec<VmInfo> {
        let mut vms = self.vms.get_clone();
        vms.retain(|vm| vm.favourite || vm.started_at > 0.0);
        vms.sort_by(|a, b| {
            (b.favourite, b.started_at)
                .partial_cmp(&(a.favourite, a.started_at))
                .unwrap_or(Equal)
        });
        vms.truncate(most);
        vms
    }

    /// The profile of this id, ours or the person's. Tracked.
    pub fn profile(&self, id: &str) -> Option<VmProfile> {
        find_profile(id).or_else(|| {
            self.profiles
                .with(|profiles| profiles.iter().find(|profile| profile.id == id).cloned())
        })
    }

    /// Whether something is being timed. Tracked.
    pub fn is_timing(&self) -> bool {
        self.vms.with(|vms| vms.iter().any(|vm| vm.state.is_active()))
    }

    /// Whether the launcher is what the main area shows. Tracked.
    pub fn shows_launcher(&self) -> bool {
        self.shown.with(Option::is_none)
    }
}

/// Whether the filter lets a VM through: each of its words is in the name, id, architecture or state.
pub fn passes(vm: &VmInfo, filter: &str) -> bool {
    let text = format!("{} {} {} {}", vm.name, vm.vm_id, vm.arch, vm.state.name()).to_lowercase();
    filter
        .to_lowercase()
        .split_whitespace()
        .all(|word| text.contains(word))
}

/// An id for a new VM: `stem`, or with the first number from 2 that makes it a new one.
pub fn new_vm_id(stem: &str, taken: &[VmInfo]) -> VmId {
    let is_free = |id: &VmId| taken.iter().all(|vm| vm.vm_id != *id);
    std::iter::once(stem.to_owned())
        .chain((2_u32..).map(|number| format!("{stem}-{number}")))
        .find(is_free)
        .unwrap_or_else(|| stem.to_owned())
}

#[cfg(test)]
mod tests {
    use qemuweb_runtime::protocol::{Phase, Progress};
    use qemuweb_runtime::state::VmState;

    use super::*;
    use crate::text::tests::vm;

    fn in_root(test: impl FnOnce(Store)) {
        let root = create_root(|| test(Store::new(0.0)));
        root.dispose();
    }

    #[test]
    fn events_change_the_list() {
        in_root(|store| {
            store.apply(&Event::VmList {
                vms: vec![vm("a", VmState::Running)],
            });
            store.apply(&Event::VmChanged {
                vm: Box::new(vm("b", VmState::Starting)),
            });
            store.apply(&Event::VmChanged {
                vm: Box::new(vm("a", VmState::Stopping)),
            });
            assert_eq!(store.listed(), ["a", "b"]);
            assert_eq!(store.vm("a").unwrap().state, VmState::Stopping);

            let progress = Progress {
                phase: Phase::Load,
                done: 1,
                total: None,
            };
            store.apply(&Event::Progress {
                vm_id: "b".into(),
                progress,
            });
            assert_eq!(store.vm("b").unwrap().progress, Some(progress));
        });
    }

    #[test]
    fn a_removed_vm_is_no_longer_shown() {
        in_root(|store| {
            store.apply(&Event::VmList {
                vms: vec![vm("a", VmState::NOT_STARTED)],
            });
            store.selected.set(Some("a".into()));
            assert!(!store.shows_launcher());
            store.apply(&Event::VmRemoved { vm_id: "a".into() });
            assert!(store.shows_launcher());
            assert!(store.selected.with(Option::is_none));
        });
    }

    #[test]
    fn the_same_failure_is_shown_once() {
        in_root(|store| {
            for message in ["x", "y", "x", "z", "w"] {
                store.report(Failure::new(message));
            }
            let shown = || {
                store.notices.with(|all| {
                    all.iter()
                        .map(|it| it.failure.message.clone())
                        .collect::<Vec<_>>()
                })
            };
            assert_eq!(shown(), ["x", "z", "w"]);
            let key = store.notices.with(|all| all[1].key);
            store.dismiss(key);
            assert_eq!(shown(), ["x", "w"]);
        });
    }

    #[test]
    fn a_failure_of_a_vm_is_shown_with_the_vm_only() {
        in_root(|store| {
            let failure = Failure::new("trap");
            store.apply(&Event::Error {
                vm_id: Some("a".into()),
                failure: failure.clone(),
            });
            assert_eq!(store.notices.with(Vec::len), 1);
            let crashed = VmInfo {
                failure: Some(failure.clone()),
                ..vm(
                    "a",
                    VmState::Crashed {
                        reason: "trap".into(),
                    },
                )
            };
            store.apply(&Event::VmChanged {
                vm: Box::new(crashed),
            });
            assert_eq!(store.notices.with(Vec::len), 0);
            store.apply(&Event::Error {
                vm_id: Some("a".into()),
                failure,
            });
            assert_eq!(store.notices.with(Vec::len), 0);
        });
    }

    #[test]
    fn the_filter_looks_at_name_architecture_and_state() {
        let vm = vm("router", VmState::Running);
        for filter in ["", "ROUT", "x86 running", "  name "] {
            assert!(passes(&vm, filter), "{filter:?}");
        }
        assert!(!passes(&vm, "router stopped"));
    }

    #[test]
    fn new_ids_are_new() {
        let taken = [vm("a", VmState::Running), vm("a-2", VmState::Running)];
        assert_eq!(new_vm_id("a", &taken), "a-3");
        assert_eq!(new_vm_id("b", &taken), "b");
    }
}
