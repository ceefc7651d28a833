//! Panel and popup for everyone: by screen reader and keyboard, in light and dark, in a window of 500 px.
//!
//! Leaves a picture of each screen in `target/e2e/screens/`, for people to look at.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::{DEFAULT_TIMEOUT, Session};
use qemuweb_e2e::{Desk, Panel, Report, Scenario, checks, directory, element, extension_dir};

/// The panel in a tab, where the window's width can be set, the popup, and a VM.
struct Room {
    desk: Desk,
    panel: Panel,
    popup: Session,
    vm: Option<String>,
}

impl Room {
    fn open() -> Result<Self> {
        let desk = Desk::open()?;
        let popup = desk.browser.open_page(&desk.extension.url("popup.html"))?;
        let panel = desk.open_tab()?;
        Ok(Room {
            desk,
            panel,
            popup,
            vm: None,
        })
    }

    /// Checks the page in both schemes and in windows of these widths.
    fn check(&self, screen: &str, page: &Session, widths: &[u32]) -> Result<()> {
        let pictures = directory("screens", screen)?;
        self.desk.browser.activate(page)?;
        checks::names(page)?;
        checks::reachable(page)?;
        for &width in widths {
            page.set_viewport(width, 600)?;
            // Layout follows the next frame.
            page.evaluate("new Promise((resolve) => setTimeout(() => requestAnimationFrame(resolve), 100)).then(() => true)")?;
            for scheme in ["light", "dark"] {
                page.emulate_color_scheme(scheme)?;
                fs::write(pictures.join(format!("{width}-{scheme}.png")), page.screenshot()?)?;
                checks::contrast(page).with_context(|| format!("in the {scheme} scheme"))?;
            }
            checks::fits(page).with_context(|| format!("at {width} px"))?;
        }
        Ok(())
    }

    fn check_panel(&self, screen: &str) -> Result<()> {
        self.check(screen, self.panel.session(), &[900, 500])
    }

    /// Checks a tab of the shown VM, once the element with `test_id` is there.
    fn check_tab(&self, name: &str, test_id: &str) -> Result<()> {
        let page = self.panel.session();
        self.desk.browser.activate(page)?;
        page.set_viewport(900, 600)?;
        self.panel.click_selector(&format!("#tab-{name}"))?;
        page.wait_for(
            &format!("the tab {name}"),
            &format!("document.querySelector('[data-testid={test_id}]') !== null"),
            DEFAULT_TIMEOUT,
        )?;
        self.check_panel(name)
    }

    fn check_popup(&self, screen: &str) -> Result<()> {
        self.check(screen, &self.popup, &[360])
    }
}

impl Report for Room {
    fn report(&self, directory: &Path) -> Result<()> {
        for (name, page) in [("panel", self.panel.session()), ("popup", &self.popup)] {
            if let Ok(png) = page.screenshot() {
                fs::write(directory.join(format!("{name}.png")), png)?;
            }
        }
        self.desk.report(directory)
    }
}

fn main() {
    let trials = Scenario::new("accessibility", Room::open)
        .step("the launcher", |room| room.check_panel("launcher"))
        .step("a stored file", |room| {
            room.panel.open_launcher("files")?;
            let page = room.panel.session();
            let kernel = extension_dir().join("guest/aarch64/Image.gz");
            page.set_files(&element("store-file"), &[&kernel])?;
            page.wait_for(
                "the stored file",
                &format!("{} !== null", element("stored-row")),
                DEFAULT_TIMEOUT,
            )?;
            page.evaluate(&format!("{}.scrollIntoView()", element("stored-files")))?;
            room.check_panel("stored file")
        })
        .step("the popup without VMs", |room| {
            room.check_popup("popup without VMs")
        })
        .step("a running VM", |room| {
            room.desk.browser.activate(room.panel.session())?;
            let vm = room.panel.launch("minimal-x86_64")?;
            room.panel.wait_prompt(&vm)?;
            room.vm = Some(vm);
            room.check_panel("running VM")
        })
        .step("the popup with a VM", |room| room.check_popup("popup with a VM"))
        .step("the monitor", |room| room.check_tab("monitor", "qmp"))
        .step("the disks", |room| room.check_tab("disks", "disk-card"))
        .step("the page's traffic", |room| {
            room.panel.click("show-capture")?;
            room.panel.session().wait_for(
                "the view of the traffic",
                "document.querySelector('[data-testid=capture]') !== null",
                DEFAULT_TIMEOUT,
            )?;
            room.check_panel("traffic")?;
            room.panel.session().set_viewport(900, 600)?;
            room.panel
                .select(room.vm.as_deref().context("no VM was launched")?)?;
            room.panel.click_selector("#tab-console")
        })
        .step("a question, answered by keyboard", |room| {
            let vm = room.vm.as_deref().context("no VM was launched")?;
            let page = room.panel.session();
            room.desk.browser.activate(page)?;
            page.set_viewport(900, 600)?;
            room.panel.click("force-stop")?;
            page.wait_for(
                "the question",
                "document.querySelector('dialog[open]') !== null",
                DEFAULT_TIMEOUT,
            )?;
            room.check_panel("question")?;
            let focus = "document.querySelector('dialog[open]')?.contains(document.activeElement)";
            ensure!(page.evaluate(focus)? == true, "the focus is not in the question");
            page.press("Escape")?;
            page.wait_for(
                "the question to go",
                "document.querySelector('dialog[open]') === null",
                DEFAULT_TIMEOUT,
            )?;
            room.panel.wait_state(vm, "running", DEFAULT_TIMEOUT)
        })
        .step("a VM that stopped", |room| {
            let vm = room.vm.as_deref().context("no VM was launched")?;
            room.panel.session().set_viewport(900, 600)?;
            room.panel.click("force-stop")?;
            room.panel.click("confirm-ok")?;
            room.panel.wait_state(vm, "stopped", DEFAULT_TIMEOUT)?;
            room.check_panel("stopped VM")
        })
        .step("the settings", |room| room.check_tab("settings", "save-vm"))
        .trials();
    qemuweb_e2e::run(trials)
}
