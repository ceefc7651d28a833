//! How the guest does, from `/proc`, and its clock.

use std::fs;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use qemuweb_agent::{Outcome, Report};
use rustix::time::{ClockId, Timespec, clock_settime};

use super::failed;

pub(super) fn report() -> Outcome {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mut report = parse(
        &read("/proc/meminfo"),
        &read("/proc/loadavg"),
        &read("/proc/uptime"),
    );
    report.processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u32);
    report.unix_micros = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as i64);
    Outcome::Reported(report)
}

/// What the kernel's files say, as far as they say it.
fn parse(meminfo: &str, loadavg: &str, uptime: &str) -> Report {
    let memory = |name| {
        let line = meminfo
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib: u64 = line
            .and_then(|line| line.split_whitespace().next()?.parse().ok())
            .unwrap_or(0);
        kib.saturating_mul(1024)
    };
    let mut words = loadavg.split_whitespace();
    let mut load = || (decimal(words.next()) * 100.0) as u32;
    Report {
        memory_total: memory("MemTotal"),
        memory_available: memory("MemAvailable"),
        swap_total: memory("SwapTotal"),
        swap_free: memory("SwapFree"),
        load_hundredths: [load(), load(), load()],
        uptime_ms: (decimal(uptime.split_whitespace().next()) * 1000.0) as u64,
        tasks: words
            .next()
            .and_then(|tasks| tasks.split_once('/')?.1.parse().ok())
            .unwrap_or(0),
        ..Report::default()
    }
}

fn decimal(word: Option<&str>) -> f64 {
    word.and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

pub(super) fn set_clock(unix_micros: i64) -> Outcome {
    let time = Timespec {
        tv_sec: unix_micros.div_euclid(1_000_000),
        tv_nsec: unix_micros.rem_euclid(1_000_000) * 1000,
    };
    match clock_settime(ClockId::Realtime, time) {
        Ok(()) => Outcome::ClockSet,
        Err(error) => failed("cannot set the clock", &io::Error::from(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let report = parse(
            "MemTotal:         100 kB\nMemFree:  7 kB\nMemAvailable:    40 kB\nSwapTotal: 0 kB\n",
            "0.25 1.50 12.00 2/345 678\n",
            "12.34 5.00\n",
        );
        let expected = Report {
            memory_total: 102_400,
            memory_available: 40_960,
            load_hundredths: [25, 150, 1200],
            uptime_ms: 12_340,
            tasks: 345,
            ..Report::default()
        };
        assert_eq!(report, expected);
        assert_eq!(parse("MemTotal: x", "", "?"), Report::default());
    }
}
