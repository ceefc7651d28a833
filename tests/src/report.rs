//! What a failed step leaves behind.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use qemuweb_driver::{Browser, Session, format_log};

/// A fixture that can show the state it is in.
pub trait Report {
    /// Writes screenshots and logs into `directory`, which exists.
    fn report(&self, directory: &Path) -> Result<()>;
}

/// Writes what all targets of a browser have printed, what the browser itself said, and the pictures of `pages`.
pub(crate) fn write_browser(browser: &Browser, pages: &[(&str, &Session)], directory: &Path) -> Result<()> {
    fs::write(directory.join("console.log"), format_log(&browser.log()))?;
    fs::write(directory.join("chromium.log"), browser.stderr())?;
    let targets: Vec<String> = browser
        .targets()
        .all()
        .iter()
        .map(|target| format!("{} {}\n", target.kind, target.url))
        .collect();
    fs::write(directory.join("targets.txt"), targets.concat())?;
    for (name, page) in pages {
        // A page that is gone or hangs has no picture; the logs stay worth having.
        if let Ok(png) = page.screenshot() {
            fs::write(directory.join(format!("{name}.png")), png)?;
        }
    }
    Ok(())
}

/// The directory for the reports of one step of a scenario, empty.
///
/// # Errors
/// When it cannot be made.
pub fn directory(scenario: &str, step: &str) -> Result<PathBuf> {
    let base = std::env::var_os("QEMUWEB_E2E_REPORTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/e2e"),
        PathBuf::from,
    );
    let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "-");
    let directory = base.join(plain(scenario)).join(plain(step));
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(&directory)?;
    Ok(directory)
}
