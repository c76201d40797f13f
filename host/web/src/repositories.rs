//! The repositories of the configuration, and which of them are open in this process.
//!
//! Owned here: opening each once, by what the configuration has or a passphrase that was typed, and a view of it that knows its newest snapshot. Keys stay
//! in the memory of the process. Refused here: where secrets are from and what a repository is (`credenza-app`).
//!
//! Bound: one view for each repository that is configured, and its list of snapshots.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use credenza_app::jobs::guard::{self, Suspect};
use credenza_app::secret::{self, SecretError, SecretSources};
use credenza_app::{
    App, ConfigurationError, Error, Kind, OpenOptions, OpenRepository, Place, PlaceError, PlaceLabel, PlaceName,
    Result, Settings, StoreUse,
};
use credenza_engine::tags::TagEdits;
use credenza_engine::view::View;
use credenza_engine::{Error as EngineError, Secret, SnapshotHandle, SnapshotName, Snapshots};
use credenza_model::{SnapshotId, Timestamp};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// How a repository is called in addresses that has no name in the configuration; no name begins so.
const NAMELESS: &str = "-";

/// How long a command for a passphrase may take, which can ask nobody here.
const COMMAND_MAX: Duration = Duration::from_secs(60);

/// The repository that the program was started with, and where its secret is.
#[derive(Debug, Clone)]
pub struct Given {
    /// Where it is.
    pub place: Place,
    /// What opens it, beside the environment and its settings.
    pub sources: SecretSources,
}

/// All repositories.
pub(crate) struct Repositories {
    app: App,
    given: Option<Given>,
    slots: std::sync::Mutex<HashMap<String, Arc<Slot>>>,
    /// When each was looked into last.
    seen: std::sync::Mutex<HashMap<String, Timestamp>>,
}

/// Room for one repository.
#[derive(Default)]
struct Slot(Mutex<Option<Arc<Repository>>>);

/// A repository that is open.
pub(crate) struct Repository {
    pub(crate) open: OpenRepository,
    look: Mutex<Option<Look>>,
}

/// What a repository holds.
#[derive(Clone)]
pub(crate) struct Look {
    /// Finds what is in these snapshots.
    pub(crate) view: View,
    /// With the tags that they have now.
    pub(crate) snapshots: Arc<Snapshots>,
    /// Those in which too much is gone, changed or encrypted, and that nobody has looked at; the oldest first.
    pub(crate) suspects: Arc<Vec<Suspect>>,
}

impl Repositories {
    pub(crate) fn new(app: App, given: Option<Given>) -> Self {
        Self { app, given, slots: std::sync::Mutex::default(), seen: std::sync::Mutex::default() }
    }

    /// What each is called in addresses, in the order of the configuration; the one that the program was started with first.
    pub(crate) fn names(&self) -> Result<Vec<String>, ConfigurationError> {
        let given = self.given.as_ref().map(|given| given.place.name().unwrap_or(NAMELESS).to_owned());
        let configured = self.app.configuration()?.names(Kind::Repository)?;
        let others = configured.into_iter().filter(|name| Some(name) != given.as_ref());
        Ok(given.iter().cloned().chain(others).collect())
    }

    /// Where one is.
    pub(crate) fn place(&self, name: &str) -> Result<Place, PlaceError> {
        if let Some(given) = self.given(name) {
            return Ok(given.place.clone());
        }
        let name = PlaceName::new(Kind::Repository, name)?;
        Place::named(Kind::Repository, &name, Settings::new(), &self.app.configuration()?)
    }

    /// One of them, opened where it is not yet.
    pub(crate) async fn open(&self, name: &str) -> Result<Arc<Repository>> {
        let place = self.place(name)?;
        let slot = self.slot(name);
        let mut slot = slot.0.lock().await;
        if let Some(open) = slot.as_ref().filter(|open| open.open.place.text() == place.text()) {
            return Ok(Arc::clone(open));
        }
        let secret = provided(self.given(name).map(|given| given.sources.clone()), place.settings.clone()).await?;
        let open = Arc::new(self.open_with(place, secret).await?);
        *slot = Some(Arc::clone(&open));
        Ok(open)
    }

    /// Opens one with a secret that was typed.
    pub(crate) async fn unlock(&self, name: &str, secret: Secret) -> Result<()> {
        let place = self.place(name)?;
        let slot = self.slot(name);
        // One attempt at a time.
        let mut slot = slot.0.lock().await;
        *slot = Some(Arc::new(self.open_with(place, secret).await?));
        Ok(())
    }

    /// Opens one once more by what has opened it, as what it says of itself has changed.
    pub(crate) async fn open_anew(&self, name: &str) -> Result<()> {
        let OpenRepository { place, secret, .. } = &self.open(name).await?.open;
        let slot = self.slot(name);
        let mut slot = slot.0.lock().await;
        *slot = Some(Arc::new(self.open_with(place.clone(), secret.clone()).await?));
        Ok(())
    }

    /// Whether a passphrase opens one that is open here.
    pub(crate) async fn proves(&self, name: &str, passphrase: Zeroizing<Vec<u8>>) -> Result<bool> {
        let place = self.place(name)?;
        let slot = self.slot(name);
        // One attempt at a time.
        let _slot = slot.0.lock().await;
        match self.open_with(place, Secret::Passphrase(passphrase)).await {
            Ok(_) => Ok(true),
            Err(error) => match error.engine() {
                Some(EngineError::WrongSecret { .. }) => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Forgets the keys of one, as soon as no request uses them any more.
    pub(crate) async fn lock(&self, name: &str) -> Result<()> {
        self.place(name)?;
        *self.slot(name).0.lock().await = None;
        Ok(())
    }

    async fn open_with(&self, place: Place, secret: Secret) -> Result<Repository> {
        let options = OpenOptions { purpose: StoreUse::Read, secret, accept_plaintext: false };
        Ok(Repository { open: self.app.open_repository(place, options).await?, look: Mutex::new(None) })
    }

    /// Notes when one was looked into.
    pub(crate) fn saw(&self, name: &str, at: Timestamp) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), at);
    }

    /// When one was looked into last, by this process.
    pub(crate) fn seen(&self, name: &str) -> Option<Timestamp> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    /// The program's handle.
    pub(crate) const fn app(&self) -> &App {
        &self.app
    }

    /// Opens one once more for another use, with what has opened it, for a task of the program.
    pub(crate) async fn open_again(&self, app: &App, name: &str, purpose: StoreUse) -> Result<OpenRepository> {
        let open = self.open(name).await?;
        let OpenRepository { place, secret, .. } = &open.open;
        let options = OpenOptions { purpose, secret: secret.clone(), accept_plaintext: false };
        app.open_repository(place.clone(), options).await
    }

    /// The sources of the configuration.
    pub(crate) fn sources(&self) -> Result<Vec<String>, ConfigurationError> {
        self.app.configuration()?.names(Kind::Source)
    }

    /// The destinations of the configuration.
    pub(crate) fn destinations(&self) -> Result<Vec<String>, ConfigurationError> {
        self.app.configuration()?.names(Kind::Destination)
    }

    fn given(&self, name: &str) -> Option<&Given> {
        self.given.as_ref().filter(|given| given.place.name().unwrap_or(NAMELESS) == name)
    }

    /// Called for names that are known alone, so that there are no more slots than those.
    fn slot(&self, name: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(name.to_owned()).or_default())
    }
}

/// What opens a repository without a person: as the program was told, or else its settings say. No request waits on the thread of others.
pub(crate) async fn provided(sources: Option<SecretSources>, settings: Settings) -> Result<Secret, SecretError> {
    let work = move || secret::provided_unattended(sources.as_ref(), &settings, COMMAND_MAX);
    // A fault of the program provides nothing.
    tokio::task::spawn_blocking(work).await.unwrap_or(Ok(Secret::None))
}

impl Repository {
    /// What it is called.
    pub(crate) fn label(&self) -> PlaceLabel {
        self.open.place.label()
    }

    /// What it holds now.
    pub(crate) async fn look(&self) -> Result<Look> {
        let mut kept = self.look.lock().await;
        let repository = &self.open.repository;
        let snapshots = TagEdits::load(repository).await?.apply(repository.snapshots().await?);
        let view = match kept.as_ref().filter(|kept| ids(&snapshots).is_subset(&ids(&kept.snapshots))) {
            Some(kept) => kept.view.clone(),
            None => repository.view().await?,
        };
        let suspects = Arc::new(guard::suspects_of(repository, &snapshots).await?);
        let look = Look { view, snapshots: Arc::new(snapshots), suspects };
        *kept = Some(look.clone());
        Ok(look)
    }

    /// A snapshot by its whole id, and what finds things in it.
    pub(crate) async fn snapshot(&self, id: &str) -> Result<(View, SnapshotHandle)> {
        let known = self.look.lock().await.clone();
        if let Some(found) = known.and_then(|look| Some((by_id(&look, id)?, look.view))) {
            return Ok((found.1, found.0));
        }
        let look = self.look().await?;
        match by_id(&look, id) {
            Some(handle) => Ok((look.view, handle)),
            // Says why: it cannot be read, or there is none.
            None => Err(match look.snapshots.find(&SnapshotName(id.to_owned())) {
                Err(error) => Error::from(error),
                Ok(_) => Error::from(EngineError::NoSnapshot {
                    reason: "an address names a snapshot by its whole id".to_owned(),
                }),
            }),
        }
    }
}

fn by_id(look: &Look, id: &str) -> Option<SnapshotHandle> {
    look.snapshots.whole.iter().find(|handle| handle.snapshot.id.to_string() == id).cloned()
}

fn ids(snapshots: &Snapshots) -> BTreeSet<SnapshotId> {
    snapshots.whole.iter().map(|handle| handle.snapshot.id).collect()
}
