//! The tools that the verbs need: installed where that is possible, named where it is not.
//!
//! On Debian, packages are installed with `apt-get` (through `sudo` when not root) after saying so. Rust's targets
//! come from rustup, the wasm-bindgen CLI from `cargo install` into the cache, npm packages from `npm ci`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use qemuweb_driver::find_chromium;

use crate::paths::Paths;
use crate::plan::Step;
use crate::process::{self, find_program};

/// What a verb needs.
pub(crate) struct Needs {
    /// A Chromium to run the extension in.
    pub(crate) chromium: bool,
    /// What only tests need: chromedriver for `wasm-bindgen-test`, git for tidy, e2fsck for guests' disks, Wireshark's tools and
    /// pip for packets.
    pub(crate) tests: bool,
    /// What builds the extension: the WebAssembly target, wasm-bindgen, wasm-opt, xterm.js.
    pub(crate) extension: bool,
    /// What builds QEMU and the guests, and gets native QEMU to compare with.
    pub(crate) images: bool,
}

impl Needs {
    /// All there is.
    pub(crate) fn all() -> Self {
        Needs {
            chromium: true,
            tests: true,
            extension: true,
            images: true,
        }
    }

    /// What it takes to build the extension.
    pub(crate) fn build() -> Self {
        Needs {
            chromium: false,
            tests: false,
            extension: true,
            images: true,
        }
    }

    /// What it takes to build the extension and run it.
    pub(crate) fn run() -> Self {
        Needs {
            chromium: true,
            ..Self::build()
        }
    }
}

/// How packages are installed: what is there stays there, as it is.
const INSTALL: [&str; 4] = [
    "install",
    "--no-install-recommends",
    "--no-remove",
    "--no-upgrade",
];
/// In seconds. Machines that have just been started often have an update running.
const LOCK_TIMEOUT: &str = "DPkg::Lock::Timeout=600";

/// A program that is missing, and the Debian package that has it.
struct Missing {
    program: &'static str,
    package: &'static str,
}

/// What [`ensure`] will do.
pub(crate) fn ahead(paths: &Paths, needs: &Needs) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let missing = missing_programs(needs);
    if !missing.is_empty() {
        let programs: Vec<&str> = missing.iter().map(|missing| missing.program).collect();
        steps.push(Step::new(60, 0, format!("packages with {}", programs.join(", "))));
    }
    if needs.extension {
        if !wasm_bindgen_dir(paths)?.join("wasm-bindgen").is_file() {
            steps.push(Step::new(20, 240, "the program wasm-bindgen"));
        }
        if !paths.root.join("node_modules").is_dir() {
            steps.push(Step::new(20, 0, "npm packages"));
        }
    }
    Ok(steps)
}

/// Sees to everything in `needs`.
pub(crate) fn ensure(needs: &Needs) -> Result<()> {
    let paths = Paths::find()?;
    install_packages(&missing_programs(needs))?;
    if needs.images {
        ensure_targets(&paths, &crate::build::GUEST_TARGETS)?;
    }
    if needs.extension {
        ensure_targets(&paths, &[crate::wasm::TARGET])?;
        ensure_wasm_bindgen(&paths)?;
        ensure_npm_packages(&paths)?;
    }
    Ok(())
}

fn missing_programs(needs: &Needs) -> Vec<Missing> {
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    if needs.tests {
        // e2fsck lies where only root's path leads; this comes with it.
        wanted.extend([("git", "git"), ("chattr", "e2fsprogs")]);
        wanted.extend([("tshark", "tshark"), ("capinfos", "wireshark-common")]);
        // For captures: other readers of packets, and the commands that are copied.
        wanted.extend([("pip3", "python3-pip"), ("curl", "curl")]);
        wanted.push(("chromedriver", "chromium-driver"));
    }
    if needs.extension {
        wanted.extend([("node", "nodejs"), ("npm", "npm"), ("cc", "gcc")]);
    }
    if needs.images {
        wanted.extend([
            ("mmdebstrap", "mmdebstrap"),
            ("unshare", "util-linux"),
            ("flock", "util-linux"),
            ("curl", "curl"),
            ("dpkg-deb", "dpkg"),
            ("gzip", "gzip"),
            ("patch", "patch"),
            ("python3", "python3"),
            ("tar", "tar"),
            ("xz", "xz-utils"),
        ]);
        if !rustix::process::geteuid().is_root() {
            wanted.push(("newuidmap", "uidmap"));
        }
    }
    let mut missing: Vec<Missing> = wanted
        .into_iter()
        .filter(|(program, _)| find_program(program).is_none())
        .map(|(program, package)| Missing { program, package })
        .collect();
    if needs.chromium && find_chromium().is_none() {
        missing.push(Missing {
            program: "chromium",
            package: "chromium",
        });
    }
    missing
}

fn install_packages(missing: &[Missing]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<&str> = missing.iter().map(|missing| missing.program).collect();
    let mut packages: Vec<&str> = missing.iter().map(|missing| missing.package).collect();
    packages.sort_unstable();
    packages.dedup();
    if !is_debian() {
        bail!(
            "missing on this machine: {}. Install them with your system's package manager (Debian's packages are \
             called {}) and start again",
            programs.join(", "),
            packages.join(", ")
        );
    }
    let command_line = format!("apt-get {} {}", INSTALL.join(" "), packages.join(" "));
    let sudo = !rustix::process::geteuid().is_root();
    if sudo && find_program("sudo").is_none() {
        bail!(
            "missing on this machine: {}. Run as root: {command_line}",
            programs.join(", ")
        );
    }
    eprintln!(
        "missing on this machine: {}; installing: {command_line}",
        programs.join(", ")
    );
    let apt = |arguments: &[&str]| {
        let mut command = Command::new(if sudo { "sudo" } else { "apt-get" });
        if sudo {
            command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        }
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-q", "-y", "-o", LOCK_TIMEOUT])
            .args(arguments);
        process::run(&mut command)
    };
    // Old lists may do; if they do not, the installation says what it cannot find.
    if let Err(error) = apt(&["update"]) {
        eprintln!("warning: {error:#}");
    }
    apt(&[&INSTALL[..], &packages].concat()).with_context(|| {
        format!(
            "if apt-get would have to take packages away, it refuses: get {} in another way",
            programs.join(", ")
        )
    })
}

fn is_debian() -> bool {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line == "ID=debian") && find_program("apt-get").is_some()
}

/// Sees to it that Rust can build for these targets.
fn ensure_targets(paths: &Paths, targets: &[&str]) -> Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = process::output(
        Command::new(rustc)
            .args(["--print", "sysroot"])
            .current_dir(&paths.root),
    )?;
    let libraries = PathBuf::from(sysroot).join("lib/rustlib");
    let missing: Vec<&str> = targets
        .iter()
        .copied()
        .filter(|target| !libraries.join(target).is_dir())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if find_program("rustup").is_none() {
        bail!(
            "this Rust has no target {} and there is no rustup to add it: install rustup, or the target",
            missing.join(", ")
        );
    }
    process::run(
        Command::new("rustup")
            .args(["target", "add"])
            .args(missing)
            .current_dir(&paths.root),
    )
}

/// The directory of wasm-bindgen's programs, of the version that `Cargo.lock` has.
pub(crate) fn wasm_bindgen_dir(paths: &Paths) -> Result<PathBuf> {
    Ok(paths
        .cache
        .join("tools")
        .join(format!("wasm-bindgen-{}", wasm_bindgen_version(paths)?))
        .join("bin"))
}

fn wasm_bindgen_version(paths: &Paths) -> Result<String> {
    let lock = std::fs::read_to_string(paths.root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let mut lines = lock
        .lines()
        .skip_while(|line| *line != r#"name = "wasm-bindgen""#);
    let version = lines
        .nth(1)
        .and_then(|line| line.strip_prefix(r#"version = ""#)?.strip_suffix('"'));
    version
        .map(str::to_owned)
        .context("Cargo.lock has no version of wasm-bindgen")
}

fn ensure_wasm_bindgen(paths: &Paths) -> Result<()> {
    let directory = wasm_bindgen_dir(paths)?;
    if directory.join("wasm-bindgen").is_file() {
        return Ok(());
    }
    let version = wasm_bindgen_version(paths)?;
    eprintln!("installing wasm-bindgen {version} into the cache (once; takes some minutes)");
    let root = directory.parent().context("no cache")?;
    let install = |locked: &[&str]| {
        process::run(
            process::cargo(&paths.root)
                .args(["install", "wasm-bindgen-cli", "--version", &version])
                .args(locked)
                .arg("--root")
                .arg(root)
                // Not among the project's own products, nor for another target.
                .env("CARGO_TARGET_DIR", root.join("build"))
                .env_remove("CARGO_BUILD_TARGET"),
        )
    };
    if let Err(error) = install(&["--locked"]) {
        // A registry's mirror may lag behind what the tool's authors built it with.
        eprintln!(
            "{error:#}\nnot with its authors' choice of packages: trying the newest that are to be had"
        );
        install(&[])?;
    }
    std::fs::remove_dir_all(root.join("build")).context("cannot remove the build of wasm-bindgen")
}

fn ensure_npm_packages(paths: &Paths) -> Result<()> {
    let wanted =
        std::fs::read(paths.root.join("package-lock.json")).context("cannot read package-lock.json")?;
    let installed = paths.root.join("node_modules/.installed-package-lock.json");
    if std::fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    process::run(
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&paths.root),
    )?;
    std::fs::write(&installed, wanted).context("cannot write into node_modules")
}
