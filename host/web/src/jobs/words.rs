//! Jobs and runs in words, for a person.

use std::time::Duration;

use credenza_app::jobs::file::{Hook, Job, Maintain, Missed, Moment, Prune, When};
use credenza_app::jobs::log::Past;
use credenza_app::jobs::schedule::Schedule;
use credenza_app::jobs::sections::replicate::Replicate;
use credenza_app::jobs::{Ending, Mirror, Mirrored, Replicated, Step, Verify, Work};
use credenza_app::prune::Policy;
use credenza_engine::mirror::Deletes;

use crate::runs::Outcome;
use crate::shown::{self, count};

/// First digits of an id.
const DIGITS: usize = 8;

/// When it is due, with the zone.
pub(crate) fn schedule(schedule: &Schedule) -> String {
    let written = shown::sentence(&schedule.to_string());
    match schedule.zone().iana_name() {
        Some(zone) => format!("{written}, {zone}"),
        None => written,
    }
}

/// What a run did, in a line.
pub(crate) fn step(step: &Step) -> String {
    let unread = |errors: &u64| match errors {
        0 => String::new(),
        errors => format!(", {} could not be read", count(*errors, "entry", "entries")),
    };
    let said = match step {
        Step::BackedUp { source, snapshot, entries, errors, bytes_read, bytes_added } => {
            let made = snapshot
                .as_ref()
                .map_or_else(|| "nothing has changed".to_owned(), |id| format!("snapshot {}", short(id)));
            let (read, added) = (shown::size(*bytes_read), shown::size(*bytes_added));
            let entries = count(*entries, "entry", "entries");
            format!("Backed up {source}: {made}, {entries}, {read} read, {added} added{}", unread(errors))
        }
        Step::Found { source, snapshot, errors } => format!(
            "Found {source} backed up by a run that was broken off: snapshot {}{}",
            short(snapshot),
            unread(errors)
        ),
        Step::Pruned { kept, removed } => {
            format!("Pruned: {} removed, {kept} kept", count(*removed as u64, "snapshot", "snapshots"))
        }
        Step::Maintained { bytes_freed } => format!("Gave back {}", shown::size(*bytes_freed)),
        Step::Hooked { program, output } => {
            let last = output.trim_end().lines().next_back().unwrap_or_default();
            let colon = if last.is_empty() { "" } else { ": " };
            format!("Ran the hook {program}{colon}{last}")
        }
        Step::Spent { bill } => format!("Spent: {}", bill.told(shown::size)),
        Step::Suspect { source, snapshot, reason } => format!(
            "Suspect: snapshot {} of {source} is kept and flagged, and nothing of its source is removed: {reason}",
            short(snapshot)
        ),
        Step::Held { removals, delete_max } => format!(
            "Held: {} were to be removed, and a run may remove {delete_max}; none was",
            count(*removals as u64, "snapshot", "snapshots")
        ),
        Step::Verified { packs, packs_read, bytes_read, damages, packs_due, all_in, .. } => {
            let due = match packs_due {
                0 => String::new(),
                due => format!("; {due} were due and the budget was spent: at it all is read in {}", days(*all_in)),
            };
            let found = match damages {
                0 => "no damage found".to_owned(),
                damages => format!("{} found", count(*damages, "damage", "damages")),
            };
            format!(
                "Read {packs_read} of {} again, {}: {found}{due}",
                count(*packs, "pack", "packs"),
                shown::size(*bytes_read)
            )
        }
        Step::Drilled { snapshot: None, .. } => "Restored nothing for trial: there is no snapshot".to_owned(),
        Step::Drilled { snapshot: Some(snapshot), entries, bytes, errors } => {
            let came = match (entries, errors) {
                (0, 0) => "nothing in it fits the sample".to_owned(),
                (_, 0) => "all came back as it was".to_owned(),
                (_, errors) => format!("{} did not come back as they were", count(*errors, "entry", "entries")),
            };
            let entries = count(*entries, "entry", "entries");
            format!("Restored {entries} of snapshot {} for trial, {}: {came}", short(snapshot), shown::size(*bytes))
        }
        Step::Replicated(done) => replicated(done),
        Step::Proven { target, until: None, .. } => format!("Nothing is proven in {target}"),
        Step::Proven { target, until: Some(until), damages, .. } => {
            let found = if *damages > 0 { format!("; {damages} damages") } else { String::new() };
            format!("Proved {target}: all is there up to the snapshot of {until}{found}")
        }
        Step::Vanished { target, gone, vanish_max } => {
            format!("Removed nothing at {target}: {gone} snapshots are gone at the origin, and {vanish_max} may be")
        }
        Step::Mirrored(done) => mirrored(done),
        Step::Failed { doing, reason } => format!("Failed: {doing}: {reason}"),
    };
    shown::text(&said)
}

/// What was carried to a target.
fn replicated(Replicated { target, copied, bytes, lacking, .. }: &Replicated) -> String {
    let copied = count(*copied, "snapshot", "snapshots");
    let lacks = if *lacking > 0 { format!("; it lacks {lacking} still") } else { String::new() };
    format!("Carried {copied} to {target}, {}{lacks}", shown::size(*bytes))
}

/// What was done at a target of a mirror.
fn mirrored(mirrored: &Mirrored) -> String {
    let Mirrored { target, cut, held, new, changed, removed, bytes, .. } = mirrored;
    let (cut, bytes) = (short(cut), shown::size(*bytes));
    match held {
        Some(_) => format!("Left {target} as it is: it is not {cut}"),
        None => format!("Mirrored {cut} to {target}: {new} new, {changed} changed, {removed} removed, {bytes}"),
    }
}

/// The first digits of an id.
fn short(id: &dyn std::fmt::Display) -> String {
    id.to_string().chars().take(DIGITS).collect()
}

/// What an ending is to whoever looks.
pub(crate) const fn outcome(ending: Ending) -> Outcome {
    match ending {
        Ending::Done => Outcome::Done,
        Ending::Incomplete | Ending::Spent => Outcome::Incomplete,
        Ending::Damaged => Outcome::Damaged,
        Ending::Interrupted => Outcome::Cancelled,
        Ending::Failed | Ending::Refused | Ending::Unreachable | Ending::Busy | Ending::Lost => Outcome::Failed,
    }
}

/// How a run ended, as a word.
pub(crate) const fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Done => "Done",
        Ending::Incomplete => "Incomplete",
        Ending::Damaged => "Damage found",
        Ending::Spent => "Budget spent",
        Ending::Failed => "Failed",
        Ending::Refused => "Refused by a hook",
        Ending::Unreachable => "Repository not reachable",
        Ending::Busy => "Another run was at work",
        Ending::Interrupted => "Cancelled",
        Ending::Lost => "Broken off: its program ended",
    }
}

/// What a run says at its end, by how it ended: its first line.
pub(crate) const fn says(ending: Ending) -> &'static str {
    match ending {
        Ending::Done => "The job did all that it is to do.",
        Ending::Incomplete => "There are snapshots, and something could not be read, removed or given back.",
        Ending::Damaged => "There are snapshots, and the repository is damaged.",
        Ending::Spent => {
            "Its budget was spent before all was done. What it has written stays there, and the next run goes on from it."
        }
        Ending::Failed => "A source could not be backed up.",
        Ending::Refused => "A hook before the backup failed, so that there is none.",
        Ending::Unreachable => "The repository could not be opened or written.",
        Ending::Busy => "Another run was at work in the repository, so that this one did nothing.",
        Ending::Interrupted => {
            "It was asked to end. What it has written stays there, and the next run goes on from it."
        }
        Ending::Lost => "Its program ended in the midst of it.",
    }
}

/// Why a run is as it is, in a line; empty where that goes without saying.
pub(crate) fn reason(past: &Past) -> String {
    let mut said = past.reason.as_deref().map(|reason| shown::sentence(&shown::text(reason))).unwrap_or_default();
    if past.missed > 0 {
        let missed = count(u64::from(past.missed), "due time", "due times");
        said.push_str(&format!("{}{missed} before it passed without a run", if said.is_empty() { "" } else { "; " }));
    }
    said
}

/// What there is to know of a job, by what it is about.
pub(crate) fn facts(job: &Job) -> Vec<(&'static str, String)> {
    let mut facts = timing(Work::Job(job));
    if let Some(promise) = job.promise {
        facts.push(("Promise", promised(promise)));
    }
    if let Some(change) = job.on_change {
        let (quiet, longest) = (long(change.quiet), long(change.longest));
        facts.push(("On change", format!("{quiet} after the last change, at the latest {longest} after the first")));
    }
    let out = &job.leaving_out;
    let mut left: Vec<String> = out.patterns.iter().map(|pattern| shown::text(&pattern.to_string_lossy())).collect();
    left.extend(out.files.iter().map(|file| format!("patterns of {}", shown::text(&file.to_string_lossy()))));
    left.extend(out.caches.then(|| "caches".to_owned()));
    left.extend(out.larger_than.map(|size| format!("files larger than {}", shown::size(size))));
    left.extend(out.other_file_systems.then(|| "other file systems".to_owned()));
    let mut list = |what, texts: Vec<String>| {
        if !texts.is_empty() {
            facts.push((what, texts.join(", ")));
        }
    };
    list("Left out", left);
    list("Tags", job.tags.iter().map(|tag| shown::text(tag)).collect());
    if let Some(prune) = &job.prune {
        facts.push(("Keeps", keeps(prune)));
    }
    if job.guard.is_some() {
        facts.push(("Guard", "flags a snapshot in which too much is gone, changed or encrypted".to_owned()));
    }
    match job.maintain {
        Some(Maintain::Always) => facts.push(("Gives space back", "after each good run".to_owned())),
        Some(Maintain::After(span)) => {
            facts.push(("Gives space back", format!("after a good run, each {} at most", long(span))));
        }
        None => {}
    }
    facts
}

/// When something runs, and what becomes of runs that do not take place or fail.
fn timing(work: Work<'_>) -> Vec<(&'static str, String)> {
    let (missed, retry) = work.retries();
    let missed = match missed {
        Missed::Once => "one run makes up for those that were missed",
        Missed::Skip => "those that were missed are left out",
    };
    let tries = count(u64::from(retry.tries), "try", "tries");
    vec![
        ("When", schedule(work.schedule())),
        ("While nothing ran", missed.to_owned()),
        ("Where one fails", format!("{tries}, the second after {}", shown::span(retry.wait.as_secs()))),
    ]
}

/// What there is to know of a verification.
pub(crate) fn facts_of_verification(verify: &Verify) -> Vec<(&'static str, String)> {
    let mut facts = timing(Work::Verify(verify));
    facts.push(("Reads all again", format!("within {}", long(verify.read_all_within))));
    if let Some(drill) = verify.drill {
        facts.push(("Restores a sample for trial", format!("each {}", long(drill.every))));
    }
    facts
}

/// Where a policy carries the snapshots of a repository.
pub(crate) fn carries(policy: &Replicate) -> String {
    let targets = policy.targets.iter().filter(|to| to.is_here).map(|to| shown::text(&to.target));
    format!("carries copies to {} from", targets.collect::<Vec<_>>().join(", "))
}

/// What there is to know of a policy of replication.
pub(crate) fn facts_of_replication(policy: &Replicate) -> Vec<(&'static str, String)> {
    let mut facts = timing(Work::Replicate(policy));
    for to in &policy.targets {
        let rpo = to.rpo.map(|rpo| format!(", never longer behind than {}", long(rpo))).unwrap_or_default();
        facts.push(("Carries to", format!("{}{rpo}", shown::text(&to.target))));
    }
    facts
}

/// What there is to know of a mirror.
pub(crate) fn facts_of_mirror(mirror: &Mirror) -> Vec<(&'static str, String)> {
    let mut facts = timing(Work::Mirror(mirror));
    let gone = match mirror.deletes {
        Deletes::Keep => "stays".to_owned(),
        Deletes::Now => "goes at once".to_owned(),
        Deletes::After(span) => format!("goes after {}", long(span)),
    };
    facts.push(("Mirrors to", mirror.to.join(", ")));
    facts.push(("What the source no longer has", gone));
    facts
}

/// Seconds as days.
fn days(seconds: u64) -> String {
    count(seconds.div_ceil(86_400), "day", "days")
}

/// A promise as a sentence.
pub(crate) fn promised(promise: Duration) -> String {
    format!("the newest good snapshot is never older than {}", long(promise))
}

/// A span as people say it.
pub(crate) fn long(span: Duration) -> String {
    match span.as_secs() {
        seconds if seconds >= 172_800 => count(seconds / 86_400, "day", "days"),
        seconds => shown::span(seconds),
    }
}

fn keeps(prune: &Prune) -> String {
    let Prune::By(policy) = prune else { return "what the policy of the repository keeps".to_owned() };
    let Policy { last, hourly, daily, weekly, monthly, yearly, within_seconds, tags, .. } = policy;
    let rules = [
        (last, "newest"),
        (hourly, "hourly"),
        (daily, "daily"),
        (weekly, "weekly"),
        (monthly, "monthly"),
        (yearly, "yearly"),
    ];
    let rules = rules.into_iter().filter(|(number, _)| **number > 0).map(|(number, rule)| format!("{number} {rule}"));
    let within = within_seconds.map(Duration::from_secs).map(|span| format!("all within {} of the newest", long(span)));
    let tagged = tags.iter().map(|tag| format!("all with the tag {}", shown::text(tag)));
    let rules = rules.chain(within).chain(tagged).collect::<Vec<_>>().join(", ");
    if rules.is_empty() { "what its rules in the file say".to_owned() } else { rules }
}

/// A command of the user's: when it runs, and what. Its arguments may hold secrets, and stay in the file.
pub(crate) fn hook(hook: &Hook) -> String {
    let program = shown::text(&hook.program.to_string_lossy());
    let mut said = match hook.moment {
        Moment::Before => format!("Before the backup: {program}"),
        Moment::During => {
            let name = hook.stdin_of.as_ref().map(|name| shown::text(&name.to_string_lossy())).unwrap_or_default();
            format!("Backed up as {name}: what {program} prints")
        }
        Moment::After => format!("After the backup ({}): {program}", endings(&hook.when)),
    };
    if !hook.arguments.is_empty() {
        said.push_str(&format!(", with {}", count(hook.arguments.len() as u64, "argument", "arguments")));
    }
    if let Some(timeout) = hook.timeout {
        said.push_str(&format!("; ended after {}", long(timeout)));
    }
    said
}

fn endings(when: &[When]) -> String {
    let word = |when: &When| match when {
        When::Done => "when it is done",
        When::Incomplete => "when it is incomplete",
        When::Failed => "when it has failed",
        When::Always => "always",
    };
    when.iter().map(word).collect::<Vec<_>>().join(", ")
}
