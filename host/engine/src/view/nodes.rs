//! Nodes of trees: their bytes, and those that were read last as they were decoded, because whoever looks at one entry looks at its neighbours next.
//!
//! Bound: that of the [kept](super::kept) bytes, and the decoded form of [`DECODED_BYTES`] of them, which takes some fifteen times as much.

use std::sync::{Arc, Mutex};

use credenza_format::{Node, TreeRoot};
use credenza_model::ChunkId;
use lru::LruCache;

use super::kept::KeptBlobs;
use crate::blobs::BlobLoader;
use crate::poison::lock_unpoisoned;
use crate::{Damage, DamageKind, Result};

/// Encoded bytes of the nodes that are kept decoded: some dozen leaves, and the nodes above them.
const DECODED_BYTES: usize = 1024 * 1024;

pub(super) struct Nodes {
    bytes: Arc<KeptBlobs>,
    decoded: Mutex<Decoded>,
}

struct Decoded {
    nodes: LruCache<ChunkId, Kept>,
    bytes: usize,
}

struct Kept {
    node: Arc<Node>,
    level: u8,
    bytes: usize,
}

impl Nodes {
    pub(super) fn new(loader: Arc<BlobLoader>, bytes_max: usize) -> Self {
        let decoded = Decoded { nodes: LruCache::unbounded(), bytes: 0 };
        Self { bytes: Arc::new(KeptBlobs::new(loader, bytes_max)), decoded: Mutex::new(decoded) }
    }

    /// The same nodes as they lie in packs.
    pub(super) const fn encoded(&self) -> &Arc<KeptBlobs> {
        &self.bytes
    }

    /// As [`BlobLoader::note_tree`].
    pub(super) fn note_tree(&self, root: &TreeRoot) {
        self.bytes.note_tree(root);
    }

    /// A node of a level. What `ahead` names is loaded along, as for [`KeptBlobs::get`].
    pub(super) async fn get(&self, id: ChunkId, level: u8, ahead: &[ChunkId]) -> Result<Arc<Node>> {
        let known = lock_unpoisoned(&self.decoded).nodes.get(&id).filter(|kept| kept.level == level).map(Kept::node);
        if let Some(node) = known {
            return Ok(node);
        }
        let bytes = self.bytes.get(id, ahead.iter().copied()).await?;
        let invalid =
            |cause: credenza_format::Error| Damage::of_chunk("tree", DamageKind::Invalid, id, cause.to_string());
        let node = Arc::new(Node::decode(&bytes, level).map_err(invalid)?);
        lock_unpoisoned(&self.decoded).keep(id, Kept { node: Arc::clone(&node), level, bytes: bytes.len() });
        Ok(node)
    }
}

impl Kept {
    fn node(&self) -> Arc<Node> {
        Arc::clone(&self.node)
    }
}

impl Decoded {
    fn keep(&mut self, id: ChunkId, kept: Kept) {
        self.bytes += kept.bytes;
        if let Some((_, replaced)) = self.nodes.push(id, kept) {
            self.bytes -= replaced.bytes;
        }
        while self.bytes > DECODED_BYTES
            && let Some((_, oldest)) = self.nodes.pop_lru()
        {
            self.bytes -= oldest.bytes;
        }
    }
}
