//! The hybrid key pair of a recipient: X25519 (RFC 7748) with ML-KEM-768 (FIPS 203), of which both must be broken.
//!
//! Owned here: both halves from one seed, and the two shared secrets. Refused here: the key that follows from them (`wrap`), texts
//! (`identity`).

use ml_kem::array::Array;
use ml_kem::{Ciphertext, Decapsulate, DecapsulationKey, EncapsulationKey, Key, KeyExport, MlKem768, SharedKey};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

use super::wrap::exchange;
use super::{SlotError, malformed};
use crate::keys::{derive, random};

const X25519_CONTEXT: &str = "credenza v1 2026-11-24 hybrid recipient: X25519";
const ML_KEM_CONTEXT: &str = "credenza v1 2026-11-24 hybrid recipient: ML-KEM-768";

/// The X25519 public key, and the encapsulation key of ML-KEM-768.
pub(super) const PUBLIC_BYTES: usize = 32 + 1184;
/// A ciphertext of ML-KEM-768.
pub(super) const CIPHERTEXT_BYTES: usize = 1088;

/// What only the recipient and the sealer know: 32 bytes of X25519, then 32 of ML-KEM-768.
pub(super) type Shared = Zeroizing<[u8; 64]>;

/// What is sealed to a recipient.
pub(super) struct Encapsulated {
    /// The ephemeral X25519 public key.
    pub(super) ephemeral: [u8; 32],
    /// The ciphertext of ML-KEM-768.
    pub(super) ciphertext: Vec<u8>,
    pub(super) shared: Shared,
}

/// The public half that follows from a seed.
pub(super) fn public(seed: &[u8; 32]) -> Vec<u8> {
    let x25519 = PublicKey::from(&x25519_secret(seed)).to_bytes();
    let ml_kem = ml_kem_secret(seed).encapsulation_key().to_bytes();
    [x25519.as_slice(), ml_kem.as_slice()].concat()
}

/// Whether bytes are a public half that can be sealed to.
pub(super) fn is_public(public: &[u8]) -> bool {
    halves(public).is_some()
}

/// Two shared secrets with whoever holds the seed of a public half.
pub(super) fn encapsulate(public: &[u8]) -> Result<Encapsulated, SlotError> {
    let invalid = || malformed("its recipient's hybrid public key is none");
    let (x25519, ml_kem) = halves(public).ok_or_else(invalid)?;
    let own = StaticSecret::from(random::<32>()?);
    let message = Zeroizing::new(random::<32>()?);
    let (ciphertext, secret) = ml_kem.encapsulate_deterministic(&Array(*message));
    let shared = joined(exchange(&own, &x25519)?, secret);
    Ok(Encapsulated { ephemeral: PublicKey::from(&own).to_bytes(), ciphertext: ciphertext.to_vec(), shared })
}

/// The shared secrets of what was sealed to the public half of a seed. A false ciphertext gives a false secret, which the slot's commitment
/// tells.
pub(super) fn decapsulate(seed: &[u8; 32], ephemeral: &[u8; 32], ciphertext: &[u8]) -> Result<Shared, SlotError> {
    let ciphertext = Ciphertext::<MlKem768>::try_from(ciphertext);
    let ciphertext = ciphertext.map_err(|_| malformed("its ciphertext has another length"))?;
    let secret = ml_kem_secret(seed).decapsulate(&ciphertext);
    Ok(joined(exchange(&x25519_secret(seed), ephemeral)?, secret))
}

fn halves(public: &[u8]) -> Option<([u8; 32], EncapsulationKey<MlKem768>)> {
    let (x25519, ml_kem) = public.split_first_chunk::<32>()?;
    let ml_kem = Key::<EncapsulationKey<MlKem768>>::try_from(ml_kem).ok()?;
    Some((*x25519, EncapsulationKey::new(&ml_kem).ok()?))
}

fn joined(x25519: Zeroizing<[u8; 32]>, mut ml_kem: SharedKey) -> Shared {
    let mut shared = Zeroizing::new([0; 64]);
    for (place, byte) in shared.iter_mut().zip(x25519.iter().chain(ml_kem.as_slice())) {
        *place = *byte;
    }
    // It is not wiped by itself.
    ml_kem.as_mut_slice().zeroize();
    shared
}

fn x25519_secret(seed: &[u8; 32]) -> StaticSecret {
    StaticSecret::from(*derive(X25519_CONTEXT, &[seed]))
}

fn ml_kem_secret(seed: &[u8; 32]) -> DecapsulationKey<MlKem768> {
    let mut expanded = Zeroizing::new([0; 64]);
    let mut hasher = blake3::Hasher::new_derive_key(ML_KEM_CONTEXT);
    hasher.update(seed).finalize_xof().fill(expanded.as_mut_slice());
    DecapsulationKey::from_seed(Array(*expanded))
}
