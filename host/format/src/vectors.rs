//! Frozen test vectors: what this build derives, cuts and seals must be what every earlier one did.
//!
//! `tests/vectors/v1.json` is rewritten for a new version of the format alone.

use credenza_model::{
    ChunkRef, Content, Entry, EntryKind, EntryStatus, Key, ObjectId, Record, RepositoryId, SnapshotId, Timestamp,
};
use serde_json::{Value, json};

use crate::container::Sealer;
use crate::document::write_document;
use crate::pack::tests::push_group;
use crate::snapshot::write_snapshot;
use crate::{
    Access, BlobKind, ChainLink, Chunker, ChunkerParams, ConfigurationFile, DamagedObject, Drill, Encoding, Error,
    Fact, Frame, Header, Hex, Identity, Inflater, InstalledConnector, KdfParams, KeySlot, Keyring, Keys, ListBuilder,
    MachineConfiguration, NewSlot, Note, ObjectKind, Opener, OriginHead, PackBuilder, PackKind, PackTail, ParityRate,
    ReadPack, RecoveryCode, Replica, SealedObject, SigningKey, Suite, TagEdit, TreeBuilder, Verdict, inspect_parity,
    open_blob, open_document, parity_of, plain_length, read_footer, sealed_span,
};

const FROZEN: &str = include_str!("../tests/vectors/v1.json");
const REPOSITORY: RepositoryId = RepositoryId::new([0x11; 16]);
const ID: ObjectId = ObjectId::new([0x22; 16]);
const SALT: [u8; 32] = [0x33; 32];
const PASSPHRASE: &[u8] = b"correct horse battery staple";
const BODY: &[u8] =
    b"A document body that zstd makes shorter: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// Secrets that count upwards, two epochs.
fn keyring(suite: Suite) -> Keyring {
    let mut encoded = vec![1, suite as u8, 2, 0, 0, 0];
    encoded.extend(0..64);
    encoded.extend([0, 0, 0, 0]);
    encoded.extend(64..96);
    encoded.extend([1, 0, 0, 0]);
    encoded.extend(96..128);
    Keyring::decode(&encoded).unwrap()
}

/// The stream that cut points are frozen on: the output of BLAKE3 for no input.
fn stream(length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut out);
    out
}

fn bytes_of(object: &SealedObject) -> Vec<u8> {
    object.pieces().concat()
}

fn derived(keys: &Keys) -> Value {
    let gear: Vec<u8> = keys.gear().values().iter().flat_map(|value| value.to_le_bytes()).collect();
    let kinds = ObjectKind::ALL.map(|kind| Hex(*keys.object_key(kind, 1, b"identity").unwrap()).to_string());
    json!({
        "data_id_of_abc": keys.blob_id(BlobKind::Data, b"abc"),
        "node_id_of_abc": keys.blob_id(BlobKind::Node, b"abc"),
        "gear_blake3": Hex(*blake3::hash(&gear).as_bytes()),
        "gear_first": keys.gear().values()[0].to_string(),
        "boundary_level_1_key_abc_version_v": keys.boundary(1, b"abc", b"v").to_string(),
        "text_signature_of_abc": Hex(keys.sign_text(b"abc").unwrap()),
        "object_keys_epoch_1_identity": kinds,
    })
}

fn cuts(keys: &Keys, params: ChunkerParams, length: usize) -> Vec<usize> {
    let (chunker, data) = (Chunker::new(&keys.gear(), params), stream(length));
    let (mut rest, mut lengths) = (data.as_slice(), Vec::new());
    while let Some(length) = chunker.cut(rest, true) {
        lengths.push(length);
        rest = &rest[length..];
    }
    lengths
}

/// A document too short to be compressed, so that it does not depend on the version of zstd.
fn raw_document(keys: &Keys) -> String {
    let mut sealer = Sealer::with_salt(keys, ObjectKind::Intent, ID, 100, SALT).unwrap();
    write_document(keys, &mut sealer, b"short").unwrap();
    Hex(bytes_of(&sealer.finish().unwrap())).to_string()
}

/// The object of a snapshot with an absurd body, for its statement.
fn stated(keys: &Keys, signing_key: Option<&SigningKey>) -> String {
    let sealer = Sealer::with_salt(keys, ObjectKind::Snapshot, ID, 100, SALT).unwrap();
    let link = ChainLink { writer: Hex([0x66; 16]), sequence: 7, previous: Some(Hex([0x77; 32])) };
    Hex(bytes_of(&write_snapshot(keys, sealer, b"short", link, signing_key).unwrap())).to_string()
}

fn pack(keys: &Keys) -> Value {
    let sealer = Sealer::with_salt(keys, ObjectKind::DataPack, ID, 100, SALT).unwrap();
    let mut builder = PackBuilder::from_sealer(keys, PackKind::Data, sealer);
    for plain in [&b"first blob"[..], b"second blob", &stream(70_000)] {
        let id = keys.blob_id(BlobKind::Data, plain);
        let frame = Frame {
            id,
            kind: BlobKind::Data,
            encoding: Encoding::Raw,
            plain_length: plain.len() as u32,
            stored: plain,
        };
        builder.push(frame).unwrap();
    }
    let sealed = builder.finish().unwrap();
    json!({
        "size": sealed.pack.size,
        "sha256": Hex(sealed.pack.sha256),
        "header": Hex(sealed.pack.header.to_vec()),
        "last_blob_id": sealed.pack.blobs[2].id,
    })
}

/// Parity of a pack of seven segments: three shards, so that a position between them and the segments stays empty.
fn parity(keys: &Keys) -> Value {
    let sealer = Sealer::with_salt(keys, ObjectKind::DataPack, ID, 500_000, SALT).unwrap();
    let mut builder = PackBuilder::from_sealer(keys, PackKind::Data, sealer);
    let plain = stream(400_000);
    let id = keys.blob_id(BlobKind::Data, &plain);
    let plain_length = plain.len() as u32;
    builder.push(Frame { id, kind: BlobKind::Data, encoding: Encoding::Raw, plain_length, stored: &plain }).unwrap();
    let pack = bytes_of(&builder.finish().unwrap().object);
    let rate = ParityRate::of_percent(40).unwrap();
    let parity = parity_of(rate, REPOSITORY, ID, &[pack.clone().into()]).unwrap();
    let head = inspect_parity(&parity).unwrap().encode();
    json!({
        "pack_blake3": Hex(*blake3::hash(&pack).as_bytes()),
        "head": Hex(head.clone()),
        "shards": (parity.len() - 2 * head.len()) / 65_600,
        "blake3": Hex(*blake3::hash(&parity).as_bytes()),
    })
}

const MEMBERS: [&[u8]; 2] = [b"the first member of a group", b"the second member of a group"];

/// A pack with one group, whose bytes depend on the version of zstd.
fn pack_of_group(keys: &Keys) -> String {
    let sealer = Sealer::with_salt(keys, ObjectKind::DataPack, ID, 100, SALT).unwrap();
    let mut builder = PackBuilder::from_sealer(keys, PackKind::Data, sealer);
    push_group(&mut builder, &MEMBERS.map(|plain| (keys.blob_id(BlobKind::Data, plain), plain)));
    Hex(bytes_of(&builder.finish().unwrap().object)).to_string()
}

fn tree(keys: &Keys) -> Value {
    let mut builder = TreeBuilder::new(keys);
    let mut emit = |_, _| -> Result<(), Error> { Ok(()) };
    for number in 0..20_000_u32 {
        let mut entry = Entry::new(Key::from(format!("entry-{number:06}").as_str()), EntryKind::File);
        entry.size = Some(8);
        entry.modified = Some(Timestamp { seconds: i64::from(number) - 10_000, nanoseconds: number });
        let content = Content::Inline(u64::from(number).to_le_bytes().to_vec());
        builder.push(&Record { entry, content, status: EntryStatus::Stable }, &mut emit).unwrap();
    }
    serde_json::to_value(builder.finish(&mut emit).unwrap()).unwrap()
}

fn list(keys: &Keys) -> Value {
    let (mut builder, mut lists) = (ListBuilder::new(keys), Vec::new());
    let mut emit = |id: credenza_model::ChunkId, _| -> Result<(), Error> {
        lists.push(id.to_string());
        Ok(())
    };
    for number in 0..5000_u32 {
        let id = keys.blob_id(BlobKind::Data, &number.to_le_bytes());
        builder.push(ChunkRef { id, length: number + 1 }, &mut emit).unwrap();
    }
    builder.finish(&mut emit).unwrap();
    json!(lists)
}

/// The bodies of notes, one of each type.
fn notes() -> Vec<String> {
    let at = Timestamp { seconds: 1_800_000_000, nanoseconds: 5 };
    let (snapshot, digest) = (SnapshotId::new([0x99; 16]), Hex([0xaa; 32]));
    let damaged = DamagedObject { object: "data/00/aa".to_owned(), kind: "corrupt".to_owned(), found: at };
    let head = OriginHead { writer: Hex([0xbb; 16]), sequence: 7, digest };
    let replica = Replica { origin: REPOSITORY, as_of: at, heads: vec![head], signer: None, signature: None };
    let seed = Hex([0xcc; 16]);
    let drill = Drill { at, snapshot, seed, files: 5, folders: 1, entries: 9, bytes: 100, errors: 0, reason: None };
    let connector = InstalledConnector { name: "shop".to_owned(), from: "https://example.com/shop.wasm".to_owned() };
    let file = ConfigurationFile { name: "jobs.toml".to_owned(), text: "version = 1\n".to_owned() };
    let facts = [
        Fact::Health { damaged: vec![damaged], read: vec![ReadPack { pack: ID, at }] },
        Fact::Flag { snapshot, digest, verdict: Verdict::Suspect, reason: "half of it was encrypted".to_owned() },
        Fact::Serving { snapshots: vec![snapshot], intent: ID },
        Fact::Tags { edits: vec![TagEdit { snapshot, tag: "keep".to_owned(), is_set: true, at }] },
        Fact::Replica(replica.signed(&SigningKey::from_seed(&[0x88; 32]))),
        Fact::Drill(drill),
        Fact::Configuration(MachineConfiguration {
            host: "a".to_owned(),
            at,
            files: vec![file],
            left_out: vec!["config.toml: repository.main.passphrase".to_owned()],
            connectors: vec![connector],
        }),
    ];
    let encoded = facts.map(|fact| Note { created: at, writer: Hex([0xbb; 16]), fact }.encode().unwrap());
    encoded.into_iter().map(|body| String::from_utf8(body).unwrap()).collect()
}

/// What a writer is given, and a document that it seals to the repository.
fn writer() -> Value {
    let keyring = keyring(Suite::Aes256Gcm).for_writer(REPOSITORY);
    let keys = keyring.keys(REPOSITORY);
    let mut sealer = Sealer::with_salt(&keys, ObjectKind::Usage, ID, 100, SALT).unwrap();
    write_document(&keys, &mut sealer, b"short").unwrap();
    json!({
        "keyring": Hex(keyring.encode().unwrap().to_vec()),
        "raw_document": Hex(bytes_of(&sealer.finish().unwrap())),
    })
}

fn current() -> Value {
    let keys = keyring(Suite::Aes256Gcm).keys(REPOSITORY);
    let of = |suite| keyring(suite).keys(REPOSITORY);
    json!({
        "derived": derived(&keys),
        // The default when these were frozen.
        "cuts_default": cuts(&keys, ChunkerParams::new(16_384, 65_536, 262_144).unwrap(), 1_000_000),
        "cuts_64_256_1024": cuts(&keys, ChunkerParams::new(64, 256, 1024).unwrap(), 5000),
        "raw_document_plain": raw_document(&of(Suite::Plain)),
        "raw_document_aes_256_gcm": raw_document(&keys),
        "raw_document_chacha20_poly1305": raw_document(&of(Suite::ChaCha20Poly1305)),
        "stated_unsigned": stated(&keys, None),
        "stated_signed": stated(&keys, Some(&SigningKey::from_seed(&[0x88; 32]))),
        "pack": pack(&keys),
        "parity": parity(&keys),
        "tree_root": tree(&keys),
        "lists": list(&keys),
        "notes": notes(),
        "writer": writer(),
    })
}

/// A slot for every sort of secret, each with the name that it has among the vectors.
fn slots(identity: &Identity, hybrid: &Identity, code: &RecoveryCode) -> [(&'static str, KeySlot); 6] {
    let keyring = keyring(Suite::Aes256Gcm);
    let created = Timestamp { seconds: 1_800_000_000, nanoseconds: 0 };
    let new = NewSlot { keyring: &keyring, access: Access::Full, repository: REPOSITORY, label: "vector", created };
    let writer = NewSlot { access: Access::Writer, ..new };
    let passphrase = KeySlot::seal_passphrase(&new, PASSPHRASE, KdfParams::default());
    [
        ("slot_passphrase", passphrase.unwrap()),
        ("slot_key_file", KeySlot::seal_key_file(&new, &[0x44; 32]).unwrap()),
        ("slot_recipient", KeySlot::seal_recipient(&new, &identity.recipient()).unwrap()),
        ("slot_hybrid", KeySlot::seal_recipient(&new, &hybrid.recipient()).unwrap()),
        ("slot_recovery", KeySlot::seal_recovery(&new, code).unwrap()),
        ("slot_writer", KeySlot::seal_recipient(&writer, &identity.recipient()).unwrap()),
    ]
}

#[test]
#[ignore = "writes the vectors again, which only a new version of the format needs"]
fn the_vectors_are_made() {
    let mut vectors: serde_json::Map<String, Value> = serde_json::from_str(FROZEN).unwrap();
    vectors.extend(current().as_object().unwrap().clone());
    let text = |name: &str| vectors[name].as_str().unwrap().to_owned();
    let (identity, code) = (text("identity").parse().unwrap(), text("recovery_code").parse().unwrap());
    let hybrid: Identity = text("identity_hybrid").parse().unwrap();
    let keys = keyring(Suite::Aes256Gcm).keys(REPOSITORY);
    vectors.insert("pack_of_group".to_owned(), pack_of_group(&keys).into());
    vectors.insert("recipient_hybrid".to_owned(), hybrid.recipient().to_string().into());
    for (name, slot) in slots(&identity, &hybrid, &code) {
        vectors.insert(name.to_owned(), String::from_utf8(slot.encode()).unwrap().into());
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/v1.json");
    std::fs::write(path, serde_json::to_string_pretty(&vectors).unwrap() + "\n").unwrap();
}

#[test]
fn what_is_derived_cut_and_sealed_never_changes() {
    let frozen: Value = serde_json::from_str(FROZEN).unwrap();
    for (name, value) in current().as_object().unwrap() {
        assert_eq!(value, &frozen[name], "{name}");
    }
}

#[test]
fn groups_of_earlier_builds_are_read() {
    let frozen: Value = serde_json::from_str(FROZEN).unwrap();
    let object: Hex<Vec<u8>> = serde_json::from_value(frozen["pack_of_group"].clone()).unwrap();
    let (keys, size) = (keyring(Suite::Aes256Gcm).keys(REPOSITORY), object.0.len() as u64);
    let opener = Opener::new(&keys, &Header::decode(&object.0).unwrap(), (ObjectKind::DataPack, ID)).unwrap();
    let span = sealed_span(0, plain_length(size).unwrap(), size).unwrap();
    let mut plain = object.0[span.object_range.start as usize..span.object_range.end as usize].to_vec();
    opener.open_span(&span, &mut plain).unwrap();
    let PackTail::Complete(blobs) = read_footer(PackKind::Data, size, &plain).unwrap() else { panic!("a short table") };
    let (mut inflater, mut out) = (Inflater::new().unwrap(), Vec::new());
    for (blob, expected) in blobs.iter().zip(MEMBERS) {
        let stored = &plain[blob.offset as usize..(blob.offset + blob.stored) as usize];
        assert_eq!(open_blob(&keys, ID, blob, stored, &mut inflater, &mut out).unwrap(), expected);
    }
    assert_eq!(blobs.len(), MEMBERS.len());
}

#[test]
fn documents_and_slots_of_earlier_builds_open() {
    let frozen: Value = serde_json::from_str(FROZEN).unwrap();
    let documents = [
        ("document_plain", Suite::Plain),
        ("document_aes_256_gcm", Suite::Aes256Gcm),
        ("document_chacha20_poly1305", Suite::ChaCha20Poly1305),
    ];
    for (name, suite) in documents {
        let object: Hex<Vec<u8>> = serde_json::from_value(frozen[name].clone()).unwrap();
        let keys = keyring(suite).keys(REPOSITORY);
        assert_eq!(open_document(&keys, ObjectKind::Intent, ID, object.0).unwrap(), BODY, "{name}");
    }
    let object: Hex<Vec<u8>> = serde_json::from_value(frozen["writer"]["raw_document"].clone()).unwrap();
    let keys = keyring(Suite::Aes256Gcm).keys(REPOSITORY);
    assert_eq!(open_document(&keys, ObjectKind::Usage, ID, object.0).unwrap(), b"short");
    let slot = |name: &str| KeySlot::decode(frozen[name].as_str().unwrap().as_bytes()).unwrap();
    let expected = keyring(Suite::Aes256Gcm);
    assert_eq!(slot("slot_passphrase").open_passphrase(REPOSITORY, PASSPHRASE).unwrap(), expected);
    assert_eq!(slot("slot_key_file").open_key_file(REPOSITORY, &[0x44; 32]).unwrap(), expected);
    let identity: Identity = frozen["identity"].as_str().unwrap().parse().unwrap();
    assert_eq!(identity.recipient().to_string(), frozen["recipient"].as_str().unwrap());
    assert_eq!(slot("slot_recipient").open_recipient(REPOSITORY, &identity).unwrap(), expected);
    let hybrid: Identity = frozen["identity_hybrid"].as_str().unwrap().parse().unwrap();
    assert_eq!(hybrid.recipient().to_string(), frozen["recipient_hybrid"].as_str().unwrap());
    assert_eq!(slot("slot_hybrid").open_recipient(REPOSITORY, &hybrid).unwrap(), expected);
    let writer = slot("slot_writer").open_recipient(REPOSITORY, &identity).unwrap();
    assert_eq!(writer, expected.for_writer(REPOSITORY));
    let code = frozen["recovery_code"].as_str().unwrap().parse().unwrap();
    assert_eq!(slot("slot_recovery").open_recovery(REPOSITORY, &code).unwrap(), expected);
}
