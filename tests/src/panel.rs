//! The panel as a person uses it: buttons, rows, the console.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use qemuweb_driver::{DEFAULT_TIMEOUT, Session};
use serde_json::{Value, json};

use crate::BOOT;

/// Commands that were run in any panel, to number them.
static COMMANDS: AtomicU32 = AtomicU32::new(1);

/// One open panel, in DevTools or in a tab.
pub struct Panel {
    session: Session,
}

/// What a command in the guest printed, and its exit status.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    /// As the console shows it, lines ended by `\n`.
    pub text: String,
    /// 0 for success.
    pub status: i32,
}

/// How long a command in the guest may take.
const COMMAND: Duration = Duration::from_secs(120);

impl Panel {
    /// Waits until the panel in `session` is connected to the VM host.
    pub fn new(session: Session) -> Result<Self> {
        session.wait_for(
            "the panel's script",
            "window.qemuwebReady !== undefined",
            DEFAULT_TIMEOUT,
        )?;
        session
            .evaluate("window.qemuwebReady.then(() => true)")
            .context("the panel could not connect")?;
        Ok(Panel { session })
    }

    /// The panel's document.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Clicks the one element with this `data-testid`, once it is there and enabled.
    pub fn click(&self, test_id: &str) -> Result<()> {
        self.reach(test_id)?;
        self.click_selector(&by_test_id(test_id))
    }

    /// Opens the menu, the pop-over or the dialog of the traffic that an element stands in, and closes the dialog for others.
    pub fn reach(&self, test_id: &str) -> Result<()> {
        let matches = |selector: &str| {
            let matches = format!("document.querySelector({}) !== null", json!(selector));
            Ok::<_, anyhow::Error>(self.session.evaluate(&matches)? == true)
        };
        let is_set_once = matches("[data-testid=capture-settings-dialog][open]")?;
        match test_id {
            "capture-export-har"
            | "capture-export-pcapng"
            | "capture-preserve"
            | "capture-secrets-toggle" => self.click("capture-more"),
            "capture-send" | "capture-live" if !matches(".capture-send:popover-open")? => {
                self.click("capture-send-menu")
            }
            "capture-save" | "capture-saved" | "capture-limits" | "capture-names" | "capture-delete"
            | "capture-compare" | "capture-open"
                if !is_set_once =>
            {
                self.click("capture-more")?;
                self.click_selector(&by_test_id("capture-settings"))
            }
            "show-capture" | "capture-clear" | "capture-more" | "capture-record" | "capture-send-menu"
                if is_set_once =>
            {
                self.click_selector(&by_test_id("capture-settings-close"))
            }
            _ => Ok(()),
        }
    }

    /// Clicks the one element that matches a selector, once it is there and enabled.
    pub fn click_selector(&self, selector: &str) -> Result<()> {
        let ready = format!(
            "(element => element && !element.disabled)(document.querySelector({}))",
            json!(selector)
        );
        self.session
            .wait_for(&format!("{selector} to be ready"), &ready, DEFAULT_TIMEOUT)?;
        self.session.click(selector)
    }

    /// Opens a tab of the launcher: `guests`, `files` or `custom`.
    pub fn open_launcher(&self, tab: &str) -> Result<()> {
        self.click("new-vm")?;
        self.click(&format!("launcher-{tab}"))
    }

    /// Launches a profile from its card and returns the new VM's id.
    pub fn launch(&self, profile: &str) -> Result<String> {
        let before = self.vm_ids()?;
        let card = format!("[data-testid=profile-card][data-profile-id={}]", json!(profile));
        if self
            .session
            .evaluate(&format!("document.querySelector({}) === null", json!(card)))?
            == true
        {
            self.click("new-vm")?;
        }
        self.click_selector(&format!("{card} [data-testid=launch]"))?;
        self.new_vm(&before)
    }

    /// The id of the VM that is there and was not in `before`.
    pub fn new_vm(&self, before: &[String]) -> Result<String> {
        let rows = rows();
        let id = self.session.wait_for(
            "a new VM in the list",
            &format!(
                "{rows}.map(row => row.dataset.vmId).find(id => !{}.includes(id))",
                json!(before)
            ),
            DEFAULT_TIMEOUT,
        )?;
        Ok(id.as_str().context("a VM's row without an id")?.to_owned())
    }

    /// The ids of all VMs in the list.
    pub fn vm_ids(&self) -> Result<Vec<String>> {
        let ids = self
            .session
            .evaluate(&format!("{}.map(row => row.dataset.vmId)", rows()))?;
        Ok(ids
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|id| id.as_str().map(str::to_owned))
            .collect())
    }

    /// Waits until the list shows a VM in this state.
    pub fn wait_state(&self, vm: &str, state: &str, timeout: Duration) -> Result<()> {
        let is = format!(
            "{}.some(row => row.dataset.vmId === {} && row.dataset.state === {})",
            rows(),
            json!(vm),
            json!(state)
        );
        self.session
            .wait_for(&format!("VM {vm} to be {state}"), &is, timeout)
            .map(drop)
    }

    /// Shows a VM's console.
    pub fn select(&self, vm: &str) -> Result<()> {
        let row = format!("[data-testid=vm-row][data-vm-id={}]", json!(vm));
        let shown = format!("document.querySelector({})?.offsetParent != null", json!(row));
        if self.session.evaluate(&shown)? != true {
            // In a narrow panel the list waits behind a button.
            self.click_selector("[aria-controls=vm-list]")?;
        }
        self.click_selector(&row)
    }

    /// A VM's terminal as plain text, scrollback included.
    pub fn console_text(&self, vm: &str) -> Result<String> {
        let text = self
            .session
            .evaluate(&format!("window.qemuwebConsoleText({}) ?? ''", json!(vm)))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the console's last line is a root shell's prompt.
    pub fn wait_prompt(&self, vm: &str) -> Result<()> {
        self.wait_console(vm, "the shell's prompt", BOOT, |text| {
            let last = text.trim_end_matches('\n').lines().last()?;
            last.trim_end().ends_with('#').then_some(())
        })
    }

    /// Waits until `check` finds what it looks for in the console's text.
    pub fn wait_console<T>(
        &self,
        vm: &str,
        what: &str,
        timeout: Duration,
        check: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            let text = self.console_text(vm)?;
            if let Some(found) = check(&text) {
                return Ok(found);
            }
            let ended = self.session.evaluate(&format!(
                "(vm => vm && ['stopped', 'crashed'].includes(vm.state) && vm.reason !== 'notStarted'
                    ? JSON.stringify(vm) : null)(window.qemuweb.vmState({}))",
                json!(vm)
            ))?;
            let tail: Vec<&str> = text.lines().rev().take(15).collect();
            let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
            if let Some(ended) = ended.as_str() {
                bail!("VM {vm} ended before {what} came: {ended}\n{tail}");
            }
            if start.elapsed() > timeout {
                bail!(
                    "waited {} s for {what} on the console of {vm}, which ends in\n{tail}",
                    timeout.as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Types into the console as with a keyboard.
    pub fn type_keys(&self, text: &str) -> Result<()> {
        self.session
            .evaluate("document.querySelector('[data-testid=console] .xterm-helper-textarea').focus()")?;
        self.session.type_text(text)
    }

    /// Types a command into the console of the VM that is shown, and waits for its end.
    pub fn run(&self, vm: &str, command: &str) -> Result<Output> {
        // Unlike any other panel's: the console may still show what another one ran.
        let count = COMMANDS.fetch_add(1, Ordering::Relaxed);
        // The shell joins the words, so the echo of what is typed holds no marker.
        self.type_keys(&format!(
            "echo beg''in-{count}; {command}; echo e''nd-{count}-$?-\n"
        ))?;
        let (begin, end) = (format!("begin-{count}\n"), format!("end-{count}-"));
        self.wait_console(vm, &format!("the end of `{command}`"), COMMAND, |text| {
            let start = text.find(&begin)? + begin.len();
            let stop = start + text[start..].find(&end)?;
            let status = text[stop + end.len()..].split('-').next()?.parse().ok()?;
            Some(Output {
                text: text[start..stop].to_owned(),
                status,
            })
        })
    }

    /// Runs a command and demands what it prints, and success.
    pub fn expect(&self, vm: &str, command: &str, expected: &str) -> Result<()> {
        let output = self.run(vm, command)?;
        ensure!(
            output.text.trim_end() == expected && output.status == 0,
            "`{command}` printed {:?} with status {}, expected {expected:?}",
            output.text,
            output.status
        );
        Ok(())
    }

    /// The bytes of the file that a button makes, which the browser would save.
    pub fn exported(&self, button: &str) -> Result<Vec<u8>> {
        self.session.evaluate(
            "window.made = new Promise(resolve => {
                const make = URL.createObjectURL;
                URL.createObjectURL = blob => { URL.createObjectURL = make; resolve(blob); return make.call(URL, blob); };
            }); null",
        )?;
        self.click(button)?;
        let base64 = self.session.evaluate(
            "made.then(blob => new Promise(resolve => {
                const reader = new FileReader();
                reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1));
                reader.readAsDataURL(blob);
            }))",
        )?;
        let base64 = base64.as_str().context("expected the file in base64")?;
        BASE64.decode(base64).context("the file is no base64")
    }

    /// Waits for an error in the panel that contains `text`, and returns all of it.
    pub fn wait_error(&self, text: &str, timeout: Duration) -> Result<String> {
        let errors = format!(
            "[...document.querySelectorAll('[data-testid=error], [data-testid=capability-warning]')]
                .map(element => element.textContent).find(text => text.toLowerCase().includes({}))",
            json!(text.to_lowercase())
        );
        let error =
            self.session
                .wait_for(&format!("an error with {text:?} in the panel"), &errors, timeout)?;
        Ok(error.as_str().unwrap_or_default().to_owned())
    }

    /// What the panel shows, as text, for reports.
    pub fn describe(&self) -> Result<String> {
        let vms = self.session.evaluate("window.qemuweb.listVms()")?;
        let text = self.session.evaluate("document.body.innerText")?;
        let mut all = format!("{vms:#}\n\n{}\n", text.as_str().unwrap_or_default());
        for vm in vms
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|vm| vm["vmId"].as_str())
        {
            all += &format!("\n==== console of {vm}\n{}", self.console_text(vm)?);
        }
        Ok(all)
    }
}

/// A selector for the elements with a `data-testid`.
fn by_test_id(test_id: &str) -> String {
    format!("[data-testid={}]", Value::from(test_id))
}

/// An expression for the rows of the list of VMs.
fn rows() -> &'static str {
    "[...document.querySelectorAll('[data-testid=vm-row]')]"
}
