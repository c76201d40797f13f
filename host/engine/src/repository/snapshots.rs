//! The snapshots of a repository, and how a person names one.

use std::sync::Arc;

use credenza_connect::Store;
use credenza_format::{ChainLink, Digest, Inspector, ObjectKind, OpenedSnapshot, Snapshot, open_snapshot};
use credenza_model::{ObjectId, SnapshotId, StoreKey, Timestamp};
use futures_util::{StreamExt, TryStreamExt};

use super::{DOCUMENTS_IN_FLIGHT, Repository, fetch};
use crate::{Damage, Error, Result};

/// Where snapshots are.
pub(super) const SNAPSHOTS: &str = "snapshot/";

/// A snapshot that was opened and authenticated.
#[derive(Debug, Clone)]
pub struct SnapshotHandle {
    /// What it says.
    pub snapshot: Snapshot,
    /// When it was committed into this repository, by the store's clock.
    pub stored: Option<Timestamp>,
    /// SHA-256 of its whole object, which the writer's next snapshot names.
    pub digest: Digest,
}

impl SnapshotHandle {
    /// When it was made, by the clock of the store where it was: what `sync` carried keeps its age.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        self.snapshot.origin.and_then(|origin| origin.stored).or(self.stored)
    }

    /// Where it is kept.
    #[must_use]
    pub fn store_key(&self) -> StoreKey {
        ObjectKind::Snapshot.store_key(ObjectId::new(*self.snapshot.id.as_bytes()))
    }
}

/// All snapshots of a repository.
#[derive(Debug, Clone, Default)]
pub struct Snapshots {
    /// Those that are whole, oldest first by the time of the store where they were made.
    pub whole: Vec<SnapshotHandle>,
    /// What is wrong with the others.
    pub damaged: Vec<Damage>,
}

/// How a person names a snapshot: `latest` or the beginning of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotName(pub String);

impl Repository {
    /// Lists and opens all snapshots.
    ///
    /// # Errors
    /// When the store cannot be read; a damaged snapshot is reported in its place.
    pub async fn snapshots(&self) -> Result<Snapshots> {
        self.snapshots_in(self.store()).await
    }

    pub(crate) async fn snapshots_in(&self, store: &Arc<dyn Store>) -> Result<Snapshots> {
        let mut snapshots = Snapshots::default();
        let open = |id: ObjectId, bytes| open_snapshot(self.keys(), SnapshotId::new(*id.as_bytes()), bytes);
        for document in self.documents_opened(store, ObjectKind::Snapshot, &open).await? {
            let stored = document.object.modified;
            match document.body {
                Ok(OpenedSnapshot { snapshot, digest }) => {
                    snapshots.whole.push(SnapshotHandle { snapshot, stored, digest })
                }
                Err(damage) => snapshots.damaged.push(damage),
            }
        }
        snapshots.whole.sort_by_key(|handle| (handle.time(), handle.snapshot.sequence, handle.snapshot.id));
        Ok(snapshots)
    }

    /// What snapshots state in the clear of their place in their writers' chains, with the digest of each; no key is needed. Damaged ones
    /// are left out.
    pub(crate) async fn stated_links(&self, snapshots: Vec<StoreKey>) -> Result<Vec<(ChainLink, Digest)>> {
        let read = futures_util::stream::iter(snapshots.into_iter().map(|key| self.stated_link(key)));
        let links: Vec<Option<(ChainLink, Digest)>> = read.buffered(DOCUMENTS_IN_FLIGHT).try_collect().await?;
        Ok(links.into_iter().flatten().collect())
    }

    async fn stated_link(&self, key: StoreKey) -> Result<Option<(ChainLink, Digest)>> {
        let Some(Ok(bytes)) = fetch(&**self.store(), &key).await? else { return Ok(None) };
        let mut inspector = Inspector::new(bytes.len() as u64);
        inspector.update(&bytes);
        let inspected = inspector.finish().ok();
        let named = inspected.filter(|found| found.header.kind().store_key(found.header.object()) == key);
        Ok(named.and_then(|found| found.statement.map(|statement| (statement.link, found.sha256))))
    }

    /// The one snapshot that a name means.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`] when none or several match; damage when the one meant may be among the damaged.
    pub async fn find(&self, name: &SnapshotName) -> Result<SnapshotHandle> {
        self.snapshots().await?.find(name)
    }
}

impl Snapshots {
    /// The one snapshot that a name means.
    ///
    /// # Errors
    /// As [`Repository::find`].
    pub fn find(&self, name: &SnapshotName) -> Result<SnapshotHandle> {
        let Self { whole, damaged } = self;
        let text = name.0.as_str();
        if let Some(damage) = damaged.iter().find(|damage| {
            text == "latest" || damage.object.strip_prefix("snapshot/").is_some_and(|id| id.starts_with(text))
        }) && (text != "latest" || whole.is_empty())
        {
            return Err(damage.clone().into());
        }
        let mut matches: Vec<&SnapshotHandle> = if text == "latest" {
            whole.last().into_iter().collect()
        } else {
            whole.iter().filter(|handle| handle.snapshot.id.to_string().starts_with(text)).collect()
        };
        match (matches.pop(), matches.len()) {
            (Some(handle), 0) => Ok(handle.clone()),
            (None, _) if text == "latest" => {
                Err(Error::NoSnapshot { reason: "the repository holds no snapshot yet".to_owned() })
            }
            (None, _) => {
                Err(Error::NoSnapshot { reason: format!("no snapshot's id begins with `{}`", text.escape_debug()) })
            }
            (Some(_), others) => Err(Error::NoSnapshot {
                reason: format!("`{text}` begins the ids of {} snapshots; name more digits", others + 1),
            }),
        }
    }
}
