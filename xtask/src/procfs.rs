//! Memory and processor time of processes, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A process and all below it, by id.
pub(crate) fn tree(root: u32) -> Result<Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("there is no /proc: this can be measured on Linux only")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end while we look.
        if let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut ahead = vec![root];
    while let Some(pid) = ahead.pop() {
        found.push(pid);
        ahead.extend(children.remove(&pid).unwrap_or_default());
    }
    Ok(found)
}

/// The processes among `pids` that Chromium started to render pages of extensions.
pub(crate) fn extension_renderers(pids: &[u32]) -> Vec<u32> {
    let is_renderer = |pid: &&u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        // Chromium rewrites its command line with spaces.
        line.split(|byte| *byte == 0 || *byte == b' ')
            .any(|argument| argument == b"--extension-process")
    };
    pids.iter().filter(is_renderer).copied().collect()
}

/// Proportional set size in MiB: memory shared by several processes counts once in a sum over them.
pub(crate) fn pss_mib(pids: &[u32]) -> f64 {
    let kib: u64 = pids
        .iter()
        .filter_map(|pid| {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        })
        .sum();
    kib as f64 / 1024.0
}

/// The share of one core, in percent, that the processes use over `duration`.
pub(crate) fn cpu_percent(pids: &[u32], duration: Duration) -> f64 {
    let start = Instant::now();
    let before = ticks(pids);
    std::thread::sleep(duration);
    let used = ticks(pids).saturating_sub(before) as f64 / rustix::param::clock_ticks_per_second() as f64;
    100.0 * used / start.elapsed().as_secs_f64()
}

/// User and system time, in clock ticks.
fn ticks(pids: &[u32]) -> u64 {
    let of = |pid: &u32| {
        let fields = stat(*pid)?;
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    };
    pids.iter().filter_map(of).sum()
}

/// The fields of `/proc/PID/stat` after the name, beginning with the state.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_measured() {
        let own = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("10").spawn().unwrap();
        let tree = tree(own).unwrap();
        assert!(tree.contains(&own) && tree.contains(&child.id()));
        assert!(pss_mib(&[own]) > 0.5);
        assert!(cpu_percent(&[child.id()], Duration::from_millis(100)) < 50.0);
        assert!(extension_renderers(&tree).is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
