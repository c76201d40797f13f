//! Opening and making the repository at a place.
//!
//! Owned here: from a place and a secret to a repository that is the one that was there before; where nobody has provided the secret, a
//! person is asked. Refused here: where secrets are from (`secret`), recognition (`recognise`), everything inside (`credenza-engine`).

use std::ffi::OsStr;
use std::sync::Arc;

use credenza_connect::Store;
use credenza_connect::file::NO_ROOT;
use credenza_engine::{
    CreateOptions, Created, Error as EngineError, ListedSlot, ObjectCache, Repository, Secret, key_slots,
};

use credenza_format::ChunkerParams;
use credenza_sandbox::parse_boolean;

use crate::app::App;
use crate::configuration::{Kind, Known, KnownRepository, Settings};
use crate::error::{Error, Result};
use crate::location::Location;
use crate::notice::Notice;
use crate::occupied;
use crate::open::{Opened, StoreUse};
use crate::place::Place;
use crate::secret::{self, SecretSources};

/// Copies of small objects of remote repositories; a repository of 10⁸ chunks has an index of some 5 GB.
const CACHE_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// The setting that says that a repository without encryption is meant.
const PLAINTEXT: &str = "plaintext";

/// A repository, opened, and the store below it.
pub struct OpenRepository {
    /// What the engine works with.
    pub repository: Repository,
    /// Where it is.
    pub place: Place,
    /// The store below it.
    pub store: Opened<dyn Store>,
    /// What opened it.
    pub secret: Secret,
}

/// zstd level 1: higher ones cost twice the time and more for a few per cent.
const COMPRESSION: i32 = 1;
/// The name of the first key slot.
const LABEL: &str = "first";

/// How a new repository is made where nobody chooses otherwise.
#[must_use]
pub fn usual_options(secret: Secret) -> CreateOptions {
    CreateOptions {
        secret,
        like: None,
        label: LABEL.to_owned(),
        chunker: ChunkerParams::default(),
        compression: COMPRESSION,
        retain_days: None,
        parity: None,
    }
}

/// How a repository is opened.
#[derive(Clone)]
pub struct OpenOptions {
    /// What for.
    pub purpose: StoreUse,
    /// What opens it; with [`Secret::None`] a person is asked where the repository needs a passphrase.
    pub secret: Secret,
    /// Whether one without encryption is opened all the same where a secret is given.
    pub accept_plaintext: bool,
}

impl App {
    /// Opens a repository as a file of jobs names it, with the secret that its settings or the environment provide.
    ///
    /// # Errors
    /// When its place, its secret or the repository itself cannot be had.
    pub async fn open_named(&self, repository: &str, purpose: StoreUse) -> Result<OpenRepository> {
        let place = self.place(Kind::Repository, OsStr::new(repository), Settings::new())?;
        let secret = secret::provided(&SecretSources::default(), &place.settings)?;
        self.open_repository(place, OpenOptions { purpose, secret, accept_plaintext: false }).await
    }

    /// Opens the repository at a place.
    ///
    /// # Errors
    /// When the place cannot be reached, holds no repository or another than before, or the secret does not open it.
    pub async fn open_repository(&self, place: Place, options: OpenOptions) -> Result<OpenRepository> {
        let OpenOptions { purpose, mut secret, accept_plaintext } = options;
        let store = self.store(&place, purpose).await?;
        let cache = self.object_cache(&place);
        let mut repository = Repository::open(Arc::clone(&store.connector), &secret, cache.as_ref()).await;
        if matches!(repository, Err(EngineError::SecretMissing)) {
            let answer = self.ask().passphrase(&place.label()).await.map_err(|source| Error::Ask { source })?;
            if let Some(passphrase) = answer {
                secret = Secret::Passphrase(passphrase);
                repository = Repository::open(Arc::clone(&store.connector), &secret, cache.as_ref()).await;
            }
        }
        if matches!(repository, Err(EngineError::NotEncrypted)) && accept_plaintext {
            secret = Secret::None;
            repository = Repository::open(Arc::clone(&store.connector), &secret, cache.as_ref()).await;
        }
        let repository = repository.map_err(|error| self.missed(error, &place))?;
        #[cfg(test)]
        let repository = match self.simulated() {
            Some(simulated) => repository.with_clock(Arc::clone(simulated) as Arc<dyn credenza_engine::Clock>),
            None => repository,
        };
        let open = self.recognised(OpenRepository { repository, place, store, secret })?;
        Ok(OpenRepository { repository: self.with_replicas(open.repository, &open.place), ..open })
    }

    /// Makes a repository at a place, remembers it, and gives the store below it. One that holds other things is taken only where that is meant
    /// (`beside_others`).
    ///
    /// # Errors
    /// When the place cannot be reached, or holds a repository; [`Error::Occupied`].
    pub async fn create_repository(
        &self,
        place: &Place,
        options: &CreateOptions,
        beside_others: bool,
    ) -> Result<(Created, Opened<dyn Store>)> {
        let store = self.store(place, StoreUse::Create).await?;
        if !beside_others {
            occupied::require_vacant(place, &*store.connector).await?;
        }
        let before = self.known(place, store.server.as_deref())?.into_iter().next();
        let created = Repository::create(Arc::clone(&store.connector), options).await?;
        if let Some(known) = before {
            self.notice(Notice::KnownBefore { place: place.label(), known });
        }
        let known = KnownRepository {
            id: created.repository.to_string(),
            owner: created.owner.to_string(),
            encrypted: !matches!(options.secret, Secret::None),
        };
        self.remember(place, store.server.as_deref(), &known, false);
        Ok((created, store))
    }

    /// The key slots of a repository, as they say of themselves: no secret is needed and nothing is proven.
    ///
    /// # Errors
    /// When the place cannot be reached.
    pub async fn unproven_key_slots(&self, place: &Place) -> Result<Vec<ListedSlot>> {
        let store = self.store(place, StoreUse::Read).await?;
        key_slots(&*store.connector).await.map_err(|error| of_place(error, place))
    }

    /// Whoever can write to a location could put a repository there that anybody can read: one without encryption takes nothing that was not
    /// meant for it. It is meant where `is_meant` or its setting `plaintext` says so, and is remembered then.
    ///
    /// # Errors
    /// [`Error::NotEncrypted`] where it is not meant and not known to this machine.
    pub fn require_encryption(&self, open: &OpenRepository, is_meant: bool) -> Result<()> {
        let OpenRepository { repository, place, store, .. } = open;
        let is_set = || place.settings.get(PLAINTEXT).and_then(|value| parse_boolean(value.expose())) == Some(true);
        if repository.config().encrypted || is_set() || !self.known(place, store.server.as_deref())?.is_empty() {
            return Ok(());
        }
        if !is_meant {
            return Err(Error::NotEncrypted { place: place.label() });
        }
        self.remember(place, store.server.as_deref(), &KnownRepository::of(repository), false);
        Ok(())
    }

    /// Remote repositories have a cache of small objects; a folder is as near as its cache would be.
    fn object_cache(&self, place: &Place) -> Option<ObjectCache> {
        let remote = matches!(place.location, Location::Remote { .. });
        let folder = self.cache_folder().filter(|_| remote)?;
        Some(ObjectCache::new(folder.join("objects"), CACHE_BYTES_MAX))
    }

    /// The failure to find a repository, where one was: a disk that is not there must not lead to a new one.
    fn missed(&self, error: EngineError, place: &Place) -> Error {
        let error = of_place(error, place);
        let Error::NoRepository { place: label, .. } = error else { return error };
        let known = self.known_folder().and_then(|folder| Known::read(folder).ok());
        let was = |location: &String| known.as_ref()?.at_location(location).ok()?.into_iter().next();
        Error::NoRepository { place: label, known: place.spellings().iter().find_map(was) }
    }
}

/// The place as it was written says more than the store's own name; a missing folder is a missing repository.
fn of_place(error: EngineError, place: &Place) -> Error {
    let no_folder = matches!(&error, EngineError::Connector { cause, .. } if cause.reason == NO_ROOT);
    if no_folder || matches!(error, EngineError::NoRepository { .. }) {
        return Error::NoRepository { place: place.label(), known: None };
    }
    Error::Repository { place: place.label(), source: Box::new(error) }
}
