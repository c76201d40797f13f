//! What was asked of the server: requests and bytes per bucket and operation.
//!
//! Written by [`crate::door`], read by tests that hold the code under test to a number of requests.

use crate::Operation;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many request lines are kept for a failure message; older ones are forgotten.
const LINES_MAX: usize = 500;

/// For how many requests of a bucket it is kept how many were in flight; later ones are not looked at.
const CROWDS_MAX: usize = 100_000;

/// Requests and the bytes of their bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Requests that arrived, whatever was answered.
    pub requests: u64,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
}

#[derive(Debug, Default)]
struct Inner {
    counts: BTreeMap<(String, Operation), Count>,
    lines: VecDeque<String>,
    in_flight: BTreeMap<(String, Operation), usize>,
    crowds: BTreeMap<(String, Operation), Vec<usize>>,
    regions: BTreeMap<String, BTreeSet<String>>,
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct InFlight {
    log: Log,
    what: (String, Operation),
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut inner = self.log.lock();
        let left = inner.in_flight.entry(self.what.clone()).or_default();
        *left = left.saturating_sub(1);
    }
}

/// The log of a server; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Inner>>);

impl Log {
    /// Counts of `operation` on `bucket`.
    pub fn count(&self, bucket: &str, operation: Operation) -> Count {
        self.lock().counts.get(&(bucket.to_owned(), operation)).copied().unwrap_or_default()
    }

    /// Counts of those operations on `bucket` that `wanted` accepts, added up.
    pub fn sum(&self, bucket: &str, wanted: impl Fn(Operation) -> bool) -> Count {
        let inner = self.lock();
        let of_bucket = inner.counts.iter().filter(|((name, operation), _)| name == bucket && wanted(*operation));
        of_bucket.fold(Count::default(), |sum, (_, count)| Count {
            requests: sum.requests.saturating_add(count.requests),
            bytes_in: sum.bytes_in.saturating_add(count.bytes_in),
            bytes_out: sum.bytes_out.saturating_add(count.bytes_out),
        })
    }

    /// Listings of `bucket`, of whatever kind.
    pub fn lists(&self, bucket: &str) -> u64 {
        self.sum(bucket, Operation::is_list).requests
    }

    /// All requests on `bucket`.
    pub fn requests(&self, bucket: &str) -> u64 {
        self.sum(bucket, |_| true).requests
    }

    /// Every operation seen with its counts, by bucket and operation.
    pub fn counts(&self) -> Vec<(String, Operation, Count)> {
        let inner = self.lock();
        inner.counts.iter().map(|((bucket, operation), count)| (bucket.clone(), *operation, *count)).collect()
    }

    /// The last 500 requests, one line each with its status, oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.lock().lines.iter().cloned().collect()
    }

    /// For each request of `operation` on `bucket`, in the order of arrival: how many were in flight with it, itself included.
    pub fn crowds(&self, bucket: &str, operation: Operation) -> Vec<usize> {
        self.lock().crowds.get(&(bucket.to_owned(), operation)).cloned().unwrap_or_default()
    }

    /// The regions that requests on `bucket` were signed for.
    pub fn regions(&self, bucket: &str) -> BTreeSet<String> {
        self.lock().regions.get(bucket).cloned().unwrap_or_default()
    }

    /// Forgets everything but what is in flight.
    pub fn clear(&self) {
        let mut inner = self.lock();
        *inner = Inner { in_flight: std::mem::take(&mut inner.in_flight), ..Inner::default() };
    }

    /// Notes the arrival of a request, which is in flight until the result is dropped.
    pub(crate) fn arrive(&self, bucket: &str, operation: Operation) -> InFlight {
        let what = (bucket.to_owned(), operation);
        let mut inner = self.lock();
        let now = inner.in_flight.entry(what.clone()).or_default();
        *now = now.saturating_add(1);
        let now = *now;
        let crowds = inner.crowds.entry(what.clone()).or_default();
        if crowds.len() < CROWDS_MAX {
            crowds.push(now);
        }
        InFlight { log: self.clone(), what }
    }

    pub(crate) fn add(&self, bucket: &str, operation: Operation, change: impl FnOnce(&mut Count)) {
        change(self.lock().counts.entry((bucket.to_owned(), operation)).or_default());
    }

    pub(crate) fn signed_for(&self, bucket: &str, region: &str) {
        self.lock().regions.entry(bucket.to_owned()).or_default().insert(region.to_owned());
    }

    pub(crate) fn line(&self, line: String) {
        let mut inner = self.lock();
        if inner.lines.len() >= LINES_MAX {
            inner.lines.pop_front();
        }
        inner.lines.push_back(line);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
