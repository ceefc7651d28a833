//! The page: the panel's regions, the popup, the connection, and what scripts are given.

#[cfg(target_arch = "wasm32")]
pub mod agent_api;
pub mod capability_warnings;
pub mod connection;
#[cfg(target_arch = "wasm32")]
pub mod entry;
pub mod events;
#[cfg(target_arch = "wasm32")]
pub mod js_api;
pub mod page;
pub mod panel;
pub mod popup;
#[cfg(target_arch = "wasm32")]
pub mod session;
pub mod shortcuts;
pub mod status_bar;
#[cfg(target_arch = "wasm32")]
pub mod theme;
pub mod toolbar;
pub mod vm_view;
