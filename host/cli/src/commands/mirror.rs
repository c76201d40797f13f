//! `mirror`: places that are made to be what another was at one moment.
//!
//! Owned here: the arguments, and what is printed of plans, targets and cuts. Refused here: what a mirror does (`credenza_app::jobs::mirror`); a run of one is a
//! run of a job (`jobs`).

use std::fmt::{self, Display};

use clap::{Args, Subcommand};
use credenza_app::jobs::JobsError;
use credenza_app::jobs::Mirror;
use credenza_app::jobs::mirror::{self, TargetStatus, Wish};
use credenza_app::jobs::{JobsFile, Work};
use credenza_app::shell::shell_word;
use credenza_engine::SnapshotName;
use credenza_engine::mirror::{Held, MirrorReport};
use credenza_model::{SnapshotId, Timestamp};
use indicatif::HumanBytes;
use serde::Serialize;

use super::Session;
use super::jobs::{self, JobsAt, now};
use crate::failure::{Exit, Failure};
use crate::report::{Zone, printable};

/// Digits of an id that are shown.
const DIGITS: usize = 8;

/// Make buckets and folders what another was at one moment, as `[replicate-bucket.NAME]` in `jobs.toml` says.
#[derive(Debug, Subcommand)]
pub(crate) enum MirrorCommand {
    /// Make a cut of the source, and each target what the cut holds.
    Run(Run),
    /// Say what a run would do at each target, with the newest cut.
    Plan(Plan),
    /// Say which cut each target is.
    Status(Status),
    /// List the cuts that there are.
    Cuts(Cuts),
}

/// Make a cut of the source, and each target what the cut holds.
///
/// What somebody else has put or changed at a target is found before it is overwritten: then nothing is done there, and the command ends with 3.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    meant: Meant,

    #[command(flatten)]
    at: JobsAt,
}

/// Say what a run would do at each target, with the newest cut; nothing is written, and no cut is made.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    meant: Meant,

    #[command(flatten)]
    at: JobsAt,
}

/// Which policy is meant, and how.
#[derive(Debug, Args)]
struct Meant {
    /// The policy: NAME of `[replicate-bucket.NAME]`.
    #[arg(value_name = "NAME")]
    name: String,

    /// This cut instead of a new one: the first digits of its id. So a mirror of a source that was poisoned is rolled back.
    #[arg(long, value_name = "CUT")]
    to: Option<String>,

    /// Only this target, as the policy writes it.
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,

    /// Replace what somebody else has put or changed at a target, and take over what is another mirror.
    #[arg(long)]
    overwrite: bool,

    /// Remove also where that is more than half of all that is there.
    #[arg(long)]
    force: bool,
}

/// Say which cut each target is.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The policy; all without one.
    #[arg(value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    at: JobsAt,
}

/// List the cuts that there are, the oldest first.
#[derive(Debug, Args)]
pub(crate) struct Cuts {
    /// The policy.
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    at: JobsAt,
}

/// What would be done at a target.
#[derive(Serialize)]
#[serde(tag = "type", rename = "plan")]
struct PlanLine {
    target: String,
    #[serde(flatten)]
    report: MirrorReport,
}

impl Display for PlanLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MirrorReport { new, changed, same, gone, kept, withheld, foreign, extra, held, .. } = &self.report;
        let target = printable(&self.target);
        write!(f, "{target}: {new} new, {changed} changed, {same} as they are to be, {gone} to remove, {kept} kept")?;
        if *withheld > 0 {
            write!(f, ", {withheld} of them because something of the source could not be read for the cut")?;
        }
        if foreign.entries + extra.entries > 0 {
            write!(f, ", {} changed by somebody else, {} nobody's", foreign.entries, extra.entries)?;
        }
        held.map_or(Ok(()), |held: Held| write!(f, "\nnothing would be done: {}", mirror::why(held, &self.report)))
    }
}

/// How a target stands.
#[derive(Serialize)]
#[serde(tag = "type", rename = "target")]
struct StatusLine {
    policy: String,
    #[serde(flatten)]
    status: TargetStatus,
}

impl Display for StatusLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TargetStatus { target, marker, behind, age, suspect, unknown, .. } = &self.status;
        write!(f, "{}  {}: ", printable(&self.policy), printable(target))?;
        if let Some(why) = unknown {
            return write!(f, "NOT KNOWN: {}", printable(why));
        }
        let Some(marker) = marker else { return f.write_str("nothing was mirrored there yet") };
        match marker.cut {
            Some(cut) => write!(f, "cut {:.DIGITS$}", cut.to_string())?,
            None => f.write_str("no whole cut yet")?,
        }
        if let Some(age) = age {
            write!(f, ", made {} ago", ago(*age))?;
        }
        if *behind > 0 {
            write!(f, ", {behind} cuts behind")?;
        }
        if marker.lacking > 0 {
            write!(f, ", {} OBJECTS LACKING", marker.lacking)?;
        }
        if let Some(suspect) = suspect {
            let id = suspect.to_string();
            write!(
                f,
                ", nothing newer comes: {id:.DIGITS$} IS SUSPECT, look at it: credenza jobs acknowledge {id:.DIGITS$}"
            )?;
        }
        match marker.towards.last() {
            Some(cut) => write!(f, ", IN PROGRESS to {:.DIGITS$}: it is no one state of its source", cut.to_string()),
            None => Ok(()),
        }
    }
}

fn ago(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A cut.
#[derive(Serialize)]
#[serde(tag = "type", rename = "cut")]
struct CutLine {
    id: SnapshotId,
    made: Timestamp,
    entries: u64,
    bytes: u64,
    errors: u64,
    #[serde(skip)]
    shown: String,
}

impl Display for CutLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, bytes) = (self.id.to_string(), HumanBytes(self.bytes));
        write!(f, "{id:.DIGITS$}  {}  {} entries, {bytes}", self.shown, self.entries)?;
        if self.errors > 0 { write!(f, ", {} could not be read", self.errors) } else { Ok(()) }
    }
}

impl MirrorCommand {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::Run(command) => command.run(session).await,
            Self::Plan(command) => command.run(session).await,
            Self::Status(command) => command.run(session).await,
            Self::Cuts(command) => command.run(session).await,
        }
    }
}

/// The policy of a name, which may be written as the section is.
fn policy<'f>(file: &'f JobsFile, name: &str) -> Result<&'f Mirror, Failure> {
    let whole = mirror::whole_name(name);
    match file.work(&whole) {
        Ok(Work::Mirror(mirror)) => Ok(mirror),
        Ok(_) | Err(JobsError::UnknownJob { .. }) => {
            let known: Vec<&str> = file.mirrors.values().map(Mirror::short_name).collect();
            let hint = match known.as_slice() {
                [] => "write a section [replicate-bucket.NAME] with from, to and every".to_owned(),
                known => format!("there are {}", known.join(", ")),
            };
            Err(Failure::new(format!("there is no mirror `{}`", name.escape_debug())).hint(hint))
        }
        Err(error) => Err(error.into()),
    }
}

impl Meant {
    fn wish(&self, mirror: &Mirror) -> Result<Wish, Failure> {
        if let Some(target) = self.target.as_ref().filter(|target| !mirror.to.contains(target)) {
            let what = format!("`{}` is no target of {}", target.escape_debug(), mirror.short_name());
            return Err(Failure::new(what).hint(format!("there are {}", mirror.to.join(", "))));
        }
        Ok(Wish {
            to: self.to.clone().map(SnapshotName),
            target: self.target.clone(),
            overwrite: self.overwrite,
            force: self.force,
        })
    }
}

impl Run {
    async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let file = self.at.read(session)?;
        let mirror = policy(&file, &self.meant.name)?;
        let wish = self.meant.wish(mirror)?;
        let (name, is_back) = (mirror.name.clone(), wish.to.is_some());
        let exit = jobs::Run::of_mirror(name.clone(), self.at, wish).run(session).await?;
        if is_back && exit == Exit::Done {
            let name = shell_word(&name);
            session.reporter.note(format!(
                "note: the next run mirrors a new cut of the source; let it rest until the source is well: credenza jobs pause {name}"
            ));
        }
        Ok(exit)
    }
}

impl Plan {
    async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let file = self.at.read(session)?;
        let mirror = policy(&file, &self.meant.name)?;
        let wish = self.meant.wish(mirror)?;
        for (target, report) in mirror::plan(&session.app, mirror, &wish, &session.run_context()).await? {
            session.reporter.result(&PlanLine { target, report })?;
        }
        Ok(Exit::Done)
    }
}

impl Status {
    async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let file = self.at.read(session)?;
        let mirrors = match &self.name {
            Some(name) => vec![policy(&file, name)?],
            None => file.mirrors.values().collect(),
        };
        let mut exit = Exit::Done;
        for mirror in mirrors {
            for status in mirror::status(&session.app, mirror, now()).await?.targets {
                if status.unknown.is_some() {
                    exit = Exit::Failed;
                }
                session.reporter.result(&StatusLine { policy: mirror.short_name().to_owned(), status })?;
            }
        }
        Ok(exit)
    }
}

impl Cuts {
    async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let file = self.at.read(session)?;
        let zone = Zone::new(false);
        for handle in mirror::list(&session.app, policy(&file, &self.name)?).await?.whole {
            let (figures, made) = (handle.snapshot.statistics, handle.snapshot.started);
            session.reporter.result(&CutLine {
                id: handle.snapshot.id,
                made,
                entries: figures.entries,
                bytes: figures.bytes,
                errors: figures.errors,
                shown: zone.minutes(made),
            })?;
        }
        Ok(Exit::Done)
    }
}
