//! What tests of the engine begin with: repositories in memory, sources, and reading back what is in a snapshot.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use credenza_connect::memory::{MemorySource, MemoryStore};
pub(crate) use credenza_connect::random::noise;
use credenza_connect::wrap::{Record as Recorder, as_asked, call};
use credenza_connect::{
    Body, ByteRange, Check, ErrorClass, Opened, Page, Payload, PutOptions, Result as Answer, ScanOptions, Scanner,
    Source, SourceDocument, SourceInfo, Store, StoreInfo, Stored, StoredObject, ability,
};
use credenza_format::{ChunkerParams, Hex, PacksRelied, Provenance, Snapshot, SnapshotSource, Statistics, TreeRoot};
use credenza_model::{
    Attribute, ChunkId, Content, Entry, EntryKind, EntryStatus, Key, Record, SnapshotId, StoreKey, Timestamp,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::backup::{self, BackupOptions};
use crate::check::{self, CheckOptions, Sample};
use crate::contents::ContentChunks;
use crate::write::{Deduplicator, TreeWriter};
use crate::{Clock, CreateOptions, Moment, Repository, RunContext, Secret, SnapshotHandle};

/// A clock that moves when a test lets time pass.
pub(crate) struct TestClock(watch::Sender<Duration>);

impl Default for TestClock {
    fn default() -> Self {
        Self(watch::Sender::new(Duration::ZERO))
    }
}

impl TestClock {
    pub(crate) fn pass(&self, time: Duration) {
        self.0.send_modify(|now| *now += time);
    }
}

impl Clock for TestClock {
    fn wait(&self, time: Duration) -> BoxFuture<'static, ()> {
        let mut now = self.0.subscribe();
        let end = *now.borrow() + time;
        async move {
            if now.wait_for(|now| *now >= end).await.is_err() {
                std::future::pending().await
            }
        }
        .boxed()
    }

    fn now(&self) -> Moment {
        let monotonic = *self.0.borrow();
        let wall = Timestamp { seconds: 1_800_000_000 + monotonic.as_secs() as i64, nanoseconds: 0 };
        Moment { monotonic, wall }
    }
}

/// A source in memory with a say in what becomes of each read.
pub(crate) struct Reading<F> {
    pub(crate) inner: MemorySource,
    /// Whether it says of itself that it is local.
    pub(crate) local: bool,
    /// How often it lists before it cannot be reached any more.
    pub(crate) listings: AtomicUsize,
    pub(crate) read: F,
}

#[async_trait]
impl<F: Fn(Answer<Opened>) -> Answer<Opened> + Send + Sync> Source for Reading<F> {
    async fn info(&self) -> Answer<SourceInfo> {
        let mut info = self.inner.info().await?;
        info.traits.extend(self.local.then(|| ability::LOCAL.to_owned()));
        Ok(info)
    }

    async fn now(&self) -> Answer<Option<Timestamp>> {
        self.inner.now().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn scan(&self, options: &ScanOptions) -> Answer<Box<dyn Scanner>> {
        if self.listings.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_err() {
            return Err(credenza_connect::Error::new(ErrorClass::Transient, "connect", "nobody is there"));
        }
        self.inner.scan(options).await
    }

    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Answer<Opened> {
        (self.read)(self.inner.read(entry, range, if_match).await)
    }

    async fn describe(&self, entries: &[Entry]) -> Answer<Vec<Answer<Vec<Attribute>>>> {
        self.inner.describe(entries).await
    }

    async fn documents(&self) -> Answer<Vec<SourceDocument>> {
        self.inner.documents().await
    }
}

/// What comes before a call of a store: it hears the name of the call, and its first key or its prefix; it may take its time, and fail the call.
type Hook = dyn Fn(&'static str, &str) -> BoxFuture<'static, Answer<()>> + Send + Sync;

/// A store in memory with a hook.
pub(crate) struct Hooked {
    inner: MemoryStore,
    hook: Box<Hook>,
}

impl Hooked {
    pub(crate) fn new(
        inner: &MemoryStore,
        hook: impl Fn(&'static str, &str) -> BoxFuture<'static, Answer<()>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { inner: inner.clone(), hook: Box::new(hook) })
    }

    async fn before(&self, name: &'static str, key: &str) -> Answer<()> {
        (self.hook)(name, key).await
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Store for Hooked {
    async fn info(&self) -> Answer<StoreInfo> {
        self.inner.info().await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Answer<Stored> {
        self.before(call::PUT, key.as_str()).await?;
        self.inner.put(key, data, options).await
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Answer<Body> {
        self.before(call::GET, key.as_str()).await?;
        self.inner.get(key, range, version).await
    }

    async fn stat(&self, key: &StoreKey) -> Answer<StoredObject> {
        self.before(call::STAT, key.as_str()).await?;
        self.inner.stat(key).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Answer<Page> {
        self.before(call::LIST, prefix).await?;
        self.inner.list(prefix, cursor, max).await
    }

    async fn delete(&self, keys: &[StoreKey]) -> Answer<Vec<Answer<()>>> {
        self.before(call::DELETE, keys.first().map_or("", StoreKey::as_str)).await?;
        self.inner.delete(keys).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Answer<()> {
        self.before(call::RETAIN, key.as_str()).await?;
        self.inner.retain(key, version, until).await
    }
}

/// A repository with `a` in one pack and `b` in another, whose store never gives the first, and the snapshot of both. Three minutes pass with each try.
/// `connect` as the reason is no answer, and then nothing is told of any object either.
pub(crate) async fn withheld(reason: &'static str) -> (Repository, SnapshotId, StoreKey) {
    let store = MemoryStore::new();
    let whole = repository(Arc::new(store.clone()), secret(), None).await;
    let source = MemorySource::new();
    source.put("a", noise(1, 200_000));
    snapshot(&whole, &source).await;
    let object = store.keys().into_iter().find(|key| key.as_str().starts_with("data/")).unwrap();
    source.put("b", noise(2, 200_000));
    let both = snapshot(&whole, &source).await;
    let clock = Arc::<TestClock>::default();
    let (passing, meant) = (Arc::clone(&clock), object.clone());
    let withholding = Hooked::new(&store, move |name, key| {
        let is_withheld = match name {
            call::GET => key == meant.as_str(),
            call::STAT => reason == "connect",
            _ => false,
        };
        if !is_withheld {
            return ready(Ok(())).boxed();
        }
        passing.pass(Duration::from_mins(3));
        let failure = credenza_connect::Error::new(ErrorClass::Transient, reason, "it does not work for a while");
        ready(Err(failure)).boxed()
    });
    // Not over a free store: what that fails with would be an answer.
    let repository = Repository::open(withholding, &secret(), None).await.unwrap();
    (repository.with_clock(clock), both, object)
}

/// A key file: it costs no time, unlike a passphrase.
pub(crate) fn secret() -> Secret {
    Secret::KeyFile(Zeroizing::new(vec![7; 32]))
}

/// Creates a repository of small chunks and opens it.
pub(crate) async fn repository(store: Arc<dyn Store>, secret: Secret, like: Option<&Repository>) -> Repository {
    let options = CreateOptions {
        like: like.map(Repository::content_keys),
        label: "test".to_owned(),
        chunker: ChunkerParams::new(1024, 4096, 16_384).unwrap(),
        ..CreateOptions::new(secret.clone())
    };
    Repository::create(Arc::clone(&store), &options).await.unwrap();
    open(store, secret).await
}

/// Opens it over the store, or over a [free](as_asked) one.
pub(crate) async fn open(store: Arc<dyn Store>, secret: Secret) -> Repository {
    Repository::open(as_asked(store), &secret, None).await.unwrap()
}

pub(crate) async fn snapshot(repository: &Repository, source: &MemorySource) -> SnapshotId {
    let options = BackupOptions { tags: vec!["kept".to_owned()], host: "host".to_owned(), ..BackupOptions::default() };
    let report = backup::run(repository, Arc::new(source.clone()), &options, &RunContext::default()).await.unwrap();
    report.snapshot.unwrap()
}

pub(crate) async fn handle(repository: &Repository, id: SnapshotId) -> SnapshotHandle {
    let snapshots = repository.snapshots().await.unwrap();
    snapshots.whole.into_iter().find(|handle| handle.snapshot.id == id).unwrap()
}

/// Entries of a snapshot with their bytes.
pub(crate) async fn contents(repository: &Repository, id: SnapshotId) -> BTreeMap<Key, (Entry, Vec<u8>)> {
    let handle = handle(repository, id).await;
    let loader = repository.loader(Arc::new(repository.index_for_writing().await.unwrap()));
    let mut records = repository.walk(&loader, &handle.snapshot.tree, &[]);
    let mut all = BTreeMap::new();
    while let Some(record) = records.next().await.unwrap() {
        let mut bytes = match &record.content {
            Content::Inline(bytes) => bytes.clone(),
            _ => Vec::new(),
        };
        let mut chunks = ContentChunks::new(Arc::clone(&loader), &record.content);
        loop {
            let refs = chunks.next(1 << 22).await.unwrap();
            if refs.is_empty() {
                break;
            }
            let fetched = loader.load(refs.iter().map(|chunk| chunk.id)).await.unwrap();
            refs.iter().for_each(|chunk| bytes.extend(fetched[&chunk.id].as_ref().unwrap()));
        }
        all.insert(record.entry.key.clone(), (record.entry, bytes));
    }
    all
}

/// A snapshot that is nowhere. Each is of a writer of its own, so that dates decide between them.
pub(crate) fn unsealed(number: u8, host: &str, seconds: i64) -> SnapshotHandle {
    let (started, finished) = (Timestamp::default(), Timestamp::default());
    let snapshot = Snapshot {
        id: SnapshotId::new([number; 16]),
        source: SnapshotSource { identity: "folder".into(), ..SnapshotSource::default() },
        connector: Provenance::default(),
        host: host.into(),
        user: "u".into(),
        tags: Vec::new(),
        started,
        finished,
        store_time: None,
        parent: None,
        writer: Hex([number; 16]),
        sequence: u64::from(number),
        previous: None,
        signer: None,
        origin: None,
        replaces: None,
        part: None,
        tree: TreeRoot { id: ChunkId::new([0; 32]), level: 0, length: 0, entries: 0, bytes: 0 },
        usage: Hex([0; 32]),
        packs: PacksRelied::default(),
        statistics: Statistics::default(),
        listing: None,
        problems: Vec::new(),
        problems_unlisted: 0,
        excluded: Vec::new(),
    };
    SnapshotHandle { snapshot, stored: Some(Timestamp { seconds, nanoseconds: 0 }), digest: Hex([0; 32]) }
}

/// Demands that every byte of a repository is right.
pub(crate) async fn expect_whole(repository: &Repository) {
    let report = check::run(repository, &CheckOptions::reading(Sample::All), &RunContext::default()).await.unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

/// A store that records what is asked of it.
pub(crate) type CountedStore = Recorder<MemoryStore>;

pub(crate) async fn recorded() -> (CountedStore, Repository) {
    let store = Recorder::new(Arc::new(MemoryStore::new()));
    let repository = repository(Arc::new(store.clone()), secret(), None).await;
    (store, repository)
}

/// A file with its bytes in the record.
pub(crate) fn record(key: String, bytes: &[u8]) -> Record {
    let mut entry = Entry::new(Key::from(key.as_str()), EntryKind::File);
    entry.size = Some(bytes.len() as u64);
    Record { entry, content: Content::Inline(bytes.to_vec()), status: EntryStatus::Stable }
}

/// A record in one of a thousand folders.
pub(crate) fn numbered(number: u32) -> Record {
    record(format!("folder-{:04}/file-{:04}", number / 1000, number % 1000), &number.to_le_bytes())
}

/// A snapshot of these records, without a source.
pub(crate) async fn synthetic(repository: &Repository, records: impl Iterator<Item = Record>) -> SnapshotHandle {
    let mut handle = handle(repository, snapshot(repository, &MemorySource::new()).await).await;
    let index = Arc::new(repository.index_for_writing().await.unwrap());
    let dedup = Deduplicator::begin(repository, index, repository.writer("", "")).await.unwrap();
    let mut writer = TreeWriter::new(Arc::clone(&dedup), 1);
    let mut records = records.peekable();
    while records.peek().is_some() {
        writer.push(records.by_ref().take(10_000).collect()).await.unwrap();
    }
    handle.snapshot.tree = writer.close().await.unwrap();
    dedup.flush().await.unwrap();
    handle
}

/// A clock of a machine that stands still.
struct Stopped(Timestamp);

impl Clock for Stopped {
    fn now(&self) -> Moment {
        Moment { monotonic: Duration::ZERO, wall: self.0 }
    }
}

/// A store with a snapshot, and two machines, one of them a year ahead of the other.
pub(crate) async fn two_machines() -> (MemoryStore, [Repository; 2], SnapshotHandle) {
    let store = MemoryStore::new();
    let made = repository(Arc::new(store.clone()), secret(), None).await;
    let source = MemorySource::new();
    source.put("a", b"a".to_vec());
    snapshot(&made, &source).await;
    let machine = async |seconds| {
        let clock = Arc::new(Stopped(Timestamp { seconds, nanoseconds: 7 }));
        open(Arc::new(store.clone()), secret()).await.with_clock(clock)
    };
    let machines = [machine(1_800_000_000).await, machine(1_831_000_000).await];
    let handle = made.snapshots().await.unwrap().whole.pop().unwrap();
    (store, machines, handle)
}
