//! Files of this computer.

use std::cell::Cell;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use qemuweb_storage::file::{Slices, Stamp};

/// Reads a file, and counts how often.
pub(crate) struct Disk {
    pub(crate) path: PathBuf,
    pub(crate) reads: Rc<Cell<usize>>,
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
