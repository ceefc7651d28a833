//! The guest's agent: what clients have it do, each on a stream, and what it is told of the terminal.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod world;

use qemuweb_agent::{GuestMessage, Hello, HostMessage, Outcome, Size, Started, Stream, frame};
use qemuweb_machine::io::{ClientId, StreamId};
use qemuweb_wire::agent::{AgentCommand, AgentOperation};
use qemuweb_wire::call::{ProfileRef, RestartVm, StartVm, StopVm};
use qemuweb_wire::stream::{StreamKind, StreamMessage};
use serde_json::{Value, json};
use world::World;

const PORT: &str = "agent0";

fn id() -> String {
    "a".to_owned()
}

/// A VM that runs, without an agent so far.
fn running() -> (World, ClientId) {
    let mut world = World::new();
    let client = world.join(1);
    let start = StartVm {
        vm_id: id(),
        name: None,
        profile: ProfileRef::Id("minimal-x86_64".to_owned()),
        inputs: Box::default(),
        overrides: None,
    };
    world.ask(client, start).unwrap();
    (world, client)
}

/// A VM with an agent that was greeted.
fn with_agent() -> (World, ClientId) {
    let (mut world, client) = running();
    hello(&mut world, 7);
    let greeting = HostMessage::Hello {
        version: 1,
        instance: 7,
    };
    assert_eq!(heard(&mut world), [greeting]);
    (world, client)
}

fn hello(world: &mut World, instance: u64) {
    say(
        world,
        &GuestMessage::Hello(Hello {
            oldest: 1,
            newest: 1,
            instance,
            name: "test".to_owned(),
        }),
    );
}

fn say(world: &mut World, message: &GuestMessage) {
    let mut bytes = Vec::new();
    message.write_frame(&mut bytes);
    world.say_on("a", PORT, &bytes);
}

/// What the agent has been told since this was asked last.
fn heard(world: &mut World) -> Vec<HostMessage> {
    let ring = world.qemu("a").1.rings.get_mut(PORT).unwrap();
    let (mut reader, mut messages) = (frame::Reader::default(), Vec::new());
    let taken: Vec<u8> = std::mem::take(&mut ring.taken);
    reader.push(&taken, |message| {
        messages.push(HostMessage::read(message.unwrap()).unwrap());
    });
    messages
}

fn open(world: &mut World, client: ClientId, operation: AgentOperation) -> StreamId {
    world.open(
        client,
        StreamKind::Agent {
            vm_id: id(),
            operation,
        },
    )
}

fn run(world: &mut World, client: ClientId) -> StreamId {
    let operation = AgentOperation::Run {
        command: AgentCommand::Shell("yes".to_owned()),
        directory: None,
        environment: Vec::new(),
        terminal: None,
        time_limit_ms: None,
    };
    open(world, client, operation)
}

/// The channel of the operation that the agent was told to start.
fn channel(world: &mut World) -> u32 {
    match &heard(world)[..] {
        [HostMessage::Open { channel, .. }] => *channel,
        messages => panic!("{messages:?}"),
    }
}

fn output(world: &mut World, channel: u32, stream: Stream, bytes: &[u8]) {
    let bytes = bytes.to_vec();
    say(
        world,
        &GuestMessage::Data {
            channel,
            stream,
            bytes,
        },
    );
}

fn note(world: &mut World, stream: StreamId, note: Value) {
    world.on_stream(stream, &StreamMessage::Note { note }, None);
}

fn size(world: &mut World, stream: StreamId, rows: u16, columns: u16, focused: bool) {
    note(
        world,
        stream,
        json!({"type": "size", "size": [rows, columns], "focused": focused}),
    );
}

fn resize(rows: u16, columns: u16) -> HostMessage {
    let size = Size { rows, columns };
    HostMessage::Resize { channel: 0, size }
}

#[test]
fn the_guest_is_told_the_size_of_the_terminal_that_has_the_keyboard() {
    let (mut world, client) = with_agent();
    let (first, second) = (world.open_console(client, "a"), world.open_console(client, "a"));
    size(&mut world, first, 24, 80, false);
    size(&mut world, second, 50, 60, false);
    // Nobody has the keyboard: what both can show.
    assert_eq!(heard(&mut world), [resize(24, 80), resize(24, 60)]);
    size(&mut world, second, 50, 60, true);
    size(&mut world, second, 50, 60, true);
    size(&mut world, first, 30, 80, false);
    assert_eq!(heard(&mut world), [resize(50, 60)]);
    // An agent that has just come is told again.
    hello(&mut world, 8);
    let greeting = HostMessage::Hello {
        version: 1,
        instance: 8,
    };
    assert_eq!(heard(&mut world), [greeting, resize(50, 60)]);
    world.on_stream(second, &StreamMessage::End { failure: None }, None);
    assert_eq!(heard(&mut world), [resize(30, 80)]);
}

#[test]
fn a_command_has_input_output_and_an_end() {
    let (mut world, client) = with_agent();
    let stream = run(&mut world, client);
    let channel = channel(&mut world);
    world.on_stream(stream, &StreamMessage::Data { offset: 0 }, Some(b"typed"));
    note(&mut world, stream, json!({"type": "end"}));
    let bytes = b"typed".to_vec();
    assert_eq!(
        heard(&mut world),
        [HostMessage::Data { channel, bytes }, HostMessage::End { channel }]
    );
    say(
        &mut world,
        &GuestMessage::Started {
            channel,
            started: Started::Command { pid: 42 },
        },
    );
    say(&mut world, &GuestMessage::Credit { channel, bytes: 5 });
    for (of, bytes) in [
        (Stream::Output, "one "),
        (Stream::Error, "two "),
        (Stream::Output, "three"),
    ] {
        output(&mut world, channel, of, bytes.as_bytes());
    }
    say(
        &mut world,
        &GuestMessage::Done {
            channel,
            outcome: Outcome::Exited { status: 3 },
        },
    );
    let shown = &world.streams[&stream];
    assert!(
        shown.bytes.is_empty() && !shown.ended,
        "nothing was asked for yet"
    );
    world.grant(stream, 6);
    assert_eq!(world.streams[&stream].bytes, b"one tw");
    world.grant(stream, 1000);
    let shown = &world.streams[&stream];
    assert_eq!(shown.bytes, b"one two three");
    assert_eq!(
        shown.notes,
        [
            json!({"type": "started", "pid": 42, "size": null, "mode": null}),
            json!({"type": "taken", "bytes": 5}),
            json!({"type": "output", "error": true}),
            json!({"type": "output", "error": false}),
            json!({"type": "ended", "outcome": {"type": "exited", "status": 3}}),
        ]
    );
    assert!(shown.ended && shown.failure.is_none());
}

#[test]
fn output_waits_in_the_guest_until_the_client_takes_it() {
    let (mut world, client) = with_agent();
    let stream = run(&mut world, client);
    let channel = channel(&mut world);
    let window = qemuweb_agent::WINDOW as usize;
    for _ in 0..window / 4096 {
        output(&mut world, channel, Stream::Output, &[b'y'; 4096]);
    }
    assert_eq!(heard(&mut world), [], "no more is asked for");
    world.grant(stream, window as u64 / 2);
    let bytes = qemuweb_agent::WINDOW / 2;
    let credit = HostMessage::Credit {
        channel,
        stream: Stream::Output,
        bytes,
    };
    assert_eq!(heard(&mut world), [credit]);
}

#[test]
fn what_the_client_leaves_is_cancelled() {
    let (mut world, client) = with_agent();
    for closes in [true, false] {
        let other = world.join(9);
        let stream = run(&mut world, if closes { client } else { other });
        let channel = channel(&mut world);
        if closes {
            world.on_stream(stream, &StreamMessage::End { failure: None }, None);
        }
        world.leave(other);
        assert_eq!(heard(&mut world), [HostMessage::Cancel { channel }]);
        output(&mut world, channel, Stream::Output, b"late");
        say(
            &mut world,
            &GuestMessage::Done {
                channel,
                outcome: Outcome::Cancelled,
            },
        );
    }
    let stream = run(&mut world, client);
    let channel = channel(&mut world);
    note(&mut world, stream, json!({"type": "cancel"}));
    say(
        &mut world,
        &GuestMessage::Done {
            channel,
            outcome: Outcome::Cancelled,
        },
    );
    let ended = json!({"type": "ended", "outcome": {"type": "cancelled"}});
    assert_eq!(world.streams[&stream].notes, [ended]);
}

#[test]
fn what_cannot_be_done_says_why() {
    let (mut world, client) = running();
    let failure = |world: &World, stream| world.streams[&stream].failure.clone().unwrap().message;
    let stream = run(&mut world, client);
    assert!(failure(&world, stream).contains("no agent that answers"));
    hello(&mut world, 7);
    heard(&mut world);
    let stream = open(
        &mut world,
        client,
        AgentOperation::Get {
            path: "/x".to_owned(),
        },
    );
    let channel = channel(&mut world);
    let message = "cannot read /x: No such file or directory".to_owned();
    say(
        &mut world,
        &GuestMessage::Done {
            channel,
            outcome: Outcome::Failed {
                errno: 2,
                message: message.clone(),
            },
        },
    );
    assert_eq!(failure(&world, stream), message);
    let stream = run(&mut world, client);
    hello(&mut world, 8);
    assert_eq!(
        failure(&world, stream),
        "The guest, or its agent, was started again meanwhile."
    );
    let stream = run(&mut world, client);
    world.set_open("a", PORT, true);
    world.set_open("a", PORT, false);
    assert_eq!(failure(&world, stream), "The guest's agent went away meanwhile.");
    // It is there after all, and is asked for its hello.
    assert!(heard(&mut world).contains(&HostMessage::Wake));
}

#[test]
fn a_run_has_an_agent_of_its_own() {
    let (mut world, client) = with_agent();
    let stream = run(&mut world, client);
    let force = true;
    world.ask(client, StopVm { vm_id: id(), force }).unwrap();
    assert!(world.streams[&stream].ended);
    world.ask(client, RestartVm { vm_id: id() }).unwrap();
    let stream = run(&mut world, client);
    assert!(
        world.streams[&stream].failure.is_some(),
        "the former run's agent is gone"
    );
    hello(&mut world, 7);
    let stream = run(&mut world, client);
    assert!(!world.streams[&stream].ended);
    world.check_answers();
}

#[test]
fn clients_are_told_whether_there_is_an_agent() {
    let (mut world, client) = running();
    let has_agent = |world: &mut World| world.vm("a").unwrap().has_agent;
    world.set_open("a", PORT, true);
    hello(&mut world, 7);
    assert!(!has_agent(&mut world), "news wait for more of them");
    world.pass(300.0);
    assert!(has_agent(&mut world));
    world.set_open("a", PORT, false);
    world.pass(300.0);
    assert!(!has_agent(&mut world));
    world.set_open("a", PORT, true);
    hello(&mut world, 8);
    world.pass(300.0);
    assert!(has_agent(&mut world));
    let force = true;
    world.ask(client, StopVm { vm_id: id(), force }).unwrap();
    assert!(!has_agent(&mut world), "it went with its run");
    world.check_answers();
}

#[test]
fn rubbish_from_the_guest_harms_nobody() {
    let (mut world, client) = with_agent();
    let stream = run(&mut world, client);
    for bytes in [&b"resize 24 80\n\0"[..], &[0; 100], &[255; 70_000], b"\0"] {
        world.say_on("a", PORT, bytes);
    }
    assert!(world.streams[&stream].ended);
    hello(&mut world, 9);
    let stream = run(&mut world, client);
    assert!(!world.streams[&stream].ended);
}
