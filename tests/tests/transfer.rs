//! Files into a guest and out of it: picked, dropped, asked for, cancelled, refused; in DevTools and in a tab.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use qemuweb_driver::{DEFAULT_TIMEOUT, Session};
use qemuweb_e2e::{BOOT, Desk, Panel, Report, Scenario, checks, directory};
use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// How long a file of some MiB may take.
const TRANSFER: Duration = Duration::from_secs(120);

/// DevTools with a VM, and the files on this side.
struct Room {
    desk: Desk,
    files: TempDir,
    vm: Option<String>,
}

impl Room {
    fn open() -> Result<Self> {
        let mut desk = Desk::open()?;
        desk.open_panel()?;
        let files = tempfile::Builder::new().prefix("qemuweb-transfer-").tempdir()?;
        desk.browser.call(
            "Browser.setDownloadBehavior",
            json!({"behavior": "allow", "downloadPath": files.path().join("downloads")}),
        )?;
        Ok(Self {
            desk,
            files,
            vm: None,
        })
    }

    fn panel(&self) -> Result<(&Panel, &str)> {
        Ok((
            self.desk.panel()?,
            self.vm.as_deref().context("no VM was launched")?,
        ))
    }

    /// A file on this side.
    fn file(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.files.path().join(name);
        fs::write(&path, content)?;
        Ok(path)
    }

    /// Sends files as a person does: by the button, the dialog and the browser's picker.
    fn send(&self, folder: &str, files: &[&Path]) -> Result<()> {
        let page = self.panel()?.0.session();
        self.ask("vm-send-files", folder)?;
        page.set_files("document.querySelector('[data-testid=transfer-files]')", files)
    }

    /// Has the dialog of a line of the console's menu be answered with a path.
    fn ask(&self, item: &str, path: &str) -> Result<()> {
        ask(self.panel()?.0, item, path)
    }
}

/// Opens the dialog of a line of the console's menu, writes a path and presses Enter.
fn ask(panel: &Panel, item: &str, path: &str) -> Result<()> {
    panel.click("console-files")?;
    panel.click(item)?;
    let page = panel.session();
    let has_focus = "document.activeElement?.id === 'transfer-path'";
    page.wait_for("the dialog's field to have the focus", has_focus, DEFAULT_TIMEOUT)?;
    page.evaluate("document.activeElement.select()")?;
    page.type_text(path)?;
    page.press("Enter")?;
    page.wait_for(
        "the dialog to go",
        "document.querySelector('dialog[open]') === null",
        DEFAULT_TIMEOUT,
    )
    .map(drop)
}

/// Bytes that no other call makes.
fn content(size: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// An expression for the latest row about a file.
fn row(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('[data-testid=transfer]')]
            .findLast(row => row.querySelector('.transfer-title').textContent.includes({}))",
        json!(name)
    )
}

/// Waits until the latest row about a file is at a stage, and returns all that it says.
fn wait_stage(page: &Session, name: &str, stage: &str) -> Result<String> {
    let row = row(name);
    let is = format!(
        "(row => row?.dataset.stage === {} && row.textContent)({row})",
        json!(stage)
    );
    let text = page.wait_for(&format!("{name} to be {stage}"), &is, TRANSFER)?;
    Ok(text.as_str().unwrap_or_default().to_owned())
}

/// Presses a button of the latest row about a file.
fn press(page: &Session, name: &str, button: &str) -> Result<()> {
    let button = format!("{}?.querySelector('[data-testid={button}]')", row(name));
    page.wait_for(
        &format!("{button} to be there"),
        &format!("{button} != null"),
        DEFAULT_TIMEOUT,
    )?;
    page.evaluate(&format!("{button}.click()")).map(drop)
}

/// Waits until some bytes of a file have moved.
fn wait_moving(page: &Session, name: &str) -> Result<()> {
    let moved = format!("{}?.querySelector('progress')?.value > 0", row(name));
    page.wait_for(&format!("{name} to move"), &moved, TRANSFER)
        .map(drop)
}

/// Waits until a download is there as a whole.
fn wait_download(file: &Path, size: usize) -> Result<Vec<u8>> {
    let deadline = Instant::now() + DEFAULT_TIMEOUT;
    loop {
        match fs::read(file) {
            Ok(bytes) if bytes.len() == size => return Ok(bytes),
            found => ensure!(
                Instant::now() < deadline,
                "expected {size} bytes in {}, found {:?}",
                file.display(),
                found.map(|bytes| bytes.len())
            ),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Drags a file of the page's own over the console and drops it.
fn drop_file(page: &Session, name: &str, bytes: &str) -> Result<()> {
    let act = format!(
        "(async () => {{
            const zone = document.querySelector('[data-testid=console]');
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([{bytes}], {}));
            const send = (type) => zone.dispatchEvent(new DragEvent(type, {{dataTransfer, bubbles: true, cancelable: true}}));
            send('dragenter');
            send('dragover');
            await new Promise(drawn => setTimeout(drawn, 50));
            const shown = document.querySelector('[data-testid=drop-target]')?.textContent ?? '';
            send('drop');
            return shown;
        }})()",
        json!(name)
    );
    let shown = page.evaluate(&act)?;
    let shown = shown.as_str().unwrap_or_default();
    ensure!(
        shown.contains("Drop to send to ~"),
        "while dragging, {shown:?} was shown"
    );
    let is_gone = "document.querySelector('[data-testid=drop-target]') === null";
    page.wait_for("the drop target to go", is_gone, DEFAULT_TIMEOUT)
        .map(drop)
}

impl Report for Room {
    fn report(&self, directory: &Path) -> Result<()> {
        self.desk.report(directory)
    }
}

const BIG: usize = 5 << 20;

fn main() {
    let trials = Scenario::new("transfer", Room::open)
        .step("a guest with an agent", |room| {
            let panel = room.desk.panel()?;
            let vm = panel.launch("minimal-x86_64")?;
            panel.wait_prompt(&vm)?;
            let has_agent = format!("window.qemuweb.vmState({vm:?}).hasAgent");
            panel.session().wait_for("the guest's agent", &has_agent, BOOT)?;
            room.vm = Some(vm);
            Ok(())
        })
        .step("DevTools do not ask where to save", |room| {
            // Where this changes, files need not be gathered for a download there.
            let asked = "window.showSaveFilePicker().then(() => 'asked', error => error.name)";
            let page = room.panel()?.0.session();
            let found = page.evaluate(asked)?;
            ensure!(found == "NotAllowedError", "showSaveFilePicker in DevTools: {found}");
            Ok(())
        })
        .step("files are picked and arrive whole", |room| {
            let big = content(BIG, 1);
            let paths = [
                room.file("big file.bin", &big)?,
                room.file("run.sh", b"#!/bin/sh\necho ran\n")?,
                room.file("empty", b"")?,
            ];
            room.send("~", &paths.each_ref().map(PathBuf::as_path))?;
            let (panel, vm) = room.panel()?;
            let page = panel.session();
            for name in ["empty", "run.sh"] {
                wait_stage(page, name, "done")?;
            }
            let told = wait_stage(page, "big file.bin", "done")?;
            ensure!(told.contains("ls -l ~/'big file.bin'"), "{told}");
            let said = page.evaluate("document.querySelector('[data-testid=transfer-said]').textContent")?;
            ensure!(said.as_str().is_some_and(|said| said.contains("Sent")), "{said}");
            let sum = format!("{}  big file.bin", sha256(&big));
            panel.expect(vm, "cd; sha256sum 'big file.bin'", &sum)?;
            panel.expect(vm, "~/run.sh; stat -c '%a %s' ~/empty ~/run.sh", "ran\n644 0\n755 19")
        })
        .step("a name that is taken is asked about", |room| {
            let (panel, vm) = room.panel()?;
            let page = panel.session();
            panel.click("transfers-clear")?;
            let other = room.file("run.sh", b"other\n")?;
            room.send("~", &[&other])?;
            let asked = wait_stage(page, "run.sh", "asks")?;
            ensure!(asked.contains("Keep both, as run-2.sh"), "{asked}");
            panel.expect(vm, "~/run.sh", "ran")?;
            press(page, "run.sh", "transfer-both")?;
            let told = wait_stage(page, "run.sh", "done")?;
            ensure!(told.contains("ls -l ~/run-2.sh"), "{told}");
            panel.expect(vm, "cat ~/run-2.sh; ~/run.sh", "other\nran")?;

            panel.click("transfers-clear")?;
            room.send("~", &[&other])?;
            wait_stage(page, "run.sh", "asks")?;
            press(page, "run.sh", "transfer-skip")?;
            wait_stage(page, "run.sh", "cancelled")?;
            panel.expect(vm, "~/run.sh", "ran")?;

            panel.click("transfers-clear")?;
            room.send("~", &[&other])?;
            wait_stage(page, "run.sh", "asks")?;
            press(page, "run.sh", "transfer-replace")?;
            wait_stage(page, "run.sh", "done")?;
            panel.expect(vm, "cat ~/run.sh; stat -c %a ~/run.sh; ls ~ | grep -c run", "other\n644\n2")
        })
        .step("a file is dropped on the console", |room| {
            let (panel, vm) = room.panel()?;
            let page = panel.session();
            // The same bytes as those of this side's.
            let bytes = "(() => { let state = 2; return new Uint8Array(3 << 20).map(() =>
                (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24); })()";
            drop_file(page, "dropped.bin", bytes)?;
            wait_stage(page, "dropped.bin", "done")?;
            let sum = format!("{}  dropped.bin", sha256(&content(3 << 20, 2)));
            panel.expect(vm, "cd; sha256sum dropped.bin", &sum)
        })
        .step("a name that would lead elsewhere stays a name", |room| {
            let (panel, vm) = room.panel()?;
            let page = panel.session();
            drop_file(page, "../../etc/hosts\u{1b}", "'mine'")?;
            wait_stage(page, "etc", "done")?;
            panel.expect(vm, "cd; cat .*etc*hosts*; ! grep -qs mine /etc/hosts", "mine")
        })
        .step("a file is fetched back", |room| {
            let (panel, _) = room.panel()?;
            panel.click("transfers-clear")?;
            room.ask("vm-fetch-file", "~/big file.bin")?;
            let told = wait_stage(panel.session(), "big file.bin", "done")?;
            ensure!(told.contains("downloads"), "{told}");
            let file = room.files.path().join("downloads/big file.bin");
            let found = wait_download(&file, BIG)?;
            ensure!(found == content(BIG, 1), "the file came back as another one");
            Ok(())
        })
        .step("one that is cancelled leaves nothing", |room| {
            let (panel, vm) = room.panel()?;
            let page = panel.session();
            panel.click("transfers-clear")?;
            let large = room.file("large.bin", &content(32 << 20, 3))?;
            room.send("~", &[&large])?;
            wait_moving(page, "large.bin")?;
            press(page, "large.bin", "transfer-close")?;
            wait_stage(page, "large.bin", "cancelled")?;
            panel.expect(vm, "cd; sleep 1; ls -a | grep -e large -e part || true", "")?;

            panel.expect(vm, "head -c 24000000 /dev/zero > ~/zeros", "")?;
            room.ask("vm-fetch-file", "~/zeros")?;
            wait_moving(page, "zeros")?;
            press(page, "zeros", "transfer-close")?;
            wait_stage(page, "zeros", "cancelled")?;
            // Others go on, and nothing of it was saved.
            room.ask("vm-fetch-file", "~/run.sh")?;
            wait_stage(page, "run.sh", "done")?;
            let file = room.files.path().join("downloads/zeros");
            ensure!(!file.exists(), "a file that was cancelled was saved");
            panel.expect(vm, "rm ~/zeros", "")
        })
        .step("what cannot be done says what was expected, found, and is to do", |room| {
            let (panel, vm) = room.panel()?;
            let page = panel.session();
            panel.click("transfers-clear")?;
            room.ask("vm-fetch-file", "~/no/such")?;
            let told = wait_stage(page, "no/such", "failed")?;
            ensure!(told.contains("No such file") && told.contains("try again"), "{told}");
            let small = room.file("small", b"small")?;
            room.send("~/new", &[&small])?;
            let told = wait_stage(page, "small", "failed")?;
            ensure!(told.contains("~/new") && told.contains("mkdir -p"), "{told}");
            panel.expect(vm, "mkdir ~/new", "")?;
            press(page, "small", "transfer-again")?;
            wait_stage(page, "small", "done")?;
            panel.expect(vm, "cat ~/new/small", "small")?;
            press(page, "no/such", "transfer-close")?;
            panel.click("console-files")?;
            panel.click("vm-send-files")?;
            page.evaluate("document.getElementById('transfer-path').select()")?;
            page.type_text("~root\n")?;
            let fault = "document.getElementById('transfer-fault')?.textContent.includes('found ~root')";
            page.wait_for("the fault at the field", fault, DEFAULT_TIMEOUT)?;
            page.press("Escape")?;
            page.wait_for(
                "the dialog to go",
                "document.querySelector('dialog[open]') === null",
                DEFAULT_TIMEOUT,
            )
            .map(drop)
        })
        .step("in a tab the file goes where one wants it", |room| {
            let tab = room.desk.open_tab()?;
            let page = tab.session();
            tab.select(room.panel()?.1)?;
            // The dialog is the system's; what it would give is a handle like this.
            page.evaluate(
                "window.showSaveFilePicker = async ({suggestedName}) =>
                    (await navigator.storage.getDirectory()).getFileHandle('saved ' + suggestedName, {create: true}); null",
            )?;
            ask(&tab, "vm-fetch-file", "~/big file.bin")?;
            let told = wait_stage(page, "big file.bin", "done")?;
            ensure!(told.contains("Saved as saved big file.bin."), "{told}");
            let sum = page.evaluate(
                "(async () => {
                    const root = await navigator.storage.getDirectory();
                    const file = await (await root.getFileHandle('saved big file.bin')).getFile();
                    const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', await file.arrayBuffer()));
                    return [...sum].map(byte => byte.toString(16).padStart(2, '0')).join('');
                })()",
            )?;
            ensure!(sum == sha256(&content(BIG, 1)).as_str(), "the file came as another one: {sum}");
            room.desk.browser.close_target(page)
        })
        .step("it is there for everyone, in 500 px too", |room| {
            let tab = room.desk.open_tab()?;
            let (page, vm) = (tab.session(), room.panel()?.1);
            tab.select(vm)?;
            page.evaluate("window.showSaveFilePicker = () => Promise.reject(new DOMException('', 'SecurityError')); null")?;
            ask(&tab, "vm-fetch-file", "~/no/such")?;
            wait_stage(page, "no/such", "failed")?;
            ask(&tab, "vm-fetch-file", "/proc/cpuinfo")?;
            wait_stage(page, "cpuinfo", "asks")?;
            let input = "document.querySelector('[data-testid=transfer-files]')";
            let small = room.file("small", b"small")?;
            ask(&tab, "vm-send-files", "~/new")?;
            page.set_files(input, &[&small])?;
            wait_stage(page, "small", "asks")?;
            let done = room.file("picture.png", b"\x89PNG")?;
            ask(&tab, "vm-send-files", "~/new")?;
            page.set_files(input, &[&done])?;
            wait_stage(page, "picture.png", "done")?;
            let large = room.file("large.bin", &content(32 << 20, 3))?;
            ask(&tab, "vm-send-files", "~/new")?;
            page.set_files(input, &[&large])?;
            wait_moving(page, "large.bin")?;
            check(page, "transfers")?;
            press(page, "large.bin", "transfer-close")?;
            page.set_viewport(1100, 600)?;
            tab.click("console-files")?;
            tab.click("vm-send-files")?;
            check(page, "transfer dialog")?;
            room.desk.browser.close_target(page)
        })
        .step("without an agent the menu says why", |room| {
            room.desk.browser.activate(room.desk.devtools()?.front_end())?;
            let (panel, vm) = room.panel()?;
            let page = panel.session();
            panel.expect(vm, "mv /usr/bin/qemuweb-agent /tmp/; kill $(pidof qemuweb-agent)", "")?;
            let has_agent = format!("window.qemuweb.vmState({vm:?}).hasAgent");
            page.wait_for("the agent to go", &format!("!{has_agent}"), BOOT)?;
            panel.click("console-files")?;
            let item = "document.querySelector('[data-testid=vm-send-files]')";
            let told = format!("{item}?.ariaDisabled === 'true' && {item}.textContent.includes('No agent answers')");
            page.wait_for("the reason in the menu", &told, DEFAULT_TIMEOUT)?;
            page.press("Enter")?;
            ensure!(
                page.evaluate("document.querySelector('dialog[open]') === null")? == true,
                "what cannot be chosen was"
            );
            page.press("Escape")?;
            panel.expect(vm, "mv /tmp/qemuweb-agent /usr/bin/", "")?;
            page.wait_for("the agent to come again", &has_agent, BOOT).map(drop)
        })
        .trials();
    qemuweb_e2e::run(trials)
}

/// Checks the page as the accessibility tests do, and leaves pictures of it.
fn check(page: &Session, screen: &str) -> Result<()> {
    let pictures = directory("screens", screen)?;
    checks::names(page)?;
    checks::reachable(page)?;
    for width in [1100, 500] {
        page.set_viewport(width, 600)?;
        page.evaluate("new Promise((resolve) => setTimeout(() => requestAnimationFrame(resolve), 100)).then(() => true)")?;
        for scheme in ["light", "dark"] {
            page.emulate_color_scheme(scheme)?;
            fs::write(pictures.join(format!("{width}-{scheme}.png")), page.screenshot()?)?;
            checks::contrast(page).with_context(|| format!("in the {scheme} scheme"))?;
        }
        checks::fits(page).with_context(|| format!("at {width} px"))?;
    }
    Ok(())
}
