//! The snapshots of a repository, and how a person names one.

use credenza_format::{Hex, ObjectKind, Snapshot};
use credenza_model::Timestamp;

use super::Repository;
use crate::{Damage, DamageKind, Error, Result};

/// A snapshot that was opened and authenticated.
#[derive(Debug, Clone)]
pub struct SnapshotHandle {
    /// What it says.
    pub snapshot: Snapshot,
    /// When the store says it was committed, by the store's clock.
    pub stored: Option<Timestamp>,
    /// BLAKE3 of its body, which the writer's next snapshot names.
    pub body_digest: Hex<[u8; 32]>,
}

/// All snapshots of a repository.
#[derive(Debug, Clone, Default)]
pub struct Snapshots {
    /// Those that are whole, oldest first by the store's time.
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

    pub(crate) async fn snapshots_in(&self, store: &std::sync::Arc<dyn credenza_connect::Store>) -> Result<Snapshots> {
        let mut snapshots = Snapshots::default();
        for document in self.documents(store, ObjectKind::Snapshot).await? {
            let decoded = document.body.and_then(|body| {
                let snapshot = Snapshot::decode(&body)
                    .map(|signed| signed.snapshot)
                    .map_err(|cause| Damage::new(&document.key, DamageKind::Invalid, cause.to_string()))?;
                if snapshot.id.as_bytes() != document.id.as_bytes() {
                    return Err(Damage::new(
                        &document.key,
                        DamageKind::Invalid,
                        format!("it says that it is snapshot {}", snapshot.id),
                    ));
                }
                Ok(SnapshotHandle {
                    body_digest: credenza_format::body_digest(&body),
                    snapshot,
                    stored: document.object.modified,
                })
            });
            match decoded {
                Ok(handle) => snapshots.whole.push(handle),
                Err(damage) => snapshots.damaged.push(damage),
            }
        }
        snapshots.whole.sort_by_key(|handle| (handle.stored, handle.snapshot.sequence, handle.snapshot.id));
        Ok(snapshots)
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
