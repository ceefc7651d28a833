//! `cargo xtask bench disk`: a guest's disk in Chromium, against the same disk in native QEMU and against the browser's bare
//! store, all in the same run.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::{Browser, Extension, Session};
use qemuweb_vm_config::{Arch, DiskFormat, DiskInput, HomeDisk};
use serde_json::Value;

use super::{
    BOOT_LIMIT, BROWSER_SETTLE, PROFILES, Row, Section, Subject, finish, start_browser, wait_for_banner,
};
use crate::boot::{Launch, Page, Vm};
use crate::build::{self, Images};
use crate::console::Console;
use crate::flags::Disk;
use crate::native::NativeVm;
use crate::paths::Paths;
use crate::setup::Needs;
use crate::shell::{Deadline, Terminal, exec, wait_prompt};

const SECTION: Section = Section {
    name: "disk",
    title: "Disk",
    about: "Written by `cargo xtask bench disk --save`. `disk-bench` in the default guest (`crates/guest-tools`) reads and writes a
sparse raw image of 64 MiB on virtio-blk, past the guest's cache, in Chromium and in native QEMU with the same machine and image:
requests of 1 MiB for sequential rows, of 4 KiB and one after the other for the others. Warm is what was written just before.
Cold is an image of 256 MiB that nobody has read, but that the computer's memory has. What has to last (`seq write durable`,
`fsync 4k`) is compared with the browser's bare store instead: strict transactions of IndexedDB in a page of the same browser,
of 8 MiB in values of 256 KiB, and of one value of 4 KiB. `attach 20 GiB` is the time from launch to the guest's banner with a
sparse image of that size, compared with one of 1 MiB in the same browser, the best of several. All else is the median.",
};

/// The disk that is measured, and the image that is read once, in MiB.
const DISK_MIB: u64 = 64;
const COLD_MIB: u64 = 256;
/// Seconds for each random load.
const SECONDS: u32 = 2;
/// Rounds, unless told otherwise.
const TIMES: u32 = 3;
/// The sizes of disks that are attached, in MiB.
const LARGE_MIB: u64 = 20 << 10;
const SMALL_MIB: u64 = 1;
/// How long the browser's bare store may take.
const STORE_LIMIT: Duration = Duration::from_secs(120);

pub(super) fn main(flags: &Disk) -> Result<()> {
    let paths = build::everything(&Needs::run(), &[Arch::X86_64])?;
    let images = build::cached_images(&paths, &[Arch::X86_64])?;
    let subject = Subject::of(&paths, &images)?;
    let files = tempfile::tempdir()?;
    let bench = Bench {
        paths: &paths,
        images: &images,
        files: files.path(),
        times: flags.times.unwrap_or(TIMES).max(1),
    };
    let is_wanted = |name: &str| flags.only.as_deref().is_none_or(|only| name.contains(only));
    let mut rows = Vec::new();
    if LOADS.iter().any(|load| is_wanted(load.name)) {
        rows.extend(bench.loads()?);
    }
    if is_wanted(ATTACH) {
        rows.push(bench.attach()?);
    }
    rows.retain(|row| is_wanted(&row.name));
    ensure!(
        !rows.is_empty(),
        "no row has {:?} in its name",
        flags.only.as_deref().unwrap_or_default()
    );
    finish(&paths, &subject, &SECTION, &rows, flags.json, flags.save)
}

const ATTACH: &str = "attach 20 GiB";

/// A row that a guest measures.
struct Load {
    name: &'static str,
    unit: &'static str,
    /// What it is of a round.
    of: fn(&Round) -> f64,
    /// What it is of the browser's bare store, where that is the reference.
    of_store: Option<fn(&Value) -> Option<f64>>,
}

const LOADS: [Load; 7] = [
    Load {
        name: "seq read warm",
        unit: "MB/s",
        of: |round| round.rate("seq_read_mib_s"),
        of_store: None,
    },
    Load {
        name: "seq read cold local",
        unit: "MB/s",
        of: |round| round.cold,
        of_store: None,
    },
    Load {
        name: "seq write durable",
        unit: "MB/s",
        of: |round| round.rate("seq_write_durable_mib_s"),
        of_store: Some(|store| store["mbPerSecond"].as_f64()),
    },
    Load {
        name: "rand read 4k warm",
        unit: "µs",
        of: |round| round.each("rand_read_4k_per_s"),
        of_store: None,
    },
    Load {
        name: "rand write 4k",
        unit: "µs",
        of: |round| round.each("rand_write_4k_per_s"),
        of_store: None,
    },
    Load {
        name: "fsync 4k median",
        unit: "µs",
        of: |round| round.number(&["fsync_4k_us", "median"]),
        of_store: Some(|store| store["median"].as_f64()),
    },
    Load {
        name: "fsync 4k p99",
        unit: "µs",
        of: |round| round.number(&["fsync_4k_us", "p99"]),
        of_store: Some(|store| store["p99"].as_f64()),
    },
];

/// What a guest measured once.
struct Round {
    /// Of the image that nobody had read, in MB/s.
    cold: f64,
    /// What `disk-bench` printed.
    bench: Value,
}

impl Round {
    /// A number that `disk-bench` printed; not a number if it did not.
    fn number(&self, path: &[&str]) -> f64 {
        let value = path.iter().fold(&self.bench, |value, name| &value[*name]);
        value.as_f64().unwrap_or(f64::NAN)
    }

    /// A rate in MB/s.
    fn rate(&self, name: &str) -> f64 {
        self.number(&[name]) * f64::from(1 << 20) / 1e6
    }

    /// The microseconds that one of so many a second takes.
    fn each(&self, name: &str) -> f64 {
        1e6 / self.number(&[name])
    }
}

struct Bench<'a> {
    paths: &'a Paths,
    images: &'a Images,
    files: &'a Path,
    times: u32,
}

impl Bench<'_> {
    /// A launch with these images as data disks, and no others.
    fn launch(disks: &[&Path]) -> Result<Launch> {
        let mut launch = Launch::profile(PROFILES[0].1);
        launch.overrides.home = Some(HomeDisk::None);
        let mut inputs = Vec::new();
        for disk in disks {
            inputs.push(DiskInput {
                format: Some(DiskFormat::Raw),
                is_data: true,
                ..DiskInput::new(launch.attach(disk)?)
            });
        }
        let mut inputs = inputs.into_iter();
        launch.inputs.disk = inputs.next();
        launch.inputs.additional_disks = inputs.collect();
        Ok(launch)
    }

    /// Chromium, native QEMU and the bare store in turns, so that what else the machine does is no one's fault.
    fn loads(&self) -> Result<Vec<Row>> {
        let (disk, cold) = (self.files.join("disk"), self.files.join("cold"));
        sparse(&disk, DISK_MIB)?;
        random(&cold, COLD_MIB)?;
        let launch = Self::launch(&[&disk, &cold])?;
        let (mut ours, mut natively, mut stores) = (Vec::new(), Vec::new(), Vec::new());
        for time in 1..=self.times {
            eprintln!("measuring in Chromium, {time} of {}", self.times);
            let (browser, extension) = start_browser(self.paths)?;
            stores.push(bare_store(&browser, &extension)?);
            let mut vm = Vm::launch(&browser, &extension, &launch, Console::default())?;
            ours.push(round(&mut vm)?);
            vm.close(&browser)?;
            stores.push(bare_store(&browser, &extension)?);
            browser.close()?;
            eprintln!("measuring in native QEMU, {time} of {}", self.times);
            natively.push(round(&mut NativeVm::launch(
                self.paths,
                &launch,
                &self.images.guest,
            )?)?);
        }
        let row = |load: &Load| -> Result<Row> {
            let ours: Vec<f64> = ours.iter().map(load.of).collect();
            let reference: Vec<f64> = match load.of_store {
                Some(of) => stores.iter().filter_map(of).collect(),
                None => natively.iter().map(load.of).collect(),
            };
            let (ours, reference) = (Summed::of(ours)?, Summed::of(reference)?);
            Ok(Row {
                name: load.name.into(),
                unit: load.unit,
                ours: ours.median,
                reference: Some(reference.median),
                spread: Some([ours.range, reference.range]),
            })
        };
        LOADS
            .iter()
            .map(|load| row(load).with_context(|| format!("{} was not measured", load.name)))
            .collect()
    }

    /// Boots with a large disk and with a small one, in turns, in one browser.
    fn attach(&self) -> Result<Row> {
        let (large, small) = (self.files.join("large"), self.files.join("small"));
        sparse(&large, LARGE_MIB)?;
        sparse(&small, SMALL_MIB)?;
        let (browser, extension) = start_browser(self.paths)?;
        std::thread::sleep(BROWSER_SETTLE);
        let boot = |disk: &Path| -> Result<f64> {
            let launch = Self::launch(&[disk])?;
            let page = Page::open(&browser, &extension)?;
            page.prepare(&launch)?;
            std::thread::sleep(BROWSER_SETTLE);
            let mut vm = Vm::launch_from(page, &launch, Console::default())?;
            wait_for_banner(&mut vm)?;
            let seconds = vm.launched.elapsed().as_secs_f64();
            vm.close(&browser)?;
            Ok(seconds)
        };
        let (mut of_large, mut of_small) = (Vec::new(), Vec::new());
        for time in 1..=self.times {
            eprintln!("attaching disks, {time} of {}", self.times);
            of_large.push(boot(&large)?);
            of_small.push(boot(&small)?);
        }
        browser.close()?;
        let (of_large, of_small) = (Summed::of(of_large)?, Summed::of(of_small)?);
        Ok(Row {
            name: ATTACH.into(),
            unit: "s",
            ours: of_large.range.0,
            reference: Some(of_small.range.0),
            spread: Some([of_large.range, of_small.range]),
        })
    }
}

/// Measures the disks of a guest that has just been started.
fn round(terminal: &mut impl Terminal) -> Result<Round> {
    let deadline = Deadline::after(Some(BOOT_LIMIT))?;
    wait_prompt(terminal, deadline)?;
    let mut run = |command: &str| -> Result<String> {
        let outcome = exec(terminal, command, deadline)?;
        let output = String::from_utf8_lossy(&outcome.output).into_owned();
        ensure!(outcome.status == 0, "{command} failed in the guest: {output}");
        Ok(output)
    };
    let times = run(
        "read a b </proc/uptime; dd if=/dev/vdb of=/dev/null bs=1M iflag=direct 2>/dev/null
        read c d </proc/uptime; echo $a $c",
    )?;
    let seconds = between(&times).with_context(|| format!("the guest's clock said {times:?}"))?;
    let printed = run(&format!("disk-bench /dev/vda --overwrite 1 --seconds {SECONDS}"))?;
    let bench = serde_json::from_str(&printed).with_context(|| format!("disk-bench printed {printed:?}"))?;
    eprintln!("  cold: {seconds} s; {}", printed.trim());
    Ok(Round {
        cold: (COLD_MIB << 20) as f64 / 1e6 / seconds,
        bench,
    })
}

/// The seconds between two times in a line.
fn between(line: &str) -> Option<f64> {
    let (from, to) = line.trim().split_once(' ')?;
    Some(to.parse::<f64>().ok()? - from.parse::<f64>().ok()?)
}

fn bare_store(browser: &Browser, extension: &Extension) -> Result<Value> {
    let page: Session = browser.open_page(&extension.url("manifest.json"))?;
    let function = include_str!("bare_store.js");
    let measured = page.evaluate_within(&format!("({function})({DISK_MIB}, {SECONDS})"), STORE_LIMIT)?;
    eprintln!("  bare store: {measured}");
    browser.close_target(&page)?;
    Ok(measured)
}

/// The median, the least and the most.
struct Summed {
    median: f64,
    range: (f64, f64),
}

impl Summed {
    fn of(mut all: Vec<f64>) -> Result<Self> {
        ensure!(!all.iter().any(|one| one.is_nan()), "a figure is missing");
        all.sort_by(f64::total_cmp);
        let (first, last) = all.first().zip(all.last()).context("nothing was measured")?;
        Ok(Summed {
            median: all[all.len() / 2],
            range: (*first, *last),
        })
    }
}

fn sparse(path: &Path, mib: u64) -> Result<()> {
    Ok(File::create(path)?.set_len(mib << 20)?)
}

/// A file of bytes that nothing packs.
fn random(path: &Path, mib: u64) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut piece = vec![0; 1 << 20];
    for _ in 0..mib {
        piece.fill_with(|| fastrand::u8(..));
        file.write_all(&piece)?;
    }
    file.into_inner()
        .map_err(|error| error.into_error())?
        .sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_printed_is_read() {
        assert_eq!(between("3.25 3.75\n"), Some(0.5));
        assert_eq!(between("3.25 "), None);
        let round = Round {
            cold: 1.0,
            bench: serde_json::json!({ "seq_read_mib_s": 100.0, "fsync_4k_us": { "median": 7 }, "rand_write_4k_per_s": 1e3 }),
        };
        assert_eq!(round.rate("seq_read_mib_s"), 104.8576);
        assert_eq!(round.each("rand_write_4k_per_s"), 1000.0);
        assert_eq!(round.number(&["fsync_4k_us", "median"]), 7.0);
        assert!(round.rate("seq_write_durable_mib_s").is_nan());
        assert!(Summed::of(vec![1.0, f64::NAN]).is_err() && Summed::of(vec![]).is_err());
        assert_eq!(Summed::of(vec![3.0, 1.0, 2.0]).unwrap().median, 2.0);
    }
}
