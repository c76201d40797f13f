//! `restore`: a snapshot, or a part of one, to a folder or any other destination.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};

use clap::{Args, ValueEnum};
use credenza_app::patterns::PatternList;
use credenza_app::shell::{place_word, shell_word};
use credenza_app::{DestinationUse, Kind, SnapshotPath, StoreUse, estimate, restored};
use credenza_engine::restore::{self, Deletion, Overwrite, RestoreOptions, RestoreReport};
use credenza_engine::{Conflict, Left, Parts, Share, SnapshotName};
use credenza_model::SnapshotId;
use indicatif::HumanBytes;
use serde::Serialize;

use super::Session;
use super::newest::{Newest, choose_surely, tell_suspect};
use super::sharding::{ShardWord, parse_shard, require_share};
use super::spending::{self, Spending};
use crate::failure::{Exit, Failure};
use crate::report::{named, printable};
use crate::settings::{SettingWord, parse_settings};

/// Patterns without a match that are named; of more, `--json` names all.
const UNMATCHED_TOLD_MAX: usize = 8;
/// Attributes that one of several processes leaves to a restore behind all of them.
const UNTIL_ALL_END: [&str; 2] = ["posix.hardlink", "posix.mode"];

/// Restore a snapshot or a part of it; every byte is verified before it is written.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// `latest` or the first digits of a snapshot's id; behind a colon, a path to restore what lies at or under it.
    #[arg(value_name = "SNAPSHOT[:PATH]")]
    snapshot: OsString,

    #[command(flatten)]
    newest: Newest,

    /// A folder, a location such as s3://host/bucket, or @name of a destination.
    #[arg(long, value_name = "DESTINATION")]
    to: OsString,

    /// Restore only what matches this pattern (gitignore syntax, of paths in the snapshot), with the folders above it; may be given several times.
    ///
    /// One that begins with the absolute path of the source goes on from there. Where one matches nothing the command ends with 3, where none does with 1.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<OsString>,

    /// Leave out what matches this pattern; may be given several times. What matches nothing is named at the end.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<OsString>,

    /// Replace what exists and differs; without it, that is left, counted, and the command ends with 3.
    ///
    /// What is there as it is in the snapshot is never written again, and where only times, mode, owner or attributes differ, they are set.
    #[arg(long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    overwrite: Option<When>,

    /// Compare only, and say what would be done; with -v, of each entry.
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Read everything that was written again, from the disk where the system lets, and end with 20 where it is not what was written.
    #[arg(long, conflicts_with = "dry_run")]
    verify: bool,

    /// Remove what is in the destination, at or under the prefix, and not in the snapshot; what --include and --exclude leave out stays.
    ///
    /// It is done after all else, and only if everything was restored. Links are removed and not followed.
    #[arg(long)]
    delete: bool,

    /// Remove it also if that is more than half of all that is there.
    #[arg(long, requires = "delete")]
    force: bool,

    /// Restore every version and delete marker of each key, oldest first, to a destination that keeps versions.
    #[arg(long)]
    versions: bool,

    /// Restore one share of N, number I of 0 to N-1, beside the others: a range of the keys with about as much work as each. `/N` takes the number from the
    /// job of an array that this is.
    ///
    /// The snapshot is named by its id: `latest` may be another one for each process. One that fails is run again alone. Names of one file that lie in several
    /// shares, and the modes of folders that would keep the others out, are set by a restore without --shard behind all; until then they count as attributes
    /// that were not restored.
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    shard: Option<ShardWord>,

    /// Do not wait until what was restored is on the disk for good, so that a power failure soon after may take it.
    #[arg(long)]
    no_sync: bool,

    /// Exit 0 although attributes were lost that the destination cannot hold; they are listed all the same.
    #[arg(long)]
    accept_loss: bool,

    #[command(flatten)]
    pub(crate) spending: Spending,

    /// A setting of the destination, as key=value; may be given several times. One of the repository stands before the command.
    #[arg(short = 'o', long = "destination-option", value_name = "KEY=VALUE")]
    settings: Vec<SettingWord>,
}

/// When what exists and differs is replaced.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum When {
    /// Always.
    Always,
    /// Where it is older than what the snapshot has.
    IfNewer,
    /// Always; files of the same size and time are taken for equal without being read.
    IfChanged,
    /// Never, nor are its times or attributes set; and that is no failure.
    Never,
}

impl From<When> for Overwrite {
    fn from(when: When) -> Self {
        match when {
            When::Always => Self::Always,
            When::IfNewer => Self::IfNewer,
            When::IfChanged => Self::IfChanged,
            When::Never => Self::Never,
        }
    }
}

/// What a restore did, or would do.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    snapshot: SnapshotId,
    destination: String,
    /// Nothing was done.
    dry_run: bool,
    /// Which of several processes this was.
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<Share>,
    /// Whether what is not in the snapshot was to be removed.
    #[serde(skip)]
    is_deleting: bool,
    #[serde(flatten)]
    report: RestoreReport,
    requests: Requests,
}

#[derive(Serialize)]
struct Requests {
    store: u64,
    destination: u64,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        let done = if self.dry_run { "would restore" } else { "restored" };
        let (bytes, to) = (HumanBytes(report.bytes), printable(&self.destination));
        write!(f, "{done} {} entries, {bytes}, to {to}", report.entries)?;
        if self.requests.store + self.requests.destination > 0 {
            write!(f, ", {} + {} requests (repository + destination)", self.requests.store, self.requests.destination)?;
        }
        if report.reused > 0 {
            write!(f, "\n{} of it were in the files that were replaced", HumanBytes(report.reused))?;
        }
        restored::counts(report, self.dry_run, self.is_deleting)
            .into_iter()
            .try_for_each(|(count, text)| write!(f, "\n{count} {text}"))?;
        report
            .left
            .iter()
            .try_for_each(|(conflict, left)| write!(f, "\n{} {}", left.entries, reported(*conflict, left)))?;
        if report.versions_left > 0 {
            write!(f, "\n{} older versions were left out; --versions restores them", report.versions_left)?;
        }
        let unmatched = report.include_unmatched.iter().chain(&report.exclude_unmatched).take(UNMATCHED_TOLD_MAX);
        for pattern in unmatched {
            write!(f, "\nthe pattern `{}` matched nothing in the snapshot", printable(pattern))?;
        }
        report
            .unrestored
            .iter()
            .try_for_each(|(name, count)| write!(f, "\nnot restored: {} of {count} entries", printable(name)))?;
        if self.shard.is_some() && UNTIL_ALL_END.iter().any(|name| report.unrestored.contains_key(*name)) {
            write!(f, "\nthe same restore without --shard sets that when all have ended")?;
        }
        Ok(())
    }
}

/// What was left for one reason, with the first of it and what to do.
fn reported(conflict: Conflict, left: &Left) -> String {
    let (what, way) = restored::left(conflict);
    let way = way.map(|way| format!("; {way}")).unwrap_or_default();
    let mut examples = left.examples.iter().map(named).collect::<Vec<_>>().join(", ");
    if left.entries > left.examples.len() as u64 {
        examples.push_str(", …");
    }
    format!("{what}{way} ({examples})")
}

impl Restore {
    /// Demands that many processes can run it, each with its --shard: by names that all of them understand alike.
    pub(super) fn require_shareable(&self) -> Result<(), Failure> {
        require_share(self.shard)?;
        self.share()?;
        let name = SnapshotPath::parse(&self.snapshot)?.snapshot;
        self.spending.require_shareable()?;
        if self.dry_run {
            return Err(Failure::usage("a comparison is made by one machine").hint("leave --dry-run out"));
        }
        match name.is_latest() {
            true => Err(Failure::usage(format!("`{}` may be another snapshot for each machine", printable(&name.0)))
                .hint("name the snapshot by its id: credenza ls lists them")),
            false => Ok(()),
        }
    }

    /// Where it writes, as it was typed.
    pub(super) fn destination(&self) -> &OsStr {
        &self.to
    }

    /// The settings of that place.
    pub(super) fn destination_settings(&self) -> &[SettingWord] {
        &self.settings
    }

    const fn purpose(&self) -> DestinationUse {
        match (self.dry_run || self.spending.estimate, self.versions) {
            (true, _) => DestinationUse::Preview,
            (false, true) => DestinationUse::WriteHistory,
            (false, false) => DestinationUse::Write,
        }
    }

    fn share(&self) -> Result<Option<Share>, Failure> {
        match (self.shard, self.overwrite) {
            (Some(_), Some(When::Never)) => {
                Err(Failure::usage("--shard with --overwrite=never: which folders were there before, and which others make, cannot be told apart")
                    .hint("leave --overwrite out: what exists and differs is left then, too"))
            }
            (shard, _) => shard.map(ShardWord::share).transpose(),
        }
    }

    /// Demands the id of the snapshot of one of several processes: what is the newest may be another one for each of them. An estimate is for one alone.
    fn expect_id(&self, name: &SnapshotName, meant: SnapshotId, place: &str) -> Result<(), Failure> {
        let Some(shard) = self.shard.filter(|_| name.is_latest() && !self.spending.estimate) else { return Ok(()) };
        let what = format!(
            "--shard with `{}`: it may be another snapshot for each process, when one is made or removed meanwhile",
            printable(&name.0)
        );
        let command = self.command_of(meant, &name.0, (place, shard));
        let settings = match (self.settings.is_empty(), self.spending.budget.is_some()) {
            (true, false) => "",
            (true, true) => ", with the same --budget",
            (false, false) => ", with the same -o",
            (false, true) => ", with the same -o and --budget",
        };
        Err(Failure::usage(what).hint(format!("give all of them the id of the one that is meant{settings}: {command}")))
    }

    /// The same command for a snapshot by its id. Settings are left out: secrets may be among them.
    fn command_of(&self, id: SnapshotId, name: &str, (place, shard): (&str, ShardWord)) -> String {
        let typed = self.snapshot.to_string_lossy();
        let path = typed.strip_prefix(name).unwrap_or_default();
        let mut words = vec![shell_word(&format!("{id}{path}")), "--to".to_owned()];
        words.push(shell_word(&self.to.to_string_lossy()));
        words.push(format!("--shard {shard}"));
        for (option, patterns) in [("--include", &self.include), ("--exclude", &self.exclude)] {
            words.extend(patterns.iter().map(|pattern| format!("{option} {}", shell_word(&pattern.to_string_lossy()))));
        }
        if let Some(when) = self.overwrite.and_then(|when| when.to_possible_value()) {
            words.push(format!("--overwrite={}", when.get_name()));
        }
        let flags = [
            (self.dry_run, "--dry-run"),
            (self.verify, "--verify"),
            (self.delete, "--delete"),
            (self.force, "--force"),
            (self.versions, "--versions"),
            (self.no_sync, "--no-sync"),
            (self.accept_loss, "--accept-loss"),
        ];
        words.extend(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| (*flag).to_owned()));
        format!("credenza at {place} restore {}", words.join(" "))
    }

    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let path = SnapshotPath::parse(&self.snapshot)?;
        let (repository, place) = session.places(Kind::Destination, &self.to, parse_settings(&self.settings)?)?;
        let open = session.open_healthy_at(repository, StoreUse::Read).await?;
        let snapshot = choose_surely(&self.newest.among(&open, session).await?, &path.snapshot, session)?;
        self.expect_id(&path.snapshot, snapshot.snapshot.id, &place_word(&open.place))?;
        tell_suspect(&open, &path.snapshot, &snapshot, session).await?;
        // The whole is there without being looked for, also where the index is damaged: a restore gets past that.
        let parts = match path.is_whole() {
            true => Parts::default(),
            false => Parts::under(path.locate(&open.repository.view().await?, &snapshot).await?.key),
        };
        let destination = session.app.destination(&place, self.purpose()).await?;
        let recorded = &snapshot.snapshot.source.location;
        let options = RestoreOptions {
            parts,
            include: PatternList::gather(&self.include, &[])?.of_recorded(recorded)?,
            exclude: PatternList::gather(&self.exclude, &[])?.of_recorded(recorded)?,
            overwrite: self.overwrite.map_or(Overwrite::No, Overwrite::from),
            dry_run: self.dry_run && !self.spending.estimate,
            verify: self.verify,
            delete: self.delete.then_some(if self.force { Deletion::All } else { Deletion::Limited }),
            versions: self.versions,
            no_sync: self.no_sync,
            only: None,
            share: self.share()?,
        };
        let shard = options.share;
        if self.spending.estimate {
            let meant = [(snapshot, options)];
            let estimate = estimate::restore(&open, &meant, &destination, &session.run_context()).await?;
            return Ok(spending::tell(estimate, session));
        }
        let report =
            restore::run(&open.repository, &snapshot, destination.connector.clone(), &options, &session.run_context())
                .await?;
        session.reporter.healed(&report.healed, &open.place.text());
        session.tell_spared(&open.repository, &report.spared, &place_word(&open.place)).await;
        let lost = !report.unrestored.is_empty() && !self.accept_loss;
        let exit = exit_of(report.damaged + report.miswritten, !report.is_whole() || lost);
        session.reporter.done(&Summary {
            snapshot: snapshot.snapshot.id,
            destination: place.text(),
            dry_run: self.dry_run,
            shard,
            is_deleting: self.delete,
            report,
            requests: Requests { store: open.store.requests(), destination: destination.requests() },
        });
        Ok(exit)
    }
}

/// Lost content outweighs what was never read, a refusal, a conflict and lost attributes.
const fn exit_of(damaged: u64, is_incomplete: bool) -> Exit {
    match (damaged, is_incomplete) {
        (0, false) => Exit::Done,
        (0, true) => Exit::Incomplete,
        _ => Exit::DamageFound,
    }
}
