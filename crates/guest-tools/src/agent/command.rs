//! Commands: processes with pipes or a terminal, their time limit, and their end.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use qemuweb_agent::{Command, MAX_DATA, Outcome, Program, Size, Started, Stream, WINDOW};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, ioctl_tiocsctty, kill_process_group, pidfd_open, setsid};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::tcsetwinsize;

use super::console::winsize;
use super::{Begun, Fault, Job, Link, failed};

/// How long a command that is to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// How long, after a command's end, its output is waited for that what it left behind holds open.
const LINGER: Duration = Duration::from_millis(200);

/// How often a command's end is looked for where the kernel cannot tell.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What ends input on a terminal: Control-D.
const END_OF_INPUT: u8 = 4;

struct Running {
    child: Child,
    pid: Pid,
    /// Readable when the command has ended.
    ended: Option<OwnedFd>,
    input: Input,
    output: Output,
    error: Output,
    has_terminal: bool,
    time_limit: Option<Instant>,
    /// Why it is being ended, and when it is killed.
    end: Option<(Outcome, Instant)>,
    status: Option<(ExitStatus, Instant)>,
}

/// Standard input, or what is typed on a terminal.
#[derive(Default)]
struct Input {
    file: Option<File>,
    waiting: Vec<u8>,
    /// Bytes of the window that are used up.
    used: u32,
    /// Bytes that were taken, and of which the host does not know.
    owed: u32,
    ends: bool,
}

/// Standard output or error, or what a terminal shows.
#[derive(Default)]
struct Output {
    /// Until its end.
    file: Option<File>,
    credit: u32,
    /// There was nothing to read when it was tried last.
    is_empty: bool,
}

pub(super) fn start(command: &Command) -> Begun {
    let name = match &command.program {
        Program::Arguments(words) => words.first().map_or("", String::as_str),
        Program::Shell(_) => "/bin/sh",
    };
    // Otherwise a directory that is missing looks like a program that is.
    if let Some(directory) = command
        .directory
        .as_deref()
        .filter(|directory| !Path::new(directory).is_dir())
    {
        let error = io::Error::new(ErrorKind::NotADirectory, "expected a directory");
        return Err(failed(&format!("cannot start {name} in {directory}"), &error));
    }
    let running = spawn(command, name).map_err(|error| failed(&format!("cannot start {name}"), &error))?;
    let pid = running.child.id();
    Ok((Box::new(running), Started::Command { pid }))
}

fn spawn(command: &Command, name: &str) -> io::Result<Running> {
    let mut process = Process::new(name);
    match &command.program {
        Program::Arguments(words) => process.args(&words[1..]),
        Program::Shell(line) => process.args(["-c", line]),
    };
    if let Some(directory) = &command.directory {
        process.current_dir(directory);
    }
    let variables = command.environment.iter().map(|(name, value)| (name, value));
    process.envs(variables);
    let master = match command.terminal {
        Some(size) => Some(File::from(lend_terminal(&mut process, size)?)),
        None => {
            process
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            None
        }
    };
    let has_terminal = master.is_some();
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe {
        process.pre_exec(move || {
            setsid()?;
            if has_terminal {
                ioctl_tiocsctty(io::stdin())?;
            }
            Ok(())
        });
    }
    let mut child = process.spawn()?;
    let (input, output, error) = match master {
        Some(master) => (Some(master.try_clone()?), Some(master), None),
        None => (
            child.stdin.take().map(|pipe| File::from(OwnedFd::from(pipe))),
            child.stdout.take().map(|pipe| File::from(OwnedFd::from(pipe))),
            child.stderr.take().map(|pipe| File::from(OwnedFd::from(pipe))),
        ),
    };
    for file in [&input, &output, &error].into_iter().flatten() {
        fcntl_setfl(file, OFlags::NONBLOCK)?;
    }
    let pid = Pid::from_child(&child);
    let limit = Duration::from_millis(command.time_limit_ms);
    Ok(Running {
        pid,
        ended: pidfd_open(pid, PidfdFlags::empty()).ok(),
        input: Input {
            file: input,
            ..Input::default()
        },
        output: Output::of(output),
        error: Output::of(error),
        has_terminal,
        time_limit: Instant::now().checked_add(limit).filter(|_| !limit.is_zero()),
        end: None,
        status: None,
        child,
    })
}

/// Gives a process a new terminal. Returns our end of it.
fn lend_terminal(process: &mut Process, size: Size) -> io::Result<OwnedFd> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let slave = ioctl_tiocgptpeer(
        &master,
        OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
    )?;
    tcsetwinsize(&master, winsize(size))?;
    if std::env::var_os("TERM").is_none() {
        process.env("TERM", "xterm-256color");
    }
    process
        .stdin(slave.try_clone()?)
        .stdout(slave.try_clone()?)
        .stderr(slave);
    Ok(master)
}

impl Output {
    fn of(file: Option<File>) -> Self {
        Self {
            credit: if file.is_some() { WINDOW } else { 0 },
            file,
            is_empty: false,
        }
    }

    fn step(&mut self, stream: Stream, link: &mut Link<'_>) {
        let Some(file) = &mut self.file else { return };
        if self.credit == 0 || !link.has_room() {
            self.is_empty = false;
            return;
        }
        let mut bytes = vec![0; MAX_DATA.min(self.credit as usize)];
        match file.read(&mut bytes) {
            Ok(0) => self.file = None,
            Ok(n) => {
                bytes.truncate(n);
                self.credit -= n as u32;
                self.is_empty = false;
                link.data(stream, bytes);
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => self.is_empty = true,
                ErrorKind::Interrupted => {}
                // A terminal that no process has open any more.
                _ => self.file = None,
            },
        }
    }

    fn watch<'a>(&'a self, has_room: bool, fds: &mut Vec<PollFd<'a>>) {
        if let Some(file) = self.file.as_ref().filter(|_| has_room && self.credit > 0) {
            fds.push(PollFd::new(file, PollFlags::IN));
        }
    }

    fn is_done(&self) -> bool {
        self.file.is_none() || self.is_empty
    }
}

impl Input {
    fn step(&mut self, has_terminal: bool) {
        while let Some(file) = self.file.as_mut().filter(|_| !self.waiting.is_empty()) {
            match file.write(&self.waiting) {
                Ok(n) => {
                    self.waiting.drain(..n);
                    self.owed += n as u32;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nobody reads it: it has closed its input, or ended.
                Err(_) => self.file = None,
            }
        }
        self.owed += self.waiting.len() as u32;
        self.waiting.clear();
        if self.ends {
            if let Some(file) = self.file.as_mut().filter(|_| has_terminal) {
                // A terminal that is full has somebody who does not read.
                let _ = file.write(&[END_OF_INPUT]);
            }
            self.file = None;
        }
    }
}

impl Running {
    /// Ends the command: asks first, and kills what is still there later.
    fn stop(&mut self, why: Outcome, grace: Duration) {
        if self.end.is_none() {
            // It has a process group of its own; one that is gone needs no signal.
            let _ = kill_process_group(self.pid, Signal::TERM);
            self.end = Some((why, Instant::now() + grace));
        }
    }

    fn kill(&self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
    }

    fn outcome(&self, status: ExitStatus) -> Outcome {
        if let Some((why, _)) = &self.end {
            return why.clone();
        }
        match (status.code(), status.signal()) {
            (Some(status), _) => Outcome::Exited { status: status as u8 },
            (None, signal) => Outcome::Signalled {
                signal: signal.unwrap_or(0) as u8,
            },
        }
    }
}

impl Job for Running {
    fn step(&mut self, link: &mut Link<'_>, now: Instant) -> Option<Outcome> {
        self.input.step(self.has_terminal);
        if self.input.owed >= WINDOW / 4 && self.end.is_none() {
            self.input.used -= self.input.owed;
            link.credit(std::mem::take(&mut self.input.owed));
        }
        self.output.step(Stream::Output, link);
        self.error.step(Stream::Error, link);
        if self.status.is_none() {
            if self.time_limit.is_some_and(|limit| now >= limit) {
                self.stop(Outcome::TimedOut, GRACE);
            }
            if self.end.as_ref().is_some_and(|(_, kill)| now >= *kill) {
                self.kill();
            }
            // Whoever reaps it instead of us leaves an error.
            self.status = match self.child.try_wait() {
                Ok(status) => status.map(|status| (status, now)),
                Err(_) => Some((ExitStatus::default(), now)),
            };
            if self.status.is_some() && self.end.is_some() {
                self.kill();
            }
        }
        let (status, since) = self.status?;
        let is_closed = self.output.file.is_none() && self.error.file.is_none();
        let has_lingered = now >= since + LINGER && self.output.is_done() && self.error.is_done();
        (is_closed || has_lingered).then(|| self.outcome(status))
    }

    fn watch<'a>(&'a self, has_room: bool, fds: &mut Vec<PollFd<'a>>) {
        if let Some(ended) = self.ended.as_ref().filter(|_| self.status.is_none()) {
            fds.push(PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN));
        }
        if let Some(file) = self
            .input
            .file
            .as_ref()
            .filter(|_| !self.input.waiting.is_empty())
        {
            fds.push(PollFd::new(file, PollFlags::OUT));
        }
        self.output.watch(has_room, fds);
        self.error.watch(has_room, fds);
    }

    fn wakes(&self, has_room: bool) -> Option<Instant> {
        let now = Instant::now();
        if let Some((_, since)) = self.status {
            // Later: until then what is left is read as it comes.
            let waits = [&self.output, &self.error]
                .iter()
                .any(|output| output.file.is_some() && (output.credit == 0 || !has_room));
            return (!waits).then(|| (since + LINGER).max(now));
        }
        let kill = self.end.as_ref().map(|(_, kill)| (*kill).max(now + LOOK_EVERY));
        let limit = self.time_limit.filter(|_| self.end.is_none());
        let look = self.ended.is_none().then(|| now + LOOK_EVERY);
        [kill, limit, look].into_iter().flatten().min()
    }

    fn input(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let input = &mut self.input;
        input.used = input.used.saturating_add(bytes.len() as u32);
        if input.used > WINDOW || input.ends {
            return Err(Fault);
        }
        input.waiting.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.input.ends = true;
        Ok(())
    }

    fn credit(&mut self, stream: Stream, bytes: u32) -> Result<(), Fault> {
        let output = match stream {
            Stream::Error => &mut self.error,
            _ => &mut self.output,
        };
        output.credit = output
            .credit
            .checked_add(bytes)
            .filter(|all| *all <= WINDOW)
            .ok_or(Fault)?;
        Ok(())
    }

    fn resize(&mut self, size: Size) {
        if let Some(terminal) = self.output.file.as_ref().filter(|_| self.has_terminal) {
            // The terminal is ours; one that is gone has no size.
            let _ = tcsetwinsize(terminal, winsize(size));
        }
    }

    fn cancel(&mut self, at_once: bool) {
        self.input = Input::default();
        self.output = Output::default();
        self.error = Output::default();
        self.stop(Outcome::Cancelled, if at_once { Duration::ZERO } else { GRACE });
    }
}
