//! `cargo xtask build`: QEMU, guests and our own code, staged as an unpacked extension in `target/extension`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use qemuweb_vm_config::Arch;

use crate::flags::Build;
use crate::licences;
use crate::paths::Paths;
use crate::plan;
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
    let paths = Paths::find()?;
    plan::tell(&paths, &needs, &Arch::ALL)?;
    setup::ensure(&needs)?;
    let images = if flags.extension_only {
        cached_images(&paths, &Arch::ALL)?
    } else {
        build_images(&paths, &Arch::ALL)?
    };
    let extension = stage(&paths, &images)?;
    println!("{}", extension.display());
    Ok(())
}

/// Everything that running the extension with VMs of these architectures takes: tools, images, the staged extension, which has
/// the other architectures that the cache has, too.
pub(crate) fn everything(needs: &Needs, architectures: &[Arch]) -> Result<Paths> {
    let paths = Paths::find()?;
    plan::tell(&paths, needs, architectures)?;
    setup::ensure(needs)?;
    let images = build_images(&paths, architectures)?;
    stage(&paths, &images)?;
    Ok(paths)
}

/// What the programs for guests are compiled for: see `qemu-wasm/guest/build-programs.sh`.
pub(crate) const GUEST_TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];

/// The recipes of QEMU and of the guests, each of which takes architectures.
pub(crate) const IMAGE_RECIPES: [&str; 2] = ["qemu-wasm/build.sh", "qemu-wasm/guest/build.sh"];

/// Runs the recipes; what the cache has already is not built again.
pub(crate) fn build_images(paths: &Paths, architectures: &[Arch]) -> Result<Images> {
    let [qemu, guest] = IMAGE_RECIPES.map(|script| Recipe::of_images(script, architectures).run(paths));
    Ok(Images {
        qemu: qemu?,
        guest: guest?,
    })
}

/// What the cache has; an error when it has not all.
pub(crate) fn cached_images(paths: &Paths, architectures: &[Arch]) -> Result<Images> {
    let [qemu, guest] = IMAGE_RECIPES.map(|script| -> Result<PathBuf> {
        Recipe::of_images(script, architectures)
            .made(paths)?
            .with_context(|| format!("the cache has no output of {script}: run `cargo xtask build`"))
    });
    Ok(Images {
        qemu: qemu?,
        guest: guest?,
    })
}

/// The initramfs with programs that check and measure the engine, made if the cache lacks it.
pub(crate) fn check_images(paths: &Paths) -> Result<PathBuf> {
    Recipe::new("qemu-wasm/check/build.sh", &[]).run(paths)
}

/// What people bring to boot, made if the cache lacks it: `set` is `some` or `all`.
pub(crate) fn boot_images(paths: &Paths, set: &str) -> Result<PathBuf> {
    Recipe::new("qemu-wasm/check/boots/build-boots.sh", &[set]).run(paths)
}

/// Native QEMU to compare with, made if the cache lacks it: a directory of programs.
pub(crate) fn native_qemu(paths: &Paths) -> Result<PathBuf> {
    Recipe::new("qemu-wasm/native.sh", &[]).run(paths)
}

/// A script that makes a directory in the cache, and prints its path as the last line.
struct Recipe<'a> {
    script: &'a str,
    arguments: Vec<&'a str>,
    /// Files that the directory has when it is complete.
    stamps: Vec<String>,
}

impl<'a> Recipe<'a> {
    fn new(script: &'a str, arguments: &[&'a str]) -> Self {
        Recipe {
            script,
            arguments: arguments.to_vec(),
            stamps: vec![".complete".to_owned()],
        }
    }

    fn of_images(script: &'a str, architectures: &[Arch]) -> Self {
        Recipe {
            script,
            arguments: architectures.iter().map(|arch| arch.as_str()).collect(),
            stamps: architectures
                .iter()
                .map(|arch| format!(".complete-{arch}"))
                .collect(),
        }
    }

    /// Its output, made if the cache lacks it.
    fn run(&self, paths: &Paths) -> Result<PathBuf> {
        if let Some(made) = self.made(paths)? {
            return Ok(made);
        }
        let Recipe {
            script, arguments, ..
        } = self;
        eprintln!("$ {script} {}", arguments.join(" "));
        let printed = process::output(paths.script(script).args(arguments))?;
        let output = PathBuf::from(printed.lines().last().unwrap_or_default());
        if !self.is_complete(&output) {
            bail!("{script} ended well, but {} is not complete", output.display());
        }
        Ok(output)
    }

    /// Its output, if the cache has it.
    fn made(&self, paths: &Paths) -> Result<Option<PathBuf>> {
        let mut script = paths.script(self.script);
        let printed = process::output(script.arg("--print-output").args(&self.arguments))?;
        let output = printed.lines().last().map(PathBuf::from);
        Ok(output.filter(|output| self.is_complete(output)))
    }

    fn is_complete(&self, output: &Path) -> bool {
        self.stamps.iter().all(|stamp| output.join(stamp).is_file())
    }
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
