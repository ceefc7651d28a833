//! The guest's programs in one static file, which acts as the one by whose name it is called:
//!
//!   qemuweb-agent   does what the host asks for: commands, files, the console's size
//!   page-capture    the traffic of the page in the browser, as it is sent to this VM
//!   disk-ledger     writes to a disk what tells after a crash whether something was lost
//!   disk-bench      measures a disk
//!
//! Into a system that has none of them, copy the file and link the names to it, or say `qemuweb-guest page-capture list`.
//! It needs Linux 5.3 or later, and nothing besides.

mod agent;
mod capture;
mod disk;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let called = words.next().unwrap_or_default();
    match act(&called, words.collect()) {
        Some(code) => code,
        None => {
            eprintln!(
                "qemuweb-guest: expected to be called qemuweb-agent, page-capture, disk-ledger or disk-bench, or one of these as the first argument"
            );
            ExitCode::from(2)
        }
    }
}

/// Acts as the program of this name; nothing if there is none.
fn act(name: &OsString, mut words: Vec<OsString>) -> Option<ExitCode> {
    match Path::new(name).file_name()?.to_str()? {
        "qemuweb-agent" => Some(agent::main(&words)),
        "page-capture" => Some(capture::main(&words)),
        "disk-ledger" => Some(disk::main("disk-ledger", &words, disk::ledger)),
        "disk-bench" => Some(disk::main("disk-bench", &words, disk::bench)),
        "qemuweb-guest" if !words.is_empty() => {
            let name = words.remove(0);
            act(&name, words)
        }
        _ => None,
    }
}
