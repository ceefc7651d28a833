//! Do the things boot that people bring? Each is started in Chromium as the panel does it, and has to say on its console what
//! it says on a real machine, or to be refused with a sentence that tells why.

mod table;

use std::path::Path;

use anyhow::{Result, bail, ensure};
use qemuweb_driver::{Browser, Extension, LaunchOptions};
use qemuweb_vm_config::BootFrom;

use crate::boot::{Launch, Vm};
use crate::build;
use crate::console::Console;
use crate::paths::Paths;
use crate::shell::{Deadline, Terminal as _, exec, wait_for, wait_prompt};
use crate::summary::Summary;

/// One thing that people bring, and what comes of it.
struct Boot {
    name: &'static str,
    profile: &'static str,
    /// Files of `qemu-wasm/check/boots`, as are those below.
    kernel: Option<&'static str>,
    initrd: Option<&'static str>,
    append: Option<&'static str>,
    disks: Vec<&'static str>,
    /// The internal snapshot that is the first disk.
    snapshot: Option<&'static str>,
    /// Whether the profile's kernel is started although there is a disk.
    is_beside_kernel: bool,
    memory_mib: Option<u32>,
    /// Seconds from the launch. Generous: a machine may have little time for us.
    limit: f64,
    steps: Vec<Step>,
}

/// What has to happen, one after the other.
#[derive(Clone, Copy)]
enum Step {
    /// The console says this.
    Says(&'static str),
    /// This is typed.
    Types(&'static str),
    /// A command at the shell's prompt, and what it prints.
    Runs(&'static str, &'static str),
    /// It does not start, or ends at once, for a reason with these words in it.
    IsRefused(&'static [&'static str]),
}

/// Boots everything whose name, `boots …`, is wanted.
pub(super) fn main(paths: &Paths, wanted: &dyn Fn(&str) -> bool, summary: &mut Summary) -> Result<()> {
    let boots: Vec<_> = table::boots()
        .into_iter()
        .filter(|boot| wanted(&boot.full_name()))
        .collect();
    if boots.is_empty() {
        return Ok(());
    }
    let images = build::boot_images(paths, "all")?;
    let mut browser = None;
    for boot in boots {
        let name = boot.full_name();
        println!("==== {name}");
        let (chromium, extension) = match browser.take() {
            Some(open) => open,
            None => open(paths)?,
        };
        let result = boot.run(&chromium, &extension, &images);
        // What follows a failure has a browser of its own.
        if result.is_ok() {
            browser = Some((chromium, extension));
        }
        summary.add_one(&name, &result);
    }
    Ok(())
}

fn open(paths: &Paths) -> Result<(Browser, Extension)> {
    let browser = Browser::launch(&LaunchOptions::default())?;
    let extension = browser.load_extension(&paths.extension())?;
    Ok((browser, extension))
}

impl Boot {
    fn full_name(&self) -> String {
        format!("boots {}", self.name)
    }

    fn launch(&self, images: &Path) -> Result<Launch> {
        let mut launch = Launch::profile(self.profile);
        launch.overrides.memory_mib = self.memory_mib;
        launch.overrides.boot_from = self.is_beside_kernel.then_some(BootFrom::Kernel);
        launch.inputs.kernel_cmdline = self.append.map(str::to_owned);
        launch.inputs.kernel = self
            .kernel
            .map(|file| launch.attach(&images.join(file)))
            .transpose()?;
        launch.inputs.initrd = self
            .initrd
            .map(|file| launch.attach(&images.join(file)))
            .transpose()?;
        for disk in &self.disks {
            launch.attach_disk(&images.join(disk), None, self.snapshot.map(str::to_owned))?;
        }
        Ok(launch)
    }

    fn run(&self, browser: &Browser, extension: &Extension, images: &Path) -> Result<()> {
        let launch = self.launch(images)?;
        if let [Step::IsRefused(words)] = self.steps[..] {
            return refused(browser, extension, &launch, words, self.limit);
        }
        let mut vm = Vm::launch(browser, extension, &launch, Console::default())?;
        let result = self.follow(&mut vm);
        if result.is_err() {
            println!("{}", vm.console().tail(25));
        }
        println!("{:.1} s", vm.launched.elapsed().as_secs_f64());
        result.and_then(|()| vm.close(browser))
    }

    /// Goes through the steps.
    fn follow(&self, vm: &mut Vm) -> Result<()> {
        let deadline = Deadline::after(Some(self.limit))?;
        for step in &self.steps {
            match step {
                // Firmware puts the cursor where it is already, between one letter and the next.
                Step::Says(text) => wait_for(vm, deadline, &format!("{text:?}"), |console| {
                    console.tail(usize::MAX).contains(text).then_some(())
                })?,
                Step::Types(text) => vm.send(text.as_bytes())?,
                Step::Runs(command, expected) => {
                    wait_prompt(vm, deadline)?;
                    let outcome = exec(vm, command, deadline)?;
                    let printed = String::from_utf8_lossy(&outcome.output);
                    ensure!(
                        printed.trim_end() == *expected && outcome.status == 0,
                        "`{command}` printed {printed:?} with status {}, expected {expected:?}",
                        outcome.status
                    );
                }
                Step::IsRefused(_) => bail!("a machine that is refused does nothing else"),
            }
        }
        Ok(())
    }
}

/// Demands that the launch fails, or that the VM ends by itself, with a reason that has all these words.
fn refused(
    browser: &Browser,
    extension: &Extension,
    launch: &Launch,
    words: &[&str],
    limit: f64,
) -> Result<()> {
    let reason = match Vm::launch(browser, extension, launch, Console::default()) {
        Err(error) => format!("{error:#}"),
        Ok(mut vm) => {
            let why = vm.wait_end(Deadline::after(Some(limit))?)?;
            ensure!(vm.has_crashed(), "it was started, and ended in good order: {why}");
            why
        }
    };
    println!("{reason}");
    let missing = words.iter().find(|word| !reason.contains(**word));
    missing.map_or(Ok(()), |word| bail!("the reason does not say {word:?}: {reason}"))
}
