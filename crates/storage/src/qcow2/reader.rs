//! An image as a disk that can be read.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::rc::Rc;

use async_lock::Semaphore;
use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared, try_join_all};
use lru::LruCache;

use super::entry::{Entry, Place};
use super::header::{Header, Note};
use super::{OFFSET, Qcow2Error};
use crate::compression::unpack;
use crate::device::{BlockDevice, BlockError, Extent, SECTOR, check, read_beneath, span, status_beneath};

/// Requests are served in pieces of at most so many bytes.
const WINDOW: u64 = 1 << 20;
/// Most bytes whose status is looked at in one go.
const STATUS: u64 = 1 << 30;
/// Tables are read and kept by so many bytes, or by a cluster's if those are fewer, and at most so many of them.
const SLICE: u64 = 4096;
const SLICES: usize = 256;
/// Most bytes of unpacked clusters that are kept. At least one is.
const UNPACKED: u64 = 2 << 20;
/// Clusters that are unpacked at the same time.
const UNPACKING: usize = 2;

/// Where a cluster's packed bytes are in the file, and how many they are said to be.
type Packed = (u64, u64);
type Unpacked = Rc<[u8]>;
type Flight = Shared<LocalBoxFuture<'static, Result<Unpacked, BlockError>>>;

/// A qcow2 image. It keeps at most 1 MiB of tables and 2 MiB of what was unpacked, besides requests in flight.
pub struct Qcow2BlockDevice {
    inner: Rc<Inner>,
    identity: String,
    closed: Cell<bool>,
}

struct Inner {
    file: Rc<dyn BlockDevice>,
    header: Header,
    beneath: Option<Rc<dyn BlockDevice>>,
    /// Parts of L1 and L2 tables, by where they are in the file.
    tables: RefCell<LruCache<u64, Rc<[u8]>>>,
    clusters: RefCell<LruCache<Packed, Unpacked>>,
    flights: RefCell<HashMap<Packed, Flight>>,
    unpacking: Semaphore,
}

impl Qcow2BlockDevice {
    /// Reads the header of the image in `file`.
    ///
    /// # Errors
    /// [`BlockError::Qcow2`], or what the file fails with.
    pub async fn header(file: &dyn BlockDevice) -> Result<Header, BlockError> {
        let failed = |source| BlockError::Qcow2 {
            id: file.id().into(),
            source,
        };
        let size = file.size();
        let mut sector = vec![0; SECTOR.min(size) as usize];
        file.read(0, &mut sector).await?;
        let bytes = Header::bytes(&sector).map_err(failed)?;
        let mut first = vec![0; bytes.min(size) as usize];
        file.read(0, &mut first).await?;
        Header::decode(&first, size).map_err(failed)
    }

    /// The image in `file`, whose header was read, over `beneath`. `identity` is what both together are known by.
    pub(super) fn new(
        file: Rc<dyn BlockDevice>,
        header: Header,
        beneath: Option<Rc<dyn BlockDevice>>,
        identity: String,
    ) -> Self {
        let most = |count: usize| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        let clusters = most((UNPACKED / header.cluster()) as usize);
        Self {
            inner: Rc::new(Inner {
                file,
                header,
                beneath,
                tables: RefCell::new(LruCache::new(most(SLICES))),
                clusters: RefCell::new(LruCache::new(clusters)),
                flights: RefCell::default(),
                unpacking: Semaphore::new(UNPACKING),
            }),
            identity,
            closed: Cell::new(false),
        }
    }

    /// What the image is known by, with all that it lies over.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What a person should know of it.
    pub fn notes(&self) -> &[Note] {
        &self.inner.header.notes
    }

    fn open(&self) -> Result<(), BlockError> {
        match self.closed.get() {
            true => Err(BlockError::Closed { id: self.id().into() }),
            false => Ok(()),
        }
    }

    fn refuse(&self) -> BlockError {
        BlockError::ReadOnly { id: self.id().into() }
    }
}

impl Inner {
    fn failed(&self, source: Qcow2Error) -> BlockError {
        BlockError::Qcow2 {
            id: self.file.id().into(),
            source,
        }
    }

    /// Checks that the file has `length` bytes at `offset`, which the entry at `at` tells of.
    fn lies_within(&self, at: u64, offset: u64, length: u64, what: &str) -> Result<(), BlockError> {
        let size = self.file.size();
        if offset.checked_add(length).is_some_and(|end| end <= size) {
            return Ok(());
        }
        let expected = format!("{what} within the file's {size} bytes");
        Err(self.failed(Qcow2Error::malformed(at, expected, format!("one at {offset}"))))
    }

    /// The 16 bytes at `at`, which lie in a table, or 8 and zeroes.
    async fn entry(&self, at: u64) -> Result<(u64, u64), BlockError> {
        let size = SLICE.min(self.header.cluster());
        let start = at / size * size;
        let kept = self.tables.borrow_mut().get(&start).cloned();
        let slice = match kept {
            Some(slice) => slice,
            None => {
                let mut bytes = vec![0; size as usize];
                read_beneath(self.file.as_ref(), start, &mut bytes).await?;
                let slice: Rc<[u8]> = bytes.into();
                self.tables.borrow_mut().put(start, Rc::clone(&slice));
                slice
            }
        };
        let from = &slice[(at - start) as usize..];
        let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        Ok((number(from), number(from.get(8..).unwrap_or_default())))
    }

    /// Where the part of the disk is that begins at `offset`, and how many bytes are there in a row.
    async fn locate(&self, offset: u64) -> Result<(Place, u64), BlockError> {
        let header = &self.header;
        let (bits, l2_bits) = (header.cluster_bits, header.l2_bits());
        let at = header.l1_offset + (offset >> (bits + l2_bits)) * 8;
        let table = self.entry(at).await?.0 & OFFSET;
        if table == 0 {
            let covered = 1 << (bits + l2_bits);
            return Ok((Place::Beneath, covered - offset % covered));
        }
        if !table.is_multiple_of(header.cluster()) {
            let found = format!("{table:#x}");
            let expected = "an L2 table that begins at a multiple of a cluster's size";
            return Err(self.failed(Qcow2Error::malformed(at, expected, found)));
        }
        self.lies_within(at, table, header.cluster(), "an L2 table")?;
        let entry_bits = bits - l2_bits;
        let at = table + ((offset >> bits & ((1 << l2_bits) - 1)) << entry_bits);
        let (cluster, second) = self.entry(at).await?;
        let entry = Entry {
            at,
            cluster,
            subclusters: if header.extended_l2 { second } else { 0 },
        };
        let located = entry.locate(header, offset % header.cluster());
        let (place, length) = located.map_err(|error| self.failed(error))?;
        // A file may end within its last cluster, whose rest then is zero.
        match place {
            Place::Host(host) => {
                self.lies_within(at, host / header.cluster() * header.cluster(), 1, "a cluster")?
            }
            Place::Compressed { at: host, .. } => self.lies_within(at, host, 1, "a compressed cluster")?,
            Place::Zero | Place::Beneath => (),
        }
        Ok((place, length))
    }

    /// Where the disk's first `most` bytes from `offset` on are, as far as they are in one place, and how many those are.
    async fn locate_run(&self, offset: u64, most: u64) -> Result<(Place, u64), BlockError> {
        let (place, mut length) = self.locate(offset).await?;
        while length < most && !matches!(place, Place::Compressed { .. }) {
            let (next, more) = self.locate(offset + length).await?;
            let follows = match place {
                Place::Host(host) => next == Place::Host(host + length),
                place => next == place,
            };
            if !follows {
                break;
            }
            length += more;
        }
        Ok((place, length.min(most)))
    }

    /// How many of the disk's first `most` bytes from `offset` on are of one kind.
    async fn status(&self, offset: u64, most: u64) -> Result<Extent, BlockError> {
        let kind = |place| match place {
            Place::Beneath => None,
            place => Some(place == Place::Zero),
        };
        let (place, mut length) = self.locate(offset).await?;
        let first = kind(place);
        while length < most {
            let (place, more) = self.locate(offset + length).await?;
            if kind(place) != first {
                break;
            }
            length += more;
        }
        let length = length.min(most);
        match first {
            None => status_beneath(self.beneath.as_deref(), offset, length).await,
            Some(zero) => Ok(Extent { length, zero }),
        }
    }

    async fn read_window(self: &Rc<Self>, offset: u64, target: &mut [u8]) -> Result<(), BlockError> {
        let (mut reads, mut rest, mut at) = (Vec::new(), target, offset);
        while !rest.is_empty() {
            let (place, length) = self.locate_run(at, rest.len() as u64).await?;
            let (piece, after) = rest.split_at_mut(length as usize);
            reads.push(self.read_place(place, at, piece));
            (rest, at) = (after, at + length);
        }
        try_join_all(reads).await.map(drop)
    }

    async fn read_place(
        self: &Rc<Self>,
        place: Place,
        offset: u64,
        target: &mut [u8],
    ) -> Result<(), BlockError> {
        match (place, &self.beneath) {
            (Place::Host(host), _) => read_beneath(self.file.as_ref(), host, target).await?,
            (Place::Beneath, Some(beneath)) => read_beneath(beneath.as_ref(), offset, target).await?,
            (Place::Zero | Place::Beneath, _) => target.fill(0),
            (Place::Compressed { at, length }, _) => {
                let cluster = self.unpacked(at, length).await?;
                let within = (offset % self.header.cluster()) as usize;
                target.copy_from_slice(&cluster[within..within + target.len()]);
            }
        }
        Ok(())
    }

    /// An unpacked cluster. Those who want the same at the same time wait for one.
    async fn unpacked(self: &Rc<Self>, at: u64, length: u64) -> Result<Unpacked, BlockError> {
        let key = (at, length);
        if let Some(cluster) = self.clusters.borrow_mut().get(&key) {
            return Ok(Rc::clone(cluster));
        }
        let flight = self
            .flights
            .borrow_mut()
            .entry(key)
            .or_insert_with(|| Rc::clone(self).unpack(at, length).boxed_local().shared())
            .clone();
        flight.await
    }

    async fn unpack(self: Rc<Self>, at: u64, length: u64) -> Result<Unpacked, BlockError> {
        let slot = self.unpacking.acquire().await;
        let unpacked = self.read_packed(at, length).await;
        drop(slot);
        self.flights.borrow_mut().remove(&(at, length));
        let cluster = unpacked?;
        self.clusters.borrow_mut().put((at, length), Rc::clone(&cluster));
        Ok(cluster)
    }

    async fn read_packed(&self, at: u64, length: u64) -> Result<Unpacked, BlockError> {
        let Range { start, end } = at / SECTOR * SECTOR..(at + length).next_multiple_of(SECTOR);
        // The last sectors that an entry tells of may lie beyond the file's end.
        let end = end.min(self.file.size());
        let mut packed = vec![0; (end - start) as usize];
        self.file.read(start, &mut packed).await?;
        let mut cluster = vec![0; self.header.cluster() as usize];
        unpack(
            self.header.compression,
            &packed[(at - start) as usize..],
            &mut cluster,
        )
        .map_err(|reason| self.failed(Qcow2Error::Damaged { at, reason }))?;
        Ok(cluster.into())
    }
}

#[async_trait(?Send)]
impl BlockDevice for Qcow2BlockDevice {
    fn id(&self) -> &str {
        self.inner.file.id()
    }

    fn size(&self) -> u64 {
        self.inner.header.size.next_multiple_of(SECTOR)
    }

    fn block_size(&self) -> u32 {
        self.inner.header.cluster() as u32
    }

    fn readonly(&self) -> bool {
        true
    }

    async fn read(&self, offset: u64, target: &mut [u8]) -> Result<(), BlockError> {
        self.open()?;
        span(self, offset, target.len() as u64)?;
        for (offset, target) in (offset..)
            .step_by(WINDOW as usize)
            .zip(target.chunks_mut(WINDOW as usize))
        {
            self.inner.read_window(offset, target).await?;
        }
        Ok(())
    }

    async fn write(&self, _offset: u64, _source: &[u8]) -> Result<(), BlockError> {
        Err(self.refuse())
    }

    async fn discard(&self, _offset: u64, _length: u64) -> Result<(), BlockError> {
        Err(self.refuse())
    }

    async fn write_zeroes(&self, _offset: u64, _length: u64) -> Result<(), BlockError> {
        Err(self.refuse())
    }

    async fn block_status(&self, offset: u64, length: u64) -> Result<Extent, BlockError> {
        self.open()?;
        check(self, offset, length)?;
        if length == 0 {
            return Ok(Extent { length, zero: false });
        }
        self.inner.status(offset, length.min(STATUS)).await
    }

    async fn sync(&self) -> Result<(), BlockError> {
        Ok(())
    }

    async fn close(&self) -> Result<(), BlockError> {
        self.closed.set(true);
        self.inner.tables.borrow_mut().clear();
        self.inner.clusters.borrow_mut().clear();
        self.inner.file.close().await?;
        match &self.inner.beneath {
            Some(beneath) => beneath.close().await,
            None => Ok(()),
        }
    }
}
