//! Merge: the parts of a group become one snapshot, with the tree that one process makes of the same entries.
//!
//! ```text
//! snapshots > the newest part of each process > do they meet? > usage lists united > trees joined > commit > remove the parts
//! ```
//!
//! Owned here: that order, and what the snapshot says. Refused here: the joined tree (`credenza_format::join_trees`), the protocol of
//! committing (`write`). Called by `cli`.
//!
//! A merge that is killed before its commit has done nothing; one that is killed behind it is run again, finds its snapshot and removes the parts.
//! Two at once make two snapshots of one tree.
//!
//! Bound: the index, the usage lists of all parts united, a node a level of one tree, and what `write` states.

use std::sync::Arc;

use credenza_format::{
    BlobKind, ChainLink, Compressor, Hex, PROBLEMS_MAX, Part, SigningKey, Snapshot, SnapshotSource, Statistics,
    TreeRoot, Usage, join_trees,
};
use credenza_model::{ChunkId, SnapshotId};

use super::group_of;
use crate::blobs::BlobLoader;
use crate::groups::{Group, groups};
use crate::repository::{Chain, Repository, Snapshots, random_id};
use crate::write::{self, Committed, Deduplicator, Draft};
use crate::{Error, Event, Phase, Result, RunContext, remove};

/// Fewer digits are no id: a name such as `2027` may begin another group's.
const ID_DIGITS_MIN: usize = 8;

/// What to merge, and who does.
#[derive(Debug, Clone, Default)]
pub struct MergeOptions {
    /// The name of a group, or at least the first eight digits of what is shown of it; the only one that is there without.
    pub group: Option<String>,
    /// Name of this machine.
    pub host: String,
    /// Name of the user.
    pub user: String,
    /// What the writer signs the snapshot with; `None` leaves it unsigned.
    pub signing_key: Option<SigningKey>,
}

/// What a merge did.
#[derive(Debug, Clone, serde::Serialize)]
pub struct MergeReport {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Whether an earlier merge had made it.
    pub was_there: bool,
    /// The source, as the user wrote its location.
    pub source: String,
    /// The group.
    pub group: Hex<[u8; 16]>,
    /// Its parts.
    pub parts: u32,
    /// Entries in the snapshot.
    pub entries: u64,
    /// Entries that could not be kept whole.
    pub errors: u64,
    /// Nodes of trees that were read.
    pub nodes_read: u64,
    /// Bytes added to the repository.
    pub bytes_added: u64,
    /// Parts that are gone.
    pub removed: u64,
    /// Parts that the store refused to delete, with its reason.
    pub refused: Vec<(SnapshotId, String)>,
    /// Why no record of what was removed could be written: an audit will miss it, and other parts may be there still.
    pub unrecorded: Option<String>,
}

/// Makes one snapshot of the parts of a group, and removes them.
///
/// # Errors
/// [`Error::NoGroup`] when none or several are meant, [`Error::PartsMissing`] when not all parts are there, [`Error::PartsApart`] when the ranges of
/// two do not meet, [`Error::IsReplica`]; nothing is done then. [`Error::Damage`] when a tree cannot be read, or the index not as far as it is needed; otherwise those of any run that writes.
pub async fn merge(repository: &Repository, options: &MergeOptions, run: &RunContext) -> Result<MergeReport> {
    let _heeding = run.stop.heeding();
    repository.require_primary("merging parts")?;
    repository.require_reading("merging parts")?;
    run.events.on(Event::Phase { phase: Phase::Opening });
    let snapshots = run.stop.unless(Box::pin(repository.snapshots())).await??;
    let group = chosen(groups(&snapshots), options.group.as_deref())?;
    group.expect_whole()?;
    let (index, damages) = run.stop.unless(Box::pin(repository.index_for_backup())).await??;
    let index = Arc::new(index);
    let writer = repository.writer(&options.host, &options.user);
    let dedup = Deduplicator::begin(repository, Arc::clone(&index), writer).await?;
    let joining = Box::pin(join(repository, &dedup, repository.loader(index), &group));
    let joined = run.stop.unless(dedup.packs().describing(joining)).await.flatten();
    let (tree, nodes_read) = match joined {
        Ok(joined) => joined,
        Err(cause) => {
            dedup.end_early().await;
            return Err(match (cause, damages.into_iter().next()) {
                // Packs that a damaged index does not tell of look as if a collector had taken them.
                (Error::Conflict { .. }, Some(damage)) => damage.into(),
                (cause, _) => cause,
            });
        }
    };
    run.events.on(Event::Phase { phase: Phase::Committing });
    let (snapshot, was_there) = match group.merged_before(&snapshots, &tree) {
        Some(before) => {
            dedup.end_early().await;
            (before, true)
        }
        None => (commit(repository, &dedup, (&group, tree), (&snapshots, writer), (options, run)).await?, false),
    };
    let removal = remove::run(repository, &group.all, options.signing_key.as_ref()).await?;
    let sum =
        |count: fn(&Statistics) -> u64| group.parts.iter().map(|(_, part)| count(&part.snapshot.statistics)).sum();
    Ok(MergeReport {
        snapshot,
        was_there,
        source: group.source.clone(),
        group: group.group,
        parts: group.of,
        entries: tree.entries,
        errors: sum(|of| of.errors),
        nodes_read,
        bytes_added: dedup.record().bytes_added(),
        removed: removal.removed.len() as u64,
        refused: removal.refused,
        unrecorded: removal.unrecorded,
    })
}

/// Removes the parts of a group, and makes nothing of them. What they alone need comes back with `maintain`.
///
/// # Errors
/// [`Error::NoGroup`] when none or several are meant, [`Error::IsReplica`]; otherwise those of [`remove::run`].
pub async fn drop_parts(repository: &Repository, options: &MergeOptions, run: &RunContext) -> Result<Dropped> {
    let _heeding = run.stop.heeding();
    repository.require_primary("removing parts")?;
    let snapshots = run.stop.unless(Box::pin(repository.snapshots())).await??;
    let group = chosen(groups(&snapshots), options.group.as_deref())?;
    let removal = remove::run(repository, &group.all, options.signing_key.as_ref()).await?;
    Ok(Dropped {
        group: group.group,
        source: group.source,
        removed: removal.removed.len() as u64,
        refused: removal.refused,
        unrecorded: removal.unrecorded,
    })
}

/// Parts that were removed without a merge.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Dropped {
    /// The group.
    pub group: Hex<[u8; 16]>,
    /// The source, as the user wrote its location.
    pub source: String,
    /// Parts that are gone.
    pub removed: u64,
    /// Parts that the store refused to delete, with its reason.
    pub refused: Vec<(SnapshotId, String)>,
    /// Why no record of what was removed could be written: an audit will miss it, and other parts may be there still.
    pub unrecorded: Option<String>,
}

/// The groups that a name may mean: those of that name or id, else those whose ids begin so.
fn meant(groups: Vec<Group>, name: Option<&str>) -> Vec<Group> {
    let Some(name) = name else { return groups };
    let is_it = |group: &Group| group.group == group_of(name) || group.group.to_string() == name;
    if groups.iter().any(is_it) {
        return groups.into_iter().filter(is_it).collect();
    }
    let begins = |group: &Group| name.len() >= ID_DIGITS_MIN && group.group.to_string().starts_with(name);
    groups.into_iter().filter(begins).collect()
}

/// The one group that is meant.
fn chosen(groups: Vec<Group>, name: Option<&str>) -> Result<Group> {
    let mut meant = meant(groups, name);
    match (meant.pop(), meant.len()) {
        (Some(group), 0) => Ok(group),
        (None, _) => Err(Error::NoGroup { reason: "there are no parts of it to be merged".to_owned() }),
        (Some(last), more) => {
            let named = |group: &Group| format!("{} of {} ({} parts)", group.group, group.source, group.of);
            let names: Vec<String> = meant.iter().chain([&last]).take(8).map(named).collect();
            Err(Error::NoGroup { reason: format!("{} groups may be meant: {}", more + 1, names.join(", ")) })
        }
    }
}

impl Group {
    /// Demands that each part is there and begins where the one before ends.
    fn expect_whole(&self) -> Result<()> {
        if !self.missing.is_empty() {
            return Err(Error::PartsMissing { group: self.group, missing: self.missing.clone(), of: self.of });
        }
        let begins = std::iter::once(None).chain(self.parts.iter().map(|(part, _)| part.until.as_ref()));
        // Only the first begins with the first key.
        let is_apart = |before: Option<&Hex<Vec<u8>>>, part: &Part| {
            part.after.as_ref() != before || (part.number > 0 && part.after.is_none())
        };
        let apart = begins.zip(&self.parts).find(|(before, (part, _))| is_apart(*before, part));
        let apart = apart.map(|(_, (part, _))| part.number);
        let open_end = self.parts.last().filter(|(part, _)| part.until.is_some()).map(|(part, _)| part.number);
        match apart.or(open_end) {
            Some(number) => Err(Error::PartsApart { group: self.group, number, of: self.of }),
            None => Ok(()),
        }
    }

    fn trees(&self) -> Vec<TreeRoot> {
        self.parts.iter().map(|(_, part)| part.snapshot.tree).collect()
    }

    /// The snapshot that a merge of these parts made which was ended before it removed them.
    fn merged_before(&self, snapshots: &Snapshots, tree: &TreeRoot) -> Option<SnapshotId> {
        let started = self.parts.iter().map(|(_, part)| part.snapshot.started).min()?;
        let is_it = |snapshot: &Snapshot| {
            snapshot.source.identity == self.identity && snapshot.tree == *tree && snapshot.started == started
        };
        snapshots
            .whole
            .iter()
            .map(|handle| &handle.snapshot)
            .find(|snapshot| is_it(snapshot))
            .map(|snapshot| snapshot.id)
    }
}

/// The tree of all parts, whose chunks are marked as used, and how many nodes were read for it.
async fn join(
    repository: &Repository,
    dedup: &Arc<Deduplicator>,
    loader: Arc<BlobLoader>,
    group: &Group,
) -> Result<(TreeRoot, u64)> {
    for (_, part) in &group.parts {
        // It was removed meanwhile, by another merge or by a person.
        let usage = repository.usage(part).await?.ok_or(Error::Conflict { packs: 0 })?;
        dedup.rely_on(&usage)?;
    }
    let trees = group.trees();
    let (dedup, level) = (Arc::clone(dedup), repository.config().compression_level);
    let runtime = tokio::runtime::Handle::current();
    let joined = tokio::task::spawn_blocking(move || {
        let mut compressor = Compressor::new(level).map_err(Error::encode("starting a compressor"))?;
        let mut nodes_read = 0_u64;
        let mut load = |id: ChunkId| {
            nodes_read = nodes_read.saturating_add(1);
            runtime.block_on(loader.load_one(id)).map(Vec::from)
        };
        let mut keep = |_, bytes: Vec<u8>| dedup.keep(&mut compressor, BlobKind::Node, &bytes).map(drop);
        let tree = join_trees(dedup.keys(), &trees, &mut load, &mut keep)?;
        Ok((tree, nodes_read))
    });
    joined.await.map_err(Error::worker("join"))?
}

async fn commit(
    repository: &Repository,
    dedup: &Arc<Deduplicator>,
    (group, tree): (&Group, TreeRoot),
    (snapshots, writer): (&Snapshots, Hex<[u8; 16]>),
    (options, run): (&MergeOptions, &RunContext),
) -> Result<SnapshotId> {
    let id = SnapshotId::new(random_id()?);
    let mut chain = Chain::new(writer, snapshots.everything());
    // The parts name the component that read: it is kept as long as they are there, and then because this one names it.
    let signing_key = options.signing_key.clone();
    let draft = Draft {
        id,
        chain: &mut chain,
        signing_key,
        connector: None,
        adopted: None,
        is_carried: false,
        stop: &run.stop,
    };
    let make = |usage: &Usage, added, link| group.snapshot(id, tree, usage, (link, added));
    let Committed { .. } = write::commit(repository, dedup, draft, make).await?;
    run.events.on(Event::Committed { snapshot: id });
    Ok(id)
}

impl Group {
    /// What the parts say together.
    fn snapshot(
        &self,
        id: SnapshotId,
        tree: TreeRoot,
        usage: &Usage,
        (link, added): (ChainLink, u64),
    ) -> Result<Snapshot> {
        let parts = || self.parts.iter().map(|(_, part)| &part.snapshot);
        let first = parts().next().ok_or_else(|| Error::NoGroup { reason: "it has no parts".to_owned() })?;
        let as_of = first.source.as_of.filter(|time| parts().all(|part| part.source.as_of == Some(*time)));
        let mut problems: Vec<_> = parts().flat_map(|part| part.problems.iter().cloned()).collect();
        let unlisted = parts().map(|part| part.problems_unlisted).fold(0, u64::saturating_add);
        let cut_off = problems.len().saturating_sub(PROBLEMS_MAX) as u64;
        problems.truncate(PROBLEMS_MAX);
        let sum =
            |count: fn(&Statistics) -> u64| parts().map(|part| count(&part.statistics)).fold(0, u64::saturating_add);
        let merged = Snapshot {
            id,
            source: SnapshotSource { as_of, ..first.source.clone() },
            started: parts().map(|part| part.started).min().unwrap_or(first.started),
            finished: parts().map(|part| part.finished).max().unwrap_or(first.finished),
            origin: None,
            replaces: None,
            part: None,
            tree,
            statistics: Statistics {
                entries: tree.entries,
                files: sum(|of| of.files),
                directories: sum(|of| of.directories),
                bytes: sum(|of| of.bytes),
                bytes_read: sum(|of| of.bytes_read),
                bytes_added: sum(|of| of.bytes_added).saturating_add(added),
                errors: sum(|of| of.errors),
            },
            // No run has seen the whole listing in one piece.
            listing: None,
            problems,
            problems_unlisted: unlisted.saturating_add(cut_off),
            ..first.clone()
        };
        Ok(merged.committed(link, usage)?)
    }
}
