//! What fails is told, and what is left goes on: late answers, a panel that has crashed, a host that has.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::{DEFAULT_TIMEOUT, Session, Target};
use qemuweb_e2e::{BOOT, Desk, Panel, Report, Scenario};

/// A desk with a running guest.
struct Room {
    desk: Desk,
    vm: String,
}

/// Asks the monitor and leaves its tab before it can have answered.
const ASK_AND_LEAVE: &str = "(() => {
    const line = document.getElementById('hmp');
    line.value = 'info registers';
    line.dispatchEvent(new Event('input', {bubbles: true}));
    line.form.requestSubmit();
    document.getElementById('tab-console').click();
    return true;
})()";

/// A function of WebAssembly that traps, called by nobody who could catch that: what a panic comes to.
const TRAP: &str = "(() => {
    const bytes = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11];
    const module = new WebAssembly.Module(new Uint8Array(bytes));
    setTimeout(new WebAssembly.Instance(module).exports.f);
    return true;
})()";

fn is_host(target: &Target) -> bool {
    target.url.ends_with("/offscreen.html")
}

impl Room {
    fn open() -> Result<Self> {
        let mut desk = Desk::open()?;
        let panel = desk.open_panel()?;
        let vm = panel.launch("minimal-x86_64")?;
        panel.wait_prompt(&vm)?;
        Ok(Room { desk, vm })
    }

    fn panel(&self) -> Result<(&Panel, &str)> {
        Ok((self.desk.panel()?, &self.vm))
    }

    fn host(&self) -> Result<Session> {
        self.desk.browser.session("the VM host", DEFAULT_TIMEOUT, is_host)
    }
}

impl Report for Room {
    fn report(&self, directory: &std::path::Path) -> Result<()> {
        self.desk.report(directory)
    }
}

/// Whether each tab still opens when it is pressed.
fn check_tabs(panel: &Panel) -> Result<()> {
    for tab in ["details", "monitor", "settings", "console"] {
        panel.click_selector(&format!("#tab-{tab}"))?;
        let shown = format!("document.getElementById('panel-{tab}') !== null");
        panel
            .session()
            .wait_for(&format!("the tab {tab}"), &shown, DEFAULT_TIMEOUT)?;
    }
    Ok(())
}

fn main() {
    let trials = Scenario::new("failures", Room::open)
        .step("an answer of the monitor that nobody waits for harms nothing", |room| {
            let (panel, vm) = room.panel()?;
            panel.click_selector("#tab-monitor")?;
            panel
                .session()
                .wait_for("the monitor", "document.getElementById('hmp') !== null", DEFAULT_TIMEOUT)?;
            panel.session().evaluate(ASK_AND_LEAVE)?;
            std::thread::sleep(Duration::from_secs(1));
            check_tabs(panel)?;
            panel.expect(vm, "echo still here", "still here")
        })
        .step("a paused machine shuts down when it is asked to", |room| {
            let (panel, vm) = room.panel()?;
            panel.click_selector("#tab-monitor")?;
            panel.session().evaluate(&ASK_AND_LEAVE.replace("info registers", "stop"))?;
            panel.wait_state(vm, "paused", DEFAULT_TIMEOUT)?;
            panel.click("stop")?;
            panel.wait_state(vm, "stopped", Duration::from_secs(90))?;
            panel.click("start")?;
            panel.wait_state(vm, "running", BOOT)?;
            panel.wait_prompt(vm)
        })
        .step("a panel that has failed says so, and is there again with one key", |room| {
            let (panel, _) = room.panel()?;
            let session = panel.session();
            session.evaluate(TRAP)?;
            let error = panel.wait_error("has failed", DEFAULT_TIMEOUT)?;
            ensure!(error.contains("Reload"), "{error}");
            let reachable = "document.activeElement.dataset.testid === 'reload' && document.getElementById('app').inert
                && document.activeElement.closest('[role=alert]') !== null";
            session.wait_for("the button to have the focus", reachable, DEFAULT_TIMEOUT)?;
            session.type_text("\n")?;
            session.wait_for(
                "the panel to be there again",
                "document.querySelector('[data-testid=vm-row][data-state=running]') !== null
                    && document.querySelector('[data-testid=reload]') === null",
                DEFAULT_TIMEOUT,
            )?;
            let (panel, vm) = room.panel()?;
            panel.select(vm)?;
            panel.expect(vm, "echo still here", "still here")
        })
        .step("a host that has failed makes way for another, which says so", |room| {
            let (panel, vm) = room.panel()?;
            room.host()?.evaluate(TRAP)?;
            room.desk
                .browser
                .targets()
                .wait_gone("the host that failed", DEFAULT_TIMEOUT, is_host)?;
            panel.wait_error("connection to the VM host was lost", DEFAULT_TIMEOUT)?;
            panel.click("reconnect")?;
            panel.wait_error("the VM host failed", DEFAULT_TIMEOUT)?;
            panel.wait_state(vm, "stopped", DEFAULT_TIMEOUT)?;
            let reason = panel.session().evaluate(&format!("window.qemuweb.vmState('{vm}').reason"))?;
            ensure!(reason == "hostFailed", "{reason}");
            // What it showed last is still there.
            let text = panel.console_text(vm)?;
            ensure!(text.contains("still here"), "{text}");
            panel.click("start")?;
            panel.wait_state(vm, "running", BOOT)?;
            panel.wait_prompt(vm).context("a machine that starts in the new host")
        })
        .trials();
    qemuweb_e2e::run(trials)
}
