//! Guests that say anything, and hosts that do anything.

use proptest::prelude::*;

use super::*;

/// What a guest may say, mostly near to what is right.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let channel = 0..6_u32;
    let stream = prop_oneof![Just(Stream::Output), Just(Stream::Error)];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        (0..3_u64).prop_map(|instance| framed(&hello(instance))),
        (channel.clone(), stream, 0..MAX_DATA).prop_map(|(channel, stream, len)| framed(&output(
            OperationId(channel),
            stream,
            len
        ))),
        (channel.clone(), 0..WINDOW)
            .prop_map(|(channel, bytes)| framed(&GuestMessage::Credit { channel, bytes })),
        (channel, 0..4_u8)
            .prop_map(|(channel, status)| framed(&done(OperationId(channel), Outcome::Exited { status }))),
    ]
}

proptest! {
    /// Each operation that was started ends once and no more is said of it, and what is kept is bounded.
    #[test]
    fn each_operation_ends_once(steps in prop::collection::vec((0..7_u8, anything()), 0..80)) {
        let mut session = ready();
        let (mut open, mut events) = (Vec::new(), Vec::new());
        for (step, bytes) in steps {
            let last = open.last().copied().unwrap_or(OperationId(1));
            match step {
                0 => events.extend(session.closed()),
                1 => session.cancel(last),
                2 => { session.write(last, &vec![0; 1 << 20]); }
                3 => session.consumed(last, Stream::Output, bytes.len()),
                4 => { session.outgoing(bytes.len() * 100); }
                _ => open.extend(session.start(Operation::Run(Command::shell("x")))),
            }
            events.extend(session.receive(&bytes));
            for event in events.drain(..) {
                let id = match &event {
                    Event::Started { id, .. } | Event::Output { id, .. } | Event::Taken { id, .. } | Event::Ended { id, .. } => *id,
                    _ => continue,
                };
                prop_assert!(open.contains(&id), "{:?} of what is not under way", event);
                if matches!(event, Event::Ended { .. }) {
                    open.retain(|other| *other != id);
                }
            }
            prop_assert!(open.len() <= MAX_OPERATIONS);
        }
        events.extend(session.closed());
        let ended = events.iter().filter(|event| matches!(event, Event::Ended { .. })).count();
        prop_assert_eq!(ended, open.len());
    }

    #[test]
    fn the_pieces_do_not_matter(messages in prop::collection::vec(anything(), 0..20), sizes in prop::collection::vec(1..200_usize, 1..20)) {
        let stream = messages.concat();
        let (mut whole, mut pieces) = (ready(), ready());
        for session in [&mut whole, &mut pieces] {
            run(session);
            run(session);
            sent(session);
        }
        let (mut at, mut events) = (0, Vec::new());
        for size in sizes.iter().cycle() {
            let end = (at + size).min(stream.len());
            events.extend(pieces.receive(&stream[at..end]));
            at = end;
            if at == stream.len() {
                break;
            }
        }
        prop_assert_eq!(whole.receive(&stream), events);
    }
}
