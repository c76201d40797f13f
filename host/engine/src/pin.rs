//! Pin: what somebody reads from stays, even when its snapshot is removed meanwhile.
//!
//! A pin is an intent (`FORMAT.md`, "Intent"): it names the packs of snapshots, and no collector takes those while it is there. The order is that of a
//! commit, with the snapshot as the proof that nothing was taken before:
//!
//! ```text
//! 1 PUT  an intent that names the packs of the usage lists
//! 2 LIST the records of condemned packs: what was in one of ours was moved, and where it is now is named as well; look again
//! 3 STAT the snapshots: as long as they are there, every collector that began before needs what they need
//! ```
//!
//! It expires by the store's time as every intent does, a week after it was put, and is put anew once a day; it is taken back at the end. So it ends with
//! the process, or a week after it. After a week in which a machine slept it has ended: it begins anew with all three steps, and which snapshots were
//! removed meanwhile is told.
//!
//! What is shown no more is let go, for a mount that runs for months would keep all that it ever showed. Whoever is in the midst of it gets time: the next
//! daily intents do not name it, and those before are taken back a day later still.
//!
//! Owned here: that order, and renewing. Refused here: which snapshots are read. Called by whatever shows snapshots for longer than one run. The protocol
//! is in `tests/protocol_model.rs`.
//!
//! Bound: 16 bytes for each pack that is named, twice while some are let go, a handle for each snapshot; the index while packs are condemned that were.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use credenza_format::{Bitmap, Hex, Intent, ObjectKind, Usage};
use credenza_model::{ObjectId, SnapshotId, StoreKey};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use tokio::sync::Mutex;

use crate::clock::LEASE;
use crate::repository::{Repository, SnapshotHandle};
use crate::write::put_intent;
use crate::{Error, Result};

/// How often a pin is put anew: well before the week in which it expires, also where a machine sleeps for days.
const RENEWED: Duration = Duration::from_hours(24);
/// How often the calendar is looked at, and what failed is tried again. The clock that is waited by may stand still while a machine sleeps.
const PULSE: Duration = Duration::from_mins(10);
/// Packs that one intent names; 2 MB.
const PACKS_IN_INTENT: usize = 50_000;
/// Usage lists read at once.
const USAGES_IN_FLIGHT: usize = 8;
/// Looks at what collectors have condemned meanwhile.
const LOOKS_MAX: usize = 4;

/// Keeps what snapshots need.
pub struct Pin {
    repository: Repository,
    writer: Hex<[u8; 16]>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    snapshots: HashMap<SnapshotId, SnapshotHandle>,
    packs: BTreeSet<ObjectId>,
    intents: Vec<StoreKey>,
    /// Of the snapshots those that are shown, as it was told last; all of them where it was not.
    shown: Option<HashSet<SnapshotId>>,
    /// What is let go, as it was kept until now.
    leaving: Leaving,
    /// It keeps nothing more.
    is_ended: bool,
}

#[derive(Default)]
struct Leaving {
    snapshots: Vec<SnapshotHandle>,
    intents: Vec<StoreKey>,
}

impl Held {
    fn is_shown(&self, id: &SnapshotId) -> bool {
        self.shown.as_ref().is_none_or(|shown| shown.contains(id))
    }

    fn has(&self, handle: &SnapshotHandle) -> bool {
        self.snapshots.contains_key(&handle.snapshot.id)
    }
}

impl Pin {
    /// A pin that keeps nothing yet.
    #[must_use]
    pub fn new(repository: Repository, host: &str, user: &str) -> Self {
        let writer = repository.writer(host, user);
        Self { repository, writer, held: Mutex::default() }
    }

    /// Keeps what these snapshots need, too; those that it keeps already cost nothing. Once it has [ended](Self::end) nothing is kept.
    ///
    /// # Errors
    /// [`Error::Unpinned`] when one of them was removed before it could be kept, [`Error::Contended`] when collectors move what they need at each look; when a usage list or a record cannot be read, and when the store takes no
    /// intent. What was kept before is kept still.
    pub async fn keep(&self, snapshots: &[SnapshotHandle]) -> Result<()> {
        self.keep_in(&mut *self.held.lock().await, snapshots).await
    }

    async fn keep_in(&self, held: &mut Held, snapshots: &[SnapshotHandle]) -> Result<()> {
        let new: Vec<&SnapshotHandle> = snapshots.iter().filter(|handle| !held.has(handle)).collect();
        if new.is_empty() || held.is_ended {
            return Ok(());
        }
        let used = self.used(&new).await?;
        let mut wanted: BTreeSet<ObjectId> = used.keys().copied().collect();
        for _ in 0..LOOKS_MAX {
            let unnamed: Vec<ObjectId> = wanted.difference(&held.packs).copied().collect();
            self.announce(held, &unnamed).await?;
            let condemned = self.repository.condemned().await?;
            let moved = match used.keys().any(|pack| condemned.contains(pack)) {
                true => self.moved_to(&used, &condemned).await?,
                false => BTreeSet::new(),
            };
            if moved.is_subset(&held.packs) {
                self.require_there(&new).await?;
                held.snapshots.extend(new.iter().map(|handle| (handle.snapshot.id, (*handle).clone())));
                return Ok(());
            }
            wanted.extend(moved);
        }
        Err(Error::Contended { what: "what snapshots need".to_owned() })
    }

    /// Keeps what each of these snapshots, which are all that are shown, needs as far as that can be, and gives back why others cannot be kept. What was
    /// kept for others is let go after a day or two.
    ///
    /// # Errors
    /// As for [`keep`](Self::keep) where the store takes no intent, so that nothing can be kept.
    pub async fn keep_each(&self, snapshots: &[SnapshotHandle]) -> Result<Vec<Error>> {
        let mut held = self.held.lock().await;
        held.shown = Some(snapshots.iter().map(|handle| handle.snapshot.id).collect());
        let new: Vec<SnapshotHandle> = snapshots.iter().filter(|handle| !held.has(handle)).cloned().collect();
        drop(held);
        let (mut left, mut causes) = (vec![new.as_slice()], Vec::new());
        while let Some(some) = left.pop() {
            let Err(cause) = self.keep(some).await else { continue };
            if self.is_refused().await {
                return Err(cause);
            }
            match some.split_at(some.len() / 2) {
                ([], _) => causes.push(cause),
                (before, after) => left.extend([after, before]),
            }
        }
        Ok(causes)
    }

    /// The snapshots that are shown no more and still kept.
    pub async fn former(&self) -> Vec<SnapshotHandle> {
        let held = self.held.lock().await;
        let kept = held.snapshots.values().chain(&held.leaving.snapshots);
        kept.filter(|handle| !held.is_shown(&handle.snapshot.id)).cloned().collect()
    }

    /// Whether the store took none of the intents that were put.
    async fn is_refused(&self) -> bool {
        let held = self.held.lock().await;
        held.packs.is_empty() && !held.intents.is_empty()
    }

    /// Puts the pin anew once a day by the calendar, for ever. What goes wrong is told once, and tried again after minutes.
    pub async fn renew_daily(&self, trouble: &(dyn Fn(&Error) + Send + Sync)) {
        let now = || self.repository.clock().now().wall.seconds;
        let (mut renewed, mut is_told) = (now(), false);
        loop {
            self.repository.clock().wait(PULSE).await;
            let at = now();
            let passed = at.abs_diff(renewed);
            if passed < RENEWED.as_secs() {
                continue;
            }
            match self.renew().await {
                Ok(()) => (renewed, is_told) = (at, false),
                Err(cause) => {
                    if !is_told {
                        trouble(&cause);
                    }
                    is_told = true;
                    continue;
                }
            }
            if passed >= LEASE.as_secs() {
                self.keep_anew(trouble).await;
            }
        }
    }

    /// Keeps again what was kept, after the pin had ended, and tells what was removed meanwhile.
    async fn keep_anew(&self, trouble: &(dyn Fn(&Error) + Send + Sync)) {
        let mut held = self.held.lock().await;
        held.leaving.snapshots.clear();
        let kept = std::mem::take(&mut held.snapshots);
        drop(held);
        for handle in kept.into_values() {
            if let Err(cause) = self.keep(std::slice::from_ref(&handle)).await {
                trouble(&cause);
            }
        }
    }

    /// Puts the pin anew, and takes the one before back: at the next time, where it keeps what is shown no more.
    ///
    /// # Errors
    /// When the store takes no intent; the one before stays.
    pub async fn renew(&self) -> Result<()> {
        let mut held = self.held.lock().await;
        let mut leaving = self.let_go(&mut held).await;
        if leaving.intents.is_empty() {
            let before = held.intents.clone();
            let packs: Vec<ObjectId> = held.packs.iter().copied().collect();
            self.announce(&mut held, &packs).await?;
            held.intents.retain(|intent| !before.contains(intent));
            leaving.intents = before;
        }
        let gone = if leaving.snapshots.is_empty() {
            [std::mem::take(&mut held.leaving).intents, leaving.intents].concat()
        } else {
            std::mem::replace(&mut held.leaving, leaving).intents
        };
        drop(held);
        self.withdraw(&gone).await;
        Ok(())
    }

    /// Keeps what is shown by intents of its own, and hands back what kept the rest until now. Nothing is let go where not all can be kept anew: one that was
    /// removed a moment ago is shown no more when the pin is put anew the next time. What is in the repository no more is not shown, though nobody has looked.
    async fn let_go(&self, held: &mut Held) -> Leaving {
        if let Some(shown) = &mut held.shown {
            let Ok(listed) = self.repository.snapshots().await else { return Leaving::default() };
            let there: BTreeSet<SnapshotId> = listed.whole.iter().map(|handle| handle.snapshot.id).collect();
            shown.retain(|id| there.contains(id));
        }
        let (shown, rest): (Vec<_>, Vec<_>) =
            held.snapshots.values().cloned().partition(|handle| held.is_shown(&handle.snapshot.id));
        if rest.is_empty() {
            return Leaving::default();
        }
        let mut anew = Held::default();
        if self.keep_in(&mut anew, &shown).await.is_err() {
            self.withdraw(&anew.intents).await;
            return Leaving::default();
        }
        (held.snapshots, held.packs) = (anew.snapshots, anew.packs);
        Leaving { snapshots: rest, intents: std::mem::replace(&mut held.intents, anew.intents) }
    }

    /// Takes the pin back, for good. What the store does not delete expires.
    pub async fn end(&self) {
        let held = std::mem::replace(&mut *self.held.lock().await, Held { is_ended: true, ..Held::default() });
        self.withdraw(&[held.intents, held.leaving.intents].concat()).await;
    }

    /// What the snapshots use of each pack.
    async fn used(&self, snapshots: &[&SnapshotHandle]) -> Result<HashMap<ObjectId, Bitmap>> {
        let usages: Vec<_> = snapshots.iter().map(|handle| self.usage(handle).boxed()).collect();
        let mut usages = futures_util::stream::iter(usages).buffered(USAGES_IN_FLIGHT);
        let mut used: HashMap<ObjectId, Bitmap> = HashMap::new();
        while let Some(usage) = usages.try_next().await? {
            for one in usage.packs {
                used.entry(one.pack).and_modify(|known| known.unite(&one.used)).or_insert(one.used);
            }
        }
        Ok(used)
    }

    async fn usage(&self, handle: &SnapshotHandle) -> Result<Usage> {
        let usage = self.repository.usage(handle).await?;
        usage.ok_or(Error::Unpinned { snapshot: handle.snapshot.id })
    }

    async fn announce(&self, held: &mut Held, packs: &[ObjectId]) -> Result<()> {
        for packs in packs.chunks(PACKS_IN_INTENT) {
            let created = self.repository.clock().now().wall;
            let intent = Intent { packs: packs.to_vec(), connectors: Vec::new(), created, writer: self.writer };
            // A put whose answer is lost may have arrived: its name is noted before.
            let note = |key| held.intents.push(key);
            put_intent(&**self.repository.store(), self.repository.keys(), &intent, note).await?;
            held.packs.extend(packs);
        }
        Ok(())
    }

    async fn require_there(&self, snapshots: &[&SnapshotHandle]) -> Result<()> {
        let looks: Vec<_> = snapshots.iter().map(|handle| self.look(handle.snapshot.id).boxed()).collect();
        futures_util::stream::iter(looks).buffered(USAGES_IN_FLIGHT).try_collect().await
    }

    async fn look(&self, snapshot: SnapshotId) -> Result<()> {
        let key = ObjectKind::Snapshot.store_key(ObjectId::new(*snapshot.as_bytes()));
        if self.repository.holds(&key).await? { Ok(()) } else { Err(Error::Unpinned { snapshot }) }
    }

    /// Where else what is used of condemned packs lies.
    async fn moved_to(
        &self,
        used: &HashMap<ObjectId, Bitmap>,
        condemned: &HashSet<ObjectId>,
    ) -> Result<BTreeSet<ObjectId>> {
        let index = self.repository.read_index(self.repository.store()).await?.index;
        let pack_of = |ordinal| index.pack(ordinal).map(|pack| pack.id);
        let is_lost = |pack: &ObjectId, position| {
            condemned.contains(pack) && used.get(pack).is_some_and(|used| used.get(position))
        };
        let mut packs = BTreeSet::new();
        for known in index.iter() {
            let (id, place) = known?;
            if pack_of(place.pack).is_some_and(|pack| is_lost(&pack, place.position)) {
                packs.extend(index.places(&id)?.iter().filter_map(|place| pack_of(place.pack)));
            }
        }
        Ok(packs)
    }

    async fn withdraw(&self, intents: &[StoreKey]) {
        if !intents.is_empty() {
            // What stays behind expires by itself.
            let _ = self.repository.store().delete(intents).await;
        }
    }
}
