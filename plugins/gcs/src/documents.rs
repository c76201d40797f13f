//! What is configured for the bucket as a whole, for a person to read: lifecycle, retention, policy and the like. Two requests.

use credenza_sdk::{Document, Error, ErrorClass, Result, percent};
use serde_json::Value;

use crate::bucket::Bucket;
use crate::wire::{Endpoint, Wire};

/// Fields of a bucket and the names of their documents.
const FIELDS: [(&str, &str); 14] = [
    ("autoclass", "gcs.autoclass"),
    ("cors", "gcs.cors"),
    ("defaultEventBasedHold", "gcs.default-event-based-hold"),
    ("encryption", "gcs.encryption"),
    ("iamConfiguration", "gcs.iam-configuration"),
    ("labels", "gcs.labels"),
    ("lifecycle", "gcs.lifecycle"),
    ("logging", "gcs.logging"),
    ("objectRetention", "gcs.object-retention"),
    ("retentionPolicy", "gcs.retention-policy"),
    ("rpo", "gcs.rpo"),
    ("softDeletePolicy", "gcs.soft-delete"),
    ("versioning", "gcs.versioning"),
    ("website", "gcs.website"),
];
/// The document of the bucket where it cannot be read, and that of who may do what.
const WHOLE: &str = "gcs.bucket";
const POLICY: &str = "gcs.iam-policy";
/// Longest text that is kept.
const DOCUMENT_BYTES_MAX: usize = 60 * 1024;

impl<W: Wire> Bucket<W> {
    /// The documents; what is not configured has none.
    ///
    /// # Errors
    /// When the settings are wrong; a document that cannot be read for another reason has its error.
    pub(crate) fn configuration(&self) -> Result<Vec<Document>> {
        let fields = FIELDS.map(|(field, _)| field).join(",");
        let target = percent::query(&[("fields", Some(fields.as_bytes()))]);
        let action = "reading how the bucket is configured";
        let bucket = self.ask_for_document(Endpoint::Bucket.request("GET", target), action);
        let mut documents = match bucket.map_err(|error| self.missing(error)) {
            Ok(bucket) => FIELDS.into_iter().filter_map(|(field, name)| document(name, bucket.get(field)?)).collect(),
            Err(error) if error.class == ErrorClass::Configuration => return Err(error),
            Err(error) => vec![Document { name: WHOLE.to_owned(), content: Err(error) }],
        };
        let asked = Endpoint::Policy.request("GET", "?optionsRequestedPolicyVersion=3");
        match self.ask_for_document(asked, "reading who may do what with the bucket") {
            Ok(policy) => documents.extend(document(POLICY, &policy)),
            Err(error) => documents.push(Document { name: POLICY.to_owned(), content: Err(error) }),
        }
        Ok(documents)
    }
}

fn document(name: &str, value: &Value) -> Option<Document> {
    let is_empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    let text = value.to_string();
    let content = if text.len() <= DOCUMENT_BYTES_MAX { Ok(text) } else { Err(too_long(name)) };
    (!is_empty).then(|| Document { name: name.to_owned(), content })
}

fn too_long(name: &str) -> Error {
    let message = format!("keeping {name} failed: it is longer than the {DOCUMENT_BYTES_MAX} bytes that are kept");
    Error::new(ErrorClass::Exhausted, "gcs.document-too-long", message)
}
