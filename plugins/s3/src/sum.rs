//! The checksum that an object was stored with, and how its copy gets it too.
//!
//! Owned here: which algorithm, and whether it is of the whole object or of the checksums of its parts
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>). Refused here: computing it: a guest that hands
//! bytes on has not seen them, and asks the host by a header.

use credenza_sdk::http::Request;
use credenza_sdk::{AttributeValue, Entry};

use crate::wire::Headers;

/// Those that S3 knows and the host computes.
pub(crate) const ALGORITHMS: [&str; 5] = ["sha256", "sha1", "crc64nvme", "crc32c", "crc32"];
/// The attribute of its name.
pub(crate) const ATTRIBUTE: &str = "s3.checksum-algorithm";

/// What a checksum of an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sum {
    /// In lower case.
    algorithm: String,
    /// Else of the checksums of its parts.
    is_of_whole: bool,
}

impl Sum {
    /// That of an entry: one that was stated of its content, else what its attributes name.
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        let stated = entry.checksums.iter().map(|checksum| (checksum.algorithm.clone(), true));
        let named = entry.attributes.iter().find_map(|(name, value)| match value {
            AttributeValue::Text(text) if name == ATTRIBUTE => Some((text.to_ascii_lowercase(), false)),
            _ => None,
        });
        let (algorithm, is_of_whole) = stated.chain(named).find(|(algorithm, _)| algorithm != "md5")?;
        Some(Self { algorithm, is_of_whole })
    }

    /// What a locked object is written with that had none: S3 insists on one.
    pub(crate) fn of_locked() -> Self {
        Self { algorithm: "sha256".to_owned(), is_of_whole: false }
    }

    pub(crate) fn is_known(&self) -> bool {
        ALGORITHMS.contains(&self.algorithm.as_str())
    }

    /// The request whose body it is of.
    pub(crate) fn ask_for(&self, put: Request) -> Request {
        put.with_header("x-amz-sdk-checksum-algorithm", self.algorithm.to_ascii_uppercase())
    }

    /// The request that begins an upload in parts. One of the whole is put together from those of the parts, which only a CRC can be.
    pub(crate) fn announce(&self, begin: Request) -> Request {
        let begin = begin.with_header("x-amz-checksum-algorithm", self.algorithm.to_ascii_uppercase());
        if self.is_of_whole && self.algorithm.starts_with("crc") {
            begin.with_header("x-amz-checksum-type", "FULL_OBJECT")
        } else {
            begin
        }
    }

    /// The value that headers state.
    pub(crate) fn value_in(&self, headers: &Headers) -> Option<String> {
        headers.get(&format!("x-amz-checksum-{}", self.algorithm)).map(str::to_owned)
    }

    /// The element of a document that holds a value.
    pub(crate) fn element(&self) -> String {
        format!("Checksum{}", self.algorithm.to_ascii_uppercase())
    }

    /// Whether a value is of the same kind.
    pub(crate) fn is_like(&self, value: &str) -> bool {
        self.is_of_whole != is_of_parts(value)
    }

    /// Whether objects with the same parts have the same value, and others have not.
    pub(crate) const fn tells_parts(&self) -> bool {
        !self.is_of_whole
    }
}

/// Whether a value is of the checksums of parts: it ends with their number, `-N`.
pub(crate) fn is_of_parts(value: &str) -> bool {
    value.contains('-')
}
