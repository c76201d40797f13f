//! What proves a password of a user of the page, without holding it: as dear to guess as the passphrase of a repository.
//!
//! Refused here: who the users are, and how often one may guess.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::hex_text::{Digest, Hex};
use crate::keys::{derive, random};
use crate::passphrase::normal_passphrase;
use crate::slot::{KdfParams, SlotError, stretch};

const CONTEXT: &str = "credenza v1 2026-11-29 password of a user of the page";
/// The first word of its text.
const NAME: &str = "argon2id";

/// What proves a password: `argon2id:KIB:PASSES:LANES:SALT:PROOF`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordProof {
    cost: KdfParams,
    salt: Digest,
    proof: Digest,
}

/// A text that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be argon2id:KIB:PASSES:LANES:SALT:PROOF")]
pub struct InvalidPasswordProof;

impl PasswordProof {
    /// That of a new password.
    ///
    /// # Errors
    /// When the system gives no random numbers, or no 64 MiB of memory.
    pub fn new(password: &[u8]) -> Result<Self, SlotError> {
        let (cost, salt) = (KdfParams::default(), random()?);
        let proof = proof(password, cost, &salt)?;
        Ok(Self { cost, salt: Hex(salt), proof: Hex(proof) })
    }

    /// One that no password has, which costs as much to try: who asks for a user that there is not learns nothing from the time that it takes.
    #[must_use]
    pub fn of_nobody() -> Self {
        Self { cost: KdfParams::default(), salt: Hex([0; 32]), proof: Hex([0; 32]) }
    }

    /// Whether it is that of a password: 64 MiB and three passes over them, or what it was made with.
    ///
    /// # Errors
    /// When its cost is out of bounds, or the system gives no memory.
    pub fn is_of(&self, password: &[u8]) -> Result<bool, SlotError> {
        let found = proof(password, self.cost, &self.salt.0)?;
        // Digests of what is secret are compared, so that the time tells nothing of use.
        Ok(blake3::hash(&found) == blake3::hash(&self.proof.0))
    }
}

fn proof(password: &[u8], cost: KdfParams, salt: &[u8; 32]) -> Result<[u8; 32], SlotError> {
    let normal = normal_passphrase(password);
    let stretched: Zeroizing<[u8; 32]> = stretch(normal.as_deref().map_or(password, Vec::as_slice), cost, salt)?;
    Ok(*derive(CONTEXT, &[stretched.as_slice()]))
}

impl fmt::Display for PasswordProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KdfParams { memory_kib, passes, lanes } = self.cost;
        write!(f, "{NAME}:{memory_kib}:{passes}:{lanes}:{}:{}", self.salt, self.proof)
    }
}

impl fmt::Debug for PasswordProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordProof(***)")
    }
}

impl FromStr for PasswordProof {
    type Err = InvalidPasswordProof;

    fn from_str(text: &str) -> Result<Self, InvalidPasswordProof> {
        let parts: Vec<&str> = text.split(':').collect();
        let [NAME, memory, passes, lanes, salt, proof] = parts.as_slice() else { return Err(InvalidPasswordProof) };
        let number = |text: &str| text.parse().map_err(|_| InvalidPasswordProof);
        let digest = |text: &str| text.parse().map_err(|_| InvalidPasswordProof);
        let cost = KdfParams { memory_kib: number(memory)?, passes: number(passes)?, lanes: number(lanes)? };
        Ok(Self { cost, salt: digest(salt)?, proof: digest(proof)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_its_password_alone_and_comes_back_as_it_was_written() {
        let proof = PasswordProof::new("caf\u{e9} in the morning".as_bytes()).unwrap();
        let read: PasswordProof = proof.to_string().parse().unwrap();
        assert_eq!(read, proof);
        assert!(read.is_of("cafe\u{301} in the morning".as_bytes()).unwrap(), "composed in another way");
        assert!(!read.is_of(b"cafe in the morning").unwrap());
        assert_ne!(proof, PasswordProof::new("caf\u{e9} in the morning".as_bytes()).unwrap(), "salted");
        assert!(!PasswordProof::of_nobody().is_of(b"").unwrap());
        assert_eq!(format!("{proof:?}"), "PasswordProof(***)");
    }

    #[test]
    fn a_proof_that_is_cheap_to_guess_or_eats_the_machine_is_refused() {
        let digits = "0".repeat(64);
        for cost in ["8:1:1", "4194304:3:4"] {
            let proof: PasswordProof = format!("argon2id:{cost}:{digits}:{digits}").parse().unwrap();
            assert!(proof.is_of(b"").is_err(), "{cost}");
        }
        for wrong in ["", "argon2id", "argon2id:65536:3:4:00:00", "bcrypt:65536:3:4:0:0"] {
            assert_eq!(wrong.parse::<PasswordProof>().unwrap_err(), InvalidPasswordProof, "{wrong}");
        }
    }
}
