//! Ways to misbehave, and when: a list of rules that each request is held against.
//!
//! Owned here: which fault befalls which request. [`crate::door`] acts most of them out on the wire;
//! those that need the stored objects reach [`crate::storage`] as [`Quirks`].

use crate::content::split_mix;
use crate::{Hold, Operation};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One way to misbehave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 503 `SlowDown`, with `Retry-After` when seconds are given.
    SlowDown {
        /// Seconds that the client shall wait.
        retry_after_s: Option<u32>,
    },
    /// 500 `InternalError`.
    InternalError,
    /// The connection ends without an answer; the request was not carried out.
    Reset,
    /// The request is carried out, then the connection ends without an answer.
    LostAnswer,
    /// The body ends after so many bytes, though `Content-Length` promises all of it.
    Truncated {
        /// Bytes that still arrive.
        keep_bytes: u64,
    },
    /// The body stops after so many bytes and the connection stays open.
    Stalled {
        /// Bytes that still arrive.
        keep_bytes: u64,
    },
    /// The answer is right and begins after so many milliseconds.
    Late {
        /// Milliseconds.
        ms: u64,
    },
    /// The request waits at the gate, and is carried out after that.
    Held(Hold),
    /// The request is carried out, and its answer waits at the gate.
    AnswerHeld(Hold),
    /// One byte of the body differs from what is stored.
    Flipped,
    /// 403 `RequestTimeTooSkewed`.
    TimeTooSkewed,
    /// 403 `AccessDenied`.
    AccessDenied,
    /// 507 `InsufficientStorage`, for writes: there is no space left.
    Full,
    /// 301 `PermanentRedirect` with `x-amz-bucket-region`.
    WrongRegion {
        /// The region that the bucket is said to be in.
        region: String,
    },
    /// 404 `NoSuchBucket`, as of a bucket that was deleted meanwhile.
    NoSuchBucket,
    /// 400 for an object that is encrypted with a key which the request does not carry.
    CustomerKey,
    /// 501 for a write that comes with a checksum, as of servers that do not know its algorithm.
    ChecksumsRefused,
    /// 200 with an empty listing, whatever was asked: servers that do not know a sub-resource.
    ListingForAnything,
    /// 200 with a page of HTML.
    Html,
    /// 200 with XML that stops in the middle of an element.
    MalformedXml,
    /// 200 with an `<Error>` document, as CompleteMultipartUpload may answer.
    ErrorInOk,
    /// `If-Match` and `If-None-Match` are read and ignored.
    ConditionsIgnored,
    /// `Range` is ignored and the whole body comes with status 200.
    RangeIgnored,
    /// The keys of a page come in reverse.
    ListingUnordered,
    /// Each page begins with the last key of the page before.
    ListingRepeats,
    /// A listing that is to begin after a key begins at the front.
    StartAfterIgnored,
    /// Each page is the first page and says that there is more.
    ListingEndless,
    /// A page of versions tells nothing of one key in three, unless it is asked for that key by itself.
    VersionsLeftOut,
}

#[derive(Debug, Clone)]
enum When {
    Always,
    Next(u64),
    Every { n: u64, seen: u64 },
    Share { per_mille: u64, seed: u64, seen: u64 },
}

/// How many requests for one key may be struck, and how many were, by bucket and key.
#[derive(Debug, Clone)]
struct PerKey {
    most: u64,
    struck: BTreeMap<(String, String), u64>,
}

impl PerKey {
    /// Counts one more for a key, unless as many as may be were struck already.
    fn take(&mut self, bucket: &str, key: &str) -> bool {
        let struck = self.struck.entry((bucket.to_owned(), key.to_owned())).or_default();
        let is_left = *struck < self.most;
        *struck = self.most.min(struck.saturating_add(1));
        is_left
    }
}

/// A fault, which requests it befalls, and how often; by default every request, always.
#[derive(Debug, Clone)]
pub struct Rule {
    fault: Fault,
    /// Matching requests that still pass before the first that may be struck.
    spared: u64,
    when: When,
    per_key: Option<PerKey>,
    operations: Vec<Operation>,
    bucket: Option<String>,
    key_prefix: Option<String>,
}

impl Rule {
    /// `fault` on every request, until narrowed.
    pub fn new(fault: Fault) -> Self {
        let (operations, bucket, key_prefix) = (Vec::new(), None, None);
        Self { fault, spared: 0, when: When::Always, per_key: None, operations, bucket, key_prefix }
    }

    /// None of the first `n` matching requests: what else is said of how often begins behind them.
    #[must_use]
    pub fn after(mut self, n: u64) -> Self {
        self.spared = n;
        self
    }

    /// Only the next `n` matching requests.
    #[must_use]
    pub fn next(mut self, n: u64) -> Self {
        self.when = When::Next(n);
        self
    }

    /// Every `n`-th matching request.
    #[must_use]
    pub fn every(mut self, n: u64) -> Self {
        self.when = When::Every { n, seen: 0 };
        self
    }

    /// A share of the matching requests, drawn from `seed`.
    #[must_use]
    pub fn share(mut self, per_mille: u64, seed: u64) -> Self {
        self.when = When::Share { per_mille, seed, seen: 0 };
        self
    }

    /// No more than `n` requests for one key of a bucket, and `n` for the bucket itself: who tries more often gets through. Remembers each key that
    /// it has struck.
    #[must_use]
    pub fn per_key(mut self, n: u64) -> Self {
        self.per_key = Some(PerKey { most: n, struck: BTreeMap::new() });
        self
    }

    /// Only these operations.
    #[must_use]
    pub fn on(mut self, operations: &[Operation]) -> Self {
        self.operations = operations.to_vec();
        self
    }

    /// Only listings.
    #[must_use]
    pub fn on_lists(self) -> Self {
        self.on(&[Operation::ListObjects, Operation::ListObjectsV2, Operation::ListObjectVersions])
    }

    /// Only requests on this bucket.
    #[must_use]
    pub fn in_bucket(mut self, bucket: &str) -> Self {
        self.bucket = Some(bucket.to_owned());
        self
    }

    /// Only objects whose key begins so, as it stands in the request line (percent-encoded).
    #[must_use]
    pub fn under(mut self, key_prefix: &str) -> Self {
        self.key_prefix = Some(key_prefix.to_owned());
        self
    }

    fn matches(&self, operation: Operation, bucket: &str, key: &str) -> bool {
        (self.operations.is_empty() || self.operations.contains(&operation))
            && self.bucket.as_deref().is_none_or(|wanted| wanted == bucket)
            && self.key_prefix.as_deref().is_none_or(|prefix| key.starts_with(prefix))
    }

    fn strikes(&mut self, bucket: &str, key: &str) -> bool {
        if let Some(spared) = self.spared.checked_sub(1) {
            self.spared = spared;
            return false;
        }
        let strikes = match &mut self.when {
            When::Always => true,
            When::Next(left) => {
                let strikes = *left > 0;
                *left = left.saturating_sub(1);
                strikes
            }
            When::Every { n, seen } => {
                *seen = seen.wrapping_add(1);
                seen.checked_rem(*n) == Some(0)
            }
            When::Share { per_mille, seed, seen } => {
                *seen = seen.wrapping_add(1);
                split_mix(*seed, *seen) % 1000 < *per_mille
            }
        };
        strikes && self.per_key.as_mut().is_none_or(|per_key| per_key.take(bucket, key))
    }
}

/// The faults of a server; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    rules: Vec<Rule>,
    struck: u64,
}

impl Faults {
    /// Adds a rule; the first rule that strikes a request decides.
    pub fn add(&self, rule: Rule) {
        self.lock().rules.push(rule);
    }

    /// Behaves well from now on.
    pub fn clear(&self) {
        *self.lock() = Inner::default();
    }

    /// How many requests were struck since the start or the last [`Faults::clear`].
    pub fn struck(&self) -> u64 {
        self.lock().struck
    }

    pub(crate) fn strike(&self, operation: Operation, bucket: &str, key: &str) -> Option<Fault> {
        let mut inner = self.lock();
        let mut matching = inner.rules.iter_mut().filter(|rule| rule.matches(operation, bucket, key));
        let fault = matching.find_map(|rule| rule.strikes(bucket, key).then(|| rule.fault.clone()))?;
        inner.struck = inner.struck.saturating_add(1);
        Some(fault)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Misbehaviour that only the storage can act out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quirks {
    pub(crate) conditions_ignored: bool,
    pub(crate) range_ignored: bool,
    pub(crate) unordered: bool,
    pub(crate) repeats: bool,
    pub(crate) start_after_ignored: bool,
    pub(crate) endless: bool,
    pub(crate) versions_left_out: bool,
}

impl Quirks {
    pub(crate) fn of(fault: Option<&Fault>) -> Self {
        Self {
            conditions_ignored: fault == Some(&Fault::ConditionsIgnored),
            range_ignored: fault == Some(&Fault::RangeIgnored),
            unordered: fault == Some(&Fault::ListingUnordered),
            repeats: fault == Some(&Fault::ListingRepeats),
            start_after_ignored: fault == Some(&Fault::StartAfterIgnored),
            endless: fault == Some(&Fault::ListingEndless),
            versions_left_out: fault == Some(&Fault::VersionsLeftOut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_for_the_next_two_requests_strikes_twice_and_only_what_matches() {
        let faults = Faults::default();
        faults.add(Rule::new(Fault::InternalError).next(2).on(&[Operation::GetObject]).under("a/"));
        let get = |key| faults.strike(Operation::GetObject, "b", key).is_some();
        assert!(!get("b"));
        assert!(faults.strike(Operation::PutObject, "b", "a/1").is_none());
        assert_eq!([get("a/1"), get("a/2"), get("a/3")], [true, true, false]);
        assert_eq!(faults.struck(), 2);
    }

    #[test]
    fn a_rule_that_spares_the_first_two_requests_begins_behind_them() {
        let faults = Faults::default();
        faults.add(Rule::new(Fault::Reset).next(1).after(2));
        let strikes = [(); 4].map(|()| faults.strike(Operation::GetObject, "b", "k").is_some());
        assert_eq!(strikes, [false, false, true, false]);
    }

    #[test]
    fn a_rule_with_a_limit_for_one_key_strikes_each_key_of_each_bucket_as_often_and_no_more() {
        let faults = Faults::default();
        faults.add(Rule::new(Fault::Reset).per_key(2));
        let strikes = |bucket, key| [(); 4].map(|()| faults.strike(Operation::GetObject, bucket, key).is_some());
        for (bucket, key) in [("b", "k"), ("b", "other"), ("c", "k"), ("b", "")] {
            assert_eq!(strikes(bucket, key), [true, true, false, false], "{bucket}/{key}");
        }
        assert_eq!(strikes("b", "k"), [false; 4]);
        assert_eq!(faults.struck(), 8);
    }

    #[test]
    fn every_third_request_and_a_seeded_share_are_repeatable() {
        let strikes = |rule: Rule| {
            let faults = Faults::default();
            faults.add(rule);
            (0..9).map(|_| faults.strike(Operation::GetObject, "b", "k").is_some()).collect::<Vec<_>>()
        };
        let third = strikes(Rule::new(Fault::Reset).every(3));
        assert_eq!(third, [false, false, true, false, false, true, false, false, true]);
        let share = || strikes(Rule::new(Fault::Reset).share(500, 1));
        assert_eq!(share(), share());
        assert!(share().contains(&true) && share().contains(&false));
    }
}
