//! What all features draw with: one button, one dialog, one undo bar, one table, one way to write an amount.
//!
//! Nothing here knows what a virtual machine is, but for the [`Failure`](qemuweb_wire::failure::Failure) that is shown.

pub mod browser;
pub mod buttons;
pub mod dialog;
pub mod failure_view;
pub mod files;
pub mod icons;
pub mod later;
pub mod menu;
pub mod notices;
pub mod reactive;
pub mod roving;
pub mod save;
pub mod split;
pub mod table;
pub mod text;
pub mod undo;
