//! Trouble at the folders of repositories, on purpose: a test says what is wrong with one from now on, and whatever opens it meets that.
//!
//! Owned here: which folder is in which trouble. Refused here: the faults themselves (`credenza_connect::wrap`). There is none outside of tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use credenza_connect::wrap::{Fault, FaultKind, call};
use credenza_connect::{ErrorClass, Store};

/// What is wrong with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// There is no space left: it is read, and nothing more is written.
    Full,
    /// It answers each request that it may work later, as a server that says 503.
    Unavailable,
    /// It answers nothing, for an hour.
    Silent,
}

/// All that a repository asks of its store.
const CALLS: [&str; 6] = [call::PUT, call::GET, call::STAT, call::LIST, call::DELETE, call::RETAIN];

impl Trouble {
    fn befall(self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        let (kind, calls) = match self {
            Self::Full => (FaultKind::Fail(ErrorClass::Exhausted), &[call::PUT][..]),
            Self::Unavailable => (FaultKind::Fail(ErrorClass::Transient), &CALLS[..]),
            Self::Silent => (FaultKind::Delay(Duration::from_hours(1)), &CALLS[..]),
        };
        let every = |fault: Fault<dyn Store>, name: &&'static str| fault.one_in(name, 1, kind);
        Arc::new(calls.iter().fold(Fault::new(store, 0), every))
    }
}

/// The folders that are in trouble.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<BTreeMap<PathBuf, Trouble>>);

impl Troubles {
    /// Whoever opens the folder from now on meets the trouble.
    pub(crate) fn begin(&self, folder: PathBuf, trouble: Trouble) {
        self.0.lock().unwrap().insert(folder, trouble);
    }

    /// It is over.
    pub(crate) fn end(&self, folder: &Path) {
        self.0.lock().unwrap().remove(folder);
    }

    /// What is met at a folder.
    pub(crate) fn meet(&self, folder: &Path, store: Arc<dyn Store>) -> Arc<dyn Store> {
        match self.0.lock().unwrap().get(folder) {
            Some(trouble) => trouble.befall(store),
            None => store,
        }
    }
}
