//! The disks of a running VM: how they are used, and what fails.

use qemuweb_wire::topic::MachineDelta;

use super::{Cx, Service};
use crate::io::{Effect, RunId};
use crate::storage::{StorageCommand, StorageEvent};

/// How often the storage Worker is asked while somebody is subscribed, in milliseconds.
const ASK_MS: u32 = 1000;
/// What the timer of a run is known by: those of former runs find nothing.
fn reason(run: u64) -> u32 {
    run as u32
}

/// The service.
pub(crate) struct Disks;

impl<A> Service<A> for Disks {
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
            _ => return,
        };
        if cx.machine.info.disk_alarm != alarm {
            cx.machine.info.disk_alarm = alarm;
            cx.machine.touch();
        }
    }
}
