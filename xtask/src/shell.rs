//! Runs commands in a guest's shell over its console, whatever POSIX shell that is.
//!
//! A console mixes three things: the echo of what is typed, the command's output, and messages of the kernel. They
//! are told apart by marker lines with a nonce that the *shell* puts together (`printf 'qw:%s:…' NONCE`), so the echo
//! never holds a marker. The command travels as text that `printf %b` decodes, in short pieces each of which is
//! answered before the next is sent: line editors cut lines at 1 KiB, act on tabs and control characters, and a
//! serial line has no flow control. `stty -onlcr` keeps the output's line ends as they are, `stty -echo` keeps out what the
//! terminal answers late to a line editor that asked where the cursor is.

use std::fmt;
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::console::Console;

/// A guest's console as something to type on and to read.
pub(crate) trait Terminal {
    /// All that was printed so far.
    fn console(&self) -> &Console;
    /// Types.
    fn send(&mut self, bytes: &[u8]) -> Result<()>;
    /// Waits at most `limit` for something to happen.
    fn wait(&mut self, limit: Duration) -> Result<Happened>;
}

/// What [`Terminal::wait`] saw.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// More was printed.
    Output,
    /// Nothing.
    Nothing,
    /// The guest is gone; this is why.
    Ended(String),
}

/// When to give up, if ever.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

/// The error of a wait that reached its [`Deadline`].
#[derive(Debug)]
pub(crate) struct TimedOut {
    what: String,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timed out while waiting for {}", self.what)
    }
}

impl std::error::Error for TimedOut {}

impl Deadline {
    /// `seconds` from now; never when `None`.
    pub(crate) fn after(seconds: Option<f64>) -> Result<Self> {
        let limit = seconds
            .map(Duration::try_from_secs_f64)
            .transpose()
            .context("--timeout takes seconds")?;
        Ok(Deadline(limit.map(|limit| Instant::now() + limit)))
    }

    /// An error when it has passed.
    pub(crate) fn check(self, what: &str) -> Result<()> {
        match self.0 {
            Some(end) if Instant::now() >= end => Err(TimedOut {
                what: what.to_owned(),
            }
            .into()),
            _ => Ok(()),
        }
    }

    /// `limit`, or less if it comes sooner.
    pub(crate) fn at_most(self, limit: Duration) -> Duration {
        self.0.map_or(limit, |end| {
            limit.min(end.saturating_duration_since(Instant::now()))
        })
    }
}

/// Waits until `check` finds what it looks for on the console. A guest that ends before is an error.
pub(crate) fn wait_for<T>(
    terminal: &mut impl Terminal,
    deadline: Deadline,
    what: &str,
    mut check: impl FnMut(&Console) -> Option<T>,
) -> Result<T> {
    loop {
        if let Some(found) = check(terminal.console()) {
            return Ok(found);
        }
        deadline.check(what)?;
        if let Happened::Ended(why) = terminal.wait(deadline.at_most(Duration::from_secs(1)))? {
            // Its last words may have come together with its end.
            return check(terminal.console()).with_context(|| {
                format!("{why}, while waiting for {what}\n{}", terminal.console().tail(15))
            });
        }
    }
}

/// How long a console that has printed something stays quiet before an Enter asks for a new prompt (the kernel may
/// have printed over the first).
const QUIET: Duration = Duration::from_secs(3);

/// Waits for a shell's prompt; logs in as root where that takes no password.
pub(crate) fn wait_prompt(terminal: &mut impl Terminal, deadline: Deadline) -> Result<()> {
    let what = "the guest's shell prompt";
    let mut last_change = Instant::now();
    let mut logged_in = false;
    loop {
        let line = terminal.console().last_line();
        if is_prompt(&line) {
            return Ok(());
        }
        if line.ends_with("login: ") && !logged_in {
            terminal.send(b"root\n")?;
            logged_in = true;
            last_change = Instant::now();
        } else if line.ends_with("assword: ") {
            bail!("the guest asks for a password: give it an image that logs root in on its console");
        } else if terminal.console().len() > 0 && last_change.elapsed() > QUIET {
            terminal.send(b"\n")?;
            last_change = Instant::now();
        }
        deadline.check(what)?;
        match terminal.wait(deadline.at_most(QUIET))? {
            Happened::Output => last_change = Instant::now(),
            Happened::Nothing => {}
            Happened::Ended(why) => {
                bail!("{why}, while waiting for {what}\n{}", terminal.console().tail(15))
            }
        }
    }
}

/// Whether an unfinished line is the prompt of a POSIX shell: root's ends in `#`, others' in `$`.
fn is_prompt(line: &str) -> bool {
    let line = line.trim_end();
    line.len() < 120 && (line.ends_with('#') || line.ends_with('$'))
}

/// What a command in the guest came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Its standard output and standard error, in the order in which they were printed.
    pub(crate) output: Vec<u8>,
    /// Its exit status, 0 to 255.
    pub(crate) status: u8,
}

/// Bytes of encoded command in one line: line editors cut lines at 1 KiB, some at 255 bytes.
const PIECE: usize = 160;

/// Runs `command` with `sh -c` in the shell whose prompt is on the console. Its standard input is empty.
pub(crate) fn exec(terminal: &mut impl Terminal, command: &str, deadline: Deadline) -> Result<Outcome> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let nonce = format!("{:x}{:x}", std::process::id(), time.subsec_nanos());

    // `dmesg -n 1` keeps the kernel's messages off the console.
    type_line(
        terminal,
        &nonce,
        0,
        "stty -onlcr 2>/dev/null; dmesg -n 1 2>/dev/null; q=",
        deadline,
    )?;
    let encoded = encode(command);
    let pieces: Vec<&str> = split(&encoded, PIECE);
    for (index, piece) in pieces.iter().enumerate() {
        type_line(
            terminal,
            &nonce,
            index + 1,
            &format!("q=\"$q\"'{piece}'"),
            deadline,
        )?;
    }

    let start = terminal.console().len();
    let line = format!(
        "stty -echo 2>/dev/null; printf 'qw:%s:begin\\n' {nonce}; sh -c \"$(printf '%b' \"$q\")\" </dev/null; \
         printf '\\nqw:%s:end:%s:\\n' {nonce} \"$?\"; stty echo 2>/dev/null\n"
    );
    terminal.send(line.as_bytes())?;
    let begin = format!("qw:{nonce}:begin");
    let begin_at = wait_for(terminal, deadline, "the start of the command", |console| {
        console
            .find(start, begin.as_bytes())
            .filter(|at| console.find(*at, b"\n").is_some())
    })?;
    let end = format!("\nqw:{nonce}:end:");
    let (end_at, status) = wait_for(terminal, deadline, "the end of the command", |console| {
        let at = console.find(begin_at, end.as_bytes())?;
        let rest = console.since(at + end.len());
        let digits = &rest[..rest.iter().position(|&byte| byte == b':')?];
        Some((at, String::from_utf8_lossy(digits).into_owned()))
    })?;
    let status = status
        .parse()
        .with_context(|| format!("the guest's shell gave the exit status {status:?}"))?;

    let printed = &terminal.console().since(begin_at)[..end_at - begin_at];
    let body = &printed[begin.len()..];
    // Without stty the terminal still ends lines with CR LF.
    let output = match body.strip_prefix(b"\r\n") {
        Some(body) => cr_lf_to_lf(body.strip_suffix(b"\r").unwrap_or(body)),
        None => body.strip_prefix(b"\n").unwrap_or(body).to_vec(),
    };
    Ok(Outcome { output, status })
}

/// Types one line of preparation and waits until the shell has run it.
fn type_line(
    terminal: &mut impl Terminal,
    nonce: &str,
    step: usize,
    line: &str,
    deadline: Deadline,
) -> Result<()> {
    let start = terminal.console().len();
    terminal.send(format!("{line}; printf 'qw:%s:%s:\\n' {nonce} {step}\n").as_bytes())?;
    let marker = format!("qw:{nonce}:{step}:");
    wait_for(terminal, deadline, "the guest's shell to answer", |console| {
        console.find(start, marker.as_bytes())
    })?;
    Ok(())
}

/// The command as `printf %b` reads it, without quotes, control characters and bytes beyond ASCII.
fn encode(command: &str) -> String {
    let mut encoded = String::with_capacity(command.len());
    for &byte in command.as_bytes() {
        match byte {
            b'\\' | b'\'' | b'!' | 0..=0x1f | 0x7f.. => {
                // Writing to a string cannot fail.
                let _ = write!(encoded, "\\0{byte:03o}");
            }
            _ => encoded.push(byte.into()),
        }
    }
    encoded
}

/// Pieces of at most about `size` bytes, none of which cuts an escape.
fn split(encoded: &str, size: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = encoded;
    while rest.len() > size {
        // An escape has five characters, the first of which is the only kind of backslash there is.
        let cut = match rest[size - 4..size].find('\\') {
            Some(at) => size - 4 + at,
            None => size,
        };
        let (piece, after) = rest.split_at(cut);
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

fn cr_lf_to_lf(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for (index, &byte) in bytes.iter().enumerate() {
        if byte != b'\r' || bytes.get(index + 1) != Some(&b'\n') {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests;
