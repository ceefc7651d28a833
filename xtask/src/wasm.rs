//! Our Rust for the browser: cargo → wasm-bindgen → wasm-opt.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::paths::Paths;
use crate::process;
use crate::setup::wasm_bindgen_dir;

/// The target that browsers run.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// A wasm module and what it is made of.
pub(crate) struct Module {
    /// The package.
    pub(crate) package: &'static str,
    /// The module's name.
    pub(crate) name: &'static str,
    /// The profile that it is built with.
    profile: &'static str,
    /// Features of the package in place of its default ones.
    features: Option<&'static str>,
    /// How `wasm-opt` makes it better.
    optimize: &'static str,
}

/// All modules. A page waits for its own before it shows anything: those are made small, and the popup has one of its own.
pub(crate) const MODULES: [Module; 3] = [
    Module {
        package: "qemuweb-background",
        name: "background",
        profile: "release",
        features: None,
        optimize: "-O",
    },
    Module {
        package: "qemuweb-panel",
        name: "panel",
        profile: "page",
        features: Some("panel"),
        optimize: "-Oz",
    },
    Module {
        package: "qemuweb-panel",
        name: "popup",
        profile: "page",
        features: Some("popup"),
        optimize: "-Oz",
    },
];

/// Builds all modules and returns the directory with `NAME.js` and `NAME_bg.wasm` of each.
pub(crate) fn build(paths: &Paths) -> Result<PathBuf> {
    let bound = paths.target.join("wasm-bindgen");
    let optimized = paths.target.join("wasm-opt");
    std::fs::create_dir_all(&optimized)?;
    for module in &MODULES {
        let name = module.name;
        // One at a time: packages that are built together share their features, and the popup would get the panel's.
        let mut cargo = process::cargo(&paths.root);
        cargo.args(["build", "--profile", module.profile, "--target", TARGET]);
        cargo.args(["--package", module.package]);
        if let Some(features) = module.features {
            cargo.args(["--no-default-features", "--features", features]);
        }
        process::run(&mut cargo)?;
        let input = paths
            .target
            .join(TARGET)
            .join(module.profile)
            .join(format!("{}.wasm", module.package.replace('-', "_")));
        process::run(
            Command::new(wasm_bindgen_dir(paths)?.join("wasm-bindgen"))
                .args([
                    "--target",
                    "web",
                    "--no-typescript",
                    "--out-name",
                    name,
                    "--out-dir",
                ])
                .arg(&bound)
                .arg(&input),
        )?;
        let wasm = format!("{name}_bg.wasm");
        optimize(paths, module.optimize, &bound.join(&wasm), &optimized.join(&wasm))?;
        let script = format!("{name}.js");
        std::fs::copy(bound.join(&script), optimized.join(&script))?;
    }
    // Scripts that Rust code brings along (`#[wasm_bindgen(module = …)]`, inline_js).
    if bound.join("snippets").is_dir() {
        crate::build::copy_tree(&bound.join("snippets"), &optimized.join("snippets"))?;
    }
    Ok(optimized)
}

/// `wasm-opt` at a level, left out when `output` was made from the same bytes already.
fn optimize(paths: &Paths, level: &str, input: &Path, output: &Path) -> Result<()> {
    let bytes = std::fs::read(input).with_context(|| format!("cannot read {}", input.display()))?;
    let source = output.with_extension("unoptimized.wasm");
    if output.is_file() && std::fs::read(&source).is_ok_and(|source| source == bytes) {
        return Ok(());
    }
    process::run(
        Command::new(paths.root.join("node_modules/.bin/wasm-opt"))
            .arg(level)
            .arg(input)
            .arg("-o")
            .arg(output),
    )?;
    std::fs::write(source, bytes)?;
    Ok(())
}
