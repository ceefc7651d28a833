//! A Chromium with the extension, a page, DevTools on it and the panel in them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::{Browser, DevTools, Extension, LaunchOptions, Session};
use tempfile::TempDir;

use crate::report::write_browser;
use crate::{Panel, Report, Site};

/// How long a guest may take from launch to prompt.
pub const BOOT: Duration = Duration::from_secs(300);

/// The title of the panel's tab in DevTools.
const TITLE: &str = "QemuWeb";

/// The fixture of most scenarios.
pub struct Desk {
    /// The browser.
    pub browser: Browser,
    /// QemuWeb in it.
    pub extension: Extension,
    /// The page that DevTools inspect.
    pub page: Session,
    devtools: Option<(DevTools, Panel)>,
    /// The page's site.
    pub site: Site,
    // After the browser, which reads it as long as it lives.
    _extension: Option<TempDir>,
}

/// The unpacked extension to test.
pub fn extension_dir() -> PathBuf {
    std::env::var_os("QEMUWEB_EXTENSION").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/extension"),
        PathBuf::from,
    )
}

/// What people bring to boot, made by `qemu-wasm/check/boots/build-boots.sh some`: below `$QEMUWEB_BOOTS`, or else made now.
pub fn boot_images() -> Result<PathBuf> {
    if let Some(made) = std::env::var_os("QEMUWEB_BOOTS") {
        return Ok(made.into());
    }
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../qemu-wasm/check/boots/build-boots.sh");
    let output = Command::new(&recipe)
        .arg("some")
        .output()
        .context("cannot run build-boots.sh")?;
    ensure!(
        output.status.success(),
        "build-boots.sh: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let printed =
        String::from_utf8(output.stdout).context("build-boots.sh printed a path that is no UTF-8")?;
    Ok(printed.trim_end().into())
}

impl Desk {
    /// Opens a page in a browser that has the extension; DevTools stay closed.
    pub fn open() -> Result<Self> {
        Self::open_in(None)
    }

    /// [`Desk::open`] with an unpacked extension of one's own, which is removed at the end.
    pub fn open_with(extension: TempDir) -> Result<Self> {
        Self::open_in(Some(extension))
    }

    fn open_in(owned: Option<TempDir>) -> Result<Self> {
        let directory = owned
            .as_ref()
            .map_or_else(extension_dir, |owned| owned.path().to_owned());
        let site = Site::start()?;
        let browser = Browser::launch(&LaunchOptions {
            arguments: vec![site.switch()],
            ..LaunchOptions::default()
        })?;
        let extension = browser.load_extension(&directory)?;
        let page = browser.open_page(&site.url())?;
        Ok(Desk {
            browser,
            extension,
            page,
            devtools: None,
            site,
            _extension: owned,
        })
    }

    /// Opens DevTools on the page and the panel in them.
    pub fn open_panel(&mut self) -> Result<&Panel> {
        let devtools = self.browser.open_devtools(&self.page)?;
        let session = devtools.show_panel(&self.browser, &self.extension, TITLE, "panel.html")?;
        let panel = Panel::new(session)?;
        Ok(&self.devtools.insert((devtools, panel)).1)
    }

    /// The open panel.
    pub fn panel(&self) -> Result<&Panel> {
        self.devtools
            .as_ref()
            .map(|(_, panel)| panel)
            .context("the panel is not open (did an earlier step fail?)")
    }

    /// DevTools, while they are open.
    pub fn devtools(&self) -> Result<&DevTools> {
        self.devtools
            .as_ref()
            .map(|(devtools, _)| devtools)
            .context("DevTools are not open")
    }

    /// Closes DevTools, and the panel with them.
    pub fn close_devtools(&mut self) -> Result<()> {
        let (devtools, _) = self.devtools.take().context("DevTools are not open")?;
        devtools.close(&self.browser)
    }

    /// Opens the panel's page in a tab of its own.
    pub fn open_tab(&self) -> Result<Panel> {
        Panel::new(self.browser.open_page(&self.extension.url("panel.html"))?)
    }
}

impl Report for Desk {
    fn report(&self, directory: &Path) -> Result<()> {
        let mut pages = vec![("page", &self.page)];
        if let Some((devtools, panel)) = &self.devtools {
            pages.push(("devtools", devtools.front_end()));
            let state = panel.describe().unwrap_or_else(|error| format!("{error:#}"));
            std::fs::write(directory.join("panel.txt"), state)?;
        }
        write_browser(&self.browser, &pages, directory)
    }
}
