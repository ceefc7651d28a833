//! Sending into a ring, in order, as the guest takes it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use wasm_bindgen_futures::spawn_local;

use super::link::{Link, PumpError, REST_MS};
use crate::ring::{Producer, Ring};

/// Told that something happened.
type Listener = Rc<dyn Fn()>;

/// Sends into one ring. Clones send into the same one.
#[derive(Clone)]
pub struct Sender(Rc<Inner>);

struct Inner {
    link: Link,
    name: String,
    limit: usize,
    end: RefCell<Producer>,
    /// What waits for room, whole pieces but for the first.
    queue: RefCell<VecDeque<Rc<[u8]>>>,
    /// Bytes of the first piece that are in the ring already.
    begun: Cell<usize>,
    queued: Cell<usize>,
    /// Whether a task is pumping the queue.
    pumping: Cell<bool>,
    /// Bytes that were ever put into the ring.
    written: Cell<u64>,
    /// Bytes that QEMU is known to have dropped from the ring.
    dropped: Cell<u64>,
    /// Called when nothing waits any more.
    drained: RefCell<Option<Listener>>,
    failed: Rc<dyn Fn(PumpError)>,
}

impl Sender {
    pub(super) fn new(
        link: Link,
        name: String,
        ring: Ring,
        limit: usize,
        failed: Rc<dyn Fn(PumpError)>,
    ) -> Self {
        let end = RefCell::new(ring.producer(&link.memory));
        Self(Rc::new(Inner {
            link,
            name,
            limit,
            end,
            queue: RefCell::default(),
            begun: Cell::default(),
            queued: Cell::default(),
            pumping: Cell::default(),
            written: Cell::default(),
            dropped: Cell::default(),
            drained: RefCell::default(),
            failed,
        }))
    }

    /// Queues `bytes`. `false` when too much waits already; then none of them is sent.
    pub fn send(&self, bytes: Rc<[u8]>) -> bool {
        let inner = &self.0;
        let queued = inner.queued.get() + bytes.len();
        if queued > inner.limit {
            return false;
        }
        inner.queued.set(queued);
        inner.queue.borrow_mut().push_back(bytes);
        if !inner.pumping.replace(true) {
            let inner = Rc::clone(inner);
            spawn_local(async move {
                let result = inner.pump().await;
                inner.pumping.set(false);
                match result {
                    Ok(()) => inner.tell_drained(),
                    Err(error) => (inner.failed)(error),
                }
            });
        }
        true
    }

    /// Calls `drained` whenever all that was queued is in the ring, or was forgotten because QEMU dropped something.
    pub fn on_drained(&self, drained: impl Fn() + 'static) {
        *self.0.drained.borrow_mut() = Some(Rc::new(drained));
    }

    /// Bytes that wait for room in the ring.
    pub fn queued(&self) -> usize {
        self.0.queued.get()
    }

    /// Bytes that the guest's side has taken out of the ring since QEMU's start.
    pub fn taken(&self) -> u64 {
        let inner = &self.0;
        // In this order: QEMU counts what it drops before it takes it out of the ring.
        let in_ring = inner.end.borrow().used(&inner.link.memory).unwrap_or(0);
        let gone = u64::from(in_ring) + inner.dropped.get() + u64::from(inner.newly_dropped());
        inner.written.get().saturating_sub(gone)
    }

    /// Whether QEMU has dropped anything since this was asked last, because another program has the channel now. Then
    /// what waits is forgotten as well: the former program's half was in the ring.
    pub fn take_dropped(&self) -> bool {
        let inner = &self.0;
        let dropped = inner.newly_dropped();
        if dropped == 0 {
            return false;
        }
        inner.dropped.set(inner.dropped.get() + u64::from(dropped));
        inner.forget();
        true
    }
}

impl Inner {
    fn newly_dropped(&self) -> u32 {
        let dropped = self.end.borrow().dropped(&self.link.memory);
        // Modulo 2³², as QEMU counts.
        dropped.wrapping_sub(self.dropped.get() as u32)
    }

    fn forget(&self) {
        self.queue.borrow_mut().clear();
        self.begun.set(0);
        self.queued.set(0);
    }

    /// Puts the queue into the ring until it is empty, QEMU drops something, or the link ends; the latter two forget it.
    async fn pump(&self) -> Result<(), PumpError> {
        let mut woken = false;
        while !self.link.has_ended() && self.newly_dropped() == 0 {
            let tail = self.end.borrow().tail(&self.link.memory);
            let (sent, rest) = self.fill()?;
            if sent > 0 {
                self.link.wake();
            }
            if !rest {
                return Ok(());
            }
            let address = self.end.borrow().ring().tail_address();
            self.link.changed(address, tail, woken && sent == 0).await?;
            woken = true;
        }
        self.forget();
        // Whoever sends finds it with `take_dropped` and begins anew, after others had their turn.
        TimeoutFuture::new(REST_MS).await;
        Ok(())
    }

    /// Puts in what fits: how much that was, and whether some is left.
    fn fill(&self) -> Result<(usize, bool), PumpError> {
        let (mut queue, mut end) = (self.queue.borrow_mut(), self.end.borrow_mut());
        let mut sum = 0;
        while let Some(piece) = queue.front() {
            let begun = self.begun.get();
            let sent = end
                .write(&self.link.memory, &piece[begun..])
                .map_err(|source| PumpError::Ring {
                    name: self.name.clone(),
                    source,
                })?;
            sum += sent;
            self.queued.set(self.queued.get() - sent);
            self.written.set(self.written.get() + sent as u64);
            if begun + sent < piece.len() {
                self.begun.set(begun + sent);
                break;
            }
            self.begun.set(0);
            queue.pop_front();
        }
        Ok((sum, !queue.is_empty()))
    }

    fn tell_drained(&self) {
        let drained = self.drained.borrow().clone();
        if let Some(drained) = drained.filter(|_| !self.link.has_ended()) {
            drained();
        }
    }
}
