//! What is wrong with a link.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A rate in the manner of a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// Bits a second of whole frames, 8 to 1,000,000,000,000.
    pub bits_per_second: u64,
    /// Bytes that pass at once after a pause, at least 1.
    #[serde(default = "burst")]
    pub burst_bytes: u64,
}

/// Ten frames of 1514 bytes.
fn burst() -> u64 {
    15_140
}

/// What is wrong with one direction of a link. The default is nothing. Probabilities are from 0 to 1, for each frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Impairments {
    /// How long a frame is on its way, in microseconds, at most a minute.
    pub delay_us: u32,
    /// By how much less or more, evenly spread, in microseconds, at most a minute. Order is kept.
    pub jitter_us: u32,
    /// How probably a frame is lost.
    pub loss: f64,
    /// How probably it comes twice.
    pub duplicate: f64,
    /// How probably it is held back so that those behind overtake it: by its delay once more, at least a millisecond.
    pub reorder: f64,
    /// How probably one of its bits is turned round.
    pub corrupt: f64,
    /// How much passes at most.
    pub rate: Option<Rate>,
    /// Most frames that are on their way or wait; the next ones are dropped. At least 1.
    pub queue_frames: u32,
    /// Most bytes of these.
    pub queue_bytes: u64,
}

impl Default for Impairments {
    fn default() -> Self {
        Self {
            delay_us: 0,
            jitter_us: 0,
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            corrupt: 0.0,
            rate: None,
            // netem's.
            queue_frames: 1000,
            queue_bytes: 16 << 20,
        }
    }
}

/// Impairments that cannot be.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("expected {expected} for a link's {field}, found {found}")]
pub struct ImpairmentsError {
    /// The field, as in JSON.
    pub field: &'static str,
    /// What it can be.
    pub expected: &'static str,
    /// What it is.
    pub found: String,
}

const MAX_US: u32 = 60_000_000;
const MAX_QUEUE_FRAMES: u32 = 100_000;
const MAX_QUEUE_BYTES: u64 = 256 << 20;

impl Impairments {
    /// Whether there are none.
    pub fn are_none(&self) -> bool {
        let Self {
            delay_us,
            jitter_us,
            loss,
            duplicate,
            reorder,
            corrupt,
            rate,
            queue_frames: _,
            queue_bytes: _,
        } = self;
        *delay_us == 0 && *jitter_us == 0 && rate.is_none() && loss + duplicate + reorder + corrupt == 0.0
    }

    /// Whether all of it can be.
    pub fn check(&self) -> Result<(), ImpairmentsError> {
        let must = |holds: bool, field, expected, found: String| {
            if holds {
                Ok(())
            } else {
                Err(ImpairmentsError {
                    field,
                    expected,
                    found,
                })
            }
        };
        let probabilities = [
            ("loss", self.loss),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("corrupt", self.corrupt),
        ];
        for (field, value) in probabilities {
            let holds = (0.0..=1.0).contains(&value);
            must(holds, field, "a probability from 0 to 1", value.to_string())?;
        }
        for (field, value) in [("delayUs", self.delay_us), ("jitterUs", self.jitter_us)] {
            must(value <= MAX_US, field, "at most a minute", format!("{value} µs"))?;
        }
        if let Some(rate) = self.rate {
            let bits = rate.bits_per_second;
            let holds = (8..=1_000_000_000_000).contains(&bits);
            must(holds, "rate", "8 bit/s to 1 Tbit/s", format!("{bits} bit/s"))?;
            let holds = (1..=1 << 30).contains(&rate.burst_bytes);
            must(holds, "burst", "1 byte to 1 GiB", rate.burst_bytes.to_string())?;
        }
        let holds = (1..=MAX_QUEUE_FRAMES).contains(&self.queue_frames);
        must(
            holds,
            "queueFrames",
            "1 to 100,000",
            self.queue_frames.to_string(),
        )?;
        let holds = (1..=MAX_QUEUE_BYTES).contains(&self.queue_bytes);
        must(
            holds,
            "queueBytes",
            "1 byte to 256 MiB",
            self.queue_bytes.to_string(),
        )
    }
}
