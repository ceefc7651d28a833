//! Atlas: files by what is in them, where they come from, and how they travel.
//!
//! A file is a [`manifest`] of chunks of 4 MiB, all known by their SHA-256 ([`hash`]), so that what is in two files is kept
//! once. It has a name and tags ([`metadata`]), and a history ([`provenance`]) that cannot be edited and may be signed. A
//! [`store`] keeps all that in a database behind a trait ([`records`]); [`memory`] is one for tests. Files are read in ranges,
//! and by guests as a [`disk`]. They go to other stores as a [`bundle`], and to other tools as an [`oci`] archive.
//!
//! What is known by a hash has one encoding ([`canonical`]). All is pure: the database, the clock, and who hashes and signs
//! are traits.
//!
//! # Who refers to what
//!
//! ```text
//! file, deleted file ──▶ manifest ──▶ chunk        pin, put, reader, import ──▶ manifest, chunk
//!        └──────▶ record of provenance ──▶ its parents
//! signature ─────────────┘
//! ```
//!
//! What nothing refers to is collected ([`store::Atlas::collect`]), but for records of provenance, which stay.
//!
//! # In memory
//!
//! The metadata of all files; for a put two chunks, for a reader its manifest and four chunks, and one for each read beside
//! these; for imports all of a bundle but its chunks, which is 64 MiB at most.

pub mod bundle;
pub mod canonical;
pub mod disk;
pub mod error;
pub mod hash;
mod input;
pub mod manifest;
pub mod memory;
pub mod metadata;
pub mod oci;
pub mod provenance;
pub mod records;
pub mod store;
