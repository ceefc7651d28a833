//! Pumps between a VM's rings and the core: tasks that sleep in `Atomics.waitAsync`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use gloo_timers::future::TimeoutFuture;
use qemuweb_machine::Input;
use qemuweb_machine::io::{FromWorker, RunId};
use qemuweb_runtime::directory::{Channel, Directory, DirectoryError};
use qemuweb_runtime::ring::RingError;
use qemuweb_runtime::web::{JsSharedMemory, WaitError};
use qemuweb_wire::Failure;
use wasm_bindgen_futures::spawn_local;

use super::driver::Driver;

/// How long output is collected after some was delivered, in milliseconds: a flood costs one message per
/// interval, and the first byte after a pause is not held back.
const COALESCE_MS: u32 = 4;

/// QEMU's memory and directory, for as long as this QEMU lives.
#[derive(Clone)]
pub(super) struct Link(Rc<Inner>);

struct Inner {
    memory: JsSharedMemory,
    directory: Directory,
    channels: RefCell<HashMap<String, Open>>,
    ended: Cell<bool>,
}

/// A channel that QEMU has opened.
#[derive(Clone)]
struct Open {
    channel: Channel,
    /// Whether a task tells the core of what the guest takes.
    is_watched: Rc<Cell<bool>>,
    /// Bytes that QEMU has dropped in all.
    dropped: Rc<Cell<u64>>,
}

/// Why pumping a ring ended.
#[derive(Debug, thiserror::Error)]
enum PumpError {
    #[error("QEMU's channel {name} is broken")]
    Ring { name: String, source: RingError },
    #[error("QEMU's channel {name} has no room for what it had room for")]
    Full { name: String },
    #[error(transparent)]
    Wait(#[from] WaitError),
    #[error("could not read QEMU's channels")]
    Directory(#[from] DirectoryError),
}

impl Link {
    /// The link to a QEMU whose channel directory is at `address`.
    ///
    /// # Errors
    /// A [`Failure`] when there is no directory.
    pub(super) fn open(memory: JsSharedMemory, address: u32) -> Result<Self, Failure> {
        let directory = Directory::open(&memory, address).map_err(|error| Failure::from_error(&error))?;
        Ok(Self(Rc::new(Inner {
            memory,
            directory,
            channels: RefCell::default(),
            ended: Cell::new(false),
        })))
    }

    /// Ends all pumps: QEMU is gone, and nobody else would wake them.
    pub(super) fn end(&self) {
        let Inner {
            memory, directory, ..
        } = &*self.0;
        if self.0.ended.replace(true) {
            return;
        }
        memory.notify(directory.count_address());
        for open in self.0.channels.borrow().values() {
            memory.notify(open.channel.from_guest.head_address());
            memory.notify(open.channel.to_guest.tail_address());
        }
    }

    /// Tells the core of each channel that exists or comes to exist, and of what the guest writes there.
    pub(super) fn watch(&self, run: RunId, driver: Weak<Driver>) {
        let link = self.clone();
        self.pump(run, driver.clone(), async move {
            link.watch_channels(run, &driver).await
        });
    }

    /// Runs a pump; one that fails ends its VM, whose QEMU cannot be trusted any more.
    fn pump(
        &self,
        run: RunId,
        driver: Weak<Driver>,
        pump: impl Future<Output = Result<(), PumpError>> + 'static,
    ) {
        let link = self.clone();
        spawn_local(async move {
            if let Err(error) = pump.await {
                link.fail(run, &driver, &error);
            }
        });
    }

    fn fail(&self, run: RunId, driver: &Weak<Driver>, error: &PumpError) {
        if let Some(driver) = driver.upgrade().filter(|_| !self.0.ended.get()) {
            let failure = FromWorker::Failed(Failure::from_error(error));
            driver.happen(Input::Worker(run, failure));
        }
    }

    async fn watch_channels(&self, run: RunId, driver: &Weak<Driver>) -> Result<(), PumpError> {
        let Inner {
            memory, directory, ..
        } = &*self.0;
        let mut known = 0;
        while !self.0.ended.get() {
            let count = directory.count(memory)?;
            for index in known..count {
                let channel = directory.channel(memory, index)?;
                self.opened(run, channel, driver);
            }
            known = count.max(known);
            memory.changed(directory.count_address(), count).await?;
        }
        Ok(())
    }

    fn opened(&self, run: RunId, channel: Channel, driver: &Weak<Driver>) {
        let Some(host) = driver.upgrade() else { return };
        let open = Open {
            channel: channel.clone(),
            is_watched: Rc::default(),
            dropped: Rc::default(),
        };
        self.0.channels.borrow_mut().insert(channel.name.clone(), open);
        host.happen(Input::ChannelOpened {
            run,
            channel: channel.name.clone(),
            capacity: channel.to_guest.capacity(),
        });
        let (link, driver) = (self.clone(), driver.clone());
        self.pump(run, driver.clone(), async move {
            link.receive(run, &channel, &driver).await
        });
    }

    async fn receive(&self, run: RunId, channel: &Channel, driver: &Weak<Driver>) -> Result<(), PumpError> {
        let Inner {
            memory, directory, ..
        } = &*self.0;
        let ring = channel.from_guest;
        loop {
            let head = ring.head(memory);
            let bytes = checked(channel, ring.read_all(memory))?;
            if !bytes.is_empty() {
                memory.bump(directory.wake_address());
                let Some(driver) = driver.upgrade() else {
                    return Ok(());
                };
                driver.happen(Input::Received {
                    run,
                    channel: channel.name.clone(),
                    bytes,
                });
                TimeoutFuture::new(COALESCE_MS).await;
            } else if self.0.ended.get() {
                return Ok(());
            } else {
                memory.changed(ring.head_address(), head).await?;
            }
        }
    }

    /// Puts bytes into a channel's ring, and tells the core when the guest takes them.
    pub(super) fn write(&self, run: RunId, channel: &str, bytes: &[u8], driver: &Rc<Driver>) {
        let open = self.0.channels.borrow().get(channel).cloned();
        let Some(open) = open.filter(|_| !self.0.ended.get()) else {
            return;
        };
        let memory = &self.0.memory;
        let written = checked(&open.channel, open.channel.to_guest.write(memory, bytes));
        memory.bump(self.0.directory.wake_address());
        let name = || channel.to_owned();
        match written {
            Ok(written) if written == bytes.len() => {}
            Ok(_) => return self.fail(run, &Rc::downgrade(driver), &PumpError::Full { name: name() }),
            Err(error) => return self.fail(run, &Rc::downgrade(driver), &error),
        }
        if !open.is_watched.replace(true) {
            let (link, driver) = (self.clone(), Rc::downgrade(driver));
            self.pump(run, driver.clone(), async move {
                link.watch_taken(run, &open, &driver).await
            });
        }
    }

    /// Tells the core of what the guest's side takes, until nothing is left.
    async fn watch_taken(&self, run: RunId, open: &Open, driver: &Weak<Driver>) -> Result<(), PumpError> {
        let memory = &self.0.memory;
        let ring = open.channel.to_guest;
        let mut known = None;
        while !self.0.ended.get() {
            let tail = ring.tail(memory);
            // In this order: QEMU counts what it drops before it takes it out of the ring.
            let used = checked(&open.channel, ring.used(memory))?;
            // Modulo 2³², as QEMU counts.
            let newly = ring.dropped(memory).wrapping_sub(open.dropped.get() as u32);
            open.dropped.set(open.dropped.get() + u64::from(newly));
            if used == 0 {
                open.is_watched.set(false);
            }
            if known.replace((used, open.dropped.get())) != Some((used, open.dropped.get())) {
                let Some(driver) = driver.upgrade() else {
                    return Ok(());
                };
                driver.happen(Input::Moved {
                    run,
                    channel: open.channel.name.clone(),
                    used,
                    dropped: open.dropped.get(),
                });
            }
            if used == 0 {
                return Ok(());
            }
            memory.changed(ring.tail_address(), tail).await?;
            TimeoutFuture::new(0).await;
        }
        Ok(())
    }
}

fn checked<T>(channel: &Channel, result: Result<T, RingError>) -> Result<T, PumpError> {
    result.map_err(|source| PumpError::Ring {
        name: channel.name.clone(),
        source,
    })
}
