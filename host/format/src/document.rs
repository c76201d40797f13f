//! A sealed object with one body: index segments, usage lists, intents, snapshots and condemned records.
//!
//! Plaintext: encoding u8 · plain length u32 · stored length u32 · stored bytes · zero padding. The whole object is in memory, so its
//! size is bounded by [`DOCUMENT_BYTES_MAX`].

use credenza_model::ObjectId;
use credenza_model::limits::{DOCUMENT_BYTES_MAX, room_of_a_moment};

use crate::container::{HEADER_BYTES, Header, Opener, SealedObject, Sealer, check_sum, plain_length, sealed_span};
use crate::wire::{Fields, length_u32};
use crate::{Compressor, Encoding, Error, Inflater, Keys, ObjectKind, Result};

/// Documents are few and read often: a level above the one for content.
const LEVEL: i32 = 3;
/// Bytes before the body: how it is encoded, and its lengths.
const PREFIX_BYTES: usize = 9;

/// Seals a document that states nothing in the clear: any but a snapshot, which [`seal_snapshot`](crate::seal_snapshot) seals.
///
/// # Errors
/// [`Error::Malformed`] for a snapshot; [`Error::TooLarge`] beyond [`DOCUMENT_BYTES_MAX`]; [`Error::Random`] and [`Error::Compress`] when the system fails.
pub fn seal_document(keys: &Keys, kind: ObjectKind, id: ObjectId, body: &[u8]) -> Result<SealedObject> {
    if kind == ObjectKind::Snapshot {
        return Err(Error::Malformed { what: "a snapshot", problem: "it lacks its statement".to_owned() });
    }
    let mut sealer = Sealer::new(keys, kind, id, body.len())?;
    write_document(keys, &mut sealer, body)?;
    sealer.finish()
}

/// Fills the sealer of a document.
pub(crate) fn write_document(keys: &Keys, sealer: &mut Sealer, body: &[u8]) -> Result<()> {
    let mut compressor = Compressor::new(LEVEL)?;
    let (encoding, stored) = compressor.compress(body)?;
    let length = (PREFIX_BYTES + stored.len()) as u64;
    let padded = keys.suite().padded(length);
    // A document of the largest size would grow beyond it by its padding and its tags: what is sealed can always be opened.
    if body.len() as u64 > DOCUMENT_BYTES_MAX || padded + padded / 1024 + 1024 > DOCUMENT_BYTES_MAX {
        return Err(Error::TooLarge {
            what: "a document",
            bytes: padded.max(body.len() as u64),
            bytes_max: DOCUMENT_BYTES_MAX,
        });
    }
    sealer.write(&[encoding as u8])?;
    sealer.write(&length_u32("a document", body.len())?.to_le_bytes())?;
    sealer.write(&length_u32("a document", stored.len())?.to_le_bytes())?;
    sealer.write(stored)?;
    sealer.write(&vec![0; usize::try_from(padded - length).unwrap_or(0)])
}

/// Opens a whole document and returns its body.
///
/// # Errors
/// [`Error::TooLarge`] beyond [`DOCUMENT_BYTES_MAX`], the errors of [`Header::decode`] and [`Opener`] when it is not the document
/// asked for or was damaged, [`Error::Checksum`] when its checksum does not fit, [`Error::Malformed`] and [`Error::Inflate`] when its content breaks the rules.
pub fn open_document(keys: &Keys, kind: ObjectKind, expected: ObjectId, mut object: Vec<u8>) -> Result<Vec<u8>> {
    let object_size = object.len() as u64;
    if object_size > DOCUMENT_BYTES_MAX {
        return Err(Error::TooLarge { what: "a document", bytes: object_size, bytes_max: DOCUMENT_BYTES_MAX });
    }
    check_sum(&object)?;
    let header = Header::decode(&object)?;
    let opener = Opener::new(keys, &header, (kind, expected))?;
    let unstated_size = object_size.saturating_sub(u64::from(header.statement_bytes()));
    let span = sealed_span(0, plain_length(unstated_size)?, unstated_size)?;
    object.truncate(usize::try_from(span.object_range.end).unwrap_or(usize::MAX));
    object.drain(..HEADER_BYTES);
    opener.open_span(&span, &mut object)?;
    decode_body(object)
}

/// The body in an opened document; one that is not compressed stays where it is.
pub(crate) fn decode_body(mut plaintext: Vec<u8>) -> Result<Vec<u8>> {
    let mut fields = Fields::new("a document", &plaintext);
    let encoding = Encoding::decode(fields.u8()?)?;
    let (plain_length, stored_length) = (fields.u32()?, fields.u32()?);
    let stored = fields.take(stored_length as usize)?;
    fields.zeros(fields.remaining())?;
    let bytes_max = u32::try_from(DOCUMENT_BYTES_MAX).unwrap_or(u32::MAX);
    let mut inflated = Vec::new();
    if encoding != Encoding::Raw && plain_length <= bytes_max {
        inflated.reserve_exact(room_of_a_moment(plain_length as usize));
    }
    Inflater::new()?.inflate_within(bytes_max, encoding, stored, plain_length, &mut inflated)?;
    if encoding != Encoding::Raw {
        return Ok(inflated);
    }
    plaintext.truncate(PREFIX_BYTES + stored_length as usize);
    plaintext.drain(..PREFIX_BYTES);
    Ok(plaintext)
}

#[cfg(test)]
mod tests {
    use credenza_model::RepositoryId;
    use proptest::prelude::*;

    use super::*;
    use crate::Keyring;

    const ID: ObjectId = ObjectId::new([9; 16]);

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_document_opens_to_its_body(body in proptest::collection::vec(any::<u8>(), 0..100_000)) {
            let keys = Keyring::generate().unwrap().keys(RepositoryId::new([1; 16]));
            let sealed = seal_document(&keys, ObjectKind::Intent, ID, &body).unwrap();
            let object = sealed.pieces().concat();
            prop_assert_eq!(open_document(&keys, ObjectKind::Intent, ID, object.clone()).unwrap(), body);
            prop_assert!(open_document(&keys, ObjectKind::Condemned, ID, object).is_err());
        }

        #[test]
        fn hostile_plaintext_is_refused_or_read_within_bounds(plaintext in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode_body(plaintext);
        }
    }

    #[test]
    fn a_document_too_large_to_be_read_again_is_not_sealed() {
        let keys = Keyring::public().keys(RepositoryId::new([1; 16]));
        let body = vec![0; DOCUMENT_BYTES_MAX as usize + 1];
        assert!(matches!(seal_document(&keys, ObjectKind::Index, ID, &body), Err(Error::TooLarge { .. })));
    }
}
