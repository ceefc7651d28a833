//! The client against a host that the test plays.

use super::*;
use crate::protocol::Phase;
use crate::state::StopReason;
use futures_executor::block_on;

type Take = Box<dyn Fn(Packet<Vec<u8>>)>;

#[derive(Default)]
struct Wire {
    sent: RefCell<Vec<Packet<Vec<u8>>>>,
    take: RefCell<Option<Take>>,
    on_close: RefCell<Option<Box<dyn FnOnce()>>>,
    closed: Cell<bool>,
    /// Answers each request as soon as it is sent, with these messages.
    answers: RefCell<Vec<HostMessage>>,
}

#[derive(Clone, Default)]
struct MemoryTransport(Rc<Wire>);

impl MemoryTransport {
    fn deliver(&self, version: u32, message: &HostMessage, attachments: Vec<Vec<u8>>) {
        let json = serde_json::to_string(message).unwrap();
        self.0.take.borrow().as_ref().unwrap()(Packet {
            version,
            json,
            attachments,
        });
    }

    fn event(&self, event: Event) {
        self.deliver(protocol::VERSION, &HostMessage::Event { event }, Vec::new());
    }

    fn last_request(&self) -> Request {
        serde_json::from_str(&self.0.sent.borrow().last().unwrap().json).unwrap()
    }
}

impl Transport for MemoryTransport {
    type Attachment = Vec<u8>;

    fn send(&self, packet: Packet<Vec<u8>>) -> Result<(), Failure> {
        if self.0.closed.get() {
            return Err(Failure::new("closed"));
        }
        self.0.sent.borrow_mut().push(packet);
        for message in self.0.answers.take() {
            self.deliver(protocol::VERSION, &message, Vec::new());
        }
        Ok(())
    }

    fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    fn on_packet(&self, take: Box<dyn Fn(Packet<Vec<u8>>)>) {
        *self.0.take.borrow_mut() = Some(take);
    }

    fn on_close(&self, closed: Box<dyn FnOnce()>) {
        *self.0.on_close.borrow_mut() = Some(closed);
    }

    fn close(&self) {
        self.0.closed.set(true);
    }
}

fn pair() -> (QemuClient<MemoryTransport>, MemoryTransport) {
    let wire = MemoryTransport::default();
    (QemuClient::new(wire.clone()), wire)
}

fn vm(state: VmState) -> VmInfo {
    let profile = qemuweb_vm_config::default_profiles().remove(0);
    VmInfo {
        state,
        phases: [(Phase::Fetch, 1.0)].into(),
        ..VmInfo::new("a".into(), "A".into(), profile.into())
    }
}

#[test]
fn init_waits_for_the_answer_and_keeps_what_came_before_it() {
    let (client, wire) = pair();
    let capabilities = RuntimeCapabilities {
        shared_array_buffer: true,
        web_assembly: true,
        wasm_simd: true,
        wasm_threads: true,
        big_int: true,
        indexed_db: true,
        file_system_access: false,
        web_gpu: false,
        max_memory: 1 << 32,
    };
    *wire.0.answers.borrow_mut() = vec![
        HostMessage::Event {
            event: Event::Capabilities {
                capabilities: capabilities.clone(),
            },
        },
        HostMessage::Event {
            event: Event::VmList {
                vms: vec![vm(VmState::Running)],
            },
        },
        HostMessage::Reply {
            id: 1,
            failure: None,
            value: Value::Null,
        },
    ];
    assert_eq!(block_on(client.init()).unwrap(), capabilities);
    assert_eq!(client.vm_state("a"), Some(VmState::Running));
    assert_eq!(client.vm_state("b"), None);
}

#[test]
fn a_refusal_reaches_the_caller() {
    let (client, wire) = pair();
    *wire.0.answers.borrow_mut() = vec![HostMessage::Reply {
        value: Value::Null,
        id: 1,
        failure: Some(Failure::new("no VM named b")),
    }];
    assert_eq!(
        block_on(client.stop_vm("b", true)).unwrap_err().message,
        "no VM named b"
    );
    assert!(matches!(
        wire.last_request().command,
        Command::StopVm { force: true, .. }
    ));
}

#[test]
fn serial_bytes_travel_as_an_attachment() {
    let (client, wire) = pair();
    let answer = client.type_bytes("a", b"ls\r");
    assert_eq!(wire.0.sent.borrow()[0].attachments, [b"ls\r".to_vec()]);
    assert_eq!(
        wire.last_request().command,
        Command::SerialIn { vm_id: "a".into() }
    );
    let refusal = HostMessage::Reply {
        id: 1,
        failure: Some(Failure::new("not typed")),
        value: Value::Null,
    };
    wire.deliver(protocol::VERSION, &refusal, Vec::new());
    assert_eq!(block_on(answer).unwrap_err().message, "not typed");
}

#[test]
fn views_follow_events_before_subscribers_see_them() {
    let (client, wire) = pair();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let subscription = client.subscribe({
        let (seen, client) = (Rc::clone(&seen), client.clone());
        move |event, _| {
            if let Event::VmChanged { vm } = event {
                assert_eq!(client.vm_state(&vm.vm_id), Some(vm.state.clone()));
                seen.borrow_mut().push(vm.state.name());
            }
        }
    });
    wire.event(Event::VmChanged {
        vm: Box::new(vm(VmState::Starting)),
    });
    wire.event(Event::VmChanged {
        vm: Box::new(vm(VmState::Stopped {
            reason: StopReason::Cancelled,
        })),
    });
    drop(subscription);
    wire.event(Event::VmChanged {
        vm: Box::new(vm(VmState::Running)),
    });
    assert_eq!(*seen.borrow(), ["starting", "stopped"]);
    assert_eq!(client.vms().len(), 1);
    wire.event(Event::VmRemoved { vm_id: "a".into() });
    assert!(client.vms().is_empty());
}

#[test]
fn another_version_is_an_error_event() {
    let (client, wire) = pair();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let _subscription = client.subscribe({
        let seen = Rc::clone(&seen);
        move |event, _| seen.borrow_mut().push(event.clone())
    });
    wire.deliver(
        9,
        &HostMessage::Reply {
            id: 1,
            failure: None,
            value: Value::Null,
        },
        Vec::new(),
    );
    let seen = seen.borrow();
    let [Event::Error { failure, .. }] = seen.as_slice() else {
        panic!("{seen:?}")
    };
    assert_eq!(failure.message, "expected protocol version 2, found 9");
}

#[test]
fn terminate_fails_what_is_under_way() {
    let (client, _wire) = pair();
    let request = client.reset_vm("a");
    let result = block_on(async {
        let mut request = std::pin::pin!(request);
        let first =
            std::future::poll_fn(|context| std::task::Poll::Ready(request.as_mut().poll(context))).await;
        assert!(first.is_pending());
        client.terminate();
        request.await
    });
    assert_eq!(
        result.unwrap_err().message,
        "the connection to the VM host was closed"
    );
    assert_eq!(block_on(client.reset_vm("a")).unwrap_err().message, "closed");
}

#[test]
fn a_host_that_goes_away_fails_what_is_under_way_and_tells() {
    let (client, wire) = pair();
    let told = Rc::new(Cell::new(false));
    client.on_close({
        let told = Rc::clone(&told);
        move || told.set(true)
    });
    let result = block_on(async {
        let mut request = std::pin::pin!(client.reset_vm("a"));
        let first =
            std::future::poll_fn(|context| std::task::Poll::Ready(request.as_mut().poll(context))).await;
        assert!(first.is_pending());
        wire.0.on_close.take().unwrap()();
        request.await
    });
    assert!(result.is_err() && told.get());
}
