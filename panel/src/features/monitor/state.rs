//! What is told of virtual machines while they run.

use std::collections::{HashMap, VecDeque};

use qemuweb_runtime::monitor::{Metrics, MonitorEvent};
use qemuweb_runtime::protocol::{Event, VmId};
use sycamore::prelude::*;

use crate::features::machines::state::Machines;

/// Events of a VM's monitor that are shown.
const MAX_EVENTS: usize = 100;

/// Measurements of a VM that are drawn.
const MAX_METRICS: usize = 60;

/// What is told of a VM while it runs: the latest last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// QEMU's events.
    pub events: VecDeque<MonitorEvent>,
    /// How busy it was, every four seconds.
    pub metrics: VecDeque<Metrics>,
}

/// The monitors. Copies are the same.
#[derive(Clone, Copy)]
pub struct Monitors {
    /// The VMs that they are of.
    pub machines: Machines,
    told: Signal<HashMap<VmId, Told>>,
}

impl Monitors {
    /// Nothing told yet. Call it in the root scope.
    pub fn new(machines: Machines) -> Self {
        Self {
            machines,
            told: create_signal(HashMap::new()),
        }
    }

    /// Those of the page that a component is in.
    pub fn here() -> Self {
        use_context()
    }

    /// Takes in an event.
    pub fn apply(self, event: &Event) {
        match event {
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
            Event::VmRemoved { vm_id } => self.told.update(|told| drop(told.remove(vm_id))),
            _ => {}
        }
    }

    /// Something of what was told of the VM that is shown. Tracked.
    pub fn of_shown<T: Default>(self, get: impl FnOnce(&Told) -> T) -> T {
        self.machines.cx.nav.selected.with(|vm_id| {
            let vm_id = vm_id.as_deref().unwrap_or_default();
            self.told
                .with(|told| told.get(vm_id).map(get).unwrap_or_default())
        })
    }
}
