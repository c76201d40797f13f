//! Writing to a repository: what backup, sync and repacking share.
//!
//! Owned here: deduplication (`dedup`, `fresh`), small chunks that share a frame (`group`), packing and upload (`packs`, `workers`), what was written (`record`), which packs a snapshot relies on
//! (`usage`), the protocol that makes it safe beside other writers and collectors (`commit`, `relocate`, `carried`), locks (`hold`), and copying between
//! packs (`copy`). Refused here: what a snapshot says.

mod carried;
mod claim;
mod commit;
mod copy;
mod dedup;
mod fresh;
mod group;
mod hold;
mod locks;
mod packs;
mod put;
mod record;
mod relocate;
#[cfg(test)]
mod tests;
mod tree;
mod usage;
mod workers;

pub(crate) use claim::claim;
pub(crate) use commit::{Committed, Draft, commit, commit_member, settle_group};
pub(crate) use copy::{copy, read_whole};
pub(crate) use dedup::Deduplicator;
pub(crate) use group::{GroupKeeper, keep_together};
pub(crate) use hold::hold_until;
pub(crate) use put::put;
pub(crate) use record::put_intent;
pub(crate) use tree::TreeWriter;
pub(crate) use usage::UsageMap;
