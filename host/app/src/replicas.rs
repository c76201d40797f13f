//! Replicas: the other repositories that a repository's settings name, with copies of its snapshots.
//!
//! Owned here: what the setting `replicas` means, opening one when it is needed, and taking one where the repository itself is gone. Nobody is asked for
//! a secret, and each replica has its own. Refused here: finding a chunk there and proving it (`credenza-engine`).

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use credenza_connect::{Error as ConnectError, ErrorClass};
use credenza_engine::{Clock, Error as EngineError, Replica, Repository, SystemClock};
use credenza_model::Timestamp;

use crate::app::App;
use crate::ask::Nobody;
use crate::configuration::{Kind, Settings};
use crate::error::{Error, Result};
use crate::notice::Notice;
use crate::open::StoreUse;
use crate::place::Place;
use crate::repository::{OpenOptions, OpenRepository};
use crate::secret;

/// The setting that names replicas, with commas between them.
pub(crate) const REPLICAS: &str = "replicas";
/// How long a command may take that prints a replica's secret.
const SECRET_MAX: Duration = Duration::from_mins(1);

/// The words that name the replicas of a place, in their order.
fn words(place: &Place) -> Vec<OsString> {
    let named = place.settings.get(REPLICAS).map(|named| named.expose().to_owned()).unwrap_or_default();
    named.split(',').map(str::trim).filter(|word| !word.is_empty()).map(OsString::from).collect()
}

/// A replica that is opened when something of it is needed.
struct Named {
    app: App,
    word: OsString,
}

#[async_trait]
impl Replica for Named {
    fn name(&self) -> String {
        self.word.to_string_lossy().into_owned()
    }

    async fn open(&self) -> Option<Repository> {
        match self.app.open_replica(&self.word, StoreUse::Read).await {
            Ok(open) => Some(open.repository),
            Err(cause) => {
                self.passed_over(&told(&cause));
                None
            }
        }
    }

    fn passed_over(&self, why: &str) {
        self.app.notice(Notice::ReplicaPassedOver { replica: self.name(), why: why.to_owned() });
    }
}

/// A replica that is open.
struct Ready {
    app: App,
    name: String,
    repository: Repository,
}

#[async_trait]
impl Replica for Ready {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn open(&self) -> Option<Repository> {
        Some(self.repository.clone())
    }

    fn passed_over(&self, why: &str) {
        self.app.notice(Notice::ReplicaPassedOver { replica: self.name(), why: why.to_owned() });
    }
}

impl App {
    /// The same repository, which reads from the replicas that the settings of its place name what it has lost itself.
    pub(crate) fn with_replicas(&self, repository: Repository, place: &Place) -> Repository {
        let replica = |word| Arc::new(Named { app: self.unasked(), word }) as Arc<dyn Replica>;
        repository.with_replicas(words(place).into_iter().map(replica).collect())
    }

    /// The same repository, which reads what it has lost from this one alone, known as `name`.
    #[must_use]
    pub fn with_replica(&self, repository: Repository, name: &str, replica: &OpenRepository) -> Repository {
        let ready = Ready { app: self.clone(), name: name.to_owned(), repository: replica.repository.clone() };
        repository.with_replicas(vec![Arc::new(ready)])
    }

    /// Opens the repository at a place, or where that is gone, the first of its replicas that opens, for reading; which is told. A secret that is
    /// refused or missing, and another repository than before, are no reason to take a replica.
    ///
    /// # Errors
    /// As for [`open_repository`](Self::open_repository), where no replica opens either.
    pub async fn open_healthy(&self, place: Place, options: OpenOptions) -> Result<OpenRepository> {
        let (named, label) = (words(&place), place.label());
        let purpose = options.purpose;
        let gone = match self.open_repository(place, options).await {
            Err(cause) if !named.is_empty() && is_gone(&cause) => cause,
            opened => return opened,
        };
        for word in named {
            let replica = word.to_string_lossy().into_owned();
            match self.unasked().open_replica(&word, purpose).await {
                Ok(open) => {
                    let newest = newest(&open.repository).await;
                    let behind_seconds =
                        newest.map(|newest| SystemClock.now().wall.seconds.saturating_sub(newest.seconds));
                    self.notice(Notice::ReplicaInstead {
                        place: label,
                        replica,
                        why: told(&gone),
                        newest,
                        behind_seconds,
                    });
                    return Ok(open);
                }
                Err(cause) => self.notice(Notice::ReplicaPassedOver { replica, why: told(&cause) }),
            }
        }
        Err(gone)
    }

    /// The same program, which asks nobody.
    fn unasked(&self) -> Self {
        self.clone().with_ask(Arc::new(Nobody))
    }

    async fn open_replica(&self, word: &std::ffi::OsStr, purpose: StoreUse) -> Result<OpenRepository> {
        let mut place = self.place(Kind::Repository, word, Settings::default())?;
        // A replica's own replicas are asked by whoever opens that one.
        place.settings.remove(REPLICAS);
        let secret = secret::provided_unattended(None, &place.settings, SECRET_MAX)?;
        // Boxed, because opening a repository names replicas, which are opened in turn.
        Box::pin(self.open_repository(place, OpenOptions { purpose, secret, accept_plaintext: false })).await
    }
}

/// Whether a repository cannot be had, whatever secret is given.
fn is_gone(cause: &Error) -> bool {
    match cause {
        Error::NoRepository { .. } => true,
        Error::Connector { cause, .. } => is_away(cause),
        Error::Repository { source, .. } => is_of_gone(source),
        Error::Engine(source) => is_of_gone(source),
        _ => false,
    }
}

fn is_of_gone(cause: &EngineError) -> bool {
    match cause {
        EngineError::Connector { cause, .. } => is_away(cause),
        EngineError::NoRepository { .. } | EngineError::Unanswered { .. } | EngineError::Damage(_) => true,
        _ => false,
    }
}

/// Whether a store is not there, does not answer or lets nobody in.
const fn is_away(cause: &ConnectError) -> bool {
    matches!(cause.class, ErrorClass::NotFound | ErrorClass::Transient | ErrorClass::Denied)
}

/// When the newest snapshot was made.
async fn newest(repository: &Repository) -> Option<Timestamp> {
    let snapshots = repository.snapshots().await.ok()?;
    snapshots.whole.last().and_then(|handle| handle.time())
}

/// An error with its causes, in one sentence.
fn told(cause: &Error) -> String {
    let mut text = cause.to_string();
    let mut below = std::error::Error::source(cause);
    while let Some(cause) = below {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        below = cause.source();
    }
    text
}
