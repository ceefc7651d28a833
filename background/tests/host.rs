//! The VM host with a client of its own, in a browser. There is no QEMU here: a VM that starts waits for a Worker whose script
//! does not come.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

use std::pin::pin;

use futures_util::future::{Either, join, select};
use gloo_timers::future::TimeoutFuture;
use qemuweb_background::host::Host;
use qemuweb_runtime::client::QemuClient;
use qemuweb_runtime::protocol::{Command, ProfileRef};
use qemuweb_runtime::web::{PortTransport, presence};
use qemuweb_runtime::{Failure, VmState};
use qemuweb_vm_config::{VmInputs, find_profile};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::MessageChannel;

wasm_bindgen_test_configure!(run_in_browser);

const PROFILE: &str = "minimal-x86_64";

/// More than half of what waits for one VM: who sends it is answered when some of it is gone.
const MUCH: usize = 9 << 20;

/// A host and a client of it. There is one at a time: it has a lock.
struct Room {
    _host: Host,
    client: QemuClient<PortTransport>,
}

impl Room {
    async fn open() -> Self {
        // A page that is no extension's has nobody to whom the host could tell how many VMs run.
        js_sys::eval("(globalThis.chrome ??= {}).runtime ??= { sendMessage: async () => {} };").unwrap();
        let host = Host::start().await.unwrap();
        let channel = MessageChannel::new().unwrap();
        host.accept(channel.port2(), "a-client".to_owned());
        let presence = presence::announce("a-client").await.unwrap();
        let transport = PortTransport::new(channel.port1(), presence::HOST);
        let client = QemuClient::new(transport.with_presence(presence));
        client.init().await.unwrap();
        let room = Self { _host: host, client };
        // A former test's.
        for vm in room.client.vms() {
            room.ask(Command::RemoveVm { vm_id: vm.vm_id }).await.unwrap();
        }
        room
    }

    async fn ask(&self, command: Command) -> Result<(), Failure> {
        self.client.request(command, Vec::new()).await
    }

    async fn define(&self, vm_id: &str) {
        let definition = Box::new(find_profile(PROFILE).unwrap().into());
        let define = Command::DefineVm {
            vm_id: vm_id.to_owned(),
            name: vm_id.to_owned(),
            definition,
            files_of: None,
        };
        self.ask(define).await.unwrap();
    }
}

/// What comes within two seconds.
async fn soon<T>(work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), TimeoutFuture::new(2000)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

#[wasm_bindgen_test]
async fn a_start_that_is_refused_leaves_the_run_alone() {
    let room = Room::open().await;
    let profile = ProfileRef::Id(PROFILE.to_owned());
    let start = room
        .client
        .start_vm("a", profile, VmInputs::default(), None, Vec::new());
    let again = room.ask(Command::RestartVm { vm_id: "a".into() });
    let (started, refused) = join(start, async {
        TimeoutFuture::new(0).await;
        again.await
    })
    .await;
    started.unwrap();
    assert!(refused.unwrap_err().message.contains("cannot start"));
    let vm = room.client.vm("a").unwrap();
    assert_eq!((vm.state, vm.failure), (VmState::Starting, None));
    assert!(vm.run > 0);
}

#[wasm_bindgen_test]
async fn each_run_has_a_number_of_its_own() {
    let room = Room::open().await;
    room.define("a").await;
    let mut runs = vec![room.client.vm("a").unwrap().run];
    assert_eq!(runs, [0]);
    for _ in 0..3 {
        room.ask(Command::RestartVm { vm_id: "a".into() }).await.unwrap();
        runs.push(room.client.vm("a").unwrap().run);
        let stop = Command::StopVm {
            vm_id: "a".into(),
            force: true,
        };
        room.ask(stop).await.unwrap();
    }
    assert!(runs.is_sorted_by(|a, b| a < b), "{runs:?}");
}

#[wasm_bindgen_test]
async fn nobody_waits_for_room_in_a_vm_that_was_removed() {
    let room = Room::open().await;
    room.define("a").await;
    let line = vec![b'x'; (MUCH >> 2) - 1];
    let lines = [line.as_slice(), b"\n"].concat().repeat(4);
    let mut push = pin!(room.client.push_capture("a", &lines));
    assert!(soon(push.as_mut()).await.is_none(), "there was room");
    room.ask(Command::RemoveVm { vm_id: "a".into() }).await.unwrap();
    assert_eq!(soon(push).await, Some(Ok(())));
}

#[wasm_bindgen_test]
async fn a_vm_that_is_not_there_does_not_start() {
    let room = Room::open().await;
    let refused = room.ask(Command::RestartVm { vm_id: "b".into() }).await;
    assert!(refused.unwrap_err().message.contains("there is no VM"));
}
