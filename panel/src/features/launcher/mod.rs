//! The launcher: guests to boot, files to boot from, and hardware of one's own, a tab each.

pub mod cards;
pub mod own_profiles;
pub mod state;
pub mod view;
