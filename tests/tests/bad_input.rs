//! Bad input gets a clear error in the panel, and nothing else breaks.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::DEFAULT_TIMEOUT;
use qemuweb_e2e::{Desk, Panel, Scenario, doctored};
use serde_json::{Value, json};

/// How long the host may take to find out that something cannot be started.
const REFUSAL: Duration = Duration::from_secs(60);

fn main() {
    let mut trials = Scenario::new("bad input", || {
        let mut desk = Desk::open()?;
        desk.open_panel()?;
        Ok(desk)
    })
    .step("a kernel that is no kernel", |desk| {
        let panel = desk.panel()?;
        let file = tempfile::Builder::new().suffix(".bin").tempfile()?;
        fs::write(file.path(), "this is no kernel\n".repeat(1000))?;
        panel.open_launcher("custom")?;
        let input = "document.querySelector('[data-testid=kernel-file]')";
        panel.session().wait_for(
            "the form for a VM of one's own",
            &format!("{input} !== null"),
            DEFAULT_TIMEOUT,
        )?;
        panel.session().set_files(input, &[file.path()])?;
        panel.click("launch-custom")?;
        panel.wait_error("kernel", REFUSAL).map(drop)
    })
    .step("more memory than the heap allows", |desk| {
        refused(
            desk.panel()?,
            &json!(["greedy", "minimal-x86_64", {}, { "memoryMiB": 1_000_000 }, []]),
            "memory",
        )
    })
    .step("an unknown profile", |desk| {
        refused(
            desk.panel()?,
            &json!(["lost", "no-such-profile", {}, {}, []]),
            "no-such-profile",
        )
    })
    .step("inputs of a wrong shape", |desk| {
        refused(
            desk.panel()?,
            &json!(["odd", "minimal-x86_64", { "kernel": 7 }, {}, []]),
            "inputs",
        )
    })
    .step("arguments that QEMU does not know", |desk| {
        crashes(desk.panel()?, "-device nonsense", "nonsense")
    })
    .step("more memory than QEMU finds", |desk| {
        crashes(
            desk.panel()?,
            "-object memory-backend-ram,id=big,size=3G",
            "memory",
        )
    })
    .step("a message of a wrong version", |desk| {
        let panel = desk.panel()?;
        let answer = panel.session().evaluate(
            "new Promise(async (resolve) => {
                const { port1, port2 } = new MessageChannel();
                port1.onmessage = (event) => resolve(JSON.stringify(event.data));
                const { active } = await navigator.serviceWorker.ready;
                active.postMessage('connect', [port2]);
                port1.postMessage([99, JSON.stringify({ type: 'call', id: 1, method: 'hello', params: {} })]);
            })",
        )?;
        let answer = answer.as_str().unwrap_or_default().to_owned();
        ensure!(
            answer.contains("version 3") && answer.contains("99"),
            "the host answered {answer}"
        );
        Ok(())
    })
    .step("a good machine still boots after all that", |desk| {
        let panel = desk.panel()?;
        let vm = panel.launch("minimal-x86_64")?;
        panel.wait_prompt(&vm)?;
        panel.expect(&vm, "echo well", "well")
    })
    .trials();

    trials.extend(broken("an empty wasm", |wasm| {
        wasm.clear();
        Ok(())
    }));
    trials.extend(broken("a truncated wasm", |wasm| {
        wasm.truncate(wasm.len() / 2);
        Ok(())
    }));
    trials.extend(
        Scenario::new("an extension of one architecture", || {
            let mut desk = Desk::open_with(doctored(without_aarch64)?)?;
            desk.open_panel()?;
            Ok(desk)
        })
        .step("a machine of the other one says what to do", |desk| {
            let panel = desk.panel()?;
            let vm = panel.launch("linux-aarch64-virt-nographic")?;
            panel.wait_state(&vm, "crashed", REFUSAL)?;
            panel.wait_error("cargo xtask build", DEFAULT_TIMEOUT)?;
            panel
                .wait_error("no machines of aarch64", DEFAULT_TIMEOUT)
                .map(drop)
        })
        .trials(),
    );
    trials.extend(
        Scenario::new("no SharedArrayBuffer", || {
            // Every Chromium that can run the extension has it: take it from the VM host before its script starts.
            let extension = doctored(|directory| {
                let file = directory.join("offscreen.html");
                let page = fs::read_to_string(&file)?;
                let without = page.replacen("<script", "<script src=\"without.js\"></script><script", 1);
                ensure!(without != page, "offscreen.html has no script");
                fs::remove_file(&file)?;
                fs::write(&file, without)?;
                Ok(fs::write(
                    directory.join("without.js"),
                    "delete globalThis.SharedArrayBuffer;\n",
                )?)
            })?;
            Desk::open_with(extension)
        })
        .step("the panel says what is missing and starts nothing", |desk| {
            let panel = desk.open_panel()?;
            panel.wait_error("SharedArrayBuffer", DEFAULT_TIMEOUT)?;
            let launch = "document.querySelector('[data-testid=launch-default]').disabled";
            panel
                .session()
                .wait_for("the button for launching to be disabled", launch, DEFAULT_TIMEOUT)
                .map(drop)
        })
        .trials(),
    );
    qemuweb_e2e::run(trials)
}

/// Leaves out what `cargo xtask run` does on a machine where only x86_64 was asked for.
fn without_aarch64(directory: &Path) -> Result<()> {
    for (file, pointer) in [
        ("qemu/qemu-build.json", "/outputs"),
        ("guest/guest-build.json", ""),
    ] {
        let file = directory.join(file);
        let mut description: Value = serde_json::from_slice(&fs::read(&file)?)?;
        let listed = description
            .pointer_mut(pointer)
            .and_then(Value::as_object_mut)
            .with_context(|| format!("{} lists nothing", file.display()))?;
        listed.retain(|name, _| !name.contains("aarch64"));
        fs::remove_file(&file)?;
        fs::write(&file, description.to_string())?;
    }
    for program in ["js", "wasm"] {
        fs::remove_file(directory.join(format!("qemu/qemu-system-aarch64.{program}")))?;
    }
    Ok(fs::remove_dir_all(directory.join("guest/aarch64"))?)
}

/// Demands that `startVm` with these arguments is refused with an error that has `word` in it.
fn refused(panel: &Panel, arguments: &Value, word: &str) -> Result<()> {
    let answer = panel.session().evaluate(&format!(
        "window.qemuweb.startVm(...{arguments}).then(() => 'started', (error) => error.message)"
    ))?;
    let answer = answer.as_str().unwrap_or_default();
    ensure!(answer.to_lowercase().contains(word), "the answer was {answer:?}");
    Ok(())
}

/// Demands that a VM with these extra arguments crashes, and that the panel says why, with `word` in it.
fn crashes(panel: &Panel, extra_args: &str, word: &str) -> Result<()> {
    let vm = "doomed";
    let arguments = json!([vm, "minimal-x86_64", {}, { "extraArgs": extra_args }, []]);
    panel.session().evaluate(&format!(
        "window.qemuweb.startVm(...{arguments}).then(() => true)"
    ))?;
    panel.wait_state(vm, "crashed", REFUSAL)?;
    panel.select(vm)?;
    panel.wait_error(word, DEFAULT_TIMEOUT)?;
    panel.click("remove")?;
    let gone = format!("document.querySelector('[data-vm-id={vm}]') === null");
    panel
        .session()
        .wait_for("the VM to be removed", &gone, DEFAULT_TIMEOUT)
        .map(drop)
}

/// A scenario with an extension whose QEMU was spoilt.
fn broken(
    name: &'static str,
    spoil: impl Fn(&mut Vec<u8>) -> Result<()> + Send + 'static,
) -> Vec<libtest_mimic::Trial> {
    Scenario::new(name, move || {
        let extension = doctored(|directory| {
            let file = directory.join("qemu/qemu-system-x86_64.wasm");
            let mut wasm = fs::read(&file).context("the extension has no QEMU for x86_64")?;
            spoil(&mut wasm)?;
            fs::remove_file(&file)?;
            Ok(fs::write(&file, wasm)?)
        })?;
        let mut desk = Desk::open_with(extension)?;
        desk.open_panel()?;
        Ok(desk)
    })
    .step("the machine fails with an error that names it", |desk| {
        let panel = desk.panel()?;
        let vm = panel.launch("minimal-x86_64")?;
        panel.wait_state(&vm, "crashed", REFUSAL)?;
        panel
            .wait_error("qemu-system-x86_64.wasm", DEFAULT_TIMEOUT)
            .map(drop)
    })
    .trials()
}
