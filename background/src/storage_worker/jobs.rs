//! What is done with disks that nobody uses.

use std::ops::ControlFlow;
use std::rc::Rc;

use async_trait::async_trait;
use gloo_timers::future::TimeoutFuture;
use js_sys::Date;
use qemuweb_machine::storage::{DiskJob, DiskOrder, StorageEvent, WholeDisk};
use qemuweb_storage::compression::Compression;
use qemuweb_storage::cow::Base;
use qemuweb_storage::device::{BlockDevice, BlockError};
use qemuweb_storage::file::FileSource;
use qemuweb_storage::overlay::record::BLOCK;
use qemuweb_storage::overlay_file;
use qemuweb_storage::qcow2::chain::{self, BackingFiles};
use qemuweb_storage::qcow2::header::BackingFile;
use qemuweb_storage::qcow2::writer;
use qemuweb_storage::transfer::{Progress, TransferError, Watch, image};
use qemuweb_storage::web::{BlobSink, BlobSlices, Database, IndexedDbOverlay, StoredDisk};
use qemuweb_vm_config::DiskFormat;
use qemuweb_wire::Failure;
use qemuweb_wire::disk::{ExportAs, KeptDisk};
use wasm_bindgen::JsValue;
use web_sys::Blob;

use super::disk::Disk;
use super::{failure, open, report};

/// How often progress is told, in milliseconds.
const TELL_MS: f64 = 100.0;

/// Does what is asked for, and gives what is to be told, and the file that was to be made.
///
/// # Errors
/// A [`Failure`]; what was to be copied or imported is then not there.
pub(super) async fn carry_out(
    job: DiskJob,
    attachments: &[JsValue],
    database: &Database,
) -> Result<(Vec<KeptDisk>, Option<Blob>), Failure> {
    let refused = |error: BlockError| failure(&error);
    match job {
        DiskJob::List => {
            let disks = database.disks().await.map_err(refused)?;
            return Ok((disks.into_iter().map(kept).collect(), None));
        }
        DiskJob::Discard { vm_id, disk_id } => {
            database.remove(&vm_id, &disk_id).await.map_err(refused)?;
        }
        DiskJob::Copy {
            from,
            from_suffix,
            to,
            to_suffix,
        } => {
            let rename = |name: &str| Some(format!("{}{to_suffix}", name.strip_suffix(&from_suffix)?));
            let told = |done| report(&StorageEvent::Progress { done, total: None });
            database
                .copy_vm(&from, &to, rename, told)
                .await
                .map_err(refused)?;
        }
        DiskJob::Export { disk, format } => {
            let file = export(disk, format, attachments, database).await?;
            return Ok((Vec::new(), Some(file)));
        }
        DiskJob::Import { disk } => import(&disk, attachments, database).await?,
    }
    Ok((Vec::new(), None))
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

async fn export(
    disk: WholeDisk,
    format: ExportAs,
    attachments: &[JsValue],
    database: &Database,
) -> Result<Blob, Failure> {
    let WholeDisk { vm_id, arch, order } = disk;
    let of_image = order.mount.format;
    let disk = open::open(order, &vm_id, arch, attachments, database).await?;
    let mut sink = BlobSink::default();
    let exported = write(&disk, of_image, format, &mut sink).await;
    let closed = disk.close().await;
    exported.map_err(|error| transfer_failure(&error))?;
    closed.map_err(|error| failure(&error))?;
    sink.finish()
        .map_err(|reason| transfer_failure(&TransferError::Sink { reason }))
}

async fn write(
    disk: &Disk,
    of_image: DiskFormat,
    format: ExportAs,
    sink: &mut BlobSink,
) -> Result<(), TransferError> {
    let mut teller = Teller::default();
    if format == ExportAs::Overlay {
        let changes = disk.changes().ok_or_else(|| BlockError::ReadOnly {
            id: disk.channel().to_owned(),
        })?;
        return overlay_file::export(&changes.device, sink, &mut teller)
            .await
            .map(drop);
    }
    let device = match of_image {
        DiskFormat::Qcow2 => {
            let file = Base {
                device: disk.device(),
                identity: String::new(),
            };
            Rc::new(chain::open(file, &NoBackingFiles).await?) as Rc<dyn BlockDevice>
        }
        _ => disk.device(),
    };
    let compression = match format {
        ExportAs::Overlay | ExportAs::Raw => {
            return image::export_raw(device.as_ref(), sink, &mut teller)
                .await
                .map(drop);
        }
        ExportAs::Qcow2 => None,
        ExportAs::Qcow2Zlib => Some(Compression::Deflate),
        ExportAs::Qcow2Zstd => Some(Compression::Zstd),
    };
    let options = writer::Options {
        compression,
        ..writer::Options::default()
    };
    writer::export(device.as_ref(), sink, options, &mut teller)
        .await
        .map(drop)
}

async fn import(disk: &WholeDisk, attachments: &[JsValue], database: &Database) -> Result<(), Failure> {
    let WholeDisk { vm_id, order, .. } = disk;
    let DiskOrder { disk_id, .. } = order;
    let base = open::identity(order, attachments).await?;
    let slices = attachments.last().cloned().and_then(BlobSlices::new);
    let slices = slices.ok_or_else(|| Failure::new("the file did not reach the storage"))?;
    let source = FileSource::open("the file", slices)
        .await
        .map_err(|error| failure(&error))?;
    let store = IndexedDbOverlay::open(database, vm_id, disk_id).await;
    let store = store.map_err(|error| failure(&error))?;
    let size = source.size();
    overlay_file::import(&source, size, &base, &store, &mut Teller::default())
        .await
        .map(drop)
        .map_err(|error| transfer_failure(&error))
}

/// Disks that machines are started with have none: they are refused when they are chosen.
struct NoBackingFiles;

#[async_trait(?Send)]
impl BackingFiles for NoBackingFiles {
    async fn find(&self, _of: &str, _wanted: &BackingFile) -> Result<Option<Base>, BlockError> {
        Ok(None)
    }
}

/// Tells progress, now and then.
#[derive(Default)]
struct Teller {
    told_at: f64,
}

#[async_trait(?Send)]
impl Watch for Teller {
    async fn report(&mut self, progress: Progress) -> ControlFlow<()> {
        let now = Date::now();
        if now - self.told_at >= TELL_MS || progress.done == progress.total {
            self.told_at = now;
            let Progress { done, total } = progress;
            let total = Some(total);
            report(&StorageEvent::Progress { done, total });
            // What else this Worker was told has a turn.
            TimeoutFuture::new(0).await;
        }
        ControlFlow::Continue(())
    }
}

fn transfer_failure(error: &TransferError) -> Failure {
    Failure::from_error(error).with_next_step(error.next_step())
}
