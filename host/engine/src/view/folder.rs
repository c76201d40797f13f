//! A page of what lies directly under a prefix, as a bucket or a file manager shows it.
//!
//! Bound: one page.

use credenza_model::{EntryKind, Key, Record};

use super::View;
use super::tree_cursor::TreeCursor;
use crate::Result;
use crate::repository::SnapshotHandle;

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
    let start = after.map_or_else(|| prefix.to_vec(), |after| behind(prefix, after));
    let mut place = TreeCursor::seek(&view.nodes, &snapshot.snapshot.tree, &start).await?;
    let mut page = FolderPage { items: Vec::new(), next: None };
    while let Some(record) = place.next().await? {
        let key = record.entry.key.clone();
        let Some(rest) = key.as_bytes().strip_prefix(prefix) else { break };
        let slash = rest.iter().position(|byte| *byte == b'/');
        let below = slash.and_then(|slash| key.as_bytes().get(..=prefix.len() + slash)).map(Key::new);
        let is_folder = record.entry.kind == EntryKind::Directory;
        let item = match below {
            // Of a folder whose last keys are gone another may still be there.
            _ if !record.entry.is_current() => continue,
            // The folder itself.
            None if rest.is_empty() && is_folder => continue,
            None => FolderItem::Entry(Box::new(record)),
            Some(below) => {
                place.skip_to(&behind(prefix, below.as_bytes())).await?;
                // A folder comes before all that lies in it.
                if is_folder && key == below { FolderItem::Entry(Box::new(record)) } else { FolderItem::Prefix(below) }
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

pub(super) async fn flat_page(
    view: &View,
    snapshot: &SnapshotHandle,
    prefix: &[u8],
    after: Option<&[u8]>,
    max: usize,
) -> Result<FolderPage> {
    let start = after.map_or_else(|| prefix.to_vec(), |after| [after, &[0]].concat());
    let mut place = TreeCursor::seek(&view.nodes, &snapshot.snapshot.tree, &start).await?;
    let mut page = FolderPage { items: Vec::new(), next: None };
    while let Some(record) = place.next().await? {
        if !record.entry.key.as_bytes().starts_with(prefix) {
            break;
        }
        if !record.entry.is_current() {
            continue;
        }
        if page.items.len() >= max {
            page.next = page.items.last().map(|item| item.key().as_bytes().to_vec());
            break;
        }
        page.items.push(FolderItem::Entry(Box::new(record)));
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
