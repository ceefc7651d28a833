//! The storage Worker of one run of a VM: opens its disks, serves their channels, and keeps what was written.

mod disk;
mod jobs;
mod metered;
mod open;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared, try_join_all};
use js_sys::{Array, SharedArrayBuffer};
use qemuweb_machine::storage::{DiskOrder, StorageCommand, StorageEvent};
use qemuweb_shm::directory::{Channel, Directory, Owner};
use qemuweb_shm::web::{JsSharedMemory, Link};
use qemuweb_storage::device::BlockError;
use qemuweb_storage::web::{Database, Pump};
use qemuweb_vm_config::Arch;
use qemuweb_wire::Failure;
use qemuweb_wire::message::{self, Packet};
use qemuweb_wire::web::{packet_from_js, packet_to_js};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use disk::Disk;

/// Starts to serve the host.
#[wasm_bindgen]
pub fn start_storage_worker() {
    // A spare has it open when it is told what to do.
    let storage = Rc::new(Storage::new(
        async { Database::open().await }.boxed_local().shared(),
    ));
    spawn_local(storage.database.clone().map(drop));
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let storage = Rc::clone(&storage);
        spawn_local(async move {
            if let Err(failure) = serve(&event.data(), &storage).await {
                report(&StorageEvent::Failed { failure });
            }
        });
    });
    scope().set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    // The Worker listens for as long as it lives.
    on_message.forget();
    report(&StorageEvent::Ready);
}

async fn serve(data: &JsValue, storage: &Rc<Storage>) -> Result<(), Failure> {
    let packet = packet_from_js(data).ok_or_else(|| Failure::new("expected a message from the VM host"))?;
    message::check_version(packet.version).map_err(|error| Failure::from_error(&error))?;
    let command = serde_json::from_str(&packet.json).map_err(|error| Failure::from_error(&error))?;
    match command {
        StorageCommand::Open { vm_id, arch, disks } => {
            let opened = storage.open(&vm_id, arch, disks, &packet.attachments).await;
            // Whoever waits for the disks goes on, or finds that it has ended.
            storage.state.set(State::Open);
            opened?;
            storage.begin();
            storage.tell();
            Ok(())
        }
        StorageCommand::Serve { directory } => {
            let buffer = packet
                .attachments
                .first()
                .and_then(|memory| memory.dyn_ref::<SharedArrayBuffer>());
            let buffer = buffer.ok_or_else(|| Failure::new("expected QEMU's memory with this command"))?;
            storage
                .memory
                .replace(Some((JsSharedMemory::new(buffer), directory)));
            storage.begin();
            Ok(())
        }
        StorageCommand::Tell => {
            storage.tell();
            Ok(())
        }
        StorageCommand::Sync { tag } => {
            let failure = storage.sync().await.err();
            report(&StorageEvent::Synced { tag, failure });
            Ok(())
        }
        StorageCommand::Do(job) => {
            let database = storage.database().await?;
            let (disks, file) = jobs::carry_out(job, &packet.attachments, &database).await?;
            let attachments = file.map(JsValue::from).into_iter().collect();
            report_with(&StorageEvent::Did { disks }, attachments);
            Ok(())
        }
        StorageCommand::End => {
            storage.end().await;
            Ok(())
        }
    }
}

/// The disks of a run.
struct Storage {
    database: Shared<LocalBoxFuture<'static, Result<Database, BlockError>>>,
    state: Cell<State>,
    disks: RefCell<Vec<Rc<Disk>>>,
    /// QEMU's memory and the address of its directory, until its channels are watched.
    memory: RefCell<Option<(JsSharedMemory, u32)>>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    /// Nothing is open yet.
    #[default]
    Opening,
    /// All disks are open.
    Open,
    /// QEMU is gone.
    Ended,
}

impl Storage {
    fn new(database: Shared<LocalBoxFuture<'static, Result<Database, BlockError>>>) -> Self {
        Self {
            database,
            state: Cell::default(),
            disks: RefCell::default(),
            memory: RefCell::default(),
        }
    }

    async fn database(&self) -> Result<Database, Failure> {
        let opened = match self.database.clone().await {
            // The person has cleared the extension's data since.
            Ok(database) if !database.is_open() => Database::open().await,
            opened => opened,
        };
        opened.map_err(|error| failure(&error))
    }

    async fn open(
        &self,
        vm_id: &str,
        arch: Arch,
        orders: Vec<DiskOrder>,
        attachments: &[JsValue],
    ) -> Result<(), Failure> {
        let database = self.database().await?;
        let disks = orders.into_iter().map(async |order| {
            open::open(order, vm_id, arch, attachments, &database)
                .await
                .map(Rc::new)
        });
        let disks = try_join_all(disks).await?;
        self.disks.replace(disks);
        Ok(())
    }

    /// Serves QEMU's channels, once both they and the disks are there.
    fn begin(self: &Rc<Self>) {
        if self.state.get() != State::Open {
            return;
        }
        let Some((memory, address)) = self.memory.take() else {
            return;
        };
        if let Err(failure) = self.watch(&memory, address) {
            report(&StorageEvent::Failed { failure });
        }
    }

    fn watch(self: &Rc<Self>, memory: &JsSharedMemory, address: u32) -> Result<(), Failure> {
        let refused = |error| Failure::from_error(&error);
        let wake = Directory::open(memory, address).map_err(refused)?.wake_address();
        let link = Link::open(memory.clone(), address).map_err(refused)?;
        let (this, memory) = (Rc::clone(self), memory.clone());
        // The host tells of channels that nobody knows.
        let found = move |channel: Result<Channel, _>| {
            if let Ok(channel) = channel {
                this.found(channel, memory.clone(), wake);
            }
        };
        link.watch(Owner::Storage, found, |error| {
            report(&StorageEvent::Failed {
                failure: Failure::from_error(&error),
            });
        });
        Ok(())
    }

    /// QEMU has opened a channel for a disk.
    fn found(&self, channel: Channel, memory: JsSharedMemory, wake: u32) {
        let disks = self.disks.borrow();
        let disk = disks.iter().find(|disk| disk.channel() == channel.name);
        let Some(disk) = disk.cloned() else {
            let failure = Failure::new(format!(
                "QEMU asks for a disk {:?} that this VM has not",
                channel.name
            ));
            return report(&StorageEvent::Failed { failure });
        };
        spawn_local(async move {
            if let Err(failure) = serve_channel(&channel, &memory, wake, &disk).await {
                report(&StorageEvent::Failed { failure });
            }
        });
    }

    /// Tells how the disks are used.
    fn tell(&self) {
        if self.state.get() == State::Open {
            let disks = self.disks.borrow();
            report(&StorageEvent::Used {
                disks: disks.iter().map(|disk| disk.usage()).collect(),
            });
        }
    }

    /// Keeps what is not kept yet.
    async fn sync(&self) -> Result<(), Failure> {
        let disks = self.disks.borrow().clone();
        for disk in disks {
            disk.device().sync().await.map_err(|error| failure(&error))?;
        }
        Ok(())
    }

    /// Keeps what is not kept yet, and lets go of all.
    async fn end(&self) {
        self.state.set(State::Ended);
        let mut failed = None;
        let disks = self.disks.take();
        for disk in &disks {
            if let Err(error) = disk.close().await {
                failed = Some(failure(&error));
            }
        }
        report(&StorageEvent::Closed { failure: failed });
    }
}

/// Serves a disk's channel whenever QEMU has it open.
async fn serve_channel(
    channel: &Channel,
    memory: &JsSharedMemory,
    wake: u32,
    disk: &Rc<Disk>,
) -> Result<(), Failure> {
    loop {
        let opened = channel.opened(memory);
        if opened % 2 == 1 {
            // The disk itself remembers what fails.
            Pump::serve(memory.clone(), channel, wake, disk.device(), |_| ())
                .await
                .map_err(|error| Failure::from_error(&error))?;
        } else {
            memory
                .changed(channel.opened_address(), opened)
                .await
                .map_err(|error| Failure::from_error(&error))?;
        }
    }
}

fn failure(error: &BlockError) -> Failure {
    Failure::from_error(error).with_next_step(error.next_step())
}

fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Tells the host something.
fn report(event: &StorageEvent) {
    report_with(event, Vec::new());
}

fn report_with(event: &StorageEvent, attachments: Vec<JsValue>) {
    let Ok(packet) = Packet::new(event, attachments) else {
        return;
    };
    let message: Array = packet_to_js(&packet);
    if let Err(exception) = scope().post_message(&message) {
        web_sys::console::error_2(&"QemuWeb: could not reach the VM host".into(), &exception);
    }
}
