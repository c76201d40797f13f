//! What a snapshot's object states in the clear, for audits without a key: its place in its writer's chain, and who vouches for it.
//!
//! Layout, [`STATEMENT_BYTES`]: version u16 = 1 · zero 6 · writer 16 · sequence u64 · previous 32 · signer 32 · signature 64. The
//! document repeats the fields, so that with the key an unsigned statement is proven too.

use serde::{Deserialize, Serialize};

use super::geometry::{CHECKSUM_BYTES, HEADER_BYTES, STATEMENT_BYTES};
use crate::wire::Fields;
use crate::{Digest, Error, Hex, PublicKey, Result, SigningKey};

/// Length of what the signature covers of the statement itself.
const SIGNED_BYTES: usize = STATEMENT_BYTES - 64;
const VERSION: u16 = 1;
/// What a signature covers first, so that it means nothing elsewhere.
const SIGNATURE_CONTEXT: &[u8] = b"credenza v1 2026-11-24 snapshot statement\0";

/// A place in the chain of the snapshots that one writer committed into one repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChainLink {
    /// Who committed the snapshot.
    pub writer: Hex<[u8; 16]>,
    /// Counts the writer's snapshots from 1.
    pub sequence: u64,
    /// SHA-256 of the whole object of the snapshot before, so that a missing one shows; none for the first.
    #[serde(default)]
    pub previous: Option<Digest>,
}

/// A decoded statement. Its signature is proven by [`Inspector`](super::Inspector), the rest by opening the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// Its place in the chain.
    pub link: ChainLink,
    /// Whose signature it bears; none for an unsigned one.
    pub signer: Option<PublicKey>,
    signature: [u8; 64],
}

impl Statement {
    /// States a place in the chain behind the segments of an object, signed if there is a key.
    pub(super) fn new(
        link: ChainLink,
        signing_key: Option<&SigningKey>,
        header: &[u8; HEADER_BYTES],
        segments_sha256: &[u8; 32],
    ) -> Self {
        let signer = signing_key.map(SigningKey::public);
        let unsigned = Self { link, signer, signature: [0; 64] };
        let message = unsigned.message(header, segments_sha256);
        Self { signature: signing_key.map_or([0; 64], |key| key.sign(&message)), ..unsigned }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        [self.signed_fields().as_slice(), &self.signature].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Fields::new("the statement of a snapshot", bytes);
        let version = fields.u16()?;
        if version != VERSION {
            return Err(Error::Unknown { what: "statement version", found: u32::from(version) });
        }
        fields.zeros(6)?;
        let link =
            ChainLink { writer: Hex(fields.array()?), sequence: fields.u64()?, previous: optional(fields.array()?) };
        let statement = Self { link, signer: optional(fields.array()?), signature: fields.array()? };
        fields.end()?;
        if statement.signer.is_none() && statement.signature != [0; 64] {
            return Err(fields.malformed("it has a signature and no signer"));
        }
        Ok(statement)
    }

    /// Verifies the signature, if there is one.
    pub(super) fn verify(&self, header: &[u8; HEADER_BYTES], segments_sha256: &[u8; 32]) -> Result<()> {
        match self.signer {
            None => Ok(()),
            Some(signer) => signer.verify(&self.message(header, segments_sha256), &self.signature),
        }
    }

    fn message(&self, header: &[u8; HEADER_BYTES], segments_sha256: &[u8; 32]) -> Vec<u8> {
        [SIGNATURE_CONTEXT, header, segments_sha256, &self.signed_fields()].concat()
    }

    fn signed_fields(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SIGNED_BYTES);
        out.extend(VERSION.to_le_bytes());
        out.extend([0; 6]);
        out.extend(self.link.writer.0);
        out.extend(self.link.sequence.to_le_bytes());
        out.extend(self.link.previous.unwrap_or_default().0);
        out.extend(self.signer.map_or([0; 32], |signer| signer.0.0));
        out
    }
}

/// What a snapshot's object that cannot be opened states of its place in its writer's chain. Nothing proves it: the object is damaged, and this may be too.
#[must_use]
pub fn unproven_link(object: &[u8]) -> Option<ChainLink> {
    let (stated, _) = object.split_at_checked(object.len().checked_sub(CHECKSUM_BYTES)?)?;
    let (_, statement) = stated.split_at_checked(stated.len().checked_sub(STATEMENT_BYTES)?)?;
    Statement::decode(statement).ok().map(|statement| statement.link)
}

/// Zeros stand for nothing: neither a digest nor a public key is zero.
fn optional<T: From<[u8; 32]>>(bytes: [u8; 32]) -> Option<T> {
    (bytes != [0; 32]).then(|| bytes.into())
}
