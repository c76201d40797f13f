//! Paths of requests as places of the shelf and of snapshots, and what lies in them.
//!
//! Links of the shelf, such as `latest`, are folders here. Names are those of `tree`, each byte that is not plain as `%XX`.
//!
//! Bound: one page of a folder.

use std::sync::Arc;

use credenza_engine::Result;
use credenza_model::{EntryKind, Record, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use crate::entry::size_of;
use crate::shelf::{Shelf, Shelved, Standing, time_of};
use crate::tree::{Child, Listing, Place, SnapshotTree};

/// What stands in a path as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Something that a path names.
pub(super) enum Node {
    /// A folder of the shelf, by its path.
    Shelf(Arc<Standing>, Vec<u8>),
    /// Something in a snapshot.
    In(Arc<SnapshotTree>, Place, Option<Box<Record>>),
}

impl Node {
    pub(super) const fn is_folder(&self) -> bool {
        match self {
            Self::Shelf(..) => true,
            Self::In(_, place, _) => place.is_folder(),
        }
    }

    /// When it was changed.
    pub(super) fn modified(&self) -> Timestamp {
        match self {
            Self::Shelf(standing, _) => standing.newest,
            Self::In(tree, _, record) => {
                record.as_ref().and_then(|record| record.entry.modified).unwrap_or_else(|| time_of(tree.snapshot()))
            }
        }
    }

    /// Its size in bytes; none of a folder.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::In(_, Place::Entry(_), Some(record)) => Some(size_of(record)),
            Self::In(..) | Self::Shelf(..) => None,
        }
    }

    /// What a folder in a snapshot has in common, by which it is archived.
    pub(super) fn archived(&self) -> Option<(&SnapshotTree, &[u8])> {
        match self {
            Self::In(tree, Place::Folder(prefix) | Place::Entry(prefix), _) => Some((&**tree, prefix)),
            Self::In(_, Place::Begun { .. }, _) | Self::Shelf(..) => None,
        }
    }
}

/// What a path names; none where there is nothing.
///
/// # Errors
/// Damage when the way to it is lost.
pub(super) async fn find(shelf: &Shelf, path: &str) -> Result<Option<Node>> {
    let standing = shelf.standing().await;
    let mut names = names_of(path).into_iter();
    let (mut path, mut tree) = (Vec::new(), standing.alone.and_then(|id| shelf.tree(id)));
    while tree.is_none() {
        let Some(name) = names.next() else { return Ok(Some(Node::Shelf(standing, path))) };
        if name.contains(&b'/') {
            return Ok(None);
        }
        path = joined(&path, &name);
        match standing.at(&path) {
            Some(Shelved::Folder) => {}
            Some(shelved) => match snapshot_of(&standing, shelved, shelf) {
                Some(found) => tree = Some(found),
                None => return Ok(None),
            },
            None => return Ok(None),
        }
    }
    let Some(tree) = tree else { return Ok(None) };
    let mut place = Place::root();
    let mut record = tree.record(&place).await?.map(Box::new);
    for name in names {
        match tree.child(&place, &name).await? {
            Some(child) => (place, record) = (child.place, child.record),
            None => return Ok(None),
        }
    }
    Ok(Some(Node::In(Arc::new(tree), place, record)))
}

/// The names in a path.
fn names_of(path: &str) -> Vec<Vec<u8>> {
    let names = path.split('/').filter(|name| !name.is_empty());
    names.map(|name| percent_decode_str(name).collect()).collect()
}

/// The snapshot that stands somewhere on the shelf, or that a link there leads to.
fn snapshot_of(standing: &Standing, shelved: &Shelved, shelf: &Shelf) -> Option<SnapshotTree> {
    match shelved {
        Shelved::Folder => None,
        Shelved::Snapshot(id) => shelf.tree(*id),
        Shelved::Link(target) => {
            let name = target.rsplit(|byte| *byte == b'/').next()?;
            match standing.at(&joined(b"snapshots", name))? {
                Shelved::Snapshot(id) => shelf.tree(*id),
                Shelved::Folder | Shelved::Link(_) => None,
            }
        }
    }
}

fn joined(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

/// Something in a folder.
pub(super) struct Row {
    pub(super) name: Vec<u8>,
    pub(super) node: Node,
}

impl Row {
    /// Its name in a path, with the slash of a folder.
    pub(super) fn link(&self) -> String {
        let slash = if self.node.is_folder() { "/" } else { "" };
        format!("{}{slash}", percent_encode(&self.name, PLAIN))
    }
}

/// What lies in a folder, page by page.
pub(super) struct Rows {
    node: Node,
    listing: Listing,
    is_begun: bool,
}

impl Rows {
    pub(super) fn of(node: Node) -> Self {
        Self { node, listing: Listing::default(), is_begun: false }
    }

    /// The next ones; none at the end. Devices and what else has neither content nor children are left out.
    ///
    /// # Errors
    /// Damage when a part of the tree is lost that holds them.
    pub(super) async fn next(&mut self) -> Result<Vec<Row>> {
        let is_beginning = !std::mem::replace(&mut self.is_begun, true);
        match &self.node {
            Node::Shelf(standing, path) if is_beginning => {
                let found = standing.folder(path).into_iter().flatten();
                let below = |name: &Vec<u8>| Node::Shelf(Arc::clone(standing), joined(path, name));
                Ok(found.map(|(name, _)| Row { name: name.clone(), node: below(name) }).collect())
            }
            Node::Shelf(..) => Ok(Vec::new()),
            Node::In(tree, place, _) => loop {
                let children = tree.children(place, &mut self.listing).await?;
                if children.is_empty() {
                    return Ok(Vec::new());
                }
                let rows: Vec<Row> = children.into_iter().filter_map(|child| row(tree, child)).collect();
                if !rows.is_empty() {
                    return Ok(rows);
                }
            },
        }
    }
}

fn row(tree: &Arc<SnapshotTree>, child: Child) -> Option<Row> {
    let Child { name, place, record, .. } = child;
    let is_other = record.as_ref().is_some_and(|record| record.entry.kind == EntryKind::Other);
    (!is_other).then(|| Row { name, node: Node::In(Arc::clone(tree), place, record) })
}
