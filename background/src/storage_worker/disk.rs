//! A disk that is served: its device, and what becomes of its changes.

use std::rc::Rc;

use qemuweb_machine::storage::{DiskOrder, StorageEvent};
use qemuweb_storage::cow::CowBlockDevice;
use qemuweb_storage::device::{BlockDevice, BlockError};
use qemuweb_storage::web::{Database, IndexedDbOverlay};
use qemuweb_vm_config::Keep;
use qemuweb_wire::disk::DiskUse;

use super::metered::Metered;
use super::report;

/// A disk of the VM.
pub(super) struct Disk {
    order: DiskOrder,
    device: Rc<Metered>,
    /// What keeps its changes, unless it cannot be written.
    changes: Option<Changes>,
}

/// The changes of a disk.
pub(super) struct Changes {
    pub(super) device: Rc<CowBlockDevice<IndexedDbOverlay>>,
    pub(super) database: Database,
    pub(super) vm_id: String,
    /// As what they are kept.
    pub(super) disk_id: String,
}

impl Disk {
    /// The disk of `order`, which cannot be written.
    pub(super) fn of_image(order: DiskOrder, image: Rc<dyn BlockDevice>) -> Self {
        Self::new(order, image, None)
    }

    /// The disk of `order`, which can be written.
    pub(super) fn with_changes(order: DiskOrder, changes: Changes) -> Self {
        let device = Rc::clone(&changes.device) as Rc<dyn BlockDevice>;
        Self::new(order, device, Some(changes))
    }

    fn new(order: DiskOrder, device: Rc<dyn BlockDevice>, changes: Option<Changes>) -> Self {
        let channel = order.mount.channel.clone();
        let alarmed = move |failure| {
            let channel = channel.clone();
            report(&StorageEvent::Alarm { channel, failure });
        };
        Self {
            order,
            device: Rc::new(Metered::new(device, alarmed)),
            changes,
        }
    }

    /// The channel that QEMU asks over.
    pub(super) fn channel(&self) -> &str {
        &self.order.mount.channel
    }

    pub(super) fn device(&self) -> Rc<dyn BlockDevice> {
        Rc::clone(&self.device) as Rc<dyn BlockDevice>
    }

    /// What keeps its changes, unless it cannot be written.
    pub(super) fn changes(&self) -> Option<&Changes> {
        self.changes.as_ref()
    }

    /// How it is used.
    pub(super) fn usage(&self) -> DiskUse {
        let DiskOrder { mount, disk_id } = &self.order;
        let changes = self.changes.as_ref();
        let (kept, dirty) = changes.map_or((0, 0), |changes| changes.device.usage());
        let (flushes, flush_ms) = self.device.flushes();
        DiskUse {
            channel: mount.channel.clone(),
            disk_id: disk_id.clone(),
            image: mount.source.file_name().to_owned(),
            format: mount.format,
            kind: mount.kind,
            keep: mount.keep,
            size: self.device.size(),
            kept,
            dirty,
            read: self.device.read_so_far(),
            written: self.device.written_so_far(),
            flushes,
            flush_ms,
            alarm: self.device.alarm(),
        }
    }

    /// Keeps what is not kept yet, and lets go of the disk. What was to last until now only is discarded.
    ///
    /// # Errors
    /// [`BlockError`] when it could not be kept.
    pub(super) async fn close(&self) -> Result<(), BlockError> {
        let closed = self.device.close().await;
        match &self.changes {
            Some(changes) if self.order.mount.keep == Keep::UntilPowerOff => {
                changes.database.remove(&changes.vm_id, &changes.disk_id).await
            }
            _ => closed,
        }
    }
}
