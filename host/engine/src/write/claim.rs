//! Claim: taking over a content that the repository has already, chunk by chunk.

use std::sync::Arc;

use credenza_model::Content;

use super::Deduplicator;
use crate::blobs::BlobLoader;
use crate::contents::ContentChunks;
use crate::{Error, Result};

/// Marks every chunk of a content as used; `false` when one of them is no longer in the repository, so that the content must be read again.
pub(crate) async fn claim(dedup: &Deduplicator, loader: &Arc<BlobLoader>, content: &Content) -> Result<bool> {
    match content {
        Content::None | Content::Inline(_) => Ok(true),
        Content::Chunks(refs) => Ok(dedup.first_unheld(refs.iter().map(|chunk| chunk.id))?.is_none()),
        Content::Lists { .. } => {
            let mut chunks = ContentChunks::new(Arc::clone(loader), content);
            match chunks.claim_all(|id| dedup.holds(id)).await {
                Ok(whole) => Ok(whole),
                Err(Error::Damage(_)) => Ok(false),
                Err(cause) => Err(cause),
            }
        }
    }
}
