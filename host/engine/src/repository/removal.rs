//! Records of removal: written before snapshots are deleted, so that an audit can tell what was removed from what was lost.

use credenza_connect::PutOptions;
use credenza_format::{Removal, RemovedSnapshot, SigningKey, copy_key, removal_key};
use credenza_model::{ObjectId, StoreKey};
use futures_util::{StreamExt, TryStreamExt};

use super::two_copies::{TwoCopies, put_two_copies, read_folder};
use super::{DOCUMENTS_IN_FLIGHT, Repository, SnapshotHandle, fetch, list, random_id};
use crate::{Damage, DamageKind, Result};

/// Where records of removal are.
const REMOVED: &str = "removed/";
/// Snapshots of one record: some 2 MiB, a quarter of what a text document may have.
const SNAPSHOTS_IN_RECORD: usize = 10_000;

impl Repository {
    /// Puts on record that these snapshots will be removed, signed if there is a key. To be called before they are deleted.
    ///
    /// # Errors
    /// When the store cannot be written; nothing may be deleted then.
    pub async fn record_removal(&self, snapshots: &[SnapshotHandle], signing_key: Option<&SigningKey>) -> Result<()> {
        self.record_removed(&snapshots.iter().map(removed).collect::<Vec<_>>(), signing_key).await
    }

    /// Puts on record what is to count as removed.
    pub(crate) async fn record_removed(
        &self,
        snapshots: &[RemovedSnapshot],
        signing_key: Option<&SigningKey>,
    ) -> Result<()> {
        let retain_until = self.lock_until().await?;
        for snapshots in snapshots.chunks(SNAPSHOTS_IN_RECORD) {
            let id = ObjectId::new(random_id()?);
            let removal = Removal {
                id,
                repository: self.config().repository,
                created: self.clock().now().wall,
                signer: None,
                snapshots: snapshots.to_vec(),
            };
            let key = removal_key(id);
            let options = PutOptions { retain_until, hint: "removed".to_owned(), ..PutOptions::default() };
            let put = put_two_copies(&**self.store(), &key, removal.encode(self.keys(), signing_key)?, &options).await;
            if put.as_ref().is_err_and(crate::Error::is_full) {
                // Half a record would take up the room that the next try needs. Its copy goes first: a record without a copy is mended.
                let _ = self.store().delete(&[copy_key(&key), key]).await;
            }
            put?;
        }
        Ok(())
    }

    /// Both copies of every record of removal, verified with the keys of the repository.
    pub(crate) async fn removals(&self) -> Result<Vec<TwoCopies<Removal>>> {
        read_folder(&**self.bare_store(), (REMOVED, usize::MAX), |key, name, bytes| self.removal(key, name, bytes))
            .await
    }

    /// The records that can be read by their names, out of the cache if it has them; those of which only the copy is whole are left out.
    pub(crate) async fn removals_at_hand(&self) -> Result<Vec<Removal>> {
        let listed = list(&**self.store(), REMOVED).await?.into_iter();
        let read = futures_util::stream::iter(listed.map(|object| self.removal_at_hand(object.key)));
        let read: Vec<Option<Removal>> = read.buffered(DOCUMENTS_IN_FLIGHT).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    async fn removal_at_hand(&self, key: StoreKey) -> Result<Option<Removal>> {
        let bytes = fetch(&**self.store(), &key).await?.and_then(Result::ok);
        Ok(bytes.and_then(|bytes| self.removal(&key, &key, &bytes).ok()))
    }

    fn removal(&self, key: &StoreKey, name: &StoreKey, bytes: &[u8]) -> Result<Removal, Damage> {
        let verified = Removal::decode(bytes).and_then(|unverified| unverified.verify(self.keys()));
        let removal = verified.map_err(|cause| Damage::new(name, DamageKind::Corrupt, cause.to_string()))?;
        let own_name = removal_key(removal.id);
        match own_name == *key {
            true => Ok(removal),
            false => Err(Damage::new(name, DamageKind::Invalid, format!("it says that it is `{own_name}`"))),
        }
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
