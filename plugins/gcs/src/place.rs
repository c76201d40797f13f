//! The settings of a location, and how keys of entries and names of objects follow from each other.

use credenza_sdk::prefix::Prefix;
use credenza_sdk::settings::broken;
use credenza_sdk::{Config, Problem, Timestamp, percent, time};

credenza_sdk::settings! {
    /// What the user configured.
    pub(crate) struct Place {
        host: String,
        bucket: String,
        pub(crate) prefix: Prefix,
        /// Empty leaves it to the bucket, or to what the original had.
        pub(crate) storage_class: String,
        /// Whether every generation is listed.
        pub(crate) versions: bool,
        as_of: String,
        /// Whether retention and holds are restored.
        pub(crate) locks: bool,
        part_size: u64,
        login: String,
        client_id: String,
    }
}

/// What all parts of an upload but the last must be a multiple of (<https://cloud.google.com/storage/docs/performing-resumable-uploads>).
const PART_BYTES_UNIT: u64 = 256 * 1024;

impl Place {
    /// The bucket is read as it was then.
    pub(crate) fn as_of(&self) -> Option<Timestamp> {
        time::parse_iso(&self.as_of)
    }

    /// Bytes of a part of an upload, a multiple of [`PART_BYTES_UNIT`].
    pub(crate) fn part_bytes(&self) -> u64 {
        self.part_size.max(1).next_multiple_of(PART_BYTES_UNIT)
    }

    /// The location as a person writes it; equal for equal places. Names of buckets are unique in the world, but for those of an emulator.
    pub(crate) fn identity(&self) -> String {
        format!("gs://{}/{}/{}", self.host, self.bucket, self.prefix)
    }

    /// The bucket, for messages.
    pub(crate) fn bucket_name(&self) -> String {
        format!("bucket `{}` at {}", self.bucket, self.host)
    }

    /// The path of a request for an object: one segment.
    pub(crate) fn object(&self, key: &[u8]) -> String {
        format!("/{}", percent::value(&self.prefix.full(key)))
    }
}

/// Rules that the manifest cannot say.
pub(crate) fn problems(config: &Config) -> Vec<Problem> {
    let place = Place::of(config);
    let Place { bucket, prefix, storage_class, as_of, login, client_id, .. } = &place;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    broken([
        (
            bucket.is_empty() || !bucket.bytes().all(is_plain),
            "bucket",
            "a bucket's name has lower-case letters, digits, `-`, `_` and `.` only",
        ),
        (prefix.len() > 1000, "prefix", "a prefix leaves room for a name: at most 1,000 of its 1,024 bytes"),
        (
            !storage_class.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            "storage_class",
            "a storage class is a word such as `NEARLINE`",
        ),
        (!as_of.is_empty() && place.as_of().is_none(), "as_of", "a time is written like `2026-11-24T12:00:00Z`"),
        (
            login == "user" && client_id.is_empty(),
            "client_id",
            "a refresh token needs the id of the client that it was made for",
        ),
    ])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A configuration, completed as the host does it.
    pub(crate) fn config(pairs: &[(&str, &str)]) -> Config {
        let defaults = [("host", "storage.googleapis.com"), ("bucket", "b"), ("part_size", "8388608")];
        Config::of_texts(&[pairs, &defaults].concat())
    }

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        let place = Place::of(&config(&[("prefix", "foo")]));
        assert_eq!(place.object("../x y/\u{fc}".as_bytes()), "/foo%2F..%2Fx%20y%2F%C3%BC");
    }

    #[test]
    fn parts_are_of_a_size_that_the_service_takes() {
        for (size, bytes) in [("1", 262_144), ("262144", 262_144), ("262145", 524_288), ("8388608", 8_388_608)] {
            assert_eq!(Place::of(&config(&[("part_size", size)])).part_bytes(), bytes);
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        assert!(problems(&config(&[])).is_empty());
        let wrong = [("bucket", "a/b"), ("storage_class", "a b"), ("as_of", "noon"), ("login", "user")];
        assert_eq!(problems(&config(&wrong)).len(), 4);
    }
}
