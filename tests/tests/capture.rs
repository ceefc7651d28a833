//! The page's traffic: recorded in the panel, piped into a guest as it happens, read there with Linux's tools, written to
//! files – and none of the page's secrets in any of them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::DEFAULT_TIMEOUT;
use qemuweb_e2e::{Desk, Panel, Report, Scenario};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Each has its own place in what the page does: see [`BROWSE`].
const SECRETS: [&str; 6] = [
    "cookie-of-the-page",
    "cookie-of-the-server",
    "token-in-a-header",
    "token-in-a-query",
    "password-in-a-form",
    "token-in-a-body",
];

/// What the page does: two responses of text, one with an encoding and one in chunks, a redirect, an image, an error, a
/// form, and a secret wherever pages have them.
const BROWSE: &str = r"(async () => {
    document.cookie = 'session=cookie-of-the-page';
    await (await fetch('/packed.json', {headers: {Authorization: 'Bearer token-in-a-header'}})).json();
    await (await fetch('/chunked.txt?access_token=token-in-a-query')).text();
    await (await fetch('/moved')).text();
    await new Promise(resolve => { const image = new Image(); image.onload = resolve; image.src = '/pixel.gif?' + Math.random(); });
    await (await fetch('/missing/page')).text();
    await (await fetch('/echo', {method: 'POST', body: new URLSearchParams({user: 'me', password: 'password-in-a-form'})})).text();
    await (await fetch('/echo', {method: 'POST', headers: {'Content-Type': 'application/json'},
        body: JSON.stringify({api_key: 'token-in-a-body', text: 'plain \u001b[2J'})})).text();
    return true;
})()";

struct Capture {
    desk: Desk,
    vm: String,
    /// Files for the panel, which reads them in its own time.
    files: TempDir,
}

impl Capture {
    fn open() -> Result<Self> {
        let mut desk = Desk::open()?;
        let panel = desk.open_panel()?;
        let vm = panel.launch("minimal-x86_64")?;
        panel.wait_prompt(&vm)?;
        let files = tempfile::tempdir()?;
        Ok(Self { desk, vm, files })
    }

    fn panel(&self) -> Result<&Panel> {
        self.desk.panel()
    }

    fn evaluate(&self, expression: &str) -> Result<Value> {
        self.panel()?.session().evaluate(expression)
    }

    fn wait(&self, what: &str, expression: &str) -> Result<Value> {
        self.panel()?
            .session()
            .wait_for(what, expression, Duration::from_secs(30))
    }

    /// Runs a command in the guest and demands its output.
    fn expect(&self, command: &str, expected: &str) -> Result<()> {
        self.panel()?.expect(&self.vm, command, expected)
    }

    /// The bytes of the file that a button makes, which the browser would save.
    fn exported(&self, button: &str) -> Result<Vec<u8>> {
        self.evaluate(
            "window.made = new Promise(resolve => {
                const make = URL.createObjectURL;
                URL.createObjectURL = blob => { URL.createObjectURL = make; resolve(blob); return make.call(URL, blob); };
            }); null",
        )?;
        self.panel()?.click(button)?;
        let hex = self.evaluate(
            "made.then(blob => blob.arrayBuffer()).then(bytes =>
                [...new Uint8Array(bytes)].map(byte => byte.toString(16).padStart(2, '0')).join(''))",
        )?;
        let hex = hex.as_str().context("expected the file as digits")?.as_bytes();
        hex.chunks(2)
            .map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?))
            .collect()
    }

    /// Chooses a file to import.
    fn choose(&self, file: &[u8]) -> Result<()> {
        let path = self.files.path().join("file.har");
        std::fs::write(&path, file)?;
        let input = "document.querySelector('[data-testid=capture-import]')";
        self.panel()?.session().set_files(input, &[&path])
    }

    /// Imports a file and waits for what the panel says about it.
    fn import(&self, file: &[u8]) -> Result<String> {
        // What was said before goes.
        self.panel()?.click("capture-clear")?;
        self.choose(file)?;
        let message = "document.querySelector('[data-testid=capture-message]')?.innerText";
        let said = self.wait(
            "the file to be read",
            &format!("(text => text?.includes('were read') && text)({message})"),
        )?;
        Ok(said.as_str().unwrap_or_default().to_owned())
    }
}

impl Report for Capture {
    fn report(&self, directory: &Path) -> Result<()> {
        self.desk.report(directory)
    }
}

fn no_secrets(place: &str, bytes: &[u8]) -> Result<()> {
    for secret in SECRETS {
        let found = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        ensure!(!found, "{secret} is in {place}");
    }
    Ok(())
}

/// The URLs that the list shows, in its order.
const LISTED: &str = "[...document.querySelectorAll('[data-testid=capture-row]')].map(row => row.title)";

fn record(capture: &mut Capture) -> Result<()> {
    let panel = capture.panel()?;
    panel.click("show-capture")?;
    panel.click("capture-record")?;
    panel.click("capture-live")?;
    capture.desk.page.evaluate(BROWSE)?;
    let all = format!(
        "(urls => urls.filter(url => url.includes('/echo')).length === 2 && urls.length === 8)({LISTED})"
    );
    capture.wait("all requests in the list", &all)?;
    let text = capture.evaluate("document.body.innerText + document.body.innerHTML")?;
    no_secrets("the panel", text.as_str().unwrap_or_default().as_bytes())
}

fn filter(capture: &mut Capture) -> Result<()> {
    let set = |text: &str| {
        capture.evaluate(&format!(
            "(box => {{ box.value = {}; box.dispatchEvent(new Event('input', {{bubbles: true}})); }})
                (document.querySelector('[data-testid=capture-filter]'))",
            json!(text)
        ))
    };
    for (text, expected) in [
        (
            "status-code:404",
            "urls.length === 1 && urls[0].endsWith('/missing/page')",
        ),
        (
            "method:POST -missing",
            "urls.length === 2 && urls.every(url => url.endsWith('/echo'))",
        ),
        ("/pixel\\.gif\\?0\\.\\d+$/", "urls.length === 1"),
        ("mime-type:application/json", "urls.length === 2"),
    ] {
        set(text)?;
        capture.wait(
            &format!("the list filtered by {text}"),
            &format!("(urls => {expected})({LISTED})"),
        )?;
    }
    set("larger-than:lots")?;
    capture.panel()?.wait_error("larger-than", DEFAULT_TIMEOUT)?;
    set("").map(drop)
}

fn details(capture: &mut Capture) -> Result<()> {
    let panel = capture.panel()?;
    let first = capture.evaluate(
        "[...document.querySelectorAll('[data-testid=capture-row]')]
            .find(row => row.title.endsWith('/packed.json')).dataset.number",
    )?;
    panel.click_selector(&format!("[data-testid=capture-row][data-number={first}]"))?;
    let text = capture.wait(
        "the details",
        "document.querySelector('[data-testid=capture-details]')?.innerText",
    )?;
    let text = text.as_str().unwrap_or_default().to_lowercase();
    for part in [
        "{\"packed\": true}",
        "bearer [redacted]",
        "content-encoding",
        "wait",
    ] {
        ensure!(text.contains(part), "the details have no {part}:\n{text}");
    }
    panel.click("capture-close")
}

fn in_the_guest(capture: &mut Capture) -> Result<()> {
    capture.panel()?.select(&capture.vm)?;
    capture.expect("page-capture list | grep -c /echo", "2")?;
    capture.expect(
        "page-capture list | grep missing | awk '{print $2, $3}'",
        "GET 404",
    )?;
    capture.expect(
        "n=$(page-capture list | awk '/packed.json/ {print $1; exit}'); page-capture body $n | jq -c .",
        "{\"packed\":true}",
    )?;
    capture.expect(
        "page-capture curl $n | grep -c 'Authorization: Bearer .redacted.'",
        "1",
    )?;
    capture.expect(
        "grep -c '\"redacted\":true' /tmp/page-capture/lines | awk '{print ($1 >= 8)}'",
        "1",
    )
}

fn packets_in_the_guest(capture: &mut Capture) -> Result<()> {
    capture.expect("page-capture save pcap /tmp/x.pcapng && echo saved", "saved")?;
    capture.expect(
        "tcpdump -A -r /tmp/x.pcapng 2>/dev/null | grep -c 'POST /echo HTTP/1.1'",
        "2",
    )?;
    capture.expect(
        "page-capture save har /tmp/x.har && jq -r .log.version /tmp/x.har",
        "1.2",
    )
}

fn no_secrets_in_the_guest(capture: &mut Capture) -> Result<()> {
    let patterns: Vec<String> = SECRETS.iter().map(|secret| format!("-e {secret}")).collect();
    // What is typed is in no file. grep fails when it finds nothing, which is what is wanted.
    capture.expect(
        &format!(
            "cat /tmp/page-capture/lines /tmp/x.pcapng /tmp/x.har | grep -c {} || true",
            patterns.join(" ")
        ),
        "0",
    )
}

fn annotations(capture: &mut Capture) -> Result<()> {
    capture.expect(
        "page-capture annotate $n 'seen <b>in</b> the guest' && page-capture flag $n && echo done",
        "done",
    )?;
    capture.panel()?.click("show-capture")?;
    let note = capture.wait(
        "the guest's note",
        "document.querySelector('[data-testid=capture-note]')?.innerText",
    )?;
    ensure!(note == "⚑ seen <b>in</b> the guest", "the note is {note}");
    Ok(())
}

fn packets_on_the_host(capture: &mut Capture) -> Result<()> {
    let file = capture.exported("capture-export-pcapng")?;
    no_secrets("the pcapng file", &file)?;
    let path = capture.files.path().join("page.pcapng");
    std::fs::write(&path, &file)?;
    let tshark = |filter: &str| -> Result<usize> {
        let output = Command::new("tshark")
            .args(["-n", "-Y", filter, "-r"])
            .arg(&path)
            .output()
            .context("tshark is in Debian's package of that name")?;
        ensure!(
            output.status.success(),
            "tshark: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(output.stdout.iter().filter(|byte| **byte == b'\n').count())
    };
    ensure!(
        tshark("_ws.malformed || tcp.analysis.flags")? == 0,
        "tshark finds malformed packets"
    );
    let listed = capture.evaluate(&format!("{LISTED}.length"))?;
    let requests = tshark("http.request")?;
    ensure!(
        Some(requests as u64) == listed.as_u64(),
        "{listed} requests are listed, tshark finds {requests}"
    );
    Ok(())
}

fn har_round_trip(capture: &mut Capture) -> Result<()> {
    let before = capture.evaluate(LISTED)?;
    let file = capture.exported("capture-export-har")?;
    no_secrets("the HAR file", &file)?;
    capture.import(&file)?;
    let after = capture.evaluate(LISTED)?;
    ensure!(before == after, "{before} became {after}");
    Ok(())
}

fn saved(capture: &mut Capture) -> Result<()> {
    let rows = "document.querySelectorAll('[data-testid=capture-saved-row]').length";
    let panel = capture.panel()?;
    panel.click_selector("[data-testid=capture-saved] > summary")?;
    panel.click("capture-save")?;
    capture.wait("the capture among the saved ones", &format!("{rows} === 1"))?;
    let kept = capture.evaluate(
        "new Promise((resolve, reject) => {
            const opening = indexedDB.open('qemuweb-captures');
            opening.onerror = reject;
            opening.onsuccess = () => {
                const all = opening.result.transaction('captures').objectStore('captures').getAll();
                all.onsuccess = async () => {
                    const text = await all.result[0].har.text();
                    opening.result.close();
                    resolve(text + all.result[0].json);
                };
            };
        })",
    )?;
    let kept = kept.as_str().context("expected the saved capture as text")?;
    ensure!(
        kept.contains("/packed.json"),
        "what is saved is no capture: {kept}"
    );
    no_secrets("the database", kept.as_bytes())?;
    panel.click("capture-compare")?;
    let differences = "document.querySelector('[data-testid=capture-differences]')?.innerText";
    capture.wait(
        "no differences",
        &format!("{differences}?.includes('The same requests')"),
    )?;
    panel.click("capture-delete")?;
    capture.wait("no saved capture", &format!("{rows} === 0"))?;
    panel.click("capture-undo")?;
    capture.wait("the capture again", &format!("{rows} === 1"))?;
    panel.click("capture-clear")?;
    panel.click("capture-compare")?;
    capture.wait(
        "all requests to be gone",
        &format!("{differences}?.includes('8 differences')"),
    )?;
    panel.click("capture-open")?;
    capture
        .wait("the saved requests", &format!("{LISTED}.length === 8"))
        .map(drop)
}

fn hostile_files(capture: &mut Capture) -> Result<()> {
    let entry = r#"{"startedDateTime": "2026-01-31T12:00:00Z", "time": 1, "request": {"method": "GET<img src=x onerror=window.hacked=1>",
        "url": "https://x.test/<script>window.hacked=1</script>\u001b]0;title\u0007"}, "response": {"status": 200}}"#;
    let deep = "[".repeat(100_000);
    let file = format!(
        r#"{{"log": {{"entries": [{entry}, 7, {{"cache": {deep}{}}}]}}}}"#,
        "]".repeat(100_000)
    );
    let message = capture.import(file.as_bytes())?;
    ensure!(message.contains("2 entries were left out"), "{message}");
    capture.panel()?.click_selector("[data-testid=capture-row]")?;
    let hacked = capture.evaluate("window.hacked ?? document.body.innerText.includes('\\u001b')")?;
    ensure!(hacked == false, "a page's text was taken for more than text");
    capture.choose(b"nonsense")?;
    capture
        .panel()?
        .wait_error("expected an HTTP archive", DEFAULT_TIMEOUT)
        .map(drop)
}

fn main() {
    let trials = Scenario::new("capture", Capture::open)
        .step("a page's requests are recorded without secrets", record)
        .step("they are filtered as in DevTools", filter)
        .step("one shows its details", details)
        .step("they arrive in the guest as they happen", in_the_guest)
        .step("they are packets and HAR in the guest", packets_in_the_guest)
        .step("no secret is in the guest", no_secrets_in_the_guest)
        .step("a guest's note and mark stand in the panel", annotations)
        .step("the packets' file is whole", packets_on_the_host)
        .step("HAR goes out and comes in", har_round_trip)
        .step(
            "captures are saved, compared, deleted with undo, and opened",
            saved,
        )
        .step("hostile files do no harm", hostile_files)
        .trials();
    qemuweb_e2e::run(trials)
}
