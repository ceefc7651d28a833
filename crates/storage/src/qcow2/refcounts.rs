//! How many entries refer to each cluster of an image that is written from its beginning to its end.

/// Bytes of a count.
const BYTES: u64 = 2;

/// Reference counts. Clusters are counted in the order in which they lie in the file, all of them.
pub(super) struct Refcounts {
    /// Clusters that a block of counts tells of.
    per_block: u64,
    /// The block that is being filled, and its number.
    block: Vec<u16>,
    number: u64,
    /// Blocks that are full and not yet written.
    full: Vec<Vec<u16>>,
    /// Where the blocks are that were written.
    written: Vec<u64>,
}

impl Refcounts {
    pub(super) fn new(cluster: u64) -> Self {
        let per_block = cluster / BYTES;
        Self {
            per_block,
            block: vec![0; per_block as usize],
            number: 0,
            full: Vec::new(),
            written: Vec::new(),
        }
    }

    /// Counts once more what refers to a cluster: the last one that was counted, or the next.
    pub(super) fn count(&mut self, cluster: u64) {
        if cluster / self.per_block != self.number {
            self.close();
        }
        let count = &mut self.block[(cluster % self.per_block) as usize];
        *count = count.saturating_add(1);
    }

    /// Whether nothing more may refer to the cluster that was counted last, or is the next.
    pub(super) fn is_full(&self, cluster: u64) -> bool {
        cluster / self.per_block == self.number && self.block[(cluster % self.per_block) as usize] == u16::MAX
    }

    /// A full block, to be written at `offset`.
    pub(super) fn next_full(&mut self, offset: u64) -> Option<Vec<u8>> {
        if self.full.is_empty() {
            return None;
        }
        self.written.push(offset);
        let block = self.full.remove(0);
        Some(block.iter().flat_map(|count| count.to_be_bytes()).collect())
    }

    /// Counts the clusters from `next` on that the blocks which are not yet written will take, and then their table, and
    /// returns how many clusters the table takes. All blocks are full then.
    pub(super) fn close_all(&mut self, next: u64, cluster: u64) -> u64 {
        let (mut blocks, mut table) = (0, 0);
        loop {
            let end = next + (blocks - (self.written.len() as u64).min(blocks)) + table;
            let needed = end.div_ceil(self.per_block);
            let needed_table = (needed * 8).div_ceil(cluster);
            if (needed, needed_table) == (blocks, table) {
                break;
            }
            (blocks, table) = (needed, needed_table);
        }
        let unwritten = blocks - self.written.len() as u64;
        (next..next + unwritten + table).for_each(|cluster| self.count(cluster));
        self.close();
        table
    }

    /// Where the blocks are.
    pub(super) fn table(&self) -> Vec<u8> {
        self.written
            .iter()
            .flat_map(|offset| offset.to_be_bytes())
            .collect()
    }

    fn close(&mut self) {
        let empty = vec![0; self.per_block as usize];
        self.full.push(std::mem::replace(&mut self.block, empty));
        self.number += 1;
    }
}
