//! The index of the target, read again before each further snapshot: others write and collect at the same time, and what the run itself
//! added is found there too.

use std::sync::Arc;

use credenza_format::{BlobIndex, Hex};

use crate::Result;
use crate::repository::Repository;
use crate::write::Deduplicator;

pub(super) struct TargetIndex<'a> {
    target: &'a Repository,
    index: Arc<BlobIndex>,
    /// Something was written since it was read.
    is_behind: bool,
}

impl<'a> TargetIndex<'a> {
    pub(super) async fn load(target: &'a Repository) -> Result<Self> {
        Ok(Self { target, index: Arc::new(target.index_for_writing().await?), is_behind: false })
    }

    pub(super) fn current(&self) -> Arc<BlobIndex> {
        Arc::clone(&self.index)
    }

    /// Where the chunks of the next snapshot go.
    pub(super) async fn dedup(&self, writer: Hex<[u8; 16]>) -> Result<Arc<Deduplicator>> {
        Deduplicator::begin(self.target, self.current(), writer).await
    }

    /// Notes that something is written: whoever needs it next reads it again.
    pub(super) const fn fall_behind(&mut self) {
        self.is_behind = true;
    }

    /// As [`renew`](Self::renew), where something was written.
    pub(super) async fn catch_up(&mut self) -> Result<()> {
        if self.is_behind { self.renew().await } else { Ok(()) }
    }

    /// Takes in what was written since, by this run or another, and what was condemned.
    pub(super) async fn renew(&mut self) -> Result<()> {
        self.index = Arc::new(self.target.index_for_writing().await?);
        self.is_behind = false;
        Ok(())
    }
}
