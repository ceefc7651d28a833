//! A QEMU's memory and directory for as long as it lives, and one task per ring that sleeps in `Atomics.waitAsync`.
//!
//! No task takes two turns of the event loop without a timer between them, whatever QEMU does with the words that it waits on:
//! a VM cannot starve its host. All waits end with the link, and the link remembers where they wait, so that no corrupt memory
//! keeps one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use wasm_bindgen_futures::spawn_local;

use super::outlet::{Level, Outlet};
use super::{JsSharedMemory, WaitError};
use crate::directory::{Channel, Directory, DirectoryError, Owner};
use crate::ring::{Ring, RingError};

/// How long a pump rests after each turn, in milliseconds: a flood costs one message per interval, and the first byte after a
/// pause is not held back.
pub(super) const REST_MS: u32 = 4;

/// Most bytes that a channel delivers in a turn.
const BYTES_A_TURN: u32 = 1 << 20;

/// QEMU's memory and directory, for as long as this QEMU lives. Clones are the same one.
#[derive(Clone)]
pub struct Link {
    pub(super) memory: JsSharedMemory,
    directory: Directory,
    ended: Rc<Cell<bool>>,
    /// Where tasks wait, or have waited.
    waits: Rc<RefCell<BTreeSet<u32>>>,
}

/// Why pumping a channel ended.
#[derive(Debug, thiserror::Error)]
pub enum PumpError {
    /// Its ring is broken.
    #[error("QEMU's channel {name} is broken")]
    Ring {
        /// The channel.
        name: String,
        /// What is wrong.
        source: RingError,
    },
    /// The browser cannot wait.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// The directory is broken.
    #[error("could not read QEMU's channels")]
    Directory(#[from] DirectoryError),
}

impl Link {
    /// The link to a QEMU whose channel directory is at `address`.
    ///
    /// # Errors
    /// [`DirectoryError`] when there is no directory.
    pub fn open(memory: JsSharedMemory, address: u32) -> Result<Self, DirectoryError> {
        let directory = Directory::open(&memory, address)?;
        Ok(Self {
            memory,
            directory,
            ended: Rc::default(),
            waits: Rc::default(),
        })
    }

    /// Ends all pumps: QEMU is gone, and nobody else would wake them.
    pub fn end(&self) {
        if !self.ended.replace(true) {
            for address in std::mem::take(&mut *self.waits.borrow_mut()) {
                self.memory.notify(address);
            }
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Tells QEMU that something was done to a ring.
    pub(super) fn wake(&self) {
        self.memory.bump(self.directory.wake_address());
    }

    /// Waits until the word at `address` is no longer `seen`. Rests before that if the caller was woken and found nothing to do
    /// (`idle`), or if there was nothing to wait for.
    pub(super) async fn changed(&self, address: u32, seen: u32, idle: bool) -> Result<(), WaitError> {
        if idle {
            TimeoutFuture::new(REST_MS).await;
        }
        self.waits.borrow_mut().insert(address);
        if !self.has_ended() && !self.memory.changed(address, seen).await? {
            TimeoutFuture::new(REST_MS).await;
        }
        Ok(())
    }

    /// Calls `found` with each channel of `owner` that exists or comes to exist, and with each that nobody knows how to use as
    /// an error.
    pub fn watch(
        &self,
        owner: Owner,
        found: impl Fn(Result<Channel, DirectoryError>) + 'static,
        failed: impl FnOnce(PumpError) + 'static,
    ) {
        let link = self.clone();
        spawn_local(async move {
            if let Err(error) = link.watch_channels(owner, &found).await {
                failed(error);
            }
        });
    }

    async fn watch_channels(
        &self,
        owner: Owner,
        found: &impl Fn(Result<Channel, DirectoryError>),
    ) -> Result<(), PumpError> {
        let (mut known, mut idle) = (0, false);
        while !self.has_ended() {
            let count = self.directory.count(&self.memory)?;
            for index in known..count {
                match self.directory.channel(&self.memory, index) {
                    Ok(channel) if channel.owner != owner => {}
                    Err(error @ DirectoryError::Ring { .. }) => return Err(error.into()),
                    known_or_not => found(known_or_not),
                }
            }
            idle &= count <= known;
            known = count.max(known);
            self.changed(self.directory.count_address(), count, idle).await?;
            idle = true;
        }
        Ok(())
    }

    /// Calls `changed` with how often the guest's side of `channel` was opened or closed, odd while it is open, now and whenever
    /// that has changed.
    pub fn watch_opened(
        &self,
        channel: &Channel,
        changed: impl Fn(u32) + 'static,
        failed: impl FnOnce(PumpError) + 'static,
    ) {
        let (link, channel) = (self.clone(), channel.clone());
        spawn_local(async move {
            let (mut told, mut idle) = (None, false);
            while !link.has_ended() {
                let opened = channel.opened(&link.memory);
                if told.replace(opened) != Some(opened) {
                    changed(opened);
                    // A guest that opens and closes without end is told of now and then.
                    TimeoutFuture::new(REST_MS).await;
                    idle = false;
                } else if let Err(error) = link.changed(channel.opened_address(), opened, idle).await {
                    return failed(error.into());
                } else {
                    idle = true;
                }
            }
        });
    }

    /// Calls `deliver` with what comes through `ring` of `channel`, in order.
    pub fn receive(
        &self,
        channel: &Channel,
        ring: Ring,
        deliver: impl Fn(Vec<u8>) + 'static,
        failed: impl FnOnce(PumpError) + 'static,
    ) {
        let (link, name) = (self.clone(), channel.name.clone());
        spawn_local(async move {
            if let Err(error) = link.receive_all(&name, ring, &deliver).await {
                failed(error);
            }
        });
    }

    async fn receive_all(&self, name: &str, ring: Ring, deliver: &impl Fn(Vec<u8>)) -> Result<(), PumpError> {
        let (mut end, mut idle) = (ring.consumer(&self.memory), false);
        loop {
            let head = end.head(&self.memory);
            let bytes = end
                .read(&self.memory, BYTES_A_TURN)
                .map_err(|source| PumpError::Ring {
                    name: name.to_owned(),
                    source,
                })?;
            if !bytes.is_empty() {
                self.wake();
                deliver(bytes);
                TimeoutFuture::new(REST_MS).await;
                idle = false;
            } else if self.has_ended() {
                return Ok(());
            } else {
                self.changed(ring.head_address(), head, idle).await?;
                idle = true;
            }
        }
    }

    /// Our end of `ring` of `channel`, which we write. `moved` is told how it stands whenever QEMU has taken or dropped something.
    pub fn outlet(
        &self,
        channel: &Channel,
        ring: Ring,
        moved: impl Fn(Level) + 'static,
        failed: impl Fn(PumpError) + 'static,
    ) -> Outlet {
        let (link, name) = (self.clone(), channel.name.clone());
        Outlet::new(link, name, ring, Box::new(moved), Box::new(failed))
    }
}
