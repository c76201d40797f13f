//! The buckets of a server, and access to them without the wire.
//!
//! Tests seed and compare through [`Buckets`], and use it to play a store that rots: bodies may be altered,
//! removed or set back to an older state while ETag and time stay as they were. [`crate::storage`] answers
//! requests from the same state.

use crate::object::{Attributes, Version, now};
use crate::{Content, Lock};
use bytes::Bytes;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::ChecksumAlgorithm;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whether a bucket keeps old versions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Versioning {
    #[default]
    Off,
    Enabled,
    Suspended,
}

/// An upload in parts that is neither completed nor aborted.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) draft: Version,
    pub(crate) parts: BTreeMap<i32, Version>,
    /// The algorithm of the checksum that the object is to have.
    pub(crate) algorithm: Option<ChecksumAlgorithm>,
    /// That checksum is of the whole object, not of those of its parts.
    pub(crate) is_of_whole: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) versioning: Versioning,
    pub(crate) lock_enabled: bool,
    /// Versions of each key, the newest last; never empty.
    pub(crate) objects: BTreeMap<String, Vec<Version>>,
    pub(crate) uploads: BTreeMap<String, Upload>,
    next_id: u64,
}

impl Bucket {
    pub(crate) fn fresh_id(&mut self) -> String {
        self.next_id = self.next_id.wrapping_add(1);
        format!("{:016x}", self.next_id)
    }

    /// The version that a plain GET reads, unless that is a delete marker.
    pub(crate) fn current(&self, key: &str) -> Option<&Version> {
        self.objects.get(key)?.last().filter(|version| version.content.is_some())
    }

    /// Stores `version` as the newest of `key` and returns its id, `None` when the bucket was never versioned.
    pub(crate) fn push(&mut self, key: &str, mut version: Version) -> Option<String> {
        let id = match self.versioning {
            Versioning::Enabled => self.fresh_id(),
            Versioning::Off | Versioning::Suspended => "null".to_owned(),
        };
        version.id.clone_from(&id);
        let versions = self.objects.entry(key.to_owned()).or_default();
        if id == "null" {
            versions.retain(|older| older.id != "null");
        }
        versions.push(version);
        (self.versioning != Versioning::Off).then_some(id)
    }
}

/// An object as it is stored: a copy to look at, or to set back later with [`Buckets::replace`].
#[derive(Debug, Clone)]
pub struct Stored {
    version: Version,
}

impl Stored {
    /// The body.
    pub fn body(&self) -> Bytes {
        self.version.content.as_ref().map(Content::to_bytes).unwrap_or_default()
    }

    /// The ETag without quotes.
    pub fn etag(&self) -> &str {
        &self.version.etag
    }

    /// The length of the body in bytes.
    pub fn bytes(&self) -> u64 {
        self.version.bytes()
    }

    /// Headers, metadata and tags.
    pub fn attributes(&self) -> &Attributes {
        &self.version.attributes
    }

    /// Retention and legal hold.
    pub fn lock(&self) -> &Lock {
        &self.version.lock
    }

    /// The version id; `null` in a bucket without versions.
    pub fn version_id(&self) -> &str {
        &self.version.id
    }

    /// Whether this is a delete marker.
    pub fn is_delete_marker(&self) -> bool {
        self.version.content.is_none()
    }
}

/// The buckets of a server; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Buckets(Arc<Mutex<BTreeMap<String, Bucket>>>);

impl Buckets {
    /// Creates `bucket`; one that exists stays as it is.
    pub fn create(&self, bucket: &str) {
        self.lock().entry(bucket.to_owned()).or_default();
    }

    /// Creates `bucket`, which keeps old versions from now on.
    pub fn create_versioned(&self, bucket: &str) {
        self.lock().entry(bucket.to_owned()).or_default().versioning = Versioning::Enabled;
    }

    /// Creates `bucket` with Object Lock, and so with versions.
    pub fn create_locking(&self, bucket: &str) {
        self.create_versioned(bucket);
        self.lock().entry(bucket.to_owned()).or_default().lock_enabled = true;
    }

    /// Destroys every version of `bucket` that no lock protects: what somebody with every right can do.
    pub fn destroy_unlocked(&self, bucket: &str) {
        if let Some(bucket) = self.lock().get_mut(bucket) {
            bucket.objects.values_mut().for_each(|versions| versions.retain(|version| version.lock.holds(now(), true)));
            bucket.objects.retain(|_, versions| !versions.is_empty());
        }
    }

    /// Stores an object, creating the bucket when it is not there.
    pub fn put_object(&self, bucket: &str, key: &str, body: impl Into<Content>, attributes: Attributes) {
        let content = body.into();
        let version = Version { attributes, ..Version::new(content.clone(), etag_of(&content)) };
        self.lock().entry(bucket.to_owned()).or_default().push(key, version);
    }

    /// The keys of `bucket` in byte order, without those whose newest version is a delete marker.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let all = self.lock();
        let Some(bucket) = all.get(bucket) else { return Vec::new() };
        bucket.objects.keys().filter(|key| bucket.current(key).is_some()).cloned().collect()
    }

    /// The object that a plain GET of `key` reads.
    pub fn get(&self, bucket: &str, key: &str) -> Option<Stored> {
        self.lock().get(bucket)?.current(key).cloned().map(|version| Stored { version })
    }

    /// All versions of `key`, delete markers included, oldest first.
    pub fn versions(&self, bucket: &str, key: &str) -> Vec<Stored> {
        let all = self.lock();
        let versions = all.get(bucket).and_then(|bucket| bucket.objects.get(key));
        versions.into_iter().flatten().cloned().map(|version| Stored { version }).collect()
    }

    /// Changes the body of `key` behind the server's back: ETag, time and checksums stay. Says whether there
    /// was such an object.
    pub fn alter(&self, bucket: &str, key: &str, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut all = self.lock();
        let Some(versions) = all.get_mut(bucket).and_then(|bucket| bucket.objects.get_mut(key)) else { return false };
        let Some(content) = versions.last_mut().and_then(|version| version.content.as_mut()) else { return false };
        let mut bytes = content.to_bytes().to_vec();
        change(&mut bytes);
        *content = bytes.into();
        true
    }

    /// Flips the lowest bit of the byte at `offset`, see [`Buckets::alter`]; false also beyond the end.
    pub fn flip(&self, bucket: &str, key: &str, offset: usize) -> bool {
        let mut flipped = false;
        self.alter(bucket, key, |bytes| {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= 1;
                flipped = true;
            }
        });
        flipped
    }

    /// Cuts the body of `key` to `bytes`, see [`Buckets::alter`].
    pub fn truncate(&self, bucket: &str, key: &str, bytes: usize) -> bool {
        self.alter(bucket, key, |body| body.truncate(bytes))
    }

    /// Removes `key` with all its versions; says whether it was there.
    pub fn remove(&self, bucket: &str, key: &str) -> bool {
        self.lock().get_mut(bucket).is_some_and(|bucket| bucket.objects.remove(key).is_some())
    }

    /// Sets `key` back to what `stored` was, with its old ETag and time; other versions of it are forgotten.
    pub fn replace(&self, bucket: &str, key: &str, stored: Stored) {
        self.lock().entry(bucket.to_owned()).or_default().objects.insert(key.to_owned(), vec![stored.version]);
    }

    /// Uploads in parts that were neither completed nor aborted, as (key, upload id).
    pub fn uploads(&self, bucket: &str) -> Vec<(String, String)> {
        let all = self.lock();
        let uploads = all.get(bucket).into_iter().flat_map(|bucket| &bucket.uploads);
        uploads.map(|(id, upload)| (upload.key.clone(), id.clone())).collect()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ETag of a body that was put whole: its MD5. A synthetic body gets one in the form of a multipart upload,
/// which no client mistakes for a digest, so that it need not be computed.
pub(crate) fn etag_of(content: &Content) -> String {
    match content {
        Content::Bytes(bytes) => hex(md5(bytes).as_slice()),
        Content::Synthetic { seed, bytes } => format!("{seed:016x}{bytes:016x}-1"),
    }
}

pub(crate) fn md5(bytes: &[u8]) -> Vec<u8> {
    Md5::checksum(bytes).to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
