//! The repository's own signature of text documents: Ed25519 (RFC 8032), so that writers can verify what they cannot forge.

use credenza_model::RepositoryId;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::derive;

const KEY_CONTEXT: &str = "credenza v1 2026-11-24 text signing key";
/// What a signature covers before the text, so that it means nothing elsewhere.
const MESSAGE_CONTEXT: &[u8] = b"credenza v1 2026-11-24 text document\0";

fn signing_key(repository: RepositoryId, secret: &[u8; 32]) -> SigningKey {
    SigningKey::from_bytes(&derive(KEY_CONTEXT, &[repository.as_bytes(), secret]))
}

pub(super) fn public_key(repository: RepositoryId, secret: &[u8; 32]) -> [u8; 32] {
    signing_key(repository, secret).verifying_key().to_bytes()
}

pub(super) fn sign(repository: RepositoryId, secret: &[u8; 32], text: &[u8]) -> [u8; 64] {
    signing_key(repository, secret).sign(&message(text)).to_bytes()
}

pub(super) fn verify(public_key: &[u8; 32], text: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(public_key).is_ok_and(|key| key.verify_strict(&message(text), &signature).is_ok())
}

fn message(text: &[u8]) -> Vec<u8> {
    [MESSAGE_CONTEXT, text].concat()
}
