//! The Disks tab: how disks are used, what is kept of them, and what a person does with that by clicking.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::DEFAULT_TIMEOUT;
use qemuweb_e2e::{BOOT, Home, Report, Scenario, checks, directory, element};
use serde_json::json;

/// A browser, and what was exported in it.
struct Room {
    home: Home,
    changes: Vec<u8>,
}

impl Room {
    fn open() -> Result<Self> {
        let (home, changes) = (Home::new()?, Vec::new());
        // A file that is asked for is given by the test.
        home.page()?
            .call("Page.setInterceptFileChooserDialog", json!({"enabled": true}))?;
        Ok(Self { home, changes })
    }
}

impl Report for Room {
    fn report(&self, directory: &Path) -> Result<()> {
        self.home.report(directory)
    }
}

/// Asks for a file to import into the home, and gives this one.
fn import(home: &Home, name: &str, content: &[u8]) -> Result<()> {
    home.panel()?.click("disk-import-open")?;
    home.choose("disk-import", name, content)
}

/// Opens the tab of [`Home::vm`], once its disk is there.
fn open_tab(home: &Home) -> Result<()> {
    let panel = home.panel()?;
    panel.select(&home.vm)?;
    panel.click_selector("#tab-disks")?;
    home.page()?
        .wait_for("the disk of the home directory", &card("home"), DEFAULT_TIMEOUT)
        .map(drop)
}

/// An expression for the card of the disk of this channel.
fn card(channel: &str) -> String {
    format!("document.querySelector('[data-testid=disk-card][data-channel={channel}]')")
}

/// What the home's card says of this, as text.
fn fact(name: &str) -> String {
    format!(
        "{}?.querySelector({})?.textContent",
        card("home"),
        json!(format!("[data-fact={name:?}]"))
    )
}

/// Waits until this is so of the home's fact, called `it`.
fn wait_fact(home: &Home, name: &str, condition: &str) -> Result<()> {
    let is = format!("(it => it && {condition})({})", fact(name));
    let what = format!("{name} to be so that {condition}");
    home.page()?.wait_for(&what, &is, DEFAULT_TIMEOUT).map(drop)
}

/// Demands that a button of the home's card cannot be used, and says why, or that it can.
fn expect_reason(home: &Home, button: &str, part: Option<&str>) -> Result<()> {
    let told = format!(
        "(button => [button.ariaDisabled, button.getAttribute('aria-description'), button.title])(
            {}.querySelector('[data-testid={button}]'))",
        card("home")
    );
    let expected = match part {
        Some(part) => format!(
            "(told => told[0] === 'true' && told[1].includes({}) && told[1] === told[2])({told})",
            json!(part)
        ),
        None => format!("(told => told[0] === 'false' && told[1] === '')({told})"),
    };
    let what = format!("{button} to be off with {part:?}");
    home.page()?.wait_for(&what, &expected, DEFAULT_TIMEOUT).map(drop)
}

/// Checks the page, and leaves pictures of it, in both schemes and in windows of these widths.
fn check(home: &Home, screen: &str) -> Result<()> {
    let (page, pictures) = (home.page()?, directory("screens", screen)?);
    checks::names(page)?;
    checks::reachable(page)?;
    for width in [1100, 500] {
        page.set_viewport(width, 600)?;
        // Layout follows the next frame.
        page.evaluate("new Promise((resolve) => setTimeout(() => requestAnimationFrame(resolve), 100)).then(() => true)")?;
        for scheme in ["light", "dark"] {
            page.emulate_color_scheme(scheme)?;
            fs::write(pictures.join(format!("{width}-{scheme}.png")), page.screenshot()?)?;
            checks::contrast(page).with_context(|| format!("in the {scheme} scheme"))?;
        }
        checks::fits(page).with_context(|| format!("at {width} px"))?;
    }
    page.set_viewport(1100, 600)
}

fn power_off(home: &Home) -> Result<()> {
    home.page()?
        .evaluate(&format!("window.qemuweb.stopVm({}, true)", json!(home.vm)))?;
    home.panel()?.wait_state(&home.vm, "stopped", DEFAULT_TIMEOUT)
}

fn start(home: &Home) -> Result<()> {
    let panel = home.panel()?;
    panel.click("start")?;
    panel.wait_state(&home.vm, "running", BOOT)?;
    panel.click_selector("#tab-console")?;
    panel.wait_prompt(&home.vm)
}

fn main() {
    let trials = Scenario::new("the disks tab", Room::open)
        .step("a running guest's disk tells what becomes of writes", |room| {
            let home = &mut room.home;
            home.page()?.set_viewport(1100, 600)?;
            home.vm = home.panel()?.launch("minimal-x86_64")?;
            home.panel()?.wait_prompt(&home.vm)?;
            open_tab(home)?;
            let text = home.page()?.evaluate(&format!("{}.textContent", card("home")))?;
            let text = text.as_str().unwrap_or_default();
            for part in ["hard disk · raw · kept in this browser", "home.sparse.gz (raw)", "own copy, kept"] {
                ensure!(text.contains(part), "{part:?} in {text}");
            }
            wait_fact(home, "Size", "it.endsWith('GiB')")?;
            expect_reason(home, "disk-discard-changes", Some("shut it down first"))?;
            expect_reason(home, "disk-export", Some("shut it down first"))?;
            check(home, "disks of a running VM")
        })
        .step("what is written shows up, and is kept once it is flushed", |room| {
            let home = &mut room.home;
            let panel = home.panel()?;
            panel.click_selector("#tab-console")?;
            let before = home.page()?.evaluate(&format!("window.qemuweb.listDisks().then(all => all.find(it => it.vmId === {}).kept)", json!(home.vm)))?;
            let write = "dd if=/dev/urandom of=/root/noise bs=1M count=3 2>/dev/null && sync && echo done";
            panel.expect(&home.vm, write, "done")?;
            panel.click_selector("#tab-disks")?;
            wait_fact(home, "Kept", "it.endsWith('MiB') && parseFloat(it) >= 3")?;
            wait_fact(home, "Flushes", "/^[1-9]\\d*, [\\d.]+ ms each$/.test(it)")?;
            wait_fact(home, "Written", "/, [\\d.]+ MiB in all$/.test(it)")?;
            ensure!(before.as_u64().unwrap_or(u64::MAX) < 3 << 20, "3 MiB were kept before: {before}");
            Ok(())
        })
        .step("what is not flushed is, by a click", |room| {
            let home = &mut room.home;
            let panel = home.panel()?;
            panel.click_selector("#tab-console")?;
            // The kernel soon writes to the end of the disk, where nothing is; the file system would flush what it writes.
            let write = "echo 50 >/proc/sys/vm/dirty_expire_centisecs; echo 50 >/proc/sys/vm/dirty_writeback_centisecs; \
                         head -c 262144 /dev/zero | tr '\\0' x | dd of=/dev/vda bs=65536 seek=131064 conv=notrunc 2>/dev/null; echo done";
            panel.expect(&home.vm, write, "done")?;
            panel.click_selector("#tab-disks")?;
            wait_fact(home, "Not flushed", "parseFloat(it) > 0")?;
            panel.click("disk-flush")?;
            home.wait_text("disk-said", "is kept")?;
            wait_fact(home, "Not flushed", "it === '0 B'")
        })
        .step("it grows as it is told to, and never shrinks", |room| {
            let home = &mut room.home;
            let panel = home.panel()?;
            panel.click_selector("#tab-disks")?;
            panel.click("disk-grow")?;
            home.fill("grow-size", "1")?;
            home.fill("grow-unit", "1048576")?;
            panel.click("grow-ok")?;
            home.wait_text("grow-fault", "only grows")?;
            check(home, "growing a disk")?;
            home.fill("grow-size", "9")?;
            home.fill("grow-unit", "1073741824")?;
            panel.click("grow-ok")?;
            home.wait_text("disk-said", "9.0 GiB")?;
            wait_fact(home, "Size", "it === '9.0 GiB'")?;
            panel.click_selector("#tab-console")?;
            panel.expect(&home.vm, "cat /sys/block/vda/size", "18874368")
        })
        .step("of a VM that is off it can be exported", |room| {
            let home = &mut room.home;
            power_off(home)?;
            open_tab(home)?;
            expect_reason(home, "disk-export", None)?;
            expect_reason(home, "disk-grow", Some("start it first"))?;
            expect_reason(home, "disk-import-open", Some("Discard its changes first"))?;
            check(home, "disks of a stopped VM")?;
            let panel = home.panel()?;
            panel.click("disk-export")?;
            check(home, "export menu")?;
            let file = panel.exported("export-overlay")?;
            ensure!(file.len() > 3 << 20, "the export has {} bytes", file.len());
            home.wait_text("disk-done", "Minimal-x86-64-home.qwoverlay")?;
            room.changes = file;
            Ok(())
        })
        .step("an export that is cancelled leaves nothing behind", |room| {
            let home = &mut room.home;
            // By the time of a second click from here it would be done.
            let cancel = "new Promise(resolve => {
                new MutationObserver((_, observer) => {
                    const cancel = document.querySelector('[data-testid=disk-cancel]');
                    if (cancel) { observer.disconnect(); cancel.click(); resolve(true); }
                }).observe(document.body, {childList: true, subtree: true});
                document.querySelector('[data-testid=disk-export]').click();
                setTimeout(() => document.querySelector('[data-testid=export-qcow2-zstd]').click(), 200);
            })";
            home.page()?.evaluate(cancel)?;
            home.wait_text("disk-said", "cancelled")?;
            home.page()?
                .wait_for("no job", &format!("{} === null", element("disk-job")), DEFAULT_TIMEOUT)
                .map(drop)
        })
        .step("discarding asks, and says what is lost", |room| {
            let home = &mut room.home;
            let panel = home.panel()?;
            panel.click("disk-discard-changes")?;
            let question = "document.querySelector('dialog[open] h2')?.textContent";
            let question = home.page()?.wait_for("the question", question, DEFAULT_TIMEOUT)?;
            let question = question.as_str().unwrap_or_default();
            ensure!(question.contains("MiB of changes to home of Minimal"), "{question}");
            panel.click("confirm-ok")?;
            wait_fact(home, "Kept", "it === '0 B'")?;
            expect_reason(home, "disk-discard-changes", Some("Nothing is kept"))?;
            expect_reason(home, "disk-import-open", None)
        })
        .step("what no export is, is refused in place; what is, is imported", |room| {
            let home = &mut room.home;
            import(home, "notes.qwoverlay", b"remember the milk")?;
            home.panel()?
                .wait_error("nothing was imported", DEFAULT_TIMEOUT)?;
            check(home, "refused import")?;
            import(home, "changes.qwoverlay", &room.changes)?;
            home.wait_text("disk-done", "Imported the changes in changes.qwoverlay")?;
            wait_fact(home, "Kept", "parseFloat(it) >= 3")?;
            start(home)?;
            home.panel()?
                .expect(&home.vm, "stat -c %s /root/noise", "3145728")?;
            power_off(home)
        })
        .step("the home can be in memory, where it is no disk", |room| {
            let home = &mut room.home;
            home.show_settings()?;
            home.fill("home", "none")?;
            check(home, "settings of a home in memory")?;
            home.panel()?.click("save-vm")?;
            home.panel()?.click_selector("#tab-disks")?;
            // What was kept of it stays.
            let former = "document.querySelector('[data-testid=disk-card]')?.textContent.includes('the machine has no more')";
            home.page()?
                .wait_for("what is left of the home", former, DEFAULT_TIMEOUT)?;
            start(home)?;
            home.panel()?
                .expect(&home.vm, "ls /root/noise 2>&1 | grep -c 'No such'", "1")?;
            power_off(home)?;
            home.show_settings()?;
            home.fill("home", "")?;
            home.panel()?.click("save-vm")?;
            open_tab(home)?;
            wait_fact(home, "Kept", "parseFloat(it) >= 3")
        })
        .step("the disks of a VM that is gone are told of, and removed", |room| {
            let home = &mut room.home;
            let panel = home.panel()?;
            panel.click("remove")?;
            home.wait_text("undo-text", "on its disks stay until you remove them")?;
            panel.open_launcher("files")?;
            home.wait_text("storage-summary", "in use")?;
            home.wait_text("gone-disk", "of Minimal x86-64")?;
            home.page()?
                .evaluate(&format!("{}.scrollIntoView()", element("storage")))?;
            check(home, "disks of a VM that is gone")?;
            let told = home.page()?.evaluate(&format!("{} === null", element("error")))?;
            ensure!(told == true, "removing it is told as a failure");
            panel.click("undo")?;
            open_tab(home)?;
            wait_fact(home, "Kept", "parseFloat(it) >= 3")?;
            panel.click("remove")?;
            panel.open_launcher("files")?;
            panel.click("remove-gone")?;
            panel.click("confirm-ok")?;
            let gone = format!("{}?.offsetParent === null", element("gone-disks"));
            home.page()?
                .wait_for("no disk that is left", &gone, DEFAULT_TIMEOUT)?;
            let left = home.page()?.evaluate("window.qemuweb.listDisks()")?;
            ensure!(left == json!([]), "{left}");
            Ok(())
        })
        .trials();
    qemuweb_e2e::run(trials)
}
