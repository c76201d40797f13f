//! The role of a source, as an author writes it, and the glue to the contract.

use std::cell::RefCell;
use std::marker::PhantomData;

use crate::bindings::exports::credenza::connector::source as contract;
use crate::{
    Attributes, Batch, Body, ByteRange, Check, Config, Connector, Document, Entry, Result, ScanOptions, SourceInfo,
    Timestamp,
};

/// Something to back up. `B` are bytes that the host holds, as of a [`crate::Store`].
pub trait Source<B = Body> {
    /// Identity and traits.
    ///
    /// # Errors
    /// When they cannot be found out.
    fn info(&self) -> Result<SourceInfo>;

    /// The source's own clock, if a scan may be as of a time that has passed. None, unless the connector says otherwise.
    ///
    /// # Errors
    /// When it cannot be found out.
    fn now(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    /// Reaches, authenticates, lists one, reads one: a line each.
    fn check(&self) -> Vec<Check>;

    /// Begins to walk what the options name.
    ///
    /// # Errors
    /// When the walk cannot begin.
    fn scan(&self, options: ScanOptions) -> Result<Box<dyn Scanner>>;

    /// Opens one object. With `if_match`, the fingerprint that the scan reported, a changed object answers `precondition`.
    ///
    /// # Errors
    /// The cause, by class.
    fn read(&self, entry: Entry, range: Option<ByteRange>, if_match: Option<String>) -> Result<Opened<B>>;

    /// Costly metadata that neither scan nor read tells; one result per entry. None, unless the connector says otherwise.
    ///
    /// # Errors
    /// When the whole call fails.
    fn describe(&self, entries: Vec<Entry>) -> Result<Vec<Result<Attributes>>> {
        Ok(entries.iter().map(|_| Ok(Vec::new())).collect())
    }

    /// What is configured for the source as a whole. Nothing, unless the connector says otherwise.
    ///
    /// # Errors
    /// When the whole call fails.
    fn documents(&self) -> Result<Vec<Document>> {
        Ok(Vec::new())
    }
}

/// A walk over a source.
pub trait Scanner: 'static {
    /// What comes next, at most `max` findings. `more` alone says whether the walk goes on: a batch may be short or empty.
    ///
    /// # Errors
    /// A listing that fails ends the run: it never passes for a shorter source.
    fn next(&mut self, max: u32) -> Result<Batch>;
}

/// Bytes that the connector makes itself.
pub trait Reader: 'static {
    /// At most `max` bytes; an empty list is the end.
    ///
    /// # Errors
    /// The cause, by class.
    fn read(&mut self, max: u32) -> Result<Vec<u8>>;
}

/// Where the bytes of an opened object come from.
pub enum Content<B = Body> {
    /// The host holds them already, as the body of an answer: none enters the sandbox.
    Ready(B),
    /// The connector makes them.
    Pull(Box<dyn Reader>),
}

/// An object opened for reading.
pub struct Opened<B = Body> {
    /// The entry as scanned, completed with what only a read tells.
    pub entry: Entry,
    /// Its bytes.
    pub content: Content<B>,
}

/// Answers the source interface of the contract for a connector.
#[derive(Debug)]
pub struct ExportedSource<S>(PhantomData<S>);

/// A session of a source.
pub struct SourceSession<S>(S);

/// A scanner, callable through a shared reference as the contract wants it.
pub struct BoxedScanner(RefCell<Box<dyn Scanner>>);

/// A reader, callable through a shared reference as the contract wants it.
pub struct BoxedReader(RefCell<Box<dyn Reader>>);

impl<S: Connector + Source> contract::Guest for ExportedSource<S> {
    type Reader = BoxedReader;
    type Session = SourceSession<S>;
    type Scanner = BoxedScanner;

    fn open(config: Config) -> Result<contract::Session> {
        crate::panic::report_to_log();
        S::open(&config).map(|source| contract::Session::new(SourceSession(source)))
    }
}

impl<S: Connector + Source> contract::GuestSession for SourceSession<S> {
    fn info(&self) -> Result<SourceInfo> {
        self.0.info()
    }

    fn now(&self) -> Result<Option<Timestamp>> {
        self.0.now()
    }

    fn check(&self) -> Vec<Check> {
        self.0.check()
    }

    fn scan(&self, options: ScanOptions) -> Result<contract::Scanner> {
        let scanner = self.0.scan(options)?;
        Ok(contract::Scanner::new(BoxedScanner(RefCell::new(scanner))))
    }

    fn read(&self, entry: Entry, range: Option<ByteRange>, if_match: Option<String>) -> Result<contract::Opened> {
        let opened = self.0.read(entry, range, if_match)?;
        let content = match opened.content {
            Content::Ready(body) => contract::Content::Ready(body),
            Content::Pull(reader) => contract::Content::Pull(contract::Reader::new(BoxedReader(RefCell::new(reader)))),
        };
        Ok(contract::Opened { entry: opened.entry, content })
    }

    fn describe(&self, entries: Vec<Entry>) -> Result<Vec<Result<Attributes>>> {
        self.0.describe(entries)
    }

    fn documents(&self) -> Result<Vec<Document>> {
        self.0.documents()
    }
}

impl contract::GuestScanner for BoxedScanner {
    fn next(&self, max: u32) -> Result<Batch> {
        self.0.borrow_mut().next(max)
    }
}

impl contract::GuestReader for BoxedReader {
    fn read(&self, max: u32) -> Result<Vec<u8>> {
        self.0.borrow_mut().read(max)
    }
}
