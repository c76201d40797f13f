//! Sealing and opening as a pair, and every injury that an object can suffer in a store.

use credenza_model::limits::SEGMENT_BYTES;
use credenza_model::{ObjectId, RepositoryId};
use proptest::prelude::*;

use super::*;
use crate::{Error, Keyring, Keys, ObjectKind, Result, Suite};

const ID: ObjectId = ObjectId::new([5; 16]);
const KIND: ObjectKind = ObjectKind::DataPack;

fn keys(suite: Suite) -> Keys {
    let mut keyring = Keyring::generate().unwrap();
    keyring.suite = suite;
    keyring.keys(RepositoryId::new([1; 16]))
}

fn reader_and_writer() -> (Keys, Keys) {
    let repository = RepositoryId::new([1; 16]);
    let keyring = Keyring::generate().unwrap();
    (keyring.keys(repository), keyring.for_writer(repository).keys(repository))
}

fn seal(keys: &Keys, kind: ObjectKind, id: ObjectId, plain: &[u8]) -> Vec<u8> {
    let mut sealer = Sealer::new(keys, kind, id, 0).unwrap();
    plain.chunks(50_001).for_each(|part| sealer.write(part).unwrap());
    let object = sealer.finish().unwrap();
    let bytes = object.pieces().concat();
    assert_eq!(object.length(), bytes.len() as u64);
    assert_eq!(object.sha256().as_slice(), ring::digest::digest(&ring::digest::SHA256, &bytes).as_ref());
    bytes
}

fn open(keys: &Keys, object: &[u8]) -> Result<Vec<u8>> {
    let opener = Opener::new(keys, &Header::decode(object)?, (KIND, ID))?;
    let size = object.len() as u64;
    let span = sealed_span(0, plain_length(size)?, size)?;
    let mut sealed = object[span.object_range.start as usize..span.object_range.end as usize].to_vec();
    opener.open_span(&span, &mut sealed)?;
    Ok(sealed)
}

fn suites() -> impl Strategy<Value = Suite> {
    prop_oneof![Just(Suite::Plain), Just(Suite::Aes256Gcm), Just(Suite::ChaCha20Poly1305)]
}

fn lengths() -> impl Strategy<Value = usize> {
    let edge = SEGMENT_BYTES;
    prop_oneof![1..300_usize, Just(edge - 1), Just(edge), Just(edge + 1), Just(edge * 2), 1..edge * 12]
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

#[test]
fn an_object_in_the_memory_of_another_is_the_same() {
    let (keys, plain) = (keys(Suite::Aes256Gcm), text(SEGMENT_BYTES * 2 + 9));
    let sealed = |memory: Vec<u8>| {
        let mut sealer = Sealer::with_salt(&keys, KIND, ID, plain.len(), [3; 32]).unwrap().within(memory);
        sealer.write(&plain).unwrap();
        sealer.finish().unwrap().into_pieces().concat()
    };
    let alone = sealed(Vec::new());
    assert_eq!(open(&keys, &alone).unwrap(), plain);
    for memory in [vec![7; 5], vec![7; plain.len() * 2]] {
        assert_eq!(sealed(memory), alone);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_sealed_opens(suite in suites(), length in lengths()) {
        let keys = keys(suite);
        prop_assert_eq!(open(&keys, &seal(&keys, KIND, ID, &text(length))).unwrap(), text(length));
    }

    #[test]
    fn a_span_opens_the_plaintext_it_was_asked_for(length in lengths(), from: prop::sample::Index, to: prop::sample::Index) {
        let keys = keys(Suite::Aes256Gcm);
        let (plain, object) = (text(length), seal(&keys, KIND, ID, &text(length)));
        let (a, b) = (from.index(length), to.index(length));
        let (start, end) = (a.min(b), a.max(b) + 1);
        let span = sealed_span(start as u64, (end - start) as u64, object.len() as u64).unwrap();
        let mut sealed = object[span.object_range.start as usize..span.object_range.end as usize].to_vec();
        Opener::new(&keys, &Header::decode(&object).unwrap(), (KIND, ID)).unwrap().open_span(&span, &mut sealed).unwrap();
        let skip = start - span.plain_offset() as usize;
        prop_assert_eq!(&sealed[skip..skip + end - start], &plain[start..end]);
    }

    #[test]
    fn a_changed_byte_is_found_wherever_it_is(suite in suites(), length in lengths(), place: prop::sample::Index, change in 1..=255_u8) {
        let keys = keys(suite);
        let mut object = seal(&keys, KIND, ID, &text(length));
        let place = place.index(object.len());
        object[place] ^= change;
        prop_assert!(inspect(&object).is_err(), "byte {place}, without a key");
        let sealed = place < object.len() - CHECKSUM_BYTES;
        prop_assert_eq!(open(&keys, &object).is_err(), sealed, "byte {}", place);
    }

    #[test]
    fn a_changed_header_is_found_in_each_of_its_bytes(suite in suites(), place in 0..HEADER_BYTES, change in 1..=255_u8) {
        let keys = keys(suite);
        let mut object = seal(&keys, KIND, ID, b"text");
        object[place] ^= change;
        prop_assert!(open(&keys, &object).is_err(), "byte {place}");
    }

    #[test]
    fn truncation_is_found(suite in suites(), length in lengths(), place: prop::sample::Index) {
        let keys = keys(suite);
        let object = seal(&keys, KIND, ID, &text(length));
        let truncated = &object[..place.index(object.len())];
        prop_assert!(inspect(truncated).is_err());
        prop_assert!(open(&keys, truncated).is_err());
    }

    #[test]
    fn extension_is_found(suite in suites(), length in lengths(), extra in 1..70_000_usize) {
        let keys = keys(suite);
        let mut object = seal(&keys, KIND, ID, &text(length));
        object.resize(object.len() + extra, 0);
        prop_assert!(inspect(&object).is_err());
        prop_assert!(open(&keys, &object).is_err());
    }
}

#[test]
fn truncation_at_a_segment_boundary_is_found() {
    let keys = keys(Suite::Aes256Gcm);
    let object = seal(&keys, KIND, ID, &text(SEGMENT_BYTES * 3));
    let cut = HEADER_BYTES + (SEGMENT_BYTES + 16) * 2;
    let shortened = [&object[..cut], &[0; CHECKSUM_BYTES]].concat();
    assert!(matches!(open(&keys, &shortened), Err(Error::Unauthentic { segment: 1, .. })));
}

#[test]
fn segments_in_another_order_are_found() {
    let keys = keys(Suite::Aes256Gcm);
    let mut object = seal(&keys, KIND, ID, &text(SEGMENT_BYTES * 3));
    let sealed = SEGMENT_BYTES + 16;
    let (first, second) = object[HEADER_BYTES..].split_at_mut(sealed);
    first.swap_with_slice(&mut second[..sealed]);
    assert!(matches!(open(&keys, &object), Err(Error::Unauthentic { segment: 0, .. })));
}

#[test]
fn a_segment_of_another_object_is_found() {
    let keys = keys(Suite::Aes256Gcm);
    let mut object = seal(&keys, KIND, ID, &text(100));
    let other = seal(&keys, KIND, ID, &text(100));
    object[HEADER_BYTES..].copy_from_slice(&other[HEADER_BYTES..]);
    assert!(matches!(open(&keys, &object), Err(Error::Unauthentic { .. })), "even under the same id");
}

#[test]
fn an_object_in_the_place_of_another_is_found() {
    let keyring = Keyring::generate().unwrap();
    let keys = keyring.keys(RepositoryId::new([1; 16]));
    let other_id = seal(&keys, KIND, ObjectId::new([6; 16]), b"text");
    assert!(matches!(open(&keys, &other_id), Err(Error::WrongObject { .. })));
    let other_kind = seal(&keys, ObjectKind::MetaPack, ID, b"text");
    assert!(matches!(open(&keys, &other_kind), Err(Error::WrongKind { .. })));
    let other_repository = seal(&keyring.keys(RepositoryId::new([2; 16])), KIND, ID, b"text");
    assert!(matches!(open(&keys, &other_repository), Err(Error::WrongRepository { .. })));
    let other_key = seal(&Keyring::generate().unwrap().keys(RepositoryId::new([1; 16])), KIND, ID, b"text");
    assert!(matches!(open(&keys, &other_key), Err(Error::ForeignKey { .. })));
    let mut relabelled = other_id;
    relabelled[32..48].copy_from_slice(ID.as_bytes());
    assert!(matches!(open(&keys, &relabelled), Err(Error::ForeignKey { .. })));
}

#[test]
fn an_epoch_that_the_keyring_lacks_is_named() {
    let old = Keyring::generate().unwrap();
    let mut new = old.clone();
    new.rotate().unwrap();
    let repository = RepositoryId::new([1; 16]);
    let object = seal(&new.keys(repository), KIND, ID, b"text");
    assert_eq!(open(&old.keys(repository), &object), Err(Error::MissingEpoch { object: ID, epoch: 1 }));
    let object = seal(&old.keys(repository), KIND, ID, b"text");
    assert_eq!(open(&new.keys(repository), &object).unwrap(), b"text", "old epochs stay readable");
}

#[test]
fn what_a_writer_sealed_readers_open_and_no_writer_does() {
    let (reader, writer) = reader_and_writer();
    let object = seal(&writer, KIND, ID, b"text");
    assert_eq!(Header::decode(&object).unwrap().keying(), Keying::Recipient);
    assert_eq!(open(&reader, &object).unwrap(), b"text");
    let refused = Err(Error::NoAccess { kind: KIND, object: ID });
    assert_eq!(open(&writer, &object), refused);
    assert_eq!(open(&writer, &seal(&reader, KIND, ID, b"text")), refused);
}

#[test]
fn what_writers_must_read_is_sealed_alike_by_both() {
    let (reader, writer) = reader_and_writer();
    for (from, to) in [(&reader, &writer), (&writer, &reader)] {
        let object = seal(from, ObjectKind::Index, ID, b"text");
        let header = Header::decode(&object).unwrap();
        assert_eq!(header.keying(), Keying::Derived);
        assert!(Opener::new(to, &header, (ObjectKind::Index, ID)).is_ok());
    }
}

#[test]
fn a_changed_keying_is_found() {
    let (reader, writer) = reader_and_writer();
    for (keys, kind, keying) in [
        (&reader, KIND, Keying::Recipient),
        (&writer, KIND, Keying::Derived),
        (&reader, ObjectKind::Index, Keying::Recipient),
    ] {
        let mut object = seal(keys, kind, ID, b"text");
        object[13] = keying as u8;
        let header = Header::decode(&object).unwrap();
        assert_eq!(Opener::new(&reader, &header, (kind, ID)).err(), Some(Error::ForeignKey { object: ID }));
    }
}

#[test]
fn every_size_is_either_an_objects_or_refused() {
    let sealed = (SEGMENT_BYTES + 16) as u64;
    for impossible in [0, 127, 128, 159, 160, 176, 160 + sealed + 1, 160 + sealed + 16] {
        assert!(plain_length(impossible).is_err(), "{impossible}");
    }
    assert_eq!(plain_length(177), Ok(1));
    assert_eq!(plain_length(160 + sealed), Ok(SEGMENT_BYTES as u64));
    assert_eq!(plain_length(160 + sealed + 17), Ok(SEGMENT_BYTES as u64 + 1));
    assert!(plain_length(u64::MAX).is_err());
    assert!(
        sealed_span(0, 0, 177).is_err() && sealed_span(0, 2, 177).is_err() && sealed_span(u64::MAX, 1, 177).is_err()
    );
}
