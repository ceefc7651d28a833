//! Atlas.
pub mod canonical;
pub mod error;
pub mod hash;
pub mod manifest;
pub mod memory;
pub mod metadata;
pub mod provenance;
pub mod records;
pub mod store;
