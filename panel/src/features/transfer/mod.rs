//! Files to and from guests, by their agents: a picker and a drop on the console send them, a path fetches one.
//!
//! A transfer outlives the view that it was begun in. Its file is never held as a whole: pieces go as the guest and the disk
//! take them.

mod dialog;
pub mod drop_zone;
mod fetch;
mod job;
mod names;
mod send;
pub mod shelf;
pub mod state;
