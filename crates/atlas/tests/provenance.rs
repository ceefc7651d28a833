//! Records of provenance: where files come from, and who vouches for it.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

mod support;

use async_trait::async_trait;
use ed25519_dalek::{Signer as _, SigningKey};
use futures_executor::block_on;
use qemuweb_atlas::canonical::Canonical;
use qemuweb_atlas::error::AtlasError;
use qemuweb_atlas::hash::ContentHash;
use qemuweb_atlas::manifest::ManifestType;
use qemuweb_atlas::provenance::signature::{Hex, PublicKey, SignatureState, Signer, fits};
use qemuweb_atlas::provenance::{Actor, DerivationRecord, ProvenanceType, Statement};
use qemuweb_atlas::records::Table;
use qemuweb_atlas::store::{Atlas, FileOptions};
use support::{TestRecords, go_on};

struct Key(SigningKey);

fn key(seed: u8) -> Key {
    Key(SigningKey::from_bytes(&[seed; 32]))
}

#[async_trait(?Send)]
impl Signer for Key {
    fn public_key(&self) -> PublicKey {
        Hex(self.0.verifying_key().to_bytes())
    }

    async fn sign(&self, message: &[u8]) -> Result<Hex<64>, String> {
        Ok(Hex(self.0.sign(message).to_bytes()))
    }
}

async fn file(atlas: &Atlas, name: &str) -> (ContentHash, ContentHash) {
    let options = FileOptions::uploaded(ManifestType::Raw);
    let file = atlas.store_file(name, name.as_bytes(), options).await.unwrap();
    (file.manifest_hash, file.provenance_id.unwrap())
}

fn derived(manifest: ContentHash, mut parents: Vec<ContentHash>, created: u64) -> Statement {
    parents.sort();
    Statement {
        derivation: Some(DerivationRecord {
            inputs: Vec::new(),
            operation: "convert".into(),
            arguments: Vec::new(),
        }),
        parents,
        ..Statement::new(manifest, ProvenanceType::Derive, Actor::Assistant, created)
    }
}

#[test]
fn a_chain_tells_parents_before_children() {
    block_on(async {
        let database = TestRecords::default();
        let atlas = database.open().await;
        let (a, first) = file(&atlas, "a").await;
        let (_, second) = file(&atlas, "b").await;
        let left = atlas.add_provenance(&derived(a, vec![first], 1)).await.unwrap();
        let right = atlas
            .add_provenance(&derived(a, vec![first, second], 2))
            .await
            .unwrap();
        let last = derived(a, vec![left.id, right.id, first], 3);
        let last = atlas.add_provenance(&last).await.unwrap();
        assert_eq!(last.id, last.statement.hash().unwrap());
        let atlas = database.open().await;
        let chain = atlas.provenance_chain(last.id).await.unwrap();
        assert_eq!(chain.len(), 5);
        let place = |id| chain.iter().position(|record| record.id == id).unwrap();
        for record in &chain {
            for parent in &record.statement.parents {
                assert!(place(*parent) < place(record.id));
            }
        }
        // The same record is there once.
        let again = atlas.add_provenance(&last.statement).await.unwrap();
        assert_eq!(again, last);
        // Nothing of it can be collected.
        atlas.collect(&mut go_on).await.unwrap();
        assert_eq!(atlas.provenance_chain(last.id).await.unwrap(), chain);
    });
}

#[test]
fn a_long_chain_is_followed_and_a_longer_one_is_refused() {
    block_on(async {
        let database = TestRecords::default();
        let atlas = database.open().await;
        let (content, mut last) = file(&atlas, "a").await;
        for number in 1..10_000 {
            last = atlas
                .add_provenance(&derived(content, vec![last], number))
                .await
                .unwrap()
                .id;
        }
        assert_eq!(atlas.provenance_chain(last).await.unwrap().len(), 10_000);
        let more = atlas
            .add_provenance(&derived(content, vec![last], 0))
            .await
            .unwrap();
        let chain = atlas.provenance_chain(more.id).await;
        assert!(matches!(chain, Err(AtlasError::TooLarge { .. })));
    });
}

#[test]
fn a_record_without_its_parents_or_content_is_refused() {
    block_on(async {
        let atlas = TestRecords::default().open().await;
        let (content, first) = file(&atlas, "a").await;
        let nobody = ContentHash::of(b"nobody");
        let orphan = atlas
            .add_provenance(&derived(content, vec![first, nobody], 0))
            .await;
        assert_eq!(orphan, Err(AtlasError::NoParent { parent: nobody }));
        let nothing = atlas.add_provenance(&derived(nobody, vec![first], 0)).await;
        assert!(matches!(nothing, Err(AtlasError::Unknown { .. })), "{nothing:?}");
        let mut options = FileOptions::uploaded(ManifestType::Raw);
        options.provenance = Some(derived(nobody, vec![nobody], 0));
        let stored = atlas.store_file("b", b"b", options).await;
        assert_eq!(stored, Err(AtlasError::NoParent { parent: nobody }));
        assert_eq!(atlas.find("b"), None);
        let twice = derived(content, vec![first, first], 0);
        assert!(matches!(
            atlas.add_provenance(&twice).await,
            Err(AtlasError::Invalid(_))
        ));
    });
}

#[test]
fn a_record_that_was_edited_is_found_out() {
    block_on(async {
        let database = TestRecords::default();
        let atlas = database.open().await;
        let (content, first) = file(&atlas, "a").await;
        let last = atlas
            .add_provenance(&derived(content, vec![first], 1))
            .await
            .unwrap();
        let forged = Statement::new(content, ProvenanceType::Create, Actor::System, 7)
            .encode()
            .unwrap();
        assert!(
            database
                .records
                .damage(Table::Provenance, &first.to_string(), |bytes| *bytes = forged)
        );
        let chain = atlas.provenance_chain(last.id).await;
        assert!(matches!(chain, Err(AtlasError::Damaged(_))), "{chain:?}");
    });
}

#[test]
fn signatures_are_valid_unknown_broken_or_revoked() {
    block_on(async {
        let database = TestRecords::default();
        let atlas = database.open().await;
        let (_, record) = file(&atlas, "a").await;
        let (alice, bob) = (key(1), key(2));
        let of = async |atlas: &Atlas, key: &Key| -> Option<SignatureState> {
            let record = atlas.provenance(record).await.unwrap();
            let states = atlas.judge(&record).await.unwrap();
            let of = states.into_iter().find(|(of, _)| *of == key.public_key());
            of.map(|(_, state)| state)
        };
        assert_eq!(of(&atlas, &alice).await, None);
        let signed = atlas.sign(record, &alice).await.unwrap();
        assert_eq!(of(&atlas, &alice).await, Some(SignatureState::UnknownKey));
        atlas.trust_key(alice.public_key(), "Alice").await.unwrap();
        assert_eq!(
            of(&atlas, &alice).await,
            Some(SignatureState::Valid { name: "Alice".into() })
        );
        atlas.sign(record, &bob).await.unwrap();
        assert_eq!(of(&atlas, &bob).await, Some(SignatureState::UnknownKey));
        atlas.revoke_key(alice.public_key()).await.unwrap();
        let atlas = database.open().await;
        let revoked = SignatureState::Revoked { name: "Alice".into() };
        assert_eq!(of(&atlas, &alice).await, Some(revoked.clone()));
        // To trust it again by mistake does not bring it back.
        atlas.trust_key(alice.public_key(), "Alice").await.unwrap();
        assert_eq!(of(&atlas, &alice).await, Some(revoked));
        assert_eq!(atlas.keys().await.unwrap().len(), 1);
        // Of another record, or with another key's name, it is refused, and found out where it stands already.
        let (_, other) = file(&atlas, "b").await;
        let moved = atlas.add_signature(other, &signed).await;
        assert!(matches!(moved, Err(AtlasError::BadSignature { .. })), "{moved:?}");
        let mut forged = signed.clone();
        forged.public_key = bob.public_key();
        assert!(atlas.add_signature(record, &forged).await.is_err());
        let place = format!("{record}/{}", bob.public_key());
        let bytes = forged.encode().unwrap();
        assert!(
            database
                .records
                .damage(Table::Signatures, &place, |record| *record = bytes)
        );
        assert_eq!(of(&atlas, &bob).await, Some(SignatureState::Broken));
        let mut changed = atlas.provenance(record).await.unwrap();
        changed.statement.created += 1;
        let states = atlas.judge(&changed).await.unwrap();
        assert!(
            states.iter().all(|(_, state)| *state == SignatureState::Broken),
            "{states:?}"
        );
    });
}

#[test]
fn a_record_has_sixteen_signatures_at_most() {
    block_on(async {
        let atlas = TestRecords::default().open().await;
        let (_, record) = file(&atlas, "a").await;
        for seed in 0..16 {
            atlas.sign(record, &key(seed)).await.unwrap();
            atlas.sign(record, &key(seed)).await.unwrap();
        }
        assert!(matches!(
            atlas.sign(record, &key(16)).await,
            Err(AtlasError::Invalid(_))
        ));
        assert_eq!(atlas.provenance(record).await.unwrap().signatures.len(), 16);
    });
}

#[test]
fn the_known_signature_of_rfc_8032_fits() {
    // RFC 8032, section 7.1, test 2.
    let mut record = qemuweb_atlas::provenance::signature::SignatureRecord {
        algorithm: qemuweb_atlas::provenance::signature::Algorithm::Ed25519,
        public_key: hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
        signature: hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    };
    assert!(fits(&record, &[0x72]));
    assert!(!fits(&record, &[0x73]));
    // A key of small order: with it, one signature fits many messages.
    record.public_key = Hex([0; 32]);
    record.public_key.0[0] = 1;
    record.signature = Hex([0; 64]);
    record.signature.0[0] = 1;
    assert!(!fits(&record, &[0x72]));
}

fn hex<const N: usize>(digits: &str) -> Hex<N> {
    serde_json::from_value(digits.into()).unwrap()
}
