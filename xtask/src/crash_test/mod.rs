//! `cargo xtask crash-test`: the browser, the VM host or the service worker ends at a random moment, and what was stored by
//! then has to be there afterwards: in the catalogue of VMs (`catalogue.rs`), and on a disk that a guest writes to (`disks.rs`).

mod catalogue;
mod disks;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::{Browser, DEFAULT_TIMEOUT, Extension, LaunchOptions, LogEntry};
use qemuweb_vm_config::Arch;
use rustix::process::{Pid, Signal, kill_process};

use crate::boot::Page;
use crate::build;
use crate::flags::CrashTest;
use crate::paths::Paths;
use crate::procfs;
use crate::setup::Needs;
use crate::summary::Summary;

/// Rounds with the catalogue, unless told otherwise.
const ROUNDS: u32 = 30;
/// How long the host has to store what it has accepted.
const STORED: Duration = Duration::from_secs(1);

/// Of the short form: rounds with the catalogue, and kills over a disk.
const FEW_ROUNDS: u32 = 4;
const FEW_KILLS: u32 = 25;

pub(crate) fn main(flags: &CrashTest) -> Result<()> {
    let paths = build::everything(&Needs::run(), &[Arch::X86_64])?;
    let mut summary = Summary::default();
    let seed = flags.seed.unwrap_or_else(|| fastrand::u64(..));
    // Asked for one, it is that one.
    if flags.kills.is_none() || flags.rounds.is_some() {
        catalogue::run(&paths, flags.rounds.unwrap_or(ROUNDS), seed, &mut summary);
    }
    if let Some(kills) = flags.kills {
        disks::run(&paths, kills, seed, &mut summary);
    }
    if summary.print() {
        Ok(())
    } else {
        std::process::exit(1)
    }
}

/// The short form of both.
pub(crate) fn run_short(paths: &Paths, summary: &mut Summary) {
    let seed = fastrand::u64(..);
    catalogue::run(paths, FEW_ROUNDS, seed, summary);
    disks::run(paths, FEW_KILLS, seed, summary);
}

/// What ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// All processes of the browser.
    Browser,
    /// The process that renders the extension's pages: the host's, the client's, and the VMs with them.
    Renderer,
    /// The host's page, and the VMs with it.
    Host,
    /// The service worker, which nothing needs that runs.
    ServiceWorker,
}

/// A browser that crashes and is there again, with the same user data.
struct CrashedBrowser<'a> {
    paths: &'a Paths,
    folder: tempfile::TempDir,
    open: Option<(Browser, Extension)>,
}

impl<'a> CrashedBrowser<'a> {
    fn new(paths: &'a Paths) -> Result<Self> {
        Ok(CrashedBrowser {
            paths,
            folder: tempfile::Builder::new().prefix("qemuweb-crash-").tempdir()?,
            open: None,
        })
    }

    /// A folder that lasts as long as this.
    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The browser, started if it is not there.
    fn browser(&mut self) -> Result<&(Browser, Extension)> {
        if self.open.is_none() {
            let browser = Browser::launch(&LaunchOptions {
                profile: Some(self.folder.path().join("browser")),
                ..LaunchOptions::default()
            })?;
            let extension = browser.load_extension(&self.paths.extension())?;
            self.open = Some((browser, extension));
        }
        self.open.as_ref().context("the browser is gone")
    }

    /// The extension's page for automation.
    fn page(&mut self) -> Result<Page> {
        let (browser, extension) = self.browser()?;
        Page::open(browser, extension)
    }

    /// What pages and workers have printed.
    fn log(&self) -> Vec<LogEntry> {
        self.open
            .as_ref()
            .map_or_else(Vec::new, |(browser, _)| browser.log())
    }

    fn close(&mut self) -> Result<()> {
        let (browser, _) = self.open.take().context("the browser is gone")?;
        browser.close()
    }

    fn end(&mut self, end: End) -> Result<()> {
        let (browser, extension) = self.open.as_ref().context("the browser is gone")?;
        let processes = procfs::tree(browser.pid())?;
        match end {
            End::Browser => {
                self.open = None;
                processes.iter().for_each(|pid| kill(*pid));
            }
            End::Renderer => {
                let renderers = procfs::extension_renderers(&processes);
                ensure!(!renderers.is_empty(), "no process renders the extension's pages");
                let base = extension.url("");
                renderers.iter().for_each(|pid| kill(*pid));
                browser
                    .targets()
                    .wait_gone("the host's page", DEFAULT_TIMEOUT, |target| {
                        target.kind != "page" && target.url.starts_with(&format!("{base}offscreen"))
                    })?;
                // Chromium turns an extension off whose host's page has crashed, until a person has it loaded again.
                browser.load_extension(&self.paths.extension())?;
            }
            End::Host => {
                let url = extension.url("offscreen.html");
                let host = browser.session("the host's page", DEFAULT_TIMEOUT, |target| target.url == url)?;
                browser.close_target(&host)?;
            }
            End::ServiceWorker => browser.terminate_service_worker(extension)?,
        }
        Ok(())
    }
}

fn kill(pid: u32) {
    // It may have ended by itself.
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}
