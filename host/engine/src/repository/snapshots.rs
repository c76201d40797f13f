//! The snapshots of a repository, and how a person names one.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use credenza_connect::Store;
use credenza_format::{
    ChainLink, Digest, Inspector, ObjectKind, OpenedSnapshot, Snapshot, open_snapshot, unproven_link,
};
use credenza_model::{ObjectId, SnapshotId, StoreKey, Timestamp};
use futures_util::{StreamExt, TryStreamExt};

use super::{DOCUMENTS_IN_FLIGHT, Repository, fetch};
use crate::poison::lock_unpoisoned;
use crate::{Damage, Error, Result};

/// How far a snapshot may be dated after now: clocks differ, and some tell the time of another zone.
pub const AHEAD_SECONDS: i64 = 24 * 3600;

/// Fewest digits of an id that are shown; so many of random ids tell thousands of snapshots apart.
const SHORT_ID_DIGITS_MIN: usize = 8;
/// Most snapshots that are named where several are meant.
const CANDIDATES_MAX: usize = 8;
/// The name of the newest snapshot.
const LATEST: &str = "latest";
/// Where snapshots are.
pub(super) const SNAPSHOTS: &str = "snapshot/";

/// A snapshot that was opened and authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotHandle {
    /// What it says.
    pub snapshot: Snapshot,
    /// When it was committed into this repository, by the store's clock.
    pub stored: Option<Timestamp>,
    /// SHA-256 of its whole object, which the writer's next snapshot names.
    pub digest: Digest,
}

impl SnapshotHandle {
    /// When it was made, by the clock of the store where it was: what `sync` carried, and what `repair` left of another, keep
    /// their age. A claim is believed as far as it makes a snapshot older: no writer can make one outlive others.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        let replaced = self.snapshot.store_time.filter(|_| self.snapshot.replaces.is_some());
        let claimed = self.snapshot.origin.and_then(|origin| origin.stored).or(replaced);
        self.stored.map(|stored| claimed.map_or(stored, |claimed| claimed.min(stored)))
    }

    /// Whether its place in the chain of its writer says when it was made: what was carried, and what stands for another, is older than that.
    fn is_first_hand(&self) -> bool {
        self.snapshot.origin.is_none() && self.snapshot.replaces.is_none()
    }

    /// Where it is kept.
    #[must_use]
    pub fn store_key(&self) -> StoreKey {
        ObjectKind::Snapshot.store_key(ObjectId::new(*self.snapshot.id.as_bytes()))
    }
}

/// A snapshot that cannot be read.
#[derive(Debug, Clone)]
pub struct DamagedSnapshot {
    /// What is wrong with it.
    pub damage: Damage,
    /// Its place in its writer's chain, as it states it itself; only where the snapshots that can be read bear it out.
    pub place: Option<ChainLink>,
}

impl DamagedSnapshot {
    /// Whether a snapshot was made after it: one that took unchanged entries over from it, or that stands for what was left of it, or a later one of its
    /// writer. Times of the store prove nothing: whoever copies objects or restores them puts other ones there.
    fn is_followed_by(&self, handle: &SnapshotHandle) -> bool {
        let snapshot = &handle.snapshot;
        let is_named = |id: SnapshotId| self.damage.object.strip_prefix(SNAPSHOTS) == Some(id.to_string().as_str());
        let is_earlier = |place: ChainLink| place.writer == snapshot.writer && place.sequence < snapshot.sequence;
        snapshot.parent.is_some_and(is_named)
            || snapshot.replaces.is_some_and(is_named)
            || (handle.is_first_hand() && self.place.is_some_and(is_earlier))
    }

    /// Whether a snapshot of the same writer fits to what it states: nobody else has its place, and who has the place before is the one that it names.
    fn is_borne_out_by(&self, handle: &SnapshotHandle) -> bool {
        let SnapshotHandle { snapshot, digest, .. } = handle;
        self.place.is_some_and(|place| {
            // Writers count from 1, and the first names none before it.
            let is_place = place.sequence > 0 && (place.sequence == 1) == place.previous.is_none();
            let is_before = place.sequence.checked_sub(1) == Some(snapshot.sequence);
            is_place && place.sequence != snapshot.sequence && is_before == (place.previous == Some(*digest))
        })
    }
}

/// All snapshots of a repository.
#[derive(Debug, Clone, Default)]
pub struct Snapshots {
    /// Those that are whole, oldest first by the time of the store where they were made.
    pub whole: Vec<SnapshotHandle>,
    /// Parts that wait to be merged, oldest first: no snapshots of a source, though collectors spare what they need.
    pub parts: Vec<SnapshotHandle>,
    /// Those that cannot be read.
    pub damaged: Vec<DamagedSnapshot>,
    /// Those of the whole ones that are dated more than [`AHEAD_SECONDS`] after now: either the store's clock was wrong when they were made, and
    /// when that was nobody knows, or the clock that says what is now is behind.
    pub ahead: BTreeSet<SnapshotId>,
    /// What was now when they were judged.
    pub now: Timestamp,
}

/// How a person names a snapshot: `latest`, `latest~2` (two before that of the same source), or the beginning of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotName(pub String);

impl Repository {
    /// Lists and opens all snapshots. Now is what the clock of this machine says: the store's is reported only to those who write.
    ///
    /// # Errors
    /// When the store cannot be read; a damaged snapshot is reported in its place.
    pub async fn snapshots(&self) -> Result<Snapshots> {
        self.snapshots_in(self.store()).await
    }

    /// [All of them](Self::all_snapshots), by the clock of the store, which is asked for by writing an object; by that of this machine where the store has none.
    /// Of one without room for that object it is known that it has reached the time of its newest.
    ///
    /// # Errors
    /// As [`all_snapshots`](Self::all_snapshots), and when the store cannot be written.
    pub async fn snapshots_by_store_time(&self) -> Result<Snapshots> {
        let now = self.time().await?.unwrap_or_else(|| self.clock().now().wall);
        Ok(self.all_snapshots().await?.judged(now))
    }

    /// The same for whoever asks how old they are. In a store without room for that object none would grow older by the time that it has reached: there it is
    /// the clock of this machine that says.
    ///
    /// # Errors
    /// As [`snapshots_by_store_time`](Self::snapshots_by_store_time).
    pub async fn snapshots_by_age(&self) -> Result<Snapshots> {
        let now = match self.store_time().await {
            Err(cause) if cause.is_full() => None,
            asked => asked?,
        };
        Ok(self.all_snapshots().await?.judged(now.unwrap_or_else(|| self.clock().now().wall)))
    }

    pub(crate) async fn snapshots_in(&self, store: &Arc<dyn Store>) -> Result<Snapshots> {
        let mut snapshots = Snapshots::default();
        let places = Mutex::new(HashMap::new());
        let open = |id: ObjectId, bytes: Vec<u8>| {
            let place = unproven_link(&bytes);
            let opened = open_snapshot(self.keys(), SnapshotId::new(*id.as_bytes()), bytes);
            if let (Err(_), Some(place)) = (&opened, place) {
                lock_unpoisoned(&places).insert(id, place);
            }
            opened
        };
        for document in self.documents_opened(store, ObjectKind::Snapshot, &open).await? {
            let stored = document.object.modified;
            match document.body {
                Ok(OpenedSnapshot { snapshot, digest }) => {
                    let folder = if snapshot.part.is_some() { &mut snapshots.parts } else { &mut snapshots.whole };
                    folder.push(SnapshotHandle { snapshot, stored, digest });
                }
                Err(damage) => {
                    let place = lock_unpoisoned(&places).get(&document.id).copied();
                    snapshots.damaged.push(DamagedSnapshot { damage, place });
                }
            }
        }
        Ok(snapshots.judged(self.clock().now().wall))
    }

    /// What snapshots state in the clear of their place in their writers' chains, with the digest of each; no key is needed. Damaged ones
    /// are left out.
    pub(crate) async fn stated_links(&self, snapshots: Vec<StoreKey>) -> Result<Vec<(ChainLink, Digest)>> {
        let read = futures_util::stream::iter(snapshots.into_iter().map(|key| self.stated_link(key)));
        let links: Vec<Option<(ChainLink, Digest)>> = read.buffered(DOCUMENTS_IN_FLIGHT).try_collect().await?;
        Ok(links.into_iter().flatten().collect())
    }

    async fn stated_link(&self, key: StoreKey) -> Result<Option<(ChainLink, Digest)>> {
        let Some(Ok(bytes)) = fetch(&**self.store(), &key).await? else { return Ok(None) };
        let mut inspector = Inspector::new(bytes.len() as u64);
        inspector.update(&bytes);
        let inspected = inspector.finish().ok();
        let named = inspected.filter(|found| found.header.kind().store_key(found.header.object()) == key);
        Ok(named.and_then(|found| found.statement.map(|statement| (statement.link, found.sha256))))
    }

    /// The one snapshot that a name means.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`] when none or several match; damage, or [`Error::NewestUnreadable`], when the one meant may be among the damaged;
    /// [`Error::NewestAhead`] when it hangs on a date after now which one is meant.
    pub async fn find(&self, name: &SnapshotName) -> Result<SnapshotHandle> {
        self.snapshots().await?.find(name)
    }
}

impl Snapshots {
    /// In order, those that are ahead of time noted, and of the damaged the places that are borne out.
    fn judged(mut self, now: Timestamp) -> Self {
        let last = Timestamp { seconds: now.seconds.saturating_add(AHEAD_SECONDS), ..now };
        let ahead = |handle: &&SnapshotHandle| handle.time().is_some_and(|time| time > last);
        self.ahead = self.whole.iter().filter(ahead).map(|handle| handle.snapshot.id).collect();
        for handles in [&mut self.whole, &mut self.parts] {
            handles.sort_by_key(|handle| (handle.time(), handle.snapshot.sequence, handle.snapshot.id));
        }
        for damaged in &mut self.damaged {
            let writer = damaged.place.map(|place| place.writer);
            let mut known =
                self.whole.iter().chain(&self.parts).filter(|handle| Some(handle.snapshot.writer) == writer);
            let is_borne_out = known.all(|handle| damaged.is_borne_out_by(handle));
            damaged.place = damaged.place.filter(|_| is_borne_out);
        }
        Self { now, ..self }
    }

    /// All that can be read, parts among them.
    pub fn everything(&self) -> impl Iterator<Item = &SnapshotHandle> + Clone {
        self.whole.iter().chain(&self.parts)
    }

    /// Whether it is among those [`ahead`](Self::ahead).
    #[must_use]
    pub fn is_ahead(&self, handle: &SnapshotHandle) -> bool {
        self.ahead.contains(&handle.snapshot.id)
    }

    /// Which of some was [made last](last_made).
    pub(crate) fn last_made(&self, is_meant: impl Fn(&SnapshotHandle) -> bool) -> Option<&SnapshotHandle> {
        last_made(self.whole.iter().filter(|handle| is_meant(handle)), &self.ahead)
    }

    /// The one snapshot that a name means.
    ///
    /// # Errors
    /// As [`Repository::find`].
    pub fn find(&self, name: &SnapshotName) -> Result<SnapshotHandle> {
        if !name.is_latest() {
            return self.by_id(&name.0);
        }
        let unreadable = |unread: &DamagedSnapshot| match self.whole.is_empty() {
            true => unread.damage.clone().into(),
            false => Error::NewestUnreadable { damage: unread.damage.clone() },
        };
        if let Some(unread) = self.unproven(|_| true) {
            return Err(unreadable(unread));
        }
        let newest = self.newest()?;
        let passed = self.passed(&newest, name)?;
        let Some((found, newer)) = passed.split_last() else { return Ok(newest) };
        let is_known = |handle: &SnapshotHandle| {
            let is_of_it = handle.snapshot.source.identity == found.snapshot.source.identity;
            newer.is_empty() || is_of_it && !newer.iter().any(|newer| newer.snapshot.id == handle.snapshot.id)
        };
        // One that cannot be read may have been the one that was counted to.
        self.unproven(is_known).map_or_else(|| Ok((*found).clone()), |unread| Err(unreadable(unread)))
    }

    /// The same, but where the newest snapshot cannot be read, or it hangs on a date after now which it is, `latest` is the newest of the others.
    ///
    /// # Errors
    /// As [`Repository::find`].
    pub fn find_or_older(&self, name: &SnapshotName) -> Result<SnapshotHandle> {
        match self.find(name) {
            Err(Error::NewestUnreadable { .. } | Error::NewestAhead { .. }) => {
                let others = self.last_made(|handle| !self.is_ahead(handle));
                let newest = others.or_else(|| self.last_made(|_| true)).ok_or_else(none)?;
                self.passed(newest, name)?.pop().cloned().ok_or_else(none)
            }
            found => found,
        }
    }

    /// The newest of those that can be read. One that is ahead of time may have been made before or after those of other writers.
    fn newest(&self) -> Result<SnapshotHandle> {
        let newest = self.last_made(|_| true).ok_or_else(none)?;
        match heads(&self.whole).filter(|handle| self.is_ahead(handle)).last() {
            Some(ahead) if !self.is_ahead(newest) => Err(Error::NewestAhead {
                snapshot: ahead.snapshot.id,
                dated: to_the_second(ahead.time().unwrap_or_default()),
                now: to_the_second(self.now),
            }),
            _ => Ok(newest.clone()),
        }
    }

    /// The newest and as many before it of the same source as the name says, newest first.
    fn passed<'a>(&'a self, newest: &'a SnapshotHandle, name: &SnapshotName) -> Result<Vec<&'a SnapshotHandle>> {
        let source = &newest.snapshot.source;
        let mut passed = vec![newest];
        for steps in 0..name.steps_back() {
            let is_earlier = |handle: &SnapshotHandle| {
                let mut ids = passed.iter().map(|passed| passed.snapshot.id);
                handle.snapshot.source.identity == source.identity && ids.all(|id| id != handle.snapshot.id)
            };
            let found = self.last_made(is_earlier).ok_or_else(|| Error::NoSnapshot {
                reason: format!("`{}` names none: {} has {} snapshots", name.0, source.location, steps + 1),
            })?;
            passed.push(found);
        }
        Ok(passed)
    }

    /// The newest of each source, newest first: several where `latest` alone does not say of which.
    #[must_use]
    pub fn newest_by_source(&self) -> Vec<&SnapshotHandle> {
        let sources: BTreeSet<&str> =
            self.whole.iter().map(|handle| handle.snapshot.source.identity.as_str()).collect();
        let newest = |source: &str| self.last_made(|handle| handle.snapshot.source.identity == source);
        let mut found: Vec<&SnapshotHandle> = sources.into_iter().filter_map(newest).collect();
        found.sort_by_key(|handle| std::cmp::Reverse((handle.time(), handle.snapshot.id)));
        found
    }

    /// How many digits of an id tell each snapshot from all others, those that are damaged among them; at least [`SHORT_ID_DIGITS_MIN`].
    #[must_use]
    pub fn short_id_digits(&self) -> usize {
        let damaged = self.damaged.iter().filter_map(|damaged| damaged.damage.object.strip_prefix(SNAPSHOTS));
        let ids = self.whole.iter().map(|handle| handle.snapshot.id.to_string()).chain(damaged.map(str::to_owned));
        let ids: BTreeSet<String> = ids.collect();
        let shared = |(a, b): (&String, &String)| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
        let longest = ids.iter().zip(ids.iter().skip(1)).map(shared).max();
        longest.map_or(0, |shared| shared + 1).max(SHORT_ID_DIGITS_MIN)
    }

    /// One that cannot be read, and that none of those meant is proven to follow: it may be newer than all of them.
    fn unproven(&self, is_meant: impl Fn(&SnapshotHandle) -> bool) -> Option<&DamagedSnapshot> {
        let is_followed = |damaged: &DamagedSnapshot| {
            self.whole.iter().any(|handle| is_meant(handle) && damaged.is_followed_by(handle))
        };
        self.damaged.iter().find(|damaged| !is_followed(damaged))
    }

    fn by_id(&self, digits: &str) -> Result<SnapshotHandle> {
        let is_meant = |id: &str| id.starts_with(digits);
        let unread =
            self.damaged.iter().find(|damaged| damaged.damage.object.strip_prefix(SNAPSHOTS).is_some_and(is_meant));
        if let Some(unread) = unread {
            return Err(unread.damage.clone().into());
        }
        let matches: Vec<&SnapshotHandle> =
            self.whole.iter().filter(|handle| is_meant(&handle.snapshot.id.to_string())).collect();
        match matches.as_slice() {
            [handle] => Ok((*handle).clone()),
            [] => Err(Error::NoSnapshot {
                reason: match self.parts.iter().any(|part| is_meant(&part.snapshot.id.to_string())) {
                    true => format!("`{digits}` is a part that waits to be merged, no snapshot"),
                    false => format!("no snapshot's id begins with `{}`", digits.escape_debug()),
                },
            }),
            several => Err(Error::NoSnapshot { reason: self.ambiguous(digits, several) }),
        }
    }

    fn ambiguous(&self, digits: &str, matches: &[&SnapshotHandle]) -> String {
        let shown = self.short_id_digits();
        let candidate = |handle: &&SnapshotHandle| {
            let SnapshotHandle { snapshot, .. } = handle;
            let time = handle.time().map_or_else(String::new, |time| format!(", {}", to_the_second(time)));
            format!("{:.shown$} ({}{time})", snapshot.id.to_string(), snapshot.source.location)
        };
        let named: Vec<String> = matches.iter().take(CANDIDATES_MAX).map(candidate).collect();
        let more = matches
            .len()
            .checked_sub(CANDIDATES_MAX + 1)
            .map_or_else(String::new, |more| format!(" and {} more", more + 1));
        format!(
            "`{digits}` begins the ids of {} snapshots: {}{more}; give more digits",
            matches.len(),
            named.join(", ")
        )
    }
}

/// Which of some was made last. A writer numbers its snapshots, so that no clock decides between those of one; between writers their dates do,
/// and those that are ahead of time come before all others.
pub(crate) fn last_made<'a>(
    handles: impl IntoIterator<Item = &'a SnapshotHandle>,
    ahead: &BTreeSet<SnapshotId>,
) -> Option<&'a SnapshotHandle> {
    heads(handles).max_by_key(|handle| {
        let SnapshotHandle { snapshot, .. } = handle;
        (!ahead.contains(&snapshot.id), handle.time(), snapshot.sequence, snapshot.id)
    })
}

/// Those of some that no later one of their writer follows.
fn heads<'a>(handles: impl IntoIterator<Item = &'a SnapshotHandle>) -> impl Iterator<Item = &'a SnapshotHandle> {
    let handles: Vec<&SnapshotHandle> = handles.into_iter().collect();
    let mut last = HashMap::new();
    for handle in handles.iter().filter(|handle| handle.is_first_hand()) {
        let known = last.entry(handle.snapshot.writer).or_insert(0);
        *known = handle.snapshot.sequence.max(*known);
    }
    let is_followed =
        move |handle: &SnapshotHandle| last.get(&handle.snapshot.writer) > Some(&handle.snapshot.sequence);
    handles.into_iter().filter(move |handle| !is_followed(handle))
}

const fn to_the_second(time: Timestamp) -> Timestamp {
    Timestamp { nanoseconds: 0, ..time }
}

fn none() -> Error {
    Error::NoSnapshot { reason: "the repository holds no snapshot yet".to_owned() }
}

impl SnapshotName {
    /// Whether it means the newest, or one that is counted from it.
    #[must_use]
    pub fn is_latest(&self) -> bool {
        self.counted().is_some()
    }

    /// Whether it can name a snapshot at all.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        self.is_latest() || (!self.0.is_empty() && self.0.bytes().all(is_digit))
    }

    fn steps_back(&self) -> usize {
        self.counted().unwrap_or(0)
    }

    /// How many before the newest are to be passed over.
    fn counted(&self) -> Option<usize> {
        match self.0.strip_prefix(LATEST)? {
            "" => Some(0),
            rest => rest.strip_prefix('~')?.parse().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SnapshotFilter;
    use super::*;
    use crate::testing::unsealed;

    const DAY: i64 = 86_400;

    fn of(source: &str, number: u8, host: &str, seconds: i64) -> SnapshotHandle {
        let mut handle = unsealed(number, host, seconds);
        handle.snapshot.source.identity = format!("{host}:{source}");
        handle.snapshot.source.location = source.to_owned();
        handle
    }

    fn known(whole: Vec<SnapshotHandle>) -> Snapshots {
        Snapshots { whole, ..Snapshots::default() }.judged(Timestamp { seconds: 9 * DAY, nanoseconds: 0 })
    }

    fn found(snapshots: &Snapshots, name: &str) -> Result<u8> {
        snapshots.find(&SnapshotName(name.to_owned())).map(|handle| handle.snapshot.id.as_bytes()[0])
    }

    #[test]
    fn latest_is_counted_back_within_its_source() {
        let all = known(vec![of("/a", 1, "x", 1), of("/a", 2, "x", 2), of("/b", 3, "x", 3), of("/a", 4, "x", 4)]);
        for (name, expected) in [("latest", 4), ("latest~0", 4), ("latest~1", 2), ("latest~2", 1)] {
            assert_eq!(found(&all, name).unwrap(), expected, "{name}");
        }
        let beyond = found(&all, "latest~3").unwrap_err().to_string();
        assert!(beyond.contains("/a has 3 snapshots"), "{beyond}");
        for (name, is_valid) in [("latest~1", true), ("latest~", false), ("latest1", false), ("0af", true), ("", false)]
        {
            assert_eq!(SnapshotName(name.to_owned()).is_valid(), is_valid, "{name}");
        }
    }

    #[test]
    fn the_place_that_a_damaged_snapshot_states_counts_only_where_the_others_bear_it_out() {
        let writer = credenza_format::Hex([7; 16]);
        let chained = |number: u8, sequence| {
            let mut handle = of("/a", number, "x", i64::from(number));
            (handle.snapshot.writer, handle.snapshot.sequence) = (writer, sequence);
            SnapshotHandle { digest: Digest::from([number; 32]), ..handle }
        };
        let whole = vec![chained(1, 1), chained(3, 3), chained(4, 4)];
        let object = ObjectKind::Snapshot.store_key(ObjectId::new([9; 16]));
        let damage = Damage::new(&object, crate::DamageKind::Corrupt, "");
        let found_with = |sequence, previous: Option<u8>| {
            let previous = previous.map(|byte| Digest::from([byte; 32]));
            let place = Some(ChainLink { writer, sequence, previous });
            let damaged = vec![DamagedSnapshot { damage: damage.clone(), place }];
            let known = Snapshots { whole: whole.clone(), damaged, ..Snapshots::default() };
            found(&known.judged(Timestamp { seconds: 9 * DAY, nanoseconds: 0 }), "latest")
        };
        assert_eq!(found_with(2, Some(1)).unwrap(), 4);
        for (sequence, previous) in [(5, Some(4)), (2, Some(4)), (2, None), (3, Some(2)), (0, None), (5, None)] {
            let refused = found_with(sequence, previous);
            assert!(matches!(refused, Err(Error::NewestUnreadable { .. })), "{sequence} {previous:?}: {refused:?}");
        }
    }

    #[test]
    fn the_newest_of_each_source_shows_what_latest_could_mean() {
        let all = known(vec![of("/a", 1, "x", 1), of("/b", 2, "x", 2), of("/a", 3, "y", 3), of("/a", 4, "x", 4)]);
        let ids = |snapshots: &Snapshots| -> Vec<u8> {
            snapshots.newest_by_source().iter().map(|handle| handle.snapshot.id.as_bytes()[0]).collect()
        };
        assert_eq!(ids(&all), [4, 3, 2]);
        let filter = |filter: SnapshotFilter| all.clone().filtered(&filter);
        let of_a = filter(SnapshotFilter { sources: vec!["/a".into()], ..SnapshotFilter::default() });
        assert_eq!(ids(&of_a), [4, 3], "the same folder of two machines is two sources");
        let of_x = SnapshotFilter { paths: vec!["/b/c".into()], hosts: vec!["x".into()], ..SnapshotFilter::default() };
        assert_eq!(found(&filter(of_x), "latest").unwrap(), 2);
    }

    #[test]
    fn ids_are_shown_as_far_as_they_differ_and_one_that_means_two_names_both() {
        let mut all = known(vec![of("/a", 1, "x", 1), of("/b", 2, "x", 2)]);
        assert_eq!(all.short_id_digits(), 8);
        let alike = |last: u8| {
            let mut id = [7; 16];
            id[5] = last;
            SnapshotId::new(id)
        };
        for (handle, last) in all.whole.iter_mut().zip([1, 2]) {
            handle.snapshot.id = alike(last);
        }
        assert_eq!(all.short_id_digits(), 12);
        let several = found(&all, "0707").unwrap_err().to_string();
        assert!(several.contains("070707070701 (/a") && several.contains("070707070702 (/b"), "{several}");
        assert_eq!(found(&all, "070707070702").unwrap(), 7);
    }
}
