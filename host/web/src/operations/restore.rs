//! A restore of what was picked, from any number of snapshots: first compared with what is there, then done.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};

use credenza_app::estimate::{self, Estimate};
use credenza_app::patterns::{PatternList, PatternsError};
use credenza_app::{DestinationUse, Error, Kind, OpenRepository, Place, Result, Settings, StoreUse, restored};
use credenza_engine::restore::{self, Deletion, Overwrite, RestoreOptions, RestoreReport};
use credenza_engine::{
    Conflict, Error as EngineError, Event, Left, Listener, Part, Parts, Phase, RunContext, SnapshotName, Snapshots,
    Standing,
};
use credenza_model::Key;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::{fact, spending};
use crate::access::Action;
use crate::command;
use crate::runs::{At, Ending, Offer, Operation, Outcome, Run, Table};
use crate::shown::{self, count};

/// Entries that a preview names; it counts all.
const NAMED_MAX: usize = 500;
/// Commands that are shown; each restores one part.
const COMMANDS_MAX: usize = 8;

/// What was picked of one snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Picked {
    /// Its whole id.
    pub(crate) snapshot: String,
    pub(crate) parts: Parts,
}

/// Restores what was picked to a place.
#[derive(Debug, Clone)]
pub(crate) struct Restore {
    pub(crate) picked: Vec<Picked>,
    /// Bytes that were counted of it.
    pub(crate) bytes: u64,
    /// A folder, a location or `@name`.
    pub(crate) to: String,
    pub(crate) how: How,
    /// Whether it only compares.
    pub(crate) is_trial: bool,
}

/// What of it, and what becomes of what is there.
#[derive(Debug, Clone, Default)]
pub(crate) struct How {
    /// Only what matches one of these patterns, as they were typed.
    pub(crate) include: Vec<String>,
    /// Not what matches one of these.
    pub(crate) exclude: Vec<String>,
    pub(crate) overwrite: Overwrite,
    /// Whether everything that was written is read again.
    pub(crate) verify: bool,
    /// Whether what is not in the snapshots is removed, and how much of it.
    pub(crate) delete: Option<Deletion>,
    /// Whether every version is written.
    pub(crate) versions: bool,
}

impl How {
    /// As options of the command, each with a space before it.
    fn words(&self) -> String {
        let given = |name: &str, patterns: &[String]| -> String {
            patterns.iter().map(|pattern| format!(" --{name} {}", command::word(pattern))).collect()
        };
        let mut words = given("include", &self.include) + &given("exclude", &self.exclude);
        words.push_str(match self.overwrite {
            Overwrite::No => "",
            Overwrite::Always => " --overwrite",
            Overwrite::IfNewer => " --overwrite=if-newer",
            Overwrite::IfChanged => " --overwrite=if-changed",
            Overwrite::Never => " --overwrite=never",
        });
        words.push_str(match self.delete {
            None => "",
            Some(Deletion::Limited) => " --delete",
            Some(Deletion::All) => " --delete --force",
        });
        words.push_str(if self.versions { " --versions" } else { "" });
        words
    }

    /// What the engine takes for a part of a snapshot.
    fn options(&self, parts: &Parts, source: &str, is_trial: bool) -> Result<RestoreOptions, PatternsError> {
        let patterns = |texts: &[String]| {
            let words: Vec<OsString> = texts.iter().map(OsString::from).collect();
            PatternList::gather(&words, &[])?.of_recorded(source)
        };
        Ok(RestoreOptions {
            parts: parts.clone(),
            include: patterns(&self.include)?,
            exclude: patterns(&self.exclude)?,
            overwrite: self.overwrite,
            dry_run: is_trial,
            verify: self.verify && !is_trial,
            delete: self.delete,
            versions: self.versions,
            no_sync: false,
            only: None,
            share: None,
        })
    }
}

/// Patterns that matched nothing in any of several snapshots. One that matches in another is no wish that failed.
#[derive(Default)]
struct Unmatched(Option<BTreeSet<String>>);

impl Unmatched {
    fn add(&mut self, patterns: &mut Vec<String>) {
        let more: BTreeSet<String> = std::mem::take(patterns).into_iter().collect();
        self.0 = Some(match self.0.take() {
            None => more,
            Some(before) => before.intersection(&more).cloned().collect(),
        });
    }

    fn all(self) -> Vec<String> {
        self.0.unwrap_or_default().into_iter().collect()
    }
}

impl Operation for Restore {
    fn title(&self) -> String {
        let what = if self.is_trial { "Preview of a restore" } else { "Restore" };
        format!("{what} to {}", shown::text(&self.to))
    }

    fn commands(&self) -> Vec<String> {
        let how = self.how.words();
        let end = match (self.is_trial, self.how.verify) {
            (true, _) => " --dry-run",
            (false, true) => " --verify",
            (false, false) => "",
        };
        let to = command::word(&self.to);
        let parts =
            self.picked.iter().flat_map(|picked| picked.parts.as_slice().iter().map(move |part| (picked, part)));
        let command = |(picked, part): (&Picked, &Part)| {
            let what = command::in_snapshot(&picked.snapshot, part.key().as_bytes());
            format!("restore {what} --to {to}{how}{end}")
        };
        parts.take(COMMANDS_MAX).map(command).collect()
    }

    fn action(&self) -> Action {
        Action::Restore
    }

    fn run<'a>(&'a self, at: &'a At) -> LocalBoxFuture<'a, Result<Ending>> {
        self.restore(at).boxed_local()
    }
}

impl Restore {
    async fn restore(&self, at: &At) -> Result<Ending> {
        let app = at.app();
        let open = at.open(StoreUse::Read).await?;
        let snapshots = open.repository.snapshots().await?;
        let place = app.place(Kind::Destination, self.to.as_ref(), Settings::new())?;
        let purpose = match (self.is_trial, self.how.versions) {
            (true, _) => DestinationUse::Preview,
            (false, true) => DestinationUse::WriteHistory,
            (false, false) => DestinationUse::Write,
        };
        // First, since what opening takes is counted until then.
        let estimate = match self.is_trial {
            true => Some(self.estimate(at, &open, &snapshots, &place).await),
            false => None,
        };
        let comparing = Arc::new(Comparing::new(&at.run, self.bytes, self.how.delete.is_some()));
        let context = RunContext { events: Arc::clone(&comparing) as Arc<dyn Listener>, ..at.run.context() };
        let mut total = RestoreReport::default();
        let (mut failed, mut unincluded) = (None, None);
        let (mut include, mut exclude) = (Unmatched::default(), Unmatched::default());
        for (number, picked) in self.picked.iter().enumerate() {
            let snapshot = snapshots.find(&SnapshotName(picked.snapshot.clone()))?;
            let options = self.how.options(&picked.parts, &snapshot.snapshot.source.location, self.is_trial)?;
            // One for each snapshot: it remembers which names are of one file, and in another snapshot the same numbers are another file.
            let destination = app.destination(&place, purpose).await?;
            at.run.counts(&destination);
            let to = destination.connector;
            let done = async { restore::run(&open.repository, &snapshot, to, &options, &context).await };
            match done.await {
                Ok(mut report) => {
                    include.add(&mut report.include_unmatched);
                    exclude.add(&mut report.exclude_unmatched);
                    total.add(report);
                }
                // Another may have what the patterns include.
                Err(error @ EngineError::NothingIncluded { .. }) if unincluded.is_none() => {
                    include.add(&mut self.how.include.clone());
                    unincluded = Some(error);
                }
                Err(EngineError::NothingIncluded { .. }) => include.add(&mut self.how.include.clone()),
                // What was restored of other snapshots before is there, and is said.
                Err(error) if number > 0 && !matches!(error, EngineError::Cancelled) => {
                    failed = Some(Error::from(error));
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        total.include_unmatched = include.all();
        total.exclude_unmatched = exclude.all();
        if let Some(error) = unincluded.filter(|_| total.include_unmatched.len() >= self.how.include.len()) {
            return Err(error.into());
        }
        let mut ending = self.ending(&total, &place, at.run.requests(), comparing.table());
        if let Some(error) = failed {
            ending.outcome = Outcome::Failed;
            ending.offer = None;
            ending.lines.splice(0..0, shown::causes(&error));
        }
        match estimate {
            Some(estimate) if ending.offer.is_some() => spending::beside(ending, estimate),
            _ => Ok(ending),
        }
    }

    /// What the restore would spend.
    async fn estimate(&self, at: &At, open: &OpenRepository, snapshots: &Snapshots, place: &Place) -> Result<Estimate> {
        let mut meant = Vec::new();
        for picked in &self.picked {
            let snapshot = snapshots.find(&SnapshotName(picked.snapshot.clone()))?;
            let options = self.how.options(&picked.parts, &snapshot.snapshot.source.location, false)?;
            meant.push((snapshot, options));
        }
        let destination = at.app().destination(place, DestinationUse::Preview).await?;
        estimate::restore(open, &meant, &destination, &at.run.context()).await
    }

    fn ending(&self, report: &RestoreReport, place: &Place, requests: u64, table: Option<Table>) -> Ending {
        let (entries, bytes) = (count(report.entries, "entry", "entries"), shown::size(report.bytes));
        let to = shown::text(&place.text());
        let done = if self.is_trial { "Would restore" } else { "Restored" };
        let mut lines = vec![format!("{done} {entries}, {bytes}, to {to}.")];
        lines.extend(
            restored::counts(report, self.is_trial, self.how.delete.is_some())
                .iter()
                .map(|(count, text)| format!("{count} {text}.")),
        );
        lines.extend(report.left.iter().map(|(conflict, left)| of_left(*conflict, left)));
        if report.versions_left > 0 {
            lines.push(format!("{} older versions were left out.", report.versions_left));
        }
        let unmatched = report.include_unmatched.iter().chain(&report.exclude_unmatched);
        lines.extend(unmatched.map(|pattern| format!("The pattern `{}` matched nothing.", shown::text(pattern))));
        lines.extend(
            report.parts_missing.iter().map(|key| format!("Not in the snapshot: {}.", shown::name(key.as_bytes()))),
        );
        let attributes = report.unrestored.iter();
        lines
            .extend(attributes.map(|(name, count)| format!("Not restored: {} of {count} entries.", shown::text(name))));
        let is_whole = report.is_whole() && report.unrestored.is_empty();
        Ending {
            outcome: match (report.damaged + report.miswritten, is_whole) {
                (0, true) => Outcome::Done,
                (0, false) if self.is_trial => Outcome::Done,
                (0, false) => Outcome::Incomplete,
                _ => Outcome::Damaged,
            },
            lines,
            facts: self.facts(report, requests),
            tables: table.into_iter().collect(),
            offer: (self.is_trial && report.entries + report.attributes + self.removes(report) > 0)
                .then(|| self.offer(report, &to)),
            ..Ending::default()
        }
    }

    /// What would be removed.
    fn removes(&self, report: &RestoreReport) -> u64 {
        self.how.delete.map_or(0, |_| report.extra)
    }

    fn offer(&self, report: &RestoreReport, to: &str) -> Offer {
        let (entries, bytes) = (count(report.entries, "entry", "entries"), shown::size(report.bytes));
        let mut loses = Vec::new();
        let mut title = format!("Restore {entries}, {bytes}");
        if self.removes(report) > 0 {
            let removed = count(self.removes(report), "entry", "entries");
            loses.push(format!("{removed} in {to} that the snapshots do not have are removed."));
            title.push_str(&format!(", remove {removed}"));
        }
        let replaced = count(report.replaced, "entry", "entries");
        match self.how.overwrite {
            Overwrite::No | Overwrite::Never if report.replaced == 0 => {}
            // Such as a file that becomes a name of another.
            Overwrite::No | Overwrite::Never => {
                loses.push(format!("{replaced} in {to} are replaced by what the snapshots have."));
            }
            Overwrite::Always | Overwrite::IfNewer | Overwrite::IfChanged => loses.push(format!(
                "{replaced} in {to} are replaced by what the snapshots have, and whatever differs there when it is done."
            )),
        }
        if report.attributes > 0 {
            let entries = count(report.attributes, "entry", "entries");
            loses.push(format!("Times, mode, owner or attributes of {entries} in {to} are set."));
        }
        let operation = Arc::new(Self { is_trial: false, ..self.clone() });
        Offer { operation, title, loses }
    }

    fn facts(&self, report: &RestoreReport, requests: u64) -> Vec<(String, String)> {
        let left = |conflict: &Conflict| report.left.get(conflict).map_or(0, |left| left.entries);
        let skipped: u64 = report.left.keys().map(left).sum();
        let mut facts = vec![
            fact("New", report.entries.saturating_sub(report.replaced)),
            fact("Overwritten", report.replaced),
            fact("Attributes set", report.attributes),
            fact("Identical", report.identical),
            fact("Skipped", skipped),
            fact("Bytes", format!("{} ({})", report.bytes, shown::size(report.bytes))),
            fact("Lost or refused", report.damaged + report.unread + report.failed),
            fact("Requests", requests),
        ];
        if self.how.delete.is_some() {
            facts.push(fact("Removed", if self.is_trial { report.extra } else { report.removed }));
        }
        if self.how.verify && !self.is_trial {
            facts.push(fact("Read again", report.verified));
        }
        facts
    }
}

fn of_left(conflict: Conflict, left: &Left) -> String {
    let (what, _) = restored::left(conflict);
    let mut examples = left.examples.iter().map(|key| shown::name(key.as_bytes())).collect::<Vec<_>>().join(", ");
    if left.entries > left.examples.len() as u64 {
        examples.push_str(", …");
    }
    format!("{} {what}: {examples}.", left.entries)
}

/// Passes on what several restores tell as one, and keeps what a preview compares.
struct Comparing {
    run: Arc<Run>,
    bytes: u64,
    /// Whether what is not in the snapshots is removed.
    is_deleting: bool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    is_restoring: bool,
    rows: BTreeMap<Key, (&'static str, u64)>,
    more: u64,
}

impl Comparing {
    fn new(run: &Arc<Run>, bytes: u64, is_deleting: bool) -> Self {
        Self { run: Arc::clone(run), bytes, is_deleting, seen: Mutex::default() }
    }

    fn name(&self, key: &Key, word: &'static str, bytes: u64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.rows.len() < NAMED_MAX {
            seen.rows.insert(key.clone(), (word, bytes));
        } else {
            seen.more += 1;
        }
    }

    fn table(&self) -> Option<Table> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let more = if seen.more > 0 { format!(", and {} more", seen.more) } else { String::new() };
        let rows: Vec<Vec<String>> = seen
            .rows
            .iter()
            .map(|(key, (word, bytes))| vec![(*word).to_owned(), shown::name(key.as_bytes()), shown::size(*bytes)])
            .collect();
        let caption = format!("What is there, entry by entry{more}");
        (!rows.is_empty()).then_some(Table { caption, heads: vec!["Would be", "Path", "Size"], rows })
    }
}

impl Listener for Comparing {
    fn on(&self, event: Event) {
        match &event {
            Event::Phase { phase } => {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                // One bar for all snapshots.
                if seen.is_restoring {
                    return;
                }
                seen.is_restoring = *phase == Phase::Restoring;
                drop(seen);
                let (phase, bytes) = (*phase, self.bytes);
                self.run.on(Event::Phase { phase });
                if phase == Phase::Restoring {
                    self.run.on(Event::Expected { entries: 0, bytes });
                }
                return;
            }
            Event::Expected { .. } => return,
            Event::Compared { standing, key, bytes } => {
                self.name(key, of_standing(*standing, self.is_deleting), *bytes)
            }
            Event::Left { key, .. } => self.name(key, "skipped", 0),
            _ => {}
        }
        self.run.on(event);
    }
}

const fn of_standing(standing: Standing, is_deleting: bool) -> &'static str {
    match standing {
        Standing::New => "new",
        Standing::Changed => "overwritten",
        Standing::Attributes => "given its attributes",
        Standing::Identical => "left, as it is identical",
        Standing::Extra if is_deleting => "removed, as it is not in the snapshot",
        Standing::Extra => "left, as it is not in the snapshot",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_restore_replaces_is_said_to_be_lost_whichever_rule_was_chosen() {
        let loses = |overwrite: Overwrite, replaced: u64| {
            let how = How { overwrite, ..How::default() };
            let restore = Restore { picked: Vec::new(), bytes: 0, to: "/target".to_owned(), how, is_trial: true };
            let report = RestoreReport { entries: 2, replaced, ..RestoreReport::default() };
            restore.offer(&report, "/target").loses
        };
        for overwrite in [Overwrite::No, Overwrite::Never, Overwrite::Always, Overwrite::IfNewer, Overwrite::IfChanged]
        {
            let said = loses(overwrite, 1);
            assert!(
                said.iter().any(|line| line.starts_with("1 entry in /target are replaced")),
                "{overwrite:?}: {said:?}"
            );
        }
        assert!(loses(Overwrite::No, 0).is_empty());
        assert!(!loses(Overwrite::Always, 0).is_empty(), "what differs when it is done");
    }
}
