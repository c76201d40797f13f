//! Writing to a repository: what backup, sync and repacking share.
//!
//! Owned here: deduplication, packing and upload (`stow`), which packs a snapshot relies on (`usage`), the protocol that
//! makes it safe beside other writers and collectors (`commit`, `relocate`), locks (`hold`), and copying between packs (`copy`). Refused
//! here: what a snapshot says.

mod claim;
mod commit;
mod copy;
mod hold;
mod locks;
mod put;
mod relocate;
mod stow;
mod tree;
mod usage;

pub(crate) use claim::claim;
pub(crate) use commit::{Draft, commit};
pub(crate) use copy::copy;
pub(crate) use put::put;
pub(crate) use stow::{Stow, locked};
pub(crate) use tree::TreeWriter;
pub(crate) use usage::UsageMap;
