//! The settings of a location, and how keys of entries and keys of the bucket follow from each other.

use credenza_sdk::prefix::Prefix;
use credenza_sdk::settings::{FromConfig, broken};
use credenza_sdk::{Config, Problem, Timestamp, percent, time};

credenza_sdk::settings! {
    /// What the user configured.
    pub(crate) struct Place {
        host: String,
        bucket: String,
        pub(crate) prefix: Prefix,
        /// Empty leaves it to the bucket.
        pub(crate) storage_class: String,
        /// Whether every version is listed.
        pub(crate) versions: bool,
        as_of: String,
        acl: bool,
        locks: bool,
        /// What becomes of archived objects in a backup.
        pub(crate) archived: Archived,
        /// Whether the bucket of a destination is created when it is not there.
        pub(crate) create_bucket: bool,
        /// What requests are signed for, and a new bucket is created in.
        pub(crate) region: String,
        /// Bytes of a part of a large upload.
        pub(crate) part_size: u64,
    }
}

impl Place {
    /// The bucket is read as it was then.
    pub(crate) fn as_of(&self) -> Option<Timestamp> {
        time::parse_iso(&self.as_of)
    }

    /// What protects objects: whether it is backed up and restored.
    pub(crate) fn options(&self) -> WriteOptions {
        WriteOptions { acl: self.acl, locks: self.locks }
    }

    /// The location as a person writes it; equal for equal places.
    pub(crate) fn identity(&self) -> String {
        format!("s3://{}/{}/{}", self.host, self.bucket, self.prefix)
    }

    /// The bucket and its host, for messages.
    pub(crate) fn bucket_name(&self) -> String {
        format!("bucket `{}` at {}", self.bucket, self.host)
    }

    /// The target of a request for an object.
    pub(crate) fn object(&self, key: &[u8]) -> String {
        percent::path(&self.prefix.full(key))
    }
}

/// Rules that the manifest cannot say.
pub(crate) fn problems(config: &Config) -> Vec<Problem> {
    let place = Place::of(config);
    let Place { bucket, prefix, storage_class, as_of, .. } = &place;
    broken([
        (bucket.is_empty() || bucket.contains(['/', '?', '#']), "bucket", "name a bucket, without `/`, `?` or `#`"),
        (prefix.len() > 1000, "prefix", "a prefix leaves room for a key: at most 1,000 of the 1,024 bytes of S3"),
        (
            !storage_class.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'),
            "storage_class",
            "a storage class is a word such as `STANDARD_IA`",
        ),
        (!as_of.is_empty() && place.as_of().is_none(), "as_of", "a time is written like `2026-11-24T12:00:00Z`"),
    ])
}

/// What of an object's protection is given back; each is a wish of the settings.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WriteOptions {
    pub(crate) acl: bool,
    pub(crate) locks: bool,
}

/// What becomes of an archived object in a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Archived {
    /// It is named as one that could not be read.
    Report,
    /// It is recorded without its content, and the run is complete.
    Reference,
    /// It is named, and a copy is asked for that a later run can read.
    Request,
}

impl FromConfig for Archived {
    const TYPES: &'static [&'static str] = &["enum"];

    /// The manifest lists them.
    fn find(config: &Config, name: &str) -> Self {
        match String::find(config, name).as_str() {
            "reference" => Self::Reference,
            "request" => Self::Request,
            _ => Self::Report,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A configuration, completed as the host does it.
    pub(crate) fn config(pairs: &[(&str, &str)]) -> Config {
        let defaults = [("host", "s3.example.com"), ("bucket", "b"), ("part_size", "8388608")];
        Config::of_texts(&[pairs, &defaults].concat())
    }

    #[test]
    fn a_key_has_an_address_below_the_prefix() {
        assert_eq!(Place::of(&config(&[("prefix", "foo")])).object(b"../x y"), "/foo/../x%20y");
        assert_eq!(Place::of(&config(&[])).object(b"k"), "/k");
    }

    #[test]
    fn what_cannot_be_a_bucket_is_named() {
        assert!(problems(&config(&[])).is_empty());
        assert_eq!(problems(&config(&[("bucket", "a/b"), ("storage_class", "a b"), ("as_of", "noon")])).len(), 3);
    }
}
