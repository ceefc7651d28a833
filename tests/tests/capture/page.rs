//! What the page does, and how the panel records and shows it.

use anyhow::{Result, ensure};
use qemuweb_driver::DEFAULT_TIMEOUT;
use serde_json::json;

use super::{Capture, LISTED, no_secrets};

/// Each has its own place in what the page does: see [`BROWSE`].
pub(crate) const SECRETS: [&str; 9] = [
    "cookie-of-the-page",
    "cookie-of-the-server",
    "token-in-a-header",
    "token-in-a-query",
    "password-in-a-form",
    "token-in-a-body",
    "token-over-tls",
    "token-in-a-socket",
    "token-in-a-frame",
];

/// What the page does: text in all encodings, whole, in chunks and as a stream, by fetch and XMLHttpRequest; a redirect,
/// an image, errors, forms; HTTP/2 and WebSocket; and a secret wherever pages have them.
const BROWSE: &str = r"
    const text = async (url, options) => (await fetch(url, options)).text();
    document.cookie = 'session=cookie-of-the-page';
    await text('/packed.json', {headers: {Authorization: 'Bearer token-in-a-header'}});
    await text('/chunked.txt?access_token=token-in-a-query');
    await text('/moved');
    await new Promise(resolve => { const image = new Image(); image.onload = resolve; image.src = '/pixel.gif?' + Math.random(); });
    await text('/missing/page');
    await text('/failing');
    await text('/broken').catch(() => null);
    await new Promise(resolve => {
        const request = new XMLHttpRequest();
        request.onload = resolve;
        request.open('GET', '/brotli.json');
        request.send();
    });
    const reader = (await fetch('/stream.txt')).body.getReader();
    while (!(await reader.read()).done);
    await text('/echo', {method: 'POST', body: new URLSearchParams({user: 'me', password: 'password-in-a-form'})});
    await text('/echo', {method: 'POST', headers: {'Content-Type': 'application/json'},
        body: JSON.stringify({api_key: 'token-in-a-body', text: 'plain \u001b[2J'})});
    await text(secure + 'packed.json');
    await text(secure + 'brotli.json?token=token-over-tls');
    await text(secure + 'stream.txt');
    await text(secure + 'echo', {method: 'POST', body: 'over TLS'});
    await new Promise((resolve, reject) => {
        const socket = new WebSocket('/socket?token=token-in-a-socket');
        const messages = [JSON.stringify({access_token: 'token-in-a-frame'}), new Uint8Array([1, 2, 255])];
        socket.onopen = () => socket.send(messages.shift());
        socket.onmessage = () => messages.length ? socket.send(messages.shift()) : socket.close();
        socket.onclose = resolve;
        socket.onerror = reject;
    })";

/// How many requests that makes.
pub(crate) const REQUESTS: usize = 17;

pub(crate) fn record(capture: &mut Capture) -> Result<()> {
    let panel = capture.panel()?;
    panel.click("show-capture")?;
    panel.click("capture-record")?;
    panel.click("capture-live")?;
    // The menu would lie over the rows.
    panel.session().press("Escape")?;
    capture.browse(BROWSE)?;
    capture.wait(
        "all requests in the list",
        &format!("{LISTED}.length >= {REQUESTS}"),
    )?;
    let text = capture.evaluate("document.body.innerText + document.body.innerHTML")?;
    no_secrets("the panel", text.as_str().unwrap_or_default().as_bytes())
}

pub(crate) fn filter(capture: &mut Capture) -> Result<()> {
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
            "urls.length === 3 && urls.every(url => url.endsWith('/echo'))",
        ),
        ("/pixel\\.gif\\?0\\.\\d+$/", "urls.length === 1"),
        ("mime-type:application/json", "urls.length === 5"),
        ("domain:127.0.0.1 scheme:https", "urls.length === 4"),
        (
            "-scheme:http -scheme:https",
            "urls.length === 1 && urls[0].startsWith('ws:')",
        ),
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

pub(crate) fn details(capture: &mut Capture) -> Result<()> {
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
        "{\"packed\": true,",
        "bearer [redacted]",
        "content-encoding",
        "wait",
    ] {
        ensure!(text.contains(part), "the details have no {part}:\n{text}");
    }
    panel.click("capture-close")
}

/// One request goes to the clipboard as commands, and into the guest's console, where it waits for Enter.
pub(crate) fn commands(capture: &mut Capture) -> Result<()> {
    let panel = capture.panel()?;
    capture.evaluate(
        "window.copied = [];
        document.addEventListener('copy', () => copied.push(document.activeElement.value));
        const write = navigator.clipboard?.writeText;
        if (write) navigator.clipboard.writeText = async text => {
            await write.call(navigator.clipboard, text);
            copied.push(text);
        };
        [...document.querySelectorAll('[data-testid=capture-row]')]
            .find(row => row.title.endsWith('/packed.json')).click()",
    )?;
    for (button, start) in [
        ("capture-copy-curl", "curl 'http://"),
        ("capture-copy-fetch", "fetch(\"http://"),
    ] {
        panel.click(button)?;
        let text = capture.wait(
            button,
            &format!("copied.find(text => text.startsWith({}))", json!(start)),
        )?;
        let text = text.as_str().unwrap_or_default();
        ensure!(
            text.contains("/packed.json") && text.contains("Bearer [redacted]"),
            "{button} copies {text}"
        );
    }
    panel.click("capture-type-curl")?;
    panel.select(&capture.vm)?;
    panel.wait_console(&capture.vm, "the command", DEFAULT_TIMEOUT, |text| {
        text.contains("# curl 'http://").then_some(())
    })?;
    panel.type_keys("\n")?;
    // curl takes every option of the command; that the page's server is out of the guest's reach is all that it has to say.
    panel.wait_console(&capture.vm, "curl's answer", DEFAULT_TIMEOUT, |text| {
        text.contains("curl: (7)").then_some(())
    })?;
    panel.wait_prompt(&capture.vm)?;
    panel.click("show-capture")
}

pub(crate) fn limits(capture: &mut Capture) -> Result<()> {
    let set = |field: &str, value: &str| {
        capture.evaluate(&format!(
            "(box => {{ box.value = {}; box.dispatchEvent(new Event('change', {{bubbles: true}})); }})
                (document.querySelector('[data-testid=capture-limit-{field}]'))",
            json!(value)
        ))
    };
    let panel = capture.panel()?;
    panel.click("capture-clear")?;
    panel.reach("capture-limits")?;
    panel.click_selector("[data-testid=capture-limits] > summary")?;
    set("body", "nonsense")?;
    panel.wait_error("Per body: expected a whole number", DEFAULT_TIMEOUT)?;
    set("body", "1")?;
    capture.browse("await (await fetch('/echo', {method: 'POST', body: 'long '.repeat(1000)})).text()")?;
    let summary = "document.querySelector('[data-testid=capture-summary]').innerText";
    capture.wait(
        "a body that is cut",
        &format!("{summary}.includes('1 cut (at most 1.0 KiB per body)')"),
    )?;
    // Other panels, and this one when it comes again, have the same.
    let kept = capture.evaluate("JSON.parse(localStorage.getItem('capture-limits')).bodyKib")?;
    ensure!(kept == 1, "the limit is kept as {kept}");
    set("saved", "0")?;
    panel.click("capture-save")?;
    panel.wait_error("expected saved captures of at most 0 B", DEFAULT_TIMEOUT)?;
    set("body", "1024")?;
    set("saved", "1024").map(drop)
}

pub(crate) fn keep_secrets(capture: &mut Capture) -> Result<()> {
    let panel = capture.panel()?;
    let marked = "document.querySelector('[data-testid=capture-secrets]') !== null";
    panel.click("capture-clear")?;
    panel.click("capture-secrets-toggle")?;
    panel.click("confirm-ok")?;
    capture.browse("await fetch('/?kept', {headers: {Authorization: 'Bearer token-in-a-header'}})")?;
    panel.click_selector("[data-testid=capture-row]")?;
    capture.wait(
        "the secret in the details",
        "document.querySelector('[data-testid=capture-details]')?.innerText.includes('Bearer token-in-a-header')",
    )?;
    // What comes from now on is redacted, but what is there is not.
    panel.click("capture-secrets-toggle")?;
    capture.browse("await fetch('/?redacted', {headers: {Authorization: 'Bearer token-in-a-query'}})")?;
    capture.wait("both requests", &format!("{LISTED}.length === 2"))?;
    ensure!(capture.evaluate(marked)? == true, "the capture has lost its mark");
    capture
        .panel()?
        .click_selector("[data-testid=capture-row]:last-child")?;
    capture.wait(
        "the redacted request",
        "document.querySelector('[data-testid=capture-details]')?.innerText.includes('Bearer [redacted]')",
    )?;
    panel.click("capture-clear")?;
    ensure!(capture.evaluate(marked)? == false, "an empty capture is marked");
    Ok(())
}
