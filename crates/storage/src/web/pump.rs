//! A disk's channel with QEMU, pumped by the Worker that the disk lives in.
//!
//! There is no rest between two looks at the ring, as there is for bytes of a console: a guest waits for each request. A guest
//! that asks without end starves nobody but its own disk, which has a Worker and a bounded number of requests for itself.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_util::future::{Either, select};
use qemuweb_shm::SharedMemory;
use qemuweb_shm::block::{BlockChannelError, Request, Requests};
use qemuweb_shm::directory::Channel;
use qemuweb_shm::ring::{Producer, RingError};
use qemuweb_shm::web::{JsSharedMemory, WaitError};
use wasm_bindgen_futures::spawn_local;

use crate::device::{BlockDevice, BlockError};
use crate::serve::perform;

/// Most bytes of requests that are taken from the ring at once.
const BYTES_AT_ONCE: u32 = 64 << 10;

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
            broken: Cell::default(),
            failed: Box::new(failed),
            memory,
        });
        let opened = channel.opened(&pump.memory);
        // One wait for as long as the channel is served: one for each look at the ring would pile up.
        let mut closed = Box::pin(pump.memory.changed(channel.opened_address(), opened));
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
                spawn_local(Rc::clone(&pump).carry_through(request));
            }
            if !bytes.is_empty() {
                // Whoever waits for the ring's tail.
                pump.memory.notify(requests.tail_address());
            }
            let more = Box::pin(pump.memory.changed(requests.head_address(), head));
            match select(more, closed).await {
                Either::Left((waited, still)) => {
                    waited?;
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
