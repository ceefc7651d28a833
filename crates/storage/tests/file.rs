//! Images that are files of the computer, which change and vanish.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/disk.rs"]
mod disk;
mod support;

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::UNIX_EPOCH;

use disk::Disk;
use qemuweb_storage::device::{BlockDevice, BlockError};
use qemuweb_storage::file::FileBlockDevice;
use support::{image, run};

#[test]
fn a_file_is_read_in_large_pieces() {
    run(async |tokio| {
        let folder = tempfile::tempdir().unwrap();
        let (path, reads) = (folder.path().join("image"), Rc::new(Cell::new(0)));
        let bytes = image(5_000_001);
        fs::write(&path, &bytes).unwrap();
        let disk = Disk {
            path,
            reads: Rc::clone(&reads),
        };
        let device = FileBlockDevice::open("image", disk, tokio).await.unwrap();
        assert_eq!((device.size(), device.readonly()), (5_000_192, true));
        let mut read = vec![0; device.size() as usize];
        for (offset, target) in (0_u64..).step_by(4096).zip(read.chunks_mut(4096)) {
            device.read(offset, target).await.unwrap();
        }
        assert!(read[..bytes.len()] == bytes && read[bytes.len()..].iter().all(|&byte| byte == 0));
        assert!(reads.get() < 40, "{} reads of the file", reads.get());
    });
}

#[test]
fn a_file_that_changes_or_vanishes_is_noticed() {
    run(async |tokio| {
        type Change = fn(&PathBuf);
        let later = |path: &PathBuf| {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(UNIX_EPOCH + std::time::Duration::from_secs(5))
                .unwrap();
        };
        let changes: &[(Change, bool)] = &[
            (later, true),
            (
                |path| {
                    fs::File::options()
                        .write(true)
                        .open(path)
                        .unwrap()
                        .set_len(1 << 20)
                        .unwrap()
                },
                true,
            ),
            (
                |path| {
                    fs::File::options()
                        .write(true)
                        .open(path)
                        .unwrap()
                        .set_len(9 << 20)
                        .unwrap()
                },
                true,
            ),
            (|path| fs::remove_file(path).unwrap(), false),
        ];
        for (change, changed) in changes {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("image");
            fs::write(&path, image(8 << 20)).unwrap();
            let disk = Disk {
                path: path.clone(),
                reads: Rc::default(),
            };
            let device = FileBlockDevice::open("image", disk, Rc::<support::Tokio>::clone(&tokio))
                .await
                .unwrap();
            let mut sector = [0; 512];
            device.read(0, &mut sector).await.unwrap();
            change(&path);
            let error = device.read(4 << 20, &mut sector).await.unwrap_err();
            assert_eq!(matches!(error, BlockError::Changed { .. }), *changed, "{error}");
            assert_eq!(
                matches!(error, BlockError::Unreadable { .. }),
                !changed,
                "{error}"
            );
        }
        let gone = Disk {
            path: "/nonexistent".into(),
            reads: Rc::default(),
        };
        let error = FileBlockDevice::open("gone", gone, tokio).await.err().unwrap();
        assert!(matches!(error, BlockError::Unreadable { .. }), "{error}");
    });
}
