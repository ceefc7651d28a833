//! The workbench: DevTools panel, popup and pop-out tab.
//!
//! Pages are thin clients of the VM host: [`state::Store`] is a view of what the host told, as signals;
//! [`workbench::Workbench`] is what components hold, with everything that a person can do. Components are one
//! file each. What decides and what formats is pure and tested natively; components render natively too.

#![allow(
    missing_docs,
    reason = "sycamore's `inline_props` makes public structs that cannot be documented"
)]

pub mod app;
pub mod browser;
pub mod capability_warnings;
pub mod capture;
pub mod console;
pub mod console_view;
pub mod details;
pub mod dialog;
#[cfg(target_arch = "wasm32")]
pub mod entry;
pub mod failure_view;
pub mod form;
pub mod icons;
#[cfg(target_arch = "wasm32")]
pub mod js_api;
pub mod keys;
pub mod later;
pub mod launcher;
pub mod local_files;
pub mod metrics;
pub mod monitor;
pub mod own_profiles;
pub mod popup;
pub mod progress;
pub mod roving;
pub mod serial;
#[cfg(target_arch = "wasm32")]
pub mod session;
pub mod shortcuts;
pub mod split;
pub mod state;
pub mod status_bar;
pub mod stored_files;
pub mod text;
pub mod toolbar;
pub mod undo;
pub mod vm_list;
pub mod vm_view;
pub mod widths;
pub mod workbench;
pub mod xterm;
