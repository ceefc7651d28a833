//! A disk that counts what is asked of it, and remembers what failed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use async_trait::async_trait;
use js_sys::Date;
use qemuweb_storage::device::{BlockDevice, BlockError, Extent};
use qemuweb_wire::Failure;
use qemuweb_wire::disk::Transfers;

use super::failure;

/// Flushes whose time is remembered.
const FLUSHES: usize = 63;

/// A disk with counters.
pub(super) struct Metered {
    device: Rc<dyn BlockDevice>,
    read: Cell<Transfers>,
    written: Cell<Transfers>,
    flushes: Cell<u64>,
    /// How long the latest took, in milliseconds.
    flush_ms: RefCell<VecDeque<f64>>,
    /// Why reading fails, and why writing does.
    alarms: RefCell<[Option<Failure>; 2]>,
    alarmed: Box<dyn Fn(Failure)>,
}

/// The places in [`Metered::alarms`].
const READING: usize = 0;
const WRITING: usize = 1;

impl Metered {
    /// Counts what is asked of `device`; `alarmed` hears of the first request of each kind that fails after one that did not.
    pub(super) fn new(device: Rc<dyn BlockDevice>, alarmed: impl Fn(Failure) + 'static) -> Self {
        Self {
            device,
            read: Cell::default(),
            written: Cell::default(),
            flushes: Cell::default(),
            flush_ms: RefCell::default(),
            alarms: RefCell::default(),
            alarmed: Box::new(alarmed),
        }
    }

    pub(super) fn read_so_far(&self) -> Transfers {
        self.read.get()
    }

    pub(super) fn written_so_far(&self) -> Transfers {
        self.written.get()
    }

    /// How many flushes there were, and how long the one in the middle of the latest took, in milliseconds.
    pub(super) fn flushes(&self) -> (u64, Option<f64>) {
        let mut latest: Vec<f64> = self.flush_ms.borrow().iter().copied().collect();
        latest.sort_by(f64::total_cmp);
        (self.flushes.get(), latest.get(latest.len() / 2).copied())
    }

    /// Why requests fail at present.
    pub(super) fn alarm(&self) -> Option<Failure> {
        self.alarms.borrow().iter().flatten().next().cloned()
    }

    fn note<T>(&self, kind: usize, result: Result<T, BlockError>) -> Result<T, BlockError> {
        let mut alarms = self.alarms.borrow_mut();
        match &result {
            Ok(_) => alarms[kind] = None,
            Err(error) => {
                let is_new = alarms[kind].replace(failure(error)).is_none();
                drop(alarms);
                if is_new {
                    (self.alarmed)(failure(error));
                }
            }
        }
        result
    }
}

fn count(transfers: &Cell<Transfers>, bytes: u64) {
    let before = transfers.get();
    transfers.set(Transfers {
        requests: before.requests + 1,
        bytes: before.bytes + bytes,
    });
}

#[async_trait(?Send)]
impl BlockDevice for Metered {
    fn id(&self) -> &str {
        self.device.id()
    }

    fn size(&self) -> u64 {
        self.device.size()
    }

    fn block_size(&self) -> u32 {
        self.device.block_size()
    }

    fn readonly(&self) -> bool {
        self.device.readonly()
    }

    async fn read(&self, offset: u64, target: &mut [u8]) -> Result<(), BlockError> {
        count(&self.read, target.len() as u64);
        self.note(READING, self.device.read(offset, target).await)
    }

    async fn write(&self, offset: u64, source: &[u8]) -> Result<(), BlockError> {
        count(&self.written, source.len() as u64);
        self.note(WRITING, self.device.write(offset, source).await)
    }

    async fn discard(&self, offset: u64, length: u64) -> Result<(), BlockError> {
        self.note(WRITING, self.device.discard(offset, length).await)
    }

    async fn write_zeroes(&self, offset: u64, length: u64) -> Result<(), BlockError> {
        self.note(WRITING, self.device.write_zeroes(offset, length).await)
    }

    async fn sync(&self) -> Result<(), BlockError> {
        let since = Date::now();
        let synced = self.note(WRITING, self.device.sync().await);
        self.flushes.set(self.flushes.get() + 1);
        let mut latest = self.flush_ms.borrow_mut();
        latest.push_back(Date::now() - since);
        if latest.len() > FLUSHES {
            latest.pop_front();
        }
        synced
    }

    async fn grow(&self, size: u64) -> Result<(), BlockError> {
        self.note(WRITING, self.device.grow(size).await)
    }

    async fn block_status(&self, offset: u64, length: u64) -> Result<Extent, BlockError> {
        self.device.block_status(offset, length).await
    }

    async fn close(&self) -> Result<(), BlockError> {
        self.device.close().await
    }
}
