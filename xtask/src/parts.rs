//! How long the parts of a test run took. That a part begins is told by what the programs print.

use std::time::{Duration, Instant};

/// How many are shown.
const SHOWN: usize = 10;

/// The parts so far, and the one that is at work.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    done: Vec<(String, Duration)>,
    current: Option<(String, Instant)>,
}

impl Parts {
    /// Begins a part, and ends the former.
    pub(crate) fn begin(&mut self, name: impl Into<String>) {
        self.end();
        self.current = Some((name.into(), Instant::now()));
    }

    /// Ends the part that is at work.
    pub(crate) fn end(&mut self) {
        if let Some((name, start)) = self.current.take() {
            self.done.push((name, start.elapsed()));
        }
    }

    /// Takes in one line of output, which may say that a part begins.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(name) = begun(line) {
            self.begin(name);
        }
    }

    /// Prints those that took longest.
    pub(crate) fn print_slowest(&self) {
        println!("the slowest parts:");
        for (name, time) in slowest(&self.done) {
            println!("{:>6.0} s  {name}", time.as_secs_f64());
        }
    }
}

/// The part that begins with this line: a test program of cargo's, a crate's documentation tests, or what one of our scripts
/// announces.
fn begun(line: &str) -> Option<String> {
    let line = line.trim();
    if let Some(announced) = line.strip_prefix("==== ") {
        return Some(announced.to_owned());
    }
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name}: documentation"));
    }
    // Running unittests src/lib.rs (/target/debug/deps/qemuweb_capture-0123456789abcdef)
    let (source, program) = line
        .strip_prefix("Running ")?
        .strip_suffix(')')?
        .split_once(" (")?;
    let (name, _) = program.rsplit_once('/')?.1.rsplit_once('-')?;
    Some(format!("{name}: {}", source.trim_start_matches("unittests ")))
}

fn slowest(parts: &[(String, Duration)]) -> Vec<&(String, Duration)> {
    let mut parts: Vec<_> = parts.iter().collect();
    parts.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    parts.truncate(SHOWN);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_by_what_is_printed() {
        for (line, part) in [
            (
                "     Running unittests src/lib.rs (/t/debug/deps/qemuweb_capture-0123456789abcdef)",
                Some("qemuweb_capture: src/lib.rs"),
            ),
            (
                "     Running tests/console.rs (target/debug/deps/console-77)",
                Some("console: tests/console.rs"),
            ),
            (
                "   Doc-tests qemuweb_runtime",
                Some("qemuweb_runtime: documentation"),
            ),
            ("==== uefi.mjs", Some("uefi.mjs")),
            ("Running headless tests in Chrome on `http://127.0.0.1:1/`", None),
            ("Running tests (x)", None),
            ("test a ... ok", None),
            ("", None),
        ] {
            assert_eq!(begun(line).as_deref(), part, "{line:?}");
        }
    }

    #[test]
    fn the_slowest_come_first() {
        let parts: Vec<_> = (0..30)
            .map(|i| (format!("{i}"), Duration::from_secs(i * 7 % 30)))
            .collect();
        let slowest = slowest(&parts);
        assert_eq!(slowest.len(), SHOWN);
        assert!(slowest.windows(2).all(|two| two[0].1 >= two[1].1));
        assert_eq!(slowest[0].1, Duration::from_secs(29));
    }
}
