//! The tree of a snapshot: an ordered map from keys to records, as nodes whose boundaries depend on their keys alone.
//!
//! A prolly tree (probabilistic B-tree, as in Noms): equal runs of records give equal nodes in every snapshot, so trees
//! share what they share and differ in a node per level for each change. Owned here: nodes, boundaries, lists of chunks.
//! Refused here: reading and storing nodes (the engine).

mod builder;
mod list;
mod node;
mod record;

pub use builder::TreeBuilder;
pub use list::{ListBuilder, decode_list, encode_list};
pub use node::{Child, Node};

use credenza_model::ChunkId;
use serde::{Deserialize, Serialize};

/// Where a tree begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeRoot {
    /// The root node.
    pub id: ChunkId,
    /// Its level; leaves are on level 0.
    pub level: u8,
    /// Bytes of the encoded root node.
    pub length: u32,
    /// Records in the tree.
    pub entries: u64,
    /// Bytes of content of all records.
    pub bytes: u64,
}

/// Highest level of a root: 64 KiB nodes of some 400 children each reach 10¹⁸ records on level 6.
const LEVEL_MAX: u8 = 16;

#[cfg(test)]
mod tests;
