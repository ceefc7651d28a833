//! The host's side against agents that keep to the protocol, and such that do not.

mod random;

use super::*;
use crate::operation::Command;
use crate::{MAX_DATA, WINDOW};

const ROOM: usize = 1 << 20;

fn hello(instance: u64) -> GuestMessage {
    GuestMessage::Hello(Hello {
        oldest: 1,
        newest: 3,
        instance,
        name: "test".to_owned(),
    })
}

fn framed(message: &GuestMessage) -> Vec<u8> {
    let mut out = Vec::new();
    message.write_frame(&mut out);
    out
}

fn say(session: &mut Session, message: GuestMessage) -> Vec<Event> {
    session.receive(&framed(&message))
}

/// What the session sends.
fn sent(session: &mut Session) -> Vec<HostMessage> {
    let (mut reader, mut messages) = (frame::Reader::default(), Vec::new());
    reader.push(&session.outgoing(ROOM), |message| {
        messages.push(HostMessage::read(message.unwrap()).unwrap());
    });
    messages
}

fn ready() -> Session {
    let mut session = Session::new();
    say(&mut session, hello(7));
    sent(&mut session);
    session
}

fn run(session: &mut Session) -> OperationId {
    session.start(Operation::Run(Command::shell("yes"))).unwrap()
}

fn output(id: OperationId, stream: Stream, len: usize) -> GuestMessage {
    GuestMessage::Data {
        channel: id.0,
        stream,
        bytes: vec![b'y'; len],
    }
}

fn done(id: OperationId, outcome: Outcome) -> GuestMessage {
    GuestMessage::Done {
        channel: id.0,
        outcome,
    }
}

fn is_broken(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Broken { .. }))
}

#[test]
fn nothing_is_said_before_a_hello() {
    let mut session = Session::new();
    session.resize_console(Size {
        rows: 50,
        columns: 132,
    });
    assert_eq!(session.start(Operation::Report), Err(StartError::NotReady));
    assert_eq!(sent(&mut session), []);
    assert_eq!(session.receive(b"resize\0\x05rubbish\0"), []);
    let events = say(&mut session, hello(9));
    assert!(matches!(&events[..], [Event::Ready(hello)] if hello.instance == 9));
    assert_eq!(
        sent(&mut session),
        [
            HostMessage::Hello {
                version: 1,
                instance: 9
            },
            HostMessage::Resize {
                channel: 0,
                size: Size {
                    rows: 50,
                    columns: 132
                }
            },
        ]
    );
    // It did not hear the answer.
    assert_eq!(say(&mut session, hello(9)), []);
    assert_eq!(
        sent(&mut session),
        [HostMessage::Hello {
            version: 1,
            instance: 9
        }]
    );
}

#[test]
fn a_command_from_its_start_to_its_end() {
    let mut session = ready();
    let id = run(&mut session);
    assert_eq!(session.write(id, b"input"), 5);
    session.finish(id);
    let channel = id.0;
    assert_eq!(
        sent(&mut session),
        [
            HostMessage::Open {
                channel,
                operation: Operation::Run(Command::shell("yes"))
            },
            HostMessage::Data {
                channel,
                bytes: b"input".to_vec()
            },
            HostMessage::End { channel },
        ]
    );
    let started = Started::Command { pid: 42 };
    assert_eq!(
        say(&mut session, GuestMessage::Started { channel, started }),
        [Event::Started { id, started }]
    );
    assert_eq!(
        say(&mut session, GuestMessage::Credit { channel, bytes: 5 }),
        [Event::Taken { id, bytes: 5 }]
    );
    assert!(matches!(
        &say(&mut session, output(id, Stream::Error, 3))[..],
        [Event::Output {
            stream: Stream::Error,
            ..
        }]
    ));
    let outcome = Outcome::Exited { status: 3 };
    let ending = Ending::Done(outcome.clone());
    assert_eq!(
        say(&mut session, done(id, outcome)),
        [Event::Ended { id, ending }]
    );
    assert_eq!(session.write(id, b"more"), 0);
}

#[test]
fn another_instance_ends_what_the_former_one_did() {
    let mut session = ready();
    let (first, second) = (run(&mut session), run(&mut session));
    let lost = |id| Event::Ended {
        id,
        ending: Ending::Lost(Loss::Restarted),
    };
    let events = say(&mut session, hello(8));
    assert_eq!(events[..2], [lost(first), lost(second)]);
    assert!(matches!(&events[2..], [Event::Ready(_)]));
    // What comes of the former one's cannot be meant for new ones.
    let third = run(&mut session);
    assert!(third > second);
}

#[test]
fn a_port_that_closes_ends_all_and_asks_who_is_there() {
    let mut session = ready();
    let id = run(&mut session);
    assert_eq!(
        session.closed(),
        [Event::Ended {
            id,
            ending: Ending::Lost(Loss::Closed)
        }]
    );
    assert_eq!(sent(&mut session), [HostMessage::Wake]);
    assert!(!session.is_ready());
    assert_eq!(session.closed(), []);
    assert_eq!(sent(&mut session), []);
}

#[test]
fn other_versions_are_told() {
    for (oldest, newest, speaks) in [(1, 1, true), (0, 9, true), (2, 9, false), (0, 0, false)] {
        let mut session = Session::new();
        let hello = Hello {
            oldest,
            newest,
            instance: 1,
            name: "\u{1b}[2J".to_owned() + &"x".repeat(1000),
        };
        let events = say(&mut session, GuestMessage::Hello(hello));
        match &events[..] {
            [Event::Ready(hello)] if speaks => {
                assert!(hello.name.starts_with("·[2Jx") && hello.name.len() <= MAX_TEXT)
            }
            [Event::Incompatible(_)] if !speaks => assert!(sent(&mut session).is_empty()),
            events => panic!("{events:?}"),
        }
    }
}

#[test]
fn output_needs_credit() {
    let mut session = ready();
    let id = run(&mut session);
    sent(&mut session);
    let mut left = WINDOW as usize;
    while left > 0 {
        let len = left.min(MAX_DATA);
        assert!(!is_broken(&say(&mut session, output(id, Stream::Output, len))));
        left -= len;
    }
    // The other stream has its own.
    assert!(!is_broken(&say(&mut session, output(id, Stream::Error, 1))));
    session.consumed(id, Stream::Output, 30_000);
    let channel = id.0;
    assert_eq!(
        sent(&mut session),
        [HostMessage::Credit {
            channel,
            stream: Stream::Output,
            bytes: 30_000
        }]
    );
    assert!(!is_broken(&say(&mut session, output(id, Stream::Output, 10_000))));
    // Nobody can consume more than came.
    session.consumed(id, Stream::Output, usize::MAX);
    assert_eq!(
        sent(&mut session),
        [HostMessage::Credit {
            channel,
            stream: Stream::Output,
            bytes: WINDOW - 20_000
        }]
    );
    let events = [(); 5].map(|()| say(&mut session, output(id, Stream::Output, MAX_DATA)));
    assert!(is_broken(&events.concat()), "more than there was room for");
}

#[test]
fn input_needs_credit() {
    let mut session = ready();
    let id = run(&mut session);
    let much = vec![1; 3 * WINDOW as usize];
    assert_eq!(session.write(id, &much), WINDOW as usize);
    assert_eq!(session.write(id, &much), 0);
    let bytes: usize = sent(&mut session)
        .iter()
        .map(|message| match message {
            HostMessage::Data { bytes, .. } => bytes.len(),
            _ => 0,
        })
        .sum();
    assert_eq!(bytes, WINDOW as usize);
    assert_eq!(session.write(id, &much), 0);
    say(
        &mut session,
        GuestMessage::Credit {
            channel: id.0,
            bytes: 1000,
        },
    );
    assert_eq!(session.write(id, &much), 1000);
}

#[test]
fn a_resize_overtakes_input() {
    let mut session = ready();
    let id = run(&mut session);
    session.write(id, &[1; WINDOW as usize]);
    sent(&mut session);
    say(
        &mut session,
        GuestMessage::Credit {
            channel: id.0,
            bytes: WINDOW,
        },
    );
    session.write(id, &[1; WINDOW as usize]);
    for columns in 1..=100 {
        session.resize_console(Size { rows: 50, columns });
    }
    let messages = sent(&mut session);
    assert_eq!(
        messages[0],
        HostMessage::Resize {
            channel: 0,
            size: Size {
                rows: 50,
                columns: 100
            }
        }
    );
    assert_eq!(
        messages.len(),
        5,
        "the last size only, and four messages of input"
    );
}

#[test]
fn input_of_several_takes_turns() {
    let mut session = ready();
    let ids = [run(&mut session), run(&mut session), run(&mut session)];
    for id in ids {
        session.write(id, &[1; 2 * MAX_DATA]);
    }
    let order: Vec<u32> = sent(&mut session)
        .iter()
        .filter_map(|message| match message {
            HostMessage::Data { channel, .. } => Some(*channel),
            _ => None,
        })
        .collect();
    let [a, b, c] = ids.map(|id| id.0);
    assert_eq!(order, [a, b, c, a, b, c]);
}

#[test]
fn what_is_cancelled_is_silent_until_it_ends() {
    let mut session = ready();
    let id = run(&mut session);
    sent(&mut session);
    session.cancel(id);
    session.cancel(id);
    assert_eq!(sent(&mut session), [HostMessage::Cancel { channel: id.0 }]);
    assert_eq!(sent(&mut session), []);
    assert_eq!(say(&mut session, output(id, Stream::Output, 10)), []);
    let ending = Ending::Done(Outcome::Cancelled);
    assert_eq!(
        say(&mut session, done(id, Outcome::Cancelled)),
        [Event::Ended { id, ending }]
    );
}

#[test]
fn what_takes_no_input_gets_none() {
    let mut session = ready();
    let path = "x".to_owned();
    for operation in [
        Operation::Get { path },
        Operation::Report,
        Operation::SetClock { unix_micros: 1 },
    ] {
        let id = session.start(operation).unwrap();
        assert_eq!(session.write(id, b"x"), 0);
        session.finish(id);
        assert!(matches!(&sent(&mut session)[..], [HostMessage::Open { .. }]));
    }
}

#[test]
fn a_file_has_the_size_that_is_told() {
    let mut session = ready();
    let put = session
        .start(Operation::Put {
            path: "/tmp/x".to_owned(),
            mode: 0o644,
            size: 10,
        })
        .unwrap();
    assert_eq!(session.write(put, &[1; 12]), 10);
    assert_eq!(session.write(put, &[1; 12]), 0);
    session.finish(put);
    sent(&mut session);
    assert!(!is_broken(&say(&mut session, done(put, Outcome::Stored))));
    for (size, broken) in [(3, false), (4, true)] {
        let get = session.start(Operation::Get { path: "x".to_owned() }).unwrap();
        sent(&mut session);
        say(&mut session, output(get, Stream::Output, 3));
        assert_eq!(
            is_broken(&say(&mut session, done(get, Outcome::Sent { size }))),
            broken
        );
    }
}

#[test]
fn who_does_not_keep_to_the_protocol_is_asked_for_a_hello() {
    type Wrong = fn(OperationId) -> GuestMessage;
    let wrongs: [Wrong; 9] = [
        |id| done(OperationId(id.0 + 1), Outcome::Cancelled),
        |id| done(id, Outcome::Cancelled),
        |id| done(id, Outcome::Stored),
        |id| done(id, Outcome::Reported(crate::Report::default())),
        |id| output(id, Stream::Output, 0).tap_channel(99),
        |id| GuestMessage::Credit {
            channel: id.0,
            bytes: 1,
        },
        |id| GuestMessage::Credit {
            channel: id.0,
            bytes: u32::MAX,
        },
        |id| GuestMessage::Started {
            channel: id.0,
            started: Started::Put,
        },
        |id| GuestMessage::Started {
            channel: id.0,
            started: Started::Get { size: 1, mode: 0 },
        },
    ];
    for wrong in wrongs {
        let mut session = ready();
        let id = run(&mut session);
        sent(&mut session);
        let events = say(&mut session, wrong(id));
        assert!(is_broken(&events), "{:?}", wrong(id));
        assert_eq!(
            events[1..],
            [Event::Ended {
                id,
                ending: Ending::Lost(Loss::Broken)
            }]
        );
        assert_eq!(sent(&mut session), [HostMessage::Wake]);
        // It is said once, and over when another instance says hello.
        assert_eq!(say(&mut session, wrong(id)), []);
        assert!(matches!(&say(&mut session, hello(8))[..], [Event::Ready(_)]));
    }
}

impl GuestMessage {
    fn tap_channel(mut self, number: u32) -> Self {
        if let Self::Data { channel, .. } = &mut self {
            *channel = number;
        }
        self
    }
}

#[test]
fn what_cannot_be_sent_is_not_started() {
    let mut session = ready();
    let mut command = Command::shell("x".repeat(frame::MAX_MESSAGE));
    assert_eq!(
        session.start(Operation::Run(command.clone())),
        Err(StartError::TooLong)
    );
    for (line, name) in [("a\0b", "A"), ("a", ""), ("a", "A=B")] {
        command = Command::shell(line);
        command.environment.push((name.to_owned(), String::new()));
        assert_eq!(
            session.start(Operation::Run(command)),
            Err(StartError::Impossible)
        );
    }
    for _ in 0..MAX_OPERATIONS {
        run(&mut session);
    }
    assert_eq!(session.start(Operation::Report), Err(StartError::TooMany));
}

#[test]
fn little_room_cuts_no_frame() {
    let mut session = ready();
    for _ in 0..3 {
        let id = run(&mut session);
        session.write(id, &[0; 3000]);
    }
    session.resize_console(Size { rows: 1, columns: 1 });
    let (mut reader, mut messages) = (frame::Reader::default(), 0);
    for room in [0, 1, 10, 20, 100, 5000, MAX_FRAME, MAX_FRAME, MAX_FRAME] {
        let bytes = session.outgoing(room);
        assert!(bytes.len() <= room);
        reader.push(&bytes, |message| {
            messages += usize::from(HostMessage::read(message.unwrap()).is_ok())
        });
    }
    assert_eq!(messages, 1 + 3 + 3);
}
