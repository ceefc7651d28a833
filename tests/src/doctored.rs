//! The extension with something changed, for what cannot be brought about from outside.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::extension_dir;

/// A copy of the extension with something changed.
///
/// # Errors
/// Those of the file system, and of `change`.
pub fn doctored(change: impl Fn(&Path) -> Result<()>) -> Result<TempDir> {
    let directory = tempfile::Builder::new().prefix("qemuweb-doctored-").tempdir()?;
    link_tree(&extension_dir(), directory.path())?;
    change(directory.path())?;
    Ok(directory)
}

/// Copies a directory tree by hard links where the file system allows it.
fn link_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            link_tree(&source, &target)?;
        } else if fs::hard_link(&source, &target).is_err() {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
