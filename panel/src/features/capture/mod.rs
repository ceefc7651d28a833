//! The page's traffic: recorded from DevTools, shown, filtered, exported, and sent to VMs.
//!
//! [`log::Log`] holds the exchanges and is no signal: it may hold tens of thousands. [`state::Capture`] has the signals
//! that components follow, one of them a version that is raised when the log has changed. Secrets are taken out before an
//! exchange enters the log, unless the person opted in for this capture.

pub mod bounds;
pub mod details;
pub mod files;
pub mod list;
pub mod listing;
pub mod log;
pub mod names;
#[cfg(target_arch = "wasm32")]
pub mod recorder;
#[cfg(target_arch = "wasm32")]
pub mod saved;
pub mod send;
mod settings;
pub mod state;
#[cfg(target_arch = "wasm32")]
pub mod storage;
mod targets;
pub mod toolbar;
pub mod view;
