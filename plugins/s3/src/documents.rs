//! What is configured for the bucket as a whole, for a person to read: policy, lifecycle, encryption and the like.
//!
//! Bound: a request and at most [`DOCUMENT_BYTES_MAX`] bytes for each.

use credenza_sdk::{Document, Error, ErrorClass, Result};

use crate::bucket::Bucket;
use crate::fault::not_s3;
use crate::wire::{Wire, request};
use credenza_sdk::xml::Element;

/// Longest document that is kept: a policy has at most 20 KB, a lifecycle of 1,000 rules some 300
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html>).
const DOCUMENT_BYTES_MAX: usize = 60 * 1024;

/// Parameters of a bucket, the names of their documents, and the roots that these have. A policy is JSON.
const PARAMETERS: [(&str, &str, &str); 14] = [
    ("acl", "s3.acl", "AccessControlPolicy"),
    ("cors", "s3.cors", "CORSConfiguration"),
    ("encryption", "s3.encryption", "ServerSideEncryptionConfiguration"),
    ("lifecycle", "s3.lifecycle", "LifecycleConfiguration"),
    ("logging", "s3.logging", "BucketLoggingStatus"),
    ("notification", "s3.notification", "NotificationConfiguration"),
    ("object-lock", "s3.object-lock", "ObjectLockConfiguration"),
    ("ownershipControls", "s3.ownership", "OwnershipControls"),
    ("policy", "s3.policy", ""),
    ("publicAccessBlock", "s3.public-access-block", "PublicAccessBlockConfiguration"),
    ("replication", "s3.replication", "ReplicationConfiguration"),
    ("tagging", "s3.tagging", "Tagging"),
    ("versioning", "s3.versioning", "VersioningConfiguration"),
    ("website", "s3.website", "WebsiteConfiguration"),
];

impl<W: Wire> Bucket<W> {
    /// The documents; what is not configured, and what the server does not know of, has none.
    ///
    /// # Errors
    /// When the settings are wrong; a document that cannot be read for another reason has its error.
    pub fn documents(&self) -> Result<Vec<Document>> {
        let mut documents = Vec::new();
        for (parameter, name, root) in PARAMETERS {
            let content = match self.parameter(parameter, root) {
                Ok(Some(text)) => Ok(text),
                Ok(None) => continue,
                Err(error) => match error.class {
                    ErrorClass::Configuration => return Err(error),
                    ErrorClass::NotFound | ErrorClass::Unsupported | ErrorClass::Internal => continue,
                    _ => Err(error),
                },
            };
            documents.push(Document { name: name.to_owned(), content });
        }
        Ok(documents)
    }

    /// The text of a parameter, unless it says nothing.
    fn parameter(&self, parameter: &str, root: &str) -> Result<Option<String>> {
        let action = format!("reading the {parameter} of the bucket");
        let answer = self.ask(request("GET", format!("?{parameter}")), None, &action)?;
        let (bytes, whole) = self.wire.read_up_to(&answer.body, DOCUMENT_BYTES_MAX)?;
        if !whole {
            return Err(too_long(&action));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| not_s3(&action, &self.place.bucket_name(), "a document", "bytes that are no text"))?;
        Ok(says_something(&text, root).then(|| text.trim().to_owned()))
    }
}

/// Whether it is the document that was asked for, and not empty: servers that do not know a parameter answer a listing.
fn says_something(text: &str, root: &str) -> bool {
    if root.is_empty() {
        return text.trim_start().starts_with('{');
    }
    Element::parse(text.as_bytes()).is_some_and(|document| document.name == root && !document.children.is_empty())
}

fn too_long(action: &str) -> Error {
    let message = format!("{action} failed: it is longer than the {DOCUMENT_BYTES_MAX} bytes that are kept");
    Error::new(ErrorClass::Exhausted, "s3.document-too-long", message)
}
