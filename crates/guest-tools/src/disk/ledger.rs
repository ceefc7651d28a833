//! `disk-ledger`: writes to a disk what tells after a crash whether something was lost (`crates/ledger`).

use std::fs::File;
use std::io::{self, BufReader, Seek as _, SeekFrom};
use std::path::Path;
use std::thread;

use qemuweb_ledger::{Extent, LAST, MAX_EXTENT, Plan, Record, SECTOR, check};

use super::target::{Buffer, Target};
use super::{Failure, Out, fail, number, options};

const USAGE: &str = "\
disk-ledger: tells after a crash whether a disk has lost something

  disk-ledger write PATH SEED [--from N] [--batches N] [--size MIB]
      writes records all over PATH, for ever or so many batches, and says `flushed N` when batch N lasts
  disk-ledger check PATH SEED N [--size MIB]
      reads PATH after that, of which batch N was the last that was said to last

PATH is a block device or a file, all of which is zeroes, or what an earlier call of the same SEED has written; a check says with
which batch to go on.
";

/// How many requests are in flight.
const LANES: usize = 4;
/// How many bytes of a disk are looked at before it is overwritten.
const LOOKED_AT: usize = 1 << 20;

pub(crate) fn ledger(words: &[&str], out: Out<'_>) -> Result<(), Failure> {
    match words {
        [] | ["help" | "--help" | "-h"] => Ok(out.write_all(USAGE.as_bytes())?),
        ["write", path, seed, rest @ ..] => {
            let [from, batches, size] = options(rest, ["--from", "--batches", "--size"])?;
            let target = Target::open(Path::new(path), size.map(mebibytes), SECTOR)?;
            let plan = plan(seed, target.size())?;
            refuse_others(&target, &plan, path)?;
            let from = batch("--from", from.unwrap_or(1))?;
            let last = batches.map_or(u64::from(LAST), |count| u64::from(from) - 1 + count);
            write(&target, &plan, from..=batch("--batches", last)?, out)
        }
        ["check", path, seed, flushed, rest @ ..] => {
            let [size] = options(rest, ["--size"])?;
            read(
                Path::new(path),
                size.map(mebibytes),
                seed,
                number("N", flushed)?,
                out,
            )
        }
        _ => fail(
            "expected disk-ledger write PATH SEED, or disk-ledger check PATH SEED N: see disk-ledger help",
        ),
    }
}

fn mebibytes(count: u64) -> u64 {
    count.saturating_mul(1 << 20)
}

fn batch(name: &str, number: u64) -> Result<u32, Failure> {
    match u32::try_from(number) {
        Ok(number @ 1..=LAST) => Ok(number),
        _ => fail(format!(
            "expected a batch from 1 to {LAST}, found {number} by {name}"
        )),
    }
}

fn plan(seed: &str, size: u64) -> Result<Plan, Failure> {
    Plan::new(number("SEED", seed)?, size / SECTOR as u64).or_else(|error| {
        fail(format!(
            "{error}; with --size MIB only the first part of it is used"
        ))
    })
}

/// A disk that begins with something else is somebody's.
fn refuse_others(target: &Target, plan: &Plan, path: &str) -> Result<(), Failure> {
    let mut buffer = Buffer::new(LOOKED_AT);
    let count = target.size().min(LOOKED_AT as u64) as usize / SECTOR * SECTOR;
    let bytes = buffer.bytes(count);
    target.read(0, bytes)?;
    let mut sectors = (0..).zip(bytes.as_chunks().0);
    if sectors.any(|(sector, bytes)| plan.read(sector, bytes) == Record::Foreign) {
        return fail(format!(
            "{path} has something on it: expected zeroes, or what was written by this seed"
        ));
    }
    Ok(())
}

fn write(
    target: &Target,
    plan: &Plan,
    batches: std::ops::RangeInclusive<u32>,
    out: Out<'_>,
) -> Result<(), Failure> {
    let way = if target.is_direct() {
        "directly"
    } else {
        "through the cache"
    };
    writeln!(
        out,
        "ledger of {} sectors, from batch {}, {way}",
        plan.sectors(),
        batches.start()
    )?;
    let mut buffers: Vec<Buffer> = (0..LANES)
        .map(|_| Buffer::new(MAX_EXTENT as usize * SECTOR))
        .collect();
    for batch in batches {
        let extents = plan.batch(batch);
        thread::scope(|scope| {
            let lanes: Vec<_> = buffers
                .iter_mut()
                .enumerate()
                .map(|(lane, buffer)| {
                    let extents = extents.iter().skip(lane).step_by(LANES);
                    scope.spawn(move || write_extents(target, plan, batch, extents, buffer))
                })
                .collect();
            lanes
                .into_iter()
                .try_for_each(|lane| lane.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())))
        })
        .and_then(|()| target.sync())
        .or_else(|error| fail(format!("batch {batch} was not written: {error}")))?;
        writeln!(out, "flushed {batch}")?;
        out.flush()?;
    }
    Ok(())
}

fn write_extents<'a>(
    target: &Target,
    plan: &Plan,
    batch: u32,
    extents: impl Iterator<Item = &'a Extent>,
    buffer: &mut Buffer,
) -> io::Result<()> {
    for &Extent { first, count } in extents {
        let bytes = buffer.bytes(count as usize * SECTOR);
        for (sector, bytes) in (first..).zip(bytes.as_chunks_mut().0) {
            plan.fill(sector, batch, bytes);
        }
        target.write(first * SECTOR as u64, bytes)?;
    }
    Ok(())
}

fn read(path: &Path, size: Option<u64>, seed: &str, flushed: u32, out: Out<'_>) -> Result<(), Failure> {
    let named = |error: io::Error| Failure::Said(format!("cannot read {}: {error}", path.display()));
    let mut file = File::open(path).map_err(named)?;
    let end = file.seek(SeekFrom::End(0)).map_err(named)?;
    file.rewind().map_err(named)?;
    let plan = plan(seed, size.map_or(end, |size| size.min(end)))?;
    let report = check(&plan, BufReader::with_capacity(1 << 17, file), flushed).map_err(named)?;
    for fault in &report.faults {
        writeln!(out, "{fault}")?;
    }
    writeln!(
        out,
        "{} good, {} faulty; batch {} was flushed, go on with --from {}",
        report.good,
        report.faulty,
        report.flushed,
        report.next()
    )?;
    if report.is_clean() {
        Ok(())
    } else {
        Err(Failure::Silent)
    }
}
