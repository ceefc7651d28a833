//! The virtual machines: what there are, what can be done with one, their list and their details.

pub mod actions;
pub mod details;
pub mod list;
pub mod menu;
pub mod progress;
pub mod state;
pub mod words;
