//! Escrowed connectors: the component that read a source, kept beside what it read, so that it can be read back when the vendor is gone.
//!
//! Body: length of the head u32 · head, JSON · the component. Owned here: the codec, and that the component is the one that the head names. Called by
//! the engine.

use credenza_model::ObjectId;
use serde::{Deserialize, Serialize};

use crate::wire::{Fields, length_u32};
use crate::{Digest, Error, Hex, Result, json};

const WHAT: &str = "an escrowed connector";
/// Largest component that is kept: what a document of 64 MiB has room for, its padding and its tags included.
const COMPONENT_BYTES_MAX: usize = 56 * 1024 * 1024;

/// A connector as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscrowedConnector {
    /// Its name.
    pub name: String,
    /// Its version.
    pub release: String,
    /// The component.
    pub component: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    name: String,
    release: String,
    digest: Digest,
}

impl EscrowedConnector {
    /// Most bytes of a component that can be kept: 56 MiB.
    pub const BYTES_MAX: usize = COMPONENT_BYTES_MAX;

    /// BLAKE3 of the component, as snapshots name it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest(&self.component)
    }

    /// The names that a component of this digest may have in a store: each half of it. It has the first, unless a collector had condemned what was under
    /// that when it was needed again.
    #[must_use]
    pub fn names(Hex(digest): Digest) -> [ObjectId; 2] {
        let mut halves = [[0; 16]; 2];
        halves.as_flattened_mut().iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        halves.map(ObjectId::new)
    }

    /// The body of its document.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond 56 MiB, [`Error::Malformed`] when its head cannot be written as JSON.
    pub fn encode(&self) -> Result<Vec<u8>> {
        within(&self.component)?;
        let head = Head { name: self.name.clone(), release: self.release.clone(), digest: self.digest() };
        let head = json::encode(WHAT, &head)?;
        Ok([length_u32(WHAT, head.len())?.to_le_bytes().as_slice(), &head, &self.component].concat())
    }

    /// Decodes the body of a document.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is none or its component is another than the one named, [`Error::TooLarge`] beyond 56 MiB.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let mut fields = Fields::new(WHAT, body);
        let length = fields.u32()?;
        let Head { name, release, digest: named } = json::decode(WHAT, fields.take(length as usize)?)?;
        let component = fields.rest();
        within(component)?;
        if digest(component) != named {
            return Err(fields.malformed("its component is not the one that it names"));
        }
        Ok(Self { name, release, component: component.to_vec() })
    }
}

fn digest(component: &[u8]) -> Digest {
    Hex(*blake3::hash(component).as_bytes())
}

fn within(component: &[u8]) -> Result<()> {
    match component.len() > COMPONENT_BYTES_MAX {
        true => {
            Err(Error::TooLarge { what: WHAT, bytes: component.len() as u64, bytes_max: COMPONENT_BYTES_MAX as u64 })
        }
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Padded, and with its tags: what could be sealed could be read again.
    #[test]
    fn the_largest_connector_has_room_in_a_document() {
        let keys = crate::Keyring::generate().unwrap().keys(credenza_model::RepositoryId::new([1; 16]));
        let mut component = vec![0; COMPONENT_BYTES_MAX];
        // Nothing that can be compressed.
        blake3::Hasher::new().finalize_xof().fill(&mut component);
        let connector = EscrowedConnector { name: "n".repeat(64), release: "1".into(), component };
        let [name, _] = EscrowedConnector::names(connector.digest());
        let kind = crate::ObjectKind::Connector;
        let sealed = crate::seal_document(&keys, kind, name, &connector.encode().unwrap()).unwrap();
        let opened = crate::open_document(&keys, kind, name, sealed.pieces().concat()).unwrap();
        assert!(EscrowedConnector::decode(&opened).unwrap() == connector);
        let larger = EscrowedConnector { component: vec![0; COMPONENT_BYTES_MAX + 1], ..connector };
        assert!(matches!(larger.encode(), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn a_connector_reads_back_and_another_in_its_place_is_refused() {
        let connector = EscrowedConnector { name: "s3".into(), release: "1.0".into(), component: b"\0asm".to_vec() };
        let body = connector.encode().unwrap();
        assert_eq!(EscrowedConnector::decode(&body), Ok(connector));
        let mut other = body.clone();
        *other.last_mut().unwrap() ^= 1;
        assert!(matches!(EscrowedConnector::decode(&other), Err(Error::Malformed { .. })));
        for length in 0..body.len() {
            assert!(EscrowedConnector::decode(&body[..length]).is_err(), "{length}");
        }
    }
}
