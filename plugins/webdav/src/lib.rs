//! The connector for WebDAV (RFC 4918), as source, store and destination.
//!
//! Owned here: requests, documents and errors of WebDAV, and what its servers do differently. Refused here: credentials, retries, host
//! names (the host's), and bytes of files, which pass as handles and do not enter the sandbox, but for files of unknown size. Called by
//! the host through the contract in `wit/`.
//!
//! [`WebDav`] is a thin component; everything below it is generic over a wire, and tested natively with recorded answers.

mod check;
mod destination;
mod fault;
pub mod folder;
mod multistatus;
mod place;
#[cfg(test)]
mod recorded;
pub mod source;
mod store;
mod upload;
mod walk;
pub mod wire;

use credenza_sdk::{
    Batch, Body, ByteRange, Check, Config, Connector, Content, Destination, DestinationInfo, Entry, Error, ErrorClass,
    Object, Opened, Page, Problem, PutOptions, Result, ScanOptions, Scanner, Source, SourceInfo, Store, StoreInfo,
    Stored, Writer,
};

use crate::folder::Folder;
use crate::source::Scan;
use crate::upload::Upload;
use crate::wire::Host;

/// A session with a folder.
#[derive(Debug)]
pub struct WebDav(Folder<Host>);

credenza_sdk::export!(WebDav: source, store, destination);

impl Connector for WebDav {
    fn open(config: &Config) -> Result<Self> {
        Ok(Self(Folder::new(config, Host)))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        place::problems(config)
    }
}

impl Source for WebDav {
    fn info(&self) -> Result<SourceInfo> {
        Ok(self.0.source_info())
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
}

impl Scanner for Scan<Host> {
    fn next(&mut self, max: u32) -> Result<Batch> {
        Scan::next(self, max)
    }
}

impl Store for WebDav {
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
        if version.is_some() {
            let message = format!("reading `{key}` failed: a WebDAV server keeps no versions");
            return Err(Error::new(ErrorClass::Unsupported, "webdav.version", message));
        }
        self.0.fetch(key, range)
    }

    fn stat(&self, key: &str) -> Result<Object> {
        self.0.stat(key)
    }

    fn list(&self, prefix: &str, cursor: Option<&str>, max: u32) -> Result<Page> {
        self.0.list_objects(prefix, cursor, max)
    }

    fn delete(&self, keys: &[String]) -> Result<Vec<Result<()>>> {
        Ok(self.0.delete(keys))
    }
}

impl Destination for WebDav {
    fn info(&self) -> Result<DestinationInfo> {
        Ok(self.0.destination_info())
    }

    fn check(&self) -> Vec<Check> {
        self.0.check_destination()
    }

    fn stat(&self, key: &[u8]) -> Result<Option<Entry>> {
        self.0.look_for_entry(key)
    }

    fn create(&self, entry: Entry, overwrite: bool) -> Result<Option<Box<dyn Writer>>> {
        let upload = self.0.create(&entry, overwrite)?;
        Ok(upload.map(|upload| Box::new(upload) as Box<dyn Writer>))
    }

    fn set_metadata(&self, entries: Vec<Entry>) -> Result<Vec<Result<Vec<String>>>> {
        Ok(entries.iter().map(|entry| self.0.lost(entry)).collect())
    }
}

impl Writer for Upload<Host> {
    fn part_bytes(&self) -> Option<u64> {
        Upload::part_bytes(self)
    }

    fn write(&mut self, part: Body) -> Result<()> {
        Upload::write(self, &part)
    }

    fn finish(&mut self, last: Body) -> Result<Vec<String>> {
        Upload::finish(self, last)
    }

    fn abort(&mut self) {
        Upload::abort(self);
    }
}
