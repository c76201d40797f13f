//! Locate, fetch, open: from chunk ids to verified plaintext, in pack order, with few requests.
//!
//! Owned here: which ranges of which packs are read for a set of chunks, how many at once, and the verification of
//! every byte that comes back. Refused here: what the bytes mean. Called by `walk`, `contents`, `read`, `restore`, `check`.
//!
//! A repack may move chunks while a loader is at work: its index still leads to packs that a collector has deleted. What such
//! a pack held is looked for by a successor with the index as it is then.
//!
//! Bound: the index, and once more for a successor; one call holds the plaintext of the chunks asked for, which its caller limits (`WINDOW_BYTES`); all calls of a
//! loader together read and open [`FETCH_BYTES`] at a time. What a `course` holds comes on top.

mod course;
mod fetch;
mod forged;
mod locate;
mod shares;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use credenza_connect::Store;
use credenza_format::{BlobIndex, BlobPlace, IndexedPack, PackOrdinal, PackState, TreeRoot};
use credenza_model::{ChunkId, ObjectId};
use futures_util::StreamExt;
use tokio::sync::{Mutex, Semaphore};

pub(crate) use course::{Course, STRETCHES_OPEN_MAX, Taken};
use fetch::open_run;
pub(crate) use fetch::{Moved, Opened, SealedRun, Verified, copy_run, healed, open_each, read_part, read_range};
pub(crate) use forged::{Noise, opened as forged};
pub(crate) use locate::{Run, coalesce};
pub(crate) use shares::Shares;

use crate::liveness::Liveness;
use crate::poison::lock_unpoisoned;
use crate::repository::{Missed, Repository};
use crate::{Damage, DamageKind, Error, Result};

/// Longest range of a pack read in one request: a full read costs four or five requests a data pack, and several fit into memory, sealed and opened.
pub(crate) const RUN_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Bytes between two wanted chunks that are cheaper to read than a further request: at 100 MB/s, 256 KiB cost 2.5 ms, less than any round trip to an object store.
pub(crate) const GAP_BYTES_MAX: u64 = 256 * 1024;
/// Bytes of ranges that are read and opened at once, over all calls of one loader: two of the longest.
const FETCH_BYTES: u64 = 2 * RUN_BYTES_MAX;
/// Ranges read at once, however short they are: a store that is far away answers as many in the time of one.
const FETCHES_IN_FLIGHT: u32 = 32;
/// Trees that are remembered: two are compared at once, and more are looked into one after the other.
const TREES_MAX: usize = 8;

/// A chunk's plaintext, or why there is none.
pub(crate) type Fetched = HashMap<ChunkId, Result<Bytes, Damage>>;

/// Reads chunks of a repository.
pub(crate) struct BlobLoader {
    /// Its store without a cache is asked again before anything counts as damaged.
    repository: Repository,
    store: Arc<dyn Store>,
    index: Arc<BlobIndex>,
    permits: Semaphore,
    age: Mutex<Age>,
    /// Whether the store still answers, where its failure to give a pack is the pack's alone.
    liveness: Option<Arc<Liveness>>,
    /// Trees that were read last, of which a replica may be asked for what is lost.
    trees: std::sync::Mutex<Vec<TreeRoot>>,
}

/// How far the index of a loader has fallen behind.
#[derive(Default)]
struct Age {
    /// Packs that were gone and for which the successor, if one was needed, knows all there is to know.
    judged: HashSet<ObjectId>,
    successor: Option<Arc<BlobLoader>>,
}

impl Repository {
    pub(crate) fn loader(&self, index: Arc<BlobIndex>) -> Arc<BlobLoader> {
        self.loader_from(self.store(), index)
    }

    /// A loader that passes over what the store fails to give, as [`BlobLoader::going_on`].
    pub(crate) fn loader_going_on(&self, index: Arc<BlobIndex>) -> Arc<BlobLoader> {
        let liveness = Liveness::begin("repository", self.clock());
        Arc::new(BlobLoader::new(self.clone(), Arc::clone(self.store()), index).going_on(&liveness))
    }

    /// A loader that reads from one of the two stores.
    pub(crate) fn loader_from(&self, store: &Arc<dyn Store>, index: Arc<BlobIndex>) -> Arc<BlobLoader> {
        Arc::new(BlobLoader::new(self.clone(), Arc::clone(store), index))
    }
}

impl BlobLoader {
    /// A loader that reads from one of the two stores of a repository.
    pub(crate) fn new(repository: Repository, store: Arc<dyn Store>, index: Arc<BlobIndex>) -> Self {
        let (permits, age) = (Semaphore::new(FETCH_BYTES as usize), Mutex::default());
        Self { repository, store, index, permits, age, liveness: None, trees: std::sync::Mutex::default() }
    }

    /// The same, which goes on without what the store fails to give as long as it answers anything: that is
    /// [`DamageKind::Unreadable`] then. For whoever takes nothing for lost by it.
    pub(crate) fn going_on(self, liveness: &Arc<Liveness>) -> Self {
        Self { liveness: Some(Arc::clone(liveness)), ..self }
    }

    pub(crate) fn index(&self) -> &Arc<BlobIndex> {
        &self.index
    }

    /// Notes a tree that is read by this loader.
    pub(crate) fn note_tree(&self, root: &TreeRoot) {
        let mut trees = lock_unpoisoned(&self.trees);
        trees.retain(|known| known != root);
        let beyond = (trees.len() + 1).saturating_sub(TREES_MAX);
        trees.drain(..beyond);
        trees.push(*root);
    }

    /// Loads chunks; repeated ids are read once. A chunk that cannot be had from one pack is looked for in the others that hold
    /// it: a collector may have deleted the one and spared the other. One that is nowhere is read from a replica, if there are any; where
    /// no replica has it, it is reported in its place and does not stop the others.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub(crate) async fn load(&self, ids: impl IntoIterator<Item = ChunkId>) -> Result<Fetched> {
        let mut fetched = self.load_here(ids).await?;
        if let Some(spare) = self.repository.spare().filter(|_| !fetched.values().all(Result::is_ok)) {
            let trees = lock_unpoisoned(&self.trees).clone();
            let missed = Missed { index: &self.index, trees: &trees };
            spare.mend(&self.repository, missed, &mut fetched).await;
        }
        Ok(fetched)
    }

    /// The same from this repository alone.
    async fn load_here(&self, ids: impl IntoIterator<Item = ChunkId>) -> Result<Fetched> {
        let mut fetched = self.load_known(ids).await?;
        let is_gone =
            |fetched: &Result<Bytes, Damage>| matches!(fetched, Err(damage) if damage.kind == DamageKind::Missing);
        let gone: Vec<ChunkId> = fetched.iter().filter(|(_, fetched)| is_gone(fetched)).map(|(id, _)| *id).collect();
        if let Some(successor) = self.successor(&gone).await? {
            fetched.extend(Box::pin(successor.load_here(gone)).await?);
        }
        Ok(fetched)
    }

    /// Whoever may know where chunks went whose packs are gone: only collectors delete packs, and only such as a record condemns.
    async fn successor(&self, gone: &[ChunkId]) -> Result<Option<Arc<Self>>> {
        let mut packs: HashSet<ObjectId> = HashSet::new();
        for id in gone {
            let places = self.index.places(id)?;
            packs.extend(places.iter().filter_map(|place| self.index.pack(place.pack)).map(|pack| pack.id));
        }
        if packs.is_empty() {
            return Ok(None);
        }
        let mut age = self.age.lock().await;
        let unjudged: HashSet<ObjectId> = packs.difference(&age.judged).copied().collect();
        if !unjudged.is_empty() {
            let (condemned, damaged) = self.repository.condemned_records().await?;
            let may_have_moved = !damaged.is_empty() || !condemned.is_disjoint(&unjudged);
            age.judged.extend(unjudged);
            if may_have_moved {
                let index = Arc::new(self.repository.index_for_reading().await?);
                let successor = Self::new(self.repository.clone(), Arc::clone(&self.store), index);
                let successor = Self { liveness: self.liveness.clone(), ..successor };
                // What it does not find either is lost: packs never come back.
                successor.age.lock().await.judged.clone_from(&age.judged);
                age.successor = Some(Arc::new(successor));
            }
        }
        Ok(age.successor.clone())
    }

    async fn load_known(&self, ids: impl IntoIterator<Item = ChunkId>) -> Result<Fetched> {
        let (mut places, mut fetched) = self.locate(ids)?;
        let mut tried = HashSet::new();
        while !places.is_empty() {
            let runs = coalesce(places.clone()).into_iter().map(|run| self.fetch(run));
            let mut answers = futures_util::stream::iter(runs).buffer_unordered(FETCHES_IN_FLIGHT as usize);
            while let Some(answer) = answers.next().await {
                fetched.extend(answer?);
            }
            places.retain(|(id, _)| fetched.get(id).is_some_and(Result::is_err));
            tried.extend(places.iter().map(|(id, place)| (*id, place.pack)));
            let others = places.into_iter().map(|(id, _)| Ok((id, self.another(&id, &tried)?)));
            let others: Vec<_> = others.collect::<Result<_>>()?;
            places = others.into_iter().filter_map(|(id, place)| Some((id, place?))).collect();
        }
        Ok(fetched)
    }

    /// A place of a chunk in a pack where it was not yet looked for.
    fn another(&self, id: &ChunkId, tried: &HashSet<(ChunkId, PackOrdinal)>) -> Result<Option<BlobPlace>> {
        let untried =
            |place: &BlobPlace| self.index.state(place.pack) < PackState::Gone && !tried.contains(&(*id, place.pack));
        Ok(self.index.places(id)?.into_iter().find(untried))
    }

    /// Loads what a [`Course`] did not give.
    pub(crate) async fn complete(&self, taken: Taken) -> Result<Fetched> {
        let Taken { mut fetched, rest } = taken;
        if !rest.is_empty() {
            fetched.extend(self.load(rest).await?);
        }
        Ok(fetched)
    }

    /// Loads one chunk that must be whole.
    pub(crate) async fn load_one(&self, id: ChunkId) -> Result<Bytes> {
        self.load([id]).await?.remove(&id).unwrap_or_else(|| Err(unknown(id))).map_err(Error::from)
    }

    fn locate(&self, ids: impl IntoIterator<Item = ChunkId>) -> Result<(Vec<(ChunkId, BlobPlace)>, Fetched)> {
        let mut fetched = Fetched::new();
        let mut places = Vec::new();
        for id in ids {
            match self.index.get(&id)? {
                Some(place) => places.push((id, place)),
                None => {
                    fetched.insert(id, Err(unknown(id)));
                }
            }
        }
        Ok((places, fetched))
    }

    async fn fetch(&self, run: Run) -> Result<Fetched> {
        let _permit = self.permits.acquire_many(room(run.length)).await.map_err(|_| Error::Cancelled)?;
        let pack = self.index.pack(run.pack);
        if let Some((tally, pack)) = self.repository.unread(pack).zip(pack) {
            return Ok(forged::fetched(tally, pack, &run));
        }
        let mut fetched = self.fetch_from(&*self.store, run.clone()).await?;
        if !fetched.values().all(Result::is_ok) && !Arc::ptr_eq(&self.store, self.repository.bare_store()) {
            fetched = self.fetch_from(&**self.repository.bare_store(), run.clone()).await?;
        }
        let damages: Vec<Damage> = fetched.values().filter_map(|opened| opened.as_ref().err().cloned()).collect();
        if let Some(pack) = self.index.pack(run.pack)
            && let Some((hurt, sealed)) = healed(&self.repository, pack, &run, &damages).await?
        {
            fetched.extend(self.open(pack.clone(), hurt, sealed).await?);
        }
        Ok(fetched)
    }

    async fn open(&self, pack: IndexedPack, run: Run, sealed: SealedRun) -> Result<Fetched> {
        let keys = self.repository.keys().clone();
        let opened = tokio::task::spawn_blocking(move || open_run(&keys, &pack, &run, sealed));
        opened.await.map_err(Error::worker("open"))
    }

    async fn fetch_from(&self, store: &dyn Store, run: Run) -> Result<Fetched> {
        let Some(pack) = self.index.pack(run.pack) else {
            return Ok(run.blobs.iter().map(|(id, _)| (*id, Err(unknown(*id)))).collect());
        };
        let pack = pack.clone();
        match read_range((store, self.liveness.as_ref()), &pack, run.offset, run.length).await? {
            Err(damage) => Ok(run.damaged(&damage).map(|(id, damage)| (id, Err(damage))).collect()),
            Ok(sealed) => self.open(pack, run, sealed).await,
        }
    }

    /// Reads one run and gives its chunks, verified and frame by frame, to `keep`, on a thread that may block. What is damaged comes back.
    ///
    /// # Errors
    /// When the store cannot be read at all, and whatever `keep` fails with.
    pub(crate) async fn pass(&self, run: Run, keep: Keep) -> Result<Vec<Damage>> {
        let pack = self.index.pack(run.pack);
        if let Some((tally, pack)) = self.repository.unread(pack).zip(pack) {
            let opened = forged::opened(tally, pack, &run);
            let kept = tokio::task::spawn_blocking(move || Verified::split(opened).try_for_each(|frame| keep(frame)));
            return kept.await.map_err(Error::worker("open"))?.map(|()| Vec::new());
        }
        let mut damages = self.pass_from(&*self.store, run.clone(), Arc::clone(&keep)).await?;
        if !damages.is_empty() && !Arc::ptr_eq(&self.store, self.repository.bare_store()) {
            damages = self.pass_from(&**self.repository.bare_store(), run.clone(), Arc::clone(&keep)).await?;
        }
        if let Some(pack) = self.index.pack(run.pack)
            && let Some((hurt, sealed)) = healed(&self.repository, pack, &run, &damages).await?
        {
            return self.pass_opened(pack.clone(), hurt, sealed, keep).await;
        }
        Ok(damages)
    }

    async fn pass_from(&self, store: &dyn Store, run: Run, keep: Keep) -> Result<Vec<Damage>> {
        let Some(pack) = self.index.pack(run.pack).cloned() else {
            return Ok(run.blobs.iter().map(|(id, _)| unknown(*id)).collect());
        };
        match read_range((store, self.liveness.as_ref()), &pack, run.offset, run.length).await? {
            Ok(sealed) => self.pass_opened(pack, run, sealed, keep).await,
            Err(damage) => Ok(run.damaged(&damage).map(|(_, damage)| damage).collect()),
        }
    }

    async fn pass_opened(&self, pack: IndexedPack, run: Run, sealed: SealedRun, keep: Keep) -> Result<Vec<Damage>> {
        let keys = self.repository.keys().clone();
        let passed = tokio::task::spawn_blocking(move || copy_run(&keys, &pack, &run, sealed, |frame| keep(frame)));
        passed.await.map_err(Error::worker("open"))?
    }
}

/// What a range takes of [`FETCH_BYTES`]: its bytes, and however few they are, so much that no more than [`FETCHES_IN_FLIGHT`] are read at once.
fn room(bytes: u64) -> u32 {
    let least = FETCH_BYTES / u64::from(FETCHES_IN_FLIGHT);
    u32::try_from(bytes.clamp(least, FETCH_BYTES)).unwrap_or(u32::MAX)
}

/// Takes chunks of a [`pass`](BlobLoader::pass); it may see one twice.
pub(crate) type Keep = Arc<dyn Fn(Verified) -> Result<()> + Send + Sync>;

fn unknown(id: ChunkId) -> Damage {
    Damage::of_chunk("index", DamageKind::Missing, id, format!("no index segment says where chunk {id} is"))
}
