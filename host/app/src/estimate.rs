//! What a run would spend: the run is rehearsed (`credenza_engine::Rehearsal`), and what it counted is put into money.
//!
//! Nothing is written and nothing is locked; what describes the data is read. A content that is new is taken to compress, and to be there already, as far
//! as that of the same source was in its last [`RUNS_LOOKED_AT`] runs: between the best and the worst of them. Of a source without any it is taken to be
//! all new.
//!
//! Owned here: one type for every command, and that. Refused here: prices and budgets (`cost`), printing. Called by `cli` and `web`.

use std::fmt::Display;
use std::sync::Arc;

use credenza_connect::wrap::Spent;
use credenza_connect::{Destination, Source};
use credenza_engine::backup::{self, BackupOptions};
use credenza_engine::check::{self, CheckOptions};
use credenza_engine::gc::{self, GcOptions};
use credenza_engine::restore::{self, RestoreOptions};
use credenza_engine::sync::{self, SyncOptions};
use credenza_engine::{
    Error as EngineError, Expectation, Rehearsal, RunContext, SnapshotFilter, SnapshotHandle, Snapshots, Stop, remove,
};
use credenza_format::Policy;
use credenza_model::limits::DATA_PACK_BYTES;
use serde::Serialize;

use crate::cost::Money;
use crate::cost::prices::Price;
use crate::error::Result;
use crate::open::Opened;
use crate::prune;
use crate::repository::OpenRepository;

/// Runs of a source whose share of new bytes is looked at.
const RUNS_LOOKED_AT: usize = 5;
/// In a thousand: all that is read is added.
const ALL: u64 = 1000;

/// What a run would spend.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename = "estimate")]
pub struct Estimate {
    /// The command.
    pub run: &'static str,
    /// At each place.
    pub places: Vec<PlaceEstimate>,
    /// What is taken for granted.
    pub basis: String,
}

/// What a run would spend at one place: between `low` and `high`.
#[derive(Debug, Clone, Serialize)]
pub struct PlaceEstimate {
    /// What the place is to the run: `repository`, `source`, `destination`, `from` or `to`.
    pub role: &'static str,
    /// Whether it is a folder of this machine, where requests cost nothing.
    pub is_folder: bool,
    /// At least.
    pub low: Spent,
    /// At most.
    pub high: Spent,
    /// The same in money; `None` where no price is known.
    pub money: Option<MoneyEstimate>,
}

/// Money, with what it follows from.
#[derive(Debug, Clone, Serialize)]
pub struct MoneyEstimate {
    /// At least.
    pub low: Money,
    /// At most.
    pub high: Money,
    /// Each month for what is added, at most.
    pub monthly: Money,
    /// By which price.
    pub price: Price,
}

impl PlaceEstimate {
    fn new<T: ?Sized>(role: &'static str, place: &Opened<T>, low: Spent, high: Spent) -> Self {
        let money = place.price.as_ref().map(|price| MoneyEstimate {
            low: price.of(&low),
            high: price.of(&high),
            monthly: price.of_month(high.bytes_up),
            price: Price::clone(price),
        });
        Self { role, is_folder: place.is_folder(), low, high, money }
    }
}

/// A number, or two with `to` between them.
fn range<T: Display + PartialEq>(low: T, high: T) -> String {
    if low == high { high.to_string() } else { format!("{low} to {high}") }
}

impl PlaceEstimate {
    /// Requests by class, as a person reads them.
    #[must_use]
    pub fn requests(&self) -> String {
        let (low, high) = (&self.low, &self.high);
        let classes = [
            ("list", low.list, high.list),
            ("get", low.get, high.get),
            ("head", low.head, high.head),
            ("put", low.put, high.put),
            ("delete", low.delete, high.delete),
        ];
        let told = classes.into_iter().filter(|(_, _, high)| *high > 0);
        let told: Vec<String> = told.map(|(name, low, high)| format!("{} {name}", range(low, high))).collect();
        if told.is_empty() { "no requests".to_owned() } else { told.join(", ") }
    }

    /// Bytes up and down, as a person reads them.
    #[must_use]
    pub fn bytes(&self, shown: impl Fn(u64) -> String) -> String {
        let up = range(shown(self.low.bytes_up), shown(self.high.bytes_up));
        format!("{up} up, {} down", range(shown(self.low.bytes_down), shown(self.high.bytes_down)))
    }

    /// Money, as a person reads it, with the date of the price.
    #[must_use]
    pub fn money(&self) -> Option<String> {
        if self.is_folder {
            return None;
        }
        let Some(MoneyEstimate { low, high, monthly, price }) = &self.money else {
            return Some(
                "money: not known, there is no price for this place (see prices.toml in the guide)".to_owned(),
            );
        };
        let Price { name, date, currency, days_min, .. } = price;
        let keeping = match (*monthly > Money::default(), days_min) {
            (false, _) => String::new(),
            (true, 0) => format!(", and {monthly} {currency} a month to keep what is added"),
            (true, days) => {
                format!(", and {monthly} {currency} a month to keep what is added, for {days} days at least")
            }
        };
        Some(format!("money: {} {currency}{keeping} ({name}, prices of {date})", range(*low, *high)))
    }
}

/// Rehearsals are not told as runs, and end with them.
fn quiet(run: &RunContext) -> RunContext {
    let silent = RunContext::default();
    RunContext { stop: run.stop.clone(), ..silent }
}

/// A backup of one source.
///
/// # Errors
/// As the backup's, as far as it would come.
pub async fn backup(
    open: &OpenRepository,
    source: &Opened<dyn Source>,
    options: &BackupOptions,
    run: &RunContext,
) -> Result<Estimate> {
    let opening = open.store.spent();
    let (low, high) = past(&open.repository.snapshots().await?, options);
    let rehearsal = Rehearsal::new(high.unwrap_or(Expectation::NONE));
    let (repository, rehearsed) =
        (rehearsal.repository(&open.repository), rehearsal.source(Arc::clone(&source.connector)));
    Box::pin(backup::run(&repository, rehearsed, options, &quiet(run))).await?;
    let on_store = opening.plus(rehearsal.on_store());
    let on_source = source.spent().plus(rehearsal.on_source());
    let read = rehearsal.on_source().bytes_down;
    let (low, high) = low.zip(high).unwrap_or((Expectation::NONE, Expectation::NONE));
    let spared = read / ALL * high.permille.saturating_sub(low.permille);
    let least = Spent { bytes_up: spared, put: spared / DATA_PACK_BYTES, ..Spent::default() };
    let basis = match high == Expectation::NONE && low == high {
        true => "nothing is known of how well the new contents compress: they are counted as they are".to_owned(),
        false => format!(
            "of what is read, {} % is added, as in the last runs of this source",
            range(low.permille / 10, high.permille / 10)
        ),
    };
    let places = vec![
        PlaceEstimate::new("source", source, on_source, on_source),
        PlaceEstimate::new("repository", &open.store, on_store.since(least), on_store),
    ];
    Ok(Estimate { run: "backup", places, basis })
}

/// The least and the greatest share of what was read that was added, in the last runs of what is backed up from the same location.
fn past(snapshots: &Snapshots, options: &BackupOptions) -> (Option<Expectation>, Option<Expectation>) {
    let of_source = |handle: &&SnapshotHandle| {
        handle.snapshot.source.location == options.location && handle.snapshot.statistics.bytes_read > 0
    };
    let share = |handle: &SnapshotHandle| {
        let (read, added) = (handle.snapshot.statistics.bytes_read, handle.snapshot.statistics.bytes_added);
        let permille = u128::from(added) * u128::from(ALL) / u128::from(read.max(1));
        Expectation { permille: u64::try_from(permille).unwrap_or(ALL).min(ALL) }
    };
    let shares: Vec<Expectation> =
        snapshots.whole.iter().rev().filter(of_source).take(RUNS_LOOKED_AT).map(share).collect();
    (shares.iter().min().copied(), shares.iter().max().copied())
}

/// A restore of snapshots, or of parts of them, to one place. One that has nothing of what is meant is passed over beside others.
///
/// # Errors
/// As the restore's, as far as it would come.
pub async fn restore(
    open: &OpenRepository,
    meant: &[(SnapshotHandle, RestoreOptions)],
    destination: &Opened<dyn Destination>,
    run: &RunContext,
) -> Result<Estimate> {
    let opening = open.store.spent();
    let rehearsal = Rehearsal::new(Expectation::NONE);
    let repository = rehearsal.repository(&open.repository);
    let into = rehearsal.destination(Arc::clone(&destination.connector));
    for (snapshot, options) in meant {
        // What is not written cannot be read again, nor is anything made durable or removed.
        let options = RestoreOptions { verify: false, no_sync: true, delete: None, ..options.clone() };
        match Box::pin(restore::run(&repository, snapshot, Arc::clone(&into), &options, &quiet(run))).await {
            Err(EngineError::NothingIncluded { .. }) if meant.len() > 1 => {}
            done => drop(done?),
        }
    }
    let on_store = opening.plus(rehearsal.on_store());
    let there = destination.spent().plus(rehearsal.on_destination());
    let places = vec![
        PlaceEstimate::new("repository", &open.store, on_store, on_store),
        PlaceEstimate::new("destination", destination, there, there),
    ];
    let mut basis = "what is there already as the snapshot has it is not fetched".to_owned();
    if meant.iter().any(|(_, options)| options.delete.is_some()) {
        basis.push_str("; what it takes to remove what the snapshot does not have is not counted");
    }
    Ok(Estimate { run: "restore", places, basis })
}

/// A check.
///
/// # Errors
/// As the check's, as far as it would come.
pub async fn check(open: &OpenRepository, options: CheckOptions, run: &RunContext) -> Result<Estimate> {
    let opening = open.store.spent();
    let rehearsal = Rehearsal::new(Expectation::NONE);
    let repository = rehearsal.repository(&open.repository);
    Box::pin(check::run(&repository, &options, &quiet(run))).await?;
    let basis = "a check reads what describes the data from the repository itself, whatever this machine keeps of it";
    Ok(of_repository("check", open, opening, &rehearsal, basis))
}

/// A maintenance.
///
/// # Errors
/// As the maintenance's, as far as it would come.
pub async fn maintain(open: &OpenRepository, options: GcOptions, run: &RunContext) -> Result<Estimate> {
    let opening = open.store.spent();
    let rehearsal = Rehearsal::new(Expectation::NONE);
    let repository = rehearsal.repository(&open.repository);
    Box::pin(gc::run(&repository, &GcOptions { dry_run: false, ..options }, &quiet(run))).await?;
    Ok(of_repository("maintain", open, opening, &rehearsal, "nobody else is at work meanwhile"))
}

/// The removal of what a policy does not keep.
///
/// # Errors
/// As of [`prune::plan`] and the removal, as far as it would come.
pub async fn prune(open: &OpenRepository, policy: Option<Policy>, filter: &SnapshotFilter) -> Result<Estimate> {
    let opening = open.store.spent();
    let rehearsal = Rehearsal::new(Expectation::NONE);
    let repository = rehearsal.repository(&open.repository);
    let plan = prune::plan(&repository, policy, filter, true).await?;
    let removed = prune::removed(&plan);
    if !removed.is_empty() {
        remove::run(&repository, &removed, None).await?;
    }
    Ok(of_repository("prune", open, opening, &rehearsal, "the space of what goes is reclaimed by `maintain`"))
}

fn of_repository(
    run: &'static str,
    open: &OpenRepository,
    opening: Spent,
    rehearsal: &Rehearsal,
    basis: &str,
) -> Estimate {
    let spent = opening.plus(rehearsal.on_store());
    let places = vec![PlaceEstimate::new("repository", &open.store, spent, spent)];
    Estimate { run, places, basis: basis.to_owned() }
}

/// A sync from one repository to another.
///
/// # Errors
/// As the sync's, as far as it would come.
pub async fn sync(from: &OpenRepository, to: &OpenRepository, options: &SyncOptions, stop: &Stop) -> Result<Estimate> {
    let opening = [from, to].map(|open| open.store.spent());
    let [there, here] = [(); 2].map(|()| Rehearsal::new(Expectation::NONE));
    let (origin, target) = (there.repository(&from.repository), here.repository(&to.repository));
    let run = quiet(&RunContext { stop: stop.clone(), ..RunContext::default() });
    Box::pin(sync::run(&origin, &target, options, &run)).await?;
    let [from_opening, to_opening] = opening;
    let (from_spent, to_spent) = (from_opening.plus(there.on_store()), to_opening.plus(here.on_store()));
    let places = vec![
        PlaceEstimate::new("from", &from.store, from_spent, from_spent),
        PlaceEstimate::new("to", &to.store, to_spent, to_spent),
    ];
    let basis = "chunks go over as they are stored, as far as the target lacks them".to_owned();
    Ok(Estimate { run: "sync", places, basis })
}
