//! Doors for `tests/fuzz` to what lies behind the encryption, where an attacker without a key gets nothing, and one with a key anything.
//!
//! Owned here: nothing but the doors. Compiled with the feature `fuzzing` only, which no other crate asks for.

use credenza_model::{ObjectId, RepositoryId};
use zeroize::Zeroizing;

use crate::container::{ChainLink, Sealer};
use crate::{Error, Hex, Keyring, Keys, Node, ObjectKind, PackBlob, Result, Snapshot, document, lines, pack, tree};

/// The id of every object that [`seal`] makes.
pub const ID: ObjectId = ObjectId::new([0x22; 16]);

/// Keys that anybody has, so that what they seal is what a hostile holder of a key would make.
#[must_use]
pub fn keys() -> Keys {
    Keyring::public().keys(RepositoryId::new([0x11; 16]))
}

/// An object of that kind around any plaintext.
///
/// # Errors
/// As sealing: none but for a plaintext that is empty or far too large.
pub fn seal(keys: &Keys, kind: ObjectKind, plaintext: &[u8]) -> Result<Vec<u8>> {
    let mut sealer = Sealer::with_salt(keys, kind, ID, plaintext.len(), [0x33; 32])?;
    sealer.write(plaintext)?;
    let link = ChainLink { writer: Hex([0; 16]), sequence: 1, previous: None };
    let sealed = if kind == ObjectKind::Snapshot { sealer.finish_stated(link, None)? } else { sealer.finish()? };
    Ok(sealed.pieces().concat())
}

/// The checksum line of a text document made to fit, as anybody can do.
#[must_use]
pub fn mend_text(bytes: &[u8]) -> Vec<u8> {
    lines::mended(bytes.to_vec())
}

/// The body in the plaintext of a document.
///
/// # Errors
/// As [`open_document`](crate::open_document).
pub fn decode_document(plaintext: &[u8]) -> Result<Vec<u8>> {
    document::decode_body(plaintext.to_vec())
}

/// What a key slot wraps.
///
/// # Errors
/// [`Error::Malformed`] or [`Error::Unknown`] when any field breaks the rules.
pub fn decode_keyring(bytes: &[u8]) -> Result<Keyring> {
    Keyring::decode(bytes)
}

/// The inverse of [`decode_keyring`].
///
/// # Errors
/// None for what was decoded.
pub fn encode_keyring(keyring: &Keyring) -> Result<Zeroizing<Vec<u8>>> {
    keyring.encode()
}

/// The body of a snapshot.
///
/// # Errors
/// [`Error::Malformed`] or [`Error::Unknown`] when any field breaks the rules.
pub fn decode_snapshot(body: &[u8]) -> Result<Snapshot> {
    Snapshot::decode(body)
}

/// The inverse of [`decode_snapshot`].
///
/// # Errors
/// None for what was decoded.
pub fn encode_snapshot(snapshot: &Snapshot) -> Result<Vec<u8>> {
    snapshot.encode()
}

/// A node with these items, whatever a builder would make of them.
///
/// # Errors
/// [`Error::Record`] when a record breaks the rules of the model.
pub fn encode_node(node: &Node, level: u8) -> Result<Vec<u8>, Error> {
    tree::encode_node(node, level)
}

/// The table of blobs at the end of a pack, with its trailer.
#[must_use]
pub fn encode_footer(blobs: &[PackBlob]) -> Vec<u8> {
    pack::encode_footer(blobs)
}
