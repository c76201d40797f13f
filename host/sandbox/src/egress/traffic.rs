//! Counts what really went out and came in.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The methods that are counted by name; others are counted together.
const METHODS: [&str; 5] = ["GET", "HEAD", "PUT", "POST", "DELETE"];

/// Counters of one configured connector, shared with whoever reports them.
#[derive(Debug, Default)]
pub struct Traffic {
    by_method: [AtomicU64; METHODS.len()],
    other: AtomicU64,
    refused: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
    bytes_read_by_guest: AtomicU64,
    bytes_made_by_guest: AtomicU64,
}

impl Traffic {
    /// Requests sent, by method; methods without a name of their own as `other`.
    #[must_use]
    pub fn requests_by_method(&self) -> Vec<(&'static str, u64)> {
        let named = METHODS.iter().copied().zip(&self.by_method);
        named.chain([("other", &self.other)]).map(|(name, count)| (name, count.load(Relaxed))).collect()
    }

    /// Requests sent, retries included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests_by_method().iter().map(|(_, count)| count).sum()
    }

    /// Requests that the policy refused; they were neither signed nor sent.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Bytes of request bodies sent.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent.load(Relaxed)
    }

    /// Bytes of response bodies received.
    #[must_use]
    pub fn bytes_received(&self) -> u64 {
        self.bytes_received.load(Relaxed)
    }

    /// Bytes of bodies that went into the connector's memory.
    #[must_use]
    pub fn bytes_read_by_guest(&self) -> u64 {
        self.bytes_read_by_guest.load(Relaxed)
    }

    /// Bytes of bodies that the connector made itself.
    #[must_use]
    pub fn bytes_made_by_guest(&self) -> u64 {
        self.bytes_made_by_guest.load(Relaxed)
    }

    pub(crate) fn count_request(&self, method: &str) {
        let named = METHODS.iter().zip(&self.by_method).find(|(name, _)| **name == method);
        named.map_or(&self.other, |(_, count)| count).fetch_add(1, Relaxed);
    }

    pub(crate) fn count_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_sent(&self, bytes: usize) {
        self.bytes_sent.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn count_received(&self, bytes: usize) {
        self.bytes_received.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn count_read_by_guest(&self, bytes: usize) {
        self.bytes_read_by_guest.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn count_made_by_guest(&self, bytes: usize) {
        self.bytes_made_by_guest.fetch_add(bytes as u64, Relaxed);
    }
}
