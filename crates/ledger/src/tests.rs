//! A disk with a cache that forgets, on which a writer works by a plan, and every way in which it can be wrong.

use proptest::prelude::*;

use super::*;

type Sector = [u8; SECTOR];

/// A disk, and what each of its sectors held after each batch.
struct Disk {
    plan: Plan,
    sectors: Vec<Sector>,
}

impl Disk {
    fn new(seed: u64, sectors: u64) -> Self {
        Self {
            plan: Plan::new(seed, sectors).unwrap(),
            sectors: vec![[0; SECTOR]; sectors as usize],
        }
    }

    /// The sectors that a batch writes, each once.
    fn sectors_of(&self, batch: u32) -> Vec<u64> {
        let extents = self.plan.batch(batch);
        let mut sectors: Vec<u64> = extents
            .iter()
            .flat_map(|extent| extent.first..extent.first + extent.count)
            .collect();
        sectors.sort_unstable();
        sectors.dedup();
        sectors
    }

    fn write(&mut self, sector: u64, batch: u32) {
        self.plan.fill(sector, batch, &mut self.sectors[sector as usize]);
    }

    /// Writes batches up to `flushed`, of the next one the sectors that `kept` names, by turns.
    fn crashed(seed: u64, sectors: u64, flushed: u32, kept: &[bool]) -> Self {
        let mut disk = Self::new(seed, sectors);
        disk.write_batches(1..=flushed);
        for (sector, kept) in disk.sectors_of(flushed + 1).into_iter().zip(kept.iter().cycle()) {
            if *kept {
                disk.write(sector, flushed + 1);
            }
        }
        disk
    }

    fn write_batches(&mut self, batches: impl Iterator<Item = u32>) {
        for batch in batches {
            for sector in self.sectors_of(batch) {
                self.write(sector, batch);
            }
        }
    }

    /// The last batch, up to `flushed`, that writes a sector; 0 for none.
    fn last(&self, sector: u64, flushed: u32) -> u32 {
        (1..=flushed)
            .rev()
            .find(|&batch| self.plan.batch(batch).iter().any(|extent| extent.has(sector)))
            .unwrap_or(0)
    }

    /// The same of every sector.
    fn last_of_all(&self, flushed: u32) -> Vec<u32> {
        let mut last = vec![0; self.sectors.len()];
        for batch in 1..=flushed {
            for sector in self.sectors_of(batch) {
                last[sector as usize] = batch;
            }
        }
        last
    }

    fn check(&self, acknowledged: u32) -> Report {
        check(&self.plan, self.sectors.as_flattened(), acknowledged).unwrap()
    }

    /// What one fault is told of after `change` of a sector, of a disk that is without one.
    fn fault(&self, sector: u64, flushed: u32, change: impl FnOnce(&mut Sector)) -> Option<Found> {
        assert!(self.check(flushed).is_clean());
        let mut changed = Self {
            sectors: self.sectors.clone(),
            ..*self
        };
        change(&mut changed.sectors[sector as usize]);
        let report = changed.check(flushed);
        let expected = self.last(sector, flushed);
        assert!(report.faulty == report.faults.len() as u64 && report.faulty <= 1);
        report.faults.first().map(|fault| {
            assert_eq!((fault.sector, fault.expected), (sector, expected));
            fault.found
        })
    }
}

/// A disk after a crash: seed, sectors, flushed batches, and which sectors of the next batch are there.
fn crash() -> impl Strategy<Value = (u64, u64, u32, Vec<bool>)> {
    let kept = proptest::collection::vec(any::<bool>(), 1..9);
    (any::<u64>(), 1_u64..3000, 1..12_u32, kept)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever of the batch after the last flush is there, all is well, also where the last flushes were not told of.
    #[test]
    fn an_honest_disk_is_clean((seed, sectors, flushed, kept) in crash(), untold in 0..3_u32) {
        let mut disk = Disk::crashed(seed, sectors, flushed, &kept);
        let report = disk.check(flushed);
        prop_assert!(report.is_clean(), "{:?}", report.faults);
        prop_assert_eq!(report.flushed, flushed);
        prop_assert_eq!(report.good, disk.sectors.iter().filter(|sector| **sector != [0; SECTOR]).count() as u64);
        // Of the next batch something is there: a flush is known by that.
        let told = flushed.saturating_sub(untold);
        if kept[0] {
            prop_assert_eq!(&disk.check(told), &report);
        }
        // A writer goes on, and the disk is clean again.
        disk.write_batches(report.next()..report.next() + 3);
        let later = disk.check(report.next() + 2);
        prop_assert!(later.is_clean(), "{:?}", later.faults);
    }

    /// A flush that returned and kept nothing: each sector that the batch wrote last is named.
    #[test]
    fn a_lost_flush_is_found((seed, sectors, flushed, _) in crash(), lost: prop::sample::Index) {
        let lost = 1 + lost.index(flushed as usize) as u32;
        let mut disk = Disk::new(seed, sectors);
        disk.write_batches((1..=flushed).filter(|&batch| batch != lost));
        let report = disk.check(flushed);
        let (last, before) = (disk.last_of_all(flushed), disk.last_of_all(lost - 1));
        let missing: Vec<u64> = (0..sectors).filter(|&sector| last[sector as usize] == lost).collect();
        prop_assert_eq!(report.faulty, missing.len() as u64);
        prop_assert_eq!(report.faults.len(), missing.len().min(SHOWN));
        for (fault, sector) in report.faults.iter().zip(missing) {
            let older = Found::Older(before[sector as usize]);
            prop_assert_eq!(*fault, Fault { sector, expected: lost, found: older });
        }
    }

    #[test]
    fn an_older_record_is_found((seed, sectors, flushed, _) in crash(), at: prop::sample::Index) {
        let disk = Disk::crashed(seed, sectors, flushed, &[false]);
        let written = disk.sectors_of(flushed);
        let sector = written[at.index(written.len())];
        let older = disk.last(sector, flushed - 1);
        let found = disk.fault(sector, flushed, |bytes| match older {
            0 => bytes.fill(0),
            older => disk.plan.fill(sector, older, bytes),
        });
        prop_assert_eq!(found, Some(Found::Older(older)));
    }

    #[test]
    fn a_torn_sector_is_found((seed, sectors, flushed, _) in crash(), at: prop::sample::Index, cut in 25..=SECTOR - 8) {
        let disk = Disk::crashed(seed, sectors, flushed, &[true]);
        let written = disk.sectors_of(flushed);
        let sector = written[at.index(written.len())];
        let mut other = [0; SECTOR];
        disk.plan.fill(sector, flushed + 2, &mut other);
        for (first, second) in [(disk.sectors[sector as usize], other), (other, disk.sectors[sector as usize])] {
            let mut torn = first;
            torn[cut..].copy_from_slice(&second[cut..]);
            let found = disk.fault(sector, flushed, |bytes| *bytes = torn);
            prop_assert!(matches!(found, Some(Found::Torn(_))), "{:?}", found);
        }
    }

    /// Random bytes, another plan's record, another sector's, that of a batch that writes elsewhere, and one of the far future.
    #[test]
    fn foreign_data_is_found((seed, sectors, flushed, kept) in crash(), at: prop::sample::Index, noise: [u8; 16]) {
        let disk = Disk::crashed(seed, sectors, flushed, &kept);
        let sector = at.index(sectors as usize) as u64;
        let noisy = disk.fault(sector, flushed, |bytes| {
            bytes[100..116].copy_from_slice(&noise);
            bytes[99] ^= 1;
        });
        prop_assert!(matches!(noisy, Some(Found::Torn(_) | Found::Foreign)), "{:?}", noisy);
        let other = Plan::new(seed ^ 1, sectors).unwrap();
        let found = disk.fault(sector, flushed, |bytes| other.fill(sector, flushed, bytes));
        prop_assert_eq!(found, Some(Found::Foreign));
        let found = disk.fault(sector, flushed, |bytes| disk.plan.fill(sector + 1, flushed, bytes));
        prop_assert_eq!(found, Some(Found::Foreign));
        let far = flushed + AHEAD + 1;
        let found = disk.fault(sector, flushed, |bytes| disk.plan.fill(sector, far, bytes));
        prop_assert_eq!(found, Some(Found::NeverWritten(far)));
        let elsewhere = (disk.last(sector, flushed) + 1..=flushed + 8)
            .find(|&batch| !disk.plan.batch(batch).iter().any(|extent| extent.has(sector)));
        if let Some(batch) = elsewhere {
            let found = disk.fault(sector, flushed, |bytes| disk.plan.fill(sector, batch, bytes));
            prop_assert_eq!(found, Some(Found::NeverWritten(batch)));
        }
    }

    /// A batch was begun before the former's flush had returned: what the latter lacks is lost.
    #[test]
    fn a_batch_that_overtakes_is_found((seed, sectors, flushed, _) in crash()) {
        let mut disk = Disk::crashed(seed, sectors, flushed, &[false]);
        disk.write_batches(std::iter::once(flushed + 2));
        let report = disk.check(flushed);
        let missing = disk.last_of_all(flushed + 2).into_iter().filter(|&batch| batch == flushed + 1).count() as u64;
        prop_assert_eq!((report.flushed, report.faulty), (flushed + 1, missing));
    }
}

#[test]
fn a_disk_that_is_too_short_is_an_error() {
    let plan = Plan::new(1, 3).unwrap();
    let error = check(&plan, &[0; 2 * SECTOR + 511][..], 0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_disk_of_nothing_but_faults_is_counted() {
    let mut disk = Disk::new(1, 1000);
    disk.sectors.fill([7; SECTOR]);
    let report = disk.check(0);
    assert_eq!(
        (report.faulty, report.good, report.faults.len()),
        (1000, 0, SHOWN)
    );
    assert_eq!(
        report.faults[1].to_string(),
        "sector 1: expected zeroes, found what is no record of this sector"
    );
}

#[test]
fn faults_say_what_was_expected() {
    let says = |expected, found| {
        Fault {
            sector: 9,
            expected,
            found,
        }
        .to_string()
    };
    let of = "sector 9: expected the record of batch 4, found";
    assert_eq!(says(4, Found::Older(0)), format!("{of} zeroes: it is lost"));
    assert_eq!(
        says(4, Found::Older(3)),
        format!("{of} that of batch 3: the newer one is lost")
    );
    assert_eq!(
        says(4, Found::NeverWritten(7)),
        format!("{of} that of batch 7, which was never written there")
    );
    assert_eq!(
        says(4, Found::Torn(5)),
        format!("{of} a part of that of batch 5: it is torn")
    );
}
