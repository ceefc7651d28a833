//! What a VM has beside its life: each service has its own state, channels, calls, streams and topics, and knows no other.
//!
//! [`registry`] is the one place that names them all. The core asks each prototype what it is for ([`Service::channels`],
//! [`Service::vm_of_call`] and so on) and hands it what is its own; each VM has services of its own.

mod agent;
mod captures;
mod console;
mod disks;
mod meter;
mod monitor;

use std::rc::Rc;

use qemuweb_wire::Failure;
use qemuweb_wire::call::Call;
use qemuweb_wire::stream::StreamKind;
use qemuweb_wire::topic::{Machine as MachineTopic, MachineDelta, Subject, Topic};
use serde::Serialize;
use serde_json::Value;

use crate::clients::Ticket;
use crate::control::Asker;
use crate::hub::{Hub, Timer};
use crate::io::{Attached, StreamId};
use crate::machine::Machine;
use crate::storage::StorageEvent;

/// All services.
pub(crate) fn registry<A: Clone + 'static>() -> Vec<Box<dyn Service<A>>> {
    vec![
        Box::new(console::Console::default()),
        Box::new(monitor::Monitor),
        Box::new(meter::Meter::default()),
        Box::new(agent::Agent::default()),
        Box::new(captures::Captures::default()),
        Box::new(disks::Disks::default()),
    ]
}

/// A call for a service.
pub(crate) struct Request<A> {
    /// Who waits. Answered with [`Cx::reply`], now or later.
    pub(crate) ticket: Ticket,
    /// What belongs to it.
    pub(crate) attachments: Vec<Attached<A>>,
}

impl<A> Request<A> {
    /// The first attachment, which has to be bytes.
    pub(crate) fn bytes(&self) -> Result<Rc<[u8]>, Failure> {
        match self.attachments.first() {
            Some(Attached::Bytes(bytes)) => Ok(Rc::clone(bytes)),
            _ => Err(Failure::new("expected bytes as the first attachment")),
        }
    }
}

/// A topic that a service serves.
pub(crate) enum Place<'a> {
    /// It is of this VM.
    Vm(&'a str),
    /// It is of no VM in particular, and has no state.
    Anywhere,
}

/// One of a VM's services. What comes late from a former life does not come here.
pub(crate) trait Service<A> {
    /// The channels that are its own. A name stands for a kind.
    fn channels(&self) -> &'static [&'static str] {
        &[]
    }

    /// The VM of a call that is its own.
    fn vm_of_call<'a>(&self, _call: &'a Call) -> Option<&'a str> {
        None
    }

    /// The VM of a stream that is its own.
    fn vm_of_stream<'a>(&self, _stream: &'a StreamKind) -> Option<&'a str> {
        None
    }

    /// Whether a topic is its own.
    fn place_of_topic<'a>(&self, _topic: &'a Topic) -> Option<Place<'a>> {
        None
    }

    /// All of a topic of its own; without a VM if there is none.
    fn snapshot(&self, _machine: Option<&Machine>) -> Value {
        Value::Null
    }

    /// A call of its own. It answers it once: now, or when it can.
    fn call(&mut self, _call: Call, request: Request<A>, cx: &mut Cx<'_, A>) {
        cx.reply::<()>(request.ticket, Err(Failure::new("nobody serves this request")));
    }

    /// The calls that it has not answered yet.
    fn unanswered(&self) -> &[Ticket] {
        &[]
    }

    /// A call of its own is not waited for any more.
    fn forget_call(&mut self, _ticket: Ticket) {}

    /// A life begins.
    fn started(&mut self, _cx: &mut Cx<'_, A>) {}

    /// The machine is built.
    fn built(&mut self, _cx: &mut Cx<'_, A>) {}

    /// QEMU opened a channel of its own.
    fn channel_opened(&mut self, _channel: &str, _cx: &mut Cx<'_, A>) {}

    /// Bytes came on a channel of its own.
    fn received(&mut self, _channel: &str, _bytes: &[u8], _cx: &mut Cx<'_, A>) {}

    /// The guest's side took something out of a channel of its own; with `dropped`, because another program has it now.
    fn moved(&mut self, _channel: &str, _dropped: bool, _cx: &mut Cx<'_, A>) {}

    /// A program in the guest opened or closed a port that is a channel of its own.
    fn port_changed(&mut self, _channel: &str, _open: bool, _cx: &mut Cx<'_, A>) {}

    /// The terminal's size is another one: see [`Machine::terminal`].
    fn terminal_changed(&mut self, _cx: &mut Cx<'_, A>) {}

    /// QEMU told that something happened.
    fn event(&mut self, _name: &str, _data: &Value, _cx: &mut Cx<'_, A>) {}

    /// QEMU answered what this service asked with [`Cx::ask`].
    fn answered(&mut self, _reason: u32, _answer: Result<Value, Failure>, _cx: &mut Cx<'_, A>) {}

    /// The time is up for which this service asked with [`Cx::wake`].
    fn woken(&mut self, _reason: u32, _cx: &mut Cx<'_, A>) {}

    /// The VM's storage Worker told something of its disks.
    fn disks(&mut self, _said: &StorageEvent, _cx: &mut Cx<'_, A>) {}

    /// QEMU is gone.
    fn ended(&mut self, _cx: &mut Cx<'_, A>) {}

    /// The VM is forgotten, with a way back: nobody waits for it any more.
    fn removed(&mut self, _cx: &mut Cx<'_, A>) {}

    /// A client opened a stream of its own.
    fn stream_opened(&mut self, _stream: StreamId, _kind: &StreamKind, _cx: &mut Cx<'_, A>) {}

    /// Bytes came on a stream. `false` ends it: the client cannot be trusted.
    fn stream_data(&mut self, _stream: StreamId, _bytes: &[u8], _cx: &mut Cx<'_, A>) -> bool {
        false
    }

    /// The client takes so many bytes in all.
    fn stream_credit(&mut self, _stream: StreamId, _total: u64, _cx: &mut Cx<'_, A>) {}

    /// The client says something beside bytes.
    ///
    /// # Errors
    /// A [`Failure`] ends the stream.
    fn stream_note(&mut self, _stream: StreamId, _note: Value, _cx: &mut Cx<'_, A>) -> Result<(), Failure> {
        Ok(())
    }

    /// A stream is gone.
    fn stream_closed(&mut self, _stream: StreamId, _cx: &mut Cx<'_, A>) {}

    /// Bytes that it keeps.
    fn kept(&self) -> usize {
        0
    }
}

/// What a service works with.
pub(crate) struct Cx<'a, A> {
    pub(crate) hub: &'a mut Hub<A>,
    pub(crate) machine: &'a mut Machine,
    /// The service's place in the registry.
    pub(crate) service: usize,
}

impl<A> Cx<'_, A> {
    pub(crate) fn now(&self) -> f64 {
        self.hub.now
    }

    /// Answers a call.
    pub(crate) fn reply<T: Serialize>(&mut self, ticket: Ticket, reply: Result<T, Failure>) {
        self.hub.clients.reply(ticket, reply);
    }

    /// Asks QEMU; [`Service::answered`] hears the answer, with the same `reason`.
    ///
    /// # Errors
    /// A [`Failure`] when QEMU takes no commands.
    pub(crate) fn ask(
        &mut self,
        command: &str,
        arguments: Option<Value>,
        reason: u32,
    ) -> Result<(), Failure> {
        let asker = Asker::Service(self.service, reason);
        self.machine.execute(command, arguments, asker)
    }

    /// Has [`Service::woken`] called after so many milliseconds.
    pub(crate) fn wake(&mut self, after_ms: u32, reason: u32) {
        let timer = Timer::Service {
            vm_id: self.machine.info.vm_id.clone(),
            service: self.service,
            reason,
        };
        self.hub.wake(after_ms, timer);
    }

    /// Tells those who are subscribed to the VM, and keeps it for those who come later.
    pub(crate) fn tell(&mut self, delta: &MachineDelta) {
        MachineTopic::apply(&mut self.machine.told, delta);
        self.hub.clients.publish(&machine_topic(self.machine), delta);
    }

    /// Whether somebody is subscribed to the VM.
    pub(crate) fn is_watched(&self) -> bool {
        self.hub
            .clients
            .is_subscribed(&machine_topic(self.machine).topic())
    }
}

fn machine_topic(machine: &Machine) -> MachineTopic {
    MachineTopic {
        vm_id: machine.info.vm_id.clone(),
    }
}
