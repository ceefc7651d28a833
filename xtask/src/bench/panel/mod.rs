//! `cargo xtask bench panel`: what a person waits for in the panel, beside the build of an earlier commit in the same run.
//!
//! Of either build only that is used which both have: its pages, `window.qemuweb`, and what the browser tells of them.

mod reference;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use qemuweb_driver::{Browser, Extension, LaunchOptions, Session, poll};
use qemuweb_vm_config::{Arch, DEFAULT_PROFILE_ID};
use serde_json::{Value, json};

use super::capture::archive;
use super::{Row, Section, Subject, finish};
use crate::build;
use crate::flags::Panel;
use crate::procfs;
use crate::setup::Needs;

const SECTION: Section = Section {
    name: "panel",
    title: "Panel",
    about: "Written by `cargo xtask bench panel --save`. Both columns are builds of QemuWeb, the second that of the commit before the host
became services (69ea233, or another one by `--reference`), measured in turns in one run: medians, with the least and the most. Times
are of a tab in a browser that has the VM host, from the start of the navigation to a frame: `popup paint` to the first with any
content, `popup open` to that with the popup's buttons working, `panel open` to that with the panel connected, `list 200 VMs` to that
with a list of 200 stopped VMs. `traffic 50k scroll` is the page's processor time for one of 100 steps through a list of 50,000
requests. `host idle memory` is the proportional set size of the extension's processes with the VM host and nothing else. `yes
throughput` runs from a command that prints 0.5 MB in the default guest until the terminal has its last line. `panel wasm
bytes` are those of all modules that pages load, the popup's own among them.",
};

/// What is compared with, unless told otherwise: the commit before the host became services.
const REFERENCE: &str = "69ea233";
/// How often each build is measured, unless told otherwise; what takes long, a third as often.
const TIMES: u32 = 9;
const VMS: usize = 200;
const REQUESTS: usize = 50_000;
const STEPS: usize = 100;
/// Bytes that the guest prints: so many lines of `y`.
const LINES: usize = 250_000;
/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(300);
/// How long a browser has to come to rest.
const REST: Duration = Duration::from_secs(3);
/// The id of a VM that the bench defines.
const VM: &str = "bench-panel";

/// A build of the extension.
struct Build {
    name: &'static str,
    extension: PathBuf,
}

/// A way to measure a build once.
type Measure = fn(&Build) -> Result<f64>;

/// What is measured by driving a build: row, unit, how often (a share of [`TIMES`]), how.
const ROWS: [(&str, &str, u32, Measure); 7] = [
    ("popup open", "ms", 1, popup_open),
    ("popup paint", "ms", 1, popup_paint),
    ("panel open", "ms", 1, panel_open),
    ("list 200 VMs", "ms", 3, list),
    ("traffic 50k scroll", "ms", 3, scroll),
    ("host idle memory", "MB", 3, idle_memory),
    ("yes throughput", "MB/s", 3, throughput),
];

pub(super) fn main(flags: &Panel) -> Result<()> {
    let paths = build::everything(&Needs::run(), &[Arch::X86_64])?;
    let images = build::cached_images(&paths, &[Arch::X86_64])?;
    let subject = Subject::of(&paths, &images)?;
    let reference = reference::extension(&paths, flags.reference.as_deref().unwrap_or(REFERENCE))?;
    let builds = [
        Build {
            name: "ours",
            extension: paths.extension(),
        },
        Build {
            name: "reference",
            extension: reference,
        },
    ];
    let wanted = |row: &str| flags.only.as_deref().is_none_or(|only| row.contains(only));
    let times = flags.times.unwrap_or(TIMES);
    let mut rows = Vec::new();
    for (name, unit, share, measure) in ROWS {
        if wanted(name) {
            rows.push(in_turns(name, unit, (times / share).max(1), &builds, measure)?);
        }
    }
    if wanted("panel wasm bytes") {
        rows.push(Row {
            name: "panel wasm bytes".into(),
            unit: "bytes",
            ours: panel_bytes(&builds[0])?,
            reference: Some(panel_bytes(&builds[1])?),
            spread: None,
        });
    }
    ensure!(
        !rows.is_empty(),
        "no row has {:?} in its name",
        flags.only.as_deref().unwrap_or_default()
    );
    finish(&paths, &subject, &SECTION, &rows, flags.json, flags.save)
}

/// Measures the builds in turns.
fn in_turns(
    name: &str,
    unit: &'static str,
    times: u32,
    builds: &[Build; 2],
    measure: Measure,
) -> Result<Row> {
    let mut figures = [Vec::new(), Vec::new()];
    for time in 0..times as usize {
        // The first in one round is the second in the next.
        for turn in 0..builds.len() {
            let at = (time + turn) % builds.len();
            let build = &builds[at];
            let figure = measure(build).with_context(|| format!("{name}, {}", build.name))?;
            figures[at].push(figure);
        }
    }
    figures
        .iter_mut()
        .for_each(|figures| figures.sort_by(f64::total_cmp));
    let [ours, reference] = &figures;
    eprintln!("{name}, {unit}: {ours:.2?}, reference {reference:.2?}");
    Ok(Row {
        name: name.into(),
        unit,
        ours: median(ours),
        reference: Some(median(reference)),
        spread: Some([ours, reference].map(|figures| (figures[0], figures[figures.len() - 1]))),
    })
}

/// Of figures in their order.
fn median(figures: &[f64]) -> f64 {
    let middle = figures.len() / 2;
    if figures.len().is_multiple_of(2) {
        f64::midpoint(figures[middle - 1], figures[middle])
    } else {
        figures[middle]
    }
}

/// The browser with a build, and what outlives it.
struct Stage {
    browser: Browser,
    extension: Extension,
}

impl Stage {
    fn open(build: &Build) -> Result<Self> {
        Self::open_with(build, None)
    }

    /// With the user data in `profile`.
    fn open_with(build: &Build, profile: Option<&Path>) -> Result<Self> {
        let browser = Browser::launch(&LaunchOptions {
            profile: profile.map(Path::to_owned),
            ..LaunchOptions::default()
        })?;
        let extension = browser.load_extension(&build.extension)?;
        Ok(Stage { browser, extension })
    }

    /// Has the VM host started, and everything come to rest.
    fn with_host(self) -> Result<Self> {
        let page = self.connected("panel.html?automation")?;
        self.browser.close_target(&page)?;
        std::thread::sleep(REST);
        Ok(self)
    }

    /// Opens one of the extension's pages in a tab, with `bench` in it.
    fn page(&self, path: &str) -> Result<Session> {
        let page = self.browser.open_page("about:blank")?;
        page.call("Page.enable", json!({}))?;
        let source = include_str!("page.js");
        page.call(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({ "source": source }),
        )?;
        page.call("Page.navigate", json!({ "url": self.extension.url(path) }))?;
        page.wait_for(
            path,
            "location.href !== 'about:blank' && 'bench' in window",
            LIMIT,
        )?;
        Ok(page)
    }

    /// As [`Self::page`], with its client of the VM host connected.
    fn connected(&self, path: &str) -> Result<Session> {
        let page = self.page(path)?;
        page.wait_for(path, "window.qemuwebReady !== undefined", LIMIT)?;
        page.evaluate_within("window.qemuwebReady.then(() => true)", LIMIT)?;
        Ok(page)
    }
}

fn number(value: &Value) -> Result<f64> {
    value
        .as_f64()
        .with_context(|| format!("expected a number, found {value}"))
}

/// When a page shows what an expression looks for.
fn shows(stage: &Stage, path: &str, expression: &str) -> Result<f64> {
    let page = stage.page(path)?;
    number(&page.evaluate_within(&format!("bench.until(() => {expression})"), LIMIT)?)
}

fn popup_open(build: &Build) -> Result<f64> {
    let stage = Stage::open(build)?.with_host()?;
    shows(
        &stage,
        "popup.html",
        "document.querySelector('[data-testid=popup-launch]')?.disabled === false",
    )
}

fn popup_paint(build: &Build) -> Result<f64> {
    let stage = Stage::open(build)?.with_host()?;
    let page = stage.page("popup.html")?;
    number(&page.evaluate_within("bench.paint()", LIMIT)?)
}

fn panel_open(build: &Build) -> Result<f64> {
    let stage = Stage::open(build)?.with_host()?;
    shows(
        &stage,
        "panel.html",
        "window.qemuweb && document.querySelector('[data-testid=launch-default]')?.disabled === false",
    )
}

fn list(build: &Build) -> Result<f64> {
    let user_data = tempfile::Builder::new().prefix("qemuweb-bench-").tempdir()?;
    let stage = Stage::open_with(build, Some(user_data.path()))?;
    let page = stage.connected("panel.html?automation")?;
    let start = format!("window.qemuweb.startVm('{VM}', '{DEFAULT_PROFILE_ID}', {{}}, null, [])");
    page.evaluate_within(&start, LIMIT)?;
    page.evaluate_within(&format!("window.qemuweb.stopVm('{VM}', true)"), LIMIT)?;
    let stopped = format!("window.qemuweb.vmState('{VM}').state === 'stopped'");
    page.wait_for("the VM to be off", &stopped, LIMIT)?;
    // The host stores it a little later.
    std::thread::sleep(REST);
    stage.browser.close_target(&page)?;
    let page = stage.page("manifest.json")?;
    page.evaluate_within(&format!("bench.multiply('{VM}', {VMS})"), LIMIT)?;
    stage.browser.close()?;

    let stage = Stage::open_with(build, Some(user_data.path()))?.with_host()?;
    let time = shows(
        &stage,
        "panel.html",
        &format!(
            "window.qemuweb?.listVms().length === {VMS} && document.querySelector('[data-testid=vm-row]')"
        ),
    )?;
    stage.browser.close()?;
    Ok(time)
}

fn scroll(build: &Build) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let file = archive(folder.path(), (REQUESTS, 100))?;
    let stage = Stage::open(build)?;
    let page = stage.connected("panel.html")?;
    // Of a panel that does not show traffic until it is asked to.
    let shown = "document.querySelector('[data-testid=capture-import]') !== null
        || document.querySelector('[data-testid=show-capture]')?.click()";
    page.wait_for("the panel's traffic", shown, LIMIT)?;
    page.set_files(
        "document.querySelector('[data-testid=capture-import]')",
        &[file.as_path()],
    )?;
    page.wait_for(
        "a list of all requests",
        "bench.longest() !== undefined || null",
        LIMIT,
    )?;
    std::thread::sleep(REST);
    page.call("Performance.enable", json!({ "timeDomain": "threadTicks" }))?;
    let before = task_seconds(&page)?;
    let fresh = number(&page.evaluate_within(&format!("bench.scroll({STEPS})"), LIMIT)?)?;
    let after = task_seconds(&page)?;
    ensure!(
        fresh >= STEPS as f64 * 0.9,
        "the list showed other rows in only {fresh} of {STEPS} steps"
    );
    Ok((after - before) * 1e3 / STEPS as f64)
}

/// Processor time that the page's main thread has spent.
fn task_seconds(page: &Session) -> Result<f64> {
    let metrics = page.call("Performance.getMetrics", json!({}))?;
    let task = metrics["metrics"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|metric| metric["name"] == "TaskDuration")
        .context("the browser tells no TaskDuration")?;
    number(&task["value"])
}

fn idle_memory(build: &Build) -> Result<f64> {
    let stage = Stage::open(build)?.with_host()?;
    std::thread::sleep(REST);
    let processes = procfs::extension_renderers(&procfs::tree(stage.browser.pid())?);
    ensure!(!processes.is_empty(), "no process renders the extension's pages");
    Ok(procfs::pss_mib(&processes) * f64::from(1 << 20) / 1e6)
}

fn throughput(build: &Build) -> Result<f64> {
    let stage = Stage::open(build)?;
    let page = stage.connected("panel.html")?;
    let start = format!("window.qemuweb.startVm('{VM}', '{DEFAULT_PROFILE_ID}', {{}}, null, [])");
    page.evaluate_within(&start, LIMIT)?;
    let says = |what: &str, text: &str| {
        let end = format!(
            "(window.qemuwebConsoleText('{VM}') ?? '').slice(-200).includes({})",
            json!(text)
        );
        poll(what, LIMIT, || {
            std::thread::sleep(Duration::from_millis(50));
            Ok((page.evaluate(&end)? == true).then_some(()))
        })
    };
    says("the guest's prompt", "/ #")?;
    std::thread::sleep(REST);
    // The shell joins the words, so that the echo of what is typed is not the answer.
    let command = format!("yes | head -n {LINES}; echo all''-told\n");
    let typed = format!(
        "window.qemuweb.sendSerialIn('{VM}', new TextEncoder().encode({}))",
        json!(command)
    );
    let began = Instant::now();
    page.evaluate(&typed)?;
    says("the guest to print all", "all-told")?;
    let seconds = began.elapsed().as_secs_f64();
    stage.browser.close()?;
    // A letter and a line's end.
    Ok(2.0 * LINES as f64 / 1e6 / seconds)
}

/// The size of the WebAssembly that the panel's pages may load.
fn panel_bytes(build: &Build) -> Result<f64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(build.extension.join("wasm"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".wasm") && !name.starts_with("background") {
            bytes += entry.metadata()?.len();
        }
    }
    ensure!(bytes > 0, "{} has no WebAssembly", build.extension.display());
    Ok(bytes as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[1.0]), 1.0);
        assert_eq!(median(&[1.0, 2.0]), 1.5);
        assert_eq!(median(&[1.0, 2.0, 9.0]), 2.0);
    }

    #[test]
    fn builds_take_turns() {
        let builds = ["a", "b"].map(|name| Build {
            name: "x",
            extension: name.into(),
        });
        let row = in_turns("row", "ms", 4, &builds, |build| {
            Ok(if build.extension == Path::new("a") {
                3.0
            } else {
                2.0
            })
        })
        .unwrap();
        assert_eq!(
            (row.ours, row.reference, row.ratio()),
            (3.0, Some(2.0), Some(1.5))
        );
        assert!(in_turns("row", "ms", 1, &builds, |_| anyhow::bail!("no")).is_err());
    }
}
