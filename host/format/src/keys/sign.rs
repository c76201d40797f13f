//! The signature of the config: Ed25519 (RFC 8032), so that a writer can verify what it cannot forge.

use credenza_model::RepositoryId;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::derive;

const KEY_CONTEXT: &str = "credenza v1 2026-11-24 config signing key";
/// What a signature covers before the config, so that it means nothing elsewhere.
const MESSAGE_CONTEXT: &[u8] = b"credenza v1 2026-11-24 config signature\0";

fn signing_key(repository: RepositoryId, secret: &[u8; 32]) -> SigningKey {
    SigningKey::from_bytes(&derive(KEY_CONTEXT, &[repository.as_bytes(), secret]))
}

pub(super) fn public_key(repository: RepositoryId, secret: &[u8; 32]) -> [u8; 32] {
    signing_key(repository, secret).verifying_key().to_bytes()
}

pub(super) fn sign(repository: RepositoryId, secret: &[u8; 32], config: &[u8]) -> [u8; 64] {
    signing_key(repository, secret).sign(&message(config)).to_bytes()
}

pub(super) fn verify(public_key: &[u8; 32], config: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(public_key).is_ok_and(|key| key.verify_strict(&message(config), &signature).is_ok())
}

fn message(config: &[u8]) -> Vec<u8> {
    [MESSAGE_CONTEXT, config].concat()
}
