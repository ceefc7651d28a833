//! What a guest has printed on its console, kept whole, searched, and passed on as it comes.

use std::io::Write;

/// The bytes of a console since the VM's launch.
#[derive(Default)]
pub(crate) struct Console {
    bytes: Vec<u8>,
    sink: Option<Box<dyn Write>>,
}

impl Console {
    /// A console that also writes everything to `sink` at once.
    pub(crate) fn with_sink(sink: impl Write + 'static) -> Self {
        Console {
            bytes: Vec::new(),
            sink: Some(Box::new(sink)),
        }
    }

    /// Takes in what the guest printed.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if let Some(sink) = &mut self.sink {
            // Whoever read us may have gone; the run goes on.
            let _ = sink.write_all(bytes).and_then(|()| sink.flush());
        }
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes from `start` on.
    pub(crate) fn since(&self, start: usize) -> &[u8] {
        &self.bytes[start.min(self.bytes.len())..]
    }

    /// Where `needle` begins, at or after `start`.
    pub(crate) fn find(&self, start: usize, needle: &[u8]) -> Option<usize> {
        let start = start.min(self.bytes.len());
        self.bytes[start..]
            .windows(needle.len())
            .position(|window| window == needle)
            .map(|at| start + at)
    }

    /// The unfinished last line without terminal escapes: a prompt, when the guest waits for input.
    pub(crate) fn last_line(&self) -> String {
        let start = self
            .bytes
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let line = strip_escapes(&self.bytes[start..]);
        line.rsplit('\r').next().unwrap_or_default().to_owned()
    }

    /// The last `count` lines, for a message about what went wrong.
    pub(crate) fn tail(&self, count: usize) -> String {
        let text = strip_escapes(&self.bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

/// The text without ANSI escape sequences (ECMA-48 CSI and OSC, and two-character escapes).
fn strip_escapes(bytes: &[u8]) -> String {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != 0x1b {
            plain.push(byte);
            continue;
        }
        match rest.next() {
            // CSI: parameters up to a final byte.
            Some(b'[') => drop(rest.by_ref().find(|byte| (0x40..=0x7e).contains(byte))),
            // OSC: up to BEL, or to the two-character escape that ends it as well.
            Some(b']') => {
                let end = rest.by_ref().find(|byte| matches!(byte, 0x07 | 0x1b));
                end.filter(|&end| end == 0x1b).and_then(|_| rest.next());
            }
            _ => {}
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_seen_through_escapes() {
        let mut console = Console::default();
        console.push(b"booting\r\n\x1b[6n\x1b]0;title\x07\x1b[1;32m/ # \x1b[0m");
        assert_eq!(console.last_line(), "/ # ");
        console.push(b"\r\x1b[J/tmp $ ");
        assert_eq!(console.last_line(), "/tmp $ ");
        console.push(b"\r\n");
        assert_eq!(console.last_line(), "");
    }

    #[test]
    fn found_across_chunks() {
        let mut console = Console::default();
        console.push(b"Welcome to Qe");
        console.push(b"muWeb\r\n");
        assert_eq!(console.find(0, b"QemuWeb"), Some(11));
        assert_eq!(console.find(12, b"QemuWeb"), None);
        assert_eq!(console.tail(1), "Welcome to QemuWeb");
    }

    #[test]
    fn an_escape_at_the_end_is_no_trouble() {
        for end in [&b"\x1b"[..], b"\x1b[", b"\x1b[12", b"\x1b]0;x", b"\x1b]0;x\x1b"] {
            assert_eq!(strip_escapes(&[b"a", end].concat()), "a");
        }
    }
}
