//! `sync`: snapshots carried between two repositories.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};

use clap::{Args, ValueEnum};
use credenza_app::sync::{self, Carried, Side};
use credenza_app::{Choice, Kind, Place, SnapshotPath, StoreUse, WentBack, environment, estimate};
use credenza_engine::replica::Retreat;
use credenza_engine::sync::{SyncOptions, SyncReport};
use credenza_engine::{SnapshotFilter, SnapshotHandle, SnapshotName};
use credenza_model::SnapshotId;
use indicatif::HumanBytes;
use serde::Serialize;

use super::Session;
use super::check::report_findings;
use super::filters::Filters;
use super::sharding::{ShardWord, parse_shard, require_share};
use super::spending::{self, Spending};
use crate::failure::{Exit, Failure};
use crate::report::printable;
use crate::settings::{SettingWord, parse_settings};
use credenza_app::shell::place_word;

/// Carry snapshots between the repository and another, which must exist.
///
/// What the other side has already is not sent again, and an interrupted sync goes on where it ended. It costs least between repositories of which one was made with `create --like` the other.
#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// Whether snapshots go to the other repository, come from it, or both.
    direction: Direction,

    /// A folder, a location such as s3://host/bucket, or @name of a repository.
    #[arg(value_name = "OTHER")]
    other: OsString,

    /// `latest` or the beginnings of snapshots' ids; all without any.
    #[arg(value_name = "SNAPSHOT")]
    snapshots: Vec<OsString>,

    #[command(flatten)]
    filters: Filters,

    /// Carry share I of N, from 0 to N-1, while other processes carry the others: packs are shared by their ids. `/N` takes the number from the array job that
    /// this process is part of. Only between repositories of which one was made like the other.
    ///
    /// Whichever process finds all of a snapshot there commits it. A process ends with 0 when all snapshots are there, and with 3 while one waits for what another
    /// carries. When all have ended, run sync without --shard: it carries what is lacking, and says whether all is there.
    ///
    /// Snapshots are named by their ids: `latest` may be another one for each process.
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    shard: Option<ShardWord>,

    /// Exit 0 although snapshots wait for what other processes carry; they are counted all the same.
    #[arg(long, requires = "shard")]
    accept_waiting: bool,

    /// Accept that the other repository is not encrypted, or that encrypted snapshots become readable in one that is not.
    #[arg(long)]
    allow_plaintext: bool,

    #[command(flatten)]
    pub(crate) spending: Spending,

    /// A setting of the other repository, as key=value, such as passphrase_file=FILE; may be given several times. If none names its passphrase,
    /// the one in CREDENZA_PASSPHRASE is tried.
    #[arg(short = 'o', long = "other-option", value_name = "KEY=VALUE")]
    settings: Vec<SettingWord>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Direction {
    /// Snapshots of the repository go to the other.
    To,
    /// Snapshots of the other come to the repository.
    From,
    /// Both, so that each has all.
    With,
}

/// A snapshot that arrived.
#[derive(Serialize)]
#[serde(tag = "type", rename = "copied")]
struct CopiedLine {
    snapshot: SnapshotId,
}

impl Display for CopiedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "copied snapshot {}", self.snapshot)
    }
}

/// What a replica knew of its origin and the origin has lost.
#[derive(Serialize)]
#[serde(tag = "type", rename = "origin-rolled-back")]
struct RetreatLine<'a> {
    #[serde(flatten)]
    retreat: &'a Retreat,
}

impl Display for RetreatLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ROLLED BACK: {}. Nothing was removed from the replica.", self.retreat)
    }
}

/// A replica that was put back itself.
#[derive(Serialize)]
#[serde(tag = "type", rename = "replica-rolled-back")]
struct WentBackLine<'a> {
    #[serde(serialize_with = "in_words")]
    went_back: &'a WentBack,
}

fn in_words<S: serde::Serializer>(went_back: &WentBack, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(went_back)
}

impl Display for WentBackLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ROLLED BACK: {}. What it had lost was carried again.", self.went_back)
    }
}

/// What went one way.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    from: String,
    to: String,
    #[serde(flatten)]
    report: SyncReport,
    requests: Requests,
}

/// Requests that really went out, retries included.
#[derive(Serialize)]
struct Requests {
    from: u64,
    to: u64,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (printable(&self.from), printable(&self.to));
        let SyncReport { copied, skipped, failed, waiting, chunks, bytes, tags, .. } = &self.report;
        write!(f, "{from} to {to}: {} snapshots copied, {skipped} there already", copied.len())?;
        write!(f, ", {chunks} chunks, {} added", HumanBytes(*bytes))?;
        if *tags > 0 {
            write!(f, ", {tags} tags changed")?;
        }
        if self.requests.from + self.requests.to > 0 {
            write!(f, ", {} + {} requests", self.requests.from, self.requests.to)?;
        }
        if *waiting > 0 {
            write!(
                f,
                "\n{waiting} snapshots are not there yet: they wait for what other processes carry of them, and the last to end commits them; where none is under way any more, a sync without --shard does"
            )?;
        }
        if *failed > 0 {
            write!(f, "\n{failed} snapshots were not copied: something that they need is damaged")?;
        }
        Ok(())
    }
}

impl Sync {
    /// Demands that many processes can run it, each with its --shard.
    pub(super) fn require_shareable(&self) -> Result<(), Failure> {
        require_share(self.shard)?;
        self.spending.require_shareable()?;
        self.options().map(drop)
    }

    /// The other place, as it was typed.
    pub(super) fn other(&self) -> &OsStr {
        &self.other
    }

    /// The settings of the other repository.
    pub(super) fn other_settings(&self) -> &[SettingWord] {
        &self.settings
    }

    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let options = self.options()?;
        let (own, other) = session.places(Kind::Repository, &self.other, parse_settings(&self.settings)?)?;
        let only_reads = |direction| self.spending.estimate || self.direction == direction;
        let written = |direction| if only_reads(direction) { StoreUse::Read } else { StoreUse::Write };
        let own = session.open_repository(own, written(Direction::To)).await?;
        let (own_place, place) = (own.place.clone(), other.clone());
        let other = session.open_other(other, written(Direction::From), self.allow_plaintext).await;
        let mut sides = [Side::new(own), Side::new(other.map_err(|failure| to_be_made(failure, &place, &own_place))?)];
        let mut exit = Exit::Done;
        let filter = self.filters.filter(session)?;
        if self.direction != Direction::From {
            let meant = filtered(&sides, &options, &filter).await?;
            exit = exit.max(self.carry(&mut sides, &meant, session).await?);
        }
        if self.direction != Direction::To {
            sides.reverse();
            let meant = filtered(&sides, &options, &filter).await?;
            exit = exit.max(self.carry(&mut sides, &meant, session).await?);
        }
        Ok(exit)
    }

    /// Carries in one direction, or says what that would cost.
    async fn carry(&self, sides: &mut [Side; 2], meant: &SyncOptions, session: &Session<'_>) -> Result<Exit, Failure> {
        if !self.spending.estimate {
            return carry(sides, meant, self.accept_waiting, session).await;
        }
        let [from, to] = sides;
        Ok(spending::tell(estimate::sync(&from.open, &to.open, meant, &session.stop).await?, session))
    }

    /// Demands ids of one of several processes: what is the newest may be another one for each of them. An estimate is for one alone.
    fn require_ids(&self, names: &[SnapshotName]) -> Result<(), Failure> {
        let is_shared = self.shard.is_some() && !self.spending.estimate;
        match names.iter().find(|name| is_shared && name.is_latest()) {
            Some(name) => {
                Err(Failure::usage(format!("`{}` may be another snapshot for each machine", printable(&name.0)))
                    .hint("name the snapshot by its id: credenza ls lists them"))
            }
            None => Ok(()),
        }
    }

    fn options(&self) -> Result<SyncOptions, Failure> {
        let name = |word: &OsString| match SnapshotPath::parse(word)? {
            SnapshotPath { snapshot, key: None } => Ok(snapshot),
            SnapshotPath { .. } => {
                Err(Failure::usage("only whole snapshots can be carried").hint("leave out the colon"))
            }
        };
        let snapshots = self.snapshots.iter().map(name).collect::<Result<Vec<SnapshotName>, Failure>>()?;
        self.require_ids(&snapshots)?;
        let (host, user) = (environment::host_name(), environment::user_name());
        let share = self.shard.map(ShardWord::share).transpose()?;
        Ok(SyncOptions {
            snapshots,
            allow_plaintext: self.allow_plaintext,
            host,
            user,
            share,
            ..SyncOptions::default()
        })
    }
}

/// The snapshots of the first side that are meant, by their ids where a filter leaves some out.
async fn filtered(sides: &[Side; 2], options: &SyncOptions, filter: &SnapshotFilter) -> Result<SyncOptions, Failure> {
    let [from, _] = sides;
    if filter.is_empty() {
        return Ok(options.clone());
    }
    let meant = Choice::among(&from.open.repository, filter, false).await?.snapshots;
    let chosen: Vec<SnapshotHandle> = match options.snapshots.as_slice() {
        [] => meant.whole,
        names => names.iter().map(|name| meant.find(name)).collect::<Result<_, _>>()?,
    };
    let snapshots = chosen.iter().map(|handle| SnapshotName(handle.snapshot.id.to_string())).collect();
    Ok(SyncOptions { snapshots, ..options.clone() })
}

/// Carries from the first side to the second.
async fn carry(
    sides: &mut [Side; 2],
    options: &SyncOptions,
    accept_waiting: bool,
    session: &Session<'_>,
) -> Result<Exit, Failure> {
    let signing_key = session.globals.signing_key.as_deref();
    let went_back = session.app.replica_went_back(&sides[1].open).await?;
    let carried = sync::carry(sides, options, signing_key, &session.run_context()).await;
    let [from, to] = sides;
    let named = |failure: Failure| failure.of_target(&place_word(&from.open.place), &place_word(&to.open.place));
    let Carried { report, requests_from, requests_to } = carried.map_err(|error| named(error.into()))?;
    if let Some(heads) = &report.heads {
        session.app.remember_heads(&to.open, heads);
    }
    report.retreats.iter().for_each(|retreat| session.reporter.done(&RetreatLine { retreat }));
    went_back.iter().for_each(|went_back| session.reporter.done(&WentBackLine { went_back }));
    report.copied.iter().for_each(|snapshot| session.reporter.done(&CopiedLine { snapshot: *snapshot }));
    report_findings(&report.findings, session);
    let is_sound = report.failed == 0 && report.retreats.is_empty() && went_back.is_none();
    let exit = exit_of(is_sound, if accept_waiting { 0 } else { report.waiting });
    let (here, there) = (from.open.place.text(), to.open.place.text());
    let requests = Requests { from: requests_from, to: requests_to };
    session.reporter.done(&Summary { from: here, to: there, report, requests });
    Ok(exit)
}

/// What is damaged outweighs what waits: that may become whole by other processes, and nobody here knows whether they live.
const fn exit_of(is_sound: bool, waiting: u64) -> Exit {
    match (is_sound, waiting) {
        (false, _) => Exit::DamageFound,
        (true, 0) => Exit::Done,
        (true, _) => Exit::Incomplete,
    }
}

/// Sync makes no repository: whether it is to be like this one is worth a decision.
fn to_be_made(failure: Failure, place: &Place, like: &Place) -> Failure {
    match failure.exit {
        Exit::NoRepository => {
            failure.hint(format!("make one: credenza at {} create --like {}", place_word(place), place_word(like)))
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{self, Command};

    #[test]
    fn one_of_several_processes_wants_ids() {
        let options = |words: &str| {
            let line = "credenza sync to @paris".split(' ').chain(words.split(' ')).map(OsString::from).collect();
            match arguments::parse(line).unwrap().arguments.command {
                Command::Sync(sync) => sync.options(),
                _ => panic!("another command"),
            }
        };
        for words in ["latest --shard 0/2", "4f1c09d2 latest~1 --shard 0/2"] {
            let refused = options(words).map(drop).unwrap_err();
            assert!(refused.what.contains("latest"), "{words}: {refused:?}");
        }
        for words in ["latest", "--shard 0/2", "4f1c09d2 --shard 0/2", "latest --shard 0/2 --estimate"] {
            assert!(options(words).is_ok(), "{words}");
        }
    }

    #[test]
    fn what_waits_for_others_is_not_done() {
        assert_eq!(exit_of(true, 0), Exit::Done);
        assert_eq!(exit_of(true, 2), Exit::Incomplete);
        assert_eq!(exit_of(false, 2), Exit::DamageFound);
    }
}
