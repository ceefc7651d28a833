//! Opening a disk: its image, whether that is what the machine needs, and its changes.

use std::ops::Range;
use std::rc::Rc;

use js_sys::{Array, Uint8Array};
use qemuweb_machine::storage::DiskOrder;
use qemuweb_storage::cow::{Base, CowBlockDevice};
use qemuweb_storage::device::{BlockDevice, BlockError, SECTOR};
use qemuweb_storage::file::FileBlockDevice;
use qemuweb_storage::http::HttpBlockDevice;
use qemuweb_storage::memory::MemoryBlockDevice;
use qemuweb_storage::overlay::Limits;
use qemuweb_storage::sparse::SparseBlockDevice;
use qemuweb_storage::web::{BlobSlices, Database, EventLoop, FetchRanges, IndexedDbOverlay};
use qemuweb_vm_config::{Arch, DiskMountInfo, InputSource, Keep, Role, check_content};
use qemuweb_wire::Failure;
use wasm_bindgen::JsValue;
use web_sys::Blob;

use super::disk::{Changes, Disk};
use super::failure;
use crate::blob::examine_with;
use crate::vm_worker::{fetch_whole, package_guest_file};

/// An image.
struct Image {
    device: Rc<dyn BlockDevice>,
    /// What tells it from others.
    identity: String,
    /// Its length in bytes, which may be no multiple of a sector's.
    length: u64,
    /// Whether nobody has looked at it yet.
    is_foreign: bool,
}

/// What the image of a disk is known by, for changes that are made elsewhere; nothing for a disk that lies over none.
///
/// # Errors
/// A [`Failure`] when its image cannot be read.
pub(super) async fn identity(order: &DiskOrder, attachments: &[JsValue]) -> Result<String, Failure> {
    match order.mount.keep {
        Keep::Copy => Ok(String::new()),
        _ => Ok(open_image(&order.mount.source, attachments).await?.identity),
    }
}

/// Opens a disk of `vm_id`, whose attached image is among `attachments`.
///
/// # Errors
/// A [`Failure`] when its image cannot be read or is not what it has to be, or when its changes belong to another one.
pub(super) async fn open(
    order: DiskOrder,
    vm_id: &str,
    arch: Arch,
    attachments: &[JsValue],
    database: &Database,
) -> Result<Disk, Failure> {
    let mount = &order.mount;
    if mount.keep == Keep::Copy {
        let changes = open_copy(&order, vm_id, database).await?;
        let device = Rc::clone(&changes.device) as Rc<dyn BlockDevice>;
        return Ok(Disk::new(order, device, Some(changes)));
    }
    let image = open_image(&mount.source, attachments).await?;
    if image.is_foreign {
        check(mount, arch, &image).await?;
    }
    if mount.keep == Keep::Nothing {
        return Ok(Disk::new(order, image.device, None));
    }
    let discarded = mount.keep == Keep::UntilPowerOff;
    let disk_id = if discarded {
        format!("{}-discarded", order.disk_id)
    } else {
        order.disk_id.clone()
    };
    if discarded {
        // What a former run has left, if the browser ended with it.
        let removed = database.remove(vm_id, &disk_id).await;
        removed.map_err(|error| failure(&error))?;
    }
    let base = Base {
        device: Rc::clone(&image.device),
        identity: image.identity,
    };
    let changes = open_changes(Some(base), 0, vm_id, disk_id, database).await;
    let changes = changes.map_err(|error| failure(&error))?;
    Ok(Disk::new(order, image.device, Some(changes)))
}

async fn open_changes(
    base: Option<Base>,
    size: u64,
    vm_id: &str,
    disk_id: String,
    database: &Database,
) -> Result<Changes, BlockError> {
    let store = IndexedDbOverlay::open(database, vm_id, &disk_id).await?;
    let device = CowBlockDevice::open(base, store, size, Limits::default(), Rc::new(EventLoop)).await?;
    Ok(Changes {
        device: Rc::new(device),
        database: database.clone(),
        vm_id: vm_id.to_owned(),
        disk_id,
    })
}

/// A disk that begins as its image, and is the VM's own from then on: the image may be another one in the next version of the
/// package.
async fn open_copy(order: &DiskOrder, vm_id: &str, database: &Database) -> Result<Changes, Failure> {
    let source = &order.mount.source;
    let InputSource::Builtin(file) = source else {
        return Err(Failure::new(format!(
            "expected an image of the package to begin a disk with, found {}",
            source.file_name()
        )));
    };
    let image = sparse(&file.path).await?;
    let changes = open_changes(None, image.size(), vm_id, order.disk_id.clone(), database).await;
    let changes = changes.map_err(|error| failure(&error))?;
    if changes.device.is_new() {
        begin_with(changes.device.as_ref(), &image)
            .await
            .map_err(|error| failure(&error))?;
    }
    Ok(changes)
}

/// Writes an image to a disk that is new, in one transaction, as it is far smaller than what goes into one: the disk is new, or has
/// all of it.
async fn begin_with(disk: &dyn BlockDevice, image: &SparseBlockDevice) -> Result<(), BlockError> {
    for (offset, page) in image.pages() {
        disk.write(offset, page).await?;
    }
    disk.sync().await
}

async fn open_image(source: &InputSource, attachments: &[JsValue]) -> Result<Image, Failure> {
    let name = source.file_name();
    match source {
        InputSource::Builtin(file) if is_sparse(&file.path) => {
            let device = sparse(&file.path).await?;
            let length = device.size();
            Ok(Image {
                device: Rc::new(device),
                identity: format!("{}: {length} bytes", file.path),
                length,
                is_foreign: false,
            })
        }
        InputSource::Builtin(file) => {
            let bytes = package_guest_file(&file.path).await?;
            Ok(Image {
                identity: known_by(&file.path, &bytes),
                length: u64::from(bytes.length()),
                device: Rc::new(MemoryBlockDevice::with_bytes(name, bytes.to_vec(), true)),
                is_foreign: false,
            })
        }
        InputSource::Url(url) | InputSource::UrlWithCredentials(url) => {
            let with_credentials = matches!(source, InputSource::UrlWithCredentials(_));
            let ranges = FetchRanges::new(url, with_credentials);
            let device = match HttpBlockDevice::open(url, ranges, Rc::new(EventLoop)).await {
                Err(BlockError::Remote { source, .. }) if source.whole_would_do() => {
                    return whole(url, with_credentials).await;
                }
                device => device.map_err(|error| failure(&error))?,
            };
            Ok(Image {
                identity: device.identity().to_owned(),
                length: device.length(),
                device: Rc::new(device),
                is_foreign: true,
            })
        }
        InputSource::Attachment(attachment) => {
            let blob = attachments.get(attachment.index as usize).cloned();
            let slices = blob.and_then(BlobSlices::new).ok_or_else(|| {
                Failure::new(format!("the file {name} did not reach the VM's storage"))
                    .with_next_step("Choose the file again.")
            })?;
            let device = FileBlockDevice::open(name, slices, Rc::new(EventLoop)).await;
            let device = device.map_err(|error| failure(&error))?;
            Ok(Image {
                identity: device.identity().to_owned(),
                length: device.length(),
                device: Rc::new(device),
                is_foreign: true,
            })
        }
        // The host attaches stored files.
        InputSource::Stored(file) => Err(Failure::new(format!(
            "the file {} did not reach the VM's storage",
            file.name
        ))),
    }
}

/// An image that its server gives as a whole only. The browser keeps it, in memory or in a file of its own.
async fn whole(url: &str, with_credentials: bool) -> Result<Image, Failure> {
    let bytes = fetch_whole(url, with_credentials).await?;
    let blob = Blob::new_with_u8_array_sequence(&Array::of1(&bytes));
    let slices = blob.ok().and_then(|blob| BlobSlices::new(blob.into()));
    let slices = slices.ok_or_else(|| Failure::new(format!("the browser has no room for {url}")))?;
    let device = FileBlockDevice::open(url, slices, Rc::new(EventLoop)).await;
    let device = device.map_err(|error| failure(&error))?;
    Ok(Image {
        identity: known_by(url, &bytes),
        length: device.length(),
        device: Rc::new(device),
        is_foreign: true,
    })
}

/// What tells an image that is here from another one of the same name.
fn known_by(name: &str, bytes: &Uint8Array) -> String {
    const PIECE: u32 = 1 << 20;
    let mut sum = crc32fast::Hasher::new();
    for start in (0..bytes.length()).step_by(PIECE as usize) {
        sum.update(
            &bytes
                .subarray(start, start.saturating_add(PIECE).min(bytes.length()))
                .to_vec(),
        );
    }
    format!(
        "{name}: {} bytes with CRC-32 {:08x}",
        bytes.length(),
        sum.finalize()
    )
}

/// Whether a file of the package has the pages of an image that are not zero.
fn is_sparse(path: &str) -> bool {
    path.ends_with(".sparse.gz")
}

async fn sparse(path: &str) -> Result<SparseBlockDevice, Failure> {
    let bytes = package_guest_file(path).await?.to_vec();
    SparseBlockDevice::open(path, &bytes)
        .map_err(|error| Failure::from_error(&error).with_next_step(error.next_step()))
}

/// Refuses an image that cannot be what the machine needs it for. That at a URL is seen here for the first time: QEMU was told
/// the format that its name promised, and the snapshot that the person named.
async fn check(mount: &DiskMountInfo, arch: Arch, image: &Image) -> Result<(), Failure> {
    let name = mount.source.file_name();
    let role = Role {
        boots: mount.boots,
        ..Role::of(mount.kind, arch)
    };
    let part = async |range| read(image, range).await;
    let verdict = examine_with(image.length, part, |sample| check_content(role, name, sample)).await;
    let found = verdict
        .map_err(|error| failure(&error))?
        .map_err(|error| Failure::from_error(&error).with_next_step(error.next_step))?;
    let format = found.disk_format();
    if format != mount.format {
        let format = format.as_str();
        return Err(Failure::new(format!(
            "{name} is not in the format that its name promises: it is a {format} image"
        ))
        .with_next_step(format!("Set the disk's format to {format}.")));
    }
    match &mount.snapshot {
        Some(wanted) => found
            .find_snapshot(name, wanted)
            .map_err(|error| Failure::from_error(&error).with_next_step(error.next_step)),
        None => Ok(()),
    }
}

/// Any bytes of an image, which is read by sectors.
async fn read(image: &Image, range: Range<u64>) -> Result<Vec<u8>, BlockError> {
    let start = range.start / SECTOR * SECTOR;
    let end = range.end.next_multiple_of(SECTOR).min(image.device.size());
    let mut bytes = vec![0; end.saturating_sub(start) as usize];
    image.device.read(start, &mut bytes).await?;
    bytes.truncate((range.end - start) as usize);
    bytes.drain(..(range.start - start) as usize);
    Ok(bytes)
}
