//! Entries as a source reports them, and records as a snapshot keeps them.

use crate::{Content, Key, Timestamp};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntryKind {
    /// A file or an object.
    File,
    /// A folder; its key ends in `/` or is empty.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Something with attributes and no content: a device, a socket, a pipe.
    Other,
}

impl EntryKind {
    /// The word for a person and for JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Other => "other",
        }
    }
}

/// A value of open-ended metadata.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AttributeValue {
    /// Text.
    Text(String),
    /// A number.
    Integer(i64),
    /// A point in time.
    Time(Timestamp),
    /// Bytes.
    Blob(Vec<u8>),
}

/// A namespaced name (`posix.mode`, `http.content-type`, `user.NAME`, `xattr.NAME`) and its value.
pub type Attribute = (String, AttributeValue);

/// A digest that the remote already knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Checksum {
    /// `sha256`, `crc32c`, `md5` …
    pub algorithm: String,
    /// The raw digest.
    pub value: Vec<u8>,
}

/// One version of a key in a source that keeps history.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    /// The provider's id, opaque.
    pub id: String,
    /// What a plain read of the key would return.
    pub latest: bool,
    /// A delete marker: it has a key, an id and a time, and no content.
    pub deleted: bool,
}

/// Something that a source holds, as its listing or a read describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Exact name within the source.
    pub key: Key,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of content, when known.
    pub size: Option<u64>,
    /// Last change of the content, when known.
    pub modified: Option<Timestamp>,
    /// Equal fingerprints promise equal content (ETag, or mtime + ctime + size + inode).
    pub fingerprint: Option<String>,
    /// Whatever the source needs to read this exact version again; opaque.
    pub locator: Option<Vec<u8>>,
    /// Set by sources that keep history.
    pub version: Option<Version>,
    /// Where a symbolic link points, exact bytes.
    pub link_target: Option<Vec<u8>>,
    /// Digests the remote already knows.
    pub checksums: Vec<Checksum>,
    /// Everything else, sorted by name, names unique.
    pub attributes: Vec<Attribute>,
}

impl Entry {
    /// Whether it is there: neither a delete marker nor a version that another has superseded.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.version.as_ref().is_none_or(|version| version.latest && !version.deleted)
    }

    /// An entry with a key and a kind and nothing else known.
    #[must_use]
    pub fn new(key: Key, kind: EntryKind) -> Self {
        Self {
            key,
            kind,
            size: None,
            modified: None,
            fingerprint: None,
            locator: None,
            version: None,
            link_target: None,
            checksums: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&AttributeValue> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }
}

/// How an entry fared when it was backed up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EntryStatus {
    /// The content is of one moment: the same before it was read and after.
    #[default]
    Stable,
    /// It changed each time that it was read; the content kept may be of more than one moment.
    Changed,
    /// It was listed and was gone when it was to be read.
    Vanished,
    /// It could not be read, with the reason; no content is kept.
    Unreadable(String),
    /// It was to be recorded without its content, with the reason.
    Referenced(String),
    /// Its content is of one moment; what is said of it could not all be read, with the reason.
    Undescribed(String),
    /// Its bytes are kept as they came, and contradict what its source says of them, with the reason.
    Doubtful(String),
}

/// An entry as a snapshot keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The entry.
    pub entry: Entry,
    /// Where its bytes are.
    pub content: Content,
    /// How it fared.
    pub status: EntryStatus,
}

/// Something a source could not even describe, such as an unreadable folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedEntry {
    /// What was skipped, with everything below it.
    pub key: Key,
    /// Why, for a person.
    pub reason: String,
}
