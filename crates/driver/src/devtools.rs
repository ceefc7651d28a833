//! DevTools of a page: opened, told to show an extension's panel, themed.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{Browser, DEFAULT_TIMEOUT, Extension, Session};

/// DevTools that are open on a page.
pub struct DevTools {
    front_end: Session,
}

impl DevTools {
    pub(crate) fn open(browser: &Browser, page: &Session) -> Result<Self> {
        let result = browser.call("Target.openDevTools", json!({ "targetId": page.target().id }))?;
        let id = result["targetId"]
            .as_str()
            .context("Target.openDevTools gave no target")?
            .to_owned();
        let front_end = browser.session("the DevTools front end", DEFAULT_TIMEOUT, |target| {
            target.id == id
        })?;
        Ok(DevTools { front_end })
    }

    /// The front end's own page: it can be evaluated in, pressed keys in and photographed.
    pub fn front_end(&self) -> &Session {
        &self.front_end
    }

    /// Shows the panel that `extension` created under `title`, and returns a session with the panel's `page`.
    pub fn show_panel(
        &self,
        browser: &Browser,
        extension: &Extension,
        title: &str,
        page: &str,
    ) -> Result<Session> {
        let view = Value::from(format!("{}{title}", extension.url("").trim_end_matches('/')));
        self.front_end.wait_for(
            &format!("the panel {title} in DevTools"),
            &format!(
                "import('./ui/legacy/legacy.js').then(async ({{ InspectorView, ViewManager }}) => {{
                    if (!InspectorView.InspectorView.instance().tabbedPane.tabIds().includes({view})) return false;
                    await ViewManager.ViewManager.instance().showView({view});
                    return true;
                }})"
            ),
            DEFAULT_TIMEOUT,
        )?;
        let url = extension.url(page);
        let panel = browser.session(&format!("the panel page {url}"), DEFAULT_TIMEOUT, |target| {
            target.kind == "iframe" && target.url.starts_with(&url)
        })?;
        panel.wait_for(
            &format!("{url} to load"),
            "document.readyState === 'complete'",
            DEFAULT_TIMEOUT,
        )?;
        Ok(panel)
    }

    /// Switches DevTools to the `default` (light) or `dark` theme.
    pub fn set_theme(&self, theme: &str) -> Result<()> {
        let theme = Value::from(theme);
        self.front_end
            .evaluate(&format!(
                "import('./core/common/common.js').then(({{ Settings }}) => {{
                    Settings.Settings.instance().moduleSetting('ui-theme').set({theme});
                }})"
            ))
            .map(drop)
    }

    /// Closes DevTools.
    pub fn close(self, browser: &Browser) -> Result<()> {
        browser.close_target(&self.front_end)
    }
}
