//! The workbench: DevTools panel, popup and pop-out tab.
//!
//! Pages are thin clients of the VM host. [`kit`] is what everything is drawn with; [`cx::Cx`] is what every feature gets;
//! each of the [`features`] has its state, its actions and its views; [`app`] puts them on a page. Each knows those before it
//! only. What decides and what formats is pure and tested natively; components render natively too.

#![allow(
    missing_docs,
    reason = "sycamore's `inline_props` makes public structs that cannot be documented"
)]

pub mod app;
pub mod cx;
pub mod features;
pub mod kit;
#[cfg(not(target_arch = "wasm32"))]
mod no_port;
