//! Disks: where a guest's sectors come from, and where they are kept.
//!
//! A [`device::BlockDevice`] is a disk. Images are read-only ones: a file ([`file::FileBlockDevice`]), an image on a web
//! server ([`http::HttpBlockDevice`]), a disk that the package brings ([`sparse::SparseBlockDevice`]). A [`cow::CowBlockDevice`] lies over an image or over nothing and keeps what is changed
//! in an [`overlay`], in the browser an [`web::IndexedDbOverlay`](overlay::store::Blocks). [`memory::MemoryBlockDevice`]
//! lasts as long as its page. A [`qcow2::reader::Qcow2BlockDevice`] reads QEMU's images, wherever their files are. [`serve`]
//! does what QEMU asks for over a disk's channel ([`qemuweb_shm::block`]). Disks leave the browser, and come back, by way of
//! [`transfer`], [`overlay_file`] and [`qcow2`].
//!
//! All is pure but for `web`, which exists on wasm32 only: servers, files, databases, the clock and tasks are traits.
//!
//! # Why the overlay keeps what it keeps
//!
//! Measured in Chromium 156 on a busy machine with two cores, medians; MiB/s of 8 MiB in one strict transaction, and
//! milliseconds of one `get` and of one strict `put`; bytes that do not compress:
//!
//! | record | LevelDB | get | put | SQLite | get | put |
//! |--:|--:|--:|--:|--:|--:|--:|
//! | 64 KiB | 45 | 1.0 | 4.2 | 84 | 0.6 | 4.0 |
//! | 128 KiB | 67 | 1.2 | 4.3 | 58 | 0.8 | 1.9 |
//! | 256 KiB | 73 | 1.6 | 8.4 | 113 | 1.3 | 3.6 |
//! | 512 KiB | 99 | 2.4 | 9.4 | 112 | 2.0 | 5.3 |
//! | 1 MiB | 135 | 3.8 | 11.1 | 59 | 4.2 | 10.4 |
//!
//! So blocks have 256 KiB: larger ones are faster to write in one of the two databases only, and a guest that reads 4 KiB
//! waits for all of the block. A strict put of 4 KiB takes 0.9 ms in both, with the two indexes or without, and 256 of them
//! in one transaction 40 to 54 ms where 1 MiB in one record takes 9 to 15: small changes go to a journal, all of a flush in
//! one record. A guest's flush of 4 KiB then took 1.1 to 1.9 ms where the bare put took 1.0 to 4.1 at the same time, and 8
//! MiB with a flush 160 to 220 ms where a bare transaction took 86 to 330. Warm reads of 4 KiB take 0.04 ms and ask no
//! database, 32 MiB are read cold in 270 ms, and 2,600 keys, which is 650 MiB of changes, are listed in 6 to 14 ms when a
//! disk is opened.
//!
//! In LevelDB, a record whose compressed form has less than 64 KiB frees no space when it goes; later ones use it again.
//!
//! # What lasts
//!
//! A flush has returned once a transaction with `durability: "strict"` is complete: Chromium has then called `fsync`, or
//! SQLite with `synchronous=FULL` has. On Linux that is the disk's word; what SQLite does on macOS may be weaker than
//! `F_FULLFSYNC`.

pub mod compression;
pub mod cow;
pub mod device;
pub mod file;
pub mod http;
pub mod image;
pub mod memory;
pub mod overlay;
pub mod overlay_file;
pub mod qcow2;
pub mod serve;
pub mod sparse;
#[cfg(test)]
mod testing;
pub mod transfer;
#[cfg(target_arch = "wasm32")]
pub mod web;
