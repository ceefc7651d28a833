//! The launcher: machines are described, edited, copied, removed and brought back; profiles are imported or refused with
//! the paths of their faults; all of it survives the browser.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::{Browser, DEFAULT_TIMEOUT, Extension, LaunchOptions, Session};
use qemuweb_e2e::{BOOT, Panel, Report, Scenario, extension_dir};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A browser whose user data outlives it, and the panel in a tab of it.
struct Home {
    user_data: TempDir,
    open: Option<Open>,
    vm: String,
}

struct Open {
    browser: Browser,
    extension: Extension,
    panel: Panel,
}

impl Home {
    fn new() -> Result<Self> {
        let user_data = tempfile::Builder::new().prefix("qemuweb-e2e-").tempdir()?;
        let mut home = Home {
            user_data,
            open: None,
            vm: String::new(),
        };
        home.open()?;
        Ok(home)
    }

    fn open(&mut self) -> Result<()> {
        let options = LaunchOptions {
            profile: Some(self.user_data.path().to_owned()),
            ..LaunchOptions::default()
        };
        let browser = Browser::launch(&options)?;
        let extension = browser.load_extension(&extension_dir())?;
        let panel = Panel::new(browser.open_page(&extension.url("panel.html"))?)?;
        self.open = Some(Open {
            browser,
            extension,
            panel,
        });
        Ok(())
    }

    fn panel(&self) -> Result<&Panel> {
        Ok(&self.open.as_ref().context("no browser is open")?.panel)
    }

    fn page(&self) -> Result<&Session> {
        self.panel().map(Panel::session)
    }

    /// Puts text into the field with this test id, as typing it does.
    fn fill(&self, test_id: &str, text: &str) -> Result<()> {
        self.page()?
            .evaluate(&format!(
                "(field => {{ field.value = {}; for (const type of ['input', 'change'])
                    field.dispatchEvent(new Event(type, {{bubbles: true}})); }})({})",
                json!(text),
                element(test_id)
            ))
            .map(drop)
    }

    /// Waits until the element with this test id says something with `text` in it.
    fn wait_text(&self, test_id: &str, text: &str) -> Result<()> {
        let says = format!("{}?.textContent.includes({})", element(test_id), json!(text));
        self.page()?
            .wait_for(&format!("{test_id} to say {text:?}"), &says, DEFAULT_TIMEOUT)
            .map(drop)
    }

    /// A VM as the panel knows it.
    fn vm(&self, vm_id: &str) -> Result<Value> {
        self.page()?
            .evaluate(&format!("window.qemuweb.vmState({})", json!(vm_id)))
    }

    fn wait_vm(&self, what: &str, condition: &str) -> Result<()> {
        let is = format!(
            "(vm => vm && {condition})(window.qemuweb.vmState({}))",
            json!(self.vm)
        );
        self.page()?.wait_for(what, &is, DEFAULT_TIMEOUT).map(drop)
    }

    fn show_settings(&self) -> Result<()> {
        let panel = self.panel()?;
        panel.select(&self.vm)?;
        panel.click_selector("#tab-settings")
    }

    fn import(&self, content: &str) -> Result<()> {
        let panel = self.panel()?;
        panel.click("new-vm")?;
        // The page reads it later than it is chosen.
        let file = self.user_data.path().join("profile.json");
        std::fs::write(&file, content)?;
        let input = element("profile-import");
        let ready = format!("{input} && !{input}.disabled");
        panel
            .session()
            .wait_for("the import field", &ready, DEFAULT_TIMEOUT)?;
        panel.session().set_files(&input, &[&file])
    }
}

impl Report for Home {
    fn report(&self, directory: &Path) -> Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        if let Ok(png) = open.panel.session().screenshot() {
            std::fs::write(directory.join("panel.png"), png)?;
        }
        let state = open.panel.describe().unwrap_or_else(|error| format!("{error:#}"));
        std::fs::write(directory.join("panel.txt"), state)?;
        std::fs::write(
            directory.join("console.log"),
            qemuweb_driver::format_log(&open.browser.log()),
        )?;
        Ok(())
    }
}

fn element(test_id: &str) -> String {
    format!("document.querySelector('[data-testid={test_id}]')")
}

/// A profile's file with these fields changed.
fn profile_file(changes: Value) -> String {
    let mut profile = json!({
        "id": "build-box",
        "name": "Build box",
        "arch": "x86_64",
        "machine": "q35",
        "cpu": "qemu64",
        "memoryMiB": 192,
        "smp": 1,
        "supportsGraphics": false,
        "requiresKernel": false,
        "devices": {"diskInterface": "virtio-blk", "net": "none", "rng": true, "serial": "ttyS0"},
        "defaultInputs": {
            "kernel": {"builtin": {"path": "x86_64/vmlinux.gz"}},
            "initrd": {"builtin": {"path": "x86_64/initramfs.cpio.gz"}},
            "kernelCmdline": "console=ttyS0 quiet",
        },
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        profile[name] = value.clone();
    }
    json!({"format": "qemuweb-profile", "version": 1, "profile": profile}).to_string()
}

fn main() {
    let trials = Scenario::new("launcher", Home::new)
        .step("fields are checked as one types", |home| {
            home.panel()?.click("new-vm")?;
            home.fill("memory", "9000")?;
            home.wait_text("field-error", "")?;
            let errors = "[...document.querySelectorAll('[data-testid=field-error]')].map(it => it.textContent).join()";
            home.page()?.wait_for(
                "an error beside the memory",
                &format!("{errors}.includes('heap')"),
                DEFAULT_TIMEOUT,
            )?;
            home.fill("memory", "160")?;
            home.page()?
                .wait_for("no error", &format!("!{errors}.includes('heap')"), DEFAULT_TIMEOUT)?;
            home.wait_text("command-line", "-m 160M")
        })
        .step("a machine is defined without starting it", |home| {
            home.fill("vm-name", "Work bench")?;
            let before = home.panel()?.vm_ids()?;
            home.panel()?.click("save-vm")?;
            home.vm = home.panel()?.new_vm(&before)?;
            let vm = home.vm(&home.vm)?;
            ensure!(
                vm["name"] == "Work bench" && vm["memoryMiB"] == 160 && vm["state"] == "stopped",
                "found {vm}"
            );
            Ok(())
        })
        .step("it is edited", |home| {
            home.show_settings()?;
            home.fill("memory", "176")?;
            home.fill("vm-name", "Bench")?;
            home.panel()?.click("save-vm")?;
            home.wait_vm("the changes", "vm.memoryMiB === 176 && vm.name === 'Bench'")
        })
        .step("it is copied, the copy removed and brought back", |home| {
            let panel = home.panel()?;
            panel.select(&home.vm)?;
            let before = panel.vm_ids()?;
            panel.click("clone")?;
            let copy = panel.new_vm(&before)?;
            let vm = home.vm(&copy)?;
            ensure!(vm["name"] == "Bench copy" && vm["memoryMiB"] == 176, "found {vm}");
            panel.select(&copy)?;
            panel.click("remove")?;
            let is_there = format!("window.qemuweb.vmState({}) !== null", json!(copy));
            panel
                .session()
                .wait_for("the copy to be gone", &format!("!({is_there})"), DEFAULT_TIMEOUT)?;
            panel.click("undo-remove")?;
            panel
                .session()
                .wait_for("the copy to be back", &is_there, DEFAULT_TIMEOUT)
                .map(drop)
        })
        .step("a broken profile is refused with the paths of its faults", |home| {
            home.import(&profile_file(json!({"memoryMiB": "lots", "machine": "virt", "colour": "blue"})))?;
            home.wait_text("import-faults", "profile.memoryMiB: expected a whole number")?;
            home.wait_text("import-faults", "profile.colour: unknown field")
        })
        .step("a sound one is imported and gets a card", |home| {
            home.import(&profile_file(json!({})))?;
            home.page()?
                .wait_for(
                    "the profile's card",
                    "document.querySelector('[data-profile-id=build-box] [data-testid=launch]') !== null",
                    DEFAULT_TIMEOUT,
                )
                .map(drop)
        })
        .step("it is edited, and stays one", |home| {
            let panel = home.panel()?;
            panel.click_selector("[data-profile-id=build-box] [data-testid=customize]")?;
            home.wait_text("profile-help", "")?;
            home.fill("memory", "200")?;
            panel.click("save-profile")?;
            let cards = "[...document.querySelectorAll('[data-testid=own-profiles] [data-testid=profile-card]')]";
            let is_edited = format!("{cards}.length === 1 && {cards}[0].textContent.includes('200 MiB')");
            panel
                .session()
                .wait_for("the edited profile", &is_edited, DEFAULT_TIMEOUT)?;
            panel.click("duplicate-profile")?;
            panel
                .session()
                .wait_for("its duplicate", &format!("{cards}.length === 2"), DEFAULT_TIMEOUT)
                .map(drop)
        })
        .step("it boots, and its monitor answers", |home| {
            home.vm = home.panel()?.launch("build-box")?;
            let panel = home.panel()?;
            panel.wait_prompt(&home.vm)?;
            panel.click_selector("#tab-monitor")?;
            home.fill("hmp", "info status")?;
            panel.click("hmp-run")?;
            home.wait_text("monitor-answers", "VM status: running")?;
            home.fill("qmp-request", "stop")?;
            home.wait_text("monitor-events", "STOP")?;
            panel.wait_state(&home.vm, "paused", DEFAULT_TIMEOUT)?;
            home.fill("qmp", "{\"execute\": \"cont\"}")?;
            panel.click("qmp-run")?;
            home.wait_text("monitor-events", "RESUME")?;
            home.fill("qmp", "info nonsense")?;
            panel.click("qmp-run")?;
            home.wait_text("monitor-answers", "expected the name of a QMP command")
        })
        .step("what it does is measured", |home| {
            let value = "[...document.querySelectorAll('.metric')].map(it => it.textContent).join('|')";
            home.page()?
                .wait_for(
                    "processor and memory in the metrics",
                    &format!("/CPU\\d+ %/.test({value}) && /Memory[^|]* of 1\\d\\d MiB/.test({value})"),
                    Duration::from_secs(30),
                )
                .map(drop)
        })
        .step("it becomes a favourite", |home| {
            home.panel()?.click("favourite")?;
            home.wait_vm("the favourite", "vm.favourite")
        })
        .step("after a restart of the browser all is there, and what ran says why it does not", |home| {
            let open = home.open.take().context("no browser is open")?;
            open.browser.close()?;
            home.open()?;
            home.wait_vm("the VM of before", "vm.state === 'stopped' && vm.reason === 'hostEnded'")?;
            let vms = home.page()?.evaluate("window.qemuweb.listVms()")?;
            let names: Vec<&str> = vms
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|vm| vm["name"].as_str())
                .collect();
            ensure!(names == ["Bench", "Bench copy", "Build box"], "found {names:?}");
            home.panel()?.select(&home.vm)?;
            home.wait_text("status-bar", "the browser closed while it ran")
        })
        .step("the popup starts the favourite", |home| {
            let open = home.open.as_ref().context("no browser is open")?;
            let popup = open.browser.open_page(&open.extension.url("popup.html"))?;
            let start = "[data-testid=popup-row]:first-child[data-favourite=true] [data-testid=popup-start]";
            popup.wait_for(
                "the favourite in the popup",
                &format!("document.querySelector('{start}') !== null"),
                DEFAULT_TIMEOUT,
            )?;
            popup.click(start)?;
            home.panel()?.wait_state(&home.vm, "running", BOOT)?;
            open.browser.activate(home.page()?)?;
            home.panel()?.wait_prompt(&home.vm)?;
            home.panel()?.expect(&home.vm, "nproc", "1")
        })
        .trials();
    qemuweb_e2e::run(trials)
}
