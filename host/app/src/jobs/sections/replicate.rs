//! The sections `[replicate.NAME]` of the file of the jobs, understood: policies between repositories.
//!
//! Owned here: what their values mean, and which policies contradict each other: two that write one target from different origins, a target that is the
//! origin, loops. Refused here: carrying (`jobs::replicate`), and whether the repositories can be had (`preflight`).
//!
//! Where a target is carried to: a file without `defaults.beside` stands at the origin and carries to the targets with `run = "source"`. One with it stands
//! beside those targets and carries to those of them with `run = "target"`, and to no other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use credenza_engine::copies::{ClassLock, Meant, Prove};
use credenza_engine::retention::Bucket;
use credenza_format::Policy;
use jiff::Timestamp;

use super::super::clauses::{self, Missed, Retry, WAYS};
use super::super::limits::Limits;
use super::super::reader::Part;
use super::super::schedule::{Schedule, Times};
use super::super::span::parse_span;

/// What the names of policies begin with.
pub(in crate::jobs) const PREFIX: &str = "replicate.";
/// How often a policy is run that says nothing of it; it also follows each backup into its origin.
const EVERY: Duration = Duration::from_hours(1);
/// A day, which locks are counted in.
const DAY: u64 = 86_400;
/// The longest lock: 100 years.
const LOCK_DAYS_MAX: u32 = 36_600;

/// One policy.
#[derive(Debug, Clone)]
pub struct Replicate {
    /// Its name: `replicate.NAME`.
    pub name: String,
    /// The origin, as it is written.
    pub from: String,
    /// Sources, as they are written: patterns, and `@name` of the configuration; hosts and tags.
    pub selection: Meant,
    /// More snapshots may not vanish at the origin between two runs: nothing is removed at a target then.
    pub vanish_max: Option<u32>,
    /// The origin is silent where its newest snapshot is older.
    pub silent: Option<Duration>,
    /// Where its snapshots go, in the order of the file.
    pub targets: Vec<To>,
    /// When it is due.
    pub schedule: Schedule,
    /// Whether it is also run after each backup into its origin.
    pub follows: bool,
    /// What becomes of runs that were due while nothing ran.
    pub missed: Missed,
    /// How a run that failed is tried again.
    pub retry: Retry,
    /// Bytes a second by the time of day.
    pub limits: Limits,
}

impl Replicate {
    /// Its name in the file.
    #[must_use]
    pub fn short_name(&self) -> &str {
        self.name.strip_prefix(PREFIX).unwrap_or(&self.name)
    }

    /// Whether this machine carries to any of its targets.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.targets.iter().any(|to| to.is_here)
    }

    /// The same on a machine beside these targets.
    #[must_use]
    pub fn beside(mut self, targets: &[String]) -> Self {
        for to in &mut self.targets {
            to.is_here = to.runs.is_here(&to.target, targets);
        }
        self
    }
}

/// One target of a policy.
#[derive(Debug, Clone)]
pub struct To {
    /// The repository, as it is written.
    pub target: String,
    /// Which machine carries to it.
    pub runs: RunsAt,
    /// Whether that is this one.
    pub is_here: bool,
    /// The copy is behind for no longer.
    pub rpo: Option<Duration>,
    /// Which snapshots it keeps.
    pub keep: Keep,
    /// For so many days at least it is to lock what is stored.
    pub lock_days: Option<u32>,
    /// And for so many what a rule of its retention keeps.
    pub locks: Vec<ClassLock>,
    /// What proves what has arrived.
    pub prove: Proving,
}

/// Which machine carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunsAt {
    /// The one that has the origin, which can write to the target.
    Source,
    /// One beside the target, for which it is enough to read the origin.
    Target,
}

impl RunsAt {
    fn is_here(self, target: &str, beside: &[String]) -> bool {
        match self {
            Self::Source => beside.is_empty(),
            Self::Target => beside.iter().any(|beside| beside == target),
        }
    }
}

/// Which snapshots a target keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// All that it ever gets.
    All,
    /// What the policy of the origin keeps.
    Same,
    /// What this one keeps.
    By(Policy),
}

/// What proves what has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proving {
    /// Packs are listed in their sizes.
    List,
    /// Packs are read once.
    Audit,
    /// They are listed, and a sample is restored for trial so often.
    Drill(Duration),
}

impl Proving {
    /// What proves a pack.
    #[must_use]
    pub const fn of_packs(self) -> Prove {
        match self {
            Self::List | Self::Drill(_) => Prove::List,
            Self::Audit => Prove::Read,
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        const REMEDY: &str = "write list, audit, or drill with how often, such as drill:30d";
        match text.split_once(':') {
            None if text == "list" => Ok(Self::List),
            None if text == "audit" => Ok(Self::Audit),
            Some(("drill", span)) => parse_span(span).map(Self::Drill),
            _ => Err(format!("it proves nothing: {REMEDY}")),
        }
    }
}

/// Reads all policies at the top of a file.
pub(in crate::jobs) fn read(top: &Part<'_>, defaults: Option<&Part<'_>>, now: Timestamp) -> Vec<Replicate> {
    let beside: Vec<String> =
        defaults.map(|defaults| defaults.texts("beside")).unwrap_or_default().into_iter().map(str::to_owned).collect();
    let parts = top.named_parts("replicate");
    let read = |(name, part): &(&str, Part<'_>)| policy(name, part, (defaults, &beside), now);
    let policies: Vec<Replicate> = parts.iter().filter_map(read).collect();
    contradictions(&policies, &parts);
    policies
}

fn policy(
    name: &str,
    part: &Part<'_>,
    (defaults, beside): (Option<&Part<'_>>, &[String]),
    now: Timestamp,
) -> Option<Replicate> {
    clauses::require_name(name, part, "use letters, digits, - and _, 64 at most, such as [replicate.main]");
    let name = format!("{PREFIX}{name}");
    let from = part.text("from").map(str::to_owned);
    if !part.has("from") {
        part.problem("from", "no repository is named whose snapshots go", "name one: from = \"@main\"");
    }
    let parts = part.parts("to");
    if parts.is_empty() {
        let remedy = format!("add: [[{name}.to]] with target = \"@paris\"");
        part.problem("to", "its snapshots go nowhere", &remedy);
    }
    let targets: Vec<To> = parts.iter().filter_map(|part| target(part, from.as_deref(), beside)).collect();
    let schedule = match WAYS.iter().any(|way| part.has(way)) {
        true => clauses::schedule(&name, part, defaults, now)?,
        false => clauses::timed(&name, Times::Every(EVERY), part, defaults),
    };
    Some(Replicate {
        from: from?,
        selection: part.part("where").map(|part| selection(&part)).unwrap_or_default(),
        vanish_max: part.part("guard").and_then(|guard| guard.count("vanish_max", 0..=u32::MAX)),
        silent: part.parsed("silent", parse_span),
        targets,
        schedule,
        follows: !WAYS.iter().any(|way| part.has(way)),
        missed: clauses::missed_of(part, defaults),
        retry: clauses::retry_of(part, defaults),
        limits: clauses::limits_of(part, defaults),
        name,
    })
}

fn selection(part: &Part<'_>) -> Meant {
    let texts = |key: &str| part.texts(key).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let (left_out, tags): (Vec<String>, Vec<String>) = texts("tag").into_iter().partition(|tag| tag.starts_with('!'));
    let tags_left_out = left_out.iter().filter_map(|tag| tag.strip_prefix('!')).map(str::to_owned).collect();
    Meant { sources: texts("source"), hosts: texts("host"), tags, tags_left_out }
}

fn target(part: &Part<'_>, from: Option<&str>, beside: &[String]) -> Option<To> {
    if !part.has("target") {
        part.problem("target", "no repository is named that the snapshots go to", "name one: target = \"@paris\"");
    }
    let target = part.text("target")?.to_owned();
    if from == Some(&*target) {
        let remedy = "name another repository, which stands elsewhere";
        part.problem("target", "it is the repository that the snapshots come from", remedy);
    }
    let runs = part.parsed("run", |text| match text {
        "source" => Ok(RunsAt::Source),
        "target" => Ok(RunsAt::Target),
        _ => Err("it is no such word: write source or target".to_owned()),
    });
    let runs = runs.unwrap_or(RunsAt::Source);
    let keep = keep(part);
    let (lock_days, locks) = match part.is_text("lock") {
        true => (part.parsed("lock", parse_days), Vec::new()),
        false => (None, class_locks(part, &keep)),
    };
    Some(To {
        is_here: runs.is_here(&target, beside),
        target,
        runs,
        rpo: part.parsed("rpo", parse_span),
        keep,
        lock_days,
        locks,
        prove: part.parsed("prove", Proving::parse).unwrap_or(Proving::List),
    })
}

/// Days that a lock lasts, of which none is cut; it may be longer than any other span.
fn parse_days(text: &str) -> Result<u32, String> {
    let days = [("d", 1), ("w", 7), ("y", 366)].iter().find_map(|(unit, days)| {
        let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*days)
    });
    match days {
        Some(days) if (1..=LOCK_DAYS_MAX).contains(&days) => Ok(days),
        Some(_) => Err("it is not between 1d and 100y: write a number and d, w or y, such as 400d or 7y".to_owned()),
        None => parse_span(text).map(|span| u32::try_from(span.as_secs().div_ceil(DAY)).unwrap_or(LOCK_DAYS_MAX)),
    }
}

/// For how long what the rules keep is locked; a rule that the retention has not is a mistake.
fn class_locks(part: &Part<'_>, keep: &Keep) -> Vec<ClassLock> {
    let Some(lock) = part.part("lock") else { return Vec::new() };
    let mut locks = Vec::new();
    for class in [Bucket::Hour, Bucket::Day, Bucket::Week, Bucket::Month, Bucket::Year] {
        let name = class.name();
        let Some(days) = lock.parsed(name, parse_days) else { continue };
        let is_kept = |policy: &Policy| policy.counts().any(|(rule, count)| rule == name && count > 0);
        match keep {
            Keep::By(policy) if !is_kept(policy) => {
                lock.problem(name, &format!("nothing is kept as {name} there"), &format!("add {name} to keep"));
            }
            Keep::All => {
                let remedy =
                    format!("write how many, such as keep = {{ {name} = 12 }}, or one lock for all: lock = \"30d\"");
                lock.problem(name, "all is kept there, by no rule", &remedy);
            }
            Keep::By(_) | Keep::Same => locks.push(ClassLock { class, days }),
        }
    }
    locks
}

fn keep(part: &Part<'_>) -> Keep {
    if !part.is_text("keep") {
        return clauses::keep(part).map_or(Keep::All, Keep::By);
    }
    let word = part.parsed("keep", |text| match text {
        "all" => Ok(Keep::All),
        "same" => Ok(Keep::Same),
        _ => Err("it is no such word: write all, same, or how many, such as { monthly = 24 }".to_owned()),
    });
    word.unwrap_or(Keep::All)
}

/// Notes which policies contradict each other, at the later of two.
fn contradictions(policies: &[Replicate], parts: &[(&str, Part<'_>)]) {
    let part_of =
        |policy: &Replicate| parts.iter().find(|(name, _)| *name == policy.short_name()).map(|(_, part)| part);
    let mut written: BTreeMap<&str, &Replicate> = BTreeMap::new();
    let mut ways: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for policy in policies {
        let Some(part) = part_of(policy) else { continue };
        for to in &policy.targets {
            match written.get(&*to.target) {
                Some(other) if other.from != policy.from => {
                    let what = format!(
                        "`{}` goes there from {} already, and a copy is of one repository",
                        other.name, other.from
                    );
                    part.problem("to", &what, &format!("make another target for {}", policy.from));
                }
                Some(other) => {
                    let what = format!("{} is a target of `{}` already", to.target, other.name);
                    part.problem("to", &what, "name each target once");
                }
                None => drop(written.insert(&to.target, policy)),
            }
            if to.target != policy.from && leads(&ways, &to.target, &policy.from) {
                let what = format!("snapshots would go round: {} leads back to {}", to.target, policy.from);
                part.problem("to", &what, "let copies go one way");
            }
            ways.entry(&policy.from).or_default().insert(&to.target);
        }
    }
}

/// Whether snapshots that are in one repository come to another.
fn leads<'a>(ways: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str, to: &str) -> bool {
    let (mut reached, mut left) = (BTreeSet::new(), vec![from]);
    while let Some(place) = left.pop() {
        if place == to {
            return true;
        }
        if reached.insert(place) {
            left.extend(ways.get(place).into_iter().flatten());
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::error::JobsError;
    use super::super::super::file::{JobsFile, Work};
    use super::*;

    fn parse(text: &str) -> Result<JobsFile, JobsError> {
        let text = format!("version = 1\n{text}\n");
        JobsFile::parse(Path::new("jobs.toml"), &text, "2027-01-01T00:00:00Z".parse().unwrap())
    }

    const WHOLE: &str = r#"
[replicate.main]
from = "@main"
where = { source = "@shop*", tag = ["!scratch", "nightly"], host = "web-*" }
guard = { vanish_max = 5 }
silent = "26h"
[[replicate.main.to]]
target = "@paris"
rpo = "1h"
keep = "same"
lock = "14d"
prove = "audit"
[[replicate.main.to]]
target = "@frankfurt"
run = "target"
rpo = "24h"
keep = { monthly = 24, yearly = 7 }
prove = "drill:30d"
"#;

    #[test]
    fn a_whole_policy_is_understood_and_runs_hourly_and_behind_each_backup_unless_it_says_when() {
        let file = parse(WHOLE).unwrap();
        let policy = &file.replicates["replicate.main"];
        assert_eq!((&*policy.from, policy.vanish_max, policy.follows), ("@main", Some(5), true));
        assert_eq!(policy.schedule.to_string(), "every 1h");
        assert_eq!(policy.selection.tags_left_out, ["scratch"]);
        assert_eq!(
            (&policy.selection.tags[..], &policy.selection.hosts[..]),
            (&["nightly".to_owned()][..], &["web-*".to_owned()][..])
        );
        let [paris, frankfurt] = policy.targets.as_slice() else { panic!("{:?}", policy.targets) };
        assert_eq!((&paris.keep, paris.lock_days, paris.prove), (&Keep::Same, Some(14), Proving::Audit));
        assert_eq!((paris.rpo, paris.is_here), (Some(Duration::from_hours(1)), true));
        assert!(matches!(&frankfurt.keep, Keep::By(policy) if (policy.monthly, policy.yearly) == (24, 7)));
        assert_eq!((frankfurt.prove, frankfurt.is_here), (Proving::Drill(Duration::from_hours(720)), false));
        assert!(matches!(file.work("replicate.main"), Ok(Work::Replicate(_))));
        assert!(file.replicate("main").is_ok() && file.replicate("replicate.main").is_ok());
        assert!(
            matches!(file.replicate("mian"), Err(JobsError::UnknownJob { near: Some(near), .. }) if near == "main")
        );
        let timed = parse(&WHOLE.replace("silent =", "at = \"02:30\"\nsilent =")).unwrap();
        assert!(!timed.replicates["replicate.main"].follows);
    }

    #[test]
    fn a_machine_beside_a_target_carries_to_that_and_to_no_other() {
        let file = parse(&format!("[defaults]\nbeside = \"@frankfurt\"\n{WHOLE}")).unwrap();
        let here: Vec<bool> = file.replicates["replicate.main"].targets.iter().map(|to| to.is_here).collect();
        assert_eq!(here, [false, true]);
        let elsewhere = parse(&format!("[defaults]\nbeside = \"@oslo\"\n{WHOLE}")).unwrap();
        assert!(elsewhere.works().next().is_none() && elsewhere.replicate("main").is_ok());
        let beside = parse(WHOLE).unwrap().replicates["replicate.main"].clone().beside(&["@frankfurt".to_owned()]);
        assert_eq!(beside.targets.iter().map(|to| to.is_here).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_policy_that_cannot_be_meant_names_line_key_and_remedy() {
        let to = |target: &str| format!("[[replicate.a.to]]\ntarget = \"{target}\"\n");
        for (lines, part) in [
            (
                "[replicate.a]\nfrom = \"@m\"".to_owned(),
                "line 2, `replicate.a.to`: its snapshots go nowhere; add: [[replicate.a.to]]",
            ),
            (format!("[replicate.a]\n{}", to("@p")), "`replicate.a.from`: no repository is named"),
            (
                format!("[replicate.a]\nfrom = \"@m\"\n{}", to("@m")),
                "line 5, `replicate.a.to.target`: it is the repository that the snapshots come from",
            ),
            (
                format!("[replicate.a]\nfrom = \"@m\"\n{}rpp = \"1h\"", to("@p")),
                "line 6, `replicate.a.to.rpp`: there is no such key; did you mean `rpo`?",
            ),
            (
                format!("[replicate.a]\nfrom = \"@m\"\n{}prove = \"hope\"", to("@p")),
                "write list, audit, or drill with how often",
            ),
            (format!("[replicate.a]\nfrom = \"@m\"\n{}keep = \"some\"", to("@p")), "write all, same, or how many"),
            (format!("[replicate.a]\nfrom = \"@m\"\n{}keep = {{ }}", to("@p")), "it keeps nothing"),
            (format!("[replicate.a]\nfrom = \"@m\"\n{}run = \"there\"", to("@p")), "write source or target"),
            (
                format!("[replicate.a]\nfrom = \"@m\"\n{}lock = {{ monthly = \"400d\" }}", to("@p")),
                "all is kept there, by no rule; write how many, such as keep = { monthly = 12 }",
            ),
            (
                format!(
                    "[replicate.a]\nfrom = \"@m\"\n{}keep = {{ daily = 3 }}\nlock = {{ yearly = \"7y\" }}",
                    to("@p")
                ),
                "nothing is kept as yearly there; add yearly to keep",
            ),
            (
                format!("[replicate.a]\nfrom = \"@m\"\n{}{}", to("@p"), to("@p")),
                "is a target of `replicate.a` already; name each target once",
            ),
            (
                "[job.\"replicate.a\"]\nto = \"/r\"\nbackup = \"/a\"\nat = \"02:30\"".to_owned(),
                "so policies of replication are called",
            ),
        ] {
            let said = parse(&lines).unwrap_err().to_string();
            assert!(said.contains(part), "{lines}: {said}");
        }
    }

    #[test]
    fn what_a_rule_keeps_may_be_locked_for_longer() {
        let policy = "[replicate.a]\nfrom = \"@m\"\n[[replicate.a.to]]\ntarget = \"@p\"\n";
        let file = parse(&format!(
            "{policy}keep = {{ daily = 3, monthly = 24 }}\nlock = {{ monthly = \"400d\", daily = \"7y\" }}"
        ))
        .unwrap();
        let to = &file.replicate("a").unwrap().targets[0];
        assert_eq!(
            (to.lock_days, to.locks.as_slice()),
            (
                None,
                &[ClassLock { class: Bucket::Day, days: 7 * 366 }, ClassLock { class: Bucket::Month, days: 400 }][..]
            )
        );
    }

    #[test]
    fn two_origins_of_one_target_and_policies_that_lead_round_are_refused() {
        let policy = |name: &str, from: &str, to: &str| {
            format!("[replicate.{name}]\nfrom = \"{from}\"\n[[replicate.{name}.to]]\ntarget = \"{to}\"\n")
        };
        let two = [policy("a", "@m", "@p"), policy("b", "@n", "@p")].concat();
        let said = parse(&two).unwrap_err().to_string();
        assert!(said.contains("`replicate.b.to`: `replicate.a` goes there from @m already"), "{said}");
        let round = [policy("a", "@m", "@p"), policy("b", "@p", "@q"), policy("c", "@q", "@m")].concat();
        let said = parse(&round).unwrap_err().to_string();
        assert!(said.contains("`replicate.c.to`: snapshots would go round: @m leads back to @q"), "{said}");
        // One behind the other is no circle.
        assert!(parse(&[policy("a", "@m", "@p"), policy("b", "@p", "@q")].concat()).is_ok());
    }
}
