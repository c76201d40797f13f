//! Deleting from a repository: a thousand keys in a request, or one by one where the server knows no batches.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use credenza_sdk::{Error, ErrorClass, Result};
use md5::{Digest, Md5};

use crate::bucket::{Bucket, shown};
use crate::fault;
use crate::wire::{Wire, request};
use credenza_sdk::xml::{Element, escape};

/// Keys of a batch (DeleteObjects).
const BATCH_KEYS_MAX: usize = 1000;
/// Longest answer to a batch: a key and a sentence for each.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

impl<W: Wire> Bucket<W> {
    /// Deletes; what is not there counts as deleted. One result per key.
    ///
    /// # Errors
    /// When a batch fails as a whole.
    pub(crate) fn delete_all(&self, keys: &[String]) -> Result<Vec<Result<()>>> {
        if self.place.as_of().is_some() {
            return Err(self.of_the_past("deleting"));
        }
        let mut results = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH_KEYS_MAX) {
            results.extend(self.delete_batch(batch)?);
        }
        Ok(results)
    }

    fn delete_batch(&self, keys: &[String]) -> Result<Vec<Result<()>>> {
        if let [key] = keys {
            return Ok(vec![self.delete_one(key)]);
        }
        match self.ask_batch(keys) {
            Ok(document) => Ok(self.outcomes(keys, &document)),
            // Refused, misunderstood or answered with something else: the plain verb is understood by all.
            Err(error) if is_misunderstood(&error) => Ok(keys.iter().map(|key| self.delete_one(key)).collect()),
            Err(error) => Err(error),
        }
    }

    fn ask_batch(&self, keys: &[String]) -> Result<Element> {
        let action = format!("deleting {} objects", keys.len());
        let body = self.batch_document(keys).into_bytes();
        // S3 insists on a digest beside the signature here; MD5 is the one that every server knows.
        let digest = BASE64.encode(Md5::digest(&body));
        let asked = request("POST", "?delete")
            .with_header("content-md5", digest)
            .with_header("content-type", "application/xml");
        let answer = self.ask(asked, Some(self.wire.body_of(body)), &action)?;
        self.document(&answer, &["DeleteResult"], ANSWER_BYTES_MAX, &action)
    }

    fn batch_document(&self, keys: &[String]) -> String {
        let object = |key: &String| format!("<Object><Key>{}</Key></Object>", escape(&self.full_text(key)));
        let objects: String = keys.iter().map(object).collect();
        format!("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{objects}</Delete>")
    }

    /// One result per key: deleted, refused with a code, or not mentioned.
    fn outcomes(&self, keys: &[String], document: &Element) -> Vec<Result<()>> {
        let named = |kind: &'static str| document.all(kind).filter_map(|e| Some((e.text_of("Key")?.to_owned(), e)));
        let deleted: BTreeMap<String, &Element> = named("Deleted").collect();
        let refused: BTreeMap<String, &Element> = named("Error").collect();
        keys.iter()
            .map(|key| {
                let action = format!("deleting {}", shown(key.as_bytes()));
                let full = self.full_text(key);
                match (refused.get(&full), deleted.contains_key(&full)) {
                    (Some(error), _) => gone_or(self.refusal(error, &action)),
                    (None, true) => Ok(()),
                    (None, false) => {
                        Err(fault::not_s3(&action, &self.place.bucket_name(), "an outcome", "none for this key"))
                    }
                }
            })
            .collect()
    }

    fn refusal(&self, error: &Element, action: &str) -> Error {
        let text = |name| error.text_of(name).unwrap_or_default();
        fault::of_code(text("Code"), text("Message"), action, &self.place.bucket_name())
    }

    fn delete_one(&self, key: &str) -> Result<()> {
        let action = format!("deleting {}", shown(key.as_bytes()));
        let asked = request("DELETE", self.place.object(key.as_bytes()));
        self.ask(asked, None, &action).map(drop).or_else(gone_or)
    }

    /// The key in the bucket as text: both the prefix and the keys of a store are text.
    fn full_text(&self, key: &str) -> String {
        String::from_utf8_lossy(&self.place.prefix.full(key.as_bytes())).into_owned()
    }
}

fn is_misunderstood(error: &Error) -> bool {
    matches!(error.class, ErrorClass::Unsupported | ErrorClass::Internal | ErrorClass::NotFound)
        || error.reason == "s3.not-s3"
}

fn gone_or(error: Error) -> Result<()> {
    if error.class == ErrorClass::NotFound { Ok(()) } else { Err(error) }
}
