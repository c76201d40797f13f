//! Fallback: the replicas that a repository's settings name, with copies of its snapshots.
//!
//! Owned here: what the setting `replicas` means, opening one when it is needed, and taking one where the repository itself is gone. Nobody is asked for
//! a secret, and each replica has its own. Refused here: finding a chunk there and proving it (`credenza-engine`).

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use credenza_connect::{Error as ConnectError, ErrorClass};
use credenza_engine::copies::{Proofs, Prove};
use credenza_engine::{Clock, Error as EngineError, Replica, Repository, SystemClock};
use credenza_model::{SnapshotId, Timestamp};
use serde::Serialize;

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
/// What connectors say of a bucket or container that is not there: to them that is a setting to be mended.
const NO_BUCKET: [&str; 2] = [".no-such-bucket", ".no-container"];
/// How long a command may take that prints a replica's secret.
const SECRET_MAX: Duration = Duration::from_mins(1);

/// The words that name the replicas of a place, in their order.
fn words(place: &Place) -> Vec<OsString> {
    let named = place.settings.get(REPLICAS).map(|named| named.expose().to_owned()).unwrap_or_default();
    named.split(',').map(str::trim).filter(|word| !word.is_empty()).map(OsString::from).collect()
}

/// A replica that has snapshots of which something is damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplicaWith {
    /// As the settings name it.
    pub replica: String,
    /// How many of them it has.
    pub snapshots: usize,
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

    /// The first replica named by the settings of a place that has all of these snapshots, with each pack that they need in its size; else the one that has
    /// most of them, and nothing where none has any. One that cannot be opened or read is passed over, which is told.
    pub async fn replica_with(&self, place: &Place, wanted: &BTreeSet<SnapshotId>) -> Option<ReplicaWith> {
        let mut most: Option<ReplicaWith> = None;
        for word in words(place) {
            let replica = word.to_string_lossy().into_owned();
            let snapshots = match self.snapshots_at(&word, wanted).await {
                Ok(snapshots) => snapshots,
                Err(cause) => {
                    self.notice(Notice::ReplicaPassedOver { replica, why: told(&cause) });
                    continue;
                }
            };
            if snapshots > most.as_ref().map_or(0, |most| most.snapshots) {
                most = Some(ReplicaWith { replica, snapshots });
            }
            if snapshots == wanted.len() {
                break;
            }
        }
        most
    }

    /// How many of these snapshots a replica has.
    async fn snapshots_at(&self, word: &OsStr, wanted: &BTreeSet<SnapshotId>) -> Result<usize> {
        let repository = self.unasked().open_replica(word, StoreUse::Read).await?.repository;
        let there = repository.snapshots().await?.whole;
        let meant = there.iter().filter(|handle| wanted.contains(&handle.snapshot.id));
        let proofs = Proofs::load(&repository, Prove::List).await?;
        let unproven = proofs.proven(&repository, meant.clone()).await?.unproven;
        Ok(meant.count().saturating_sub(usize::try_from(unproven).unwrap_or(usize::MAX)))
    }

    /// The same program, which asks nobody.
    fn unasked(&self) -> Self {
        self.clone().with_ask(Arc::new(Nobody))
    }

    async fn open_replica(&self, word: &OsStr, purpose: StoreUse) -> Result<OpenRepository> {
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
fn is_away(cause: &ConnectError) -> bool {
    let is_no_bucket = NO_BUCKET.iter().any(|reason| cause.reason.ends_with(reason));
    is_no_bucket || matches!(cause.class, ErrorClass::NotFound | ErrorClass::Transient | ErrorClass::Denied)
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
