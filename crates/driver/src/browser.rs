//! The browser: started, given an extension, asked for pages, closed.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::launch::start;
use crate::{Connection, DEFAULT_TIMEOUT, DevTools, LaunchOptions, LogEntry, Session, Target, Targets};

/// A running Chromium. Dropping it ends the browser and removes its profile if that was a temporary one.
pub struct Browser {
    child: Child,
    connection: Connection,
    targets: Targets,
    // The browser's messages, and its profile unless one was given.
    directory: tempfile::TempDir,
}

/// An unpacked extension in the browser.
#[derive(Clone, Debug)]
pub struct Extension {
    /// The browser's id for it, the host part of its URLs.
    pub id: String,
}

impl Extension {
    /// The URL of one of the extension's files.
    pub fn url(&self, path: &str) -> String {
        format!("chrome-extension://{}/{}", self.id, path.trim_start_matches('/'))
    }
}

impl Browser {
    /// Starts Chromium and connects to it.
    pub fn launch(options: &LaunchOptions) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("qemuweb-chromium-").tempdir()?;
        let profile = options
            .profile
            .clone()
            .unwrap_or_else(|| directory.path().join("profile"));
        std::fs::create_dir_all(&profile).with_context(|| format!("cannot make {}", profile.display()))?;
        let started = start(
            options,
            &profile,
            &stderr_file(directory.path()),
            directory.path(),
        )?;
        let connection = Connection::new(started.reader, started.writer);
        let mut child = started.child;
        match Targets::follow(&connection, DEFAULT_TIMEOUT) {
            Ok(targets) => Ok(Browser {
                child,
                connection,
                targets,
                directory,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                let said = std::fs::read_to_string(stderr_file(directory.path())).unwrap_or_default();
                Err(error.context(format!("Chromium did not start; it said:\n{}", tail(&said))))
            }
        }
    }

    /// Loads the unpacked extension in `directory`.
    pub fn load_extension(&self, directory: &Path) -> Result<Extension> {
        let path = directory
            .canonicalize()
            .with_context(|| format!("no extension at {}", directory.display()))?;
        let result = self
            .call("Extensions.loadUnpacked", json!({ "path": path }))
            .with_context(|| format!("the browser refuses the extension in {}", path.display()))?;
        let id = result["id"]
            .as_str()
            .context("Extensions.loadUnpacked gave no id")?
            .to_owned();
        Ok(Extension { id })
    }

    /// Opens a tab at `url` and waits until its document is complete.
    pub fn open_page(&self, url: &str) -> Result<Session> {
        let created = self.call("Target.createTarget", json!({ "url": url }))?;
        let id = created["targetId"]
            .as_str()
            .context("Target.createTarget gave no id")?;
        let page = self.session(&format!("the tab for {url}"), DEFAULT_TIMEOUT, |target| {
            target.id == id
        })?;
        let expression = format!(
            "document.readyState === 'complete' && (location.href !== 'about:blank' || {})",
            url == "about:blank"
        );
        page.wait_for(&format!("{url} to load"), &expression, DEFAULT_TIMEOUT)?;
        Ok(page)
    }

    /// A session with the first target that `wanted` accepts, waiting for it to appear.
    pub fn session(
        &self,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&Target) -> bool,
    ) -> Result<Session> {
        let target = self.targets.wait(what, timeout, wanted)?;
        Ok(Session::new(self.connection.clone(), target))
    }

    /// Opens DevTools on a page.
    pub fn open_devtools(&self, page: &Session) -> Result<DevTools> {
        DevTools::open(self, page)
    }

    /// Brings a tab to the front. One in the background draws nothing and takes no input, nor do DevTools docked to it.
    pub fn activate(&self, page: &Session) -> Result<()> {
        self.call("Target.activateTarget", json!({ "targetId": page.target().id }))?;
        page.wait_for(
            &format!("{} to be in front", page.target().url),
            "document.visibilityState === 'visible'",
            DEFAULT_TIMEOUT,
        )
        .map(drop)
    }

    /// Closes a tab, or DevTools.
    pub fn close_target(&self, session: &Session) -> Result<()> {
        let id = session.target().id.clone();
        self.call("Target.closeTarget", json!({ "targetId": id }))?;
        self.targets
            .wait_gone(&session.target().url, DEFAULT_TIMEOUT, |target| target.id == id)
    }

    /// Ends the extension's service worker as the browser does when it was idle, and waits until it is gone.
    ///
    /// The next event for it starts it anew, as a new target.
    pub fn terminate_service_worker(&self, extension: &Extension) -> Result<()> {
        let base = extension.url("");
        let worker = self.session("the extension's service worker", DEFAULT_TIMEOUT, |target| {
            target.kind == "service_worker" && target.url.starts_with(&base)
        })?;
        // A stopped worker that is being debugged stays on as a target: let go of it first.
        let target = worker.target();
        let detach = json!({ "sessionId": target.session });
        self.connection.call(
            target.parent.as_deref(),
            "Target.detachFromTarget",
            detach,
            DEFAULT_TIMEOUT,
        )?;
        self.call("Target.closeTarget", json!({ "targetId": target.id }))?;
        self.targets
            .wait_gone("the extension's service worker", DEFAULT_TIMEOUT, |other| {
                other.id == target.id
            })
    }

    /// The browser's targets.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// What all targets have printed so far.
    pub fn log(&self) -> Vec<LogEntry> {
        self.targets.log()
    }

    /// What the browser itself has written to its standard error.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(stderr_file(self.directory.path())).unwrap_or_default()
    }

    /// The process id of the browser's main process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a command to the browser itself.
    pub fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.connection.call(None, method, params, DEFAULT_TIMEOUT)
    }

    /// The browser's version as it names it, such as `Chrome/156.0.8078.79`.
    pub fn version(&self) -> Result<String> {
        let version = self.call("Browser.getVersion", json!({}))?;
        version["product"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| anyhow!("Browser.getVersion gave no product"))
    }

    /// Whether the browser has ended, for instance because a person closed its last window.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// Ends the browser in an orderly way.
    pub fn close(mut self) -> Result<()> {
        self.call("Browser.close", json!({}))?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.has_ended() {
            if Instant::now() > deadline {
                bail!("Chromium did not end within 10 s of being asked to");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.has_ended() {
            // Its other processes end when this one does.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn stderr_file(directory: &Path) -> PathBuf {
    directory.join("stderr.log")
}

fn tail(text: &str) -> &str {
    let start = text.char_indices().rev().nth(2000).map_or(0, |(index, _)| index);
    &text[start..]
}
