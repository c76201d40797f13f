//! Records of removal: written before snapshots are deleted, so that an audit can tell what was removed from what was lost.

use std::time::SystemTime;

use credenza_connect::{Payload, PutOptions};
use credenza_format::{Removal, RemovedSnapshot, SigningKey, removal_key};
use credenza_model::{ObjectId, Timestamp};

use super::{Repository, SnapshotHandle, random_id};
use crate::{Error, Result};

/// Snapshots of one record: some 2 MiB, a quarter of what a text document may have.
const SNAPSHOTS_IN_RECORD: usize = 10_000;

impl Repository {
    /// Puts on record that these snapshots will be removed, signed if there is a key. To be called before they are deleted.
    ///
    /// # Errors
    /// When the store cannot be written; nothing may be deleted then.
    pub async fn record_removal(&self, snapshots: &[SnapshotHandle], signing_key: Option<&SigningKey>) -> Result<()> {
        let retain_until = self.lock_until().await?;
        for snapshots in snapshots.chunks(SNAPSHOTS_IN_RECORD) {
            let id = ObjectId::new(random_id()?);
            let removal = Removal {
                id,
                repository: self.config().repository,
                created: Timestamp::from_system(SystemTime::now()),
                signer: None,
                snapshots: snapshots.iter().map(removed).collect(),
            };
            let key = removal_key(id);
            let options = PutOptions { retain_until, hint: "removed".to_owned(), ..PutOptions::default() };
            let put = self.store().put(&key, Payload::from(removal.encode(self.keys(), signing_key)?), &options).await;
            put.map_err(Error::connector(format!("writing `{key}` to the repository")))?;
        }
        Ok(())
    }
}

fn removed(handle: &SnapshotHandle) -> RemovedSnapshot {
    let snapshot = &handle.snapshot;
    RemovedSnapshot {
        snapshot: snapshot.id,
        writer: snapshot.writer,
        sequence: snapshot.sequence,
        digest: handle.digest,
    }
}
