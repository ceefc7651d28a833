//! The popup: one click boots the default guest; VMs are listed, stopped, and opened in a tab.
//!
//! The popup's page is opened as a tab: a real popup closes as soon as something else has the focus.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use qemuweb_driver::{DEFAULT_TIMEOUT, Session};
use qemuweb_e2e::{Desk, Panel, Report, Scenario};

struct Popup {
    desk: Desk,
    popup: Session,
}

impl Popup {
    fn open() -> Result<Self> {
        let desk = Desk::open()?;
        let popup = desk.browser.open_page(&desk.extension.url("popup.html"))?;
        Ok(Popup { desk, popup })
    }

    fn click(&self, test_id: &str) -> Result<()> {
        let selector = format!("[data-testid={test_id}]");
        let ready =
            format!("(element => element && !element.disabled)(document.querySelector('{selector}'))");
        self.popup
            .wait_for(&format!("{test_id} in the popup"), &ready, DEFAULT_TIMEOUT)?;
        self.popup.click(&selector)
    }

    fn wait_row(&self, state: &str, timeout: Duration) -> Result<()> {
        let row = format!("document.querySelector('[data-testid=popup-row][data-state={state}]') !== null");
        self.popup
            .wait_for(&format!("a VM that is {state} in the popup"), &row, timeout)
            .map(drop)
    }

    /// The number on the toolbar button.
    fn badge(&self) -> Result<String> {
        let text = self.popup.evaluate("chrome.action.getBadgeText({})")?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    fn wait_badge(&self, text: &str) -> Result<()> {
        qemuweb_driver::poll(&format!("the badge {text:?}"), DEFAULT_TIMEOUT, || {
            Ok((self.badge()? == text).then_some(()))
        })
    }
}

impl Report for Popup {
    fn report(&self, directory: &Path) -> Result<()> {
        if let Ok(png) = self.popup.screenshot() {
            std::fs::write(directory.join("popup.png"), png)?;
        }
        self.desk.report(directory)
    }
}

fn main() {
    let trials = Scenario::new("popup", Popup::open)
        .step("the default guest is launched in one click", |popup| {
            popup.click("popup-launch")?;
            popup.wait_row("running", qemuweb_e2e::BOOT)
        })
        .step("the badge counts it", |popup| popup.wait_badge("1"))
        .step("the panel opens in a tab and has its console", |popup| {
            popup.click("popup-open-tab")?;
            let url = popup.desk.extension.url("panel.html");
            let tab = popup
                .desk
                .browser
                .session("the panel's tab", DEFAULT_TIMEOUT, |target| {
                    target.kind == "page" && target.url.starts_with(&url)
                })?;
            let panel = Panel::new(tab)?;
            let vm = panel
                .vm_ids()?
                .into_iter()
                .next()
                .context("the panel lists no VM")?;
            panel.select(&vm)?;
            panel.wait_prompt(&vm)?;
            panel.expect(&vm, "echo from the popup", "from the popup")?;
            popup.desk.browser.close_target(panel.session())?;
            popup.desk.browser.activate(&popup.popup)
        })
        .step("it is shut down from the popup", |popup| {
            popup.click("popup-stop")?;
            popup.wait_row("stopped", Duration::from_secs(90))
        })
        .step("the badge is empty again", |popup| popup.wait_badge(""))
        .trials();
    qemuweb_e2e::run(trials)
}
