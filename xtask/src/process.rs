//! Running other programs: said before, checked after, their output kept off our standard output.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a command to its end, its standard output sent to our standard error (ours is for results).
pub(crate) fn run(command: &mut Command) -> Result<()> {
    say(command);
    let stderr = io::stderr().as_fd().try_clone_to_owned()?;
    let status = command
        .stdin(Stdio::null())
        .stdout(stderr)
        .status()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", shown(command));
    }
    Ok(())
}

/// Runs a command quietly and returns what it printed, without the last newline.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        bail!("{} failed: {}", shown(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Runs a command, prints each line of both its outputs on our standard output and hands it to `each`; returns
/// whether the command succeeded.
pub(crate) fn stream(command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool> {
    say(command);
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    // The command keeps copies of the pipe's writing end: without this the reading below would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    read_lines(reader, |line| {
        println!("{line}");
        each(line);
    })?;
    Ok(child.wait()?.success())
}

fn read_lines(reader: impl Read, mut each: impl FnMut(&str)) -> Result<()> {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        each(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
        line.clear();
    }
    Ok(())
}

/// The file `$PATH` has for a program, if any.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// Has a command take programs from `directory` first, by its `$PATH`.
pub(crate) fn prefer_programs_of(command: &mut Command, directory: &Path) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::iter::once(directory.to_owned()).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(directories)?);
    Ok(())
}

/// The cargo that runs us.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

fn say(command: &Command) {
    eprintln!("$ {}", shown(command));
}

fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        let plain = argument
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_=./,:+@%".contains(c));
        // Writing to a string cannot fail.
        let _ = if plain {
            write!(text, " {argument}")
        } else {
            write!(text, " '{argument}'")
        };
    }
    text
}
