//! `cargo xtask bench capture`: how fast a page's traffic gets from the panel into a guest, and the memory that it takes.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use qemuweb_driver::{Browser, Extension, Session};
use qemuweb_vm_config::{Arch, VmOverrides};
use serde_json::{Value, json};

use super::{BOOT_LIMIT, PROFILES, Row, Section, Subject, finish, start_browser};
use crate::boot::{Launch, Vm};
use crate::build;
use crate::console::Console;
use crate::flags::Capture;
use crate::paths::Paths;
use crate::procfs;
use crate::setup::Needs;
use crate::shell::{Deadline, Terminal, exec, wait_for, wait_prompt};

const SECTION: Section = Section {
    name: "capture",
    title: "Capture",
    about: "Written by `cargo xtask bench capture --save`. Rates run from the panel's Send button until the guest has read the last
byte of the port of JSON lines: 10,000 entries with bodies of 1 kB, and 200 with bodies of 256 kB. Delays run from the
moment when the page has its response until `jq` in the guest has read the line, with the guest's clock set right to
within half of the shortest round trip over its console. Memory is what the extension's processes take more, as
proportional set size, with 50,000 entries imported into the panel. Redaction runs on 2 MB of a site's traffic (a page, two
bundles, a style sheet, answers in JSON, forms, pictures), natively and as WebAssembly in Node, against the build of commit
c00ef13 in turns in one program: medians.",
};

/// What is sent for each rate: entries and bytes of each body.
const MANY: (usize, usize) = (10_000, 1 << 10);
const LARGE: (usize, usize) = (200, 256 << 10);
/// Entries whose memory is measured; bodies as in [`MANY`].
const KEPT: usize = 50_000;
/// Requests whose delay is measured, and milliseconds between them.
const DELAYS: usize = 200;
const PAUSE_MS: u32 = 50;
/// Round trips that compare the clocks.
const ROUND_TRIPS: usize = 40;
/// How long one step may take.
const STEP: Duration = Duration::from_secs(300);

const PORT: &str = "/dev/virtio-ports/org.qemuweb.capture.0";
/// The panel's title in DevTools.
const TITLE: &str = "QemuWeb";

pub(super) fn main(flags: &Capture) -> Result<()> {
    let is_wanted = |name: &str| flags.only.as_deref().is_none_or(|only| name.contains(only));
    if flags.only.is_some() && !flags.save && is_wanted("redact") {
        // Needs neither QEMU nor a browser.
        let rows = super::redact::rows(&Paths::find()?)?;
        super::print(&SECTION, &rows, flags.json);
        return Ok(());
    }
    let paths = build::everything(&Needs::run(), &Arch::ALL)?;
    let images = build::cached_images(&paths, &Arch::ALL)?;
    let subject = Subject::of(&paths, &images)?;
    let files = tempfile::tempdir()?;

    let memory = memory(&paths, files.path())?;
    let mut stage = Stage::open(&paths)?;
    let (entries, _) = stage.transfer(&archive(files.path(), MANY)?, MANY.0)?;
    let (seconds, bytes) = stage.transfer(&archive(files.path(), LARGE)?, LARGE.0)?;
    let mut delays = stage.delays()?;
    delays.sort_by(f64::total_cmp);
    let quantile = |share: f64| delays[((delays.len() - 1) as f64 * share).round() as usize];

    let row = |name: &str, unit, ours| Row {
        name: name.into(),
        unit,
        ours,
        reference: None,
    };
    let mut rows = vec![
        row("entries rate", "1/s", MANY.0 as f64 / entries),
        row("byte rate", "MB/s", bytes as f64 / 1e6 / seconds),
        row("delay median", "ms", quantile(0.5) * 1e3),
        row("delay p99", "ms", quantile(0.99) * 1e3),
        row("memory 50k", "MB", memory),
    ];
    rows.extend(super::redact::rows(&paths)?);
    rows.retain(|row| is_wanted(&row.name));
    finish(&paths, &subject, &SECTION, &rows, flags.json, flags.save)
}

/// The panel in DevTools on a page.
struct Panel {
    page: Session,
    session: Session,
}

impl Panel {
    fn open(browser: &Browser, extension: &Extension) -> Result<Self> {
        let page = browser.open_page(&serve()?)?;
        let devtools = browser.open_devtools(&page)?;
        let session = devtools.show_panel(browser, extension, TITLE, "panel.html")?;
        session.wait_for("the panel's script", "window.qemuwebReady !== undefined", STEP)?;
        session.evaluate("window.qemuwebReady.then(() => true)")?;
        let panel = Panel { page, session };
        panel.click("[data-testid=show-capture]")?;
        Ok(panel)
    }

    fn click(&self, selector: &str) -> Result<()> {
        let element = format!("document.querySelector({})", json!(selector));
        self.session.wait_for(
            &format!("{selector} to be ready"),
            &format!("(element => element && !element.disabled)({element})"),
            STEP,
        )?;
        self.session.evaluate(&format!("{element}.click()")).map(drop)
    }

    /// Imports a HAR file of so many entries.
    fn import(&self, file: &Path, count: usize) -> Result<()> {
        self.click("[data-testid=capture-clear]")?;
        self.session
            .set_files("document.querySelector('[data-testid=capture-import]')", &[file])?;
        let read = format!("{count} requests were read.");
        let said = "document.querySelector('[data-testid=capture-message]')?.innerText";
        let said = self.session.wait_for(
            "the file to be read",
            &format!("(text => text?.includes('were read') && text)({said})"),
            STEP,
        )?;
        ensure!(said == read, "expected that {read:?}, found {said}");
        Ok(())
    }
}

/// How many MB more the extension's processes take with many entries in the panel.
fn memory(paths: &Paths, files: &Path) -> Result<f64> {
    eprintln!("keeping {KEPT} entries");
    let file = archive(files, (KEPT, MANY.1))?;
    let (browser, extension) = start_browser(paths)?;
    let panel = Panel::open(&browser, &extension)?;
    let taken = || -> Result<f64> {
        panel.session.call("HeapProfiler.collectGarbage", json!({}))?;
        std::thread::sleep(Duration::from_secs(2));
        let processes = procfs::extension_renderers(&procfs::tree(browser.pid())?);
        Ok(procfs::pss_mib(&processes) * f64::from(1 << 20) / 1e6)
    };
    let before = taken()?;
    panel.import(&file, KEPT)?;
    let after = taken()?;
    browser.close()?;
    Ok(after - before)
}

/// A guest, and a panel in the same browser.
struct Stage {
    panel: Panel,
    vm: Vm,
    deadline: Deadline,
    // Last, as the others are in it.
    _browser: Browser,
}

impl Stage {
    fn open(paths: &Paths) -> Result<Self> {
        let (browser, extension) = start_browser(paths)?;
        let launch = Launch {
            overrides: VmOverrides {
                memory_mib: Some(512),
                ..VmOverrides::default()
            },
            ..Launch::profile(PROFILES[0].1)
        };
        let mut vm = Vm::launch(&browser, &extension, &launch, Console::default())?;
        let deadline = Deadline::after(Some(BOOT_LIMIT))?;
        wait_prompt(&mut vm, deadline)?;
        let panel = Panel::open(&browser, &extension)?;
        Ok(Stage {
            panel,
            vm,
            deadline,
            _browser: browser,
        })
    }

    /// Runs a command in the guest and gives its output.
    fn run(&mut self, command: &str) -> Result<String> {
        let outcome = exec(&mut self.vm, command, self.deadline)?;
        let output = String::from_utf8_lossy(&outcome.output).into_owned();
        ensure!(outcome.status == 0, "`{command}` failed in the guest: {output}");
        Ok(output)
    }

    /// Sends a file's entries to the guest: seconds, and the bytes that were read in them.
    fn transfer(&mut self, file: &Path, count: usize) -> Result<(f64, u64)> {
        const BLOCK: u64 = 64 << 10;
        const DONE: &[u8] = b"\nall is read\n";
        eprintln!("sending {count} entries to a guest");
        self.panel.import(file, count)?;
        // Once to learn how many bytes it makes.
        self.run(&format!("cat {PORT} > /tmp/lines & echo $! > /tmp/reader"))?;
        self.panel.click("[data-testid=capture-send]")?;
        let size = self.run(&format!(
            "while [ $(wc -l < /tmp/lines) -lt {count} ]; do sleep 1; done; wc -c < /tmp/lines; kill $(cat /tmp/reader)"
        ))?;
        let size: u64 = size.trim().parse().context("wc gave no number")?;
        let gaps = self.run("grep -c '\"type\":\"gap\"' /tmp/lines || true; rm /tmp/lines")?;
        ensure!(
            gaps.trim() == "0",
            "entries were dropped on their way: {gaps} gaps"
        );
        // Then for the time. What is left after the last whole block is read away.
        let blocks = size / BLOCK;
        self.run(&format!(
            "(dd if={PORT} of=/dev/null bs={BLOCK} count={blocks} iflag=fullblock 2>/dev/null
            printf '\\nall is %s\\n' read > /dev/console) &"
        ))?;
        let start = Instant::now();
        let at = self.vm.console().len();
        self.panel.click("[data-testid=capture-send]")?;
        wait_for(&mut self.vm, self.deadline, "the guest to read all", |console| {
            let text = String::from_utf8_lossy(console.since(at)).replace('\r', "");
            text.as_bytes()
                .windows(DONE.len())
                .any(|window| window == DONE)
                .then_some(())
        })?;
        let seconds = start.elapsed().as_secs_f64();
        self.run(&format!("timeout 3 cat {PORT} > /dev/null || true"))?;
        Ok((seconds, blocks * BLOCK))
    }

    /// Seconds from a response in the page to its line in the guest, request by request.
    fn delays(&mut self) -> Result<Vec<f64>> {
        eprintln!("timing {DELAYS} requests");
        let ahead = self.clock()?;
        self.panel.click("[data-testid=capture-clear]")?;
        self.panel.click("[data-testid=capture-record]")?;
        self.panel.click("[data-testid=capture-live]")?;
        self.run(&format!(
            "jq -r --unbuffered '\"\\(.request.url) \\(now)\"' < {PORT} > /tmp/delays & echo $! > /tmp/reader"
        ))?;
        // jq takes its time to start.
        self.panel
            .page
            .evaluate("fetch('/?warm-up').then(answer => answer.text())")?;
        self.run("until grep -q warm-up /tmp/delays; do sleep 1; done")?;
        let finished = self.panel.page.evaluate_within(
            &format!(
                "(async () => {{
                    const finished = [];
                    for (let n = 0; n < {DELAYS}; n++) {{
                        await (await fetch('/?delay=' + n)).text();
                        finished.push((performance.timeOrigin + performance.now()) / 1000);
                        await new Promise(resolve => setTimeout(resolve, {PAUSE_MS}));
                    }}
                    return finished;
                }})()"
            ),
            STEP,
        )?;
        let finished: Vec<f64> = serde_json::from_value(finished)?;
        let last = DELAYS - 1;
        let read = self.run(&format!(
            "until grep -q 'delay={last} ' /tmp/delays; do sleep 1; done; kill $(cat /tmp/reader); cat /tmp/delays"
        ))?;
        let delays: Vec<f64> = read
            .lines()
            .filter_map(|line| {
                let (url, read) = line.split_once(' ')?;
                let number: usize = url.rsplit_once('=')?.1.parse().ok()?;
                Some(read.trim().parse::<f64>().ok()? - ahead - finished.get(number)?)
            })
            .collect();
        ensure!(
            delays.len() == DELAYS,
            "{} of {DELAYS} requests came to the guest",
            delays.len()
        );
        Ok(delays)
    }

    /// By how many seconds the guest's clock is ahead of ours.
    fn clock(&mut self) -> Result<f64> {
        self.vm
            .send(b"jq -R -r --unbuffered '\"guest \\(\"clock\") \\(now)\"'\n")?;
        let mut best = (f64::INFINITY, 0.0);
        for _ in 0..ROUND_TRIPS {
            let at = self.vm.console().len();
            let sent = now();
            self.vm.send(b"\n")?;
            let told = wait_for(&mut self.vm, self.deadline, "the guest's clock", |console| {
                let text = String::from_utf8_lossy(console.since(at)).into_owned();
                let line = text
                    .rsplit_once("guest clock ")?
                    .1
                    .split_once('\n')?
                    .0
                    .trim()
                    .to_owned();
                line.parse::<f64>().ok()
            })?;
            let received = now();
            if received - sent < best.0 {
                best = (received - sent, told - f64::midpoint(sent, received));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.vm.send(b"\x04")?;
        wait_prompt(&mut self.vm, self.deadline)?;
        eprintln!("the guest's clock is known to {:.1} ms", best.0 * 500.0);
        Ok(best.1)
    }
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

/// Serves a page of one word on the loopback, as long as the process lives, and gives its address.
fn serve() -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}/", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A browser that hangs up early has lost interest.
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok(url)
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        if line.trim().is_empty() {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello")?;
        }
        line.clear();
    }
    Ok(())
}

/// Writes a HAR file of so many entries with bodies of so many bytes.
pub(super) fn archive(directory: &Path, (count, body): (usize, usize)) -> Result<PathBuf> {
    let path = directory.join(format!("{count}-{body}.har"));
    let mut file = BufWriter::new(std::fs::File::create(&path)?);
    write!(file, r#"{{"log": {{"version": "1.2", "entries": ["#)?;
    for number in 0..count {
        let comma = if number == 0 { "" } else { "," };
        write!(file, "{comma}\n{}", entry(number, body))?;
    }
    writeln!(file, "\n]}}}}")?;
    file.into_inner().map_err(|error| error.into_error())?;
    Ok(path)
}

/// An entry as a browser writes it.
fn entry(number: usize, body: usize) -> Value {
    let headers = |pairs: &[(&str, &str)]| -> Vec<Value> {
        pairs
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect()
    };
    let mut text = String::with_capacity(body + 32);
    let mut word = number as u32;
    while text.len() < body {
        word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Writing to a string cannot fail.
        let _ = write!(text, "{word:08x} words ");
    }
    text.truncate(body);
    json!({
        "startedDateTime": format!("2026-01-31T12:{:02}:{:02}.{:03}Z", number / 60_000 % 60, number / 1000 % 60, number % 1000),
        "time": 12.5,
        "_resourceType": "fetch",
        "request": {
            "method": "GET", "url": format!("https://site.test/api/v1/items/{number}?page=1"), "httpVersion": "h2",
            "headers": headers(&[
                (":authority", "site.test"), ("accept", "*/*"), ("accept-encoding", "gzip, deflate, br, zstd"),
                ("accept-language", "en-GB,en;q=0.9"), ("referer", "https://site.test/"),
                ("sec-fetch-dest", "empty"), ("sec-fetch-mode", "cors"), ("sec-fetch-site", "same-origin"),
                ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0"),
            ]),
        },
        "response": {
            "status": 200, "statusText": "", "httpVersion": "h2",
            "headers": headers(&[
                ("cache-control", "max-age=0"), ("content-length", &body.to_string()), ("content-type", "text/plain"),
                ("date", "Sat, 31 Jan 2026 12:00:00 GMT"), ("etag", "\"5f3b-5a1c\""), ("server", "nginx"),
                ("vary", "Accept-Encoding"),
            ]),
            "content": { "size": body, "mimeType": "text/plain", "text": text },
        },
        "timings": { "send": 0.5, "wait": 10, "receive": 2 },
    })
}
