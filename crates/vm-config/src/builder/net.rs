//! The machine's network.

use super::Builder;
use crate::error::ConfigWarning;
use crate::types::NetMode;

impl Builder<'_> {
    /// This build of QEMU has no network backend: a machine has no network card either.
    pub(super) fn net(&mut self) {
        match self.overrides.net.unwrap_or(self.profile.devices.net) {
            NetMode::None => {}
            NetMode::User => self.warnings.push(ConfigWarning::NoNetwork),
        }
    }
}
