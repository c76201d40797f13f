//! Documents whose body is JSON: a version in front, unknown fields passed over, so that they can grow.
//!
//! Called by intents, condemned records and snapshots.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    record: T,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

/// JSON with a version in front.
pub(crate) fn encode<T: Serialize>(what: &'static str, record: &T) -> Result<Vec<u8>> {
    let versioned = Versioned { version: VERSION, record };
    serde_json::to_vec(&versioned).map_err(|error| Error::Malformed { what, problem: error.to_string() })
}

/// JSON whose version is looked at before its other fields.
pub(crate) fn decode<T: DeserializeOwned>(what: &'static str, json: &[u8]) -> Result<T> {
    let malformed = |error: serde_json::Error| Error::Malformed { what, problem: error.to_string() };
    let VersionOnly { version } = serde_json::from_slice(json).map_err(malformed)?;
    if version != VERSION {
        return Err(Error::Unknown { what: "record version", found: version });
    }
    serde_json::from_slice(json).map(|Versioned { record, .. }| record).map_err(malformed)
}
