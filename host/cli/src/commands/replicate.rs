//! `replicate`: the copies that `jobs.toml` says are to be in other repositories.
//!
//! Owned here: the arguments, and what is printed. Refused here: policies and their runs (`credenza_app::jobs`).

use std::fmt::{self, Display};

use clap::{Args, Subcommand};
use credenza_app::jobs::promise::Kept;
use credenza_app::jobs::replicate::{self, Planned, Status, TargetStatus};
use credenza_app::jobs::run::Occasion;
use credenza_app::jobs::runner::Runner;
use credenza_app::jobs::sections::replicate::Replicate;
use credenza_app::jobs::{JobsError, JobsFile};
use credenza_app::shell::shell_word;
use credenza_engine::SystemClock;
use credenza_engine::copies::ClassLocked;
use indicatif::{HumanBytes, HumanDuration};
use serde::Serialize;

use super::Session;
use super::jobs::{JobsAt, pausing, ran, state};
use super::spending;
use crate::failure::{Exit, Failure};
use crate::report::{Zone, printable};

/// Copies that `jobs.toml` says are to be in other repositories.
#[derive(Debug, Subcommand)]
pub(crate) enum ReplicateCommand {
    /// Carry what the targets of a policy lack, and prove it there.
    Run(Run),
    /// Say what the next run of a policy would carry, and what that costs.
    Plan(Plan),
    /// Measure at the repositories how far the copies are.
    Status(StatusOf),
    /// Let a policy rest until it is resumed: the same as `jobs pause replicate.NAME`.
    Pause(pausing::Pause),
    /// Let a policy that rests go on: the same as `jobs resume replicate.NAME`.
    Resume(pausing::Resume),
}

/// Which policy, on which machine.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The policy: NAME of a section `[replicate.NAME]`.
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    here: Here,
}

/// On which machine.
#[derive(Debug, Args)]
pub(crate) struct Here {
    /// This machine stands beside that target: it carries to it where the policy says run = "target", and to no other; may be given several
    /// times. The file says the same for good: `beside` in `[defaults]`.
    #[arg(long, value_name = "TARGET")]
    beside: Vec<String>,

    #[command(flatten)]
    at: JobsAt,
}

impl Here {
    fn of(&self, policy: &Replicate) -> Replicate {
        if self.beside.is_empty() { policy.clone() } else { policy.clone().beside(&self.beside) }
    }
}

/// Carry what the targets of a policy lack, the newest snapshot first, apply the retention of each, and prove what has arrived.
///
/// A target that fails keeps no other from its copies. A run that is interrupted leaves whole snapshots only, and the next goes on.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    named: Named,

    /// Accept that snapshots have vanished at the origin, because they were meant to: remove at the targets what their own retention does not keep.
    #[arg(long)]
    accept_vanished: bool,
}

/// Say what the next run of a policy would carry to each target, and what that costs. Nothing is written.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    named: Named,
}

/// Measure at the repositories how far the copies of a policy are, or of all: what they lack, since when, and what is proven.
///
/// A copy that is longer behind than its rpo, and one of which nothing is known, end this with 1.
#[derive(Debug, Args)]
pub(crate) struct StatusOf {
    /// Only this policy.
    #[arg(value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    here: Here,
}

impl ReplicateCommand {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::Run(command) => command.run(session).await,
            Self::Plan(command) => command.run(session).await,
            Self::Status(command) => command.run(session).await,
            Self::Pause(command) => command.run(session, policy),
            Self::Resume(command) => command.run(session, policy),
        }
    }
}

/// The whole name of a policy.
fn policy<'f>(file: &'f JobsFile, name: &str) -> Result<&'f str, JobsError> {
    Ok(&file.replicate(name)?.name)
}

/// Refuses a policy of which nothing is carried by this machine: nothing would be done, and it would look done.
fn require_here(policy: &Replicate) -> Result<(), Failure> {
    if policy.is_here() {
        return Ok(());
    }
    let name = policy.short_name();
    let targets: Vec<String> = policy.targets.iter().map(|to| printable(&to.target).to_string()).collect();
    Err(Failure::new(format!("this machine carries to no target of `{name}`"))
        .because(format!("its targets are carried to by other machines: {}", targets.join(", ")))
        .hint(format!("where it stands beside one of them: credenza replicate run {name} --beside TARGET")))
}

impl Run {
    async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let Self { named: Named { name, here }, accept_vanished } = self;
        let file = here.at.read(session)?;
        let policy = here.of(file.replicate(&name)?);
        require_here(&policy)?;
        let (state, occasion) = (state(&file.path)?, Occasion::default());
        ran(session, (&file, &state), async |runner, printed, _| {
            replicate::run(runner, &policy, accept_vanished, &occasion, printed).await
        })
        .await
    }
}

impl Plan {
    async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let Named { name, here } = self.named;
        let file = here.at.read(session)?;
        let policy = here.of(file.replicate(&name)?);
        require_here(&policy)?;
        let state = state(&file.path)?;
        let runner = Runner { app: &session.app, state: &state, clock: &SystemClock, stop: &session.stop };
        for planned in replicate::plan(&runner, &policy).await? {
            session.reporter.result(&PlannedLine(&planned))?;
            if let Some(estimate) = planned.estimate {
                spending::tell(estimate, session);
            }
        }
        Ok(Exit::Done)
    }
}

impl StatusOf {
    async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let file = self.here.at.read(session)?;
        let state = state(&file.path)?;
        let runner = Runner { app: &session.app, state: &state, clock: &SystemClock, stop: &session.stop };
        let policies: Vec<&Replicate> = match &self.name {
            Some(name) => vec![file.replicate(name)?],
            None => file.replicates.values().collect(),
        };
        let mut exit = Exit::Done;
        for policy in policies {
            let status = replicate::status(&runner, &self.here.of(policy)).await?;
            let is_bad = |target: &TargetStatus| {
                target.unknown.is_some() || target.promoted.is_some() || target.kept == Kept::Broken
            };
            if status.unknown.is_some() || status.is_silent || status.targets.iter().any(is_bad) {
                exit = Exit::Failed;
            }
            session.reporter.result(&StatusLine { status, zone: &Zone::new(false) })?;
        }
        Ok(exit)
    }
}

/// What would go to one target.
#[derive(Serialize)]
#[serde(transparent)]
struct PlannedLine<'a>(&'a Planned);

impl Display for PlannedLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Planned { target, snapshots, spared, lag, .. } = self.0;
        let bytes = HumanBytes(lag.bytes);
        write!(f, "{}: {} snapshots, ", printable(target), snapshots.len())?;
        match lag.is_exact {
            true => write!(f, "{bytes} ({} bytes)", lag.bytes)?,
            false => write!(f, "about {bytes}: its keys are others, so that all of it is read and sealed anew")?,
        }
        if *spared > 0 {
            write!(f, "; {spared} more its retention does not keep")?;
        }
        for (snapshot, time) in snapshots {
            write!(f, "\n  {snapshot}")?;
            time.map_or(Ok(()), |time| write!(f, "  {time}"))?;
        }
        Ok(())
    }
}

/// How a policy stands.
#[derive(Serialize)]
#[serde(tag = "type", rename = "replication")]
struct StatusLine<'a> {
    #[serde(flatten)]
    status: Status,
    #[serde(skip)]
    zone: &'a Zone,
}

impl Display for StatusLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { name, from, newest, is_silent, is_paused, unknown, targets } = &self.status;
        write!(f, "{name}: from {}", printable(from))?;
        match (unknown, newest) {
            (Some(why), _) => write!(f, ", WHICH IS NOT KNOWN: {}", printable(why))?,
            (None, Some(newest)) => write!(f, ", newest {}", self.zone.minutes(*newest))?,
            (None, None) => f.write_str(", no snapshot")?,
        }
        if *is_silent {
            f.write_str(", SILENT: nothing new comes there")?;
        }
        if *is_paused {
            f.write_str(", paused")?;
        }
        targets.iter().try_for_each(|target| {
            f.write_str("\n  ")?;
            shown(f, target, self.zone)?;
            parted(f, from, target, self.zone)
        })
    }
}

/// That a target was promoted, and what has become of both sides since.
fn parted(f: &mut fmt::Formatter<'_>, from: &str, status: &TargetStatus, zone: &Zone) -> fmt::Result {
    let (Some(promoted), Some(divided)) = (status.promoted, &status.divided) else { return Ok(()) };
    write!(f, "; PROMOTED {}: it takes nothing from there since", zone.minutes(promoted))?;
    if divided.is_split() {
        f.write_str("; BOTH SIDES WERE WRITTEN TO")?;
    }
    let (here, there) = (divided.at_target.len(), divided.at_origin.len());
    write!(f, "; {here} snapshots are at the target alone, {there} at the origin alone")?;
    if here > 0 {
        write!(
            f,
            "; to bring those of the target there: credenza at {} sync from {}",
            shell_word(from),
            shell_word(&status.target)
        )?;
    }
    Ok(())
}

fn shown(f: &mut fmt::Formatter<'_>, status: &TargetStatus, zone: &Zone) -> fmt::Result {
    let span = |seconds: u64| HumanDuration(std::time::Duration::from_secs(seconds));
    write!(f, "{:<16} ", printable(&status.target))?;
    if let Some(why) = &status.unknown {
        return write!(f, "NOT KNOWN: {}", printable(why));
    }
    match (status.missing, status.kept) {
        (0, _) => f.write_str("has all")?,
        (missing, Kept::Kept) => write!(f, "lacks {missing} snapshots")?,
        (missing, Kept::Risk) => write!(f, "lacks {missing} snapshots, SOON TOO LONG BEHIND")?,
        (missing, Kept::Broken) => write!(f, "lacks {missing} snapshots, TOO LONG BEHIND")?,
    }
    if status.lag_seconds > 0 {
        write!(f, ", behind for {}", span(status.lag_seconds))?;
    }
    if let Some(lag) = status.lag.filter(|lag| lag.snapshots > 0) {
        let about = if lag.is_exact { "" } else { "about " };
        write!(f, ", {about}{} to carry", HumanBytes(lag.bytes))?;
    }
    if let Some(left) = status.left_seconds.filter(|_| status.missing > 0) {
        write!(f, " ({} at the rate of the last runs)", span(left))?;
    }
    match status.verified_until {
        Some(until) => write!(f, "; proven up to {}", zone.minutes(until))?,
        None => f.write_str("; nothing proven")?,
    }
    if let Some(drilled) = status.drilled {
        write!(f, "; restored for trial {}", zone.minutes(drilled))?;
    }
    match (status.lock_days, status.lock_days_asked) {
        (has, Some(asked)) if has.unwrap_or(0) < asked => {
            write!(f, "; LOCKS FOR {} DAYS OF {asked}", has.unwrap_or(0))?;
        }
        (Some(days), _) => write!(f, "; locks for {days} days")?,
        (None, _) => {}
    }
    status.locks.iter().try_for_each(|lock| write!(f, "; {}", Locked(lock)))?;
    if status.is_here { Ok(()) } else { f.write_str("; carried to by another machine") }
}

/// How long a target locks what a rule keeps.
struct Locked<'a>(&'a ClassLocked);

impl Display for Locked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClassLocked { class, days_asked, snapshots, locked, days } = self.0;
        match days {
            Some(days) if days < days_asked => {
                write!(f, "{class} LOCKED FOR {days} DAYS OF {days_asked}: {locked} of {snapshots} for as long")
            }
            Some(days) => write!(f, "{snapshots} {class} locked for {days} days"),
            None => write!(f, "no {class} to lock yet for {days_asked} days"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_of_a_rule_is_told_with_how_far_it_is_set() {
        let lock = ClassLocked { class: "monthly", days_asked: 400, snapshots: 3, locked: 1, days: Some(30) };
        assert_eq!(Locked(&lock).to_string(), "monthly LOCKED FOR 30 DAYS OF 400: 1 of 3 for as long");
        let all = ClassLocked { locked: 3, days: Some(410), ..lock };
        assert_eq!(Locked(&all).to_string(), "3 monthly locked for 410 days");
        let none = ClassLocked { snapshots: 0, locked: 0, days: None, ..all };
        assert_eq!(Locked(&none).to_string(), "no monthly to lock yet for 400 days");
    }
}
