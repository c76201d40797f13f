//! Between repositories of different keys: contents go over chunk by chunk with the borders that they have, and the tree is built again.
//!
//! ```text
//! records > join with the ancestor > windows > fetch from the origin > keep under the target's keys > tree
//! ```
//!
//! Owned here: that line. No table of old and new ids is kept: what snapshots share is found by the join, what is equal
//! within one by the target's deduplication, after it was read. Called by `sync::run`.
//!
//! Bound: [`WINDOWS_FETCHED`] and [`WINDOWS_KEPT`] windows of [`WINDOW_BYTES`], the tree being built, and the join.

use std::sync::Arc;

use credenza_format::{BlobKind, ListBuilder, TreeRoot};
use credenza_model::{ChunkRef, Content, Record};
use futures_util::StreamExt;

use super::Stopped;
use super::ancestor::Ancestor;
use crate::blobs::{BlobLoader, Fetched};
use crate::contents::ContentChunks;
use crate::repository::{Repository, SnapshotHandle};
use crate::walk::Records;
use crate::window::{self, WINDOW_BYTES, Window};
use crate::write::{Deduplicator, GroupKeeper, TreeWriter};
use crate::{Damage, DamageKind, Error, Event, Listener, Result};

/// Windows read from the origin at once.
const WINDOWS_FETCHED: usize = 4;
/// Windows hashed and compressed at once.
const WINDOWS_KEPT: usize = 4;

/// A record on its way to the target.
enum Item {
    /// It has its content there, or none.
    Settled(Record),
    /// Its content is still the origin's.
    Foreign(Record),
}

/// Builds the tree of a snapshot at the target.
pub(super) async fn rebuild(
    origin: &Repository,
    loader: &Arc<BlobLoader>,
    dedup: &Arc<Deduplicator>,
    level: i32,
    (handle, ancestor): (&SnapshotHandle, Option<Ancestor>),
    listener: &dyn Listener,
) -> Result<TreeRoot, Stopped> {
    let tree = handle.snapshot.tree;
    listener.on(Event::Expected { entries: tree.entries, bytes: tree.bytes });
    let records = origin.walk(loader, &tree, &[]);
    let join = Join { records, ancestor, dedup: Arc::clone(dedup), held: None };
    let windows = futures_util::stream::try_unfold(join, |mut join| async {
        let window = join.next().await?;
        Ok::<_, Error>((!window.items.is_empty()).then_some((window, join)))
    });
    let fetched = windows.map(|window| fetch(loader, window)).buffered(WINDOWS_FETCHED);
    let rekey = Rekey { dedup: Arc::clone(dedup), loader: Arc::clone(loader), level };
    let kept = fetched.map(|fetched| async { rekey.keep(fetched?).await }).buffered(WINDOWS_KEPT);
    let mut kept = std::pin::pin!(kept);
    let mut writer = TreeWriter::new(Arc::clone(dedup), level);
    while let Some(records) = kept.next().await {
        let records = records?;
        let bytes = records.iter().map(|record| record.entry.size.unwrap_or(0)).sum();
        listener.on(Event::Progress { entries: records.len() as u64, bytes });
        writer.push(records).await?;
    }
    let root = writer.close().await?;
    if root.entries == tree.entries { Ok(root) } else { Err(miscounted(&tree, root.entries).into()) }
}

fn miscounted(tree: &TreeRoot, entries: u64) -> Error {
    let detail = format!("the tree holds {entries} entries where its snapshot says {}", tree.entries);
    Damage::of_chunk("tree", DamageKind::Invalid, tree.id, detail).into()
}

/// The records of the snapshot against those of the ancestor.
struct Join {
    records: Records,
    ancestor: Option<Ancestor>,
    dedup: Arc<Deduplicator>,
    held: Option<(Item, u64)>,
}

impl Join {
    /// The next window; an empty one is the end.
    async fn next(&mut self) -> Result<Window<Item>> {
        let mut window = Window::new();
        loop {
            let next = match self.held.take() {
                Some(held) => Some(held),
                None => self.step().await?,
            };
            let Some((item, bytes)) = next else { return Ok(window) };
            if !window.has_room(bytes) {
                self.held = Some((item, bytes));
                return Ok(window);
            }
            window.push(item, bytes);
        }
    }

    async fn step(&mut self) -> Result<Option<(Item, u64)>> {
        let Some(record) = self.records.next().await? else { return Ok(None) };
        if matches!(record.content, Content::None | Content::Inline(_)) {
            return Ok(Some((Item::Settled(record), 0)));
        }
        let known = match &mut self.ancestor {
            Some(ancestor) => ancestor.content(&record, &self.dedup).await?,
            None => None,
        };
        Ok(Some(match known {
            Some(content) => (Item::Settled(Record { content, ..record }), 0),
            None => {
                let bytes = window::weight(&record.content);
                (Item::Foreign(record), bytes)
            }
        }))
    }
}

async fn fetch(loader: &BlobLoader, window: Result<Window<Item>>) -> Result<(Window<Item>, Fetched)> {
    let window = window?;
    let foreign = window.items.iter().filter_map(|item| match item {
        Item::Foreign(record) => Some(record),
        Item::Settled(_) => None,
    });
    // A large one is read where it is kept, piece by piece.
    let fetched = if window.is_large() { Fetched::new() } else { window::fetch(loader, foreign).await? };
    Ok((window, fetched))
}

/// Puts contents under the keys of the target.
struct Rekey {
    dedup: Arc<Deduplicator>,
    loader: Arc<BlobLoader>,
    level: i32,
}

impl Rekey {
    async fn keep(&self, (window, fetched): (Window<Item>, Fetched)) -> Result<Vec<Record>> {
        let large = window.is_large();
        let mut items = window.items;
        if large && let Some(Item::Foreign(record)) = items.pop() {
            return Ok(vec![self.keep_large(record).await?]);
        }
        let mut line = self.line()?;
        let work = move || {
            let settled = items.into_iter().map(|item| line.settle(item, &fetched)).collect::<Result<_>>()?;
            line.keeper.flush().map(|()| settled)
        };
        self.dedup.packs().workers().work("re-key", work).await
    }

    async fn keep_large(&self, record: Record) -> Result<Record> {
        let mut chunks = ContentChunks::new(Arc::clone(&self.loader), &record.content);
        let mut line = self.line()?;
        let workers = self.dedup.packs().workers();
        loop {
            let refs = chunks.next(WINDOW_BYTES).await?;
            if refs.is_empty() {
                let close = move || line.finish().and_then(|content| line.keeper.flush().map(|()| content));
                let content = workers.work("re-key", close).await?;
                return Ok(Record { content, ..record });
            }
            let fetched = self.loader.load(refs.iter().map(|chunk| chunk.id)).await?;
            line = workers.work("re-key", move || line.append(&refs, &fetched).map(|()| line)).await?;
        }
    }

    fn line(&self) -> Result<ContentLine> {
        let keeper = GroupKeeper::new(Arc::clone(&self.dedup), self.level)?;
        Ok(ContentLine { list: ListBuilder::new(self.dedup.keys()), keeper, dedup: Arc::clone(&self.dedup) })
    }
}

/// One content after another, under the target's keys. All of it blocks.
struct ContentLine {
    dedup: Arc<Deduplicator>,
    keeper: GroupKeeper,
    list: ListBuilder,
}

impl ContentLine {
    fn settle(&mut self, item: Item, fetched: &Fetched) -> Result<Record> {
        let record = match item {
            Item::Settled(record) => return Ok(record),
            Item::Foreign(record) => record,
        };
        if let Content::Chunks(refs) = &record.content {
            self.append(refs, fetched)?;
        }
        Ok(Record { content: self.finish()?, ..record })
    }

    fn append(&mut self, refs: &[ChunkRef], fetched: &Fetched) -> Result<()> {
        let Self { keeper, list, .. } = self;
        for chunk in refs {
            let missing = || Damage::of_chunk("index", DamageKind::Missing, chunk.id, "a chunk was not found");
            let plain = fetched.get(&chunk.id).cloned().unwrap_or_else(|| Err(missing()))?;
            let kept = keeper.keep(&plain)?;
            list.push(kept, &mut |_, bytes: Vec<u8>| keeper.keep_blob(BlobKind::List, &bytes))?;
        }
        Ok(())
    }

    /// The content of what was appended; the next begins.
    fn finish(&mut self) -> Result<Content> {
        let Self { dedup, keeper, list } = self;
        let list = std::mem::replace(list, ListBuilder::new(dedup.keys()));
        list.finish(&mut |_, bytes: Vec<u8>| keeper.keep_blob(BlobKind::List, &bytes))
    }
}
