//! A glance at a store: one listing of all that it holds, in place of one for each folder.
//!
//! Owned here: where that is worth a try, and which folders it answers. What it tells is as old as it is, so whoever takes one asks for what it
//! needs at once, and goes on with the repository as it was. Refused here: what follows from a listing. Called by `index`, and by `backup::session` and
//! `write::commit`, which look at several folders.
//!
//! Requests: one, in place of at least one. Bound: a page of a listing.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use credenza_connect::{ErrorClass, Pages, Store, StoredObject, ability};
use credenza_format::ObjectKind;

use super::{Repository, list};
use crate::poison::lock_unpoisoned;
use crate::{Error, Result};

/// The folders that are listed by runs, in the order in which a store tells them.
const FOLDERS: [ObjectKind; 3] = [ObjectKind::Condemned, ObjectKind::Index, ObjectKind::Snapshot];

/// What folders held; each is told once.
pub(super) struct Glance(Mutex<BTreeMap<String, Vec<StoredObject>>>);

impl Glance {
    /// What lies below a prefix, if that was seen and not told yet.
    pub(super) fn take(&self, prefix: &str) -> Option<Vec<StoredObject>> {
        lock_unpoisoned(&self.0).remove(prefix)
    }

    /// Out of the first objects of a store, or all of them.
    fn of(objects: &[StoredObject], is_whole: bool) -> Self {
        let last = objects.last().map(|object| object.key.as_str()).filter(|_| !is_whole);
        let folders = FOLDERS.into_iter().map(folder_of);
        let is_seen = |folder: &String| last.is_none_or(|last| last > folder.as_str() && !last.starts_with(folder));
        let told = |folder: String| {
            let below = objects.iter().filter(|object| object.key.as_str().starts_with(&folder)).cloned().collect();
            (folder, below)
        };
        Self(Mutex::new(folders.filter(is_seen).map(told).collect()))
    }
}

impl Repository {
    /// The same repository, whose first listings of condemned packs, index and snapshots are answered by one listing of everything, where the store
    /// makes that as cheaply as one of a folder. Of a repository that is known to be larger than a page tells, nothing is asked.
    ///
    /// A store may tell one folder before another is written to: the index is answered only if each snapshot that was seen beside it was known
    /// before, since the segments of whatever is committed are there first.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub(crate) async fn glanced(&self) -> Result<Self> {
        if self.cautious || self.glance.is_some() || !self.is_worth_a_glance().await? {
            return Ok(self.clone());
        }
        let known = match &self.cache {
            Some(cache) => cache.ids(ObjectKind::Snapshot).await,
            None => HashSet::new(),
        };
        let mut pages = Pages::new(&**self.store(), "");
        let objects = match pages.next().await {
            // Some may list single folders alone.
            Err(cause) if cause.class == ErrorClass::Denied => {
                self.note_large().await;
                return Ok(self.clone());
            }
            listed => listed.map_err(Error::connector("listing the repository"))?.unwrap_or_default(),
        };
        let is_whole = pages.is_at_end();
        if !is_whole {
            self.note_large().await;
        }
        let glance = Glance::of(&objects, is_whole);
        let snapshots = objects.iter().filter_map(|object| ObjectKind::parse(&object.key));
        let mut snapshots = snapshots.filter(|(kind, _)| *kind == ObjectKind::Snapshot);
        if !self.fills_cache() && !snapshots.all(|(_, id)| known.contains(&id)) {
            glance.take(&folder_of(ObjectKind::Index));
        }
        Ok(Self { glance: Some(Arc::new(glance)), ..self.clone() })
    }

    /// Every object below a prefix, as the glance told it or the store tells it now.
    pub(super) async fn listed(&self, store: &dyn Store, prefix: &str) -> Result<Vec<StoredObject>> {
        match self.glance.as_ref().and_then(|glance| glance.take(prefix)) {
            Some(told) => Ok(told),
            None => list(store, prefix).await,
        }
    }

    async fn is_worth_a_glance(&self) -> Result<bool> {
        if let Some(cache) = &self.cache
            && cache.is_large().await
        {
            return Ok(false);
        }
        let info = self.store().info().await.map_err(Error::connector("opening the store"))?;
        Ok(info.has(ability::FLAT_LIST))
    }

    async fn note_large(&self) {
        if let Some(cache) = &self.cache {
            cache.note_large().await;
        }
    }
}

fn folder_of(kind: ObjectKind) -> String {
    format!("{}/", kind.folder())
}
