//! The virtual machines: what there are, what can be done with one, their list and their details.

pub mod actions;
#[cfg(feature = "panel")]
pub mod details;
#[cfg(feature = "panel")]
pub mod list;
#[cfg(feature = "panel")]
pub mod menu;
#[cfg(feature = "panel")]
pub mod progress;
pub mod state;
pub mod words;
