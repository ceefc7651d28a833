//! A VM's captures: what waits for its two ports, how far each is, and what the guest answers.
//!
//! Clients push lines; they land in one bounded [`Queue`] per VM. Each port goes through it at the pace of its guest, and
//! only while a program there has it open. A program that closes its port amid a line leaves it whole to the next one: QEMU
//! drops the rest, and it comes again. The queue outlives a run, so a restarted VM goes on where the former one stopped. A client whose lines fill more than half of it is answered only when the guest has
//! read on, so that what it has beyond waits with it and is not lost here.

use std::rc::Rc;

use futures_channel::oneshot;
use qemuweb_capture::annotation::{Annotation, Annotations};
use qemuweb_capture::jsonl::{self, Line};
use qemuweb_capture::{Next, PacketWriter, Queue, Reader};
use qemuweb_runtime::protocol::{CapturePort, CaptureStatus};
use qemuweb_shm::web::Sender;
use qemuweb_vm_config::{CAPTURE_CHANNEL, PACKET_CHANNEL};

/// Most bytes that wait for one VM.
const MAX_BYTES: usize = 16 << 20;
/// Most exchanges that wait for one VM.
const MAX_LINES: usize = 50_000;
/// No more is handed to a port while this many bytes wait there, so that the queue, which counts, does the waiting.
const AHEAD: usize = 256 << 10;

/// One VM's captures.
pub(super) struct Capture {
    queue: Queue<Rc<[u8]>>,
    /// Clients that wait until there is room again.
    held: Vec<oneshot::Sender<()>>,
    lines: Port,
    packets: Port,
    writer: PacketWriter,
    annotations: Annotations,
    /// What clients were last told.
    told: CaptureStatus,
}

#[derive(Default)]
struct Port {
    reader: Reader,
    sender: Option<Sender>,
    open: bool,
    sent: u64,
    /// Bytes that were taken before those that the reader counts.
    before: u64,
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            queue: Queue::new(MAX_BYTES, MAX_LINES),
            held: Vec::new(),
            lines: Port::default(),
            packets: Port::default(),
            writer: PacketWriter::new(),
            annotations: Annotations::default(),
            told: CaptureStatus::default(),
        }
    }
}

impl Capture {
    /// Queues lines and sends what there is room for. The answer comes when there is room for as much again.
    pub(super) fn push(&mut self, lines: &[u8]) -> oneshot::Receiver<()> {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if line.ends_with(b"\n") {
                self.queue.push(Rc::from(line), line.len());
            }
        }
        let (room, answer) = oneshot::channel();
        self.held.push(room);
        self.pump();
        answer
    }

    /// Answers all clients that wait until there is room.
    pub(super) fn release(&mut self) {
        for client in self.held.drain(..) {
            // One that is gone does not care.
            let _ = client.send(());
        }
    }

    /// Whether a reader that matters has little before it: one that is there, or the lines' if none is.
    fn has_room(&self) -> bool {
        let is_ahead = |port: &Port| {
            self.queue.waiting_bytes(&port.reader) <= MAX_BYTES / 2
                && self.queue.waiting(&port.reader) <= MAX_LINES as u64 / 2
        };
        let ports = [&self.lines, &self.packets];
        if ports.iter().any(|port| port.open) {
            ports.into_iter().filter(|port| port.open).all(is_ahead)
        } else {
            is_ahead(&self.lines)
        }
    }

    /// Takes one of the ports' channels. Says whether it is one.
    pub(super) fn attach(&mut self, channel: &str, sender: &Sender) -> bool {
        let port = match channel {
            CAPTURE_CHANNEL => &mut self.lines,
            PACKET_CHANNEL => &mut self.packets,
            _ => return false,
        };
        port.sender = Some(sender.clone());
        true
    }

    /// A program in the guest opened or closed a port.
    pub(super) fn opened(&mut self, channel: &str, open: bool) {
        match channel {
            CAPTURE_CHANNEL => self.lines.open = open,
            PACKET_CHANNEL => {
                self.packets.open = open;
                if open {
                    self.start_section();
                }
            }
            _ => return,
        }
        self.pump();
    }

    /// QEMU is gone: what it did not take comes again with the next one.
    pub(super) fn end_run(&mut self) {
        for port in [&mut self.lines, &mut self.packets] {
            port.confirm();
            port.reader.rewind();
            port.sender = None;
            port.open = false;
            port.before = 0;
        }
        self.annotations = Annotations::default();
    }

    /// What the guest wrote.
    pub(super) fn annotations(&mut self, bytes: &[u8]) -> Vec<Annotation> {
        self.annotations.push(bytes)
    }

    /// How it goes, if that has changed since it was asked last.
    pub(super) fn news(&mut self) -> Option<CaptureStatus> {
        let status = |port: &Port| CapturePort {
            open: port.open,
            sent: port.sent,
            waiting: self.queue.waiting(&port.reader),
            dropped: self.queue.dropped(&port.reader),
        };
        let now = CaptureStatus {
            lines: status(&self.lines),
            packets: status(&self.packets),
            bytes: self.queue.bytes() as u64,
        };
        (std::mem::replace(&mut self.told, now) != now).then_some(now)
    }

    /// Sends to each port as much as it has room for.
    pub(super) fn pump(&mut self) {
        self.lines.confirm();
        if self.packets.confirm() {
            self.start_section();
        }
        let Self {
            queue,
            lines,
            packets,
            ..
        } = self;
        lines.pump(queue, |next, bytes| match next {
            Next::Gap(dropped) => jsonl::write_gap(bytes, *dropped),
            Next::Line(line) => {
                bytes.extend_from_slice(line);
                Ok(())
            }
        });
        let writer = &mut self.writer;
        packets.pump(queue, |next, bytes| match next {
            Next::Line(line) => match jsonl::read(line) {
                Ok(Line::Exchange { exchange, .. }) => writer.write(bytes, &exchange),
                // Other lines have no packets.
                Ok(Line::Gap { .. }) | Err(_) => Ok(()),
            },
            Next::Gap(_) => Ok(()),
        });
        if !self.held.is_empty() && self.has_room() {
            self.release();
        }
    }

    /// A reader that has seen nothing yet needs a section's start.
    fn start_section(&mut self) {
        let mut bytes = Vec::new();
        // Memory takes all; a ring that is broken ends the VM anyway.
        if self.writer.start_section(&mut bytes).is_ok()
            && let Some(sender) = &self.packets.sender
            && sender.send(bytes.as_slice().into())
        {
            self.packets.reader.sent_beside(bytes.len());
        }
    }
}

impl Port {
    fn pump(
        &mut self,
        queue: &Queue<Rc<[u8]>>,
        mut write: impl FnMut(&Next<Rc<[u8]>>, &mut Vec<u8>) -> std::io::Result<()>,
    ) {
        let Some(sender) = self.sender.as_ref().filter(|_| self.open) else {
            return;
        };
        let mut bytes = Vec::new();
        while sender.queued() < AHEAD {
            let Some(next) = queue.next(&mut self.reader) else {
                return;
            };
            bytes.clear();
            // What is too large for the channel as a whole is lost like what is too large for the queue.
            if write(&next, &mut bytes).is_err() || !sender.send(bytes.as_slice().into()) {
                self.reader.lost();
                continue;
            }
            self.reader.sent(bytes.len());
            self.sent += u64::from(matches!(next, Next::Line(line) if !jsonl::is_gap(&line)));
        }
    }

    /// Notes what was taken. Says whether another program reads on, for whom all comes again that was not taken whole.
    fn confirm(&mut self) -> bool {
        let Some(sender) = &self.sender else { return false };
        let taken = sender.taken();
        self.reader.confirm(taken.saturating_sub(self.before));
        let changed = sender.take_dropped();
        if changed {
            self.reader.rewind();
            self.before = taken;
        }
        changed
    }
}
