//! The client API: what a panel, a popup or a page holds to use VMs.
//!
//! [`QemuClient`] owns nothing that must outlive it. It sends commands, keeps the latest view of each VM as
//! the host tells it, and hands events on to its subscribers. The channel to the host is a [`Transport`]; the
//! browser's is [`crate::web::PortTransport`].

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use futures_channel::oneshot;
use qemuweb_vm_config::{VmInputs, VmOverrides};
use serde_json::Value;

use crate::capabilities::RuntimeCapabilities;
use crate::failure::Failure;
use crate::protocol::{self, Command, Event, HostMessage, ProfileRef, Request, VmInfo};
use crate::state::VmState;

/// A message on its way: version, JSON, and what JSON cannot carry.
#[derive(Clone, Debug)]
pub struct Packet<A> {
    /// The sender's [`protocol::VERSION`].
    pub version: u32,
    /// A [`Request`] or a [`HostMessage`].
    pub json: String,
    /// What the JSON refers to by index.
    pub attachments: Vec<A>,
}

/// A channel to the host.
pub trait Transport {
    /// Bytes or a Blob. Cloning must be cheap.
    type Attachment: Clone + 'static;

    /// Sends a packet.
    ///
    /// # Errors
    /// A [`Failure`] when the channel is gone.
    fn send(&self, packet: Packet<Self::Attachment>) -> Result<(), Failure>;

    /// Bytes as an attachment.
    fn bytes(&self, bytes: &[u8]) -> Self::Attachment;

    /// Sets who takes the packets that arrive, and starts the channel.
    fn on_packet(&self, take: Box<dyn Fn(Packet<Self::Attachment>)>);

    /// Sets who is told once that the other side is gone.
    fn on_close(&self, closed: Box<dyn FnOnce()>);

    /// Ends the channel.
    fn close(&self);
}

type Subscriber<A> = Rc<dyn Fn(&Event, &[A])>;

struct Inner<T: Transport> {
    transport: T,
    last_id: Cell<u32>,
    pending: RefCell<HashMap<u32, oneshot::Sender<Result<Value, Failure>>>>,
    subscribers: RefCell<Vec<(u32, Subscriber<T::Attachment>)>>,
    capabilities: RefCell<Option<RuntimeCapabilities>>,
    vms: RefCell<Vec<VmInfo>>,
    closed: RefCell<Vec<Box<dyn FnOnce()>>>,
}

/// Uses the VM host over a [`Transport`]. Clones share one connection.
pub struct QemuClient<T: Transport> {
    inner: Rc<Inner<T>>,
}

impl<T: Transport> Clone for QemuClient<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Rc::clone(&self.inner),
        }
    }
}

/// Unsubscribes when dropped.
#[must_use = "dropping it unsubscribes at once"]
pub struct Subscription(Box<dyn Fn()>);

impl Drop for Subscription {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl<T: Transport + 'static> QemuClient<T> {
    /// A client on `transport`. Call [`Self::init`] before anything else.
    pub fn new(transport: T) -> Self {
        let inner = Rc::new(Inner {
            transport,
            last_id: Cell::new(0),
            pending: RefCell::default(),
            subscribers: RefCell::default(),
            capabilities: RefCell::default(),
            vms: RefCell::default(),
            closed: RefCell::default(),
        });
        let weak: Weak<Inner<T>> = Rc::downgrade(&inner);
        inner.transport.on_packet(Box::new(move |packet| {
            if let Some(inner) = weak.upgrade() {
                inner.take(packet);
            }
        }));
        let weak = Rc::downgrade(&inner);
        inner.transport.on_close(Box::new(move || {
            if let Some(inner) = weak.upgrade() {
                inner.pending.borrow_mut().clear();
                for closed in inner.closed.take() {
                    closed();
                }
            }
        }));
        Self { inner }
    }

    /// Introduces this client to the host and learns capabilities and VMs.
    ///
    /// # Errors
    /// A [`Failure`] when the host refuses or is gone.
    pub async fn init(&self) -> Result<RuntimeCapabilities, Failure> {
        self.request(Command::Init, Vec::new()).await?;
        self.capabilities()
            .ok_or_else(|| Failure::new("the host answered without its capabilities"))
    }

    /// Defines a VM and starts it, or starts a stopped one anew. `files` are the attachments that `inputs`
    /// names by index.
    ///
    /// # Errors
    /// A [`Failure`] when the start is refused. How an accepted start goes on, events tell.
    pub async fn start_vm(
        &self,
        vm_id: &str,
        profile: ProfileRef,
        inputs: VmInputs,
        overrides: Option<VmOverrides>,
        files: Vec<T::Attachment>,
    ) -> Result<(), Failure> {
        let command = Command::StartVm {
            vm_id: vm_id.to_owned(),
            name: None,
            profile,
            inputs: Box::new(inputs),
            overrides: overrides.map(Box::new),
        };
        self.request(command, files).await
    }

    /// Asks the guest to shut down, or with `force` cuts its power.
    ///
    /// # Errors
    /// A [`Failure`] when there is no such VM or it is not active.
    pub async fn stop_vm(&self, vm_id: &str, force: bool) -> Result<(), Failure> {
        self.request(
            Command::StopVm {
                vm_id: vm_id.to_owned(),
                force,
            },
            Vec::new(),
        )
        .await
    }

    /// Pushes the reset button.
    ///
    /// # Errors
    /// A [`Failure`] when there is no such VM or it does not run.
    pub async fn reset_vm(&self, vm_id: &str) -> Result<(), Failure> {
        self.request(
            Command::ResetVm {
                vm_id: vm_id.to_owned(),
            },
            Vec::new(),
        )
        .await
    }

    /// Types `bytes` into the console. What is typed before the answer comes stands behind them.
    ///
    /// # Errors
    /// A [`Failure`] when there is no such VM, or when its guest leaves so much unread that none of the bytes were typed.
    pub fn type_bytes(
        &self,
        vm_id: &str,
        bytes: &[u8],
    ) -> impl Future<Output = Result<(), Failure>> + use<T> {
        let attachment = self.inner.transport.bytes(bytes);
        let command = Command::SerialIn {
            vm_id: vm_id.to_owned(),
        };
        let answer = self.send_now(command, vec![attachment]);
        async move { answer.await.map(drop) }
    }

    /// Tells the guest the size of the terminal.
    pub fn resize_console(&self, vm_id: &str, rows: u16, cols: u16) {
        self.post(
            Command::ResizeConsole {
                vm_id: vm_id.to_owned(),
                rows,
                cols,
            },
            Vec::new(),
        );
    }

    /// Queues lines of a capture for a guest; `lines` are those of [`qemuweb_capture::jsonl`], each ended.
    ///
    /// # Errors
    /// A [`Failure`] when there is no such VM.
    pub async fn push_capture(&self, vm_id: &str, lines: &[u8]) -> Result<(), Failure> {
        let attachment = self.inner.transport.bytes(lines);
        let command = Command::PushCapture {
            vm_id: vm_id.to_owned(),
        };
        self.request(command, vec![attachment]).await
    }

    /// Sends any command and waits for its answer.
    ///
    /// # Errors
    /// The host's [`Failure`], or one that says that the channel is gone.
    pub async fn request(&self, command: Command, attachments: Vec<T::Attachment>) -> Result<(), Failure> {
        self.ask(command, attachments).await.map(drop)
    }

    /// Sends any command and waits for the value that answers it; null for commands that ask for nothing.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn ask(&self, command: Command, attachments: Vec<T::Attachment>) -> Result<Value, Failure> {
        self.send_now(command, attachments).await
    }

    /// Sends a command at once, whenever its answer is waited for.
    fn send_now(
        &self,
        command: Command,
        attachments: Vec<T::Attachment>,
    ) -> impl Future<Output = Result<Value, Failure>> + use<T> {
        let (sender, receiver) = oneshot::channel();
        let id = self.inner.next_id();
        self.inner.pending.borrow_mut().insert(id, sender);
        let sent = self.inner.send(id, command, attachments);
        if sent.is_err() {
            self.inner.pending.borrow_mut().remove(&id);
        }
        async move {
            sent?;
            receiver
                .await
                .unwrap_or_else(|_| Err(Failure::new("the connection to the VM host was closed")))
        }
    }

    /// Sends a command and waits for nothing; a refusal is dropped.
    fn post(&self, command: Command, attachments: Vec<T::Attachment>) {
        let id = self.inner.next_id();
        // Nobody waits, so there is nobody to tell.
        let _ = self.inner.send(id, command, attachments);
    }

    /// The state of a VM, or `None` when the host knows none of this id.
    pub fn vm_state(&self, vm_id: &str) -> Option<VmState> {
        self.vm(vm_id).map(|vm| vm.state)
    }

    /// The latest view of a VM.
    pub fn vm(&self, vm_id: &str) -> Option<VmInfo> {
        self.inner
            .vms
            .borrow()
            .iter()
            .find(|vm| vm.vm_id == vm_id)
            .cloned()
    }

    /// The latest views of all VMs.
    pub fn vms(&self) -> Vec<VmInfo> {
        self.inner.vms.borrow().clone()
    }

    /// What the host's browser offers; known after [`Self::init`].
    pub fn capabilities(&self) -> Option<RuntimeCapabilities> {
        self.inner.capabilities.borrow().clone()
    }

    /// Calls `subscriber` for each event, after this client's views have taken it in.
    pub fn subscribe(&self, subscriber: impl Fn(&Event, &[T::Attachment]) + 'static) -> Subscription {
        let key = self.inner.next_id();
        self.inner
            .subscribers
            .borrow_mut()
            .push((key, Rc::new(subscriber)));
        let weak = Rc::downgrade(&self.inner);
        Subscription(Box::new(move || {
            if let Some(inner) = weak.upgrade() {
                inner.subscribers.borrow_mut().retain(|(other, _)| *other != key);
            }
        }))
    }

    /// Calls `closed` once when the host is gone. Requests under way fail by then.
    pub fn on_close(&self, closed: impl FnOnce() + 'static) {
        self.inner.closed.borrow_mut().push(Box::new(closed));
    }

    /// Leaves the host. VMs go on; requests under way fail.
    pub fn terminate(&self) {
        self.inner.transport.close();
        self.inner.pending.borrow_mut().clear();
        self.inner.subscribers.borrow_mut().clear();
    }
}

impl<T: Transport> Inner<T> {
    fn next_id(&self) -> u32 {
        self.last_id.set(self.last_id.get().wrapping_add(1));
        self.last_id.get()
    }

    fn send(&self, id: u32, command: Command, attachments: Vec<T::Attachment>) -> Result<(), Failure> {
        let json =
            serde_json::to_string(&Request { id, command }).map_err(|error| Failure::from_error(&error))?;
        self.transport.send(Packet {
            version: protocol::VERSION,
            json,
            attachments,
        })
    }

    fn take(&self, packet: Packet<T::Attachment>) {
        let message = protocol::check_version(packet.version)
            .map_err(|error| Failure::from_error(&error).with_next_step("Reload this page."))
            .and_then(|()| serde_json::from_str(&packet.json).map_err(|error| Failure::from_error(&error)));
        match message {
            Ok(HostMessage::Reply { id, failure, value }) => {
                if let Some(sender) = self.pending.borrow_mut().remove(&id) {
                    // A request whose future was dropped wants no answer.
                    let _ = sender.send(failure.map_or(Ok(value), Err));
                }
            }
            Ok(HostMessage::Event { event }) => self.publish(&event, &packet.attachments),
            Err(failure) => self.publish(&Event::Error { vm_id: None, failure }, &[]),
        }
    }

    fn publish(&self, event: &Event, attachments: &[T::Attachment]) {
        match event {
            Event::Capabilities { capabilities } => {
                *self.capabilities.borrow_mut() = Some(capabilities.clone());
            }
            Event::VmList { vms } => vms.clone_into(&mut self.vms.borrow_mut()),
            Event::VmChanged { vm } => {
                let mut vms = self.vms.borrow_mut();
                match vms.iter_mut().find(|known| known.vm_id == vm.vm_id) {
                    Some(known) => known.clone_from(vm),
                    None => vms.push((**vm).clone()),
                }
            }
            Event::VmRemoved { vm_id } => self.vms.borrow_mut().retain(|vm| vm.vm_id != *vm_id),
            Event::Progress { vm_id, progress } => {
                if let Some(vm) = self.vms.borrow_mut().iter_mut().find(|vm| vm.vm_id == *vm_id) {
                    vm.progress = Some(*progress);
                }
            }
            Event::ProfileList { .. }
            | Event::StoredFiles { .. }
            | Event::Storing { .. }
            | Event::VmHandles { .. }
            | Event::Monitor { .. }
            | Event::Metrics { .. }
            | Event::VmStarted { .. }
            | Event::VmStopped { .. }
            | Event::SerialOut { .. }
            | Event::CaptureAnnotated { .. }
            | Event::Log { .. }
            | Event::Error { .. } => {}
        }
        // Subscribers may subscribe and unsubscribe while they are called.
        let subscribers: Vec<_> = self
            .subscribers
            .borrow()
            .iter()
            .map(|(_, subscriber)| Rc::clone(subscriber))
            .collect();
        for subscriber in subscribers {
            subscriber(event, attachments);
        }
    }
}

#[cfg(test)]
mod tests;
