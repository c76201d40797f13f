//! What is configured for the container as a whole, for a person to read: its stored access policies, and what its headers say.
//!
//! Bound: a request and at most [`DOCUMENT_BYTES_MAX`] bytes for each.

use credenza_sdk::{Document, Error, ErrorClass, Result};

use crate::container::Container;
use crate::fault::not_azure;
use crate::wire::{Wire, request};

/// Longest document that is kept: a container has at most five policies, and 8 KiB of metadata.
const DOCUMENT_BYTES_MAX: usize = 60 * 1024;
/// Headers of a container that say how it is configured; those of metadata beside them.
const HEADERS: [&str; 6] = [
    "x-ms-blob-public-access",
    "x-ms-default-encryption-scope",
    "x-ms-deny-encryption-scope-override",
    "x-ms-has-immutability-policy",
    "x-ms-has-legal-hold",
    "x-ms-immutable-storage-with-versioning-enabled",
];

impl<W: Wire> Container<W> {
    /// The documents; a policy that is not there has none.
    ///
    /// # Errors
    /// When the settings are wrong; a document that cannot be read for another reason has its error.
    pub(crate) fn container_documents(&self) -> Result<Vec<Document>> {
        let documents = [("azure.container", self.properties()), ("azure.access-policies", self.policies())];
        let mut kept = Vec::new();
        for (name, content) in documents {
            let content = match content {
                Ok(Some(text)) => Ok(text),
                Ok(None) => continue,
                Err(error) => match error.class {
                    ErrorClass::Configuration => return Err(error),
                    ErrorClass::NotFound | ErrorClass::Unsupported => continue,
                    // A signature is never good for these, whatever it grants.
                    ErrorClass::Denied if self.place.login == "sas" => continue,
                    _ => Err(error),
                },
            };
            kept.push(Document { name: name.to_owned(), content });
        }
        Ok(kept)
    }

    fn properties(&self) -> Result<Option<String>> {
        let answer = self.ask(request("GET", "?restype=container"), None, "reading the properties of the container")?;
        let is_kept = |name: &str| HEADERS.contains(&name) || name.starts_with("x-ms-meta-");
        let lines =
            answer.headers.0.iter().filter(|(name, _)| is_kept(name)).map(|(name, value)| format!("{name}: {value}\n"));
        Ok(Some(lines.collect::<String>()).filter(|text| !text.is_empty()))
    }

    fn policies(&self) -> Result<Option<String>> {
        let action = "reading the access policies of the container";
        let answer = self.ask(request("GET", "?restype=container&comp=acl"), None, action)?;
        let (bytes, whole) = self.wire.read_up_to(&answer.body, DOCUMENT_BYTES_MAX)?;
        if !whole {
            let message = format!("{action} failed: they are longer than the {DOCUMENT_BYTES_MAX} bytes that are kept");
            return Err(Error::new(ErrorClass::Exhausted, "azure.document-too-long", message));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| not_azure(action, &self.place.name(), "a document", "bytes that are no text"))?;
        let text = text.trim_start_matches('\u{feff}').trim();
        Ok(text.contains("<SignedIdentifier>").then(|| text.to_owned()))
    }
}
