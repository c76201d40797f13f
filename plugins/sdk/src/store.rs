//! The role of a store, as an author writes it, and the glue to the contract.

use std::marker::PhantomData;

use crate::bindings::exports::credenza::connector::store as contract;
use crate::{
    Body, ByteRange, Check, Config, Connector, Error, ErrorClass, Object, Page, PutOptions, Result, StoreInfo, Stored,
    Timestamp,
};

/// Somewhere to keep a repository. Keys hold only `[a-z0-9/._-]`, at most 200 bytes, no empty, `.` or `..` segment.
///
/// `B` are bytes that the host holds: in the sandbox [`Body`], in native tests those of their wire ([`crate::wire::Wire::Body`]), so that a session
/// over any wire has the role itself.
pub trait Store<B = Body> {
    /// Identity and claims; the host probes a claim before it relies on it.
    ///
    /// # Errors
    /// When they cannot be found out.
    fn info(&self) -> Result<StoreInfo>;

    /// Reaches, authenticates, lists, writes, reads: a line each.
    fn check(&self) -> Vec<Check>;

    /// Writes a whole object or nothing: a reader never sees a part of it.
    ///
    /// # Errors
    /// `precondition` when a condition of the options does not hold; else the cause, by class.
    fn put(&self, key: &str, data: B, options: PutOptions) -> Result<Stored>;

    /// A whole object or a range of it.
    ///
    /// # Errors
    /// `not-found` when there is no such object; else the cause, by class.
    fn get(&self, key: &str, range: Option<ByteRange>, version: Option<String>) -> Result<B>;

    /// Size and time of an object.
    ///
    /// # Errors
    /// `not-found` when there is no such object; else the cause, by class.
    fn stat(&self, key: &str) -> Result<Object>;

    /// A page of the objects whose key starts with `prefix`, in byte order, at most `max`: the first one, or the one that `cursor` begins, which is the
    /// `next` of the page before and all that is known of it. No `next` is the end, and nothing else is: a page may be short or empty.
    ///
    /// # Errors
    /// The cause, by class; a missing bucket is an error, not an empty page.
    fn list(&self, prefix: &str, cursor: Option<&str>, max: u32) -> Result<Page>;

    /// Deletes; what is not there counts as deleted. One result per key.
    ///
    /// # Errors
    /// When the whole call fails.
    fn delete(&self, keys: &[String]) -> Result<Vec<Result<()>>>;

    /// Keeps an object that exists (the version named, else the one that a plain get reads) undeletable until then, at least.
    ///
    /// # Errors
    /// `not-found` when there is no such object; `unsupported`, the default, when the store cannot lock.
    fn retain(&self, key: &str, _version: Option<&str>, _until: Timestamp) -> Result<()> {
        let message = format!("this store cannot lock `{key}` against deletion");
        Err(Error::new(ErrorClass::Unsupported, "sdk.retain", message))
    }
}

/// Answers the store interface of the contract for a connector.
#[derive(Debug)]
pub struct ExportedStore<S>(PhantomData<S>);

/// A session of a store.
pub struct StoreSession<S>(S);

impl<S: Connector + Store> contract::Guest for ExportedStore<S> {
    type Session = StoreSession<S>;

    fn open(config: Config) -> Result<contract::Session> {
        crate::panic::report_to_log();
        S::open(&config).map(|store| contract::Session::new(StoreSession(store)))
    }
}

impl<S: Connector + Store> contract::GuestSession for StoreSession<S> {
    fn info(&self) -> Result<StoreInfo> {
        self.0.info()
    }

    fn check(&self) -> Vec<Check> {
        self.0.check()
    }

    fn put(&self, key: String, data: Body, options: PutOptions) -> Result<Stored> {
        self.0.put(&key, data, options)
    }

    fn get(&self, key: String, range: Option<ByteRange>, version: Option<String>) -> Result<Body> {
        self.0.get(&key, range, version)
    }

    fn stat(&self, key: String) -> Result<Object> {
        self.0.stat(&key)
    }

    fn list(&self, prefix: String, cursor: Option<String>, max: u32) -> Result<Page> {
        self.0.list(&prefix, cursor.as_deref(), max)
    }

    fn delete(&self, keys: Vec<String>) -> Result<Vec<Result<()>>> {
        self.0.delete(&keys)
    }

    fn retain(&self, key: String, version: Option<String>, until: Timestamp) -> Result<()> {
        self.0.retain(&key, version.as_deref(), until)
    }
}
