//! One operation in the host: its input, its credits, and what is to be told of it.

use super::Outgoing;
use crate::message::{DATA_OVERHEAD, HostMessage, Stream};
use crate::operation::{Operation, Outcome, Size, Started};
use crate::{MAX_DATA, WINDOW};

#[derive(Debug)]
pub(super) struct Channel {
    number: u32,
    open: HostMessage,
    is_opened: bool,
    has_started: bool,
    input: Vec<u8>,
    /// Bytes of input that the guest has room for.
    credit: u32,
    /// Bytes of input that are sent and that the guest has not told to have taken.
    under_way: u32,
    /// Of all input, those that were sent: a file must be as long as was told.
    written: u64,
    input_ends: bool,
    end_is_sent: bool,
    output: Room,
    error: Room,
    received: u64,
    resize: Option<Size>,
    is_cancelled: bool,
    cancel_is_sent: bool,
}

/// Room for a stream to the host.
#[derive(Debug)]
struct Room {
    /// Bytes that the guest may still send.
    left: u32,
    /// Bytes that came and are not consumed.
    held: u32,
    /// Bytes that were consumed and that the guest does not know of.
    owed: u32,
}

impl Room {
    fn new(has: bool) -> Self {
        Self {
            left: if has { WINDOW } else { 0 },
            held: 0,
            owed: 0,
        }
    }
}

impl Channel {
    pub(super) fn new(number: u32, open: HostMessage) -> Self {
        let mut channel = Self {
            number,
            open,
            is_opened: false,
            has_started: false,
            input: Vec::new(),
            credit: WINDOW,
            under_way: 0,
            written: 0,
            input_ends: false,
            end_is_sent: false,
            output: Room::new(false),
            error: Room::new(false),
            received: 0,
            resize: None,
            is_cancelled: false,
            cancel_is_sent: false,
        };
        let (output, error) = match channel.operation() {
            Some(Operation::Run(command)) => (true, command.terminal.is_none()),
            Some(Operation::Get { .. }) => (true, false),
            _ => (false, false),
        };
        (channel.output, channel.error) = (Room::new(output), Room::new(error));
        channel
    }

    fn operation(&self) -> Option<&Operation> {
        match &self.open {
            HostMessage::Open { operation, .. } => Some(operation),
            _ => None,
        }
    }

    fn room(&mut self, stream: Stream) -> &mut Room {
        match stream {
            Stream::Error => &mut self.error,
            _ => &mut self.output,
        }
    }

    /// How many bytes of input may still come from our side.
    fn wanted(&self) -> u64 {
        match self.operation() {
            Some(Operation::Run(_)) => u64::MAX,
            Some(Operation::Put { size, .. }) => size - self.written - self.input.len() as u64,
            _ => 0,
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        if self.input_ends || self.is_cancelled {
            return 0;
        }
        // What the guest has room for, and no more: what is kept here is bounded by that as well.
        let room = (self.credit as usize).saturating_sub(self.input.len());
        let wanted = usize::try_from(self.wanted()).unwrap_or(usize::MAX);
        let taken = bytes.len().min(room).min(wanted);
        self.input.extend_from_slice(&bytes[..taken]);
        taken
    }

    pub(super) fn finish(&mut self) {
        // What takes no input has no end of it.
        self.input_ends = matches!(self.operation(), Some(Operation::Run(_) | Operation::Put { .. }));
    }

    /// Bytes that it keeps, about.
    pub(super) fn kept(&self) -> usize {
        size_of::<Self>() + self.input.capacity()
    }

    pub(super) fn consumed(&mut self, stream: Stream, bytes: usize) {
        let room = self.room(stream);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(room.held);
        room.held -= bytes;
        room.owed += bytes;
    }

    pub(super) fn cancel(&mut self) {
        self.is_cancelled = true;
        self.input = Vec::new();
    }

    pub(super) fn resize(&mut self, size: Size) {
        let has_terminal =
            matches!(self.operation(), Some(Operation::Run(command)) if command.terminal.is_some());
        if has_terminal && size.rows > 0 && size.columns > 0 {
            self.resize = Some(size);
        }
    }

    /// Sends everything but input.
    pub(super) fn send_control(&mut self, out: &mut Outgoing) {
        if !self.is_opened {
            self.is_opened = out.push(&self.open);
            if !self.is_opened {
                return;
            }
        }
        let channel = self.number;
        if self.is_cancelled {
            self.cancel_is_sent = self.cancel_is_sent || out.push(&HostMessage::Cancel { channel });
            return;
        }
        if let Some(size) = self.resize
            && out.push(&HostMessage::Resize { channel, size })
        {
            self.resize = None;
        }
        for stream in [Stream::Output, Stream::Error] {
            let room = self.room(stream);
            let bytes = room.owed;
            // Seldom, and before the guest has to wait.
            if bytes >= WINDOW / 4
                && out.push(&HostMessage::Credit {
                    channel,
                    stream,
                    bytes,
                })
            {
                room.left += bytes;
                room.owed = 0;
            }
        }
    }

    /// Sends a message of input, or its end. Whether there was something, and room for it.
    pub(super) fn send_input(&mut self, out: &mut Outgoing) -> bool {
        let channel = self.number;
        if !self.is_opened || self.is_cancelled || self.end_is_sent || !out.has_room() {
            return false;
        }
        if self.input.is_empty() {
            self.end_is_sent = self.input_ends && out.push(&HostMessage::End { channel });
            return self.end_is_sent;
        }
        const { assert!(MAX_DATA + DATA_OVERHEAD <= crate::frame::MAX_MESSAGE) };
        let bytes: Vec<u8> = self.input.drain(..self.input.len().min(MAX_DATA)).collect();
        let len = bytes.len() as u32;
        self.credit -= len;
        self.under_way += len;
        self.written += u64::from(len);
        out.push(&HostMessage::Data { channel, bytes })
    }

    pub(super) fn started(&mut self, started: Started) -> Result<(), String> {
        let fits = matches!(
            (self.operation(), started),
            (Some(Operation::Run(_)), Started::Command { .. })
                | (Some(Operation::Put { .. }), Started::Put)
                | (Some(Operation::Get { .. }), Started::Get { .. })
        );
        if !fits || !self.is_opened || self.has_started {
            return Err(format!(
                "expected the start of what was asked for, once, found {started:?}"
            ));
        }
        self.has_started = true;
        Ok(())
    }

    /// Takes note of bytes from the guest. Whether somebody wants them.
    pub(super) fn receive(&mut self, stream: Stream, bytes: usize) -> Result<bool, String> {
        let room = self.room(stream);
        match u32::try_from(bytes)
            .ok()
            .and_then(|bytes| room.left.checked_sub(bytes))
        {
            Some(left) => room.left = left,
            None => {
                return Err(format!(
                    "expected at most {} bytes of output, found {bytes}",
                    room.left
                ));
            }
        }
        room.held += bytes as u32;
        self.received += bytes as u64;
        Ok(!self.is_cancelled)
    }

    pub(super) fn credit(&mut self, bytes: u32) -> Result<(), String> {
        match self.under_way.checked_sub(bytes) {
            Some(under_way) if bytes > 0 => self.under_way = under_way,
            _ => {
                return Err(format!(
                    "expected credit for 1 to {} bytes of input that are under way, found {bytes}",
                    self.under_way
                ));
            }
        }
        self.credit += bytes;
        Ok(())
    }

    /// Checks what the guest says of the end.
    pub(super) fn ends(&self, outcome: &Outcome) -> Result<(), String> {
        let can_be = self.is_opened && self.operation().is_some_and(|operation| outcome.fits(operation));
        if !can_be || (*outcome == Outcome::Cancelled && !self.is_cancelled) {
            return Err(format!(
                "expected an end of what was asked for, found {outcome:?}"
            ));
        }
        match (outcome, self.operation()) {
            (Outcome::Sent { size }, _) if !self.is_cancelled && *size != self.received => Err(format!(
                "expected a file of {size} bytes, as it was told at the end, found {}",
                self.received
            )),
            (Outcome::Stored, Some(Operation::Put { size, .. })) if *size != self.written => Err(format!(
                "expected that {size} bytes are stored after so many were sent, found {}",
                self.written
            )),
            _ => Ok(()),
        }
    }
}
