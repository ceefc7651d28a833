//! What is done with disks that nobody uses.

use qemuweb_machine::storage::{DiskJob, StorageEvent};
use qemuweb_storage::device::BlockError;
use qemuweb_storage::overlay::record::BLOCK;
use qemuweb_storage::web::{Database, StoredDisk};
use qemuweb_wire::disk::KeptDisk;

use super::report;

/// Does what is asked for, and gives what is to be told.
///
/// # Errors
/// [`BlockError`]; what was to be copied is then not there.
pub(super) async fn carry_out(job: DiskJob) -> Result<Vec<KeptDisk>, BlockError> {
    let database = Database::open().await?;
    match job {
        DiskJob::List => {
            let disks = database.disks().await?;
            return Ok(disks.into_iter().map(kept).collect());
        }
        DiskJob::Discard { vm_id, disk_id } => database.remove(&vm_id, &disk_id).await?,
        DiskJob::Copy {
            from,
            from_suffix,
            to,
            to_suffix,
        } => {
            let rename = |name: &str| Some(format!("{}{to_suffix}", name.strip_suffix(&from_suffix)?));
            let told = |done| report(&StorageEvent::Progress { done });
            database.copy_vm(&from, &to, rename, told).await?;
        }
    }
    Ok(Vec::new())
}

fn kept(disk: StoredDisk) -> KeptDisk {
    KeptDisk {
        vm_id: disk.vm_id,
        vm_name: None,
        disk_id: disk.disk_id,
        size: disk.header.as_ref().map(|header| header.size),
        kept: u64::from(disk.blocks) * BLOCK,
        base: disk.header.map(|header| header.base).unwrap_or_default(),
    }
}
