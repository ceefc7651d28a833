//! `cargo xtask run`: the extension in a real Chromium; with a window and the panel, or headless with a VM whose
//! console is ours.
//!
//! Exit status of a headless run: that of the command in the guest; 124 when `--timeout` has passed; 125 when the run
//! itself failed; 0 when the VM ended in an orderly way or `--until` was met.

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use qemuweb_driver::{Browser, Extension, LaunchOptions, format_log};
use qemuweb_vm_config::{
    Arch, DEFAULT_PROFILE_ID, Firmware, Media, default_profiles, find_profile, infrastructure_profiles,
};
use serde_json::{Value, json};

use crate::boot::{Launch, Vm, complaints};
use crate::build;
use crate::console::Console;
use crate::flags::Run;
use crate::setup::Needs;
use crate::shell::{Deadline, Happened, Outcome, Terminal, TimedOut, exec, wait_for, wait_prompt};

/// As of `timeout(1)`.
const TIMED_OUT: u8 = 124;
const FAILED: u8 = 125;

pub(crate) fn main(flags: &Run) -> ExitCode {
    let result = launch(flags).and_then(|launch| {
        if is_headless(flags) {
            headless(flags, &launch)
        } else {
            headed(&launch)
        }
    });
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<TimedOut>() { TIMED_OUT } else { FAILED })
        }
    }
}

fn is_headless(flags: &Run) -> bool {
    flags.headless || flags.exec.is_some() || flags.until.is_some() || flags.json
}

/// What the flags ask to boot.
fn launch(flags: &Run) -> Result<Launch> {
    let media = [&flags.disk, &flags.floppy, &flags.cdrom];
    let own_images = flags.kernel.is_some() || media.iter().any(|files| !files.is_empty());
    let profile = match (&flags.profile, flags.arch.as_deref()) {
        (Some(id), None) => id.clone(),
        (Some(id), Some(arch)) => {
            let profile = find_profile(id).with_context(|| unknown_profile(id))?;
            if profile.arch.as_str() != arch {
                bail!(
                    "the profile {id} is for {}, not for {arch}: leave out --arch, or --profile",
                    profile.arch
                );
            }
            id.clone()
        }
        (None, Some("aarch64")) => "linux-aarch64-virt-nographic".to_owned(),
        (None, Some("x86_64") | None) if own_images => "linux-x86_64-pc-nographic".to_owned(),
        (None, Some("x86_64") | None) => DEFAULT_PROFILE_ID.to_owned(),
        (None, Some(arch)) => bail!(
            "unknown architecture {arch}: use {} or {}",
            Arch::X86_64,
            Arch::Aarch64
        ),
    };
    if find_profile(&profile).is_none() {
        bail!(unknown_profile(&profile));
    }
    let mut launch = Launch::profile(&profile);
    launch.overrides.memory_mib = flags.memory;
    launch.overrides.smp = flags.smp;
    launch.inputs.kernel_cmdline = flags.append.clone();
    launch.inputs.kernel = flags
        .kernel
        .as_deref()
        .map(|file| launch.attach(file))
        .transpose()?;
    launch.inputs.initrd = flags
        .initrd
        .as_deref()
        .map(|file| launch.attach(file))
        .transpose()?;
    launch.overrides.cpu = flags.cpu.clone();
    launch.overrides.firmware = match flags.firmware.as_deref() {
        None => None,
        Some("bios") => Some(Firmware::Bios),
        Some("uefi") => Some(Firmware::Uefi),
        Some(other) => bail!("unknown firmware {other}: use bios or uefi"),
    };
    // What can be taken out starts first.
    for (files, media) in [
        (&flags.floppy, Some(Media::Floppy)),
        (&flags.cdrom, Some(Media::Cdrom)),
        (&flags.disk, None),
    ] {
        for (number, file) in files.iter().enumerate() {
            let snapshot = flags.snapshot.clone().filter(|_| media.is_none() && number == 0);
            launch.attach_disk(file, media, snapshot)?;
        }
    }
    Ok(launch)
}

fn unknown_profile(id: &str) -> String {
    let known: Vec<String> = default_profiles()
        .into_iter()
        .chain(infrastructure_profiles())
        .map(|profile| profile.id)
        .collect();
    format!("unknown profile {id}: known are {}", known.join(", "))
}

fn headless(flags: &Run, launch: &Launch) -> Result<u8> {
    let paths = build::everything(&Needs::run(), &[launch.arch()?])?;
    let browser = Browser::launch(&LaunchOptions::default())?;
    let extension = browser.load_extension(&paths.extension())?;
    // Standard output is for the result: that of the command, the JSON object, or else the console itself.
    let console = if flags.exec.is_some() || flags.json {
        Console::with_sink(io::stderr())
    } else {
        Console::with_sink(io::stdout())
    };
    let result = follow(flags, launch, &browser, &extension, console);
    if let Err(error) = &result
        && !error.is::<TimedOut>()
    {
        eprint!("{}", complaints(&browser.log()));
    }
    let _ = browser.close();
    result
}

/// Launches the VM and does with it what the flags say.
fn follow(
    flags: &Run,
    launch: &Launch,
    browser: &Browser,
    extension: &Extension,
    console: Console,
) -> Result<u8> {
    let mut vm = Vm::launch(browser, extension, launch, console)?;
    let deadline = Deadline::after(flags.timeout)?;
    let since_launch = |vm: &Vm| vm.launched.elapsed().as_secs_f64() * 1000.0;
    let mut times = Vec::new();
    if let Some(text) = &flags.until {
        let what = format!("{text:?} on the console");
        wait_for(&mut vm, deadline, &what, |console| {
            console.find(0, text.as_bytes())
        })?;
        times.push(("until", since_launch(&vm)));
    }
    let mut outcome = None;
    if let Some(command) = &flags.exec {
        wait_prompt(&mut vm, deadline)?;
        times.push(("prompt", since_launch(&vm)));
        let ran = exec(&mut vm, command, deadline)?;
        times.push(("command", since_launch(&vm)));
        // The console went there too; end its last line.
        eprintln!();
        if !flags.json {
            io::stdout().write_all(&ran.output)?;
            io::stdout().flush()?;
        }
        outcome = Some(ran);
    } else if flags.until.is_none() {
        until_the_end(&mut vm, deadline)?;
    }
    if flags.json {
        println!("{}", report(&vm, launch, outcome.as_ref(), &times)?);
    }
    Ok(outcome.map_or(0, |outcome| outcome.status))
}

/// Follows the console, and types on it what comes from our standard input, until the VM has ended by itself.
fn until_the_end(vm: &mut Vm, deadline: Deadline) -> Result<()> {
    let typed = standard_input();
    loop {
        for bytes in typed.try_iter() {
            vm.send(&bytes)?;
        }
        if let Happened::Ended(why) = vm.wait(deadline.at_most(Duration::from_millis(100)))? {
            eprintln!("\n{why}");
            if vm.has_crashed() {
                bail!("the VM crashed");
            }
            return Ok(());
        }
        deadline.check("the VM to end")?;
    }
}

/// What comes on standard input, as it comes; nothing more after its end.
fn standard_input() -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = io::stdin().read(&mut buffer) {
            if sender.send(buffer[..read].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

fn report(vm: &Vm, launch: &Launch, outcome: Option<&Outcome>, times: &[(&str, f64)]) -> Result<Value> {
    let mut phases = vm.phases()?;
    for (name, time) in times {
        phases[name] = json!(time.round());
    }
    let mut report = json!({ "profile": launch.profile, "phasesMs": phases });
    if let Some(outcome) = outcome {
        report["status"] = outcome.status.into();
        report["output"] = String::from_utf8_lossy(&outcome.output).into();
    }
    Ok(report)
}

/// A page to open DevTools on.
const PAGE: &str = "data:text/html,<!doctype html><title>QemuWeb</title><p>The QemuWeb panel is in DevTools.";

fn headed(launch: &Launch) -> Result<u8> {
    if std::env::var_os("DISPLAY").is_none() && std::env::var_os("WAYLAND_DISPLAY").is_none() {
        bail!(
            "there is no display to open a window on ($DISPLAY and $WAYLAND_DISPLAY are not set). \
             `cargo xtask run --headless` boots the VM here and streams its console; \
             `--headless --exec 'uname -a'` runs a command in it"
        );
    }
    let paths = build::everything(&Needs::run(), &[launch.arch()?])?;
    let mut browser = Browser::launch(&LaunchOptions {
        headless: false,
        ..LaunchOptions::default()
    })?;
    let extension = browser.load_extension(&paths.extension())?;
    let page = browser.open_page(PAGE)?;
    let devtools = browser.open_devtools(&page)?;
    let panel = devtools.show_panel(&browser, &extension, "QemuWeb", "panel.html")?;
    let mut vm = if launch.is_default() {
        let button = "document.querySelector('[data-testid=launch-default]')";
        panel.wait_for(
            "the panel's button for the default VM",
            &format!("{button} !== null"),
            Duration::from_secs(30),
        )?;
        panel.evaluate(&format!("{button}.click()"))?;
        None
    } else {
        Some(Vm::launch(&browser, &extension, launch, Console::default())?)
    };
    eprintln!("Chromium is open; close its window to end.");
    while !browser.has_ended() {
        match &mut vm {
            // Keeps the tab's events from piling up.
            Some(vm) => drop(vm.wait(Duration::from_millis(500))),
            None => std::thread::sleep(Duration::from_millis(500)),
        }
    }
    let log = browser.log();
    if !log.is_empty() {
        eprint!("{}", format_log(&log));
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::flags::{Xtask, XtaskCmd};

    fn flags(arguments: &[&str]) -> Run {
        let arguments = ["run"].iter().chain(arguments).map(OsString::from).collect();
        match Xtask::from_vec(arguments).unwrap().subcommand {
            XtaskCmd::Run(flags) => flags,
            other => panic!("{other:?}"),
        }
    }

    fn profile(arguments: &[&str]) -> String {
        launch(&flags(arguments)).unwrap().profile
    }

    #[test]
    fn profiles_follow_from_the_flags() {
        assert_eq!(profile(&[]), "minimal-x86_64");
        assert_eq!(profile(&["--arch", "aarch64"]), "linux-aarch64-virt-nographic");
        assert_eq!(
            profile(&["--profile", "microvm-x86_64", "--arch", "x86_64"]),
            "microvm-x86_64"
        );
        assert_eq!(profile(&["--kernel", "Cargo.toml"]), "linux-x86_64-pc-nographic");
        for wrong in [
            &["--arch", "mips"][..],
            &["--profile", "no"],
            &["--profile", "minimal-x86_64", "--arch", "aarch64"],
        ] {
            assert!(launch(&flags(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn own_images_become_attachments() {
        let arguments = [
            "--kernel",
            "Cargo.toml",
            "--disk",
            "src/run.rs",
            "--disk",
            "src/main.rs",
            "--append",
            "x",
            "--memory",
            "64",
        ];
        let launch = launch(&flags(&arguments)).unwrap();
        assert_eq!(launch.files.len(), 3);
        assert_eq!(launch.overrides.memory_mib, Some(64));
        let inputs = serde_json::to_value(&launch.inputs).unwrap();
        assert_eq!(inputs["kernel"]["attachment"]["name"], "Cargo.toml");
        assert_eq!(inputs["disk"]["attachment"]["index"], 1);
        assert_eq!(inputs["additionalDisks"][0]["attachment"]["index"], 2);
        assert_eq!(inputs["kernelCmdline"], "x");
        let first = super::launch(&flags(&[
            "--disk",
            "src/run.rs",
            "--floppy",
            "Cargo.toml",
            "--firmware",
            "bios",
        ]))
        .unwrap();
        let inputs = serde_json::to_value(&first.inputs).unwrap();
        assert_eq!(
            (&inputs["disk"]["media"], &inputs["additionalDisks"][0]["media"]),
            (&json!("floppy"), &Value::Null)
        );
        assert!(super::launch(&flags(&["--firmware", "coreboot"])).is_err());
        assert!(!launch.is_default() && is_headless(&flags(&["--json"])));
        let missing = super::launch(&flags(&["--kernel", "/nonexistent"]))
            .err()
            .unwrap();
        assert!(format!("{missing:#}").contains("/nonexistent"));
    }
}
