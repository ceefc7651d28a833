//! The disks of a running VM: how they are used, what fails, and how they grow.

use std::collections::VecDeque;

use qemuweb_wire::Failure;
use qemuweb_wire::call::{Call, GrowDisk};
use qemuweb_wire::topic::MachineDelta;
use serde_json::{Value, json};

use super::{Cx, Request, Service};
use crate::clients::Ticket;
use crate::control::Asker;
use crate::io::{Effect, RunId};
use crate::storage::{StorageCommand, StorageEvent};

/// How often the storage Worker is asked while somebody is subscribed, in milliseconds.
const ASK_MS: u32 = 1000;
/// The only thing that QEMU is asked: how large its disks are.
const SIZES: u32 = 0;

/// Refuses what would make a disk smaller, by what `query-block` tells.
fn check_growth(blocks: &Value, call: &GrowDisk) -> Result<(), Failure> {
    let mut blocks = blocks.as_array().into_iter().flatten();
    let block = blocks.find(|block| block["device"] == call.channel);
    let size = block.and_then(|block| block["inserted"]["image"]["virtual-size"].as_u64());
    let size = size.ok_or_else(|| Failure::new(format!("this VM has no disk {:?}", call.channel)))?;
    if call.size < size {
        let failure = Failure::new(format!(
            "expected a size of {size} bytes or more for {}, found {}",
            call.channel, call.size
        ));
        return Err(failure.with_next_step("A disk only grows: copy what is in it to a smaller one."));
    }
    Ok(())
}

/// What the timer of a run is known by: those of former runs find nothing.
fn reason(run: u64) -> u32 {
    run as u32
}

/// The service.
#[derive(Default)]
pub(crate) struct Disks {
    /// Who waits for what was written to be kept.
    waiting: Vec<Ticket>,
    /// Who wants a disk to be larger, while QEMU is asked how large it is.
    growing: VecDeque<(Ticket, GrowDisk)>,
}

impl<A> Service<A> for Disks {
    fn vm_of_call<'a>(&self, call: &'a Call) -> Option<&'a str> {
        match call {
            Call::SyncOverlay(call) => Some(&call.vm_id),
            Call::GrowDisk(call) => Some(&call.vm_id),
            _ => None,
        }
    }

    fn call(&mut self, call: Call, request: Request<A>, cx: &mut Cx<'_, A>) {
        let ticket = request.ticket;
        if let Call::GrowDisk(call) = call {
            return match cx.ask("query-block", None, SIZES) {
                Ok(()) => self.growing.push_back((ticket, call)),
                Err(failure) => cx.reply::<()>(ticket, Err(failure.with_next_step("Start the VM first."))),
            };
        }
        match cx.machine.run().filter(|_| cx.machine.has_disks) {
            Some(run) => {
                let tag = ticket.number();
                cx.hub.act(Effect::AskStorage(run, StorageCommand::Sync { tag }));
                self.waiting.push(ticket);
            }
            // All is kept when a run has ended.
            None => cx.reply(ticket, Ok(())),
        }
    }

    fn answered(&mut self, _reason: u32, answer: Result<Value, Failure>, cx: &mut Cx<'_, A>) {
        let Some((ticket, call)) = self.growing.pop_front() else {
            return;
        };
        // QEMU would cut off a disk that has a format of its own.
        let asked = answer
            .and_then(|blocks| check_growth(&blocks, &call))
            .and_then(|()| {
                let arguments = json!({ "device": call.channel, "size": call.size });
                let asker = Asker::Obeyed(ticket);
                cx.machine.execute("block_resize", Some(arguments), asker)
            });
        if let Err(failure) = asked {
            cx.reply::<()>(ticket, Err(failure));
        }
    }

    fn unanswered(&self) -> &[Ticket] {
        &self.waiting
    }

    fn forget_call(&mut self, ticket: Ticket) {
        // Who wants a larger disk stays in its place, as QEMU's answers come in order.
        self.waiting.retain(|waiting| *waiting != ticket);
    }

    fn ended(&mut self, cx: &mut Cx<'_, A>) {
        for (ticket, _) in self.growing.drain(..) {
            cx.reply::<()>(
                ticket,
                Err(Failure::new("the VM ended before its disk was made larger")),
            );
        }
        for ticket in self.waiting.drain(..) {
            let failure = Failure::new("the VM ended before what it has written was kept");
            cx.reply::<()>(
                ticket,
                Err(failure.with_next_step("Start it again to see what is there.")),
            );
        }
    }

    fn started(&mut self, cx: &mut Cx<'_, A>) {
        cx.machine.info.disk_alarm = None;
        cx.wake(ASK_MS, reason(cx.machine.info.run));
    }

    fn woken(&mut self, woken_for: u32, cx: &mut Cx<'_, A>) {
        let is_meant = |run: &RunId| reason(run.0) == woken_for;
        let Some(run) = cx.machine.run().filter(is_meant).filter(|_| cx.machine.has_disks) else {
            return;
        };
        if cx.is_watched() || cx.machine.info.disk_alarm.is_some() {
            cx.hub.act(Effect::AskStorage(run, StorageCommand::Tell));
        }
        cx.wake(ASK_MS, woken_for);
    }

    fn disks(&mut self, said: &StorageEvent, cx: &mut Cx<'_, A>) {
        let alarm = match said {
            StorageEvent::Used { disks } => {
                cx.tell(&MachineDelta::Disks { disks: disks.clone() });
                disks.iter().find_map(|disk| disk.alarm.clone())
            }
            StorageEvent::Alarm { failure, .. } => Some(failure.clone()),
            StorageEvent::Synced { tag, failure } => {
                let answered: Vec<_> = self
                    .waiting
                    .extract_if(.., |ticket| ticket.number() == *tag)
                    .collect();
                for ticket in answered {
                    cx.reply(ticket, failure.clone().map_or(Ok(()), Err));
                }
                return;
            }
            _ => return,
        };
        if cx.machine.info.disk_alarm != alarm {
            cx.machine.info.disk_alarm = alarm;
            cx.machine.touch();
        }
    }
}
