//! Where things are: the repository, its target directory, the per-user cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// The places all verbs work with.
pub(crate) struct Paths {
    /// The repository.
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
    /// The per-user cache, shared with the scripts of `qemu-wasm/`.
    pub(crate) cache: PathBuf,
    /// What `cargo metadata --no-deps` says about the workspace.
    pub(crate) metadata: Value,
}

impl Paths {
    /// Finds them.
    pub(crate) fn find() -> Result<Self> {
        // Cargo tells where it runs us from; by itself the program knows where it was built.
        let xtask =
            std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&xtask)
            .parent()
            .context("xtask is not in a repository")?;
        let mut command = process::cargo(root);
        command.args(["metadata", "--no-deps", "--format-version=1"]);
        let metadata: Value = serde_json::from_str(&process::output(&mut command)?)?;
        let target = metadata["target_directory"]
            .as_str()
            .context("cargo metadata names no target directory")?;
        Ok(Paths {
            root: root.to_owned(),
            target: target.into(),
            cache: cache_dir()?,
            metadata,
        })
    }

    /// The unpacked extension, as [`crate::build`] stages it.
    pub(crate) fn extension(&self) -> PathBuf {
        self.target.join("extension")
    }

    /// A command that runs one of the repository's own scripts.
    pub(crate) fn script(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        command.arg(self.root.join(script)).current_dir(&self.root);
        command
    }
}

fn cache_dir() -> Result<PathBuf> {
    if let Some(cache) = std::env::var_os("QEMUWEB_CACHE") {
        return Ok(cache.into());
    }
    let base = match std::env::var_os("XDG_CACHE_HOME") {
        Some(base) => base.into(),
        None => PathBuf::from(std::env::var_os("HOME").context("$HOME is not set: set QEMUWEB_CACHE")?)
            .join(".cache"),
    };
    Ok(base.join("qemuweb"))
}
