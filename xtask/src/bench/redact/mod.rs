//! How fast secrets are taken out of a page's traffic, against the build before redaction by kind, in one run.
//!
//! Both builds of `crates/capture` are linked into one small program (`harness.rs`), natively and as WebAssembly in
//! Node, with the profile of the extension. Rounds take turns.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Row;
use crate::paths::Paths;
use crate::process;
use crate::wasm::TARGET;

/// What is compared with.
const REFERENCE: &str = "c00ef13";
/// What of it is needed for its `crates/capture` to build.
const PARTS: [&str; 7] = [
    "Cargo.toml",
    "Cargo.lock",
    "crates",
    "background",
    "panel",
    "tests",
    "xtask",
];
/// How often each build goes through the traffic.
const ROUNDS: usize = 15;
/// The profile, as in the workspace; and what the harness is made of.
const MANIFEST: &str = r#"[package]
name = "redact-speed"
version = "0.0.0"
edition = "2024"
[lib]
path = "harness.rs"
crate-type = ["cdylib", "rlib"]
[[bin]]
name = "redact-speed"
path = "main.rs"
[dependencies]
ours_capture = { package = "qemuweb-capture", path = "OURS" }
reference_capture = { path = "REFERENCE" }
[profile.release]
opt-level = "s"
lto = "thin"
codegen-units = 4
[workspace]
"#;

/// The rows, or none if the history does not reach back to the reference.
pub(super) fn rows(paths: &Paths) -> Result<Vec<Row>> {
    let Some(harness) = write(paths)? else {
        eprintln!("the history has no {REFERENCE}: redaction is not compared with it");
        return Ok(Vec::new());
    };
    let target = harness.join("target");
    let build = |more: &[&str]| {
        let mut cargo = process::cargo(&harness);
        cargo
            .args(["build", "--release"])
            .args(more)
            .env("CARGO_TARGET_DIR", &target);
        process::run(&mut cargo)
    };
    build(&[])?;
    build(&["--lib", "--target", TARGET])?;
    let rounds = ROUNDS.to_string();
    let native = process::output(Command::new(target.join("release/redact-speed")).arg(&rounds))?;
    let module = target.join(TARGET).join("release/redact_speed.wasm");
    let wasm = process::output(
        Command::new("node")
            .arg(harness.join("harness.mjs"))
            .arg(module)
            .arg(&rounds),
    )?;
    Ok(vec![row("redact native", &native)?, row("redact wasm", &wasm)?])
}

/// Writes the harness beside the reference's sources, and gives its directory.
fn write(paths: &Paths) -> Result<Option<PathBuf>> {
    let directory = paths.target.join("bench-redact");
    let reference = directory.join(REFERENCE);
    if !reference.join("Cargo.toml").is_file() {
        let has = Command::new("git")
            .args(["cat-file", "-e", &format!("{REFERENCE}^{{commit}}")])
            .current_dir(&paths.root)
            .status()
            .context("cannot start git")?;
        if !has.success() {
            return Ok(None);
        }
        fs::create_dir_all(&reference)?;
        let archive = directory.join("reference.tar");
        let mut git = Command::new("git");
        git.args(["archive", "--output"])
            .arg(&archive)
            .arg(REFERENCE)
            .args(PARTS);
        process::run(git.current_dir(&paths.root))?;
        process::run(
            Command::new("tar")
                .arg("-xf")
                .arg(&archive)
                .arg("-C")
                .arg(&reference),
        )?;
        // Two packages of one name and version cannot be in one program.
        let manifest = reference.join("crates/capture/Cargo.toml");
        let text = fs::read_to_string(&manifest)?;
        fs::write(
            &manifest,
            text.replacen("\"qemuweb-capture\"", "\"reference_capture\"", 1),
        )?;
    }
    let harness = directory.join("harness");
    fs::create_dir_all(&harness)?;
    let path = |path: &Path| path.display().to_string();
    let manifest = MANIFEST
        .replace("OURS", &path(&paths.root.join("crates/capture")))
        .replace("REFERENCE", &path(&reference.join("crates/capture")));
    for (name, text) in [
        ("Cargo.toml", manifest.as_str()),
        ("harness.rs", include_str!("harness.rs")),
        ("traffic.rs", include_str!("traffic.rs")),
        ("harness.mjs", include_str!("harness.js")),
        ("main.rs", "fn main() {\n    redact_speed::main();\n}\n"),
    ] {
        fs::write(harness.join(name), text)?;
    }
    // The versions of libraries that the repository has.
    fs::copy(paths.root.join("Cargo.lock"), harness.join("Cargo.lock"))?;
    Ok(Some(harness))
}

/// The medians of rounds, as MB/s.
fn row(name: &str, output: &str) -> Result<Row> {
    let mut ours = Vec::new();
    let mut reference = Vec::new();
    for line in output.lines() {
        let (one, other) = line.split_once(' ').context("expected two numbers in a line")?;
        ours.push(one.parse::<f64>()?);
        reference.push(other.parse::<f64>()?);
    }
    ensure!(
        ours.len() == ROUNDS,
        "expected {ROUNDS} rounds, found {}",
        ours.len()
    );
    let rate = |times: &mut Vec<f64>, who: &str| {
        times.sort_by(f64::total_cmp);
        // Nanoseconds per byte.
        let rate = |share: f64| 1e3 / times[((times.len() - 1) as f64 * share).round() as usize];
        eprintln!(
            "  {name}, {who}: {:.0} MB/s, half of the rounds from {:.0} to {:.0}",
            rate(0.5),
            rate(0.75),
            rate(0.25)
        );
        rate(0.5)
    };
    Ok(Row {
        name: format!("{name} MB/s"),
        unit: "MB/s",
        ours: rate(&mut ours, "ours"),
        reference: Some(rate(&mut reference, REFERENCE)),
        spread: None,
    })
}
