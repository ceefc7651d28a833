//! Files and storage: pcapng and HAR, saved captures, and files that mean harm.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::DEFAULT_TIMEOUT;
use serde_json::json;

use super::guest::MADE;
use super::{Capture, LISTED, no_secrets};

pub(crate) fn packets(capture: &mut Capture) -> Result<()> {
    let file = capture.exported("capture-export-pcapng")?;
    no_secrets("the pcapng file", &file)?;
    let path = capture.files.path().join("page.pcapng");
    std::fs::write(&path, &file)?;
    let run = |program: &str, arguments: &[&str]| -> Result<String> {
        let output = Command::new(program)
            .args(arguments)
            .arg(&path)
            .output()
            .with_context(|| format!("{program} is in Debian's packages tshark and wireshark-common"))?;
        ensure!(
            output.status.success(),
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    };
    // Checksums are not verified unless one asks.
    let checks = [
        "-n",
        "-o",
        "tcp.check_checksum:TRUE",
        "-o",
        "ip.check_checksum:TRUE",
        "-Y",
    ];
    let tshark = |filter: &str| -> Result<String> { run("tshark", &[&checks[..], &[filter, "-r"]].concat()) };
    let bad = tshark(
        "_ws.malformed || tcp.analysis.flags || tcp.checksum.status == 0 || ip.checksum.status == 0
            || _ws.expert.severity >= 0x800000",
    )?;
    ensure!(bad.is_empty(), "tshark finds malformed packets:\n{bad}");
    // One has no response: the connection broke.
    for (filter, expected) in [
        ("http.request || http2.headers.method", MADE),
        ("http.response || http2.headers.status", MADE - 1),
        ("http.response.code == 101", 1),
        ("websocket", 4),
    ] {
        let found = tshark(filter)?.lines().count();
        ensure!(
            found == expected,
            "tshark finds {found} of {filter}, expected {expected}"
        );
    }
    let infos = run("capinfos", &["-M"])?;
    ensure!(
        infos.contains("File type:           pcapng") && infos.contains("Strict time order:   True"),
        "{infos}"
    );
    Ok(())
}

pub(crate) fn har_round_trip(capture: &mut Capture) -> Result<()> {
    let before = capture.evaluate(LISTED)?;
    let file = capture.exported("capture-export-har")?;
    no_secrets("the HAR file", &file)?;
    capture.import(&file)?;
    let after = capture.evaluate(LISTED)?;
    ensure!(before == after, "{before} became {after}");
    Ok(())
}

pub(crate) fn saved(capture: &mut Capture) -> Result<()> {
    let rows = "document.querySelectorAll('[data-testid=capture-saved-row]').length";
    let panel = capture.panel()?;
    panel.reach("capture-saved")?;
    panel.click_selector("[data-testid=capture-saved] > summary")?;
    panel.click("capture-save")?;
    capture.wait("the capture among the saved ones", &format!("{rows} === 1"))?;
    panel.click("capture-compare")?;
    let differences = "document.querySelector('[data-testid=capture-differences]')?.innerText";
    capture.wait(
        "no differences",
        &format!("{differences}?.includes('The same requests')"),
    )?;
    capture.evaluate(
        "(box => { box.value = 'Before'; box.dispatchEvent(new Event('change', {bubbles: true})); })
            (document.querySelector('[data-testid=capture-saved-row] input'))",
    )?;
    let open = "document.querySelector('[data-testid=capture-saved-row] input')?.getAttribute('aria-label')";
    capture.wait("the new name", &format!("{open} === 'Name of Before'"))?;
    panel.click("capture-delete")?;
    capture.wait("no saved capture", &format!("{rows} === 0"))?;
    panel.click("undo")?;
    capture.wait("the capture again", &format!("{rows} === 1"))?;
    panel.click("capture-clear")?;
    panel.click("capture-compare")?;
    capture.wait(
        "all requests to be gone",
        &format!("{differences}?.includes('{MADE} differences')"),
    )?;
    panel.click("capture-open")?;
    capture
        .wait("the saved requests", &format!("{LISTED}.length === {MADE}"))
        .map(drop)
}

/// Everything that the extension has in IndexedDB, localStorage and `chrome.storage`, as text.
const STORED: &str = r"(async () => {
    const done = request => new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
    const told = async value => {
        if (value instanceof Blob) return value.text();
        if (value instanceof Object) return (await Promise.all(Object.entries(value).flat().map(told))).join();
        return String(value);
    };
    const all = [JSON.stringify(localStorage), JSON.stringify(await chrome.storage?.local.get())];
    for (const {name} of await indexedDB.databases()) {
        const database = await done(indexedDB.open(name));
        for (const store of database.objectStoreNames) {
            all.push(await told(await done(database.transaction(store).objectStore(store).getAll())));
        }
        database.close();
    }
    return all.join();
})()";

pub(crate) fn storage(capture: &mut Capture) -> Result<()> {
    let stored = capture.evaluate(STORED)?;
    let stored = stored.as_str().context("expected what is stored as text")?;
    ensure!(
        stored.contains("/packed.json") && stored.contains("minimal-x86_64"),
        "the saved capture or the VM is not in what is stored: {stored}"
    );
    no_secrets("the browser's storage", stored.as_bytes())
}

pub(crate) fn hostile(capture: &mut Capture) -> Result<()> {
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

/// Goes through a long list and tells, once each part of it is drawn, how many rows the document has at most and where
/// rows are missing.
const SCROLL: &str = r"(async () => {
    const body = document.querySelector('[data-testid=capture-rows]');
    const drawn = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    const all = () => [...document.querySelectorAll('[data-testid=capture-row]')];
    const gaps = [];
    let most = 0;
    for (let step = 0; step <= 100; step++) {
        body.scrollTop = (body.scrollHeight - body.clientHeight) * step / 100;
        await drawn();
        const rows = all(), {top, bottom} = body.getBoundingClientRect();
        most = Math.max(most, rows.length);
        const within = rows.map(row => row.getBoundingClientRect()).filter(row => row.bottom > top && row.top < bottom);
        const height = within.reduce((sum, row) => sum + Math.min(row.bottom, bottom) - Math.max(row.top, top), 0);
        if (height < body.clientHeight - 1) gaps.push([step, height, body.clientHeight]);
    }
    return {most, gaps, last: all().at(-1).title};
})()";

pub(crate) fn long_list(capture: &mut Capture) -> Result<()> {
    const ROWS: usize = 20_000;
    let entry = |number: usize| {
        format!(
            r#"{{"startedDateTime": "2026-01-31T12:00:00Z", "time": 1, "request": {{"method": "GET", "url":
                "https://x.test/{number}"}}, "response": {{"status": 200}}}}"#
        )
    };
    let entries: Vec<String> = (0..ROWS).map(entry).collect();
    capture.import(format!(r#"{{"log": {{"entries": [{}]}}}}"#, entries.join(",")).as_bytes())?;
    let found = capture.evaluate(SCROLL)?;
    ensure!(
        found["most"].as_u64().is_some_and(|rows| rows < 200),
        "the document has too many rows: {found}"
    );
    ensure!(
        found["gaps"] == json!([]),
        "parts of the list were empty: {found}"
    );
    ensure!(
        found["last"] == format!("https://x.test/{}", ROWS - 1),
        "the list does not end with its last row: {found}"
    );
    Ok(())
}
