//! `cargo xtask package`: the zip for the store, made from `target/extension`. The same files give the same bytes.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use qemuweb_vm_config::Arch;
use serde_json::Value;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::build;
use crate::setup::Needs;

/// The store refuses larger packages.
const MAX_PACKAGE: u64 = 2 << 30;

pub(crate) fn main() -> Result<()> {
    let paths = build::everything(&Needs::build(), &Arch::ALL)?;
    let (file, size) = write(&paths.extension(), &paths.target)?;
    println!("{} ({:.1} MiB)", file.display(), size as f64 / f64::from(1 << 20));
    Ok(())
}

/// Zips the unpacked extension into `directory`; returns the file and its size in bytes.
pub(crate) fn write(extension: &Path, directory: &Path) -> Result<(PathBuf, u64)> {
    let manifest: Value = serde_json::from_slice(
        &fs::read(extension.join("manifest.json")).context("target/extension has no manifest.json")?,
    )?;
    let version = manifest["version"]
        .as_str()
        .context("manifest.json has no version")?;
    let path = directory.join(format!("qemuweb-{version}.zip"));
    let mut files = Vec::new();
    list(extension, &mut files)?;
    files.sort();

    let file = fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut zip = ZipWriter::new(file);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9));
    for file in files {
        let name = file
            .strip_prefix(extension)?
            .to_str()
            .context("a file name that is no UTF-8")?;
        zip.start_file(name, options)?;
        zip.write_all(&fs::read(&file)?)?;
    }
    let size = zip.finish()?.metadata()?.len();
    if size > MAX_PACKAGE {
        bail!("the package has {size} bytes, the store takes at most {MAX_PACKAGE}");
    }
    Ok((path, size))
}

fn list(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::write;

    #[test]
    fn the_same_files_give_the_same_zip() {
        let extension = tempfile::tempdir().unwrap();
        std::fs::write(extension.path().join("manifest.json"), r#"{"version": "1.2"}"#).unwrap();
        std::fs::create_dir(extension.path().join("wasm")).unwrap();
        std::fs::write(extension.path().join("wasm/a.wasm"), [0; 1000]).unwrap();
        let target = tempfile::tempdir().unwrap();
        let (path, size) = write(extension.path(), target.path()).unwrap();
        assert_eq!(path.file_name().unwrap(), "qemuweb-1.2.zip");
        let first = std::fs::read(&path).unwrap();
        assert_eq!(first.len() as u64, size);
        let _ = write(extension.path(), target.path()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first);
    }
}
