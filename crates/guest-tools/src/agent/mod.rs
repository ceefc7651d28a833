//! `qemuweb-agent`: does what the host asks for on the port `org.qemuweb.agent.0`.
//!
//! One thread around poll(2): the port, and the pipes and terminals of commands. What goes to the host is read only while the
//! port takes it, so that nothing piles up here. The host is not believed either: what is no message of the protocol ends all
//! operations, and begins the session anew.

mod command;
mod console;
mod file;
mod port;
mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use qemuweb_agent::{
    GuestMessage, Hello, HostMessage, MAX_OPERATIONS, Operation, Outcome, Size, Started, Stream, VERSION,
    frame,
};
use rustix::event::{PollFd, Timespec, poll};

use port::Port;

/// How long the host may take to answer a hello before it is said again.
const HELLO_EVERY: Duration = Duration::from_secs(1);

/// Runs until the port is gone.
pub(crate) fn main(words: &[OsString]) -> ExitCode {
    let path = match words {
        [] => None,
        [path] if !path.to_string_lossy().starts_with('-') => Some(path.as_os_str()),
        _ => {
            eprintln!(
                "usage: qemuweb-agent [PORT]   (without one: the virtio-serial port {})",
                port::NAME
            );
            return ExitCode::from(2);
        }
    };
    if let Some(home) = std::env::var_os("HOME") {
        // Another directory does as well.
        let _ = std::env::set_current_dir(home);
    }
    let error = match Port::open(path) {
        Ok(port) => Agent::new(port).serve(),
        Err(error) => error,
    };
    eprintln!("qemuweb-agent: {error}");
    ExitCode::FAILURE
}

/// An operation that takes time.
trait Job {
    /// Goes on as far as possible without waiting. The outcome is the last that is said of it.
    fn step(&mut self, link: &mut Link<'_>, now: Instant) -> Option<Outcome>;

    /// What to wait for; `has_room` tells whether the port takes output.
    fn watch<'a>(&'a self, has_room: bool, fds: &mut Vec<PollFd<'a>>);

    /// When to go on at the latest.
    fn wakes(&self, has_room: bool) -> Option<Instant>;

    /// Takes input.
    fn input(&mut self, _bytes: &[u8]) -> Result<(), Fault> {
        Err(Fault)
    }

    /// The end of input.
    fn end(&mut self) -> Result<(), Fault> {
        Err(Fault)
    }

    /// Room for output.
    fn credit(&mut self, _stream: Stream, _bytes: u32) -> Result<(), Fault> {
        Err(Fault)
    }

    /// The size of its terminal.
    fn resize(&mut self, _size: Size) {}

    /// Ends it: at once when nobody is there any more to be told.
    fn cancel(&mut self, at_once: bool);
}

/// The host does not keep to the protocol.
struct Fault;

/// The way of an operation to the host.
struct Link<'a> {
    port: &'a mut Port,
    channel: u32,
}

impl Link<'_> {
    fn has_room(&self) -> bool {
        self.port.has_room()
    }

    fn data(&mut self, stream: Stream, bytes: Vec<u8>) {
        let channel = self.channel;
        self.port.send(&GuestMessage::Data {
            channel,
            stream,
            bytes,
        });
    }

    fn credit(&mut self, bytes: u32) {
        let channel = self.channel;
        self.port.send(&GuestMessage::Credit { channel, bytes });
    }
}

struct Agent {
    port: Port,
    reader: frame::Reader,
    instance: u64,
    is_greeted: bool,
    hello_at: Instant,
    jobs: BTreeMap<u32, Box<dyn Job>>,
    /// Of a session that is over: commands that are being ended.
    dying: Vec<Box<dyn Job>>,
}

impl Agent {
    fn new(port: Port) -> Self {
        Self {
            port,
            reader: frame::Reader::default(),
            instance: random(),
            is_greeted: false,
            hello_at: Instant::now(),
            jobs: BTreeMap::new(),
            dying: Vec::new(),
        }
    }

    /// Serves the host until the port fails.
    fn serve(mut self) -> io::Error {
        loop {
            if let Err(error) = self.turn() {
                return error;
            }
        }
    }

    fn turn(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if !self.is_greeted && now >= self.hello_at && self.port.has_room() {
            self.port.send(&GuestMessage::Hello(Hello {
                oldest: 1,
                newest: VERSION,
                instance: self.instance,
                name: concat!("qemuweb-agent ", env!("CARGO_PKG_VERSION")).to_owned(),
            }));
            self.hello_at = now + HELLO_EVERY;
        }
        self.step_jobs(now);
        self.port.flush()?;
        self.wait(now);
        let mut bytes = std::mem::take(&mut self.port.buffer);
        let read = self.port.read(&mut bytes);
        let taken = read.map(|n| self.receive(&bytes[..n]));
        self.port.buffer = bytes;
        taken
    }

    fn step_jobs(&mut self, now: Instant) {
        let mut done = Vec::new();
        for (&channel, job) in &mut self.jobs {
            let port = &mut self.port;
            if let Some(outcome) = job.step(&mut Link { port, channel }, now) {
                done.push(channel);
                port.send(&GuestMessage::Done { channel, outcome });
            }
        }
        for channel in done {
            self.jobs.remove(&channel);
        }
        // They have nothing to say any more.
        let port = &mut self.port;
        self.dying
            .retain_mut(|job| job.step(&mut Link { port, channel: 0 }, now).is_none());
    }

    /// Waits until there is something to do.
    fn wait(&self, now: Instant) {
        let has_room = self.port.has_room();
        let mut fds = Vec::new();
        let mut until = (!self.is_greeted).then_some(self.hello_at);
        let mut by = |at: Option<Instant>| until = until.into_iter().chain(at).min();
        by(self.port.watch(&mut fds, now));
        for job in self.jobs.values().chain(&self.dying) {
            job.watch(has_room, &mut fds);
            by(job.wakes(has_room));
        }
        let timeout = until.map(|at| {
            // Rounded up: otherwise we would come a little early, again and again.
            let left = at.saturating_duration_since(now);
            let left = if left.is_zero() {
                left
            } else {
                left + Duration::from_millis(1)
            };
            Timespec {
                tv_sec: left.as_secs().cast_signed(),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        // Interrupted or not: what is there is looked at.
        let _ = poll(&mut fds, timeout.as_ref());
    }

    fn receive(&mut self, bytes: &[u8]) {
        let mut reader = std::mem::take(&mut self.reader);
        reader.push(bytes, |message| {
            let message = message.ok().and_then(|message| HostMessage::read(message).ok());
            let taken = match message {
                Some(HostMessage::Hello { version, instance }) => {
                    // Others are meant for a former instance.
                    if instance == self.instance {
                        self.is_greeted = version == VERSION;
                    }
                    Ok(())
                }
                Some(HostMessage::Wake) if !self.is_greeted => {
                    self.hello_at = Instant::now();
                    Ok(())
                }
                // What was meant for a former instance, or the rest of it.
                _ if !self.is_greeted => Ok(()),
                Some(HostMessage::Wake) | None => Err(Fault),
                Some(message) => self.take(message),
            };
            if taken.is_err() {
                self.restart();
            }
        });
        self.reader = reader;
    }

    /// Begins the session anew.
    fn restart(&mut self) {
        for (_, mut job) in std::mem::take(&mut self.jobs) {
            job.cancel(true);
            self.dying.push(job);
        }
        self.instance = random();
        self.is_greeted = false;
        self.hello_at = Instant::now();
    }

    fn take(&mut self, message: HostMessage) -> Result<(), Fault> {
        let (HostMessage::Open { channel, .. }
        | HostMessage::Resize { channel, .. }
        | HostMessage::Data { channel, .. }
        | HostMessage::End { channel }
        | HostMessage::Credit { channel, .. }
        | HostMessage::Cancel { channel }) = message
        else {
            return Ok(());
        };
        match (self.jobs.get_mut(&channel), message) {
            (None, HostMessage::Open { operation, .. }) => return self.open(channel, operation),
            (Some(_), HostMessage::Open { .. }) => return Err(Fault),
            (_, HostMessage::Resize { channel: 0, size }) => console::resize(size),
            // What is said of an operation that has just ended comes too late, which is no fault.
            (None, _) => {}
            (Some(job), HostMessage::Resize { size, .. }) => job.resize(size),
            (Some(job), HostMessage::Data { bytes, .. }) => return job.input(&bytes),
            (Some(job), HostMessage::End { .. }) => return job.end(),
            (Some(job), HostMessage::Credit { stream, bytes, .. }) => return job.credit(stream, bytes),
            (Some(job), HostMessage::Cancel { .. }) => job.cancel(false),
            (Some(_), HostMessage::Hello { .. } | HostMessage::Wake) => {}
        }
        Ok(())
    }

    fn open(&mut self, channel: u32, operation: Operation) -> Result<(), Fault> {
        if self.jobs.len() >= MAX_OPERATIONS {
            return Err(Fault);
        }
        let begun = match operation {
            Operation::Run(command) => command::start(&command),
            Operation::Put { path, mode, size } => file::put(&path, mode, size),
            Operation::Get { path } => file::get(&path),
            Operation::SetClock { unix_micros } => Err(report::set_clock(unix_micros)),
            Operation::Report => Err(report::report()),
        };
        match begun {
            Ok((job, started)) => {
                self.port.send(&GuestMessage::Started { channel, started });
                self.jobs.insert(channel, job);
            }
            Err(outcome) => self.port.send(&GuestMessage::Done { channel, outcome }),
        }
        Ok(())
    }
}

/// An operation that has begun and what is to be told of it, or how it has ended already.
type Begun = Result<(Box<dyn Job>, Started), Outcome>;

fn failed(what: &str, error: &io::Error) -> Outcome {
    let mut message = format!("{what}: {error}");
    // It goes into one message.
    message.truncate(message.floor_char_boundary(4096));
    Outcome::Failed {
        errno: error.raw_os_error().unwrap_or(0),
        message: message.replace('\0', "·"),
    }
}

fn random() -> u64 {
    // The standard library's seed is the kernel's, if that has some to give.
    RandomState::new().hash_one(std::process::id())
}
