//! Our Rust for the browser: cargo → wasm-bindgen → wasm-opt.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::paths::Paths;
use crate::process;
use crate::setup::wasm_bindgen_dir;

/// The target that browsers run.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// The packages that become a wasm module, and the module's name.
pub(crate) const MODULES: [(&str, &str); 2] =
    [("qemuweb-background", "background"), ("qemuweb-panel", "panel")];

/// Builds all modules and returns the directory with `NAME.js` and `NAME_bg.wasm` of each.
pub(crate) fn build(paths: &Paths) -> Result<PathBuf> {
    let mut cargo = process::cargo(&paths.root);
    cargo.args(["build", "--release", "--target", TARGET]);
    for (package, _) in MODULES {
        cargo.args(["--package", package]);
    }
    process::run(&mut cargo)?;

    let bound = paths.target.join("wasm-bindgen");
    let optimized = paths.target.join("wasm-opt");
    std::fs::create_dir_all(&optimized)?;
    for (package, name) in MODULES {
        let input = paths
            .target
            .join(TARGET)
            .join("release")
            .join(format!("{}.wasm", package.replace('-', "_")));
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
        optimize(paths, &bound.join(&wasm), &optimized.join(&wasm))?;
        let script = format!("{name}.js");
        std::fs::copy(bound.join(&script), optimized.join(&script))?;
    }
    // Scripts that Rust code brings along (`#[wasm_bindgen(module = …)]`, inline_js).
    if bound.join("snippets").is_dir() {
        crate::build::copy_tree(&bound.join("snippets"), &optimized.join("snippets"))?;
    }
    Ok(optimized)
}

/// `wasm-opt -O`, left out when `output` was made from the same bytes already.
fn optimize(paths: &Paths, input: &Path, output: &Path) -> Result<()> {
    let bytes = std::fs::read(input).with_context(|| format!("cannot read {}", input.display()))?;
    let source = output.with_extension("unoptimized.wasm");
    if output.is_file() && std::fs::read(&source).is_ok_and(|source| source == bytes) {
        return Ok(());
    }
    process::run(
        Command::new(paths.root.join("node_modules/.bin/wasm-opt"))
            .arg("-O")
            .arg(input)
            .arg("-o")
            .arg(output),
    )?;
    std::fs::write(source, bytes)?;
    Ok(())
}
