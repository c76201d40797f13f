//! Group: snapshots that bring little are carried behind one another and committed together.
//!
//! ```text
//! bring, bring, ... > packs > one intent > one index segment > recheck > for each: usage > snapshot      then the intent is deleted
//! ```
//!
//! Between repositories alike it is known of each which chunks it needs, so that packs which several fill together make none of them rely on what is another's. A group
//! ends with the snapshot that makes it [as heavy as a pack](GROUP_BYTES), before one that would do so by itself, or when [so much time](GROUP_TIME) has passed: what is
//! whole does not wait for long for what comes behind it. What is whole is also committed where the origin is out of reach by then, but not where the run is to stop:
//! then, as of one that is broken off, what was brought is described, and the next run finds that. Where a collector took something meanwhile, each snapshot is carried
//! again by itself: all of it is there by then, or is brought.
//!
//! Owned here: what goes together. Refused here: the protocol of committing (`write::commit`). Called by `sync::run` and `shared`.
//!
//! Bound: [`GROUP_WEIGHT`] and what `alike` states of one snapshot.

use std::sync::Arc;
use std::time::Duration;

use credenza_format::TreeRoot;
use credenza_model::limits::DATA_PACK_BYTES;
use credenza_model::{ObjectId, SnapshotId};

use super::alike::Brought;
use super::{Carrier, Stopped, SyncReport, alike, commit, rekey};
use crate::clock::Lease;
use crate::findings::Findings;
use crate::repository::SnapshotHandle;
use crate::write::{self, Deduplicator};
use crate::{Damage, Error, Event, Result};

/// A group that brings so much takes no more snapshots.
const GROUP_BYTES: u64 = DATA_PACK_BYTES;
/// Nor one of whose snapshots so much is in memory.
const GROUP_WEIGHT: u64 = 16 * 1024 * 1024;
/// Nor one that has been under way for so long.
const GROUP_TIME: Duration = Duration::from_mins(2);
/// A group whose commits take longer is announced again, and its locks are measured again: they were by the time of the announcement.
const SETTLED_TIME: Duration = Duration::from_mins(10);

/// A snapshot of which the target has all but the usage list and the snapshot itself.
struct Whole<'h> {
    handle: &'h SnapshotHandle,
    tree: TreeRoot,
    /// What it relies on can be told from this; nothing between repositories of different keys.
    brought: Option<Brought>,
}

/// What became of the first of some snapshots, and of those behind it that go with it.
#[derive(Default)]
struct Gathered<'h> {
    whole: Vec<Whole<'h>>,
    damaged: Vec<(SnapshotId, Vec<Damage>)>,
    /// How many were looked at: those, one that was broken off, or one that is not brought with them. What of all of these is at the target is marked as relied on.
    looked: usize,
    bytes: u64,
    weight: u64,
    /// Why no more were.
    stopped: Option<Error>,
}

impl<'h> Gathered<'h> {
    /// How many are dealt with.
    fn count(&self) -> usize {
        self.whole.len() + self.damaged.len()
    }

    fn take(&mut self, whole: Whole<'h>) {
        let (bytes, weight) = whole.brought.as_ref().map_or((0, 0), |brought| (brought.bytes, brought.weight()));
        self.bytes = self.bytes.saturating_add(bytes);
        self.weight = self.weight.saturating_add(weight);
        self.whole.push(whole);
    }
}

impl Carrier<'_> {
    /// Carries the first of some snapshots, and those behind it that go in one group with it; how many these are. Of one that is damaged nothing is committed, but
    /// what was read of it is kept for others.
    pub(super) async fn carry(
        &mut self,
        missing: &[&SnapshotHandle],
        (report, findings): (&mut SyncReport, &mut Findings<'_>),
    ) -> Result<usize> {
        let stop = self.run.stop.clone();
        stop.check()?;
        if let Some(first) = missing.first() {
            // It goes with the snapshot, because what is committed is not looked at again.
            let damage = self.fetch_connector(first).await?;
            damage.into_iter().for_each(|damage| findings.add(damage, [first.snapshot.id]));
        }
        stop.unless(Box::pin(self.index.catch_up())).await??;
        let dedup = self.index.dedup(self.chain.writer()).await?;
        let mut gathered = Gathered::default();
        let gathering = Box::pin(self.gather(missing, &dedup, &mut gathered));
        let done = stop.unless(dedup.packs().describing(gathering)).await;
        if let Err(cause) = done {
            // A stop lets out next to no requests, and is heeded as long as nothing of a snapshot is in the store (`write::commit`). What is whole is given up with the
            // rest: it is described, and the next run finds all of it.
            gathered.whole.clear();
            gathered.stopped = Some(cause);
        }
        let count = gathered.count();
        // Also where the origin is out of reach by now: what has arrived whole is there.
        let committing = self.commit_whole(&gathered, &dedup, report).await;
        let Gathered { whole, mut damaged, stopped, .. } = gathered;
        let (committed, failed) = match committing {
            Ok(committed) => (committed, None),
            Err(Stopped::Run(cause)) => (0, Some(cause)),
            Err(Stopped::Damaged(found)) => {
                damaged.extend(whole.first().map(|one| (one.handle.snapshot.id, found)));
                (whole.len(), None)
            }
        };
        let cause = stopped.or(failed);
        // What has arrived of others need not be carried again.
        if (cause.is_some() || !damaged.is_empty())
            && let Some(bytes) = dedup.end_early().await
            && cause.is_some()
        {
            self.run.events.on(Event::Kept { bytes });
        }
        report.failed += damaged.len() as u64;
        for (id, damages) in damaged {
            damages.into_iter().for_each(|damage| findings.add(damage, [id]));
        }
        report.add(&dedup);
        let record = Arc::clone(dedup.record());
        drop(dedup);
        self.index.fall_behind();
        if let Some(cause) = cause {
            return Err(cause);
        }
        for one in whole.iter().skip(committed) {
            Box::pin(self.carry(&[one.handle], (&mut *report, &mut *findings))).await?;
        }
        if committed < whole.len() {
            record.withdraw_intents().await;
        }
        Ok(count)
    }

    /// Brings the first of some snapshots, and those behind it that go in one group with it. What is whole by the time that this is given up is there.
    async fn gather<'h>(&self, missing: &[&'h SnapshotHandle], dedup: &Arc<Deduplicator>, gathered: &mut Gathered<'h>) {
        let is_joined = missing.first().is_some_and(|first| self.may_join(first));
        for handle in missing {
            let is_first = gathered.looked == 0;
            let is_full = gathered.bytes >= GROUP_BYTES
                || gathered.weight >= GROUP_WEIGHT
                || dedup.record().lease().is_longer_than(GROUP_TIME);
            if !is_first && (is_full || !is_joined || !self.may_join(handle)) {
                break;
            }
            gathered.looked += 1;
            // One that is as much as a group comes first in the next: it may take days, and what is whole is not to wait for it.
            let less_than = (!is_first).then_some(GROUP_BYTES);
            match self.bring_one(handle, dedup, less_than).await {
                Ok(Some(whole)) => gathered.take(whole),
                Ok(None) => break,
                Err(Stopped::Damaged(damages)) => gathered.damaged.push((handle.snapshot.id, damages)),
                Err(Stopped::Run(cause)) => {
                    gathered.stopped = Some(cause);
                    break;
                }
            }
        }
    }

    /// Whether a snapshot may go in a group: not one whose usage list another run has put, nor one that another component has read.
    fn may_join(&self, handle: &SnapshotHandle) -> bool {
        self.origin.keys().is_like(self.target.keys())
            && !self.leftovers.contains(&ObjectId::new(*handle.snapshot.id.as_bytes()))
            && handle.snapshot.connector.digest == self.connector.digest
    }

    /// Brings what the target lacks of a snapshot; nothing where that are `less_than` bytes or more, which is known only between repositories alike.
    async fn bring_one<'h>(
        &self,
        handle: &'h SnapshotHandle,
        dedup: &Arc<Deduplicator>,
        less_than: Option<u64>,
    ) -> Result<Option<Whole<'h>>, Stopped> {
        let level = self.target.config().compression_level;
        if self.origin.keys().is_like(self.target.keys()) {
            let meant = (handle, less_than);
            let copying = alike::copy(self.origin, &self.loader, (dedup, level), meant, &*self.run.events);
            let copied = copying.await?;
            return Ok(copied.map(|(tree, brought)| Whole { handle, tree, brought: Some(brought) }));
        }
        let ancestor = self.ancestor(handle);
        let rebuilding = rekey::rebuild(self.origin, &self.loader, dedup, level, (handle, ancestor), &*self.run.events);
        Ok(Some(Whole { handle, tree: rebuilding.await?, brought: None }))
    }

    /// Commits what is whole, in that order; how many. Those behind are to be carried again, each by itself.
    async fn commit_whole(
        &mut self,
        gathered: &Gathered<'_>,
        dedup: &Arc<Deduplicator>,
        report: &mut SyncReport,
    ) -> Result<usize, Stopped> {
        match gathered.whole.as_slice() {
            [] => Ok(0),
            // All that the run has put and relies on is for this one.
            [one] if gathered.looked == 1 => self.commit(one.handle, dedup, one.tree, report).await.map(|()| 1),
            _ => Ok(self.commit_group(gathered, dedup, report).await?),
        }
    }

    async fn commit_group(
        &mut self,
        gathered: &Gathered<'_>,
        dedup: &Arc<Deduplicator>,
        report: &mut SyncReport,
    ) -> Result<usize> {
        let Some((mut since, segments)) = self.settle(dedup).await? else { return Ok(0) };
        let Some(added) = self.target.index_of_segments(&segments).await? else { return Ok(0) };
        let added = Arc::new(added);
        for (count, one) in gathered.whole.iter().enumerate() {
            if since.is_longer_than(SETTLED_TIME) {
                let Some((again, _)) = self.settle(dedup).await? else { return Ok(count) };
                since = again;
            }
            let usage = match &one.brought {
                Some(brought) => brought.usage(self.index.current(), Arc::clone(&added)).await?,
                None => None,
            };
            let Some(usage) = usage else { return Ok(count) };
            let writer = (&mut self.chain, self.signing_key.clone(), &self.run.stop);
            let committed = commit::commit_member(self.target, dedup, writer, one.handle, (one.tree, &usage)).await;
            match self.settled((one.handle.snapshot.id, one.tree), committed, report).await {
                Err(Error::Damage(_)) => return Ok(count),
                settled => settled?,
            }
        }
        // What has come of one that was broken off stays announced, or a collector takes it before the next run finds it.
        if gathered.stopped.is_none() {
            dedup.record().withdraw_intents().await;
        }
        Ok(gathered.whole.len())
    }

    /// Settles a group; since when it is, and the index segments that describe what was put. Nothing where each snapshot is to be carried again by itself.
    async fn settle(&self, dedup: &Arc<Deduplicator>) -> Result<Option<(Lease, Vec<ObjectId>)>> {
        let since = Lease::begin(Arc::clone(self.target.clock()));
        let connector = self.connector.component.as_ref().map(|connector| (connector, self.connector.is_kept));
        match write::settle_group(self.target, dedup, connector, &self.run.stop).await {
            Ok(segments) => Ok(segments.map(|segments| (since, segments))),
            Err(Error::Damage(_)) => Ok(None),
            Err(cause) => Err(cause),
        }
    }
}
