//! One direction of a cable: what comes in at one end comes out at the other, later, or not at all.
//!
//! Impairments have the meaning that Linux' `netem` gives them, with one difference: jitter alone changes no order. All
//! chance comes from a seed, so that a run repeats exactly.

mod impairments;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};
use smoltcp::time::{Duration, Instant};

use crate::bucket::Bucket;
use crate::frame::Frame;
pub use impairments::{Impairments, ImpairmentsError, Rate};

/// What a link did with the frames that were put into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkStats {
    /// Came out, copies among them.
    pub passed: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Copied.
    pub duplicated: u64,
    /// Held back so that others overtook them.
    pub reordered: u64,
    /// Changed by a bit.
    pub corrupted: u64,
    /// Dropped because the queue was full.
    pub overflowed: u64,
    /// Dropped because the cable was pulled.
    pub unplugged: u64,
    /// Frames that are on their way.
    pub queued: u64,
    /// Their bytes.
    pub queued_bytes: u64,
}

/// A frame on its way.
struct Queued {
    at: Instant,
    /// Of those of one time, the first in is the first out.
    number: u64,
    frame: Frame,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// One direction of a cable. See the module's documentation.
pub struct Link {
    impairments: Impairments,
    random: fastrand::Rng,
    shaper: Option<Bucket>,
    queue: BinaryHeap<Reverse<Queued>>,
    /// When the last one comes out of those that keep their order.
    last: Instant,
    is_up: bool,
    entered: u64,
    stats: LinkStats,
}

impl Link {
    /// A cable without impairments.
    pub fn new(seed: u64) -> Self {
        Self {
            impairments: Impairments::default(),
            random: fastrand::Rng::with_seed(seed),
            shaper: None,
            queue: BinaryHeap::new(),
            last: Instant::ZERO,
            is_up: true,
            entered: 0,
            stats: LinkStats::default(),
        }
    }

    /// Changes the impairments for what comes in from now on. Chance begins again with the seed.
    pub fn set_impairments(&mut self, impairments: Impairments, seed: u64) -> Result<(), ImpairmentsError> {
        impairments.check()?;
        self.random = fastrand::Rng::with_seed(seed);
        self.shaper = impairments
            .rate
            .map(|rate| Bucket::new(rate.bits_per_second, rate.burst_bytes.saturating_mul(8)));
        self.impairments = impairments;
        Ok(())
    }

    /// The impairments.
    pub fn impairments(&self) -> &Impairments {
        &self.impairments
    }

    /// Plugs the cable in or pulls it. What is on its way then is lost.
    pub fn set_up(&mut self, is_up: bool) {
        self.is_up = is_up;
        if !is_up {
            self.stats.unplugged += self.queue.len() as u64;
            self.queue.clear();
            self.stats.queued_bytes = 0;
        }
    }

    /// Whether the cable is plugged in.
    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// What became of the frames so far.
    pub fn stats(&self) -> LinkStats {
        LinkStats {
            queued: self.queue.len() as u64,
            ..self.stats
        }
    }

    /// Puts a frame in. It is given back if it comes out at once, which it does where nothing holds it up.
    pub fn send(&mut self, now: Instant, frame: Frame) -> Option<Frame> {
        if !self.is_up {
            self.stats.unplugged += 1;
            return None;
        }
        if self.impairments.are_none() && self.queue.is_empty() {
            self.stats.passed += 1;
            return Some(frame);
        }
        if self.happens(self.impairments.loss) {
            self.stats.lost += 1;
            return None;
        }
        if self.happens(self.impairments.duplicate) {
            self.stats.duplicated += 1;
            self.enqueue(now, frame.clone());
        }
        self.enqueue(now, frame);
        // It may be due already.
        None
    }

    /// When the next frame comes out.
    pub fn poll_at(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse(next)| next.at)
    }

    /// The next frame that has come out by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<Frame> {
        if self.poll_at()? > now {
            return None;
        }
        let Reverse(next) = self.queue.pop()?;
        self.stats.queued_bytes -= next.frame.len() as u64;
        self.stats.passed += 1;
        Some(next.frame)
    }

    fn enqueue(&mut self, now: Instant, frame: Frame) {
        let len = frame.len() as u64;
        if self.queue.len() >= self.impairments.queue_frames as usize
            || self.stats.queued_bytes + len > self.impairments.queue_bytes
        {
            self.stats.overflowed += 1;
            return;
        }
        let frame = if self.happens(self.impairments.corrupt) {
            self.stats.corrupted += 1;
            self.corrupt(frame)
        } else {
            frame
        };
        let leaves = match &mut self.shaper {
            Some(shaper) => shaper.schedule(now, len * 8),
            None => now,
        };
        let delay = self.delay();
        let at = if self.happens(self.impairments.reorder) {
            self.stats.reordered += 1;
            // Later than what follows, which waits for nobody.
            leaves + delay + delay.max(Duration::from_millis(1))
        } else {
            self.last = self.last.max(leaves + delay);
            self.last
        };
        self.entered += 1;
        self.stats.queued_bytes += len;
        self.queue.push(Reverse(Queued {
            at,
            number: self.entered,
            frame,
        }));
    }

    /// The delay, more or less.
    fn delay(&mut self) -> Duration {
        let (delay, jitter) = (
            u64::from(self.impairments.delay_us),
            u64::from(self.impairments.jitter_us),
        );
        if jitter == 0 {
            return Duration::from_micros(delay);
        }
        let micros = self.random.u64(delay.saturating_sub(jitter)..=delay + jitter);
        Duration::from_micros(micros)
    }

    /// A frame in which one bit is another.
    fn corrupt(&mut self, frame: Frame) -> Frame {
        let offload = frame.offload();
        let mut bytes = frame.into_bytes();
        if !bytes.is_empty() {
            let bit = self.random.usize(0..bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        Frame::with_offload(bytes, offload)
    }

    fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.random.f64() < probability
    }
}
