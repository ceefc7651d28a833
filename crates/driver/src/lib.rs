//! Drives a real Chromium with an unpacked extension loaded, over the Chrome DevTools Protocol on a pipe.
//!
//! Everything blocks and everything has a time limit whose error says what was awaited. There is no async runtime:
//! one thread reads the pipe ([`Connection`]), one follows the browser's targets and collects what they print
//! ([`Targets`]). What is known about driving extensions and DevTools without an X server stands in
//! [`Browser::launch`] and [`DevTools`].
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use qemuweb_driver::{Browser, LaunchOptions};
//!
//! let browser = Browser::launch(&LaunchOptions::default())?;
//! let extension = browser.load_extension("target/extension".as_ref())?;
//! let page = browser.open_page(&extension.url("panel.html"))?;
//! assert_eq!(page.evaluate("1 + 1")?, 2);
//! # Ok(())
//! # }
//! ```

mod browser;
mod connection;
mod devtools;
mod input;
mod launch;
mod log;
mod session;
mod targets;
mod wait;

pub use browser::{Browser, Extension};
pub use connection::{Connection, Event};
pub use devtools::DevTools;
pub use launch::{LaunchOptions, find_chromium};
pub use log::{LogEntry, format_log};
pub use session::{BindingCall, Session};
pub use targets::{Target, Targets};
pub use wait::{DEFAULT_TIMEOUT, poll};
