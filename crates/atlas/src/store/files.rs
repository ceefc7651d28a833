//! Files by name: registered, found, renamed, tagged, deleted and brought back.

use super::Atlas;
use super::catalogue::Catalogue;
use crate::canonical::Canonical;
use crate::error::AtlasError;
use crate::hash::ContentHash;
use crate::manifest::ManifestType;
use crate::metadata::{FileFilter, FileMetadata, FileOrigin, check_name, tidy_tags};
use crate::provenance::{Actor, ProvenanceType, Statement};
use crate::records::{Batch, Table};

/// What there is to say about a file that comes.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// What it is.
    pub kind: ManifestType,
    /// Its MIME type, where one is known.
    pub mime_type: Option<String>,
    /// How it came to be here.
    pub origin: FileOrigin,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Whether the assistant may read it.
    pub shared_with_assistant: bool,
    /// Where it comes from. Its manifest and its time are filled in.
    pub provenance: Option<Statement>,
}

impl FileOptions {
    /// A file that a person uploads, with a record that says so.
    pub fn uploaded(kind: ManifestType) -> Self {
        let nothing_yet = ContentHash::from_bytes([0; 32]);
        Self {
            kind,
            mime_type: None,
            origin: FileOrigin::Uploaded,
            tags: Vec::new(),
            shared_with_assistant: false,
            provenance: Some(Statement::new(
                nothing_yet,
                ProvenanceType::Create,
                Actor::User,
                0,
            )),
        }
    }
}

impl Atlas {
    /// Registers content that is there, such as another file's, as a file of its own.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`], [`AtlasError::NameTaken`], [`AtlasError::Invalid`]; that of
    /// [`Self::add_provenance`](crate::store::Atlas::add_provenance).
    pub async fn register_file(
        &self,
        name: &str,
        manifest_hash: ContentHash,
        mut options: FileOptions,
    ) -> Result<FileMetadata, AtlasError> {
        let _turn = self.turn().await?;
        let manifest = self.manifest(manifest_hash).await?;
        options.kind = manifest.kind;
        self.insert_file(
            Batch::default(),
            name,
            manifest_hash,
            manifest.total_size,
            options,
        )
        .await
    }

    /// Registers a file. The caller has the turn; the manifest is there, or in the batch.
    pub(crate) async fn insert_file(
        &self,
        mut batch: Batch,
        name: &str,
        manifest_hash: ContentHash,
        size: u64,
        options: FileOptions,
    ) -> Result<FileMetadata, AtlasError> {
        self.check_free(name)?;
        let now = self.environment().now();
        let provenance_id = match options.provenance {
            Some(mut statement) => {
                statement.manifest_hash = manifest_hash;
                statement.created = now;
                Some(self.put_statement(&mut batch, &statement).await?)
            }
            None => None,
        };
        let file = FileMetadata {
            id: self.environment().new_id(),
            name: name.into(),
            manifest_hash,
            kind: options.kind,
            size,
            origin: options.origin,
            tags: tidy_tags(options.tags),
            shared_with_assistant: options.shared_with_assistant,
            provenance_id,
            created: now,
            modified: now,
        };
        batch.put(Table::Files, &file.id, file.encode()?);
        self.change(batch, |catalogue| catalogue.insert(file.clone()))
            .await?;
        Ok(file)
    }

    pub(crate) fn check_free(&self, name: &str) -> Result<(), AtlasError> {
        check_name(name)?;
        if self.with_catalogue(|catalogue| catalogue.named(name).is_some()) {
            return Err(AtlasError::NameTaken { name: name.into() });
        }
        Ok(())
    }

    /// The files that are meant, in the order of their names.
    pub fn list_files(&self, filter: &FileFilter) -> Vec<FileMetadata> {
        let is_meant = filter.matcher();
        self.with_catalogue(|catalogue| {
            let files = catalogue.files().filter(|file| is_meant(file));
            files.cloned().collect()
        })
    }

    /// Files that were deleted and can be brought back, the latest first.
    pub fn list_deleted(&self) -> Vec<FileMetadata> {
        let mut files: Vec<_> = self.with_catalogue(|catalogue| catalogue.deleted().cloned().collect());
        files.sort_by(|a, b| b.modified.cmp(&a.modified).then_with(|| a.id.cmp(&b.id)));
        files
    }

    /// A file by its id.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`].
    pub fn stat(&self, id: &str) -> Result<FileMetadata, AtlasError> {
        let file = self.with_catalogue(|catalogue| catalogue.file(id).cloned());
        file.ok_or_else(|| unknown(id))
    }

    /// A file by its name.
    pub fn find(&self, name: &str) -> Option<FileMetadata> {
        self.with_catalogue(|catalogue| catalogue.named(name).cloned())
    }

    /// Calls a file something else.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`], [`AtlasError::NameTaken`], [`AtlasError::Invalid`].
    pub async fn rename(&self, id: &str, name: &str) -> Result<FileMetadata, AtlasError> {
        let _turn = self.turn().await?;
        let mut file = self.stat(id)?;
        if file.name != name {
            self.check_free(name)?;
            file.name = name.into();
        }
        self.update(file).await
    }

    /// Gives a file these tags in the place of what it had.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`], [`AtlasError::Invalid`].
    pub async fn tag(&self, id: &str, tags: Vec<String>) -> Result<FileMetadata, AtlasError> {
        let _turn = self.turn().await?;
        let mut file = self.stat(id)?;
        file.tags = tidy_tags(tags);
        self.update(file).await
    }

    /// Lets the assistant read a file, or no longer.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`].
    pub async fn share_with_assistant(&self, id: &str, shared: bool) -> Result<FileMetadata, AtlasError> {
        let _turn = self.turn().await?;
        let mut file = self.stat(id)?;
        file.shared_with_assistant = shared;
        self.update(file).await
    }

    /// Gives a file other content, which is there.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`] for either.
    pub async fn replace_content(
        &self,
        id: &str,
        manifest_hash: ContentHash,
        provenance: Option<ContentHash>,
    ) -> Result<FileMetadata, AtlasError> {
        let _turn = self.turn().await?;
        let mut file = self.stat(id)?;
        let manifest = self.manifest(manifest_hash).await?;
        if let Some(record) = provenance {
            self.statement(record).await?;
        }
        file.manifest_hash = manifest_hash;
        file.kind = manifest.kind;
        file.size = manifest.total_size;
        file.provenance_id = provenance;
        self.update(file).await
    }

    async fn update(&self, mut file: FileMetadata) -> Result<FileMetadata, AtlasError> {
        file.modified = self.environment().now();
        let mut batch = Batch::default();
        batch.put(Table::Files, &file.id, file.encode()?);
        self.change(batch, |catalogue| catalogue.insert(file.clone()))
            .await?;
        Ok(file)
    }

    /// Deletes a file, with the way back. One that is deleted already stays so.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`].
    pub async fn delete(&self, id: &str) -> Result<(), AtlasError> {
        let _turn = self.turn().await?;
        if self.with_catalogue(|catalogue| catalogue.deleted_file(id).is_some()) {
            return Ok(());
        }
        let mut file = self.stat(id)?;
        file.modified = self.environment().now();
        let mut batch = Batch::default();
        batch.delete(Table::Files, id);
        batch.put(Table::Deleted, id, file.encode()?);
        self.change(batch, |catalogue| catalogue.delete(file)).await
    }

    /// Brings a deleted file back, under the name that it had or another one.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`]; [`AtlasError::NameTaken`] when another file is called so by now.
    pub async fn undelete(&self, id: &str, name: Option<&str>) -> Result<FileMetadata, AtlasError> {
        let _turn = self.turn().await?;
        let file = self.with_catalogue(|catalogue| catalogue.deleted_file(id).cloned());
        let mut file = file.ok_or_else(|| unknown(id))?;
        file.name = name.unwrap_or(&file.name).into();
        self.check_free(&file.name)?;
        file.modified = self.environment().now();
        let mut batch = Batch::default();
        batch.delete(Table::Deleted, id);
        batch.put(Table::Files, id, file.encode()?);
        self.change(batch, |catalogue| catalogue.insert(file.clone()))
            .await?;
        Ok(file)
    }

    /// Takes the way back from files that were deleted before some time, in milliseconds since 1970; their content goes with
    /// the next collection. Returns how many there were.
    ///
    /// # Errors
    /// [`AtlasError::Store`].
    pub async fn purge_deleted(&self, before: u64) -> Result<usize, AtlasError> {
        let _turn = self.turn().await?;
        let old: Vec<String> = self.with_catalogue(|catalogue| {
            let old = catalogue.deleted().filter(|file| file.modified < before);
            old.map(|file| file.id.clone()).collect()
        });
        let mut batch = Batch::default();
        old.iter().for_each(|id| batch.delete(Table::Deleted, id));
        let purge = |catalogue: &mut Catalogue| old.iter().for_each(|id| catalogue.purge(id));
        self.change(batch, purge).await?;
        Ok(old.len())
    }
}

fn unknown(id: &str) -> AtlasError {
    AtlasError::Unknown {
        what: "file",
        id: id.into(),
    }
}
