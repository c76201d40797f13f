//! The settings of a location, and how keys of entries and names of objects follow from each other.

use credenza_sdk::{Config, Problem, Timestamp, percent, time};

/// What the user configured.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    host: String,
    bucket: String,
    /// Empty, or ends in `/`.
    prefix: Vec<u8>,
    /// Empty leaves it to the bucket, or to what the original had.
    pub(crate) storage_class: String,
    /// Whether every generation is listed.
    pub(crate) versions: bool,
    /// The bucket is read as it was then.
    pub(crate) as_of: Option<Timestamp>,
    /// Whether retention and holds are restored.
    pub(crate) locks: bool,
    /// Bytes of a part of an upload, a multiple of [`PART_BYTES_UNIT`].
    pub(crate) part_bytes: u64,
}

/// What all parts of an upload but the last must be a multiple of (<https://cloud.google.com/storage/docs/performing-resumable-uploads>).
const PART_BYTES_UNIT: u64 = 256 * 1024;
const PART_BYTES_DEFAULT: u64 = 8 * 1024 * 1024;

impl Place {
    /// Reads the settings; the host has checked their types.
    pub(crate) fn of(config: &Config) -> Self {
        let text = |name| config.text(name).unwrap_or_default().to_owned();
        let is_set = |name| config.boolean(name).unwrap_or(false);
        let mut prefix = text("prefix").into_bytes();
        if !prefix.is_empty() && !prefix.ends_with(b"/") {
            prefix.push(b'/');
        }
        let part_bytes = config.integer("part_size").and_then(|n| n.try_into().ok()).unwrap_or(PART_BYTES_DEFAULT);
        Self {
            host: text("host"),
            bucket: text("bucket"),
            prefix,
            storage_class: text("storage_class"),
            versions: is_set("versions"),
            as_of: time::parse_iso(&text("as_of")),
            locks: is_set("locks"),
            part_bytes: part_bytes.max(1).next_multiple_of(PART_BYTES_UNIT),
        }
    }

    /// The location as a person writes it; equal for equal places. Names of buckets are unique in the world, but for those of an emulator.
    pub(crate) fn identity(&self) -> String {
        format!("gs://{}/{}/{}", self.host, self.bucket, String::from_utf8_lossy(&self.prefix))
    }

    /// The bucket, for messages.
    pub(crate) fn bucket_name(&self) -> String {
        format!("bucket `{}` at {}", self.bucket, self.host)
    }

    /// The name in the bucket of an entry's key.
    pub(crate) fn full_key(&self, key: &[u8]) -> Vec<u8> {
        [self.prefix.as_slice(), key].concat()
    }

    /// The entry's key of a name in the bucket; nothing when it lies elsewhere.
    pub(crate) fn entry_key<'a>(&self, full: &'a [u8]) -> Option<&'a [u8]> {
        full.strip_prefix(self.prefix.as_slice())
    }

    /// The path of a request for an object: one segment.
    pub(crate) fn object(&self, key: &[u8]) -> String {
        format!("/{}", percent::value(&self.full_key(key)))
    }
}

/// Rules that the manifest cannot say.
pub(crate) fn problems(config: &Config) -> Vec<Problem> {
    let text = |name| config.text(name).unwrap_or_default();
    let (bucket, prefix, class, as_of) = (text("bucket"), text("prefix"), text("storage_class"), text("as_of"));
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let rules = [
        (
            bucket.is_empty() || !bucket.bytes().all(is_plain),
            "bucket",
            "a bucket's name has lower-case letters, digits, `-`, `_` and `.` only",
        ),
        (prefix.len() > 1000, "prefix", "a prefix leaves room for a name: at most 1,000 of its 1,024 bytes"),
        (
            !class.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            "storage_class",
            "a storage class is a word such as `NEARLINE`",
        ),
        (
            !as_of.is_empty() && time::parse_iso(as_of).is_none(),
            "as_of",
            "a time is written like `2026-11-24T12:00:00Z`",
        ),
        (
            text("login") == "user" && text("client_id").is_empty(),
            "client_id",
            "a refresh token needs the id of the client that it was made for",
        ),
    ];
    let broken = rules.into_iter().filter(|(broken, ..)| *broken);
    broken.map(|(_, setting, rule)| Problem { setting: Some(setting.to_owned()), message: rule.to_owned() }).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use credenza_sdk::{Setting, Value};

    use super::*;

    /// A configuration of text settings.
    pub(crate) fn config(pairs: &[(&str, &str)]) -> Config {
        let setting = |(name, text): &(&str, &str)| Setting {
            name: (*name).to_owned(),
            value: match *text {
                "true" => Value::Boolean(true),
                text => text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Integer),
            },
        };
        let defaults = [("host", "storage.googleapis.com"), ("bucket", "b")];
        let settings = pairs.iter().chain(&defaults).map(setting).collect();
        Config { settings, secrets_present: vec![], purpose: "backup".to_owned() }
    }

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        let place = Place::of(&config(&[("prefix", "foo")]));
        assert_eq!(place.object("../x y/\u{fc}".as_bytes()), "/foo%2F..%2Fx%20y%2F%C3%BC");
        assert_eq!(place.entry_key(b"foo/bar"), Some(&b"bar"[..]));
        assert_eq!(place.entry_key(b"foobar"), None);
    }

    #[test]
    fn parts_are_of_a_size_that_the_service_takes() {
        for (size, bytes) in [("1", 262_144), ("262144", 262_144), ("262145", 524_288), ("8388608", 8_388_608)] {
            assert_eq!(Place::of(&config(&[("part_size", size)])).part_bytes, bytes);
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        assert!(problems(&config(&[])).is_empty());
        let wrong = [("bucket", "a/b"), ("storage_class", "a b"), ("as_of", "noon"), ("login", "user")];
        assert_eq!(problems(&config(&wrong)).len(), 4);
    }
}
