//! A cache of small immutable objects, before any store.
//!
//! Owned here: a folder of copies of index segments, snapshots, notes, records of removal and metadata packs, each named by its random
//! id. What comes out of it is opened and authenticated like what comes from the store, so a forged or rotten copy is
//! noticed, and the reader asks the store itself. The folder may be deleted at any time, by anyone. What of an index does not fit into memory lies there,
//! too, in files without a name that are gone with the command; where the folder cannot be written, in the temporary folder of the machine.
//!
//! Bound: [`ObjectCache::bytes_max`]; the oldest copies are removed when a run begins with more than that.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::{
    Body, ByteRange, Check, Page, Payload, PutOptions, Result, Store, StoreInfo, Stored, StoredObject,
};
use credenza_format::{ObjectKind, Scratch};
use credenza_model::limits::room_of_a_moment;
use credenza_model::{ObjectId, RepositoryId, StoreKey, Timestamp};

/// Kinds whose objects never change and are worth a copy. Key slots are not: a slot that was revoked must not linger.
const CACHED_PREFIXES: [&str; 5] = ["index/", "snapshot/", "note/", "removed/", "meta/"];

/// The file with the name of the key slot that opened a repository.
const SLOT_NAME: &str = "slot";
/// The file that is there where one page does not tell all that a repository holds.
const LARGE_NAME: &str = "large";

/// A folder for copies of objects of several repositories.
#[derive(Debug, Clone)]
pub struct ObjectCache {
    folder: PathBuf,
    bytes_max: u64,
}

impl ObjectCache {
    /// A cache in that folder, which need not exist, of at most `bytes_max`.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, bytes_max: u64) -> Self {
        Self { folder: folder.into(), bytes_max }
    }

    pub(crate) fn for_repository(&self, repository: RepositoryId) -> CacheFolder {
        trim(&self.folder, self.bytes_max);
        CacheFolder { folder: self.folder.join(repository.to_string()) }
    }
}

/// The copies of one repository's objects. Every failure of the cache is silence: it is only a cache. What of an index lies here goes elsewhere where
/// that fails; that it cannot be elsewhere either is an error.
#[derive(Debug, Clone)]
pub(crate) struct CacheFolder {
    folder: PathBuf,
}

impl CacheFolder {
    fn path(&self, key: &StoreKey) -> Option<PathBuf> {
        CACHED_PREFIXES.iter().any(|prefix| key.as_str().starts_with(prefix)).then(|| self.folder.join(key.as_str()))
    }

    /// Whether copies of such objects are kept.
    pub(crate) fn keeps(&self, key: &StoreKey) -> bool {
        self.path(key).is_some()
    }

    /// Whether there is a copy.
    pub(crate) fn has(&self, key: &StoreKey) -> bool {
        self.path(key).is_some_and(|path| path.exists())
    }

    /// The objects of a kind of which there are copies.
    pub(crate) async fn ids(&self, kind: ObjectKind) -> HashSet<ObjectId> {
        let folder = self.folder.join(kind.folder());
        let listed = move || std::fs::read_dir(folder).into_iter().flatten().flatten().map(|item| item.file_name());
        let parsed = move || listed().filter_map(|name| name.to_str()?.parse().ok()).collect();
        tokio::task::spawn_blocking(parsed).await.unwrap_or_default()
    }

    /// The key slot that opened the repository the last time: its name, never its content.
    pub(crate) async fn remembered_slot(&self) -> Option<ObjectId> {
        let path = self.folder.join(SLOT_NAME);
        let text = tokio::task::spawn_blocking(move || std::fs::read_to_string(path).ok()).await.ok()??;
        text.parse().ok()
    }

    /// Keeps the name of the slot that opened the repository.
    pub(crate) async fn remember_slot(&self, slot: ObjectId) {
        let path = self.folder.join(SLOT_NAME);
        // A lost name costs one request later.
        let _ = tokio::task::spawn_blocking(move || write_whole(&path, slot.to_string().as_bytes())).await;
    }

    /// Whether the repository is known to hold more than one page of a listing tells.
    pub(crate) async fn is_large(&self) -> bool {
        let path = self.folder.join(LARGE_NAME);
        tokio::task::spawn_blocking(move || path.exists()).await.unwrap_or_default()
    }

    /// Keeps that it does.
    pub(crate) async fn note_large(&self) {
        let path = self.folder.join(LARGE_NAME);
        // A lost note costs the bytes of a page later.
        let _ = tokio::task::spawn_blocking(move || write_whole(&path, b"")).await;
    }

    /// The part of an object that is asked for, where there is a copy and it reaches that far.
    async fn read(&self, key: &StoreKey, range: Option<ByteRange>) -> Option<Bytes> {
        let path = self.path(key)?;
        tokio::task::spawn_blocking(move || read_part(&path, range)).await.ok()?.map(Bytes::from)
    }

    async fn write(&self, key: &StoreKey, bytes: Bytes) {
        let Some(path) = self.path(key) else { return };
        // A lost copy costs one request later.
        let _ = tokio::task::spawn_blocking(move || write_whole(&path, &bytes)).await;
    }

    pub(crate) async fn forget(&self, key: &StoreKey) {
        if let Some(path) = self.path(key) {
            let _ = tokio::task::spawn_blocking(move || std::fs::remove_file(path)).await;
        }
    }
}

impl Scratch for CacheFolder {
    fn begin(&self) -> std::io::Result<File> {
        let here = std::fs::create_dir_all(&self.folder).and_then(|()| tempfile::tempfile_in(&self.folder));
        here.or_else(|_| TemporaryFolder.begin())
    }

    fn place(&self) -> String {
        format!("the cache folder `{}` or {}", self.folder.display(), TemporaryFolder.place())
    }
}

/// Scratch files for whoever has no cache: where the system keeps what is for a while.
pub(crate) struct TemporaryFolder;

impl Scratch for TemporaryFolder {
    fn begin(&self) -> std::io::Result<File> {
        tempfile::tempfile()
    }

    fn place(&self) -> String {
        format!("the temporary folder `{}`", std::env::temp_dir().display())
    }
}

pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder)?;
    let temporary = path.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&temporary, bytes)?;
    std::fs::rename(&temporary, path)
}

/// Removes the oldest files until the rest is within the bound.
fn trim(folder: &Path, bytes_max: u64) {
    let mut files = Vec::new();
    collect(folder, &mut files);
    let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
    files.sort();
    for (_, size, path) in files {
        if total <= bytes_max {
            break;
        }
        if std::fs::remove_file(path).is_ok() {
            total -= size;
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<(SystemTime, u64, PathBuf)>) {
    for item in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match item.metadata() {
            Ok(found) if found.is_dir() => collect(&item.path(), files),
            Ok(found) => files.push((found.modified().unwrap_or(SystemTime::UNIX_EPOCH), found.len(), item.path())),
            Err(_) => {}
        }
    }
}

/// A store with a cache before it.
pub struct CachedStore {
    store: Arc<dyn Store>,
    cache_folder: CacheFolder,
}

impl CachedStore {
    pub(crate) fn new(store: Arc<dyn Store>, cache_folder: CacheFolder) -> Self {
        Self { store, cache_folder }
    }
}

#[async_trait]
impl Store for CachedStore {
    async fn info(&self) -> Result<StoreInfo> {
        self.store.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.store.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        let stored = self.store.put(key, data.clone(), options).await?;
        if self.cache_folder.path(key).is_some() {
            self.cache_folder.write(key, data.to_bytes()).await;
        }
        Ok(stored)
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        if self.cache_folder.path(key).is_none() {
            return self.store.get(key, range, version).await;
        }
        if let Some(part) = self.cache_folder.read(key, range).await {
            return Ok(Body::from_bytes(part));
        }
        let body = self.store.get(key, range, version).await?;
        if range.is_some() {
            return Ok(body);
        }
        let whole = body.read_all(credenza_model::limits::DOCUMENT_BYTES_MAX).await?;
        self.cache_folder.write(key, whole.clone()).await;
        Ok(Body::from_bytes(whole))
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        self.store.stat(key).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        self.store.list(prefix, cursor, max).await
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        for key in keys {
            self.cache_folder.forget(key).await;
        }
        self.store.delete(keys).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.store.retain(key, version, until).await
    }
}

/// A range of a file, or all of it; nothing where it does not reach that far.
fn read_part(path: &Path, range: Option<ByteRange>) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    // What is read whole are documents, one behind the other.
    let is_whole = range.is_none();
    let ByteRange { offset, length } = range.unwrap_or(ByteRange { offset: 0, length: None });
    let rest = file.metadata().ok()?.len().checked_sub(offset)?;
    let length = length.unwrap_or(rest);
    if length > rest {
        return None;
    }
    let length = usize::try_from(length).ok()?;
    let mut part = Vec::with_capacity(if is_whole { room_of_a_moment(length) } else { length });
    part.resize(length, 0);
    file.read_exact_at(&mut part, offset).ok()?;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_goes_elsewhere_when_the_cache_folder_cannot_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let occupied = folder.path().join("occupied");
        std::fs::write(&occupied, "a file where a folder is to be").unwrap();
        let cache = CacheFolder { folder: occupied.join("repository") };
        cache.begin().unwrap().write_all_at(b"entries", 0).unwrap();
        assert!(cache.place().contains("occupied/repository"), "{}", cache.place());
    }
}
