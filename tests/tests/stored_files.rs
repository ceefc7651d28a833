//! Files that are stored in the extension: recognized, kept once, booted from, deleted and brought back; they survive
//! the browser.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use qemuweb_driver::DEFAULT_TIMEOUT;
use qemuweb_e2e::{BOOT, Home, Scenario, extension_dir};

/// How long storing a file may take.
const STORING: Duration = Duration::from_secs(120);

/// The rows of the stored files, as an array of their texts.
const ROWS: &str = "[...document.querySelectorAll('[data-testid=stored-row]')].map(it => it.textContent)";

/// Waits until this is so of [`ROWS`], called `rows`.
fn wait_rows(home: &Home, what: &str, condition: &str) -> Result<()> {
    let is = format!("(rows => {condition})({ROWS})");
    home.page()?.wait_for(what, &is, STORING).map(drop)
}

fn initramfs() -> Result<Vec<u8>> {
    let file = extension_dir().join("guest/x86_64/initramfs.cpio.gz");
    fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// Leaves a database of version 1, as it was before files could be stored, with a profile in it.
const OLD_DATABASE: &str = "new Promise((resolve, reject) => {
    const open = indexedDB.open('qemuweb', 1);
    open.onerror = () => reject(open.error);
    open.onupgradeneeded = () => {
        open.result.createObjectStore('vms', {keyPath: 'vmId'});
        const profiles = open.result.createObjectStore('profiles', {keyPath: 'id'});
        const profile = {id: 'old-box', name: 'Old box', arch: 'x86_64', machine: 'q35', memoryMiB: 64, smp: 1,
            supportsGraphics: false, requiresKernel: false,
            devices: {diskInterface: 'virtio-blk', net: 'none', serial: 'ttyS0'}};
        profiles.put({id: profile.id, json: JSON.stringify(profile)});
    };
    open.onsuccess = () => { open.result.close(); resolve(true); };
})";

fn main() {
    let mut trials = Scenario::new("a database of before", || Home::prepared(OLD_DATABASE))
        .step("what was in it is there", |home| {
            home.panel()?.click("new-vm")?;
            let card =
                "document.querySelector('[data-testid=own-profiles] [data-profile-id=old-box]') !== null";
            home.page()?
                .wait_for("the profile of before", card, DEFAULT_TIMEOUT)
                .map(drop)
        })
        .step("files can be stored in it", |home| {
            home.panel()?.open_launcher("files")?;
            home.choose("store-file", "disk.img", &disk())?;
            wait_rows(home, "the stored file", "rows.length === 1")?;
            home.restart()?;
            home.panel()?.open_launcher("files")?;
            wait_rows(home, "the stored file of before", "rows.length === 1")
        })
        .trials();
    let stored = Scenario::new("stored files", Home::new)
        .step("what no machine can use is refused", |home| {
            home.panel()?.open_launcher("files")?;
            home.choose("store-file", "notes.txt", b"remember the milk")?;
            home.panel()?
                .wait_error("no file to boot from", DEFAULT_TIMEOUT)?;
            wait_rows(home, "no stored file", "rows.length === 0")
        })
        .step("a file is stored, and told what it is", |home| {
            home.choose("store-file", "my-initrd.gz", &initramfs()?)?;
            wait_rows(
                home,
                "the stored file",
                "rows.length === 1 && rows[0].includes('my-initrd.gz') && rows[0].includes('gzip')",
            )?;
            home.wait_text("stored-summary", "1 file, ")?;
            home.wait_text("stored-summary", " free.")
        })
        .step("the same content under another name is stored once", |home| {
            home.choose("store-file", "twin.gz", &initramfs()?)?;
            home.choose("store-file", "disk.img", &disk())?;
            wait_rows(
                home,
                "the disk beside it",
                "rows.length === 2 && !rows.join().includes('twin.gz')",
            )
        })
        .step("a machine boots from both", |home| {
            let panel = home.panel()?;
            let before = panel.vm_ids()?;
            panel.click_selector(&row("my-initrd.gz", "use-stored"))?;
            home.wait_text("initrd-chosen", "my-initrd.gz")?;
            let hash = "[...document.querySelector('[data-testid=disk-stored]').options].at(-1).value";
            let hash = home.page()?.evaluate(hash)?;
            home.fill("disk-stored", hash.as_str().context("the disk's hash")?)?;
            home.wait_text("disk", "disk.img")?;
            panel.click("launch-custom")?;
            home.vm = home.panel()?.new_vm(&before)?;
            let panel = home.panel()?;
            panel.wait_prompt(&home.vm)?;
            panel.expect(&home.vm, "head -c 9 /dev/vda", "kept well")
        })
        .step("both are there after a restart of the browser", |home| {
            home.restart()?;
            let panel = home.panel()?;
            panel.open_launcher("files")?;
            wait_rows(home, "the stored files of before", "rows.length === 2")?;
            panel.select(&home.vm)?;
            panel.click("start")?;
            panel.wait_state(&home.vm, "running", BOOT)?;
            panel.wait_prompt(&home.vm)?;
            panel.expect(&home.vm, "head -c 9 /dev/vda", "kept well")?;
            panel.click("force-stop")?;
            panel.click("confirm-ok")?;
            panel.wait_state(&home.vm, "stopped", DEFAULT_TIMEOUT)
        })
        .step("who uses a file is told; without it there is no start", |home| {
            let panel = home.panel()?;
            panel.open_launcher("files")?;
            wait_rows(
                home,
                "the files' user",
                "rows.length === 2 && rows.every(row => row.includes('used by '))",
            )?;
            panel.click_selector(&row("disk.img", "delete-stored"))?;
            wait_rows(home, "one file less", "rows.length === 1")?;
            panel.select(&home.vm)?;
            panel.click("start")?;
            panel
                .wait_error("disk.img is not among the files that are stored", DEFAULT_TIMEOUT)
                .map(drop)
        })
        .step("deleting it is undone, and it starts again", |home| {
            let panel = home.panel()?;
            panel.open_launcher("files")?;
            panel.click("undo")?;
            wait_rows(home, "the file again", "rows.length === 2")?;
            panel.select(&home.vm)?;
            panel.click("start")?;
            panel.wait_state(&home.vm, "running", BOOT)?;
            panel.wait_prompt(&home.vm)?;
            panel.expect(&home.vm, "head -c 9 /dev/vda", "kept well")
        })
        .step("a file is read through its handle, anew at each start", |home| {
            home.panel()?.click("force-stop")?;
            home.panel()?.click("confirm-ok")?;
            write_by_handle(home, "first one!")?;
            let start = "(async () => {
                const root = await navigator.storage.getDirectory();
                const handle = await root.getFileHandle('by-handle.img');
                const inputs = {disk: {attachment: {index: 0, name: 'by-handle.img', size: 1048576}}, kernelCmdline: 'console=ttyS0 quiet'};
                await window.qemuweb.startVm('by-handle', 'minimal-x86_64', inputs, null, [handle]);
                return true;
            })()";
            home.page()?.evaluate(start)?;
            home.vm = "by-handle".to_owned();
            let panel = home.panel()?;
            panel.select(&home.vm)?;
            panel.wait_prompt(&home.vm)?;
            panel.expect(&home.vm, "head -c 9 /dev/vda", "first one")
        })
        .step("the handle is kept when the browser closes", |home| {
            home.restart()?;
            write_by_handle(home, "then this!")?;
            let panel = home.panel()?;
            panel.select(&home.vm)?;
            panel.click("start")?;
            panel.wait_state(&home.vm, "running", BOOT)?;
            panel.wait_prompt(&home.vm)?;
            panel.expect(&home.vm, "head -c 9 /dev/vda", "then this")
        })
        .trials();
    trials.extend(stored);
    qemuweb_e2e::run(trials)
}

/// A raw disk that begins with a text.
fn disk() -> Vec<u8> {
    let mut disk = b"kept well\x01".to_vec();
    disk.resize(1 << 20, 0);
    disk
}

/// Writes a disk to a file of the extension's own, for which no person has to be asked: a handle of a person's file
/// is the same to all but the browser.
fn write_by_handle(home: &Home, text: &str) -> Result<()> {
    let write = format!(
        "(async () => {{
            const root = await navigator.storage.getDirectory();
            const handle = await root.getFileHandle('by-handle.img', {{create: true}});
            const file = await handle.createWritable();
            await file.write({text:?} + '\\x01');
            await file.truncate(1048576);
            await file.close();
            return true;
        }})()"
    );
    home.page()?.evaluate(&write).map(drop)
}

/// A selector for a button in the row of the file of this name.
fn row(name: &str, button: &str) -> String {
    format!("[data-testid=stored-row][data-name='{name}'] [data-testid={button}]")
}
