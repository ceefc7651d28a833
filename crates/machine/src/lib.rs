//! The VM host's core: it decides, and does nothing itself.
//!
//! [`Core::step`] takes what has happened ([`Input`]) and gives what is to be done ([`Effect`]). It has no clock, no browser
//! and no files: whoever drives it carries the effects out, in order, and brings their outcomes back as inputs. So it runs
//! natively, and its tests make it live through whatever clients, guests and the browser can do to it.
//!
//! | where | what |
//! |---|---|
//! | [`Core`], `calls`, `catalogue`, `start`, `storing`, `disks` | what clients ask for, and what becomes of it |
//! | [`lifecycle`] | what a machine does, and what the person wants of it |
//! | `services` | what a VM has beside its life: console, monitor, meter, agent, captures |
//! | `clients`, `hub`, `task` | who waits for what |
//! | `machine`, `control`, `outbox` | one VM's channels and monitor |
//! | [`worker`], [`storage`] | the messages between host and a VM's Workers |

mod calls;
mod catalogue;
mod clients;
mod control;
mod core;
mod definition;
mod disks;
mod files;
mod hub;
pub mod io;
mod library;
pub mod lifecycle;
mod machine;
mod measure;
mod outbox;
mod persist;
mod qmp;
mod services;
mod start;
pub mod storage;
mod storing;
mod task;
mod vm;
pub mod worker;

pub use crate::core::Core;
pub use io::{Effect, Input};
pub use library::not_stored;
pub use persist::KeptVm;
