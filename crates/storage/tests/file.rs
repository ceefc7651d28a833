//! Images that are files of the computer, which change and vanish.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::Cell;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use qemuweb_storage::device::{BlockDevice, BlockError};
use qemuweb_storage::file::{FileBlockDevice, Slices, Stamp};
use support::{image, run};

/// Reads a file, and counts how often.
struct Disk {
    path: PathBuf,
    reads: Rc<Cell<usize>>,
}

#[async_trait(?Send)]
impl Slices for Disk {
    async fn stamp(&self) -> Result<Stamp, String> {
        let data = fs::metadata(&self.path).map_err(|error| error.to_string())?;
        Ok(Stamp {
            size: data.len(),
            modified: data
                .modified()
                .unwrap()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_secs_f64()
                * 1000.0,
        })
    }

    async fn slice(&self, start: u64, end: u64) -> Result<(Stamp, Vec<u8>), String> {
        self.reads.set(self.reads.get() + 1);
        let stamp = self.stamp().await?;
        let read = || {
            let mut file = fs::File::open(&self.path)?;
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(start))?;
            file.take(end - start).read_to_end(&mut bytes).map(|_| bytes)
        };
        read()
            .map(|bytes| (stamp, bytes))
            .map_err(|error: std::io::Error| error.to_string())
    }
}

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
