//! Between repositories alike: the same ids, so what the target has is not read, and the rest goes over as it is stored.
//!
//! Owned here: which chunks go over, and the proof that they are all that the snapshot needs. The origin's usage list
//! names them, so the work follows what is new and not the size of the tree; each node and list that goes over is held
//! against it. Called by `sync::run`.
//!
//! Bound: some 90 bytes per chunk that the target lacks, a bit per chunk of each pack in use, and
//! [`BYTES_IN_FLIGHT`] of ranges, sealed and opened. What is [`Brought`] of a snapshot stays until that is committed, as heavy as it says.

use std::sync::Arc;

use credenza_format::{
    Bitmap, BlobIndex, BlobKind, BlobPlace, Compressor, Node, ObjectKind, PackState, TreeRoot, Usage, body_digest,
    decode_list,
};
use credenza_model::{ChunkId, Content, ObjectId, StoreKey};
use futures_util::StreamExt;
use tokio::sync::Semaphore;

use super::Stopped;
use crate::blobs::{BlobLoader, Keep, Moved, Run, Verified, coalesce};
use crate::repository::{Repository, SnapshotHandle};
use crate::share::Share;
use crate::write::{Deduplicator, UsageMap, keep_together};
use crate::{Damage, DamageKind, Error, Event, Listener, Result};

/// Ranges read at once: an object store answers each in some 30 ms, and most are short where snapshots differ little.
const RANGES_IN_FLIGHT: usize = 16;
/// Plaintext of the ranges that are read at once.
const BYTES_IN_FLIGHT: usize = 24 * 1024 * 1024;

/// What was brought of a snapshot.
pub(super) struct Brought {
    used: Arc<Used>,
    /// Bytes of the chunks that the target lacked, inflated.
    pub(super) bytes: u64,
}

impl Brought {
    /// Bytes that it takes in memory, about.
    pub(super) fn weight(&self) -> u64 {
        let packs = self.used.by_pack.iter();
        packs.map(|used| 40 + used.as_ref().map_or(0, |used| u64::from(used.length() / 8))).sum()
    }

    /// What the snapshot relies on at the target: chunks that the index has and does not condemn, and those in the packs that the run has added. Nothing where it
    /// is not all there.
    pub(super) async fn usage(&self, index: Arc<BlobIndex>, added: Arc<BlobIndex>) -> Result<Option<Usage>> {
        let used = Arc::clone(&self.used);
        let looked = tokio::task::spawn_blocking(move || {
            let mut usage = UsageMap::default();
            for known in used.index.iter() {
                let (id, place) = known?;
                if !used.covers_place(&place) {
                    continue;
                }
                // As the run has marked them, in whose intent they are.
                let reliable = index.get(&id)?.filter(|place| index.state(place.pack) < PackState::Condemned);
                match (reliable, added.get(&id)?) {
                    (Some(place), _) => usage.mark(&index, &place),
                    (None, Some(place)) => usage.mark(&added, &place),
                    (None, None) => return Ok(None),
                }
            }
            Ok(Some(usage.to_usage()))
        });
        looked.await.map_err(Error::worker("look-up"))?
    }
}

/// Copies all that a snapshot needs and the target lacks, unless that are `less_than` bytes or more: nothing comes back then, and none of it was read. What is left of a
/// group is compressed again at `level`. Its tree is then the same in both.
pub(super) async fn copy(
    origin: &Repository,
    loader: &Arc<BlobLoader>,
    (dedup, level): (&Arc<Deduplicator>, i32),
    (handle, less_than): (&SnapshotHandle, Option<u64>),
    listener: &dyn Listener,
) -> Result<Option<(TreeRoot, Brought)>, Stopped> {
    let lacking = Lacking::of((origin, loader), dedup, handle, None).await?;
    if less_than.is_some_and(|less_than| lacking.bytes >= less_than) {
        return Ok(None);
    }
    let brought = lacking.bring(loader, (dedup, level), listener).await?;
    let root = handle.snapshot.tree;
    if dedup.holds(&root.id)? { Ok(Some((root, brought))) } else { Err(brought.used.left_out(root.id).into()) }
}

/// Copies what the target lacks of that what one of several processes carries of a snapshot: of the packs of the origin that are its own.
pub(super) async fn bring(
    (origin, loader): (&Repository, &Arc<BlobLoader>),
    (dedup, level): (&Arc<Deduplicator>, i32),
    handle: &SnapshotHandle,
    share: Option<Share>,
    listener: &dyn Listener,
) -> Result<Brought, Stopped> {
    let lacking = Lacking::of((origin, loader), dedup, handle, share).await?;
    lacking.bring(loader, (dedup, level), listener).await
}

/// What the target lacks of a snapshot, before any of it is read.
struct Lacking {
    used: Arc<Used>,
    runs: Vec<Run>,
    /// Bytes of the chunks, inflated.
    bytes: u64,
}

impl Lacking {
    async fn of(
        (origin, loader): (&Repository, &Arc<BlobLoader>),
        dedup: &Arc<Deduplicator>,
        handle: &SnapshotHandle,
        share: Option<Share>,
    ) -> Result<Self> {
        let used = Arc::new(Used::read(origin, loader.index(), handle).await?);
        let runs = coalesce(lacking(&used, share, dedup).await?);
        let bytes = runs.iter().map(|run| run.length).sum();
        Ok(Self { used, runs, bytes })
    }

    async fn bring(
        self,
        loader: &Arc<BlobLoader>,
        (dedup, level): (&Arc<Deduplicator>, i32),
        listener: &dyn Listener,
    ) -> Result<Brought, Stopped> {
        let Self { used, runs, bytes } = self;
        listener.on(Event::Expected { entries: 0, bytes });
        copy_runs(loader, runs, keeper(&used, dedup, level).await?, listener).await?;
        Ok(Brought { used, bytes })
    }
}

/// Whether the target has all that a snapshot needs, by its index.
pub(super) async fn is_there(
    (origin, loader): (&Repository, &Arc<BlobLoader>),
    target: Arc<BlobIndex>,
    handle: &SnapshotHandle,
) -> Result<bool> {
    let used = Used::read(origin, loader.index(), handle).await?;
    let looked = tokio::task::spawn_blocking(move || {
        for known in used.index.iter() {
            let (id, place) = known?;
            let is_reliable = |place: BlobPlace| target.state(place.pack) < PackState::Condemned;
            if used.covers_place(&place) && !target.get(&id)?.is_some_and(is_reliable) {
                return Ok(false);
            }
        }
        Ok(true)
    });
    looked.await.map_err(Error::worker("look-up"))?
}

/// The chunks in use that the target does not have, with their places at the origin; marks those that it has.
async fn lacking(
    used: &Arc<Used>,
    share: Option<Share>,
    dedup: &Arc<Deduplicator>,
) -> Result<Vec<(ChunkId, BlobPlace)>> {
    let (used, dedup) = (Arc::clone(used), Arc::clone(dedup));
    let looked = tokio::task::spawn_blocking(move || {
        let is_own = |pack| share.is_none_or(|share| used.index.pack(pack).is_some_and(|pack| share.has(&pack.id)));
        let mut lacking = Vec::new();
        for known in used.index.iter() {
            let (id, place) = known?;
            if used.covers_place(&place) && is_own(place.pack) && !dedup.holds(&id)? {
                lacking.push((id, place));
            }
        }
        Ok(lacking)
    });
    looked.await.map_err(Error::worker("look-up"))?
}

/// Puts a verified chunk into the target, if all that it refers to goes there too.
async fn keeper(used: &Arc<Used>, dedup: &Arc<Deduplicator>, level: i32) -> Result<Keep> {
    let (used, dedup) = (Arc::clone(used), Arc::clone(dedup));
    let place = dedup.packs().workers().join().await?;
    Ok(Arc::new(move |frame: Verified| {
        // At work as long as anybody may call this.
        let _ = &place;
        for chunk in frame.chunks() {
            let references = references(chunk.kind(), &chunk.plain)
                .map_err(|cause| Damage::of_chunk("tree", DamageKind::Invalid, chunk.id(), cause.to_string()))?;
            for id in references {
                if !used.covers(&id)? {
                    return Err(used.left_out(id));
                }
            }
        }
        match frame.moved() {
            None => Ok(()),
            Some(Moved::Alone(frame)) => dedup.keep_stored(frame),
            Some(Moved::Together(kind, members, whole)) => {
                let mut compressor = Compressor::new(level).map_err(Error::encode("starting a compressor"))?;
                keep_together(&dedup, &mut compressor, kind, &members, whole)
            }
        }
    }))
}

async fn copy_runs(
    loader: &Arc<BlobLoader>,
    runs: Vec<Run>,
    keep: Keep,
    listener: &dyn Listener,
) -> Result<(), Stopped> {
    let leave = Semaphore::new(BYTES_IN_FLIGHT);
    let passed = futures_util::stream::iter(runs).map(|run| async {
        let bytes = run.length;
        let share = u32::try_from(bytes).unwrap_or(u32::MAX).min(BYTES_IN_FLIGHT as u32);
        let _leave = leave.acquire_many(share).await.map_err(|_| Error::Cancelled)?;
        loader.pass(run, Arc::clone(&keep)).await.map(|damages| (bytes, damages))
    });
    let mut passed = passed.buffer_unordered(RANGES_IN_FLIGHT);
    let mut damages = Vec::new();
    while let Some(done) = passed.next().await {
        let (bytes, found) = done?;
        damages.extend(found);
        listener.on(Event::Progress { entries: 0, bytes });
    }
    if damages.is_empty() { Ok(()) } else { Err(Stopped::Damaged(damages)) }
}

/// Ids that a chunk refers to.
fn references(kind: BlobKind, plain: &[u8]) -> credenza_format::Result<Vec<ChunkId>> {
    let ids = |content: &Content| match content {
        Content::None | Content::Inline(_) => Vec::new(),
        Content::Chunks(refs) => refs.iter().map(|chunk| chunk.id).collect(),
        Content::Lists { lists, .. } => lists.iter().map(|list| list.id).collect(),
    };
    Ok(match kind {
        BlobKind::Data => Vec::new(),
        BlobKind::List => ids(&decode_list(plain)?),
        BlobKind::Node => match Node::decode_any(plain)? {
            Node::Inner(children) => children.into_iter().map(|child| child.id).collect(),
            Node::Leaf(records) => records.iter().flat_map(|record| ids(&record.content)).collect(),
        },
    })
}

/// What a snapshot of the origin uses.
pub(super) struct Used {
    index: Arc<BlobIndex>,
    /// By the ordinals of its packs.
    by_pack: Vec<Option<Bitmap>>,
    /// The usage list, for messages.
    key: StoreKey,
}

impl Used {
    async fn read(origin: &Repository, index: &Arc<BlobIndex>, handle: &SnapshotHandle) -> Result<Self> {
        let id = ObjectId::new(*handle.snapshot.id.as_bytes());
        let key = ObjectKind::Usage.store_key(id);
        let missing = || Damage::new(&key, DamageKind::Missing, "the usage list of a snapshot is not in the store");
        let body = origin.body(origin.store(), ObjectKind::Usage, id).await?.ok_or_else(missing)??;
        let invalid = |detail: String| Damage::new(&key, DamageKind::Invalid, detail);
        if body_digest(&body) != handle.snapshot.usage {
            return Err(invalid("it is not the list that its snapshot names".to_owned()).into());
        }
        let usage = Usage::decode(&body).map_err(|cause| invalid(cause.to_string()))?;
        let mut by_pack = vec![None; index.packs().len()];
        for pack in usage.packs {
            let slot = index.ordinal(&pack.pack).and_then(|ordinal| by_pack.get_mut(ordinal.0 as usize));
            let unknown = || Damage {
                object: format!("index of pack {}", pack.pack),
                kind: DamageKind::Missing,
                chunk: None,
                detail: format!("no index segment describes pack {}, which snapshots rely on", pack.pack),
            };
            *slot.ok_or_else(unknown)? = Some(pack.used);
        }
        Ok(Self { index: Arc::clone(index), by_pack, key })
    }

    fn covers_place(&self, place: &BlobPlace) -> bool {
        let bitmap = self.by_pack.get(place.pack.0 as usize).and_then(Option::as_ref);
        bitmap.is_some_and(|bitmap| bitmap.get(place.position))
    }

    fn covers(&self, id: &ChunkId) -> Result<bool> {
        Ok(self.index.places(id)?.iter().any(|place| self.covers_place(place)))
    }

    fn left_out(&self, id: ChunkId) -> Error {
        let detail = format!("it leaves out chunk {id}, which the tree of its snapshot needs");
        Damage::of_chunk(&self.key, DamageKind::Invalid, id, detail).into()
    }
}
