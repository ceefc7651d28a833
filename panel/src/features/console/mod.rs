//! The serial consoles: a terminal per virtual machine, its tools and its search.

pub mod keys;
pub mod serial;
pub mod state;
pub mod terminal;
pub mod view;
pub mod widths;
pub mod xterm;
