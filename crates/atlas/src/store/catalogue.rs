//! All files that are registered or can be brought back, in memory.

use std::collections::BTreeMap;

use crate::canonical::{Canonical, Invalid};
use crate::error::AtlasError;
use crate::metadata::FileMetadata;
use crate::records::{Page, Records, Table};

use super::PAGE;

/// The files. Names lead to ids.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    files: BTreeMap<String, FileMetadata>,
    names: BTreeMap<String, String>,
    deleted: BTreeMap<String, FileMetadata>,
}

impl Catalogue {
    pub(crate) async fn load(records: &dyn Records) -> Result<Self, AtlasError> {
        let mut catalogue = Self::default();
        for file in load(records, Table::Files).await? {
            catalogue.insert(file);
        }
        for file in load(records, Table::Deleted).await? {
            catalogue.deleted.insert(file.id.clone(), file);
        }
        Ok(catalogue)
    }

    /// Puts a file in, or in the place of what it was.
    pub(crate) fn insert(&mut self, file: FileMetadata) {
        self.deleted.remove(&file.id);
        let (id, name) = (file.id.clone(), file.name.clone());
        if let Some(former) = self.files.insert(id.clone(), file) {
            self.names.remove(&former.name);
        }
        self.names.insert(name, id);
    }

    /// Takes a file out, with the way back.
    pub(crate) fn delete(&mut self, file: FileMetadata) {
        if let Some(former) = self.files.remove(&file.id) {
            self.names.remove(&former.name);
        }
        self.deleted.insert(file.id.clone(), file);
    }

    /// Takes the way back.
    pub(crate) fn purge(&mut self, id: &str) {
        self.deleted.remove(id);
    }

    pub(crate) fn file(&self, id: &str) -> Option<&FileMetadata> {
        self.files.get(id)
    }

    pub(crate) fn deleted_file(&self, id: &str) -> Option<&FileMetadata> {
        self.deleted.get(id)
    }

    pub(crate) fn named(&self, name: &str) -> Option<&FileMetadata> {
        self.files.get(self.names.get(name)?)
    }

    /// All files, in the order of their names.
    pub(crate) fn files(&self) -> impl Iterator<Item = &FileMetadata> {
        self.names.values().filter_map(|id| self.files.get(id))
    }

    /// All that can be brought back, in no order.
    pub(crate) fn deleted(&self) -> impl Iterator<Item = &FileMetadata> {
        self.deleted.values()
    }
}

async fn load(records: &dyn Records, table: Table) -> Result<Vec<FileMetadata>, AtlasError> {
    let mut files = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = Page {
            prefix: String::new(),
            after: after.take(),
            most: PAGE,
        };
        let rows = records.records(table, &page).await?;
        let is_last = rows.len() < PAGE;
        for (key, bytes) in rows {
            let file = FileMetadata::decode(&bytes)?;
            if file.id != key {
                return Err(Invalid::new(format!("the file {key}"), file.id).into());
            }
            files.push(file);
            after = Some(key);
        }
        if is_last {
            return Ok(files);
        }
    }
}
