//! Which snapshots are shown to readers: the options that `mount` and `serve` share, and what is said of trouble that a reader met.
//!
//! Owned here: options, words, and that damage is on record soon after it was met. Refused here: what is shown of them (`credenza_serve`).
//!
//! Bound: [`TROUBLES_MAX`] troubles, [`DAMAGES_MAX`] damages, and one record in [`RECORDED`].

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
/// Most damages that are put on record; `check` finds the others.
const DAMAGES_MAX: usize = 1000;
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
    damages: Mutex<Damages>,
    is_new: Notify,
}

/// Damage that readers met, each once.
#[derive(Default)]
struct Damages {
    recorded: Vec<Damage>,
    unrecorded: Vec<Damage>,
}

impl Damages {
    /// Whether it was new, and there was room for it. The record knows objects and what is wrong with them.
    fn note(&mut self, damage: &Damage) -> bool {
        let is_same = |known: &Damage| known.object == damage.object && known.kind == damage.kind;
        let is_new = self.recorded.len() + self.unrecorded.len() < DAMAGES_MAX
            && !self.recorded.iter().chain(&self.unrecorded).any(is_same);
        if is_new {
            self.unrecorded.push(damage.clone());
        }
        is_new
    }

    /// These are on record.
    fn take(&mut self, recorded: Vec<Damage>) {
        self.unrecorded.retain(|damage| !recorded.contains(damage));
        self.recorded.extend(recorded);
    }
}

impl Met {
    /// Whether a trouble is to be told: each is told once.
    fn is_untold(&self, text: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < TROUBLES_MAX && told.insert(text.to_owned())
    }

    fn damages(&self) -> MutexGuard<'_, Damages> {
        self.damages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, damage: &Damage) {
        if self.damages().note(damage) {
            self.is_new.notify_one();
        }
    }

    fn unrecorded(&self) -> Vec<Damage> {
        self.damages().unrecorded.clone()
    }

    /// Puts on record what was found damaged, as `check` does. What cannot be put there, also because whoever does it is ended, waits for the next time.
    async fn record(&self, repository: &Repository) -> Result<(), EngineError> {
        let damages = self.unrecorded();
        repository.record_damage(&damages).await?;
        self.damages().take(damages);
        Ok(())
    }

    /// Puts on record what is met, as it is met.
    async fn record_all(&self, repository: &Repository) {
        loop {
            if self.unrecorded().is_empty() {
                self.is_new.notified().await;
            }
            // What fails is tried again after a while, and told at the end.
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
            // Also where so much else was told that this is not.
            if let ServeError::Engine(EngineError::Damage(damage)) = cause {
                met.note(damage);
            }
            if met.is_untold(&text) {
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

#[cfg(test)]
mod tests {
    use credenza_engine::DamageKind;

    use super::*;

    fn damage(object: &str) -> Damage {
        Damage { object: object.to_owned(), kind: DamageKind::Missing, chunk: None, detail: "it is gone".to_owned() }
    }

    #[test]
    fn damage_waits_until_it_is_on_record_however_much_else_was_told() {
        let met = Met::default();
        (0..TROUBLES_MAX).for_each(|number| assert!(met.is_untold(&number.to_string())));
        assert!(!met.is_untold("one more"));
        met.note(&damage("data/a"));
        met.note(&damage("data/a"));
        let first = met.unrecorded();
        assert_eq!(first, [damage("data/a")], "each once");
        assert_eq!(met.unrecorded(), first, "who was ended over it has lost nothing");
        met.note(&damage("data/b"));
        met.damages().take(first);
        assert_eq!(met.unrecorded(), [damage("data/b")], "what came meanwhile waits");
        met.note(&damage("data/a"));
        assert_eq!(met.unrecorded(), [damage("data/b")], "it is on record");
        (0..2 * DAMAGES_MAX).for_each(|number| met.note(&damage(&format!("data/{number}"))));
        assert_eq!(met.unrecorded().len(), DAMAGES_MAX - 1);
    }
}
