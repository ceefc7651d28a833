//! The virtio-serial port: found by its name, never waited for, written frame by frame.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use qemuweb_agent::GuestMessage;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::OFlags;

/// The port's name; the host's is `AGENT_PORT_NAME` in `crates/vm-config`.
pub(super) const NAME: &str = "org.qemuweb.agent.0";

/// While so many bytes wait for the host, no more output is read.
const MAX_QUEUED: usize = 32 << 10;

/// How long nobody is looked for at the other end, when there was nobody.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Port {
    file: File,
    /// Frames that the port has not taken: one is written at once, which Linux does as a whole or not at all, so that none is
    /// cut off when we are ended.
    frames: VecDeque<Vec<u8>>,
    /// Bytes of the first one that are written.
    written: usize,
    queued: usize,
    /// Nobody is at the other end until then.
    alone_until: Option<Instant>,
    pub(super) buffer: Vec<u8>,
}

impl Port {
    /// Opens the port, or another file that is given.
    pub(super) fn open(path: Option<&OsStr>) -> io::Result<Self> {
        let path = match path {
            Some(path) => PathBuf::from(path),
            None => find()?,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(&path)
            .map_err(|error| {
                io::Error::new(error.kind(), format!("cannot open {}: {error}", path.display()))
            })?;
        Ok(Self::over(file))
    }

    /// A port over a file that does not wait.
    pub(super) fn over(file: File) -> Self {
        Self {
            file,
            frames: VecDeque::new(),
            written: 0,
            queued: 0,
            alone_until: None,
            buffer: vec![0; 32 << 10],
        }
    }

    /// Whether output is to be read: the port takes what is sent.
    pub(super) fn has_room(&self) -> bool {
        self.queued < MAX_QUEUED
    }

    pub(super) fn send(&mut self, message: &GuestMessage) {
        let mut frame = Vec::new();
        message.write_frame(&mut frame);
        self.queued += frame.len();
        self.frames.push_back(frame);
    }

    /// Writes what the port takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some(frame) = self.frames.front() {
            match self.file.write(&frame[self.written..]) {
                Ok(n) => self.written += n,
                Err(error) if is_momentary(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
            if self.written == frame.len() {
                self.queued -= frame.len();
                self.written = 0;
                self.frames.pop_front();
            }
        }
        Ok(())
    }

    /// Reads what there is, perhaps nothing.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.file.read(bytes) {
            Ok(0) => {
                self.alone_until = Some(Instant::now() + LOOK_EVERY);
                Ok(0)
            }
            Ok(n) => {
                self.alone_until = None;
                Ok(n)
            }
            Err(error) if is_momentary(&error) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// What to wait for, and until when. While nobody holds the other end, poll(2) says so at once, again and again.
    pub(super) fn watch<'a>(&'a self, fds: &mut Vec<PollFd<'a>>, now: Instant) -> Option<Instant> {
        let alone_until = self.alone_until.filter(|until| *until > now);
        if alone_until.is_none() {
            let mut events = PollFlags::IN;
            events.set(PollFlags::OUT, !self.frames.is_empty());
            fds.push(PollFd::new(&self.file, events));
        }
        alone_until
    }
}

fn is_momentary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// The port's device: as udev or our init links it, or as the kernel names it.
fn find() -> io::Result<PathBuf> {
    let link = PathBuf::from("/dev/virtio-ports").join(NAME);
    if link.exists() {
        return Ok(link);
    }
    let ports = fs::read_dir("/sys/class/virtio-ports")
        .into_iter()
        .flatten()
        .flatten();
    for port in ports {
        if fs::read_to_string(port.path().join("name")).is_ok_and(|name| name.trim_end() == NAME) {
            return Ok(PathBuf::from("/dev").join(port.file_name()));
        }
    }
    Err(io::Error::new(
        ErrorKind::NotFound,
        format!(
            "expected a virtio-serial port {NAME}, found none: this is no VM of QemuWeb, or its kernel lacks virtio_console"
        ),
    ))
}
