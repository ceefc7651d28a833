//! `cargo xtask soak`: one browser for hours, in which VMs start, run and stop, and panels open and close. Each round has to
//! work as the first did, and leaves no memory behind.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use qemuweb_driver::{Browser, Extension, LaunchOptions, Session};
use qemuweb_vm_config::{Arch, DEFAULT_PROFILE_ID};
use serde_json::json;

use crate::boot::{Launch, Page, Vm, complaints};
use crate::build;
use crate::console::Console;
use crate::flags::Soak;
use crate::paths::Paths;
use crate::procfs;
use crate::setup::Needs;
use crate::shell::{Deadline, Terminal as _, exec, wait_prompt};
use crate::summary::Summary;

/// Minutes, unless told otherwise.
const MINUTES: f64 = 120.0;
/// Rounds that bring caches, compiled code and pools of threads to their size.
const WARM_UP: usize = 2;
/// How many MiB the extension's processes may take more at the end than after the warm-up, whatever the number of rounds:
/// garbage that no page has collected yet.
const GARBAGE_MIB: f64 = 64.0;
/// How long what has ended may take to give its memory back. The host ends a VM's Worker four seconds after the VM.
const REST: Duration = Duration::from_secs(7);
/// Seconds for a guest's prompt, and for a command.
const LIMIT: f64 = 300.0;

pub(crate) fn main(flags: &Soak) -> Result<()> {
    let paths = build::everything(&Needs::run(), &[Arch::X86_64])?;
    let end = Instant::now() + Duration::from_secs_f64(60.0 * flags.minutes.unwrap_or(MINUTES));
    let mut summary = Summary::default();
    run(&paths, |_| Instant::now() < end, &mut summary);
    if summary.print() {
        Ok(())
    } else {
        std::process::exit(1)
    }
}

/// Rounds while `goes_on`, which is told how many there were; each counts as a test, and so does the memory at the end.
pub(crate) fn run(paths: &Paths, goes_on: impl Fn(usize) -> bool, summary: &mut Summary) {
    println!("==== soak");
    let opened = Browser::launch(&LaunchOptions::default())
        .and_then(|browser| Ok((browser.load_extension(&paths.extension())?, browser)));
    let (extension, browser) = match opened {
        Ok(opened) => opened,
        Err(error) => return summary.add_one("soak", &Err(error)),
    };
    let mut memory = Vec::new();
    while goes_on(memory.len()) {
        let number = memory.len() + 1;
        let result = round(&browser, &extension, number).map(|mib| memory.push(mib));
        if let Err(error) = &result {
            println!("{error:#}\n{}", complaints(&browser.log()));
        }
        summary.add_one(&format!("soak round {number}"), &result);
        if result.is_err() {
            return;
        }
    }
    summary.add_one("soak: memory", &is_steady(&memory));
    let _ = browser.close();
}

/// What a person does; returns the MiB that the extension's processes take afterwards.
fn round(browser: &Browser, extension: &Extension, number: usize) -> Result<f64> {
    let start = Instant::now();
    let deadline = Deadline::after(Some(LIMIT))?;
    let panel = browser.open_page(&extension.url("panel.html"))?;
    panel.wait_for(
        "the panel's script",
        "window.qemuwebReady !== undefined",
        Duration::from_secs(60),
    )?;
    panel.evaluate("window.qemuwebReady.then(() => true)")?;
    let launch = Launch::profile(DEFAULT_PROFILE_ID);
    let ids = ["a", "b"].map(|name| format!("soak-{number}-{name}"));
    let mut vms = Vec::new();
    for id in &ids {
        let page = Page::open(browser, extension)?;
        vms.push(Vm::launch_as(id, page, &launch, Console::default())?);
    }
    for vm in &mut vms {
        wait_prompt(vm, deadline)?;
        let said = exec(vm, "seq 20000 | md5sum", deadline)?;
        ensure!(said.status == 0, "a command failed in the guest");
    }
    // A panel that goes while a console is at work, and another that comes.
    vms[0].send(b"yes | head -n 200000\r")?;
    browser.close_target(&panel)?;
    let popup = browser.open_page(&extension.url("popup.html"))?;
    let panel = browser.open_page(&extension.url("panel.html"))?;
    panel.wait_for(
        "the panel's list of VMs",
        &format!("window.qemuweb?.listVms().length === {} || null", ids.len()),
        Duration::from_secs(60),
    )?;
    browser.close_target(&popup)?;
    // One ends by itself, one is cut off.
    vms[1].send(b"poweroff\r")?;
    vms[1].wait_end(deadline)?;
    vms[0].force_stop()?;
    for id in &ids {
        panel.evaluate(&format!("window.qemuweb.removeVm({})", json!(id)))?;
    }
    for vm in vms {
        vm.leave(browser)?;
    }
    browser.close_target(&panel)?;
    std::thread::sleep(REST);
    let mib = memory(browser, extension)?;
    println!(
        "round {number}: {:.0} s, {mib:.0} MiB",
        start.elapsed().as_secs_f64()
    );
    Ok(mib)
}

/// MiB of the extension's processes, once the host's garbage is collected.
fn memory(browser: &Browser, extension: &Extension) -> Result<f64> {
    let url = extension.url("offscreen.html");
    let host: Session = browser.session("the host's page", Duration::from_secs(10), |target| {
        target.url == url
    })?;
    host.call("HeapProfiler.collectGarbage", json!({}))?;
    let processes = procfs::extension_renderers(&procfs::tree(browser.pid())?);
    ensure!(!processes.is_empty(), "no process renders the extension's pages");
    Ok(procfs::pss_mib(&processes))
}

/// Whether the memory after the last rounds is about what it was after the warm-up.
fn is_steady(memory: &[f64]) -> Result<()> {
    let after = memory.get(WARM_UP..).unwrap_or_default();
    let (first, last) = after
        .first()
        .zip(after.last())
        .context("too few rounds to tell about memory")?;
    // One of the last may have come before a collection of garbage.
    let lowest = after.iter().rev().take(3).fold(*last, |low, mib| low.min(*mib));
    if lowest > first + GARBAGE_MIB {
        bail!(
            "the extension's processes took {first:.0} MiB after the warm-up, and {lowest:.0} MiB {} rounds later",
            after.len() - 1
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_steady;

    #[test]
    fn growth_is_found_and_garbage_is_not() {
        assert!(is_steady(&[100.0, 300.0, 200.0, 210.0, 260.0]).is_ok());
        assert!(is_steady(&[100.0, 300.0, 200.0, 400.0, 201.0]).is_ok());
        assert!(is_steady(&[100.0, 300.0, 200.0, 400.0, 401.0, 402.0]).is_err());
        let leak: Vec<f64> = (0..100).map(|round| 200.0 + f64::from(round)).collect();
        assert!(is_steady(&leak).is_err());
        assert!(is_steady(&[100.0, 100.0]).is_err());
    }
}
