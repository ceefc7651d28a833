//! `cargo xtask build`: QEMU, guests and our own code, staged as an unpacked extension in `target/extension`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::flags::Build;
use crate::licences;
use crate::paths::Paths;
use crate::process;
use crate::setup::{self, Needs};
use crate::wasm;

/// What the recipes of `qemu-wasm/` have made.
pub(crate) struct Images {
    /// QEMU compiled to WebAssembly, with firmware.
    pub(crate) qemu: PathBuf,
    /// Kernels and initramfs of the built-in guests.
    pub(crate) guest: PathBuf,
}

/// The files of npm packages that the panel loads, and the directory of the package they land in.
const VENDOR: [(&str, &str); 6] = [
    ("@xterm/xterm/lib/xterm.mjs", "vendor/xterm"),
    ("@xterm/xterm/css/xterm.css", "vendor/xterm"),
    ("@xterm/addon-fit/lib/addon-fit.mjs", "vendor/xterm"),
    ("@xterm/addon-search/lib/addon-search.mjs", "vendor/xterm"),
    ("@xterm/addon-serialize/lib/addon-serialize.mjs", "vendor/xterm"),
    ("@xterm/addon-webgl/lib/addon-webgl.mjs", "vendor/xterm"),
];

pub(crate) fn main(flags: &Build) -> Result<()> {
    let needs = Needs {
        images: !flags.extension_only,
        ..Needs::build()
    };
    setup::ensure(&needs)?;
    let paths = Paths::find()?;
    let images = if flags.extension_only {
        cached_images(&paths)?
    } else {
        build_images(&paths)?
    };
    let extension = stage(&paths, &images)?;
    println!("{}", extension.display());
    Ok(())
}

/// Everything that running the extension takes: tools, images, the staged extension.
pub(crate) fn everything(needs: &Needs) -> Result<Paths> {
    setup::ensure(needs)?;
    let paths = Paths::find()?;
    let images = build_images(&paths)?;
    stage(&paths, &images)?;
    Ok(paths)
}

/// Runs the recipes; what the cache has already is not built again.
pub(crate) fn build_images(paths: &Paths) -> Result<Images> {
    Ok(Images {
        qemu: run_recipe(paths, "qemu-wasm/build.sh", &[])?,
        guest: run_recipe(paths, "qemu-wasm/guest/build.sh", &[])?,
    })
}

fn run_recipe(paths: &Paths, script: &str, arguments: &[&str]) -> Result<PathBuf> {
    if let Some(made) = recipe_output(paths, script, arguments)?.filter(|output| is_complete(output)) {
        return Ok(made);
    }
    eprintln!("$ {}", [&[script], arguments].concat().join(" "));
    let printed = process::output(paths.script(script).args(arguments))?;
    let output = PathBuf::from(printed.lines().last().unwrap_or_default());
    if !is_complete(&output) {
        bail!("{script} ended well, but {} is not complete", output.display());
    }
    Ok(output)
}

/// The initramfs with programs that check and measure the engine, made if the cache lacks it.
pub(crate) fn check_images(paths: &Paths) -> Result<PathBuf> {
    run_recipe(paths, "qemu-wasm/check/build.sh", &[])
}

/// What people bring to boot, made if the cache lacks it: `set` is `some` or `all`.
pub(crate) fn boot_images(paths: &Paths, set: &str) -> Result<PathBuf> {
    run_recipe(paths, "qemu-wasm/check/boots/build-boots.sh", &[set])
}

/// What the cache has; an error when it has not all.
pub(crate) fn cached_images(paths: &Paths) -> Result<Images> {
    let cached = |script: &str| -> Result<PathBuf> {
        recipe_output(paths, script, &[])?
            .filter(|output| is_complete(output))
            .with_context(|| format!("the cache has no output of {script}: run `cargo xtask build`"))
    };
    Ok(Images {
        qemu: cached("qemu-wasm/build.sh")?,
        guest: cached("qemu-wasm/guest/build.sh")?,
    })
}

fn recipe_output(paths: &Paths, script: &str, arguments: &[&str]) -> Result<Option<PathBuf>> {
    let printed = process::output(paths.script(script).arg("--print-output").args(arguments))?;
    Ok(printed.lines().last().map(PathBuf::from))
}

fn is_complete(output: &Path) -> bool {
    output.join(".complete").is_file()
}

/// Builds our own code and lays everything out as the browser loads it.
pub(crate) fn stage(paths: &Paths, images: &Images) -> Result<PathBuf> {
    let modules = wasm::build(paths)?;
    let extension = paths.extension();
    if extension.exists() {
        fs::remove_dir_all(&extension).with_context(|| format!("cannot empty {}", extension.display()))?;
    }
    copy_tree(&paths.root.join("extension"), &extension)?;
    fs::copy(paths.root.join("manifest.json"), extension.join("manifest.json"))?;

    fs::create_dir_all(extension.join("wasm"))?;
    for wasm::Module { name, .. } in wasm::MODULES {
        for file in [format!("{name}.js"), format!("{name}_bg.wasm")] {
            fs::copy(modules.join(&file), extension.join("wasm").join(&file))?;
        }
    }
    if modules.join("snippets").is_dir() {
        copy_tree(&modules.join("snippets"), &extension.join("wasm/snippets"))?;
    }
    for (file, directory) in VENDOR {
        let from = paths.root.join("node_modules").join(file);
        let name = from.file_name().context("a vendored file without a name")?;
        fs::create_dir_all(extension.join(directory))?;
        fs::copy(&from, extension.join(directory).join(name))
            .with_context(|| format!("cannot copy {}", from.display()))?;
    }
    copy_tree(&images.qemu, &extension.join("qemu"))?;
    copy_tree(&images.guest, &extension.join("guest"))?;
    licences::collect(paths, &extension)?;
    Ok(extension)
}

/// Copies a directory with all below it, except files whose name begins with a dot.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_tree(&source, &target)?;
        } else {
            fs::copy(&source, &target).with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    Ok(())
}
