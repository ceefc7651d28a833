//! Each architecture's guest, launched by its card in the panel and used through the console.

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use qemuweb_e2e::{Desk, Panel, Report, Scenario};

/// The panel and, once launched, a VM.
struct Machine {
    desk: Desk,
    vm: Option<String>,
}

impl Machine {
    fn panel(&self) -> Result<(&Panel, &str)> {
        Ok((
            self.desk.panel()?,
            self.vm.as_deref().context("no VM was launched")?,
        ))
    }
}

impl Report for Machine {
    fn report(&self, directory: &std::path::Path) -> Result<()> {
        self.desk.report(directory)
    }
}

fn main() {
    let mut trials = guest("x86_64", "minimal-x86_64", "x86_64");
    trials.extend(guest("PC", "linux-x86_64-pc-nographic", "x86_64"));
    trials.extend(guest("aarch64", "linux-aarch64-virt-nographic", "aarch64"));
    trials.extend(others());
    qemuweb_e2e::run(trials)
}

/// The other profiles that boot by themselves, as far as a shell.
fn others() -> Vec<Trial> {
    let mut scenario = Scenario::new("other profiles", || {
        let mut desk = Desk::open()?;
        desk.open_panel()?;
        Ok(desk)
    });
    for (profile, arch) in [
        ("microvm-x86_64", "x86_64"),
        ("busybox-router", "x86_64"),
        ("linux-x86_64-pc-graphics", "x86_64"),
        ("linux-aarch64-virt-graphics", "aarch64"),
    ] {
        scenario = scenario.step(profile, move |desk: &mut Desk| {
            let panel = desk.panel()?;
            // Those with graphics have no card.
            let start = format!("window.qemuweb.startVm({profile:?}, {profile:?}).then(() => true)");
            panel.session().evaluate(&start)?;
            panel.select(profile)?;
            panel.wait_prompt(profile)?;
            panel.expect(profile, "uname -m", arch)?;
            panel.click("force-stop")?;
            panel.click("confirm-ok")?;
            panel.wait_state(profile, "stopped", qemuweb_driver::DEFAULT_TIMEOUT)
        });
    }
    scenario.trials()
}

fn guest(name: &'static str, profile: &'static str, arch: &'static str) -> Vec<Trial> {
    Scenario::new(name, || {
        Ok(Machine {
            desk: Desk::open()?,
            vm: None,
        })
    })
    .step("the panel opens in DevTools", |machine| {
        machine.desk.open_panel().map(drop)
    })
    .step("the guest is launched from its card", move |machine| {
        machine.vm = Some(machine.desk.panel()?.launch(profile)?);
        Ok(())
    })
    .step("its shell prompts", |machine| {
        let (panel, vm) = machine.panel()?;
        panel.wait_prompt(vm)?;
        let text = panel.console_text(vm)?;
        ensure!(text.contains("Welcome to QemuWeb"), "no banner in {text}");
        panel.wait_state(vm, "running", qemuweb_driver::DEFAULT_TIMEOUT)
    })
    .step("uname names its architecture", move |machine| {
        let (panel, vm) = machine.panel()?;
        panel.expect(vm, "uname -m", arch)
    })
    .step("how busy it is can be seen beside its console", |machine| {
        let strip = "document.querySelector('[data-testid=metrics-bar]')?.textContent ?? ''";
        let page = machine.panel()?.0.session();
        let is_told = format!("/CPU\\d+ %/.test({strip}) && /Memory\\d+ of/.test({strip})");
        page.wait_for("processor and memory", &is_told, qemuweb_e2e::BOOT)
            .map(drop)
    })
    .step("it calculates", |machine| {
        let (panel, vm) = machine.panel()?;
        panel.expect(vm, "echo $((123456789 * 8 + 1))", "987654313")?;
        panel.expect(vm, "(exit 7) || echo $?", "7")
    })
    .step("a file is written and read", |machine| {
        let (panel, vm) = machine.panel()?;
        panel.expect(vm, "echo 'kept for later' > /tmp/note", "")?;
        panel.expect(vm, "cat /tmp/note", "kept for later")
    })
    .step("64 KiB come out of the console unbroken", |machine| {
        let (panel, vm) = machine.panel()?;
        let expected: String = (0..1024).map(|number| format!("{number:063}\n")).collect();
        let output = panel.run(vm, "printf '%063d\\n' $(seq 0 1023)")?;
        let first_difference = output
            .text
            .lines()
            .zip(expected.lines())
            .find(|(got, want)| got != want);
        ensure!(
            first_difference.is_none(),
            "first difference: {first_difference:?}"
        );
        ensure!(
            output.text.len() == expected.len(),
            "{} bytes came, not {}",
            output.text.len(),
            expected.len()
        );
        Ok(())
    })
    .step("64 KiB go into the console unbroken", |machine| {
        let (panel, vm) = machine.panel()?;
        let text: String = (0..1024).map(|number| format!("{number:063}\\n")).collect();
        // The shell joins the words, so the echo of the command does not hold them.
        panel.type_keys(
            "stty -echo; echo list''ening; head -c 65536 > /tmp/in; stty echo; echo rece''ived\n",
        )?;
        panel.wait_console(vm, "the guest to read", qemuweb_e2e::BOOT, |text| {
            text.contains("listening").then_some(())
        })?;
        // As a paste arrives: all at once.
        panel
            .session()
            .evaluate(&format!("window.qemuweb.sendSerialIn({vm:?}, \"{text}\")"))?;
        panel.wait_console(vm, "the guest to have read", qemuweb_e2e::BOOT, |text| {
            text.contains("received").then_some(())
        })?;
        panel.expect(
            vm,
            "printf '%063d\\n' $(seq 0 1023) | cmp - /tmp/in && echo same",
            "same",
        )
    })
    .trials()
}
