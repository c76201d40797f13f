//! The role of a destination, as an author writes it, and the glue to the contract.

use std::cell::RefCell;
use std::marker::PhantomData;

use crate::bindings::exports::credenza::connector::destination as contract;
use crate::{Body, Check, Config, Connector, DestinationInfo, Entry, Result};

/// Somewhere to restore to. `B` are bytes that the host holds, as of a [`crate::Store`].
pub trait Destination<B = Body> {
    /// Identity and traits.
    ///
    /// # Errors
    /// When they cannot be found out.
    fn info(&self) -> Result<DestinationInfo>;

    /// Reaches, authenticates, writes, reads: a line each.
    fn check(&self) -> Vec<Check>;

    /// What is there now under that key.
    ///
    /// # Errors
    /// The cause, by class; nothing there is `Ok(None)`.
    fn stat(&self, key: &[u8]) -> Result<Option<Entry>>;

    /// Begins an entry. `None`: it is complete.
    ///
    /// # Errors
    /// `precondition` when it exists and may not be overwritten; `unsupported` for what the destination cannot hold.
    fn create(&self, entry: Entry, overwrite: bool) -> Result<Option<Box<dyn Writer<B>>>>;

    /// Second pass, children before parents; each result names the attributes that could not be restored.
    ///
    /// # Errors
    /// When the whole call fails.
    fn set_metadata(&self, entries: Vec<Entry>) -> Result<Vec<Result<Vec<String>>>>;
}

/// One entry being written. A writer that is dropped without a call to `finish` was aborted by the host first.
pub trait Writer<B = Body> {
    /// The host cuts parts to this size. None: as it likes.
    fn part_bytes(&self) -> Option<u64> {
        None
    }

    /// Any part but the last, of exactly `part_bytes`.
    ///
    /// # Errors
    /// The cause, by class. After `transient` the same part may come again: it counts only once it has succeeded.
    fn write(&mut self, part: B) -> Result<()>;

    /// Takes the last part, which may be empty when there was another, and publishes the entry; names the attributes that turned out to be
    /// lost only now.
    ///
    /// # Errors
    /// The cause, by class. After `transient` it may be called again with the same bytes.
    fn finish(&mut self, last: B) -> Result<Vec<String>>;

    /// Leaves nothing behind. Where the remote cannot remove what was sent, the trait `leaves-parts` tells it.
    fn abort(&mut self);
}

/// Answers the destination interface of the contract for a connector.
#[derive(Debug)]
pub struct ExportedDestination<D>(PhantomData<D>);

/// A session of a destination.
pub struct DestinationSession<D>(D);

/// A writer, callable through a shared reference as the contract wants it.
pub struct BoxedWriter(RefCell<Box<dyn Writer>>);

impl<D: Connector + Destination> contract::Guest for ExportedDestination<D> {
    type Session = DestinationSession<D>;
    type Writer = BoxedWriter;

    fn open(config: Config) -> Result<contract::Session> {
        crate::panic::report_to_log();
        D::open(&config).map(|destination| contract::Session::new(DestinationSession(destination)))
    }
}

impl<D: Connector + Destination> contract::GuestSession for DestinationSession<D> {
    fn info(&self) -> Result<DestinationInfo> {
        self.0.info()
    }

    fn check(&self) -> Vec<Check> {
        self.0.check()
    }

    fn stat(&self, key: Vec<u8>) -> Result<Option<Entry>> {
        self.0.stat(&key)
    }

    fn create(&self, entry: Entry, overwrite: bool) -> Result<Option<contract::Begun>> {
        let writer = self.0.create(entry, overwrite)?;
        Ok(writer.map(|writer| contract::Begun {
            part_bytes: writer.part_bytes(),
            writer: contract::Writer::new(BoxedWriter(RefCell::new(writer))),
        }))
    }

    fn set_metadata(&self, entries: Vec<Entry>) -> Result<Vec<Result<Vec<String>>>> {
        self.0.set_metadata(entries)
    }
}

impl contract::GuestWriter for BoxedWriter {
    fn write(&self, part: Body) -> Result<()> {
        self.0.borrow_mut().write(part)
    }

    fn finish(&self, last: Body) -> Result<Vec<String>> {
        self.0.borrow_mut().finish(last)
    }

    fn abort(&self) {
        self.0.borrow_mut().abort();
    }
}
