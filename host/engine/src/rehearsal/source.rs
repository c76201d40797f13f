//! A source whose contents are not read.

use std::sync::Arc;

use async_trait::async_trait;
use credenza_connect::wrap::Spent;
use credenza_connect::{
    Body, ByteRange, Check, Error as ConnectError, Opened, Result as Answer, ScanOptions, Scanner, Source,
    SourceDocument, SourceInfo,
};
use credenza_model::{Attribute, Entry, Timestamp};

use super::Rehearsal;
use crate::blobs::Noise;

/// Lists for real; what would be read is counted.
pub(super) struct Unread {
    inner: Arc<dyn Source>,
    rehearsal: Arc<Rehearsal>,
}

impl Unread {
    pub(super) fn new(inner: Arc<dyn Source>, rehearsal: Arc<Rehearsal>) -> Self {
        Self { inner, rehearsal }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Source for Unread {
    async fn info(&self) -> Answer<SourceInfo> {
        self.inner.info().await
    }

    async fn now(&self) -> Answer<Option<Timestamp>> {
        self.inner.now().await
    }

    async fn check(&self) -> Vec<Check> {
        Vec::new()
    }

    async fn scan(&self, options: &ScanOptions) -> Answer<Box<dyn Scanner>> {
        self.inner.scan(options).await
    }

    async fn read(&self, entry: &Entry, range: Option<ByteRange>, _: Option<&str>) -> Answer<Opened> {
        let size = range.and_then(|range| range.length).or(entry.size).unwrap_or(0);
        self.rehearsal.source.add(Spent { get: 1, bytes_down: size, ..Spent::default() });
        let made = self.rehearsal.take(size);
        let fingerprint = entry.fingerprint.as_deref().unwrap_or_default();
        let seed = [entry.key.as_bytes(), fingerprint.as_bytes()].concat();
        // The checksums are those of what is not read.
        let entry = Entry { checksums: Vec::new(), ..entry.clone() };
        Ok(Opened { entry, body: Body::from_reader(Some(made), Noise::new(&seed, made)) })
    }

    async fn describe(&self, entries: &[Entry]) -> Answer<Vec<Answer<Vec<Attribute>, ConnectError>>> {
        Ok(entries.iter().map(|_| Ok(Vec::new())).collect())
    }

    async fn documents(&self) -> Answer<Vec<SourceDocument>> {
        self.inner.documents().await
    }
}
