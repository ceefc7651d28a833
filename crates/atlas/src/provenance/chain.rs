//! Records of provenance in the store: they are added, and never changed or removed.

use std::collections::{BTreeSet, HashMap};

use super::signature::{SignatureRecord, SignatureState, Signer, TrustedKey, judge};
use super::{MOST_CHAIN, MOST_SIGNATURES, ProvenanceRecord, Statement};
use crate::canonical::{Canonical, check_count};
use crate::error::AtlasError;
use crate::hash::ContentHash;
use crate::provenance::signature::{Algorithm, PublicKey, fits};
use crate::records::{Batch, Page, Table};
use crate::store::Atlas;

impl Atlas {
    /// Adds a record about content that is there, after its parents. One that says the same is there once.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`] when the content is not there, [`AtlasError::NoParent`], [`AtlasError::Invalid`].
    pub async fn add_provenance(&self, statement: &Statement) -> Result<ProvenanceRecord, AtlasError> {
        let _turn = self.turn().await?;
        self.manifest(statement.manifest_hash).await?;
        let mut batch = Batch::default();
        let id = self.put_statement(&mut batch, statement).await?;
        self.records().commit(batch).await?;
        self.provenance(id).await
    }

    /// Puts a statement into a batch, and returns what it is known by.
    pub(crate) async fn put_statement(
        &self,
        batch: &mut Batch,
        statement: &Statement,
    ) -> Result<ContentHash, AtlasError> {
        for parent in &statement.parents {
            if !self
                .records()
                .contains(Table::Provenance, &parent.to_string())
                .await?
            {
                return Err(AtlasError::NoParent { parent: *parent });
            }
        }
        let bytes = statement.encode()?;
        let id = ContentHash::of(&bytes);
        batch.put(Table::Provenance, id, bytes);
        Ok(id)
    }

    /// What a record says.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`]; [`AtlasError::Damaged`] when it is not what it is known by.
    pub(crate) async fn statement(&self, id: ContentHash) -> Result<Statement, AtlasError> {
        let bytes = self.records().get(Table::Provenance, &id.to_string()).await?;
        let bytes = bytes.ok_or_else(|| AtlasError::Unknown {
            what: "record of provenance",
            id: id.to_string(),
        })?;
        let found = ContentHash::of(&bytes);
        if found != id {
            return Err(AtlasError::Damaged(crate::error::Damage {
                file: "a record of provenance".into(),
                chunk: 0,
                expected: id,
                found: crate::error::Found::Other(found),
            }));
        }
        Ok(Statement::decode(&bytes)?)
    }

    /// A record with its signatures.
    ///
    /// # Errors
    /// As for [`Self::provenance_chain`].
    pub async fn provenance(&self, id: ContentHash) -> Result<ProvenanceRecord, AtlasError> {
        let statement = self.statement(id).await?;
        let page = Page {
            prefix: format!("{id}/"),
            after: None,
            most: MOST_SIGNATURES,
        };
        let rows = self.records().records(Table::Signatures, &page).await?;
        let signatures = rows.iter().map(|(_, bytes)| SignatureRecord::decode(bytes));
        Ok(ProvenanceRecord {
            id,
            statement,
            signatures: signatures.collect::<Result<_, _>>()?,
        })
    }

    /// A record and all that came before it: parents before their children, and otherwise in the order of their hashes.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`], [`AtlasError::Damaged`], [`AtlasError::Store`]; [`AtlasError::TooLarge`] beyond 10,000 records.
    pub async fn provenance_chain(&self, id: ContentHash) -> Result<Vec<ProvenanceRecord>, AtlasError> {
        self.ancestry(BTreeSet::from([id])).await
    }

    /// The records of `ids` and all that came before them, as in [`Self::provenance_chain`].
    pub(crate) async fn ancestry(
        &self,
        ids: BTreeSet<ContentHash>,
    ) -> Result<Vec<ProvenanceRecord>, AtlasError> {
        let mut records = HashMap::new();
        let mut wanted = ids;
        while let Some(id) = wanted.pop_first() {
            if records.len() == MOST_CHAIN {
                return Err(AtlasError::TooLarge {
                    what: "a chain of provenance, in records".into(),
                    most: MOST_CHAIN as u64,
                    size: MOST_CHAIN as u64 + 1,
                });
            }
            let record = self.provenance(id).await?;
            let parents = record.statement.parents.iter();
            wanted.extend(parents.filter(|parent| !records.contains_key(*parent)));
            records.insert(id, record);
        }
        let parents = |record: &ProvenanceRecord| record.statement.parents.clone();
        let parents = records
            .iter()
            .map(|(id, record)| (*id, parents(record)))
            .collect();
        let ordered = in_order(&parents).into_iter();
        Ok(ordered.filter_map(|id| records.remove(&id)).collect())
    }

    /// Has a record signed.
    ///
    /// # Errors
    /// [`AtlasError::Unsigned`], and as for [`Self::add_signature`].
    pub async fn sign(&self, id: ContentHash, signer: &dyn Signer) -> Result<SignatureRecord, AtlasError> {
        let message = self.statement(id).await?.encode()?;
        let signature = signer.sign(&message).await;
        let record = SignatureRecord {
            algorithm: Algorithm::Ed25519,
            public_key: signer.public_key(),
            signature: signature.map_err(|reason| AtlasError::Unsigned { reason })?,
        };
        self.add_signature(id, &record).await?;
        Ok(record)
    }

    /// Adds a signature to a record. Of each key there is one; that of a key which has signed already stays.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`], [`AtlasError::BadSignature`]; [`AtlasError::Invalid`] when there are 16 already.
    pub async fn add_signature(
        &self,
        id: ContentHash,
        signature: &SignatureRecord,
    ) -> Result<(), AtlasError> {
        let _turn = self.turn().await?;
        let record = self.provenance(id).await?;
        if !fits(signature, &record.statement.encode()?) {
            return Err(AtlasError::BadSignature {
                record: id,
                key: signature.public_key.to_string(),
            });
        }
        let mut keys = record.signatures.iter().map(|signature| signature.public_key);
        if keys.any(|key| key == signature.public_key) {
            return Ok(());
        }
        check_count("signatures", record.signatures.len() + 1, MOST_SIGNATURES)?;
        let mut batch = Batch::default();
        let key = signature_key(id, signature.public_key);
        batch.put(Table::Signatures, key, signature.encode()?);
        Ok(self.records().commit(batch).await?)
    }

    /// What each signature of a record is worth, by the keys that are trusted now.
    ///
    /// # Errors
    /// [`AtlasError::Store`], [`AtlasError::Invalid`].
    pub async fn judge(
        &self,
        record: &ProvenanceRecord,
    ) -> Result<Vec<(PublicKey, SignatureState)>, AtlasError> {
        let message = record.statement.encode()?;
        let mut states = Vec::new();
        for signature in &record.signatures {
            let key = self.trusted_key(signature.public_key).await?;
            let state = match ContentHash::of(&message) == record.id {
                true => judge(signature, &message, key.as_ref()),
                false => SignatureState::Broken,
            };
            states.push((signature.public_key, state));
        }
        Ok(states)
    }

    async fn trusted_key(&self, key: PublicKey) -> Result<Option<TrustedKey>, AtlasError> {
        let bytes = self.records().get(Table::Keys, &key.to_string()).await?;
        let key = bytes.map(|bytes| TrustedKey::decode(&bytes)).transpose()?;
        Ok(key)
    }

    /// All keys that are or were trusted.
    ///
    /// # Errors
    /// [`AtlasError::Store`], [`AtlasError::Invalid`].
    pub async fn keys(&self) -> Result<Vec<TrustedKey>, AtlasError> {
        let mut keys = Vec::new();
        for name in crate::store::all_keys(self.records(), Table::Keys, "").await? {
            if let Some(bytes) = self.records().get(Table::Keys, &name).await? {
                keys.push(TrustedKey::decode(&bytes)?);
            }
        }
        Ok(keys)
    }

    /// Trusts a key that belongs to `name`. A key that was revoked stays so.
    ///
    /// # Errors
    /// [`AtlasError::Invalid`], [`AtlasError::Store`].
    pub async fn trust_key(&self, key: PublicKey, name: &str) -> Result<TrustedKey, AtlasError> {
        let _turn = self.turn().await?;
        let known = self.trusted_key(key).await?;
        let trusted = TrustedKey {
            public_key: key,
            name: name.into(),
            added: known
                .as_ref()
                .map_or_else(|| self.environment().now(), |known| known.added),
            revoked: known.and_then(|known| known.revoked),
        };
        self.put_key(&trusted).await?;
        Ok(trusted)
    }

    /// Trusts a key no longer. Nothing that it has signed counts, as nobody knows who has had it.
    ///
    /// # Errors
    /// [`AtlasError::Unknown`], [`AtlasError::Store`].
    pub async fn revoke_key(&self, key: PublicKey) -> Result<TrustedKey, AtlasError> {
        let _turn = self.turn().await?;
        let known = self.trusted_key(key).await?;
        let mut known = known.ok_or_else(|| AtlasError::Unknown {
            what: "trusted key",
            id: key.to_string(),
        })?;
        known.revoked = known.revoked.or_else(|| Some(self.environment().now()));
        self.put_key(&known).await?;
        Ok(known)
    }

    async fn put_key(&self, key: &TrustedKey) -> Result<(), AtlasError> {
        let mut batch = Batch::default();
        batch.put(Table::Keys, key.public_key, key.encode()?);
        Ok(self.records().commit(batch).await?)
    }
}

/// What the signature of a record by a key is known by in the database.
pub(crate) fn signature_key(record: ContentHash, key: PublicKey) -> String {
    format!("{record}/{key}")
}

/// Hashes, parents before their children, and otherwise in their own order.
pub(crate) fn in_order(parents: &HashMap<ContentHash, Vec<ContentHash>>) -> Vec<ContentHash> {
    let mut waiting: HashMap<ContentHash, usize> = HashMap::new();
    let mut children: HashMap<ContentHash, Vec<ContentHash>> = HashMap::new();
    let mut ready = BTreeSet::new();
    for (id, parents) in parents {
        parents
            .iter()
            .for_each(|parent| children.entry(*parent).or_default().push(*id));
        waiting.insert(*id, parents.len());
        if parents.is_empty() {
            ready.insert(*id);
        }
    }
    let mut ordered = Vec::with_capacity(parents.len());
    while let Some(id) = ready.pop_first() {
        ordered.push(id);
        for child in children.remove(&id).unwrap_or_default() {
            let left = waiting.entry(child).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 {
                ready.insert(child);
            }
        }
    }
    ordered
}
