//! What will be deleted, so that nobody relies on it meanwhile.

use credenza_model::{ObjectId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Result, json};

const WHAT: &str = "a record of condemned packs";

/// What nobody needed when the record was written, and nobody may rely on from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condemned {
    /// Packs, each once.
    pub packs: Vec<ObjectId>,
    /// Escrowed connectors, by the names that they have in the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connectors: Vec<ObjectId>,
    /// When the record was written, by the collector's clock.
    pub created: Timestamp,
}

impl Condemned {
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
    use crate::Error;

    #[test]
    fn a_record_reads_back_what_was_encoded_and_may_grow() {
        let record = Condemned {
            connectors: Vec::new(),
            packs: vec![ObjectId::new([1; 16])],
            created: Timestamp { seconds: 1_800_000_000, nanoseconds: 0 },
        };
        let body = record.encode().unwrap();
        assert_eq!(Condemned::decode(&body), Ok(record.clone()));
        let text = String::from_utf8(body).unwrap();
        assert_eq!(Condemned::decode(text.replacen('{', r#"{"novelty":[1],"#, 1).as_bytes()), Ok(record));
        let newer = Condemned::decode(text.replace(r#""version":1"#, r#""version":2,"packs":7"#).as_bytes());
        assert_eq!(newer, Err(Error::Unknown { what: "record version", found: 2 }));
    }
}
