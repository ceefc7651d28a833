//! What links do to frames, on a virtual clock.

use proptest::prelude::*;

use super::*;

fn frame(number: u32, len: usize) -> Frame {
    let mut bytes = vec![0; len.max(4)];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes.into()
}

fn number(frame: &Frame) -> u32 {
    u32::from_be_bytes(frame.bytes()[..4].try_into().unwrap())
}

fn link(impairments: Impairments, seed: u64) -> Link {
    let mut link = Link::new(seed);
    link.set_impairments(impairments, seed).unwrap();
    link
}

/// Sends frames at these times and lengths, and tells what came out when.
fn run(link: &mut Link, sent: &[(i64, usize)]) -> Vec<(i64, Frame)> {
    let mut seen = Vec::new();
    for (place, (at, len)) in sent.iter().enumerate() {
        drain(link, *at, &mut seen);
        if let Some(frame) = link.send(Instant::from_micros(*at), frame(place as u32, *len)) {
            seen.push((*at, frame));
        }
    }
    drain(link, i64::MAX, &mut seen);
    seen
}

fn drain(link: &mut Link, until: i64, seen: &mut Vec<(i64, Frame)>) {
    while let Some(at) = link.poll_at().filter(|at| at.total_micros() <= until) {
        let frame = link.receive(at).unwrap();
        seen.push((at.total_micros(), frame));
    }
}

fn impairments() -> impl Strategy<Value = Impairments> {
    let probability = || prop_oneof![Just(0.0), Just(1.0), 0.0..1.0];
    let rate = prop::option::of((8_u64..10_000_000, 100_u64..20_000));
    (
        0_u32..20_000,
        0_u32..20_000,
        (probability(), probability(), probability(), probability()),
        rate,
        1_u32..50,
        1_000_u64..50_000,
    )
        .prop_map(
            |(delay_us, jitter_us, chance, rate, queue_frames, queue_bytes)| Impairments {
                delay_us,
                jitter_us,
                loss: chance.0,
                duplicate: chance.1,
                reorder: chance.2,
                corrupt: chance.3,
                rate: rate.map(|(bits_per_second, burst_bytes)| Rate {
                    bits_per_second,
                    burst_bytes,
                }),
                queue_frames,
                queue_bytes,
            },
        )
}

fn frames() -> impl Strategy<Value = Vec<(i64, usize)>> {
    prop::collection::vec((0_i64..3_000, 4_usize..1_600), 1..120).prop_map(|pauses| {
        let mut now = 0;
        let timed = pauses.into_iter().map(|(pause, len)| {
            now += pause;
            (now, len)
        });
        timed.collect()
    })
}

proptest! {
    /// Whatever is wrong with the link: every frame is accounted for, the queue is bounded, and a seed gives one run.
    #[test]
    fn nothing_goes_unaccounted_and_a_run_repeats(impairments in impairments(), sent in frames(), seed: u64) {
        let mut first = link(impairments, seed);
        let seen = run(&mut first, &sent);
        let stats = first.stats();
        prop_assert_eq!(seen.len() as u64, stats.passed);
        prop_assert_eq!(sent.len() as u64 + stats.duplicated, stats.passed + stats.lost + stats.overflowed);
        prop_assert_eq!((stats.queued, stats.queued_bytes), (0, 0));
        let mut second = link(impairments, seed);
        prop_assert_eq!(run(&mut second, &sent), seen);
    }

    /// The queue never holds more than it may.
    #[test]
    fn the_queue_is_bounded(impairments in impairments(), sent in frames()) {
        let mut link = link(impairments, 1);
        for (place, (at, len)) in sent.iter().enumerate() {
            link.send(Instant::from_micros(*at), frame(place as u32, *len));
            let stats = link.stats();
            prop_assert!(stats.queued <= u64::from(impairments.queue_frames));
            prop_assert!(stats.queued_bytes <= impairments.queue_bytes);
        }
    }

    /// Without reordering, order is kept, whatever the jitter; and nothing comes too early or too late.
    #[test]
    fn order_is_kept(impairments in impairments(), sent in frames(), seed: u64) {
        let impairments = Impairments { reorder: 0.0, corrupt: 0.0, rate: None, ..impairments };
        let seen = run(&mut link(impairments, seed), &sent);
        prop_assert!(seen.windows(2).all(|pair| number(&pair[0].1) <= number(&pair[1].1)));
        let most = i64::from(impairments.delay_us) + i64::from(impairments.jitter_us);
        let least = i64::from(impairments.delay_us.saturating_sub(impairments.jitter_us));
        for (at, frame) in &seen {
            let came = sent[number(frame) as usize].0;
            prop_assert!((least..=most).contains(&(at - came)), "{} of {least} to {most}", at - came);
        }
    }

    /// No window of time lets more out than the burst and what the rate allows in it.
    #[test]
    fn the_rate_holds_over_every_window(impairments in impairments(), sent in frames(), bits in 1_000_u64..50_000_000) {
        let rate = Rate { bits_per_second: bits, burst_bytes: 2_000 };
        let impairments = Impairments {
            rate: Some(rate), delay_us: 500, jitter_us: 0, reorder: 0.0, ..impairments
        };
        let seen = run(&mut link(impairments, 3), &sent);
        for first in 0..seen.len() {
            let mut bytes = 0;
            for (at, frame) in &seen[first..] {
                bytes += frame.len() as u128;
                let window = (at - seen[first].0) as u128;
                let most = 8 * 2_000 * 1_000_000 + u128::from(bits) * window;
                prop_assert!(bytes * 8 * 1_000_000 <= most, "{bytes} bytes in {window} µs");
            }
        }
    }
}

#[test]
fn chances_are_what_they_are_said_to_be() {
    let impairments = Impairments {
        delay_us: 10,
        loss: 0.1,
        duplicate: 0.05,
        reorder: 0.2,
        corrupt: 0.02,
        ..Impairments::default()
    };
    let sent: Vec<_> = (0..100_000).map(|at| (at * 100, 100)).collect();
    let mut link = link(impairments, 7);
    run(&mut link, &sent);
    let stats = link.stats();
    // Within five standard deviations.
    let near = |count: u64, of: f64, chance: f64| {
        let deviation = (of * chance * (1.0 - chance)).sqrt();
        (count as f64 - of * chance).abs() < 5.0 * deviation
    };
    assert!(near(stats.lost, 100_000.0, 0.1), "{stats:?}");
    let left = 100_000.0 - stats.lost as f64;
    assert!(near(stats.duplicated, left, 0.05), "{stats:?}");
    let entered = left + stats.duplicated as f64;
    assert!(near(stats.reordered, entered, 0.2), "{stats:?}");
    assert!(near(stats.corrupted, entered, 0.02), "{stats:?}");
}

#[test]
fn those_behind_overtake_a_frame_that_is_held_back() {
    let mut link = link(
        Impairments {
            reorder: 1.0,
            ..Impairments::default()
        },
        1,
    );
    let now = Instant::from_micros(0);
    link.send(now, frame(0, 60));
    link.impairments.reorder = 0.0;
    link.send(now, frame(1, 60));
    assert_eq!(number(&link.receive(now).unwrap()), 1);
    assert!(link.receive(now).is_none());
    assert_eq!(number(&link.receive(Instant::from_millis(1)).unwrap()), 0);
}

#[test]
fn a_pulled_cable_loses_all_and_carries_again_when_it_is_back() {
    let delayed = Impairments {
        delay_us: 100,
        ..Impairments::default()
    };
    let mut link = link(delayed, 1);
    let now = Instant::from_micros(0);
    link.send(now, frame(0, 60));
    link.set_up(false);
    assert!(link.send(now, frame(1, 60)).is_none());
    assert_eq!((link.poll_at(), link.stats().unplugged), (None, 2));
    link.set_up(true);
    link.send(now, frame(2, 60));
    assert_eq!(number(&link.receive(Instant::from_micros(100)).unwrap()), 2);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let refused = |impairments: Impairments| impairments.check().unwrap_err().field;
    let base = Impairments::default();
    assert_eq!(refused(Impairments { loss: 1.5, ..base }), "loss");
    assert_eq!(
        refused(Impairments {
            corrupt: f64::NAN,
            ..base
        }),
        "corrupt"
    );
    assert_eq!(
        refused(Impairments {
            delay_us: u32::MAX,
            ..base
        }),
        "delayUs"
    );
    assert_eq!(
        refused(Impairments {
            queue_frames: 0,
            ..base
        }),
        "queueFrames"
    );
    let rate = Some(Rate {
        bits_per_second: 0,
        burst_bytes: 1,
    });
    assert_eq!(refused(Impairments { rate, ..base }), "rate");
}
