//! What an object is: its versions, what travels beside its body, and what protects it.
//!
//! Shared by [`crate::buckets`], which seeds and alters, and [`crate::storage`], which answers requests.

use crate::Content;
use s3s::dto::{Checksum, Timestamp};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What travels beside a body: headers, user metadata and tags.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Expires`.
    pub expires: Option<Timestamp>,
    /// `x-amz-website-redirect-location`.
    pub website_redirect: Option<String>,
    /// `x-amz-storage-class`; `STANDARD` when absent.
    pub storage_class: Option<String>,
    /// `x-amz-meta-*`, names without that prefix.
    pub metadata: BTreeMap<String, String>,
    /// Object tags.
    pub tags: BTreeMap<String, String>,
    /// The name of an ACL, `x-amz-acl`.
    pub acl: Option<String>,
}

/// Protection of a version against deletion.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lock {
    /// `GOVERNANCE` or `COMPLIANCE`.
    pub mode: Option<String>,
    /// Until when the version is kept.
    pub until: Option<Timestamp>,
    /// Whether a legal hold is on.
    pub legal_hold: bool,
}

impl Lock {
    /// Whether deletion is refused at `now`; `bypass` lifts a `GOVERNANCE` retention only.
    pub(crate) fn holds(&self, now: Timestamp, bypass: bool) -> bool {
        let lifted = bypass && self.mode.as_deref() == Some("GOVERNANCE");
        self.legal_hold || (!lifted && self.until.as_ref().is_some_and(|until| *until > now))
    }
}

/// One version of an object; without content it is a delete marker.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) id: String,
    pub(crate) last_modified: Timestamp,
    pub(crate) etag: String,
    pub(crate) content: Option<Content>,
    pub(crate) attributes: Attributes,
    pub(crate) lock: Lock,
    /// A copy that can be read was asked for, and is there at once.
    pub(crate) is_thawed: bool,
    pub(crate) checksum: Checksum,
    /// Length of each part, in order, for an object of a multipart upload.
    pub(crate) parts: Vec<u64>,
}

impl Version {
    pub(crate) fn new(content: Content, etag: String) -> Self {
        Self {
            id: String::new(),
            last_modified: now(),
            etag,
            content: Some(content),
            attributes: Attributes::default(),
            lock: Lock::default(),
            is_thawed: false,
            checksum: Checksum::default(),
            parts: Vec::new(),
        }
    }

    pub(crate) fn delete_marker() -> Self {
        Self { content: None, ..Self::new(Content::Bytes(bytes::Bytes::new()), String::new()) }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.content.as_ref().map_or(0, Content::len)
    }
}

/// The server's clock, in whole seconds as S3 keeps `LastModified`.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from(UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs()))
}
