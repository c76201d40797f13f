//! Selection: which snapshots of the origin a target is to have and lacks. Pure: snapshots in, a decision out.
//!
//! The policy of the target judges what both sides have together: judged by what the origin has alone, a snapshot would be carried and removed again by
//! turns, whose place another one has that only the target has left.
//!
//! Bound: one entry for each snapshot of either side.

use std::collections::{BTreeMap, BTreeSet};

use credenza_format::Policy;
use credenza_model::{SnapshotId, Timestamp};

use crate::repository::{SnapshotFilter, SnapshotHandle, Snapshots};
use crate::retention;

/// Which snapshots of the origin are meant. A kind without any is not asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meant {
    /// Of sources whose location or identity is as one of these patterns says, in which `*` stands for anything.
    pub sources: Vec<String>,
    /// Of one of these machines; patterns as well.
    pub hosts: Vec<String>,
    /// With one of these tags.
    pub tags: Vec<String>,
    /// With none of these.
    pub tags_left_out: Vec<String>,
}

impl Meant {
    /// Whether a snapshot is meant.
    #[must_use]
    pub fn matches(&self, handle: &SnapshotHandle) -> bool {
        let any = |wanted: &[String], is_had: &dyn Fn(&str) -> bool| {
            wanted.is_empty() || wanted.iter().any(|wanted| is_had(wanted))
        };
        let snapshot = &handle.snapshot;
        let has_tag = |tag: &str| snapshot.tags.iter().any(|had| had == tag);
        any(&self.sources, &|wanted| fits(wanted, &snapshot.source.location) || fits(wanted, &snapshot.source.identity))
            && any(&self.hosts, &|wanted| fits(wanted, &snapshot.host))
            && any(&self.tags, &has_tag)
            && !self.tags_left_out.iter().any(|tag| has_tag(tag))
    }
}

/// Whether a text is as a pattern says, in which `*` stands for anything.
#[must_use]
pub fn fits(pattern: &str, text: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(begin) else { return false };
    (0..=text.len())
        .filter(|at| text.is_char_boundary(*at))
        .any(|at| text.get(at..).is_some_and(|text| fits(rest, text)))
}

/// What a target has and lacks of an origin.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Snapshots that it is to get, the newest first.
    pub missing: Vec<SnapshotHandle>,
    /// Snapshots that both have, the newest first.
    pub shared: Vec<SnapshotHandle>,
    /// Snapshots of the origin that are meant and that the policy of the target does not keep.
    pub spared: u64,
    /// When the newest snapshot was made that is meant, by the time of the origin's store.
    pub newest_there: Option<Timestamp>,
    /// When the newest of those was made that the target has.
    pub newest_here: Option<Timestamp>,
    /// When the first snapshot was made that is missing and newer than all that the target has of its source: since then the copy is behind.
    pub behind_since: Option<Timestamp>,
}

/// Judges which snapshots of the origin a target is to have: those that are meant and that `policy` keeps, all without one.
#[must_use]
pub fn select(origin: &Snapshots, target: &Snapshots, meant: &Meant, policy: Option<&Policy>) -> Selection {
    let here: BTreeSet<SnapshotId> = target.whole.iter().map(|handle| handle.snapshot.id).collect();
    let there: Vec<&SnapshotHandle> = origin.whole.iter().filter(|handle| meant.matches(handle)).collect();
    let kept = policy.map(|policy| kept(origin, target, &there, policy));
    let is_kept = |id: &SnapshotId| kept.as_ref().is_none_or(|kept| kept.contains(id));
    let mut selection = Selection {
        newest_there: newest_meant(origin, meant),
        newest_here: newest(there.iter().copied().filter(|handle| here.contains(&handle.snapshot.id)), origin),
        ..Selection::default()
    };
    for handle in there.into_iter().rev() {
        let id = handle.snapshot.id;
        if here.contains(&id) {
            selection.shared.push(handle.clone());
        } else if is_kept(&id) {
            selection.missing.push(handle.clone());
        } else {
            selection.spared += 1;
        }
    }
    selection.behind_since = behind_since(&selection, origin);
    selection
}

/// Since when a copy is behind. Each source of each machine is judged by itself: what arrives of one says nothing of the others.
fn behind_since(selection: &Selection, origin: &Snapshots) -> Option<Timestamp> {
    let source = |handle: &SnapshotHandle| (handle.snapshot.host.clone(), handle.snapshot.source.identity.clone());
    let dated = |handles: &[SnapshotHandle]| -> Vec<((String, String), Timestamp)> {
        let known = handles.iter().filter(|handle| !origin.ahead.contains(&handle.snapshot.id));
        known.filter_map(|handle| Some((source(handle), handle.time()?))).collect()
    };
    let mut newest_here: BTreeMap<(String, String), Timestamp> = BTreeMap::new();
    for (source, time) in dated(&selection.shared) {
        let newest = newest_here.entry(source).or_insert(time);
        *newest = time.max(*newest);
    }
    let missing = dated(&selection.missing).into_iter();
    let newer = missing.filter(|(source, time)| newest_here.get(source).is_none_or(|newest| time > newest));
    newer.map(|(_, time)| time).min()
}

/// When the newest snapshot of the origin was made that is meant.
#[must_use]
pub fn newest_meant(origin: &Snapshots, meant: &Meant) -> Option<Timestamp> {
    newest(origin.whole.iter().filter(|handle| meant.matches(handle)), origin)
}

/// The newest time of some snapshots; one that is dated after now says nothing.
fn newest<'a>(handles: impl Iterator<Item = &'a SnapshotHandle>, of: &Snapshots) -> Option<Timestamp> {
    handles.filter(|handle| !of.ahead.contains(&handle.snapshot.id)).filter_map(SnapshotHandle::time).max()
}

/// What the policy keeps of what both sides have.
fn kept(origin: &Snapshots, target: &Snapshots, there: &[&SnapshotHandle], policy: &Policy) -> BTreeSet<SnapshotId> {
    let both: BTreeMap<SnapshotId, SnapshotHandle> =
        target.whole.iter().chain(there.iter().copied()).map(|handle| (handle.snapshot.id, handle.clone())).collect();
    let snapshots = Snapshots {
        whole: both.into_values().collect(),
        ahead: origin.ahead.union(&target.ahead).copied().collect(),
        now: origin.now.max(target.now),
        ..Snapshots::default()
    };
    let plan = retention::plan(snapshots, policy, &SnapshotFilter::default());
    let kept = plan.decisions().filter(|decision| decision.is_kept());
    kept.map(|decision| decision.snapshot.snapshot.id).collect()
}

/// How many of the snapshots that were seen at the origin are gone there.
#[must_use]
pub fn vanished(seen: &BTreeSet<SnapshotId>, origin: &Snapshots) -> usize {
    let there: BTreeSet<SnapshotId> = origin.whole.iter().map(|handle| handle.snapshot.id).collect();
    // One that is damaged is there, and is told as that.
    let damaged: BTreeSet<&str> = origin.damaged.iter().map(|snapshot| snapshot.damage.object.as_str()).collect();
    seen.difference(&there).filter(|id| !damaged.contains(format!("snapshot/{id}").as_str())).count()
}
