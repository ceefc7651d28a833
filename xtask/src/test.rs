//! `cargo xtask test`: every test there is, in six steps, and their sum in the last line.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::build;
use crate::flags::Test;
use crate::paths::Paths;
use crate::process::{self, find_program};
use crate::setup::{self, Needs, wasm_bindgen_dir};
use crate::summary::{Counts, Summary};
use crate::{tidy, wasm};

/// Scripts that test what `qemu-wasm/` builds.
const SCRIPTS: [&str; 2] = ["qemu-wasm/test/run.sh", "qemu-wasm/guest/test.sh"];

/// Runs some tests and adds what came of them.
type Step = fn(&Paths, &mut Summary) -> Result<()>;

pub(crate) fn main(flags: &Test) -> Result<()> {
    setup::ensure(&Needs::all())?;
    let paths = Paths::find()?;
    let steps: [(&str, Step); 6] = [
        ("tidy", tidy_step),
        ("build", build_step),
        ("native", native),
        ("browser", browser),
        ("scripts", scripts),
        ("e2e", end_to_end),
    ];
    let wanted = |name: &str| flags.only.as_deref().is_none_or(|only| name.contains(only));
    if !steps.iter().any(|(name, _)| wanted(name)) {
        bail!(
            "no step has {:?} in its name: tidy, build, native, browser, scripts, e2e",
            flags.only
        );
    }
    let mut summary = Summary::default();
    for (name, step) in steps {
        if wanted(name) {
            println!("==== {name}");
            // A step that cannot even start is a failure like any other; those after it still have their say.
            if let Err(error) = step(&paths, &mut summary) {
                summary.add_one(name, &Err(error));
            }
        }
    }
    println!("====");
    if summary.print() {
        Ok(())
    } else {
        std::process::exit(1)
    }
}

fn tidy_step(_: &Paths, summary: &mut Summary) -> Result<()> {
    summary.add_one("tidy", &tidy::main());
    Ok(())
}

/// QEMU, the guests and the extension come out of a build.
fn build_step(paths: &Paths, summary: &mut Summary) -> Result<()> {
    let images = build::build_images(paths);
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
    run("native", &mut cargo, summary)
}

/// `wasm-bindgen-test` in headless Chromium, for each crate that has such tests.
fn browser(paths: &Paths, summary: &mut Summary) -> Result<()> {
    let runner = wasm_bindgen_dir(paths)?.join("wasm-bindgen-test-runner");
    let chromedriver = find_program("chromedriver").context("there is no chromedriver in $PATH")?;
    for package in browser_tested(paths) {
        let mut cargo = process::cargo(&paths.root);
        cargo
            .args([
                "test",
                "--target",
                wasm::TARGET,
                "--package",
                &package,
                "--lib",
                "--tests",
                "--no-fail-fast",
            ])
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", &runner)
            .env("CHROMEDRIVER", &chromedriver)
            .env("WASM_BINDGEN_USE_BROWSER", "1");
        run(&format!("{package} in Chromium"), &mut cargo, summary)?;
    }
    Ok(())
}

/// The packages of the workspace that depend on wasm-bindgen-test.
fn browser_tested(paths: &Paths) -> Vec<String> {
    let packages = paths.metadata["packages"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    packages
        .iter()
        .filter(|package| {
            let dependencies = package["dependencies"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            dependencies
                .iter()
                .any(|dependency| dependency["name"] == "wasm-bindgen-test")
        })
        .filter_map(|package| package["name"].as_str().map(str::to_owned))
        .collect()
}

fn scripts(paths: &Paths, summary: &mut Summary) -> Result<()> {
    for script in SCRIPTS {
        run(script, &mut paths.script(script), summary)?;
    }
    Ok(())
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
        .env("QEMUWEB_E2E_REPORTS", paths.target.join("e2e"));
    run("e2e", &mut cargo, summary)
}

fn run(step: &str, command: &mut Command, summary: &mut Summary) -> Result<()> {
    let mut counts = Counts::default();
    let succeeded = process::stream(command, |line| counts.read(line))?;
    summary.add(step, counts, succeeded);
    Ok(())
}
