//! The numbers by which the kernel knows files, and the way back from each.
//!
//! A number follows from the snapshot and the entry alone, so that it is the same at the next mount, and nothing has to be remembered for it: it is the
//! position of the entry in its snapshot, under a tag of the snapshot, so that the tree itself leads back. A folder that is only what keys have in common
//! has the position of the first entry in it and its depth.
//!
//! | bits | what |
//! |---|---|
//! | 63 | 0; a number with 1 is a hash, and what it means is remembered |
//! | 40–62 | tag of the snapshot, not 0 |
//! | 36–39 | depth, 0 for the entry itself |
//! | 0–35 | position |
//!
//! Names of one file (hard links) share a number, which is a hash of what they have in common. Hashes are, too, folders of the shelf, the beginnings of names
//! that are too long, and what lies too deep or behind too many entries for the bits.
//!
//! Owned here: numbers, and what is forgotten when the kernel forgets it. Called by `files`.
//!
//! Bound: some 80 bytes for each file of several names that the kernel remembers, and what names the few others.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use credenza_model::SnapshotId;
use fuser::INodeNo;

use crate::tree::Place;

const IS_HASH: u64 = 1 << 63;
const TAG_SHIFT: u32 = 40;
const TAG_MASK: u32 = (1 << 23) - 1;
const DEPTH_SHIFT: u32 = 36;
const DEPTH_MASK: u64 = 0xf;
const POSITION_MASK: u64 = (1 << DEPTH_SHIFT) - 1;

/// Something that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// What is in the folders of the shelf, by its path.
    Shelf(Vec<u8>),
    /// What is in a snapshot.
    In(SnapshotId, Place),
}

/// Where something is found in a snapshot: see [`Place::depth`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) position: u64,
    pub(super) depth: usize,
}

/// What a number means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// What is found there.
    At(SnapshotId, Spot),
    Node(Node),
}

/// The number of a node, before the kernel is told of it.
#[derive(Debug)]
pub(super) enum Numbered {
    Spot(INodeNo),
    Hash { hash: u128, means: Means },
}

impl Numbered {
    /// The number that it has unless it is a hash and another has that.
    pub(super) const fn number(&self) -> INodeNo {
        match self {
            Self::Spot(number) => *number,
            Self::Hash { hash, .. } => INodeNo(*hash as u64 | IS_HASH),
        }
    }
}

/// What a hash stands for.
#[derive(Debug, Clone)]
pub(super) enum Means {
    /// The same as a number that is none.
    Spot(INodeNo),
    Node(Box<Node>),
}

#[derive(Default)]
pub(super) struct Nodes(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// The snapshots that have been told of.
    tags: HashMap<u32, SnapshotId>,
    hashes: HashMap<u64, Told>,
}

/// What the kernel was told by a hash.
struct Told {
    means: Means,
    /// The part of the hash that is not in the number.
    rest: u64,
    /// How often the kernel was told of it and has not forgotten it.
    lookups: u64,
}

impl Known {
    /// The tag of a snapshot: of its id, unless another has that.
    fn tag(&mut self, id: SnapshotId) -> u32 {
        let mut tag = (hash_of(&[b"tag", id.as_bytes()]) as u32 & TAG_MASK).max(1);
        while self.tags.get(&tag).is_some_and(|other| *other != id) {
            tag = ((tag + 1) & TAG_MASK).max(1);
        }
        self.tags.insert(tag, id);
        tag
    }

    fn meaning(&self, spot: INodeNo) -> Option<Meaning> {
        let tag = u32::try_from(spot.0 >> TAG_SHIFT).ok()?;
        let depth = usize::try_from(spot.0 >> DEPTH_SHIFT & DEPTH_MASK).ok()?;
        let id = self.tags.get(&tag)?;
        Some(Meaning::At(*id, Spot { position: spot.0 & POSITION_MASK, depth }))
    }
}

impl Nodes {
    /// The number of a node. With `hard_link`, what names of its file have in common, it is that of the file.
    pub(super) fn numbered(&self, node: &Node, spot: Option<Spot>, hard_link: Option<&str>) -> Numbered {
        let number = match (node, spot) {
            (Node::In(id, _), Some(spot)) => self.spot(*id, spot),
            _ => None,
        };
        match (node, number, hard_link) {
            (Node::In(id, _), _, Some(file)) => {
                let means = number.map_or_else(|| Means::Node(Box::new(node.clone())), Means::Spot);
                Numbered::Hash { hash: hash_of(&[b"file", id.as_bytes(), file.as_bytes()]), means }
            }
            (_, Some(number), _) => Numbered::Spot(number),
            (_, None, _) => Numbered::Hash { hash: hash_of_node(node), means: Means::Node(Box::new(node.clone())) },
        }
    }

    /// The number of what is found in a snapshot; none where it has not enough bits.
    fn spot(&self, id: SnapshotId, Spot { position, depth }: Spot) -> Option<INodeNo> {
        let depth = u64::try_from(depth).ok().filter(|depth| *depth <= DEPTH_MASK)?;
        let tag = u64::from(self.lock().tag(id));
        (position <= POSITION_MASK).then_some(INodeNo(tag << TAG_SHIFT | depth << DEPTH_SHIFT | position))
    }

    /// The number of a node that the kernel is told of once more.
    pub(super) fn tell(&self, numbered: &Numbered) -> INodeNo {
        let Numbered::Hash { hash, means } = numbered else { return numbered.number() };
        let (mut number, rest) = (numbered.number().0, (hash >> 64) as u64);
        let hashes = &mut self.lock().hashes;
        while hashes.get(&number).is_some_and(|other| other.rest != rest) {
            number = number.wrapping_add(1) | IS_HASH;
        }
        hashes.entry(number).or_insert_with(|| Told { means: means.clone(), rest, lookups: 0 }).lookups += 1;
        INodeNo(number)
    }

    /// What a number means; none for one that was never told or was forgotten.
    pub(super) fn get(&self, number: INodeNo) -> Option<Meaning> {
        let known = self.lock();
        if number.0 & IS_HASH == 0 {
            return known.meaning(number);
        }
        match &known.hashes.get(&number.0)?.means {
            Means::Spot(spot) => known.meaning(*spot),
            Means::Node(node) => Some(Meaning::Node((**node).clone())),
        }
    }

    /// Takes back what the kernel was told so many times.
    pub(super) fn forget(&self, number: INodeNo, times: u64) {
        let mut known = self.lock();
        if let Some(told) = known.hashes.get_mut(&number.0) {
            told.lookups = told.lookups.saturating_sub(times);
            if told.lookups == 0 {
                known.hashes.remove(&number.0);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash_of_node(node: &Node) -> u128 {
    match node {
        Node::Shelf(path) => hash_of(&[b"shelf", path]),
        Node::In(id, Place::Folder(key)) => hash_of(&[b"folder", id.as_bytes(), key]),
        Node::In(id, Place::Entry(key)) => hash_of(&[b"entry", id.as_bytes(), key]),
        Node::In(id, Place::Begun { prefix, names }) => {
            let mut parts = vec![&b"begun"[..], id.as_bytes(), prefix];
            parts.extend(names.iter().map(Vec::as_slice));
            hash_of(&parts)
        }
    }
}

fn hash_of(parts: &[&[u8]]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SnapshotId = SnapshotId::new([7; 16]);

    fn entry(key: &str) -> Node {
        Node::In(ID, Place::Entry(key.as_bytes().to_vec()))
    }

    fn spot(position: u64, depth: usize) -> Option<Spot> {
        Some(Spot { position, depth })
    }

    #[test]
    fn the_number_of_an_entry_leads_back_and_nothing_is_remembered_for_it() {
        let (first, second) = (Nodes::default(), Nodes::default());
        for (position, depth) in [(0, 0), (1, 0), (1, 1), (1, 15), (POSITION_MASK, 3)] {
            let number = first.tell(&first.numbered(&entry("a"), spot(position, depth), None));
            assert_eq!(second.tell(&second.numbered(&entry("a"), spot(position, depth), None)), number);
            assert_eq!(first.get(number), Some(Meaning::At(ID, Spot { position, depth })));
            // Who forgets it may ask again.
            first.forget(number, 1);
            assert!(first.get(number).is_some());
        }
        assert!(first.lock().hashes.is_empty());
        // As another snapshot has it, it is another.
        let other = Node::In(SnapshotId::new([8; 16]), Place::Entry(b"a".to_vec()));
        let number = |node: &Node| first.tell(&first.numbered(node, spot(1, 0), None));
        assert_ne!(number(&entry("a")), number(&other));
    }

    #[test]
    fn what_has_not_enough_bits_is_there_until_it_is_forgotten_as_often_as_it_was_told() {
        let nodes = Nodes::default();
        let spots = [spot(1, 16), spot(POSITION_MASK + 1, 0), None];
        for (node, spot) in [entry("a"), entry("b"), Node::Shelf(b"tags".to_vec())].into_iter().zip(spots) {
            let tell = || nodes.tell(&nodes.numbered(&node, spot, None));
            let number = tell();
            assert_eq!(tell(), number);
            nodes.forget(number, 1);
            assert_eq!(nodes.get(number), Some(Meaning::Node(node.clone())));
            nodes.forget(number, 1);
            assert_eq!(nodes.get(number), None);
        }
    }

    #[test]
    fn names_of_one_file_share_a_number_and_nothing_else_does() {
        let nodes = Nodes::default();
        let number = |key, at, file| nodes.tell(&nodes.numbered(&entry(key), spot(at, 0), file));
        let file = number("a", 1, Some("8.1:5"));
        assert_eq!(number("b", 2, Some("8.1:5")), file);
        assert_eq!(nodes.get(file), Some(Meaning::At(ID, Spot { position: 1, depth: 0 })));
        let folder = Node::In(ID, Place::Folder(b"a/".to_vec()));
        let numbers =
            [file, number("a", 1, None), number("b", 2, None), nodes.tell(&nodes.numbered(&folder, spot(1, 1), None))];
        let different: std::collections::HashSet<u64> = numbers.iter().map(|number| number.0).collect();
        assert_eq!(different.len(), 4);
    }

    #[test]
    fn two_hashes_of_one_number_are_told_apart() {
        let nodes = Nodes::default();
        let of = |hash| Numbered::Hash { hash, means: Means::Node(Box::new(entry("a"))) };
        assert_ne!(nodes.tell(&of(9)), nodes.tell(&of(9 | 1 << 64)));
        assert_eq!(nodes.tell(&of(9)), nodes.tell(&of(9)));
    }
}
