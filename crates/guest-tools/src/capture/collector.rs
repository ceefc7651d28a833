//! The collector: the one reader of the port, in the background.
//!
//! It keeps the lines as they come, and an index of them; what goes to the host goes through it too. Whoever starts it waits
//! until what was ready for it is there: it holds the pipe that is its standard output open until then, and says there why it
//! cannot collect.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use qemuweb_capture::jsonl::{self, Line};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::setsid;

use super::spool::{Entry, Spool, gap_line};

/// How long the host may take for the first line.
const FIRST: Duration = Duration::from_millis(400);

/// How long nothing has to come for all that was ready to be there.
const QUIET: Duration = Duration::from_millis(150);

/// How long a command waits while more and more comes.
const BUSY: Duration = Duration::from_secs(10);

/// How often the port is looked at while nobody holds its other end.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Starts a collector and waits for what is ready. Returns why there is none.
pub(super) fn start(spool: &Spool) -> io::Result<Option<String>> {
    if !spool.port().exists() {
        return Ok(Some(format!(
            "there is no {}: this VM was started without capture ports, or its kernel lacks virtio_console",
            spool.port().display()
        )));
    }
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["page-capture", "collector"])
        .arg0("qemuweb-guest")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    // SAFETY: a system call between fork and exec, which takes no memory. Ctrl+C is not meant for the collector.
    unsafe { command.pre_exec(|| Ok(setsid().map(drop)?)) };
    let mut said = String::new();
    if let Some(mut pipe) = command.spawn()?.stdout.take() {
        pipe.read_to_string(&mut said)?;
    }
    Ok(Some(said.trim_end().to_owned()).filter(|said| !said.is_empty()))
}

/// Collects until it is ended.
pub(super) fn run(spool: &Spool) -> io::Result<()> {
    // Another one is faster: what it has read is there.
    let Some(_lock) = spool.become_collector()? else {
        return Ok(());
    };
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let port = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nonblocking)
        .open(spool.port());
    let port = match port {
        Ok(port) => port,
        Err(error) => {
            let busy = match error.kind() {
                ErrorKind::ResourceBusy => "another program has it open".to_owned(),
                _ => error.to_string(),
            };
            println!("cannot read {}: {busy}", spool.port().display());
            return Ok(());
        }
    };
    let mut waiting = Some(Waiting::new());
    let mut collector = Collector {
        intake: Intake::open(spool)?,
        port,
        pipe: spool.open_pipe()?,
        to_host: Vec::new(),
    };
    loop {
        let until = waiting.as_ref().map(Waiting::until);
        let read = collector.turn(until)?;
        if let Some(some) = &mut waiting {
            some.read(read);
            if some.is_over() {
                waiting = None;
                close_stdout()?;
            }
        }
    }
}

/// Who has started us goes on.
fn close_stdout() -> io::Result<()> {
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    Ok(rustix::stdio::dup2_stdout(null)?)
}

/// Whether what was ready has come.
struct Waiting {
    start: Instant,
    last: Option<Instant>,
}

impl Waiting {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            last: None,
        }
    }

    fn read(&mut self, bytes: usize) {
        if bytes > 0 {
            self.last = Some(Instant::now());
        }
    }

    fn until(&self) -> Instant {
        let quiet = self.last.map_or(self.start + FIRST, |last| last + QUIET);
        quiet.min(self.start + BUSY)
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until()
    }
}

struct Collector {
    intake: Intake,
    port: File,
    pipe: File,
    /// What the port has not taken.
    to_host: Vec<u8>,
}

impl Collector {
    /// Waits for something, at most until `until`, and does it. Returns how many bytes came.
    fn turn(&mut self, until: Option<Instant>) -> io::Result<usize> {
        let mut port_events = PollFlags::empty();
        port_events.set(PollFlags::IN, !self.intake.is_full());
        port_events.set(PollFlags::OUT, !self.to_host.is_empty());
        let mut pipe_events = PollFlags::empty();
        pipe_events.set(PollFlags::IN, self.to_host.is_empty());
        let mut fds = [
            PollFd::new(&self.port, port_events),
            PollFd::new(&self.pipe, pipe_events),
        ];
        let timeout = until.map(|until| timespec(until.saturating_duration_since(Instant::now())));
        // Interrupted or not: what is there is looked at.
        let _ = poll(&mut fds, timeout.as_ref());
        let is_alone = fds[0].revents().contains(PollFlags::HUP) && !fds[0].revents().contains(PollFlags::IN);
        if is_alone {
            // poll(2) would say so at once, again and again.
            std::thread::sleep(LOOK_EVERY);
        }
        if self.to_host.is_empty() {
            let mut bytes = [0; 4096];
            let n = momentary(self.pipe.read(&mut bytes))?;
            self.to_host.extend_from_slice(&bytes[..n]);
        }
        if !self.to_host.is_empty() {
            let n = momentary(self.port.write(&self.to_host))?;
            self.to_host.drain(..n);
        }
        if self.intake.is_full() {
            return Ok(0);
        }
        let mut bytes = vec![0; 32 << 10];
        let mut all = 0;
        loop {
            let n = momentary(self.port.read(&mut bytes))?;
            if n == 0 {
                return Ok(all);
            }
            all += n;
            self.intake.take(&bytes[..n])?;
            if self.intake.is_full() {
                return Ok(all);
            }
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().cast_signed(),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// As many bytes as there were; none is no error.
fn momentary(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        result => result,
    }
}

/// Lines on their way into the spool.
pub(super) struct Intake {
    lines: File,
    index: File,
    /// Where the line begins that is coming.
    start: u64,
    /// What has come of it.
    line: Vec<u8>,
    limit: u64,
}

impl Intake {
    pub(super) fn open(spool: &Spool) -> io::Result<Self> {
        let append = |path| OpenOptions::new().create(true).read(true).append(true).open(path);
        let mut intake = Self {
            lines: append(spool.lines())?,
            index: append(spool.index_path())?,
            start: spool.index()?.lines_end,
            line: Vec::new(),
            limit: spool.limit(),
        };
        // A former collector may have been ended before it told of what it had kept, or amid a line, which comes again.
        let mut rest = Vec::new();
        intake.lines.seek(SeekFrom::Start(intake.start))?;
        intake.lines.read_to_end(&mut rest)?;
        intake.note(&rest)?;
        if !intake.line.is_empty() {
            // Also when nothing but its end is missing it is none, for it comes again.
            let mark = b" (cut off)\n";
            intake.lines.write_all(mark)?;
            intake.note(mark)?;
        }
        Ok(intake)
    }

    fn is_full(&self) -> bool {
        self.start + self.line.len() as u64 >= self.limit
    }

    /// Takes what has come. What is beyond the limit is left out.
    pub(super) fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = self.limit.saturating_sub(self.start + self.line.len() as u64);
        let bytes = &bytes[..bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        self.lines.write_all(bytes)?;
        self.note(bytes)
    }

    /// Writes into the index what these bytes complete.
    fn note(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut indexed = String::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if !piece.ends_with(b"\n") {
                continue;
            }
            let len = self.line.len() as u64;
            // What is torn, or of another kind, stays in the lines for who reads these.
            match jsonl::read(&self.line) {
                Ok(Line::Exchange { capture, exchange }) => {
                    indexed += &Entry::new(self.start, len, &capture, &exchange).to_line();
                }
                Ok(Line::Gap { dropped }) => indexed += &gap_line(self.start, len, dropped),
                Err(_) => {}
            }
            self.start += len;
            self.line.clear();
        }
        self.index.write_all(indexed.as_bytes())
    }
}
