//! The settings of a location, and how keys of entries and keys of the bucket follow from each other.

use credenza_sdk::{Config, Problem, Timestamp};

use credenza_sdk::{percent, time};

/// What the user configured.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    host: String,
    bucket: String,
    /// Empty, or ends in `/`.
    prefix: Vec<u8>,
    /// Empty leaves it to the bucket.
    pub(crate) storage_class: String,
    /// Whether every version is listed.
    pub(crate) versions: bool,
    /// The bucket is read as it was then.
    pub(crate) as_of: Option<Timestamp>,
    /// What protects objects: whether it is backed up and restored.
    pub(crate) options: WriteOptions,
    /// What becomes of archived objects in a backup.
    pub(crate) archived: Archived,
    /// Whether the bucket of a destination is created when it is not there.
    pub(crate) create_bucket: bool,
    /// What requests are signed for, and a new bucket is created in.
    pub(crate) region: String,
    /// Bytes of a part of a large upload.
    pub(crate) part_bytes: u64,
}

/// Part size when the settings name none, the smallest that most clients use.
const PART_BYTES_DEFAULT: u64 = 8 * 1024 * 1024;

impl Place {
    /// Reads the settings; the host has checked their types.
    pub(crate) fn of(config: &Config) -> Self {
        let text = |name| config.text(name).unwrap_or_default().to_owned();
        let mut prefix = text("prefix").into_bytes();
        if !prefix.is_empty() && !prefix.ends_with(b"/") {
            prefix.push(b'/');
        }
        Self {
            host: text("host"),
            bucket: text("bucket"),
            prefix,
            storage_class: text("storage_class"),
            versions: config.boolean("versions").unwrap_or(false),
            as_of: time::parse_iso(&text("as_of")),
            options: WriteOptions {
                acl: config.boolean("acl").unwrap_or(false),
                locks: config.boolean("locks").unwrap_or(false),
            },
            create_bucket: config.boolean("create_bucket").unwrap_or(false),
            region: text("region"),
            archived: Archived::of(config.text("archived")),
            part_bytes: config.integer("part_size").and_then(|n| n.try_into().ok()).unwrap_or(PART_BYTES_DEFAULT),
        }
    }

    /// The location as a person writes it; equal for equal places.
    pub(crate) fn identity(&self) -> String {
        format!("s3://{}/{}/{}", self.host, self.bucket, String::from_utf8_lossy(&self.prefix))
    }

    /// The bucket and its host, for messages.
    pub(crate) fn bucket_name(&self) -> String {
        format!("bucket `{}` at {}", self.bucket, self.host)
    }

    /// The key in the bucket of an entry's key.
    pub(crate) fn full_key(&self, key: &[u8]) -> Vec<u8> {
        [self.prefix.as_slice(), key].concat()
    }

    /// The entry's key of a key in the bucket; nothing when it lies elsewhere.
    pub(crate) fn entry_key<'a>(&self, full: &'a [u8]) -> Option<&'a [u8]> {
        full.strip_prefix(self.prefix.as_slice())
    }

    /// The target of a request for an object.
    pub(crate) fn object(&self, key: &[u8]) -> String {
        percent::path(&self.full_key(key))
    }
}

/// Rules that the manifest cannot say.
pub(crate) fn problems(config: &Config) -> Vec<Problem> {
    let bucket = config.text("bucket").unwrap_or_default();
    let prefix = config.text("prefix").unwrap_or_default();
    let class = config.text("storage_class").unwrap_or_default();
    let as_of = config.text("as_of").unwrap_or_default();
    let rules = [
        (bucket.is_empty() || bucket.contains(['/', '?', '#']), "bucket", "name a bucket, without `/`, `?` or `#`"),
        (prefix.len() > 1000, "prefix", "a prefix leaves room for a key: at most 1,000 of the 1,024 bytes of S3"),
        (
            !class.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'),
            "storage_class",
            "a storage class is a word such as `STANDARD_IA`",
        ),
        (
            !as_of.is_empty() && time::parse_iso(as_of).is_none(),
            "as_of",
            "a time is written like `2026-11-24T12:00:00Z`",
        ),
    ];
    let broken = rules.into_iter().filter(|(broken, ..)| *broken);
    broken.map(|(_, setting, rule)| Problem { setting: Some(setting.to_owned()), message: rule.to_owned() }).collect()
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

impl Archived {
    /// The policy of that name; the manifest lists them.
    pub(crate) fn of(name: Option<&str>) -> Self {
        match name {
            Some("reference") => Self::Reference,
            Some("request") => Self::Request,
            _ => Self::Report,
        }
    }
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
                text => Value::Text(text.to_owned()),
            },
        };
        let defaults = [("host", "s3.example.com"), ("bucket", "b")];
        let settings = pairs.iter().chain(&defaults).map(setting).collect();
        Config { settings, secrets_present: vec![], purpose: "backup".to_owned() }
    }

    #[test]
    fn a_prefix_is_a_whole_path() {
        let place = Place::of(&config(&[("prefix", "foo")]));
        assert_eq!(place.entry_key(b"foo/bar"), Some(&b"bar"[..]));
        assert_eq!(place.entry_key(b"foobar"), None);
        assert_eq!(place.object(b"../x y"), "/foo/../x%20y");
        assert_eq!(place.full_key(place.entry_key(b"foo//z").unwrap()), b"foo//z");
        assert_eq!(Place::of(&config(&[])).object(b"k"), "/k");
    }

    #[test]
    fn what_cannot_be_a_bucket_is_named() {
        assert!(problems(&config(&[])).is_empty());
        assert_eq!(problems(&config(&[("bucket", "a/b"), ("storage_class", "a b"), ("as_of", "noon")])).len(), 3);
    }
}
