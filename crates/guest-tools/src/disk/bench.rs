//! `disk-bench`: measures a disk.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::target::{Buffer, Target};
use super::{Failure, Out, fail, options};

const USAGE: &str = "\
disk-bench: measures a disk, past the cache, and prints one line of JSON

  disk-bench PATH [--size MIB] [--seconds N] [--overwrite 1]

PATH is a file that is made and removed again, of 64 MiB unless --size tells otherwise, or a file or block device that is there,
if --overwrite says that what is on it may go. Each of the three random loads lasts --seconds, 2 unless told otherwise.
  seq_write_durable_mib_s  requests of 1 MiB, and a flush
  seq_read_mib_s           requests of 1 MiB
  rand_read_4k_per_s       requests of 4 KiB, one after the other
  rand_write_4k_per_s      the same, without the flush at the end, which rand_write_flush_ms has
  fsync_4k_us              microseconds of a request of 4 KiB and a flush
";

/// Bytes of a large request, and of a small one.
const LARGE: usize = 1 << 20;
const SMALL: usize = 4096;
/// Sizes in MiB: unless told otherwise, and the largest.
const SIZE: u64 = 64;
const MAX_SIZE: u64 = 1 << 20;

pub(crate) fn bench(words: &[&str], out: Out<'_>) -> Result<(), Failure> {
    let (path, rest) = match words {
        [] | ["help" | "--help" | "-h"] => return Ok(out.write_all(USAGE.as_bytes())?),
        [path, rest @ ..] => (Path::new(path), rest),
    };
    let [size, seconds, overwrite] = options(rest, ["--size", "--seconds", "--overwrite"])?;
    let size = size.unwrap_or(SIZE);
    if !(1..=MAX_SIZE).contains(&size) {
        return fail(format!("expected 1 to {MAX_SIZE} for --size, found {size}"));
    }
    if path.exists() && overwrite != Some(1) {
        return fail(format!(
            "{} is there already: with --overwrite 1, what is on it is lost",
            path.display()
        ));
    }
    let target = Target::open(path, Some(size << 20), SMALL)?;
    let measured = measure(&target, Duration::from_secs(seconds.unwrap_or(2)));
    if target.is_new() {
        fs::remove_file(path)?;
    }
    let line = measured.or_else(|error| fail(format!("cannot measure {}: {error}", path.display())))?;
    Ok(writeln!(out, "{line}")?)
}

fn measure(target: &Target, duration: Duration) -> io::Result<Value> {
    let size = target.size() / LARGE as u64 * LARGE as u64;
    if size == 0 {
        return Err(io::Error::other("expected 1 MiB or more"));
    }
    let pages = size / SMALL as u64;
    let mut buffer = Buffer::new(LARGE);
    let rate = |start: Instant| (size >> 20) as f64 / start.elapsed().as_secs_f64();

    for (at, bytes) in (0..).zip(buffer.bytes(LARGE).as_chunks_mut::<8>().0) {
        *bytes = scatter(at).to_le_bytes();
    }
    let start = Instant::now();
    for offset in (0..size).step_by(LARGE) {
        // No page is what another is, and making them takes no time.
        let bytes = buffer.bytes(LARGE);
        for (at, page) in (offset..).step_by(SMALL).zip(bytes.chunks_mut(SMALL)) {
            page[..8].copy_from_slice(&at.to_le_bytes());
        }
        target.write(offset, bytes)?;
    }
    target.sync()?;
    let seq_write = rate(start);

    let start = Instant::now();
    for offset in (0..size).step_by(LARGE) {
        target.read(offset, buffer.bytes(LARGE))?;
    }
    let seq_read = rate(start);

    let place = |step: u64| scatter(step) % pages * SMALL as u64;
    let rand_read = repeat(duration, |step| target.read(place(step), buffer.bytes(SMALL)))?;
    let rand_write = repeat(duration, |step| {
        buffer.bytes(8).copy_from_slice(&step.to_le_bytes());
        target.write(place(step), buffer.bytes(SMALL))
    })?;
    let start = Instant::now();
    target.sync()?;
    let flush = start.elapsed();
    let mut fsync = repeat(duration, |step| {
        buffer.bytes(8).copy_from_slice(&step.to_be_bytes());
        target.write(place(!step), buffer.bytes(SMALL))?;
        target.sync()
    })?;
    fsync.sort_unstable();
    let nth = |hundredth: usize| micros(fsync[(fsync.len() - 1) * hundredth / 100]);
    Ok(json!({
        "bytes": size,
        "direct": target.is_direct(),
        "seq_write_durable_mib_s": tenths(seq_write),
        "seq_read_mib_s": tenths(seq_read),
        "rand_read_4k_per_s": per_second(&rand_read),
        "rand_write_4k_per_s": per_second(&rand_write),
        "rand_write_flush_ms": tenths(flush.as_secs_f64() * 1e3),
        "fsync_4k_us": { "count": fsync.len(), "median": nth(50), "p99": nth(99) },
    }))
}

/// How long each of many requests took, one after the other, of which there is one at least.
fn repeat(duration: Duration, mut request: impl FnMut(u64) -> io::Result<()>) -> io::Result<Vec<Duration>> {
    let start = Instant::now();
    let mut times = Vec::new();
    let mut before = start;
    for step in 0.. {
        request(step)?;
        let now = Instant::now();
        times.push(now - before);
        before = now;
        if now - start >= duration {
            break;
        }
    }
    Ok(times)
}

fn per_second(times: &[Duration]) -> f64 {
    let whole: Duration = times.iter().sum();
    tenths(times.len() as f64 / whole.as_secs_f64().max(1e-9))
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// A number of 64 bits that looks like any other: places all over a disk, and bytes that no database compresses.
fn scatter(step: u64) -> u64 {
    let mixed = (step.wrapping_add(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 8
}
