//! The files that the kernel knows, by the numbers that it knows them by.
//!
//! A number follows from the snapshot and the key alone, so that it is the same at the next mount, and one number is one file: names of one file (hard
//! links) share it.
//!
//! Owned here: numbers, and what is forgotten when the kernel forgets it. Called by `filesystem`.
//!
//! Bound: the key of each file that the kernel remembers. It forgets when memory is short.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use credenza_model::SnapshotId;
use fuser::INodeNo;

use crate::tree::Place;

/// Something that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// What is in the folders of the shelf, by its path.
    Shelf(Vec<u8>),
    /// What is in a snapshot.
    In(SnapshotId, Place),
}

/// A node by what it is, in 128 bits of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u128);

impl Identity {
    /// That of a node; with `hard_link`, what names of its file have in common, that of the file.
    pub(super) fn of(node: &Node, hard_link: Option<&str>) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        match (node, hard_link) {
            (Node::Shelf(path), _) => {
                part(b"shelf");
                part(path);
            }
            (Node::In(id, _), Some(file)) => {
                part(b"file");
                part(id.as_bytes());
                part(file.as_bytes());
            }
            (Node::In(id, place), None) => {
                match place {
                    Place::Folder(_) => part(b"folder"),
                    Place::Begun { .. } => part(b"begun"),
                    Place::Entry(_) => part(b"entry"),
                }
                part(id.as_bytes());
                match place {
                    Place::Folder(key) | Place::Entry(key) => part(key),
                    Place::Begun { prefix, names } => {
                        part(prefix);
                        names.iter().for_each(|name| part(name));
                    }
                }
            }
        }
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        Self(u128::from_le_bytes(bytes))
    }

    /// The number that it has unless another has it. Those up to that of the root mean other things.
    pub(super) fn number(self) -> u64 {
        let [first, second] = [self.0 as u64, (self.0 >> 64) as u64];
        if first > INodeNo::ROOT.0 { first } else { second | 2 }
    }
}

#[derive(Default)]
pub(super) struct Nodes(Mutex<HashMap<u64, Known>>);

struct Known {
    node: Node,
    identity: Identity,
    /// How often the kernel was told of it and has not forgotten it.
    lookups: u64,
}

impl Nodes {
    /// The number of a node that the kernel is told of once more.
    pub(super) fn tell(&self, node: &Node, identity: Identity) -> INodeNo {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut number = identity.number();
        while known.get(&number).is_some_and(|other| other.identity != identity) {
            number = number.wrapping_add(1).max(INodeNo::ROOT.0 + 1);
        }
        known.entry(number).or_insert_with(|| Known { node: node.clone(), identity, lookups: 0 }).lookups += 1;
        INodeNo(number)
    }

    /// What a number means; none for one that was forgotten.
    pub(super) fn get(&self, number: INodeNo) -> Option<Node> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&number.0).map(|known| known.node.clone())
    }

    /// Takes back what the kernel was told so many times.
    pub(super) fn forget(&self, number: INodeNo, times: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = known.get_mut(&number.0) {
            node.lookups = node.lookups.saturating_sub(times);
            if node.lookups == 0 {
                known.remove(&number.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str) -> Node {
        Node::In(SnapshotId::new([7; 16]), Place::Entry(key.as_bytes().to_vec()))
    }

    #[test]
    fn a_node_keeps_its_number_and_is_there_until_it_is_forgotten_as_often_as_it_was_told() {
        let (first, second) = (Nodes::default(), Nodes::default());
        let identity = Identity::of(&entry("a"), None);
        let number = first.tell(&entry("a"), identity);
        assert_eq!(first.tell(&entry("a"), identity), number);
        assert_eq!(second.tell(&entry("a"), identity), number);
        first.forget(number, 1);
        assert_eq!(first.get(number), Some(entry("a")));
        first.forget(number, 1);
        assert_eq!(first.get(number), None);
    }

    #[test]
    fn names_of_one_file_share_a_number_and_nothing_else_does() {
        let nodes = Nodes::default();
        let number = |key, file| nodes.tell(&entry(key), Identity::of(&entry(key), file));
        assert_eq!(number("a", Some("8.1:5")), number("b", Some("8.1:5")));
        let folder = Node::In(SnapshotId::new([7; 16]), Place::Folder(b"a".to_vec()));
        let other = Node::In(SnapshotId::new([8; 16]), Place::Entry(b"a".to_vec()));
        let numbers = [
            number("a", None),
            number("b", None),
            nodes.tell(&folder, Identity::of(&folder, None)),
            nodes.tell(&other, Identity::of(&other, None)),
        ];
        let different: std::collections::HashSet<u64> = numbers.iter().map(|number| number.0).collect();
        assert_eq!(different.len(), 4);
    }

    #[test]
    fn two_nodes_of_one_number_are_told_apart() {
        let nodes = Nodes::default();
        let (one, other) = (Identity(9), Identity(9 | 1 << 64));
        assert_eq!(one.number(), other.number());
        assert_ne!(nodes.tell(&entry("a"), one), nodes.tell(&entry("b"), other));
    }
}
