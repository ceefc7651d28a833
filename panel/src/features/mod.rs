//! What the panel does, a folder each: its state, its actions, its views.
//!
//! A feature may know those above it here, and none below: `machines`, `library`, `console`, `monitor`, `disks`, `form`,
//! `launcher`, `capture`, `transfer`. Each gets [`Cx`](crate::cx::Cx) and its own state by context.

#[cfg(feature = "panel")]
pub mod capture;
#[cfg(feature = "panel")]
pub mod console;
#[cfg(feature = "panel")]
pub mod disks;
#[cfg(feature = "panel")]
pub mod form;
#[cfg(feature = "panel")]
pub mod launcher;
#[cfg(feature = "panel")]
pub mod library;
pub mod machines;
#[cfg(feature = "panel")]
pub mod monitor;
#[cfg(feature = "panel")]
pub mod transfer;
