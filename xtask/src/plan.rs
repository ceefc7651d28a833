//! What has to be done before a verb can do its own work, and how long that takes, about: said beforehand.

use anyhow::{Context, Result};
use qemuweb_vm_config::Arch;

use crate::build::IMAGE_RECIPES;
use crate::paths::Paths;
use crate::setup::{self, Needs};
use crate::{process, wasm};

/// What takes less time is not worth a word, in seconds.
const SHORT: u64 = 45;
/// One core's seconds for our own code with all that it links, the first time.
const EXTENSION: u64 = 420;

/// A step ahead.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    /// About how long it takes on this machine.
    pub(crate) seconds: u64,
    /// What it makes.
    pub(crate) what: String,
}

impl Step {
    /// A step of `seconds`, and of so many seconds of work that the machine's cores share.
    pub(crate) fn new(seconds: u64, core_seconds: u64, what: impl Into<String>) -> Self {
        Step {
            seconds: seconds + core_seconds / cores(),
            what: what.into(),
        }
    }
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

/// Says what is ahead, if that is long.
pub(crate) fn tell(paths: &Paths, needs: &Needs, architectures: &[Arch]) -> Result<()> {
    let mut steps = setup::ahead(paths, needs)?;
    if needs.images {
        for script in IMAGE_RECIPES {
            let names = architectures.iter().map(|arch| arch.as_str());
            let printed = process::output(paths.script(script).arg("--plan").args(names))?;
            for line in printed.lines() {
                steps.push(parse(line).with_context(|| format!("{script} --plan printed {line:?}"))?);
            }
        }
    }
    if needs.extension && !paths.target.join(wasm::TARGET).join("release").is_dir() {
        steps.push(Step::new(20, EXTENSION, "the extension's own code"));
    }
    if let Some(text) = text(&steps) {
        eprint!("{text}");
    }
    Ok(())
}

/// A line that a recipe prints: seconds, a tab, and what it makes.
fn parse(line: &str) -> Option<Step> {
    let (seconds, what) = line.split_once('\t')?;
    Some(Step {
        seconds: seconds.parse().ok()?,
        what: what.to_owned(),
    })
}

fn text(steps: &[Step]) -> Option<String> {
    let seconds: u64 = steps.iter().map(|step| step.seconds).sum();
    if seconds < SHORT {
        return None;
    }
    let mut text = format!(
        "What is to be made first takes about {}, once; if it is interrupted, the next start goes on from there.\n",
        duration(seconds)
    );
    for step in steps {
        text += &format!("{:>10}  {}\n", duration(step.seconds), step.what);
    }
    Some(text)
}

fn duration(seconds: u64) -> String {
    if seconds < 60 {
        format!("{seconds} s")
    } else {
        format!("{} min", (seconds + 30) / 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ahead_is_summed() {
        let steps: Vec<Step> = ["510\tQEMU for x86_64", "20\ta root"]
            .iter()
            .map(|line| parse(line).unwrap())
            .collect();
        let text = text(&steps).unwrap();
        assert!(text.contains("about 9 min,"), "{text}");
        assert!(text.contains("     9 min  QEMU for x86_64\n"), "{text}");
        assert!(text.contains("      20 s  a root\n"), "{text}");
    }

    #[test]
    fn what_is_short_is_not_announced() {
        assert_eq!(text(&[]), None);
        assert_eq!(text(&[Step::new(20, 0, "a root")]), None);
    }

    #[test]
    fn only_lines_of_a_plan_are_read() {
        for line in ["", "510", "x\ty", "-1\ty", "510 QEMU"] {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }
}
