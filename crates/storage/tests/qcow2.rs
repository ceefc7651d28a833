//! qcow2 images that QEMU's own tools make and take.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/disk.rs"]
mod disk;
mod support;

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

use async_trait::async_trait;
use disk::Disk;
use qemuweb_storage::compression::Compression;
use qemuweb_storage::cow::Base;
use qemuweb_storage::device::{BlockDevice, BlockError};
use qemuweb_storage::file::FileBlockDevice;
use qemuweb_storage::qcow2::Qcow2Error;
use qemuweb_storage::qcow2::chain::{self, BackingFiles};
use qemuweb_storage::qcow2::header::{BackingFile, Note};
use qemuweb_storage::qcow2::reader::Qcow2BlockDevice;
use qemuweb_storage::qcow2::writer::{self, Options};
use qemuweb_storage::transfer::image::export_raw;
use qemuweb_storage::transfer::{Progress, Sink};
use support::{Tokio, run};

const MIB: usize = 1 << 20;

/// Whether QEMU's tools are there. Where they are not, nothing is tried, and the test says so.
fn has_tools() -> bool {
    let found = ["qemu-img", "qemu-io"].iter().all(|program| {
        let run = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        run.is_ok_and(|status| status.success())
    });
    if !found {
        eprintln!("SKIPPED: qemu-img and qemu-io are not installed (Debian's qemu-utils)");
    }
    found
}

/// Runs one of QEMU's tools in `folder`; the words of `line` are its arguments.
fn qemu(folder: &Path, line: &str, last: &[&str]) -> String {
    let mut words = line.split_whitespace().map(str::to_owned);
    let output = Command::new(words.next().unwrap())
        .args(words)
        .args(last)
        .current_dir(folder)
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line} {last:?}: {text}");
    text
}

/// Files of a folder, as they are found by images that lie over them.
struct Folder {
    path: PathBuf,
    tokio: Rc<Tokio>,
}

impl Folder {
    async fn file(&self, name: &str) -> Result<Base, BlockError> {
        let path = self.path.join(name);
        let reads = Rc::default();
        let tokio = Rc::<Tokio>::clone(&self.tokio);
        let device = FileBlockDevice::open(name, Disk { path, reads }, tokio).await?;
        Ok(Base {
            device: Rc::new(device),
            identity: format!("<{name}>"),
        })
    }

    async fn open(&self, name: &str) -> Result<Qcow2BlockDevice, BlockError> {
        chain::open(self.file(name).await?, self).await
    }

    /// Checks that what is read of an image is what qemu-img reads.
    async fn same(&self, name: &str) -> Qcow2BlockDevice {
        qemu(&self.path, "qemu-img convert -O raw", &[name, "expected.raw"]);
        let image = self.open(name).await.unwrap();
        let expected = fs::read(self.path.join("expected.raw")).unwrap();
        assert_eq!(image.size(), expected.len() as u64, "{name}");
        let mut bytes = vec![0; expected.len()];
        image.read(0, &mut bytes).await.unwrap();
        if let Some(at) = bytes
            .iter()
            .zip(&expected)
            .position(|(found, expected)| found != expected)
        {
            panic!("{name} differs at {at}");
        }
        // What it says that is zero is so.
        let mut at = 0;
        while at < image.size() {
            let extent = image.block_status(at, image.size() - at).await.unwrap();
            let bytes = &expected[at as usize..(at + extent.length) as usize];
            assert!(
                !extent.zero || bytes.iter().all(|&byte| byte == 0),
                "{name} at {at}"
            );
            at += extent.length;
        }
        // By pieces that begin and end anywhere.
        for (number, at) in (0..expected.len()).step_by(77 * 512).enumerate() {
            let length = (512 << (number % 8)).min(expected.len() - at);
            let mut bytes = vec![0; length];
            image.read(at as u64, &mut bytes).await.unwrap();
            assert!(bytes == expected[at..at + length], "{name} at {at}");
        }
        image
    }
}

#[async_trait(?Send)]
impl BackingFiles for Folder {
    async fn find(&self, _: &str, wanted: &BackingFile) -> Result<Option<Base>, BlockError> {
        match self.path.join(&wanted.name).exists() {
            true => self.file(&wanted.name).await.map(Some),
            false => Ok(None),
        }
    }
}

/// Runs a test in a folder of its own that has a disk in it, `disk.raw`, of noise, text, zeroes and nothing.
fn in_folder<F: Future<Output = ()>>(test: impl FnOnce(Rc<Folder>) -> F) {
    if !has_tools() {
        return;
    }
    run(async |tokio| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("disk.raw"), content()).unwrap();
        let path = folder.path().to_owned();
        test(Rc::new(Folder { path, tokio })).await;
    });
}

fn content() -> Vec<u8> {
    let noise = support::image(3 * MIB + 5 * 512);
    let text = "what is written often, compresses well; ".repeat(40_000);
    let mut bytes = vec![0; 12 * MIB + 7 * 512];
    bytes[512..512 + noise.len()].copy_from_slice(&noise);
    bytes[5 * MIB..5 * MIB + text.len()].copy_from_slice(text.as_bytes());
    bytes[9 * MIB + 300] = 1;
    let end = bytes.len();
    bytes[end - 700..].fill(7);
    bytes
}

const CHANGES: &[&str] = &[
    "-c",
    "write -P 0x5a 1000k 3k",
    "-c",
    "write -P 0x5b 2M 1M",
    "-c",
    "write -z 5200k 40k",
    "-c",
    "write -z -u 6M 2M",
    "-c",
    "discard 1536k 200k",
    "-c",
    "write -P 0x5c 9437k 512",
];

#[test]
fn all_that_qemu_makes_is_read() {
    in_folder(async |folder| {
        let mut options = Vec::new();
        for cluster in ["512", "4k", "64k", "2M"] {
            for version in ["0.10", "1.1"] {
                options.push((format!("cluster_size={cluster},compat={version}"), true));
            }
            options.push((format!("cluster_size={cluster},compression_type=zstd"), true));
        }
        for more in [
            "extended_l2=on,cluster_size=16k",
            "extended_l2=on,cluster_size=128k",
            "extended_l2=on,cluster_size=2M,compression_type=zstd",
            "refcount_bits=1,lazy_refcounts=on",
            "refcount_bits=64",
        ] {
            options.push((more.into(), !more.starts_with("refcount_bits=1,")));
        }
        for preallocation in ["metadata", "falloc", "full"] {
            options.push((format!("preallocation={preallocation}"), false));
        }
        for (options, compressible) in options {
            for packed in [false, true] {
                if packed && !compressible {
                    continue;
                }
                let _ = fs::remove_file(folder.path.join("image"));
                let line = format!(
                    "qemu-img convert -f raw -O qcow2 {} -o {options}",
                    if packed { "-c" } else { "" }
                );
                qemu(&folder.path, &line, &["disk.raw", "image"]);
                folder.same("image").await;
                qemu(&folder.path, "qemu-io -f qcow2", &[CHANGES, &["image"]].concat());
                folder.same("image").await;
            }
        }
    });
}

#[test]
fn images_over_each_other_are_read_as_one() {
    in_folder(async |folder| {
        let path = &folder.path;
        qemu(path, "qemu-img create -f qcow2 -F raw -b disk.raw", &["middle"]);
        qemu(path, "qemu-io -f qcow2", &[CHANGES, &["middle"]].concat());
        let top = "qemu-img create -f qcow2 -o extended_l2=on,cluster_size=128k -F qcow2 -b middle";
        qemu(path, top, &["top", "20M"]);
        let changes = [
            "-c",
            "write -P 1 4093k 2k",
            "-c",
            "write -z 2500k 68k",
            "-c",
            "write -P 2 13M 4k",
        ];
        qemu(path, "qemu-io -f qcow2", &[&changes[..], &["top"]].concat());
        let image = folder.same("top").await;
        assert_eq!(image.identity(), "<top> over <middle> over <disk.raw>");
        // One that does not say what lies beneath, and ends before it.
        fs::copy(path.join("top"), path.join("short")).unwrap();
        qemu(path, "qemu-img rebase -u -f qcow2 -b top -F qcow2", &["short"]);
        qemu(path, "qemu-img resize --shrink -f qcow2", &["short", "3M"]);
        folder.same("short").await;
        fs::remove_file(path.join("middle")).unwrap();
        let error = folder.open("top").await.err().unwrap();
        assert_eq!(
            error.to_string(),
            "top: the image lies over middle, which is not there"
        );
    });
}

#[test]
fn snapshots_and_sizes_that_changed_do_no_harm() {
    in_folder(async |folder| {
        let path = &folder.path;
        for options in ["compat=0.10", "extended_l2=on,cluster_size=64k"] {
            let line = format!("qemu-img convert -f raw -O qcow2 -o {options}");
            qemu(path, &line, &["disk.raw", "image"]);
            qemu(path, "qemu-img snapshot -c before", &["image"]);
            qemu(path, "qemu-io -f qcow2", &[CHANGES, &["image"]].concat());
            let image = folder.same("image").await;
            assert_eq!(image.notes(), [Note::Snapshots(1)]);
            qemu(path, "qemu-img snapshot -d before", &["image"]);
            qemu(path, "qemu-img resize -f qcow2", &["image", "+70M"]);
            qemu(path, "qemu-io -f qcow2", &["-c", "write -P 9 60M 100k", "image"]);
            folder.same("image").await;
            qemu(path, "qemu-img resize --shrink -f qcow2", &["image", "7M"]);
            assert_eq!(folder.same("image").await.notes(), []);
        }
    });
}

/// Opens `image` after changing some of its bytes.
async fn patched(
    folder: &Folder,
    image: &str,
    patches: &[(u64, &[u8])],
) -> Result<Qcow2BlockDevice, BlockError> {
    fs::copy(folder.path.join(image), folder.path.join("patched")).unwrap();
    let mut file = fs::File::options()
        .write(true)
        .open(folder.path.join("patched"))
        .unwrap();
    for (at, bytes) in patches {
        file.seek(SeekFrom::Start(*at)).unwrap();
        file.write_all(bytes).unwrap();
    }
    folder.open("patched").await
}

fn reason(opened: Result<Qcow2BlockDevice, BlockError>) -> String {
    match opened.err().unwrap() {
        BlockError::Qcow2 { source, .. } => source.to_string(),
        other => panic!("{other}"),
    }
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    in_folder(async |folder| {
        let path = &folder.path;
        qemu(path, "qemu-img convert -f raw -O qcow2", &["disk.raw", "image"]);
        let feature = |bit: u32| (1_u64 << bit).to_be_bytes();
        let with = async |bit: u32| patched(&folder, "image", &[(72, &feature(bit))]).await;
        assert_eq!(with(0).await.unwrap().notes(), [Note::Dirty]);
        assert_eq!(with(1).await.unwrap().notes(), [Note::Corrupt]);
        assert_eq!(
            reason(with(9).await),
            "the image has features that QemuWeb does not know: bit 9"
        );
        assert!(reason(with(2).await).starts_with("the image's data is in another file"));
        assert!(reason(with(3).await).starts_with("at byte 104: expected another compression"));
        let packed = patched(&folder, "image", &[(72, &feature(3)), (104, &[7])]).await;
        assert!(matches!(
            packed.err(),
            Some(BlockError::Qcow2 {
                source: Qcow2Error::Compression { number: 7 },
                ..
            })
        ));
        assert!(reason(patched(&folder, "image", &[(0, b"MZ")]).await).starts_with("expected a qcow2 image"));
        assert!(reason(patched(&folder, "image", &[(7, &[4])]).await).ends_with("found version 4"));
        assert!(reason(patched(&folder, "image", &[(20, &[0, 0, 0, 60])]).await).contains("found 2^60"));
        assert!(reason(patched(&folder, "image", &[(24, &[0x7f; 8])]).await).starts_with("at byte 24"));
        assert!(reason(patched(&folder, "image", &[(36, &[0; 4])]).await).starts_with("at byte 36"));
        assert!(reason(patched(&folder, "image", &[(40, &[0x7f; 8])]).await).starts_with("at byte 40"));
        // A feature that the image itself has a name for.
        let names = qemu(
            path,
            "qemu-img create -f qcow2 -o data_file=other.raw",
            &["external", "1M"],
        );
        assert!(names.contains("external"));
        assert_eq!(
            reason(folder.open("external").await),
            "the image's data is in another file, other.raw"
        );
        let secret = "qemu-img create --object secret,id=key,data=abc -f qcow2";
        let luks = format!("{secret} -o encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10");
        qemu(path, &luks, &["luks", "1M"]);
        assert_eq!(reason(folder.open("luks").await), "the image is encrypted (LUKS)");
        // Tables and clusters that lie beyond the end.
        let whole = fs::read(path.join("image")).unwrap();
        fs::write(path.join("cut"), &whole[..4 * MIB]).unwrap();
        let cut = folder.open("cut").await.unwrap();
        let error = cut.read(11 * MIB as u64, &mut vec![0; 2 * 512]).await.err();
        let error = error.or(cut.read(0, &mut vec![0; 9 * MIB]).await.err()).unwrap();
        assert!(error.to_string().contains("within the file's"), "{error}");
        // A compressed cluster of other bytes.
        qemu(
            path,
            "qemu-img convert -c -f raw -O qcow2",
            &["disk.raw", "packed"],
        );
        let packed = fs::read(path.join("packed")).unwrap();
        let noise: Vec<u8> = packed[5 * 65_536..].iter().map(|byte| !byte).collect();
        let packed = patched(&folder, "packed", &[(5 * 65_536, &noise)]).await.unwrap();
        let error = packed.read(0, &mut vec![0; 9 * MIB]).await.unwrap_err();
        assert!(
            error.to_string().contains("damaged") || error.to_string().contains("expected"),
            "{error}"
        );
    });
}

/// A file that is written as browsers do it: what is zero takes no room.
struct SparseFile(fs::File);

#[async_trait(?Send)]
impl Sink for SparseFile {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.0.write_all(bytes).map_err(|error| error.to_string())
    }

    async fn write_zeroes(&mut self, length: u64) -> Result<(), String> {
        let end = self
            .0
            .seek(SeekFrom::Current(length as i64))
            .map_err(|error| error.to_string())?;
        self.0.set_len(end).map_err(|error| error.to_string())
    }

    async fn write_head(&mut self, head: &[u8]) -> Result<(), String> {
        self.0
            .rewind()
            .and_then(|()| self.0.write_all(head))
            .map_err(|error| error.to_string())
    }
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

async fn exported(folder: &Folder, device: &dyn BlockDevice, options: Options) -> u64 {
    let mut sink = SparseFile(fs::File::create(folder.path.join("out")).unwrap());
    let mut last = 0;
    let mut watch = |progress: Progress| {
        assert!(progress.done >= last && progress.total == device.size());
        last = progress.done;
        go_on(progress)
    };
    let length = writer::export(device, &mut sink, options, &mut watch)
        .await
        .unwrap();
    assert_eq!(last, device.size());
    assert_eq!(length, fs::metadata(folder.path.join("out")).unwrap().len());
    let checked = qemu(&folder.path, "qemu-img check -f qcow2", &["out"]);
    assert!(checked.contains("No errors were found"), "{options:?}: {checked}");
    length
}

#[test]
fn what_is_written_qemu_takes() {
    in_folder(async |folder| {
        let raw = folder.file("disk.raw").await.unwrap().device;
        let mut sizes = Vec::new();
        for cluster_bits in [9, 12, 16, 21] {
            for compression in [None, Some(Compression::Deflate), Some(Compression::Zstd)] {
                let options = Options {
                    cluster_bits,
                    compression,
                };
                let length = exported(&folder, raw.as_ref(), options).await;
                qemu(
                    &folder.path,
                    "qemu-img compare -f raw -F qcow2",
                    &["disk.raw", "out"],
                );
                folder.same("out").await;
                // QEMU can write to it.
                qemu(&folder.path, "qemu-io -f qcow2", &[CHANGES, &["out"]].concat());
                let checked = qemu(&folder.path, "qemu-img check -f qcow2", &["out"]);
                assert!(checked.contains("No errors were found"), "{options:?}: {checked}");
                folder.same("out").await;
                sizes.push((cluster_bits, length));
            }
        }
        // Of the text next to nothing is left, of the zeroes nothing.
        let plain = sizes
            .iter()
            .filter(|(bits, _)| *bits == 16)
            .map(|(_, length)| *length);
        let plain: Vec<u64> = plain.collect();
        assert!(
            plain[0] < 5 * MIB as u64 + 900_000 && plain[1] < 4 * MIB as u64 && plain[2] < 4 * MIB as u64,
            "{plain:?}"
        );
    });
}

#[test]
fn disks_of_a_terabyte_take_the_time_of_what_is_on_them() {
    in_folder(async |folder| {
        let path = &folder.path;
        qemu(path, "qemu-img create -f qcow2", &["huge", "1T"]);
        let changes = [
            "-c",
            "write -P 1 0 1M",
            "-c",
            "write -P 2 600G 3M",
            "-c",
            "write -P 3 1048572M 4M",
        ];
        qemu(path, "qemu-io -f qcow2", &[&changes[..], &["huge"]].concat());
        let image = folder.open("huge").await.unwrap();
        let length = exported(&folder, &image, Options::default()).await;
        assert!(length < 10 * MIB as u64, "{length} bytes");
        qemu(path, "qemu-img compare -f qcow2 -F qcow2", &["huge", "out"]);
        let mut sink = SparseFile(fs::File::create(path.join("huge.raw")).unwrap());
        let length = export_raw(&image, &mut sink, &mut go_on).await.unwrap();
        assert_eq!(length, 1 << 40);
        qemu(path, "qemu-img compare -f qcow2 -F raw", &["huge", "huge.raw"]);
    });
}

#[test]
fn raw_images_leave_out_zeroes() {
    in_folder(async |folder| {
        let raw = folder.file("disk.raw").await.unwrap().device;
        let mut copy = Vec::new();
        export_raw(raw.as_ref(), &mut copy, &mut go_on).await.unwrap();
        assert!(copy == content());
        let path = folder.path.join("copy.raw");
        let mut sink = SparseFile(fs::File::create(&path).unwrap());
        export_raw(raw.as_ref(), &mut sink, &mut go_on).await.unwrap();
        assert!(fs::read(&path).unwrap() == content());
        let taken = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&path).unwrap()) * 512;
        assert!(taken < 6 * MIB as u64, "{taken} bytes");
    });
}
