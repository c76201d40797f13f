//! Rehearsal: what a run would ask of its places, learnt by running it over a store that takes nothing.
//!
//! The operations themselves run, so that nothing about their requests is stated twice. What describes the data (the index, snapshots, trees) is read for
//! that; data is neither read nor written:
//!
//! | of the real run | in a rehearsal |
//! |---|---|
//! | a write, a removal, a lock | counted; later reads and listings of the run see it, nobody else does |
//! | a read of a data pack | counted, and answered with bytes of the same length |
//! | a read of a source's content | counted, and answered with as many bytes as are expected to be new |
//! | a write to a destination | counted |
//! | any other read | made and counted, unless the cache has or keeps what is read |
//!
//! Owned here: that, for stores, sources and destinations. Refused here: what it costs (`app`), how much of a source is expected to be new ([`Expectation`]
//! is the caller's). Called by `app`. Whoever reads data packs asks the repository
//! whether they are to be read: `blobs`, `write::copy`, `check::data`.
//!
//! Bound: [`KEPT_BYTES_MAX`] of small objects that the run would have written, a name for each object that it would have written or removed, and
//! [`REHEARSED_BYTES_MAX`] of new contents that go through the pipeline; what is beyond is extrapolated.

mod destination;
mod source;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use credenza_connect::wrap::{Spent, Tally};
use credenza_connect::{Destination, Source};
use credenza_model::limits::DATA_PACK_BYTES;

use crate::repository::Repository;
use destination::Unwritten;
use source::Unread;
use store::{Overlay, Shadow};

/// Most that is kept of what the run would have written, to be read by the same run; of data packs nothing is.
const KEPT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// New contents that are made up, cut and packed. At some 300 MB/s a core this takes seconds.
const REHEARSED_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Packs that one index segment describes, as `write::record` has it; an intent goes before each.
const PACKS_PER_SEGMENT: u64 = 64;

/// How many bytes a backup adds for those that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expectation {
    /// In thousandths of what is read: 1000 where nothing is known of how well contents compress and whether they are there already.
    pub permille: u64,
}

impl Expectation {
    /// Nothing compresses, and nothing is there already.
    pub const NONE: Self = Self { permille: 1000 };

    fn of(self, bytes: u64) -> u64 {
        u64::try_from(u128::from(bytes) * u128::from(self.permille) / 1000).unwrap_or(u64::MAX)
    }
}

/// One rehearsal of one run, and what it counted of each place. For a sync each side has one.
pub struct Rehearsal {
    expectation: Expectation,
    store: Arc<Tally>,
    source: Arc<Tally>,
    destination: Arc<Tally>,
    /// Bytes of new contents that may still be made up.
    left: AtomicU64,
    /// Bytes of new contents that were not.
    beyond: AtomicU64,
    /// Bytes that a repository with parity puts for each thousand of a pack, and whether there is any.
    parity: AtomicU64,
}

impl Rehearsal {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(expectation: Expectation) -> Arc<Self> {
        Arc::new(Self {
            expectation,
            store: Arc::default(),
            source: Arc::default(),
            destination: Arc::default(),
            left: AtomicU64::new(REHEARSED_BYTES_MAX),
            beyond: AtomicU64::new(0),
            parity: AtomicU64::new(0),
        })
    }

    /// The repository, for a run that is rehearsed: nothing is written to it.
    #[must_use]
    pub fn repository(self: &Arc<Self>, repository: &Repository) -> Repository {
        if let Some(rate) = repository.config().parity {
            let of_a_pack = rate.object_bytes(DATA_PACK_BYTES).unwrap_or(0);
            self.parity.store(of_a_pack.saturating_mul(1000) / DATA_PACK_BYTES, Relaxed);
        }
        let overlay = Arc::new(Overlay::new(Arc::clone(repository.clock())));
        repository.rehearsed(&self.store, |inner, cache| {
            Arc::new(Shadow::new(inner, (Arc::clone(&self.store), Arc::clone(&overlay)), cache))
        })
    }

    /// A source, for a backup that is rehearsed: it is listed, and its contents are not read.
    #[must_use]
    pub fn source(self: &Arc<Self>, source: Arc<dyn Source>) -> Arc<dyn Source> {
        Arc::new(Unread::new(source, Arc::clone(self)))
    }

    /// A destination, for a restore that is rehearsed: it is looked at, and nothing is written to it.
    #[must_use]
    pub fn destination(self: &Arc<Self>, destination: Arc<dyn Destination>) -> Arc<dyn Destination> {
        Arc::new(Unwritten::new(destination, Arc::clone(&self.destination)))
    }

    /// What the run would spend on the repository from here on; what opening it took is not in it.
    #[must_use]
    pub fn on_store(&self) -> Spent {
        let beyond = self.beyond.load(Relaxed);
        let parity = self.parity.load(Relaxed);
        let packs = beyond.div_ceil(DATA_PACK_BYTES);
        let each = if parity > 0 { 2 } else { 1 };
        let put = packs.saturating_mul(each).saturating_add(packs.div_ceil(PACKS_PER_SEGMENT).saturating_mul(2));
        let bytes_up = beyond.saturating_add(Expectation { permille: parity }.of(beyond));
        self.store.spent().plus(Spent { put, bytes_up, ..Spent::default() })
    }

    /// What the run would read of the source beside its listing and its documents, which the rehearsal reads.
    #[must_use]
    pub fn on_source(&self) -> Spent {
        self.source.spent()
    }

    /// What the run would write to the destination beside looking at what is there, which the rehearsal does.
    #[must_use]
    pub fn on_destination(&self) -> Spent {
        self.destination.spent()
    }

    /// Bytes to make up for a content of so many.
    fn take(&self, size: u64) -> u64 {
        let wanted = self.expectation.of(size);
        let taken = self.left.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(wanted)));
        let made = taken.unwrap_or(0).min(wanted);
        self.beyond.fetch_add(wanted - made, Relaxed);
        made
    }
}
