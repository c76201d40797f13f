//! Caution: whoever deletes by what a listing leaves out makes sure first that it leaves out nothing.
//!
//! Owned here: listings made in two ways that must agree, of a folder as a whole and of each digit that its names can begin with: a store
//! that cuts a listing off or loses a page of it does not leave out the same in both. Refused here: what follows from a listing, and how
//! snapshots speak for each other (`complete`). Called by `gc`, `repair` and by whoever removes snapshots.
//!
//! Requests: 16 more for each listing; one more listing and one request a name where only one of both shows it. Bound: the names of
//! a folder three times, some 150 bytes each.

use std::collections::BTreeMap;

use credenza_connect::{Store, StoredObject, Strays, ability};
use credenza_format::ObjectKind;
use credenza_model::StoreKey;
use futures_util::{FutureExt, StreamExt, TryStreamExt};

use super::{DOCUMENTS_IN_FLIGHT, Repository, list, list_with_strays};
use crate::{Error, Result};

/// What names in a folder begin with.
const DIGITS: &str = "0123456789abcdef";
/// Of objects that a listing leaves out, so many are looked for at most: of those that it should show, the first is found.
const LOOKED_FOR_MAX: usize = 64;

impl Repository {
    /// The same repository, whose listings are made in two ways that must agree.
    pub(crate) fn cautious(&self) -> Self {
        Self { cautious: true, ..self.clone() }
    }

    /// Every object whose name begins with `prefix`, in the order of the names.
    ///
    /// # Errors
    /// [`Error::ListingsDisagree`] of a cautious repository.
    pub(crate) async fn list(&self, store: &dyn Store, prefix: &str) -> Result<Vec<StoredObject>> {
        if self.cautious { self.list_twice(store, prefix).boxed().await } else { self.listed(store, prefix).await }
    }

    /// Every object of the store, strays that have a key among them, and the strays that have none; packs as [`list`](Self::list) shows them.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub(crate) async fn list_everything(&self, store: &dyn Store) -> Result<(Vec<StoredObject>, Strays)> {
        let (listed, strays) = list_with_strays(store).await?;
        let mut all = by_key(listed);
        for kind in [ObjectKind::DataPack, ObjectKind::MetaPack].into_iter().filter(|_| self.cautious) {
            all.extend(by_key(self.list(store, &format!("{}/", kind.folder())).await?));
        }
        Ok((all.into_values().collect(), strays))
    }

    /// Refuses a store that may list late what was written: nobody can tell there what a snapshot needs.
    ///
    /// # Errors
    /// [`Error::LateListings`].
    pub(crate) async fn require_prompt_listings(&self) -> Result<()> {
        let info = self.bare.info().await.map_err(Error::connector("opening the store"))?;
        if info.has(ability::LIST_AFTER_WRITE) { Ok(()) } else { Err(Error::LateListings { place: info.identity }) }
    }

    async fn list_twice(&self, store: &dyn Store, folder: &str) -> Result<Vec<StoredObject>> {
        let mut all = by_key(list(store, folder).await?);
        let second = list_by_digit(store, folder).await?;
        // What was there before the second listing began and is there now was there all the time.
        let in_digits =
            |key: &&StoreKey| key.as_str().get(folder.len()..).is_some_and(|rest| rest.starts_with(is_digit));
        let left_out = all.keys().filter(in_digits).filter(|key| !second.contains_key(key)).cloned().collect();
        self.expect_gone(folder, left_out).await?;
        let fresh: BTreeMap<StoreKey, StoredObject> =
            second.into_iter().filter(|(key, _)| !all.contains_key(key)).collect();
        if !fresh.is_empty() {
            // It was put since the first listing began, or left out by it.
            let again = by_key(list(store, folder).await?);
            let left_out = fresh.keys().filter(|key| !again.contains_key(key)).cloned().collect();
            self.expect_gone(folder, left_out).await?;
            all.extend(fresh);
        }
        Ok(all.into_values().collect())
    }

    /// Demands that none of these objects is there, which a listing of that folder does not show.
    ///
    /// # Errors
    /// [`Error::ListingsDisagree`] when one is.
    pub(crate) async fn expect_gone(&self, folder: &str, mut keys: Vec<StoreKey>) -> Result<()> {
        keys.truncate(LOOKED_FOR_MAX);
        match self.those_there(keys).await?.into_iter().next() {
            Some(key) => Err(Error::ListingsDisagree { folder: folder.to_owned(), key }),
            None => Ok(()),
        }
    }

    /// Those of these objects that the store has, one request each.
    pub(super) async fn those_there(&self, keys: Vec<StoreKey>) -> Result<Vec<StoreKey>> {
        let looks = keys.into_iter().map(|key| self.found(key));
        let found: Vec<Option<StoreKey>> =
            futures_util::stream::iter(looks).buffered(DOCUMENTS_IN_FLIGHT).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn found(&self, key: StoreKey) -> Result<Option<StoreKey>> {
        Ok(self.holds(&key).await?.then_some(key))
    }
}

async fn list_by_digit(store: &dyn Store, folder: &str) -> Result<BTreeMap<StoreKey, StoredObject>> {
    let parts = DIGITS.chars().map(|digit| list_below(store, format!("{folder}{digit}")));
    let parts: Vec<Vec<StoredObject>> =
        futures_util::stream::iter(parts).buffered(DOCUMENTS_IN_FLIGHT).try_collect().await?;
    Ok(by_key(parts.into_iter().flatten()))
}

async fn list_below(store: &dyn Store, prefix: String) -> Result<Vec<StoredObject>> {
    list(store, &prefix).await
}

fn by_key(listed: impl IntoIterator<Item = StoredObject>) -> BTreeMap<StoreKey, StoredObject> {
    listed.into_iter().map(|object| (object.key.clone(), object)).collect()
}

fn is_digit(first: char) -> bool {
    DIGITS.contains(first)
}
