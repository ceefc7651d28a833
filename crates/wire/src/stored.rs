//! The files that a person has stored in the extension, as clients see them.

use qemuweb_vm_config::{Arch, DiskFormat, FileKind, StoredFile};
use serde::{Deserialize, Serialize};

/// A stored file and what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StoredInfo {
    /// By what it is known.
    pub file: StoredFile,
    /// What its content is, in words: "a qcow2 disk image".
    pub what: String,
    /// The part that it can play in a machine.
    pub kind: FileKind,
    /// The architecture that it is for, where its content tells.
    #[serde(default)]
    pub arch: Option<Arch>,
    /// How QEMU has to read it as a disk.
    pub format: DiskFormat,
}

/// How full the extension's storage is, as the browser estimates it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StorageUse {
    /// Bytes that the extension takes up, whatever they hold.
    pub used: u64,
    /// Bytes that it may take up in all.
    pub quota: u64,
    /// Whether the browser has marked it as persistent (`navigator.storage.persisted()`), where it tells.
    #[serde(default)]
    pub persisted: Option<bool>,
}

impl StorageUse {
    /// Bytes that are left.
    pub fn free(self) -> u64 {
        self.quota.saturating_sub(self.used)
    }
}
