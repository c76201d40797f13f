//! The checks of the roles against a real service, in folders of their own, which are emptied afterwards.
//!
//! Owned here: the folders, filling a source and looking into a destination through the connector's other roles, and removing all that was written.
//! Refused here: whether the place may be used (the program asks), and making connectors ([`Live`]). Called by `connector test --live`.
//!
//! What is removed is removed by the role `store`, which takes keys of a repository alone: so nothing else is written, and keys that are easily mistaken
//! are left to the stand-ins. Written: some 6,000 small objects and 60 MB, with all three roles.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::conformance::{self, CaseResult, Choice, DestinationBed, SourceBed, StoreBed};
use credenza_connect::{
    Batches, Destination, Error, ErrorClass, Found, Pages, Payload, Result, ScanOptions, Source, Store,
};
use credenza_model::{Entry, EntryKind, Key, StoreKey};
use credenza_sandbox::Role;

/// The longest key that a repository has, less some room for the folder.
const KEY_BYTES_MAX: usize = 150;
/// Keys that are deleted at once.
const DELETE_KEYS_MAX: usize = 1000;
/// More of a file is not read to compare it.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Makes connectors that are pointed at a folder of a place at a real service; at the place itself, where the folder has no name.
#[async_trait]
pub trait Live: Send + Sync {
    /// The connector as a source.
    ///
    /// # Errors
    /// When it is no source, or its settings are refused.
    async fn source(&self, folder: &str) -> Result<Arc<dyn Source>>;

    /// The connector as a store that may delete.
    ///
    /// # Errors
    /// When it is no store, or its settings are refused.
    async fn store(&self, folder: &str) -> Result<Arc<dyn Store>>;

    /// The connector as a destination.
    ///
    /// # Errors
    /// When it is no destination, or its settings are refused.
    async fn destination(&self, folder: &str) -> Result<Arc<dyn Destination>>;
}

/// A run against a real service.
pub struct LiveRun {
    live: Arc<dyn Live>,
    roles: Vec<Role>,
    /// What the names of its folders begin with.
    prefix: String,
}

impl LiveRun {
    /// A run of the checks for these roles, in folders whose names begin so. `None` without the role `store`: nothing else can remove what is written.
    #[must_use]
    pub fn new(live: Arc<dyn Live>, roles: &[Role], prefix: String) -> Option<Self> {
        roles.contains(&Role::Store).then(|| Self { live, roles: roles.to_vec(), prefix })
    }

    /// The roles whose checks are run: a source is filled by the destination, which is looked into by the source.
    #[must_use]
    pub fn roles(&self) -> Vec<Role> {
        let has_both = self.roles.contains(&Role::Source) && self.roles.contains(&Role::Destination);
        let is_tested =
            |role: &Role| *role == Role::Store || has_both && matches!(role, Role::Source | Role::Destination);
        self.roles.iter().copied().filter(is_tested).collect()
    }

    /// Whether nothing lies at the place; empty folders count for nothing, because no connector removes them.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub async fn is_empty(&self) -> Result<bool> {
        let page = self.live.store("").await?.list("", None, 1).await?;
        let is_empty = page.objects.is_empty() && page.next.is_none();
        // A store sees no more than it could have written.
        if !is_empty || !self.roles.contains(&Role::Source) {
            return Ok(is_empty);
        }
        let mut batches = Batches::new(self.live.source("").await?.scan(&ScanOptions::default()).await?);
        while let Some(found) = batches.next(1000).await? {
            let is_folder = |found: &Found| matches!(found, Found::Entry(entry) if entry.kind == EntryKind::Directory);
            if !found.iter().all(is_folder) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Runs the chosen checks, until `stopped` comes to an end, and then removes what was written; answers with the results and the folders that
    /// still hold something.
    pub async fn run(&self, choice: &Choice, stopped: impl Future<Output = ()>) -> (Vec<CaseResult>, Vec<String>) {
        let bed = LiveBed { live: Arc::clone(&self.live), prefix: self.prefix.clone(), made: AtomicU64::new(0) };
        let mut results = Vec::new();
        tokio::select! {
            () = self.check(&bed, choice, &mut results) => {}
            () = stopped => {}
        }
        let mut left = Vec::new();
        for number in 1..=bed.made.load(Relaxed) {
            let folder = bed.folder(number);
            if self.remove(&folder).await.is_err() {
                left.push(folder);
            }
        }
        (results, left)
    }

    async fn check(&self, bed: &LiveBed, choice: &Choice, results: &mut Vec<CaseResult>) {
        for role in self.roles() {
            results.extend(match role {
                Role::Source => conformance::source(bed, choice.clone()).await,
                Role::Destination => conformance::destination(bed, choice.clone()).await,
                _ => conformance::store(bed, choice.clone()).await,
            });
        }
    }

    /// Removes all that lies in a folder, and looks whether it is gone.
    async fn remove(&self, folder: &str) -> Result<()> {
        let store = self.live.store(folder).await?;
        let listed = Pages::new(&*store, "").collect().await?;
        let keys: Vec<StoreKey> = listed.into_iter().map(|object| object.key).collect();
        for keys in keys.chunks(DELETE_KEYS_MAX) {
            store.delete(keys).await?.into_iter().collect::<Result<()>>()?;
        }
        match Pages::new(&*store, "").next().await? {
            None => Ok(()),
            Some(_) => Err(Error::new(ErrorClass::Internal, "kit.left", "what was deleted is still there")),
        }
    }
}

/// A folder for each connector that is made.
struct LiveBed {
    live: Arc<dyn Live>,
    prefix: String,
    made: AtomicU64,
}

impl LiveBed {
    fn folder(&self, number: u64) -> String {
        format!("{}-{number}", self.prefix)
    }

    fn next(&self) -> String {
        self.folder(self.made.fetch_add(1, Relaxed).saturating_add(1))
    }

    /// The folder of the connector made last.
    fn current(&self) -> String {
        self.folder(self.made.load(Relaxed))
    }

    async fn write(&self, key: &Key, bytes: Bytes) -> Result<()> {
        let destination = self.live.destination(&self.current()).await?;
        write(&*destination, key, bytes).await
    }
}

async fn write(destination: &dyn Destination, key: &Key, mut bytes: Bytes) -> Result<()> {
    let entry = Entry::new(key.clone(), EntryKind::File);
    let none = || Error::new(ErrorClass::Internal, "kit.writer", format!("`{key}` is a file and got no writer"));
    let mut writer = destination.create(&entry, true).await?.ok_or_else(none)?;
    let part = writer.part_bytes().map_or(usize::MAX, |part| usize::try_from(part).unwrap_or(usize::MAX)).max(1);
    while bytes.len() > part {
        writer.write(Payload::from(bytes.split_to(part))).await?;
    }
    writer.finish(Payload::from(bytes)).await.map(drop)
}

/// What the store can remove again.
fn is_removable(key: &Key) -> bool {
    std::str::from_utf8(key.as_bytes()).is_ok_and(|text| StoreKey::new(text).is_ok())
}

#[async_trait]
impl StoreBed for LiveBed {
    async fn fresh(&self) -> Result<Arc<dyn Store>> {
        self.live.store(&self.next()).await
    }
}

#[async_trait]
impl SourceBed for LiveBed {
    async fn filled(&self, objects: &[(Key, Bytes)]) -> Result<Arc<dyn Source>> {
        let folder = self.next();
        let destination = self.live.destination(&folder).await?;
        // The folder itself, where there are folders.
        destination.create(&Entry::new(Key::from(""), EntryKind::Directory), false).await?;
        for (key, bytes) in objects {
            write(&*destination, key, bytes.clone()).await?;
        }
        self.live.source(&folder).await
    }

    async fn replace(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.write(key, bytes).await
    }

    fn holds_any_bytes(&self) -> bool {
        false
    }

    fn holds(&self, key: &Key) -> bool {
        is_removable(key)
    }

    fn key_bytes_max(&self) -> usize {
        KEY_BYTES_MAX
    }
}

#[async_trait]
impl DestinationBed for LiveBed {
    async fn fresh(&self) -> Result<Arc<dyn Destination>> {
        self.live.destination(&self.next()).await
    }

    async fn bytes(&self, key: &Key) -> Result<Option<Bytes>> {
        let source = self.live.source(&self.current()).await?;
        match source.read(&Entry::new(key.clone(), EntryKind::File), None, None).await {
            Ok(opened) => opened.body.read_all(FILE_BYTES_MAX).await.map(Some),
            Err(error) if error.class == ErrorClass::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn holds_any_bytes(&self) -> bool {
        false
    }

    fn holds(&self, key: &Key) -> bool {
        is_removable(key)
    }

    fn key_bytes_max(&self) -> usize {
        KEY_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use credenza_connect::conformance::CaseOutcome;
    use credenza_connect::memory::MemoryStore;

    use super::*;

    /// A service with a store for each folder.
    #[derive(Default)]
    struct Memory(std::sync::Mutex<std::collections::BTreeMap<String, MemoryStore>>);

    #[async_trait]
    impl Live for Memory {
        async fn source(&self, _: &str) -> Result<Arc<dyn Source>> {
            Err(Error::new(ErrorClass::Unsupported, "test", "no source"))
        }

        async fn store(&self, folder: &str) -> Result<Arc<dyn Store>> {
            let mut stores = self.0.lock().unwrap();
            Ok(Arc::new(stores.entry(folder.to_owned()).or_default().clone()))
        }

        async fn destination(&self, _: &str) -> Result<Arc<dyn Destination>> {
            Err(Error::new(ErrorClass::Unsupported, "test", "no destination"))
        }
    }

    async fn held(memory: &Memory) -> usize {
        let stores: Vec<MemoryStore> = memory.0.lock().unwrap().values().cloned().collect();
        let mut count = 0;
        for store in stores {
            count += Pages::new(&store, "").collect().await.unwrap().len();
        }
        count
    }

    #[tokio::test]
    async fn what_a_run_writes_lies_in_folders_of_its_own_and_is_removed() {
        let memory = Arc::new(Memory::default());
        let live = Arc::clone(&memory) as Arc<dyn Live>;
        let run = LiveRun::new(live, &[Role::Store, Role::Destination], "kit-7".to_owned()).unwrap();
        assert_eq!(run.roles(), [Role::Store], "nothing could look into the destination");
        assert!(run.is_empty().await.unwrap());
        let (results, left) = run.run(&Choice::from(7), std::future::pending()).await;
        assert!(results.iter().any(|result| result.outcome == CaseOutcome::Passed));
        assert_eq!((left, held(&memory).await), (Vec::new(), 0));
        let folders: Vec<String> = memory.0.lock().unwrap().keys().cloned().collect();
        assert!(folders.iter().all(|folder| folder.is_empty() || folder.starts_with("kit-7-")), "{folders:?}");
    }

    #[tokio::test]
    async fn a_run_that_is_stopped_removes_what_it_wrote_and_a_full_place_is_seen() {
        let memory = Arc::new(Memory::default());
        let live = Arc::clone(&memory) as Arc<dyn Live>;
        let key = StoreKey::new("mine").unwrap();
        memory.store("").await.unwrap().put(&key, Payload::from(b"x".to_vec()), &Default::default()).await.unwrap();
        let run = LiveRun::new(Arc::clone(&live), &[Role::Store], "kit-7".to_owned()).unwrap();
        assert!(!run.is_empty().await.unwrap());
        let (_, left) = run.run(&Choice::from(7), tokio::task::yield_now()).await;
        assert_eq!((left, held(&memory).await), (Vec::new(), 1));
        assert!(LiveRun::new(live, &[Role::Source], String::new()).is_none());
    }
}
