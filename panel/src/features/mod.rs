//! What the panel does, a folder each: its state, its actions, its views.
//!
//! A feature may know those above it here, and none below: `machines`, `library`, `console`, `monitor`, `form`, `launcher`,
//! `capture`. Each gets [`Cx`](crate::cx::Cx) and its own state by context.

pub mod capture;
pub mod console;
pub mod form;
pub mod launcher;
pub mod library;
pub mod machines;
pub mod monitor;
