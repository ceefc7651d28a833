//! What all parts of the core share: the clients, the clock, and the way out.

use std::collections::BTreeMap;
use std::rc::Rc;

use qemuweb_wire::Failure;
use qemuweb_wire::stream::StreamMessage;
use qemuweb_wire::topic::{Host, HostDelta, LogLevel, LogLine};
use qemuweb_wire::vm::VmId;

use crate::clients::{Clients, Ticket};
use crate::io::{Effect, RunId, StreamId, TaskId, Write};
use crate::task::Task;

/// Most failures that are kept for clients that come later.
const MAX_FAILURES: usize = 50;

/// What is to be done later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// A service wants its turn, for the reason that it knows by this number.
    Service {
        vm_id: VmId,
        service: usize,
        reason: u32,
    },
    /// A Worker should have said by now that it is there.
    Ready(RunId),
    /// A Worker that was to have the last word on its VM's UEFI variables has had its time.
    Variables(RunId),
    /// A storage Worker that was to keep its disks' changes has had its time.
    Disks(RunId),
    /// Nobody has needed this host for a while.
    Idle,
}

/// What all parts of the core share.
#[derive(Debug)]
pub(crate) struct Hub<A> {
    /// Milliseconds since the epoch.
    pub(crate) now: f64,
    pub(crate) clients: Clients<A>,
    pub(crate) tasks: BTreeMap<TaskId, Task<A>>,
    /// What failed that belongs to no VM and no call.
    pub(crate) failures: Vec<Failure>,
    timers: BTreeMap<(u64, u64), Timer>,
    last: u64,
    last_number: u64,
    effects: Vec<Effect<A>>,
}

impl<A> Hub<A> {
    pub(crate) fn new(failures: Vec<Failure>) -> Self {
        Self {
            now: 0.0,
            clients: Clients::default(),
            tasks: BTreeMap::new(),
            failures,
            timers: BTreeMap::new(),
            last: 0,
            last_number: 0,
            effects: Vec::new(),
        }
    }

    /// A number that names a run, a revision or a file for good: no host has ever given it, because it begins with the time.
    pub(crate) fn number(&mut self) -> u64 {
        self.last_number = (self.last_number + 1).max(self.now.max(0.0) as u64);
        self.last_number
    }

    /// A former host gave this number.
    pub(crate) fn note_number(&mut self, number: u64) {
        self.last_number = self.last_number.max(number);
    }

    /// Has something done.
    pub(crate) fn act(&mut self, effect: Effect<A>) {
        self.effects.push(effect);
    }

    /// Has something done that is answered later; `task` says what for.
    pub(crate) fn begin(&mut self, task: Task<A>, effect: impl FnOnce(TaskId) -> Effect<A>) {
        self.last += 1;
        let id = TaskId(self.last);
        self.tasks.insert(id, task);
        self.act(effect(id));
    }

    /// Writes to the database; that it failed is told to all clients.
    pub(crate) fn write(&mut self, write: Write<A>) {
        self.begin(Task::Write, |task| Effect::Write(task, Box::new(write)));
    }

    /// Ends the tasks that this call waits for.
    pub(crate) fn cancel_tasks(&mut self, ticket: Ticket) {
        let cancelled = self
            .tasks
            .extract_if(.., |_, task| task.can_be_cancelled_for(ticket));
        let cancelled: Vec<_> = cancelled.map(|(id, _)| Effect::CancelTask(id)).collect();
        self.effects.extend(cancelled);
    }

    /// Has a timer run out after so many milliseconds.
    pub(crate) fn wake(&mut self, after_ms: u32, timer: Timer) {
        self.last += 1;
        let at = (self.now.max(0.0) as u64).saturating_add(u64::from(after_ms));
        self.timers.insert((at, self.last), timer);
    }

    /// Forgets timers.
    pub(crate) fn forget_timers(&mut self, is_meant: impl Fn(&Timer) -> bool) {
        self.timers.retain(|_, timer| !is_meant(timer));
    }

    /// A timer that has run out.
    pub(crate) fn next_timer(&mut self) -> Option<Timer> {
        let entry = self.timers.first_entry()?;
        (entry.key().0 as f64 <= self.now).then(|| entry.remove())
    }

    /// When the next timer runs out, in milliseconds since the epoch.
    pub(crate) fn deadline(&self) -> Option<f64> {
        self.timers.first_key_value().map(|((at, _), _)| *at as f64)
    }

    /// Says something on a stream.
    pub(crate) fn on_stream(&mut self, stream: StreamId, message: StreamMessage, bytes: Option<Rc<[u8]>>) {
        self.act(Effect::SendOnStream {
            stream,
            message,
            bytes,
        });
    }

    /// Ends a stream.
    pub(crate) fn end_stream(&mut self, stream: StreamId, failure: Option<Failure>) {
        self.clients.close_stream(stream);
        self.on_stream(stream, StreamMessage::End { failure }, None);
        self.act(Effect::CloseStream(stream));
    }

    /// Tells all clients what failed, also those that come later.
    pub(crate) fn fail(&mut self, failure: Failure) {
        if self.failures.len() >= MAX_FAILURES {
            self.failures.remove(0);
        }
        self.failures.push(failure.clone());
        self.clients.publish(&Host, &HostDelta::Failed { failure });
    }

    /// Writes a line into the log.
    pub(crate) fn log(&mut self, vm_id: &str, level: LogLevel, message: String) {
        let line = LogLine {
            vm_id: Some(vm_id.to_owned()),
            level,
            message,
        };
        self.clients.publish(&Host, &HostDelta::Logged { line });
    }

    /// What is to be done, in order; the answers to calls are the last.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect<A>> {
        let mut effects = std::mem::take(&mut self.effects);
        let (news, replies) = self.clients.take_effects();
        effects.extend(news);
        effects.extend(replies);
        effects
    }
}
