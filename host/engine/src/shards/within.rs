//! A listing held to a range of keys.
//!
//! Called by `backup`. That keys come in order is demanded by whoever joins them.

use async_trait::async_trait;
use credenza_connect::{Batch, Error, ErrorClass, Found, Result, Scanner};

use crate::share::KeyRange;

/// A listing that was asked to begin behind the first key of a range, and ends with its last.
pub(crate) struct Within {
    inner: Box<dyn Scanner>,
    range: KeyRange,
}

impl Within {
    pub(crate) fn new(inner: Box<dyn Scanner>, range: KeyRange) -> Self {
        Self { inner, range }
    }
}

#[async_trait]
impl Scanner for Within {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        if self.range.is_empty() {
            return Ok(Batch::default());
        }
        let Batch { mut found, more } = self.inner.next(max).await?;
        if let Some(early) = self.range.after.as_ref().and_then(|after| found.iter().find(|found| found.key() <= after))
        {
            let message =
                format!("its listing was to begin behind a key and tells `{}`, which is before it", early.key());
            return Err(Error::new(ErrorClass::Internal, "listing.start-after", message));
        }
        let end =
            self.range.until.as_ref().and_then(|until| found.iter().position(|found: &Found| found.key() > until));
        if let Some(end) = end {
            found.truncate(end);
        }
        Ok(Batch { found, more: more && end.is_none() })
    }
}
