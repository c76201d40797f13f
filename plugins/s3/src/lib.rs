//! The connector for Amazon S3 and what speaks its protocol, as source, store and destination.
//!
//! Owned here: requests, documents, headers and errors of S3, and what its servers do differently. Refused here: signatures,
//! credentials, retries, host names (the host's), and bytes of objects, which pass as handles and never enter the sandbox.
//! Called by the host through the contract in `wit/`.
//!
//! [`S3`] is a thin component; everything below it is generic over a wire: it is tested natively with recorded answers, and
//! `tests/bench` runs it natively over the host's own connections.

mod acl;
mod archive;
mod attributes;
pub mod bucket;
mod check;
mod cursor;
mod delete;
mod destination;
mod documents;
mod encoded;
mod fault;
mod history;
mod layout;
mod listing;
mod place;
mod protect;
#[cfg(test)]
mod recorded;
mod retain;
pub mod source;
mod store;
mod sum;
mod upload;
pub mod wire;

use credenza_sdk::{
    Attributes, Batch, Body, ByteRange, Check, Config, Connector, Content, Destination, DestinationInfo, Document,
    Entry, Object, Opened, Page, Problem, PutOptions, Result, ScanOptions, Scanner, Source, SourceInfo, Store,
    StoreInfo, Stored, Timestamp, Writer,
};

use crate::bucket::Bucket;
use crate::source::Scan;
use crate::upload::Upload;
use credenza_sdk::wire::Host;

/// A session with a bucket.
#[derive(Debug)]
pub struct S3(Bucket<Host>);

credenza_sdk::export!(S3: source, store, destination);

impl Connector for S3 {
    fn open(config: &Config) -> Result<Self> {
        Ok(Self(Bucket::new(config, Host)))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        place::problems(config)
    }
}

impl Source for S3 {
    fn info(&self) -> Result<SourceInfo> {
        Ok(self.0.source_info())
    }

    fn now(&self) -> Result<Option<Timestamp>> {
        self.0.now()
    }

    fn check(&self) -> Vec<Check> {
        self.0.check_source()
    }

    fn scan(&self, options: ScanOptions) -> Result<Box<dyn Scanner>> {
        Ok(Box::new(self.0.scan(&options)))
    }

    fn read(&self, entry: Entry, range: Option<ByteRange>, if_match: Option<String>) -> Result<Opened> {
        let opened = self.0.read(entry, range, if_match.as_deref())?;
        Ok(Opened { entry: opened.entry, content: Content::Ready(opened.body) })
    }

    fn describe(&self, entries: Vec<Entry>) -> Result<Vec<Result<Attributes>>> {
        Ok(self.0.describe(&entries))
    }

    fn documents(&self) -> Result<Vec<Document>> {
        self.0.documents()
    }
}

impl Scanner for Scan<Host> {
    fn next(&mut self, max: u32) -> Result<Batch> {
        Scan::next(self, max)
    }
}

impl Store for S3 {
    fn info(&self) -> Result<StoreInfo> {
        Ok(self.0.store_info())
    }

    fn check(&self) -> Vec<Check> {
        self.0.check_store()
    }

    fn put(&self, key: &str, data: Body, options: PutOptions) -> Result<Stored> {
        self.0.put(key, data, &options)
    }

    fn get(&self, key: &str, range: Option<ByteRange>, version: Option<String>) -> Result<Body> {
        self.0.get(key, range, version.as_deref())
    }

    fn stat(&self, key: &str) -> Result<Object> {
        self.0.stat(key)
    }

    fn list(&self, prefix: &str, cursor: Option<&str>, max: u32) -> Result<Page> {
        self.0.list(prefix, cursor, max)
    }

    fn delete(&self, keys: &[String]) -> Result<Vec<Result<()>>> {
        self.0.delete(keys)
    }

    fn retain(&self, key: &str, version: Option<&str>, until: Timestamp) -> Result<()> {
        self.0.retain(key, version, until)
    }
}

impl Destination for S3 {
    fn info(&self) -> Result<DestinationInfo> {
        self.0.destination_info()
    }

    fn check(&self) -> Vec<Check> {
        self.0.check_destination()
    }

    fn stat(&self, key: &[u8]) -> Result<Option<Entry>> {
        self.0.look(key)
    }

    fn create(&self, entry: Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        let upload = self.0.create(&entry, overwrite)?;
        Ok(upload.map(|upload| Box::new(upload) as Box<dyn Writer>))
    }

    fn set_metadata(&self, entries: Vec<Entry>) -> Result<Vec<Result<Vec<String>>>> {
        Ok(entries.iter().map(|entry| Ok(self.0.lost(entry))).collect())
    }
}

impl Writer for Upload<Host> {
    fn part_bytes(&self) -> Option<u64> {
        Some(Upload::part_bytes(self))
    }

    fn write(&mut self, part: Body) -> Result<()> {
        Upload::write(self, part)
    }

    fn finish(&mut self, last: Body) -> Result<Vec<String>> {
        Upload::finish(self, last)
    }

    fn abort(&mut self) {
        Upload::abort(self);
    }
}
