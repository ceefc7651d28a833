//! The licence notices of all that the package carries, gathered in its `licences/`.
//!
//! QEMU and the guests bring theirs from their recipes. Those of the Rust crates and of xterm.js are collected here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::build::GUEST_TARGETS;
use crate::paths::Paths;
use crate::{process, wasm};

/// Fills `extension/licences/`, and moves there what QEMU's and the guests' recipes brought.
pub(crate) fn collect(paths: &Paths, extension: &Path) -> Result<()> {
    let licences = extension.join("licences");
    fs::create_dir_all(&licences)?;
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        fs::copy(paths.root.join(name), licences.join(name))
            .with_context(|| format!("cannot copy {name}"))?;
    }
    fs::copy(
        paths.root.join("node_modules/@xterm/xterm/LICENSE"),
        licences.join("xterm.js.txt"),
    )
    .context("cannot copy the licence of xterm.js")?;
    let modules: Vec<&str> = wasm::MODULES.iter().map(|module| module.package).collect();
    for (name, roots, target, into) in [
        ("rust-crates.txt", &modules[..], wasm::TARGET, "wasm/*.wasm"),
        (
            "guest-crates.txt",
            &["qemuweb-guest-tools"],
            GUEST_TARGETS[0],
            "/usr/bin/qemuweb-guest of the guests",
        ),
    ] {
        fs::write(licences.join(name), rust_crates(paths, roots, target, into)?)?;
    }
    for part in ["qemu", "guest"] {
        let brought = extension.join(part).join("licences");
        if brought.is_dir() {
            fs::rename(&brought, licences.join(part))
                .with_context(|| format!("cannot move the licences of {part}"))?;
        }
    }
    Ok(())
}

/// Name, version, source and licence texts of every foreign crate that is compiled into these packages.
fn rust_crates(paths: &Paths, roots: &[&str], target: &str, into: &str) -> Result<String> {
    let mut command = process::cargo(&paths.root);
    command.args([
        "metadata",
        "--locked",
        "--format-version=1",
        "--filter-platform",
        target,
    ]);
    let metadata: Value = serde_json::from_str(&process::output(&mut command)?)?;
    let packages: BTreeMap<&str, &Value> = array(&metadata["packages"])
        .iter()
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let nodes: BTreeMap<&str, &Value> = array(&metadata["resolve"]["nodes"])
        .iter()
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();

    let mut reached = BTreeSet::new();
    let mut ahead: Vec<&str> = packages
        .iter()
        .filter(|(_, package)| roots.iter().any(|name| package["name"] == *name))
        .map(|(id, _)| *id)
        .collect();
    while let Some(id) = ahead.pop() {
        if reached.insert(id) {
            let dependencies = nodes.get(id).map(|node| array(&node["deps"])).unwrap_or_default();
            // A null kind is an ordinary dependency; those for tests and build scripts are not in the module.
            let linked = |dependency: &&Value| {
                array(&dependency["dep_kinds"])
                    .iter()
                    .any(|kind| kind["kind"].is_null())
            };
            ahead.extend(
                dependencies
                    .iter()
                    .filter(linked)
                    .filter_map(|dependency| dependency["pkg"].as_str()),
            );
        }
    }

    let mut foreign: Vec<&Value> = reached
        .iter()
        .filter_map(|id| packages.get(id).copied())
        .filter(|package| !package["source"].is_null())
        .collect();
    foreign.sort_by_key(|package| (package["name"].as_str(), package["version"].as_str()));
    let mut text = format!("Rust crates compiled into {into}\n");
    for package in foreign {
        let field = |name: &str| package[name].as_str().unwrap_or("not stated");
        write!(
            text,
            "\n==== {} {}\nlicence: {}\nsource: {}\n",
            field("name"),
            field("version"),
            field("license"),
            field("repository")
        )?;
        let directory = Path::new(field("manifest_path"))
            .parent()
            .context("a crate without a directory")?;
        for notice in notices(directory)? {
            write!(text, "\n{notice}\n")?;
        }
    }
    Ok(text)
}

/// The texts of a crate's licence files.
fn notices(directory: &Path) -> Result<Vec<String>> {
    let mut files: Vec<_> = fs::read_dir(directory)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .to_ascii_uppercase();
            path.is_file()
                && ["LICENSE", "LICENCE", "COPYING", "NOTICE"]
                    .iter()
                    .any(|word| name.starts_with(word))
        })
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| Ok(String::from_utf8_lossy(&fs::read(file)?).trim().to_owned()))
        .collect()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
