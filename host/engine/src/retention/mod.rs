//! Retention: which snapshots a policy keeps, and why. Pure: snapshots in, a plan out.
//!
//! Owned here: grouping, the rules, the reasons, and what makes a plan too large to be carried out unasked. Refused here:
//! reading and removing. Time is the store's, never a client's. Called by `cli`.

mod buckets;
#[cfg(test)]
mod tests;
mod until;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use credenza_format::{Grouping, Policy};
use credenza_model::{SnapshotId, Timestamp};

use crate::repository::{SnapshotFilter, SnapshotHandle, Snapshots, last_made};
pub use buckets::Bucket;
pub use until::Until;

/// A plan may remove so many snapshots, whatever their share.
const REMOVALS_UNASKED: usize = 10;

/// Why a snapshot is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Among the newest of its group.
    Last,
    /// The newest of an hour, a day and so on that counts.
    Newest(Bucket),
    /// The newest of such a span in which everything could be read, where newer ones have errors.
    Whole(Bucket),
    /// The newest of its group in which everything could be read, which no rule keeps.
    NewestWhole,
    /// The one of its group that was made last, whatever its date, which no rule keeps.
    MadeLast,
    /// Not older than the policy says.
    Within,
    /// It has a tag that the policy names.
    Tag,
    /// The store does not say when it was written, so that no rule can judge it.
    Timeless,
    /// It is dated after now, so that nobody knows when it was written and no rule can judge it.
    Ahead,
    /// No rule keeps it, and a snapshot of its source is suspect: what was before that may be all that is left.
    Suspect,
}

impl Reason {
    /// Whether a rule of the policy keeps it, and not only caution.
    const fn is_of_policy(self) -> bool {
        match self {
            Self::Last | Self::Newest(_) | Self::Whole(_) | Self::Within | Self::Tag => true,
            Self::NewestWhole | Self::MadeLast | Self::Timeless | Self::Ahead | Self::Suspect => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last => f.write_str("last"),
            Self::Newest(bucket) => f.write_str(bucket.name()),
            Self::Whole(bucket) => write!(f, "{} without errors", bucket.name()),
            Self::NewestWhole => f.write_str("newest without errors"),
            Self::MadeLast => f.write_str("made last"),
            Self::Within => f.write_str("within"),
            Self::Tag => f.write_str("tag"),
            Self::Timeless => f.write_str("unknown time"),
            Self::Ahead => f.write_str("dated after now"),
            Self::Suspect => f.write_str("its source is suspect"),
        }
    }
}

/// What is to become of one snapshot.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Which.
    pub snapshot: SnapshotHandle,
    /// Why it is kept; without a reason it is removed.
    pub reasons: Vec<Reason>,
    /// Until when that is so at least; of one that is removed it says nothing.
    pub until: Until,
}

impl Decision {
    /// Whether it is kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !self.reasons.is_empty()
    }

    /// The spans of the calendar that are over and of which it is the one that is kept: no newer one takes its place there.
    pub fn settled_spans(&self, now: Timestamp) -> impl Iterator<Item = Bucket> + '_ {
        let time = self.snapshot.time();
        self.reasons.iter().filter_map(move |reason| match reason {
            Reason::Newest(bucket) | Reason::Whole(bucket) if bucket.is_over(time?, now) => Some(*bucket),
            _ => None,
        })
    }
}

/// Snapshots that belong together, newest first.
#[derive(Debug, Clone)]
pub struct Group {
    /// What they have in common, for a person.
    pub name: String,
    /// One for each snapshot.
    pub decisions: Vec<Decision>,
}

/// What a policy makes of a list of snapshots.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The groups, by name.
    pub groups: Vec<Group>,
    /// How many digits of an id tell each snapshot of the repository from all others.
    pub id_digits: usize,
}

/// Judges the snapshots that can be read by a policy. Those that are ahead of time are kept, and count for no rule. One with entries that could
/// not be read takes nobody's place: where it is the newest of a span, the newest without such stays beside it. The newest without in its
/// group, and the one of its group that was made last, stay whatever the rules say.
#[must_use]
pub fn plan(snapshots: Snapshots, policy: &Policy, filter: &SnapshotFilter) -> Plan {
    let id_digits = snapshots.short_id_digits();
    let Snapshots { whole, ahead, now, .. } = snapshots;
    let mut groups: BTreeMap<String, Vec<SnapshotHandle>> = BTreeMap::new();
    for handle in whole.into_iter().filter(|handle| filter.matches(handle)) {
        groups.entry(group_name(&handle, &policy.group_by)).or_default().push(handle);
    }
    let judge = |(name, mut handles): (String, Vec<SnapshotHandle>)| {
        handles.sort_by_key(|handle| std::cmp::Reverse((handle.time(), handle.snapshot.sequence, handle.snapshot.id)));
        Group { name, decisions: judge(handles, (&ahead, now), policy) }
    };
    Plan { groups: groups.into_iter().map(judge).collect(), id_digits }
}

fn group_name(handle: &SnapshotHandle, group_by: &[Grouping]) -> String {
    let snapshot = &handle.snapshot;
    let part = |grouping: &Grouping| match grouping {
        Grouping::Source => snapshot.source.identity.clone(),
        Grouping::Host => snapshot.host.clone(),
        Grouping::Tags => {
            snapshot.tags.iter().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(",")
        }
    };
    group_by.iter().map(part).collect::<Vec<_>>().join(" · ")
}

/// Judges one group, newest first.
fn judge(
    handles: Vec<SnapshotHandle>,
    (ahead, now): (&BTreeSet<SnapshotId>, Timestamp),
    policy: &Policy,
) -> Vec<Decision> {
    let is_ahead = |handle: &SnapshotHandle| ahead.contains(&handle.snapshot.id);
    let newest = handles.iter().filter(|handle| !is_ahead(handle)).find_map(SnapshotHandle::time);
    let whole = handles.iter().filter(|handle| !is_ahead(handle) && !has_errors(handle));
    let newest_whole = last_made(whole, ahead).map(|handle| handle.snapshot.id);
    let made_last =
        last_made(handles.iter().filter(|handle| !is_ahead(handle)), ahead).map(|handle| handle.snapshot.id);
    let mut counts = buckets::Counts::new(policy);
    let mut last = policy.last;
    let mut decisions = Vec::with_capacity(handles.len());
    for snapshot in handles {
        if is_ahead(&snapshot) {
            let until = snapshot.time().map_or(Until::OPEN, Until::time);
            decisions.push(Decision { snapshot, reasons: vec![Reason::Ahead], until });
            continue;
        }
        let mut kept = Vec::new();
        if last > 0 {
            kept.push((Reason::Last, Until::newer(last)));
            last -= 1;
        }
        match (snapshot.time(), newest) {
            (Some(stored), Some(newest)) => {
                kept.extend(counts.take(stored, has_errors(&snapshot), now));
                let age = u64::try_from(newest.seconds.saturating_sub(stored.seconds)).unwrap_or(0);
                let within = policy.within_seconds.filter(|within| age <= *within);
                kept.extend(within.map(|within| (Reason::Within, Until::time(later(stored, within)))));
            }
            _ => kept.push((Reason::Timeless, Until::OPEN)),
        }
        let is_tagged = policy.tags.iter().any(|tag| snapshot.snapshot.tags.contains(tag));
        kept.extend(is_tagged.then_some((Reason::Tag, Until::OPEN)));
        if kept.is_empty() && newest_whole == Some(snapshot.snapshot.id) {
            kept.push((Reason::NewestWhole, Until::newer(1)));
        }
        if kept.is_empty() && made_last == Some(snapshot.snapshot.id) {
            kept.push((Reason::MadeLast, Until::newer(1)));
        }
        let until = kept.iter().fold(Until::default(), |until, (_, other)| until.or(*other));
        decisions.push(Decision { snapshot, reasons: kept.into_iter().map(|(reason, _)| reason).collect(), until });
    }
    decisions
}

fn later(time: Timestamp, seconds: u64) -> Timestamp {
    Timestamp { seconds: time.seconds.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX)), ..time }
}

fn has_errors(handle: &SnapshotHandle) -> bool {
    handle.snapshot.statistics.errors > 0
}

/// Why a plan is not carried out unasked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// A group would lose snapshots, and the rules keep none of it.
    #[error("the rules keep no snapshot of `{group}`")]
    WholeGroup {
        /// Its name.
        group: String,
    },
    /// Much would be lost at once.
    #[error("{removed} of {snapshots} snapshots would be removed, more than half of them")]
    Many {
        /// How many would go.
        removed: usize,
        /// How many were judged.
        snapshots: usize,
    },
}

impl Plan {
    /// The same, but nothing goes of the sources of these identities.
    #[must_use]
    pub fn sparing(mut self, identities: &BTreeSet<String>) -> Self {
        for decision in self.groups.iter_mut().flat_map(|group| &mut group.decisions) {
            if !decision.is_kept() && identities.contains(&decision.snapshot.snapshot.source.identity) {
                decision.reasons.push(Reason::Suspect);
                decision.until = Until::OPEN;
            }
        }
        self
    }

    /// Every decision, group by group.
    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.groups.iter().flat_map(|group| &group.decisions)
    }

    /// Whether the plan is larger than what somebody usually means.
    ///
    /// # Errors
    /// The first reason to ask.
    pub fn check(&self) -> Result<(), Excess> {
        self.excesses().next().map_or(Ok(()), Err)
    }

    /// Every reason to ask: each group of which the rules keep nothing, by name, and that much would be lost at once.
    pub fn excesses(&self) -> impl Iterator<Item = Excess> {
        let is_spurned = |group: &&Group| {
            let reasons = group.decisions.iter().flat_map(|decision| &decision.reasons);
            !group.decisions.iter().all(Decision::is_kept) && !reasons.copied().any(Reason::is_of_policy)
        };
        let spurned = self.groups.iter().filter(is_spurned);
        let snapshots = self.decisions().count();
        let removed = self.decisions().filter(|decision| !decision.is_kept()).count();
        let is_much = removed > REMOVALS_UNASKED && removed * 2 > snapshots;
        let much = is_much.then_some(Excess::Many { removed, snapshots });
        spurned.map(|group| Excess::WholeGroup { group: group.name.clone() }).chain(much)
    }
}
