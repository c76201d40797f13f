//! Health: what is on record of the bytes of packs: what was found damaged, and when each pack was read whole the last time.
//!
//! The record is all notes of type `health` together (`FORMAT.md`, "Note"). Whoever reads packs adds a note of what it found, and needs no
//! leave to delete for that; collectors make one note of many. Damage stays on record until the pack is read whole at a later time, or gone.
//! Of two machines at once neither takes back what the other says.
//!
//! A record that somebody forged could hide damage, so only notes count that were sealed with the keys of a reader: a writer may add notes and
//! read nothing. No record is a reason to change a pack or to delete one; it tells what to read, to keep and to name.
//!
//! Times are those of the machine that read, in whole seconds, and never before the claim that they answer: a clock that is behind cannot keep
//! a pack damaged that was read whole since, nor one that is ahead hide what was found since.
//!
//! Owned here: these notes, and which of several claims holds. Refused here: which packs matter still, what to read. Called by `check`,
//! `repair` and `gc`, and by whoever shows snapshots. Bound: some 60 bytes for each pack that was read and 150 for each object that was damaged; a note of
//! [`CLAIMS_IN_NOTE`] claims, some 15 MB, while it is written, and what `repository` states while notes are read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use credenza_format::{DamagedObject, Fact, ObjectKind, PackKind, ReadPack, parity_pack};
use credenza_model::{ObjectId, StoreKey, Timestamp};

use crate::notes::{self, put_note};
use crate::repository::Repository;
use crate::{AHEAD_SECONDS, Damage, DamageKind, Result};

/// Claims that one note makes at most.
const CLAIMS_IN_NOTE: usize = 1 << 17;
/// Notes that are left alone.
const NOTES_MAX: usize = 16;

/// The record.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// The latest damage found, by the name of the object: a pack, or the parity of one.
    damaged: BTreeMap<String, Found>,
    /// When packs were read whole the last time, with their parity where they have one.
    read: HashMap<ObjectId, i64>,
    /// Packs whose reading was put on record by this.
    recorded: HashSet<ObjectId>,
    /// The notes that say it.
    notes: Vec<ObjectId>,
    /// Notes that cannot be read: what they say is unknown.
    unreadable: Vec<Damage>,
}

#[derive(Debug, Clone, Copy)]
struct Found {
    pack: ObjectId,
    kind: DamageKind,
    at: i64,
}

impl Repository {
    /// Puts on record what a reader found damaged, as `check` does: of packs and parity, whose bytes anybody can read again.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn record_damage(&self, damages: &[Damage]) -> Result<()> {
        if damages.is_empty() {
            return Ok(());
        }
        Health::load(self).await?.record(self, damages.iter(), &[]).await
    }
}

impl Health {
    /// Reads the record.
    ///
    /// # Errors
    /// When the store cannot be read, or with the keys of a writer.
    pub(crate) async fn load(repository: &Repository) -> Result<Self> {
        let mut health = Self::default();
        notes::read(repository, repository.bare_store(), |id, fact| health.take(id, fact)).await?;
        Ok(health)
    }

    /// Takes a note; whether others may have been merged into it.
    pub(crate) fn take(&mut self, id: ObjectId, fact: Result<Fact, Damage>) -> bool {
        match fact {
            Ok(Fact::Health { damaged, read }) => {
                self.notes.push(id);
                damaged.into_iter().for_each(|object| self.hear_of_damage(object));
                read.into_iter().for_each(|ReadPack { pack, at }| {
                    let last = self.read.entry(pack).or_insert(at.seconds);
                    *last = at.seconds.max(*last);
                });
                true
            }
            Ok(_) => false,
            Err(damage) => {
                let detail = format!(
                    "{}; which packs it says are damaged is unknown until all are read (`repair --read-data --apply` reads them and drops it)",
                    damage.detail
                );
                self.unreadable.push(Damage { detail, ..damage });
                false
            }
        }
    }

    /// What is said of anything but packs and their parity is passed over: later programs may say it.
    fn hear_of_damage(&mut self, DamagedObject { object, kind, found }: DamagedObject) {
        let Some(pack) = pack_of(&object) else { return };
        let kind = DamageKind::of_name(&kind).unwrap_or(DamageKind::Corrupt);
        let heard = Found { pack, kind, at: found.seconds };
        let last = self.damaged.entry(object).or_insert(heard);
        if heard.at > last.at {
            *last = heard;
        }
    }

    /// Notes that cannot be read.
    pub(crate) fn unreadable(&self) -> &[Damage] {
        &self.unreadable
    }

    /// What was found damaged and not read whole since, with its pack.
    pub(crate) fn damages(&self) -> impl Iterator<Item = (ObjectId, Damage)> + '_ {
        self.damaged.iter().filter(|(_, found)| self.holds(found)).map(|(object, found)| {
            let since = Timestamp { seconds: found.at, nanoseconds: 0 };
            let detail = format!("it was found damaged on {since} and has not been read whole since");
            (found.pack, Damage { object: object.clone(), kind: found.kind, chunk: None, detail })
        })
    }

    /// Packs that are damaged by the record, or whose parity is.
    pub(crate) fn damaged_packs(&self) -> HashSet<ObjectId> {
        self.damaged.values().filter(|found| self.holds(found)).map(|found| found.pack).collect()
    }

    /// When damage was found the last time, mended or not.
    pub(crate) fn damage_found(&self) -> Option<Timestamp> {
        let last = self.damaged.values().map(|found| found.at).max();
        last.map(|seconds| Timestamp { seconds, nanoseconds: 0 })
    }

    fn holds(&self, found: &Found) -> bool {
        self.read.get(&found.pack).is_none_or(|read| *read <= found.at)
    }

    /// When a pack was read whole the last time; nothing where damage was found since.
    pub(crate) fn read_at(&self, pack: &ObjectId) -> Option<Timestamp> {
        self.read.get(pack).map(|seconds| Timestamp { seconds: *seconds, nanoseconds: 0 })
    }

    /// Whether a pack was read whole within `age` before now. A time to come is not believed, beyond what the clocks of machines may differ by:
    /// a clock was set back since.
    pub(crate) fn is_recent(&self, pack: &ObjectId, age: Duration, now: Timestamp) -> bool {
        let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        self.read.get(pack).is_some_and(|time| (-AHEAD_SECONDS..age).contains(&now.seconds.saturating_sub(*time)))
    }

    /// Puts on record what was found now and is not known yet, nor was put there by an earlier call: damage, of which only that of the bytes of packs and parity is taken, and packs
    /// that were read whole, with their parity. A pack that is among these has no damage.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub(crate) async fn record<'a>(
        &mut self,
        repository: &Repository,
        damages: impl Iterator<Item = &'a Damage>,
        whole: &[ObjectId],
    ) -> Result<()> {
        let now = repository.clock().now().wall.seconds;
        let is_whole: HashSet<ObjectId> = whole.iter().copied().collect();
        let mut claims = Claims::default();
        for damage in damages.filter(|damage| is_of_bytes(damage.kind)) {
            let Some(pack) = pack_of(&damage.object).filter(|pack| !is_whole.contains(pack)) else { continue };
            let known = self.damaged.get(&damage.object).filter(|known| self.holds(known));
            if known.is_none_or(|known| known.kind != damage.kind) {
                let at = now.max(self.read.get(&pack).copied().unwrap_or(now)).max(known.map_or(now, |known| known.at));
                claims.damaged.push((damage.object.clone(), Found { pack, kind: damage.kind, at }));
            }
        }
        let mut answered: HashMap<ObjectId, i64> = HashMap::new();
        for found in self.damaged.values() {
            let last = answered.entry(found.pack).or_insert(found.at);
            *last = found.at.max(*last);
        }
        let after = |pack: &ObjectId| answered.get(pack).map_or(now, |found| now.max(found.saturating_add(1)));
        let unrecorded = whole.iter().filter(|pack| !self.recorded.contains(pack));
        claims.read = unrecorded.map(|pack| (*pack, after(pack))).collect();
        self.notes.extend(claims.put(repository, "check").await?);
        self.damaged.extend(claims.damaged);
        self.recorded.extend(claims.read.iter().map(|(pack, _)| *pack));
        self.read.extend(claims.read);
        Ok(())
    }

    /// Makes one record of many notes, without what is said of packs that need not be `kept`; how many notes went into it, and the objects that may
    /// be deleted now that it is there.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub(crate) async fn merge(
        &self,
        repository: &Repository,
        kept: impl Fn(&ObjectId) -> bool,
    ) -> Result<Vec<StoreKey>> {
        if self.notes.len() <= NOTES_MAX {
            return Ok(Vec::new());
        }
        let damaged = self.damaged.iter().filter(|(_, found)| self.holds(found) && kept(&found.pack));
        let claims = Claims {
            damaged: damaged.map(|(object, found)| (object.clone(), *found)).collect(),
            read: self.read.iter().filter(|(pack, _)| kept(pack)).map(|(pack, at)| (*pack, *at)).collect(),
        };
        claims.put(repository, "maintain").await?;
        Ok(self.notes.iter().map(|note| ObjectKind::Note.store_key(*note)).collect())
    }
}

/// What notes are to say.
#[derive(Default)]
struct Claims {
    damaged: Vec<(String, Found)>,
    read: Vec<(ObjectId, i64)>,
}

impl Claims {
    /// Puts them, in as many notes as it takes, damage first; nothing where there is nothing to say.
    async fn put(&self, repository: &Repository, doing: &str) -> Result<Vec<ObjectId>> {
        let time = |seconds| Timestamp { seconds, nanoseconds: 0 };
        let damaged = self.damaged.chunks(CLAIMS_IN_NOTE).map(|damaged| (damaged, &[] as &[(ObjectId, i64)]));
        let read = self.read.chunks(CLAIMS_IN_NOTE).map(|read| (&[] as &[(String, Found)], read));
        let parts: Vec<_> = match self.damaged.len() + self.read.len() {
            0 => return Ok(Vec::new()),
            1..=CLAIMS_IN_NOTE => vec![(&*self.damaged, &*self.read)],
            _ => damaged.chain(read).collect(),
        };
        let retain_until = repository.lock_until().await?;
        let mut notes = Vec::new();
        for (damaged, read) in parts {
            let damaged = damaged.iter().map(|(object, found)| DamagedObject {
                object: object.clone(),
                kind: found.kind.name().to_owned(),
                found: time(found.at),
            });
            let read = read.iter().map(|(pack, at)| ReadPack { pack: *pack, at: time(*at) });
            let fact = Fact::Health { damaged: damaged.collect(), read: read.collect() };
            notes.push(put_note(repository, doing, fact, retain_until).await?);
        }
        Ok(notes)
    }
}

/// Whether damage of this kind is one of bytes, which nobody sees who does not read them. What is missing or hidden each listing tells.
const fn is_of_bytes(kind: DamageKind) -> bool {
    matches!(kind, DamageKind::Corrupt | DamageKind::Size | DamageKind::Invalid | DamageKind::Unreadable)
}

/// The pack that an object is, or is the parity of.
pub(crate) fn pack_of(object: &str) -> Option<ObjectId> {
    let key = StoreKey::new(object.to_owned()).ok()?;
    let (kind, id) = ObjectKind::parse(&key).or_else(|| Some((ObjectKind::DataPack, parity_pack(&key)?)))?;
    PackKind::of(kind).map(|_| id)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use credenza_connect::memory::MemoryStore;

    use super::*;
    use crate::testing::{open, repository, secret};
    use crate::{Clock, Moment};

    /// A clock that stands still.
    struct Stopped(Mutex<i64>);

    impl Clock for Stopped {
        fn now(&self) -> Moment {
            let wall = Timestamp { seconds: *self.0.lock().unwrap(), nanoseconds: 0 };
            Moment { monotonic: Duration::ZERO, wall }
        }
    }

    /// Two machines, one of them a year ahead of the other.
    async fn machines() -> [Repository; 2] {
        let store = MemoryStore::new();
        repository(Arc::new(store.clone()), secret(), None).await;
        let machine = async |time| {
            let clock = Arc::new(Stopped(Mutex::new(time)));
            open(Arc::new(store.clone()), secret()).await.with_clock(clock)
        };
        [machine(1_800_000_000).await, machine(1_831_000_000).await]
    }

    fn pack(number: u32) -> ObjectId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        ObjectId::new(id)
    }

    fn damage(number: u32) -> Damage {
        Damage::new(&ObjectKind::DataPack.store_key(pack(number)), DamageKind::Corrupt, "")
    }

    async fn damaged(repository: &Repository) -> usize {
        Health::load(repository).await.unwrap().damages().count()
    }

    #[tokio::test]
    async fn a_later_claim_holds_whatever_the_clocks_say() {
        for [first, second] in [machines().await, {
            let [a, b] = machines().await;
            [b, a]
        }] {
            for _ in 0..3 {
                Health::load(&first).await.unwrap().record(&first, [damage(1)].iter(), &[]).await.unwrap();
                assert_eq!(damaged(&second).await, 1);
                Health::load(&second).await.unwrap().record(&second, [].iter(), &[pack(1)]).await.unwrap();
                assert_eq!(damaged(&first).await, 0);
            }
        }
    }

    #[tokio::test]
    async fn of_two_claims_made_without_knowing_of_each_other_the_damage_holds() {
        let [machine, _] = machines().await;
        let (mut one, mut two) = (Health::load(&machine).await.unwrap(), Health::load(&machine).await.unwrap());
        one.record(&machine, [].iter(), &[pack(1)]).await.unwrap();
        two.record(&machine, [damage(1)].iter(), &[]).await.unwrap();
        assert_eq!(damaged(&machine).await, 1);
    }

    #[tokio::test]
    async fn what_is_on_record_is_not_put_there_again() {
        let [machine, _] = machines().await;
        for _ in 0..2 {
            Health::load(&machine).await.unwrap().record(&machine, [damage(1)].iter(), &[]).await.unwrap();
        }
        assert_eq!(Health::load(&machine).await.unwrap().notes.len(), 1);
    }

    #[tokio::test]
    async fn a_hundred_thousand_damages_and_more_take_notes_of_bounded_size() {
        let [machine, _] = machines().await;
        let damages: Vec<Damage> = (0..132_000).map(damage).collect();
        let whole: Vec<ObjectId> = (132_000..133_000).map(pack).collect();
        Health::load(&machine).await.unwrap().record(&machine, damages.iter(), &whole).await.unwrap();
        let health = Health::load(&machine).await.unwrap();
        assert_eq!((health.notes.len(), health.damages().count(), health.read.len()), (3, 132_000, 1_000));
    }

    #[test]
    fn only_packs_and_their_parity_are_heard_of() {
        let id = pack(1);
        for (object, expected) in [
            (ObjectKind::DataPack.store_key(id).to_string(), Some(id)),
            (ObjectKind::MetaPack.store_key(id).to_string(), Some(id)),
            (credenza_format::parity_key(id).to_string(), Some(id)),
            (ObjectKind::Index.store_key(id).to_string(), None),
            ("../etc/passwd".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(pack_of(&object), expected, "{object}");
        }
    }
}
