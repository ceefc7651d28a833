//! The launcher: machines are described, edited, copied, removed and brought back; profiles are imported or refused with
//! the paths of their faults; all of it survives the browser.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::DEFAULT_TIMEOUT;
use qemuweb_e2e::{BOOT, Home, Scenario};
use serde_json::{Value, json};

/// Imports this file in the launcher.
fn import(home: &Home, content: &str) -> Result<()> {
    home.panel()?.click("new-vm")?;
    home.choose("profile-import", "profile.json", content.as_bytes())
}

/// A profile's file with these fields changed.
fn profile_file(changes: Value) -> String {
    let mut profile = json!({
        "id": "build-box",
        "name": "Build box",
        "arch": "x86_64",
        "machine": "q35",
        "cpu": "qemu64",
        "memoryMiB": 192,
        "smp": 1,
        "supportsGraphics": false,
        "requiresKernel": false,
        "devices": {"diskInterface": "virtio-blk", "net": "none", "rng": true, "serial": "ttyS0"},
        "defaultInputs": {
            "kernel": {"builtin": {"path": "x86_64/vmlinux.gz"}},
            "initrd": {"builtin": {"path": "x86_64/initramfs.cpio.gz"}},
            "kernelCmdline": "console=ttyS0 quiet",
        },
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        profile[name] = value.clone();
    }
    json!({"format": "qemuweb-profile", "version": 1, "profile": profile}).to_string()
}

fn main() {
    let trials = Scenario::new("launcher", Home::new)
        .step("fields are checked as one types", |home| {
            home.panel()?.open_launcher("custom")?;
            home.fill("memory", "9000")?;
            home.wait_text("field-error", "")?;
            let errors = "[...document.querySelectorAll('[data-testid=field-error]')].map(it => it.textContent).join()";
            home.page()?.wait_for(
                "an error beside the memory",
                &format!("{errors}.includes('heap')"),
                DEFAULT_TIMEOUT,
            )?;
            home.fill("memory", "160")?;
            home.page()?
                .wait_for("no error", &format!("!{errors}.includes('heap')"), DEFAULT_TIMEOUT)?;
            home.wait_text("command-line", "-m 160M")
        })
        .step("a machine is defined without starting it", |home| {
            home.fill("vm-name", "Work bench")?;
            let before = home.panel()?.vm_ids()?;
            home.panel()?.click("save-vm")?;
            home.vm = home.panel()?.new_vm(&before)?;
            let vm = home.vm(&home.vm)?;
            ensure!(
                vm["name"] == "Work bench" && vm["memoryMiB"] == 160 && vm["state"] == "stopped",
                "found {vm}"
            );
            Ok(())
        })
        .step("it is edited", |home| {
            home.show_settings()?;
            home.fill("memory", "176")?;
            home.fill("vm-name", "Bench")?;
            home.panel()?.click("save-vm")?;
            home.wait_vm("the changes", "vm.memoryMiB === 176 && vm.name === 'Bench'")
        })
        .step("it is copied, the copy removed and brought back", |home| {
            let panel = home.panel()?;
            panel.select(&home.vm)?;
            let before = panel.vm_ids()?;
            panel.click("clone")?;
            let copy = panel.new_vm(&before)?;
            let vm = home.vm(&copy)?;
            ensure!(vm["name"] == "Bench copy" && vm["memoryMiB"] == 176, "found {vm}");
            panel.select(&copy)?;
            panel.click("remove")?;
            let is_there = format!("window.qemuweb.vmState({}) !== null", json!(copy));
            panel
                .session()
                .wait_for("the copy to be gone", &format!("!({is_there})"), DEFAULT_TIMEOUT)?;
            panel.click("undo")?;
            panel
                .session()
                .wait_for("the copy to be back", &is_there, DEFAULT_TIMEOUT)
                .map(drop)
        })
        .step("a file that is no profile is refused", |home| {
            import(home, "<!doctype html>")?;
            home.wait_text("import-faults", "file: expected a profile's JSON")?;
            import(home, &profile_file(json!({})).replace("\"version\":1", "\"version\":7"))?;
            home.wait_text("import-faults", "version: expected a number from 1 to 1, found 7")
        })
        .step("a broken profile is refused with the paths of its faults", |home| {
            import(home, &profile_file(json!({"memoryMiB": "lots", "machine": "virt", "colour": "blue"})))?;
            home.wait_text("import-faults", "profile.memoryMiB: expected a whole number")?;
            home.wait_text("import-faults", "profile.colour: unknown field")?;
            import(
                home,
                &profile_file(json!({"defaultInputs": {"additionalDisks": [{"url": "https://example.org/a"}, {"url": "ftp://x"}]}})),
            )?;
            home.wait_text("import-faults", "profile.defaultInputs.additionalDisks[1].url: ")?;
            import(home, &profile_file(json!({"defaultArgs": ["-accel", "kvm"]})))?;
            home.wait_text("import-faults", "profile.defaultArgs: \"-accel kvm\" is not possible")
        })
        .step("a sound one is imported and gets a card", |home| {
            import(home, &profile_file(json!({})))?;
            home.page()?
                .wait_for(
                    "the profile's card",
                    "document.querySelector('[data-profile-id=build-box] [data-testid=launch]') !== null",
                    DEFAULT_TIMEOUT,
                )
                .map(drop)
        })
        .step("it is edited, and stays one", |home| {
            let panel = home.panel()?;
            panel.click_selector("[data-profile-id=build-box] [data-testid=customize]")?;
            home.wait_text("profile-help", "")?;
            home.fill("memory", "200")?;
            panel.click("save-profile")?;
            let cards = "[...document.querySelectorAll('[data-testid=own-profiles] [data-testid=profile-card]')]";
            let is_edited = format!("{cards}.length === 1 && {cards}[0].textContent.includes('200 MiB')");
            panel
                .session()
                .wait_for("the edited profile", &is_edited, DEFAULT_TIMEOUT)?;
            panel.click("duplicate-profile")?;
            panel
                .session()
                .wait_for("its duplicate", &format!("{cards}.length === 2"), DEFAULT_TIMEOUT)
                .map(drop)
        })
        .step("it is exported as it is, its duplicate deleted, brought back, and deleted for good", |home| {
            let own = "[data-testid=own-profiles] .own-card:has([data-profile-id=build-box])";
            let file = home.download(&format!("{own} [data-testid=export-profile]"), "build-box.qemuweb.json")?;
            let file: Value = serde_json::from_str(&file)?;
            ensure!(
                file["format"] == "qemuweb-profile" && file["version"] == 1 && file["profile"]["memoryMiB"] == 200,
                "found {file}"
            );
            let panel = home.panel()?;
            let copy = "[data-testid=own-profiles] .own-card:has([data-profile-id=build-box-copy])";
            let is_there = format!("document.querySelector({}) !== null", json!(copy));
            let delete = format!("{copy} [data-testid=delete-profile]");
            for (what, click, expected) in [
                ("the duplicate to go", delete.as_str(), false),
                ("the duplicate to be back", "[data-testid=undo]", true),
                ("the duplicate to go again", delete.as_str(), false),
            ] {
                panel.click_selector(click)?;
                let is_so = format!("({is_there}) === {expected}");
                panel.session().wait_for(what, &is_so, DEFAULT_TIMEOUT)?;
            }
            Ok(())
        })
        .step("it boots, and its monitor answers", |home| {
            let listen = "window.fetched = [];
                window.qemuweb.onEvent(({type, progress}) => {
                    if (type === 'progress' && progress.phase === 'fetch') window.fetched.push(progress);
                }), true";
            home.page()?.evaluate(listen)?;
            home.vm = home.panel()?.launch("build-box")?;
            let panel = home.panel()?;
            panel.wait_prompt(&home.vm)?;
            panel.click_selector("#tab-monitor")?;
            home.fill("hmp", "info status")?;
            panel.click("hmp-run")?;
            home.wait_text("monitor-answers", "VM status: running")?;
            home.fill("qmp-request", "stop")?;
            home.wait_text("monitor-events", "STOP")?;
            panel.wait_state(&home.vm, "paused", DEFAULT_TIMEOUT)?;
            home.fill("qmp", "{\"execute\": \"cont\"}")?;
            panel.click("qmp-run")?;
            home.wait_text("monitor-events", "RESUME")?;
            home.fill("qmp", "info nonsense")?;
            panel.click("qmp-run")?;
            home.wait_text("monitor-answers", "expected the name of a QMP command")
        })
        .step("its start told how many bytes come", |home| {
            let fetched = home.page()?.evaluate("window.fetched")?;
            let counted = fetched.as_array().into_iter().flatten();
            let counted: Vec<(u64, u64)> = counted
                .filter_map(|progress| Some((progress["done"].as_u64()?, progress["total"].as_u64()?)))
                .collect();
            // QEMU, its firmware, a kernel and an initial RAM disk, which is all that is fetched.
            let (_, total) = *counted.last().context("no total was told")?;
            ensure!(
                total > 10 << 20 && counted.iter().all(|(done, all)| done <= all && *all == total),
                "found {fetched}"
            );
            Ok(())
        })
        .step("what it does is measured", |home| {
            let value = "[...document.querySelectorAll('.metric')].map(it => it.textContent).join('|')";
            home.page()?
                .wait_for(
                    "processor and memory in the metrics",
                    &format!("/CPU\\d+ %/.test({value}) && /Memory[^|]* of 1\\d\\d MiB/.test({value})"),
                    Duration::from_secs(30),
                )
                .map(drop)
        })
        .step("it is measured wherever one looks at it", |home| {
            home.panel()?.click_selector("#tab-console")?;
            home.wait_text("metrics-bar", "CPU")?;
            home.wait_text("metrics-bar", " %")?;
            home.panel()?.click_selector("#tab-monitor")?;
            home.wait_text("boot-phases", "Boot, ")
        })
        .step("it is renamed while it runs", |home| {
            home.show_settings()?;
            home.fill("vm-name", "Renamed box")?;
            home.panel()?.click("rename-vm")?;
            home.wait_vm("the new name", "vm.name === 'Renamed box' && vm.state === 'running'")?;
            let title = "document.querySelector('.vm-title').textContent === 'Renamed box'";
            home.page()?
                .wait_for("the new name as a title", title, DEFAULT_TIMEOUT)?;
            home.panel()?.click_selector("#tab-console")?;
            home.panel()?.expect(&home.vm, "echo still here", "still here")
        })
        .step("it becomes a favourite", |home| {
            home.panel()?.click("favourite")?;
            home.wait_vm("the favourite", "vm.favourite")
        })
        .step("after a restart of the browser all is there, and what ran says why it does not", |home| {
            home.restart()?;
            home.wait_vm("the VM of before", "vm.state === 'stopped' && vm.reason === 'hostEnded'")?;
            home.panel()?.click("new-vm")?;
            let own = "[...document.querySelectorAll('[data-testid=own-profiles] [data-testid=profile-card]')]";
            let is_kept = format!("{own}.map(it => it.dataset.profileId).join() === 'build-box'");
            home.page()?
                .wait_for("the person's profile", &is_kept, DEFAULT_TIMEOUT)?;
            let vms = home.page()?.evaluate("window.qemuweb.listVms()")?;
            let names: Vec<&str> = vms
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|vm| vm["name"].as_str())
                .collect();
            ensure!(names == ["Bench", "Bench copy", "Renamed box"], "found {names:?}");
            home.panel()?.select(&home.vm)?;
            home.wait_text("status-bar", "the browser closed while it ran")
        })
        .step("the popup starts the favourite", |home| {
            let popup = home.browser()?.open_page(&home.extension()?.url("popup.html"))?;
            let start = "[data-testid=popup-row]:first-child[data-favourite=true] [data-testid=popup-start]";
            popup.wait_for(
                "the favourite in the popup",
                &format!("document.querySelector('{start}') !== null"),
                DEFAULT_TIMEOUT,
            )?;
            popup.click(start)?;
            home.panel()?.wait_state(&home.vm, "running", BOOT)?;
            home.browser()?.activate(home.page()?)?;
            home.panel()?.wait_prompt(&home.vm)?;
            home.panel()?.expect(&home.vm, "nproc", "1")
        })
        .trials();
    qemuweb_e2e::run(trials)
}
