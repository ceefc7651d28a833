//! A disk's channel with QEMU, pumped by the Worker that the disk lives in.
//!
//! A guest waits for each request, and its next one mostly comes right after: the Worker blocks for it a little while, as its
//! event loop would tell it later, unless a request waits for that loop. What can be answered from memory is answered at once.
//! A guest that asks without end starves nobody: now and then all else that the Worker was told has a turn.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use js_sys::{Date, Promise};
use qemuweb_shm::SharedMemory;
use qemuweb_shm::block::{BlockChannelError, Request, Requests};
use qemuweb_shm::directory::Channel;
use qemuweb_shm::ring::{Producer, RingError};
use qemuweb_shm::web::{JsSharedMemory, WaitError};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::MessageChannel;

use crate::device::{BlockDevice, BlockError};
use crate::serve::perform;

/// Most bytes of requests that are taken from the ring at once.
const BYTES_AT_ONCE: u32 = 64 << 10;

/// How long to block for the next request, in milliseconds: several times what a guest needs to send one.
const BLOCK_MS: f64 = 0.3;
/// How long requests are served before all else has a turn, in milliseconds.
const TURN_MS: f64 = 5.0;

/// Why a channel is served no longer.
#[derive(Debug, thiserror::Error)]
pub enum PumpError {
    /// A ring is broken.
    #[error("the channel of {id} is broken: {source}")]
    Ring {
        /// The disk.
        id: String,
        /// What is wrong.
        source: RingError,
    },
    /// QEMU sent what is no request.
    #[error("the channel of {id} is broken: {source}")]
    Request {
        /// The disk.
        id: String,
        /// What is wrong.
        source: BlockChannelError,
    },
    /// The browser cannot wait.
    #[error(transparent)]
    Wait(#[from] WaitError),
}

/// A channel that is served.
pub struct Pump {
    memory: JsSharedMemory,
    /// The word that wakes QEMU.
    wake: u32,
    device: Rc<dyn BlockDevice>,
    completions: RefCell<Producer>,
    requests: RefCell<Requests>,
    /// How many requests wait for something.
    waiting: Cell<u32>,
    broken: Cell<Option<RingError>>,
    failed: Box<dyn Fn(&BlockError)>,
}

impl Pump {
    /// Serves `channel`, of the kind `Block`, in `memory`, until QEMU closes it: `device` does what is asked for, `wake` is the
    /// address of the word that wakes QEMU, and `failed` hears of requests that failed.
    ///
    /// # Errors
    /// [`PumpError`] when QEMU does not keep to the protocol. What is in flight is carried through, and nobody told.
    pub async fn serve(
        memory: JsSharedMemory,
        channel: &Channel,
        wake: u32,
        device: Rc<dyn BlockDevice>,
        failed: impl Fn(&BlockError) + 'static,
    ) -> Result<(), PumpError> {
        let &[completions, requests] = channel.rings.as_slice() else {
            // The directory has found as many as the kind has.
            return Ok(());
        };
        let mut consumer = requests.consumer(&memory);
        let pump = Rc::new(Self {
            wake,
            device,
            completions: RefCell::new(completions.producer(&memory)),
            requests: RefCell::default(),
            waiting: Cell::default(),
            broken: Cell::default(),
            failed: Box::new(failed),
            memory,
        });
        let opened = channel.opened(&pump.memory);
        // One wait for as long as the channel is served: one for each look at the ring would pile up.
        let mut closed = Box::pin(pump.memory.changed(channel.opened_address(), opened));
        let mut rested = Date::now();
        while opened % 2 == 1 && channel.opened(&pump.memory) == opened {
            let head = consumer.head(&pump.memory);
            let bytes = consumer
                .read(&pump.memory, BYTES_AT_ONCE)
                .map_err(|source| pump.ring_error(source))?;
            if let Some(source) = pump.broken.take() {
                return Err(pump.ring_error(source));
            }
            let taken = pump.requests.borrow_mut().take(&bytes, pump.memory.len());
            for request in taken.map_err(|source| PumpError::Request {
                id: pump.device.id().into(),
                source,
            })? {
                pump.begin(request);
            }
            if !bytes.is_empty() {
                // Whoever waits for the ring's tail.
                pump.memory.notify(requests.tail_address());
                if Date::now() - rested > TURN_MS {
                    turn().await;
                    rested = Date::now();
                }
                let head_address = requests.head_address();
                if pump.waiting.get() == 0 && pump.memory.block(head_address, head, BLOCK_MS) {
                    continue;
                }
            }
            let more = Box::pin(pump.memory.changed(requests.head_address(), head));
            match select(more, closed).await {
                Either::Left((waited, still)) => {
                    if waited? {
                        rested = Date::now();
                    }
                    closed = still;
                }
                Either::Right((waited, _)) => {
                    waited?;
                    closed = Box::pin(pump.memory.changed(channel.opened_address(), opened));
                }
            }
        }
        Ok(())
    }

    /// Carries a request through: now, if nothing has to be waited for.
    fn begin(self: &Rc<Self>, request: Request) {
        let mut task = Box::pin(Rc::clone(self).carry_through(request));
        if (&mut task).now_or_never().is_some() {
            return;
        }
        let pump = Rc::clone(self);
        pump.waiting.set(pump.waiting.get() + 1);
        spawn_local(async move {
            task.await;
            pump.waiting.set(pump.waiting.get() - 1);
        });
    }

    fn ring_error(&self, source: RingError) -> PumpError {
        PumpError::Ring {
            id: self.device.id().into(),
            source,
        }
    }

    async fn carry_through(self: Rc<Self>, request: Request) {
        let (completion, error) = perform(self.device.as_ref(), &self.memory, &request).await;
        if let Some(error) = error {
            (self.failed)(&error);
        }
        self.requests.borrow_mut().complete(request.tag);
        let mut completions = self.completions.borrow_mut();
        // There is room for as many as can be in flight.
        if let Err(error) = completions.write(&self.memory, &completion.encode()) {
            self.broken.set(Some(error));
        }
        self.memory.notify(completions.ring().head_address());
        self.memory.bump(self.wake);
    }
}

/// Lets this thread's event loop go round once.
async fn turn() {
    let Ok(channel) = MessageChannel::new() else {
        return;
    };
    let heard = Promise::new(&mut |resolve, _| {
        channel.port1().set_onmessage(Some(&resolve));
        // Where it cannot be sent, there is nothing to wait for.
        if channel.port2().post_message(&JsValue::NULL).is_err() {
            let _ = resolve.call0(&JsValue::NULL);
        }
    });
    // A promise that nobody rejects.
    let _ = JsFuture::from(heard).await;
    channel.port1().close();
}
