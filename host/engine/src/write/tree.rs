//! The tree of a snapshot while it grows: records go in, nodes are kept as they are closed.
//!
//! Owned here: bringing that work to a thread that may block, and that no record names a chunk which was not kept. Refused here: the nodes' format, what is counted of the
//! records. Called by `backup` and `sync`. Bound: as [`TreeBuilder`].

use std::sync::Arc;

use credenza_format::{BlobKind, Compressor, TreeBuilder, TreeRoot};
use credenza_model::Record;

use super::Deduplicator;
use crate::{Error, Result};

pub(crate) struct TreeWriter {
    dedup: Arc<Deduplicator>,
    level: i32,
    growing: Option<Growing>,
}

struct Growing {
    builder: TreeBuilder,
    compressor: Compressor,
}

impl TreeWriter {
    /// An empty tree whose nodes are compressed at a zstd level.
    pub(crate) fn new(dedup: Arc<Deduplicator>, level: i32) -> Self {
        Self { dedup, level, growing: None }
    }

    /// Takes the next records in order.
    pub(crate) async fn push(&mut self, records: Vec<Record>) -> Result<()> {
        self.with_growing(move |dedup, growing| {
            records.iter().try_for_each(|record| dedup.vouch(&record.content))?;
            let Growing { builder, compressor } = growing;
            records.iter().try_for_each(|record| {
                builder.push(record, &mut |_, bytes: Vec<u8>| dedup.keep(compressor, BlobKind::Node, &bytes).map(drop))
            })
        })
        .await
    }

    /// Closes the tree; what is pushed from now on begins another.
    pub(crate) async fn close(&mut self) -> Result<TreeRoot> {
        self.with_growing(|dedup, growing| {
            let builder = std::mem::replace(&mut growing.builder, TreeBuilder::new(dedup.keys()));
            let compressor = &mut growing.compressor;
            builder.finish(&mut |_, bytes: Vec<u8>| dedup.keep(compressor, BlobKind::Node, &bytes).map(drop))
        })
        .await
    }

    /// Runs work on the tree on a thread that may block, because full nodes are packed at once.
    async fn with_growing<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Arc<Deduplicator>, &mut Growing) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut growing = match self.growing.take() {
            Some(growing) => growing,
            None => Growing {
                builder: TreeBuilder::new(self.dedup.keys()),
                compressor: Compressor::new(self.level).map_err(Error::encode("starting a compressor"))?,
            },
        };
        let dedup = Arc::clone(&self.dedup);
        let workers = self.dedup.packs().workers();
        let (done, growing) =
            workers.work("tree", move || work(&dedup, &mut growing).map(|done| (done, growing))).await?;
        self.growing = Some(growing);
        Ok(done)
    }
}
