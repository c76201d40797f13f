//! What the kernel asks for, answered from the shelf and the trees.
//!
//! Owned here: what a node is and has, and how trouble is told. Refused here: the kernel's protocol (`filesystem`). Called by `filesystem` and `folders`.

use std::time::{Duration, SystemTime};

use credenza_engine::Error as EngineError;
use credenza_engine::view::{Reader, never_read};
use credenza_model::{Record, SnapshotId};
use fuser::{Errno, FileAttr, FileType, INodeNo};

use super::attributes::{self, Owner};
use super::folders::Item;
use super::nodes::{Identity, Node, Nodes};
use crate::entry::{Trouble, system_time};
use crate::shelf::{Shelf, Shelved, Standing};
use crate::tree::{Child, Listing, Place, SnapshotTree};

/// A snapshot never changes: what is said of it holds as long as it is mounted.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// What may have changed when somebody looks again.
const A_MOMENT: Duration = Duration::from_secs(1);

pub(super) struct Files {
    pub(super) shelf: Shelf,
    pub(super) nodes: Nodes,
    pub(super) owner: Owner,
    pub(super) trouble: Trouble,
}

/// A node, with what is said of it.
pub(super) struct Found {
    pub(super) node: Node,
    pub(super) identity: Identity,
    pub(super) attributes: FileAttr,
    /// How long that holds.
    pub(super) holds: Duration,
}

impl Found {
    /// With the number by which the kernel is told of it.
    pub(super) fn told(&self, nodes: &Nodes) -> FileAttr {
        FileAttr { ino: nodes.tell(&self.node, self.identity), ..self.attributes }
    }
}

/// Bytes of all that is shown, and how many entries they are in.
pub(super) struct Extent {
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

impl Files {
    /// What a number means. That of the root is the shelf, or the one snapshot that is shown.
    pub(super) async fn node(&self, number: INodeNo) -> Result<Node, Errno> {
        if number != INodeNo::ROOT {
            return self.nodes.get(number).ok_or(Errno::ESTALE);
        }
        let alone = self.shelf.standing().await.alone;
        Ok(alone.map_or_else(|| Node::Shelf(Vec::new()), |id| Node::In(id, Place::root())))
    }

    /// What is said of a number.
    pub(super) async fn attributes(&self, number: INodeNo) -> Result<(FileAttr, Duration), Errno> {
        let found = self.found(self.node(number).await?).await?;
        // The root may become another snapshot.
        let holds = if number == INodeNo::ROOT { A_MOMENT } else { found.holds };
        Ok((FileAttr { ino: number, ..found.attributes }, holds))
    }

    /// The child of that name.
    pub(super) async fn child(&self, parent: INodeNo, name: &[u8]) -> Result<Found, Errno> {
        match self.node(parent).await? {
            Node::Shelf(folder) => {
                let standing = self.shelf.standing().await;
                let path = joined(&folder, name);
                let shelved = standing.at(&path).ok_or(Errno::ENOENT)?.clone();
                self.shelved(&standing, path, &shelved).await
            }
            Node::In(id, place) => {
                let child = self.tree(id)?.child(&place, name).await.map_err(|cause| self.told(&cause))?;
                self.listed(id, &place, child.ok_or(Errno::ENOENT)?)
            }
        }
    }

    /// The next children of a folder, none at its end. Those of the shelf come at once, at the beginning.
    pub(super) async fn children(
        &self,
        folder: &Node,
        listing: &mut Listing,
        is_beginning: bool,
    ) -> Result<Vec<Item>, Errno> {
        let mut items = Vec::new();
        match folder {
            Node::Shelf(folder) if is_beginning => {
                let standing = self.shelf.standing().await;
                for (name, shelved) in standing.folder(folder).ok_or(Errno::ENOTDIR)? {
                    let found = self.shelved(&standing, joined(folder, name), shelved).await?;
                    items.push(Item { name: name.clone(), found });
                }
            }
            Node::Shelf(_) => {}
            Node::In(id, place) => {
                let children = self.tree(*id)?.children(place, listing).await;
                for child in children.map_err(|cause| self.told(&cause))? {
                    items.push(Item { name: child.name.clone(), found: self.listed(*id, place, child)? });
                }
            }
        }
        Ok(items)
    }

    /// The content of a file, to be read anywhere.
    pub(super) async fn open(&self, number: INodeNo) -> Result<Reader, Errno> {
        let Node::In(id, place) = self.node(number).await? else { return Err(Errno::EISDIR) };
        let tree = self.tree(id)?;
        let record = self.record(&tree, &place).await?.ok_or(Errno::EISDIR)?;
        if never_read(&record).is_some() {
            return Err(Errno::ENODATA);
        }
        Ok(tree.reader(&record))
    }

    /// Where a link points.
    pub(super) async fn link(&self, number: INodeNo) -> Result<Vec<u8>, Errno> {
        match self.node(number).await? {
            Node::Shelf(path) => match self.shelf.standing().await.at(&path) {
                Some(Shelved::Link(target)) => Ok(target.clone()),
                _ => Err(Errno::EINVAL),
            },
            Node::In(id, place) => {
                let record = self.record(&self.tree(id)?, &place).await?;
                record.and_then(|record| record.entry.link_target).ok_or(Errno::EINVAL)
            }
        }
    }

    /// The extended attributes of a file.
    pub(super) async fn extended(&self, number: INodeNo) -> Result<Vec<(String, Vec<u8>)>, Errno> {
        let Node::In(id, place) = self.node(number).await? else { return Ok(Vec::new()) };
        let record = self.record(&self.tree(id)?, &place).await?;
        Ok(record.map(|record| attributes::extended(&record.entry).collect()).unwrap_or_default())
    }

    pub(super) async fn extent(&self) -> Extent {
        let standing = self.shelf.standing().await;
        let statistics = || standing.trees().map(|tree| &tree.snapshot().snapshot.statistics);
        Extent {
            bytes: statistics().map(|of| of.bytes).fold(0, u64::saturating_add),
            entries: statistics().map(|of| of.entries).fold(0, u64::saturating_add),
        }
    }

    /// Tells of an error, and what the reader gets for it.
    pub(super) fn told(&self, cause: &EngineError) -> Errno {
        (self.trouble)(cause);
        Errno::EIO
    }

    fn tree(&self, id: SnapshotId) -> Result<SnapshotTree, Errno> {
        self.shelf.tree(id).ok_or(Errno::ESTALE)
    }

    async fn record(&self, tree: &SnapshotTree, place: &Place) -> Result<Option<Record>, Errno> {
        tree.record(place).await.map_err(|cause| self.told(&cause))
    }

    /// What is said of a node.
    async fn found(&self, node: Node) -> Result<Found, Errno> {
        match node {
            Node::In(id, place) => self.in_tree(id, place).await,
            Node::Shelf(path) => {
                let standing = self.shelf.standing().await;
                if path.is_empty() {
                    return self.shelved(&standing, path, &Shelved::Folder).await;
                }
                let shelved = standing.at(&path).ok_or(Errno::ENOENT)?.clone();
                self.shelved(&standing, path, &shelved).await
            }
        }
    }

    async fn shelved(&self, standing: &Standing, path: Vec<u8>, shelved: &Shelved) -> Result<Found, Errno> {
        let time = system_time(standing.newest);
        match shelved {
            Shelved::Snapshot(id) => self.in_tree(*id, Place::root()).await,
            Shelved::Folder => Ok(self.without_entry(Node::Shelf(path), FileType::Directory, time, A_MOMENT)),
            Shelved::Link(target) => {
                let mut found = self.without_entry(Node::Shelf(path), FileType::Symlink, time, A_MOMENT);
                (found.attributes.size, found.attributes.perm) = (target.len() as u64, 0o777);
                Ok(found)
            }
        }
    }

    async fn in_tree(&self, id: SnapshotId, place: Place) -> Result<Found, Errno> {
        let record = self.record(&self.tree(id)?, &place).await?;
        self.described(id, place, record.as_ref())
    }

    /// What is said of something in a snapshot. A folder that is only what keys have in common is as old as the snapshot.
    fn described(&self, id: SnapshotId, place: Place, record: Option<&Record>) -> Result<Found, Errno> {
        let node = Node::In(id, place);
        if let Some(record) = record {
            return Ok(self.with_entry(node, record));
        }
        let time = system_time(self.tree(id)?.snapshot().snapshot.finished);
        Ok(self.without_entry(node, FileType::Directory, time, FOR_EVER))
    }

    /// What is said of a child of a folder. The children of a root that may become another snapshot may become others.
    fn listed(&self, id: SnapshotId, folder: &Place, child: Child) -> Result<Found, Errno> {
        let found = self.described(id, child.place, child.record.as_deref())?;
        let is_passing = self.shelf.follows() && *folder == Place::root();
        Ok(Found { holds: if is_passing { A_MOMENT } else { found.holds }, ..found })
    }

    fn with_entry(&self, node: Node, record: &Record) -> Found {
        let identity = Identity::of(&node, attributes::hard_link(&record.entry));
        let attributes = attributes::of_record(INodeNo(identity.number()), record, self.owner);
        Found { node, identity, attributes, holds: FOR_EVER }
    }

    fn without_entry(&self, node: Node, kind: FileType, time: SystemTime, holds: Duration) -> Found {
        let identity = Identity::of(&node, None);
        let attributes = attributes::of_nothing(INodeNo(identity.number()), kind, time, self.owner);
        Found { node, identity, attributes, holds }
    }
}

fn joined(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}
