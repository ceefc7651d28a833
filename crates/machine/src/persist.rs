//! A VM in the form in which it is kept.

use qemuweb_wire::state::VmState;
use qemuweb_wire::vm::{FileId, VmDefinition, VmId};
use serde::{Deserialize, Serialize};

/// A VM as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptVm {
    /// Its id.
    pub vm_id: VmId,
    /// What people call it.
    pub name: String,
    /// Whether it is among the favourites.
    #[serde(default)]
    pub favourite: bool,
    /// When it was last started, in milliseconds since the epoch.
    #[serde(default)]
    pub started_at: f64,
    /// The state that it was in when this was written.
    #[serde(flatten)]
    pub state: VmState,
    /// What it is made of.
    pub definition: VmDefinition,
    /// The definition's revision.
    #[serde(default)]
    pub revision: u64,
    /// The files that the definition names by index. An older version had none here, and kept them with the VM.
    #[serde(default)]
    pub files: Vec<FileId>,
    /// The revision that it was first defined with, which tells its disks from those of a former VM of this id.
    #[serde(default)]
    pub born: u64,
    /// Its place among all VMs.
    #[serde(default)]
    pub order: u32,
}
