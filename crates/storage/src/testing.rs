//! What unit tests run devices with: a runtime of futures' own executor, and a database in memory that can fail and stop.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use async_trait::async_trait;
use futures_executor::{LocalPool, LocalSpawner};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, pending};
use futures_util::task::LocalSpawnExt;

use crate::device::{BlockError, Runtime, SharedRuntime};
use crate::overlay::store::{Batch, Blocks, Kept};

struct TestRuntime(LocalSpawner);

impl Runtime for TestRuntime {
    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.0.spawn_local(task).unwrap();
    }

    fn sleep(&self, milliseconds: u32) -> LocalBoxFuture<'static, ()> {
        yields(milliseconds % 7).boxed_local()
    }
}

/// A pool, and a runtime in it.
pub(crate) fn pool() -> (LocalPool, SharedRuntime) {
    let pool = LocalPool::new();
    let runtime = Rc::new(TestRuntime(pool.spawner()));
    (pool, runtime)
}

/// Lets others go first, so often.
pub(crate) async fn yields(count: u32) {
    for _ in 0..count {
        let mut first = true;
        std::future::poll_fn(|context| {
            if std::mem::take(&mut first) {
                context.waker().wake_by_ref();
                return std::task::Poll::Pending;
            }
            std::task::Poll::Ready(())
        })
        .await;
    }
}

/// What is on the disk, as it were: it outlives those who use it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Platter {
    pub(crate) header: Option<Vec<u8>>,
    pub(crate) blocks: BTreeMap<u64, Vec<u8>>,
    pub(crate) journal: BTreeMap<u64, Vec<u8>>,
}

impl Platter {
    fn apply(&mut self, batch: Batch) {
        self.header = batch.header.or(self.header.take());
        for block in batch.deletes {
            self.blocks.remove(&block).unwrap();
        }
        self.blocks.extend(batch.puts);
        if let Some(last) = batch.trim {
            self.journal = self.journal.split_off(&(last + 1));
        }
        self.journal.extend(batch.journal);
    }
}

/// A database in memory.
#[derive(Clone, Default)]
pub(crate) struct TestStore {
    pub(crate) platter: Rc<RefCell<Platter>>,
    /// How many commits shall fail from now on.
    pub(crate) failures: Rc<Cell<u32>>,
    /// After so many steps nothing happens any longer, as when the power is gone.
    pub(crate) steps: Rc<Cell<Option<u32>>>,
    /// What was done, in order.
    pub(crate) log: Rc<RefCell<Vec<String>>>,
    /// How many turns a record that was read takes to arrive, besides.
    pub(crate) slow: Rc<Cell<u32>>,
    turns: Rc<Cell<u32>>,
}

impl TestStore {
    async fn step(&self) {
        match self.steps.get() {
            Some(0) => pending().await,
            Some(left) => self.steps.set(Some(left - 1)),
            None => (),
        }
        // Requests take different times, so that they overtake each other.
        self.turns.set(self.turns.get().wrapping_mul(5).wrapping_add(3));
        yields(self.turns.get() / 16 % 16).await;
    }
}

#[async_trait(?Send)]
impl Blocks for TestStore {
    fn id(&self) -> &str {
        "vm:disk"
    }

    async fn open(&self) -> Result<Kept, BlockError> {
        let platter = self.platter.borrow();
        Ok(Kept {
            header: platter.header.clone(),
            blocks: platter.blocks.keys().copied().collect(),
            journal: platter.journal.clone().into_iter().collect(),
        })
    }

    async fn get(&self, block: u64) -> Result<Option<Vec<u8>>, BlockError> {
        self.step().await;
        let record = self.platter.borrow().blocks.get(&block).cloned();
        self.log.borrow_mut().push(format!("get {block}"));
        self.step().await;
        yields(self.slow.get()).await;
        Ok(record)
    }

    async fn commit(&self, batch: Batch) -> Result<(), BlockError> {
        self.step().await;
        if self.failures.get() > 0 {
            self.failures.set(self.failures.get() - 1);
            return Err(BlockError::NoSpace {
                id: "vm:disk".into(),
                reason: "a test".into(),
            });
        }
        self.log.borrow_mut().push(format!(
            "commit {} puts, {} deletes, {} journal, trim {:?}",
            batch.puts.len(),
            batch.deletes.len(),
            batch.journal.as_ref().map_or(0, |(_, bytes)| bytes.len()),
            batch.trim
        ));
        self.platter.borrow_mut().apply(batch);
        self.step().await;
        Ok(())
    }

    fn close(&self) {}
}
