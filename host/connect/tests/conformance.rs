//! The conformance suite over the built-in connectors, bare and behind the wrappers that stand before them in use.

#![allow(clippy::disallowed_methods, reason = "a test makes times of its own")]
#![allow(clippy::unwrap_used, reason = "a bed that cannot be made is a failed test")]

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::conformance::{
    CaseResult, DestinationBed, SourceBed, StoreBed, destination, require_all, source, store,
};
use credenza_connect::file::{FileDestination, FileSource, FileStore, escape};
use credenza_connect::memory::{MemoryDestination, MemorySource, MemoryStore};
use credenza_connect::wrap::{Fault, FaultKind, Limit, LimitPolicy, Retry, RetryPolicy, call};
use credenza_connect::{Destination, ErrorClass, Result, Source, Store};
use credenza_model::Key;
use tempfile::TempDir;

/// A new seed for every run; a failure prints it.
fn seed() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64)
}

fn assert_conforms(results: &[CaseResult], skipped: &[&str]) {
    require_all(results, skipped).unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// Why what a source showed at another time is not looked at.
const NO_CLOCK: &str = "it tells no clock";

/// How the wrappers stand around a connector.
#[derive(Clone, Copy)]
enum Wrapping {
    Bare,
    InUse,
    /// As in use, with a connector below that stumbles.
    Stumbling(u64),
}

const PATIENT: RetryPolicy = RetryPolicy {
    pause_min: Duration::from_millis(1),
    pause_max: Duration::from_millis(1),
    tries_max: 50,
    time_max: Duration::from_secs(3600),
};

impl Wrapping {
    fn store<T: Store + 'static>(self, inner: T) -> Arc<dyn Store> {
        let limited = |inner| Arc::new(Limit::<dyn Store>::new(inner, LimitPolicy::default()));
        match self {
            Self::Bare => Arc::new(inner),
            Self::InUse => Arc::new(Retry::new(limited(Arc::new(inner)), PATIENT)),
            Self::Stumbling(seed) => {
                let fault = Fault::new(Arc::new(inner), seed)
                    .one_in(call::PUT, 4, FaultKind::LoseAnswer)
                    .one_in(call::PUT, 4, FaultKind::Fail(ErrorClass::Transient))
                    .one_in(call::GET, 3, FaultKind::Tear)
                    .one_in(call::GET, 5, FaultKind::Fail(ErrorClass::Transient))
                    .one_in(call::LIST, 4, FaultKind::Fail(ErrorClass::Transient))
                    .one_in(call::DELETE, 4, FaultKind::LoseAnswer)
                    .one_in(call::DELETE, 4, FaultKind::Repeat)
                    .one_in(call::STAT, 4, FaultKind::Delay(Duration::from_millis(1)));
                Arc::new(Retry::new(limited(Arc::new(fault)), PATIENT))
            }
        }
    }

    fn source<T: Source + 'static>(self, inner: T) -> Arc<dyn Source> {
        let limited = |inner| Arc::new(Limit::<dyn Source>::new(inner, LimitPolicy::default()));
        match self {
            Self::Bare => Arc::new(inner),
            Self::InUse => Arc::new(Retry::new(limited(Arc::new(inner)), PATIENT)),
            Self::Stumbling(seed) => {
                let fault = Fault::new(Arc::new(inner), seed)
                    .one_in(call::NEXT, 3, FaultKind::Fail(ErrorClass::Transient))
                    .one_in(call::READ, 3, FaultKind::Tear)
                    .one_in(call::SCAN, 3, FaultKind::LoseAnswer);
                Arc::new(Retry::new(limited(Arc::new(fault)), PATIENT))
            }
        }
    }

    fn destination<T: Destination + 'static>(self, inner: T) -> Arc<dyn Destination> {
        let limited = |inner| Arc::new(Limit::<dyn Destination>::new(inner, LimitPolicy::default()));
        match self {
            Self::Bare => Arc::new(inner),
            Self::InUse => Arc::new(Retry::new(limited(Arc::new(inner)), PATIENT)),
            Self::Stumbling(seed) => {
                let fault = Fault::new(Arc::new(inner), seed)
                    .one_in(call::WRITE, 3, FaultKind::Fail(ErrorClass::Transient))
                    .one_in(call::SET_METADATA, 2, FaultKind::LoseAnswer)
                    .one_in(call::STAT, 3, FaultKind::Fail(ErrorClass::Transient));
                Arc::new(Retry::new(limited(Arc::new(fault)), PATIENT))
            }
        }
    }

    fn all() -> [Self; 3] {
        [Self::Bare, Self::InUse, Self::Stumbling(seed())]
    }
}

struct MemoryBed {
    wrapping: Wrapping,
    source: Mutex<MemorySource>,
    destination: Mutex<MemoryDestination>,
    unordered: bool,
    store: fn() -> MemoryStore,
}

impl MemoryBed {
    fn new(wrapping: Wrapping) -> Self {
        let (source, destination) = (Mutex::default(), Mutex::default());
        Self { wrapping, source, destination, unordered: false, store: MemoryStore::versioned }
    }
}

#[async_trait]
impl StoreBed for MemoryBed {
    async fn fresh(&self) -> Result<Arc<dyn Store>> {
        Ok(self.wrapping.store((self.store)()))
    }
}

#[async_trait]
impl SourceBed for MemoryBed {
    async fn filled(&self, objects: &[(Key, Bytes)]) -> Result<Arc<dyn Source>> {
        let source = if self.unordered { MemorySource::unordered() } else { MemorySource::new() };
        objects.iter().for_each(|(key, bytes)| source.put(key.clone(), bytes.clone()));
        *self.source.lock().unwrap() = source.clone();
        Ok(self.wrapping.source(source))
    }

    async fn replace(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.source.lock().unwrap().put(key.clone(), bytes);
        Ok(())
    }
}

#[async_trait]
impl DestinationBed for MemoryBed {
    async fn fresh(&self) -> Result<Arc<dyn Destination>> {
        let destination = MemoryDestination::new();
        *self.destination.lock().unwrap() = destination.clone();
        Ok(self.wrapping.destination(destination))
    }

    async fn bytes(&self, key: &Key) -> Result<Option<Bytes>> {
        Ok(self.destination.lock().unwrap().restored().get(key).map(|restored| restored.bytes.clone()))
    }

    async fn held(&self) -> Result<Option<Vec<Key>>> {
        Ok(Some(self.destination.lock().unwrap().restored().into_keys().collect()))
    }
}

struct FileBed {
    wrapping: Wrapping,
    parent: TempDir,
    /// The folder made last.
    last: Mutex<PathBuf>,
}

impl FileBed {
    fn new(wrapping: Wrapping) -> Self {
        Self { wrapping, parent: tempfile::tempdir().unwrap(), last: Mutex::default() }
    }

    fn folder(&self) -> PathBuf {
        let folder = tempfile::tempdir_in(&self.parent).unwrap().keep();
        self.last.lock().unwrap().clone_from(&folder);
        folder
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.last.lock().unwrap().join(std::ffi::OsStr::from_bytes(key.as_bytes()))
    }
}

#[async_trait]
impl StoreBed for FileBed {
    async fn fresh(&self) -> Result<Arc<dyn Store>> {
        Ok(self.wrapping.store(FileStore::create(self.folder().join("repository"))?))
    }
}

#[async_trait]
impl SourceBed for FileBed {
    async fn filled(&self, objects: &[(Key, Bytes)]) -> Result<Arc<dyn Source>> {
        let folder = self.folder();
        for (key, bytes) in objects {
            let path = self.path(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        Ok(self.wrapping.source(FileSource::new(folder)?))
    }

    async fn replace(&self, key: &Key, bytes: Bytes) -> Result<()> {
        std::fs::remove_file(self.path(key)).unwrap();
        std::fs::write(self.path(key), bytes).unwrap();
        Ok(())
    }
}

#[async_trait]
impl DestinationBed for FileBed {
    async fn fresh(&self) -> Result<Arc<dyn Destination>> {
        Ok(self.wrapping.destination(FileDestination::new(self.folder().join("restored"))?))
    }

    /// Finds the file whose path reads back as the key.
    async fn bytes(&self, key: &Key) -> Result<Option<Bytes>> {
        let root = self.last.lock().unwrap().join("restored");
        let mut found = None;
        for path in files_below(&root) {
            let relative = path.strip_prefix(&root).unwrap().as_os_str().as_bytes();
            if escape::key_of_path(relative).as_deref() == Some(key.as_bytes()) {
                assert!(found.is_none(), "two files stand for `{key}`");
                found = Some(Bytes::from(std::fs::read(path).unwrap()));
            }
        }
        Ok(found)
    }

    async fn held(&self) -> Result<Option<Vec<Key>>> {
        let root = self.last.lock().unwrap().join("restored");
        let name = |path: PathBuf| Key::new(path.strip_prefix(&root).unwrap().as_os_str().as_bytes());
        Ok(Some(files_below(&root).into_iter().map(name).collect()))
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() && !path.is_symlink() { files_below(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn the_memory_store_conforms() {
    for wrapping in Wrapping::all() {
        assert_conforms(&store(&MemoryBed::new(wrapping), seed()).await, &["!retention"]);
    }
    let plain = MemoryBed { store: MemoryStore::new, ..MemoryBed::new(Wrapping::Bare) };
    assert_conforms(&store(&plain, seed()).await, &["versions", "retention"]);
    let ignoring = MemoryBed { store: MemoryStore::ignoring_conditions, ..MemoryBed::new(Wrapping::Bare) };
    assert_conforms(&store(&ignoring, seed()).await, &["if-absent", "if-match", "versions", "retention"]);
}

#[tokio::test]
async fn the_file_store_conforms() {
    for wrapping in Wrapping::all() {
        assert_conforms(&store(&FileBed::new(wrapping), seed()).await, &["if-match", "versions", "retention"]);
    }
}

#[tokio::test]
async fn the_memory_source_conforms() {
    for wrapping in Wrapping::all() {
        assert_conforms(&source(&MemoryBed::new(wrapping), seed()).await, &["!ranged-read", NO_CLOCK]);
    }
    let unordered = MemoryBed { unordered: true, ..MemoryBed::new(Wrapping::Bare) };
    assert_conforms(&source(&unordered, seed()).await, &["!ranged-read", "ordered-scan", "start-after", NO_CLOCK]);
}

#[tokio::test]
async fn the_file_source_conforms() {
    for wrapping in Wrapping::all() {
        assert_conforms(&source(&FileBed::new(wrapping), seed()).await, &["!ranged-read", "flat", NO_CLOCK]);
    }
}

#[tokio::test]
async fn the_memory_destination_conforms() {
    for wrapping in Wrapping::all() {
        let skipped = ["!symlinks", "attributes:http", "attributes:posix", "attributes:s3", "history"];
        assert_conforms(&destination(&MemoryBed::new(wrapping), seed()).await, &skipped);
    }
}

#[tokio::test]
async fn the_file_destination_conforms() {
    for wrapping in Wrapping::all() {
        let skipped =
            ["!symlinks", "attributes:http", "!attributes:posix", "attributes:s3", "history", "raw-names", "removal"];
        assert_conforms(&destination(&FileBed::new(wrapping), seed()).await, &skipped);
    }
}

/// A store that lies about a condition has to be found out, or the suite proves nothing.
#[tokio::test]
async fn a_store_that_claims_what_it_does_not_do_fails_the_suite() {
    struct Liar;
    #[async_trait]
    impl StoreBed for Liar {
        async fn fresh(&self) -> Result<Arc<dyn Store>> {
            let fault = Fault::new(Arc::new(MemoryStore::new()), 1).one_in(call::GET, 1, FaultKind::Flip);
            Ok(Arc::new(fault))
        }
    }
    let results = store(&Liar, 1).await;
    let failed: Vec<&str> = results.iter().filter(|result| result.is_failed()).map(|result| result.id).collect();
    assert!(failed.contains(&"store.put.small") && failed.contains(&"store.range.inside"), "{failed:?}");
    assert!(!failed.contains(&"store.stat.size"), "{failed:?}");
}
