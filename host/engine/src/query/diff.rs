//! Diff: two snapshots side by side, in key order; subtrees that are equal are not read.
//!
//! Called by `cli`, `web` and `turnover`. Bound: two cursors, and the versions of one key.

use std::collections::{HashSet, VecDeque};

use credenza_model::{ChunkId, Entry, Key, Record};

use super::below;
use super::cursor::{Cursor, Front, Subtree};
use crate::Result;
use crate::repository::SnapshotHandle;
use crate::view::View;

/// How an entry differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// Only the second snapshot has it.
    Added,
    /// Only the first snapshot has it.
    Removed,
    /// Its bytes, its kind or the target of a link differ. Bytes are compared by the ids of their chunks.
    Content,
    /// Its times, attributes or status differ, and its bytes do not.
    Metadata,
}

/// An entry that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// How.
    pub kind: ChangeKind,
    /// As the first snapshot has it.
    pub before: Option<Entry>,
    /// As the second snapshot has it.
    pub after: Option<Entry>,
}

/// A stream of the differences between two snapshots.
pub struct Diff {
    before: Side,
    after: Side,
    /// Whether keys mean the same on both sides, so that equal nodes are equal parts.
    same_prefix: bool,
    ready: VecDeque<Pair>,
}

/// An entry that differs, with its contents.
pub(crate) struct Pair {
    pub(crate) kind: ChangeKind,
    pub(crate) before: Option<Record>,
    pub(crate) after: Option<Record>,
}

struct Side {
    cursor: Cursor,
    prefix: Vec<u8>,
}

impl View {
    /// What differs between two snapshots, or between what lies at or under a key in each.
    #[must_use]
    pub fn diff(&self, before: (&SnapshotHandle, &[u8]), after: (&SnapshotHandle, &[u8])) -> Diff {
        let side = |(handle, prefix): (&SnapshotHandle, &[u8])| Side {
            cursor: Cursor::new(std::sync::Arc::clone(self.loader()), &handle.snapshot.tree, prefix.to_vec()),
            prefix: prefix.to_vec(),
        };
        let same_prefix = before.1 == after.1;
        Diff { before: side(before), after: side(after), same_prefix, ready: VecDeque::new() }
    }
}

impl Diff {
    /// Only what differs behind a key: a page goes on there. Of what comes before it nothing is read but the way down. Keys are those of the snapshots,
    /// so that this is for two sides with one prefix. Call it before the first [`next`](Self::next).
    #[must_use]
    pub fn behind(mut self, key: &Key) -> Self {
        self.before.cursor.begin_behind(key.clone());
        self.after.cursor.begin_behind(key.clone());
        self
    }

    /// The next difference; `None` at the end.
    ///
    /// # Errors
    /// Damage when a node is lost.
    pub async fn next(&mut self) -> Result<Option<Change>> {
        let entry = |record: Option<Record>| record.map(|record| record.entry);
        let pair = self.next_pair().await?;
        Ok(pair.map(|Pair { kind, before, after }| Change { kind, before: entry(before), after: entry(after) }))
    }

    /// The same, with the contents.
    pub(crate) async fn next_pair(&mut self) -> Result<Option<Pair>> {
        loop {
            if let Some(pair) = self.ready.pop_front() {
                return Ok(Some(pair));
            }
            match (self.before.cursor.front(), self.after.cursor.front()) {
                (Front::End, Front::End) => return Ok(None),
                (Front::Subtree(a), Front::Subtree(b)) => self.meet(a, b).await?,
                (Front::Subtree(_), _) => open(&mut self.before.cursor, &self.after.cursor).await?,
                (_, Front::Subtree(_)) => open(&mut self.after.cursor, &self.before.cursor).await?,
                _ => self.compare().await?,
            }
        }
    }

    /// All before these subtrees is compared. Equal ones are passed over; else the higher one is opened, so that what lies in it can be
    /// met by its like.
    async fn meet(&mut self, a: Subtree, b: Subtree) -> Result<()> {
        let (before, after) = (&mut self.before.cursor, &mut self.after.cursor);
        if a == b && self.same_prefix {
            before.skip();
            after.skip();
            return Ok(());
        }
        if a.level >= b.level {
            open(before, after).await?;
        }
        if b.level >= a.level {
            open(after, before).await?;
        }
        Ok(())
    }

    /// Compares the records in front.
    async fn compare(&mut self) -> Result<()> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match (self.before.key(), self.after.key()) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Less,
            (None, Some(_)) => Greater,
            (None, None) => return Ok(()),
        };
        let mut before = if order == Greater { Vec::new() } else { self.before.group().await? };
        let mut after = if order == Less { Vec::new() } else { self.after.group().await? };
        if order == Equal {
            let (a, b) = self.pair(before, after);
            (before, after) = (a, b);
        }
        let pair = |kind, before, after| Pair { kind, before, after };
        self.ready.extend(before.into_iter().map(|old| pair(ChangeKind::Removed, Some(old), None)));
        self.ready.extend(after.into_iter().map(|new| pair(ChangeKind::Added, None, Some(new))));
        Ok(())
    }

    /// Compares versions of one key with their like, and hands back those that have none.
    fn pair(&mut self, before: Vec<Record>, mut after: Vec<Record>) -> (Vec<Record>, Vec<Record>) {
        let mut removed = Vec::new();
        for old in before {
            match after.iter().position(|new| version(new) == version(&old)) {
                None => removed.push(old),
                Some(place) => {
                    let new = after.remove(place);
                    let kind = difference(&old, &new);
                    self.ready.extend(kind.map(|kind| Pair { kind, before: Some(old), after: Some(new) }));
                }
            }
        }
        (removed, after)
    }
}

/// Opens the subtree in front; leaves are loaded along unless the other side will be met by the same.
async fn open(cursor: &mut Cursor, other: &Cursor) -> Result<()> {
    let shared: HashSet<ChunkId> = other.following(0).collect();
    cursor.open(|id| !shared.contains(id)).await
}

impl Side {
    /// The key in front, below the prefix.
    fn key(&self) -> Option<&[u8]> {
        match self.cursor.front() {
            Front::Record(record) => Some(below(&record.entry.key, &self.prefix)),
            Front::Subtree(_) | Front::End => None,
        }
    }

    /// Takes the records of the key in front: one, or its versions.
    async fn group(&mut self) -> Result<Vec<Record>> {
        let mut group: Vec<Record> = self.cursor.pop().into_iter().collect();
        while let Some(last) = group.last().filter(|last| last.entry.version.is_some()) {
            match self.cursor.front() {
                Front::Record(next) if next.entry.key == last.entry.key => group.extend(self.cursor.pop()),
                Front::Subtree(_) => self.cursor.open(|_| false).await?,
                Front::Record(_) | Front::End => break,
            }
        }
        Ok(group)
    }
}

fn version(record: &Record) -> Option<&str> {
    record.entry.version.as_ref().map(|version| version.id.as_str())
}

fn difference(before: &Record, after: &Record) -> Option<ChangeKind> {
    let (old, new) = (&before.entry, &after.entry);
    if before.content != after.content
        || old.kind != new.kind
        || old.size != new.size
        || old.link_target != new.link_target
    {
        return Some(ChangeKind::Content);
    }
    (shown(old) != shown(new) || before.status != after.status).then_some(ChangeKind::Metadata)
}

/// What a person knows of an entry: marks by which a source recognises it again are not a change.
fn shown(entry: &Entry) -> Entry {
    Entry { key: Key::default(), fingerprint: None, locator: None, checksums: Vec::new(), ..entry.clone() }
}
