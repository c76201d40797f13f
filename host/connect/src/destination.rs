//! Somewhere to restore to.

use async_trait::async_trait;
use credenza_model::{Entry, Key};

use crate::{Body, ByteRange, Check, Error, ErrorClass, Payload, Result, Scanner};

/// What a destination says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DestinationInfo {
    /// Where it is, for messages.
    pub identity: String,
    /// `flat` (bucket) or `tree` (file system).
    pub namespace: String,
    /// `atomic-finish`, `leaves-parts` (what was sent of an entry that is given up stays there), `symlinks`, `raw-names`, `own-times`, `attributes:posix`, `attributes:http`, `attributes:s3`,
    /// `removal` ([`create`](Destination::create) of an entry whose version is deleted removes what is there),
    /// `history` (versions of one key that are written one after the other are all kept),
    /// `local` (writes may block a worker thread for a moment and cost no round trip),
    /// `readable` ([`read`](Destination::read), [`scan`](Destination::scan) and [`remove`](Destination::remove) work).
    pub traits: Vec<String>,
}

impl DestinationInfo {
    /// Whether a trait is claimed.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.traits.iter().any(|t| t == name)
    }
}

/// Somewhere to restore to.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Identity and traits.
    ///
    /// # Errors
    /// When the destination cannot be reached or is wrongly configured.
    async fn info(&self) -> Result<DestinationInfo>;

    /// Reaches, authenticates, writes, reads and removes one.
    async fn check(&self) -> Vec<Check>;

    /// What is there now under that key. The engine owns the overwrite policy.
    ///
    /// # Errors
    /// The cause, by class; nothing there is `Ok(None)`.
    async fn stat(&self, key: &Key) -> Result<Option<Entry>>;

    /// Begins an entry. `None`: it is complete (folders, links, further names of a hard-linked file, delete markers).
    ///
    /// With `overwrite` false an existing file is an error of class `Precondition`; with it true the file is replaced.
    ///
    /// # Errors
    /// The cause, by class. Names that the destination cannot hold are `Unsupported`.
    async fn create(&self, entry: &Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>>;

    /// Second pass, children before parents: times, modes, owners, extended attributes, hard links. One result per entry: `Ok` holds the names of the attributes that could not be restored.
    ///
    /// # Errors
    /// When the whole call fails.
    async fn set_metadata(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<String>>>>;

    /// Opens the file that is there under that key; `None` where a destination does not give back what it holds. A file that changes while it is
    /// read ends with the error [`is_torn`](Error::is_torn). `fresh`: from the medium instead of from memory, as far as the system lets.
    ///
    /// # Errors
    /// The cause, by class; a range that begins past the end is `Corrupt`.
    async fn read(&self, _key: &Key, _range: Option<ByteRange>, _fresh: bool) -> Result<Option<Body>> {
        Ok(None)
    }

    /// Lists what is there, as a source would, each under the name that it has there, which is not always its key; `None` where it cannot be
    /// listed.
    ///
    /// # Errors
    /// When the walk cannot begin.
    async fn scan(&self) -> Result<Option<Box<dyn Scanner>>> {
        Ok(None)
    }

    /// Removes what a scan found; a folder only when it is empty. A link is removed and not followed.
    ///
    /// # Errors
    /// The cause, by class.
    async fn remove(&self, found: &Entry) -> Result<()> {
        let message = format!("`{}` cannot be removed: this destination removes nothing", found.key);
        Err(Error::new(ErrorClass::Unsupported, "destination.remove", message))
    }

    /// Takes the file that is there already, with the right content, for the one that the entry means, so that further names of it are linked to
    /// it. `false`: another name of the same file was taken before, and this is another file; to be created again, so that it is linked.
    ///
    /// # Errors
    /// The cause, by class.
    async fn keep(&self, _entry: &Entry) -> Result<bool> {
        Ok(true)
    }

    /// Returns when everything that was written would survive a power failure. Called once, after all else; a remote has promised as much
    /// with each answer.
    ///
    /// # Errors
    /// When bytes were lost on their way to the medium: the restore is not whole then.
    async fn sync(&self) -> Result<()> {
        Ok(())
    }
}

/// One entry being written.
#[async_trait]
pub trait Writer: Send {
    /// The engine cuts what it writes to this size (the part size of a multipart upload). `None`: any size.
    fn part_bytes(&self) -> Option<u64>;

    /// The next bytes in order, exactly `part_bytes` of them when the writer names such a size; at least one more byte follows with [`finish`](Self::finish) then. A part that failed with class `Transient` may be given again: it counts only once it has succeeded.
    ///
    /// # Errors
    /// The cause, by class.
    async fn write(&mut self, part: Payload) -> Result<()>;

    /// Takes the last bytes, if there are more, and publishes the entry. Until then nothing is visible when `atomic-finish` is claimed. Returns the names of the attributes that turned out to be lost only now. After a failure of class `Transient` it may be called again with the same bytes; after any other, `abort` is what remains.
    ///
    /// # Errors
    /// The cause, by class.
    async fn finish(&mut self, last: Payload) -> Result<Vec<String>>;

    /// Leaves nothing behind.
    async fn abort(self: Box<Self>);
}
