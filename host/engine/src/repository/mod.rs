//! A repository that is open: its store, its config and its keys.
//!
//! Owned here: creating (`probe` tries the store), opening, the config with the retention policy and the role in it, key slots, until when objects are
//! locked, the small objects (`documents` reads any kind, `index` and `snapshots` know what is in them), records of removal, a
//! writer's place in its chain, one listing in place of several (`glance`), and whether what was listed is all there is (`cautious`, `complete`). Refused here:
//! packs (`blobs`, `write::dedup`). Called by every command of the engine.

mod cautious;
mod chain;
mod chains;
mod complete;
mod create;
mod disputes;
mod documents;
mod filter;
mod glance;
mod index;
mod locks;
mod open;
mod parity;
mod policy;
mod probe;
mod removal;
mod role;
mod rotate;
mod secret;
mod slots;
mod snapshots;
mod spare;
mod tables;
mod two_copies;
mod usage;

use std::sync::Arc;

use credenza_connect::Store;
use credenza_connect::wrap::Tally;
use credenza_format::{Config, Hex, IndexedPack, KeySlot, Keys, ObjectKind, PackKind, config_key};
use credenza_model::StoreKey;

pub(crate) use chain::Chain;
pub use chains::Head;
pub(crate) use chains::{Chains, Stated, Trust};
pub use create::{CreateOptions, Created};
pub(crate) use documents::{DOCUMENTS_IN_FLIGHT, Document, Rest, fetch, fetch_up_to, list};
use documents::{list_at_least, list_with_strays};
pub use filter::SnapshotFilter;
pub(crate) use index::SegmentInfo;
pub(crate) use locks::PROBES;
pub(crate) use parity::{lacking, put_parity};
use probe::VERSIONS;
pub use probe::probe;
pub use role::Role;
pub use rotate::{Resealing, Rotation};
pub use secret::{Secret, SlotLock};
pub use slots::{ListedSlot, key_slots};
pub(crate) use snapshots::last_made;
pub use snapshots::{AHEAD_SECONDS, DamagedSnapshot, SnapshotHandle, SnapshotName, Snapshots};
pub use spare::Spared;
pub(crate) use spare::{Missed, Spare};
pub(crate) use tables::{NOT_READ, by_table, digest, version_now};
pub(crate) use two_copies::{TwoCopies, put_text};

use crate::cached::CacheFolder;
use crate::clock::Clock;
use crate::heed::Heed;
use crate::{Damage, Error, Result, Stop};

/// A repository, opened; clones share its stores.
#[derive(Clone)]
pub struct Repository {
    store: Arc<dyn Store>,
    /// The store without a cache before it.
    bare: Arc<dyn Store>,
    config: Config,
    keys: Keys,
    clock: Arc<dyn Clock>,
    /// The key slot that was opened; none in plain text.
    slot: Option<KeySlot>,
    damages: Arc<[Damage]>,
    /// What became of packs that were hurt.
    healer: Arc<parity::Healer>,
    /// Whether listings are made in two ways that must agree.
    cautious: bool,
    /// What the first listings of some folders are answered by.
    glance: Option<Arc<glance::Glance>>,
    /// The cache before the store.
    cache: Option<CacheFolder>,
    /// Where reads of data are counted instead of made, in a rehearsal.
    unread: Option<Arc<Tally>>,
    /// Whether whoever replicates from its origin is at work, who may do its upkeep.
    in_charge: bool,
    /// Where chunks are read that are lost here.
    spare: Option<Arc<dyn Spare>>,
}

impl Repository {
    /// The config.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether its store puts nothing over an object that is there, where it is asked not to.
    pub(crate) fn refuses_taken_names(&self) -> bool {
        self.config.store_traits.iter().any(|name| name == probe::IF_ABSENT)
    }

    /// The same repository with another clock for the leases of its runs.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The same repository, whose requests end with a run.
    pub(crate) fn heeding(&self, stop: &Stop) -> Self {
        let heeding =
            |store: &Arc<dyn Store>| -> Arc<dyn Store> { Arc::new(Heed::new(Arc::clone(store), stop.clone())) };
        Self { store: heeding(&self.store), bare: heeding(&self.bare), ..self.clone() }
    }

    /// The same repository for a rehearsal, which makes its stores of the store and of the cache before it and counts there what is not read.
    pub(crate) fn rehearsed(
        &self,
        tally: &Arc<Tally>,
        shadow: impl Fn(Arc<dyn Store>, Option<CacheFolder>) -> Arc<dyn Store>,
    ) -> Self {
        Self {
            store: shadow(Arc::clone(&self.store), self.cache.clone()),
            bare: shadow(Arc::clone(&self.store), None),
            unread: Some(Arc::clone(tally)),
            spare: None,
            ..self.clone()
        }
    }

    /// Where reads of packs are counted that a rehearsal does not make; `None` where they are made.
    pub(crate) fn unread_packs(&self) -> Option<&Tally> {
        self.unread.as_deref()
    }

    /// The same for ranges of one pack: what describes the data is read all the same.
    pub(crate) fn unread(&self, pack: Option<&IndexedPack>) -> Option<&Tally> {
        self.unread_packs().filter(|_| pack.is_some_and(|pack| pack.kind == PackKind::Data))
    }

    /// Whether a run will find in the cache what is read now: a rehearsal brings it there.
    fn fills_cache(&self) -> bool {
        self.unread.is_some() && self.cache.is_some()
    }

    /// Both copies of the config as they are now, verified with the keys.
    pub(crate) async fn twofold_config(&self) -> Result<TwoCopies<Config>> {
        let decode = |_: &StoreKey, name: &StoreKey, bytes: &[u8]| open::decode_verified(name, bytes, &self.keys);
        two_copies::read_twofold(&*self.bare, config_key(), decode, |config| config.revision).await
    }

    /// Both copies of every key slot, verified with the keys; but for those of another repository, which a `create` that was cut off leaves.
    pub(crate) async fn twofold_slots(&self) -> Result<Vec<TwoCopies<KeySlot>>> {
        let decode = |key: &StoreKey, name: &StoreKey, bytes: &[u8]| self.verified_slot(key, name, bytes);
        let found = slots::twofold_slots(&*self.bare, decode).await?;
        Ok(found.into_iter().filter(|found| !found.is_foreign()).collect())
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub(crate) fn bare_store(&self) -> &Arc<dyn Store> {
        &self.bare
    }

    /// The keys, for a repository that is to be created like this one.
    #[must_use]
    pub fn content_keys(&self) -> Keys {
        self.keys.clone()
    }

    /// The public key that stands for the secrets of the repository: nobody without them can put another repository with the same in its place.
    #[must_use]
    pub fn owner(&self) -> Hex<[u8; 32]> {
        self.keys.owner()
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether snapshots can be read: the keys of a writer add them only.
    pub(crate) fn can_read(&self) -> bool {
        self.keys.can_open(ObjectKind::Snapshot)
    }

    /// Refuses what the keys of a writer cannot do, named as in "removing snapshots".
    pub(crate) fn require_reading(&self, what: &'static str) -> Result<()> {
        if self.can_read() { Ok(()) } else { Err(Error::NoAccess { what }) }
    }

    /// Who writes: stable for a user on a machine, and telling nothing of them to anyone without the keys.
    pub(crate) fn writer(&self, host: &str, user: &str) -> Hex<[u8; 16]> {
        self.keys.writer_id(host, user)
    }
}

pub(crate) fn random_id<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|cause| Error::Encode { doing: "drawing a random id".into(), cause: cause.to_string() })?;
    Ok(bytes)
}
