//! Records of removal: which snapshots were removed on purpose, so that the gaps they leave in their writers' chains are accounted for.
//!
//! A text document (`lines`) that anyone can read: its seal is the repository's own signature, for those with the keys, and that
//! of whoever removed, for those without.

use credenza_model::{ObjectId, RepositoryId, SnapshotId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::lines::{self, LinesError};
use crate::{Digest, Error, Hex, Keys, PublicKey, Result, SigningKey};

const WHAT: &str = "a record of removal";
const TITLE: &str = "credenza removal";
const VERSION: u32 = 1;
const SEAL: &str = "sealed";
/// What a signature covers first, so that it means nothing elsewhere.
const SIGNATURE_CONTEXT: &[u8] = b"credenza v1 2026-11-24 removal\0";

/// A snapshot that was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedSnapshot {
    /// Its id.
    pub snapshot: SnapshotId,
    /// Who committed it.
    pub writer: Hex<[u8; 16]>,
    /// Its number among the writer's.
    pub sequence: u64,
    /// SHA-256 of its whole object.
    pub digest: Digest,
}

/// A record of removal, written before its snapshots are deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Its id.
    pub id: ObjectId,
    /// The repository that it belongs to.
    pub repository: RepositoryId,
    /// When it was written, by the machine's clock.
    pub created: Timestamp,
    /// Whose signature it bears; sealing sets it, decoding verifies it.
    #[serde(default)]
    pub signer: Option<PublicKey>,
    /// What was removed.
    pub snapshots: Vec<RemovedSnapshot>,
}

/// A record whose signer, if it has one, was verified, and the repository's signature was not.
#[derive(Debug, Clone)]
pub struct UnverifiedRemoval {
    removal: Removal,
    sealed: Vec<u8>,
    signature: [u8; 64],
}

impl Removal {
    /// The record as it is stored, signed if there is a key.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it cannot be written as JSON, [`Error::TooLarge`] when it lists more snapshots than a text document
    /// can hold: some 30,000, [`Error::NoAccess`] with keys that may only add.
    pub fn encode(self, keys: &Keys, signing_key: Option<&SigningKey>) -> Result<Vec<u8>> {
        let signed = Self { signer: signing_key.map(SigningKey::public), ..self };
        let text = lines::unsealed(TITLE, VERSION, &signed).map_err(|error| malformed(error.to_string()))?;
        let own = keys.sign_text(text.as_bytes())?;
        let signature = signing_key.map_or([0; 64], |key| key.sign(&message(text.as_bytes())));
        let document = lines::sealed(text, SEAL, Hex([own, signature].concat()));
        let (bytes, bytes_max) = (document.len() as u64, lines::TEXT_BYTES_MAX as u64);
        if bytes > bytes_max { Err(Error::TooLarge { what: WHAT, bytes, bytes_max }) } else { Ok(document) }
    }

    /// Reads a record and verifies its signature, if it has one. Whether the signer is one to be trusted is for the caller to say.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is no such record or was damaged, [`Error::BadSignature`] when the signature does not fit.
    pub fn decode(bytes: &[u8]) -> Result<UnverifiedRemoval> {
        let lines = lines::split(bytes, TITLE, VERSION, SEAL).map_err(|error| match error {
            LinesError::Version(found) => malformed(format!("its version is {found}: use a newer credenza")),
            LinesError::Shape(problem) => malformed(problem),
        })?;
        let removal: Self = lines::parse(&lines).map_err(malformed)?;
        let seal: Hex<[u8; 128]> = serde_json::from_value(lines.seal.into())
            .map_err(|_| malformed("its seal is not 256 hexadecimal digits"))?;
        let (own, signature) = seal.0.split_at(64);
        let (own, signature) = (array(own), array(signature));
        match removal.signer {
            None if signature != [0; 64] => return Err(malformed("it has a signature and no signer")),
            None => {}
            Some(signer) => signer.verify(&message(lines.sealed), &signature)?,
        }
        Ok(UnverifiedRemoval { sealed: lines.sealed.to_vec(), signature: own, removal })
    }
}

impl UnverifiedRemoval {
    /// What it says: proven only by its signer, if he is trusted.
    #[must_use]
    pub fn claim(&self) -> &Removal {
        &self.removal
    }

    /// The record, once the repository's signature fits.
    ///
    /// # Errors
    /// [`Error::ForeignKey`] when it does not.
    pub fn verify(self, keys: &Keys) -> Result<Removal> {
        if keys.verify_text(&self.sealed, &self.signature) && keys.repository() == self.removal.repository {
            Ok(self.removal)
        } else {
            Err(Error::ForeignKey { object: self.removal.id })
        }
    }
}

fn message(lines: &[u8]) -> Vec<u8> {
    [SIGNATURE_CONTEXT, lines].concat()
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

fn malformed(problem: impl Into<String>) -> Error {
    Error::Malformed { what: WHAT, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Keyring;

    fn keys() -> Keys {
        Keyring::generate().unwrap().keys(RepositoryId::new([1; 16]))
    }

    fn removal() -> Removal {
        let removed = RemovedSnapshot {
            snapshot: SnapshotId::new([2; 16]),
            writer: Hex([3; 16]),
            sequence: 4,
            digest: Hex([5; 32]),
        };
        Removal {
            id: ObjectId::new([6; 16]),
            repository: RepositoryId::new([1; 16]),
            created: Timestamp { seconds: 1_800_000_000, nanoseconds: 0 },
            signer: None,
            snapshots: vec![removed],
        }
    }

    #[test]
    fn a_record_reads_back_what_was_encoded_with_and_without_a_signature() {
        let (keys, key) = (keys(), SigningKey::from_seed(&[7; 32]));
        for signing_key in [None, Some(&key)] {
            let expected = Removal { signer: signing_key.map(SigningKey::public), ..removal() };
            let unverified = Removal::decode(&removal().encode(&keys, signing_key).unwrap()).unwrap();
            assert_eq!(unverified.claim(), &expected, "without a key");
            assert_eq!(unverified.verify(&keys), Ok(expected));
        }
    }

    #[test]
    fn another_key_and_another_repository_refuse_it() {
        let bytes = removal().encode(&keys(), None).unwrap();
        assert!(matches!(Removal::decode(&bytes).unwrap().verify(&keys()), Err(Error::ForeignKey { .. })));
        let keys = Keyring::public().keys(RepositoryId::new([9; 16]));
        let foreign = removal().encode(&keys, None).unwrap();
        assert!(matches!(Removal::decode(&foreign).unwrap().verify(&keys), Err(Error::ForeignKey { .. })));
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_found_and_under_a_mended_checksum_by_signature_and_key(
            signed: bool, place: prop::sample::Index, change in 1..=255_u8,
        ) {
            let (keys, key) = (keys(), SigningKey::from_seed(&[7; 32]));
            let mut bytes = removal().encode(&keys, signed.then_some(&key)).unwrap();
            let place = place.index(bytes.len() - lines::CHECKSUM_LINE_BYTES);
            bytes[place] ^= change;
            prop_assert!(Removal::decode(&bytes).is_err(), "byte {place}, without a key");
            // The digits of the seal mean the same in upper case; every other change shows.
            let digit_case = change == 0x20 && bytes[place].is_ascii_uppercase();
            let opened = Removal::decode(&lines::mended(bytes)).and_then(|removal| removal.verify(&keys));
            prop_assert!(opened.is_err() || digit_case, "byte {place}");
        }
    }
}
