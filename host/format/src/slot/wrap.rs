//! Wrapping keys, one per slot and never used twice, and what they wrap.

use argon2::{Algorithm, Argon2, Params, Version};
use credenza_model::RepositoryId;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::{KdfParams, SlotError, malformed};
use crate::Error;
use crate::keys::derive;

const PASSPHRASE_CONTEXT: &str = "credenza v1 2026-11-24 slot key: passphrase";
const KEY_FILE_CONTEXT: &str = "credenza v1 2026-11-24 slot key: key file";
const RECIPIENT_CONTEXT: &str = "credenza v1 2026-11-24 slot key: recipient";
const HYBRID_CONTEXT: &str = "credenza v1 2026-11-24 slot key: hybrid recipient";
const RECOVERY_CONTEXT: &str = "credenza v1 2026-11-24 slot key: recovery code";
const COMMITMENT_CONTEXT: &str = "credenza v1 2026-11-24 slot key commitment";

pub(super) type WrappingKey = Zeroizing<[u8; 32]>;

pub(super) fn from_passphrase(
    repository: RepositoryId,
    passphrase: &[u8],
    cost: KdfParams,
    salt: &[u8; 32],
) -> Result<WrappingKey, SlotError> {
    let stretched = stretch(passphrase, cost, salt)?;
    Ok(derive(PASSPHRASE_CONTEXT, &[repository.as_bytes(), stretched.as_slice()]))
}

/// What makes each guess dear: Argon2id.
pub(crate) fn stretch(passphrase: &[u8], cost: KdfParams, salt: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, SlotError> {
    cost.check()?;
    let KdfParams { memory_kib, passes, lanes } = cost;
    let failed = |error: argon2::Error| SlotError::Cost { memory_kib, passes, lanes, problem: error.to_string() };
    let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(failed)?;
    let mut stretched = Zeroizing::new([0; 32]);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(passphrase, salt, stretched.as_mut_slice()).map_err(failed)?;
    Ok(stretched)
}

pub(super) fn from_key_file(repository: RepositoryId, key_file: &[u8], salt: &[u8; 32]) -> WrappingKey {
    derive(KEY_FILE_CONTEXT, &[repository.as_bytes(), salt, key_file])
}

pub(super) fn from_recovery(repository: RepositoryId, code: &[u8], salt: &[u8; 32]) -> WrappingKey {
    derive(RECOVERY_CONTEXT, &[repository.as_bytes(), salt, code])
}

/// What both sides of an exchange come to.
pub(super) fn exchange(own: &StaticSecret, other: &[u8; 32]) -> Result<WrappingKey, SlotError> {
    let shared = own.diffie_hellman(&PublicKey::from(*other));
    if !shared.was_contributory() {
        return Err(malformed("its public key is one of the few that protect nothing"));
    }
    Ok(Zeroizing::new(shared.to_bytes()))
}

/// The key that follows from an exchange with a recipient, bound to both public keys.
pub(super) fn from_exchange(
    repository: RepositoryId,
    shared: &[u8; 32],
    recipient: &[u8; 32],
    ephemeral: &[u8; 32],
) -> WrappingKey {
    derive(RECIPIENT_CONTEXT, &[repository.as_bytes(), shared, recipient, ephemeral])
}

/// The key that follows from both shared secrets of a hybrid exchange, bound to everything that was sent; all parts have fixed widths.
pub(super) fn from_hybrid(
    repository: RepositoryId,
    shared: &[u8; 64],
    recipient: &[u8],
    ephemeral: &[u8; 32],
    ciphertext: &[u8],
) -> WrappingKey {
    derive(HYBRID_CONTEXT, &[repository.as_bytes(), shared, recipient, ephemeral, ciphertext])
}

/// What proves that a key is a slot's before anything is decrypted with it.
pub(super) fn commitment(key: &[u8; 32]) -> [u8; 32] {
    *derive(COMMITMENT_CONTEXT, &[key])
}

/// Encrypts the encoded keyring, bound to the slot's first two lines.
pub(super) fn wrap(key: &[u8; 32], sealed_lines: &[u8], keyring: &[u8]) -> Result<Vec<u8>, SlotError> {
    let failed = |_| SlotError::Wrap(Error::Unsupported { what: "ChaCha20-Poly1305" });
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).map_err(failed)?);
    let mut wrapped = keyring.to_vec();
    key.seal_in_place_append_tag(only_nonce(), Aad::from(sealed_lines), &mut wrapped).map_err(failed)?;
    Ok(wrapped)
}

/// Decrypts an encoded keyring; `None` when it or the lines that it is bound to were changed.
pub(super) fn unwrap(key: &[u8; 32], sealed_lines: &[u8], wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?);
    let mut keyring = Zeroizing::new(wrapped.to_vec());
    let length = key.open_in_place(only_nonce(), Aad::from(sealed_lines), &mut keyring).ok()?.len();
    keyring.truncate(length);
    Some(keyring)
}

/// Every slot has a salt or an exchange of its own, so its key wraps one keyring only and one nonce is enough.
fn only_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}
