//! Join: the cut, the cuts before it and the target's listing side by side in the order of keys, and what follows from them.
//!
//! Owned here: the walk, and the lists of what is to be done. Refused here: the verdict on a key (`judge`), what older cuts say of it (`cuts`), how far its
//! versions have come (`history`), acting on all that (`mirror`).
//!
//! Bound: that of its `sides`; the lists lie in files.

use credenza_connect::{DestinationInfo, ability};
use credenza_model::{Entry, EntryKind, Key, Record};

use super::cuts::Cuts;
use super::history::Reached;
use super::judge::{Ground, Verdict};
use super::sides::{Kept, Listing, Side, name_of};
use super::{Deletes, MirrorOptions, MirrorReport, Target};
use crate::Result;
use crate::key_list::KeyWriter;
use crate::restore::AttributeMapping;

/// What is to be done at a target.
pub(super) struct Plan {
    pub(super) new: KeyWriter,
    pub(super) changed: KeyWriter,
    /// By the names that they have there.
    pub(super) gone: KeyWriter,
    /// Of what is gone, that with versions that are still to be written before the delete marker.
    pub(super) buried: KeyWriter,
    /// What is there.
    pub(super) listed: u64,
}

impl Plan {
    pub(super) const fn is_nothing(&self) -> bool {
        self.new.len() + self.changed.len() + self.removals() == 0
    }

    /// How many are to be removed.
    pub(super) const fn removals(&self) -> u64 {
        self.gone.len() + self.buried.len()
    }
}

/// What cut and target have under a key, the newest first.
struct Both {
    key: Key,
    records: Vec<Record>,
    entries: Vec<Entry>,
}

impl Both {
    fn record(&self) -> Option<&Record> {
        self.records.iter().find(|record| record.entry.is_current())
    }

    fn found(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.is_current())
    }

    /// Whether the cut has the key as one that was deleted.
    fn is_deleted(&self) -> bool {
        self.records.first().and_then(|newest| newest.entry.version.as_ref()).is_some_and(|version| version.deleted)
    }
}

/// Compares a target with a cut; nothing is changed.
pub(super) async fn plan(
    cuts: &Cuts<'_>,
    (target, info): (&Target, &DestinationInfo),
    options: &MirrorOptions,
    report: &mut MirrorReport,
) -> Result<Plan> {
    let namespace = &cuts.cut.snapshot.source.namespace;
    let mapping = AttributeMapping::between(namespace, &info.namespace);
    let is_bucket_in_folder = cuts.is_of_keys() && info.namespace == ability::TREE;
    let ground = Ground {
        settled: cuts.known.and_then(|known| known.settled),
        keeps_times: info.has(ability::POSIX_ATTRIBUTES),
        gives_back: cuts.known.is_some_and(|known| known.gives_back),
        has_etags: cuts.is_of_keys() && info.namespace == ability::FLAT,
        is_lacking: cuts.known.is_some_and(|known| known.lacking > 0),
    };
    let kept = if options.versions { Kept::Versions } else { Kept::Current };
    let mut wanted = cuts.walk(&cuts.cut.snapshot.tree, mapping, kept);
    let mut base = cuts.base.as_ref().map(|root| cuts.walk(root, mapping, Kept::Current));
    let mut towards: Vec<Side> = cuts.towards.iter().map(|root| cuts.walk(root, mapping, Kept::Current)).collect();
    let mut listing = Listing::open(target, info, kept).await?;
    let list = KeyWriter::new;
    let plan = Plan { new: list(), changed: list(), gone: list(), buried: list(), listed: 0 };
    let mut planner = Planner { cuts, options, ground, report, plan };
    loop {
        let key = match (wanted.key().await?, listing.key().await?) {
            (None, None) => break,
            (Some(key), None) | (None, Some(key)) => key,
            (Some(a), Some(b)) => a.min(b),
        };
        let both = Both { records: wanted.all(&key).await?, entries: listing.all(&key).await?, key };
        let base = match &mut base {
            Some(base) => base.at(&both.key).await?,
            None => None,
        };
        let mut others = Vec::with_capacity(towards.len());
        for side in &mut towards {
            others.push(side.at(&both.key).await?);
        }
        // A folder that keys imply is none of its own.
        let is_implied =
            both.record().is_none() && both.found().is_some_and(|found| found.kind == EntryKind::Directory);
        if is_implied && is_bucket_in_folder {
            continue;
        }
        planner.look_at(&both, (base.as_ref(), &others)).await?;
    }
    let Planner { plan, .. } = planner;
    wanted.unnamed.iter().for_each(|key| report.unnamed.add(key));
    report.gone = plan.removals();
    Ok(plan)
}

/// A plan that is being made.
struct Planner<'a> {
    cuts: &'a Cuts<'a>,
    options: &'a MirrorOptions,
    ground: Ground,
    report: &'a mut MirrorReport,
    plan: Plan,
}

impl Planner<'_> {
    /// Notes what is to become of a key.
    async fn look_at(&mut self, both: &Both, (base, towards): (Option<&Record>, &[Option<Record>])) -> Result<()> {
        let (record, found) = (both.record(), both.found());
        let reached = self.options.versions.then(|| Reached::find(&self.ground, &both.records, &both.entries));
        if record.is_none() && found.is_none() {
            // It was there and is no more, at either side.
            if let Some(reached) = reached.filter(|reached| reached.left() > 0) {
                self.report.past += 1;
                self.plan.new.add_after(&both.key, reached.passed)?;
            }
            return Ok(());
        }
        self.plan.listed += u64::from(found.is_some());
        let mut verdict = self.ground.judge(found, record, (base, towards));
        if let Some(reached) = reached {
            verdict = reached.reconsidered(verdict, self.cuts.known.is_some());
        }
        if let Some(found) = found.filter(|_| base.is_none()) {
            verdict = self.cuts.reconsidered(verdict, (&both.key, found), &self.ground, self.options).await?;
        }
        self.take(both, verdict, reached).await
    }

    async fn take(&mut self, both: &Both, verdict: Verdict, reached: Option<Reached>) -> Result<()> {
        let Self { plan, report, options, .. } = self;
        let key = &both.key;
        let passed = reached.map_or(0, |reached| reached.but_newest().passed);
        match verdict {
            Verdict::Same => report.same += 1,
            Verdict::New | Verdict::Missing => {
                report.new += 1;
                report.missing += u64::from(verdict == Verdict::Missing);
                plan.new.add_after(key, passed)?;
            }
            Verdict::Changed => {
                report.changed += 1;
                plan.changed.add_after(key, passed)?;
            }
            Verdict::Foreign => {
                report.foreign.add(key);
                if options.overwrite {
                    plan.changed.add_after(key, passed)?;
                }
            }
            // Replacing what is in the way is one thing, removing what is not is another.
            Verdict::Extra => report.extra.add(key),
            Verdict::Gone => return self.take_gone(both, reached).await,
        }
        Ok(())
    }

    async fn take_gone(&mut self, both: &Both, reached: Option<Reached>) -> Result<()> {
        let is_due = match self.options.deletes {
            Deletes::Keep => false,
            Deletes::Now => true,
            Deletes::After(span) => self.cuts.is_long_gone(&both.key, span).await?,
        };
        if !is_due || self.cuts.is_torn() {
            self.report.kept += 1;
            self.report.withheld += u64::from(is_due);
            return Ok(());
        }
        match reached.filter(|reached| reached.left() > 0 && both.is_deleted()) {
            Some(reached) => self.plan.buried.add_after(&both.key, reached.passed),
            None => {
                let found = both.found();
                let name = found.map_or_else(|| both.key.clone(), name_of);
                self.plan.gone.add_found(&name, found.and_then(|found| found.fingerprint.as_deref()))
            }
        }
    }
}
