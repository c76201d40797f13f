//! Notes: what somebody found out about a repository and leaves in it for others.
//!
//! Owned here: their codec. A note of a type that this program does not know is passed over, so that later ones may say more. Called by the
//! engine's `health`, `tags`, `flags`, `drill` and `machines`, and by `check`, which names what cannot be read; of the other types only tests write notes yet.

use credenza_model::{ObjectId, RepositoryId, SnapshotId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Digest, Error, Hex, PublicKey, Result, SigningKey, json};

const WHAT: &str = "a note";
/// What a signature of heads covers first, so that it means nothing elsewhere.
const HEADS_CONTEXT: &[u8] = b"credenza v1 2026-11-24 replica heads\0";
/// Longest text for a person, in bytes.
pub const NOTE_TEXT_BYTES_MAX: usize = 1024;
/// Longest name of a file of a configuration.
const NAME_BYTES_MAX: usize = 255;
/// Bytes of the files of a configuration that a note holds at most.
pub const CONFIGURATION_BYTES_MAX: usize = 1024 * 1024;
/// Longest tag that a note gives or takes.
pub const TAG_BYTES_MAX: usize = 1024;

/// A note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When it was written, by the writer's clock.
    pub created: Timestamp,
    /// Who wrote it.
    pub writer: Hex<[u8; 16]>,
    /// What it says.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What a note says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Fact {
    /// What was read again, and what was found damaged.
    Health {
        /// Objects that were not whole.
        damaged: Vec<DamagedObject>,
        /// Packs of which every byte was right.
        read: Vec<ReadPack>,
    },
    /// What a guard thinks of a snapshot.
    Flag {
        /// The snapshot.
        snapshot: SnapshotId,
        /// SHA-256 of its whole object.
        digest: Digest,
        /// The guard's opinion.
        verdict: Verdict,
        /// Why, for a person.
        reason: String,
    },
    /// Snapshots are being read by others, beside an intent that keeps their packs: they should stay as long as that is there.
    Serving {
        /// The snapshots.
        snapshots: Vec<SnapshotId>,
        /// The intent, which expires as every intent does.
        intent: ObjectId,
    },
    /// The repository is a replica of another.
    Replica(Replica),
    /// Snapshots have tags that they were not made with, or do not have those any more.
    Tags {
        /// One for each snapshot and tag.
        edits: Vec<TagEdit>,
    },
    /// A part of a snapshot was restored for trial.
    Drill(Drill),
    /// What a machine is configured to do.
    Configuration(MachineConfiguration),
    /// Something that a later program says.
    #[serde(other)]
    Unknown,
}

/// An object that was not whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedObject {
    /// Its name in the store.
    pub object: String,
    /// The kind of damage, as `check` calls it.
    pub kind: String,
    /// When it was found.
    pub found: Timestamp,
}

/// A pack that was read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadPack {
    /// The pack.
    pub pack: ObjectId,
    /// When.
    pub at: Timestamp,
}

/// Whether a snapshot has a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagEdit {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// The tag, of 1 to [`TAG_BYTES_MAX`] bytes.
    pub tag: String,
    /// Whether the snapshot has it.
    #[serde(rename = "set")]
    pub is_set: bool,
    /// Since when.
    pub at: Timestamp,
}

/// A guard's opinion of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It may hold what an attacker left of the source: none before it should be removed.
    Suspect,
    /// It was looked at and is as it should be.
    Cleared,
}

/// A restore for trial: what was drawn from a snapshot and restored to a folder that was removed then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// When it ended.
    pub at: Timestamp,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// What the sample was drawn by.
    pub seed: Hex<[u8; 16]>,
    /// Files that were drawn.
    pub files: u64,
    /// Folders that were drawn.
    pub folders: u64,
    /// Entries that were restored.
    pub entries: u64,
    /// Bytes of their content.
    pub bytes: u64,
    /// Entries that did not come back as the snapshot has them.
    pub errors: u64,
    /// Why it failed, for a person; absent where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a machine is configured to do, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineConfiguration {
    /// The machine.
    pub host: String,
    /// When it was so.
    pub at: Timestamp,
    /// Its files, of [`CONFIGURATION_BYTES_MAX`] together.
    pub files: Vec<ConfigurationFile>,
    /// What was left out of them since it is secret: the file and the key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Connectors that are installed there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connectors: Vec<InstalledConnector>,
}

/// A connector that is installed on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledConnector {
    /// Its name.
    pub name: String,
    /// Where it is from.
    pub from: String,
}

/// A file of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationFile {
    /// Its name, without a folder.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// What a replica knows of its origin: the newest snapshot of each writer there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// The repository that it is a replica of.
    pub origin: RepositoryId,
    /// When the origin looked so, by its store's clock.
    pub as_of: Timestamp,
    /// Newest snapshots.
    pub heads: Vec<OriginHead>,
    /// Who vouches for that.
    #[serde(default)]
    pub signer: Option<PublicKey>,
    /// Their signature.
    #[serde(default)]
    pub signature: Option<Hex<[u8; 64]>>,
}

/// The newest snapshot of a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginHead {
    /// The writer.
    pub writer: Hex<[u8; 16]>,
    /// Its number among the writer's.
    pub sequence: u64,
    /// SHA-256 of its whole object.
    pub digest: Digest,
}

impl Replica {
    /// The same, signed.
    #[must_use]
    pub fn signed(self, key: &SigningKey) -> Self {
        let signature = Some(Hex(key.sign(&self.message())));
        Self { signer: Some(key.public()), signature, ..self }
    }

    /// Requires that a signature is its signer's. Whether the signer is one to be trusted is for the caller to say.
    fn verify(&self) -> Result<()> {
        match (self.signer, self.signature) {
            (None, None) => Ok(()),
            (Some(signer), Some(signature)) => signer.verify(&self.message(), &signature.0),
            _ => Err(malformed("it has a signer or a signature alone")),
        }
    }

    fn message(&self) -> Vec<u8> {
        let mut message = [HEADS_CONTEXT, self.origin.as_bytes()].concat();
        message.extend(self.as_of.seconds.to_le_bytes());
        message.extend(self.as_of.nanoseconds.to_le_bytes());
        for head in &self.heads {
            message.extend(head.writer.0);
            message.extend(head.sequence.to_le_bytes());
            message.extend(head.digest.0);
        }
        message
    }
}

impl MachineConfiguration {
    /// Requires names that are no paths, and texts that are not too long.
    fn require_bounds(&self) -> Result<()> {
        let is_name = |name: &str| {
            !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.starts_with('.') && !name.contains(['/', '\0'])
        };
        if !self.files.iter().all(|file| is_name(&file.name)) {
            return Err(malformed("one of its files has a name that is none"));
        }
        let bytes = self.files.iter().map(|file| file.text.len()).sum::<usize>();
        if bytes > CONFIGURATION_BYTES_MAX || self.host.len() > NOTE_TEXT_BYTES_MAX {
            return Err(malformed("its files are too long"));
        }
        Ok(())
    }
}

impl Note {
    /// The body of the note's document.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it cannot be written as JSON or says nothing that this program knows.
    pub fn encode(&self) -> Result<Vec<u8>> {
        match self.fact {
            Fact::Unknown => Err(malformed("it says nothing")),
            _ => json::encode(WHAT, self),
        }
    }

    /// Decodes the body of a note, and verifies the signature of heads.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is no note, [`Error::BadSignature`], [`Error::Unknown`] for a version of later programs.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let note: Self = json::decode(WHAT, body)?;
        match &note.fact {
            Fact::Replica(replica) => replica.verify()?,
            Fact::Flag { reason, .. } if reason.len() > NOTE_TEXT_BYTES_MAX => {
                return Err(malformed("its reason is too long"));
            }
            Fact::Tags { edits } if edits.iter().any(|edit| edit.tag.is_empty() || edit.tag.len() > TAG_BYTES_MAX) => {
                return Err(malformed("one of its tags is empty or too long"));
            }
            Fact::Drill(Drill { reason: Some(reason), .. }) if reason.len() > NOTE_TEXT_BYTES_MAX => {
                return Err(malformed("its reason is too long"));
            }
            Fact::Configuration(configuration) => configuration.require_bounds()?,
            Fact::Health { .. }
            | Fact::Flag { .. }
            | Fact::Serving { .. }
            | Fact::Tags { .. }
            | Fact::Drill(_)
            | Fact::Unknown => {}
        }
        Ok(note)
    }
}

fn malformed(problem: &str) -> Error {
    Error::Malformed { what: WHAT, problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Timestamp = Timestamp { seconds: 1_800_000_000, nanoseconds: 5 };

    fn note(fact: Fact) -> Note {
        Note { created: TIME, writer: Hex([3; 16]), fact }
    }

    fn replica() -> Replica {
        let head = OriginHead { writer: Hex([4; 16]), sequence: 7, digest: Hex([5; 32]) };
        Replica { origin: RepositoryId::new([6; 16]), as_of: TIME, heads: vec![head], signer: None, signature: None }
    }

    fn drill(reason: Option<String>) -> Drill {
        let (snapshot, seed) = (SnapshotId::new([2; 16]), Hex([3; 16]));
        Drill { at: TIME, snapshot, seed, files: 5, folders: 1, entries: 9, bytes: 100, errors: 0, reason }
    }

    fn configuration(name: &str, text: String) -> MachineConfiguration {
        let files = vec![ConfigurationFile { name: name.to_owned(), text }];
        let connectors = vec![InstalledConnector { name: "shop".into(), from: "https://example.com/shop.wasm".into() }];
        let left_out = vec!["config.toml: repository.main.passphrase".into()];
        MachineConfiguration { host: "a".into(), at: TIME, files, left_out, connectors }
    }

    #[test]
    fn a_configuration_whose_files_are_paths_or_too_long_is_none() {
        let long = "x".repeat(CONFIGURATION_BYTES_MAX + 1);
        for (name, text, is_one) in [
            ("jobs.toml", "", true),
            ("../jobs.toml", "", false),
            (".profile", "", false),
            ("", "", false),
            ("jobs.toml", &long[1..], true),
            ("jobs.toml", &long, false),
        ] {
            let note = note(Fact::Configuration(configuration(name, text.to_owned())));
            assert_eq!(Note::decode(&note.encode().unwrap()).is_ok(), is_one, "{name} {}", text.len());
        }
    }

    #[test]
    fn notes_read_back_what_was_encoded() {
        let damaged = DamagedObject { object: "data/00/aa".into(), kind: "corrupt".into(), found: TIME };
        let read = ReadPack { pack: ObjectId::new([1; 16]), at: TIME };
        let (snapshot, digest) = (SnapshotId::new([2; 16]), Hex([9; 32]));
        let facts = [
            Fact::Health { damaged: vec![damaged], read: vec![read] },
            Fact::Flag { snapshot, digest, verdict: Verdict::Suspect, reason: "half of it was encrypted".into() },
            Fact::Serving { snapshots: vec![snapshot], intent: ObjectId::new([7; 16]) },
            Fact::Tags { edits: vec![TagEdit { snapshot, tag: "keep".into(), is_set: true, at: TIME }] },
            Fact::Drill(drill(None)),
            Fact::Drill(drill(Some("a file was lost".into()))),
            Fact::Configuration(configuration("jobs.toml", "version = 1".into())),
            Fact::Replica(replica()),
            Fact::Replica(replica().signed(&SigningKey::from_seed(&[8; 32]))),
        ];
        for fact in facts {
            let note = note(fact);
            assert_eq!(Note::decode(&note.encode().unwrap()), Ok(note));
        }
    }

    #[test]
    fn what_a_later_program_says_is_passed_over() {
        let text = r#"{"version":1,"type":"prophecy","created":"2027-01-15T08:00:00Z","writer":"03030303030303030303030303030303","x":1}"#;
        let note = Note::decode(text.as_bytes()).unwrap();
        assert_eq!(note.fact, Fact::Unknown);
        assert!(note.encode().is_err(), "it is not written again without what it said");
    }

    #[test]
    fn a_tag_that_is_none_makes_a_note_none() {
        let edit = |tag: String| TagEdit { snapshot: SnapshotId::new([2; 16]), tag, is_set: false, at: TIME };
        for (tag, is_one) in [(1, true), (TAG_BYTES_MAX, true), (0, false), (TAG_BYTES_MAX + 1, false)] {
            let note = note(Fact::Tags { edits: vec![edit("x".repeat(tag))] });
            assert_eq!(Note::decode(&note.encode().unwrap()).is_ok(), is_one, "{tag}");
        }
    }

    #[test]
    fn heads_that_were_changed_after_they_were_signed_are_refused() {
        let signed = replica().signed(&SigningKey::from_seed(&[8; 32]));
        let mut later = signed.clone();
        later.heads[0].sequence += 1;
        let of = |replica: Replica| Note::decode(&note(Fact::Replica(replica)).encode().unwrap());
        assert_eq!(of(later), Err(Error::BadSignature));
        assert!(matches!(of(Replica { signer: None, ..signed }), Err(Error::Malformed { .. })));
    }
}
