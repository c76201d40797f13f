//! Snapshots: one source at one time, and everything needed to judge and restore it.
//!
//! A sealed document: a JSON object, and behind a NUL byte an optional signature over exactly the bytes of the object.
//! Owned here: its fields and the signature. Called by the engine when it commits, lists and checks.

use credenza_model::{Key, ObjectId, SnapshotId, Timestamp};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::records::{decode, encode};
use crate::{Error, Hex, Keys, ObjectKind, Result, SealedObject, TreeRoot, Usage, seal_document};

const WHAT: &str = "a snapshot";
const VERSION: u32 = 1;

/// What was backed up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SnapshotSource {
    /// Stable identity: snapshots with the same value are one history.
    pub identity: String,
    /// `flat` or `tree`.
    pub namespace: String,
    /// The location as the user wrote it.
    pub location: String,
}

/// Which connector read the source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Digest of the component; empty for a built-in connector.
    pub digest: String,
    /// Hash of what it was granted; empty for a built-in connector.
    pub grant: String,
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// Entries.
    pub entries: u64,
    /// Files or objects among them.
    pub files: u64,
    /// Folders among them.
    pub directories: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Bytes read from the source in the run.
    pub bytes_read: u64,
    /// Bytes added to the repository by the run, but for the snapshot itself.
    pub bytes_added: u64,
    /// Entries that could not be read or described.
    pub errors: u64,
}

/// The packs that a snapshot relies on, in short; its usage list names them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PacksReliedOn {
    /// How many.
    pub count: u64,
    /// BLAKE3 over their ids in ascending order.
    pub digest: Hex<[u8; 32]>,
}

impl PacksReliedOn {
    /// The packs of a usage list.
    #[must_use]
    pub fn of(usage: &Usage) -> Self {
        let mut ids: Vec<&ObjectId> = usage.packs.iter().map(|(id, _)| id).collect();
        ids.sort_unstable();
        let mut hasher = blake3::Hasher::new();
        ids.iter().for_each(|id| {
            hasher.update(id.as_bytes());
        });
        Self { count: ids.len() as u64, digest: Hex(*hasher.finalize().as_bytes()) }
    }
}

/// Something that could not be described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedRecord {
    /// What.
    #[serde(serialize_with = "write_key", deserialize_with = "read_key")]
    pub key: Key,
    /// Why.
    pub reason: String,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its id, which survives `sync`.
    pub id: SnapshotId,
    /// What was backed up.
    pub source: SnapshotSource,
    /// What read it.
    pub connector: Provenance,
    /// The machine.
    pub host: String,
    /// The user.
    pub user: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Patterns that were excluded.
    pub excludes: Vec<String>,
    /// Begin of the run, by the writer's clock.
    pub started: Timestamp,
    /// End of the run, by the writer's clock.
    pub finished: Timestamp,
    /// The latest time of the store that the writer had seen.
    pub store_time: Option<Timestamp>,
    /// The snapshot that unchanged entries were taken from.
    pub parent: Option<SnapshotId>,
    /// Who wrote it.
    pub writer: ObjectId,
    /// Counts the writer's snapshots from 1.
    pub sequence: u64,
    /// Digest of the body of the writer's snapshot before this one.
    pub previous: Option<Hex<[u8; 32]>>,
    /// The tree of its records.
    pub tree: TreeRoot,
    /// Digest of the body of its usage list.
    pub usage: Hex<[u8; 32]>,
    /// The packs it relies on.
    pub packs: PacksReliedOn,
    /// What was counted.
    pub statistics: Statistics,
    /// What could not be described, the first thousand.
    pub skipped: Vec<SkippedRecord>,
    /// The key epoch it was sealed under.
    pub epoch: u32,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    #[serde(flatten)]
    snapshot: &'a Snapshot,
}

#[derive(Deserialize)]
struct Read {
    version: u32,
    #[serde(flatten)]
    snapshot: Snapshot,
}

/// The signature behind the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotSignature {
    /// `ed25519` (RFC 8032).
    pub algorithm: String,
    /// The writer's public key.
    pub public: Hex<[u8; 32]>,
    /// Over the bytes of the JSON object.
    pub value: Hex<[u8; 64]>,
}

impl Snapshot {
    /// Seals the snapshot under its id, signed when the writer has a key.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when it outgrows a document.
    pub fn seal(&self, keys: &Keys, signer: Option<&SigningKey>) -> Result<SealedObject> {
        seal_document(keys, ObjectKind::Snapshot, ObjectId::new(*self.id.as_bytes()), &self.encode(signer)?)
    }

    fn encode(&self, signer: Option<&SigningKey>) -> Result<Vec<u8>> {
        let mut body = encode(WHAT, &Written { version: VERSION, snapshot: self })?;
        if let Some(signer) = signer {
            let signature = SnapshotSignature {
                algorithm: "ed25519".to_owned(),
                public: Hex(signer.verifying_key().to_bytes()),
                value: Hex(signer.sign(&body).to_bytes()),
            };
            body.push(0);
            body.extend(encode(WHAT, &signature)?);
        }
        Ok(body)
    }

    /// Reads a body; a signature that is there must fit.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Unknown`] for a later version, [`Error::BadSignature`].
    pub fn decode(body: &[u8]) -> Result<(Self, Option<SnapshotSignature>)> {
        let (json, signature) = match body.iter().position(|byte| *byte == 0) {
            Some(end) => (
                body.get(..end).unwrap_or_default(),
                Some(decode::<SnapshotSignature>(WHAT, body.get(end + 1..).unwrap_or_default())?),
            ),
            None => (body, None),
        };
        let Read { version, snapshot } = decode(WHAT, json)?;
        if version != VERSION {
            return Err(Error::Unknown { what: "snapshot version", found: version });
        }
        if let Some(signature) = &signature {
            let public = VerifyingKey::from_bytes(&signature.public.0).map_err(|_| Error::BadSignature)?;
            public.verify_strict(json, &Signature::from_bytes(&signature.value.0)).map_err(|_| Error::BadSignature)?;
        }
        Ok((snapshot, signature))
    }
}

fn write_key<S: Serializer>(key: &Key, serializer: S) -> Result<S::Ok, S::Error> {
    Hex(key.as_bytes()).serialize(serializer)
}

fn read_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
    Hex::<Vec<u8>>::deserialize(deserializer).map(|bytes| Key::new(bytes.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use credenza_model::ChunkId;

    fn snapshot() -> Snapshot {
        Snapshot {
            id: SnapshotId::new([1; 16]),
            source: SnapshotSource {
                identity: "file:/home".into(),
                namespace: "tree".into(),
                location: "/home".into(),
            },
            connector: Provenance::default(),
            host: "h".into(),
            user: "u".into(),
            tags: vec!["t".into()],
            excludes: Vec::new(),
            started: Timestamp { seconds: 1, nanoseconds: 2 },
            finished: Timestamp { seconds: 3, nanoseconds: 0 },
            store_time: None,
            parent: Some(SnapshotId::new([2; 16])),
            writer: ObjectId::new([3; 16]),
            sequence: 9,
            previous: Some(Hex([4; 32])),
            tree: TreeRoot { id: ChunkId::new([5; 32]), level: 1, length: 10, entries: 1, bytes: 2 },
            usage: Hex([6; 32]),
            packs: PacksReliedOn::default(),
            statistics: Statistics { entries: 1, ..Statistics::default() },
            skipped: vec![SkippedRecord { key: Key::new(*b"\xff\n"), reason: "denied".into() }],
            epoch: 0,
        }
    }

    #[test]
    fn a_snapshot_decodes_to_what_was_encoded() {
        let body = snapshot().encode(None).unwrap();
        assert_eq!(Snapshot::decode(&body).unwrap(), (snapshot(), None));
    }

    #[test]
    fn a_signature_holds_for_exactly_these_bytes() {
        let signer = SigningKey::from_bytes(&[8; 32]);
        let body = snapshot().encode(Some(&signer)).unwrap();
        let (read, signature) = Snapshot::decode(&body).unwrap();
        assert_eq!((read, signature.unwrap().public.0), (snapshot(), signer.verifying_key().to_bytes()));
        let forged = String::from_utf8(body).unwrap().replace("\"sequence\":9", "\"sequence\":8");
        assert_eq!(Snapshot::decode(forged.as_bytes()), Err(Error::BadSignature));
    }

    #[test]
    fn unknown_fields_are_ignored_and_missing_ones_are_not() {
        let body = String::from_utf8(snapshot().encode(None).unwrap()).unwrap();
        assert!(Snapshot::decode(body.replacen('{', "{\"later\":1,", 1).as_bytes()).is_ok());
        assert!(Snapshot::decode(body.replace("\"epoch\":0", "\"e\":0").as_bytes()).is_err());
    }
}
