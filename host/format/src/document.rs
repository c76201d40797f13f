//! Sealed objects with one body: index segments, usage lists, intents, snapshots, records of condemned packs.
//!
//! Plaintext: encoding u8, plain length u32, stored length u32, the stored bytes, zeros up to a Padmé length. Owned here:
//! that layout. Refused here: what the body says. Called by the codecs of those objects and by the engine.

use credenza_model::ObjectId;
use credenza_model::limits::DOCUMENT_BYTES_MAX;

use crate::container::{Header, Opener, SealedObject, Sealer};
use crate::wire::{Fields, length_u32};
use crate::{Encoding, Error, Keys, ObjectKind, Result};

const FRONT_BYTES: u64 = 9;
/// Documents are few and read often: compressed harder than contents.
const LEVEL: i32 = 6;

/// Seals a document.
///
/// # Errors
/// [`Error::TooLarge`] for a body of more than [`DOCUMENT_BYTES_MAX`].
pub fn seal_document(keys: &Keys, kind: ObjectKind, object: ObjectId, body: &[u8]) -> Result<SealedObject> {
    fill(Sealer::new(keys, kind, object)?, keys, body)
}

fn fill(mut sealer: Sealer, keys: &Keys, body: &[u8]) -> Result<SealedObject> {
    if body.len() as u64 > DOCUMENT_BYTES_MAX {
        return Err(Error::TooLarge { what: "a document", bytes: body.len() as u64, bytes_max: DOCUMENT_BYTES_MAX });
    }
    let compressed = zstd::bulk::compress(body, LEVEL)
        .map_err(|cause| Error::Compress { level: LEVEL, problem: cause.to_string() })?;
    let (encoding, stored) =
        if compressed.len() < body.len() { (Encoding::Zstd, compressed.as_slice()) } else { (Encoding::Raw, body) };
    sealer.write(&[encoding as u8])?;
    sealer.write(&length_u32("a document", body.len())?.to_le_bytes())?;
    sealer.write(&length_u32("a document", stored.len())?.to_le_bytes())?;
    sealer.write(stored)?;
    pad(&mut sealer, keys, 0)?;
    sealer.finish()
}

/// Writes zeros until the plaintext with `trailing` more bytes has a Padmé length.
pub(crate) fn pad(sealer: &mut Sealer, keys: &Keys, trailing: u64) -> Result<()> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut missing = keys.suite().padded(sealer.plain_bytes() + trailing) - trailing - sealer.plain_bytes();
    while missing > 0 {
        let now = missing.min(ZEROS.len() as u64);
        sealer.write(ZEROS.get(..usize::try_from(now).unwrap_or(0)).unwrap_or_default())?;
        missing -= now;
    }
    Ok(())
}

/// Opens a document and returns its body.
///
/// # Errors
/// Every way in which the object is not the document expected.
pub fn open_document(keys: &Keys, kind: ObjectKind, object: ObjectId, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
        return Err(Error::TooLarge { what: "a document", bytes: bytes.len() as u64, bytes_max: DOCUMENT_BYTES_MAX });
    }
    let header = Header::decode(&bytes)?;
    let plain = Opener::new(keys, &header, kind, object)?.open_all(&mut bytes)?;
    let mut fields = Fields::new("a document", &plain);
    let encoding = Encoding::decode(fields.u8()?)?;
    let (plain_length, stored_length) = (fields.u32()?, fields.u32()?);
    if u64::from(plain_length) > DOCUMENT_BYTES_MAX {
        return Err(Error::TooLarge {
            what: "a document",
            bytes: u64::from(plain_length),
            bytes_max: DOCUMENT_BYTES_MAX,
        });
    }
    let stored = fields.take(stored_length as usize)?;
    if fields.remaining() as u64 != keys_padding(header.suite, u64::from(stored_length)) {
        return Err(fields.malformed("its padding has the wrong length"));
    }
    fields.zeros(fields.remaining())?;
    crate::compress::inflate_exactly(encoding, stored, plain_length)
}

fn keys_padding(suite: crate::Suite, stored: u64) -> u64 {
    suite.padded(FRONT_BYTES + stored) - FRONT_BYTES - stored
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keyring, Suite};
    use credenza_model::RepositoryId;
    use proptest::prelude::*;

    fn keys(suite: Suite) -> Keys {
        Keyring::generate().unwrap().keys(RepositoryId::new([3; 16]), suite)
    }

    fn bytes(object: SealedObject) -> Vec<u8> {
        object.into_pieces().concat()
    }

    const ID: ObjectId = ObjectId::new([9; 16]);

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_document_opens_to_what_was_sealed(body in proptest::collection::vec(any::<u8>(), 0..200_000)) {
            for suite in [Suite::Plain, Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
                let keys = keys(suite);
                let sealed = bytes(seal_document(&keys, ObjectKind::Usage, ID, &body).unwrap());
                prop_assert_eq!(open_document(&keys, ObjectKind::Usage, ID, sealed).unwrap(), body.clone());
            }
        }

        #[test]
        fn no_flipped_bit_passes(body in proptest::collection::vec(any::<u8>(), 0..2_000), at in any::<proptest::sample::Index>(), bit in 0_u8..8) {
            for suite in [Suite::Plain, Suite::Aes256Gcm] {
                let keys = keys(suite);
                let mut sealed = bytes(seal_document(&keys, ObjectKind::Usage, ID, &body).unwrap());
                let at = at.index(sealed.len());
                sealed[at] ^= 1 << bit;
                prop_assert!(open_document(&keys, ObjectKind::Usage, ID, sealed).is_err());
            }
        }
    }

    #[test]
    fn truncated_extended_reordered_and_swapped_objects_are_refused() {
        let keys = keys(Suite::Aes256Gcm);
        let body: Vec<u8> =
            (0..300_000_u32).flat_map(|i| blake3::hash(&i.to_le_bytes()).as_bytes()[..1].to_vec()).collect();
        let sealed = bytes(seal_document(&keys, ObjectKind::Usage, ID, &body).unwrap());
        let open = |bytes: Vec<u8>| open_document(&keys, ObjectKind::Usage, ID, bytes);
        let segment = crate::SEGMENT_SEALED_BYTES as usize;
        for cut in [0, 1, crate::HEADER_BYTES, crate::HEADER_BYTES + segment, sealed.len() - 1] {
            assert!(open(sealed[..cut].to_vec()).is_err(), "cut to {cut}");
        }
        assert!(open([sealed.clone(), vec![0; 16]].concat()).is_err());
        let mut swapped = sealed.clone();
        swapped[crate::HEADER_BYTES..crate::HEADER_BYTES + 2 * segment].rotate_left(segment);
        assert!(open(swapped).is_err());
        assert!(open_document(&keys, ObjectKind::Index, ID, sealed.clone()).is_err());
        assert!(open_document(&keys, ObjectKind::Usage, ObjectId::new([8; 16]), sealed.clone()).is_err());
        let stranger = Keyring::generate().unwrap();
        assert!(matches!(
            open_document(
                &stranger.keys(RepositoryId::new([3; 16]), Suite::Aes256Gcm),
                ObjectKind::Usage,
                ID,
                sealed.clone()
            ),
            Err(Error::ForeignKey { .. })
        ));
        assert!(
            open_document(&stranger.keys(RepositoryId::new([4; 16]), Suite::Aes256Gcm), ObjectKind::Usage, ID, sealed)
                .is_err()
        );
    }
}
