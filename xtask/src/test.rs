//! `cargo xtask test`: every test there is, step by step, and their sum in the last line. Of what takes long there is a short
//! form here, and a verb of its own: `engine-test`, `crash-test`, `soak`, `fuzz`.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use qemuweb_vm_config::Arch;
use serde_json::Value;

use crate::build;
use crate::flags::{Fuzz, Test};
use crate::paths::Paths;
use crate::process::{self, find_program};
use crate::setup::{self, Needs, wasm_bindgen_dir};
use crate::summary::{Counts, Summary, Trace};
use crate::{crash_test, fuzz, plan, soak, tidy, wasm};

/// Scripts that test what `qemu-wasm/` builds.
const SCRIPTS: [&str; 3] = [
    "qemu-wasm/test/run.sh",
    "qemu-wasm/guest/test.sh",
    "qemu-wasm/check/test.sh",
];

/// Of the short forms of verbs: rounds, and seconds for each fuzz target. That of `crash-test` is told there.
const SOAK_ROUNDS: usize = 3;
const FUZZ_SECONDS: u32 = 2;

/// Runs some tests and adds what came of them.
type Step = fn(&Paths, &mut Summary) -> Result<()>;

/// What needs the whole machine, and comes first.
const ALONE: [(&str, Step); 4] = [
    ("tidy", tidy_step),
    ("build", build_step),
    ("native", native),
    ("browser", browser),
];
/// What goes on at the same time after that: neither of the two keeps more than half of a small machine busy, and both take
/// about as long.
const BEHIND: [(&str, Step); 3] = [("scripts", scripts), ("fuzz", fuzz), ("crash", crash)];
const IN_FRONT: [(&str, Step); 2] = [("e2e", end_to_end), ("soak", soak)];

pub(crate) fn main(flags: &Test) -> Result<()> {
    let paths = Paths::find()?;
    let names = ALONE
        .iter()
        .chain(&BEHIND)
        .chain(&IN_FRONT)
        .map(|(name, _)| *name);
    let wanted = |name: &str| flags.only.as_deref().is_none_or(|only| name.contains(only));
    if !names.clone().any(wanted) {
        bail!(
            "no step has {:?} in its name: {}",
            flags.only.as_deref().unwrap_or_default(),
            names.collect::<Vec<_>>().join(", ")
        );
    }
    plan::tell(&paths, &Needs::all(), &Arch::ALL)?;
    setup::ensure(&Needs::all())?;
    let run_all = |steps: &[(&str, Step)]| {
        let mut summary = Summary::default();
        for (name, step) in steps.iter().filter(|(name, _)| wanted(name)) {
            run_step(name, *step, &paths, &mut summary);
        }
        summary
    };
    let mut summary = run_all(&ALONE);
    std::thread::scope(|scope| {
        let behind = scope.spawn(|| run_all(&BEHIND));
        summary.join(run_all(&IN_FRONT));
        match behind.join() {
            Ok(other) => summary.join(other),
            Err(_) => summary.add_one("scripts", &Err(anyhow!("their thread panicked"))),
        }
    });
    println!("====");
    if summary.print() {
        Ok(())
    } else {
        std::process::exit(1)
    }
}

fn run_step(name: &str, step: Step, paths: &Paths, summary: &mut Summary) {
    println!("==== {name}");
    summary.parts.begin(name);
    let start = Instant::now();
    // A step that cannot even start is a failure like any other; those after it still have their say.
    if let Err(error) = step(paths, summary) {
        summary.add_one(name, &Err(error));
    }
    summary.parts.end();
    println!("==== {name}: {} s", start.elapsed().as_secs());
}

fn tidy_step(_: &Paths, summary: &mut Summary) -> Result<()> {
    summary.add_one("tidy", &tidy::main());
    Ok(())
}

/// QEMU, the guests and the extension come out of a build.
fn build_step(paths: &Paths, summary: &mut Summary) -> Result<()> {
    let images = build::build_images(paths, &Arch::ALL);
    let staged = images.and_then(|images| build::stage(paths, &images)).map(drop);
    summary.add_one("build", &staged);
    Ok(())
}

fn native(paths: &Paths, summary: &mut Summary) -> Result<()> {
    let mut cargo = process::cargo(&paths.root);
    cargo.args([
        "test",
        "--workspace",
        "--exclude",
        "qemuweb-e2e",
        "--no-fail-fast",
    ]);
    process::prefer_programs_of(&mut cargo, &build::native_qemu(paths)?)?;
    run("native", &mut cargo, summary)
}

/// `wasm-bindgen-test` in headless Chromium, for each crate that has such tests.
fn browser(paths: &Paths, summary: &mut Summary) -> Result<()> {
    let runner = wasm_bindgen_dir(paths)?.join("wasm-bindgen-test-runner");
    let chromedriver = find_program("chromedriver").context("there is no chromedriver in $PATH")?;
    for (package, targets) in browser_tested(paths) {
        let mut cargo = process::cargo(&paths.root);
        cargo
            .args([
                "test",
                "--target",
                wasm::TARGET,
                "--package",
                &package,
                "--no-fail-fast",
            ])
            .args(targets)
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", &runner)
            .env("CHROMEDRIVER", &chromedriver)
            .env("WASM_BINDGEN_USE_BROWSER", "1");
        run(&format!("{package} in Chromium"), &mut cargo, summary)?;
    }
    Ok(())
}

/// The packages of the workspace that have tests for the browser, with cargo's arguments for the targets that do: a
/// library whose own file, or an integration test, that speaks of `wasm_bindgen_test`. Other tests are native ones.
fn browser_tested(paths: &Paths) -> Vec<(String, Vec<String>)> {
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut tested = Vec::new();
    for package in array(&paths.metadata["packages"]) {
        let mut arguments = Vec::new();
        for target in array(&package["targets"]) {
            let source = target["src_path"].as_str().unwrap_or_default();
            let speaks = std::fs::read_to_string(source).is_ok_and(|text| text.contains("wasm_bindgen_test"));
            let is_test = array(&target["kind"]).iter().any(|kind| kind == "test");
            match target["name"].as_str() {
                Some(name) if speaks && is_test => arguments.extend(["--test".to_owned(), name.to_owned()]),
                Some(_) if speaks => arguments.push("--lib".to_owned()),
                _ => {}
            }
        }
        if let Some(name) = package["name"].as_str().filter(|_| !arguments.is_empty()) {
            tested.push((name.to_owned(), arguments));
        }
    }
    tested
}

fn scripts(paths: &Paths, summary: &mut Summary) -> Result<()> {
    for script in SCRIPTS {
        run(script, &mut paths.script(script), summary)?;
    }
    accepted(paths, summary)
}

/// Whether our QEMU takes what the builder makes.
fn accepted(paths: &Paths, summary: &mut Summary) -> Result<()> {
    let images = build::cached_images(paths, &Arch::ALL)?;
    let mut cargo = process::cargo(&paths.root);
    cargo
        .args([
            "test",
            "--package",
            "qemuweb-vm-config",
            "--test",
            "accepted",
            "ours",
            "--",
            "--ignored",
            "--nocapture",
        ])
        .env("QEMUWEB_QEMU", &images.qemu);
    run("accepted by our QEMU", &mut cargo, summary)
}

fn end_to_end(paths: &Paths, summary: &mut Summary) -> Result<()> {
    if !paths.extension().join("manifest.json").is_file() {
        bail!(
            "there is no extension in {}: the build failed, or was left out",
            paths.extension().display()
        );
    }
    let mut cargo = process::cargo(&paths.root);
    cargo
        .args(["test", "--package", "qemuweb-e2e", "--no-fail-fast"])
        .env("QEMUWEB_EXTENSION", paths.extension())
        .env("QEMUWEB_BOOTS", build::boot_images(paths, "some")?)
        .env("QEMUWEB_E2E_REPORTS", paths.target.join("e2e"));
    run("e2e", &mut cargo, summary)
}

/// Ends at random moments.
fn crash(paths: &Paths, summary: &mut Summary) -> Result<()> {
    crash_test::run_short(paths, summary);
    Ok(())
}

fn soak(paths: &Paths, summary: &mut Summary) -> Result<()> {
    soak::run(paths, |rounds| rounds < SOAK_ROUNDS, summary);
    Ok(())
}

fn fuzz(_: &Paths, summary: &mut Summary) -> Result<()> {
    let flags = Fuzz {
        only: None,
        seconds: Some(FUZZ_SECONDS),
    };
    summary.add_one("fuzz", &fuzz::main(&flags));
    Ok(())
}

/// Runs a command that prints how many tests passed and failed.
pub(crate) fn run(step: &str, command: &mut Command, summary: &mut Summary) -> Result<()> {
    let mut counts = Counts::default();
    let mut trace = Trace::default();
    summary.parts.begin(step);
    let succeeded = process::stream(command, |line| {
        counts.read(line);
        trace.read(line);
        summary.parts.read(line);
    })?;
    summary.add(step, counts, succeeded);
    if !succeeded {
        summary.explain(step, trace);
    }
    Ok(())
}
