//! The monitor's visitors: what people ask of it, what it tells, and how busy a VM is.
//!
//! QEMU has no clock of its vCPUs' time in a browser. Their share of time is the share of samples in which they were not
//! halted: QEMU tells that of x86 processors; an Arm processor is halted where its last instruction was WFI.

use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

use gloo_timers::callback::Interval;
use qemuweb_runtime::Failure;
use qemuweb_runtime::monitor::{
    Metrics, MonitorCommand, MonitorEvent, busy_processors, disk_bytes, guest_memory, is_wfi,
    program_counters, show_instruction_before,
};
use qemuweb_runtime::protocol::{Event, VmId};
use qemuweb_runtime::state::VmState;
use qemuweb_vm_config::{Arch, BALLOON};
use serde_json::{Value, json};
use wasm_bindgen_futures::spawn_local;

use super::clients::ClientId;
use super::commands::known;
use super::vm::Vm;
use super::{Run, SharedState, State, now};

/// How often a running VM's processors are looked at, in milliseconds. More often, and an idle VM is kept busy by it.
const SAMPLE_MS: u32 = 1000;
/// After how many of these looks a measurement is told.
const SAMPLES: u32 = 4;
/// Measurements that are kept for clients that come later.
const MAX_KEPT: usize = 60;
/// Events that are kept for clients that come later.
const MAX_EVENTS: usize = 100;
/// How often a guest's balloon driver is asked for its memory, in seconds.
const BALLOON_SECONDS: u32 = 5;

/// What is measured of a VM.
#[derive(Default)]
pub(super) struct Meter {
    /// Whether an answer is awaited.
    is_busy: bool,
    looks: u32,
    busy: u32,
    all: u32,
    kept: VecDeque<Metrics>,
    /// Where the guest's kernel waits for interrupts: program counters behind a WFI.
    waits: HashSet<u64>,
}

/// Asks a VM's monitor and waits for its answer.
pub(super) async fn ask_monitor(
    state: &SharedState,
    vm_id: &str,
    command: &MonitorCommand,
) -> Result<Value, Failure> {
    let (name, arguments) = command.to_qmp();
    let answer = known(state, vm_id, |vm| vm.execute(name, arguments))?;
    answer
        .await
        .unwrap_or_else(|_| Err(Failure::new("QEMU ended before it answered")))
}

/// Has the guest's balloon driver, if it has one, tell its memory from now on.
pub(super) fn ask_guest_for_memory(vm: &mut Vm) {
    let arguments = json!({
        "path": format!("/machine/peripheral/{BALLOON}"),
        "property": "guest-stats-polling-interval",
        "value": BALLOON_SECONDS,
    });
    // A machine without a balloon refuses, and its memory stays unknown.
    drop(vm.execute("qom-set", Some(arguments)));
}

impl State {
    /// Takes something that QEMU told.
    pub(super) fn note_event(&mut self, run: &Run, name: String, data: Value) {
        let event = MonitorEvent {
            at: now(),
            name,
            data,
        };
        if let Some(vm) = self.vm_in_run(run) {
            vm.events.push_back(event.clone());
            if vm.events.len() > MAX_EVENTS {
                vm.events.pop_front();
            }
        }
        let vm_id = run.vm_id.clone();
        self.clients
            .to_watchers(&run.vm_id, &Event::Monitor { vm_id, event });
    }

    /// Tells a client that watches from now on what there was before.
    pub(super) fn send_past(&self, client: ClientId, vm_id: &str) {
        let Some(vm) = self.vm(vm_id) else { return };
        for event in vm.events.iter().cloned() {
            let vm_id = vm_id.to_owned();
            self.clients.event(client, Event::Monitor { vm_id, event });
        }
        for metrics in vm.meter.kept.iter().copied() {
            let vm_id = vm_id.to_owned();
            self.clients.event(client, Event::Metrics { vm_id, metrics });
        }
    }

    /// The VMs that are to be looked at: they run, have booted, and somebody watches. A start has the processor to
    /// itself.
    fn due_for_a_look(&mut self) -> Vec<Run> {
        let clients = &self.clients;
        let due = self.vms.iter_mut().filter(|vm| {
            vm.info.state == VmState::Running
                && vm.info.progress.is_none()
                && !vm.meter.is_busy
                && clients.is_watched(&vm.info.vm_id)
        });
        due.map(|vm| {
            vm.meter.is_busy = true;
            Run {
                vm_id: vm.info.vm_id.clone(),
                number: vm.run,
            }
        })
        .collect()
    }
}

/// Measures all VMs as long as the host lives.
pub(super) fn keep_measuring(state: &SharedState) {
    let state = Rc::downgrade(state);
    Interval::new(SAMPLE_MS, move || {
        let Some(state) = state.upgrade() else { return };
        let runs = state.borrow_mut().due_for_a_look();
        for run in runs {
            let state = Rc::clone(&state);
            spawn_local(async move { look(&state, &run).await });
        }
    })
    .forget();
}

/// Looks at a VM's processors, and every [`SAMPLES`] looks at the rest.
async fn look(state: &SharedState, run: &Run) {
    let arch = state.borrow().vm(&run.vm_id).map(|vm| vm.info.arch);
    if let Some(registers) = ask_hmp(state, run, "info registers -a".to_owned()).await {
        let counted = match arch {
            Some(Arch::Aarch64) => Some(busy_arm_processors(state, run, &registers).await),
            _ => busy_processors(&registers),
        };
        if let (Some((busy, all)), Some(vm)) = (counted, state.borrow_mut().vm_in_run(run)) {
            vm.meter.busy += busy;
            vm.meter.all += all;
        }
    }
    let is_due = {
        let mut state = state.borrow_mut();
        let Some(vm) = state.vm_in_run(run) else { return };
        vm.meter.is_busy = false;
        vm.meter.looks += 1;
        vm.meter.looks.is_multiple_of(SAMPLES)
    };
    if is_due {
        measure(state, run).await;
    }
}

async fn ask_hmp(state: &SharedState, run: &Run, line: String) -> Option<String> {
    let answer = ask_monitor(state, &run.vm_id, &MonitorCommand::Hmp { line }).await;
    answer.ok()?.as_str().map(str::to_owned)
}

/// How many Arm processors are not halted, and how many there are. A kernel waits at few places: each is looked up once.
async fn busy_arm_processors(state: &SharedState, run: &Run, registers: &str) -> (u32, u32) {
    let (mut busy, mut all) = (0, 0);
    for pc in program_counters(registers) {
        all += 1;
        let is_known = |vm: &mut Vm| vm.meter.waits.contains(&pc);
        if state.borrow_mut().vm_in_run(run).is_some_and(is_known) {
            continue;
        }
        let before = ask_hmp(state, run, show_instruction_before(pc)).await;
        if before.is_some_and(|word| is_wfi(&word)) {
            if let Some(vm) = state.borrow_mut().vm_in_run(run) {
                vm.meter.waits.insert(pc);
            }
        } else {
            busy += 1;
        }
    }
    (busy, all)
}

async fn measure(state: &SharedState, run: &Run) {
    let Ok(blocks) = ask_monitor(state, &run.vm_id, &MonitorCommand::QueryBlockStats).await else {
        return;
    };
    let stats = MonitorCommand::Other {
        execute: "qom-get".to_owned(),
        arguments: Some(json!({
            "path": format!("/machine/peripheral/{BALLOON}"),
            "property": "guest-stats",
        })),
    };
    let memory = ask_monitor(state, &run.vm_id, &stats).await.ok();
    let memory = memory.and_then(|stats| guest_memory(&stats));
    let (disk_read, disk_written) = disk_bytes(&blocks);
    let mut state = state.borrow_mut();
    let Some(vm) = state.vm_in_run(run) else { return };
    let meter = &mut vm.meter;
    let (busy, all) = (std::mem::take(&mut meter.busy), std::mem::take(&mut meter.all));
    let metrics = Metrics {
        at: now(),
        cpu: (all > 0).then(|| f64::from(busy) / f64::from(all)),
        memory_used: memory.map(|(used, _)| used),
        memory_total: memory.map(|(_, total)| total),
        disk_read,
        disk_written,
    };
    meter.kept.push_back(metrics);
    if meter.kept.len() > MAX_KEPT {
        meter.kept.pop_front();
    }
    let vm_id: VmId = run.vm_id.clone();
    state
        .clients
        .to_watchers(&run.vm_id, &Event::Metrics { vm_id, metrics });
}
