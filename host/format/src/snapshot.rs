//! A snapshot: one source at one time, as its document keeps it.
//!
//! Body: JSON. It repeats what the object states in the clear (`container::statement`): the place in the chain of whoever committed it
//! into this repository, and whose signature that bears.

use credenza_model::{Key, ObjectId, SkippedEntry, SnapshotId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::container::{ChainLink, Inspected, SealedObject, Sealer, inspect};
use crate::document::write_document;
use crate::{
    Digest, Error, Hex, Keys, ObjectKind, PublicKey, Result, SigningKey, TreeRoot, Usage, json, open_document,
};

const WHAT: &str = "a snapshot";
/// Most problems that are listed; more are counted.
pub const PROBLEMS_MAX: usize = 1000;

/// What was backed up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SnapshotSource {
    /// Stable identity of the source, by which a later run finds its parent.
    pub identity: String,
    /// How keys are to be understood: `tree` for folders, `flat` for buckets …
    pub namespace: String,
    /// The location as the user gave it, without secrets.
    pub location: String,
    /// The time, by the source's clock, whose state the entries are; none where the source keeps no history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// What is configured for it as a whole, such as a bucket's policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<SourceDocument>,
}

/// Something about a source as a whole: its text, or why that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SourceDocument {
    /// What it is, such as `s3.policy`.
    pub name: String,
    /// The text as the provider has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Why there is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
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
    /// BLAKE3 of what it was granted; none for one that is built in.
    pub grant: Option<Digest>,
}

/// The packs that the snapshot relies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PacksRelied {
    /// How many there are.
    pub count: u64,
    /// BLAKE3 of their ids in order, as [`Usage::packs_digest`] gives it.
    pub digest: Digest,
}

impl PacksRelied {
    /// The packs that a usage list names.
    #[must_use]
    pub fn of(usage: &Usage) -> Self {
        Self { count: usage.packs.len() as u64, digest: usage.packs_digest() }
    }
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

/// What is known of a listing whose keys ascend strictly by byte value, as a run found that saw it whole and in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OrderedListing {
    /// Runs since then that listed ranges of keys side by side, each held to the same order.
    #[serde(default)]
    pub ranged_runs: u32,
}

/// Where a synced snapshot was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Who made it.
    pub writer: Hex<[u8; 16]>,
    /// Its number among those that the writer committed there.
    pub sequence: u64,
    /// When it was committed there, by that store's clock, so that its age survives `sync`.
    #[serde(default)]
    pub stored: Option<Timestamp>,
}

/// A part of a backup that several machines share: all parts of a group together are the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The backup.
    pub group: Hex<[u8; 16]>,
    /// Which part, from 0.
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// It holds the keys behind this one; none where it begins with the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Hex<Vec<u8>>>,
    /// It holds the keys up to this one, which is among them; none where it ends with the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Hex<Vec<u8>>>,
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
    /// The last time that the store stated during the run; where it replaces another snapshot, when that was committed.
    #[serde(default)]
    pub store_time: Option<Timestamp>,
    /// The snapshot that unchanged entries were taken over from.
    #[serde(default)]
    pub parent: Option<SnapshotId>,
    /// Who committed it into this repository: one id for a user on a machine.
    pub writer: Hex<[u8; 16]>,
    /// Counts the snapshots that the writer committed into this repository, from 1.
    pub sequence: u64,
    /// SHA-256 of the whole object of the writer's snapshot before, so that a missing one shows.
    #[serde(default)]
    pub previous: Option<Digest>,
    /// Whose signature the statement of its object bears; sealing sets it, opening verifies it.
    #[serde(default)]
    pub signer: Option<PublicKey>,
    /// Where it was made, if `sync` brought it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The snapshot that it holds what is left of, if `repair` made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<SnapshotId>,
    /// Which part of a backup it is that several machines share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// Its entries.
    pub tree: TreeRoot,
    /// BLAKE3 of the body of its usage list, as [`Usage::digest`] gives it.
    pub usage: Digest,
    /// What it relies on.
    pub packs: PacksRelied,
    /// Figures of the run.
    pub statistics: Statistics,
    /// That the source lists in order, if this run or one before it saw that; only of flat sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<OrderedListing>,
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
pub struct OpenedSnapshot {
    /// The snapshot, whose signer, if there is one, was verified.
    pub snapshot: Snapshot,
    /// SHA-256 of its whole object, which the writer's next snapshot names as its previous one.
    pub digest: Digest,
}

/// Seals a snapshot with the statement of its place in its writer's chain, signed if there is a key.
///
/// # Errors
/// [`Error::Malformed`] when it lists more than [`PROBLEMS_MAX`] problems or cannot be written as JSON; otherwise as
/// [`seal_document`](crate::seal_document).
pub fn seal_snapshot(keys: &Keys, snapshot: Snapshot, signing_key: Option<&SigningKey>) -> Result<SealedObject> {
    let snapshot = Snapshot { signer: signing_key.map(SigningKey::public), ..snapshot };
    let body = snapshot.encode()?;
    let sealer = Sealer::new(keys, ObjectKind::Snapshot, object_id(snapshot.id), body.len())?;
    write_snapshot(keys, sealer, &body, snapshot.link(), signing_key)
}

/// Fills and closes the sealer of a snapshot.
pub(crate) fn write_snapshot(
    keys: &Keys,
    mut sealer: Sealer,
    body: &[u8],
    link: ChainLink,
    signing_key: Option<&SigningKey>,
) -> Result<SealedObject> {
    write_document(keys, &mut sealer, body)?;
    sealer.finish_stated(link, signing_key)
}

/// Opens a snapshot. Whether its signer is one to be trusted is for the caller to say.
///
/// # Errors
/// [`Error::BadSignature`] when the signature does not fit, [`Error::Malformed`] when it says one thing in the clear and another
/// under its seal, or breaks the rules; otherwise as [`open_document`].
pub fn open_snapshot(keys: &Keys, id: SnapshotId, object: Vec<u8>) -> Result<OpenedSnapshot> {
    let Inspected { statement, sha256, .. } = inspect(&object)?;
    let body = open_document(keys, ObjectKind::Snapshot, object_id(id), object)?;
    let snapshot = Snapshot::decode(&body)?;
    if snapshot.id != id {
        return Err(malformed(format!("it says that it is snapshot {}", snapshot.id)));
    }
    if statement.map(|stated| (stated.link, stated.signer)) != Some((snapshot.link(), snapshot.signer)) {
        return Err(malformed("what it states in the clear is not what it says under its seal"));
    }
    Ok(OpenedSnapshot { snapshot, digest: sha256 })
}

impl Snapshot {
    /// The same snapshot at this place in the chain of whoever commits it, relying on what this usage list names, and not signed yet.
    ///
    /// # Errors
    /// Those of [`Usage::encode`].
    pub fn committed(self, link: ChainLink, usage: &Usage) -> Result<Self> {
        let ChainLink { writer, sequence, previous } = link;
        let packs = PacksRelied::of(usage);
        Ok(Self { writer, sequence, previous, signer: None, usage: usage.digest()?, packs, ..self })
    }

    /// Its place in the chain of the writer who committed it here.
    #[must_use]
    pub fn link(&self) -> ChainLink {
        ChainLink { writer: self.writer, sequence: self.sequence, previous: self.previous }
    }

    /// The body of the snapshot's document.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        self.check()?;
        json::encode(WHAT, self)
    }

    /// The snapshot in the body of a document.
    pub(crate) fn decode(body: &[u8]) -> Result<Self> {
        let snapshot: Self = json::decode(WHAT, body)?;
        snapshot.check()?;
        Ok(snapshot)
    }

    fn check(&self) -> Result<()> {
        if self.problems.len() <= PROBLEMS_MAX {
            return Ok(());
        }
        Err(malformed(format!("it lists more than {PROBLEMS_MAX} problems")))
    }
}

fn malformed(problem: impl Into<String>) -> Error {
    Error::Malformed { what: WHAT, problem: problem.into() }
}

fn object_id(id: SnapshotId) -> ObjectId {
    ObjectId::new(*id.as_bytes())
}

#[cfg(test)]
pub(crate) mod tests {
    use credenza_model::{ChunkId, RepositoryId};
    use proptest::prelude::*;

    use super::*;
    use crate::{CHECKSUM_BYTES, Inspector, Keyring, seal_document};

    pub(crate) fn sample() -> Snapshot {
        let time = Timestamp { seconds: 1_800_000_000, nanoseconds: 0 };
        Snapshot {
            id: SnapshotId::new([1; 16]),
            source: SnapshotSource {
                identity: "machine/home".into(),
                namespace: "tree".into(),
                location: "/home".into(),
                as_of: Some(Timestamp { seconds: 1_700_000_000, nanoseconds: 0 }),
                documents: vec![SourceDocument { name: "s3.policy".into(), text: Some("{}".into()), error: None }],
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
            signer: None,
            origin: Some(Origin { writer: Hex([11; 16]), sequence: 12, stored: Some(time) }),
            replaces: None,
            part: Some(Part { group: Hex([12; 16]), number: 1, of: 3, after: Some(Hex(vec![0xff, 1])), until: None }),
            tree: TreeRoot { id: ChunkId::new([7; 32]), level: 1, length: 100, entries: 2, bytes: 3 },
            usage: Hex([8; 32]),
            packs: PacksRelied { count: 9, digest: Hex([10; 32]) },
            statistics: Statistics { entries: 2, errors: 2, ..Statistics::default() },
            listing: Some(OrderedListing { ranged_runs: 3 }),
            problems: vec![
                Problem { key: Key::from("a"), reason: "denied".into() },
                Problem { key: Key::new([0xff, 0x00]), reason: "gone".into() },
            ],
            problems_unlisted: 0,
            excluded: vec!["*.tmp".into()],
        }
    }

    fn keys() -> Keys {
        Keyring::generate().unwrap().keys(RepositoryId::new([1; 16]))
    }

    fn seal(keys: &Keys, signing_key: Option<&SigningKey>) -> Vec<u8> {
        seal_snapshot(keys, sample(), signing_key).unwrap().pieces().concat()
    }

    /// What somebody without any key can do after a change: make the checksum fit again.
    fn repaired(mut object: Vec<u8>) -> Vec<u8> {
        let before = object.len() - CHECKSUM_BYTES;
        let checksum = blake3::hash(&object[..before]);
        object[before..].copy_from_slice(checksum.as_bytes());
        object
    }

    #[test]
    fn a_snapshot_reads_back_what_was_sealed_with_and_without_a_signature() {
        let (keys, key) = (keys(), SigningKey::from_seed(&[5; 32]));
        for signing_key in [None, Some(&key)] {
            let sealed = seal_snapshot(&keys, sample(), signing_key).unwrap();
            let object = sealed.pieces().concat();
            assert_eq!((sealed.length(), Hex(*sealed.sha256())), (object.len() as u64, sha256(&object)));
            let snapshot = Snapshot { signer: signing_key.map(SigningKey::public), ..sample() };
            let inspected = inspect(&object).unwrap();
            let stated = inspected.statement.unwrap();
            assert_eq!((stated.link, stated.signer), (snapshot.link(), snapshot.signer), "readable without a key");
            let opened = open_snapshot(&keys, snapshot.id, object.clone()).unwrap();
            assert_eq!(opened, OpenedSnapshot { snapshot, digest: sha256(&object) });
        }
    }

    fn sha256(bytes: &[u8]) -> Digest {
        Hex(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().try_into().unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_changed_byte_is_found_without_a_key_and_with_one_whoever_mends_the_checksum(
            signed: bool, place: prop::sample::Index, change in 1..=255_u8,
        ) {
            let (keys, key) = (keys(), SigningKey::from_seed(&[5; 32]));
            let mut object = seal(&keys, signed.then_some(&key));
            let place = place.index(object.len() - CHECKSUM_BYTES);
            object[place] ^= change;
            prop_assert!(inspect(&object).is_err());
            let mended = repaired(object);
            prop_assert!(open_snapshot(&keys, sample().id, mended.clone()).is_err(), "byte {place}");
            prop_assert!(!signed || inspect(&mended).is_err(), "a signature needs no key to be verified");
        }

        #[test]
        fn pieces_of_any_size_come_to_the_same_verdict(piece in 1..400_usize) {
            let object = seal(&keys(), None);
            let mut inspector = Inspector::new(object.len() as u64);
            object.chunks(piece).for_each(|piece| inspector.update(piece));
            prop_assert_eq!(inspector.finish(), inspect(&object));
        }
    }

    #[test]
    fn a_signature_that_was_taken_off_is_missed_with_the_key() {
        let keys = keys();
        let mut object = seal(&keys, Some(&SigningKey::from_seed(&[5; 32])));
        let end = object.len() - CHECKSUM_BYTES;
        object[end - 96..end].fill(0);
        let stripped = repaired(object);
        assert!(inspect(&stripped).is_ok_and(|inspected| inspected.statement.unwrap().signer.is_none()));
        assert!(matches!(open_snapshot(&keys, sample().id, stripped), Err(Error::Malformed { .. })));
    }

    #[test]
    fn a_snapshot_cut_off_or_extended_is_found() {
        let object = seal(&keys(), None);
        for length in 0..object.len() {
            assert!(inspect(&object[..length]).is_err(), "{length} bytes");
        }
        assert!(inspect(&repaired([object, vec![0]].concat())).is_err_and(|error| error != Error::BadSignature));
    }

    #[test]
    fn a_snapshot_is_never_sealed_without_its_statement() {
        let sealed = seal_document(&keys(), ObjectKind::Snapshot, ObjectId::new([1; 16]), b"{}");
        assert!(matches!(sealed, Err(Error::Malformed { .. })));
    }

    #[test]
    fn fields_of_later_programs_are_passed_over() {
        let body = String::from_utf8(sample().encode().unwrap()).unwrap();
        let grown = body.replacen('{', r#"{"novelty":true,"#, 1);
        assert_eq!(Snapshot::decode(grown.as_bytes()).unwrap(), sample());
    }

    #[test]
    fn more_problems_than_are_listed_must_be_counted() {
        let problem = Problem { key: Key::from("a"), reason: String::new() };
        let snapshot = Snapshot { problems: vec![problem; PROBLEMS_MAX + 1], ..sample() };
        assert!(snapshot.encode().is_err());
    }
}
