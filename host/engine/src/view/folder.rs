//! A page of what lies directly under a prefix, as a bucket or a file manager shows it.
//!
//! Bound: one page.

use credenza_model::{EntryKind, Key, Record};

use super::View;
use super::tree_cursor::TreeCursor;
use crate::Result;
use crate::repository::SnapshotHandle;

const SLASH: &[u8] = b"/";

/// Something directly under a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FolderItem {
    /// An entry.
    Entry(Box<Record>),
    /// Keys that go on behind a slash, by what they have in common: the prefix of a folder that has no entry of its own. It ends with the slash.
    Prefix(Key),
}

impl FolderItem {
    /// The key, or the prefix.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Entry(record) => &record.entry.key,
            Self::Prefix(prefix) => prefix,
        }
    }
}

/// Some items of a folder, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FolderPage {
    /// The items.
    pub items: Vec<FolderItem>,
    /// The position of each: how many records stand before it in the snapshot. That of a prefix is the one of the first entry in it.
    pub positions: Vec<u64>,
    /// Where the next page begins; `None` at the end of the folder.
    pub next: Option<Vec<u8>>,
}

impl FolderPage {
    /// Adds an item, and says whether there was room; where there was none the page is at its end.
    fn take(&mut self, item: FolderItem, position: u64, max: usize) -> bool {
        if self.items.len() >= max {
            self.next = self.items.last().map(|item| item.key().as_bytes().to_vec());
            return false;
        }
        self.items.push(item);
        self.positions.push(position);
        true
    }
}

/// What a record is on a page: the item, and for one that stands for many keys, where reading goes on behind them.
type Place = (FolderItem, Option<Vec<u8>>);

pub(super) async fn page(
    view: &View,
    snapshot: &SnapshotHandle,
    prefix: &[u8],
    after: Option<&[u8]>,
    max: usize,
) -> Result<FolderPage> {
    let start = after.map_or_else(|| prefix.to_vec(), |after| behind(prefix, SLASH, after));
    let place = |record: Record| {
        let key = &record.entry.key;
        let is_folder = record.entry.kind == EntryKind::Directory;
        match common(key, prefix, SLASH) {
            // The folder itself.
            None if is_folder && key.as_bytes() == prefix => None,
            None => Some(entry(record)),
            Some(below) => {
                let end = behind(prefix, SLASH, below.as_bytes());
                // A folder comes before all that lies in it.
                let is_own = is_folder && *key == below;
                Some((if is_own { entry(record).0 } else { FolderItem::Prefix(below) }, Some(end)))
            }
        }
    };
    items(view, snapshot, (prefix, &start), max, place).await
}

pub(super) async fn cut_page(
    view: &View,
    snapshot: &SnapshotHandle,
    (prefix, delimiter): (&[u8], &[u8]),
    after: Option<&[u8]>,
    max: usize,
) -> Result<FolderPage> {
    let start = after.map_or_else(|| prefix.to_vec(), |after| behind(prefix, delimiter, after));
    let place = |record: Record| match common(&record.entry.key, prefix, delimiter) {
        None => Some(entry(record)),
        Some(common) => {
            let end = behind(prefix, delimiter, common.as_bytes());
            Some((FolderItem::Prefix(common), Some(end)))
        }
    };
    items(view, snapshot, (prefix, &start), max, place).await
}

pub(super) async fn flat_page(
    view: &View,
    snapshot: &SnapshotHandle,
    prefix: &[u8],
    after: Option<&[u8]>,
    max: usize,
) -> Result<FolderPage> {
    let start = after.map_or_else(|| prefix.to_vec(), |after| [after, &[0]].concat());
    items(view, snapshot, (prefix, &start), max, |record| Some(entry(record))).await
}

/// The items under a prefix, from a key on. What is no longer there, of which an older version is kept, is none.
async fn items(
    view: &View,
    snapshot: &SnapshotHandle,
    (prefix, start): (&[u8], &[u8]),
    max: usize,
    place: impl Fn(Record) -> Option<Place>,
) -> Result<FolderPage> {
    let mut cursor = TreeCursor::seek(&view.nodes, &snapshot.snapshot.tree, start).await?;
    let mut page = FolderPage::default();
    while let Some((position, record)) = cursor.next().await? {
        if !record.entry.key.as_bytes().starts_with(prefix) {
            break;
        }
        if !record.entry.is_current() {
            continue;
        }
        let Some((item, end)) = place(record) else { continue };
        if let Some(end) = end {
            cursor.skip_to(&end).await?;
        }
        if !page.take(item, position, max) {
            break;
        }
    }
    Ok(page)
}

fn entry(record: Record) -> Place {
    (FolderItem::Entry(Box::new(record)), None)
}

/// What a key has in common with others up to the first delimiter behind a prefix, and with it; none where there is no delimiter.
fn common(key: &Key, prefix: &[u8], delimiter: &[u8]) -> Option<Key> {
    let rest = key.as_bytes().strip_prefix(prefix)?;
    let at = rest.windows(delimiter.len().max(1)).position(|bytes| bytes == delimiter)?;
    key.as_bytes().get(..prefix.len() + at + delimiter.len()).map(Key::new)
}

/// Where reading goes on behind an item: behind all versions of a key, or behind all keys that have something in common.
fn behind(prefix: &[u8], delimiter: &[u8], item: &[u8]) -> Vec<u8> {
    let is_common = item.get(prefix.len()..).is_some_and(|rest| rest.ends_with(delimiter));
    let mut start = item.to_vec();
    match start.last_mut().filter(|last| is_common && **last < u8::MAX) {
        Some(last) => *last += 1,
        None => start.push(0),
    }
    start
}
