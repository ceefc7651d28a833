//! Putting bytes into a ring, and hearing when QEMU has taken or dropped some.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use wasm_bindgen_futures::spawn_local;

use super::link::{Link, PumpError, REST_MS};
use crate::ring::{Producer, Ring, RingError};

/// Our end of a ring that we write. Clones are the same one.
#[derive(Clone)]
pub struct Outlet(Rc<Inner>);

struct Inner {
    link: Link,
    name: String,
    end: RefCell<Producer>,
    /// Bytes that QEMU has dropped in all; in the ring they are counted modulo 2³².
    dropped: Cell<u64>,
    /// QEMU's counter as it was when `moved` was told last.
    told: Cell<u32>,
    /// Whether a task waits for QEMU to take something.
    watching: Cell<bool>,
    moved: Box<dyn Fn(Level)>,
    failed: Box<dyn Fn(PumpError)>,
}

/// How a ring that we write stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Bytes that are in it.
    pub used: u32,
    /// Bytes that QEMU has passed over unread since it started, because another program has the channel.
    pub dropped: u64,
}

impl Outlet {
    pub(super) fn new(
        link: Link,
        name: String,
        ring: Ring,
        moved: Box<dyn Fn(Level)>,
        failed: Box<dyn Fn(PumpError)>,
    ) -> Self {
        let end = ring.producer(&link.memory);
        let told = Cell::new(end.tail(&link.memory));
        Self(Rc::new(Inner {
            link,
            name,
            end: RefCell::new(end),
            dropped: Cell::default(),
            told,
            watching: Cell::default(),
            moved,
            failed,
        }))
    }

    /// How many bytes the ring can hold.
    pub fn capacity(&self) -> u32 {
        self.0.end.borrow().ring().capacity()
    }

    /// Puts in as many of `bytes` as fit, wakes QEMU, and returns how many those were. As long as the ring is not empty, who made
    /// this outlet is told whenever its level has changed.
    ///
    /// # Errors
    /// [`PumpError::Ring`] when the ring is broken.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, PumpError> {
        let inner = &self.0;
        let written = inner.end.borrow_mut().write(&inner.link.memory, bytes);
        let written = written.map_err(|error| inner.broken(error))?;
        if written > 0 {
            inner.link.wake();
        }
        if !inner.watching.replace(true) {
            let inner = Rc::clone(inner);
            spawn_local(async move {
                let result = inner.watch().await;
                inner.watching.set(false);
                if let Err(error) = result {
                    (inner.failed)(error);
                }
            });
        }
        Ok(written)
    }
}

impl Inner {
    fn broken(&self, source: RingError) -> PumpError {
        PumpError::Ring {
            name: self.name.clone(),
            source,
        }
    }

    fn level(&self) -> Result<Level, PumpError> {
        let end = self.end.borrow();
        // In this order: QEMU counts what it drops before it takes it out of the ring.
        let used = end.used(&self.link.memory).map_err(|error| self.broken(error))?;
        let counted = end.dropped(&self.link.memory);
        // The low half of the count is QEMU's word.
        let newly = counted.wrapping_sub(self.dropped.get() as u32);
        self.dropped.set(self.dropped.get() + u64::from(newly));
        Ok(Level {
            used,
            dropped: self.dropped.get(),
        })
    }

    /// Tells of each change of QEMU's counter until the ring is empty.
    async fn watch(&self) -> Result<(), PumpError> {
        let mut idle = false;
        while !self.link.has_ended() {
            let address = self.end.borrow().ring().tail_address();
            let tail = self.end.borrow().tail(&self.link.memory);
            if self.told.replace(tail) != tail {
                (self.moved)(self.level()?);
                TimeoutFuture::new(REST_MS).await;
                idle = false;
            } else if self.level()?.used == 0 {
                return Ok(());
            } else {
                self.link.changed(address, tail, idle).await?;
                idle = true;
            }
        }
        Ok(())
    }
}
