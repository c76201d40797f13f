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

pub(super) async fn page(
    view: &View,
    snapshot: &SnapshotHandle,
    prefix: &[u8],
    after: Option<&[u8]>,
    max: usize,
) -> Result<FolderPage> {
    let start = after.map_or_else(|| prefix.to_vec(), |after| behind(prefix, SLASH, after));
    let mut place = TreeCursor::seek(&view.nodes, &snapshot.snapshot.tree, &start).await?;
    let mut page = FolderPage::default();
    while let Some((position, record)) = place.next().await? {
        let key = &record.entry.key;
        let Some(rest) = key.as_bytes().strip_prefix(prefix) else { break };
        let is_folder = record.entry.kind == EntryKind::Directory;
        let item = match common(key, prefix, SLASH) {
            // Of a folder whose last keys are gone another may still be there.
            _ if !record.entry.is_current() => continue,
            // The folder itself.
            None if rest.is_empty() && is_folder => continue,
            None => FolderItem::Entry(Box::new(record)),
            Some(below) => {
                place.skip_to(&behind(prefix, SLASH, below.as_bytes())).await?;
                // A folder comes before all that lies in it.
                if is_folder && *key == below { FolderItem::Entry(Box::new(record)) } else { FolderItem::Prefix(below) }
            }
        };
        if !page.take(item, position, max) {
            break;
        }
    }
    Ok(page)
}

pub(super) async fn cut_page(
    view: &View,
    snapshot: &SnapshotHandle,
    (prefix, delimiter): (&[u8], &[u8]),
    after: Option<&[u8]>,
    max: usize,
) -> Result<FolderPage> {
    let start = after.map_or_else(|| prefix.to_vec(), |after| behind(prefix, delimiter, after));
    let mut place = TreeCursor::seek(&view.nodes, &snapshot.snapshot.tree, &start).await?;
    let mut page = FolderPage::default();
    while let Some((position, record)) = place.next().await? {
        if !record.entry.key.as_bytes().starts_with(prefix) {
            break;
        }
        if !record.entry.is_current() {
            continue;
        }
        let item = match common(&record.entry.key, prefix, delimiter) {
            None => FolderItem::Entry(Box::new(record)),
            Some(common) => {
                place.skip_to(&behind(prefix, delimiter, common.as_bytes())).await?;
                FolderItem::Prefix(common)
            }
        };
        if !page.take(item, position, max) {
            break;
        }
    }
    Ok(page)
}

pub(super) async fn flat_page(
    view: &View,
    snapshot: &SnapshotHandle,
    prefix: &[u8],
    after: Option<&[u8]>,
    max: usize,
) -> Result<FolderPage> {
    let start = after.map_or_else(|| prefix.to_vec(), |after| [after, &[0]].concat());
    let mut place = TreeCursor::seek(&view.nodes, &snapshot.snapshot.tree, &start).await?;
    let mut page = FolderPage::default();
    while let Some((position, record)) = place.next().await? {
        if !record.entry.key.as_bytes().starts_with(prefix) {
            break;
        }
        let is_current = record.entry.is_current();
        if is_current && !page.take(FolderItem::Entry(Box::new(record)), position, max) {
            break;
        }
    }
    Ok(page)
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
