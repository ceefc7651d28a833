//! Virtual machines as data: profiles, what they boot, and the QEMU arguments that run them.
mod error;
mod limits;
mod machine;
mod profiles;
mod types;

pub use error::{ConfigError, ConfigWarning};
pub use limits::*;
pub use profiles::*;
pub use types::*;
