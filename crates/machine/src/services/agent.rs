//! The guest's agent: a virtio-serial port on which it does what clients ask for, each on a stream, and is told the size of the
//! terminal. `crates/agent` is its protocol.
//!
//! Output waits in the guest until the client takes it, and input in the client until the guest takes it: what is kept here of
//! both is a window for each operation.

use std::collections::{BTreeMap, VecDeque};

use qemuweb_agent::{
    Command, Ending, Event, Operation, OperationId, Outcome, Program, Report, Session, Size, Started, Stream,
    frame,
};
use qemuweb_vm_config::AGENT_CHANNEL;
use qemuweb_wire::Failure;
use qemuweb_wire::agent::{
    AgentCommand, AgentFromClient, AgentFromHost, AgentOperation, AgentOutcome, GuestReport,
};
use qemuweb_wire::stream::{Incoming, MAX_PIECE, Outgoing, StreamKind, StreamMessage, WINDOW};
use serde_json::Value;

use super::{Cx, Service};
use crate::io::StreamId;

/// Permissions of a file that is written.
const MODE: u32 = 0o644;
/// How long news of the agent wait for more of them, in milliseconds: a guest may say hello as often as it likes.
const NEWS_MS: u32 = 200;

/// A VM's agent, if its guest has one.
#[derive(Default)]
pub(super) struct Agent {
    session: Session,
    jobs: BTreeMap<StreamId, Job>,
    /// Whether clients are going to be told that the agent has come or gone.
    to_tell: bool,
}

/// An operation and the client's stream.
struct Job {
    id: OperationId,
    /// To the guest.
    incoming: Incoming,
    input: VecDeque<u8>,
    /// The client has told the end of input.
    input_ends: bool,
    /// Bytes that the guest has taken.
    taken: u64,
    /// To the client.
    outgoing: Outgoing,
    output: VecDeque<(Stream, Vec<u8>)>,
    /// The output that the client takes the next bytes for.
    told: Stream,
    sent: u64,
    /// How it ended, which is told after all output.
    end: Option<Result<AgentOutcome, Failure>>,
}

impl Agent {
    /// Sends what the ring takes: little at once, so that what is urgent does not wait behind much that is not.
    fn flush<A>(&mut self, cx: &mut Cx<'_, A>) {
        let waits = cx
            .machine
            .outbox(AGENT_CHANNEL)
            .is_none_or(|outbox| outbox.queued() > 0);
        if waits {
            return;
        }
        let bytes = self.session.outgoing(frame::MAX_FRAME * 2);
        if !bytes.is_empty() {
            cx.machine.send(AGENT_CHANNEL, bytes);
        }
    }

    fn tell_size<A>(&mut self, cx: &mut Cx<'_, A>) {
        if let Some((rows, columns)) = cx.machine.terminal {
            self.session.resize_console(Size { rows, columns });
        }
        self.flush(cx);
    }

    fn happened<A>(&mut self, events: Vec<Event>, cx: &mut Cx<'_, A>) {
        for event in events {
            match event {
                Event::Started { id, started } => {
                    if let Some((stream, _)) = self.job_of(id) {
                        note(stream, &of_start(started), cx);
                    }
                }
                Event::Output {
                    id,
                    stream: of,
                    bytes,
                } => match self.job_of(id) {
                    Some((stream, job)) => {
                        job.output.push_back((of, bytes));
                        self.pump_output(stream, cx);
                    }
                    None => self.session.consumed(id, of, bytes.len()),
                },
                Event::Taken { id, bytes } => {
                    if let Some((stream, job)) = self.job_of(id) {
                        job.taken += u64::from(bytes);
                        note(stream, &AgentFromHost::Taken { bytes: job.taken }, cx);
                        self.pump_input(stream, cx);
                    }
                }
                Event::Ended { id, ending } => {
                    if let Some((stream, job)) = self.job_of(id) {
                        job.end = Some(of_ending(ending));
                        self.pump_output(stream, cx);
                    }
                }
                Event::Ready(_) => {}
                // Its operations have ended with that reason.
                Event::Incompatible(_) | Event::Broken { .. } => {}
            }
        }
        if self.session.is_ready() != cx.machine.info.has_agent && !std::mem::replace(&mut self.to_tell, true)
        {
            cx.wake(NEWS_MS, 0);
        }
        self.flush(cx);
    }

    fn tell_presence<A>(&mut self, cx: &mut Cx<'_, A>) {
        self.to_tell = false;
        let is_there = self.session.is_ready();
        if cx.machine.info.has_agent != is_there {
            cx.machine.info.has_agent = is_there;
            cx.machine.touch();
        }
    }

    fn job_of(&mut self, id: OperationId) -> Option<(StreamId, &mut Job)> {
        let mut jobs = self.jobs.iter_mut();
        jobs.find(|(_, job)| job.id == id)
            .map(|(stream, job)| (*stream, job))
    }

    /// Gives the guest what it takes of a client's input.
    fn pump_input<A>(&mut self, stream: StreamId, cx: &mut Cx<'_, A>) {
        let Some(job) = self.jobs.get_mut(&stream) else {
            return;
        };
        let taken = self.session.write(job.id, job.input.make_contiguous());
        job.input.drain(..taken);
        if job.input.is_empty() && job.input_ends {
            self.session.finish(job.id);
        }
        if let Some(total) = job.incoming.taken(taken as u64) {
            cx.hub.on_stream(stream, StreamMessage::Credit { total }, None);
        }
    }

    /// Sends a client what it takes of the output, and the end behind it.
    fn pump_output<A>(&mut self, stream: StreamId, cx: &mut Cx<'_, A>) {
        let Some(job) = self.jobs.get_mut(&stream) else {
            return;
        };
        while let Some((of, bytes)) = job.output.front_mut() {
            let room = job.outgoing.room().min(MAX_PIECE as u64) as usize;
            if room == 0 {
                return;
            }
            let rest = bytes.split_off(bytes.len().min(room));
            let piece = std::mem::replace(bytes, rest);
            let (of, is_done) = (*of, bytes.is_empty());
            if is_done {
                job.output.pop_front();
            }
            if of != job.told {
                job.told = of;
                let error = of == Stream::Error;
                note(stream, &AgentFromHost::Output { error }, cx);
            }
            let (length, offset) = (piece.len(), job.sent);
            job.sent += length as u64;
            job.outgoing.sent(length as u64);
            self.session.consumed(job.id, of, length);
            cx.hub
                .on_stream(stream, StreamMessage::Data { offset }, Some(piece.into()));
        }
        if let Some(end) = job.end.take() {
            self.jobs.remove(&stream);
            let failure = match end {
                Ok(outcome) => {
                    note(stream, &AgentFromHost::Ended { outcome }, cx);
                    None
                }
                Err(failure) => Some(failure),
            };
            cx.hub.end_stream(stream, failure);
        }
    }
}

fn note<A>(stream: StreamId, note: &AgentFromHost, cx: &mut Cx<'_, A>) {
    // A plain enum has JSON.
    let note = serde_json::to_value(note).unwrap_or_default();
    cx.hub.on_stream(stream, StreamMessage::Note { note }, None);
}

impl<A> Service<A> for Agent {
    fn channels(&self) -> &'static [&'static str] {
        &[AGENT_CHANNEL]
    }

    fn vm_of_stream<'a>(&self, stream: &'a StreamKind) -> Option<&'a str> {
        let StreamKind::Agent { vm_id, .. } = stream else {
            return None;
        };
        Some(vm_id)
    }

    fn channel_opened(&mut self, _channel: &str, cx: &mut Cx<'_, A>) {
        self.tell_size(cx);
    }

    fn received(&mut self, _channel: &str, bytes: &[u8], cx: &mut Cx<'_, A>) {
        let events = self.session.receive(bytes);
        self.happened(events, cx);
    }

    fn moved(&mut self, _channel: &str, _dropped: bool, cx: &mut Cx<'_, A>) {
        self.flush(cx);
    }

    fn port_changed(&mut self, _channel: &str, open: bool, cx: &mut Cx<'_, A>) {
        // One that comes says hello.
        if !open {
            let events = self.session.closed();
            self.happened(events, cx);
        }
    }

    fn terminal_changed(&mut self, cx: &mut Cx<'_, A>) {
        self.tell_size(cx);
    }

    fn ended(&mut self, cx: &mut Cx<'_, A>) {
        let events = self.session.closed();
        self.happened(events, cx);
        // The next life has another agent.
        self.session = Session::new();
        self.tell_presence(cx);
    }

    fn woken(&mut self, _reason: u32, cx: &mut Cx<'_, A>) {
        self.tell_presence(cx);
    }

    fn stream_opened(&mut self, stream: StreamId, kind: &StreamKind, cx: &mut Cx<'_, A>) {
        let StreamKind::Agent { operation, .. } = kind else {
            return;
        };
        let id = match self.session.start(to_operation(operation)) {
            Ok(id) => id,
            Err(error) => return cx.hub.end_stream(stream, Some(Failure::from_error(&error))),
        };
        let job = Job {
            id,
            incoming: Incoming::new(WINDOW),
            input: VecDeque::new(),
            input_ends: false,
            taken: 0,
            outgoing: Outgoing::default(),
            output: VecDeque::new(),
            told: Stream::Output,
            sent: 0,
            end: None,
        };
        let total = job.incoming.granted();
        self.jobs.insert(stream, job);
        cx.hub.on_stream(stream, StreamMessage::Credit { total }, None);
        self.flush(cx);
    }

    fn stream_data(&mut self, stream: StreamId, bytes: &[u8], cx: &mut Cx<'_, A>) -> bool {
        let Some(job) = self.jobs.get_mut(&stream) else {
            return true;
        };
        if job.input_ends || !job.incoming.received(bytes.len() as u64) {
            return false;
        }
        job.input.extend(bytes);
        self.pump_input(stream, cx);
        self.flush(cx);
        true
    }

    fn stream_credit(&mut self, stream: StreamId, total: u64, cx: &mut Cx<'_, A>) {
        if let Some(job) = self.jobs.get_mut(&stream) {
            job.outgoing.grant(total);
            self.pump_output(stream, cx);
            self.flush(cx);
        }
    }

    fn stream_note(&mut self, stream: StreamId, note: Value, cx: &mut Cx<'_, A>) -> Result<(), Failure> {
        let note = serde_json::from_value(note).map_err(|error| Failure::from_error(&error))?;
        let Some(job) = self.jobs.get_mut(&stream) else {
            return Ok(());
        };
        match note {
            AgentFromClient::End => {
                job.input_ends = true;
                self.pump_input(stream, cx);
            }
            AgentFromClient::Resize { rows, columns } => self.session.resize(job.id, Size { rows, columns }),
            AgentFromClient::Cancel => self.session.cancel(job.id),
        }
        self.flush(cx);
        Ok(())
    }

    fn stream_closed(&mut self, stream: StreamId, cx: &mut Cx<'_, A>) {
        if let Some(job) = self.jobs.remove(&stream) {
            self.session.cancel(job.id);
            self.flush(cx);
        }
    }

    fn kept(&self) -> usize {
        let of = |job: &Job| {
            let output: usize = job.output.iter().map(|(_, bytes)| bytes.len()).sum();
            size_of::<Job>() + job.input.len() + output
        };
        self.jobs.values().map(of).sum::<usize>() + self.session.kept()
    }
}

fn to_operation(operation: &AgentOperation) -> Operation {
    match operation.clone() {
        AgentOperation::Run {
            command,
            directory,
            environment,
            terminal,
            time_limit_ms,
        } => Operation::Run(Command {
            program: match command {
                AgentCommand::Shell(line) => Program::Shell(line),
                AgentCommand::Arguments(words) => Program::Arguments(words),
            },
            directory,
            environment,
            terminal: terminal.map(|(rows, columns)| Size { rows, columns }),
            time_limit_ms: time_limit_ms.unwrap_or(0),
        }),
        AgentOperation::Put { path, mode, size } => Operation::Put {
            path,
            mode: mode.unwrap_or(MODE),
            size,
        },
        AgentOperation::Get { path } => Operation::Get { path },
        AgentOperation::SetClock { unix_micros } => Operation::SetClock { unix_micros },
        _ => Operation::Report,
    }
}

fn of_start(started: Started) -> AgentFromHost {
    let (size, mode, pid) = match started {
        Started::Command { pid } => (None, None, Some(pid)),
        Started::Put => (None, None, None),
        Started::Get { size, mode } => (Some(size), Some(mode), None),
    };
    AgentFromHost::Started { size, mode, pid }
}

fn of_ending(ending: Ending) -> Result<AgentOutcome, Failure> {
    Ok(match ending {
        Ending::Lost(loss) => return Err(Failure::new(loss.to_string()).with_next_step("Start it again.")),
        Ending::Done(Outcome::Failed { message, .. }) => {
            return Err(Failure::new(message));
        }
        Ending::Done(Outcome::Exited { status }) => AgentOutcome::Exited { status },
        Ending::Done(Outcome::Signalled { signal }) => AgentOutcome::Signalled { signal },
        Ending::Done(Outcome::TimedOut) => AgentOutcome::TimedOut,
        Ending::Done(Outcome::Cancelled) => AgentOutcome::Cancelled,
        Ending::Done(Outcome::Stored) => AgentOutcome::Stored,
        Ending::Done(Outcome::Sent { size }) => AgentOutcome::Sent { size },
        Ending::Done(Outcome::ClockSet) => AgentOutcome::ClockSet,
        Ending::Done(Outcome::Reported(report)) => AgentOutcome::Reported {
            report: of_report(report),
        },
    })
}

fn of_report(report: Report) -> GuestReport {
    GuestReport {
        memory_total: report.memory_total,
        memory_available: report.memory_available,
        swap_total: report.swap_total,
        swap_free: report.swap_free,
        load_hundredths: report.load_hundredths,
        uptime_ms: report.uptime_ms,
        processors: report.processors,
        tasks: report.tasks,
        unix_micros: report.unix_micros,
    }
}
