//! Systems that are none of ours, brought as files and started from the form for a machine of one's own. These take seconds;
//! `cargo xtask engine-test --only boots` starts everything that people bring.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use qemuweb_driver::DEFAULT_TIMEOUT;
use qemuweb_e2e::{BOOT, Home, Scenario, boot_images};

/// How long the host may take to find out that something cannot be started.
const REFUSAL: Duration = Duration::from_secs(60);

fn main() {
    let trials = Scenario::new("foreign systems", Home::new)
        .step("a bare boot sector as disk", |home| {
            start(home, &[("disk-file", "sector.img")])?;
            says(home, &["BOOT-SECTOR-RUNS", "BOOTED-FROM-DRIVE-80"])
        })
        .step("a boot sector as floppy", |home| {
            start(home, &[("disk-file", "floppy-1440.img")])?;
            says(home, &["BOOT-SECTOR-RUNS", "BOOTED-FROM-DRIVE-00"])
        })
        .step("a multiboot kernel with a module", |home| {
            start(
                home,
                &[("kernel-file", "multiboot.elf"), ("initrd-file", "module-1.txt")],
            )?;
            says(home, &["MULTIBOOT-KERNEL-RUNS", "HAS: first module"])
        })
        .step("iPXE with a script", |home| {
            start(
                home,
                &[("kernel-file", "ipxe.lkrn"), ("initrd-file", "script.ipxe")],
            )?;
            says(home, &["IPXE-SCRIPT-RUNS", "platform pcbios"])
        })
        .step("GRUB's CD, and a kernel from its prompt", |home| {
            start(home, &[("disk-file", "grub.iso")])?;
            console_says(home, "grub>")?;
            home.panel()?.type_keys("boot_multiboot\n")?;
            says(home, &["HAS: first module"])
        })
        .step("a disk without a boot loader is refused", |home| {
            choose(home, &[("disk-file", "gpt-without-loader.img")])?;
            home.panel()?.click("launch-custom")?;
            home.panel()?.wait_error("boot", REFUSAL).map(drop)
        })
        .step("32-bit programs on a disk beside the built-in guest", |home| {
            choose(home, &[("disk-file", "ext4.img")])?;
            home.fill("boot-from", "kernel")?;
            launch(home)?;
            let panel = home.panel()?;
            panel.wait_prompt(&home.vm)?;
            panel.expect(
                &home.vm,
                "mount -t ext4 /dev/vda /mnt && cat /mnt/file.txt",
                "the file on the disk",
            )?;
            panel.expect(&home.vm, "/mnt/syscall32", "SYSTEM-CALLS-BY-INTERRUPT-RUN")?;
            panel.expect(&home.vm, "/mnt/i686", "I686-RUNS b3200e1e8f232127")
        })
        .trials();
    qemuweb_e2e::run(trials)
}

/// Opens the form of a PC and chooses files of `qemu-wasm/check/boots` in the inputs with these test ids.
fn choose(home: &Home, files: &[(&str, &str)]) -> Result<()> {
    let images = boot_images()?;
    let panel = home.panel()?;
    panel.click("new-vm")?;
    panel.click_selector("[data-profile-id=linux-x86_64-pc-nographic] [data-testid=customize]")?;
    for (input, name) in files {
        let content = fs::read(images.join(name)).with_context(|| format!("cannot read {name}"))?;
        home.choose(input, name, &content)?;
    }
    // The form has taken all of them when it shows all their names.
    for (_, name) in files {
        let is_there = format!("document.body.textContent.includes({name:?})");
        home.page()?.wait_for(name, &is_there, DEFAULT_TIMEOUT)?;
    }
    Ok(())
}

fn launch(home: &mut Home) -> Result<()> {
    let before = home.panel()?.vm_ids()?;
    home.panel()?.click("launch-custom")?;
    home.vm = home.panel()?.new_vm(&before)?;
    Ok(())
}

fn start(home: &mut Home, files: &[(&str, &str)]) -> Result<()> {
    choose(home, files)?;
    launch(home)
}

fn console_says(home: &Home, text: &str) -> Result<()> {
    home.panel()?.wait_console(&home.vm, text, BOOT, |console| {
        console.contains(text).then_some(())
    })
}

/// Waits until the console has said all of it, and ends the machine.
fn says(home: &Home, texts: &[&str]) -> Result<()> {
    for text in texts {
        console_says(home, text)?;
    }
    let panel = home.panel()?;
    panel.click("force-stop")?;
    panel.click("confirm-ok")?;
    panel.wait_state(&home.vm, "stopped", DEFAULT_TIMEOUT)
}
