//! Extras: what is at the destination and not in the snapshot, counted before anything is written and removed after all else.
//!
//! Nothing is removed before all that is there was listed and the whole tree of the snapshot was read: damage of it, or a folder that cannot be
//! listed, keeps what may be below. No link is followed. What lies outside the parts, and what the patterns leave out, is nobody's business here.
//!
//! Owned here: what is extra, and its removal. Called by `restore::run`.
//!
//! Bound: a page of a listing, a window of leaves, and the folders on one path.

use credenza_connect::file::escape::{is_unfinished, key_of_path};
use credenza_connect::{Batches, Destination, DestinationInfo, Found, ability};
use credenza_model::{Entry, EntryKind, Key, Record};

use super::scope::{Origin, Scope};
use super::work::bare;
use super::{Deletion, RestoreOptions};
use crate::listing::PAGE_ENTRIES;
use crate::walk::Records;
use crate::{Error, Event, Listener, Result, Standing};

/// Of all that is there, more than so many percent are not removed without leave: more likely the wrong folder was named, or the wrong snapshot.
pub const EXTRA_PERCENT_MAX: u64 = 50;
/// What the names begin with that are not their keys.
const ESCAPED: &[u8] = b"%~";

/// What a restore leaves over at its destination.
pub(super) struct Extras<'a> {
    destination: &'a dyn Destination,
    identity: String,
    origin: Origin<'a>,
    options: &'a RestoreOptions,
    scope: &'a Scope,
}

/// Something at the destination, beside the snapshot.
struct Seen {
    /// As it is there.
    found: Entry,
    /// As the snapshot has it, if it does.
    kept: Option<Entry>,
    is_extra: bool,
    /// Whether it is of the part that is restored.
    is_meant: bool,
}

impl Seen {
    /// What this restore has nothing to do with.
    const fn foreign(found: Entry) -> Self {
        Self { found, kept: None, is_extra: false, is_meant: false }
    }
}

impl<'a> Extras<'a> {
    /// What a restore may leave over, if anybody asks.
    ///
    /// # Errors
    /// When it is to be removed, and cannot be known.
    pub(super) fn of(
        destination: &'a dyn Destination,
        (info, namespace): (&DestinationInfo, &str),
        origin: Origin<'a>,
        (options, scope): (&'a RestoreOptions, &'a Scope),
    ) -> Result<Option<Self>> {
        let identity = info.identity.clone();
        // A bucket in a folder has other names and folders than its keys say.
        let can_tell = info.has(ability::READABLE) && namespace == ability::TREE && info.namespace == ability::TREE;
        match (options.delete, can_tell) {
            (None, _) if !options.dry_run => Ok(None),
            (None, false) => Ok(None),
            (None, true) if !options.parts.has_folders() => Ok(None),
            (Some(_), false) => Err(Error::NotReadable {
                destination: identity,
                action: "listed beside this snapshot, to remove what is not in it",
            }),
            (_, true) => Ok(Some(Self { destination, identity, origin, options, scope })),
        }
    }

    /// Counts them.
    ///
    /// # Errors
    /// When they are to be removed and are too many, or the destination cannot be listed or the tree be read.
    pub(super) async fn count(&self, listener: &dyn Listener) -> Result<u64> {
        let (mut all, mut extra) = (0_u64, 0_u64);
        let Some(mut walk) = self.walk().await? else { return Ok(0) };
        while let Some(seen) = walk.next().await? {
            all += u64::from(seen.is_meant);
            extra += u64::from(seen.is_extra);
            if seen.is_extra && self.options.dry_run {
                let Entry { key, size, .. } = seen.found;
                listener.on(Event::Compared { key, standing: Standing::Extra, bytes: size.unwrap_or(0) });
            }
        }
        let is_much = extra.saturating_mul(100) > all.saturating_mul(EXTRA_PERCENT_MAX);
        if self.options.delete == Some(Deletion::Limited) && is_much && !self.options.dry_run {
            return Err(Error::MuchExtra { destination: self.identity.clone(), extra, all });
        }
        Ok(extra)
    }

    /// Removes them, and sets the metadata of the folders that they lay in again. How many were removed.
    ///
    /// # Errors
    /// When the destination cannot be listed or the tree be read.
    pub(super) async fn remove(&self, failed: &mut u64, listener: &dyn Listener) -> Result<u64> {
        let mut removal = Removal { extras: self, listener, failed, path: Vec::new(), removed: 0 };
        let Some(mut walk) = self.walk().await? else { return Ok(0) };
        while let Some(seen) = walk.next().await? {
            removal.take(seen).await?;
        }
        removal.leave(None).await?;
        Ok(removal.removed)
    }

    /// All that is there; nothing where there is no folder yet.
    async fn walk(&self) -> Result<Option<Walk<'_>>> {
        let failed = Error::connector(format!("listing {}", self.identity));
        match self.destination.stat(&Key::default()).await {
            Ok(None) => return Ok(None),
            Ok(Some(_)) => {}
            Err(cause) => return Err(failed(cause)),
        }
        let Some(scanner) = self.destination.scan().await.map_err(failed)? else { return Ok(None) };
        let records = self.origin.walk(self.scope.spans.clone());
        Ok(Some(Walk {
            extras: self,
            listed: Batches::new(scanner),
            page: Vec::new().into_iter(),
            records,
            next: None,
            ended: false,
        }))
    }

    /// What a folder becomes again once something in it was removed.
    fn as_it_was(&self, folder: Entry) -> Option<Entry> {
        self.scope.map(folder).map(|(folder, _)| folder)
    }
}

/// A listing beside the records of the snapshot, both in key order.
struct Walk<'a> {
    extras: &'a Extras<'a>,
    listed: Batches,
    page: std::vec::IntoIter<Found>,
    records: Records,
    next: Option<Record>,
    ended: bool,
}

impl Walk<'_> {
    async fn next(&mut self) -> Result<Option<Seen>> {
        let options = self.extras.options;
        if let Some(found) = self.list().await? {
            let found = match found {
                Found::Entry(found) => found,
                // Nothing is known of what cannot be described, so that it stays.
                Found::Skipped(skipped) => return Ok(Some(Seen::foreign(Entry::new(skipped.key, EntryKind::Other)))),
            };
            let path = found.key.as_bytes();
            let key = if has_escape(path) { key_of_path(path).map(Key::new) } else { Some(found.key.clone()) };
            let place = key.as_ref().unwrap_or(&found.key);
            let scope = self.extras.scope;
            let is_others = scope.is_shared() && is_unfinished(path);
            if is_others || scope.spans.part_of(place).is_none() || !options.selects(place.as_bytes()) {
                return Ok(Some(Seen { kept: scope.folder_above(place), ..Seen::foreign(found) }));
            }
            let kept = match &key {
                Some(key) if has_escape(path) => self.extras.origin.record(key).await?.map(|record| record.entry),
                Some(key) => self.beside(key).await?,
                None => None,
            };
            let holds_something = || {
                let next = self.next.as_ref().map(|record| record.entry.key.as_bytes());
                found.kind == EntryKind::Directory && next.is_some_and(|next| next.starts_with(path))
            };
            let is_extra = kept.is_none() && !path.is_empty() && !holds_something();
            return Ok(Some(Seen { found, kept, is_extra, is_meant: true }));
        }
        Ok(None)
    }

    async fn list(&mut self) -> Result<Option<Found>> {
        loop {
            if let Some(found) = self.page.next() {
                return Ok(Some(found));
            }
            let page = self.listed.next(PAGE_ENTRIES).await;
            match page.map_err(Error::connector(format!("listing {}", self.extras.identity)))? {
                Some(page) => self.page = page.into_iter(),
                None => return Ok(None),
            }
        }
    }

    /// The record of a key that is not before the one asked for last.
    async fn beside(&mut self, key: &Key) -> Result<Option<Entry>> {
        loop {
            match &self.next {
                Some(record) if record.entry.key < *key => {}
                Some(record) => return Ok(Some(&record.entry).filter(|entry| entry.key == *key).cloned()),
                None if self.ended => return Ok(None),
                None => {}
            }
            self.next = self.records.next().await?;
            self.ended = self.next.is_none();
        }
    }
}

fn has_escape(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|name| name.starts_with(ESCAPED))
}

/// A removal under way: folders are left in the order in which they were entered, the innermost first.
struct Removal<'a> {
    extras: &'a Extras<'a>,
    listener: &'a dyn Listener,
    failed: &'a mut u64,
    path: Vec<Open>,
    removed: u64,
}

struct Open {
    seen: Seen,
    /// Something in it was removed.
    is_touched: bool,
}

impl Removal<'_> {
    async fn take(&mut self, seen: Seen) -> Result<()> {
        self.leave(Some(&seen.found.key)).await?;
        if !seen.is_extra {
            self.keep_path();
        }
        if seen.found.kind == EntryKind::Directory {
            self.path.push(Open { seen, is_touched: false });
            return Ok(());
        }
        if seen.is_extra {
            self.remove(&seen.found).await;
        }
        Ok(())
    }

    /// Leaves the folders in which `next` does not lie: removes those that are extra, and has the others as they were before something in them was removed.
    async fn leave(&mut self, next: Option<&Key>) -> Result<()> {
        let is_left =
            |open: &Open| next.is_none_or(|next| !next.as_bytes().starts_with(open.seen.found.key.as_bytes()));
        while let Some(open) = self.path.pop_if(|open| is_left(open)) {
            if open.seen.is_extra {
                self.remove(&open.seen.found).await;
            } else if let Some(kept) =
                open.seen.kept.filter(|_| open.is_touched).and_then(|kept| self.extras.as_it_was(kept))
            {
                let set = self.extras.destination.set_metadata(&[kept]).await;
                set.map_err(Error::connector("setting metadata at the destination"))?;
            }
        }
        Ok(())
    }

    /// The folders that are open hold something that stays.
    fn keep_path(&mut self) {
        self.path.iter_mut().for_each(|open| open.seen.is_extra = false);
    }

    async fn remove(&mut self, found: &Entry) {
        match self.extras.destination.remove(found).await {
            Ok(()) => {
                self.removed += 1;
                if let Some(parent) = self.path.last_mut() {
                    parent.is_touched = true;
                }
            }
            Err(cause) => {
                self.keep_path();
                *self.failed += 1;
                let key = Key::new(bare(&found.key));
                self.listener.on(Event::EntryFailed { key, reason: cause.message });
            }
        }
    }
}
