//! Which snapshots are shown to readers: the options that `mount` and `serve` share, and what is said of trouble that a reader met.
//!
//! Owned here: options, words, and that damage is on record soon after it was met. Refused here: what is shown of them (`credenza_serve`).
//!
//! Bound: [`TROUBLES_MAX`] troubles, and one record in [`RECORDED`].

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use credenza_app::{OpenRepository, environment};
use credenza_engine::{Clock, Damage, Error as EngineError, Repository, SnapshotName, SystemClock};
use credenza_serve::{Error as ServeError, Pinned, Shelf, Shown, Trouble};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Session;
use super::newest::{Newest, choose};
use super::sizes::{Moment, parse_moment};
use crate::failure::Failure;
use crate::report::Reporter;

/// Most kinds of trouble that are told; what a reader meets again and again is told once.
const TROUBLES_MAX: usize = 100;
/// How often damage is put on record at most; what is met meanwhile waits.
const RECORDED: Duration = Duration::from_mins(1);

/// Which snapshots are shown.
#[derive(Debug, Args)]
pub(crate) struct ShownOptions {
    /// Only this snapshot: `latest` or the first digits of its id.
    #[arg(value_name = "SNAPSHOT", value_parser = snapshot_name)]
    snapshot: Option<SnapshotName>,

    #[command(flatten)]
    newest: Newest,

    /// Only the newest snapshot, and a newer one when there is one.
    #[arg(long, conflicts_with = "snapshot")]
    latest: bool,

    /// As if it were then: only snapshots that were made before, of which `latest` is the newest. 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 7d.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    as_of: Option<Moment>,
}

/// Snapshots that are to be shown.
pub(super) struct Shelved {
    pub(super) shelf: Shelf,
    /// Whether all are shown, each in its place.
    pub(super) all: bool,
    pub(super) kept: Kept,
}

/// What keeps snapshots until they are shown no more, and what was found meanwhile.
pub(super) struct Kept {
    /// None with credentials that can only read.
    pinned: Option<Pinned>,
    repository: Repository,
    met: Arc<Met>,
    recording: AbortHandle,
}

/// What readers met.
#[derive(Default)]
struct Met {
    told: Mutex<BTreeSet<String>>,
    /// What is not on record yet.
    damages: Mutex<Vec<Damage>>,
    is_new: Notify,
}

impl Met {
    /// Whether a trouble is to be told: each is told once.
    fn is_untold(&self, text: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < TROUBLES_MAX && told.insert(text.to_owned())
    }

    fn note(&self, damage: &Damage) {
        self.damages.lock().unwrap_or_else(PoisonError::into_inner).push(damage.clone());
        self.is_new.notify_one();
    }

    /// Puts on record what was found damaged, as `check` does. What cannot be put there waits for the next time.
    async fn record(&self, repository: &Repository) -> Result<(), EngineError> {
        let damages = std::mem::take(&mut *self.damages.lock().unwrap_or_else(PoisonError::into_inner));
        let recorded = repository.record_damage(&damages).await;
        if recorded.is_err() {
            self.damages.lock().unwrap_or_else(PoisonError::into_inner).extend(damages);
        }
        recorded
    }

    /// Puts on record what is met, as it is met.
    async fn record_all(&self, repository: &Repository) {
        loop {
            self.is_new.notified().await;
            // What fails is tried again with what is met next, and told at the end.
            let _ = self.record(repository).await;
            tokio::time::sleep(RECORDED).await;
        }
    }
}

impl Kept {
    /// Tells each trouble once, and remembers damage.
    pub(super) fn trouble(&self, reporter: &Arc<Reporter>) -> Trouble {
        let (reporter, met) = (Arc::clone(reporter), Arc::clone(&self.met));
        Arc::new(move |cause| {
            let failure = match cause {
                ServeError::Engine(cause) => Failure::of(cause),
                cause => Failure::of(cause),
            };
            let text = match failure.why {
                Some(why) => format!("{}: {why}", failure.what),
                None => failure.what,
            };
            if met.is_untold(&text) {
                if let ServeError::Engine(EngineError::Damage(damage)) = cause {
                    met.note(damage);
                }
                reporter.warning(format!("a reader was refused: {text}"));
            }
        })
    }

    /// Puts on record what is not there yet, and lets go of the snapshots.
    pub(super) async fn end(self, session: &Session<'_>) {
        self.recording.abort();
        if let Err(cause) = self.met.record(&self.repository).await {
            session.warn_unrecorded(Some(&cause.to_string()));
        }
        if let Some(pinned) = self.pinned {
            pinned.end().await;
        }
    }
}

impl ShownOptions {
    /// The snapshots, kept from collectors as long as they are shown, and whether they are all.
    pub(super) async fn shelf(&self, open: &OpenRepository, session: &Session<'_>) -> Result<Shelved, Failure> {
        let mut filter = self.newest.filter(session)?;
        filter.not_after = self.as_of.map(|moment| moment.before(SystemClock.now().wall));
        let shown = match (&self.snapshot, self.latest) {
            (Some(name), _) => {
                let choice = self.newest.among_those(open, &filter).await?;
                Shown::One(Box::new(choose(&choice, name, session)?))
            }
            (None, true) => Shown::Newest,
            (None, false) => Shown::All,
        };
        let all = matches!(shown, Shown::All);
        let shelf = Shelf::open(open.repository.clone(), filter, shown).await?;
        let pinned = shelf.pin(&environment::host_name(), &environment::user_name()).await;
        let pinned = pinned.inspect_err(|cause| {
            session.reporter.warning(format!(
                "once a snapshot is removed, `maintain` may take what is in it from under its readers: nothing can be kept for them: {cause}"
            ));
        });
        let (met, repository) = (Arc::<Met>::default(), open.repository.clone());
        let (recorded, of) = (Arc::clone(&met), repository.clone());
        let recording = tokio::spawn(async move { recorded.record_all(&of).await }).abort_handle();
        let kept = Kept { pinned: pinned.ok(), repository, met, recording };
        Ok(Shelved { shelf, all, kept })
    }
}

fn snapshot_name(text: &str) -> Result<SnapshotName, String> {
    let name = SnapshotName(text.to_owned());
    if name.is_valid() { Ok(name) } else { Err("neither `latest` nor the first digits of an id".to_owned()) }
}
