//! A browser that can be closed and opened again, with the panel in a tab of it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use qemuweb_driver::{Browser, DEFAULT_TIMEOUT, Extension, LaunchOptions, Session, format_log};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Panel, Report, extension_dir};

/// A browser whose user data outlives it, and the panel in a tab of it.
pub struct Home {
    user_data: TempDir,
    open: Option<Open>,
    /// The VM that the steps are about.
    pub vm: String,
}

struct Open {
    browser: Browser,
    extension: Extension,
    panel: Panel,
}

impl Home {
    /// A new browser.
    pub fn new() -> Result<Self> {
        let mut home = Self::closed()?;
        home.open()?;
        Ok(home)
    }

    /// A new browser with what `prepare`, an expression that is evaluated in a page of the extension before any of QemuWeb
    /// runs, left in its storage.
    pub fn prepared(prepare: &str) -> Result<Self> {
        let mut home = Self::closed()?;
        let (browser, extension) = home.launch()?;
        let page = browser.open_page(&extension.url("manifest.json"))?;
        page.evaluate(prepare)?;
        browser.close()?;
        home.open()?;
        Ok(home)
    }

    fn closed() -> Result<Self> {
        Ok(Home {
            user_data: tempfile::Builder::new().prefix("qemuweb-e2e-").tempdir()?,
            open: None,
            vm: String::new(),
        })
    }

    fn launch(&self) -> Result<(Browser, Extension)> {
        let options = LaunchOptions {
            profile: Some(self.user_data.path().to_owned()),
            ..LaunchOptions::default()
        };
        let browser = Browser::launch(&options)?;
        let extension = browser.load_extension(&extension_dir())?;
        Ok((browser, extension))
    }

    fn open(&mut self) -> Result<()> {
        let (browser, extension) = self.launch()?;
        let panel = Panel::new(browser.open_page(&extension.url("panel.html"))?)?;
        self.open = Some(Open {
            browser,
            extension,
            panel,
        });
        Ok(())
    }

    /// Closes the browser and opens it again, with the same user data.
    pub fn restart(&mut self) -> Result<()> {
        let open = self.open.take().context("no browser is open")?;
        open.browser.close()?;
        self.open()
    }

    /// The browser.
    pub fn browser(&self) -> Result<&Browser> {
        Ok(&self.open.as_ref().context("no browser is open")?.browser)
    }

    /// QemuWeb in it.
    pub fn extension(&self) -> Result<&Extension> {
        Ok(&self.open.as_ref().context("no browser is open")?.extension)
    }

    /// The panel.
    pub fn panel(&self) -> Result<&Panel> {
        Ok(&self.open.as_ref().context("no browser is open")?.panel)
    }

    /// The panel's page.
    pub fn page(&self) -> Result<&Session> {
        self.panel().map(Panel::session)
    }

    /// Puts text into the field with this test id, as typing it does.
    pub fn fill(&self, test_id: &str, text: &str) -> Result<()> {
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
    pub fn wait_text(&self, test_id: &str, text: &str) -> Result<()> {
        let says = format!("{}?.textContent.includes({})", element(test_id), json!(text));
        self.page()?
            .wait_for(&format!("{test_id} to say {text:?}"), &says, DEFAULT_TIMEOUT)
            .map(drop)
    }

    /// A VM as the panel knows it.
    pub fn vm(&self, vm_id: &str) -> Result<Value> {
        self.page()?
            .evaluate(&format!("window.qemuweb.vmState({})", json!(vm_id)))
    }

    /// Waits until this is so of [`Home::vm`], called `vm`.
    pub fn wait_vm(&self, what: &str, condition: &str) -> Result<()> {
        let is = format!(
            "(vm => vm && {condition})(window.qemuweb.vmState({}))",
            json!(self.vm)
        );
        self.page()?.wait_for(what, &is, DEFAULT_TIMEOUT).map(drop)
    }

    /// Shows the settings of [`Home::vm`].
    pub fn show_settings(&self) -> Result<()> {
        let panel = self.panel()?;
        panel.select(&self.vm)?;
        panel.click_selector("#tab-settings")
    }

    /// Clicks on what has the browser save a file, and returns what it saved under `name`.
    pub fn download(&self, selector: &str, name: &str) -> Result<String> {
        let directory = self.user_data.path().join("downloads");
        self.browser()?.call(
            "Browser.setDownloadBehavior",
            json!({"behavior": "allow", "downloadPath": directory}),
        )?;
        self.panel()?.click_selector(selector)?;
        let file = directory.join(name);
        let deadline = Instant::now() + DEFAULT_TIMEOUT;
        while !file.exists() {
            ensure!(Instant::now() < deadline, "the browser saved no {name}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(std::fs::read_to_string(&file)?)
    }

    /// Chooses a file in the input with this test id, once that can be used. `name` and `content` are the file's.
    pub fn choose(&self, test_id: &str, name: &str, content: &[u8]) -> Result<()> {
        // The page reads it later than it is chosen.
        let file = self.user_data.path().join(name);
        std::fs::write(&file, content)?;
        let input = element(test_id);
        self.page()?.wait_for(
            &format!("the input {test_id}"),
            &format!("{input} && !{input}.disabled"),
            DEFAULT_TIMEOUT,
        )?;
        self.page()?.set_files(&input, &[&file])
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
        std::fs::write(directory.join("console.log"), format_log(&open.browser.log()))?;
        Ok(())
    }
}

/// An expression for the element with this test id.
pub fn element(test_id: &str) -> String {
    format!("document.querySelector('[data-testid={test_id}]')")
}
