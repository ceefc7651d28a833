//! What a VM has beside its life: console, monitor, meter and captures.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod world;

use qemuweb_capture::{Exchange, jsonl};
use qemuweb_machine::Input;
use qemuweb_machine::io::{Attached, ClientId, FromWorker, RunId, StreamId};
use qemuweb_wire::call::{ProfileRef, PushCapture, RemoveVm, RestartVm, RunMonitor, StartVm, StopVm};
use qemuweb_wire::message::{ClientMessage, Update, VERSION};
use qemuweb_wire::monitor::MonitorCommand;
use qemuweb_wire::stream::{StreamMessage, WINDOW};
use qemuweb_wire::topic::Topic;
use serde_json::{Value, json};
use world::World;

fn id() -> String {
    "a".to_owned()
}

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

fn shown(world: &World, stream: StreamId) -> &[u8] {
    &world.streams[&stream].bytes
}

#[test]
fn output_comes_as_far_as_it_is_asked_for() {
    let (mut world, client) = running();
    let stream = world.open_console(client, "a");
    world.print("a", b"first ");
    assert_eq!(shown(&world, stream), b"");
    world.grant(stream, 4);
    assert_eq!(shown(&world, stream), b"firs");
    world.grant(stream, 1000);
    world.print("a", b"second");
    assert_eq!(shown(&world, stream), b"first second");
    // A reboot goes on where it was.
    world.event("a", "RESET", json!({}));
    world.print("a", b" third");
    assert_eq!(shown(&world, stream), b"first second third");
    // Who comes later sees what was before.
    let later = world.open_console(client, "a");
    world.grant(later, 6);
    assert_eq!(shown(&world, later), b"first ");
}

#[test]
fn a_terminal_that_falls_behind_is_told_what_it_misses() {
    let (mut world, client) = running();
    let stream = world.open_console(client, "a");
    world.grant(stream, 10);
    for _ in 0..100 {
        world.print("a", &[b'y'; 100_000]);
    }
    assert_eq!(shown(&world, stream).len(), 10);
    world.grant(stream, 20);
    let pieces = &world.streams[&stream].pieces;
    let (_, offset, _) = pieces.last().unwrap();
    assert_eq!(*offset, 10_000_000 - (256 << 10));
    // In the next run it starts anew, and is told what never came.
    world
        .ask(
            client,
            StopVm {
                vm_id: id(),
                force: true,
            },
        )
        .unwrap();
    world.ask(client, RestartVm { vm_id: id() }).unwrap();
    assert_eq!(world.streams[&stream].missed, (256 << 10) - 10);
    world.print("a", b"anew");
    world.grant(stream, 1000);
    assert!(shown(&world, stream).ends_with(b"anew"));
}

#[test]
fn what_is_typed_waits_for_the_guest() {
    let (mut world, client) = running();
    let stream = world.open_console(client, "a");
    assert_eq!(world.streams[&stream].credit, WINDOW);
    world.qemu("a").1.reads = false;
    let typed: Vec<u8> = (0..WINDOW).map(|n| n as u8).collect();
    let data = StreamMessage::Data { offset: 0 };
    world.on_stream(stream, &data, Some(&typed));
    assert_eq!(world.streams[&stream].credit, WINDOW, "nobody has read");
    for _ in 0..8 {
        world.qemu("a").1.read("serial0", usize::MAX);
        world.settle();
    }
    assert_eq!(world.qemu("a").1.rings["serial0"].taken, typed);
    assert_eq!(world.streams[&stream].credit, 2 * WINDOW);
    // Whoever sends more than he may is shown the door.
    world.qemu("a").1.reads = false;
    world.on_stream(stream, &data, Some(&typed));
    world.on_stream(stream, &data, Some(b"x"));
    assert!(world.streams[&stream].ended && world.streams[&stream].closed);
}

#[test]
fn a_machine_that_is_off_swallows_what_is_typed() {
    let (mut world, client) = running();
    world
        .ask(
            client,
            StopVm {
                vm_id: id(),
                force: true,
            },
        )
        .unwrap();
    let stream = world.open_console(client, "a");
    for round in 1..5 {
        world.on_stream(
            stream,
            &StreamMessage::Data { offset: 0 },
            Some(&vec![b'x'; WINDOW as usize]),
        );
        assert_eq!(world.streams[&stream].credit, (round + 1) * WINDOW);
    }
}

#[test]
fn streams_end_with_their_vm_and_their_client() {
    let (mut world, client) = running();
    let stream = world.open_console(client, "a");
    let other = world.join(2);
    let others = world.open_console(other, "a");
    world.leave(other);
    assert!(world.streams[&others].closed);
    world
        .ask(
            client,
            StopVm {
                vm_id: id(),
                force: true,
            },
        )
        .unwrap();
    assert!(!world.streams[&stream].ended);
    world.ask(client, RemoveVm { vm_id: id() }).unwrap();
    assert!(world.streams[&stream].ended);
    // What cannot be opened is ended at once, with why.
    let none = world.open_console(client, "no-such-vm");
    assert!(world.streams[&none].ended);
}

#[test]
fn the_monitor_answers_and_tells() {
    let (mut world, client) = running();
    let topic = world.subscribe(client, Topic::Machine { vm_id: id() });
    let ask = |command| RunMonitor { vm_id: id(), command };
    let answer = world.ask(client, ask(MonitorCommand::QueryStatus)).unwrap();
    assert_eq!(answer["status"], "running");
    let no_such = MonitorCommand::Other {
        execute: "no-such".to_owned(),
        arguments: None,
    };
    assert!(
        world
            .ask(client, ask(no_such))
            .unwrap_err()
            .message
            .contains("QEMU refused")
    );
    world.event("a", "POWERDOWN", json!({}));
    let huge = "x".repeat(100_000);
    world.event("a", "HUGE", json!({"data": huge}));
    let told: Vec<_> = world.told[&client]
        .updates
        .iter()
        .filter(|(of, _)| *of == topic)
        .collect();
    let [_, (_, Update::Delta(first)), (_, Update::Delta(second))] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(first["event"]["name"], "POWERDOWN");
    assert!(second.to_string().len() < 1000);
    // An answer that does not come before QEMU ends says so.
    world.qemu("a").1.answers = false;
    let waiting = world.call(client, ask(MonitorCommand::QueryStatus), Vec::new());
    assert!(world.answer(client, waiting).is_none());
    world.worker("a", FromWorker::Failed(qemuweb_wire::Failure::new("trap")));
    assert!(
        world
            .answer(client, waiting)
            .unwrap()
            .unwrap_err()
            .message
            .contains("QEMU ended")
    );
    assert!(
        world
            .ask(client, ask(MonitorCommand::QueryStatus))
            .unwrap_err()
            .message
            .contains("no monitor")
    );
}

#[test]
fn a_machine_is_measured_while_somebody_looks() {
    let (mut world, client) = running();
    world.print("a", b"Welcome to QemuWeb");
    world.pass(10_000.0);
    let asked = |world: &mut World| {
        let commands = &world.qemu("a").1.commands;
        commands
            .iter()
            .filter(|name| *name == "human-monitor-command")
            .count()
    };
    assert_eq!(asked(&mut world), 0);
    let topic = world.subscribe(client, Topic::Machine { vm_id: id() });
    world.pass(8_500.0);
    assert_eq!(asked(&mut world), 8);
    let measured = world.told[&client]
        .updates
        .iter()
        .filter_map(|(of, update)| match update {
            Update::Delta(delta) if *of == topic && delta["type"] == "measured" => Some(&delta["metrics"]),
            _ => None,
        });
    let measured: Vec<&Value> = measured.collect();
    assert_eq!(measured.len(), 2);
    assert_eq!(
        (&measured[0]["cpu"], &measured[0]["diskRead"]),
        (&json!(0.0), &json!(5))
    );
    // A machine that does not answer is not asked again and again.
    world.qemu("a").1.answers = false;
    world.pass(60_000.0);
    assert!(world.core.most_kept() < 1_000_000);
    world.say(client, &ClientMessage::Unsubscribe { id: topic }, Vec::new());
}

fn line(number: u64, bytes: usize) -> Vec<u8> {
    let mut line = Vec::new();
    let mut exchange = Exchange {
        number,
        ..Exchange::default()
    };
    exchange.request.url = format!("https://example.org/{}", "x".repeat(bytes));
    jsonl::write_exchange(&mut line, "c", &exchange).unwrap();
    line
}

fn push(world: &mut World, client: ClientId, lines: &[u8]) -> u32 {
    let push = PushCapture { vm_id: id() };
    world.call(client, push, vec![Attached::Bytes(lines.into())])
}

fn open(world: &mut World, port: &str, open: bool) {
    world.event("a", "VSERPORT_CHANGE", json!({"id": port, "open": open}));
}

/// The guest's program reads all that comes.
fn read_all(world: &mut World, port: &'static str) {
    for _ in 0..5000 {
        world.qemu("a").1.read(port, usize::MAX);
        world.settle();
        if world.qemu("a").1.rings[port].waiting.is_empty() {
            return;
        }
    }
    panic!("it does not end");
}

#[test]
fn a_line_of_any_allowed_size_reaches_the_guest() {
    for bytes in [10, 5 << 20, 30 << 20, jsonl::MAX_LINE - 1000] {
        let (mut world, client) = running();
        open(&mut world, "capture0", true);
        world.qemu("a").1.reads = false;
        let line = line(1, bytes);
        assert!(line.len() <= jsonl::MAX_LINE);
        let pushed = push(&mut world, client, &line);
        read_all(&mut world, "capture0");
        assert!(world.qemu("a").1.rings["capture0"].taken == line, "{bytes} bytes");
        assert!(world.answer(client, pushed).unwrap().is_ok());
        world.pass(1000.0);
        let capture = world.vm("a").unwrap().capture;
        assert_eq!((capture.lines.sent, capture.lines.dropped), (1, 0));
    }
}

#[test]
fn who_sends_much_waits_for_the_guest() {
    let (mut world, client) = running();
    let lines: Vec<u8> = (0..10).flat_map(|number| line(number, 1 << 20)).collect();
    let pushed = push(&mut world, client, &lines);
    assert!(world.answer(client, pushed).is_none(), "nobody has read");
    open(&mut world, "capture0", true);
    read_all(&mut world, "capture0");
    assert!(world.answer(client, pushed).unwrap().is_ok());
    assert_eq!(world.qemu("a").1.rings["capture0"].taken, lines);
    // A client that is gone waits no more, nor does one whose VM is removed.
    open(&mut world, "capture0", false);
    let other = world.join(2);
    push(&mut world, other, &lines);
    world.leave(other);
    let pushed = push(&mut world, client, &lines);
    world
        .ask(
            client,
            StopVm {
                vm_id: id(),
                force: true,
            },
        )
        .unwrap();
    assert!(world.answer(client, pushed).is_none());
    world.ask(client, RemoveVm { vm_id: id() }).unwrap();
    assert!(world.answer(client, pushed).unwrap().is_ok());
}

#[test]
fn what_a_program_did_not_take_whole_comes_again() {
    let (mut world, client) = running();
    open(&mut world, "capture0", true);
    world.qemu("a").1.reads = false;
    let lines = [line(1, 10), line(2, 10), line(3, 10)];
    push(&mut world, client, &lines.concat());
    // It reads the first and half of the second.
    world
        .qemu("a")
        .1
        .read("capture0", lines[0].len() + lines[1].len() / 2);
    world.settle();
    world.qemu("a").1.reopen("capture0");
    world.settle();
    world.qemu("a").1.rings.get_mut("capture0").unwrap().taken.clear();
    read_all(&mut world, "capture0");
    assert_eq!(world.qemu("a").1.rings["capture0"].taken, lines[1..].concat());
    // A run that ends takes nothing with it.
    push(&mut world, client, &lines[0]);
    world
        .ask(
            client,
            StopVm {
                vm_id: id(),
                force: true,
            },
        )
        .unwrap();
    world.ask(client, RestartVm { vm_id: id() }).unwrap();
    open(&mut world, "capture0", true);
    assert_eq!(world.qemu("a").1.rings["capture0"].taken, lines[0]);
}

#[test]
fn each_reader_of_packets_gets_a_section() {
    let (mut world, client) = running();
    open(&mut world, "capture1", true);
    push(&mut world, client, &line(1, 10));
    let section = [0x0a, 0x0d, 0x0d, 0x0a];
    let taken = world.qemu("a").1.rings["capture1"].taken.clone();
    assert!(taken.starts_with(&section) && taken.len() > 100);
    open(&mut world, "capture1", false);
    open(&mut world, "capture1", true);
    let taken = world.qemu("a").1.rings["capture1"].taken.clone();
    assert_eq!(taken.windows(4).filter(|window| *window == section).count(), 2);
}

#[test]
fn annotations_go_to_those_who_are_subscribed() {
    let (mut world, client) = running();
    let topic = world.subscribe(
        client,
        Topic::Capture {
            capture: "c".to_owned(),
        },
    );
    let other = world.join(2);
    let others = world.subscribe(
        other,
        Topic::Capture {
            capture: "d".to_owned(),
        },
    );
    let (run, _) = world.qemu("a");
    world.happen(Input::Received {
        run,
        channel: "capture0".to_owned(),
        bytes: b"{\"type\":\"flag\",\"capture\":\"c\",\"number\":4,\"on\":true}\nnonsense\n".to_vec(),
    });
    let count = |world: &World, client, topic| {
        let updates = &world.told[&client].updates;
        updates
            .iter()
            .filter(|(of, update)| *of == topic && matches!(update, Update::Delta(_)))
            .count()
    };
    assert_eq!(
        (count(&world, client, topic), count(&world, other, others)),
        (1, 0)
    );
}

#[test]
fn what_is_no_request_is_answered_with_its_id() {
    let (mut world, client) = running();
    for (json, id) in [
        (
            r#"{"type":"call","id":501,"method":"noSuch","params":{}}"#,
            Some(501),
        ),
        (
            r#"{"type":"call","id":502,"method":"stopVm","params":{"vmId":"a"}}"#,
            Some(502),
        ),
        (r#"{"type":"call","id":503}"#, Some(503)),
        (r#"{"id":504,"command":{"type":"init"}}"#, Some(504)),
        (r#"{"type":"subscribe","id":505,"topic":{"type":"noSuch"}}"#, None),
        ("", None),
        ("[]", None),
    ] {
        if let Some(id) = id {
            world.note_asked(client, id);
        }
        let errors = world.told[&client].errors.len();
        world.happen(Input::Message {
            client,
            version: VERSION,
            json: json.to_owned(),
            attachments: Vec::new(),
        });
        match id {
            Some(id) => assert!(world.answer(client, id).unwrap().is_err(), "{json}"),
            None => assert_eq!(world.told[&client].errors.len(), errors + 1, "{json}"),
        }
    }
    // Another version, and what is longer than any request.
    for (version, json) in [
        (
            VERSION - 1,
            r#"{"type":"call","id":601,"method":"hello","params":{}}"#.to_owned(),
        ),
        (
            VERSION,
            format!(
                r#"{{"type":"call","id":601,"method":"hello","params":"{}"}}"#,
                "x".repeat(5 << 20)
            ),
        ),
    ] {
        world.note_asked(client, 601);
        world.happen(Input::Message {
            client,
            version,
            json,
            attachments: Vec::new(),
        });
    }
    let replies = &world.told[&client].replies[&601];
    assert!(replies.len() == 2 && replies.iter().all(|(failure, ..)| failure.is_some()));
    world.check_answers();
}

#[test]
fn nothing_of_a_former_run_comes_into_the_next() {
    let (mut world, client) = running();
    let (old, _) = world.qemu("a");
    world
        .ask(
            client,
            StopVm {
                vm_id: id(),
                force: true,
            },
        )
        .unwrap();
    world.ask(client, RestartVm { vm_id: id() }).unwrap();
    let stream = world.open_console(client, "a");
    world.grant(stream, 1000);
    let before = world.vm("a").unwrap();
    for run in [old, RunId(0), RunId(u64::MAX)] {
        for input in [
            Input::Received {
                run,
                channel: "serial0".to_owned(),
                bytes: b"late".to_vec(),
            },
            Input::Worker(run, FromWorker::Exited(0)),
            Input::Worker(run, FromWorker::Failed(qemuweb_wire::Failure::new("late"))),
            Input::Worker(
                run,
                FromWorker::Progress(before.progress.unwrap_or(qemuweb_wire::vm::Progress {
                    phase: qemuweb_wire::vm::Phase::Load,
                    done: 5,
                    total: None,
                })),
            ),
        ] {
            world.happen(input);
        }
    }
    assert_eq!(shown(&world, stream), b"");
    assert_eq!(world.vm("a").unwrap(), before);
}
