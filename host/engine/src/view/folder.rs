//! A page of what lies directly under a prefix, as a bucket or a file manager shows it.
//!
//! Bound: one page.

use std::collections::HashSet;

use credenza_model::{EntryKind, Key, Record};

use super::View;
use super::tree_cursor::TreeCursor;
use crate::repository::SnapshotHandle;
use crate::{Error, Result};

/// The namespace of sources that have folders.
const TREE: &str = "tree";

/// The byte behind the slash: the first that no key of a folder can have in its place.
const BEHIND_SLASH: u8 = b'/' + 1;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderPage {
    /// The items.
    pub items: Vec<FolderItem>,
    /// Where the next page begins; `None` at the end of the folder.
    pub next: Option<Vec<u8>>,
}

pub(super) async fn page(
    view: &View,
    snapshot: &SnapshotHandle,
    prefix: &[u8],
    after: Option<&[u8]>,
    max: usize,
) -> Result<FolderPage> {
    let is_tree = snapshot.snapshot.source.namespace == TREE;
    let start = after.map_or_else(|| prefix.to_vec(), |after| behind(prefix, after));
    let mut place = TreeCursor::seek(&view.nodes, &snapshot.snapshot.tree, &start).await?;
    let mut page = FolderPage { items: Vec::new(), next: None };
    // Folders of this page, whose contents are met behind them.
    let mut folders = HashSet::new();
    while let Some(record) = place.next().await? {
        let key = record.entry.key.clone();
        let Some(rest) = key.as_bytes().strip_prefix(prefix) else { break };
        let slash = rest.iter().position(|byte| *byte == b'/');
        let common = slash.and_then(|slash| key.as_bytes().get(..=prefix.len() + slash)).map(Key::new);
        let item = match common {
            // Of a folder whose last keys are gone another may still be there.
            _ if !record.entry.is_current() => continue,
            None => {
                if record.entry.kind == EntryKind::Directory {
                    folders.insert(key);
                }
                FolderItem::Entry(Box::new(record))
            }
            Some(common) => {
                place.skip_to(&behind(prefix, common.as_bytes())).await?;
                if is_tree && has_entry(view, snapshot, &folders, &common).await? {
                    continue;
                }
                FolderItem::Prefix(common)
            }
        };
        if page.items.len() >= max {
            page.next = page.items.last().map(|item| item.key().as_bytes().to_vec());
            break;
        }
        page.items.push(item);
    }
    Ok(page)
}

/// Where reading goes on behind an item: behind all versions of a key, or behind all keys of a folder.
fn behind(prefix: &[u8], item: &[u8]) -> Vec<u8> {
    let mut start = item.to_vec();
    match start.last_mut() {
        Some(last) if *last == b'/' && item.len() > prefix.len() => *last = BEHIND_SLASH,
        _ => start.push(0),
    }
    start
}

/// Whether a folder that keys lie in is an entry itself.
async fn has_entry(view: &View, snapshot: &SnapshotHandle, folders: &HashSet<Key>, prefix: &Key) -> Result<bool> {
    let folder = Key::new(prefix.as_bytes().strip_suffix(b"/").unwrap_or_default());
    if folders.contains(&folder) {
        return Ok(true);
    }
    match view.entry(snapshot, &folder).await {
        Ok(record) => Ok(record.entry.kind == EntryKind::Directory),
        Err(Error::NoEntry { .. }) => Ok(false),
        Err(cause) => Err(cause),
    }
}
