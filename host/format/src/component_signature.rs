//! The signature of a connector's publisher, in the connector's own file: who has the file has the proof.
//!
//! Owned here: the last section of the file, `credenza:signature`, which every reader of WebAssembly passes over, and what it covers. Refused
//! here: whose signature counts (`app`), what the file means (`sandbox`).
//!
//! The section has 117 bytes: the head of a custom section, its name, the publisher's Ed25519 key (32) and the signature (64) of
//! `credenza v1 2026-11-29 connector` ‖ one zero byte ‖ BLAKE3 of all bytes before the section.

use crate::{Error, PublicKey, Result, SigningKey};

const CONTEXT: &[u8] = b"credenza v1 2026-11-29 connector\0";
/// A custom section (0) of 115 bytes, with a name of 18.
const HEAD: &[u8] = b"\0\x73\x12credenza:signature";
const KEY_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;

/// The file with its signature by that key, in the place of one that it has.
#[must_use]
pub fn sign_component(component: &[u8], key: &SigningKey) -> Vec<u8> {
    let unsigned = split(component).map_or(component, |(unsigned, ..)| unsigned);
    let signature = key.sign(&statement(unsigned));
    [unsigned, HEAD, &key.public().0.0, &signature].concat()
}

/// Who signed a component; nobody, where it has no signature.
///
/// # Errors
/// [`Error::BadSignature`] when the signature is not of this file.
pub fn component_publisher(component: &[u8]) -> Result<Option<PublicKey>> {
    let Some((unsigned, key, signature)) = split(component) else { return Ok(None) };
    let publisher = PublicKey::from(key);
    publisher.verify(&statement(unsigned), &signature).map_err(|_| Error::BadSignature)?;
    Ok(Some(publisher))
}

fn split(component: &[u8]) -> Option<(&[u8], [u8; KEY_BYTES], [u8; SIGNATURE_BYTES])> {
    let (rest, signature) = component.split_last_chunk::<SIGNATURE_BYTES>()?;
    let (rest, key) = rest.split_last_chunk::<KEY_BYTES>()?;
    Some((rest.strip_suffix(HEAD)?, *key, *signature))
}

fn statement(unsigned: &[u8]) -> Vec<u8> {
    [CONTEXT, blake3::hash(unsigned).as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    #[test]
    fn a_signed_component_names_its_publisher_and_a_changed_one_is_refused() {
        let signed = sign_component(b"\0asm component", &key(1));
        assert_eq!(component_publisher(&signed), Ok(Some(key(1).public())));
        for (index, _) in signed.iter().enumerate() {
            let mut changed = signed.clone();
            changed[index] ^= 1;
            assert_ne!(component_publisher(&changed), Ok(Some(key(1).public())), "{index}");
        }
        assert_eq!(component_publisher(b"\0asm component"), Ok(None));
        assert_eq!(component_publisher(&signed[..signed.len() - 1]), Ok(None));
    }

    #[test]
    fn to_sign_again_takes_the_place_of_the_signature_before() {
        let once = sign_component(b"\0asm component", &key(1));
        let again = sign_component(&once, &key(2));
        assert_eq!((component_publisher(&again), again.len()), (Ok(Some(key(2).public())), once.len()));
        assert_eq!(sign_component(&again, &key(1)), once);
    }
}
