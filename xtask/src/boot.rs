//! One VM in a headless Chromium, started and followed through the extension's page for automation
//! (`panel.html?automation`, whose `window.qemuweb` is the client of the VM host).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use qemuweb_driver::{BindingCall, Browser, Extension, LogEntry, Session, format_log};
use qemuweb_vm_config::{
    Arch, Attachment, DEFAULT_PROFILE_ID, DiskInput, InputSource, Media, VmInputs, VmOverrides, find_profile,
};
use qemuweb_wire::topic::{LogLevel, LogLine};
use qemuweb_wire::vm::VmInfo;
use qemuweb_wire::{Failure, VmState};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::console::Console;
use crate::shell::{Deadline, Happened, Terminal};

/// What to boot.
pub(crate) struct Launch {
    /// The profile's id.
    pub(crate) profile: String,
    /// The person's images; attachments are indexes into `files`.
    pub(crate) inputs: VmInputs,
    /// Differences from the profile.
    pub(crate) overrides: VmOverrides,
    /// The files that `inputs` speak of.
    pub(crate) files: Vec<PathBuf>,
}

impl Launch {
    /// The profile as it is, with its built-in guest.
    pub(crate) fn profile(id: &str) -> Self {
        Launch {
            profile: id.to_owned(),
            inputs: VmInputs::default(),
            overrides: VmOverrides::default(),
            files: Vec::new(),
        }
    }

    /// The architecture of the machine.
    pub(crate) fn arch(&self) -> Result<Arch> {
        let profile =
            find_profile(&self.profile).with_context(|| format!("unknown profile {}", self.profile))?;
        Ok(profile.arch)
    }

    /// Whether nothing but the default profile was asked for.
    pub(crate) fn is_default(&self) -> bool {
        self.profile == DEFAULT_PROFILE_ID
            && self.inputs.is_empty()
            && self.overrides == VmOverrides::default()
    }

    /// Adds a file and returns the source that names it.
    pub(crate) fn attach(&mut self, file: &Path) -> Result<InputSource> {
        let size = file
            .metadata()
            .with_context(|| format!("cannot open {}", file.display()))?
            .len();
        let name = file
            .file_name()
            .context("a file without a name")?
            .to_string_lossy()
            .into_owned();
        let index = u32::try_from(self.files.len()).context("too many files")?;
        self.files.push(file.to_owned());
        Ok(InputSource::Attachment(Attachment { index, name, size }))
    }

    /// Adds a disk image, for a drive of this kind or of the one that its content asks for, as it was in a snapshot.
    pub(crate) fn attach_disk(
        &mut self,
        file: &Path,
        media: Option<Media>,
        snapshot: Option<String>,
    ) -> Result<()> {
        let disk = DiskInput {
            media,
            snapshot,
            ..DiskInput::new(self.attach(file)?)
        };
        if self.inputs.disk.is_none() {
            self.inputs.disk = Some(disk);
        } else {
            self.inputs.additional_disks.push(disk);
        }
        Ok(())
    }
}

/// The extension's page for automation, from which VMs are launched.
pub(crate) struct Page(Session);

impl Page {
    /// Opens the page. Whatever is asked of it waits until it is connected.
    pub(crate) fn open(browser: &Browser, extension: &Extension) -> Result<Self> {
        let page = browser.open_page(&extension.url("panel.html?automation"))?;
        page.wait_for(
            "the extension's automation page",
            "window.qemuwebReady !== undefined",
            ACCEPT,
        )
        .with_context(|| format!("its pages have printed:\n{}", complaints(&browser.log())))?;
        Ok(Self(page))
    }

    /// Evaluates an expression once the page has its client of the VM host.
    pub(crate) fn evaluate(&self, expression: &str) -> Result<Value> {
        let connected = format!("window.qemuwebReady.then(() => {expression})");
        self.0.evaluate_within(&connected, ACCEPT)
    }

    /// Has the VM host prepare for a launch, as for a person who reaches for the button.
    pub(crate) fn prepare(&self, launch: &Launch) -> Result<()> {
        let prepare = format!(
            "window.qemuwebReady.then((client) => client.prepareVm({}))",
            json!(launch.profile)
        );
        self.0.evaluate_within(&prepare, ACCEPT).map(drop)
    }
}

/// A VM that was launched, and its console.
pub(crate) struct Vm {
    page: Session,
    events: BindingCall,
    id: String,
    /// The number of its run: a page is told what a former one left on the console.
    run: u64,
    console: Console,
    /// When the launch was asked for.
    pub(crate) launched: Instant,
    ended: Option<Ended>,
}

/// What the page tells, as far as we have use for it (`panel/src/app/events.rs`).
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Event {
    /// Console output of a run; the bytes are beside it.
    SerialOut { run: u64 },
    /// A VM has ended.
    VmStopped { state: VmState },
    /// Something failed.
    Error { failure: Failure },
    /// A line for the log.
    Log(LogLine),
    /// Anything else.
    #[serde(other)]
    Other,
}

/// How a VM ended.
struct Ended {
    crashed: bool,
    why: String,
}

/// VMs that were launched, to tell them apart in one browser.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// How long the browser may take to accept a launch (the files are only named by then, not read).
const ACCEPT: Duration = Duration::from_secs(60);

impl Vm {
    /// Asks for a VM and returns when the host has accepted it.
    pub(crate) fn launch(
        browser: &Browser,
        extension: &Extension,
        launch: &Launch,
        console: Console,
    ) -> Result<Self> {
        Self::launch_from(Page::open(browser, extension)?, launch, console)
    }

    /// As [`Self::launch`], from a page that is open.
    pub(crate) fn launch_from(page: Page, launch: &Launch, console: Console) -> Result<Self> {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("cli-{}-{count}", std::process::id());
        Self::launch_as(&id, page, launch, console)
    }

    /// As [`Self::launch_from`], with this id: a VM that has it and has ended is started again.
    pub(crate) fn launch_as(id: &str, page: Page, launch: &Launch, console: Console) -> Result<Self> {
        let files: Vec<_> = launch.files.iter().map(PathBuf::as_path).collect();
        let arguments: Vec<String> = [
            json!(id),
            json!(launch.profile),
            serde_json::to_value(&launch.inputs)?,
            serde_json::to_value(&launch.overrides)?,
        ]
        .iter()
        .map(Value::to_string)
        .collect();
        let call = format!("automation.start({})", arguments.join(", "));
        Self::begin(id, page, &files, &call, console)
    }

    /// Starts a VM that the host has, with what it was defined with.
    pub(crate) fn restart(id: &str, page: Page, console: Console) -> Result<Self> {
        Self::begin(
            id,
            page,
            &[],
            &format!("automation.restart({})", json!(id)),
            console,
        )
    }

    fn begin(id: &str, Page(page): Page, files: &[&Path], call: &str, console: Console) -> Result<Self> {
        let events = page.add_binding("qemuwebEvent")?;
        page.evaluate(include_str!("automation.js"))?;
        if !files.is_empty() {
            page.set_files("automation.fileInput()", files)?;
        }
        let launched = Instant::now();
        page.evaluate_within(call, ACCEPT)
            .context("the VM host refused the start")?;
        let mut vm = Vm {
            page,
            events,
            id: id.to_owned(),
            run: 0,
            console,
            launched,
            ended: None,
        };
        vm.run = vm.info()?.run;
        Ok(vm)
    }

    /// The VM as the host describes it.
    pub(crate) fn info(&self) -> Result<VmInfo> {
        let info = self
            .page
            .evaluate(&format!("window.qemuweb.vmState({})", json!(self.id)))?;
        serde_json::from_value(info).context("the page describes the VM in a way this xtask does not know")
    }

    /// The time of each phase that has ended, in milliseconds since the launch.
    pub(crate) fn phases(&self) -> Result<Value> {
        Ok(serde_json::to_value(self.info()?.phases)?)
    }

    /// Whether it ended without being asked to.
    pub(crate) fn has_crashed(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.crashed)
    }

    /// Cuts its power and waits until it is gone.
    pub(crate) fn force_stop(&mut self) -> Result<()> {
        self.page
            .evaluate(&format!("window.qemuweb.stopVm({}, true)", json!(self.id)))?;
        let start = Instant::now();
        while self.ended.is_none() {
            if start.elapsed() > ACCEPT {
                bail!(
                    "the VM did not end within {} s of being powered off",
                    ACCEPT.as_secs()
                );
            }
            self.wait(Duration::from_millis(200))?;
        }
        Ok(())
    }

    /// Waits until it has ended by itself, and tells why it did.
    pub(crate) fn wait_end(&mut self, deadline: Deadline) -> Result<String> {
        loop {
            if let Happened::Ended(why) = self.wait(deadline.at_most(Duration::from_secs(1)))? {
                return Ok(why);
            }
            deadline.check("the VM to end")?;
        }
    }

    /// Cuts its power and closes its page.
    pub(crate) fn close(mut self, browser: &Browser) -> Result<()> {
        self.force_stop()?;
        self.leave(browser)
    }

    /// Closes its page.
    pub(crate) fn leave(self, browser: &Browser) -> Result<()> {
        browser.close_target(&self.page)
    }

    /// Takes one event in; whether the console or the VM's life went on.
    fn take(&mut self, text: &str) -> Result<Happened> {
        let mut json: Value = serde_json::from_str(text).context("the page sent an event that is no JSON")?;
        let data = json["data"].take();
        let event = serde_json::from_value(json).context("the page sent an event that this xtask cannot read")?;
        match event {
            Event::SerialOut { run } if run == self.run => {
                let data = data.as_str().context("console output without bytes")?;
                self.console
                    .push(&BASE64.decode(data).context("console output that is no base64")?);
                return Ok(Happened::Output);
            }
            Event::VmStopped { state } => {
                let why = match self.info().ok().and_then(|info| info.failure) {
                    Some(failure) => format!("the VM {}: {failure}", state.name()),
                    None => format!("the VM is {state}"),
                };
                self.ended = Some(Ended {
                    crashed: matches!(state, VmState::Crashed { .. }),
                    why: why.clone(),
                });
                return Ok(Happened::Ended(why));
            }
            Event::Error { failure } => eprintln!("error: {failure}"),
            Event::Log(LogLine {
                level: LogLevel::Warning | LogLevel::Error,
                message,
                ..
            }) => eprintln!("qemuweb: {message}"),
            Event::SerialOut { .. } | Event::Log(_) | Event::Other => {}
        }
        Ok(Happened::Nothing)
    }
}

impl Terminal for Vm {
    fn console(&self) -> &Console {
        &self.console
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let call = format!(
            "automation.type({}, {})",
            json!(self.id),
            json!(BASE64.encode(bytes))
        );
        self.page.evaluate(&call).map(drop)
    }

    fn wait(&mut self, limit: Duration) -> Result<Happened> {
        if let Some(ended) = &self.ended {
            return Ok(Happened::Ended(ended.why.clone()));
        }
        match self.events.next_within(limit)? {
            Some(event) => self.take(&event),
            None => Ok(Happened::Nothing),
        }
    }
}

/// The warnings and errors among what pages and workers have printed.
pub(crate) fn complaints(log: &[LogEntry]) -> String {
    let grave: Vec<LogEntry> = log
        .iter()
        .filter(|entry| matches!(entry.level.as_str(), "error" | "warning" | "exception" | "assert"))
        .cloned()
        .collect();
    format_log(&grave[grave.len().saturating_sub(20)..])
}
