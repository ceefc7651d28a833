//! Pumps between a VM's rings and the host: one task per ring that sleeps in `Atomics.waitAsync`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use qemuweb_runtime::Failure;
use qemuweb_runtime::directory::{Channel, Directory};
use qemuweb_runtime::ring::RingError;
use qemuweb_runtime::web::{JsSharedMemory, WaitError};
use wasm_bindgen_futures::spawn_local;

/// How long output is collected after some was delivered, in milliseconds: a flood costs one message per
/// interval, and the first byte after a pause is not held back.
const COALESCE_MS: u32 = 4;

/// Most bytes that wait for room in a ring. What would make it more is refused whole.
const QUEUE: usize = 4 << 20;

/// QEMU's memory and directory, for as long as this QEMU lives.
#[derive(Clone)]
pub(super) struct Link {
    memory: JsSharedMemory,
    directory: Directory,
    ended: Rc<Cell<bool>>,
}

/// Why pumping a ring ended.
#[derive(Debug, thiserror::Error)]
enum PumpError {
    #[error("QEMU's channel {name} is broken")]
    Ring { name: String, source: RingError },
    #[error(transparent)]
    Wait(#[from] WaitError),
    #[error("could not read QEMU's channels")]
    Directory(#[from] qemuweb_runtime::directory::DirectoryError),
}

impl Link {
    /// The link to a QEMU whose channel directory is at `address`.
    ///
    /// # Errors
    /// A [`Failure`] when there is no directory.
    pub(super) fn open(memory: JsSharedMemory, address: u32) -> Result<Self, Failure> {
        let directory = Directory::open(&memory, address).map_err(|error| Failure::from_error(&error))?;
        Ok(Self {
            memory,
            directory,
            ended: Rc::default(),
        })
    }

    /// Ends all pumps: QEMU is gone, and nobody else would wake them.
    pub(super) fn end(&self) {
        if self.ended.replace(true) {
            return;
        }
        self.memory.notify(self.directory.count_address());
        let count = self.directory.count(&self.memory).unwrap_or(0);
        for channel in (0..count).filter_map(|index| self.directory.channel(&self.memory, index).ok()) {
            self.memory.notify(channel.from_guest.head_address());
            self.memory.notify(channel.to_guest.tail_address());
        }
    }

    /// Calls `found` with each channel that exists or comes to exist.
    pub(super) fn watch(&self, found: impl Fn(Channel) + 'static, failed: impl FnOnce(Failure) + 'static) {
        let link = self.clone();
        spawn_local(async move {
            if let Err(error) = link.watch_channels(&found).await {
                failed(Failure::from_error(&error));
            }
        });
    }

    async fn watch_channels(&self, found: &impl Fn(Channel)) -> Result<(), PumpError> {
        let mut known = 0;
        while !self.ended.get() {
            let count = self.directory.count(&self.memory)?;
            for index in known..count {
                found(self.directory.channel(&self.memory, index)?);
            }
            known = count.max(known);
            self.memory.changed(self.directory.count_address(), count).await?;
        }
        Ok(())
    }

    /// Calls `deliver` with what the guest side of `channel` writes, in order.
    pub(super) fn receive(
        &self,
        channel: &Channel,
        deliver: impl Fn(Vec<u8>) + 'static,
        failed: impl FnOnce(Failure) + 'static,
    ) {
        let (link, channel) = (self.clone(), channel.clone());
        spawn_local(async move {
            if let Err(error) = link.receive_all(&channel, &deliver).await {
                failed(Failure::from_error(&error));
            }
        });
    }

    async fn receive_all(&self, channel: &Channel, deliver: &impl Fn(Vec<u8>)) -> Result<(), PumpError> {
        let ring = channel.from_guest;
        loop {
            let head = ring.head(&self.memory);
            let bytes = self.checked(channel, ring.read_all(&self.memory))?;
            if !bytes.is_empty() {
                self.memory.bump(self.directory.wake_address());
                deliver(bytes);
                TimeoutFuture::new(COALESCE_MS).await;
            } else if self.ended.get() {
                return Ok(());
            } else {
                self.memory.changed(ring.head_address(), head).await?;
            }
        }
    }

    /// The way to send into `channel`.
    pub(super) fn sender(&self, channel: Channel, failed: impl Fn(Failure) + 'static) -> Sender {
        Sender {
            link: self.clone(),
            channel,
            queue: Rc::default(),
            written: Rc::default(),
            dropped: Rc::default(),
            drained: Rc::default(),
            failed: Rc::new(failed),
        }
    }

    fn checked<T>(&self, channel: &Channel, result: Result<T, RingError>) -> Result<T, PumpError> {
        result.map_err(|source| PumpError::Ring {
            name: channel.name.clone(),
            source,
        })
    }
}

/// Told that something happened.
type Listener = Rc<dyn Fn()>;

/// Sends into one channel, in order, as the guest takes it.
#[derive(Clone)]
pub(super) struct Sender {
    link: Link,
    channel: Channel,
    /// What waits for room. While it is not empty a task is pumping it.
    queue: Rc<RefCell<VecDeque<u8>>>,
    /// Bytes that were ever put into the ring.
    written: Rc<Cell<u64>>,
    /// Bytes that QEMU is known to have dropped from the ring.
    dropped: Rc<Cell<u64>>,
    /// Called when nothing waits any more.
    drained: Rc<RefCell<Option<Listener>>>,
    failed: Rc<dyn Fn(Failure)>,
}

impl Sender {
    /// Queues `bytes`. `false` when too much waits already; then none of them is sent.
    pub(super) fn send(&self, bytes: &[u8]) -> bool {
        let mut queue = self.queue.borrow_mut();
        if queue.len() + bytes.len() > QUEUE {
            return false;
        }
        let idle = queue.is_empty();
        queue.extend(bytes);
        drop(queue);
        if idle {
            let sender = self.clone();
            spawn_local(async move {
                if let Err(error) = sender.pump().await {
                    sender.queue.borrow_mut().clear();
                    (sender.failed)(Failure::from_error(&error));
                }
            });
        }
        true
    }

    /// Calls `drained` whenever all that was queued is in the ring.
    pub(super) fn on_drained(&self, drained: impl Fn() + 'static) {
        *self.drained.borrow_mut() = Some(Rc::new(drained));
    }

    /// Bytes that wait for room in the ring.
    pub(super) fn queued(&self) -> usize {
        self.queue.borrow().len()
    }

    /// Bytes that the guest's side has taken out of the ring since QEMU's start.
    pub(super) fn taken(&self) -> u64 {
        // In this order: QEMU counts what it drops before it takes it out of the ring.
        let in_ring = self.channel.to_guest.used(&self.link.memory).unwrap_or(0);
        let gone = u64::from(in_ring) + self.dropped.get() + u64::from(self.newly_dropped());
        self.written.get().saturating_sub(gone)
    }

    /// Whether QEMU has dropped anything since this was asked last, because another program has the channel now. Then
    /// what waits is forgotten as well: the former program's half was in the ring.
    pub(super) fn take_dropped(&self) -> bool {
        let dropped = self.newly_dropped();
        if dropped == 0 {
            return false;
        }
        self.dropped.set(self.dropped.get() + u64::from(dropped));
        self.queue.borrow_mut().clear();
        true
    }

    fn newly_dropped(&self) -> u32 {
        let dropped = self.channel.to_guest.dropped(&self.link.memory);
        // Modulo 2³², as QEMU counts.
        dropped.wrapping_sub(self.dropped.get() as u32)
    }

    async fn pump(&self) -> Result<(), PumpError> {
        let (link, ring) = (&self.link, self.channel.to_guest);
        while !link.ended.get() {
            let tail = ring.tail(&link.memory);
            if self.newly_dropped() > 0 {
                // Whoever sends finds it with `take_dropped`.
                break;
            }
            let sent = {
                let mut queue = self.queue.borrow_mut();
                let sent = link.checked(&self.channel, ring.write(&link.memory, queue.as_slices().0))?;
                queue.drain(..sent);
                self.written.set(self.written.get() + sent as u64);
                if queue.is_empty() {
                    link.memory.bump(link.directory.wake_address());
                    break;
                }
                sent
            };
            if sent > 0 {
                link.memory.bump(link.directory.wake_address());
            } else {
                link.memory.changed(ring.tail_address(), tail).await?;
            }
        }
        self.queue.borrow_mut().clear();
        let drained = self.drained.borrow().clone();
        if let Some(drained) = drained.filter(|_| !link.ended.get()) {
            drained();
        }
        Ok(())
    }
}
