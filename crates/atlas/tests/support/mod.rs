//! What tests run a store with: a clock and names that count, and a database in memory that takes turns and can stop.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;

use async_trait::async_trait;
use qemuweb_atlas::error::StoreError;
use qemuweb_atlas::memory::MemoryRecords;
use qemuweb_atlas::records::{Batch, Environment, Page, Quota, Records, Table};
use qemuweb_atlas::store::Atlas;
use qemuweb_storage::transfer::Progress;

/// Time passes by one at each look; ids count.
#[derive(Default)]
pub struct Counting {
    now: Rc<Cell<u64>>,
    ids: Rc<Cell<u64>>,
}

#[async_trait(?Send)]
impl Environment for Counting {
    fn now(&self) -> u64 {
        self.now.set(self.now.get() + 1);
        self.now.get()
    }

    fn new_id(&self) -> String {
        self.ids.set(self.ids.get() + 1);
        format!("file-{}", self.ids.get())
    }
}

/// A database that outlives those who use it, lets others go first, and stops after so many commits.
#[derive(Clone, Default)]
pub struct TestRecords {
    pub records: Rc<MemoryRecords>,
    /// Commits until the power goes; the last one may be made or not.
    pub commits: Rc<Cell<Option<u32>>>,
    /// Whether the commit at which the power goes is made.
    pub makes_last: Rc<Cell<bool>>,
    /// How many times something is written.
    pub count: Rc<Cell<u32>>,
    ids: Rc<Cell<u64>>,
    now: Rc<Cell<u64>>,
    turns: Rc<Cell<u32>>,
}

impl TestRecords {
    /// A store in it, as after a start of the browser.
    pub async fn open(&self) -> Atlas {
        let environment = Counting {
            now: self.now.clone(),
            ids: self.ids.clone(),
        };
        Atlas::open(Rc::new(self.clone()), Rc::new(environment))
            .await
            .unwrap()
    }

    async fn step(&self) -> Result<(), StoreError> {
        if self.commits.get() == Some(0) {
            return Err(gone());
        }
        // Requests take different times, so that they overtake each other.
        self.turns.set(self.turns.get().wrapping_mul(5).wrapping_add(3));
        yields(self.turns.get() / 16 % 8).await;
        Ok(())
    }
}

fn gone() -> StoreError {
    StoreError::Failed {
        reason: "the power is gone".into(),
    }
}

#[async_trait(?Send)]
impl Records for TestRecords {
    async fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.step().await?;
        self.records.get(table, key).await
    }

    async fn contains(&self, table: Table, key: &str) -> Result<bool, StoreError> {
        self.step().await?;
        self.records.contains(table, key).await
    }

    async fn keys(&self, table: Table, page: &Page) -> Result<Vec<String>, StoreError> {
        self.step().await?;
        self.records.keys(table, page).await
    }

    async fn records(&self, table: Table, page: &Page) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.step().await?;
        self.records.records(table, page).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.step().await?;
        self.count.set(self.count.get() + 1);
        if let Some(left) = self.commits.get() {
            self.commits.set(Some(left.saturating_sub(1)));
            if left <= 1 {
                if left == 1 && self.makes_last.get() {
                    self.records.commit(batch).await?;
                }
                return Err(gone());
            }
        }
        self.records.commit(batch).await?;
        yields(self.turns.get() / 32 % 4).await;
        Ok(())
    }

    async fn quota(&self) -> Result<Quota, StoreError> {
        self.records.quota().await
    }
}

/// Lets others go first, so often.
pub async fn yields(count: u32) {
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

/// Watches without a word.
pub fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Bytes of no pattern, the same for the same `seed`.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}
