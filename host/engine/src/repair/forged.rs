//! Forged: key slots and records of removal that bear the name of such and were not made with the repository's keys. Whoever may put objects may put any
//! number; they say nothing, and each check would name them for ever.
//!
//! Owned here: which of them go: what was read whole, and neither it nor its copy was made with the keys. What cannot be read stays, for it may come back.
//! Refused here: what has its own way: segments and snapshots (`publish`), notes (once all was read), what expires (`gc`). Called by `repair`.
//!
//! Bound: their names.

use credenza_connect::{ErrorClass, Store};
use credenza_format::copy_key;
use credenza_model::StoreKey;

use super::Mend;
use crate::repository::{Repository, fetch};
use crate::{Error, Result};

/// What goes.
pub(super) struct Forged(Vec<StoreKey>);

impl Forged {
    /// Looks for them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn find(repository: &Repository) -> Result<Self> {
        let store = repository.bare_store();
        let (slots, removals) = (repository.twofold_slots().await?, repository.removals().await?);
        let slots = slots.iter().filter(|slot| slot.is_hopeless()).map(|slot| &slot.key);
        let texts = slots.chain(removals.iter().filter(|record| record.is_hopeless()).map(|record| &record.key));
        let mut forged = Vec::new();
        for key in texts.flat_map(|key| [copy_key(key), key.clone()]) {
            if matches!(fetch(&**store, &key).await, Ok(Some(Ok(_)))) {
                forged.push(key);
            }
        }
        Ok(Self(forged))
    }

    pub(super) fn mends(&self) -> impl Iterator<Item = Mend> + '_ {
        self.0.iter().map(|object| Mend::Dropped { object: object.clone() })
    }

    /// Deletes them; what the store refuses to delete stays damage.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub(super) async fn drop(&mut self, store: &dyn Store) -> Result<()> {
        let mut dropped = Vec::new();
        for key in std::mem::take(&mut self.0) {
            let doing = || Error::connector(format!("deleting `{key}`, which nobody with the keys wrote,"));
            let deleted = store.delete(std::slice::from_ref(&key)).await.map_err(doing())?;
            match deleted.into_iter().find_map(Result::err) {
                None => dropped.push(key),
                Some(cause) if cause.class == ErrorClass::Denied => {}
                Some(cause) => return Err(doing()(cause)),
            }
        }
        self.0 = dropped;
        Ok(())
    }
}
