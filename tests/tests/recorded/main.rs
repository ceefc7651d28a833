//! Captures as the page saw them: one request of each kind, compared with what the server got and sent, byte by byte where
//! that can be known, and marked where it cannot; and recordings that begin late, go on over navigations, and are full.

mod expected;
mod seen;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::DEFAULT_TIMEOUT;
use qemuweb_e2e::{Desk, Panel, Report, Scenario};
use serde_json::{Value, json};

use seen::Seen;

/// How long the page may take for all that it does.
const BROWSE: Duration = Duration::from_secs(60);

/// The fixture: a guest that gets what is recorded.
struct Recording {
    desk: Desk,
    vm: String,
}

impl Recording {
    fn open() -> Result<Self> {
        let mut desk = Desk::open()?;
        let panel = desk.open_panel()?;
        let vm = panel.launch("minimal-x86_64")?;
        panel.wait_prompt(&vm)?;
        panel.expect(&vm, "page-capture list", "")?;
        panel.click("show-capture")?;
        panel.click("capture-live")?;
        panel.click("capture-record")?;
        Ok(Self { desk, vm })
    }

    fn panel(&self) -> Result<&Panel> {
        self.desk.panel()
    }

    fn wait(&self, what: &str, expression: &str) -> Result<Value> {
        self.panel()?
            .session()
            .wait_for(what, expression, DEFAULT_TIMEOUT)
    }

    /// Waits until the list shows a request whose URL ends so.
    fn wait_row(&self, end: &str) -> Result<()> {
        let is_there = format!("{LISTED}.some(url => url.endsWith({}))", json!(end));
        self.wait(&format!("{end} in the list"), &is_there).map(drop)
    }

    /// Waits until these are the listed requests, by path and query, but for the browser's own search for an icon.
    fn wait_listed(&self, expected: &[&str]) -> Result<()> {
        let paths = format!(
            "{LISTED}.map(url => new URL(url)).map(url => url.pathname + url.search).filter(path => path !== '/favicon.ico')"
        );
        let is_so = format!(
            "JSON.stringify({paths}) === {}",
            json!(json!(expected).to_string())
        );
        self.wait(&format!("{expected:?} to be listed"), &is_so).map(drop)
    }

    /// Everything that has come into the guest, once a line matches `last`, a pattern for `grep`.
    fn in_guest(&self, last: &str) -> Result<Seen> {
        let panel = self.panel()?;
        panel.select(&self.vm)?;
        panel.expect(
            &self.vm,
            &format!("until grep -q '{last}' /tmp/page-capture/lines; do sleep 0.2; done; echo there"),
            "there",
        )?;
        let packed = panel.run(&self.vm, "gzip -c /tmp/page-capture/lines | base64")?;
        panel.click("show-capture")?;
        Seen::unpack(&packed.text)
    }

    /// Sets a limit in the form below the list.
    fn set_limit(&self, field: &str, value: &str) -> Result<()> {
        let set = format!(
            "(box => {{ box.value = {}; box.dispatchEvent(new Event('change', {{bubbles: true}})); }})
                (document.querySelector('[data-testid=capture-limit-{field}]'))",
            json!(value)
        );
        self.panel()?.session().evaluate(&set).map(drop)
    }
}

impl Report for Recording {
    fn report(&self, directory: &Path) -> Result<()> {
        self.desk.report(directory)
    }
}

/// The URLs that the list shows, in its order.
const LISTED: &str = "[...document.querySelectorAll('[data-testid=capture-row]')].map(row => row.title)";

const SUMMARY: &str = "document.querySelector('[data-testid=capture-summary]').innerText";

fn browse(recording: &mut Recording) -> Result<()> {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        format!("http://{}/", listener.local_addr()?)
    };
    let site = &recording.desk.site;
    let script = include_str!("browse.js").trim_end().trim_end_matches(';');
    let call = format!(
        "({script}\n)({}, {}, {})",
        json!(site.secure_url()),
        json!(site.raw_url()),
        json!(closed)
    );
    let done = recording.desk.page.evaluate_within(&call, BROWSE)?;
    ensure!(done == true, "the page's script came to {done}");
    recording.wait_row("/kind/file")
}

fn compare(recording: &mut Recording) -> Result<()> {
    let seen = recording.in_guest("/kind/file\"")?;
    expected::check(&seen, &recording.desk.site)
}

/// The panel says in sentences what the guest finds as marks.
fn details(recording: &mut Recording) -> Result<()> {
    let panel = recording.panel()?;
    let number = panel.session().evaluate(
        "[...document.querySelectorAll('[data-testid=capture-row]')]
            .find(row => row.title.endsWith('/kind/large')).dataset.number",
    )?;
    panel.click_selector(&format!("[data-testid=capture-row][data-number={number}]"))?;
    recording.wait(
        "the doubts in the details",
        "document.querySelector('[data-testid=capture-doubts]')?.innerText.includes('larger than DevTools keep')",
    )?;
    panel.click("capture-close")?;
    recording
        .wait(
            "the doubts in the summary",
            &format!("{SUMMARY}.includes('do not give for certain')"),
        )
        .map(drop)
}

/// Sends a form whose answer leads elsewhere, and waits until the log has begun anew with both.
fn log_in(recording: &Recording, host: &str) -> Result<()> {
    let login = format!(
        "{}kind/login?{host}",
        recording.desk.site.url().replace("127.0.0.1", host)
    );
    let form = format!(
        "document.body.innerHTML = '<form method=post><input name=a value=b></form>';
        document.forms[0].action = {}; document.forms[0].submit(); null",
        json!(login)
    );
    recording.desk.page.evaluate(&form)?;
    recording.wait_listed(&[&format!("/kind/login?{host}"), "/kind/home", "/pixel.gif?home"])
}

fn navigation(recording: &mut Recording) -> Result<()> {
    log_in(recording, "127.0.0.1")?;
    let seen = recording.in_guest("/pixel.gif?home\"")?;
    // Once, though the panel's log began anew with it.
    seen.one("POST", "/kind/login?127.0.0.1").map(drop)
}

/// A page of another site is in another process. It takes the focus when it likes, so nothing is typed after this.
fn other_site(recording: &mut Recording) -> Result<()> {
    log_in(recording, "localhost")
}

fn clear(recording: &mut Recording) -> Result<()> {
    let panel = recording.panel()?;
    panel.click("capture-clear")?;
    panel.click("capture-record")?;
    panel.click("capture-record")?;
    recording
        .desk
        .page
        .evaluate("fetch('/kind/plain?after').then(() => true)")?;
    recording.wait_listed(&["/kind/plain?after"])
}

/// Nothing is recorded while the page loads; then what DevTools know is taken, but for what goes on.
fn late(recording: &mut Recording) -> Result<()> {
    let panel = recording.panel()?;
    panel.click("capture-record")?;
    panel.click("capture-clear")?;
    let page = &recording.desk.page;
    page.evaluate("location.href = '/kind/many'; null")?;
    page.wait_for(
        "the page",
        "location.pathname === '/kind/many' && window.loaded",
        DEFAULT_TIMEOUT,
    )?;
    page.evaluate(
        "new Promise(async resolve => {
            window.abort = new AbortController();
            window.socket = new WebSocket('/socket?late');
            socket.onopen = resolve;
            await fetch('/kind/endless?late', {signal: abort.signal});
        }).then(() => true)",
    )?;
    panel.click("capture-record")?;
    recording.wait(
        "all requests",
        &format!("{SUMMARY}.match(/of (\\d+) requests/)?.[1] >= 301"),
    )?;
    let file: Value = serde_json::from_slice(&panel.exported("capture-export-har")?)?;
    let entries = file["log"]["entries"].as_array().context("no entries")?;
    for n in 0..300 {
        let end = format!("/kind/many/{n}");
        let bodies: Vec<_> = entries
            .iter()
            .filter(|entry| {
                entry["request"]["url"]
                    .as_str()
                    .is_some_and(|url| url.ends_with(&end))
            })
            .map(|entry| &entry["response"]["content"]["text"])
            .collect();
        ensure!(bodies == [&json!(format!("many/{n}"))], "{end} has {bodies:?}");
    }
    let goes_on = |entry: &&Value| {
        entry["request"]["url"]
            .as_str()
            .is_some_and(|url| url.ends_with("?late"))
    };
    ensure!(entries.iter().find(goes_on).is_none(), "what goes on is listed");
    page.evaluate("abort.abort(); socket.close(); null")?;
    recording.wait(
        "what went on",
        &format!("{SUMMARY}.match(/of (\\d+) requests/)?.[1] >= 303"),
    )?;
    let file: Value = serde_json::from_slice(&panel.exported("capture-export-har")?)?;
    let ended = file["log"]["entries"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(goes_on)
        .count();
    ensure!(ended == 2, "{ended} have ended");
    Ok(())
}

/// A full capture keeps no more, but what comes goes on to the guest, and without its secrets.
fn full(recording: &mut Recording) -> Result<()> {
    let panel = recording.panel()?;
    panel.reach("capture-limits")?;
    panel.click_selector("[data-testid=capture-limits] > summary")?;
    recording.set_limit("capture", "1")?;
    panel.click("capture-clear")?;
    recording.desk.page.evaluate(
        "(async () => {
            for (const n of [1, 2, 3])
                await fetch('/kind/sent?token=hush-hush-hush&full-' + n, {method: 'POST', body: 'x'.repeat(6e5)});
            return true;
        })()",
    )?;
    recording.wait("a full capture", &format!("{SUMMARY}.includes('1 left out')"))?;
    panel.select(&recording.vm)?;
    panel.expect(
        &recording.vm,
        "until grep -q 'full-3\"' /tmp/page-capture/lines; do sleep 0.2; done; grep -c 'full-[123]\"' /tmp/page-capture/lines",
        "3",
    )?;
    panel.expect(
        &recording.vm,
        "grep -c hush-hush /tmp/page-capture/lines || true",
        "0",
    )?;
    panel.click("show-capture")?;
    recording.set_limit("capture", "200")
}

fn main() {
    let trials = Scenario::new("recorded", Recording::open)
        .step("the page makes one request of each kind", browse)
        .step("the guest has what the server got and sent, or a mark", compare)
        .step("the panel says what is not certain", details)
        .step("what led to a page stays when the log begins anew", navigation)
        .step("what was cleared stays away", clear)
        .step("what was loaded before is taken, each once, with its body", late)
        .step("a full capture goes on to the guest", full)
        .step("what led to a page of another site stays, too", other_site)
        .trials();
    qemuweb_e2e::run(trials)
}
