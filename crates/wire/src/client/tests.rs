//! The client against a host that the test plays.

use std::collections::VecDeque;

use futures_executor::block_on;
use serde::Serialize;
use serde_json::json;

use super::*;
use crate::call::{DefineVm, Defined, Hello, StopVm, StoreFile};
use crate::message::{Update, VERSION};
use crate::stream::{Console, ConsoleFromClient, ConsoleFromHost, StreamMessage, WINDOW};
use crate::topic::{Machines, MachinesDelta, Topic};
use crate::vm::VmInfo;

type Take = Box<dyn Fn(Packet<Part>)>;

/// Bytes, or the other end of a channel.
#[derive(Clone)]
enum Part {
    Bytes(Vec<u8>),
    Port(Wire),
}

#[derive(Default)]
struct State {
    sent: RefCell<VecDeque<Packet<Part>>>,
    take: RefCell<Option<Take>>,
    on_close: RefCell<Option<Box<dyn FnOnce()>>>,
    closed: Cell<bool>,
}

/// A channel whose other side is the test.
#[derive(Clone, Default)]
struct Wire(Rc<State>);

impl Wire {
    fn deliver(&self, message: &impl Serialize, attachments: Vec<Part>) {
        let packet = Packet::new(message, attachments).unwrap();
        self.0.take.borrow().as_ref().unwrap()(packet);
    }

    fn next<M: serde::de::DeserializeOwned>(&self) -> (M, Vec<Part>) {
        let packet = self.0.sent.borrow_mut().pop_front().unwrap();
        (serde_json::from_str(&packet.json).unwrap(), packet.attachments)
    }

    fn sent(&self) -> ClientMessage {
        self.next().0
    }

    fn reply(&self, id: u32, value: Value) {
        let failure = None;
        self.deliver(&HostMessage::Reply { id, failure, value }, Vec::new());
    }

    fn is_quiet(&self) -> bool {
        self.0.sent.borrow().is_empty()
    }
}

impl Transport for Wire {
    type Attachment = Part;

    fn send(&self, packet: Packet<Part>) -> Result<(), Failure> {
        if self.0.closed.get() {
            return Err(Failure::new("closed"));
        }
        self.0.sent.borrow_mut().push_back(packet);
        Ok(())
    }

    fn bytes(&self, bytes: &[u8]) -> Part {
        Part::Bytes(bytes.to_vec())
    }

    fn length(attachment: &Part) -> Option<usize> {
        match attachment {
            Part::Bytes(bytes) => Some(bytes.len()),
            Part::Port(_) => None,
        }
    }

    fn channel(&self) -> Result<(Self, Part), Failure> {
        let wire = Self::default();
        Ok((wire.clone(), Part::Port(wire)))
    }

    fn on_packet(&self, take: Box<dyn Fn(Packet<Part>)>) {
        *self.0.take.borrow_mut() = Some(take);
    }

    fn on_close(&self, closed: Box<dyn FnOnce()>) {
        *self.0.on_close.borrow_mut() = Some(closed);
    }

    fn close(&self) {
        self.0.closed.set(true);
    }
}

fn pair() -> (QemuClient<Wire>, Wire) {
    let wire = Wire::default();
    (QemuClient::new(wire.clone()), wire)
}

fn id_of(message: &ClientMessage) -> u32 {
    match message {
        ClientMessage::Call { id, .. }
        | ClientMessage::Cancel { id }
        | ClientMessage::Subscribe { id, .. }
        | ClientMessage::Unsubscribe { id }
        | ClientMessage::Open { id, .. } => *id,
    }
}

fn stop(vm_id: &str) -> StopVm {
    StopVm {
        vm_id: vm_id.into(),
        force: false,
    }
}

fn vm(id: &str) -> VmInfo {
    let profile = qemuweb_vm_config::default_profiles().remove(0);
    VmInfo::new(id.into(), id.into(), profile.into())
}

#[test]
fn answers_find_their_calls_in_any_order() {
    let (client, wire) = pair();
    let (a, b) = (client.call(stop("a")), client.call(stop("b")));
    let (id_a, id_b) = (id_of(&wire.sent()), id_of(&wire.sent()));
    wire.reply(id_b, Value::Null);
    let failure = Some(Failure::new("no such VM"));
    wire.deliver(
        &HostMessage::Reply {
            id: id_a,
            failure,
            value: Value::Null,
        },
        Vec::new(),
    );
    // An answer that comes twice, and one to nobody's call.
    wire.reply(id_a, Value::Null);
    wire.reply(77, Value::Null);
    assert_eq!(block_on(a).unwrap_err().message, "no such VM");
    block_on(b).unwrap();
}

#[test]
fn replies_have_types() {
    let (client, wire) = pair();
    let define = || DefineVm {
        vm_id: "a".into(),
        name: "A".into(),
        definition: vm("a").definition,
        files: Vec::new(),
        replaces: None,
    };
    let call = client.call(define());
    wire.reply(id_of(&wire.sent()), json!({"revision": 3}));
    assert_eq!(block_on(call), Ok(Defined { revision: 3 }));
    let call = client.call(define());
    wire.reply(id_of(&wire.sent()), json!("soon"));
    assert!(block_on(call).unwrap_err().message.contains("defineVm"));
}

#[test]
fn a_call_tells_its_progress_and_can_be_cancelled() {
    let (client, wire) = pair();
    let heard = Rc::new(Cell::new((0, None)));
    let hears = Rc::clone(&heard);
    let store = StoreFile { name: "disk".into() };
    let call = client.call_with(
        store,
        vec![Part::Bytes(vec![1])],
        Some(Rc::new(move |done, total| hears.set((done, total)))),
    );
    let id = id_of(&wire.sent());
    let total = Some(9);
    wire.deliver(&HostMessage::Progress { id, done: 5, total }, Vec::new());
    assert_eq!(heard.get(), (5, total));
    let canceller = call.canceller();
    canceller.cancel();
    assert_eq!(wire.sent(), ClientMessage::Cancel { id });
    let failure = Some(Failure::new("cancelled"));
    let value = Value::Null;
    wire.deliver(&HostMessage::Reply { id, failure, value }, Vec::new());
    assert_eq!(block_on(call).unwrap_err().message, "cancelled");
    canceller.cancel();
    assert!(wire.is_quiet());
}

#[test]
fn a_topic_is_kept_up_to_date_and_fetched_anew_after_a_gap() {
    let (client, wire) = pair();
    let known: Rc<RefCell<Vec<usize>>> = Rc::default();
    let hears = Rc::clone(&known);
    let subscription = client.subscribe(&Machines, move |news| hears.borrow_mut().push(news.state.len()));
    let id = id_of(&wire.sent());
    let update = |revision, update| HostMessage::Update { id, revision, update };
    let added = |name: &str| {
        let delta = MachinesDelta::Changed {
            vm: Box::new(vm(name)),
            place: 9,
        };
        Update::Delta(serde_json::to_value(delta).unwrap())
    };
    // Before its snapshot, a delta means nothing.
    wire.deliver(&update(4, added("x")), Vec::new());
    wire.deliver(&update(4, Update::Snapshot(json!([]))), Vec::new());
    wire.deliver(&update(5, added("a")), Vec::new());
    assert_eq!(*known.borrow(), [0, 1]);
    assert!(wire.is_quiet());
    wire.deliver(&update(7, added("c")), Vec::new());
    assert_eq!(wire.sent(), ClientMessage::Unsubscribe { id });
    let topic = Topic::Machines;
    assert_eq!(wire.sent(), ClientMessage::Subscribe { id, topic });
    wire.deliver(&update(8, added("d")), Vec::new());
    let snapshot = serde_json::to_value([vm("a"), vm("b"), vm("c"), vm("d")]).unwrap();
    wire.deliver(&update(8, Update::Snapshot(snapshot)), Vec::new());
    wire.deliver(&update(9, added("e")), Vec::new());
    assert_eq!(*known.borrow(), [0, 1, 4, 5]);
    drop(subscription);
    assert_eq!(wire.sent(), ClientMessage::Unsubscribe { id });
    wire.deliver(&update(10, added("f")), Vec::new());
    assert_eq!(known.borrow().len(), 4);
}

/// A console's stream: what it hears, and its port.
type Opened = (Stream<Wire, Console>, Rc<RefCell<Vec<String>>>, Wire);

fn console(client: &QemuClient<Wire>, wire: &Wire) -> Opened {
    let heard: Rc<RefCell<Vec<String>>> = Rc::default();
    let hears = Rc::clone(&heard);
    let kind = Console { vm_id: "a".into() };
    let stream = client
        .open(&kind, move |event| {
            let text = match event {
                StreamEvent::Data { offset, bytes } => format!("{offset}+{}", Wire::length(&bytes).unwrap()),
                StreamEvent::Note(ConsoleFromHost::Run { run, .. }) => format!("run {run}"),
                StreamEvent::End(failure) => format!("end {:?}", failure.map(|failure| failure.message)),
            };
            hears.borrow_mut().push(text);
        })
        .unwrap();
    let (_, attachments) = wire.next::<ClientMessage>();
    let Some(Part::Port(port)) = attachments.into_iter().next() else {
        panic!("no port");
    };
    assert_eq!(
        port.next::<StreamMessage>().0,
        StreamMessage::Credit { total: WINDOW }
    );
    (stream, heard, port)
}

#[test]
fn a_stream_sends_as_far_as_its_credit_goes() {
    let (client, wire) = pair();
    let (stream, _, port) = console(&client, &wire);
    stream.send(b"hello").unwrap();
    assert!(port.is_quiet());
    port.deliver(&StreamMessage::Credit { total: 3 }, Vec::new());
    let (message, bytes) = port.next::<StreamMessage>();
    assert_eq!(message, StreamMessage::Data { offset: 0 });
    assert!(matches!(&bytes[..], [Part::Bytes(bytes)] if bytes == b"hel"));
    assert_eq!(stream.queued(), 2);
    port.deliver(&StreamMessage::Credit { total: 100 }, Vec::new());
    assert_eq!(port.next::<StreamMessage>().0, StreamMessage::Data { offset: 3 });
    assert!(stream.send(&vec![0; 5 << 20]).is_err());
    stream.note(&ConsoleFromClient::Size {
        size: Some((24, 80)),
        focused: true,
    });
    assert!(matches!(
        port.next::<StreamMessage>().0,
        StreamMessage::Note { .. }
    ));
    drop(stream);
    assert_eq!(
        port.next::<StreamMessage>().0,
        StreamMessage::End { failure: None }
    );
}

#[test]
fn what_is_said_behind_bytes_waits_for_them() {
    let (client, wire) = pair();
    let (stream, _, port) = console(&client, &wire);
    let last = ConsoleFromClient::Size {
        size: None,
        focused: false,
    };
    stream.send(b"hello").unwrap();
    stream.note_behind(&last);
    port.deliver(&StreamMessage::Credit { total: 3 }, Vec::new());
    assert_eq!(port.next::<StreamMessage>().0, StreamMessage::Data { offset: 0 });
    port.deliver(&StreamMessage::Credit { total: 5 }, Vec::new());
    assert_eq!(port.next::<StreamMessage>().0, StreamMessage::Data { offset: 3 });
    assert!(matches!(
        port.next::<StreamMessage>().0,
        StreamMessage::Note { .. }
    ));
    // With nothing before it, at once, and each once.
    stream.note_behind(&last);
    assert!(matches!(
        port.next::<StreamMessage>().0,
        StreamMessage::Note { .. }
    ));
    drop(stream);
    assert_eq!(
        port.next::<StreamMessage>().0,
        StreamMessage::End { failure: None }
    );
}

#[test]
fn a_stream_is_heard_within_its_window() {
    let (client, wire) = pair();
    let (stream, heard, port) = console(&client, &wire);
    let note = serde_json::to_value(ConsoleFromHost::Run { run: 7, missed: 0 }).unwrap();
    port.deliver(&StreamMessage::Note { note }, Vec::new());
    let piece = || vec![Part::Bytes(vec![0; WINDOW as usize / 2])];
    port.deliver(&StreamMessage::Data { offset: 0 }, piece());
    stream.taken(WINDOW / 2);
    let total = WINDOW + WINDOW / 2;
    assert_eq!(port.next::<StreamMessage>().0, StreamMessage::Credit { total });
    port.deliver(&StreamMessage::Data { offset: 5 }, piece());
    port.deliver(&StreamMessage::Data { offset: 6 }, piece());
    assert_eq!(heard.borrow().len(), 4);
    port.deliver(&StreamMessage::Data { offset: 7 }, vec![Part::Bytes(vec![0])]);
    assert!(heard.borrow()[4].starts_with("end Some"));
    assert!(stream.send(b"x").is_err());
}

#[test]
fn the_end_of_the_connection_ends_everything() {
    let (client, wire) = pair();
    let (_stream, heard, _port) = console(&client, &wire);
    let call = client.call(Hello {});
    let told = Rc::new(Cell::new(0));
    let tells = Rc::clone(&told);
    client.on_close(move || tells.set(tells.get() + 1));
    let closed = wire.0.on_close.borrow_mut().take().unwrap();
    closed();
    assert!(block_on(call).is_err());
    assert!(block_on(client.call(Hello {})).is_err());
    assert_eq!(told.get(), 1);
    assert!(heard.borrow()[0].starts_with("end Some"));
}

#[test]
fn leaving_is_no_loss() {
    let (client, _) = pair();
    client.on_close(|| panic!("we have left"));
    client.terminate();
    assert!(block_on(client.call(Hello {})).is_err());
}

#[test]
fn other_versions_and_strange_messages_are_told() {
    let (client, wire) = pair();
    let failures: Rc<RefCell<Vec<String>>> = Rc::default();
    let hears = Rc::clone(&failures);
    client.on_failure(move |failure| hears.borrow_mut().push(failure.message));
    let send = |version, json: &str| {
        wire.0.take.borrow().as_ref().unwrap()(Packet {
            version,
            json: json.to_owned(),
            attachments: Vec::new(),
            transfers: Vec::new(),
        });
    };
    send(VERSION + 1, r#"{"type":"error","failure":{"message":"x"}}"#);
    send(VERSION, "{");
    send(VERSION, r#"{"type":"error","failure":{"message":"x"}}"#);
    assert_eq!(failures.borrow().len(), 3);
    assert_eq!(failures.borrow()[2], "x");
}
