//! The page: the panel's regions, the popup, the connection, and what scripts are given.

#[cfg(all(feature = "panel", target_arch = "wasm32"))]
pub mod agent_api;
pub mod capability_warnings;
pub mod connection;
#[cfg(target_arch = "wasm32")]
pub mod entry;
#[cfg(feature = "panel")]
pub mod events;
#[cfg(all(feature = "panel", target_arch = "wasm32"))]
pub mod js_api;
#[cfg(feature = "panel")]
pub mod page;
#[cfg(feature = "panel")]
pub mod panel;
#[cfg(feature = "popup")]
pub mod popup;
#[cfg(target_arch = "wasm32")]
pub mod session;
#[cfg(feature = "panel")]
pub mod shortcuts;
#[cfg(feature = "panel")]
pub mod status_bar;
#[cfg(all(feature = "panel", target_arch = "wasm32"))]
pub mod theme;
#[cfg(feature = "panel")]
pub mod toolbar;
#[cfg(feature = "panel")]
pub mod vm_view;
