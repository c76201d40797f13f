//! The sections `[job.NAME]` of the file of the jobs, understood: what is backed up, to where, when, and what comes with it.
//!
//! Owned here: what their values mean, hooks among them, and which go together. Refused here: their keys (`keys`), clauses that other sections have too
//! (`clauses`), what a run does (`run`). Called by `file`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use credenza_format::Policy;
use credenza_sandbox::MessageAddress;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::clauses::{self, Missed, Retry, require_name};
use super::super::guard::Guard;
use super::super::limits::Limits;
use super::super::outcome::Ending;
use super::super::reader::Part;
use super::super::schedule::Schedule;
use super::super::span::{parse_range, parse_span};
use super::{mirror, replicate, verify};
use crate::cost::{Money, budget};
use crate::units::parse_size;

/// A hook is ended after so much time where it says nothing else.
const HOOK_TIMEOUT: Duration = Duration::from_mins(10);

/// What is backed up, to where, when, and what comes with it.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// What is backed up, as it is written.
    pub sources: Vec<String>,
    /// The repository, as it is written.
    pub repository: String,
    /// When it is due.
    pub schedule: Schedule,
    /// Whether it is also run when something changes.
    pub on_change: Option<OnChange>,
    /// What becomes of runs that were due while nothing ran.
    pub missed: Missed,
    /// How a run that failed is tried again.
    pub retry: Retry,
    /// Bytes a second by the time of day.
    pub limits: Limits,
    /// What is left out.
    pub leaving_out: LeavingOut,
    /// Make no snapshot of what is as the last one has it.
    pub skip_if_unchanged: bool,
    /// Tags beside that of the job.
    pub tags: Vec<String>,
    /// Commands around the run.
    pub hooks: Vec<Hook>,
    /// Whether snapshots are removed after a good run, and by which policy.
    pub prune: Option<Prune>,
    /// Whether space is reclaimed after a good run.
    pub maintain: Option<Maintain>,
    /// The most that one run may spend.
    pub budget: Option<budget::Limits>,
    /// From when on a snapshot is suspect.
    pub guard: Option<Guard>,
    /// How old the newest good snapshot of each source may become, by the time of the store.
    pub promise: Option<Duration>,
    /// Whom each run is told, at its begin and at its end.
    pub ping: Option<MessageAddress>,
}

impl Job {
    /// The tag that its snapshots bear.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("job:{}", self.name)
    }
}

/// When a change leads to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnChange {
    /// After nothing has changed for so long.
    pub quiet: Duration,
    /// At the latest so long after the first change.
    pub longest: Duration,
}

/// What of a source is left out.
#[derive(Debug, Clone, Default)]
pub struct LeavingOut {
    /// Patterns.
    pub patterns: Vec<OsString>,
    /// Files of patterns.
    pub files: Vec<PathBuf>,
    /// What programs mark as caches.
    pub caches: bool,
    /// Larger files, in bytes.
    pub larger_than: Option<u64>,
    /// What is mounted below the source.
    pub other_file_systems: bool,
}

/// By which policy snapshots of a job are removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prune {
    /// That of the job.
    By(Policy),
    /// That of the repository.
    OfRepository,
}

/// When space is reclaimed after a good run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maintain {
    /// After each.
    Always,
    /// Where the last time is so long ago.
    After(Duration),
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Moment {
    /// Before the backup; where the hook fails, the job is not run.
    Before,
    /// After it, and what comes with it.
    After,
    /// While it is backed up, since its output is.
    During,
}

/// After which endings a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// After a run that did all.
    Done,
    /// After one that could not read everything.
    Incomplete,
    /// After one that failed.
    Failed,
    /// After each.
    Always,
}

impl When {
    const NAMES: [(&'static str, Self); 4] =
        [("done", Self::Done), ("incomplete", Self::Incomplete), ("failed", Self::Failed), ("always", Self::Always)];

    /// Whether a run that ended so is meant.
    #[must_use]
    pub const fn covers(self, ending: Ending) -> bool {
        match self {
            Self::Always => true,
            Self::Done => matches!(ending, Ending::Done),
            Self::Incomplete => matches!(ending, Ending::Incomplete),
            Self::Failed => !ending.has_backup(),
        }
    }
}

/// A command of the user's.
#[derive(Debug, Clone)]
pub struct Hook {
    /// When it runs.
    pub moment: Moment,
    /// After which endings, of one that runs after.
    pub when: Vec<When>,
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// After so much time it is ended.
    pub timeout: Option<Duration>,
    /// The name of the file that its output is backed up as.
    pub stdin_of: Option<OsString>,
}

/// One job; nothing where what it cannot do without is missing, which is noted.
pub(in crate::jobs) fn read(name: &str, part: &Part<'_>, defaults: Option<&Part<'_>>, now: Timestamp) -> Option<Job> {
    require_name(name, part, "use letters, digits, - and _, 64 at most, such as [job.shop]");
    if name.starts_with(verify::PREFIX) {
        part.problem("", "so verifications are called", "use another name, or write [verify.NAME]");
    }
    if name.starts_with(replicate::PREFIX) {
        part.problem("", "so policies of replication are called", "use another name, or write [replicate.NAME]");
    }
    if name.starts_with(mirror::PREFIX) {
        part.problem("", "so mirrors are called", "use another name, or write [replicate-bucket.NAME]");
    }
    let hooks: Vec<Hook> = part.parts("hooks").iter().filter_map(hook).collect();
    let sources: Vec<String> = part.texts("backup").into_iter().map(str::to_owned).collect();
    if sources.is_empty() && !hooks.iter().any(|hook| hook.stdin_of.is_some()) {
        part.problem(
            "backup",
            "nothing is to be backed up",
            "name folders, locations or sources: backup = [\"/srv/shop\"]",
        );
    }
    if sources.iter().any(String::is_empty) {
        part.problem("backup", "a source is empty", "name a folder, a location or @name");
    }
    let repository = part.text("to").map(str::to_owned);
    if !part.has("to") {
        part.problem("to", "no repository is named", "name one: to = \"@main\"");
    }
    let schedule = clauses::schedule(name, part, defaults, now);
    let (keep, prunes) = (clauses::keep(part), part.flag("prune"));
    let prune = match (keep, prunes) {
        (Some(policy), _) => Some(Prune::By(policy)),
        (None, true) => Some(Prune::OfRepository),
        (None, false) => None,
    };
    let maintain = match part.is_flag("maintain") {
        true => part.flag("maintain").then_some(Maintain::Always),
        false => part.parsed("maintain", parse_span).map(Maintain::After),
    };
    if part.flag("skip_if_unchanged") && part.has("promise") {
        part.problem(
            "promise",
            "it is measured by new snapshots, and skip_if_unchanged makes none of a source that is as it was",
            "leave out one of promise and skip_if_unchanged",
        );
    }
    Some(Job {
        name: name.to_owned(),
        sources,
        repository: repository?,
        schedule: schedule?,
        on_change: on_change(part),
        missed: clauses::missed_of(part, defaults),
        retry: clauses::retry_of(part, defaults),
        limits: clauses::limits_of(part, defaults),
        leaving_out: LeavingOut {
            patterns: part.texts("exclude").into_iter().map(OsString::from).collect(),
            files: part
                .texts("exclude_file")
                .into_iter()
                .filter_map(|text| part.absolute("exclude_file", text))
                .collect(),
            caches: part.flag("exclude_caches"),
            larger_than: part.parsed("exclude_larger_than", parse_size),
            other_file_systems: part.flag("one_file_system"),
        },
        skip_if_unchanged: part.flag("skip_if_unchanged"),
        tags: part.texts("tags").into_iter().map(str::to_owned).collect(),
        hooks,
        prune,
        maintain,
        budget: within(part),
        guard: Guard::read(part),
        promise: part.parsed("promise", parse_span),
        ping: None,
    })
}

fn within(part: &Part<'_>) -> Option<budget::Limits> {
    let part = part.part("budget")?;
    if !["bytes", "requests", "money"].iter().any(|bound| part.has(bound)) {
        part.problem("", "it bounds nothing", "write one or more of bytes, requests and money");
    }
    Some(budget::Limits {
        bytes: part.parsed("bytes", |text| match parse_size(text)? {
            0 => Err("nothing could be done with it: write more than 0".to_owned()),
            bytes => Ok(bytes),
        }),
        requests: part.count("requests", 1..=u32::MAX).map(u64::from),
        money: part.parsed("money", Money::parse),
    })
}

fn on_change(part: &Part<'_>) -> Option<OnChange> {
    let (quiet, longest) = part.parsed("on_change", parse_range)?;
    Some(OnChange { quiet, longest })
}

fn hook(part: &Part<'_>) -> Option<Hook> {
    let words = part.command("run");
    let stdin_of = part.text("stdin_of").map(OsString::from);
    let moment = match (part.has("before"), part.has("after"), &stdin_of) {
        (true, true, _) => {
            part.problem("after", "a hook runs before or after", "make two hooks of it");
            None
        }
        (_, true, Some(_)) => {
            part.problem("stdin_of", "what runs after the backup is not backed up", "write before = \"backup\"");
            None
        }
        (_, false, Some(_)) => Some(Moment::During),
        (true, false, None) => Some(Moment::Before),
        (false, true, None) => Some(Moment::After),
        (false, false, None) => {
            part.problem("run", "nothing says when it runs", "add before = \"backup\" or after = \"backup\"");
            None
        }
    };
    for key in ["before", "after"] {
        part.parsed(key, backup);
    }
    if part.has("when") && !part.has("after") {
        part.problem("when", "it is for hooks that run after", "leave it out, or write after = \"backup\"");
    }
    let when = match part.has("when") {
        true => {
            part.texts("when").into_iter().filter_map(|text| part.understood("when", text, parse_when(text))).collect()
        }
        false => vec![When::Done, When::Incomplete],
    };
    let timeout = part.parsed("timeout", parse_span).or_else(|| stdin_of.is_none().then_some(HOOK_TIMEOUT));
    let mut words = words.into_iter().map(OsString::from);
    Some(Hook { moment: moment?, when, program: words.next()?, arguments: words.collect(), timeout, stdin_of })
}

/// The one thing that hooks run around.
fn backup(text: &str) -> Result<(), String> {
    if text == "backup" { Ok(()) } else { Err("hooks run around the backup: write \"backup\"".to_owned()) }
}

fn parse_when(text: &str) -> Result<When, String> {
    let found = When::NAMES.into_iter().find(|(name, _)| *name == text).map(|(_, when)| when);
    found.ok_or_else(|| "it is no ending: write done, incomplete, failed or always".to_owned())
}
