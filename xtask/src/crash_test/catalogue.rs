//! The catalogue over crashes: VMs are defined, started, stopped and removed. What was stored by the end has to be there
//! afterwards, and the extension has to work.
//!
//! A VM that was accepted [`STORED`] before the end has to be listed, as it was defined, and one that was removed by then must
//! not be. When all rounds are over, the first VM of all is started with the file that it was defined with.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use qemuweb_driver::DEFAULT_TIMEOUT;
use qemuweb_vm_config::DEFAULT_PROFILE_ID;
use serde_json::{Value, json};

use super::{CrashedBrowser, End, STORED};
use crate::boot::{Launch, Page, Vm, complaints};
use crate::console::Console;
use crate::paths::Paths;
use crate::shell::{Deadline, exec, wait_prompt};
use crate::summary::Summary;

/// The longest wait for the moment of the end, in milliseconds: longer than the default guest needs for its prompt.
const MOMENT_MS: u64 = 6000;
/// VMs that may run at a time.
const MAX_RUNNING: usize = 3;
/// Seconds for a guest's prompt, and for a command.
const LIMIT: f64 = 300.0;
/// The VM that has a file.
const FIRST: &str = "crash-first";

/// Each in turn: a few rounds have had them all.
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

/// Some rounds; each counts as a test, and so does the start at the end.
pub(super) fn run(paths: &Paths, rounds: u32, seed: u64, summary: &mut Summary) {
    println!("==== crash-test: {rounds} rounds, seed {seed}");
    let mut test = match Test::new(paths, seed) {
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

/// What was defined in a browser that crashes.
struct Test<'a> {
    browser: CrashedBrowser<'a>,
    random: fastrand::Rng,
    expected: BTreeMap<String, Expected>,
}

impl<'a> Test<'a> {
    fn new(paths: &'a Paths, seed: u64) -> Result<Self> {
        let browser = CrashedBrowser::new(paths)?;
        let mut random = fastrand::Rng::with_seed(seed);
        let content: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(1 << 20).collect();
        std::fs::write(browser.folder().join("disk"), content)?;
        Ok(Test {
            browser,
            random,
            expected: BTreeMap::new(),
        })
    }

    fn disk(&self) -> std::path::PathBuf {
        self.browser.folder().join("disk")
    }

    /// Defines and starts VMs, ends something, and looks what is left.
    fn round(&mut self, round: u32) -> Result<()> {
        let page = self.browser.page()?;
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
        let end = ENDS[round as usize % ENDS.len()];
        println!(
            "round {round}: {end:?} ends {wait} ms later, of {} VMs",
            self.expected.len()
        );
        let before = matches!(end, End::ServiceWorker)
            .then(|| list(&page))
            .transpose()?;
        let ended = Instant::now();
        self.browser.end(end)?;
        drop(page);
        let result = self.check(ended, before.as_ref());
        if result.is_err() {
            print!("{}", complaints(&self.browser.log()));
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
        let page = self.browser.page()?;
        Vm::launch_as(FIRST, page, &launch, Console::default())?;
        self.expect(FIRST.to_owned(), 111);
        std::thread::sleep(STORED);
        Ok(())
    }

    /// Whether what was stored when something ended is there. `before`: the VMs, of an end that none of them should notice.
    fn check(&mut self, ended: Instant, before: Option<&Value>) -> Result<()> {
        let page = self.browser.page()?;
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
        let page = self.browser.page()?;
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
        self.browser.close()
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

fn sha256sum(file: &Path) -> Result<String> {
    let printed = crate::process::output(std::process::Command::new("sha256sum").arg(file))?;
    let sum = printed.split(' ').next().unwrap_or_default();
    Ok(sum.to_owned())
}
