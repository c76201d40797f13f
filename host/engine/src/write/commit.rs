//! Commit: the order of requests that makes a snapshot safe beside other writers and collectors.
//!
//! ```text
//! before  LIST condemned; load the index without condemned packs; packs and index segments are uploaded
//! commit  PUT intent; LIST condemned again; PUT usage; PUT snapshot (the commit); DELETE intent
//! ```
//!
//! Owned here: that order. Refused here: what is in a pack, what a snapshot says. Called by `backup`.

use std::collections::HashSet;
use std::sync::Arc;

use credenza_format::{ChainLink, Intent, ObjectKind, SigningKey, Snapshot, Usage, seal_document, seal_snapshot};
use credenza_model::{ObjectId, SnapshotId, Timestamp};

use super::{Stow, put};
use crate::repository::{Chain, Repository, random_id};
use crate::{Error, Result};

/// What of a snapshot is known before it is committed.
pub(crate) struct Draft {
    pub(crate) id: SnapshotId,
    pub(crate) chain: Chain,
    pub(crate) signing_key: Option<SigningKey>,
    pub(crate) started: Timestamp,
}

/// Commits what was stowed. `make` is called once, with the packs that the snapshot relies on, the bytes added so far and its place in
/// the writer's chain.
pub(crate) async fn commit(
    repository: &Repository,
    stow: &Arc<Stow>,
    draft: Draft,
    make: impl FnOnce(&Usage, u64, ChainLink) -> Result<Snapshot>,
) -> Result<()> {
    stow.flush().await?;
    let usage = stow.usage();
    let intent = Intent {
        packs: usage.packs.iter().map(|used| used.pack).collect(),
        created: draft.started,
        writer: draft.chain.writer(),
    };
    let keys = repository.keys();
    let intent = seal_document(keys, ObjectKind::Intent, ObjectId::new(random_id()?), &intent.encode()?)?;
    let intent_key = intent.key().clone();
    put(&**repository.store(), intent).await?;
    let committed = settle(repository, stow, &usage, draft, make).await;
    // The intent has done its work either way; one that stays behind expires by itself.
    let _ = repository.store().delete(std::slice::from_ref(&intent_key)).await;
    committed
}

async fn settle(
    repository: &Repository,
    stow: &Arc<Stow>,
    usage: &Usage,
    draft: Draft,
    make: impl FnOnce(&Usage, u64, ChainLink) -> Result<Snapshot>,
) -> Result<()> {
    let condemned: HashSet<ObjectId> = repository.condemned().await?;
    let lost = usage.packs.iter().filter(|used| condemned.contains(&used.pack)).count();
    if lost > 0 {
        return Err(Error::Conflict { packs: lost });
    }
    let object = ObjectId::new(*draft.id.as_bytes());
    stow.put(seal_document(repository.keys(), ObjectKind::Usage, object, &usage.encode()?)?).await?;
    let link = draft.chain.next(repository).await?;
    let snapshot = make(usage, stow.bytes_added(), link)?;
    stow.put(seal_snapshot(repository.keys(), snapshot, draft.signing_key.as_ref())?).await
}
