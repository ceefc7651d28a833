//! Disks: how those of the VM that is shown are used, what is kept of all, and what can be done with that.
//!
//! A VM that is gone leaves what was kept of its disks. The launcher's Files tab shows that ([`storage`]).

pub mod actions;
mod card;
mod grow;
mod jobs;
mod rows;
pub mod state;
pub mod storage;
pub mod view;
mod words;
