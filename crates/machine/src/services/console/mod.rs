//! The console: what the guest writes goes to the streams of those who watch, what they type goes to the guest.
//!
//! A stream gets as many bytes as its client has asked for. One that falls behind finds what is kept of the output, and the next
//! piece's offset tells what it has missed; the guest never waits for a terminal. What is typed is taken at the pace at which
//! the guest reads it.

mod history;

use std::collections::{BTreeMap, VecDeque};

use qemuweb_vm_config::{InputSource, SERIAL_CHANNEL};
use qemuweb_wire::Failure;
use qemuweb_wire::stream::{
    ConsoleFromClient, ConsoleFromHost, Incoming, MAX_PIECE, Outgoing, StreamKind, StreamMessage, WINDOW,
};
use qemuweb_wire::vm::{Phase, VmDefinition};
use serde_json::Value;

use super::{Cx, Service};
use crate::io::StreamId;
use history::History;

/// A VM's console.
#[derive(Default)]
pub(super) struct Console {
    history: History,
    viewers: BTreeMap<StreamId, Viewer>,
    /// What was typed and waits: by whom, how much, and up to which byte of all that was ever sent to the guest in this life.
    typed: VecDeque<(StreamId, u64, u64)>,
    /// Bytes that were typed in this life.
    all_typed: u64,
}

/// A client that watches.
struct Viewer {
    outgoing: Outgoing,
    incoming: Incoming,
    /// The run that it was told, and the offset of the byte that it gets next.
    at: Option<(u64, u64)>,
    /// Bytes of the former run that it has not got.
    missed: u64,
    size: Option<(u16, u16)>,
    focused: bool,
}

impl Console {
    /// Sends a viewer what it takes.
    fn pump<A>(&mut self, stream: StreamId, cx: &mut Cx<'_, A>) {
        let Some(viewer) = self.viewers.get_mut(&stream) else {
            return;
        };
        let run = cx.machine.info.run;
        let mut next = match viewer.at {
            Some((known, next)) if known == run => next,
            _ => {
                let missed = std::mem::take(&mut viewer.missed);
                let note = ConsoleFromHost::Run { run, missed };
                // A plain enum has JSON.
                let note = serde_json::to_value(note).unwrap_or_default();
                cx.hub.on_stream(stream, StreamMessage::Note { note }, None);
                0
            }
        };
        loop {
            let room = viewer.outgoing.room().min(MAX_PIECE as u64) as usize;
            let (offset, piece) = self.history.from(next, room);
            if piece.is_empty() {
                break;
            }
            next = offset + piece.len() as u64;
            viewer.outgoing.sent(piece.len() as u64);
            cx.hub
                .on_stream(stream, StreamMessage::Data { offset }, Some(piece.into()));
        }
        viewer.at = Some((run, next));
    }

    fn pump_all<A>(&mut self, cx: &mut Cx<'_, A>) {
        let streams: Vec<_> = self.viewers.keys().copied().collect();
        for stream in streams {
            self.pump(stream, cx);
        }
    }

    /// Lets those type on whose bytes have room in the ring now, or had a machine that is gone.
    fn grant<A>(&mut self, cx: &mut Cx<'_, A>) {
        let waiting = cx
            .machine
            .outbox(SERIAL_CHANNEL)
            .map_or(0, |outbox| outbox.queued() as u64);
        let dealt_with = self.all_typed.saturating_sub(waiting);
        while let Some((stream, bytes, end)) = self.typed.front().copied() {
            if end > dealt_with {
                break;
            }
            self.typed.pop_front();
            let viewer = self.viewers.get_mut(&stream);
            if let Some(total) = viewer.and_then(|viewer| viewer.incoming.taken(bytes)) {
                cx.hub.on_stream(stream, StreamMessage::Credit { total }, None);
            }
        }
    }

    /// The size that the guest is told: that of the terminal with the keyboard, or else the smallest.
    fn settle_size<A>(&self, cx: &mut Cx<'_, A>) {
        let shown = || {
            self.viewers
                .values()
                .filter_map(|viewer| Some((viewer.focused, viewer.size?)))
        };
        let focused = shown().find(|(focused, _)| *focused).map(|(_, size)| size);
        let smallest = || {
            shown()
                .map(|(_, size)| size)
                .reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)))
        };
        // When nobody looks, it stays as it was.
        if let Some(size) = focused.or_else(smallest) {
            cx.machine.terminal = Some(size);
        }
    }
}

impl<A> Service<A> for Console {
    fn channels(&self) -> &'static [&'static str] {
        &[SERIAL_CHANNEL]
    }

    fn vm_of_stream<'a>(&self, stream: &'a StreamKind) -> Option<&'a str> {
        let StreamKind::Console { vm_id } = stream else {
            return None;
        };
        Some(vm_id)
    }

    fn started(&mut self, cx: &mut Cx<'_, A>) {
        for viewer in self.viewers.values_mut() {
            if let Some((_, next)) = viewer.at {
                viewer.missed += self.history.written() - next;
            }
        }
        self.history = History::default();
        self.typed.clear();
        self.all_typed = 0;
        self.pump_all(cx);
    }

    fn received(&mut self, _channel: &str, bytes: &[u8], cx: &mut Cx<'_, A>) {
        let ready = self.history.push(bytes);
        if !cx.machine.info.phases.contains_key(&Phase::Firmware) {
            let next = tells_when_ready(&cx.machine.info.definition).then_some(Phase::Kernel);
            cx.machine.finish_phase(cx.hub.now, Phase::Firmware, next);
        }
        if ready {
            cx.machine.finish_phase(cx.hub.now, Phase::Kernel, None);
        }
        self.pump_all(cx);
    }

    fn moved(&mut self, _channel: &str, _dropped: bool, cx: &mut Cx<'_, A>) {
        self.grant(cx);
    }

    fn ended(&mut self, cx: &mut Cx<'_, A>) {
        self.grant(cx);
    }

    fn stream_opened(&mut self, stream: StreamId, _kind: &StreamKind, cx: &mut Cx<'_, A>) {
        let viewer = Viewer {
            outgoing: Outgoing::default(),
            incoming: Incoming::new(WINDOW),
            at: None,
            missed: 0,
            size: None,
            focused: false,
        };
        let total = viewer.incoming.granted();
        self.viewers.insert(stream, viewer);
        cx.hub.on_stream(stream, StreamMessage::Credit { total }, None);
        self.pump(stream, cx);
    }

    fn stream_data(&mut self, stream: StreamId, bytes: &[u8], cx: &mut Cx<'_, A>) -> bool {
        let Some(viewer) = self.viewers.get_mut(&stream) else {
            return true;
        };
        let length = bytes.len() as u64;
        if !viewer.incoming.received(length) {
            return false;
        }
        // A machine that is off swallows what is typed.
        if cx.machine.outbox(SERIAL_CHANNEL).is_some() {
            cx.machine.send(SERIAL_CHANNEL, bytes);
            self.all_typed += length;
        }
        self.typed.push_back((stream, length, self.all_typed));
        self.grant(cx);
        true
    }

    fn stream_credit(&mut self, stream: StreamId, total: u64, cx: &mut Cx<'_, A>) {
        if let Some(viewer) = self.viewers.get_mut(&stream) {
            viewer.outgoing.grant(total);
            self.pump(stream, cx);
        }
    }

    fn stream_note(&mut self, stream: StreamId, note: Value, cx: &mut Cx<'_, A>) -> Result<(), Failure> {
        let note = serde_json::from_value(note).map_err(|error| Failure::from_error(&error))?;
        let ConsoleFromClient::Size { size, focused } = note;
        if let Some(viewer) = self.viewers.get_mut(&stream) {
            viewer.size = size.filter(|(rows, cols)| *rows > 0 && *cols > 0);
            viewer.focused = focused;
        }
        self.settle_size(cx);
        Ok(())
    }

    fn stream_closed(&mut self, stream: StreamId, cx: &mut Cx<'_, A>) {
        self.viewers.remove(&stream);
        self.settle_size(cx);
    }

    fn kept(&self) -> usize {
        self.history.kept() + self.viewers.len() * size_of::<Viewer>() + self.typed.len() * 24
    }
}

/// Whether the guest is a built-in one, which tells when its userspace is ready.
fn tells_when_ready(definition: &VmDefinition) -> bool {
    let VmDefinition { profile, inputs, .. } = definition;
    let initrd = inputs.initrd.as_ref().or(profile.default_inputs.initrd.as_ref());
    matches!(initrd, Some(InputSource::Builtin(_))) && inputs.disk.is_none()
}
