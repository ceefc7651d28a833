//! What the crate needs of the memory that it shares.

/// Memory shared with another agent, addressed in bytes.
///
/// Implementations do not panic: an address outside the memory reads as zero and stores nothing. Word
/// accesses are sequentially consistent.
pub trait SharedMemory {
    /// Size in bytes.
    fn len(&self) -> u64;
    /// The word at `address`, a multiple of four.
    fn load(&self, address: u32) -> u32;
    /// Stores the word at `address`, a multiple of four.
    fn store(&self, address: u32, value: u32);
    /// Copies the bytes from `address` on into `target`.
    fn read(&self, address: u32, target: &mut [u8]);
    /// Copies `source` to `address`.
    fn write(&self, address: u32, source: &[u8]);
    /// Whether the memory has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Memory in this process, for tests.
#[cfg(test)]
pub(crate) mod local {
    use std::cell::RefCell;

    use super::SharedMemory;

    pub(crate) struct LocalMemory(RefCell<Vec<u8>>);

    impl LocalMemory {
        pub(crate) fn new(size: usize) -> Self {
            Self(RefCell::new(vec![0; size]))
        }
    }

    impl SharedMemory for LocalMemory {
        fn len(&self) -> u64 {
            self.0.borrow().len() as u64
        }

        fn load(&self, address: u32) -> u32 {
            let mut word = [0; 4];
            self.read(address, &mut word);
            u32::from_le_bytes(word)
        }

        fn store(&self, address: u32, value: u32) {
            self.write(address, &value.to_le_bytes());
        }

        fn read(&self, address: u32, target: &mut [u8]) {
            if let Some(source) = self
                .0
                .borrow()
                .get(address as usize..address as usize + target.len())
            {
                target.copy_from_slice(source);
            }
        }

        fn write(&self, address: u32, source: &[u8]) {
            if let Some(target) = self
                .0
                .borrow_mut()
                .get_mut(address as usize..address as usize + source.len())
            {
                target.copy_from_slice(source);
            }
        }
    }
}
