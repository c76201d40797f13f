//! What a running backup relies on, so that nobody deletes it meanwhile.

use credenza_model::{ObjectId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Hex, Result, json};

const WHAT: &str = "an intent";

/// What a running backup relies on: nobody deletes it while the record is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Packs, each once.
    pub packs: Vec<ObjectId>,
    /// Escrowed connectors, by the names that they have in the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connectors: Vec<ObjectId>,
    /// When the record was written, by the writer's clock; the store's own time decides when it expires.
    pub created: Timestamp,
    /// Who wrote it.
    pub writer: Hex<[u8; 16]>,
}

impl Intent {
    /// The body of the record's document.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] when it cannot be written as JSON.
    pub fn encode(&self) -> Result<Vec<u8>> {
        json::encode(WHAT, self)
    }

    /// Decodes the body of a record.
    ///
    /// # Errors
    /// [`crate::Error::Malformed`] when it is not such a record, [`crate::Error::Unknown`] for a version of later programs.
    pub fn decode(body: &[u8]) -> Result<Self> {
        json::decode(WHAT, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_reads_back_what_was_encoded() {
        let created = Timestamp { seconds: 1_800_000_000, nanoseconds: 5 };
        let intent = Intent {
            connectors: Vec::new(),
            packs: vec![ObjectId::new([1; 16]), ObjectId::new([2; 16])],
            created,
            writer: Hex([3; 16]),
        };
        assert_eq!(Intent::decode(&intent.encode().unwrap()), Ok(intent));
    }
}
