//! The hardware form: a new machine, or the settings of one that is there, checked as one types.

pub mod actions;
pub mod draft;
mod fields;
mod inputs;
pub mod state;
pub mod view;
