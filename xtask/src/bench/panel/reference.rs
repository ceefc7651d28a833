//! The extension as an earlier commit builds it, kept in the cache by that commit.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::paths::Paths;
use crate::process;

/// The unpacked extension of `commit`, built by that commit's own sources, with the QEMU and the guests that they name: from the
/// cache, or else built, which takes its time.
pub(super) fn extension(paths: &Paths, commit: &str) -> Result<PathBuf> {
    let mut git = Command::new("git");
    git.args([
        "rev-parse",
        "--verify",
        "--short=12",
        &format!("{commit}^{{commit}}"),
    ])
    .current_dir(&paths.root);
    let commit = process::output(&mut git).with_context(|| format!("the history has no commit {commit}"))?;
    let directory = paths.cache.join("reference").join(&commit);
    let (source, target) = (directory.join("source"), directory.join("target"));
    let extension = target.join("extension");
    if directory.join(".complete").is_file() {
        return Ok(extension);
    }
    eprintln!("building the extension of commit {commit}, to compare with");
    unpack(paths, &commit, &source)?;
    let build = |arguments: &[&str]| {
        let mut cargo = process::cargo(&source);
        cargo
            .args(["xtask", "build"])
            .args(arguments)
            .env("CARGO_TARGET_DIR", &target);
        process::run(&mut cargo)
    };
    if build(&["--extension-only"]).is_err() {
        eprintln!("the cache lacks that commit's QEMU or guests: building them, too");
        build(&[])?;
    }
    ensure!(
        extension.join("manifest.json").is_file(),
        "commit {commit} built no extension in {}",
        extension.display()
    );
    fs::write(directory.join(".complete"), "")?;
    Ok(extension)
}

/// Lays out a commit's files.
fn unpack(paths: &Paths, commit: &str, source: &std::path::Path) -> Result<()> {
    fs::create_dir_all(source)?;
    let archive = source.with_extension("tar");
    let mut git = Command::new("git");
    git.args(["archive", "--output"])
        .arg(&archive)
        .arg(commit)
        .current_dir(&paths.root);
    process::run(&mut git)?;
    process::run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(source))?;
    fs::remove_file(&archive)?;
    Ok(())
}
