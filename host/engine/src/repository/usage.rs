//! The usage list of a snapshot: which blobs of which packs it needs.
//!
//! Owned here: that the list is the one that the snapshot names. Called by `gc`, and by `freed`.

use credenza_format::{ObjectKind, Usage, body_digest};
use credenza_model::ObjectId;

use super::{Repository, SnapshotHandle};
use crate::{Damage, DamageKind, Result};

impl Repository {
    /// The usage list of a snapshot; `None` when the snapshot was removed meanwhile.
    pub(crate) async fn usage(&self, handle: &SnapshotHandle) -> Result<Option<Usage>> {
        let id = ObjectId::new(*handle.snapshot.id.as_bytes());
        let key = ObjectKind::Usage.store_key(id);
        let Some(body) = self.body(self.store(), ObjectKind::Usage, id).await? else {
            if self.holds(&ObjectKind::Snapshot.store_key(id)).await? {
                let detail = "the usage list of a snapshot is not in the store";
                return Err(Damage::new(&key, DamageKind::Missing, detail).into());
            }
            return Ok(None);
        };
        let body = body?;
        if body_digest(&body) != handle.snapshot.usage {
            return Err(Damage::new(&key, DamageKind::Invalid, "it is not the list that its snapshot names").into());
        }
        let usage = Usage::decode(&body).map_err(|cause| Damage::new(&key, DamageKind::Invalid, cause.to_string()))?;
        Ok(Some(usage))
    }
}
