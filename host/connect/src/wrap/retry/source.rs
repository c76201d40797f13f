//! [`Retry`] before a source.

use std::sync::Arc;

use async_trait::async_trait;
use credenza_model::{Attribute, Entry, Timestamp};

use super::resume::resumed;
use super::store::rest_of;
use super::{Retry, RetryPolicy, Tries, retried};
use crate::{ByteRange, Check, Error, Found, Opened, Result, ScanOptions, Scanner, Source, SourceDocument, SourceInfo};

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Source + ?Sized + 'static> Source for Retry<T> {
    async fn info(&self) -> Result<SourceInfo> {
        retried(self.policy, || self.inner.info()).await
    }

    async fn now(&self) -> Result<Option<Timestamp>> {
        retried(self.policy, || self.inner.now()).await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        let inner = retried(self.policy, || self.inner.scan(options)).await?;
        Ok(Box::new(RetryScanner { inner, policy: self.policy }))
    }

    /// A body is resumed only where the source can prove that it is still the same object: by fingerprint, or by version.
    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Result<Opened> {
        let mut opened = retried(self.policy, || self.inner.read(entry, range, if_match)).await?;
        let proof = if_match.map(str::to_owned).or_else(|| opened.entry.fingerprint.clone());
        let is_local = matches!(opened.body.reader, crate::BodyReader::Blocking(_));
        if is_local || (proof.is_none() && entry.version.is_none()) || !self.reads_ranges().await {
            return Ok(opened);
        }
        let (inner, entry) = (Arc::clone(&self.inner), entry.clone());
        let reopen = move |received| {
            let (inner, entry, proof) = (Arc::clone(&inner), entry.clone(), proof.clone());
            let rest = rest_of(range, received);
            Box::pin(async move { inner.read(&entry, Some(rest), proof.as_deref()).await.map(|opened| opened.body) })
                as _
        };
        opened.body = resumed(opened.body, self.policy, Box::new(reopen));
        Ok(opened)
    }

    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        let mut answers = retried(self.policy, || self.inner.describe(entries)).await?;
        // Each entry has a failure of its own.
        for (entry, answer) in entries.iter().zip(&mut answers) {
            if answer.as_ref().is_err_and(Error::is_transient) {
                *answer = retried(self.policy, || self.describe_one(entry)).await;
            }
        }
        Ok(answers)
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        retried(self.policy, || self.inner.documents()).await
    }
}

impl<T: Source + ?Sized> Retry<T> {
    async fn describe_one(&self, entry: &Entry) -> Result<Vec<Attribute>> {
        self.inner.describe(std::slice::from_ref(entry)).await?.pop().unwrap_or_else(|| Ok(Vec::new()))
    }

    async fn reads_ranges(&self) -> bool {
        let info = self.source_info.get_or_try_init(|| self.inner.info()).await;
        info.is_ok_and(|info| info.has("ranged-read"))
    }
}

struct RetryScanner {
    inner: Box<dyn Scanner>,
    policy: RetryPolicy,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Scanner for RetryScanner {
    async fn next(&mut self, max: usize) -> Result<Vec<Found>> {
        let mut tries = Tries::new(self.policy);
        loop {
            match self.inner.next(max).await {
                Err(error) => tries.pause_after(error).await?,
                found => return found,
            }
        }
    }
}
