//! `cargo xtask fuzz`: runs the fuzz targets of `fuzz/` with libFuzzer, guided by coverage, on the stable compiler.
//!
//! cargo-fuzz wants a nightly compiler for its sanitizers. Safe code has little use for them; what libFuzzer needs to be
//! guided, LLVM's coverage counters, stable compilers put in as well.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::flags::Fuzz;
use crate::paths::Paths;
use crate::process;

/// Coverage counters, and comparisons that libFuzzer learns from; overflow is found.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1";
/// How long each target runs, unless told otherwise.
const SECONDS: u32 = 60;
/// MiB of memory, and seconds for one input, beyond which a target has failed.
const MEMORY_MIB: u32 = 2048;
const INPUT_SECONDS: u32 = 10;
/// Files to start from, by target.
const SEEDS: [(&str, &str); 1] = [("har", "crates/capture/tests/site.har")];

pub(crate) fn main(flags: &Fuzz) -> Result<()> {
    let paths = Paths::find()?;
    let directory = paths.root.join("fuzz");
    let targets = targets(&directory.join("fuzz_targets"))?;
    let wanted: Vec<&String> = targets
        .iter()
        .filter(|target| flags.only.as_deref().is_none_or(|only| target.contains(only)))
        .collect();
    ensure!(
        !wanted.is_empty(),
        "no target has {:?} in its name: there are {}",
        flags.only.as_deref().unwrap_or_default(),
        targets.join(", ")
    );
    let host = host()?;
    let target_dir = paths.target.join("fuzz");
    let mut build = process::cargo(&directory);
    // With a target named, build scripts and macros go without the counters.
    build
        .args(["build", "--release", "--target", &host])
        .env("RUSTFLAGS", RUSTFLAGS)
        .env("CARGO_TARGET_DIR", &target_dir);
    process::run(&mut build)?;
    let mut failed = Vec::new();
    for target in wanted {
        let corpus = target_dir.join("corpus").join(target);
        std::fs::create_dir_all(&corpus)?;
        for (_, seed) in SEEDS.iter().filter(|(of, _)| of == target) {
            let name = Path::new(seed).file_name().context("a seed without a name")?;
            std::fs::copy(paths.root.join(seed), corpus.join(name))?;
        }
        let mut fuzzer = std::process::Command::new(target_dir.join(&host).join("release").join(target));
        fuzzer
            .arg(format!("-max_total_time={}", flags.seconds.unwrap_or(SECONDS)))
            .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
            .arg(format!("-timeout={INPUT_SECONDS}"))
            .arg(format!("-artifact_prefix={}/{target}-", target_dir.display()))
            .arg("-print_final_stats=1")
            .arg(&corpus);
        if process::run(&mut fuzzer).is_err() {
            failed.push(target.as_str());
        }
    }
    if !failed.is_empty() {
        bail!(
            "these targets failed: {}; the inputs are in {}",
            failed.join(", "),
            target_dir.display()
        );
    }
    Ok(())
}

/// The targets' names, in order.
fn targets(directory: &Path) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in std::fs::read_dir(directory).context("there are no fuzz targets")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            targets.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    targets.sort();
    Ok(targets)
}

/// The name by which the compiler knows this machine.
fn host() -> Result<String> {
    let version = process::output(std::process::Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names no host")?.to_owned())
}
