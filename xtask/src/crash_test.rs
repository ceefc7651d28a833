//! `cargo xtask crash-test`: the browser, the VM host or the service worker ends at a random moment while VMs are defined,
//! started, stopped and removed. What was stored by then has to be there afterwards, and the extension has to work.
//!
//! A VM that was accepted [`STORED`] before the end has to be listed, as it was defined, and one that was removed by then must
//! not be. When all rounds are over, the first VM of all is started with the file that it was defined with.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use qemuweb_driver::{Browser, DEFAULT_TIMEOUT, Extension, LaunchOptions};
use qemuweb_vm_config::{Arch, DEFAULT_PROFILE_ID};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::boot::{Launch, Page, Vm, complaints};
use crate::build;
use crate::console::Console;
use crate::flags::CrashTest;
use crate::paths::Paths;
use crate::procfs;
use crate::setup::Needs;
use crate::shell::{Deadline, exec, wait_prompt};
use crate::summary::Summary;

/// How long the host has to store what it has accepted.
const STORED: Duration = Duration::from_secs(1);
/// The longest wait for the moment of the end, in milliseconds: longer than the default guest needs for its prompt.
const MOMENT_MS: u64 = 6000;
/// VMs that may run at a time.
const MAX_RUNNING: usize = 3;
/// Rounds, unless told otherwise.
const ROUNDS: u32 = 30;
/// Seconds for a guest's prompt, and for a command.
const LIMIT: f64 = 300.0;
/// The VM that has a file.
const FIRST: &str = "crash-first";

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

const ENDS: [End; 4] = [End::Browser, End::Renderer, End::Host, End::ServiceWorker];

/// What has to be so of a VM.
#[derive(Debug)]
struct Expected {
    memory_mib: u32,
    /// When the host had accepted it.
    defined: Instant,
    /// When the host had been asked to remove it, and when it had done so.
    removed: Option<(Instant, Instant)>,
}

pub(crate) fn main(flags: &CrashTest) -> Result<()> {
    let paths = build::everything(&Needs::run(), &[Arch::X86_64])?;
    let mut summary = Summary::default();
    let seed = flags.seed.unwrap_or_else(|| fastrand::u64(..));
    run(&paths, flags.rounds.unwrap_or(ROUNDS), seed, &mut summary);
    if summary.print() {
        Ok(())
    } else {
        std::process::exit(1)
    }
}

/// Some rounds; each counts as a test, and so does the start at the end.
pub(crate) fn run(paths: &Paths, rounds: u32, seed: u64, summary: &mut Summary) {
    println!("==== crash-test: {rounds} rounds, seed {seed}");
    let mut test = match CrashedBrowser::new(paths, seed) {
        Ok(test) => test,
        Err(error) => return summary.add_one("crash-test", &Err(error)),
    };
    for round in 0..rounds {
        let result = test.round(round);
        let failed = result.is_err();
        summary.add_one(&format!("crash-test round {round} of seed {seed}"), &result);
        if failed {
            return;
        }
    }
    summary.add_one("crash-test: the first VM starts", &test.first_starts());
}

/// A browser that crashes and is there again, with the same user data.
struct CrashedBrowser<'a> {
    paths: &'a Paths,
    folder: tempfile::TempDir,
    random: fastrand::Rng,
    browser: Option<(Browser, Extension)>,
    expected: BTreeMap<String, Expected>,
}

impl<'a> CrashedBrowser<'a> {
    fn new(paths: &'a Paths, seed: u64) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("qemuweb-crash-").tempdir()?;
        let mut random = fastrand::Rng::with_seed(seed);
        let content: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(1 << 20).collect();
        std::fs::write(folder.path().join("disk"), content)?;
        Ok(CrashedBrowser {
            paths,
            folder,
            random,
            browser: None,
            expected: BTreeMap::new(),
        })
    }

    fn disk(&self) -> std::path::PathBuf {
        self.folder.path().join("disk")
    }

    /// The browser, started if it is not there.
    fn browser(&mut self) -> Result<&(Browser, Extension)> {
        if self.browser.is_none() {
            let browser = Browser::launch(&LaunchOptions {
                profile: Some(self.folder.path().join("browser")),
                ..LaunchOptions::default()
            })?;
            let extension = browser.load_extension(&self.paths.extension())?;
            self.browser = Some((browser, extension));
        }
        self.browser.as_ref().context("the browser is gone")
    }

    fn page(&mut self) -> Result<Page> {
        let (browser, extension) = self.browser()?;
        Page::open(browser, extension)
    }

    /// Defines and starts VMs, ends something, and looks what is left.
    fn round(&mut self, round: u32) -> Result<()> {
        let page = self.page()?;
        if round == 0 {
            self.define_first()?;
        }
        for _ in 0..self.random.u32(1..=4) {
            self.act(&page, round)?;
        }
        // A start that was not waited for: the end comes while it is on its way.
        if self.random.bool() {
            let id = format!("crash-{round}-under-way");
            let call = format!(
                "(window.qemuweb.startVm({}, {}, {{}}, null, []).catch(() => 0), 0)",
                json!(id),
                json!(DEFAULT_PROFILE_ID)
            );
            page.evaluate(&call)?;
        }
        let wait = self.random.u64(0..MOMENT_MS);
        std::thread::sleep(Duration::from_millis(wait));
        let end = *self.random.choice(ENDS.iter()).context("nothing can end")?;
        println!(
            "round {round}: {end:?} ends {wait} ms later, of {} VMs",
            self.expected.len()
        );
        let before = matches!(end, End::ServiceWorker)
            .then(|| list(&page))
            .transpose()?;
        let ended = Instant::now();
        self.end(end)?;
        drop(page);
        let result = self.check(ended, before.as_ref());
        if result.is_err()
            && let Some((browser, _)) = &self.browser
        {
            print!("{}", complaints(&browser.log()));
        }
        result
    }

    /// One thing that a person does, accepted by the host.
    fn act(&mut self, page: &Page, round: u32) -> Result<()> {
        let vms = list(page)?;
        let running: Vec<&str> = ids_of(&vms, |vm| !is_over(vm)).collect();
        let over: Vec<&str> = ids_of(&vms, |vm| is_over(vm) && vm["vmId"] != FIRST).collect();
        match self.random.u8(0..4) {
            0 if !over.is_empty() => {
                let id = over[self.random.usize(0..over.len())];
                let asked = Instant::now();
                page.evaluate(&format!("window.qemuweb.removeVm({})", json!(id)))?;
                if let Some(expected) = self.expected.get_mut(id) {
                    expected.removed = Some((asked, Instant::now()));
                }
            }
            1 if !running.is_empty() => stop(page, running[0])?,
            _ => {
                if running.len() >= MAX_RUNNING {
                    stop(page, running[0])?;
                }
                let id = format!("crash-{round}-{}", self.expected.len());
                let memory_mib = self.random.u32(96..256);
                page.evaluate(&format!(
                    "window.qemuweb.startVm({}, {}, {{}}, {{ memoryMiB: {memory_mib} }}, [])",
                    json!(id),
                    json!(DEFAULT_PROFILE_ID)
                ))?;
                self.expect(id, memory_mib);
            }
        }
        Ok(())
    }

    fn expect(&mut self, id: String, memory_mib: u32) {
        let expected = Expected {
            memory_mib,
            defined: Instant::now(),
            removed: None,
        };
        self.expected.insert(id, expected);
    }

    /// The VM with a file, which runs until the first end.
    fn define_first(&mut self) -> Result<()> {
        let mut launch = Launch::profile(DEFAULT_PROFILE_ID);
        launch.overrides.memory_mib = Some(111);
        launch.overrides.boot_from = Some(qemuweb_vm_config::BootFrom::Kernel);
        launch.attach_disk(&self.disk(), None, None)?;
        let page = self.page()?;
        Vm::launch_as(FIRST, page, &launch, Console::default())?;
        self.expect(FIRST.to_owned(), 111);
        std::thread::sleep(STORED);
        Ok(())
    }

    fn end(&mut self, end: End) -> Result<()> {
        let (browser, extension) = self.browser.as_ref().context("the browser is gone")?;
        let processes = procfs::tree(browser.pid())?;
        match end {
            End::Browser => {
                self.browser = None;
                processes.iter().for_each(|pid| kill(*pid));
            }
            End::Renderer => {
                let renderers = procfs::extension_renderers(&processes);
                ensure!(!renderers.is_empty(), "no process renders the extension's pages");
                let base = extension.url("");
                renderers.iter().for_each(|pid| kill(*pid));
                // What the tab shows then is no page of the extension's; the tab itself stays.
                browser
                    .targets()
                    .wait_gone("the host's page", DEFAULT_TIMEOUT, |target| {
                        target.kind != "page" && target.url.starts_with(&format!("{base}offscreen"))
                    })?;
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

    /// Whether what was stored when something ended is there. `before`: the VMs, of an end that none of them should notice.
    fn check(&mut self, ended: Instant, before: Option<&Value>) -> Result<()> {
        let page = self.page()?;
        let vms = list(&page)?;
        let found = |id: &str| array(&vms).iter().find(|vm| vm["vmId"] == id);
        for (id, expected) in &self.expected {
            // What was under way when it ended may have been stored or not.
            let stored = |since: Instant| ended.saturating_duration_since(since) >= STORED;
            match (found(id), expected.removed) {
                (None, None) if stored(expected.defined) => bail!("{id} is gone"),
                (Some(_), Some((_, removed))) if stored(removed) => bail!("{id} is there again"),
                (Some(vm), _) => ensure!(
                    vm["memoryMiB"] == expected.memory_mib,
                    "{id} was defined with {} MiB, and has {}",
                    expected.memory_mib,
                    vm["memoryMiB"]
                ),
                _ => {}
            }
        }
        for vm in array(&vms) {
            let was = before.and_then(|before| array(before).iter().find(|was| was["vmId"] == vm["vmId"]));
            match was {
                Some(was) if was["state"] == "running" => ensure!(
                    vm["state"] == "running" && vm["run"] == was["run"],
                    "the end of the service worker ended {}: {vm}",
                    vm["vmId"]
                ),
                Some(_) => {}
                None if before.is_some() => {}
                None => ensure!(is_over(vm), "{} cannot be at work: {vm}", vm["vmId"]),
            }
        }
        // From here on, what is there is expected.
        self.expected.retain(|id, _| found(id).is_some());
        for expected in self.expected.values_mut() {
            expected.removed = None;
        }
        Ok(())
    }

    /// Starts the VM that was defined first; its disk has to have what it was given.
    fn first_starts(&mut self) -> Result<()> {
        let sum = sha256sum(&self.disk())?;
        let page = self.page()?;
        for id in ids_of(&list(&page)?, |vm| !is_over(vm)) {
            stop(&page, id)?;
        }
        let mut vm = Vm::restart(FIRST, page, Console::default())?;
        let deadline = Deadline::after(Some(LIMIT))?;
        wait_prompt(&mut vm, deadline)?;
        let said = exec(&mut vm, "sha256sum /dev/vda", deadline)?;
        let said = String::from_utf8_lossy(&said.output).into_owned();
        ensure!(
            said.starts_with(&sum),
            "its disk is another one: {said}, not {sum}"
        );
        let (browser, _) = self.browser.take().context("the browser is gone")?;
        browser.close()
    }
}

fn list(page: &Page) -> Result<Value> {
    page.evaluate("window.qemuweb.listVms()")
}

fn array(vms: &Value) -> &[Value] {
    vms.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn ids_of<'a>(vms: &'a Value, wanted: impl Fn(&Value) -> bool + 'a) -> impl Iterator<Item = &'a str> {
    array(vms)
        .iter()
        .filter(move |vm| wanted(vm))
        .filter_map(|vm| vm["vmId"].as_str())
}

fn is_over(vm: &Value) -> bool {
    vm["state"] == "stopped" || vm["state"] == "crashed"
}

/// Cuts a VM's power, and waits until it is off.
fn stop(page: &Page, id: &str) -> Result<()> {
    page.evaluate(&format!("window.qemuweb.stopVm({}, true)", json!(id)))?;
    let over = format!(
        "['stopped', 'crashed'].includes(window.qemuweb.vmState({})?.state) || null",
        json!(id)
    );
    qemuweb_driver::poll(&format!("{id} to be off"), DEFAULT_TIMEOUT, || {
        Ok((page.evaluate(&over)? == true).then_some(()))
    })
}

fn kill(pid: u32) {
    // It may have ended by itself.
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn sha256sum(file: &Path) -> Result<String> {
    let printed = crate::process::output(std::process::Command::new("sha256sum").arg(file))?;
    let sum = printed.split(' ').next().unwrap_or_default();
    Ok(sum.to_owned())
}
