//! What the host and a VM's storage Worker say to each other, and as what the changes of disks are kept.
//!
//! Each run of a VM that has disks has a storage Worker. It opens the disks, serves their channels while QEMU runs, and keeps what
//! was written when the run ends. QEMU waits for its disks at the start, so neither Worker has to come first.

use std::collections::BTreeMap;

use qemuweb_vm_config::{Arch, DiskMountInfo, InputSource, Keep};
use qemuweb_wire::Failure;
use qemuweb_wire::disk::{DiskUse, ExportAs, KeptDisk};
use qemuweb_wire::vm::VmId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Host to Worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum StorageCommand {
    /// Open the disks of a VM. Sent once, first; attachments are the Blobs that `disks` name by index.
    Open {
        /// Whose changes they are.
        vm_id: VmId,
        /// What a disk that starts the machine has to be for.
        arch: Arch,
        /// The disks.
        disks: Vec<DiskOrder>,
    },
    /// QEMU is loaded: serve its channels. Attachment: its memory, a SharedArrayBuffer.
    Serve {
        /// Address of the channel directory in that memory.
        directory: u32,
    },
    /// Tell how the disks are used: see [`StorageEvent::Used`].
    Tell,
    /// Keep what is not kept yet, and say so with [`StorageEvent::Synced`].
    Sync {
        /// What the answer is known by.
        tag: u64,
    },
    /// Do something with disks that nobody uses, and say so with [`StorageEvent::Did`]. A Worker that is told this has no disks.
    Do(DiskJob),
    /// QEMU is gone: keep what is not kept yet, let go of all, and say so with [`StorageEvent::Closed`].
    End,
}

/// What is done with disks that nobody uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum DiskJob {
    /// Tell what is kept.
    List,
    /// Forget all that was written to one.
    Discard {
        /// Its VM.
        vm_id: VmId,
        /// Which of that.
        disk_id: String,
    },
    /// Give another VM copies of all disks of this one.
    Copy {
        /// This one.
        from: VmId,
        /// How the names of its disks end.
        from_suffix: String,
        /// The other one.
        to: VmId,
        /// How the names of its disks are to end.
        to_suffix: String,
    },
    /// Make a file of one. Attachments: the Blobs that `disk` names by index.
    Export {
        /// The disk.
        disk: WholeDisk,
        /// What to make of it.
        format: ExportAs,
    },
    /// Take over changes from a file, which is the last attachment; those before it are the Blobs that `disk` names.
    Import {
        /// The disk.
        disk: WholeDisk,
    },
}

/// A disk of a VM that does not run, with what it lies over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WholeDisk {
    /// Its VM.
    pub vm_id: VmId,
    /// That VM's architecture.
    pub arch: Arch,
    /// The disk.
    pub order: DiskOrder,
}

/// A disk to serve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskOrder {
    /// What the machine needs.
    pub mount: DiskMountInfo,
    /// As what its changes are kept among those of its VM: no other disk of it has that.
    pub disk_id: String,
}

/// Worker to host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum StorageEvent {
    /// The Worker's code runs and takes commands.
    Ready,
    /// The disks are open, and as they are.
    Used {
        /// How, in the order of the machine's disks.
        disks: Vec<DiskUse>,
    },
    /// What was written is kept, unless that failed.
    Synced {
        /// Of the command.
        tag: u64,
        /// Why it failed.
        failure: Option<Failure>,
    },
    /// A job goes on.
    Progress {
        /// What was done so far, in whatever the job counts.
        done: u64,
        /// All there is to do, if that is known.
        total: Option<u64>,
    },
    /// A job is done. Attachment: the file that [`DiskJob::Export`] made.
    Did {
        /// What [`DiskJob::List`] was to tell.
        disks: Vec<KeptDisk>,
    },
    /// A request failed, and the guest was told so.
    Alarm {
        /// The disk's channel.
        channel: String,
        /// Why.
        failure: Failure,
    },
    /// A disk could not be opened, or QEMU does not keep to the protocol: the run has to end. Or a job could not be done.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// All that was written is kept, and the disks are free for another run.
    Closed {
        /// What could not be kept, if anything.
        failure: Option<Failure>,
    },
}

/// The orders for the disks of a VM that was defined first under the number `born`.
pub(crate) fn orders(disks: Vec<DiskMountInfo>, born: u64) -> Vec<DiskOrder> {
    let mut known: BTreeMap<String, u32> = BTreeMap::new();
    let orders = disks.into_iter().map(|mount| {
        let id = disk_id(&mount);
        let count = known.entry(id.clone()).or_default();
        *count += 1;
        // The same image in two drives is two disks.
        let id = if *count == 1 { id } else { format!("{id}-{count}") };
        let disk_id = id + &generation(born);
        DiskOrder { mount, disk_id }
    });
    orders.collect()
}

/// How the names of all disks of a VM end: another VM that is given the same id, when this one is gone, never gets them.
pub(crate) fn generation(born: u64) -> String {
    format!(".{born:x}")
}

/// What the changes of a disk are known by: what it lies over, wherever it stands among the disks, so that a definition can be
/// edited and another image of the same place never gets them.
fn disk_id(mount: &DiskMountInfo) -> String {
    if mount.keep == Keep::Copy {
        return mount.channel.clone();
    }
    match &mount.source {
        InputSource::Builtin(file) => format!("builtin-{}", short_hash(&file.path)),
        // One that has to be chosen again is the same.
        InputSource::Attachment(file) => {
            format!("file-{}", short_hash(&format!("{} {}", file.size, file.name)))
        }
        InputSource::Url(url) | InputSource::UrlWithCredentials(url) => format!("url-{}", short_hash(url)),
        InputSource::Stored(file) => format!("stored-{}", short_hash(&file.hash)),
        InputSource::Blank(disk) => format!("blank-{}", short_hash(&disk.id)),
    }
}

/// Enough of a hash to tell the disks of one VM apart.
fn short_hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use qemuweb_vm_config::{Attachment, DiskFormat, FileKind, StoredFile};

    use super::*;

    fn mount(source: InputSource, keep: Keep) -> DiskMountInfo {
        DiskMountInfo {
            channel: "disk0".into(),
            source,
            format: DiskFormat::Raw,
            kind: FileKind::Disk,
            keep,
            boots: false,
            snapshot: None,
        }
    }

    #[test]
    fn each_disk_has_a_name_of_its_own_that_lasts() {
        let file = |index, name: &str| {
            InputSource::Attachment(Attachment {
                index,
                name: name.into(),
                size: 1,
            })
        };
        let stored = InputSource::Stored(StoredFile {
            hash: "sha256:00".into(),
            name: "x".into(),
            size: 1,
        });
        let url = || InputSource::Url("https://example.org:81/a.img".into());
        let ids = |sources: Vec<InputSource>| -> Vec<String> {
            let mounts = sources.into_iter().map(|source| mount(source, Keep::Changes));
            let orders = orders(mounts.collect(), 0x1f);
            orders.into_iter().map(|order| order.disk_id).collect()
        };
        let all = ids(vec![
            file(0, "a:b.img"),
            file(1, "b"),
            stored.clone(),
            url(),
            url(),
            InputSource::builtin("x/y"),
        ]);
        assert_eq!(all[4].strip_suffix("-2.1f"), all[3].strip_suffix(".1f"));
        let mut distinct = all.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), all.len());
        assert!(all.iter().all(|id| !id.contains(':')), "{all:?}");
        // Wherever it stands.
        assert_eq!(
            ids(vec![url(), stored, file(7, "a:b.img")]),
            [all[3].as_str(), &all[2], &all[0]]
        );
        let home = orders(vec![mount(InputSource::builtin("home"), Keep::Copy)], 0x1f);
        assert_eq!(home[0].disk_id, "disk0.1f");
    }
}
