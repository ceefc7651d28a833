//! The technique against the machine's own `sh`, with its prompt, over pipes.

use std::io::{PipeReader, Read, Write};
use std::process::{Child, ChildStdin, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use super::*;

/// An interactive `sh` whose output is filtered as a terminal would.
struct LocalShell {
    child: Child,
    stdin: ChildStdin,
    output: Receiver<Vec<u8>>,
    console: Console,
    cr_lf: bool,
}

impl LocalShell {
    fn start(cr_lf: bool) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut child = Command::new("sh")
            .arg("-i")
            .env("PS1", "/ # ")
            .env("PATH", "/usr/bin:/bin")
            .stdin(std::process::Stdio::piped())
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        LocalShell {
            child,
            stdin,
            output: read_on(reader),
            console: Console::default(),
            cr_lf,
        }
    }
}

fn read_on(mut reader: PipeReader) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = reader.read(&mut buffer) {
            let _ = sender.send(buffer[..read].to_vec());
        }
    });
    receiver
}

impl Terminal for LocalShell {
    fn console(&self) -> &Console {
        &self.console
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        // The echo of a terminal.
        self.console.push(bytes);
        Ok(self.stdin.write_all(bytes)?)
    }

    fn wait(&mut self, limit: Duration) -> Result<Happened> {
        match self.output.recv_timeout(limit) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let text = if self.cr_lf {
                    text.replace('\n', "\r\n")
                } else {
                    text
                };
                self.console.push(text.as_bytes());
                Ok(Happened::Output)
            }
            Err(RecvTimeoutError::Timeout) => Ok(Happened::Nothing),
            Err(RecvTimeoutError::Disconnected) => Ok(Happened::Ended("the shell ended".into())),
        }
    }
}

impl Drop for LocalShell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn check(command: &str, output: &str, status: u8) {
    for cr_lf in [false, true] {
        let mut shell = LocalShell::start(cr_lf);
        let deadline = Deadline::after(Some(20.0)).unwrap();
        wait_prompt(&mut shell, deadline).unwrap();
        let outcome = exec(&mut shell, command, deadline).unwrap();
        assert_eq!(
            (String::from_utf8_lossy(&outcome.output).as_ref(), outcome.status),
            (output, status),
            "{command}"
        );
        // The shell is still there for another.
        assert_eq!(
            exec(&mut shell, "exit 9", deadline).unwrap(),
            Outcome {
                output: vec![],
                status: 9
            }
        );
    }
}

#[test]
fn output_and_status_come_back() {
    check("echo hello", "hello\n", 0);
    check("printf 'no newline'; exit 3", "no newline", 3);
    check("false", "", 1);
    check("echo out; echo err >&2", "out\nerr\n", 0);
    check("printf '\\n\\nblank\\n\\n'", "\n\nblank\n\n", 0);
    check("cat; echo after", "after\n", 0);
}

#[test]
fn quotes_and_many_lines_survive() {
    check(
        "echo \"it's\" '\"quoted\"' \\\\ $((6 * 7)) !x",
        "it's \"quoted\" \\ 42 !x\n",
        0,
    );
    check("for i in 1 2 3; do\n\techo $i\ndone", "1\n2\n3\n", 0);
    check("echo 'é → ü' 100%s", "é → ü 100%s\n", 0);
    let long = "x".repeat(3000);
    check(&format!("echo {long}; echo '\t'"), &format!("{long}\n\t\n"), 0);
}

#[test]
fn a_command_that_does_not_end_times_out() {
    let mut shell = LocalShell::start(false);
    let deadline = Deadline::after(Some(1.0)).unwrap();
    wait_prompt(&mut shell, deadline).unwrap();
    let error = exec(&mut shell, "sleep 100", deadline).unwrap_err();
    assert!(error.is::<TimedOut>(), "{error:#}");
    assert!(Deadline::after(Some(-1.0)).is_err());
}

#[test]
fn a_shell_that_ends_is_told() {
    let mut shell = LocalShell::start(false);
    let deadline = Deadline::after(Some(20.0)).unwrap();
    wait_prompt(&mut shell, deadline).unwrap();
    shell.send(b"exit\n").unwrap();
    let error = exec(&mut shell, "echo", deadline).unwrap_err();
    assert!(!error.is::<TimedOut>(), "{error:#}");
}

#[test]
fn pieces_do_not_cut_escapes() {
    let encoded = encode(&"a\n'".repeat(50));
    for size in 5..20 {
        let pieces = split(&encoded, size);
        assert_eq!(pieces.concat(), encoded);
        for piece in pieces {
            assert!(piece.len() <= size && !piece.is_empty());
            let last = piece.rfind('\\').unwrap_or(0);
            assert!(!piece.contains('\\') || piece.len() - last >= 5, "{piece}");
        }
    }
}

#[test]
fn prompts() {
    for prompt in ["/ # ", "$ ", "root@debian:~# ", "~ $", "#"] {
        assert!(is_prompt(prompt), "{prompt}");
    }
    for other in ["", "Welcome", "login: ", "[    0.1] cpu"] {
        assert!(!is_prompt(other), "{other}");
    }
}
