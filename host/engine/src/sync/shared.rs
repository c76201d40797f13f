//! Shared: what one of several processes carries of snapshots that all of them carry.
//!
//! ```text
//! packs of the origin that are its own > what the target lacks of them > described > which snapshots lack nothing? > commit
//! ```
//!
//! Owned here: that order. No process talks to another. What each has put is described before it looks which snapshots the target has all of, so that the
//! last to look sees what all have put: it commits. Two that end at one moment commit the same, as any two runs that carry one snapshot. One that
//! dies has committed nothing that lacks anything; it is run again alone, carries what it had not, and commits.
//!
//! Until a snapshot is committed its chunks are those of an interrupted run: a collector takes them when their lease has ended, and they are carried again.
//!
//! Bound: as of `alike`, and what `write` states of one run.

use std::collections::BTreeSet;

use credenza_format::ObjectKind;
use credenza_model::{ObjectId, SnapshotId};

use super::{Carrier, Stopped, SyncReport, alike, leftovers};
use crate::findings::Findings;
use crate::repository::SnapshotHandle;
use crate::share::Share;
use crate::{Error, Event, Result};

impl Carrier<'_> {
    /// Carries one share of snapshots, and commits those that the target has all of then.
    pub(super) async fn carry_share(
        &mut self,
        share: Share,
        missing: &[&SnapshotHandle],
        (report, findings): (&mut SyncReport, &mut Findings<'_>),
    ) -> Result<()> {
        let failed = self.bring(share, missing, (&mut *report, &mut *findings)).await?;
        let stop = self.run.stop.clone();
        stop.unless(Box::pin(self.index.renew())).await??;
        // The others may have put lists meanwhile.
        self.leftovers = stop.unless(Box::pin(leftovers(self.target, &self.at_target))).await??;
        for handle in missing.iter().filter(|handle| !failed.contains(&handle.snapshot.id)) {
            let id = handle.snapshot.id;
            let key = ObjectKind::Snapshot.store_key(ObjectId::new(*id.as_bytes()));
            if !stop.unless(Box::pin(self.target.stated_links(vec![key]))).await??.is_empty() {
                report.skipped += 1;
                self.at_target.insert(id, handle.snapshot.tree);
                continue;
            }
            let looking = alike::is_there((self.origin, &self.loader), self.index.current(), handle);
            if !stop.unless(Box::pin(looking)).await?? {
                report.waiting += 1;
                continue;
            }
            // Others collect while many snapshots are looked at.
            self.index.fall_behind();
            match self.carry(&[handle], (&mut *report, &mut *findings)).await {
                Ok(_) => {}
                // It found all there, too, and commits at this moment.
                Err(Error::CarriedByOther { .. }) => report.waiting += 1,
                Err(cause) => return Err(cause),
            }
        }
        Ok(())
    }

    /// Puts and describes what the target lacks of the share. The snapshots that are damaged in it.
    async fn bring(
        &self,
        share: Share,
        missing: &[&SnapshotHandle],
        (report, findings): (&mut SyncReport, &mut Findings<'_>),
    ) -> Result<BTreeSet<SnapshotId>> {
        let dedup = self.index.dedup(self.chain.writer()).await?;
        let level = self.target.config().compression_level;
        let mut failed = BTreeSet::new();
        let work = async {
            for handle in missing {
                self.run.stop.check()?;
                let origin = (self.origin, &self.loader);
                match alike::bring(origin, (&dedup, level), handle, Some(share), &*self.run.events).await {
                    Ok(_) => {}
                    Err(Stopped::Damaged(damages)) => {
                        failed.insert(handle.snapshot.id);
                        damages.into_iter().for_each(|damage| findings.add(damage, [handle.snapshot.id]));
                    }
                    Err(Stopped::Run(cause)) => return Err(cause),
                }
            }
            dedup.flush().await
        };
        let done = self.run.stop.unless(dedup.packs().describing(Box::pin(work))).await.flatten();
        if let Some(bytes) = dedup.end_early().await
            && done.is_err()
        {
            self.run.events.on(Event::Kept { bytes });
        }
        report.failed += failed.len() as u64;
        report.add(&dedup);
        done.map(|()| failed)
    }
}
