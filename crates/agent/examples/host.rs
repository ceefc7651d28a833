//! The host's side at the two pipes of a port, as `qemu -chardev pipe` makes them: does one thing in the guest.
//!
//!   host PATH run LINE            with this program's input and output; ends as the command does
//!   host PATH put FROM TO         host PATH get FROM TO
//!   host PATH resize ROWS COLUMNS
//!   host PATH clock UNIX-SECONDS  host PATH report

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use qemuweb_agent::{Command, Ending, Event, Operation, Outcome, Session, Size, Stream};

type Error = Box<dyn std::error::Error>;

/// How long the guest may say nothing.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<ExitCode, Error> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [path, words @ ..] = &words[..] else {
        return Err("expected a path".into());
    };
    let mut host = Host::open(path)?;
    let (operation, input, output): (_, Vec<u8>, Box<dyn io::Write>) = match words {
        ["run", line] => {
            let mut input = Vec::new();
            io::stdin().read_to_end(&mut input)?;
            (
                Operation::Run(Command::shell(*line)),
                input,
                Box::new(io::stdout()),
            )
        }
        ["put", from, to] => {
            let (path, input) = ((*to).to_owned(), fs::read(from)?);
            let size = input.len() as u64;
            (
                Operation::Put {
                    path,
                    mode: 0o755,
                    size,
                },
                input,
                Box::new(io::sink()),
            )
        }
        ["get", from, to] => {
            let path = (*from).to_owned();
            (Operation::Get { path }, Vec::new(), Box::new(File::create(to)?))
        }
        ["clock", seconds] => {
            let unix_micros = seconds.parse::<i64>()? * 1_000_000;
            (
                Operation::SetClock { unix_micros },
                Vec::new(),
                Box::new(io::sink()),
            )
        }
        ["report"] => (Operation::Report, Vec::new(), Box::new(io::sink())),
        ["resize", rows, columns] => {
            let (rows, columns) = (rows.parse()?, columns.parse()?);
            host.session.resize_console(Size { rows, columns });
            // When this has come back, the other has been done.
            (Operation::Report, Vec::new(), Box::new(io::sink()))
        }
        _ => return Err("expected run, put, get, clock, report or resize".into()),
    };
    match host.act(operation, &input, output)? {
        Outcome::Exited { status } => Ok(ExitCode::from(status)),
        Outcome::Stored | Outcome::Sent { .. } | Outcome::ClockSet => Ok(ExitCode::SUCCESS),
        Outcome::Reported(report) => {
            println!("{report:?}");
            Ok(ExitCode::SUCCESS)
        }
        outcome => Err(format!("{outcome:?}").into()),
    }
}

struct Host {
    session: Session,
    to_guest: File,
    from_guest: Receiver<Vec<u8>>,
}

impl Host {
    fn open(path: &str) -> Result<Self, Error> {
        // For reading as well: neither side sees the pipe end.
        let open = |end| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(format!("{path}.{end}"))
        };
        let (to_guest, mut out) = (open("in")?, open("out")?);
        let (sender, from_guest) = channel();
        thread::spawn(move || {
            let mut bytes = vec![0; 1 << 16];
            while let Ok(n) = out.read(&mut bytes) {
                if sender.send(bytes[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut host = Self {
            session: Session::new(),
            to_guest,
            from_guest,
        };
        host.session.wake();
        while !host.session.is_ready() {
            host.turn()?;
        }
        Ok(host)
    }

    fn turn(&mut self) -> Result<Vec<Event>, Error> {
        self.to_guest.write_all(&self.session.outgoing(1 << 16))?;
        Ok(self.session.receive(&self.from_guest.recv_timeout(PATIENCE)?))
    }

    fn act(
        &mut self,
        operation: Operation,
        mut input: &[u8],
        mut output: Box<dyn io::Write>,
    ) -> Result<Outcome, Error> {
        let id = self.session.start(operation)?;
        loop {
            let taken = self.session.write(id, input);
            input = &input[taken..];
            if input.is_empty() {
                self.session.finish(id);
            }
            for event in self.turn()? {
                match event {
                    Event::Output { stream, bytes, .. } => {
                        match stream {
                            Stream::Error => io::stderr().write_all(&bytes)?,
                            _ => output.write_all(&bytes)?,
                        }
                        self.session.consumed(id, stream, bytes.len());
                    }
                    Event::Ended {
                        ending: Ending::Done(outcome),
                        ..
                    } => return Ok(outcome),
                    Event::Ended {
                        ending: Ending::Lost(loss),
                        ..
                    } => return Err(loss.to_string().into()),
                    Event::Broken { what } => return Err(what.into()),
                    _ => {}
                }
            }
        }
    }
}
