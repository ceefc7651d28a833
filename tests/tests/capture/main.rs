//! The page's traffic: recorded in the panel, piped into guests as it happens, read there with Linux's tools, written to
//! files – and none of the page's secrets in any of them.

mod files;
mod guest;
mod page;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use qemuweb_e2e::{Desk, Panel, Report, Scenario};
use serde_json::{Value, json};
use tempfile::TempDir;

use page::SECRETS;

/// The fixture.
struct Capture {
    desk: Desk,
    vm: String,
    /// A second one, once it was started.
    other: Option<String>,
    /// Files for the panel, which reads them in its own time.
    files: TempDir,
}

impl Capture {
    fn open() -> Result<Self> {
        let mut desk = Desk::open()?;
        let panel = desk.open_panel()?;
        let vm = panel.launch("minimal-x86_64")?;
        panel.wait_prompt(&vm)?;
        let files = tempfile::tempdir()?;
        Ok(Self {
            desk,
            vm,
            other: None,
            files,
        })
    }

    fn panel(&self) -> Result<&Panel> {
        self.desk.panel()
    }

    fn evaluate(&self, expression: &str) -> Result<Value> {
        self.panel()?.session().evaluate(expression)
    }

    fn wait(&self, what: &str, expression: &str) -> Result<Value> {
        self.panel()?
            .session()
            .wait_for(what, expression, Duration::from_secs(30))
    }

    /// Runs a command in the guest and demands its output.
    fn expect(&self, command: &str, expected: &str) -> Result<()> {
        self.panel()?.expect(&self.vm, command, expected)
    }

    /// Has the page do something, and waits until it is done.
    fn browse(&self, script: &str) -> Result<()> {
        let secure = json!(self.desk.site.secure_url());
        let done = self.desk.page.evaluate(&format!(
            "(async secure => {{ {script}; return true; }})({secure})"
        ))?;
        ensure!(done == true, "the page's script came to {done}");
        Ok(())
    }

    /// Clicks something in the line of a VM among those that get requests.
    fn click_target(&self, vm: &str, test_id: &str) -> Result<()> {
        self.panel()?.reach(test_id)?;
        self.panel()?.click_selector(&format!(
            "[data-testid=capture-target][data-vm-id={}] [data-testid={test_id}]",
            json!(vm)
        ))
    }

    /// Waits until a VM's line says something.
    fn wait_status(&self, vm: &str, text: &str) -> Result<()> {
        let status = format!(
            "document.querySelector('[data-testid=capture-target][data-vm-id={}] [data-testid=capture-status]')",
            json!(vm)
        );
        self.wait(
            &format!("{text:?} of {vm}"),
            &format!("{status}?.innerText.includes({})", json!(text)),
        )
        .map(drop)
    }

    /// The bytes of the file that a button makes, which the browser would save.
    fn exported(&self, button: &str) -> Result<Vec<u8>> {
        self.panel()?.exported(button)
    }

    /// Chooses a file to import.
    fn choose(&self, file: &[u8]) -> Result<()> {
        let path = self.files.path().join("file.har");
        std::fs::write(&path, file)?;
        let input = "document.querySelector('[data-testid=capture-import]')";
        self.panel()?.session().set_files(input, &[&path])
    }

    /// Imports a file and waits for what the panel says about it.
    fn import(&self, file: &[u8]) -> Result<String> {
        // What was said before goes.
        self.panel()?.click("capture-clear")?;
        self.choose(file)?;
        let message = "document.querySelector('[data-testid=capture-message]')?.innerText";
        let said = self.wait(
            "the file to be read",
            &format!("(text => /(was|were) read/.test(text) && text)({message})"),
        )?;
        Ok(said.as_str().unwrap_or_default().to_owned())
    }
}

impl Report for Capture {
    fn report(&self, directory: &Path) -> Result<()> {
        self.desk.report(directory)
    }
}

fn no_secrets(place: &str, bytes: &[u8]) -> Result<()> {
    for secret in SECRETS {
        let found = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        ensure!(!found, "{secret} is in {place}");
    }
    Ok(())
}

/// The URLs that the list shows, in its order.
const LISTED: &str = "[...document.querySelectorAll('[data-testid=capture-row]')].map(row => row.title)";

fn main() {
    let trials = Scenario::new("capture", Capture::open)
        .step("a page's requests are recorded without secrets", page::record)
        .step("they are filtered as in DevTools", page::filter)
        .step("one shows its details", page::details)
        .step("one is copied as a command, and typed", page::commands)
        .step("they arrive in the guest as they happen", guest::live)
        .step("they are packets and HAR in the guest", guest::packets_and_har)
        .step("no secret is in the guest", guest::no_secrets_there)
        .step("a guest's note and mark stand in the panel", guest::annotations)
        .step("jq and tcpdump read the ports as they are", guest::raw_ports)
        .step("several guests get them at once", guest::several)
        .step("a restarted guest goes on where it stopped", guest::restart)
        .step("the packets' file is whole", files::packets)
        .step("HAR goes out and comes in", files::har_round_trip)
        .step(
            "captures are saved, compared, deleted with undo, and opened",
            files::saved,
        )
        .step("no secret is in the browser's storage", files::storage)
        .step("hostile files do no harm", files::hostile)
        .step("thousands of rows scroll without a gap", files::long_list)
        .step("limits are a person's, and what is cut says so", page::limits)
        .step("secrets are kept when a person asks for it", page::keep_secrets)
        .trials();
    qemuweb_e2e::run(trials)
}
