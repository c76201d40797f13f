//! Shares: what one of several processes takes of a task, without a word between them.
//!
//! Objects are shared by their ids, which are random. Keys are shared by the tree of a snapshot, which says of each node how much lies below it:
//! each process finds where its own range begins and ends, and reads one node a level for that.
//!
//! Owned here: these two ways. Refused here: what is done with a share (`check`, `sync`, `restore`), and the ranges of a source that has no snapshot
//! (`shards`). Called by all of these.
//!
//! Bound: one node.

use credenza_format::{Child, Node, TreeRoot};
use credenza_model::{Key, ObjectId, Record};

use crate::blobs::BlobLoader;
use crate::parts::Spans;
use crate::{Damage, DamageKind, Result};

/// What an entry costs beside its bytes, in bytes that take as long: a small file is a matter of some system calls, or of a request.
const ENTRY_BYTES: u64 = 32 * 1024;

/// One of several processes that share a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Share {
    /// Which, from 0.
    pub number: u32,
    /// How many there are, at least one.
    pub of: u32,
}

impl Share {
    /// Whether an object is its own, of those that are shared by their ids.
    pub(crate) fn has(self, id: &ObjectId) -> bool {
        let drawn = id.as_bytes().first_chunk().map_or(0, |drawn| u64::from_le_bytes(*drawn));
        drawn.checked_rem(u64::from(self.of)).is_none_or(|owner| owner == u64::from(self.number))
    }

    /// Whether no process comes behind it.
    pub(crate) const fn is_last(self) -> bool {
        self.number.saturating_add(1) >= self.of
    }
}

/// The keys that one process takes: those behind `after`, up to and with `until`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct KeyRange {
    /// None for the first key.
    pub(crate) after: Option<Key>,
    /// None for the last.
    pub(crate) until: Option<Key>,
}

impl KeyRange {
    /// Whether no key can lie in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.after.as_ref().zip(self.until.as_ref()).is_some_and(|(after, until)| after >= until)
    }
}

/// By what the shares of a tree are equal.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Measure {
    /// Their entries: a source is listed by these.
    Entries,
    /// Their bytes, and some for each entry.
    Work,
}

impl Measure {
    fn of(self, entries: u64, bytes: u64) -> u128 {
        match self {
            Self::Entries => u128::from(entries),
            Self::Work => u128::from(entries) * u128::from(ENTRY_BYTES) + u128::from(bytes),
        }
    }

    fn of_child(self, child: &Child) -> u128 {
        self.of(child.entries, child.bytes)
    }

    fn of_record(self, record: &Record) -> u128 {
        self.of(1, record.content.bytes())
    }
}

/// A tree that is shared.
pub(crate) struct SharedTree<'a> {
    pub(crate) loader: &'a BlobLoader,
    pub(crate) root: &'a TreeRoot,
    pub(crate) measure: Measure,
}

impl SharedTree<'_> {
    /// The keys of some spans that one process takes. All processes that ask for the same of one tree have ranges that meet, whatever they are.
    ///
    /// # Errors
    /// When a node on the way to an end of the range cannot be read: nobody may guess it, or ranges would not meet.
    pub(crate) async fn range(&self, spans: &Spans, share: Share) -> Result<KeyRange> {
        let mut ends = Vec::new();
        let mut all: u128 = 0;
        for (start, end) in spans.ends() {
            let (from, to) = (self.before(Some(start)).await?, self.before(end).await?);
            let inside = to.saturating_sub(from);
            ends.push((from, inside));
            all = all.saturating_add(inside);
        }
        let border = |number: u32| {
            let mut left = all.saturating_mul(u128::from(number)) / u128::from(share.of.max(1));
            for (from, inside) in &ends {
                if left <= *inside {
                    return from.saturating_add(left);
                }
                left -= inside;
            }
            all
        };
        Ok(KeyRange {
            after: if share.number == 0 { None } else { self.key_at(border(share.number)).await? },
            until: if share.is_last() { None } else { self.key_at(border(share.number.saturating_add(1))).await? },
        })
    }

    /// How much lies before a key; all without one.
    async fn before(&self, key: Option<&[u8]>) -> Result<u128> {
        let Some(key) = key else { return Ok(self.measure.of(self.root.entries, self.root.bytes)) };
        if key.is_empty() {
            return Ok(0);
        }
        let mut all: u128 = 0;
        let (mut id, mut level) = (self.root.id, self.root.level);
        loop {
            match self.node(id, level).await? {
                Node::Leaf(records) => {
                    let before = records.iter().filter(|record| record.entry.key.as_bytes() < key);
                    return Ok(all.saturating_add(before.map(|record| self.measure.of_record(record)).sum()));
                }
                Node::Inner(children) => {
                    let mut below = None;
                    for child in children {
                        if child.last_key.as_bytes() >= key {
                            below = Some(child.id);
                            break;
                        }
                        all = all.saturating_add(self.measure.of_child(&child));
                    }
                    let Some(below) = below else { return Ok(all) };
                    (id, level) = (below, level.saturating_sub(1));
                }
            }
        }
    }

    /// The key of the first record up to and with which so much lies; none in an empty tree.
    async fn key_at(&self, mut wanted: u128) -> Result<Option<Key>> {
        let (mut id, mut level) = (self.root.id, self.root.level);
        loop {
            match self.node(id, level).await? {
                Node::Leaf(records) => {
                    let mut last = None;
                    for record in records {
                        let own = self.measure.of_record(&record);
                        last = Some(record.entry.key);
                        if wanted <= own {
                            break;
                        }
                        wanted -= own;
                    }
                    return Ok(last);
                }
                Node::Inner(children) => {
                    let mut below = None;
                    for child in children {
                        let own = self.measure.of_child(&child);
                        below = Some(child.id);
                        if wanted <= own {
                            break;
                        }
                        wanted -= own;
                    }
                    let Some(below) = below else { return Ok(None) };
                    (id, level) = (below, level.saturating_sub(1));
                }
            }
        }
    }

    async fn node(&self, id: credenza_model::ChunkId, level: u8) -> Result<Node> {
        let bytes = self.loader.load_one(id).await?;
        let node = Node::decode(&bytes, level);
        node.map_err(|cause| Damage::of_chunk("tree", DamageKind::Invalid, id, cause.to_string()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_is_one_process_own_and_all_have_about_as_many() {
        let of = 3;
        let mut owned = [0_u32; 3];
        for number in 0..9000_u64 {
            let id = ObjectId::new(drawn(number));
            let owners: Vec<u32> = (0..of).filter(|number| Share { number: *number, of }.has(&id)).collect();
            assert_eq!(owners.len(), 1);
            owned[owners[0] as usize] += 1;
        }
        assert!(owned.iter().all(|own| (2700..3300).contains(own)), "{owned:?}");
    }

    /// Bytes that look drawn, the same each time (splitmix64, Steele et al., OOPSLA 2014).
    fn drawn(seed: u64) -> [u8; 16] {
        let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u128::from(mixed ^ (mixed >> 31)).to_le_bytes()
    }
}
