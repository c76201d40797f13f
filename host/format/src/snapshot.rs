//! A snapshot: one source at one time, as its document keeps it.
//!
//! Body: JSON length u32 · JSON · algorithm u8 (0 none, 1 Ed25519), and with Ed25519 the public key of 32 and the signature of 64 bytes.
//! The document is authenticated by the repository's key; the signature says beyond that which writer made it, also after `sync`.

use credenza_model::{Key, SkippedEntry, SnapshotId, Timestamp};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::wire::{Fields, length_u32};
use crate::{Digest, Error, Hex, Result, TreeRoot, json};

const WHAT: &str = "a snapshot";
/// Most problems that are listed; more are counted.
pub const PROBLEMS_MAX: usize = 1000;
/// What a signature covers before the JSON, so that it means nothing elsewhere.
const SIGNATURE_CONTEXT: &[u8] = b"credenza v1 2026-11-24 snapshot signature\0";

/// What was backed up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SnapshotSource {
    /// Stable identity of the source, by which a later run finds its parent.
    pub identity: String,
    /// How keys are to be understood: `tree` for folders, `flat` for buckets …
    pub namespace: String,
    /// The location as the user gave it, without secrets.
    pub location: String,
}

/// Which connector read the source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// BLAKE3 of the component; none for one that is built in.
    pub digest: Option<Digest>,
    /// BLAKE3 of the grant that the user agreed to; none for one that is built in.
    pub grant: Option<Digest>,
}

/// The packs that the snapshot relies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PacksRelied {
    /// How many there are.
    pub count: u64,
    /// BLAKE3 of their ids in order, as [`Usage::packs_digest`](crate::Usage::packs_digest) gives it.
    pub digest: Digest,
}

/// Figures of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// Entries of any kind.
    pub entries: u64,
    /// Files or objects.
    pub files: u64,
    /// Folders.
    pub directories: u64,
    /// Bytes of all contents.
    pub bytes: u64,
    /// Bytes that were read from the source.
    pub bytes_read: u64,
    /// Bytes that were added to the repository.
    pub bytes_added: u64,
    /// Entries that could not be kept whole.
    pub errors: u64,
}

/// An entry that could not be kept, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "ProblemText", try_from = "ProblemText")]
pub struct Problem {
    /// The entry.
    pub key: Key,
    /// Why, for a person.
    pub reason: String,
}

impl From<SkippedEntry> for Problem {
    fn from(SkippedEntry { key, reason }: SkippedEntry) -> Self {
        Self { key, reason }
    }
}

/// A problem in JSON: a key that is not UTF-8 is written in hexadecimal.
#[derive(Serialize, Deserialize)]
struct ProblemText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_hex: Option<Hex<Vec<u8>>>,
    reason: String,
}

impl From<Problem> for ProblemText {
    fn from(Problem { key, reason }: Problem) -> Self {
        match key.as_str().map(str::to_owned) {
            Some(text) => Self { key: Some(text), key_hex: None, reason },
            None => Self { key: None, key_hex: Some(Hex(key.into_bytes())), reason },
        }
    }
}

impl TryFrom<ProblemText> for Problem {
    type Error = &'static str;

    fn try_from(text: ProblemText) -> std::result::Result<Self, &'static str> {
        let key = match (text.key, text.key_hex) {
            (Some(key), None) => Key::from(key.as_str()),
            (None, Some(key)) => Key::new(key.0),
            _ => return Err("a problem needs either `key` or `key_hex`"),
        };
        Ok(Self { key, reason: text.reason })
    }
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its id, which survives `sync`.
    pub id: SnapshotId,
    /// What was backed up.
    pub source: SnapshotSource,
    /// Which connector read it.
    pub connector: Provenance,
    /// Name of the machine.
    pub host: String,
    /// Name of the user.
    pub user: String,
    /// Words of the user's.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Start of the run, by the machine's clock.
    pub started: Timestamp,
    /// End of the run, by the machine's clock.
    pub finished: Timestamp,
    /// The last time that the store stated during the run.
    #[serde(default)]
    pub store_time: Option<Timestamp>,
    /// The snapshot that unchanged entries were taken over from.
    #[serde(default)]
    pub parent: Option<SnapshotId>,
    /// Who made it: random, one for a repository and a machine.
    pub writer: Hex<[u8; 16]>,
    /// Counts the writer's snapshots from 0.
    pub sequence: u64,
    /// SHA-256 of the object of the writer's previous snapshot, so that a missing one shows.
    #[serde(default)]
    pub previous: Option<Digest>,
    /// Its entries.
    pub tree: TreeRoot,
    /// BLAKE3 of the body of its usage list, as [`body_digest`](crate::body_digest) gives it.
    pub usage: Digest,
    /// What it relies on.
    pub packs: PacksRelied,
    /// Figures of the run.
    pub statistics: Statistics,
    /// What could not be kept: the first [`PROBLEMS_MAX`].
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// How many more there were.
    #[serde(default)]
    pub problems_unlisted: u64,
    /// What the user left out.
    #[serde(default)]
    pub excluded: Vec<String>,
}

/// A snapshot as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedSnapshot {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The public key whose signature was verified, if there is one.
    pub signer: Option<Hex<[u8; 32]>>,
}

impl Snapshot {
    /// The body of the snapshot's document, signed if there is a key.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it lists more than [`PROBLEMS_MAX`] problems or cannot be written as JSON.
    pub fn encode(&self, signing_key: Option<&SigningKey>) -> Result<Vec<u8>> {
        self.check()?;
        let json = json::encode(WHAT, self)?;
        let mut out = Vec::with_capacity(json.len() + 101);
        out.extend(length_u32(WHAT, json.len())?.to_le_bytes());
        out.extend(&json);
        match signing_key {
            None => out.push(0),
            Some(key) => {
                out.push(1);
                out.extend(key.verifying_key().as_bytes());
                out.extend(key.sign(&signed_message(&json)).to_bytes());
            }
        }
        Ok(out)
    }

    /// Decodes the body of a snapshot's document and verifies its signature, if there is one. Whether the signer is one to be trusted
    /// is for the caller to say.
    ///
    /// # Errors
    /// [`Error::BadSignature`] when it does not fit, [`Error::Malformed`] when the body breaks the rules, [`Error::Unknown`] for what
    /// later programs write.
    pub fn decode(body: &[u8]) -> Result<SignedSnapshot> {
        let mut fields = Fields::new(WHAT, body);
        let json_length = fields.u32()?;
        let json = fields.take(json_length as usize)?;
        let signer = match fields.u8()? {
            0 => None,
            1 => Some(verify(json, fields.array()?, fields.array()?)?),
            other => return Err(Error::Unknown { what: "signature algorithm", found: u32::from(other) }),
        };
        fields.end()?;
        let snapshot: Self = json::decode(WHAT, json)?;
        snapshot.check()?;
        Ok(SignedSnapshot { snapshot, signer })
    }

    fn check(&self) -> Result<()> {
        if self.problems.len() <= PROBLEMS_MAX {
            return Ok(());
        }
        Err(Error::Malformed { what: WHAT, problem: format!("it lists more than {PROBLEMS_MAX} problems") })
    }
}

fn verify(json: &[u8], public_key: [u8; 32], signature: [u8; 64]) -> Result<Hex<[u8; 32]>> {
    let key = VerifyingKey::from_bytes(&public_key).map_err(|_| Error::BadSignature)?;
    let verified = key.verify_strict(&signed_message(json), &Signature::from_bytes(&signature));
    verified.map(|()| Hex(public_key)).map_err(|_| Error::BadSignature)
}

fn signed_message(json: &[u8]) -> Vec<u8> {
    [SIGNATURE_CONTEXT, json].concat()
}

#[cfg(test)]
pub(crate) mod tests {
    use credenza_model::ChunkId;

    use super::*;

    pub(crate) fn sample() -> Snapshot {
        let time = Timestamp { seconds: 1_800_000_000, nanoseconds: 0 };
        Snapshot {
            id: SnapshotId::new([1; 16]),
            source: SnapshotSource {
                identity: "machine/home".into(),
                namespace: "tree".into(),
                location: "/home".into(),
            },
            connector: Provenance {
                name: "file".into(),
                version: "0.1.0".into(),
                digest: None,
                grant: Some(Hex([2; 32])),
            },
            host: "machine".into(),
            user: "somebody".into(),
            tags: vec!["weekly".into()],
            started: time,
            finished: time,
            store_time: Some(time),
            parent: Some(SnapshotId::new([3; 16])),
            writer: Hex([4; 16]),
            sequence: 5,
            previous: Some(Hex([6; 32])),
            tree: TreeRoot { id: ChunkId::new([7; 32]), level: 1, length: 100, entries: 2, bytes: 3 },
            usage: Hex([8; 32]),
            packs: PacksRelied { count: 9, digest: Hex([10; 32]) },
            statistics: Statistics { entries: 2, errors: 2, ..Statistics::default() },
            problems: vec![
                Problem { key: Key::from("a"), reason: "denied".into() },
                Problem { key: Key::new([0xff, 0x00]), reason: "gone".into() },
            ],
            problems_unlisted: 0,
            excluded: vec!["*.tmp".into()],
        }
    }

    #[test]
    fn a_snapshot_reads_back_what_was_encoded_with_and_without_a_signature() {
        let snapshot = sample();
        assert_eq!(
            Snapshot::decode(&snapshot.encode(None).unwrap()),
            Ok(SignedSnapshot { snapshot: snapshot.clone(), signer: None })
        );
        let key = SigningKey::from_bytes(&[5; 32]);
        let signer = Some(Hex(key.verifying_key().to_bytes()));
        assert_eq!(Snapshot::decode(&snapshot.encode(Some(&key)).unwrap()), Ok(SignedSnapshot { snapshot, signer }));
    }

    #[test]
    fn a_changed_byte_of_a_signed_snapshot_is_found() {
        let body = sample().encode(Some(&SigningKey::from_bytes(&[5; 32]))).unwrap();
        for place in 0..body.len() {
            let mut changed = body.clone();
            changed[place] ^= 1;
            assert!(Snapshot::decode(&changed).is_err(), "byte {place}");
            assert!(Snapshot::decode(&body[..place]).is_err());
        }
    }

    #[test]
    fn fields_of_later_programs_are_passed_over() {
        let body = sample().encode(None).unwrap();
        let json = std::str::from_utf8(&body[4..body.len() - 1]).unwrap().replacen('{', r#"{"novelty":true,"#, 1);
        let grown = [&(json.len() as u32).to_le_bytes(), json.as_bytes(), &[0]].concat();
        assert_eq!(Snapshot::decode(&grown).unwrap().snapshot, sample());
    }

    #[test]
    fn more_problems_than_are_listed_must_be_counted() {
        let problem = Problem { key: Key::from("a"), reason: String::new() };
        let snapshot = Snapshot { problems: vec![problem; PROBLEMS_MAX + 1], ..sample() };
        assert!(snapshot.encode(None).is_err());
    }
}
