//! Programs that check and measure disks, past the guest's own cache.

mod bench;
mod ledger;
mod target;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

pub(crate) use bench::bench;
pub(crate) use ledger::ledger;

/// Why a program fails.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Told to the person: what was expected, what was found.
    Said(String),
    /// It has said so already, or nobody reads it.
    Silent,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::Silent,
            _ => Self::Said(error.to_string()),
        }
    }
}

fn fail<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Said(text.into()))
}

/// What a program prints goes there.
type Out<'a> = &'a mut dyn io::Write;

/// Runs a program with these words after its name.
pub(crate) fn main(
    name: &str,
    words: &[OsString],
    program: impl FnOnce(&[&str], Out<'_>) -> Result<(), Failure>,
) -> ExitCode {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match program(&words, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Silent) => ExitCode::FAILURE,
        Err(Failure::Said(text)) => {
            // Nothing is left to do where that cannot be said.
            let _ = writeln!(io::stderr(), "{name}: {text}");
            ExitCode::FAILURE
        }
    }
}

/// A whole number among the words.
fn number<T: std::str::FromStr>(name: &str, word: &str) -> Result<T, Failure> {
    word.parse()
        .or_else(|_| fail(format!("expected a number for {name}, found {word}")))
}

/// Takes `--name NUMBER` pairs out of the words after a program's path: what each of `names` is, if it is there.
fn options<const N: usize>(words: &[&str], names: [&str; N]) -> Result<[Option<u64>; N], Failure> {
    let mut found = [None; N];
    for pair in words.chunks(2) {
        let place = names.iter().position(|name| *name == pair[0]);
        let (Some(place), Some(word)) = (place, pair.get(1)) else {
            return fail(format!(
                "expected {}, each with a number, found {}",
                names.join(", "),
                pair.join(" ")
            ));
        };
        found[place] = Some(number(pair[0], word)?);
    }
    Ok(found)
}
