//! What is told of the virtual machine that is shown while it runs.

use qemuweb_wire::client::Subscription;
use qemuweb_wire::disk::DiskUse;
use qemuweb_wire::monitor::{Metrics, MonitorEvent};
use qemuweb_wire::topic::{Machine, MachineDelta, MachineState};
use sycamore::prelude::*;

use crate::features::machines::state::Machines;
use crate::kit::browser;
use crate::kit::reactive::{effect, memo};

/// Measurements that are drawn: those of four minutes.
pub const MAX_METRICS: usize = 60;

/// The disks of a VM, as they were told of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToldDisks {
    /// When that was, in milliseconds since the epoch; nothing for what was known before this page asked.
    pub at: Option<f64>,
    /// The disks.
    pub disks: Vec<DiskUse>,
}

/// The monitor of the VM that is shown. It is measured while this is subscribed. Copies are the same.
#[derive(Clone, Copy)]
pub struct Monitors {
    /// The VMs.
    pub machines: Machines,
    /// QEMU's events, the latest last.
    pub events: Signal<Vec<MonitorEvent>>,
    /// How busy it was, every four seconds, the latest last.
    pub metrics: Signal<Vec<Metrics>>,
    /// How its disks are used, every second.
    pub disks: Signal<ToldDisks>,
}

impl Monitors {
    /// Nothing told yet. Call it in the root scope.
    pub fn new(machines: Machines) -> Self {
        let monitors = Self {
            machines,
            events: create_signal(Vec::new()),
            metrics: create_signal(Vec::new()),
            disks: create_signal(ToldDisks::default()),
        };
        let cx = machines.cx;
        let shown = memo(move || machines.shown.with(|vm| vm.as_ref().map(|vm| vm.vm_id.clone())));
        let subscription = create_signal(None::<Subscription>);
        effect(move || {
            let client = cx.client_tracked();
            let vm_id = shown.get_clone();
            monitors.events.set(Vec::new());
            monitors.metrics.set(Vec::new());
            monitors.disks.set(ToldDisks::default());
            let new = vm_id.zip(client).map(|(vm_id, client)| {
                client.subscribe(&Machine { vm_id }, move |news| {
                    cx.run(|| monitors.heard(news.state, news.delta));
                })
            });
            subscription.set_silent(new);
        });
        monitors
    }

    /// Those of the page that a component is in.
    pub fn here() -> Self {
        use_context()
    }

    /// Takes in what is known, of which `delta` is new.
    pub fn heard(self, state: &MachineState, delta: Option<&MachineDelta>) {
        let is_all = matches!(delta, None | Some(MachineDelta::Started));
        if is_all || matches!(delta, Some(MachineDelta::Event { .. })) {
            self.events.set(state.events.clone());
        }
        if is_all || matches!(delta, Some(MachineDelta::Measured { .. })) {
            let first = state.metrics.len().saturating_sub(MAX_METRICS);
            self.metrics.set(state.metrics[first..].to_vec());
        }
        if is_all || matches!(delta, Some(MachineDelta::Disks { .. })) {
            self.disks.set(ToldDisks {
                at: (!is_all).then(browser::now),
                disks: state.disks.clone(),
            });
        }
    }
}
