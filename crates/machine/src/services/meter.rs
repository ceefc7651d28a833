//! How busy a VM is, while it runs, has booted, and somebody watches.
//!
//! QEMU has no clock of its vCPUs' time in a browser. Their share of time is the share of samples in which they were not
//! halted: QEMU tells that of x86 processors; an Arm processor is halted where its last instruction was WFI.

use std::collections::HashSet;

use qemuweb_vm_config::{Arch, BALLOON};
use qemuweb_wire::Failure;
use qemuweb_wire::monitor::Metrics;
use qemuweb_wire::topic::MachineDelta;
use serde_json::{Value, json};

use super::{Cx, Service};
use crate::lifecycle::RunState;
use crate::measure::{
    busy_processors, disk_bytes, guest_memory, is_wfi, program_counters, show_instruction_before,
};

/// How often a running VM's processors are looked at, in milliseconds. More often, and an idle VM is kept busy by it.
const SAMPLE_MS: u32 = 1000;
/// After how many of these looks a measurement is told.
const SAMPLES: u32 = 4;
/// How often a guest's balloon driver is asked for its memory, in seconds.
const BALLOON_SECONDS: u32 = 5;
/// Most places at which a guest's kernel waits that are remembered.
const MAX_WAITS: usize = 1000;

/// The reasons of our questions to QEMU: the registers, the disks, the guest's memory, and from there on the instructions before
/// program counters, in the order of [`Meter::unknown`].
const REGISTERS: u32 = 0;
const DISKS: u32 = 1;
const MEMORY: u32 = 2;
const INSTRUCTION: u32 = 3;

/// What is measured of a VM.
#[derive(Default)]
pub(super) struct Meter {
    /// Whether an answer is awaited.
    is_busy: bool,
    looks: u32,
    busy: u32,
    all: u32,
    /// Program counters of the latest look of which it is not known whether a WFI stands before them.
    unknown: Vec<u64>,
    /// How many of those are not answered yet.
    asked: usize,
    /// Where the guest's kernel waits for interrupts: program counters behind a WFI.
    waits: HashSet<u64>,
    disks: (u64, u64),
}

impl Meter {
    fn look<A>(&mut self, cx: &mut Cx<'_, A>) {
        let is_due = *cx.machine.life.run() == RunState::Running
            && cx.machine.info.progress.is_none()
            && !self.is_busy
            && cx.is_watched();
        if is_due {
            self.is_busy = ask_human(cx, "info registers -a", REGISTERS);
        }
    }

    fn take_registers<A>(&mut self, registers: &str, cx: &mut Cx<'_, A>) {
        if cx.machine.info.arch != Arch::Aarch64 {
            let (busy, all) = busy_processors(registers).unwrap_or_default();
            self.count(busy, all);
            return self.looked(cx);
        }
        let mut unknown = program_counters(registers);
        self.count(0, unknown.len() as u32);
        unknown.retain(|pc| !self.waits.contains(pc));
        self.unknown = unknown;
        self.asked = 0;
        for (index, pc) in self.unknown.iter().enumerate() {
            let asked = ask_human(cx, &show_instruction_before(*pc), INSTRUCTION + index as u32);
            self.asked += usize::from(asked);
        }
        if self.asked == 0 {
            self.looked(cx);
        }
    }

    /// A kernel waits at few places: each is looked up once.
    fn take_instruction<A>(&mut self, index: usize, memory: Option<&str>, cx: &mut Cx<'_, A>) {
        let Some(pc) = self.unknown.get(index).copied() else {
            return;
        };
        if memory.is_some_and(is_wfi) && self.waits.len() < MAX_WAITS {
            self.waits.insert(pc);
        } else {
            self.count(1, 0);
        }
        self.asked = self.asked.saturating_sub(1);
        if self.asked == 0 {
            self.looked(cx);
        }
    }

    fn count(&mut self, busy: u32, all: u32) {
        self.busy = self.busy.saturating_add(busy);
        self.all = self.all.saturating_add(all);
    }

    /// A look has ended; every [`SAMPLES`] looks the rest is asked for.
    fn looked<A>(&mut self, cx: &mut Cx<'_, A>) {
        self.looks += 1;
        self.is_busy = self.looks.is_multiple_of(SAMPLES) && cx.ask("query-blockstats", None, DISKS).is_ok();
    }

    fn measured<A>(&mut self, memory: Option<(u64, u64)>, cx: &mut Cx<'_, A>) {
        self.is_busy = false;
        let (busy, all) = (std::mem::take(&mut self.busy), std::mem::take(&mut self.all));
        let metrics = Metrics {
            at: cx.now(),
            cpu: (all > 0).then(|| f64::from(busy) / f64::from(all)),
            memory_used: memory.map(|(used, _)| used),
            memory_total: memory.map(|(_, total)| total),
            disk_read: self.disks.0,
            disk_written: self.disks.1,
        };
        cx.tell(&MachineDelta::Measured { metrics });
    }
}

fn ask_human<A>(cx: &mut Cx<'_, A>, line: &str, reason: u32) -> bool {
    let arguments = json!({ "command-line": line });
    cx.ask("human-monitor-command", Some(arguments), reason).is_ok()
}

fn balloon() -> String {
    format!("/machine/peripheral/{BALLOON}")
}

impl<A> Service<A> for Meter {
    fn started(&mut self, cx: &mut Cx<'_, A>) {
        *self = Self::default();
        cx.wake(SAMPLE_MS, 0);
    }

    /// The guest's balloon driver, if it has one, is to tell its memory. A machine without a balloon refuses, and its memory
    /// stays unknown.
    fn built(&mut self, cx: &mut Cx<'_, A>) {
        let arguments = json!({
            "path": balloon(),
            "property": "guest-stats-polling-interval",
            "value": BALLOON_SECONDS,
        });
        let _ = cx
            .machine
            .execute("qom-set", Some(arguments), crate::control::Asker::Nobody);
    }

    fn woken(&mut self, _reason: u32, cx: &mut Cx<'_, A>) {
        if cx.machine.life.is_active() {
            self.look(cx);
            cx.wake(SAMPLE_MS, 0);
        }
    }

    fn answered(&mut self, reason: u32, answer: Result<Value, Failure>, cx: &mut Cx<'_, A>) {
        let answer = answer.ok();
        match reason {
            REGISTERS => match answer.as_ref().and_then(Value::as_str) {
                Some(registers) => self.take_registers(registers, cx),
                None => self.looked(cx),
            },
            DISKS => {
                self.disks = answer.as_ref().map(disk_bytes).unwrap_or_default();
                let arguments = json!({ "path": balloon(), "property": "guest-stats" });
                self.is_busy = cx.ask("qom-get", Some(arguments), MEMORY).is_ok();
            }
            MEMORY => self.measured(answer.as_ref().and_then(guest_memory), cx),
            instruction => {
                let memory = answer.as_ref().and_then(Value::as_str);
                self.take_instruction((instruction - INSTRUCTION) as usize, memory, cx);
            }
        }
    }

    fn kept(&self) -> usize {
        (self.waits.len() + self.unknown.len()) * size_of::<u64>()
    }
}
