//! The index of a repository, and the records of condemned packs that say which of it is to be relied on.
//!
//! Bound: the index (52 bytes a blob; twice that while its runs merge) and a few segments on their way into it.

use std::collections::HashSet;
use std::sync::Arc;

use credenza_connect::Store;
use credenza_format::{BlobIndex, Condemned, IndexSegment, ObjectKind, Standing};
use credenza_model::{ObjectId, StoreKey};

use super::{Document, Repository};
use crate::{Damage, DamageKind, Result};

/// What a collector wants to know of an index segment beyond what is in the index.
#[derive(Debug, Clone)]
pub(crate) struct SegmentInfo {
    pub(crate) id: ObjectId,
    /// Packs that it describes, each with the number of its blobs.
    pub(crate) packs: Vec<(ObjectId, u32)>,
    pub(crate) supersedes: Vec<ObjectId>,
}

/// Everything that the segments say.
#[derive(Default)]
pub(crate) struct ReadIndex {
    pub(crate) index: BlobIndex,
    pub(crate) segments: Vec<SegmentInfo>,
    /// Segments that cannot be read and that no other supersedes.
    pub(crate) damaged: Vec<Damage>,
}

impl Repository {
    /// The index, whole. Packs that collectors have condemned are in it, because older snapshots may need them; their standing says so.
    ///
    /// # Errors
    /// Damage when a segment or a record cannot be read: who writes must not take what it describes for absent.
    pub(crate) async fn load_index(&self) -> Result<BlobIndex> {
        whole(self.salvage_index().await?)
    }

    /// The index for those who only read, as far as it can be had: a chunk that is not in it is missed where it is needed, and what is
    /// elsewhere is still read.
    pub(crate) async fn readable_index(&self) -> Result<BlobIndex> {
        Ok(self.salvage_index().await?.0)
    }

    async fn salvage_index(&self) -> Result<(BlobIndex, Vec<Damage>)> {
        // In this order: a repack publishes the new places of blobs before it condemns the old ones.
        let (condemned, mut damaged) = self.condemned_records().await?;
        let ReadIndex { mut index, damaged: segments, .. } = self.read_index(self.store()).await?;
        damaged.extend(segments);
        condemned.iter().for_each(|pack| index.demote(pack, Standing::Condemned));
        Ok((index, damaged))
    }

    /// Reads every index segment. Superseded ones say nothing that is wrong, so they are read like the others.
    pub(crate) async fn read_index(&self, store: &Arc<dyn Store>) -> Result<ReadIndex> {
        let mut read = ReadIndex::default();
        let mut damaged: Vec<(ObjectId, Damage)> = Vec::new();
        let take = |document: Document| {
            let id = document.id;
            if let Err(damage) = read.add(document) {
                damaged.push((id, damage));
            }
        };
        self.merged_documents(store, ObjectKind::Index, take).await?;
        let superseded: HashSet<ObjectId> = read.superseded().collect();
        read.damaged =
            damaged.into_iter().filter(|(id, _)| !superseded.contains(id)).map(|(_, damage)| damage).collect();
        Ok(read)
    }

    /// One index segment; `None` when it is not there.
    pub(crate) async fn segment(&self, id: ObjectId) -> Result<Option<IndexSegment>> {
        let body = self.body(self.store(), ObjectKind::Index, id).await?;
        let key = ObjectKind::Index.store_key(id);
        Ok(body.map(|body| body.and_then(|body| decode(&key, &body))).transpose()?)
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
        whole(self.condemned_records().await?)
    }

    /// The packs of the records that can be read, and what is wrong with the others.
    pub(crate) async fn condemned_records(&self) -> Result<(HashSet<ObjectId>, Vec<Damage>)> {
        let (mut packs, mut damaged) = (HashSet::new(), Vec::new());
        for document in self.documents(self.store(), ObjectKind::Condemned).await? {
            let key = document.key;
            let record = document.body.and_then(|body| {
                Condemned::decode(&body).map_err(|cause| Damage::new(&key, DamageKind::Invalid, cause.to_string()))
            });
            match record {
                Ok(record) => packs.extend(record.packs),
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

    fn add(&mut self, document: Document) -> Result<(), Damage> {
        let segment = decode(&document.key, &document.body?)?;
        self.index.add(&segment).map_err(|cause| Damage::new(&document.key, DamageKind::Invalid, cause.to_string()))?;
        let blobs = |pack: &credenza_format::PackRecord| u32::try_from(pack.blobs.len()).unwrap_or(u32::MAX);
        let packs = segment.packs.iter().map(|pack| (pack.id, blobs(pack))).collect();
        self.segments.push(SegmentInfo { id: document.id, packs, supersedes: segment.supersedes });
        Ok(())
    }
}

/// What was read, unless a part of it is damaged.
fn whole<T>((read, damaged): (T, Vec<Damage>)) -> Result<T> {
    match damaged.into_iter().next() {
        Some(damage) => Err(damage.into()),
        None => Ok(read),
    }
}

fn decode(key: &StoreKey, body: &[u8]) -> Result<IndexSegment, Damage> {
    IndexSegment::decode(body).map_err(|cause| Damage::new(key, DamageKind::Invalid, cause.to_string()))
}
