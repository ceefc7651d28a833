//! The browser's side, in a real browser: run by `cargo xtask test` in headless Chromium.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::rc::Rc;

use js_sys::{Array, Uint8Array};
use qemuweb_storage::cow::{Base, CowBlockDevice};
use qemuweb_storage::device::{BlockDevice, BlockError, SharedRuntime};
use qemuweb_storage::file::FileBlockDevice;
use qemuweb_storage::http::{HttpBlockDevice, RemoteError};
use qemuweb_storage::overlay::Limits;
use qemuweb_storage::overlay::record::{BLOCK, PAGE};
use qemuweb_storage::web::{BlobSlices, DATABASE, Database, EventLoop, FetchRanges, IndexedDbOverlay};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{
    Blob, FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetFileOptions,
    FileSystemWritableFileStream, Url,
};

wasm_bindgen_test_configure!(run_in_browser);

fn runtime() -> SharedRuntime {
    Rc::new(EventLoop)
}

fn image(length: usize) -> Vec<u8> {
    (0..length as u64)
        .step_by(8)
        .flat_map(|offset| offset.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes())
        .take(length)
        .collect()
}

fn blob(bytes: &[u8]) -> Blob {
    Blob::new_with_u8_array_sequence(&Array::of1(&Uint8Array::from(bytes))).unwrap()
}

async fn base(bytes: &[u8]) -> Base {
    let slices = BlobSlices::new(blob(bytes).into()).unwrap();
    Base {
        device: Rc::new(FileBlockDevice::open("image", slices, runtime()).await.unwrap()),
        identity: "image".into(),
    }
}

async fn disk(
    database: &Database,
    vm: &str,
    base: Option<Base>,
    size: u64,
) -> Result<CowBlockDevice<IndexedDbOverlay>, BlockError> {
    let store = IndexedDbOverlay::open(database, vm, "disk0").await?;
    CowBlockDevice::open(base, store, size, Limits::default(), runtime()).await
}

async fn read(device: &dyn BlockDevice, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    device.read(offset, &mut bytes).await.unwrap();
    bytes
}

#[wasm_bindgen_test]
async fn what_was_synced_is_there_again() {
    let database = Database::open().await.unwrap();
    let mut expected = image(3 * BLOCK as usize + 512);
    let device = disk(&database, "lasting", Some(base(&expected).await), 0)
        .await
        .unwrap();
    assert_eq!(device.id(), "lasting:disk0");
    let mut change =
        |offset: usize, bytes: &[u8]| expected[offset..offset + bytes.len()].copy_from_slice(bytes);
    // A sector, a page, a whole block, and zeroes.
    for (offset, length, byte) in [
        (512, 512, 1),
        (40_960, 4096, 2),
        (BLOCK as usize, BLOCK as usize, 3),
    ] {
        device.write(offset as u64, &vec![byte; length]).await.unwrap();
        change(offset, &vec![byte; length]);
    }
    device.discard(2 * BLOCK + 512, 100_352).await.unwrap();
    change(2 * BLOCK as usize + 512, &[0; 100_352]);
    device.sync().await.unwrap();
    // Not synced, and gone: this one is dropped and not closed.
    device.write(0, &[9; 512]).await.unwrap();
    drop(device);
    let device = disk(
        &database,
        "lasting",
        Some(base(&image(3 * BLOCK as usize + 512)).await),
        0,
    )
    .await
    .unwrap();
    assert!(read(&device, 0, expected.len()).await == expected);
    device.close().await.unwrap();
    database.remove_vm("lasting").await.unwrap();
}

#[wasm_bindgen_test]
async fn a_disk_belongs_to_one_base_one_user_and_one_name() {
    let database = Database::open().await.unwrap();
    let device = disk(&database, "owned", Some(base(&image(8192)).await), 0)
        .await
        .unwrap();
    device.write(0, &[1; 512]).await.unwrap();
    let busy = BlockError::Busy {
        id: "owned:disk0".into(),
    };
    assert_eq!(disk(&database, "owned", None, 8192).await.err().unwrap(), busy);
    assert_eq!(database.remove("owned", "disk0").await.unwrap_err(), busy);
    device.close().await.unwrap();
    assert_eq!(
        device.sync().await.unwrap_err(),
        BlockError::Closed {
            id: "owned:disk0".into()
        }
    );
    let error = disk(&database, "owned", None, 8192).await.err().unwrap();
    assert!(matches!(error, BlockError::Changed { .. }), "{error}");
    let error = disk(&database, "owned:x", None, 8192).await.err().unwrap();
    assert!(matches!(error, BlockError::Foreign { .. }), "{error}");
    database.remove_vm("owned").await.unwrap();
}

#[wasm_bindgen_test]
async fn disks_are_listed_and_removed() {
    let database = Database::open().await.unwrap();
    for vm in ["listed", "listed-too"] {
        let device = disk(&database, vm, None, 20 << 30).await.unwrap();
        device
            .write(19 << 30, &vec![1; 2 * BLOCK as usize])
            .await
            .unwrap();
        device.grow(30 << 30).await.unwrap();
        device.close().await.unwrap();
    }
    let disks = database.disks().await.unwrap();
    let found: Vec<_> = disks
        .iter()
        .filter(|disk| disk.vm_id.starts_with("listed"))
        .collect();
    assert_eq!(found.len(), 2);
    let header = found[0].header.as_ref().unwrap();
    assert_eq!(
        (found[0].blocks, header.size, header.base.as_str()),
        (2, 30 << 30, "")
    );
    database.remove_vm("listed").await.unwrap();
    let device = disk(&database, "listed-too", None, 0).await.unwrap();
    assert_eq!(device.size(), 30 << 30);
    assert!(read(&device, 19 << 30, PAGE).await == [1; PAGE]);
    device.close().await.unwrap();
    database.remove_vm("listed-too").await.unwrap();
    let left = database.disks().await.unwrap();
    assert!(
        left.iter().all(|disk| !disk.vm_id.starts_with("listed")),
        "{left:?}"
    );
}

#[wasm_bindgen_test]
async fn a_blob_is_read_as_it_is() {
    let bytes = image(3_000_001);
    let base = base(&bytes).await.device;
    assert_eq!(base.size(), 3_000_320);
    let read = read(base.as_ref(), 0, 3_000_320).await;
    assert!(read[..bytes.len()] == bytes && read[bytes.len()..].iter().all(|&byte| byte == 0));
    assert!(BlobSlices::new(JsValue::from("text")).is_none());
}

/// Writes a file of the origin's own file system, and returns its handle.
async fn write_file(name: &str, bytes: &[u8]) -> FileSystemFileHandle {
    let folder = web_sys::window().unwrap().navigator().storage().get_directory();
    let folder: FileSystemDirectoryHandle = JsFuture::from(folder).await.unwrap().unchecked_into();
    let options = FileSystemGetFileOptions::new();
    options.set_create(true);
    let file = JsFuture::from(folder.get_file_handle_with_options(name, &options))
        .await
        .unwrap();
    let file: FileSystemFileHandle = file.unchecked_into();
    let stream: FileSystemWritableFileStream = JsFuture::from(file.create_writable())
        .await
        .unwrap()
        .unchecked_into();
    JsFuture::from(stream.write_with_u8_array(bytes).unwrap())
        .await
        .unwrap();
    JsFuture::from(stream.close()).await.unwrap();
    file
}

#[wasm_bindgen_test]
async fn a_file_that_changes_under_its_handle_is_noticed() {
    let bytes = image(1 << 20);
    let handle = write_file("image", &bytes).await;
    let slices = BlobSlices::new(handle.into()).unwrap();
    let device = FileBlockDevice::open("image", slices, runtime()).await.unwrap();
    assert!(read(&device, 4096, 512).await == bytes[4096..4608]);
    write_file("image", &image(1 << 19)).await;
    let mut sector = [0; 512];
    // What was read is known; what was not is another file's.
    let error = device.read(900 << 10, &mut sector).await.unwrap_err();
    assert!(matches!(error, BlockError::Changed { .. }), "{error}");
}

/// A Blob's address is served with ranges by the browser itself.
#[wasm_bindgen_test]
async fn ranges_are_fetched() {
    let bytes = image(2_000_000);
    let url = Url::create_object_url_with_blob(&blob(&bytes)).unwrap();
    let device = HttpBlockDevice::open(&url, FetchRanges::new(&url, false), runtime())
        .await
        .unwrap();
    assert_eq!(device.size(), 2_000_384);
    assert!(read(&device, 1_000_448, 900_096).await == bytes[1_000_448..1_900_544]);
    // The address is gone, and with it the server.
    Url::revoke_object_url(&url).unwrap();
    assert!(read(&device, 1_000_448, 512).await == bytes[1_000_448..1_000_960]);
}

/// The server of these tests knows no ranges.
#[wasm_bindgen_test]
async fn a_server_without_ranges_is_named() {
    let url = web_sys::window().unwrap().location().href().unwrap();
    let opened = HttpBlockDevice::open(&url, FetchRanges::new(&url, false), runtime()).await;
    let Err(BlockError::Remote { source, .. }) = opened else {
        panic!("expected an error");
    };
    assert!(matches!(source, RemoteError::NoRanges { .. }), "{source}");
}

#[wasm_bindgen_test]
async fn a_deleted_database_is_an_error_and_stands_in_nobodys_way() {
    let database = Database::open().await.unwrap();
    let device = disk(&database, "deleted", None, 1 << 20).await.unwrap();
    device.write(0, &[1; 512]).await.unwrap();
    device.sync().await.unwrap();
    rexie::Rexie::delete(DATABASE).await.unwrap();
    device.write(0, &[2; 512]).await.unwrap();
    let error = device.sync().await.unwrap_err();
    assert!(matches!(error, BlockError::Store { .. }), "{error}");
    drop(device);
    let database = Database::open().await.unwrap();
    let device = disk(&database, "deleted", None, 1 << 20).await.unwrap();
    assert!(read(&device, 0, 512).await == [0; 512]);
    device.close().await.unwrap();
}

#[wasm_bindgen_test]
async fn a_copy_goes_its_own_way() {
    let database = Database::open().await.unwrap();
    let device = disk(&database, "model", None, 4 * BLOCK).await.unwrap();
    device.write(0, &image(BLOCK as usize)).await.unwrap();
    device.sync().await.unwrap();
    // To the journal, too.
    device.write(2 * BLOCK, &[7; PAGE]).await.unwrap();
    // Not while it is in use.
    let busy = database
        .copy_vm("model", "copy", |name| Some(format!("{name}x")), |_| ())
        .await
        .unwrap_err();
    assert!(matches!(busy, BlockError::Busy { .. }), "{busy}");
    device.close().await.unwrap();
    // Another disk, whose name begins as that one's.
    let store = IndexedDbOverlay::open(&database, "model", "disk0-2")
        .await
        .unwrap();
    let other = CowBlockDevice::open(None, store, BLOCK, Limits::default(), runtime())
        .await
        .unwrap();
    other.write(0, &[5; PAGE]).await.unwrap();
    other.close().await.unwrap();

    database
        .copy_vm("model", "copy", |name| Some(format!("{name}x")), |_| ())
        .await
        .unwrap();
    let disks = database.disks().await.unwrap();
    let copies: Vec<_> = disks.iter().filter(|disk| disk.vm_id == "copy").collect();
    assert_eq!(
        copies
            .iter()
            .map(|disk| disk.disk_id.as_str())
            .collect::<Vec<_>>(),
        ["disk0-2x", "disk0x"]
    );
    let (model, copy) = (
        disk(&database, "model", None, 0).await.unwrap(),
        CowBlockDevice::open(
            None,
            IndexedDbOverlay::open(&database, "copy", "disk0x").await.unwrap(),
            0,
            Limits::default(),
            runtime(),
        )
        .await
        .unwrap(),
    );
    for device in [&model, &copy] {
        assert!(read(device, 0, BLOCK as usize).await == image(BLOCK as usize));
        assert_eq!(read(device, 2 * BLOCK, PAGE).await, [7; PAGE]);
    }
    copy.write(2 * BLOCK, &[8; PAGE]).await.unwrap();
    copy.sync().await.unwrap();
    assert_eq!(read(&model, 2 * BLOCK, PAGE).await, [7; PAGE]);
    assert_eq!(read(&copy, 2 * BLOCK, PAGE).await, [8; PAGE]);
    model.close().await.unwrap();
    copy.close().await.unwrap();
    for vm in ["model", "copy"] {
        database.remove_vm(vm).await.unwrap();
    }
}
