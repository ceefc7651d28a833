//! Credits: no side sends more than the other has granted, and a side that takes is always sent more.

use proptest::prelude::*;

use super::*;

#[test]
fn a_window_is_granted_and_renewed_by_halves() {
    let mut incoming = Incoming::new(100);
    assert_eq!(incoming.granted(), 100);
    assert!(incoming.received(100));
    assert_eq!(incoming.taken(49), None);
    assert_eq!(incoming.taken(1), Some(150));
    assert!(incoming.received(50));
    assert!(!incoming.received(1));
}

#[test]
fn credit_is_never_taken_back_and_never_boundless() {
    let mut outgoing = Outgoing::default();
    outgoing.grant(10);
    outgoing.grant(5);
    assert_eq!(outgoing.room(), 10);
    outgoing.grant(u64::MAX);
    assert_eq!(outgoing.room(), 16 * WINDOW);
    outgoing.sent(u64::MAX);
    assert_eq!(outgoing.room(), 0);
}

#[test]
fn what_was_not_received_cannot_be_taken() {
    let mut incoming = Incoming::new(10);
    assert_eq!(incoming.taken(u64::MAX), None);
    assert_eq!(incoming.granted(), 10);
}

proptest! {
    #[test]
    fn a_stream_flows_within_its_window(
        window in 1_u64..2000,
        steps in proptest::collection::vec((any::<bool>(), 1_u64..700), 0..200),
    ) {
        let (mut incoming, mut outgoing) = (Incoming::new(window), Outgoing::default());
        outgoing.grant(incoming.granted());
        let mut waiting = 0;
        for (sends, bytes) in steps {
            if sends {
                let bytes = bytes.min(outgoing.room());
                outgoing.sent(bytes);
                prop_assert!(incoming.received(bytes));
                waiting += bytes;
                prop_assert!(waiting <= 2 * window);
            } else {
                let bytes = bytes.min(waiting);
                waiting -= bytes;
                if let Some(total) = incoming.taken(bytes) {
                    outgoing.grant(total);
                }
            }
            // A side that has taken everything can be sent something.
            prop_assert!(waiting > 0 || outgoing.room() > 0);
        }
    }
}
