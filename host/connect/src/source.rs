//! Something to back up.

use async_trait::async_trait;
use credenza_model::{Attribute, Entry, Key, SkippedEntry, Timestamp};

use crate::{Body, Check, Error, Patterns, Result, Selection};

/// Bytes from `offset`, `length` of them or all that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub offset: u64,
    /// How many; `None` reads to the end.
    pub length: Option<u64>,
}

/// What a source says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceInfo {
    /// Stable identity of what is protected; two runs with the same value are one history.
    pub identity: String,
    /// `flat` (bucket) or `tree` (file system).
    pub namespace: String,
    /// Facts found out at run time:
    /// `ordered-scan` (keys strictly increase by byte value; other scans are sorted by the engine),
    /// `start-after` (a scan can begin behind any key and costs no more than what it tells; others are split by prefixes),
    /// `complete-scan` (the attributes of a listed entry are all it has, so those of an unchanged entry are taken from the scan, not from the parent snapshot),
    /// `local` (reads may block a worker thread for a moment and cost no round trip),
    /// `lean-scan` (a scan may leave out what the read of a file tells, and an equal fingerprint promises that it is what it was: that of a folder alone),
    /// `once` (its contents can be read once only: a run over it cannot begin again),
    /// `ranged-read`, `fingerprints`, `versions`, `history` (its settings want it as it was at a time).
    pub traits: Vec<String>,
}

/// Something about the source as a whole, such as a bucket's policy: kept for a person to read.
#[derive(Debug, Clone)]
pub struct SourceDocument {
    /// What it is, such as `s3.policy`.
    pub name: String,
    /// Text as the provider has it, or why it could not be read.
    pub content: Result<String>,
}

impl SourceInfo {
    /// Whether a trait is claimed.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.traits.iter().any(|t| t == name)
    }
}

/// What a scan covers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScanOptions {
    /// Everything whose key starts with these bytes (bytes, not segments).
    pub prefix: Vec<u8>,
    /// Only keys after this one, in the order of the remote; only with the trait `start-after`.
    pub start_after: Option<Vec<u8>>,
    /// Only what lies directly below the prefix; all that lies deeper appears as one entry of kind `Directory` with a key that ends in `/`.
    pub one_level: bool,
    /// What was there at that time, by the source's clock, instead of what is there now; only where [`now`](Source::now) told one.
    pub as_of: Option<Timestamp>,
    /// What the user does not want. A source that can pass it over without reaching it does, and leaves nothing else out for it.
    pub excludes: Patterns,
    /// What alone the user wants, with the folders above. A source that can pass over the rest without reaching it does.
    pub only: Selection,
    /// What keeps the rest of the folder that it lies in out, where there are folders: such a folder is reported, and so is what marks it; nothing else
    /// in it is looked at.
    pub markers: Vec<Marker>,
    /// Folders on other file systems than the root's are reported and not entered, where there are file systems.
    pub one_file_system: bool,
    /// When an earlier run began: a file that may have changed since without its times showing it is reported without its fingerprint.
    pub racy_since: Option<Timestamp>,
    /// The earlier run was of another source, so that a file whose time is a whole second is reported without its fingerprint, too: times that
    /// were made up, as in images, may be those of another file.
    pub whole_seconds_are_racy: bool,
    /// Whoever lists knows the files from before, or reads them: attributes that a read tells may be left out; only with the trait `lean-scan`.
    pub lean: bool,
}

/// What says of the folder that it lies in that nothing else in there is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// Its name.
    pub name: Vec<u8>,
    /// What it begins with, as a regular file; without, anything of that name counts.
    pub content: Option<Vec<u8>>,
}

impl Marker {
    /// The `CACHEDIR.TAG` by which programs say that a folder holds what they can make again (<https://bford.info/cachedir/>).
    #[must_use]
    pub fn of_caches() -> Self {
        let signature = b"Signature: 8a477f597d28d172789f06886806bc55";
        Self { name: b"CACHEDIR.TAG".to_vec(), content: Some(signature.to_vec()) }
    }
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An entry.
    Entry(Entry),
    /// Something that could not be described, with everything below it.
    Skipped(SkippedEntry),
}

impl Found {
    /// What was found, or skipped.
    #[must_use]
    pub const fn key(&self) -> &Key {
        match self {
            Self::Entry(entry) => &entry.key,
            Self::Skipped(skipped) => &skipped.key,
        }
    }
}

/// A piece of a walk. `more` alone says whether the walk goes on: a batch may be short or empty before the end, and full at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// In the order of the walk.
    pub found: Vec<Found>,
    /// Whether there is more to ask for.
    pub more: bool,
}

/// An object opened for reading.
#[derive(Debug)]
pub struct Opened {
    /// The entry as the read itself describes it: the scanned one, completed with what only a read tells (content type, user metadata, checksums, version).
    pub entry: Entry,
    /// Its bytes.
    pub body: Body,
}

/// A walk over a source.
#[async_trait]
pub trait Scanner: Send {
    /// What comes next, at most `max` findings, which is at least 1. Whoever wants them all asks [`Batches`](crate::Batches), which knows where a walk
    /// ends. After a failure of class `Transient` the same call may be made again: nothing is passed over or given twice.
    ///
    /// # Errors
    /// A listing that fails ends the run: it never passes for an empty or shorter source.
    async fn next(&mut self, max: usize) -> Result<Batch>;
}

/// Something to back up.
#[async_trait]
pub trait Source: Send + Sync {
    /// Identity and traits.
    ///
    /// # Errors
    /// When the source cannot be reached or is wrongly configured.
    async fn info(&self) -> Result<SourceInfo>;

    /// The source's own clock, if a scan may be as of a time that has passed; `None` where it keeps no history.
    ///
    /// # Errors
    /// When the source cannot be reached or is wrongly configured.
    async fn now(&self) -> Result<Option<Timestamp>>;

    /// Reaches, authenticates, lists one, reads one.
    async fn check(&self) -> Vec<Check>;

    /// Walks what the options name.
    ///
    /// # Errors
    /// When the walk cannot begin.
    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>>;

    /// Opens one object. With `if_match`, the fingerprint that the scan reported, a changed object answers [`ErrorClass::Precondition`](crate::ErrorClass::Precondition) instead of a torn copy.
    /// Without it, what is there is opened; where it changes while it is read, so that its bytes may be of more than one moment, the error
    /// [`is_torn`](Error::is_torn) follows the last of them.
    ///
    /// # Errors
    /// The cause, by class.
    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Result<Opened>;

    /// Costly metadata that neither scan nor read tells (tags, ACL), one result per entry.
    ///
    /// # Errors
    /// When the whole call fails.
    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>>;

    /// What is configured for the source as a whole.
    ///
    /// # Errors
    /// When the whole call fails; a document that may not be read has an error of its own.
    async fn documents(&self) -> Result<Vec<SourceDocument>>;
}
