//! The spool: what the collector has read, and where in it each exchange is.
//!
//! | file | what it holds |
//! |---|---|
//! | `lines` | the lines as they came |
//! | `index` | a line for each: `exchange OFFSET LENGTH NUMBER CAPTURE`, a tab and the row; or `gap OFFSET LENGTH COUNT` |
//! | `lines.in` | a pipe for what goes to the host |
//! | `collector` | the process that collects, which holds a lock on it |

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use qemuweb_capture::Exchange;
use qemuweb_capture::jsonl::{self, Line};
use rustix::fs::{CWD, FileType, FlockOperation, Mode, OFlags, flock, mknodat};
use rustix::process::{Pid, Signal, kill_process};

use super::text;

const PORT: &str = "/dev/virtio-ports/org.qemuweb.capture.0";
const DIRECTORY: &str = "/tmp/page-capture";
const LIMIT_MIB: u64 = 32;

/// How long a collector may take to end.
const END_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Spool {
    directory: PathBuf,
    port: PathBuf,
    limit: u64,
}

/// What the index says.
#[derive(Default)]
pub(super) struct Index {
    pub(super) entries: Vec<Entry>,
    /// Exchanges that are missing.
    pub(super) dropped: u64,
    /// Bytes of the index that were read.
    pub(super) end: u64,
    /// Bytes of the lines that it tells of.
    pub(super) lines_end: u64,
}

/// Where an exchange is, and how it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    offset: u64,
    len: u64,
    number: u64,
    /// The capture's id without what could confuse.
    capture: String,
    pub(super) row: String,
}

/// An exchange that was read again.
pub(super) struct Found {
    pub(super) entry: Entry,
    pub(super) capture: String,
    pub(super) exchange: Exchange,
    /// The line that it was read from.
    pub(super) line: Vec<u8>,
}

impl Spool {
    pub(super) fn from_environment() -> Self {
        let variable = std::env::var_os;
        let limit_mib = std::env::var("PAGE_CAPTURE_MIB")
            .ok()
            .and_then(|mib| mib.parse().ok());
        Self {
            directory: variable("PAGE_CAPTURE_SPOOL").map_or_else(|| DIRECTORY.into(), PathBuf::from),
            port: variable("PAGE_CAPTURE_LINES").map_or_else(|| PORT.into(), PathBuf::from),
            limit: u64::saturating_mul(limit_mib.unwrap_or(LIMIT_MIB), 1 << 20),
        }
    }

    #[cfg(test)]
    pub(super) fn at(directory: &Path, limit: u64) -> Self {
        Self {
            directory: directory.to_owned(),
            port: PathBuf::from(PORT),
            limit,
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn port(&self) -> &Path {
        &self.port
    }

    /// Bytes that the lines may take.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn lines(&self) -> PathBuf {
        self.directory.join("lines")
    }

    pub(super) fn is_full(&self) -> bool {
        fs::metadata(self.lines()).is_ok_and(|lines| lines.len() >= self.limit)
    }

    /// The process that collects, if there is one.
    pub(super) fn collector(&self) -> io::Result<Option<Pid>> {
        let mut file = match File::open(self.directory.join("collector")) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(None);
        }
        let mut pid = String::new();
        file.read_to_string(&mut pid)?;
        Ok(pid.trim().parse().ok().and_then(Pid::from_raw))
    }

    /// Makes this process the collector; nothing if there is one. The lock lasts as long as the file.
    pub(super) fn become_collector(&self) -> io::Result<Option<File>> {
        fs::create_dir_all(&self.directory)?;
        let path = self.directory.join("collector");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        file.set_len(0)?;
        write!(file, "{}", std::process::id())?;
        Ok(Some(file))
    }

    /// Ends the collector.
    pub(super) fn stop(&self) -> io::Result<()> {
        let start = Instant::now();
        while let Some(pid) = self.collector()? {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::TERM);
            if start.elapsed() > END_WITHIN {
                return Err(io::Error::other(format!(
                    "the collector, process {pid}, does not end"
                )));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn pipe(&self) -> PathBuf {
        self.directory.join("lines.in")
    }

    /// The collector's end of the pipe for what goes to the host.
    pub(super) fn open_pipe(&self) -> io::Result<File> {
        let path = self.pipe();
        match mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        // For writing as well: it does not end when the last writer goes.
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)
    }

    /// Gives the collector a line for the host.
    pub(super) fn say(&self, line: &[u8]) -> io::Result<()> {
        OpenOptions::new()
            .write(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(self.pipe())?
            .write_all(line)
    }

    pub(super) fn index_path(&self) -> PathBuf {
        self.directory.join("index")
    }

    pub(super) fn index(&self) -> io::Result<Index> {
        self.index_from(0)
    }

    /// What the index has from a place on.
    pub(super) fn index_from(&self, start: u64) -> io::Result<Index> {
        let mut text = Vec::new();
        match File::open(self.index_path()) {
            Ok(mut file) => {
                file.seek(SeekFrom::Start(start))?;
                file.read_to_end(&mut text)?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut index = Index {
            end: start,
            ..Index::default()
        };
        // A line that is being written is for the next time.
        for line in text
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| line.ends_with(b"\n"))
        {
            index.end += line.len() as u64;
            match str::from_utf8(line).ok().and_then(parse) {
                Some(Indexed::Exchange(entry)) => {
                    index.lines_end = entry.offset.saturating_add(entry.len);
                    index.entries.push(entry);
                }
                Some(Indexed::Gap { lines_end, dropped }) => {
                    index.lines_end = lines_end;
                    index.dropped = index.dropped.saturating_add(dropped);
                }
                None => {}
            }
        }
        Ok(index)
    }

    /// Reads an exchange again; nothing if it is no more there.
    pub(super) fn read(&self, entry: &Entry) -> Option<Found> {
        read(&File::open(self.lines()).ok()?, entry)
    }

    /// The exchanges of these entries, read one by one.
    pub(super) fn exchanges<'a>(
        &self,
        entries: &'a [Entry],
    ) -> impl Iterator<Item = Found> + Clone + use<'a> {
        let lines = File::open(self.lines()).ok().map(std::rc::Rc::new);
        entries
            .iter()
            .filter_map(move |entry| read(lines.as_deref()?, entry))
    }

    /// The exchange that a person means: a number of the newest capture, or a capture and a number.
    pub(super) fn find(&self, wanted: &str) -> io::Result<Option<Found>> {
        let index = self.index()?;
        let newest = index.newest();
        // The last one: it may have come again, with more in it.
        let entry = index.entries.iter().rev().find(|entry| {
            entry.label(newest) == wanted
                || wanted.strip_prefix(&entry.capture) == Some(&format!(":{}", entry.number))
        });
        Ok(entry.and_then(|entry| self.read(entry)))
    }
}

fn read(lines: &File, entry: &Entry) -> Option<Found> {
    let len = usize::try_from(entry.len)
        .ok()
        .filter(|len| *len <= jsonl::MAX_LINE)?;
    // No memory is taken for what the file cannot have.
    if entry.offset.checked_add(entry.len)? > lines.metadata().ok()?.len() {
        return None;
    }
    let mut line = vec![0; len];
    lines.read_exact_at(&mut line, entry.offset).ok()?;
    match jsonl::read(&line).ok()? {
        Line::Exchange { capture, exchange } => Some(Found {
            entry: entry.clone(),
            capture,
            exchange: *exchange,
            line,
        }),
        Line::Gap { .. } => None,
    }
}

impl Index {
    /// The capture that the last exchange is of.
    pub(super) fn newest(&self) -> &str {
        self.entries.last().map_or("", |entry| &entry.capture)
    }
}

impl Entry {
    /// The entry of an exchange that lies at `offset`.
    pub(super) fn new(offset: u64, len: u64, capture: &str, exchange: &Exchange) -> Self {
        Self {
            offset,
            len,
            number: exchange.number,
            capture: text::clean(capture).replace([' ', ':'], "_"),
            row: text::row(exchange),
        }
    }

    /// What a person calls it: its number, with its capture in front when that is not the newest one.
    pub(super) fn label(&self, newest: &str) -> String {
        if self.capture == newest {
            self.number.to_string()
        } else {
            format!("{}:{}", self.capture, self.number)
        }
    }

    /// The line of the index.
    pub(super) fn to_line(&self) -> String {
        let Self {
            offset,
            len,
            number,
            capture,
            row,
        } = self;
        format!("exchange {offset} {len} {number} {capture}\t{row}\n")
    }
}

/// The line of the index for exchanges that are missing.
pub(super) fn gap_line(offset: u64, len: u64, dropped: u64) -> String {
    format!("gap {offset} {len} {dropped}\n")
}

enum Indexed {
    Exchange(Entry),
    Gap { lines_end: u64, dropped: u64 },
}

fn parse(line: &str) -> Option<Indexed> {
    let (head, row) = line
        .strip_suffix('\n')?
        .split_once('\t')
        .unwrap_or((line.trim_end(), ""));
    let mut words = head.splitn(5, ' ');
    let kind = words.next()?;
    let mut number = || words.next()?.parse::<u64>().ok();
    let (offset, len, number) = (number()?, number()?, number()?);
    match kind {
        "exchange" => Some(Indexed::Exchange(Entry {
            offset,
            len,
            number,
            capture: words.next()?.to_owned(),
            row: row.to_owned(),
        })),
        "gap" => Some(Indexed::Gap {
            lines_end: offset.saturating_add(len),
            dropped: number,
        }),
        _ => None,
    }
}

/// Whether it looks like what [`Spool::find`] finds.
pub(super) fn is_number(text: &str) -> bool {
    let number = text.rsplit_once(':').map_or(text, |(_, number)| number);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}
