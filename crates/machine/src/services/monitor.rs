//! The monitor: what people ask of QEMU over QMP, and what it tells of its own accord.

use qemuweb_wire::call::{Call, RunMonitor};
use qemuweb_wire::monitor::MonitorEvent;
use qemuweb_wire::topic::{MachineDelta, MachineState, Topic};
use serde_json::{Value, json};

use super::{Cx, Place, Request, Service};
use crate::control::Asker;
use crate::machine::Machine;

/// The largest data of an event that is kept, as JSON, in bytes.
const LARGEST_DATA: usize = 16 << 10;

/// A VM's monitor.
pub(super) struct Monitor;

impl<A> Service<A> for Monitor {
    fn vm_of_call<'a>(&self, call: &'a Call) -> Option<&'a str> {
        let Call::RunMonitor(call) = call else { return None };
        Some(&call.vm_id)
    }

    fn place_of_topic<'a>(&self, topic: &'a Topic) -> Option<Place<'a>> {
        let Topic::Machine { vm_id } = topic else {
            return None;
        };
        Some(Place::Vm(vm_id))
    }

    fn snapshot(&self, machine: Option<&Machine>) -> Value {
        let nothing = MachineState::default();
        let told = machine.map_or(&nothing, |machine| &machine.told);
        serde_json::to_value(told).unwrap_or_default()
    }

    fn call(&mut self, call: Call, request: Request<A>, cx: &mut Cx<'_, A>) {
        let Call::RunMonitor(RunMonitor { command, .. }) = call else {
            return;
        };
        let (name, arguments) = command.to_qmp();
        let asked = cx.machine.execute(name, arguments, Asker::Call(request.ticket));
        if let Err(failure) = asked {
            cx.reply::<()>(request.ticket, Err(failure));
        }
    }

    fn started(&mut self, cx: &mut Cx<'_, A>) {
        cx.tell(&MachineDelta::Started);
    }

    fn event(&mut self, name: &str, data: &Value, cx: &mut Cx<'_, A>) {
        let size = data.to_string().len();
        let data = if size > LARGEST_DATA {
            json!({ "leftOut": format!("{size} bytes") })
        } else {
            data.clone()
        };
        let event = MonitorEvent {
            at: cx.now(),
            name: name.chars().take(100).collect(),
            data,
        };
        cx.tell(&MachineDelta::Event { event });
    }
}
