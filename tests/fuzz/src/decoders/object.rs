//! Whole objects as a store gives them, and any plaintext in a true one.

use credenza_format::fuzzing::{ID, decode_document, keys, seal};
use credenza_format::{CHECKSUM_BYTES, Header, Inspector, ObjectKind, open_document, open_snapshot};
use credenza_model::SnapshotId;

use super::frozen_bytes;

const OBJECTS: [&str; 9] = [
    "/document_plain",
    "/document_aes_256_gcm",
    "/document_chacha20_poly1305",
    "/raw_document_plain",
    "/raw_document_aes_256_gcm",
    "/raw_document_chacha20_poly1305",
    "/stated_signed",
    "/stated_unsigned",
    "/writer/raw_document",
];

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let sealed = ObjectKind::ALL.map(|kind| seal(&keys(), kind, b"plaintext").expect("a short plaintext is sealed"));
    OBJECTS.map(frozen_bytes).into_iter().chain(sealed).collect()
}

/// An object with its checksum made to fit, inspected in pieces and opened as whatever it says that it is.
pub(crate) fn run(input: &[u8]) {
    let object = mended(input);
    let verdicts = [object.len().max(1), 7].map(|piece| {
        let mut inspector = Inspector::new(object.len() as u64);
        object.chunks(piece).for_each(|piece| inspector.update(piece));
        inspector.finish()
    });
    assert_eq!(verdicts[0], verdicts[1], "the verdict does not depend on the pieces");
    let Ok(header) = Header::decode(&object) else { return };
    let _ = open_document(&keys(), header.kind(), header.object(), object.clone());
    let _ = open_snapshot(&keys(), SnapshotId::new(*header.object().as_bytes()), object);
}

/// What anybody can do without a key.
fn mended(input: &[u8]) -> Vec<u8> {
    let mut object = input.to_vec();
    if let Some(before) = object.len().checked_sub(CHECKSUM_BYTES) {
        let checksum = credenza_format::body_digest(&object[..before]);
        object[before..].copy_from_slice(&checksum.0);
    }
    object
}

pub(crate) fn plaintext_seeds() -> Vec<Vec<u8>> {
    let raw = [&[0, 5, 0, 0, 0, 5, 0, 0, 0][..], b"short", &[0; 7]].concat();
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x05, 0x29, 0x00, 0x00, b's', b'h', b'o', b'r', b't'];
    let zstd = [&[1, 5, 0, 0, 0, 14, 0, 0, 0][..], &frame].concat();
    vec![raw, zstd, vec![0; 9]]
}

/// A document around any plaintext: the way through the seal and the door behind it come to the same.
pub(crate) fn run_plaintext(input: &[u8]) {
    if input.is_empty() {
        return;
    }
    let object = seal(&keys(), ObjectKind::Usage, input).expect("any plaintext is sealed");
    let opened = open_document(&keys(), ObjectKind::Usage, ID, object);
    assert_eq!(opened, decode_document(input));
}
