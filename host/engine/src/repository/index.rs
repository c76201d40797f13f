//! The index of a repository, and the records of condemned packs that say which of it is to be relied on.
//!
//! Bound: an index of [`BLOBS_IN_MEMORY`] blobs (52 bytes each; twice that while its runs merge), the longer ones being on disk, sealed, in files that are gone with the command; some 300
//! bytes a pack; and a few segments on their way into it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use credenza_connect::Store;
use credenza_format::{BlobIndex, Condemned, IndexSegment, ObjectKind, PackRecord, PackState, Scratch, Spill};
use credenza_model::{ObjectId, StoreKey};

use super::disputes::{Verdicts, refuted};
use super::{Document, Repository, Rest};
use crate::cached::TemporaryFolder;
use crate::{Damage, DamageKind, Error, Result};

/// Blobs of an index in memory, at most 110 MB while runs merge: 32 GiB of chunks of 32 KiB. Tests of this crate put nearly every index on disk.
const BLOBS_IN_MEMORY: usize = if cfg!(test) { 16 } else { 1 << 20 };

/// What a collector wants to know of an index segment beyond what is in the index.
#[derive(Debug, Clone)]
pub(crate) struct SegmentInfo {
    pub(crate) id: ObjectId,
    /// Packs that it describes, each with the number of its blobs.
    pub(crate) packs: Vec<(ObjectId, u32)>,
    pub(crate) supersedes: Vec<ObjectId>,
}

/// Everything that the segments say.
pub(crate) struct ReadIndex {
    pub(crate) index: BlobIndex,
    pub(crate) segments: Vec<SegmentInfo>,
    /// Segments that cannot be read, or say of a pack what that refutes, and that no other supersedes.
    pub(crate) damaged: Vec<Damage>,
    /// All descriptions of packs that segments describe in more than one way, and that do not say themselves which holds: none where they are too many.
    pub(crate) undecided: HashMap<ObjectId, Vec<PackRecord>>,
}

/// The index as far as it can be read, and what of it cannot.
struct Salvaged {
    index: BlobIndex,
    segments: Vec<Damage>,
    records: Vec<Damage>,
}

impl Repository {
    /// The index for `sync`, `repair` and whatever else adds to the repository beside backups: as [`index_for_backup`](Self::index_for_backup), where
    /// what is wrong with it is reported already. What collectors merge meanwhile is not missed, so that it may be read again and again.
    pub(crate) async fn index_for_writing(&self) -> Result<BlobIndex> {
        Ok(self.index_to_rely_on(Rest::Proven).await?.0)
    }

    /// The index for backups and their merges, and what of it cannot be read. Packs that collectors have condemned are in it, because older
    /// snapshots may need them; their state says so.
    ///
    /// Damage costs space alone, so that nobody who may only put objects can keep others from backing up: chunks that a damaged segment described
    /// are stored again. A damaged record may condemn any pack, so that none that is there is relied on.
    pub(crate) async fn index_for_backup(&self) -> Result<(BlobIndex, Vec<Damage>)> {
        self.index_to_rely_on(Rest::Known).await
    }

    /// The index for who adds: no pack is relied on that may be condemned, or of which nobody can say what is in it.
    async fn index_to_rely_on(&self, rest: Rest) -> Result<(BlobIndex, Vec<Damage>)> {
        let Salvaged { mut index, segments, records } = self.salvage_index(rest).await?;
        let doubtful: Vec<ObjectId> = match records.is_empty() {
            true => index.disputed().collect(),
            false => index.packs().iter().map(|pack| pack.id).collect(),
        };
        doubtful.iter().for_each(|pack| index.demote(pack, PackState::Condemned));
        Ok((index, records.into_iter().chain(segments).collect()))
    }

    /// The index for who only reads, as far as it can be had: a chunk that is not in it is missed where it is needed, and what is
    /// elsewhere is still read.
    pub(crate) async fn index_for_reading(&self) -> Result<BlobIndex> {
        Ok(self.salvage_index(Rest::Proven).await?.index)
    }

    async fn salvage_index(&self, rest: Rest) -> Result<Salvaged> {
        // In this order: a repack publishes the new places of blobs before it condemns the old ones.
        let looking = self.glanced().await?;
        let (condemned, records) = looking.condemned_records().await?;
        let ReadIndex { mut index, damaged: segments, .. } = looking.read_index_at(rest, self.store()).await?;
        condemned.iter().for_each(|pack| index.demote(pack, PackState::Condemned));
        Ok(Salvaged { index, segments, records })
    }

    /// Reads every index segment. Superseded ones say nothing that is wrong, so they are read like the others.
    pub(crate) async fn read_index(&self, store: &Arc<dyn Store>) -> Result<ReadIndex> {
        self.read_index_at(Rest::Proven, store).await
    }

    async fn read_index_at(&self, rest: Rest, store: &Arc<dyn Store>) -> Result<ReadIndex> {
        let read = Box::pin(self.read_segments(rest, store, &Verdicts::default())).await?;
        let disputed: HashSet<ObjectId> = read.index.disputed().collect();
        if disputed.is_empty() {
            return Ok(read);
        }
        let naming =
            read.segments.iter().filter(|segment| segment.packs.iter().any(|(pack, _)| disputed.contains(pack)));
        let naming: Vec<ObjectId> = naming.map(|segment| segment.id).collect();
        // Apart from the rest, which is on the stack of whatever reads an index.
        let verdicts = Box::pin(self.judge(disputed, &naming)).await?;
        let read = match verdicts.is_empty() {
            true => read,
            false => Box::pin(self.read_segments(rest, store, &verdicts)).await?,
        };
        Ok(ReadIndex { undecided: verdicts.into_undecided(), ..read })
    }

    /// Reads every segment, without what packs refute.
    async fn read_segments(&self, rest: Rest, store: &Arc<dyn Store>, verdicts: &Verdicts) -> Result<ReadIndex> {
        let (segments, damaged, undecided) = (Vec::new(), Vec::new(), HashMap::new());
        let mut read = ReadIndex { index: self.empty_index(), segments, damaged, undecided };
        let mut damaged: Vec<(ObjectId, Damage)> = Vec::new();
        let take = |document: Document| {
            let (id, key) = (document.id, document.key.clone());
            match self.open_segment(document) {
                Err(damage) => {
                    damaged.push((id, damage));
                    Ok(true)
                }
                Ok(mut segment) => {
                    let false_ones: Vec<PackRecord> =
                        segment.packs.extract_if(.., |pack| verdicts.refutes(pack)).collect();
                    damaged.extend(false_ones.first().map(|pack| (id, refuted(&key, &pack.id))));
                    // Where the index has no room on disk, what is read further would stay in memory.
                    read.add(id, segment)
                }
            }
        };
        self.merged_documents(store, ObjectKind::Index, rest, take).await?;
        read.index.settle()?;
        let superseded: HashSet<ObjectId> = read.superseded().collect();
        read.damaged =
            damaged.into_iter().filter(|(id, _)| !superseded.contains(id)).map(|(_, damage)| damage).collect();
        Ok(read)
    }

    fn open_segment(&self, document: Document) -> Result<IndexSegment, Damage> {
        let mut segment = decode(&document.key, &document.body?)?;
        segment.packs.iter_mut().for_each(|pack| self.strip_version(pack));
        Ok(segment)
    }

    /// An index for all that a repository has, which is on disk as far as it is long.
    fn empty_index(&self) -> BlobIndex {
        let scratch: Arc<dyn Scratch> = match &self.cache {
            Some(cache) => Arc::new(cache.clone()),
            None => Arc::new(TemporaryFolder),
        };
        BlobIndex::spilling(Spill { scratch, blobs_in_memory: BLOBS_IN_MEMORY })
    }

    /// One index segment; `None` when it is not there.
    pub(crate) async fn segment(&self, id: ObjectId) -> Result<Option<IndexSegment>> {
        let body = self.body(self.store(), ObjectKind::Index, id).await?;
        let key = ObjectKind::Index.store_key(id);
        Ok(body.map(|body| body.and_then(|body| decode(&key, &body))).transpose()?)
    }

    /// An index of these segments alone; `None` where one of them is gone or damaged.
    pub(crate) async fn index_of_segments(&self, segments: &[ObjectId]) -> Result<Option<BlobIndex>> {
        let mut index = self.empty_index();
        for id in segments {
            match self.segment(*id).await {
                Ok(Some(segment)) => index.add(&segment)?,
                Ok(None) | Err(Error::Damage(_)) => return Ok(None),
                Err(cause) => return Err(cause),
            }
        }
        index.settle()?;
        Ok(Some(index))
    }

    /// Packs named in a condemned record, as one listing shows them.
    ///
    /// One listing may miss a record that is being merged, and whoever relies on the answer looks twice: at its beginning
    /// and before it commits or deletes. Only records that have outlived every run are merged, and what they were merged
    /// into is younger than that, so that no run can miss both.
    ///
    /// # Errors
    /// Damage when a record cannot be read.
    pub(crate) async fn condemned(&self) -> Result<HashSet<ObjectId>> {
        let (packs, damaged) = self.condemned_records().await?;
        match damaged.into_iter().next() {
            Some(damage) => Err(damage.into()),
            None => Ok(packs),
        }
    }

    /// The packs and escrowed connectors of the records that can be read, and what is wrong with the others.
    pub(crate) async fn condemned_records(&self) -> Result<(HashSet<ObjectId>, Vec<Damage>)> {
        let (mut packs, mut damaged) = (HashSet::new(), Vec::new());
        for document in self.documents(self.store(), ObjectKind::Condemned).await? {
            let key = document.key;
            let record = document.body.and_then(|body| {
                Condemned::decode(&body).map_err(|cause| Damage::new(&key, DamageKind::Invalid, cause.to_string()))
            });
            match record {
                Ok(record) => packs.extend(record.packs.into_iter().chain(record.connectors)),
                Err(damage) => damaged.push(damage),
            }
        }
        Ok((packs, damaged))
    }
}

impl ReadIndex {
    /// Segments that another one replaces.
    pub(crate) fn superseded(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.segments.iter().flat_map(|segment| segment.supersedes.iter().copied())
    }

    /// Takes a segment in, and says whether others were merged into it.
    ///
    /// # Errors
    /// [`Error::Format`] when the index cannot be kept.
    fn add(&mut self, id: ObjectId, segment: IndexSegment) -> Result<bool> {
        self.index.add(&segment)?;
        let blobs = |pack: &PackRecord| u32::try_from(pack.blobs.len()).unwrap_or(u32::MAX);
        let packs = segment.packs.iter().map(|pack| (pack.id, blobs(pack))).collect();
        let is_merged = !segment.supersedes.is_empty();
        self.segments.push(SegmentInfo { id, packs, supersedes: segment.supersedes });
        Ok(is_merged)
    }
}

fn decode(key: &StoreKey, body: &[u8]) -> Result<IndexSegment, Damage> {
    IndexSegment::decode(body).map_err(|cause| Damage::new(key, DamageKind::Invalid, cause.to_string()))
}
