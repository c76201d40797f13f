//! Packs: the table at the end, and the blobs that it describes.

use credenza_format::fuzzing::{ID, encode_footer, keys};
use credenza_format::{
    BlobKind, Compressor, Encoding, Frame, Inflater, PackBlob, PackBuilder, PackKind, PackTail, open_blob, read_footer,
};

const SEGMENT_BYTES: usize = 64 * 1024;
/// Header and checksum.
const CLEAR_BYTES: usize = 160;
const TAG_BYTES: usize = 16;

/// Bodies and table of a pack of two blobs.
fn plaintext(kind: PackKind, blob_kind: BlobKind) -> Vec<u8> {
    let mut builder = PackBuilder::new(&keys(), kind).expect("a pack begins");
    let (long, mut bodies) = ("compressible ".repeat(40), Vec::new());
    for plain in ["first blob", &long] {
        let mut compressor = Compressor::new(1).expect("level 1 is there");
        let (encoding, stored) = compressor.compress(plain.as_bytes()).expect("it compresses");
        let id = keys().blob_id(blob_kind, plain.as_bytes());
        bodies.extend(stored);
        builder
            .push(Frame { id, kind: blob_kind, encoding, plain_length: plain.len() as u32, stored })
            .expect("it has a place");
    }
    let blobs = builder.finish().expect("the pack is sealed").pack.blobs;
    [bodies, encode_footer(&blobs)].concat()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![plaintext(PackKind::Data, BlobKind::Data), encode_footer(&[])]
}

/// The plaintext of a data pack: its table is read, then every blob.
pub(crate) fn run(input: &[u8]) {
    let Some(PackTail::Complete(blobs)) = tail(PackKind::Data, input) else { return };
    let (keys, mut inflater, mut out) = (keys(), Inflater::new().expect("there is memory"), Vec::new());
    for blob in &blobs {
        let range = blob.offset as usize..blob.offset as usize + blob.stored as usize;
        let stored = input.get(range).expect("a blob lies within its pack");
        if let Ok(plain) = open_blob(&keys, ID, blob, stored, &mut inflater, &mut out) {
            assert_eq!((plain.len(), keys.blob_id(blob.kind, plain)), (blob.plain as usize, blob.id));
        }
        // Behind a true id, too.
        let claimed = PackBlob { id: keys.blob_id(blob.kind, stored), ..*blob };
        let opened = open_blob(&keys, ID, &claimed, stored, &mut inflater, &mut out);
        assert!(blob.encoding != Encoding::Raw || opened.is_ok() == (blob.plain == blob.stored));
    }
}

pub(crate) fn footer_seeds() -> Vec<Vec<u8>> {
    vec![plaintext(PackKind::Meta, BlobKind::Node), plaintext(PackKind::Meta, BlobKind::List)]
}

/// The table alone, of a metadata pack: it comes back as it was.
pub(crate) fn run_footer(input: &[u8]) {
    if let Some(PackTail::Complete(blobs)) = tail(PackKind::Meta, input) {
        let footer = encode_footer(&blobs);
        assert_eq!(&input[input.len() - footer.len()..], footer);
    }
}

/// What the end of a pack with this plaintext tells.
fn tail(kind: PackKind, plaintext: &[u8]) -> Option<PackTail> {
    let segments = plaintext.len().div_ceil(SEGMENT_BYTES);
    let object_bytes = CLEAR_BYTES + plaintext.len() + segments * TAG_BYTES;
    read_footer(kind, object_bytes as u64, plaintext).ok()
}
