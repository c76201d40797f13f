//! A snapshot that both sides have: what is equal to it at the origin has its content at the target already.
//!
//! Bound: a window of leaves and the versions of one key, on each side.

use std::sync::Arc;

use credenza_model::{Content, Record};

use crate::blobs::BlobLoader;
use crate::walk::{KeyedRecords, Records};
use crate::write::{Deduplicator, claim};
use crate::{Error, Result};

pub(super) struct Ancestor {
    /// Its records at the origin, and the same records at the target; none once either is found to be damaged.
    sides: Option<(KeyedRecords, KeyedRecords)>,
    /// Reads the target.
    loader: Arc<BlobLoader>,
}

impl Ancestor {
    pub(super) fn new(origin: Records, target: Records, loader: Arc<BlobLoader>) -> Self {
        Self { sides: Some((KeyedRecords::new(origin), KeyedRecords::new(target))), loader }
    }

    /// The content at the target of a record of the origin, claimed; records must come in order of their keys. `None` when it must be carried.
    pub(super) async fn content(&mut self, record: &Record, dedup: &Deduplicator) -> Result<Option<Content>> {
        let found = match self.twin(record).await {
            Err(Error::Damage(_)) => {
                // An ancestor only saves work.
                self.sides = None;
                None
            }
            found => found?,
        };
        match found {
            Some(content) if claim(dedup, &self.loader, &content).await? => Ok(Some(content)),
            _ => Ok(None),
        }
    }

    async fn twin(&mut self, record: &Record) -> Result<Option<Content>> {
        let Some((origin, target)) = &mut self.sides else { return Ok(None) };
        let mut old = origin.seek(&record.entry.key).await?.iter().enumerate();
        let equal = old.find(|(_, old)| old.content == record.content);
        let Some((place, entry)) = equal.map(|(place, old)| (place, old.entry.clone())) else { return Ok(None) };
        let twin = target.seek(&record.entry.key).await?.get(place);
        Ok(twin.filter(|twin| twin.entry == entry).map(|twin| twin.content.clone()))
    }
}
