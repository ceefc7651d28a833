//! Counts what passed and what failed, over test harnesses that each print their own result.

use std::collections::VecDeque;

use crate::parts::Parts;

/// Lines that [`Trace`] keeps of the end of an output, and of those that speak of a failure.
const LINES: usize = 40;

/// The sum over all steps so far.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    passed: usize,
    failed: usize,
    /// Steps that had a failure.
    broken: Vec<String>,
    /// What they printed about it, to be read without a search in everything that was printed.
    reasons: Vec<(String, Trace)>,
    /// What took how long.
    pub(crate) parts: Parts,
}

/// What an output says about a failure: the first lines that speak of one, and its last lines.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    failures: Vec<String>,
    last: VecDeque<String>,
}

impl Trace {
    /// Takes in one line of output.
    pub(crate) fn read(&mut self, line: &str) {
        let speaks = ["FAILED", "failed ", "panicked at", "differs", "rror: "]
            .iter()
            .any(|word| line.contains(word));
        if speaks && self.failures.len() < LINES {
            self.failures.push(line.to_owned());
        }
        if self.last.len() == LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }
}

/// What one command's output said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    passed: usize,
    failed: usize,
}

impl Counts {
    /// Counts one test.
    pub(crate) fn add(&mut self, passed: bool) {
        *(if passed {
            &mut self.passed
        } else {
            &mut self.failed
        }) += 1;
    }

    /// Takes in one line of output. Understood are the result lines of Rust's test harnesses
    /// (`test result: ok. 3 passed; 0 failed; …`) and of our scripts (`3 passed, 0 failed`).
    pub(crate) fn read(&mut self, line: &str) {
        let line = line.trim();
        let counts = match line.strip_prefix("test result: ") {
            Some(result) => result.split_once(". ").map(|(_, counts)| counts),
            None => Some(line),
        };
        let Some((passed, rest)) = counts.and_then(|counts| leading(counts, " passed")) else {
            return;
        };
        let rest = rest.trim_start_matches([';', ',']).trim_start();
        if let Some((failed, _)) = leading(rest, " failed") {
            self.passed += passed;
            self.failed += failed;
        }
    }
}

/// The number at the start of a text if `word` follows, and what comes after.
fn leading<'a>(text: &'a str, word: &str) -> Option<(usize, &'a str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..end].parse().ok()?, text[end..].strip_prefix(word)?))
}

impl Summary {
    /// Adds one step. A command that failed without a failed test (it did not compile, say) counts as one failure.
    pub(crate) fn add(&mut self, step: &str, counts: Counts, succeeded: bool) {
        let failed = if succeeded {
            counts.failed
        } else {
            counts.failed.max(1)
        };
        self.passed += counts.passed;
        self.failed += failed;
        if failed > 0 {
            self.broken.push(format!("{step}: {failed}"));
        }
    }

    /// Adds a step that is one test by itself.
    pub(crate) fn add_one(&mut self, step: &str, result: &anyhow::Result<()>) {
        if let Err(error) = result {
            println!("{step} failed: {error:#}");
        }
        self.add(
            step,
            Counts {
                passed: usize::from(result.is_ok()),
                failed: 0,
            },
            result.is_ok(),
        );
    }

    /// Keeps what a step that failed printed about it.
    pub(crate) fn explain(&mut self, step: &str, trace: Trace) {
        self.reasons.push((step.to_owned(), trace));
    }

    /// Prints which steps failed and why and, last, the sum; returns whether nothing failed.
    pub(crate) fn print(&self) -> bool {
        for (step, trace) in &self.reasons {
            println!("---- {step}: lines about failures");
            trace.failures.iter().for_each(|line| println!("{line}"));
            println!("---- {step}: its last lines");
            trace.last.iter().for_each(|line| println!("{line}"));
            println!("----");
        }
        self.parts.print_slowest();
        for broken in &self.broken {
            println!("failed in {broken}");
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(lines: &[&str]) -> (usize, usize) {
        let mut counts = Counts::default();
        lines.iter().for_each(|line| counts.read(line));
        (counts.passed, counts.failed)
    }

    #[test]
    fn result_lines_are_summed() {
        assert_eq!(
            counts(&["test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured"]),
            (3, 0)
        );
        assert_eq!(
            counts(&[
                "test result: FAILED. 4 passed; 2 failed; 0 ignored",
                "7 passed, 1 failed"
            ]),
            (11, 3)
        );
        assert_eq!(
            counts(&["test a ... ok", "5 apples passed", "passed", "", "12", "3 passed"]),
            (0, 0)
        );
    }

    #[test]
    fn a_trace_is_short() {
        let mut trace = Trace::default();
        for i in 0..1000 {
            trace.read(&format!("line {i}"));
            trace.read(&format!("FAILED {i}"));
        }
        assert_eq!((trace.failures.len(), trace.last.len()), (LINES, LINES));
        assert_eq!(trace.failures[0], "FAILED 0");
        assert_eq!(trace.last[LINES - 1], "FAILED 999");
    }

    #[test]
    fn a_broken_command_is_a_failure() {
        let mut summary = Summary::default();
        summary.add("native", Counts::default(), false);
        summary.add("e2e", Counts { passed: 2, failed: 3 }, false);
        summary.add_one("tidy", &Ok(()));
        assert_eq!((summary.passed, summary.failed), (3, 4));
    }
}
