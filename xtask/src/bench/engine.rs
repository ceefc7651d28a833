//! `cargo xtask bench engine`: a benchmark that runs in guests (`qemu-wasm/check/bench`), and boots.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use qemuweb_vm_config::{Arch, InputSource};

use super::{BOOT_LIMIT, PROFILES, Row, Section, Subject, boot_row, finish, start_browser};
use crate::boot::{Launch, Vm};
use crate::build::{self, Images};
use crate::console::Console;
use crate::flags::Engine;
use crate::native::NativeVm;
use crate::paths::Paths;
use crate::setup::Needs;
use crate::shell::{Deadline, Terminal, exec, wait_prompt};

/// Seconds that one command in a guest may take.
const ROW_LIMIT: f64 = 900.0;
/// How long each row is measured at least, in milliseconds; the best of its passes counts, by when the browser's optimizing
/// compiler has done its part.
const DEFAULT_MS: u32 = 3000;
/// Debian's kernel of the package `linux-image-cloud-amd64`, started by firmware as it comes.
const CLOUD_ROW: &str = "boot debian-cloud x86_64";

const SECTION: Section = Section {
    name: "engine",
    title: "Engine",
    about: "Written by `cargo xtask bench engine --save`. Rows in ns are a guest program's (`qemu-wasm/check/bench`): nanoseconds for
one operation, the best of several passes, three seconds in all (two tenths of one before 2026-11-26 12:48), in
Chromium and in Debian's native QEMU under TCG with the same kernel, initramfs and machine;
both have to compute the same. Boots run from launch to the guest's first line from userspace, since 2026-11-26 22:40 in a
browser that was started four seconds before, and since 2026-11-27 with QemuWeb's page open in it, as a person has it who is about
to press the button.",
};

/// What one guest said about one row.
#[derive(Clone, Debug, PartialEq)]
struct Measured {
    row: String,
    nanoseconds: f64,
    /// Differs when the engine computed something else.
    checksum: String,
}

pub(super) fn main(flags: &Engine) -> Result<()> {
    let paths = build::everything(&Needs::run(), &Arch::ALL)?;
    let images = build::cached_images(&paths, &Arch::ALL)?;
    let subject = Subject::of(&paths, &images)?;
    let check = build::check_images(&paths)?;
    let wanted = |row: &str| flags.only.as_deref().is_none_or(|only| row.contains(only));

    let mut rows = Vec::new();
    for (arch, profile) in PROFILES {
        let mut launch = Launch::profile(profile);
        launch.inputs.initrd = Some(launch.attach(&check.join(arch).join("initramfs.cpio"))?);
        let wanted = |row: &str| wanted(&format!("{arch} {row}"));
        rows.extend(
            guest_rows(&paths, &images, &launch, flags.ms.unwrap_or(DEFAULT_MS), wanted)?
                .into_iter()
                .map(|row| Row {
                    name: format!("{arch} {}", row.name),
                    ..row
                }),
        );
    }
    for (arch, profile) in PROFILES {
        let name = format!("boot {arch}");
        if wanted(&name) {
            rows.push(boot_row(name, &paths, &images, &Launch::profile(profile))?);
        }
    }
    if wanted(CLOUD_ROW) {
        let launch = cloud_launch(&check.join("x86_64/debian-cloud"))?;
        rows.push(boot_row(CLOUD_ROW.to_owned(), &paths, &images, &launch)?);
    }
    ensure!(
        !rows.is_empty(),
        "no row has {:?} in its name",
        flags.only.as_deref().unwrap_or_default()
    );
    finish(&paths, &subject, &SECTION, &rows, flags.json, flags.save)
}

fn cloud_launch(images: &Path) -> Result<Launch> {
    let mut launch = Launch::profile(PROFILES[0].1);
    let mut attach =
        |file: &str| -> Result<Option<InputSource>> { Ok(Some(launch.attach(&images.join(file))?)) };
    let (kernel, initrd) = (attach("vmlinuz")?, attach("initramfs.cpio")?);
    launch.inputs.kernel = kernel;
    launch.inputs.initrd = initrd;
    Ok(launch)
}

/// Measures in Chromium, then natively, so that neither disturbs the other.
fn guest_rows(
    paths: &Paths,
    images: &Images,
    launch: &Launch,
    ms: u32,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Row>> {
    // Native QEMU tells the names of the rows, so that Chromium is only started for rows that there are.
    let mut vm = NativeVm::launch(paths, launch, &images.guest)?;
    let commands = commands(&mut vm, wanted)?;
    drop(vm);
    if commands.is_empty() {
        return Ok(Vec::new());
    }
    eprintln!("measuring {} in Chromium", launch.profile);
    let (browser, extension) = start_browser(paths)?;
    let mut vm = Vm::launch(&browser, &extension, launch, Console::default())?;
    let ours = measure(&mut vm, &commands, ms)?;
    browser.close()?;
    eprintln!("measuring {} in native QEMU", launch.profile);
    let reference = measure(
        &mut NativeVm::launch(paths, launch, &images.guest)?,
        &commands,
        ms,
    )?;
    compare(&ours, &reference)
}

/// The rows that are wanted, as arguments of the program: one run for each, but one for all that are about new code.
fn commands(terminal: &mut impl Terminal, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    wait_prompt(terminal, Deadline::after(Some(BOOT_LIMIT))?)?;
    let list = in_guest(terminal, "/check/bench list")?;
    let (new, mut commands): (Vec<_>, Vec<_>) = list
        .lines()
        .filter(|row| wanted(row))
        .map(str::to_owned)
        .partition(|row| row.starts_with("cold-") || row.starts_with("functions-"));
    commands.extend((!new.is_empty()).then(|| new.join(" ")));
    Ok(commands)
}

fn measure(terminal: &mut impl Terminal, commands: &[String], ms: u32) -> Result<Vec<Measured>> {
    wait_prompt(terminal, Deadline::after(Some(BOOT_LIMIT))?)?;
    let mut measured = Vec::new();
    for command in commands {
        let output = in_guest(terminal, &format!("/check/bench ms={ms} {command}"))?;
        for line in output.lines() {
            let row = parse(line).with_context(|| format!("the benchmark printed {line:?}"))?;
            eprintln!("  {}: {} ns", row.row, row.nanoseconds);
            measured.push(row);
        }
    }
    Ok(measured)
}

fn in_guest(terminal: &mut impl Terminal, command: &str) -> Result<String> {
    let outcome = exec(terminal, command, Deadline::after(Some(ROW_LIMIT))?)?;
    let output = String::from_utf8_lossy(&outcome.output).into_owned();
    ensure!(
        outcome.status == 0,
        "{command} failed in the guest with status {}: {output}",
        outcome.status
    );
    Ok(output)
}

/// A line such as `hot-block 1.750 e8eacb587471a96c`.
fn parse(line: &str) -> Option<Measured> {
    let mut words = line.split(' ');
    let measured = Measured {
        row: words.next()?.to_owned(),
        nanoseconds: words.next()?.parse().ok()?,
        checksum: words.next()?.to_owned(),
    };
    words.next().is_none().then_some(measured)
}

/// A wrong engine can be fast: figures count only where both computed the same.
fn compare(ours: &[Measured], reference: &[Measured]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (ours, reference) in ours.iter().zip(reference) {
        if (&ours.row, &ours.checksum) != (&reference.row, &reference.checksum) {
            bail!(
                "our engine computes something else: {} gave {}, and in native QEMU {} gave {}",
                ours.row,
                ours.checksum,
                reference.row,
                reference.checksum
            );
        }
        rows.push(Row {
            name: ours.row.clone(),
            unit: "ns",
            ours: ours.nanoseconds,
            reference: Some(reference.nanoseconds),
        });
    }
    ensure!(
        ours.len() == reference.len(),
        "the two guests printed different numbers of rows"
    );
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_results_are_compared() {
        let line = |text| parse(text).unwrap();
        let reference = [line("hot-block 2.000 00ff"), line("syscall 400.5 0001")];
        let ours = [line("hot-block 3.000 00ff"), line("syscall 801 0001")];
        let rows = compare(&ours, &reference).unwrap();
        assert_eq!(rows[0].ratio(), Some(1.5));
        assert_eq!(rows[1].ratio(), Some(2.0));
        let wrong = [line("hot-block 0.001 00fe"), line("syscall 801 0001")];
        assert!(
            compare(&wrong, &reference)
                .unwrap_err()
                .to_string()
                .contains("00fe")
        );
        assert!(compare(&ours[..1], &reference).is_err());
        for text in ["", "hot-block", "hot-block x 1", "a 1.0 00ff more"] {
            assert_eq!(parse(text), None);
        }
    }
}
