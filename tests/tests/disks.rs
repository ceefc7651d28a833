//! Disks that last: a guest's home, attached images, copies of VMs, and what is discarded.

use anyhow::{Context, Result, ensure};
use qemuweb_driver::DEFAULT_TIMEOUT;
use qemuweb_e2e::{BOOT, Home, Scenario};
use serde_json::json;

/// Starts a VM with a disk that begins with the text `base`; `disk` is what else is said of it.
fn start_with_disk(home: &Home, vm: &str, base: &str, disk: &str) -> Result<()> {
    let start = format!(
        "window.qemuweb.startVm({vm}, 'minimal-x86_64', {{disk: {{
            attachment: {{index: 0, name: 'data.raw', size: 1 << 20}}, format: 'raw', isData: true, {disk}}}}}, null,
            [new File([{base}, new Uint8Array((1 << 20) - {length})], 'data.raw', {{lastModified: 5}})])",
        vm = json!(vm),
        base = json!(base),
        length = base.len(),
    );
    home.page()?.evaluate(&start)?;
    home.panel()?.wait_prompt(vm)
}

/// Cuts a VM's power.
fn power_off(home: &Home, vm: &str) -> Result<()> {
    let page = home.page()?;
    page.evaluate(&format!("window.qemuweb.stopVm({}, true)", json!(vm)))?;
    home.panel()?.wait_state(vm, "stopped", DEFAULT_TIMEOUT)
}

fn restart(home: &Home, vm: &str) -> Result<()> {
    let panel = home.panel()?;
    panel.select(vm)?;
    panel.click("start")?;
    panel.wait_state(vm, "running", BOOT)?;
    panel.wait_prompt(vm)
}

/// The size of what is kept of the VM's disks, in bytes.
fn kept(home: &Home, vm: &str) -> Result<u64> {
    let disks = home.page()?.evaluate("window.qemuweb.listDisks()")?;
    let disks = disks.as_array().context("a list of disks")?;
    let of_vm = disks.iter().filter(|disk| disk["vmId"] == vm);
    Ok(of_vm.filter_map(|disk| disk["kept"].as_u64()).sum())
}

fn main() {
    let lasting = Scenario::new("disks that last", Home::new)
        .step("what the guest has in its home is there after its power was cut", |home| {
            home.vm = home.panel()?.launch("minimal-x86_64")?;
            let panel = home.panel()?;
            panel.wait_prompt(&home.vm)?;
            panel.expect(&home.vm, "echo kept well >/root/note && sync && echo done", "done")?;
            power_off(home, &home.vm)?;
            restart(home, &home.vm)?;
            home.panel()?.expect(&home.vm, "cat /root/note", "kept well")
        })
        .step("and after it was shut down, and the browser was closed", |home| {
            let panel = home.panel()?;
            // Not flushed: shutting down does that.
            panel.expect(&home.vm, "echo more >>/root/note && echo done", "done")?;
            panel.click("stop")?;
            panel.wait_state(&home.vm, "stopped", BOOT)?;
            home.restart()?;
            restart(home, &home.vm)?;
            home.panel()?.expect(&home.vm, "tr '\\n' , </root/note", "kept well,more,")
        })
        .step("a copy has it, too, and goes its own way", |home| {
            let panel = home.panel()?;
            let before = panel.vm_ids()?;
            panel.click("clone")?;
            panel.wait_error("is writing to its disks", DEFAULT_TIMEOUT)?;
            power_off(home, &home.vm)?;
            panel.click("clone")?;
            let copy = panel.new_vm(&before)?;
            restart(home, &copy)?;
            panel.expect(&copy, "head -n 1 /root/note", "kept well")?;
            panel.expect(&copy, "echo copy >/root/note && sync && echo done", "done")?;
            power_off(home, &copy)?;
            restart(home, &home.vm)?;
            panel.expect(&home.vm, "head -n 1 /root/note", "kept well")?;
            power_off(home, &home.vm)
        })
        .step("a VM that gets the id of one that is gone gets none of its disks", |home| {
            let page = home.page()?;
            page.evaluate(&format!("window.qemuweb.removeVm({})", json!(home.vm)))?;
            let start = format!("window.qemuweb.startVm({}, 'minimal-x86_64')", json!(home.vm));
            page.evaluate(&start)?;
            let panel = home.panel()?;
            panel.wait_prompt(&home.vm)?;
            panel.expect(&home.vm, "ls /root/note 2>&1 | grep -c 'No such'", "1")?;
            power_off(home, &home.vm)
        })
        .step("an image is never changed, and what is written to it lasts", |home| {
            start_with_disk(home, "image", "base!", "")?;
            let panel = home.panel()?;
            panel.expect("image", "head -c 5 /dev/vda", "base!")?;
            let write = "printf other | dd of=/dev/vda conv=notrunc,fsync 2>/dev/null && echo done";
            panel.expect("image", write, "done")?;
            power_off(home, "image")?;
            // The same file once more, as after a choice.
            start_with_disk(home, "image", "base!", "")?;
            panel.expect("image", "head -c 5 /dev/vda", "other")?;
            power_off(home, "image")
        })
        .step("what is written over one image never gets over another one", |home| {
            let page = home.page()?;
            let start = "window.qemuweb.startVm('image', 'minimal-x86_64', {disk: {
                attachment: {index: 0, name: 'data.raw', size: 1 << 20}, format: 'raw', isData: true}}, null,
                [new File([new Uint8Array(1 << 20)], 'data.raw', {lastModified: 7})])";
            page.evaluate(start)?;
            home.panel()?.wait_state("image", "crashed", DEFAULT_TIMEOUT)?;
            let why = home.vm("image")?["failure"].to_string();
            ensure!(
                why.contains("has changed while it was in use") && why.contains("discard"),
                "{why}"
            );
            // It is all still there.
            start_with_disk(home, "image", "base!", "")?;
            home.panel()?.expect("image", "head -c 5 /dev/vda", "other")?;
            power_off(home, "image")
        })
        .step("what is to be discarded at power off is", |home| {
            start_with_disk(home, "scratch", "base!", "discardAtPowerOff: true")?;
            let panel = home.panel()?;
            let write = "printf other | dd of=/dev/vda conv=notrunc,fsync 2>/dev/null && head -c 5 /dev/vda";
            panel.expect("scratch", write, "other")?;
            power_off(home, "scratch")?;
            start_with_disk(home, "scratch", "base!", "discardAtPowerOff: true")?;
            panel.expect("scratch", "head -c 5 /dev/vda", "base!")?;
            power_off(home, "scratch")
        })
        .step("an export has all of it, and what was changed goes out and comes back", |home| {
            let page = home.page()?;
            let disk = "(await window.qemuweb.vmDisks('image')).find(disk => disk.channel === 'disk0').diskId";
            let export = |format: &str, read: &str| {
                page.evaluate(&format!(
                    "(async () => {{ const blob = await window.qemuweb.exportDisk('image', {disk}, '{format}');
                        return {read}; }})()"
                ))
            };
            let raw = export("raw", "[blob.size, (await blob.text()).slice(0, 5)].join()")?;
            ensure!(raw == "1048576,other", "{raw}");
            for format in ["qcow2", "qcow2-zlib", "qcow2-zstd"] {
                let head = "[...new Uint8Array(await blob.slice(0, 8).arrayBuffer())].join()";
                let head = export(format, head)?;
                ensure!(head == "81,70,73,251,0,0,0,3", "{format}: {head}");
            }
            let round = format!(
                "(async () => {{
                    const id = {disk};
                    const blob = await window.qemuweb.exportOverlay('image', id);
                    const refused = await window.qemuweb.importOverlay('image', id, blob).catch(error => error.message);
                    await window.qemuweb.discardDisk('image', id);
                    const cut = await window.qemuweb.importOverlay('image', id, blob.slice(0, blob.size - 9))
                        .catch(error => error.message);
                    await window.qemuweb.importOverlay('image', id, blob);
                    return [refused, cut].join('; ');
                }})()"
            );
            let refused = page.evaluate(&round)?;
            let refused = refused.as_str().unwrap_or_default();
            ensure!(refused.contains("exists already") && refused.contains("nothing was imported"), "{refused}");
            start_with_disk(home, "image", "base!", "")?;
            home.panel()?.expect("image", "head -c 5 /dev/vda", "other")
        })
        .step("a disk grows while the guest uses it, and stays so", |home| {
            home.page()?.evaluate("window.qemuweb.growDisk('image', 'disk0', 3 << 20)")?;
            let panel = home.panel()?;
            panel.expect("image", "cat /sys/block/vda/size", "6144")?;
            let write = "printf end | dd of=/dev/vda bs=512 seek=6143 conv=fsync 2>/dev/null && echo done";
            panel.expect("image", write, "done")?;
            let shrunk = "window.qemuweb.growDisk('image', 'disk0', 1 << 20).catch(error => error.message)";
            let shrunk = home.page()?.evaluate(shrunk)?;
            ensure!(shrunk.as_str().is_some_and(|text| text.contains("only grows")), "{shrunk}");
            power_off(home, "image")?;
            restart(home, "image")?;
            panel.expect("image", "tail -c 512 /dev/vda | head -c 3", "end")?;
            power_off(home, "image")
        })
        .step("a new disk is made in the form, begins as zeroes, and lasts", |home| {
            let panel = home.panel()?;
            let before = panel.vm_ids()?;
            panel.open_launcher("custom")?;
            home.fill("new-disk-size", "64")?;
            panel.click("new-disk")?;
            home.wait_text("disk", "new disk of 64")?;
            panel.click("launch-custom")?;
            let vm = panel.new_vm(&before)?;
            panel.wait_prompt(&vm)?;
            panel.expect(&vm, "cat /sys/block/vda/size", "134217728")?;
            panel.expect(&vm, "head -c 1000000 /dev/vda | tr -d '\\0' | wc -c", "0")?;
            let write = "printf end | dd of=/dev/vda bs=512 seek=134217727 conv=fsync 2>/dev/null && echo done";
            panel.expect(&vm, write, "done")?;
            power_off(home, &vm)?;
            restart(home, &vm)?;
            panel.expect(&vm, "tail -c 512 /dev/vda | head -c 3", "end")?;
            ensure!(kept(home, &vm)? < 4 << 20, "a disk of 64 GiB takes room");
            power_off(home, &vm)
        })
        .step("discarding frees space, and the disk is the image again", |home| {
            ensure!(kept(home, "image")? > 0, "nothing is kept");
            let discard = "window.qemuweb.listDisks().then(disks => Promise.all(disks
                .filter(disk => disk.vmId === 'image').map(disk => window.qemuweb.discardDisk('image', disk.diskId))))";
            home.page()?.evaluate(discard)?;
            ensure!(kept(home, "image")? == 0, "something is kept");
            start_with_disk(home, "image", "base!", "")?;
            home.panel()?.expect("image", "head -c 5 /dev/vda", "base!")?;
            power_off(home, "image")
        })
        .trials();
    qemuweb_e2e::run(lasting)
}
