//! A good source with one flaw.

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use credenza_connect::conformance::SourceBed;
use credenza_connect::memory::MemorySource;
use credenza_connect::{
    Batch, ByteRange, Check, Error, Found, Opened, Result, ScanOptions, Scanner, Source, SourceDocument, SourceInfo,
};
use credenza_model::{Attribute, Checksum, Entry, Key, Timestamp};

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceFlaw {
    PassesOverTheEmpty,
    TellsTwice,
    TellsOutOfOrder,
    TellsBatchesThatAreTooLong,
    EndsAfterAPage,
    FingerprintsBySize,
    IgnoresIfMatch,
    DecodesKeys,
    BeginsAtTheKeyItself,
    StatesAWrongChecksum,
    DescribesOneLess,
    KnowsNoLevels,
    TellsThePartAsTheWhole,
    TakesAnErrorForTheEnd,
    /// It tells a clock, and whatever is there now.
    ForgetsTheTime,
}

pub(crate) struct SourceBedOf {
    pub(crate) flaw: SourceFlaw,
    pub(crate) made: Mutex<MemorySource>,
}

#[async_trait]
impl SourceBed for SourceBedOf {
    async fn filled(&self, objects: &[(Key, Bytes)]) -> Result<Arc<dyn Source>> {
        let inner = MemorySource::new();
        objects.iter().for_each(|(key, bytes)| inner.put(key.clone(), bytes.clone()));
        *self.made.lock().unwrap() = inner.clone();
        Ok(Arc::new(FlawedSource { inner, flaw: self.flaw, looks: AtomicI64::new(0) }))
    }

    async fn replace(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.made.lock().unwrap().put(key.clone(), bytes);
        Ok(())
    }
}

struct FlawedSource {
    inner: MemorySource,
    flaw: SourceFlaw,
    /// Its clock goes on whenever somebody looks at it.
    looks: AtomicI64,
}

fn decoded(key: &Key) -> Key {
    Key::new(String::from_utf8_lossy(key.as_bytes()).replace("%20", " ").replace("%2F", "/").into_bytes())
}

fn by_size(entry: Entry) -> Entry {
    Entry { fingerprint: entry.size.map(|size| size.to_string()), ..entry }
}

#[async_trait]
impl Source for FlawedSource {
    async fn info(&self) -> Result<SourceInfo> {
        self.inner.info().await
    }

    async fn now(&self) -> Result<Option<Timestamp>> {
        if self.flaw != SourceFlaw::ForgetsTheTime {
            return self.inner.now().await;
        }
        let seconds = self.looks.fetch_add(1, SeqCst);
        Ok(Some(Timestamp { seconds, nanoseconds: 0 }))
    }

    async fn check(&self) -> Vec<Check> {
        self.inner.check().await
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Box<dyn Scanner>> {
        let mut options = options.clone();
        let start_after = options.start_after.clone();
        match self.flaw {
            SourceFlaw::KnowsNoLevels => options.one_level = false,
            SourceFlaw::BeginsAtTheKeyItself => options.start_after = None,
            _ => {}
        }
        let mut scanner = self.inner.scan(&options).await?;
        let mut found = scanner.next(10_000).await?.found;
        match self.flaw {
            SourceFlaw::PassesOverTheEmpty => {
                found.retain(|found| !matches!(found, Found::Entry(entry) if entry.size == Some(0)));
            }
            SourceFlaw::TellsTwice => found.extend(found.last().cloned()),
            SourceFlaw::TellsOutOfOrder => found.reverse(),
            SourceFlaw::EndsAfterAPage => found.truncate(1000),
            SourceFlaw::TakesAnErrorForTheEnd if options.prefix.ends_with(b"c/") => found.clear(),
            SourceFlaw::BeginsAtTheKeyItself => {
                found.retain(|found| {
                    start_after.as_ref().is_none_or(|after| found.key().as_bytes() >= after.as_slice())
                });
            }
            _ => {}
        }
        for found in &mut found {
            let Found::Entry(entry) = found else { continue };
            match self.flaw {
                SourceFlaw::FingerprintsBySize => *entry = by_size(entry.clone()),
                SourceFlaw::DecodesKeys => entry.key = decoded(&entry.key),
                SourceFlaw::StatesAWrongChecksum => {
                    entry.checksums = vec![Checksum { algorithm: "sha256".to_owned(), value: vec![0; 32] }];
                }
                _ => {}
            }
        }
        found.reverse();
        Ok(Box::new(FlawedScanner { found, too_many: self.flaw == SourceFlaw::TellsBatchesThatAreTooLong }))
    }

    async fn read(&self, entry: &Entry, range: Option<ByteRange>, if_match: Option<&str>) -> Result<Opened> {
        let if_match = match self.flaw {
            SourceFlaw::IgnoresIfMatch | SourceFlaw::FingerprintsBySize => None,
            _ => if_match,
        };
        let mut opened = self.inner.read(entry, range, if_match).await?;
        match self.flaw {
            SourceFlaw::FingerprintsBySize => opened.entry = by_size(opened.entry),
            SourceFlaw::TellsThePartAsTheWhole => opened.entry.size = opened.body.length,
            _ => {}
        }
        Ok(opened)
    }

    async fn describe(&self, entries: &[Entry]) -> Result<Vec<Result<Vec<Attribute>, Error>>> {
        let mut answers = self.inner.describe(entries).await?;
        if self.flaw == SourceFlaw::DescribesOneLess {
            answers.pop();
        }
        Ok(answers)
    }

    async fn documents(&self) -> Result<Vec<SourceDocument>> {
        self.inner.documents().await
    }
}

/// Taken from the end.
struct FlawedScanner {
    found: Vec<Found>,
    too_many: bool,
}

#[async_trait]
impl Scanner for FlawedScanner {
    async fn next(&mut self, max: usize) -> Result<Batch> {
        let max = if self.too_many { max + 1 } else { max };
        let mut found = self.found.split_off(self.found.len().saturating_sub(max));
        found.reverse();
        Ok(Batch { found, more: !self.found.is_empty() })
    }
}
