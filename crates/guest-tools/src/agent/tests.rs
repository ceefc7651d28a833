//! The agent with the host's side of the protocol at the other end of a socket.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;

use qemuweb_agent::{Command, Ending, Event, OperationId, Program, Session};

use super::*;

/// The host: a session, and the socket in place of the port.
struct Host {
    session: Session,
    socket: UnixStream,
    output: Vec<u8>,
    error: Vec<u8>,
    events: Vec<Event>,
    /// Whether what came is told to be consumed.
    gives_credit: bool,
}

impl Host {
    fn new() -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let file = std::fs::File::from(OwnedFd::from(theirs));
        thread::spawn(|| Agent::new(Port::over(file)).serve());
        ours.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut host = Self {
            session: Session::new(),
            socket: ours,
            output: Vec::new(),
            error: Vec::new(),
            events: Vec::new(),
            gives_credit: true,
        };
        host.until(|host| host.session.is_ready());
        host
    }

    /// Sends and receives once.
    fn turn(&mut self) {
        let out = self.session.outgoing(1 << 16);
        self.socket.write_all(&out).unwrap();
        let mut bytes = [0; 50_000];
        let Ok(n) = self.socket.read(&mut bytes) else {
            return;
        };
        for event in self.session.receive(&bytes[..n]) {
            match event {
                Event::Output { id, stream, bytes } => {
                    if self.gives_credit {
                        self.session.consumed(id, stream, bytes.len());
                    }
                    let to = if stream == Stream::Output {
                        &mut self.output
                    } else {
                        &mut self.error
                    };
                    to.extend(bytes);
                }
                event => self.events.push(event),
            }
        }
    }

    fn until(&mut self, mut is_there: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !is_there(self) {
            assert!(start.elapsed() < Duration::from_secs(20), "{:?}", self.events);
            self.turn();
        }
    }

    fn ending(&self, id: OperationId) -> Option<Ending> {
        self.events.iter().find_map(|event| match event {
            Event::Ended { id: ended, ending } if *ended == id => Some(ending.clone()),
            _ => None,
        })
    }

    fn start(&mut self, operation: Operation) -> OperationId {
        self.session.start(operation).unwrap()
    }

    fn end(&mut self, id: OperationId) -> Outcome {
        self.until(|host| host.ending(id).is_some());
        match self.ending(id).unwrap() {
            Ending::Done(outcome) => outcome,
            Ending::Lost(loss) => panic!("{loss}"),
        }
    }

    fn run(&mut self, command: Command) -> Outcome {
        let id = self.start(Operation::Run(command));
        self.session.finish(id);
        self.end(id)
    }

    fn output(&self) -> &str {
        str::from_utf8(&self.output).unwrap()
    }
}

fn exited(status: u8) -> Outcome {
    Outcome::Exited { status }
}

#[test]
fn commands_tell_how_they_end() {
    let words = |words: &[&str]| Command {
        program: Program::Arguments(words.iter().map(|word| (*word).to_owned()).collect()),
        ..Command::shell("")
    };
    let mut host = Host::new();
    for (command, outcome, output, error) in [
        (
            Command::shell("echo out; echo err >&2; exit 3"),
            exited(3),
            "out\n",
            "err\n",
        ),
        (words(&["printf", "%s|", "a b", "c"]), exited(0), "a b|c|", ""),
        (
            Command::shell("kill -9 $$"),
            Outcome::Signalled { signal: 9 },
            "",
            "",
        ),
        (
            Command {
                directory: Some("/usr".to_owned()),
                ..Command::shell("pwd")
            },
            exited(0),
            "/usr\n",
            "",
        ),
        (
            Command {
                environment: vec![("A".to_owned(), "b c".to_owned())],
                ..Command::shell("echo \"$A\"; cat")
            },
            exited(0),
            "b c\n",
            "",
        ),
        // What it leaves behind holds its output open, and is not waited for.
        (Command::shell("sleep 30 & echo there"), exited(0), "there\n", ""),
    ] {
        assert_eq!(host.run(command.clone()), outcome, "{command:?}");
        assert_eq!(
            (host.output(), str::from_utf8(&host.error).unwrap()),
            (output, error),
            "{command:?}"
        );
        host.output.clear();
        host.error.clear();
    }
}

#[test]
fn what_cannot_be_started_says_why() {
    let mut host = Host::new();
    let missing = Program::Arguments(vec!["no-such-program".to_owned()]);
    for (command, part) in [
        (
            Command {
                program: missing,
                ..Command::shell("")
            },
            "no-such-program: No such file",
        ),
        (
            Command {
                directory: Some("/no/such".to_owned()),
                ..Command::shell("true")
            },
            "expected a directory",
        ),
    ] {
        match host.run(command) {
            Outcome::Failed { message, .. } => assert!(message.contains(part), "{message}"),
            outcome => panic!("{outcome:?}"),
        }
    }
}

#[test]
fn input_reaches_a_command_as_it_takes_it() {
    let mut host = Host::new();
    let id = host.start(Operation::Run(Command::shell("sleep 0.2; md5sum")));
    let input: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    let mut sent = 0;
    while sent < input.len() {
        sent += host.session.write(id, &input[sent..]);
        host.turn();
    }
    host.session.finish(id);
    assert_eq!(host.end(id), exited(0));
    assert_eq!(host.output(), "35efddb2811ce9ecbdfa17f18472e604  -\n");
}

#[test]
fn who_reads_no_input_holds_nothing_up() {
    let mut host = Host::new();
    let id = host.start(Operation::Run(Command::shell("exec <&-; sleep 0.2; echo done")));
    let mut sent = 0;
    while sent < 1_000_000 {
        sent += host.session.write(id, &[0; 10_000]);
        host.turn();
        if host.ending(id).is_some() {
            break;
        }
    }
    host.session.finish(id);
    assert_eq!(host.end(id), exited(0));
}

#[test]
fn a_terminal_has_its_size() {
    let mut host = Host::new();
    let size = Size {
        rows: 30,
        columns: 90,
    };
    let id = host.start(Operation::Run(Command {
        terminal: Some(size),
        ..Command::shell(
            "stty size; trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.05; done",
        )
    }));
    host.until(|host| host.output().contains("ready"));
    host.session.resize(
        id,
        Size {
            rows: 31,
            columns: 91,
        },
    );
    assert_eq!(host.end(id), exited(5));
    assert_eq!(host.output(), "30 90\r\nready\r\n31 91\r\n");
    host.output.clear();
    let id = host.start(Operation::Run(Command {
        terminal: Some(size),
        ..Command::shell("tty >/dev/null; cat; echo end")
    }));
    host.session.write(id, b"typed\n");
    host.session.finish(id);
    assert_eq!(host.end(id), exited(0));
    assert_eq!(host.output(), "typed\r\ntyped\r\nend\r\n");
}

#[test]
fn time_limits_and_cancelling_end_commands() {
    let mut host = Host::new();
    let limited = |line: &str, time_limit_ms| Command {
        time_limit_ms,
        ..Command::shell(line)
    };
    let start = Instant::now();
    assert_eq!(
        host.run(limited("echo before; sleep 60 | cat", 300)),
        Outcome::TimedOut
    );
    assert_eq!(host.output(), "before\n");
    // One that does not heed the request is killed.
    assert_eq!(
        host.run(limited("trap '' TERM; while :; do sleep 1; done", 100)),
        Outcome::TimedOut
    );
    let id = host.start(Operation::Run(limited("yes", 0)));
    host.until(|host| host.output.len() > 1_000_000);
    host.session.cancel(id);
    assert_eq!(host.end(id), Outcome::Cancelled);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_command_that_nobody_reads_waits_and_holds_nothing_up() {
    let mut host = Host::new();
    host.gives_credit = false;
    let much = host.start(Operation::Run(Command::shell(
        "yes | head -c 3000000; echo >&2 written",
    )));
    host.until(|host| host.output.len() == qemuweb_agent::WINDOW as usize);
    for _ in 0..5 {
        host.turn();
    }
    assert_eq!(host.output.len(), qemuweb_agent::WINDOW as usize);
    let report = host.start(Operation::Report);
    match host.end(report) {
        Outcome::Reported(report) => {
            assert!(
                report.memory_total > report.memory_available
                    && report.uptime_ms > 0
                    && report.processors > 0
            );
        }
        outcome => panic!("{outcome:?}"),
    }
    host.gives_credit = true;
    host.session
        .consumed(much, Stream::Output, qemuweb_agent::WINDOW as usize);
    assert_eq!(host.end(much), exited(0));
    assert_eq!(
        (host.output.len(), &host.error[..]),
        (3_000_000, &b"written\n"[..])
    );
}

#[test]
fn files_go_and_come() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file").to_str().unwrap().to_owned();
    let content: Vec<u8> = (0..300_000_u32).map(|at| (at % 253) as u8).collect();
    let mut host = Host::new();
    let put = host.start(Operation::Put {
        path: path.clone(),
        mode: 0o4751,
        size: content.len() as u64,
    });
    let mut sent = 0;
    while sent < content.len() {
        assert!(
            !std::fs::exists(&path).unwrap(),
            "it is there before it is complete"
        );
        sent += host.session.write(put, &content[sent..]);
        host.turn();
    }
    host.session.finish(put);
    assert_eq!(host.end(put), Outcome::Stored);
    let get = host.start(Operation::Get { path });
    assert_eq!(host.end(get), Outcome::Sent { size: 300_000 });
    assert!(host.output == content);
    let started = Started::Get {
        size: 300_000,
        mode: 0o4751,
    };
    assert!(host.events.contains(&Event::Started { id: get, started }));
}

#[test]
fn files_that_cannot_be_say_why_and_leave_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let put = |path: String, size| Operation::Put {
        path,
        mode: 0o644,
        size,
    };
    let mut host = Host::new();
    for (operation, part) in [
        (put(at("short"), 10), "expected 10 bytes, found 3"),
        (put(at(""), 3), "found a directory"),
        (put(at("no/such"), 3), "No such file"),
        (Operation::Get { path: at("none") }, "No such file"),
        (Operation::Get { path: at("") }, "found a directory"),
        (
            Operation::Get {
                path: "/dev/zero".to_owned(),
            },
            "found a device",
        ),
    ] {
        let id = host.start(operation.clone());
        host.session.write(id, b"abc");
        host.session.finish(id);
        match host.end(id) {
            Outcome::Failed { message, .. } => assert!(message.contains(part), "{message}"),
            outcome => panic!("{operation:?}: {outcome:?}"),
        }
    }
    let id = host.start(put(at("cancelled"), 10));
    host.until(|host| {
        host.events.contains(&Event::Started {
            id,
            started: Started::Put,
        })
    });
    host.session.cancel(id);
    assert_eq!(host.end(id), Outcome::Cancelled);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_file_whose_size_is_not_known_is_read_to_its_end() {
    let mut host = Host::new();
    let get = host.start(Operation::Get {
        path: "/proc/self/status".to_owned(),
    });
    assert!(matches!(host.end(get), Outcome::Sent { size } if size > 100));
}

#[test]
fn a_host_that_comes_amid_a_session_begins_anew() {
    let mut host = Host::new();
    host.start(Operation::Run(Command::shell("echo $$; sleep 100")));
    host.until(|host| host.output.ends_with(b"\n"));
    let pid = host.output().trim().to_owned();
    // The other one was cut off amid a frame.
    host.socket.write_all(&[200, 1, 2]).unwrap();
    host.session = Session::new();
    host.session.wake();
    host.until(|host| host.session.is_ready());
    assert_eq!(host.run(Command::shell("true")), exited(0));
    let gone = || !std::fs::exists(format!("/proc/{pid}")).unwrap();
    host.until(|_| gone());
}

#[test]
fn rubbish_begins_the_session_anew() {
    let mut host = Host::new();
    assert_eq!(host.run(Command::shell("true")), exited(0));
    host.events.clear();
    host.socket.write_all(b"\0\x05rubbish\0").unwrap();
    host.until(|host| host.events.iter().any(|event| matches!(event, Event::Ready(_))));
    assert_eq!(host.run(Command::shell("true")), exited(0));
}
