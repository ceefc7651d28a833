//! A disk over crashes: a guest writes a ledger on it (`crates/ledger`) and says of each batch when it was flushed, the browser is
//! killed at a random moment, and what the disk then holds is taken out of the extension, without the guest, and checked.

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use qemuweb_ledger::{Plan, Report, SECTOR, check};
use qemuweb_vm_config::{DEFAULT_PROFILE_ID, DiskFormat, DiskInput, HomeDisk};
use serde_json::json;

use super::{CrashedBrowser, End, STORED};
use crate::boot::{Launch, Page, Vm, complaints};
use crate::console::Console;
use crate::paths::Paths;
use crate::shell::{Deadline, Happened, Terminal as _, wait_prompt};
use crate::summary::Summary;

/// The VM with the disk.
const VM: &str = "crash-ledger";
/// The disk's size in bytes: twice what the overlay's journal holds.
const SIZE: u64 = 16 << 20;
/// The longest wait for the kill once the guest was told to write, in milliseconds.
const MOMENT_MS: u64 = 1500;
/// What is killed, each in turn.
const ENDS: [End; 5] = [End::Browser, End::Renderer, End::Browser, End::Host, End::Browser];
/// How long what the guest said before a kill may take to come.
const DRAIN: Duration = Duration::from_millis(50);
/// Bytes of the disk that come from the page at once.
const PIECE: usize = 4 << 20;
/// Seconds for a guest's prompt.
const LIMIT: f64 = 300.0;

/// Some kills; each counts as a test.
pub(super) fn run(paths: &Paths, kills: u32, seed: u64, summary: &mut Summary) {
    println!("==== crash-test: {kills} kills over a disk, seed {seed}");
    let start = Instant::now();
    let mut test = match Test::new(paths, seed) {
        Ok(test) => test,
        Err(error) => return summary.add_one("crash-test: a disk", &Err(error)),
    };
    for kill in 0..kills {
        let result = test.round(kill);
        let failed = result.is_err();
        if failed {
            print!("{}", complaints(&test.browser.log()));
        }
        summary.add_one(&format!("crash-test kill {kill} of seed {seed}"), &result);
        if failed {
            return;
        }
    }
    summary.add_one("crash-test: the guest has written", &test.has_written());
    println!(
        "{kills} kills in {:.0} s, {} batches flushed",
        start.elapsed().as_secs_f64(),
        test.ledger.acknowledged
    );
}

struct Test<'a> {
    browser: CrashedBrowser<'a>,
    random: fastrand::Rng,
    seed: u64,
    ledger: Ledger,
}

impl<'a> Test<'a> {
    fn new(paths: &'a Paths, seed: u64) -> Result<Self> {
        let browser = CrashedBrowser::new(paths)?;
        File::create(browser.folder().join("ledger"))?.set_len(SIZE)?;
        Ok(Test {
            browser,
            random: fastrand::Rng::with_seed(seed),
            seed,
            ledger: Ledger::new(seed)?,
        })
    }

    /// Has the guest write, kills something, and looks at the disk.
    fn round(&mut self, kill: u32) -> Result<()> {
        let page = self.browser.page()?;
        let mut vm = if kill == 0 {
            self.define(page)?
        } else {
            Vm::restart(VM, page, Console::default())?
        };
        wait_prompt(&mut vm, Deadline::after(Some(LIMIT))?)?;
        let command = format!(
            "disk-ledger write /dev/vda {} --from {}\n",
            self.seed,
            self.ledger.acknowledged + 1
        );
        vm.send(command.as_bytes())?;
        let wait = self.random.u64(0..MOMENT_MS);
        let moment = Instant::now() + Duration::from_millis(wait);
        while let Some(left) = moment
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            if let Happened::Ended(why) = vm.wait(left)? {
                bail!("{why}\n{}", vm.console().tail(15));
            }
        }
        let end = ENDS[kill as usize % ENDS.len()];
        self.browser.end(end)?;
        // What it had said, and is still on its way to us.
        let drained = Instant::now() + DRAIN;
        while Instant::now() < drained && vm.wait(DRAIN / 10).is_ok() {}
        let said = String::from_utf8_lossy(vm.console().since(0)).into_owned();
        let acknowledged = last_flushed(&said).unwrap_or(self.ledger.acknowledged);
        ensure!(
            !said.contains("disk-ledger: "),
            "the ledger ended:\n{}",
            vm.console().tail(15)
        );
        drop(vm);
        let before = self.ledger.acknowledged;
        let content = content(&self.browser.page()?)?;
        let report = self.ledger.judge(content, acknowledged)?;
        println!(
            "kill {kill}: {end:?} after {wait} ms and {} flushes; batch {} was flushed, {} sectors are good",
            acknowledged - before,
            report.flushed,
            report.good
        );
        Ok(())
    }

    /// Defines the VM, and waits until it is stored.
    fn define(&self, page: Page) -> Result<Vm> {
        let mut launch = Launch::profile(DEFAULT_PROFILE_ID);
        launch.overrides.home = Some(HomeDisk::None);
        let source = launch.attach(&self.browser.folder().join("ledger"))?;
        launch.inputs.disk = Some(DiskInput {
            format: Some(DiskFormat::Raw),
            is_data: true,
            ..DiskInput::new(source)
        });
        let vm = Vm::launch_as(VM, page, &launch, Console::default())?;
        std::thread::sleep(STORED);
        Ok(vm)
    }

    /// A guest that never gets to write shows nothing.
    fn has_written(&self) -> Result<()> {
        ensure!(self.ledger.acknowledged > 0, "no batch was ever flushed");
        Ok(())
    }
}

/// What is known of the disk.
struct Ledger {
    plan: Plan,
    /// The last batch that is known to have been flushed.
    acknowledged: u32,
    /// What the disk held when that was found.
    content: Vec<u8>,
}

impl Ledger {
    fn new(seed: u64) -> Result<Self> {
        Ok(Ledger {
            plan: Plan::new(seed, SIZE / SECTOR as u64)?,
            acknowledged: 0,
            content: vec![0; SIZE as usize],
        })
    }

    /// Whether the disk may hold `content` after batch `acknowledged` was said to be flushed. What it held before may not, if
    /// something was flushed since: a check that lets that pass finds nothing.
    fn judge(&mut self, content: Vec<u8>, acknowledged: u32) -> Result<Report> {
        ensure!(
            content.len() as u64 == SIZE,
            "expected a disk of {SIZE} bytes, found {}",
            content.len()
        );
        let report = check(&self.plan, content.as_slice(), acknowledged)?;
        if let Some(fault) = report.faults.first() {
            bail!(
                "{} sectors are faulty after batch {acknowledged} was flushed; {fault}",
                report.faulty
            );
        }
        // One batch more may have been there already, wholly or in part.
        if acknowledged > self.acknowledged + 1 {
            let former = check(&self.plan, self.content.as_slice(), acknowledged)?;
            ensure!(
                !former.is_clean(),
                "what the disk held after batch {} passes for what it has to hold after {acknowledged}",
                self.acknowledged
            );
        }
        self.acknowledged = report.flushed;
        self.content = content;
        Ok(report)
    }
}

/// The number of the last batch that a guest has said to be flushed, in a whole line.
fn last_flushed(said: &str) -> Option<u32> {
    let whole = &said[..said.rfind('\n')?];
    let told = whole.lines().rev();
    told.filter_map(|line| line.trim().strip_prefix("flushed ")?.parse().ok())
        .next()
}

/// What the disk holds, as the extension exports it: no guest has a part in that.
fn content(page: &Page) -> Result<Vec<u8>> {
    let (vm, piece) = (json!(VM), PIECE);
    let size = page.evaluate(&format!(
        "(async () => {{
            const {{ diskId }} = (await window.qemuweb.vmDisks({vm})).find(disk => disk.channel === 'disk0');
            window.exported = await window.qemuweb.exportDisk({vm}, diskId, 'raw');
            return window.exported.size;
        }})()"
    ))?;
    let size = size.as_u64().context("an exported disk without a size")? as usize;
    let mut content = Vec::new();
    for start in (0..size).step_by(PIECE) {
        let base64 = page.evaluate(&format!(
            "new Promise(resolve => {{
                const reader = new FileReader();
                reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1));
                reader.readAsDataURL(window.exported.slice({start}, {start} + {piece}));
            }})"
        ))?;
        let base64 = base64.as_str().context("expected a part of the disk in base64")?;
        content.extend(BASE64.decode(base64).context("a part of the disk is no base64")?);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The disk of seed 7 after so many batches.
    fn written(ledger: &Ledger, batches: u32) -> Vec<u8> {
        let mut content = vec![0; SIZE as usize];
        let sectors = content.as_chunks_mut::<SECTOR>().0;
        for batch in 1..=batches {
            for extent in ledger.plan.batch(batch) {
                for sector in extent.first..extent.first + extent.count {
                    ledger.plan.fill(sector, batch, &mut sectors[sector as usize]);
                }
            }
        }
        content
    }

    #[test]
    fn a_flush_that_was_said_and_is_not_there_is_found() {
        let mut ledger = Ledger::new(7).unwrap();
        let kept = written(&ledger, 20);
        assert_eq!(ledger.judge(kept.clone(), 20).unwrap().flushed, 20);
        // A store that says too early that it has the next batches.
        let error = ledger.judge(kept, 23).unwrap_err().to_string();
        assert!(
            error.contains("after batch 23 was flushed; sector ") && error.contains("lost"),
            "{error}"
        );
        // Without what was said last, but flushed: more than was said may be there.
        let more = written(&ledger, 30);
        assert_eq!(ledger.judge(more, 28).unwrap().flushed, 29);
    }

    #[test]
    fn only_whole_lines_tell_of_flushes() {
        assert_eq!(
            last_flushed("ledger\r\nflushed 9\r\nflushed 10\r\nflushed 1"),
            Some(10)
        );
        assert_eq!(last_flushed("flushed 9"), None);
        assert_eq!(last_flushed("[ 1.0] virtio_blk: flushed x\n"), None);
    }
}
