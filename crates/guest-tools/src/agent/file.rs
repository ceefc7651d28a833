//! Files to and from the host.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use qemuweb_agent::{MAX_DATA, Outcome, Size, Started, Stream, WINDOW};
use rustix::event::PollFd;
use rustix::fs::OFlags;

use super::{Begun, Fault, Job, Link, failed};

/// A file that comes. It has another name until it is complete.
struct Put {
    file: File,
    part: PathBuf,
    path: PathBuf,
    mode: u32,
    size: u64,
    written: u64,
    owed: u32,
    outcome: Option<Outcome>,
}

pub(super) fn put(path: &str, mode: u32, size: u64) -> Begun {
    let path = PathBuf::from(path);
    let part =
        part_name(&path).map_err(|error| failed(&format!("cannot write {}", path.display()), &error))?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .map_err(|error| failed(&format!("cannot write {}", path.display()), &error))?;
    let job = Put {
        file,
        part,
        path,
        mode: mode & 0o7777,
        size,
        written: 0,
        owed: 0,
        outcome: None,
    };
    Ok((Box::new(job), Started::Put))
}

/// A name beside `path` that nothing has.
fn part_name(path: &Path) -> io::Result<PathBuf> {
    if path.is_dir() {
        return Err(io::Error::new(
            ErrorKind::IsADirectory,
            "expected a file's name, found a directory",
        ));
    }
    let name = path
        .file_name()
        .filter(|_| !path.as_os_str().as_encoded_bytes().ends_with(b"/"))
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "expected the name of a file at its end"))?;
    let mut part = std::ffi::OsString::from(".");
    // Names have 255 bytes at most.
    part.push(name.to_string_lossy().chars().take(50).collect::<String>());
    part.push(format!(".{:x}.part", super::random()));
    Ok(path.with_file_name(part))
}

impl Put {
    fn fail(&mut self, error: &io::Error) {
        let what = format!("cannot write {}", self.path.display());
        self.outcome.get_or_insert(failed(&what, error));
    }

    fn complete(&self) -> io::Result<()> {
        self.file.set_permissions(Permissions::from_mode(self.mode))?;
        fs::rename(&self.part, &self.path)
    }
}

impl Job for Put {
    fn step(&mut self, link: &mut Link<'_>, _now: Instant) -> Option<Outcome> {
        if self.owed >= WINDOW / 4 && self.outcome.is_none() {
            link.credit(std::mem::take(&mut self.owed));
        }
        self.outcome.take()
    }

    fn watch<'a>(&'a self, _has_room: bool, _fds: &mut Vec<PollFd<'a>>) {}

    fn wakes(&self, _has_room: bool) -> Option<Instant> {
        None
    }

    fn input(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.outcome.is_some() {
            return Ok(());
        }
        let len = bytes.len() as u64;
        self.written = self
            .written
            .checked_add(len)
            .filter(|all| *all <= self.size)
            .ok_or(Fault)?;
        match self.file.write_all(bytes) {
            Ok(()) => self.owed += bytes.len() as u32,
            Err(error) => self.fail(&error),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        if self.outcome.is_some() {
            return Ok(());
        }
        if self.written == self.size {
            match self.complete() {
                Ok(()) => self.outcome = Some(Outcome::Stored),
                Err(error) => self.fail(&error),
            }
        } else {
            let found = format!("expected {} bytes, found {}", self.size, self.written);
            self.fail(&io::Error::new(ErrorKind::UnexpectedEof, found));
        }
        Ok(())
    }

    fn cancel(&mut self, _at_once: bool) {
        self.outcome.get_or_insert(Outcome::Cancelled);
    }
}

impl Drop for Put {
    fn drop(&mut self) {
        // Unless it has got its name. Who cannot write here has nothing to take away.
        let _ = fs::remove_file(&self.part);
    }
}

/// A file that goes.
struct Get {
    file: File,
    path: PathBuf,
    sent: u64,
    credit: u32,
    is_cancelled: bool,
}

pub(super) fn get(path: &str) -> Begun {
    let path = PathBuf::from(path);
    let open = || {
        // A pipe would be waited for.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
            .open(&path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            let kind = if metadata.is_dir() {
                "a directory"
            } else {
                "a device or pipe"
            };
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                format!("expected a file, found {kind}"),
            ));
        }
        Ok((file, metadata))
    };
    let (file, metadata) =
        open().map_err(|error| failed(&format!("cannot read {}", path.display()), &error))?;
    let started = Started::Get {
        size: metadata.size(),
        mode: metadata.mode() & 0o7777,
    };
    let job = Get {
        file,
        path,
        sent: 0,
        credit: WINDOW,
        is_cancelled: false,
    };
    Ok((Box::new(job), started))
}

impl Job for Get {
    fn step(&mut self, link: &mut Link<'_>, _now: Instant) -> Option<Outcome> {
        if self.is_cancelled {
            return Some(Outcome::Cancelled);
        }
        if self.credit == 0 || !link.has_room() {
            return None;
        }
        let mut bytes = vec![0; MAX_DATA.min(self.credit as usize)];
        match self.file.read(&mut bytes) {
            Ok(0) => Some(Outcome::Sent { size: self.sent }),
            Ok(n) => {
                bytes.truncate(n);
                self.sent += n as u64;
                self.credit -= n as u32;
                link.data(Stream::Output, bytes);
                None
            }
            Err(error) => Some(failed(&format!("cannot read {}", self.path.display()), &error)),
        }
    }

    fn watch<'a>(&'a self, _has_room: bool, _fds: &mut Vec<PollFd<'a>>) {}

    fn wakes(&self, has_room: bool) -> Option<Instant> {
        // A file need not be waited for.
        (has_room && self.credit > 0).then(Instant::now)
    }

    fn credit(&mut self, stream: Stream, bytes: u32) -> Result<(), Fault> {
        self.credit = self
            .credit
            .checked_add(bytes)
            .filter(|_| stream == Stream::Output)
            .ok_or(Fault)?;
        Ok(())
    }

    fn resize(&mut self, _size: Size) {}

    fn cancel(&mut self, _at_once: bool) {
        self.is_cancelled = true;
    }
}
