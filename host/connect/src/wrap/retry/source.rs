//! [`Retry`] before a source.

use std::sync::Arc;

use async_trait::async_trait;
use credenza_model::{Attribute, Entry, Timestamp};

use super::resume::resumed;
use super::store::rest_of;
use super::{Patience, Retry, Tries, retried};
use crate::{
    Batch, ByteRange, Check, Error, Opened, Result, ScanOptions, Scanner, Source, SourceDocument, SourceInfo, ability,
};

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Source + ?Sized + 'static> Source for Retry<T> {
    async fn info(&self) -> Result<SourceInfo> {
        retried(&self.patience, || self.inner.info()).await
    }

    async fn now(&self) -> Result<Option<Timestamp>> {
        retried(&self.patience, || self.inner.now()).await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        let inner = retried(&self.patience, || self.inner.scan(options)).await?;
        Ok(Box::new(RetryScanner { inner, patience: self.patience.clone() }))
    }

    /// A body is resumed only where the source can prove that it is still the same object: by fingerprint, or by version.
    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Result<Opened> {
        let mut opened = retried(&self.patience, || self.inner.read(entry, range, if_match)).await?;
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
        opened.body = resumed(opened.body, self.patience.clone(), Box::new(reopen));
        Ok(opened)
    }

    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        let mut answers = retried(&self.patience, || self.inner.describe(entries)).await?;
        // Each entry has a failure of its own.
        for (entry, answer) in entries.iter().zip(&mut answers) {
            if answer.as_ref().is_err_and(Error::is_transient) {
                *answer = retried(&self.patience, || self.describe_one(entry)).await;
            }
        }
        Ok(answers)
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        let mut documents = retried(&self.patience, || self.inner.documents()).await?;
        // Each has a failure of its own: what was read stays, and only what failed in passing is looked for again.
        let mut tries = Tries::new(&self.patience);
        while let Some(failure) = documents.iter().find_map(passing_failure) {
            if tries.pause_after(failure).await.is_err() {
                break;
            }
            let again = self.inner.documents().await?;
            documents = documents.into_iter().filter_map(|document| renewed(document, &again)).collect();
        }
        Ok(documents)
    }
}

impl<T: Source + ?Sized> Retry<T> {
    async fn describe_one(&self, entry: &Entry) -> Result<Vec<Attribute>> {
        self.inner.describe(std::slice::from_ref(entry)).await?.pop().unwrap_or_else(|| Ok(Vec::new()))
    }

    async fn reads_ranges(&self) -> bool {
        let info = self.source_info.get_or_try_init(|| self.inner.info()).await;
        info.is_ok_and(|info| info.has(ability::RANGED_READ))
    }
}

fn passing_failure(document: &SourceDocument) -> Option<Error> {
    document.content.as_ref().err().filter(|error| error.is_transient()).cloned()
}

/// The document, or what another try says of one that failed in passing: nothing if there is none.
fn renewed(document: SourceDocument, again: &[SourceDocument]) -> Option<SourceDocument> {
    match passing_failure(&document) {
        Some(_) => again.iter().find(|other| other.name == document.name).cloned(),
        None => Some(document),
    }
}

struct RetryScanner {
    inner: Box<dyn Scanner>,
    patience: Patience,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Scanner for RetryScanner {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        let mut tries = Tries::new(&self.patience);
        loop {
            match self.inner.next(max).await {
                Err(error) => tries.pause_after(error).await?,
                found => return found,
            }
        }
    }
}
