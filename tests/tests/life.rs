//! VMs outlive what starts them: panels, DevTools, the service worker. And they end when told to.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::{DEFAULT_TIMEOUT, Target, poll};
use qemuweb_e2e::{Desk, Panel, Report, Scenario};

const PROFILE: &str = "minimal-x86_64";

/// The panel and the VMs that were launched, in order.
struct Room {
    desk: Desk,
    vms: Vec<String>,
    /// The Worker that was there before the first VM.
    first_worker: Option<String>,
}

/// Whether a target is a VM's Worker, or one that waits for a VM.
fn is_vm_worker(target: &Target) -> bool {
    target.kind == "worker" && target.url.ends_with("/vm-worker.js")
}

impl Room {
    fn open() -> Result<Self> {
        let mut desk = Desk::open()?;
        desk.open_panel()?;
        Ok(Room {
            desk,
            vms: Vec::new(),
            first_worker: None,
        })
    }

    /// The panel and the VM launched as number `index`.
    fn panel(&self, index: usize) -> Result<(&Panel, &str)> {
        Ok((
            self.desk.panel()?,
            self.vms.get(index).context("the VM was not launched")?,
        ))
    }

    /// Waits until there are so many VMs' Workers, those that wait for a VM included.
    fn wait_workers(&self, number: usize) -> Result<Vec<Target>> {
        let targets = self.desk.browser.targets();
        let workers = || targets.all().into_iter().filter(is_vm_worker).collect::<Vec<_>>();
        poll(&format!("{number} Workers"), DEFAULT_TIMEOUT, || {
            let workers = workers();
            Ok((workers.len() == number).then_some(workers))
        })
        .with_context(|| format!("first {:?}, now {:?}", self.first_worker, workers()))
    }

    fn launch(&mut self) -> Result<()> {
        let vm = self.desk.panel()?.launch(PROFILE)?;
        self.desk.panel()?.wait_prompt(&vm)?;
        self.vms.push(vm);
        Ok(())
    }
}

impl Report for Room {
    fn report(&self, directory: &std::path::Path) -> Result<()> {
        self.desk.report(directory)
    }
}

fn main() {
    let trials = Scenario::new("life", Room::open)
        .step("a Worker waits for the first VM", |room| {
            room.first_worker = room.wait_workers(1)?.pop().map(|worker| worker.id);
            Ok(())
        })
        .step("a guest boots", Room::launch)
        .step("it has that Worker, and another one waits", |room| {
            let workers = room.wait_workers(2)?;
            let first = room.first_worker.as_ref().context("no Worker waited")?;
            ensure!(workers.iter().any(|worker| worker.id == *first), "{workers:?}");
            Ok(())
        })
        .step("the panel is closed and opened while it runs", |room| {
            let (panel, vm) = room.panel(0)?;
            panel.expect(vm, "(sleep 3; echo gone on > /tmp/alone) & echo left", "left")?;
            room.desk.close_devtools()?;
            // Nobody is there who could start a VM.
            room.wait_workers(1)?;
            std::thread::sleep(Duration::from_secs(5));
            room.desk.open_panel()?;
            room.wait_workers(2)?;
            let (panel, vm) = room.panel(0)?;
            panel.wait_state(vm, "running", DEFAULT_TIMEOUT)?;
            panel.select(vm)?;
            panel.wait_console(vm, "what the console showed before", DEFAULT_TIMEOUT, |text| {
                (text.contains("Welcome to QemuWeb") && text.contains("left")).then_some(())
            })?;
            panel.expect(vm, "cat /tmp/alone", "gone on")
        })
        .step("the service worker dies while it runs", |room| {
            room.desk.browser.terminate_service_worker(&room.desk.extension)?;
            let (panel, vm) = room.panel(0)?;
            panel.expect(vm, "echo still here", "still here")
        })
        .step("a second panel, opened after that, shares the VM", |room| {
            let tab = room.desk.open_tab()?;
            let (panel, vm) = room.panel(0)?;
            tab.wait_state(vm, "running", DEFAULT_TIMEOUT)?;
            tab.select(vm)?;
            tab.expect(vm, "echo from the tab", "from the tab")?;
            panel.wait_console(
                vm,
                "the tab's command in the first panel",
                DEFAULT_TIMEOUT,
                |text| text.contains("\nfrom the tab\n").then_some(()),
            )?;
            room.desk.browser.activate(&room.desk.page)?;
            panel.expect(vm, "echo from DevTools", "from DevTools")?;
            room.desk.browser.close_target(tab.session())?;
            panel.expect(vm, "echo alone again", "alone again")
        })
        .step("a second guest boots beside it", Room::launch)
        .step("the two are machines of their own", |room| {
            for (index, word) in ["first", "second"].into_iter().enumerate() {
                let (panel, vm) = room.panel(index)?;
                panel.select(vm)?;
                panel.expect(vm, &format!("echo {word} > /tmp/own"), "")?;
            }
            for (index, word) in ["first", "second"].into_iter().enumerate() {
                let (panel, vm) = room.panel(index)?;
                panel.select(vm)?;
                panel.expect(vm, "cat /tmp/own", word)?;
            }
            Ok(())
        })
        .step("reset starts it anew", |room| {
            let (panel, vm) = room.panel(1)?;
            panel.select(vm)?;
            panel.click("reset")?;
            panel.click("confirm-ok")?;
            let shown = panel.wait_console(vm, "a second banner", qemuweb_e2e::BOOT, |text| {
                (text.matches("Welcome to QemuWeb").count() >= 2).then(|| text.to_owned())
            })?;
            // What stood there before the reset still does, and nothing is said to be missing.
            ensure!(
                shown.contains("/tmp/own") && !shown.contains("are not kept"),
                "{shown}"
            );
            panel.wait_prompt(vm)?;
            panel.expect(vm, "test -e /tmp/own || echo anew", "anew")
        })
        .step("a hung guest is forced to stop", |room| {
            let (panel, vm) = room.panel(1)?;
            panel.select(vm)?;
            panel.type_keys("trap '' INT; while :; do :; done\n")?;
            panel.type_keys("echo never\n")?;
            std::thread::sleep(Duration::from_secs(2));
            ensure!(
                !panel.console_text(vm)?.contains("\nnever\n"),
                "the guest does not hang"
            );
            panel.click("force-stop")?;
            panel.click("confirm-ok")?;
            panel.wait_state(vm, "stopped", DEFAULT_TIMEOUT)
        })
        .step("the other goes on meanwhile", |room| {
            let (panel, vm) = room.panel(0)?;
            panel.select(vm)?;
            panel.expect(vm, "cat /tmp/own", "first")
        })
        .step("a stopped machine starts again", |room| {
            let (panel, vm) = room.panel(1)?;
            panel.select(vm)?;
            panel.click("start")?;
            panel.wait_state(vm, "running", qemuweb_e2e::BOOT)?;
            panel.click("force-stop")?;
            panel.click("confirm-ok")?;
            panel.wait_state(vm, "stopped", DEFAULT_TIMEOUT)
        })
        .step("a guest shuts down when asked to", |room| {
            let (panel, vm) = room.panel(0)?;
            panel.select(vm)?;
            panel.click("stop")?;
            panel.wait_state(vm, "stopped", Duration::from_secs(90))
        })
        .step("its Worker has ended with it", |room| {
            let workers = room.wait_workers(1)?;
            ensure!(
                workers
                    .iter()
                    .all(|worker| Some(&worker.id) != room.first_worker.as_ref()),
                "{workers:?}"
            );
            Ok(())
        })
        .trials();
    qemuweb_e2e::run(trials)
}
