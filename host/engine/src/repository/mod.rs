//! A repository that is open: its store, its config and its keys.
//!
//! Owned here: creating, opening, the config and the retention policy in it, and the small objects: `documents` reads any
//! kind, `index` and `snapshots` know what is in them. Refused here: packs (`blobs`, `write::stow`). Called by every
//! command of the engine.

mod create;
mod documents;
mod index;
mod open;
mod policy;
mod snapshots;

use std::sync::Arc;

use credenza_connect::Store;
use credenza_format::{BlobIndex, Config, Hex, Keys, TreeRoot};
use zeroize::Zeroizing;

pub use create::{CreateOptions, Created};
pub(crate) use documents::{Document, fetch, list};
pub(crate) use index::SegmentInfo;
pub use snapshots::{SnapshotHandle, SnapshotName, Snapshots};

use crate::blobs::BlobLoader;
use crate::clock::Clock;
use crate::walk::Records;
use crate::{Error, Result};

/// What opens the keys of a repository.
#[derive(Clone)]
pub enum Secret {
    /// Nothing: the repository is created in plain text, or is opened as one.
    None,
    /// A passphrase, exact bytes.
    Passphrase(Zeroizing<Vec<u8>>),
    /// The content of a key file.
    KeyFile(Zeroizing<Vec<u8>>),
}

/// A repository, opened.
pub struct Repository {
    store: Arc<dyn Store>,
    /// The store without a cache before it.
    bare: Arc<dyn Store>,
    config: Config,
    keys: Keys,
    clock: Arc<dyn Clock>,
}

impl Repository {
    /// The config.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same repository with another clock for the leases of its runs.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub(crate) fn bare_store(&self) -> &Arc<dyn Store> {
        &self.bare
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn loader(&self, index: Arc<BlobIndex>) -> Arc<BlobLoader> {
        self.loader_from(&self.store, index)
    }

    /// A loader that reads from one of the two stores.
    pub(crate) fn loader_from(&self, store: &Arc<dyn Store>, index: Arc<BlobIndex>) -> Arc<BlobLoader> {
        Arc::new(BlobLoader::new(Arc::clone(store), Arc::clone(&self.bare), self.keys.clone(), index))
    }

    /// The records of a snapshot whose keys begin with `prefix`, in key order.
    ///
    /// # Errors
    /// When the index cannot be loaded.
    pub async fn records(&self, snapshot: &SnapshotHandle, prefix: &[u8]) -> Result<Records> {
        let index = Arc::new(self.load_index().await?);
        Ok(self.walk(&self.loader(index), &snapshot.snapshot.tree, prefix))
    }

    pub(crate) fn walk(&self, loader: &Arc<BlobLoader>, root: &TreeRoot, prefix: &[u8]) -> Records {
        Records::new(Arc::clone(loader), root, prefix.to_vec())
    }

    /// Who writes: stable for a user on a machine, and telling nothing of them to anyone without the keys.
    pub(crate) fn writer(&self, host: &str, user: &str) -> Hex<[u8; 16]> {
        self.keys.writer_id(host, user)
    }
}

pub(crate) fn random_id<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|cause| Error::Encode { doing: "drawing a random id".into(), cause: cause.to_string() })?;
    Ok(bytes)
}
