//! Finding and starting Chromium.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use command_fds::{CommandFdExt, FdMapping};

/// How to start the browser.
#[derive(Clone, Debug)]
pub struct LaunchOptions {
    /// No window (`--headless=new`).
    pub headless: bool,
    /// The user data directory; `None` for a new one that is removed at the end.
    pub profile: Option<PathBuf>,
    /// The executable; `None` looks for one, see [`find_chromium`].
    pub executable: Option<PathBuf>,
    /// Window size in pixels.
    pub window_size: (u32, u32),
    /// Further command line switches.
    pub arguments: Vec<String>,
}

impl Default for LaunchOptions {
    fn default() -> Self {
        LaunchOptions {
            headless: true,
            profile: None,
            executable: None,
            window_size: (1280, 900),
            arguments: Vec::new(),
        }
    }
}

/// The names under which distributions install the browser, in order of preference.
const NAMES: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
    "google-chrome-for-testing",
];

/// The browser's executable: `$QEMUWEB_CHROMIUM`, or the first of its usual names in `$PATH`.
pub fn find_chromium() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("QEMUWEB_CHROMIUM") {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH")?;
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    NAMES.iter().find_map(|name| {
        directories
            .iter()
            .map(|dir| dir.join(name))
            .find(|file| file.is_file())
    })
}

/// A started browser and our ends of its debugging pipes.
pub(crate) struct Started {
    pub(crate) child: Child,
    pub(crate) reader: PipeReader,
    pub(crate) writer: PipeWriter,
}

/// Starts the browser with `profile` as user data directory, its own messages in the file `stderr`, and temporary files in
/// `directory` (it leaves some behind).
pub(crate) fn start(
    options: &LaunchOptions,
    profile: &Path,
    stderr: &Path,
    directory: &Path,
) -> Result<Started> {
    let Some(executable) = options.executable.clone().or_else(find_chromium) else {
        bail!(
            "found no Chromium: looked for {} in $PATH. Install one, or name it in $QEMUWEB_CHROMIUM",
            NAMES.join(", ")
        );
    };
    let mut command = Command::new(&executable);
    command
        .args([
            // Opens fds 3 (commands) and 4 (answers); the browser quits when they close.
            "--remote-debugging-pipe",
            // Allows Extensions.loadUnpacked.
            "--enable-unsafe-extension-debugging",
            "--no-first-run",
            "--no-default-browser-check",
            "--disable-quic",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // Not measured at full speed when another window covers it.
            "--disable-backgrounding-occluded-windows",
            "--disable-renderer-backgrounding",
            "--password-store=basic",
        ])
        .arg(format!(
            "--window-size={},{}",
            options.window_size.0, options.window_size.1
        ))
        .arg(format!("--user-data-dir={}", profile.display()));
    if options.headless {
        // Containers often have a tiny /dev/shm.
        command.args(["--headless=new", "--disable-dev-shm-usage"]);
    }
    if rustix::process::geteuid().is_root() {
        // Chromium refuses to start as root with its sandbox.
        command.arg("--no-sandbox");
    }
    command.args(&options.arguments);
    command.arg("about:blank");
    let log = File::create(stderr).with_context(|| format!("cannot write {}", stderr.display()))?;
    command.env("TMPDIR", directory);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);

    let (browser_reads, writer) = pipe().context("cannot make a pipe")?;
    let (reader, browser_writes) = pipe().context("cannot make a pipe")?;
    command
        .fd_mappings(vec![
            FdMapping {
                parent_fd: OwnedFd::from(browser_reads),
                child_fd: 3,
            },
            FdMapping {
                parent_fd: OwnedFd::from(browser_writes),
                child_fd: 4,
            },
        ])
        .context("cannot pass pipes to the browser")?;
    let child = command
        .spawn()
        .with_context(|| format!("cannot start {}", executable.display()))?;
    // `command` goes out of scope here and with it our copies of the browser's ends: its exit closes the pipes.
    Ok(Started {
        child,
        reader,
        writer,
    })
}
