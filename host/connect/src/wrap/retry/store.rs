//! [`Retry`] before a store.

use std::sync::Arc;

use async_trait::async_trait;
use credenza_model::{StoreKey, Timestamp};
use futures_util::StreamExt;

use super::resume::resumed;
use super::{Patience, Retry, Tries, retried};
use crate::{
    Body, ByteRange, Check, Error, ErrorClass, Page, Payload, PutOptions, Result, Store, StoreInfo, Stored,
    StoredObject,
};

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Store + ?Sized + 'static> Store for Retry<T> {
    async fn info(&self) -> Result<StoreInfo> {
        retried(&self.patience, || self.inner.info()).await
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    /// A put whose condition no longer holds after an answer was lost compares what is there: its own bytes mean that the lost try had succeeded.
    async fn put(&self, key: &StoreKey, data: Payload, options: &PutOptions) -> Result<Stored> {
        let mut tries = Tries::new(&self.patience);
        let mut answer_was_lost = false;
        let is_conditional = options.if_absent || options.if_match.is_some();
        loop {
            let error = match self.inner.put(key, data.clone(), options).await {
                Ok(stored) => return Ok(stored),
                Err(error) => error,
            };
            if answer_was_lost && is_conditional && error.class == ErrorClass::Precondition {
                return match retried(&self.patience, || self.holds(key, &data)).await? {
                    Some(stored) => Ok(stored),
                    None => Err(error),
                };
            }
            tries.pause_after(error).await?;
            answer_was_lost = true;
        }
    }

    async fn get(&self, key: &StoreKey, range: Option<ByteRange>, version: Option<&str>) -> Result<Body> {
        let body = retried(&self.patience, || self.inner.get(key, range, version)).await?;
        let (inner, key, version) = (Arc::clone(&self.inner), key.clone(), version.map(str::to_owned));
        let reopen = move |received| {
            let (inner, key, version) = (Arc::clone(&inner), key.clone(), version.clone());
            let rest = rest_of(range, received);
            Box::pin(async move { inner.get(&key, Some(rest), version.as_deref()).await }) as _
        };
        Ok(resumed(body, self.patience.clone(), Box::new(reopen)))
    }

    async fn stat(&self, key: &StoreKey) -> Result<StoredObject> {
        retried(&self.patience, || self.inner.stat(key)).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>, max: usize) -> Result<Page> {
        retried(&self.patience, || self.inner.list(prefix, cursor, max)).await
    }

    async fn delete(&self, keys: &[StoreKey]) -> Result<Vec<Result<()>>> {
        let outcomes = retried(&self.patience, || self.inner.delete(keys)).await?;
        delete_again(&*self.inner, &self.patience, keys, outcomes).await
    }

    async fn retain(&self, key: &StoreKey, version: Option<&str>, until: Timestamp) -> Result<()> {
        retried(&self.patience, || self.inner.retain(key, version, until)).await
    }
}

/// What remains of a range, or of a whole object, after so many of its bytes.
pub(super) fn rest_of(range: Option<ByteRange>, received: u64) -> ByteRange {
    let range = range.unwrap_or(ByteRange { offset: 0, length: None });
    ByteRange {
        offset: range.offset.saturating_add(received),
        length: range.length.map(|length| length.saturating_sub(received)),
    }
}

/// Deletes once more the keys whose own outcome was transient.
async fn delete_again<T: Store + ?Sized>(
    inner: &T,
    patience: &Patience,
    keys: &[StoreKey],
    mut outcomes: Vec<Result<()>>,
) -> Result<Vec<Result<()>>> {
    let mut tries = Tries::new(patience);
    loop {
        let is_again = |outcome: &Result<()>| outcome.as_ref().is_err_and(Error::is_transient);
        let Some(Err(cause)) = outcomes.iter().find(|outcome| is_again(outcome)) else { return Ok(outcomes) };
        if tries.pause_after(cause.clone()).await.is_err() {
            return Ok(outcomes);
        }
        let again: Vec<StoreKey> =
            keys.iter().zip(&outcomes).filter(|(_, outcome)| is_again(outcome)).map(|(key, _)| key.clone()).collect();
        let mut later = retried(patience, || inner.delete(&again)).await?.into_iter();
        for outcome in outcomes.iter_mut().filter(|outcome| is_again(outcome)) {
            if let Some(now) = later.next() {
                *outcome = now;
            }
        }
    }
}

impl<T: Store + ?Sized> Retry<T> {
    /// What a put left behind if the object holds exactly those bytes.
    async fn holds(&self, key: &StoreKey, data: &Payload) -> Result<Option<Stored>> {
        let object = self.inner.stat(key).await?;
        if object.size != data.length() {
            return Ok(None);
        }
        let mut pieces = self.inner.get(key, None, None).await?.into_stream();
        let mut compared = 0_u64;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            if data.slice(compared, piece.len() as u64).to_bytes() != piece {
                return Ok(None);
            }
            compared = compared.saturating_add(piece.len() as u64);
        }
        if compared < data.length() {
            return Err(Error::new(
                ErrorClass::Transient,
                "body.too-short",
                format!("reading `{key}` again broke off after {compared} bytes"),
            ));
        }
        Ok(Some(Stored { tag: object.tag, version: object.version, modified: object.modified }))
    }
}
