//! The bodies of sealed documents, and the keyring: what lies behind the encryption.

use credenza_format::fuzzing::{decode_keyring, decode_snapshot, encode_keyring, encode_snapshot, keys};
use credenza_format::{
    Bitmap, BlobIndex, BlobKind, Condemned, Encoding, EscrowedConnector, Fact, Frame, Hex, IndexSegment, Intent,
    Keyring, LockRecord, Note, PACK_BLOBS_MAX, PackBuilder, PackKind, PackUsage, Usage,
};
use credenza_model::{ObjectId, RepositoryId, Timestamp};

use super::{comes_back, comes_back_exactly, frozen_bytes, frozen_text};

pub(crate) fn index_seeds() -> Vec<Vec<u8>> {
    let packs = [(PackKind::Data, BlobKind::Data), (PackKind::Meta, BlobKind::Node)].map(|(kind, blob_kind)| {
        let mut builder = PackBuilder::new(&keys(), kind).expect("a pack begins");
        for stored in [&b"one"[..], b"two"] {
            let (id, plain_length) = (keys().blob_id(blob_kind, stored), stored.len() as u32);
            builder
                .push(Frame { id, kind: blob_kind, encoding: Encoding::Raw, plain_length, stored })
                .expect("it has a place");
        }
        builder.finish().expect("the pack is sealed").pack
    });
    let until = Timestamp { seconds: 1_900_000_000, nanoseconds: 0 };
    let locks = vec![LockRecord { object: ObjectId::new([8; 16]), until }];
    let whole = IndexSegment { packs: packs.to_vec(), supersedes: vec![ObjectId::new([9; 16])], locks };
    [IndexSegment::default(), whole].map(|segment| segment.encode().expect("a segment is encoded")).to_vec()
}

/// A segment, and the index that is made of it.
pub(crate) fn run_index(input: &[u8]) {
    comes_back(input, IndexSegment::decode, IndexSegment::encode);
    let Ok(segment) = IndexSegment::decode(input) else { return };
    let mut index = BlobIndex::new();
    if index.add(&segment).is_ok() {
        for blob in segment.packs.iter().flat_map(|pack| &pack.blobs) {
            let place = index.get(&blob.id).expect("all is in memory").expect("every blob of a segment has a place");
            assert!(index.pack(place.pack).is_some());
        }
    }
}

pub(crate) fn usage_seeds() -> Vec<Vec<u8>> {
    let mut some = Bitmap::new(20);
    some.set(3);
    let of = |id, used| PackUsage { pack: ObjectId::new([id; 16]), used };
    let small = Usage { packs: vec![of(1, Bitmap::full(9)), of(2, some), of(3, Bitmap::new(0))] };
    let large = Usage { packs: vec![of(1, Bitmap::full(PACK_BLOBS_MAX))] };
    [small, large].map(|usage| usage.encode().expect("a list is encoded")).to_vec()
}

/// A usage list, and the questions that are asked of it.
pub(crate) fn run_usage(input: &[u8]) {
    comes_back(input, Usage::decode, Usage::encode);
    for used in Usage::decode(input).into_iter().flat_map(|usage| usage.packs).map(|pack| pack.used).take(8) {
        let set = (0..used.length().min(5000)).filter(|index| used.get(*index)).count() as u32;
        assert!(set <= used.count() && used.count() <= used.length() && !used.get(used.length()));
    }
}

const TIME: Timestamp = Timestamp { seconds: 1_800_000_000, nanoseconds: 5 };

pub(crate) fn intent_seeds() -> Vec<Vec<u8>> {
    let intent =
        Intent { connectors: Vec::new(), packs: vec![ObjectId::new([1; 16])], created: TIME, writer: Hex([3; 16]) };
    vec![intent.encode().expect("a record is encoded")]
}

pub(crate) fn run_intent(input: &[u8]) {
    comes_back(input, Intent::decode, Intent::encode);
}

pub(crate) fn condemned_seeds() -> Vec<Vec<u8>> {
    let record = Condemned { connectors: Vec::new(), packs: vec![ObjectId::new([1; 16])], created: TIME };
    vec![record.encode().expect("a record is encoded")]
}

pub(crate) fn run_condemned(input: &[u8]) {
    comes_back(input, Condemned::decode, Condemned::encode);
}

pub(crate) fn note_seeds() -> Vec<Vec<u8>> {
    (0..5).map(|number| frozen_text(&format!("/notes/{number}")).into_bytes()).collect()
}

/// A note; one of a later program is read and not written again.
pub(crate) fn run_note(input: &[u8]) {
    let known = |body: &[u8]| match Note::decode(body) {
        Ok(Note { fact: Fact::Unknown, .. }) => Err(credenza_format::Error::BadSignature),
        other => other,
    };
    comes_back(input, known, Note::encode);
}

pub(crate) fn connector_seeds() -> Vec<Vec<u8>> {
    let connector = EscrowedConnector { name: "s3".into(), release: "1".into(), component: b"asm".to_vec() };
    vec![connector.encode().expect("a connector is encoded")]
}

pub(crate) fn run_connector(input: &[u8]) {
    comes_back(input, EscrowedConnector::decode, EscrowedConnector::encode);
}

pub(crate) fn snapshot_seeds() -> Vec<Vec<u8>> {
    vec![include_bytes!("snapshot.json").trim_ascii_end().to_vec()]
}

pub(crate) fn run_snapshot(input: &[u8]) {
    comes_back(input, decode_snapshot, encode_snapshot);
}

pub(crate) fn keyring_seeds() -> Vec<Vec<u8>> {
    let full = Keyring::public();
    let writer = full.for_writer(RepositoryId::new([1; 16]));
    let made = [full, writer].map(|keyring| encode_keyring(&keyring).expect("a keyring is encoded").to_vec());
    made.into_iter().chain([frozen_bytes("/writer/keyring")]).collect()
}

/// A keyring, and the keys that follow from it.
pub(crate) fn run_keyring(input: &[u8]) {
    comes_back_exactly(input, decode_keyring, |keyring| encode_keyring(keyring).map(|bytes| bytes.to_vec()));
    if let Ok(keyring) = decode_keyring(input) {
        let keys = keyring.keys(RepositoryId::new([1; 16]));
        assert_eq!(keys.current_epoch(), keyring.current_epoch());
    }
}
