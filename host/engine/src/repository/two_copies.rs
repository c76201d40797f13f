//! Text documents are kept twice: under their name, and under `copy/` and their name, so that nothing hangs on one object.
//!
//! ```text
//! PUT document; PUT copy                DELETE copy; DELETE document
//! ```
//!
//! So a copy without its document means that the document was lost, and a document without its copy only that a run was cut off.
//!
//! Owned here: that order, and which of two is right. Refused here: what is in them. Called by everything that reads or writes the config,
//! key slots and records of removal.
//!
//! Bound: [`DOCUMENTS_IN_FLIGHT`] documents beside what the caller keeps.

use std::collections::BTreeSet;

use bytes::Bytes;
use credenza_connect::{ErrorClass, Payload, PutOptions, Store};
use credenza_format::{copy_key, document_id, original_key};
use credenza_model::StoreKey;
use futures_util::{StreamExt, TryStreamExt};

use super::{DOCUMENTS_IN_FLIGHT, fetch, list_at_least};
use crate::{Damage, DamageKind, Error, Result};

/// What stands under one name: nothing, a document and its bytes, or damage.
type Found<T> = Option<Result<(Bytes, T), Damage>>;

/// A text document and its copy, as they were found.
pub(crate) struct TwoCopies<T> {
    /// The name of the document.
    pub(crate) key: StoreKey,
    first: Found<T>,
    copy: Found<T>,
}

impl<T> TwoCopies<T> {
    /// Judges both; of two that are whole and differ the one of the higher revision is right.
    fn new(key: StoreKey, first: Found<T>, copy: Found<T>, revision: impl Fn(&T) -> u64) -> Self {
        let mut found = Self { key, first, copy };
        if let (Some(Ok((first_bytes, first))), Some(Ok((copy_bytes, copy)))) = (&found.first, &found.copy)
            && first_bytes != copy_bytes
        {
            match (revision(first), revision(copy)) {
                (first, copy) if first < copy => found.first = Some(Err(older(&found.key, first, copy))),
                // Whoever wrote the document was cut off before the copy.
                (first, copy) if first > copy => found.copy = None,
                _ => found.copy = Some(Err(contradiction(&found.key))),
            }
        }
        found
    }

    /// What the document says, by itself or by its copy.
    pub(crate) fn into_best(self) -> Option<Result<T, Damage>> {
        match (self.first, self.copy) {
            (Some(Ok((_, first))), _) => Some(Ok(first)),
            (_, Some(Ok((_, copy)))) => Some(Ok(copy)),
            (first, copy) => first.or(copy).map(|found| found.map(|(_, document)| document)),
        }
    }

    /// What is wrong with either.
    pub(crate) fn damages(&self) -> Vec<Damage> {
        let broken = |found: &Found<T>| found.as_ref().and_then(|found| found.as_ref().err()).cloned();
        let lost = self.first.is_none() && matches!(self.copy, Some(Ok(_)));
        let lost = lost.then(|| Damage::new(&self.key, DamageKind::Missing, "it is gone, and its copy is there"));
        broken(&self.first).into_iter().chain(lost).chain(broken(&self.copy)).collect()
    }

    /// Whether all there is belongs to another repository.
    pub(super) fn is_foreign(&self) -> bool {
        let foreign = |found: &Found<T>| match found {
            None => true,
            Some(found) => found.as_ref().is_err_and(|damage| damage.kind == DamageKind::Foreign),
        };
        foreign(&self.first) && foreign(&self.copy)
    }

    /// Whether neither is whole.
    pub(crate) fn is_hopeless(&self) -> bool {
        !matches!(self.first, Some(Ok(_))) && !matches!(self.copy, Some(Ok(_)))
    }

    /// Whether the copy is not there, or is an older one: a run was cut off before it.
    pub(crate) fn lacks_copy(&self) -> bool {
        self.copy.is_none() && matches!(self.first, Some(Ok(_)))
    }

    /// What is to be written, and where, so that both are whole and the same; `None` when they are, or neither is whole.
    pub(crate) fn mend(&self) -> Option<(StoreKey, Bytes)> {
        match (&self.first, &self.copy) {
            (Some(Ok(_)), Some(Ok(_))) => None,
            (Some(Ok((bytes, _))), _) => Some((copy_key(&self.key), bytes.clone())),
            (_, Some(Ok((bytes, _)))) => Some((self.key.clone(), bytes.clone())),
            _ => None,
        }
    }
}

fn older(key: &StoreKey, found: u64, newer: u64) -> Damage {
    let detail = format!("it is revision {found} and its copy is {newer}: somebody put an older one back");
    Damage::new(key, DamageKind::Invalid, detail)
}

fn contradiction(key: &StoreKey) -> Damage {
    Damage::new(&copy_key(key), DamageKind::Invalid, format!("it is no copy of `{key}`"))
}

/// One document and its copy; `decode` is reported the name of the document and the one that it reads.
pub(crate) async fn read_twofold<T>(
    store: &dyn Store,
    key: StoreKey,
    decode: impl Fn(&StoreKey, &StoreKey, &[u8]) -> Result<T, Damage>,
    revision: impl Fn(&T) -> u64,
) -> Result<TwoCopies<T>> {
    let copied = copy_key(&key);
    let decoded = |name: &StoreKey, bytes: Result<Bytes, Damage>| {
        bytes.and_then(|bytes| decode(&key, name, &bytes).map(|document| (bytes, document)))
    };
    // In the order in which they are written, so that what is written meanwhile is not taken for lost.
    let first = fetch(store, &key).await;
    let copy = fetch_copy(store, &copied).await?.map(|bytes| decoded(&copied, bytes));
    let first = match first {
        // Whoever may read the copy was to read the document as well.
        Err(Error::Connector { cause, .. }) if cause.class == ErrorClass::Denied && matches!(copy, Some(Ok(_))) => {
            Some(Err(Damage::new(&key, DamageKind::Unreadable, cause.message)))
        }
        first => first?.map(|bytes| decoded(&key, bytes)),
    };
    Ok(TwoCopies::new(key.clone(), first, copy, revision))
}

/// The second copy of a document. Whoever may not read it has none.
pub(super) async fn fetch_copy(store: &dyn Store, copied: &StoreKey) -> Result<Option<Result<Bytes, Damage>>> {
    match fetch(store, copied).await {
        Err(Error::Connector { cause, .. }) if cause.class == ErrorClass::Denied => Ok(None),
        other => other,
    }
}

/// Every document of a folder (`key/`, `removed/`) that is there or has a copy, by name; of each so many and the rest of a page.
pub(crate) async fn read_folder<T>(
    store: &dyn Store,
    (folder, count): (&str, usize),
    decode: impl Fn(&StoreKey, &StoreKey, &[u8]) -> Result<T, Damage>,
) -> Result<Vec<TwoCopies<T>>> {
    let decode = &decode;
    let names = names(store, folder, count).await?;
    let read = names.into_iter().map(|key| read_twofold(store, key, decode, |_| 0));
    let found: Vec<TwoCopies<T>> = futures_util::stream::iter(read).buffered(DOCUMENTS_IN_FLIGHT).try_collect().await?;
    // What was removed since it was listed is none.
    Ok(found.into_iter().filter(|found| found.first.is_some() || found.copy.is_some()).collect())
}

/// The names of the documents of a folder, by themselves or by their copies.
async fn names(store: &dyn Store, folder: &str, count: usize) -> Result<BTreeSet<StoreKey>> {
    let copies = match list_at_least(store, &format!("copy/{folder}"), count).await {
        Err(Error::Connector { cause, .. }) if cause.class == ErrorClass::Denied => Vec::new(),
        other => other?,
    };
    let mut names: BTreeSet<StoreKey> =
        list_at_least(store, folder, count).await?.into_iter().map(|object| object.key).collect();
    names.extend(copies.iter().filter_map(|object| original_key(&object.key)));
    names.retain(|name| document_id(name).is_some());
    Ok(names)
}

/// Puts a document, then its copy. Its bytes are the same at every try and belong to its name, so no condition is needed.
pub(super) async fn put_two_copies(
    store: &dyn Store,
    key: &StoreKey,
    bytes: Vec<u8>,
    options: &PutOptions,
) -> Result<()> {
    for name in [key, &copy_key(key)] {
        put_text(store, name, bytes.clone(), options).await?;
    }
    Ok(())
}

/// Puts one of the two.
pub(crate) async fn put_text(
    store: &dyn Store,
    key: &StoreKey,
    bytes: impl Into<Payload>,
    options: &PutOptions,
) -> Result<()> {
    let put = store.put(key, bytes.into(), options).await;
    put.map_err(Error::connector(format!("writing `{key}` to the repository"))).map(drop)
}
