//! The disk against a model: what each sector may hold, after requests that overlap, failures and crashes.

use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::{join_all, select};
use proptest::prelude::*;

use super::*;
use crate::memory::MemoryBlockDevice;
use crate::testing::{TestStore, pool};

const SECTOR: usize = 512;
/// Three blocks, of which the base has one and a half and some sectors of the next page.
const SECTORS: u32 = 1536;
const BASE: u32 = 768 + 5;
const GROWN: u32 = SECTORS + 512 + 3;

const LIMITS: Limits = Limits {
    unkept: 48,
    cached: 80,
    journal: 24 * PAGE,
    batch: 32 * PAGE,
    own_record: 4,
    folded: 1,
};

#[derive(Clone, Debug)]
enum Request {
    Write(u32, u32),
    Clear(u32, u32),
    Read(u32, u32),
    Sync,
}

#[derive(Clone, Debug)]
enum Step {
    /// Requests at the same time. Those that change a sector are dropped if another one does so already.
    Together(Vec<Request>),
    /// So many transactions fail from now on.
    Fail(u32),
    /// The power goes after so many steps of the database, in the midst of these requests.
    Crash(u32, Vec<Request>),
    Reopen,
    Grow,
}

fn request() -> impl Strategy<Value = Request> {
    let length = prop_oneof![3 => 1..9_u32, 2 => Just(8_u32), 2 => 1..80_u32, 1 => 1..1000_u32];
    let start =
        prop_oneof![2 => 0..SECTORS, 2 => (0..SECTORS / 8).prop_map(|page| page * 8), 1 => Just(BASE - 6)];
    let place = (start, length).prop_map(|(start, length)| (start, length.min(SECTORS - start)));
    (0..11, place).prop_map(|(kind, (start, length))| match kind {
        0..4 => Request::Write(start, length),
        4..6 => Request::Clear(start, length),
        6..9 => Request::Read(start, length),
        _ => Request::Sync,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let requests = || proptest::collection::vec(request(), 1..8);
    prop_oneof![
        12 => requests().prop_map(Step::Together),
        1 => (1..4_u32).prop_map(Step::Fail),
        3 => (0..40_u32, requests()).prop_map(|(steps, requests)| Step::Crash(steps, requests)),
        1 => Just(Step::Reopen),
        1 => Just(Step::Grow),
    ]
}

/// What a sector holds, by the number that fills it.
struct Model {
    now: Vec<u32>,
    /// What it may hold after a crash, besides.
    before: Vec<Vec<u32>>,
    next: u32,
}

fn base_bytes() -> Vec<u8> {
    (0..BASE)
        .flat_map(|sector| (1_000_000 + sector).to_le_bytes().repeat(SECTOR / 4))
        .collect()
}

impl Model {
    fn new() -> Self {
        let mut now: Vec<u32> = (0..BASE).map(|sector| 1_000_000 + sector).collect();
        now.resize(GROWN as usize, 0);
        Self {
            before: now.iter().map(|_| Vec::new()).collect(),
            now,
            next: 1,
        }
    }

    fn set(&mut self, sector: u32, value: u32) {
        let sector = sector as usize;
        self.before[sector].push(self.now[sector]);
        self.now[sector] = value;
    }

    /// A disk that was opened again, or whose writes have failed, holds what it may.
    fn settle(&mut self, bytes: &[u8], crashed: bool) {
        for (sector, bytes) in bytes.chunks(SECTOR).enumerate() {
            let value = value(bytes);
            let may = self.now[sector] == value || self.before[sector].contains(&value);
            assert!(
                may,
                "sector {sector} holds {value}, not {} or {:?}",
                self.now[sector], self.before[sector]
            );
            if self.now[sector] != value {
                self.set(sector as u32, value);
            }
            if crashed {
                self.before[sector].clear();
            }
        }
    }
}

/// The number that fills a sector, all of it.
fn value(sector: &[u8]) -> u32 {
    let value = u32::from_le_bytes(sector[..4].try_into().unwrap());
    assert!(
        sector.chunks(4).all(|word| word == value.to_le_bytes()),
        "a sector of two writes"
    );
    value
}

type Disk = CowBlockDevice<TestStore>;

async fn open(store: &TestStore, runtime: &SharedRuntime) -> Disk {
    let base = Base {
        device: Rc::new(MemoryBlockDevice::with_bytes("base", base_bytes(), true)),
        identity: "base".into(),
    };
    let size = u64::from(SECTORS) * SECTOR as u64;
    CowBlockDevice::open(Some(base), store.clone(), size, LIMITS, runtime.clone())
        .await
        .unwrap()
}

/// What becomes of a request: the values that it leaves, by sector, and whether it succeeded.
struct Outcome {
    sectors: Range<u32>,
    first: u32,
    step: u32,
    done: Result<(), BlockError>,
}

/// The requests of a step that leave each other alone, with the values that they write.
fn plan(requests: &[Request], model: &mut Model) -> Vec<(Request, u32)> {
    let mut taken: Vec<Range<u32>> = Vec::new();
    let mut planned = Vec::new();
    for request in requests {
        let value = model.next;
        if let Request::Write(start, length) | Request::Clear(start, length) | Request::Read(start, length) =
            request
        {
            let range = *start..start + length;
            if taken
                .iter()
                .any(|other| other.start < range.end && range.start < other.end)
            {
                continue;
            }
            taken.push(range);
            model.next += length;
        }
        planned.push((request.clone(), value));
    }
    planned
}

async fn perform(disk: &Disk, request: &Request, value: u32, expected: &[u32]) -> Outcome {
    let bytes = |count: u32| u64::from(count) * SECTOR as u64;
    let (sectors, step, done) = match request {
        Request::Write(start, length) => {
            let data: Vec<u8> = (value..value + length)
                .flat_map(|value| value.to_le_bytes().repeat(SECTOR / 4))
                .collect();
            (*start..start + length, 1, disk.write(bytes(*start), &data).await)
        }
        Request::Clear(start, length) if value.is_multiple_of(2) => (
            *start..start + length,
            0,
            disk.discard(bytes(*start), bytes(*length)).await,
        ),
        Request::Clear(start, length) => (
            *start..start + length,
            0,
            disk.write_zeroes(bytes(*start), bytes(*length)).await,
        ),
        Request::Read(start, length) => {
            let mut data = vec![1; bytes(*length) as usize];
            let done = disk.read(bytes(*start), &mut data).await;
            for (index, sector) in data.chunks(SECTOR).enumerate() {
                assert_eq!(
                    self::value(sector),
                    expected[*start as usize + index],
                    "sector {}",
                    *start as usize + index
                );
            }
            (0..0, 0, done)
        }
        Request::Sync => (0..0, 0, disk.sync().await),
    };
    Outcome {
        sectors,
        first: if step == 0 { 0 } else { value },
        step,
        done,
    }
}

fn note(model: &mut Model, outcome: &Outcome) {
    for (index, sector) in outcome.sectors.clone().enumerate() {
        model.set(sector, outcome.first + outcome.step * index as u32);
    }
}

async fn contents(disk: &Disk) -> Vec<u8> {
    let mut bytes = vec![0; disk.size() as usize];
    disk.read(0, &mut bytes).await.unwrap();
    bytes
}

/// Requests that all come to their end.
async fn together(disk: &Disk, requests: &[Request], model: &mut Model) {
    let planned = plan(requests, model);
    let expected = model.now.clone();
    let outcomes = join_all(
        planned
            .iter()
            .map(|(request, value)| perform(disk, request, *value, &expected)),
    )
    .await;
    let failed = outcomes.iter().any(|outcome| outcome.done.is_err());
    outcomes.iter().for_each(|outcome| note(model, outcome));
    let bytes = contents(disk).await;
    if failed {
        model.settle(&bytes, false);
    }
    for (sector, bytes) in bytes.chunks(SECTOR).enumerate() {
        assert_eq!(value(bytes), model.now[sector], "sector {sector}");
    }
}

async fn sync(disk: &Disk, model: &mut Model) {
    if disk.sync().await.is_ok() {
        model.before.iter_mut().for_each(Vec::clear);
    }
}

fn run(steps: &[Step]) {
    let (store, mut model) = (TestStore::default(), Model::new());
    let (mut pool, mut runtime) = pool();
    let mut disk = pool.run_until(open(&store, &runtime));
    for step in steps {
        match step {
            Step::Together(requests) => pool.run_until(async {
                together(&disk, requests, &mut model).await;
                sync(&disk, &mut model).await;
            }),
            Step::Fail(count) => store.failures.set(*count),
            Step::Grow => {
                let size = u64::from(GROWN) * SECTOR as u64;
                // It has grown though that could not be kept.
                let _ = pool.run_until(disk.grow(size));
                assert_eq!(disk.size(), size);
            }
            Step::Reopen => {
                store.failures.set(0);
                pool.run_until(disk.close()).unwrap();
                model.before.iter_mut().for_each(Vec::clear);
                disk = pool.run_until(open(&store, &runtime));
            }
            Step::Crash(after, requests) => {
                // One half of the requests is over before, as far as it knows, and not flushed.
                let (before, during) = requests.split_at(requests.len() / 2);
                pool.run_until(together(&disk, before, &mut model));
                store.steps.set(Some(*after));
                let planned = plan(during, &mut model);
                let expected = model.now.clone();
                // Whoever is still under way then may have done its work or not.
                for (request, value) in &planned {
                    match request {
                        Request::Write(start, length) => {
                            (0..*length).for_each(|at| model.set(start + at, value + at))
                        }
                        Request::Clear(start, length) => (0..*length).for_each(|at| model.set(start + at, 0)),
                        _ => (),
                    }
                }
                let all = join_all(
                    planned
                        .iter()
                        .map(|(request, value)| perform(&disk, request, *value, &expected)),
                );
                pool.run_until(select(all, crate::testing::yields(1200).boxed_local()));
                (pool, runtime) = self::pool();
                store.steps.set(None);
                store.failures.set(0);
                disk = pool.run_until(open(&store, &runtime));
                let bytes = pool.run_until(contents(&disk));
                model.settle(&bytes, true);
            }
        }
    }
    store.failures.set(0);
    pool.run_until(disk.sync()).unwrap();
    model.before.iter_mut().for_each(Vec::clear);
    let (mut pool, runtime) = self::pool();
    let disk = pool.run_until(open(&store, &runtime));
    model.settle(&pool.run_until(contents(&disk)), true);
}

proptest! {
    /// Reads see what was written; what was flushed is there after a crash, and what was not is old or new, sector by sector.
    #[test]
    fn the_disk_is_like_its_model(steps in proptest::collection::vec(step(), 1..30)) {
        run(&steps);
    }
}
