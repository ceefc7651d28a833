//! A VM's captures: what waits for its two ports, how far each is, and what the guest answers.
//!
//! Clients push lines; they land in one bounded [`Queue`] per VM. Each port goes through it at the pace of its guest, and
//! only while a program there has it open. A program that closes its port amid a line leaves it whole to the next one: QEMU
//! drops the rest, and it comes again. The queue outlives a run, so a restarted VM goes on where the former one stopped. A
//! client whose lines fill much of it is answered only when the guest has read on, so that what it has beyond waits with it and
//! is not lost here.

use std::collections::BTreeMap;
use std::rc::Rc;

use qemuweb_capture::annotation::{Annotation, Annotations};
use qemuweb_capture::jsonl::{self, Line};
use qemuweb_capture::{Next, PacketWriter, Queue, Reader};
use qemuweb_vm_config::{CAPTURE_CHANNEL, PACKET_CHANNEL};
use qemuweb_wire::call::Call;
use qemuweb_wire::topic::{Capture as CaptureTopic, Topic};
use qemuweb_wire::vm::{CapturePort, CaptureStatus};

use super::{Cx, Place, Request, Service};
use crate::clients::Ticket;
use crate::machine::Machine;

/// Most bytes that wait for one VM: as many as the longest line has, so that none is refused.
const MAX_BYTES: usize = jsonl::MAX_LINE;
/// Most exchanges that wait for one VM.
const MAX_LINES: usize = 50_000;
/// A client waits while more bytes than these wait for the guest.
const MUCH: usize = 8 << 20;
/// No more is handed to a port while this many bytes wait there, so that the queue, which counts, does the waiting.
const AHEAD: usize = 256 << 10;
/// How often at most clients are told how captures are, in milliseconds.
const NEWS_MS: u32 = 200;

/// One VM's captures.
pub(super) struct Captures {
    queue: Queue<Rc<[u8]>>,
    /// Calls that wait until there is room again.
    held: Vec<Ticket>,
    lines: Port,
    packets: Port,
    writer: PacketWriter,
    annotations: Annotations,
    /// Whether clients are going to be told how it goes.
    to_tell: bool,
}

struct Port {
    channel: &'static str,
    reader: Reader,
    open: bool,
    sent: u64,
    /// Bytes that were taken before those that the reader counts.
    before: u64,
}

impl Port {
    fn new(channel: &'static str) -> Self {
        Self {
            channel,
            reader: Reader::default(),
            open: false,
            sent: 0,
            before: 0,
        }
    }

    /// Notes what was taken.
    fn confirm(&mut self, machine: &Machine) {
        if let Some(outbox) = machine.outbox(self.channel) {
            self.reader.confirm(outbox.taken().saturating_sub(self.before));
        }
    }

    /// Another program reads on, for whom all comes again that was not taken whole.
    fn rewind(&mut self, machine: &Machine) {
        self.reader.rewind();
        self.before = machine.outbox(self.channel).map_or(0, |outbox| outbox.taken());
    }

    fn pump(
        &mut self,
        queue: &Queue<Rc<[u8]>>,
        machine: &mut Machine,
        mut write: impl FnMut(&Next<Rc<[u8]>>) -> std::io::Result<Rc<[u8]>>,
    ) {
        while self.open
            && machine
                .outbox(self.channel)
                .is_some_and(|outbox| outbox.queued() < AHEAD)
        {
            let Some(next) = queue.next(&mut self.reader) else {
                return;
            };
            let Ok(bytes) = write(&next) else {
                self.reader.lost();
                continue;
            };
            self.reader.sent(bytes.len());
            machine.send(self.channel, bytes);
            self.sent += u64::from(matches!(next, Next::Line(line) if !jsonl::is_gap(&line)));
        }
    }
}

impl Default for Captures {
    fn default() -> Self {
        Self {
            queue: Queue::new(MAX_BYTES, MAX_LINES),
            held: Vec::new(),
            lines: Port::new(CAPTURE_CHANNEL),
            packets: Port::new(PACKET_CHANNEL),
            writer: PacketWriter::new(),
            annotations: Annotations::default(),
            to_tell: false,
        }
    }
}

impl Captures {
    fn push(&mut self, lines: &[u8]) {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if line.ends_with(b"\n") {
                self.queue.push(Rc::from(line), line.len());
            }
        }
    }

    /// Answers all calls that wait until there is room.
    fn release<A>(&mut self, cx: &mut Cx<'_, A>) {
        for ticket in self.held.drain(..) {
            cx.reply(ticket, Ok(()));
        }
    }

    /// Whether a reader that matters has little before it: one that is there, or the lines' if none is.
    fn has_room(&self) -> bool {
        let is_ahead = |port: &Port| {
            self.queue.waiting_bytes(&port.reader) <= MUCH
                && self.queue.waiting(&port.reader) <= MAX_LINES as u64 / 2
        };
        let ports = [&self.lines, &self.packets];
        if ports.iter().any(|port| port.open) {
            ports.into_iter().filter(|port| port.open).all(is_ahead)
        } else {
            is_ahead(&self.lines)
        }
    }

    /// Sends to each port as much as it has room for.
    fn pump<A>(&mut self, cx: &mut Cx<'_, A>) {
        let Self {
            queue,
            lines,
            packets,
            writer,
            ..
        } = self;
        lines.confirm(cx.machine);
        packets.confirm(cx.machine);
        lines.pump(queue, cx.machine, |next| match next {
            Next::Gap(dropped) => {
                let mut bytes = Vec::new();
                jsonl::write_gap(&mut bytes, *dropped)?;
                Ok(bytes.into())
            }
            Next::Line(line) => Ok(Rc::clone(line)),
        });
        packets.pump(queue, cx.machine, |next| {
            let mut bytes = Vec::new();
            // Other lines than exchanges have no packets.
            if let Next::Line(line) = next
                && let Ok(Line::Exchange { exchange, .. }) = jsonl::read(line)
            {
                writer.write(&mut bytes, &exchange)?;
            }
            Ok(bytes.into())
        });
        if !self.held.is_empty() && self.has_room() {
            self.release(cx);
        }
        self.tell_soon(cx);
    }

    /// A reader that has seen nothing yet needs a section's start.
    fn start_section<A>(&mut self, cx: &mut Cx<'_, A>) {
        let mut bytes = Vec::new();
        // Memory takes all.
        if self.writer.start_section(&mut bytes).is_ok() && cx.machine.outbox(PACKET_CHANNEL).is_some() {
            self.packets.reader.sent_beside(bytes.len());
            cx.machine.send(PACKET_CHANNEL, bytes);
        }
    }

    fn status(&self) -> CaptureStatus {
        let status = |port: &Port| CapturePort {
            open: port.open,
            sent: port.sent,
            waiting: self.queue.waiting(&port.reader),
            dropped: self.queue.dropped(&port.reader),
        };
        CaptureStatus {
            lines: status(&self.lines),
            packets: status(&self.packets),
            bytes: self.queue.bytes() as u64,
        }
    }

    /// Has clients told how it goes: many changes make one message.
    fn tell_soon<A>(&mut self, cx: &mut Cx<'_, A>) {
        if self.status() != cx.machine.info.capture && !std::mem::replace(&mut self.to_tell, true) {
            cx.wake(NEWS_MS, 0);
        }
    }

    fn tell<A>(&mut self, cx: &mut Cx<'_, A>) {
        let status = self.status();
        if status != cx.machine.info.capture {
            cx.machine.info.capture = status;
            cx.machine.touch();
        }
    }
}

impl<A> Service<A> for Captures {
    fn channels(&self) -> &'static [&'static str] {
        &[CAPTURE_CHANNEL, PACKET_CHANNEL]
    }

    fn vm_of_call<'a>(&self, call: &'a Call) -> Option<&'a str> {
        let Call::PushCapture(call) = call else {
            return None;
        };
        Some(&call.vm_id)
    }

    fn place_of_topic<'a>(&self, topic: &'a Topic) -> Option<Place<'a>> {
        matches!(topic, Topic::Capture { .. }).then_some(Place::Anywhere)
    }

    fn call(&mut self, _call: Call, request: Request<A>, cx: &mut Cx<'_, A>) {
        match request.bytes() {
            Ok(lines) => {
                self.push(&lines);
                self.held.push(request.ticket);
                self.pump(cx);
            }
            Err(failure) => cx.reply::<()>(request.ticket, Err(failure)),
        }
    }

    fn unanswered(&self) -> &[Ticket] {
        &self.held
    }

    fn forget_call(&mut self, ticket: Ticket) {
        self.held.retain(|held| *held != ticket);
    }

    fn channel_opened(&mut self, _channel: &str, cx: &mut Cx<'_, A>) {
        self.pump(cx);
    }

    fn received(&mut self, channel: &str, bytes: &[u8], cx: &mut Cx<'_, A>) {
        if channel != CAPTURE_CHANNEL {
            return;
        }
        let mut by_capture: BTreeMap<String, Vec<Annotation>> = BTreeMap::new();
        for annotation in self.annotations.push(bytes) {
            let (Annotation::Note { capture, .. } | Annotation::Flag { capture, .. }) = &annotation;
            by_capture.entry(capture.clone()).or_default().push(annotation);
        }
        for (capture, annotations) in by_capture {
            cx.hub.clients.publish(&CaptureTopic { capture }, &annotations);
        }
    }

    fn moved(&mut self, channel: &str, dropped: bool, cx: &mut Cx<'_, A>) {
        if dropped {
            let port = match channel {
                CAPTURE_CHANNEL => &mut self.lines,
                _ => &mut self.packets,
            };
            port.confirm(cx.machine);
            port.rewind(cx.machine);
            if channel == PACKET_CHANNEL {
                self.start_section(cx);
            }
        }
        self.pump(cx);
    }

    fn port_changed(&mut self, channel: &str, open: bool, cx: &mut Cx<'_, A>) {
        match channel {
            CAPTURE_CHANNEL => self.lines.open = open,
            _ => {
                self.packets.open = open;
                if open {
                    self.start_section(cx);
                }
            }
        }
        self.pump(cx);
        // Who waits for a program in the guest is told at once.
        self.tell(cx);
    }

    fn woken(&mut self, _reason: u32, cx: &mut Cx<'_, A>) {
        self.to_tell = false;
        self.tell(cx);
    }

    /// What QEMU did not take comes again with the next one.
    fn ended(&mut self, cx: &mut Cx<'_, A>) {
        for port in [&mut self.lines, &mut self.packets] {
            port.confirm(cx.machine);
            port.reader.rewind();
            port.open = false;
            port.before = 0;
        }
        self.annotations = Annotations::default();
        self.tell(cx);
    }

    /// A VM that comes back begins anew.
    fn removed(&mut self, cx: &mut Cx<'_, A>) {
        self.release(cx);
        *self = Self::default();
        cx.machine.info.capture = CaptureStatus::default();
    }

    fn kept(&self) -> usize {
        self.queue.bytes() + self.held.len() * size_of::<Ticket>()
    }
}
