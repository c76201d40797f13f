//! Jobs and runs as lines, for people and as JSON.

use std::fmt::{self, Display};
use std::path::PathBuf;

use credenza_app::cost::Bill;
use credenza_app::jobs::log::Past;
use credenza_app::jobs::needs::Measured;
use credenza_app::jobs::promise::{Kept, Standing};
use credenza_app::jobs::{Ending, Mirrored, Replicated, Step, Work};
use credenza_model::{SnapshotId, Timestamp};
use indicatif::HumanBytes;
use serde::Serialize;

use crate::report::{Zone, brief, printable};

/// Digits of a snapshot's id in a line.
const DIGITS: usize = 8;
/// What is told of the command that has the last run of many machines begin.
pub(super) const BEGIN_LAST: &str = "this waits until all have ended, and lets the last run begin";

/// The end of `jobs check`.
#[derive(Serialize)]
#[serde(tag = "type", rename = "checked")]
pub(super) struct CheckedLine {
    pub(super) path: PathBuf,
    pub(super) jobs: usize,
    pub(super) lacking: usize,
}

impl Display for CheckedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = printable(&self.path.display().to_string());
        match (self.jobs, self.lacking) {
            (0, _) => write!(f, "{path} is sound, and has no job"),
            (1, 0) => write!(f, "{path} is sound: 1 job, which has what it needs"),
            (jobs, 0) => write!(f, "{path} is sound: {jobs} jobs, which have what they need"),
            (_, lacking) => write!(f, "{path} is sound, and {lacking} of what its jobs need cannot be had"),
        }
    }
}

/// A run to come.
#[derive(Serialize)]
#[serde(tag = "type", rename = "planned")]
pub(super) struct PlanLine<'a> {
    job: &'a str,
    at: Timestamp,
    /// What its last run has spent.
    cost: Option<&'a Bill>,
    #[serde(skip)]
    shown: String,
}

impl<'a> PlanLine<'a> {
    pub(super) fn new(job: &'a str, at: Timestamp, cost: Option<&'a Bill>, zone: &Zone) -> Self {
        Self { job, at, cost, shown: zone.seconds(at) }
    }
}

impl Display for PlanLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.shown, self.job)?;
        self.cost.map_or(Ok(()), |bill| write!(f, "  as last: {}", bill.told(|bytes| HumanBytes(bytes).to_string())))
    }
}

/// What all runs to come spend in one repository, if each spends what the last of its job did.
#[derive(Serialize)]
#[serde(tag = "type", rename = "planned-cost")]
pub(super) struct PlannedCostLine<'a> {
    pub(super) repository: &'a str,
    pub(super) days: u16,
    pub(super) runs: u64,
    /// Runs of jobs that have not run yet, which are not in the sum.
    pub(super) unknown: u64,
    pub(super) cost: Bill,
}

impl Display for PlannedCostLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, days, runs, unknown, cost } = self;
        let told = cost.told(|bytes| HumanBytes(bytes).to_string());
        write!(f, "{days} days to {}: {runs} runs, {told}", printable(repository))?;
        if *unknown > 0 { write!(f, "; {unknown} of them have not run yet and are not counted") } else { Ok(()) }
    }
}

/// A job or a verification in a list.
#[derive(Serialize)]
#[serde(tag = "type", rename = "job")]
pub(super) struct JobLine<'a> {
    name: &'a str,
    /// `backup` or `verify`.
    does: &'static str,
    sources: &'a [String],
    repository: &'a str,
    schedule: String,
    paused: bool,
    running: bool,
    last: Option<Past>,
    next: Option<Timestamp>,
    #[serde(skip)]
    shown: (String, String),
}

impl<'a> JobLine<'a> {
    pub(super) fn new(
        work: Work<'a>,
        last: Option<Past>,
        next: Option<Timestamp>,
        (paused, running): (bool, bool),
        zone: &Zone,
    ) -> Self {
        let before = last.as_ref().map_or_else(
            || "never ran".to_owned(),
            |past| format!("last {}: {}", zone.minutes(past.began), ended(past, running)),
        );
        let coming = next.map_or_else(|| "never again".to_owned(), |next| format!("next {}", zone.minutes(next)));
        let (does, sources) = match work {
            Work::Job(job) => ("backup", job.sources.as_slice()),
            Work::Verify(_) => ("verify", [].as_slice()),
            Work::Replicate(_) => ("replicate", [].as_slice()),
            Work::Mirror(mirror) => ("mirror", std::slice::from_ref(&mirror.from)),
        };
        Self {
            name: work.name(),
            does,
            sources,
            repository: work.repository(),
            schedule: work.schedule().to_string(),
            paused,
            running,
            last,
            next,
            shown: (before, if paused { "paused".to_owned() } else { coming }),
        }
    }
}

impl Display for JobLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = if self.running { "; at work now" } else { "" };
        let (repository, (before, coming)) = (printable(self.repository), &self.shown);
        let way = match self.does {
            "verify" => "reads",
            "replicate" => "from",
            _ => "to",
        };
        write!(f, "{:<16} {} {way} {repository}; {before}; {coming}{running}", self.name, self.schedule)
    }
}

/// How a run ended, in words.
fn ended(past: &Past, is_under_way: bool) -> String {
    let ending = past.ending.map(word);
    let reason = past.reason.as_deref().map(brief);
    match (ending, reason) {
        (Some(ending), None) => ending.to_owned(),
        (Some(ending), Some(reason)) => format!("{ending} ({reason})"),
        (None, Some(reason)) => reason,
        (None, None) if is_under_way => "at work".to_owned(),
        (None, None) => word(Ending::Lost).to_owned(),
    }
}

/// The word for an ending.
pub(crate) const fn word(ending: Ending) -> &'static str {
    ending.name()
}

/// A run that was.
#[derive(Serialize)]
#[serde(tag = "type", rename = "run")]
pub(super) struct PastLine<'a> {
    #[serde(flatten)]
    past: Past,
    running: bool,
    #[serde(skip)]
    zone: &'a Zone,
}

impl<'a> PastLine<'a> {
    pub(super) const fn new(past: Past, is_under_way: bool, zone: &'a Zone) -> Self {
        Self { past, running: is_under_way, zone }
    }
}

impl Display for PastLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { past, running, zone } = self;
        write!(f, "{}  {:<16} {}", zone.seconds(past.began), past.job, ended(past, *running))?;
        if past.missed > 0 {
            write!(f, "; {} due times before it passed without a run", past.missed)?;
        }
        past.steps.iter().try_for_each(|step| write!(f, "\n    {}", StepLine { step }))
    }
}

/// Something that a run did.
#[derive(Serialize)]
#[serde(tag = "type", rename = "step")]
pub(crate) struct StepLine<'a> {
    #[serde(flatten)]
    pub(crate) step: &'a Step,
}

impl Display for StepLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Step::BackedUp { source, snapshot, entries, errors, bytes_read, bytes_added } => {
                let made = snapshot
                    .as_ref()
                    .map_or_else(|| "nothing has changed".to_owned(), |id| format!("snapshot {}", short(id)));
                let (source, read, added) = (printable(source), HumanBytes(*bytes_read), HumanBytes(*bytes_added));
                write!(f, "backed up  {source}: {made}, {entries} entries, {read} read, {added} added")?;
                if *errors > 0 { write!(f, ", {errors} could not be read") } else { Ok(()) }
            }
            Step::Found { source, snapshot, errors } => {
                let (source, id) = (printable(source), short(snapshot));
                write!(f, "found      {source}: snapshot {id} of a run that was broken off")?;
                if *errors > 0 { write!(f, ", {errors} could not be read") } else { Ok(()) }
            }
            Step::Pruned { kept, removed } => write!(f, "pruned     {kept} snapshots kept, {removed} removed"),
            Step::Maintained { bytes_freed } => write!(f, "maintained {} freed", HumanBytes(*bytes_freed)),
            Step::Verified { packs, packs_read, bytes_read, damages, packs_due, oldest, all_in } => {
                let found = if *damages == 0 { "no damage".to_owned() } else { format!("{damages} DAMAGES") };
                write!(f, "verified   {packs_read} of {packs} packs read, {}: {found}", HumanBytes(*bytes_read))?;
                if *packs_due > 0 {
                    write!(f, "; {packs_due} wait for the next run (all is read in {})", days(*all_in))?;
                }
                oldest.map_or(Ok(()), |oldest| write!(f, "; none was read before {oldest}"))
            }
            Step::Drilled { snapshot: None, .. } => f.write_str("drilled    there is no snapshot to restore"),
            Step::Drilled { snapshot: Some(snapshot), entries, bytes, errors } => {
                let (bytes, id) = (HumanBytes(*bytes), short(snapshot));
                write!(f, "drilled    {entries} entries of {id} restored for trial, {bytes}")?;
                match (entries, errors) {
                    (0, 0) => f.write_str(": NOTHING FITS THE SAMPLE"),
                    (_, 0) => f.write_str(": all as it was"),
                    (_, errors) => write!(f, ": {errors} DID NOT COME BACK"),
                }
            }
            Step::Hooked { program, output } => {
                write!(f, "hook       {}", printable(program))?;
                let last = output.trim_end().lines().next_back().unwrap_or_default();
                if last.is_empty() { Ok(()) } else { write!(f, ": {}", brief(last)) }
            }
            Step::Spent { bill } => write!(f, "spent      {}", bill.told(|bytes| HumanBytes(bytes).to_string())),
            Step::Suspect { source, snapshot, reason } => {
                let (source, id) = (printable(source), short(snapshot));
                write!(
                    f,
                    "SUSPECT    {source}: snapshot {id}: {}; nothing of it is removed until you have looked and say so: credenza jobs acknowledge {id}",
                    brief(reason)
                )
            }
            Step::Held { removals, delete_max } => {
                write!(
                    f,
                    "held       {removals} snapshots were to be removed, and delete_max is {delete_max}: none was; look at them with `credenza prune`"
                )
            }
            Step::Replicated(done) => replicated(done, f),
            Step::Proven { target, until, packs_read, damages } => {
                let proven = until.map_or_else(
                    || "NOTHING IS PROVEN".to_owned(),
                    |until| format!("proven up to the snapshot of {until}"),
                );
                write!(f, "proved     {}: {proven}, {packs_read} packs read", printable(target))?;
                if *damages > 0 { write!(f, ": {damages} DAMAGES") } else { Ok(()) }
            }
            Step::Vanished { target, gone, vanish_max } => write!(
                f,
                "held       {}: {gone} snapshots are gone at the origin since the last run, and vanish_max is {vanish_max}: nothing is removed",
                printable(target)
            ),
            Step::Mirrored(done) => mirrored(done, f),
            Step::Failed { doing, reason } => write!(f, "failed     {}: {}", brief(doing), brief(reason)),
        }
    }
}

/// The first digits of an id.
fn short(id: &SnapshotId) -> String {
    let mut text = id.to_string();
    text.truncate(DIGITS);
    text
}

/// What was carried to a target.
fn replicated(replicated: &Replicated, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Replicated { target, copied, bytes, lacking, behind_since, .. } = replicated;
    let (target, bytes) = (printable(target), HumanBytes(*bytes));
    write!(f, "replicated {target}: {copied} snapshots copied, {bytes} carried")?;
    if *lacking > 0 {
        write!(f, "; IT LACKS {lacking} STILL")?;
    }
    behind_since.map_or(Ok(()), |since| write!(f, ", behind since {since}"))
}

/// What was done at a target of a mirror.
fn mirrored(mirrored: &Mirrored, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Mirrored { cut, new, changed, same, removed, .. } = mirrored;
    let (target, cut) = (printable(&mirrored.target), short(cut));
    if mirrored.held.is_some() {
        return write!(f, "LEFT       {target}: nothing was done there, it is not {cut}");
    }
    let bytes = HumanBytes(mirrored.bytes);
    write!(
        f,
        "mirrored   {target}: cut {cut}, {new} new, {changed} changed, {removed} removed, {same} as they were, {bytes}"
    )?;
    let notes = [
        (mirrored.kept, "kept that the source no longer has"),
        (mirrored.missing, "had been removed there"),
        (mirrored.foreign, "of somebody else's replaced"),
        (mirrored.extra, "there that are nobody's"),
        (mirrored.lacking, "LACKING"),
    ];
    notes.iter().filter(|(count, _)| *count > 0).try_for_each(|(count, text)| write!(f, "; {count} {text}"))?;
    let lost = &mirrored.lost;
    lost.iter().try_for_each(|(name, count)| write!(f, "\n    not held: {} of {count} objects", printable(name)))
}

/// A job that rests, or goes on.
#[derive(Serialize)]
#[serde(tag = "type", rename = "pause")]
pub(super) struct PauseLine<'a> {
    job: &'a str,
    paused: bool,
    until: Option<Timestamp>,
    #[serde(skip)]
    shown: Option<String>,
}

impl<'a> PauseLine<'a> {
    pub(super) fn new(job: &'a str, paused: bool, until: Option<Timestamp>, zone: &Zone) -> Self {
        Self { job, paused, until, shown: until.map(|until| zone.minutes(until)) }
    }
}

impl Display for PauseLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.paused, &self.shown) {
            (false, _) => write!(f, "the job `{}` goes on", self.job),
            (true, Some(until)) => write!(f, "the job `{}` is paused until {until}", self.job),
            (true, None) => write!(f, "the job `{0}` is paused until: credenza jobs resume {0}", self.job),
        }
    }
}

/// A unit that was printed or written.
#[derive(Serialize)]
#[serde(tag = "type", rename = "unit")]
pub(super) struct UnitLine {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<PathBuf>,
    /// The command that has the last run of it begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) begin_last: Option<String>,
}

impl Display for UnitLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begin_last = self.begin_last.as_ref().map(|command| format!("{BEGIN_LAST}: {command}"));
        match (&self.text, &self.path) {
            (Some(text), _) => {
                writeln!(f, "# {}", self.name)?;
                begin_last.map_or(Ok(()), |told| writeln!(f, "# {told}"))?;
                f.write_str(text)
            }
            (None, Some(path)) => {
                write!(f, "wrote {}", printable(&path.display().to_string()))?;
                begin_last.map_or(Ok(()), |told| write!(f, "\n{told}"))
            }
            (None, None) => f.write_str(&self.name),
        }
    }
}

/// How a promise stands.
#[derive(Serialize)]
#[serde(tag = "type", rename = "promise")]
pub(super) struct PromiseLine {
    #[serde(flatten)]
    standing: Standing,
    #[serde(skip)]
    shown: Option<String>,
}

impl PromiseLine {
    pub(super) fn new(standing: Standing, zone: &Zone) -> Self {
        let shown = standing.time.map(|time| zone.minutes(time));
        Self { standing, shown }
    }
}

impl Display for PromiseLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Standing { job, source, slack, kept, .. } = &self.standing;
        let kept = kept_word(*kept);
        write!(f, "{kept:<8} {job:<16} {}: ", printable(source))?;
        match (&self.shown, *slack) {
            (None, _) => f.write_str("there is no good snapshot"),
            (Some(time), slack @ ..0) => {
                write!(f, "newest good snapshot {time}, {} too old", hours(slack.unsigned_abs()))
            }
            (Some(time), slack) => write!(f, "newest good snapshot {time}, good for {}", hours(slack.unsigned_abs())),
        }
    }
}

/// How a promise with numbers stands.
#[derive(Serialize)]
#[serde(tag = "type", rename = "needs")]
pub(super) struct NeedsLine {
    #[serde(flatten)]
    pub(super) measured: Measured,
}

impl Display for NeedsLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured { promise, source, kept, lacks, copies } = &self.measured;
        let lacks = if lacks.is_empty() { String::new() } else { format!(": {}", lacks.join("; ")) };
        write!(f, "{:<8} {promise:<16} {}{lacks}", kept_word(*kept), printable(source))?;
        for copy in copies {
            let (repository, provider, region) =
                (printable(&copy.repository), printable(&copy.provider), printable(&copy.region));
            let ago = |age: Option<u64>| age.map_or_else(|| "never".to_owned(), |age| format!("{} ago", hours(age)));
            let locked = if copy.is_immutable { ", locked" } else { "" };
            write!(f, "\n    {repository} with {provider} in {region}{locked}: made {}", ago(Some(copy.age)))?;
            write!(f, ", read whole {}, restored {}", ago(copy.verified), ago(copy.restored))?;
        }
        Ok(())
    }
}

const fn kept_word(kept: Kept) -> &'static str {
    match kept {
        Kept::Kept => "kept",
        Kept::Risk => "AT RISK",
        Kept::Broken => "BROKEN",
    }
}

/// Whole days, rounded up.
fn days(seconds: u64) -> String {
    match seconds.div_ceil(86_400) {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

/// Hours and minutes.
fn hours(seconds: u64) -> String {
    format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60)
}

/// The schema of the file.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct SchemaLine(pub(super) serde_json::Value);

impl Display for SchemaLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_the_last_run_begins_is_told_with_what_a_platform_is_given() {
        let line = |text: Option<&str>, path: Option<&str>| UnitLine {
            name: "kubernetes.json".to_owned(),
            text: text.map(str::to_owned),
            path: path.map(PathBuf::from),
            begin_last: Some("kubectl patch".to_owned()),
        };
        let printed = line(Some("{}\n"), None).to_string();
        assert_eq!(printed, format!("# kubernetes.json\n# {BEGIN_LAST}: kubectl patch\n{{}}\n"));
        let written = line(None, Some("/there")).to_string();
        assert_eq!(written, format!("wrote /there\n{BEGIN_LAST}: kubectl patch"));
    }
}
