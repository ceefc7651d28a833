//! The browser's side of this crate's traits: one small file each.

mod connect;
mod memory;
mod port;

pub use connect::connect;
pub use memory::{JsSharedMemory, WaitError};
pub use port::{PortTransport, packet_from_js, packet_to_js};
pub use qemuweb_wire::web::{
    detect_capabilities, exception_text, failure_from_exception, note_panics, presence,
};
