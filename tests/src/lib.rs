//! Fixtures of the end-to-end tests: the extension in a real Chromium, its panel in DevTools, guests that boot.
//!
//! `cargo xtask test` builds the extension and runs them. By itself, `cargo test -p qemuweb-e2e` takes the unpacked
//! extension from `$QEMUWEB_EXTENSION`, or else as `cargo xtask build` leaves it in `target/extension`. A step that fails
//! leaves a screenshot and all logs in `target/e2e/<scenario>/<step>/` (or below `$QEMUWEB_E2E_REPORTS`).

pub mod checks;
mod desk;
mod doctored;
mod home;
mod panel;
mod report;
mod scenario;
mod site;

pub use desk::{BOOT, Desk, boot_images, extension_dir};
pub use doctored::doctored;
pub use home::{Home, element};
pub use panel::Panel;
pub use report::{Report, directory};
pub use scenario::{Scenario, run};
pub use site::{HINTED, Site, Told};
