//! A block's pages in memory.

use std::rc::Rc;

use super::record::{PAGE, PAGES, Piece, bits};

/// What a page holds in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Data(Rc<[u8]>),
    Zero,
    /// It is not in memory.
    Nothing,
}

/// A block's pages in memory, and how far each has come, a bit for each page.
#[derive(Debug, Default)]
pub(super) struct Cached {
    /// As many as a block has, or none while there is none in memory.
    pages: Vec<Option<Rc<[u8]>>>,
    present: u64,
    zero: u64,
    /// Changed since they were last given to a transaction.
    pub(super) dirty: u64,
    /// In a transaction on its way.
    pub(super) flying: u64,
    /// Newer in the journal than in the block's record.
    pub(super) journaled: u64,
}

impl Cached {
    pub(super) fn content(&self, page: usize) -> Content {
        match self.pages.get(page) {
            Some(Some(bytes)) => Content::Data(Rc::clone(bytes)),
            _ if self.zero & (1 << page) != 0 => Content::Zero,
            _ => Content::Nothing,
        }
    }

    /// The pages whose content is known.
    pub(super) fn known(&self) -> u64 {
        self.present | self.zero
    }

    pub(super) fn zeroes(&self) -> u64 {
        self.zero
    }

    /// The pages that must stay in memory.
    pub(super) fn pinned(&self) -> u64 {
        self.dirty | self.flying | self.journaled
    }

    /// How many pages of memory it takes.
    pub(super) fn count(&self) -> usize {
        self.present.count_ones() as usize
    }

    /// How many of them wait to be kept.
    pub(super) fn count_unkept(&self) -> usize {
        (self.present & (self.dirty | self.flying)).count_ones() as usize
    }

    pub(super) fn set(&mut self, page: usize, bytes: Rc<[u8]>) {
        self.pages.resize(PAGES, None);
        self.pages[page] = Some(bytes);
        self.present |= 1 << page;
        self.zero &= !(1 << page);
    }

    /// The bytes of a page that is in memory, to change them. What a transaction took stays as it was.
    pub(super) fn change(&mut self, page: usize) -> Option<&mut [u8]> {
        match self.content(page) {
            Content::Nothing => return None,
            Content::Zero => self.set(page, Rc::new([0; PAGE])),
            Content::Data(_) => (),
        }
        self.pages.get_mut(page)?.as_mut().map(Rc::make_mut)
    }

    /// Makes the pages of `mask` zero.
    pub(super) fn clear(&mut self, mask: u64) {
        self.drop_pages(mask);
        self.zero |= mask;
    }

    /// Forgets the pages that need not stay.
    pub(super) fn forget(&mut self, mask: u64) {
        let mask = mask & !self.pinned();
        self.drop_pages(mask);
        self.zero &= !mask;
    }

    fn drop_pages(&mut self, mask: u64) {
        for page in bits(mask & self.present) {
            self.pages[page] = None;
        }
        self.present &= !mask;
        if self.present == 0 {
            self.pages = Vec::new();
        }
    }

    /// Takes over what a record tells of the pages of `mask`.
    pub(super) fn take_over(&mut self, piece: &Piece, mask: u64) {
        for (page, bytes) in piece.pages().filter(|(page, _)| mask & (1 << page) != 0) {
            self.set(page, bytes.into());
        }
        self.clear(piece.zero & mask);
    }

    /// The pages of `mask` as a record has them.
    pub(super) fn piece(&self, mask: u64) -> Piece {
        let present = self.present & mask;
        let mut data = Vec::with_capacity(present.count_ones() as usize * PAGE);
        for page in bits(present) {
            data.extend(self.pages[page].iter().flat_map(|bytes| bytes.iter()));
        }
        Piece {
            present,
            zero: self.zero & mask,
            data,
        }
    }
}
