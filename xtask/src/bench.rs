//! `cargo xtask bench`: measurements against native QEMU in the same run, as a table or one JSON object.

mod capture;
mod disk;
mod engine;
mod panel;
mod redact;

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use qemuweb_driver::{Browser, Extension, LaunchOptions};
use qemuweb_vm_config::{Arch, VmOverrides};
use serde_json::{Value, json};

use crate::boot::{Launch, Page, Vm};
use crate::build::{self, Images};
use crate::console::Console;
use crate::flags::{Bench, BenchCmd, Boot};
use crate::native::{self, NativeVm};
use crate::paths::Paths;
use crate::setup::Needs;
use crate::shell::{Deadline, Terminal, wait_for, wait_prompt};
use crate::{package, process, procfs};

/// The line with which a built-in guest's userspace says that it is there.
const BANNER: &[u8] = b"Welcome to QemuWeb";
/// The profiles that are compared, one an architecture.
const PROFILES: [(&str, &str); 2] = [
    ("x86_64", "linux-x86_64-pc-nographic"),
    ("aarch64", "linux-aarch64-virt-nographic"),
];
/// Seconds a boot may take.
const BOOT_LIMIT: f64 = 600.0;
/// How long a browser with QemuWeb's page has to settle before a VM is launched: when it has just started, it loads pages of
/// its own, which takes a second of processor time. A person clicks later.
const BROWSER_SETTLE: Duration = Duration::from_secs(4);
/// How long a guest has to settle before its idleness is measured, and how long that takes.
const SETTLE: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(20);

/// One line of the table.
#[derive(Debug)]
struct Row {
    name: String,
    unit: &'static str,
    ours: f64,
    reference: Option<f64>,
    /// The least and the most of what was measured, of both, where it was measured several times.
    spread: Option<[(f64, f64); 2]>,
}

impl Row {
    /// Ours over the reference for times and sizes, the reference over ours for rates: lower is better.
    fn ratio(&self) -> Option<f64> {
        let reference = self.reference?;
        match self.unit {
            "s" | "ms" | "µs" | "ns" | "MB" | "bytes" => Some(self.ours / reference),
            "MB/s" => Some(reference / self.ours),
            _ => None,
        }
    }
}

pub(crate) fn main(flags: &Bench) -> Result<()> {
    match &flags.subcommand {
        BenchCmd::Boot(flags) => boot(flags),
        BenchCmd::Capture(flags) => capture::main(flags),
        BenchCmd::Disk(flags) => disk::main(flags),
        BenchCmd::Engine(flags) => engine::main(flags),
        BenchCmd::Panel(flags) => panel::main(flags),
    }
}

fn boot(flags: &Boot) -> Result<()> {
    let paths = build::everything(&Needs::run(), &Arch::ALL)?;
    let images = build::cached_images(&paths, &Arch::ALL)?;
    let subject = Subject::of(&paths, &images)?;
    let mut rows = Vec::new();
    for (arch, profile) in PROFILES {
        rows.push(boot_row(
            format!("boot {arch}"),
            &paths,
            &images,
            &Launch::profile(profile),
        )?);
    }
    rows.extend(idle(&paths, &images)?);
    let (_, size) = package::write(&paths.extension(), &paths.target)?;
    rows.push(Row {
        name: "package size".into(),
        unit: "MiB",
        ours: mib(size),
        reference: None,
        spread: None,
    });

    finish(&paths, &subject, &BOOT, &rows, flags.json, flags.save)
}

/// What is measured. Asked for first, as the repository may move on during a long run.
struct Subject {
    /// The commit.
    commit: String,
    /// The name of QEMU's output in the cache: the hash of its recipe.
    qemu: String,
}

impl Subject {
    fn of(paths: &Paths, images: &Images) -> Result<Self> {
        let mut git = Command::new("git");
        git.args(["rev-parse", "--short", "HEAD"])
            .current_dir(&paths.root);
        Ok(Subject {
            commit: process::output(&mut git)?,
            qemu: images
                .qemu
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        })
    }
}

/// Prints the results, and keeps them if asked to.
fn finish(
    paths: &Paths,
    subject: &Subject,
    section: &Section,
    rows: &[Row],
    json: bool,
    keep: bool,
) -> Result<()> {
    print(section, rows, json);
    if keep {
        save(paths, subject, section, rows)
    } else {
        Ok(())
    }
}

fn print(section: &Section, rows: &[Row], json: bool) {
    if json {
        println!("{}", as_json(section.name, rows));
    } else {
        print!("{}", as_table(rows));
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn start_browser(paths: &Paths) -> Result<(Browser, Extension)> {
    let browser = Browser::launch(&LaunchOptions::default())?;
    let extension = browser.load_extension(&paths.extension())?;
    Ok((browser, extension))
}

/// From launch to the guest's banner, in Chromium and natively.
fn boot_row(name: String, paths: &Paths, images: &Images, launch: &Launch) -> Result<Row> {
    Ok(Row {
        name,
        unit: "s",
        ours: boot_seconds_in_chromium(paths, launch)?,
        reference: Some(boot_seconds_natively(paths, images, launch)?),
        spread: None,
    })
}

fn boot_seconds_in_chromium(paths: &Paths, launch: &Launch) -> Result<f64> {
    eprintln!("booting {} in Chromium", launch.profile);
    let (browser, extension) = start_browser(paths)?;
    let page = Page::open(&browser, &extension)?;
    page.prepare(launch)?;
    std::thread::sleep(BROWSER_SETTLE);
    let mut vm = Vm::launch_from(page, launch, Console::default())?;
    wait_for_banner(&mut vm)?;
    let seconds = vm.launched.elapsed().as_secs_f64();
    eprintln!("  milliseconds to the end of each phase: {}", vm.phases()?);
    browser.close()?;
    Ok(seconds)
}

fn boot_seconds_natively(paths: &Paths, images: &Images, launch: &Launch) -> Result<f64> {
    // Native QEMU lets Debian's kernel crash at times (7.2 in do_sync_core).
    const TRIES: usize = 3;
    let mut result = Ok(0.0);
    for _ in 0..TRIES {
        eprintln!("booting {} in native QEMU", launch.profile);
        let mut vm = NativeVm::launch(paths, launch, &images.guest)?;
        result = wait_for_banner(&mut vm).map(|()| vm.launched.elapsed().as_secs_f64());
        if result.is_ok() {
            break;
        }
    }
    result
}

fn wait_for_banner(terminal: &mut impl Terminal) -> Result<()> {
    let deadline = Deadline::after(Some(BOOT_LIMIT))?;
    let greeted = wait_for(terminal, deadline, "the guest's banner", |console| {
        let found = |text: &[u8]| console.find(0, text).is_some();
        (found(BANNER) || found(b"Kernel panic")).then(|| found(BANNER))
    })?;
    if !greeted {
        bail!("the guest's kernel gave up:\n{}", terminal.console().tail(30));
    }
    Ok(())
}

/// Memory and processor use of one idle VM with 256 MiB, in the browser and natively.
fn idle(paths: &Paths, images: &Images) -> Result<[Row; 2]> {
    eprintln!("watching idle VMs of 256 MiB for {} s each", IDLE.as_secs());
    let (_, profile) = PROFILES[0];
    let overrides = VmOverrides {
        memory_mib: Some(256),
        ..VmOverrides::default()
    };
    let deadline = Deadline::after(Some(BOOT_LIMIT))?;

    let (browser, extension) = start_browser(paths)?;
    let launch = Launch {
        overrides,
        ..Launch::profile(profile)
    };
    let mut vm = Vm::launch(&browser, &extension, &launch, Console::default())?;
    wait_prompt(&mut vm, deadline)?;
    std::thread::sleep(SETTLE);
    let processes = procfs::tree(browser.pid())?;
    let cpu = procfs::cpu_percent(&procfs::extension_renderers(&processes), IDLE);
    let memory = procfs::pss_mib(&processes);
    vm.force_stop()?;
    browser.close()?;

    let mut vm = NativeVm::launch(paths, &launch, &images.guest)?;
    wait_prompt(&mut vm, deadline)?;
    std::thread::sleep(SETTLE);
    let native_cpu = procfs::cpu_percent(&[vm.pid()], IDLE);
    let native_memory = procfs::pss_mib(&[vm.pid()]);

    Ok([
        Row {
            name: "idle cpu percent".into(),
            unit: "% of a core",
            ours: cpu,
            reference: Some(native_cpu),
            spread: None,
        },
        Row {
            name: "rss 256 MiB idle".into(),
            unit: "MiB",
            ours: memory,
            reference: Some(native_memory),
            spread: None,
        },
    ])
}

/// The geometric mean of the ratios; `None` when there is none.
fn geomean_ratio(rows: &[Row]) -> Option<f64> {
    let logs: Vec<f64> = rows.iter().filter_map(Row::ratio).map(f64::ln).collect();
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}

fn as_json(name: &str, rows: &[Row]) -> Value {
    let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
    let rows_json: Vec<Value> = rows
        .iter()
        .map(|row| {
            let mut json = json!({
                "row": row.name, "unit": row.unit, "ours": rounded(row.ours),
                "reference": row.reference.map(rounded), "ratio": row.ratio().map(rounded),
            });
            if let Some(spread) = row.spread {
                let [ours, reference] = spread.map(|(least, most)| [rounded(least), rounded(most)]);
                json["spread"] = json!({ "ours": ours, "reference": reference });
            }
            json
        })
        .collect();
    json!({ "name": name, "rows": rows_json, "geomean_ratio": geomean_ratio(rows).map(rounded) })
}

fn as_table(rows: &[Row]) -> String {
    let cell = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.2}"));
    let among = |spread: Option<(f64, f64)>| {
        spread.map_or_else(String::new, |(least, most)| format!(" ({least:.2} to {most:.2})"))
    };
    let mut table = String::from("| row | unit | QemuWeb | reference | ratio |\n|---|---|---:|---:|---:|\n");
    for row in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| {} | {} | {:.2}{} | {}{} | {} |",
            row.name,
            row.unit,
            row.ours,
            among(row.spread.map(|[ours, _]| ours)),
            cell(row.reference),
            among(row.spread.map(|[_, reference]| reference)),
            cell(row.ratio())
        );
    }
    if let Some(mean) = geomean_ratio(rows) {
        let _ = writeln!(table, "| geometric mean | | | | {mean:.2} |");
    }
    table
}

/// A kind of measurement: its section in `docs/benchmarks.md`.
struct Section {
    /// As in `--json`.
    name: &'static str,
    /// The section's heading.
    title: &'static str,
    /// What is measured, and how.
    about: &'static str,
}

const BOOT: Section = Section {
    name: "boot",
    title: "Boot",
    about: "Written by `cargo xtask bench boot --save`. Boot times run from launch to the guest's banner, in Chromium and in
Debian's native QEMU under TCG with the same kernel, initramfs and machine; since 2026-11-27 with QemuWeb's page open in
Chromium for four seconds before. Memory is the proportional set size summed
over all processes of the browser; processor use that of the extension's renderer processes, QEMU's worker threads
included.",
};

const HEADING: &str = "# Benchmarks

Only figures of real runs, the latest of a section first. Ratios are ours over the reference's, which is native QEMU where nothing
else is said: lower is better.
";

/// Adds the results to `docs/benchmarks.md`, with the machine and the versions that gave them.
fn save(paths: &Paths, subject: &Subject, section: &Section, rows: &[Row]) -> Result<()> {
    let file = paths.root.join("docs/benchmarks.md");
    let text = fs::read_to_string(&file).unwrap_or_else(|_| HEADING.to_owned());
    let date = process::output(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M"]))?;
    let entry = format!(
        "### {date} UTC, {}\n\nEngine {}. {}\n\n{}\n",
        subject.commit,
        subject.qemu,
        machine(paths)?,
        as_table(rows)
    );
    let text = with_entry(&text, section, &entry);
    fs::create_dir_all(paths.root.join("docs"))?;
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The page with an entry more, the first of its section, which is made if there is none.
fn with_entry(text: &str, section: &Section, entry: &str) -> String {
    let head = format!("\n## {}\n\n{}\n\n", section.title, section.about);
    match text.find(&format!("\n## {}\n", section.title)) {
        None => format!("{}\n{head}{}\n", text.trim_end(), entry.trim_end()),
        Some(at) => {
            let first = text[at..]
                .find("\n### ")
                .map_or(text.len(), |found| at + found + 1);
            format!("{}{head}{entry}{}", &text[..at], &text[first..])
        }
    }
}

/// One line on the machine and the programs.
fn machine(paths: &Paths) -> Result<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix(name)?.split(": ").nth(1))
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let browser = Browser::launch(&LaunchOptions::default())?;
    let chromium = browser.version()?;
    browser.close()?;
    // Other work on the machine makes figures worse than they are.
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Ok(format!(
        "{} × {}, {chromium}, native QEMU {}; load average {}.",
        cores,
        field("model name").unwrap_or("unknown processor"),
        native::version(paths, "x86_64")?,
        load.split(' ').take(3).collect::<Vec<_>>().join(" ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_ratios_of_times_and_rates() {
        let row = |name: &str, unit, ours, reference| Row {
            name: name.into(),
            unit,
            ours,
            reference,
            spread: None,
        };
        let rows = [
            row("boot x86_64", "s", 8.0, Some(2.0)),
            row("boot aarch64", "s", 9.0, Some(1.0)),
            row("idle cpu percent", "% of a core", 2.0, Some(1.0)),
            row("package size", "MiB", 30.0, None),
            row("redact native MB/s", "MB/s", 300.0, Some(1800.0)),
        ];
        let json = as_json("boot", &rows);
        assert_eq!(json["geomean_ratio"], 6.0);
        assert_eq!(
            json["rows"][0],
            json!({ "row": "boot x86_64", "unit": "s", "ours": 8.0, "reference": 2.0, "ratio": 4.0 })
        );
        assert!(json["rows"][2]["ratio"].is_null() && json["rows"][3]["reference"].is_null());
        assert!(as_table(&rows).contains("| boot x86_64 | s | 8.00 | 2.00 | 4.00 |"));
    }

    #[test]
    fn the_latest_entry_of_a_section_comes_first() {
        let section = |title| Section {
            name: "x",
            title,
            about: "What it is.",
        };
        let page = with_entry(HEADING, &section("Boot"), "### 1\n\na\n\n");
        let page = with_entry(&page, &section("Engine"), "### 2\n\nb\n\n");
        let page = with_entry(&page, &section("Boot"), "### 3\n\nc\n\n");
        assert_eq!(
            page.strip_prefix(HEADING).unwrap(),
            "\n## Boot\n\nWhat it is.\n\n### 3\n\nc\n\n### 1\n\na\n\n## Engine\n\nWhat it is.\n\n### 2\n\nb\n"
        );
    }
}
