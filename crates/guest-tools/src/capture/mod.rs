//! `page-capture`: the traffic of the page in the browser, as QemuWeb sends it to this VM.
//!
//! Exchanges come as JSON lines from a virtio-serial port. A port has one reader at a time: here it is a [`collector`] in the
//! background, which the first command starts and `page-capture stop` ends. What it reads is kept in a [`spool`] with an index,
//! so that no command has to read all lines to find one. Texts come from pages that nobody trusts: controls are taken out
//! before they are shown.

mod collector;
mod spool;
#[cfg(test)]
mod tests;
mod text;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use qemuweb_capture::annotation::{Annotation, MAX_LINE, MAX_NOTE};
use qemuweb_capture::{Exchange, Filter, PacketWriter, curl_command, har};

use spool::{Found, Spool};

const USAGE: &str = "\
page-capture: the page's network traffic, as it is sent to this VM

  page-capture list [FILTER]       print all exchanges so far
  page-capture follow [FILTER]     print exchanges as they come (Ctrl+C ends)
  page-capture show N              headers, times and texts of number N
  page-capture body N [request]    the response's (or request's) body, as it is when not to a terminal
  page-capture curl N              a curl command that makes the request again
  page-capture save har FILE [FILTER]       all exchanges as HAR 1.2
  page-capture save pcap FILE [FILTER]      all exchanges as packets, in pcapng
  page-capture save dir DIRECTORY [FILTER]  all exchanges as JSON lines, and all bodies as files
  page-capture annotate N TEXT     put a note on the row in the panel
  page-capture flag N [off]        put a mark on the row in the panel, or take it away
  page-capture clear               forget what came so far
  page-capture stop                give the port free for other programs

N is the number that the panel shows; of an earlier capture, with its name in front, as list shows it (c1:7).
FILTER is the panel's: words of the URL, or terms such as method:POST status-code:404 domain:*.example.org

Or read the ports themselves:  cat /dev/virtio-ports/org.qemuweb.capture.0 | jq .
                               tcpdump -r /dev/virtio-ports/org.qemuweb.capture.1
";

/// How often `follow` looks for what is new.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);

/// Why a command fails.
enum Failure {
    /// Told to the person: what was expected, what was found.
    Said(String),
    /// Nobody reads our output any more.
    Closed,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Said(error.to_string()),
        }
    }
}

fn fail<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Said(text.into()))
}

pub(crate) fn main(words: &[OsString]) -> ExitCode {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let spool = Spool::from_environment();
    let mut out = BufWriter::new(io::stdout().lock());
    match act(&spool, &words, &mut out).and_then(|()| Ok(out.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Closed) => ExitCode::FAILURE,
        Err(Failure::Said(text)) => {
            // Nothing is left to do where that cannot be said.
            let _ = writeln!(io::stderr(), "page-capture: {text}");
            ExitCode::FAILURE
        }
    }
}

fn act(spool: &Spool, words: &[&str], out: &mut impl Write) -> Result<(), Failure> {
    let (command, words) = words.split_first().unwrap_or((&"help", &[]));
    match (*command, words) {
        ("help" | "--help" | "-h", _) => Ok(out.write_all(USAGE.as_bytes())?),
        ("collector", _) => collector::run(spool).map_err(Failure::from),
        ("stop", []) => Ok(spool.stop()?),
        ("clear", []) => {
            spool.stop()?;
            match fs::remove_dir_all(spool.directory()) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            }
        }
        ("list", filter) => {
            let filter = parse_filter(filter)?;
            collect(spool)?;
            list(spool, &filter, out)
        }
        ("follow", filter) => {
            let filter = parse_filter(filter)?;
            collect(spool)?;
            follow(spool, &filter, out)
        }
        ("show", [number]) => Ok(text::show(&find(spool, number)?.exchange, out)?),
        ("body", [number]) => body(&find(spool, number)?.exchange, false, out),
        ("body", [number, "request"]) => body(&find(spool, number)?.exchange, true, out),
        ("body", [number, "response"]) => body(&find(spool, number)?.exchange, false, out),
        ("curl", [number]) => Ok(writeln!(out, "{}", curl_command(&find(spool, number)?.exchange))?),
        ("save", [form, name, filter @ ..]) => {
            let filter = parse_filter(filter)?;
            collect(spool)?;
            save(spool, form, Path::new(name), &filter)
        }
        ("annotate", [number, text @ ..]) if !text.is_empty() => annotate(spool, number, &text.join(" ")),
        ("flag", [number]) => flag(spool, number, true),
        ("flag", [number, "on"]) => flag(spool, number, true),
        ("flag", [number, "off"]) => flag(spool, number, false),
        ("show" | "body" | "curl" | "save" | "annotate" | "flag" | "stop" | "clear", _) => {
            let usage = USAGE
                .lines()
                .filter_map(|line| line.trim().strip_prefix("page-capture "));
            let forms: Vec<&str> = usage
                .filter(|line| line.split(' ').next() == Some(command))
                .map(|line| line.split("  ").next().unwrap_or(line))
                .collect();
            fail(format!(
                "expected: page-capture {}",
                forms.join(", or page-capture ")
            ))
        }
        _ => fail(format!("there is no command {command}: see page-capture help")),
    }
}

fn parse_filter(words: &[&str]) -> Result<Filter, Failure> {
    words.join(" ").parse().or_else(|error| fail(format!("{error}")))
}

/// Sees to it that a collector runs, and that what waited for it is there.
fn collect(spool: &Spool) -> Result<(), Failure> {
    if spool.collector()?.is_some() {
        return Ok(());
    }
    match collector::start(spool)? {
        None => Ok(()),
        Some(said) => fail(said),
    }
}

fn find(spool: &Spool, number: &str) -> Result<Found, Failure> {
    collect(spool)?;
    match spool.find(number)? {
        Some(found) => Ok(found),
        None if spool::is_number(number) => {
            fail(format!("there is no exchange {number}: see page-capture list"))
        }
        None => fail("expected the number of an exchange, as page-capture list shows it"),
    }
}

fn list(spool: &Spool, filter: &Filter, out: &mut impl Write) -> Result<(), Failure> {
    let index = spool.index()?;
    let newest = index.newest();
    for entry in &index.entries {
        if filter.is_empty()
            || spool
                .read(entry)
                .is_some_and(|found| filter.matches(&found.exchange))
        {
            writeln!(out, "{:>5} {}", entry.label(newest), entry.row)?;
        }
    }
    out.flush()?;
    if index.dropped > 0 {
        eprintln!(
            "page-capture: {} exchanges are missing: they came faster than they were read",
            index.dropped
        );
    }
    if spool.is_full() {
        eprintln!(
            "page-capture: {} has its {} MiB, and no more is read: see page-capture clear",
            spool.directory().display(),
            spool.limit() >> 20
        );
    }
    Ok(())
}

fn follow(spool: &Spool, filter: &Filter, out: &mut impl Write) -> Result<(), Failure> {
    let mut shown = 0;
    loop {
        let index = spool.index_from(shown)?;
        let newest = index.newest();
        for entry in &index.entries {
            if filter.is_empty()
                || spool
                    .read(entry)
                    .is_some_and(|found| filter.matches(&found.exchange))
            {
                writeln!(out, "{:>5} {}", entry.label(newest), entry.row)?;
            }
        }
        out.flush()?;
        shown = index.end;
        thread::sleep(FOLLOW_EVERY);
    }
}

fn body(exchange: &Exchange, is_of_request: bool, out: &mut impl Write) -> Result<(), Failure> {
    let body = if is_of_request {
        &exchange.request.body
    } else {
        &exchange.response.body
    };
    if io::stdout().is_terminal() {
        text::body_on_terminal(body.as_ref(), out)?;
    } else if let Some(body) = body {
        out.write_all(body.bytes())?;
    }
    Ok(())
}

fn save(spool: &Spool, form: &str, to: &Path, filter: &Filter) -> Result<(), Failure> {
    let index = spool.index()?;
    let exchanges = spool
        .exchanges(&index.entries)
        .filter(|found| filter.matches(&found.exchange));
    let named = |error: io::Error| Failure::Said(format!("cannot write {}: {error}", to.display()));
    let create = || File::create(to).map(BufWriter::new).map_err(named);
    match form {
        "har" => {
            let mut file = create()?;
            har::write_archive(&mut file, exchanges.map(|found| found.exchange)).map_err(named)?;
            file.flush().map_err(named)
        }
        "pcap" => {
            let mut file = create()?;
            PacketWriter::write_file(&mut file, exchanges.map(|found| found.exchange)).map_err(named)?;
            file.flush().map_err(named)
        }
        "dir" => {
            fs::create_dir_all(to).map_err(named)?;
            let newest = index.newest();
            let mut lines = File::create(to.join("exchanges.jsonl"))
                .map(BufWriter::new)
                .map_err(named)?;
            for found in exchanges {
                lines.write_all(&found.line).map_err(named)?;
                let Some(data) = found
                    .exchange
                    .response
                    .body
                    .as_ref()
                    .and_then(|body| body.data.as_ref())
                else {
                    continue;
                };
                let label = found.entry.label(newest).replace(':', "-");
                let name = PathBuf::from(format!(
                    "{label}-{}",
                    text::file_name(&found.exchange.request.url)
                ));
                fs::write(to.join(name), data).map_err(named)?;
            }
            lines.flush().map_err(named)
        }
        _ => fail(format!("expected har, pcap or dir, found {form}")),
    }
}

fn annotate(spool: &Spool, number: &str, text: &str) -> Result<(), Failure> {
    if text.len() > MAX_NOTE {
        return fail(format!(
            "expected a note of at most {MAX_NOTE} bytes, found {}",
            text.len()
        ));
    }
    let found = find(spool, number)?;
    say(
        spool,
        &Annotation::Note {
            capture: found.capture,
            number: found.exchange.number,
            text: text.to_owned(),
        },
    )
}

fn flag(spool: &Spool, number: &str, on: bool) -> Result<(), Failure> {
    let found = find(spool, number)?;
    say(
        spool,
        &Annotation::Flag {
            capture: found.capture,
            number: found.exchange.number,
            on,
        },
    )
}

/// Tells the host, through the collector: a port can be opened only once.
fn say(spool: &Spool, annotation: &Annotation) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(annotation).map_err(io::Error::from)?;
    line.push(b'\n');
    if line.len() > MAX_LINE {
        return fail(format!(
            "expected a note of at most {MAX_LINE} bytes as JSON, found {}",
            line.len()
        ));
    }
    Ok(spool.say(&line)?)
}
