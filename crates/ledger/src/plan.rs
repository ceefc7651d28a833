//! What is written: batches of extents, and the records in them.
//!
//! A record fills a sector. All numbers are little-endian.
//!
//! | offset | field |
//! |--:|---|
//! | 0 | `QWLEDGER` |
//! | 8 | seed of the plan, 8 bytes |
//! | 16 | number of the sector, 8 bytes |
//! | 24 | sequence number of the batch, 8 bytes |
//! | 32 | 480 bytes that follow from these three |
//!
//! So a record has no checksum: whoever knows the plan makes it anew and compares all of it. A sector of which one part is of
//! one record and the rest of another is no record.

/// Bytes in a sector, and thus in a record.
pub const SECTOR: usize = 512;
/// Most sectors of a plan: 8 GiB. A checker takes 8 bytes of memory for each.
pub const MAX_SECTORS: u64 = 1 << 24;
/// Most sectors of an extent: 1 MiB.
pub const MAX_EXTENT: u64 = 1 << 11;
/// The last batch's sequence number.
pub const LAST: u32 = u32::MAX - 1;
/// Most extents of a batch.
const MAX_EXTENTS: u64 = 16;
/// Sectors in 4 KiB, what file systems write in.
const PAGE: u64 = 8;

const MAGIC: [u8; 8] = *b"QWLEDGER";
const HEAD: usize = 32;

/// A disk that a plan cannot be laid over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a disk of 1 to {MAX_SECTORS} sectors of {SECTOR} bytes, found {0}")]
pub struct UnfitSize(
    /// Its sectors.
    pub u64,
);

/// All that is ever written to a disk, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    seed: u64,
    sectors: u64,
}

/// Sectors that are written by one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first one's number.
    pub first: u64,
    /// How many they are: from 1 to [`MAX_EXTENT`].
    pub count: u64,
}

impl Extent {
    /// Whether the sector is one of them.
    pub fn has(&self, sector: u64) -> bool {
        (self.first..self.first + self.count).contains(&sector)
    }
}

/// What the bytes of a sector are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// Nothing was written there.
    Zero,
    /// The record that the batch of this sequence number writes there, if it does.
    Whole(u32),
    /// It begins as the record of this batch does, and goes on otherwise.
    Torn(u32),
    /// No record, or one of another sector or plan.
    Foreign,
}

impl Plan {
    /// The plan of this seed for a disk of so many sectors.
    ///
    /// # Errors
    /// [`UnfitSize`] unless it has 1 to [`MAX_SECTORS`].
    pub fn new(seed: u64, sectors: u64) -> Result<Self, UnfitSize> {
        match sectors {
            1..=MAX_SECTORS => Ok(Self { seed, sectors }),
            _ => Err(UnfitSize(sectors)),
        }
    }

    /// How many sectors the disk has.
    pub fn sectors(&self) -> u64 {
        self.sectors
    }

    /// What is written by a batch; the first one's number is 1. The extents may overlap: whichever comes last, the bytes are the
    /// same. Most are small, as a guest's are, a few as large as requests get, and half of them are of whole pages of 4 KiB.
    pub fn batch(&self, sequence: u32) -> Vec<Extent> {
        let mut random = Random::of([self.seed, u64::from(sequence), 0]);
        let count = 1 + random.below(MAX_EXTENTS);
        (0..count).map(|_| self.extent(&mut random)).collect()
    }

    fn extent(&self, random: &mut Random) -> Extent {
        let mut exponent = || random.below(u64::from(MAX_EXTENT.ilog2()) + 1);
        let longest = 1 << exponent().min(exponent());
        let mut count = (1 + random.below(longest)).min(self.sectors);
        let mut first = random.below(self.sectors - count + 1);
        if random.below(2) == 0 {
            first -= first % PAGE;
            count = count.next_multiple_of(PAGE).min(self.sectors - first);
        }
        Extent { first, count }
    }

    /// Fills `target`, a sector, with the record that a batch writes there.
    pub fn fill(&self, sector: u64, sequence: u32, target: &mut [u8; SECTOR]) {
        let numbers = [self.seed, sector, u64::from(sequence)];
        target[..8].copy_from_slice(&MAGIC);
        for (place, number) in target[8..HEAD].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let mut random = Random::of(numbers);
        for place in target[HEAD..].chunks_exact_mut(8) {
            place.copy_from_slice(&random.next().to_le_bytes());
        }
    }

    /// What the bytes of a sector are.
    pub fn read(&self, sector: u64, bytes: &[u8; SECTOR]) -> Record {
        if bytes.iter().all(|&byte| byte == 0) {
            return Record::Zero;
        }
        let number = |at: usize| {
            bytes[at..at + 8]
                .iter()
                .rev()
                .fold(0, |n, &b| n << 8 | u64::from(b))
        };
        let is_ours = bytes[..8] == MAGIC && number(8) == self.seed && number(16) == sector;
        let sequence = u32::try_from(number(24))
            .ok()
            .filter(|sequence| (1..=LAST).contains(sequence));
        let (true, Some(sequence)) = (is_ours, sequence) else {
            return Record::Foreign;
        };
        let mut whole = [0; SECTOR];
        self.fill(sector, sequence, &mut whole);
        if *bytes == whole {
            Record::Whole(sequence)
        } else {
            Record::Torn(sequence)
        }
    }
}

/// Numbers that follow from others: Steele, Lea and Flood's SplitMix64.
struct Random(u64);

impl Random {
    fn of(numbers: [u64; 3]) -> Self {
        let mut random = Self(0);
        for number in numbers {
            random.0 = random.next() ^ number;
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of the numbers below `end`, which is not 0.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn batches_lie_on_the_disk(seed: u64, sectors in 1..=MAX_SECTORS, sequence: u32) {
            let plan = Plan::new(seed, sectors).unwrap();
            let batch = plan.batch(sequence);
            prop_assert_eq!(&batch, &plan.batch(sequence));
            prop_assert!((1..=MAX_EXTENTS as usize).contains(&batch.len()));
            for extent in batch {
                prop_assert!((1..=MAX_EXTENT).contains(&extent.count));
                prop_assert!(extent.first + extent.count <= sectors);
            }
        }

        #[test]
        fn records_are_known_again(seed: u64, sector: u64, sequence in 1..=LAST, at in 0..SECTOR, bit in 0..8_u8) {
            let plan = Plan::new(seed, 1).unwrap();
            let mut bytes = [0; SECTOR];
            plan.fill(sector, sequence, &mut bytes);
            prop_assert_eq!(plan.read(sector, &bytes), Record::Whole(sequence));
            prop_assert_eq!(plan.read(sector ^ 1, &bytes), Record::Foreign);
            bytes[at] ^= 1 << bit;
            prop_assert!(matches!(plan.read(sector, &bytes), Record::Torn(_) | Record::Foreign));
        }

        #[test]
        fn any_bytes_are_something(seed: u64, sector: u64, random: [u8; 32], has_head: bool) {
            let mut bytes = [0; SECTOR];
            bytes[..32].copy_from_slice(&random);
            if has_head {
                bytes[..8].copy_from_slice(&MAGIC);
                bytes[8..16].copy_from_slice(&seed.to_le_bytes());
                bytes[16..24].copy_from_slice(&sector.to_le_bytes());
            }
            let found = Plan::new(seed, 1).unwrap().read(sector, &bytes);
            prop_assert!(!matches!(found, Record::Whole(_)));
        }
    }

    #[test]
    fn sizes_have_limits() {
        assert_eq!(Plan::new(1, 0), Err(UnfitSize(0)));
        assert_eq!(Plan::new(1, MAX_SECTORS + 1), Err(UnfitSize(MAX_SECTORS + 1)));
    }

    /// A host and a guest of different versions have to agree, and so have a disk's two checks: the plan never changes.
    #[test]
    fn the_plan_stays() {
        let plan = Plan::new(7, 1 << 17).unwrap();
        let mut bytes = [0; SECTOR];
        plan.fill(5, 3, &mut bytes);
        let sum = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0_u64, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
        };
        let batches: Vec<u8> = (1..100)
            .flat_map(|sequence| plan.batch(sequence))
            .flat_map(|extent| [extent.first.to_le_bytes(), extent.count.to_le_bytes()].concat())
            .collect();
        assert_eq!(
            (sum(&bytes), sum(&batches)),
            (2_283_619_276_892_339_936, 3_657_830_443_944_342_827)
        );
    }

    #[test]
    fn extents_are_of_all_kinds() {
        let plan = Plan::new(1, 1 << 17).unwrap();
        let extents: Vec<Extent> = (1..=200).flat_map(|sequence| plan.batch(sequence)).collect();
        let share = |is: fn(&Extent) -> bool| {
            extents.iter().filter(|extent| is(extent)).count() as f64 / extents.len() as f64
        };
        assert!(share(|extent| extent.count < PAGE) > 0.1);
        assert!(share(|extent| extent.count > 512) > 0.01);
        assert!((0.4..0.7).contains(&share(
            |extent| extent.first % PAGE == 0 && extent.count % PAGE == 0
        )));
    }
}
