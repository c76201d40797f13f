//! The S3 library as a source without a sandbox.
//!
//! The library is written for the one thread of a sandbox, so each call runs on a thread that may block: a switch of threads
//! per request, some ten microseconds, is all that this way costs more than the library itself.

use std::sync::Arc;

use async_trait::async_trait;
use credenza_connect::{
    Batch, ByteRange, Check, Error, ErrorClass, Opened, Result, ScanOptions, Scanner, Source, SourceDocument,
    SourceInfo,
};
use credenza_connector_s3::bucket::Bucket;
use credenza_connector_s3::source::Scan;
use credenza_model::{Attribute, Entry, Timestamp};
use credenza_sandbox::Egress;
use credenza_sdk::Scanner as _;

use crate::convert;
use crate::wire::NativeWire;

/// A bucket, read natively.
pub(crate) struct NativeSource {
    bucket: Bucket<NativeWire>,
}

impl NativeSource {
    /// The bucket of the settings, reached through `egress`; to be called in a runtime.
    pub(crate) fn new(config: &credenza_sdk::Config, egress: Arc<Egress>) -> Self {
        Self { bucket: Bucket::new(config, NativeWire::new(egress)) }
    }
}

#[async_trait]
impl Source for NativeSource {
    async fn info(&self) -> Result<SourceInfo> {
        let credenza_sdk::SourceInfo { identity, namespace, traits } = self.bucket.source_info();
        Ok(SourceInfo { identity, namespace, traits })
    }

    async fn now(&self) -> Result<Option<Timestamp>> {
        let bucket = self.bucket.clone();
        let now = blocking(move || bucket.now()).await?.map_err(convert::error)?;
        Ok(now.map(convert::time))
    }

    /// A backup asks for no self-test.
    async fn check(&self) -> Vec<Check> {
        Vec::new()
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        let options = credenza_sdk::ScanOptions {
            prefix: options.prefix.clone(),
            start_after: options.start_after.clone(),
            one_level: options.one_level,
            as_of: options.as_of.map(convert::sdk_time),
        };
        Ok(Box::new(NativeScanner { scan: Some(self.bucket.scan(&options)) }))
    }

    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Result<Opened> {
        let (bucket, asked) = (self.bucket.clone(), convert::sdk_entry(entry));
        let range = range.map(|r| credenza_sdk::ByteRange { offset: r.offset, length: r.length });
        let if_match = if_match.map(str::to_owned);
        let opened = blocking(move || bucket.read(asked, range, if_match.as_deref())).await?;
        let opened = opened.map_err(convert::error)?;
        Ok(Opened { entry: convert::entry(opened.entry), body: opened.body.into_body() })
    }

    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        let (bucket, asked) = (self.bucket.clone(), entries.iter().map(convert::sdk_entry).collect::<Vec<_>>());
        let answers = blocking(move || bucket.describe(&asked)).await?;
        Ok(answers.into_iter().map(|one| one.map(convert::attributes).map_err(convert::error)).collect())
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        let bucket = self.bucket.clone();
        let documents = blocking(move || bucket.documents()).await?.map_err(convert::error)?;
        let convert = |document: credenza_sdk::Document| SourceDocument {
            name: document.name,
            content: document.content.map_err(convert::error),
        };
        Ok(documents.into_iter().map(convert).collect())
    }
}

/// A walk; it is away while a thread turns its page.
struct NativeScanner {
    scan: Option<Scan<NativeWire>>,
}

#[async_trait]
impl Scanner for NativeScanner {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        let Some(mut scan) = self.scan.take() else {
            return Err(Error::new(ErrorClass::Internal, "native.scan", "the listing was broken off"));
        };
        let page = u32::try_from(max).unwrap_or(u32::MAX);
        let (scan, found) = blocking(move || {
            let found = scan.next(page);
            (scan, found)
        })
        .await?;
        self.scan = Some(scan);
        let batch = found.map_err(convert::error)?;
        Ok(Batch { found: batch.found.into_iter().map(convert::found).collect(), more: batch.more })
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::new(ErrorClass::Internal, "native.thread", error.to_string()))
}
