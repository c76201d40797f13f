//! How many entries a page of a listing holds: as many as were asked for or, as AWS may, any smaller number.

use crate::content::split_mix;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The sizes of pages; clones draw from the same dice.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paging(Option<Arc<Dice>>);

#[derive(Debug)]
struct Dice {
    seed: u64,
    thrown: AtomicU64,
}

impl Paging {
    /// Pages of random sizes with a seed, full ones without.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self(seed.map(|seed| Arc::new(Dice { seed, thrown: AtomicU64::new(0) })))
    }

    /// Entries of the next page, of so many that were asked for: often one, now and then none where that may be.
    pub(super) fn entries(&self, asked: usize, may_be_empty: bool) -> usize {
        let Some(dice) = &self.0 else { return asked };
        let thrown = split_mix(dice.seed, dice.thrown.fetch_add(1, Ordering::Relaxed));
        let least = usize::from(!may_be_empty);
        let size = match thrown % 8 {
            0 => least,
            1 | 2 => 1,
            _ => usize::try_from(thrown >> 8).unwrap_or(0) % asked.max(1) + 1,
        };
        size.min(asked)
    }

    /// A number that makes the token of each page another one; nothing where pages are full.
    pub(super) fn nonce(&self) -> String {
        let count = |dice: &Arc<Dice>| format!("-{}", dice.thrown.fetch_add(1, Ordering::Relaxed));
        self.0.as_ref().map(count).unwrap_or_default()
    }
}
