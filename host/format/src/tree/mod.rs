//! The tree of a snapshot: an ordered map from keys to records, stored as nodes whose borders follow from the keys alone.
//!
//! A prolly tree (as in Noms and Dolt: "Prolly Trees", docs.dolthub.com/architecture/storage-engine/prolly-tree): equal runs of
//! records give equal nodes whatever came before them, so snapshots share nodes, and a comparison passes over equal subtrees.
//!
//! Owned here: the codec of records (`record`), of nodes (`node`), the builder (`builder`), joining trees (`join`), and lists of the chunks of long contents
//! (`list`). Refused here: fetching nodes, which is the engine's.

mod builder;
mod join;
mod list;
mod node;
mod record;
#[cfg(test)]
mod tests;

pub use builder::{TreeBuilder, TreeRoot};
pub use join::join_trees;
pub use list::{LIST_REFS_SPLIT, ListBuilder, decode_list, encode_list};
#[cfg(feature = "fuzzing")]
pub(crate) use node::encode as encode_node;
pub use node::{Child, LEVEL_MAX, Node};
pub use record::{RECORD_BYTES_MAX, decode_record, encode_record};
