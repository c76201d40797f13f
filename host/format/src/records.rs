//! Intents and records of condemned packs: what writers and collectors tell each other.
//!
//! Both are sealed JSON documents. Owned here: their fields. Refused here: the protocol (the engine).

use credenza_model::{ObjectId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Error, Keys, ObjectKind, Result, SealedObject, seal_document};

/// What a running writer relies on: a collector spares these packs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The packs.
    pub packs: Vec<ObjectId>,
    /// When the run began, by the writer's clock; expiry goes by the store's.
    pub created: Timestamp,
    /// Who writes.
    pub writer: ObjectId,
}

/// What a collector is going to delete: a writer relies on none of these packs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condemned {
    /// The packs.
    pub packs: Vec<ObjectId>,
    /// When it was decided, by the collector's clock.
    pub created: Timestamp,
}

impl Intent {
    /// Seals the intent under an id.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when it outgrows a document.
    pub fn seal(&self, keys: &Keys, id: ObjectId) -> Result<SealedObject> {
        seal_document(keys, ObjectKind::Intent, id, &encode("an intent", self)?)
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode(body: &[u8]) -> Result<Self> {
        decode("an intent", body)
    }
}

impl Condemned {
    /// Seals the record under an id.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when it outgrows a document.
    pub fn seal(&self, keys: &Keys, id: ObjectId) -> Result<SealedObject> {
        seal_document(keys, ObjectKind::Condemned, id, &encode("a record of condemned packs", self)?)
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode(body: &[u8]) -> Result<Self> {
        decode("a record of condemned packs", body)
    }
}

pub(crate) fn encode(what: &'static str, value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|cause| Error::Malformed { what, problem: cause.to_string() })
}

pub(crate) fn decode<T: for<'de> Deserialize<'de>>(what: &'static str, body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|cause| Error::Malformed { what, problem: cause.to_string() })
}
