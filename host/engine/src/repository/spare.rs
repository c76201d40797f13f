//! Spare: where a chunk may be had that this repository has lost.
//!
//! Owned here: the seam between whoever reads chunks (`blobs`) and other repositories (`fallback`), which read chunks themselves. Refused here:
//! opening, finding and verifying.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use credenza_format::{BlobIndex, TreeRoot};
use credenza_model::ChunkId;

use super::Repository;
use crate::Damage;

/// Damage despite which something was read, because a replica had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spared {
    /// What is damaged here, once an object.
    pub damage: Damage,
    /// The replica, as a person calls it.
    pub replica: String,
}

/// Where chunks are missed.
pub(crate) struct Missed<'a> {
    pub(crate) index: &'a Arc<BlobIndex>,
    /// Trees that are being read; none where that is not known.
    pub(crate) trees: &'a [TreeRoot],
}

/// Other repositories that may have chunks of this one.
#[async_trait]
pub(crate) trait Spare: Send + Sync {
    /// Puts the bytes in the place of the damage of each chunk that is found elsewhere, verified by its id here. What fails is passed over.
    async fn mend(&self, here: &Repository, missed: Missed<'_>, fetched: &mut HashMap<ChunkId, Result<Bytes, Damage>>);

    /// What was mended since this was last asked, in the order of the objects.
    fn take_spared(&self) -> Vec<Spared>;
}

impl Repository {
    /// The same repository, which reads elsewhere what it has lost.
    pub(crate) fn with_spare(self, spare: Arc<dyn Spare>) -> Self {
        Self { spare: Some(spare), ..self }
    }

    /// The same repository without its replicas: for whoever is to learn what it has by itself.
    #[must_use]
    pub fn alone(&self) -> Self {
        Self { spare: None, ..self.clone() }
    }

    pub(crate) fn spare(&self) -> Option<&dyn Spare> {
        self.spare.as_deref()
    }

    /// Damage of this repository that was read around by a replica, each object once since this was last asked: to be reported to whoever reads. The
    /// content is right.
    #[must_use]
    pub fn take_spared(&self) -> Vec<Spared> {
        self.spare.as_ref().map(|spare| spare.take_spared()).unwrap_or_default()
    }
}
