//! What guests make of it: `page-capture`, the ports by themselves, several guests, and one that is restarted.

use anyhow::{Context, Result, ensure};
use qemuweb_driver::DEFAULT_TIMEOUT;
use qemuweb_e2e::BOOT;

use super::page::{REQUESTS, SECRETS};
use super::{Capture, LISTED};

pub(crate) fn live(capture: &mut Capture) -> Result<()> {
    capture.panel()?.select(&capture.vm)?;
    capture.expect("page-capture list | grep -c /echo", "3")?;
    capture.expect(
        "page-capture list | grep missing | awk '{print $2, $3}'",
        "GET 404",
    )?;
    capture.expect(
        "n=$(page-capture list | awk '/packed.json/ {print $1; exit}'); page-capture body $n | jq .packed",
        "true",
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

pub(crate) fn packets_and_har(capture: &mut Capture) -> Result<()> {
    capture.expect("page-capture save pcap /tmp/x.pcapng && echo saved", "saved")?;
    // The third one is HTTP/2, whose headers are packed.
    capture.expect(
        "tcpdump -A -r /tmp/x.pcapng 2>/dev/null | grep -c 'POST /echo HTTP/1.1'",
        "2",
    )?;
    capture.expect(
        "page-capture save har /tmp/x.har && jq -r .log.version /tmp/x.har",
        "1.2",
    )
}

pub(crate) fn no_secrets_there(capture: &mut Capture) -> Result<()> {
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

pub(crate) fn annotations(capture: &mut Capture) -> Result<()> {
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

/// With nothing but `cat`, `jq` and `tcpdump` in the guest.
pub(crate) fn raw_ports(capture: &mut Capture) -> Result<()> {
    capture.panel()?.select(&capture.vm)?;
    for command in [
        "page-capture stop",
        "{ cat /dev/virtio-ports/org.qemuweb.capture.0 | jq --unbuffered -c . > /tmp/raw & }",
        "{ tcpdump -A -l -r /dev/virtio-ports/org.qemuweb.capture.1 > /tmp/live 2>/tmp/errors & }",
    ] {
        // The shell says what it runs in the background, which is nothing to demand.
        capture.panel()?.run(&capture.vm, command)?;
    }
    capture.panel()?.click("show-capture")?;
    capture.click_target(&capture.vm, "capture-send")?;
    capture.panel()?.select(&capture.vm)?;
    capture.expect(
        &format!("while [ $(wc -l < /tmp/raw) -lt {REQUESTS} ]; do sleep 0.2; done; jq -s length /tmp/raw"),
        &REQUESTS.to_string(),
    )?;
    for (query, expected) in [
        (
            ".request.httpVersion | ascii_downcase | select(. == \"h2\" or . == \"http/2.0\")",
            4,
        ),
        (
            ".response.headers[] | select(.name == \"content-encoding\" and .value == \"br\")",
            2,
        ),
        (".response.body.text // empty | select(contains(\"three\"))", 2),
        (".messages // [] | .[] | select(.direction == \"receive\")", 2),
        ("select(.response.status == 0)", 1),
    ] {
        capture.expect(
            &format!("jq -c '{query}' /tmp/raw | wc -l"),
            &expected.to_string(),
        )?;
    }
    // Nobody has read this port before: what was sent live comes as well.
    capture.expect(
        "while [ $(grep -c 'GET /socket' /tmp/live) -lt 2 ]; do sleep 0.2; done; grep -c 'POST /echo HTTP/1.1' /tmp/live",
        "4",
    )?;
    capture.expect("killall cat tcpdump; echo ended", "ended")
}

pub(crate) fn several(capture: &mut Capture) -> Result<()> {
    let panel = capture.panel()?;
    let other = panel.launch("minimal-x86_64")?;
    panel.wait_prompt(&other)?;
    panel.click("show-capture")?;
    capture.click_target(&other, "capture-live")?;
    capture.browse("await fetch('/?for-both')")?;
    for vm in [&capture.vm, &other] {
        panel.select(vm)?;
        let command = "until page-capture list > /tmp/list && grep -q for-both /tmp/list; do sleep 0.2; done; grep -c for-both /tmp/list";
        panel.expect(vm, command, "1")?;
    }
    capture.other = Some(other);
    Ok(())
}

/// As many requests as there were made by the end of this.
pub(crate) const MADE: usize = REQUESTS + 6;

pub(crate) fn restart(capture: &mut Capture) -> Result<()> {
    let other = capture.other.as_deref().context("the other VM was not started")?;
    let panel = capture.panel()?;
    panel.select(other)?;
    panel.expect(other, "page-capture stop; echo stopped", "stopped")?;
    // Nobody reads these before the restart, nor does a VM that is not there.
    capture.browse("await fetch('/?before-1'); await fetch('/?before-2')")?;
    panel.click("show-capture")?;
    capture.wait_status(other, "2 waiting")?;
    panel.select(other)?;
    panel.click("force-stop")?;
    panel.click("confirm-ok")?;
    panel.wait_state(other, "stopped", DEFAULT_TIMEOUT)?;
    capture.browse("await fetch('/?between')")?;
    panel.click("show-capture")?;
    capture.wait_status(other, "3 waiting")?;
    panel.select(other)?;
    panel.click("start")?;
    panel.wait_state(other, "running", BOOT)?;
    panel.wait_prompt(other)?;
    panel.expect(
        other,
        "page-capture list | awk '{print $NF}' | sed 's/http.*?//'",
        "before-1\nbefore-2\nbetween",
    )?;
    // A program that stops amid a line leaves it whole to the next one.
    panel.expect(other, "page-capture stop; echo stopped", "stopped")?;
    capture.browse(
        "for (const n of [1, 2]) await (await fetch('/echo?whole-' + n, {method: 'POST', body: 'x'.repeat(3e5)})).text()",
    )?;
    panel.click("show-capture")?;
    capture.wait_status(other, "2 waiting")?;
    panel.select(other)?;
    panel.expect(
        other,
        "head -c 100 /dev/virtio-ports/org.qemuweb.capture.0 | wc -c",
        "100",
    )?;
    panel.expect(
        other,
        "head -n 2 /dev/virtio-ports/org.qemuweb.capture.0 | jq -r .request.url | sed 's/.*?//'",
        "whole-1\nwhole-2",
    )?;
    panel.click("show-capture")?;
    let listed = capture.evaluate(&format!("{LISTED}.length"))?;
    ensure!(listed == MADE, "{listed} requests are listed");
    Ok(())
}
