//! A local folder to restore to.
//!
//! Nothing is written outside the folder and no link is followed: each folder on the way is opened from the one above
//! it. Names that a file system cannot hold are changed as [`escape`](super::escape) says, and `set_metadata` reports
//! each as `name (restored as …)`. Folders are made 0700 until `set_metadata` gives them their mode, files 0600
//! until they are whole: most get their metadata then, before their name, and `set_metadata` has nothing left to do.
//!
//! Memory: some open folders, a path for each that is written in although its mode forbids it, and one key per group of hard links; the
//! names of more groups than are kept are restored as files of their own, and reported.

mod loosen;
mod place;
mod special;
#[cfg(test)]
mod tests;
mod tree;
mod writer;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use credenza_model::{Entry, EntryKind, Key};

use super::attributes::{fingerprint, is_sparse};
use super::cause::from_errno;
use super::platform::posix::Errno;
use super::platform::{Medium, forget};
use super::reader::FileReader;
use super::source::{FileSource, bounds};
use crate::{
    Body, ByteRange, Check, Destination, DestinationInfo, Error, ErrorClass, Result, ScanOptions, Scanner, Source,
    Writer, ability,
};
use tree::{Tree, exists};
use writer::FileWriter;

/// A local folder to restore to.
#[derive(Debug, Clone)]
pub struct FileDestination {
    tree: Arc<Tree>,
}

impl FileDestination {
    /// A destination at `path`, which is made when the first entry is.
    ///
    /// # Errors
    /// [`ErrorClass::Configuration`] for an empty path, or without a current folder.
    pub fn new(path: impl AsRef<Path>) -> Result<Self> {
        Self::on(path.as_ref(), Medium::new())
    }

    fn on(given: &Path, medium: Medium) -> Result<Self> {
        let path = std::path::absolute(given).map_err(|e| {
            Error::new(
                ErrorClass::Configuration,
                "file.path",
                format!("`{}` names no folder to restore to: {e}", given.display()),
            )
        })?;
        Ok(Self { tree: Arc::new(Tree::new(path, medium)?) })
    }
}

#[async_trait]
impl Destination for FileDestination {
    async fn info(&self) -> Result<DestinationInfo> {
        Ok(DestinationInfo {
            identity: format!("file://{}", self.tree.path().display()),
            namespace: ability::TREE.to_owned(),
            traits: [
                ability::ATOMIC_FINISH,
                ability::SYMLINKS,
                ability::POSIX_ATTRIBUTES,
                ability::LOCAL,
                ability::READABLE,
            ]
            .map(str::to_owned)
            .to_vec(),
        })
    }

    async fn check(&self) -> Vec<Check> {
        let outcome = self.tree.try_writing().map(|()| self.tree.path().display().to_string());
        vec![Check { name: "write in the folder".to_owned(), outcome }]
    }

    async fn stat(&self, key: &Key) -> Result<Option<Entry>> {
        self.tree.stat(key).map_err(|e| from_errno("cannot look at", key, e))
    }

    /// Creates without leaving the calling thread: a few calls of microseconds, for which a hand-over would cost more.
    async fn create(&self, entry: &Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        self.tree.make_root()?;
        if entry.kind == EntryKind::Directory {
            let made = self.tree.make_folder(&entry.key);
            return made.map(|()| None).map_err(|e| from_errno("cannot make the folder", &entry.key, e));
        }
        // A file that may replace nothing finds out when it gets its name whether that is free; the name of a hard link is given without asking.
        let asks_later = entry.kind == EntryKind::File && !overwrite && entry.attribute("posix.hardlink").is_none();
        let place = match asks_later {
            true => self.tree.unseen_place(&entry.key, true),
            false => self.tree.place(&entry.key, true),
        };
        let place = place.map_err(|e| from_errno("cannot create", &entry.key, e))?;
        let Some(place) = place else { return Err(from_errno("cannot create", &entry.key, Errno::NOENT)) };
        if place.existing.is_some() && !overwrite {
            return Err(exists(&entry.key));
        }
        match entry.kind {
            EntryKind::File if self.tree.is_further_link(entry) => Ok(None),
            EntryKind::File => Ok(Some(Box::new(FileWriter::begin(&self.tree, entry, place, overwrite)?))),
            _ => self.tree.make_special(entry, &place, overwrite).map(|()| None),
        }
    }

    /// Leaves the calling thread only for what has not got its metadata as it was written.
    async fn set_metadata(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<String>>>> {
        let described = |entry: &Entry| self.tree.take_described(entry).ok_or_else(|| Box::new(entry.clone()));
        let described: Vec<Result<Vec<String>, Box<Entry>>> = entries.iter().map(described).collect();
        let (tree, is_done) = (Arc::clone(&self.tree), described.iter().all(Result::is_ok));
        let set = move |one: Result<Vec<String>, Box<Entry>>| one.or_else(|entry| tree.set_metadata(&entry));
        let set = move || described.into_iter().map(set).collect();
        if is_done {
            return Ok(set());
        }
        tokio::task::spawn_blocking(set).await.map_err(|e| {
            Error::new(ErrorClass::Internal, "file.thread", format!("the thread that set metadata ended early: {e}"))
        })
    }

    /// Opens without leaving the calling thread, unless what is on the medium is asked for.
    async fn read(&self, key: &Key, range: Option<ByteRange>, fresh: bool) -> Result<Option<Body>> {
        let (file, status) = self.tree.open(key).map_err(|e| from_errno("cannot read", key, e))?;
        let file = if fresh { forgotten(file, key).await? } else { file };
        let (start, end) = bounds(range, status.size, key)?;
        let mut reader = FileReader::new(file, start, end).expecting(fingerprint(&status));
        if range.is_none() {
            reader = reader.beyond_end();
        }
        if is_sparse(&status) {
            reader = reader.with_holes();
        }
        Ok(Some(Body::from_reader(None, reader)))
    }

    async fn scan(&self) -> Result<Option<Box<dyn Scanner>>> {
        FileSource::new(self.tree.path())?.scan(&ScanOptions::default()).await.map(Some)
    }

    async fn remove(&self, found: &Entry) -> Result<()> {
        let is_folder = found.kind == EntryKind::Directory;
        self.tree.remove(&found.key, is_folder).map_err(|e| from_errno("cannot remove", &found.key, e))
    }

    async fn keep(&self, entry: &Entry) -> Result<bool> {
        self.tree.keep(entry).map_err(|e| from_errno("cannot look at", &entry.key, e))
    }

    /// One flush of each file system instead of two waits for each file: that of a thousand small files takes as long as that of one.
    async fn sync(&self) -> Result<()> {
        let tree = Arc::clone(&self.tree);
        tokio::task::spawn_blocking(move || tree.sync()).await.map_err(|e| {
            Error::new(ErrorClass::Internal, "file.thread", format!("the thread that synced ended early: {e}"))
        })?
    }
}

/// The same file, of which memory holds no more than the system wants to: what is read of it comes from the medium, where it has one.
async fn forgotten(file: OwnedFd, key: &Key) -> Result<OwnedFd> {
    let done = tokio::task::spawn_blocking(move || forget(&file).map(|()| file)).await.map_err(|e| {
        Error::new(ErrorClass::Internal, "file.thread", format!("the thread that synced a file ended early: {e}"))
    })?;
    done.map_err(|e| from_errno("cannot sync", key, e))
}
