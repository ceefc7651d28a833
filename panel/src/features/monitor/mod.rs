//! QEMU's monitor: what it tells, what it is asked, and how busy the machine is.

pub mod metrics;
pub mod state;
pub mod view;
