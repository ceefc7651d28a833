//! The VM host with a client of its own, in a browser. There is no QEMU here: a VM that starts waits for a Worker whose script
//! does not come.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

use futures_util::future::{Either, join, select};
use gloo_timers::future::TimeoutFuture;
use js_sys::{Array, Uint8Array};
use qemuweb_background::host::Host;
use qemuweb_vm_config::find_profile;
use qemuweb_wire::call::{
    DefineVm, FileHandles, Hello, ProfileRef, PushCapture, RemoveStored, RemoveVm, RenameVm, RestartVm,
    StartVm, StopVm, StoreFile,
};
use qemuweb_wire::client::{QemuClient, StreamEvent, Subscription};
use qemuweb_wire::stream::{Console, ConsoleFromHost};
use qemuweb_wire::topic::{self, Machines};
use qemuweb_wire::vm::{FileRef, VmDefinition, VmInfo};
use qemuweb_wire::web::{PortTransport, presence};
use qemuweb_wire::{Failure, VmState};
use wasm_bindgen::JsValue;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{Blob, MessageChannel};

wasm_bindgen_test_configure!(run_in_browser);

const PROFILE: &str = "minimal-x86_64";

/// More than waits for one VM without its sender's waiting, too: who sends it is answered when some of it is gone.
const MUCH: usize = 9 << 20;

/// A host and a client of it. There is one at a time: it has a lock.
struct Room {
    _host: Host,
    client: QemuClient<PortTransport>,
    vms: Rc<RefCell<Vec<VmInfo>>>,
    _machines: Subscription,
}

impl Room {
    async fn open() -> Self {
        // A page that is no extension's has nobody to whom the host could tell how many VMs run.
        js_sys::eval("(globalThis.chrome ??= {}).runtime ??= { sendMessage: async () => {} };").unwrap();
        let host = Host::start().await.unwrap();
        let channel = MessageChannel::new().unwrap();
        host.accept(channel.port2(), "a-client".to_owned());
        let presence = presence::announce("a-client").await.unwrap();
        let transport = PortTransport::new(channel.port1()).watching(presence::HOST);
        let client = QemuClient::new(transport.with_presence(presence));
        let vms = Rc::new(RefCell::new(Vec::new()));
        let known = Rc::clone(&vms);
        let machines = client.subscribe(&Machines, move |news| {
            known.borrow_mut().clone_from(news.state);
        });
        client.call(Hello {}).await.unwrap();
        let room = Self {
            _host: host,
            client,
            vms,
            _machines: machines,
        };
        // A former test's.
        let former = room.vms.borrow().clone();
        for vm in former {
            room.client.call(RemoveVm { vm_id: vm.vm_id }).await.unwrap();
        }
        room
    }

    fn vm(&self, vm_id: &str) -> Option<VmInfo> {
        self.vms.borrow().iter().find(|vm| vm.vm_id == vm_id).cloned()
    }

    async fn restart(&self, vm_id: &str) -> Result<(), Failure> {
        self.client.call(RestartVm { vm_id: vm_id.into() }).await
    }

    async fn define(&self, vm_id: &str) {
        let definition: VmDefinition = find_profile(PROFILE).unwrap().into();
        let define = DefineVm {
            vm_id: vm_id.to_owned(),
            name: vm_id.to_owned(),
            definition: Box::new(definition),
            files: Vec::new(),
            replaces: None,
        };
        let defined = self.client.call(define).await.unwrap();
        assert_eq!(self.vm(vm_id).unwrap().revision, defined.revision);
    }
}

/// Ends the VM's run. Its Worker, whose script does not come, may have ended it before.
async fn end(client: &QemuClient<PortTransport>) {
    let stop = StopVm {
        vm_id: "a".into(),
        force: true,
    };
    if let Err(failure) = client.call(stop).await {
        assert!(failure.message.contains("crashed"), "{failure}");
    }
}

/// What comes within two seconds.
async fn soon<T>(work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), TimeoutFuture::new(2000)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

fn blob(bytes: &[u8]) -> JsValue {
    let parts = Array::of1(&Uint8Array::from(bytes));
    Blob::new_with_u8_array_sequence(&parts).unwrap().into()
}

#[wasm_bindgen_test]
async fn a_start_that_is_refused_leaves_the_run_alone() {
    let room = Room::open().await;
    let start = room.client.call(StartVm {
        vm_id: "a".into(),
        name: None,
        profile: ProfileRef::Id(PROFILE.to_owned()),
        inputs: Box::default(),
        overrides: None,
    });
    let (started, refused) = join(start, async {
        TimeoutFuture::new(0).await;
        room.restart("a").await
    })
    .await;
    started.unwrap();
    assert!(refused.unwrap_err().message.contains("cannot start"));
    let vm = room.vm("a").unwrap();
    assert_eq!((vm.state, vm.failure), (VmState::Starting, None));
    assert!(vm.run > 0);
    end(&room.client).await;
}

#[wasm_bindgen_test]
async fn each_run_has_a_number_of_its_own() {
    let room = Room::open().await;
    room.define("a").await;
    let mut runs = vec![room.vm("a").unwrap().run];
    assert_eq!(runs, [0]);
    for _ in 0..3 {
        room.restart("a").await.unwrap();
        runs.push(room.vm("a").unwrap().run);
        end(&room.client).await;
    }
    assert!(runs.is_sorted_by(|a, b| a < b), "{runs:?}");
}

#[wasm_bindgen_test]
async fn nobody_waits_for_room_in_a_vm_that_was_removed() {
    let room = Room::open().await;
    room.define("a").await;
    let line = vec![b'x'; (MUCH >> 2) - 1];
    let lines = [line.as_slice(), b"\n"].concat().repeat(4);
    let attachments = vec![Uint8Array::from(&*lines).into()];
    let push = PushCapture { vm_id: "a".into() };
    let mut push = pin!(room.client.call_with(push, attachments, None));
    assert!(soon(push.as_mut()).await.is_none(), "there was room");
    room.client.call(RemoveVm { vm_id: "a".into() }).await.unwrap();
    assert_eq!(soon(push).await, Some(Ok(())));
}

#[wasm_bindgen_test]
async fn a_vm_that_is_not_there_does_not_start() {
    let room = Room::open().await;
    let refused = room.restart("b").await;
    assert!(refused.unwrap_err().message.contains("there is no VM"));
    let refused = room.client.call(FileHandles { vm_id: "b".into() }).await;
    assert!(refused.unwrap_err().message.contains("there is no VM"));
}

/// The console of a VM that does not run is there, and takes what is typed as a machine that is off does.
#[wasm_bindgen_test]
async fn a_console_is_a_stream() {
    let room = Room::open().await;
    room.define("a").await;
    let heard = Rc::new(RefCell::new(Vec::new()));
    let hears = Rc::clone(&heard);
    let console = Console { vm_id: "a".into() };
    let stream = room.client.open(&console, move |event| {
        hears.borrow_mut().push(match event {
            StreamEvent::Note(ConsoleFromHost::Run { run, .. }) => format!("run {}", run > 0),
            StreamEvent::Data { offset, .. } => format!("data {offset}"),
            StreamEvent::End(failure) => failure.map_or("end".to_owned(), |failure| failure.message),
        });
    });
    let stream = stream.unwrap();
    stream.send(&[b'x'; 1 << 20]).unwrap();
    TimeoutFuture::new(100).await;
    assert_eq!(stream.queued(), 0);
    room.restart("a").await.unwrap();
    end(&room.client).await;
    room.client.call(RemoveVm { vm_id: "a".into() }).await.unwrap();
    TimeoutFuture::new(100).await;
    let heard = heard.borrow();
    assert_eq!(&heard[..2], ["run false", "run true"], "{heard:?}");
    assert!(heard[2].contains("there is no VM"), "{heard:?}");
}

/// A file that was chosen once is there after the host's end, under its identity, and is written once.
#[wasm_bindgen_test]
async fn files_outlast_the_host() {
    let room = Room::open().await;
    let mut definition: VmDefinition = find_profile(PROFILE).unwrap().into();
    definition.inputs = serde_json::from_str(
        r#"{"additionalDisks": [{"attachment": {"index": 0, "name": "a.img", "size": 1048576}}]}"#,
    )
    .unwrap();
    let mut disk = vec![0; 1 << 20];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let define = DefineVm {
        vm_id: "a".into(),
        name: "A".into(),
        definition: Box::new(definition),
        files: vec![FileRef::Attached(0)],
        replaces: None,
    };
    room.client
        .call_with(define, vec![blob(&disk)], None)
        .await
        .unwrap();
    let rename = RenameVm {
        vm_id: "a".into(),
        name: "B".into(),
    };
    room.client.call(rename).await.unwrap();
    let before = room.vm("a").unwrap();
    assert_eq!(before.files.len(), 1);
    // Changes are written in order, and this is one of the last.
    TimeoutFuture::new(300).await;
    room.client.terminate();
    drop(room);

    // The lock of the former host is let go meanwhile.
    let host = Host::start().await.unwrap();
    let channel = MessageChannel::new().unwrap();
    let _presence = presence::announce("another-client").await.unwrap();
    host.accept(channel.port2(), "another-client".to_owned());
    let client = QemuClient::new(PortTransport::new(channel.port1()));
    let known = Rc::new(RefCell::new(Vec::new()));
    let knows = Rc::clone(&known);
    let _machines = client.subscribe(&Machines, move |news| {
        knows.borrow_mut().clone_from(news.state);
    });
    client.call(Hello {}).await.unwrap();
    let vms = known.borrow().clone();
    let [after] = &vms[..] else { panic!("{vms:?}") };
    assert_eq!((&after.name, &after.files), (&"B".to_owned(), &before.files));
    assert_eq!(after.revision, before.revision);
    client.call(RestartVm { vm_id: "a".into() }).await.unwrap();
    end(&client).await;
    client.call(RemoveVm { vm_id: "a".into() }).await.unwrap();
}

#[wasm_bindgen_test]
async fn a_file_is_stored_once() {
    let room = Room::open().await;
    let mut disk = vec![0; 3 << 20];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let store = || {
        let call = StoreFile { name: "a.img".into() };
        room.client.call_with(call, vec![blob(&disk)], None)
    };
    let first = store().await.unwrap();
    assert_eq!(store().await.unwrap(), first);
    let files = Rc::new(RefCell::new(None));
    let known = Rc::clone(&files);
    let _library = room.client.subscribe(&topic::Library, move |news| {
        *known.borrow_mut() = Some(news.state.files.len());
    });
    room.client.call(Hello {}).await.unwrap();
    assert_eq!(*files.borrow(), Some(1));
    let hash = first.file.hash;
    room.client.call(RemoveStored { hash }).await.unwrap();
    assert_eq!(*files.borrow(), Some(0));
    let junk = StoreFile { name: "junk".into() };
    let refused = room.client.call_with(junk, Vec::new(), None).await;
    assert!(refused.is_err());
}
