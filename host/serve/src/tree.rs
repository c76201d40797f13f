//! The keys of a snapshot as files and folders, for whoever must name them.
//!
//! Any bytes can be a key, and names cannot be empty, `.`, `..`, longer than 255 bytes, or those of a file and a folder at once. A segment of a key that
//! can be a name is one; each other has the escaped name that a restore to a folder gives it ([`escape`](credenza_connect::file::escape)), so that
//! every key has one path and every path one key.
//!
//! Owned here: names, one child, a page of children. Refused here: attributes, and which snapshots there are. Called by the fronts.
//!
//! Bound: one page of a folder, and the names of those files in it that the next name goes on from.

use std::collections::VecDeque;
use std::sync::Arc;

use credenza_connect::file::escape::{escaped_names_of, names_of, segment_of};
use credenza_engine::view::{FolderItem, Reader, View};
use credenza_engine::{Error, Result, SnapshotHandle};
use credenza_model::{EntryKind, Key, Record, SnapshotId};

/// Items of a folder that are read at once.
const PAGE_ITEMS: usize = 1000;

/// Something in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// What has these bytes at the beginning of its key: they are empty, or end with a slash.
    Folder(Vec<u8>),
    /// A folder that stands for the beginning of a name that is too long, in the folder of that prefix.
    Begun {
        /// The folder that the long name is in.
        prefix: Vec<u8>,
        /// The names that were gone through, of which each goes on in the next.
        names: Vec<Vec<u8>>,
    },
    /// An entry that is no folder, by its key.
    Entry(Vec<u8>),
}

impl Place {
    /// All of a snapshot.
    #[must_use]
    pub const fn root() -> Self {
        Self::Folder(Vec::new())
    }

    /// Whether other things lie in it.
    #[must_use]
    pub const fn is_folder(&self) -> bool {
        !matches!(self, Self::Entry(_))
    }

    /// That of an entry.
    fn of(record: &Record) -> Self {
        let key = record.entry.key.as_bytes().to_vec();
        if is_directory(record) { Self::Folder(key) } else { Self::Entry(key) }
    }

    /// How it is found again by the position of an entry, which is its own or, for a folder without one, that of the first entry in it: by how many slashes
    /// of that entry's key are in it, none for the entry itself. None for what is found by its name alone.
    #[must_use]
    pub fn depth(&self, record: Option<&Record>) -> Option<usize> {
        match (self, record) {
            (_, Some(record)) => (Self::of(record) == *self).then_some(0),
            (Self::Folder(prefix), None) => Some(slashes(prefix).count()).filter(|depth| *depth > 0),
            (Self::Begun { .. } | Self::Entry(_), None) => None,
        }
    }

    /// The prefix of the folder, and the names that were gone through in it; none of what is no folder.
    fn inside(&self) -> Option<(&[u8], &[Vec<u8>])> {
        match self {
            Self::Folder(prefix) => Some((prefix, &[])),
            Self::Begun { prefix, names } => Some((prefix, names)),
            Self::Entry(_) => None,
        }
    }
}

/// A child of a folder.
#[derive(Debug, Clone)]
pub struct Child {
    /// Its name in the folder.
    pub name: Vec<u8>,
    /// What it is.
    pub place: Place,
    /// Its entry; none of a folder that is only what keys have in common.
    pub record: Option<Box<Record>>,
    /// How many entries stand before it in the snapshot, or before the first in it; unknown of what begins a name that is too long.
    pub position: Option<u64>,
}

/// One snapshot as a tree of files. Cheap to clone.
#[derive(Clone)]
pub struct SnapshotTree {
    view: View,
    snapshot: Arc<SnapshotHandle>,
}

impl SnapshotTree {
    /// The tree of a snapshot that a view shows.
    #[must_use]
    pub const fn new(view: View, snapshot: Arc<SnapshotHandle>) -> Self {
        Self { view, snapshot }
    }

    /// The snapshot.
    #[must_use]
    pub fn snapshot(&self) -> &SnapshotHandle {
        &self.snapshot
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> SnapshotId {
        self.snapshot.snapshot.id
    }

    pub(crate) const fn view(&self) -> &View {
        &self.view
    }

    /// The content of an entry, to be read anywhere, as [`View::reader_among`].
    ///
    /// # Errors
    /// Damage when the way to it is lost.
    pub async fn reader(&self, record: &Record) -> Result<Reader> {
        self.view.reader_among(&self.snapshot, record).await
    }

    /// The entry of a place; none of a folder that is only what keys have in common, and of what is not there.
    ///
    /// # Errors
    /// Damage when the way to it is lost.
    pub async fn record(&self, place: &Place) -> Result<Option<Record>> {
        Ok(self.located(place).await?.map(|(_, record)| record))
    }

    /// The same with its position.
    ///
    /// # Errors
    /// As for [`SnapshotTree::record`].
    pub async fn located(&self, place: &Place) -> Result<Option<(u64, Record)>> {
        match place {
            Place::Folder(prefix) => Ok(self.entry_located(prefix).await?.filter(|(_, record)| is_directory(record))),
            Place::Begun { .. } => Ok(None),
            Place::Entry(key) => Ok(self.entry_located(key).await?.filter(|(_, record)| !is_directory(record))),
        }
    }

    /// What is found by a position and a [depth](Place::depth), with its entry where that is its own; none where there is nothing.
    ///
    /// # Errors
    /// Damage when the way to it is lost.
    pub async fn at(&self, position: u64, depth: usize) -> Result<Option<(Place, Option<Record>)>> {
        let Some(record) = self.view.record_at(&self.snapshot, position).await? else { return Ok(None) };
        let Some(last) = depth.checked_sub(1) else { return Ok(Some((Place::of(&record), Some(record)))) };
        let key = record.entry.key.as_bytes();
        let prefix = slashes(key).nth(last).and_then(|slash| key.get(..=slash));
        Ok(prefix.map(|prefix| (Place::Folder(prefix.to_vec()), None)))
    }

    /// The child of a folder that has a name; none where there is none.
    ///
    /// # Errors
    /// Damage when the way to it is lost.
    pub async fn child(&self, folder: &Place, name: &[u8]) -> Result<Option<Child>> {
        let Some((prefix, begun)) = folder.inside() else { return Ok(None) };
        let names = [begun, &[name.to_vec()]].concat();
        let named = |place, record: Option<(u64, Record)>, first: Option<u64>| {
            let (position, record) = record.map_or((first, None), |(at, record)| (Some(at), Some(Box::new(record))));
            Some(Child { name: name.to_vec(), place, record, position })
        };
        let (segment, is_shadowed) = match segment_of(&names) {
            Some((_, true)) => {
                let place = Place::Begun { prefix: prefix.to_vec(), names };
                let is_there = !self.children(&place, &mut Listing::default()).await?.is_empty();
                return Ok(if is_there { named(place, None, None) } else { None });
            }
            Some((segment, false)) => match segment.strip_suffix(b"/") {
                Some(bare) if escaped_names_of(&segment) == names => (bare.to_vec(), true),
                None if names_of(&segment) == names => (segment, false),
                _ => return Ok(None),
            },
            None if begun.is_empty() && names_of(name) == names => (name.to_vec(), false),
            None => return Ok(None),
        };
        let key = [prefix, &segment].concat();
        let file = self.entry_located(&key).await?.filter(|(_, record)| !is_directory(record));
        match (file, is_shadowed) {
            (Some(record), false) => Ok(named(Place::Entry(key), Some(record), None)),
            (Some(_), true) | (None, false) => {
                let below = [&key, &b"/"[..]].concat();
                let record = self.entry_located(&below).await?.filter(|(_, record)| is_directory(record));
                let first = if record.is_some() { None } else { self.first_in(&below).await? };
                Ok(if record.is_some() || first.is_some() { named(Place::Folder(below), record, first) } else { None })
            }
            (None, true) => Ok(None),
        }
    }

    /// The next children of a folder, in the order of their keys: none at its end.
    ///
    /// # Errors
    /// Damage when a part of the tree is lost that holds them.
    pub async fn children(&self, folder: &Place, listing: &mut Listing) -> Result<Vec<Child>> {
        let Some((prefix, begun)) = folder.inside() else { return Ok(Vec::new()) };
        let beginning = segment_of(begun).map(|(segment, _)| segment).filter(|_| !begun.is_empty());
        let mut children = Vec::new();
        while children.is_empty() && !listing.is_at_end {
            let start = beginning.as_ref().map(|segment| [prefix, segment].concat());
            let after = listing.after.take().or(start);
            let page = self.view.folder(&self.snapshot, prefix, after.as_deref(), PAGE_ITEMS).await?;
            listing.is_at_end = page.next.is_none();
            listing.after = page.next;
            for (item, position) in page.items.into_iter().zip(page.positions) {
                let Some(rest) = item.key().as_bytes().strip_prefix(prefix) else { continue };
                if beginning.as_ref().is_some_and(|beginning| !rest.starts_with(beginning)) {
                    listing.is_at_end = true;
                    break;
                }
                children.extend(listing.child(prefix, begun, item, position));
            }
        }
        Ok(children)
    }

    /// The entry of exactly that key, if it is there.
    pub(crate) async fn entry(&self, key: &[u8]) -> Result<Option<Record>> {
        Ok(self.entry_located(key).await?.map(|(_, record)| record))
    }

    async fn entry_located(&self, key: &[u8]) -> Result<Option<(u64, Record)>> {
        match self.view.located(&self.snapshot, &Key::new(key)).await {
            Ok(found) => Ok(Some(found).filter(|(_, record)| record.entry.is_current())),
            Err(Error::NoEntry { .. }) => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    /// The position of the first entry in a folder; none of one that is empty, or not there.
    async fn first_in(&self, prefix: &[u8]) -> Result<Option<u64>> {
        Ok(self.view.folder(&self.snapshot, prefix, None, 1).await?.positions.first().copied())
    }
}

fn is_directory(record: &Record) -> bool {
    record.entry.kind == EntryKind::Directory
}

/// Where the slashes of a key are.
fn slashes(key: &[u8]) -> impl Iterator<Item = usize> + '_ {
    key.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at)
}

/// How far a folder was listed.
#[derive(Debug, Default)]
pub struct Listing {
    after: Option<Vec<u8>>,
    is_at_end: bool,
    /// Segments of files, each the beginning of the one behind it, and all of them of what is listed next.
    files: VecDeque<Vec<u8>>,
    /// The name that was listed last.
    last: Vec<u8>,
}

impl Listing {
    /// The child that an item is; none where it lies in the child before it.
    fn child(&mut self, prefix: &[u8], begun: &[Vec<u8>], item: FolderItem, position: u64) -> Option<Child> {
        let rest = item.key().as_bytes().strip_prefix(prefix)?.to_vec();
        let is_folder = match &item {
            FolderItem::Prefix(_) => true,
            FolderItem::Entry(record) => is_directory(record),
        };
        let segment = if is_folder { rest.strip_suffix(b"/").unwrap_or(&rest).to_vec() } else { rest };
        while self.files.back().is_some_and(|file| !segment.starts_with(file)) {
            self.files.pop_back();
        }
        let is_shadowed = is_folder && self.files.back() == Some(&segment);
        let names = if is_shadowed { escaped_names_of(&[&segment, &b"/"[..]].concat()) } else { names_of(&segment) };
        if !is_folder {
            self.files.push_back(segment.clone());
        }
        let name = names.get(begun.len()).filter(|_| names.starts_with(begun))?.clone();
        if names.len() > begun.len() + 1 {
            let names = names.into_iter().take(begun.len() + 1).collect();
            let is_new = self.last != name;
            self.last.clone_from(&name);
            return is_new.then(|| Child {
                name,
                place: Place::Begun { prefix: prefix.to_vec(), names },
                record: None,
                position: None,
            });
        }
        self.last.clone_from(&name);
        let key = [prefix, &segment].concat();
        let place = if is_folder { Place::Folder([&key, &b"/"[..]].concat()) } else { Place::Entry(key) };
        let record = match item {
            FolderItem::Entry(record) => Some(record),
            FolderItem::Prefix(_) => None,
        };
        Some(Child { name, place, record, position: Some(position) })
    }
}
