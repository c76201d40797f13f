//! Budgets of bytes: of one instance, and of all instances of a configured connector together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;

/// So many bytes may be held at a time. What is charged to an instance is charged to all, too.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    max: usize,
    of_all: Option<Arc<Budget>>,
}

impl Budget {
    /// A budget of its own.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), max, of_all: None })
    }

    /// A part of another.
    pub(crate) fn within(of_all: &Arc<Self>, max: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), max, of_all: Some(Arc::clone(of_all)) })
    }

    /// Nothing charged yet, to grow.
    pub(crate) fn charge(self: &Arc<Self>) -> Charge {
        Charge { budget: Arc::clone(self), bytes: 0 }
    }

    /// Bytes that are held until the last view of them is gone; `None` when the budget does not allow it.
    pub(crate) fn hold(self: &Arc<Self>, bytes: Vec<u8>) -> Option<Bytes> {
        let mut charge = self.charge();
        charge.grow_to(bytes.len()).then(|| Bytes::from_owner(Held { bytes, _charge: charge }))
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.max);
        if self.used.fetch_update(Relaxed, Relaxed, fits).is_err() {
            return false;
        }
        let granted = self.of_all.as_ref().is_none_or(|all| all.take(bytes));
        if !granted {
            self.used.fetch_sub(bytes, Relaxed);
        }
        granted
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
        self.of_all.iter().for_each(|all| all.give_back(bytes));
    }
}

/// What is charged to a budget, until it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Charge {
    /// Charges more, unless that is too much; less stays as it is.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let granted = self.budget.take(more);
        if granted {
            self.bytes = self.bytes.saturating_add(more);
        }
        granted
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

struct Held {
    bytes: Vec<u8>,
    _charge: Charge,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_charged_until_their_last_view_is_gone() {
        let all = Budget::new(10);
        let one = Budget::within(&all, 8);
        let whole = one.hold(vec![1; 8]).unwrap();
        assert!(one.hold(vec![1; 1]).is_none());
        let view = whole.slice(2..3);
        drop(whole);
        assert!(one.hold(vec![1; 1]).is_none(), "a view of one byte keeps all of them");
        drop(view);
        assert!(one.hold(vec![1; 8]).is_some());
    }

    #[test]
    fn what_all_hold_together_is_bounded_too() {
        let all = Budget::new(10);
        let (one, other) = (Budget::within(&all, 8), Budget::within(&all, 8));
        let held = one.hold(vec![1; 8]).unwrap();
        assert!(other.hold(vec![1; 3]).is_none());
        assert!(other.hold(vec![1; 2]).is_some());
        drop(held);
        let mut charge = other.charge();
        assert!(charge.grow_to(8) && !charge.grow_to(9) && charge.bytes() == 8);
        drop(charge);
        assert!(one.hold(vec![1; 8]).is_some());
    }
}
