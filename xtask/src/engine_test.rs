//! `cargo xtask engine-test`: is what our engine computes right? QEMU's own TCG tests and the differential test
//! (`qemu-wasm/check`), in full: first in Node, then in guests in Chromium, whose compiler is another one. Then all that people
//! bring to boot, and whether UEFI variables last.

mod boots;
mod variables;

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::{Browser, LaunchOptions};
use qemuweb_vm_config::Arch;

use crate::boot::{Launch, Vm};
use crate::build::{self, Images};
use crate::console::Console;
use crate::flags::EngineTest;
use crate::native::NativeVm;
use crate::paths::Paths;
use crate::setup::Needs;
use crate::shell::{Deadline, Terminal, exec, wait_prompt};
use crate::summary::{Counts, Summary};
use crate::test;

/// Seconds for a boot, and for one command in a guest.
const LIMIT: f64 = 1200.0;
/// How many blocks of random code one command runs.
const CHUNK: u32 = 50;

/// A guest to test in.
struct Guest {
    /// As QEMU names the target; its tests lie in a directory of that name.
    target: &'static str,
    profile: &'static str,
    cpu: &'static str,
}

/// The processors are those with the most instructions that native QEMU and our guests' kernels know, too.
const GUESTS: [Guest; 2] = [
    Guest {
        target: "x86_64",
        profile: "linux-x86_64-pc-nographic",
        cpu: "max",
    },
    Guest {
        target: "aarch64",
        profile: "linux-aarch64-virt-nographic",
        cpu: "neoverse-n1",
    },
];

pub(crate) fn main(flags: &EngineTest) -> Result<()> {
    let paths = build::everything(&Needs::run(), &Arch::ALL)?;
    let images = build::cached_images(&paths, &Arch::ALL)?;
    let wanted = |step: &str| flags.only.as_deref().is_none_or(|only| step.contains(only));
    let mut summary = Summary::default();
    for (name, script) in [
        ("node", "qemu-wasm/check/test.sh"),
        ("qemu", "qemu-wasm/test/run.sh"),
    ] {
        if wanted(name) {
            test::run(name, paths.script(script).arg("--full"), &mut summary)?;
        }
    }
    for guest in &GUESTS {
        let mut step = |kind: &str, result: &dyn Fn() -> Result<Counts>| {
            let name = format!("chromium {} {kind}", guest.target);
            if !wanted(&name) {
                return;
            }
            println!("==== {name}");
            match result() {
                Ok(counts) => summary.add(&name, counts, true),
                Err(error) => summary.add_one(&name, &Err(error)),
            }
        };
        step("random", &|| {
            random(&paths, &images, &guest.launch(&paths, "initramfs.cpio")?, flags)
        });
        step("tcg", &|| {
            tcg(&paths, guest.target, &guest.launch(&paths, "tcg-initramfs.cpio")?)
        });
    }
    boots::main(&paths, &wanted, &mut summary)?;
    variables::main(&paths, &wanted, &mut summary);
    if summary.print() {
        Ok(())
    } else {
        std::process::exit(1)
    }
}

impl Guest {
    fn launch(&self, paths: &Paths, initramfs: &str) -> Result<Launch> {
        let check = build::check_images(paths)?;
        let mut launch = Launch::profile(self.profile);
        launch.overrides.cpu = Some(self.cpu.to_owned());
        launch.inputs.initrd = Some(launch.attach(&check.join(self.target).join(initramfs))?);
        Ok(launch)
    }
}

/// Boots in Chromium, does something at the prompt, and closes the browser.
fn in_chromium<T>(paths: &Paths, launch: &Launch, work: impl FnOnce(&mut Vm) -> Result<T>) -> Result<T> {
    let browser = Browser::launch(&LaunchOptions::default())?;
    let extension = browser.load_extension(&paths.extension())?;
    let mut vm = Vm::launch(&browser, &extension, launch, Console::default())?;
    wait_prompt(&mut vm, Deadline::after(Some(LIMIT))?)?;
    let result = work(&mut vm)?;
    browser.close()?;
    Ok(result)
}

fn output(terminal: &mut impl Terminal, command: &str) -> Result<String> {
    let outcome = exec(terminal, command, Deadline::after(Some(LIMIT))?)?;
    Ok(String::from_utf8_lossy(&outcome.output).into_owned())
}

/// The differential test: random code has to leave the same registers and memory in Chromium and in native QEMU.
fn random(paths: &Paths, images: &Images, launch: &Launch, flags: &EngineTest) -> Result<Counts> {
    let mut native = NativeVm::launch(paths, launch, &images.guest)?;
    wait_prompt(&mut native, Deadline::after(Some(LIMIT))?)?;
    let (seed, blocks) = (flags.seed.unwrap_or(1), flags.blocks.unwrap_or(2000));
    in_chromium(paths, launch, |vm| {
        let mut counts = Counts::default();
        for first in (0..blocks).step_by(CHUNK as usize) {
            let count = CHUNK.min(blocks - first);
            let command = format!("/check/difftest {seed} {count} first={first}");
            let (ours, reference) = (output(vm, &command)?, output(&mut native, &command)?);
            ensure!(
                reference.lines().count() == count as usize,
                "{command} failed in native QEMU: {reference}"
            );
            let mut ours = ours.lines();
            for line in reference.lines() {
                let same = ours.next() == Some(line);
                if !same {
                    println!(
                        "block {} of seed {seed} differs: qemu-wasm/check/difftest.mjs tells how",
                        line.split(' ').next().unwrap_or_default()
                    );
                }
                counts.add(same);
            }
        }
        Ok(counts)
    })
}

/// QEMU's own tests, as programs in the guest.
fn tcg(paths: &Paths, target: &str, launch: &Launch) -> Result<Counts> {
    let list = paths.root.join("qemu-wasm/check/tcg/exceptions.txt");
    let text = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let exceptions = exceptions(&text, target);
    in_chromium(paths, launch, |vm| {
        let names = output(vm, &format!("ls -1 /check/tcg/{target}"))?;
        let mut counts = Counts::default();
        for name in names.lines().filter(|name| !name.ends_with(".ref")) {
            if exceptions.contains(name) {
                continue;
            }
            let said = output(vm, &format!("/check/tcg/run.sh {target} {name}"))?;
            println!("{target} {}", said.trim_end());
            counts.add(said.starts_with("ok "));
        }
        Ok(counts)
    })
}

/// The names of a target's tests that cannot pass in a guest; those that are only slow are run.
fn exceptions<'a>(text: &'a str, target: &str) -> BTreeSet<&'a str> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (place, name, reason) = (words.next()?, words.next()?, words.next()?);
            ((place == "*" || place == target) && reason != "slow").then_some(name)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_of_one_target() {
        let text = "# x86_64 a comment\n*  everywhere why not\nx86_64 here a reason\naarch64 there another\n* later slow\n";
        assert_eq!(exceptions(text, "x86_64"), BTreeSet::from(["everywhere", "here"]));
    }
}
