//! Do UEFI variables last? A machine whose disk has nothing to start ends in the firmware's shell, where variables are set and
//! asked for, run after run, each of which ends in another way.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use qemuweb_driver::{Browser, Extension, LaunchOptions};
use qemuweb_vm_config::{BootFrom, Firmware, NetMode, VmOverrides};

use crate::boot::{Launch, Page, Vm};
use crate::console::Console;
use crate::paths::Paths;
use crate::shell::{Deadline, Happened, Terminal as _, wait_for};
use crate::summary::Summary;

/// Seconds for the firmware to start its shell, and for a command there. Generous: a machine may have little time for us.
const LIMIT: f64 = 120.0;
/// Longer than the VM's Worker takes to find a change (`background/src/vm_worker/variables.rs`).
const FOUND: Duration = Duration::from_secs(6);
/// What sets the variable, with more behind it, or shows it.
const VARIABLE: &str = "setvar Kept -guid 8f2a4b1c-0001-4000-8000-000000000001";

/// How a run ends.
#[derive(Clone, Copy)]
enum End {
    PowerCut,
    Shutdown,
    BrowserCloses,
}

/// The ends in turn, and what the variable is set to before. Its letters have codes without letters.
const RUNS: [(End, &str); 3] = [
    (End::PowerCut, "cut"),
    (End::Shutdown, "quit"),
    (End::BrowserCloses, "exit"),
];

/// Tests the machines whose names, `variables …`, are wanted.
pub(super) fn main(paths: &Paths, wanted: &dyn Fn(&str) -> bool, summary: &mut Summary) {
    for profile in ["linux-x86_64-pc-nographic", "linux-aarch64-virt-nographic"] {
        let name = format!("variables {profile}");
        if wanted(&name) {
            println!("==== {name}");
            summary.add_one(&name, &last(paths, profile));
        }
    }
}

/// A browser whose user data outlives it.
struct Home<'a> {
    paths: &'a Paths,
    user_data: &'a Path,
}

impl Home<'_> {
    fn open(&self) -> Result<(Browser, Extension)> {
        let browser = Browser::launch(&LaunchOptions {
            profile: Some(self.user_data.to_owned()),
            ..LaunchOptions::default()
        })?;
        let extension = browser.load_extension(&self.paths.extension())?;
        Ok((browser, extension))
    }
}

fn last(paths: &Paths, profile: &str) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("qemuweb-variables-").tempdir()?;
    let disk = folder.path().join("nothing.img");
    fs::write(&disk, disk_without_system())?;
    let mut launch = Launch::profile(profile);
    launch.attach_disk(&disk, None, None)?;
    launch.overrides = VmOverrides {
        firmware: Some(Firmware::Uefi),
        boot_from: Some(BootFrom::Disk),
        // The firmware would try to start from it.
        net: Some(NetMode::None),
        ..VmOverrides::default()
    };
    let home = Home {
        paths,
        user_data: &folder.path().join("browser"),
    };
    let mut open = home.open()?;
    let mut before = None;
    for (end, value) in RUNS {
        let (browser, extension) = &open;
        let mut vm = start(browser, extension, &launch)?;
        let lasted = shell(&mut vm).and_then(|()| match before {
            Some(before) => shows(&mut vm, before),
            None => Ok(()),
        });
        let set = lasted.and_then(|()| {
            vm.send(format!("{VARIABLE} -nv -bs =L\"{value}\"\r").as_bytes())?;
            shows(&mut vm, value)
        });
        if let Err(error) = set {
            println!("{}", vm.console().tail(25));
            return Err(error);
        }
        println!("{value}: set after {:.1} s", vm.launched.elapsed().as_secs_f64());
        match end {
            End::PowerCut => vm.force_stop()?,
            End::Shutdown => {
                vm.send(b"reset -s\r")?;
                vm.wait_end(Deadline::after(Some(LIMIT))?)?;
            }
            End::BrowserCloses => {
                let waited = std::time::Instant::now();
                while waited.elapsed() < FOUND {
                    if let Happened::Ended(why) = vm.wait(Duration::from_secs(1))? {
                        bail!("it ended by itself: {why}");
                    }
                }
                open.0.close()?;
                open = home.open()?;
            }
        }
        before = Some(value);
    }
    let mut vm = start(&open.0, &open.1, &launch)?;
    shell(&mut vm)?;
    before.map_or(Ok(()), |before| shows(&mut vm, before))?;
    vm.close(&open.0)?;
    open.0.close()
}

/// A disk with an MBR whose one partition is for UEFI, with nothing in it.
fn disk_without_system() -> Vec<u8> {
    /// The partition's entry (UEFI specification, 5.2.1): its type, and the numbers of its first sector and of all its sectors.
    const ENTRY: [u8; 16] = [0, 0, 2, 0, 0xef, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 7, 0, 0];
    let mut disk = vec![0; 2048 * 512];
    disk[446..462].copy_from_slice(&ENTRY);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk
}

/// Starts the one machine that the test has, anew or again.
fn start(browser: &Browser, extension: &Extension, launch: &Launch) -> Result<Vm> {
    let page = Page::open(browser, extension)?;
    Vm::launch_as("variables", page, launch, Console::default())
}

/// The firmware's shell, at its prompt.
fn shell(vm: &mut Vm) -> Result<()> {
    says(vm, "Press ")?;
    vm.send(b"\x1b")?;
    says(vm, "Shell> ")
}

/// Has the shell show the variable, as bytes in UTF-16, which have to be this text's.
fn shows(vm: &mut Vm, value: &str) -> Result<()> {
    vm.send(format!("{VARIABLE}\r").as_bytes())?;
    let bytes: Vec<_> = value.bytes().map(|byte| format!("{byte:02x} 00")).collect();
    says(vm, &bytes.join(" "))
}

fn says(vm: &mut Vm, text: &str) -> Result<()> {
    let deadline = Deadline::after(Some(LIMIT))?;
    // Firmware puts the cursor where it is already, between one letter and the next.
    wait_for(vm, deadline, &format!("{text:?}"), |console| {
        console.tail(usize::MAX).contains(text).then_some(())
    })
}
