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
use super::nodes::{Meaning, Node, Nodes, Numbered, Spot};
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

/// What is said of something.
pub(super) struct Found {
    numbered: Numbered,
    attributes: FileAttr,
    /// How long that holds.
    pub(super) holds: Duration,
}

impl Found {
    /// The kind of file.
    pub(super) const fn kind(&self) -> FileType {
        self.attributes.kind
    }

    /// With the number by which the kernel is told of it.
    pub(super) fn told(&self, nodes: &Nodes) -> FileAttr {
        FileAttr { ino: nodes.tell(&self.numbered), ..self.attributes }
    }

    /// The number alone, which the kernel does not remember.
    pub(super) fn number(&self) -> INodeNo {
        self.numbered.number()
    }
}

/// A node that the kernel asks for, with its entry where that had to be read to find it.
struct Met {
    node: Node,
    record: Option<Record>,
}

/// Bytes of all that is shown, and how many entries they are in.
pub(super) struct Extent {
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

impl Files {
    /// What a number means.
    pub(super) async fn node(&self, number: INodeNo) -> Result<Node, Errno> {
        Ok(self.met(number).await?.node)
    }

    /// The same, with its entry where that is known now. That of the root is the shelf, or the one snapshot that is shown.
    async fn met(&self, number: INodeNo) -> Result<Met, Errno> {
        if number == INodeNo::ROOT {
            let alone = self.shelf.standing().await.alone;
            let node = alone.map_or_else(|| Node::Shelf(Vec::new()), |id| Node::In(id, Place::root()));
            return Ok(Met { node, record: None });
        }
        match self.nodes.get(number).ok_or(Errno::ESTALE)? {
            Meaning::Node(node) => Ok(Met { node, record: None }),
            Meaning::At(id, Spot { position, depth }) => {
                let found = self.tree(id)?.at(position, depth).await.map_err(|cause| self.told(&cause))?;
                let (place, record) = found.ok_or(Errno::ESTALE)?;
                Ok(Met { node: Node::In(id, place), record })
            }
        }
    }

    /// The entry of a number, with its snapshot; none of what is no entry.
    async fn entry(&self, number: INodeNo) -> Result<Option<(SnapshotTree, Record)>, Errno> {
        let Met { node: Node::In(id, place), record } = self.met(number).await? else { return Ok(None) };
        let tree = self.tree(id)?;
        let record = match record {
            Some(record) => Some(record),
            None => tree.record(&place).await.map_err(|cause| self.told(&cause))?,
        };
        Ok(record.map(|record| (tree, record)))
    }

    /// Whether what stands in a folder stays as it is as long as it is mounted: all but the shelf, and a root that may become another snapshot.
    pub(super) async fn is_for_ever(&self, folder: INodeNo) -> Result<bool, Errno> {
        if folder == INodeNo::ROOT {
            return Ok(self.shelf.standing().await.alone.is_some() && !self.shelf.follows());
        }
        Ok(!matches!(self.nodes.get(folder).ok_or(Errno::ESTALE)?, Meaning::Node(Node::Shelf(_))))
    }

    /// What is said of a number.
    pub(super) async fn attributes(&self, number: INodeNo) -> Result<(FileAttr, Duration), Errno> {
        let found = match self.met(number).await? {
            Met { node: Node::In(id, place), record: Some(record) } => {
                self.described(id, place, Some(&record), None)?
            }
            Met { node: Node::In(id, place), record: None } => self.in_tree(id, place).await?,
            Met { node: Node::Shelf(path), .. } => {
                let standing = self.shelf.standing().await;
                let root = path.is_empty().then_some(&Shelved::Folder);
                let shelved = root.or_else(|| standing.at(&path)).ok_or(Errno::ENOENT)?.clone();
                self.shelved(&standing, path, &shelved).await?
            }
        };
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

    /// What is said where looking for a child came to an error, if that holds for ever: that a folder of a snapshot has no such name, by the number 0.
    pub(super) async fn missing(&self, parent: INodeNo, error: Errno) -> Option<(FileAttr, Duration)> {
        let is_for_ever = error == Errno::ENOENT && self.is_for_ever(parent).await.unwrap_or(false);
        let nothing = || attributes::of_nothing(INodeNo(0), FileType::RegularFile, SystemTime::UNIX_EPOCH, self.owner);
        is_for_ever.then(|| (nothing(), FOR_EVER))
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
        let (tree, record) = self.entry(number).await?.ok_or(Errno::EISDIR)?;
        if never_read(&record).is_some() {
            return Err(Errno::ENODATA);
        }
        tree.reader(&record).await.map_err(|cause| self.told(&cause))
    }

    /// Where a link points.
    pub(super) async fn link(&self, number: INodeNo) -> Result<Vec<u8>, Errno> {
        if let Some(Meaning::Node(Node::Shelf(path))) = self.nodes.get(number) {
            return match self.shelf.standing().await.at(&path) {
                Some(Shelved::Link(target)) => Ok(target.clone()),
                _ => Err(Errno::EINVAL),
            };
        }
        let target = self.entry(number).await?.and_then(|(_, record)| record.entry.link_target);
        target.ok_or(Errno::EINVAL)
    }

    /// The extended attributes of a file.
    pub(super) async fn extended(&self, number: INodeNo) -> Result<Vec<(String, Vec<u8>)>, Errno> {
        let entry = self.entry(number).await?;
        Ok(entry.map(|(_, record)| attributes::extended(&record.entry).collect()).unwrap_or_default())
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
        (self.trouble)(&cause.clone().into());
        Errno::EIO
    }

    fn tree(&self, id: SnapshotId) -> Result<SnapshotTree, Errno> {
        self.shelf.tree(id).ok_or(Errno::ESTALE)
    }

    async fn shelved(&self, standing: &Standing, path: Vec<u8>, shelved: &Shelved) -> Result<Found, Errno> {
        let time = system_time(standing.newest);
        match shelved {
            // It never changes; that it stands there may.
            Shelved::Snapshot(id) => Ok(Found { holds: A_MOMENT, ..self.in_tree(*id, Place::root()).await? }),
            Shelved::Folder => Ok(self.without_entry(&Node::Shelf(path), None, (FileType::Directory, time), A_MOMENT)),
            Shelved::Link(target) => {
                let mut found = self.without_entry(&Node::Shelf(path), None, (FileType::Symlink, time), A_MOMENT);
                (found.attributes.size, found.attributes.perm) = (target.len() as u64, 0o777);
                Ok(found)
            }
        }
    }

    async fn in_tree(&self, id: SnapshotId, place: Place) -> Result<Found, Errno> {
        let found = self.tree(id)?.located(&place).await.map_err(|cause| self.told(&cause))?;
        let (position, record) = found.map_or((None, None), |(position, record)| (Some(position), Some(record)));
        self.described(id, place, record.as_ref(), position)
    }

    /// What is said of something in a snapshot. A folder that is only what keys have in common is as old as the snapshot.
    fn described(
        &self,
        id: SnapshotId,
        place: Place,
        record: Option<&Record>,
        position: Option<u64>,
    ) -> Result<Found, Errno> {
        let spot = position.and_then(|position| Some(Spot { position, depth: place.depth(record)? }));
        let node = Node::In(id, place);
        if let Some(record) = record {
            let numbered = self.nodes.numbered(&node, spot, attributes::hard_link(&record.entry));
            let attributes = attributes::of_record(numbered.number(), record, self.owner);
            return Ok(Found { numbered, attributes, holds: FOR_EVER });
        }
        let time = system_time(self.tree(id)?.snapshot().snapshot.finished);
        Ok(self.without_entry(&node, spot, (FileType::Directory, time), FOR_EVER))
    }

    /// What is said of a child of a folder. The children of a root that may become another snapshot may become others.
    fn listed(&self, id: SnapshotId, folder: &Place, child: Child) -> Result<Found, Errno> {
        let found = self.described(id, child.place, child.record.as_deref(), child.position)?;
        let is_passing = self.shelf.follows() && *folder == Place::root();
        Ok(Found { holds: if is_passing { A_MOMENT } else { found.holds }, ..found })
    }

    fn without_entry(
        &self,
        node: &Node,
        spot: Option<Spot>,
        (kind, time): (FileType, SystemTime),
        holds: Duration,
    ) -> Found {
        let numbered = self.nodes.numbered(node, spot, None);
        let attributes = attributes::of_nothing(numbered.number(), kind, time, self.owner);
        Found { numbered, attributes, holds }
    }
}

fn joined(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}
