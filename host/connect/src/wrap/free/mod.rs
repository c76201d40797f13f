//! Freedoms taken on purpose, for tests: a connector that does everything that its contract allows and no connector at hand does.
//!
//! A seed decides which freedoms are taken, and when: half of them, each now and then. Nothing here breaks the contract: what goes wrong is
//! [`Fault`](super::Fault)'s. The list of freedoms stands in `wit/CONTRACT.md`; a test holds this one against it. [`Retry`](super::Retry)
//! stands before it, as it does before every connector.
//!
//! Memory: the names of what is put or deleted late; a scan in no order is held whole. Not for production.

mod destination;
mod source;
mod store;
mod suite;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;

pub use suite::{as_asked, quietly_free};

use crate::random::Dice;
use crate::{Body, Error, ErrorClass, Result};

/// What a connector may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Freedom {
    /// A call fails for a while, before or after it was carried out.
    Transient,
    /// A body comes in pieces of any size, empty ones among them, with or without its length.
    AnyPieces,
    /// A page or batch holds fewer than were asked for, and there is more.
    ShortPage,
    /// A page or batch holds nothing, and there is more, or the end comes by itself.
    EmptyPage,
    /// Cursors are any text.
    OddCursor,
    /// Without the trait `list-after-write`: what was put is listed later, and what was deleted for a while yet.
    LateListing,
    /// Names of others stand among those of the repository.
    StrayObject,
    /// Tags are not reported.
    NoTag,
    /// Times are not reported.
    NoTime,
    /// Without the traits `if-absent` and `if-match`: conditions are ignored.
    IgnoredCondition,
    /// A put on the condition that nothing is there fails because an earlier try of the same has arrived.
    OwnPrecondition,
    /// A put arrives twice.
    RepeatedPut,
    /// Of several keys some are deleted and others not, each with its own answer.
    PartialDelete,
    /// A lock ends later than was asked for.
    LaterLock,
    /// Without the trait `ordered-scan`: entries come in any order.
    AnyScanOrder,
    /// Without the trait `ordered-scan`: an entry is reported twice.
    RepeatedEntry,
    /// A scan tells no sizes.
    NoSize,
    /// Without the trait `fingerprints`: entries have none.
    NoFingerprint,
    /// Without the trait `complete-scan`: attributes come with the read.
    ReadCompletes,
    /// A writer takes parts of one size only.
    PartSize,
    /// Attributes cannot be given back, as `set-metadata` or `finish` says.
    LostAttributes,
}

impl Freedom {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::Transient,
        Self::AnyPieces,
        Self::ShortPage,
        Self::EmptyPage,
        Self::OddCursor,
        Self::LateListing,
        Self::StrayObject,
        Self::NoTag,
        Self::NoTime,
        Self::IgnoredCondition,
        Self::OwnPrecondition,
        Self::RepeatedPut,
        Self::PartialDelete,
        Self::LaterLock,
        Self::AnyScanOrder,
        Self::RepeatedEntry,
        Self::NoSize,
        Self::NoFingerprint,
        Self::ReadCompletes,
        Self::PartSize,
        Self::LostAttributes,
    ];

    /// Its name in `wit/CONTRACT.md`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::AnyPieces => "any-pieces",
            Self::ShortPage => "short-page",
            Self::EmptyPage => "empty-page",
            Self::OddCursor => "odd-cursor",
            Self::LateListing => "late-listing",
            Self::StrayObject => "stray-object",
            Self::NoTag => "no-tag",
            Self::NoTime => "no-time",
            Self::IgnoredCondition => "ignored-condition",
            Self::OwnPrecondition => "own-precondition",
            Self::RepeatedPut => "repeated-put",
            Self::PartialDelete => "partial-delete",
            Self::LaterLock => "later-lock",
            Self::AnyScanOrder => "any-scan-order",
            Self::RepeatedEntry => "repeated-entry",
            Self::NoSize => "no-size",
            Self::NoFingerprint => "no-fingerprint",
            Self::ReadCompletes => "read-completes",
            Self::PartSize => "part-size",
            Self::LostAttributes => "lost-attributes",
        }
    }
}

/// A connector that takes freedoms; what was taken is shared by clones.
#[derive(Debug)]
pub struct Free<T: ?Sized> {
    inner: Arc<T>,
    will: Arc<Will>,
}

impl<T: ?Sized> Clone for Free<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), will: Arc::clone(&self.will) }
    }
}

impl<T: ?Sized> Free<T> {
    /// Wraps a connector, which takes the half of all freedoms that the seed chooses.
    #[must_use]
    pub fn new(inner: Arc<T>, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let allowed = Freedom::ALL.into_iter().filter(|_| dice.below(2) == 0).collect();
        Self::with(inner, seed, allowed)
    }

    /// Wraps a connector, which takes these freedoms.
    #[must_use]
    pub fn taking(inner: Arc<T>, seed: u64, freedoms: &[Freedom]) -> Self {
        Self::with(inner, seed, freedoms.iter().copied().collect())
    }

    /// The same without some freedoms.
    #[must_use]
    pub fn without(self, freedoms: &[Freedom]) -> Self {
        let mut allowed = self.will.allowed.clone();
        allowed.retain(|freedom| !freedoms.contains(freedom));
        Self::with(self.inner, self.will.seed, allowed)
    }

    fn with(inner: Arc<T>, seed: u64, allowed: BTreeSet<Freedom>) -> Self {
        let state = State { dice: Dice::new(!seed), taken: BTreeSet::new(), store: store::Delays::default() };
        Self { inner, will: Arc::new(Will { seed, allowed, state: Mutex::new(state) }) }
    }

    /// The freedoms that it takes.
    #[must_use]
    pub fn allowed(&self) -> &BTreeSet<Freedom> {
        &self.will.allowed
    }

    /// The freedoms that it has taken so far.
    #[must_use]
    pub fn taken(&self) -> BTreeSet<Freedom> {
        self.will.lock().taken.clone()
    }
}

/// What is decided.
#[derive(Debug)]
struct Will {
    seed: u64,
    allowed: BTreeSet<Freedom>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    dice: Dice,
    taken: BTreeSet<Freedom>,
    store: store::Delays,
}

impl Will {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn allows(&self, freedom: Freedom) -> bool {
        self.allowed.contains(&freedom)
    }

    /// Whether a freedom is taken wherever it can be; notes that it was.
    fn always(&self, freedom: Freedom) -> bool {
        self.one_in(freedom, 1)
    }

    /// Whether a freedom is taken this time, one in so many.
    fn one_in(&self, freedom: Freedom, times: u64) -> bool {
        if !self.allows(freedom) {
            return false;
        }
        let mut state = self.lock();
        let takes = state.dice.below(times) == 0;
        if takes {
            state.taken.insert(freedom);
        }
        takes
    }

    /// A number below `bound`.
    fn below(&self, bound: u64) -> u64 {
        self.lock().dice.below(bound)
    }

    /// Fails for a while, one time in 16.
    fn stumble(&self, name: &str) -> Result<()> {
        if !self.one_in(Freedom::Transient, 16) {
            return Ok(());
        }
        let message = format!("`{name}` does not work for a while (seed {})", self.seed);
        Err(Error::new(ErrorClass::Transient, "free.transient", message))
    }

    /// The traits that are claimed where some freedoms are taken that the traits rule out.
    fn claims(&self, traits: &mut Vec<String>, ruled_out: &[(Freedom, &[&str])]) {
        for (freedom, names) in ruled_out {
            if self.always(*freedom) {
                traits.retain(|name| !names.contains(&name.as_str()));
            }
        }
    }

    /// The same bytes in other pieces.
    fn pieces(&self, body: Body) -> Body {
        if !self.one_in(Freedom::AnyPieces, 2) {
            return body;
        }
        let length = if self.below(2) == 0 { body.length } else { None };
        let mut dice = Dice::new(self.below(u64::MAX));
        let cut = body.into_stream().flat_map(move |piece| {
            let pieces = match piece {
                Ok(piece) => cut(piece, &mut dice).into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            };
            futures_util::stream::iter(pieces)
        });
        Body::from_stream(length, cut)
    }
}

/// Cuts anywhere, at most some 50 times.
fn cut(mut bytes: Bytes, dice: &mut Dice) -> Vec<Bytes> {
    let size = (bytes.len() as u64 / 24).max(1);
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let length = dice.below(size.saturating_mul(2).saturating_add(1)).min(bytes.len() as u64);
        pieces.push(bytes.split_to(usize::try_from(length).unwrap_or(0)));
    }
    pieces
}
