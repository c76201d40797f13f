//! Replication: of each policy and each of its targets what is there, how far it is behind in time and in bytes, what is missing and what is proven; what
//! went wrong when; and what a person does now: run, pause, and on the day when the origin is lost, promote.
//!
//! It is measured at the repositories for each look, as the configuration opens them, and nothing is written. Whoever looks waits as long as the overview
//! waits for a repository; where it takes longer, what was measured of late is shown, or what the record of this machine says, if that is newer or all there is. Refused here: what the
//! figures are (`credenza_app::jobs::replicate`), mirrors (`mirrors`), the pages of a policy's runs (`jobs`).
//!
//! Bound: each policy is measured for [`PATIENCE`].

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use credenza_app::jobs::JobsError;
use credenza_app::jobs::promise::Kept;
use credenza_app::jobs::replicate::{self, Status, TargetStatus};
use credenza_app::jobs::sections::replicate::Replicate;
use credenza_app::shell::shell_word;
use credenza_engine::copies::ClassLocked;
use credenza_engine::replica::{self, Role};
use credenza_model::Timestamp;
use futures_util::future::try_join_all;
use http::StatusCode;
use tokio::runtime::Handle;

use super::Asked;
use super::frame::{Frame, Link};
use super::jobs::{at_work, configured, of_job, unread};
use super::mirrors::{self, Mirror};
use super::places::of_repository;
use super::problem::{Problem, render};
use super::run::State;
use super::standing::{As, Bad, PATIENCE, Place, bad, is_paused, place, runner, state, taken};
use crate::access::Action;
use crate::jobs::{Book, words};
use crate::measured::Found;
use crate::reply::{self, Reply};
use crate::shown::{self, Time, count};
use crate::site::Site;

#[derive(Template)]
#[template(path = "replication.html")]
struct Page {
    frame: Frame,
    policies: Vec<Policy>,
    mirrors: Vec<Mirror>,
    /// Why nothing is run and paused, or promoted and rolled back, by whoever looks.
    refusal: Option<String>,
    promotion_refusal: Option<String>,
}

/// One policy.
struct Policy {
    name: String,
    href: String,
    from: Place,
    state: State,
    says: String,
    /// When that was so.
    as_of: String,
    /// When the newest snapshot was made at the origin.
    newest: Option<Time>,
    is_here: bool,
    is_paused: bool,
    is_running: bool,
    targets: Vec<Target>,
    bad: Vec<Bad>,
}

/// One of its targets.
struct Target {
    place: Place,
    state: State,
    says: String,
    newest: Option<Time>,
    facts: Vec<(&'static str, String)>,
    /// Where it is promoted, if it is a replica that is open here.
    promote: Option<String>,
}

pub(super) async fn show(site: &Arc<Site>, asked: &Asked) -> Result<Reply, Problem> {
    let book = match site.jobs.read(site.clock.now().wall).await {
        Ok(book) => book,
        // Where the jobs are it is said how a file begins, and what is wrong with one.
        Err(JobsError::NoFile { .. }) => return Ok(reply::see("/jobs")),
        Err(error) => return Err(unread(error)),
    };
    let book = Arc::new(book);
    let one = async |policy| one(site, &book, policy).await;
    let policies = try_join_all(book.file.replicates.values().map(one)).await?;
    let mirrors = mirrors::all(site, &book).await?;
    let mut frame = Frame::new("Replication", asked.token())
        .way(vec![Link::new("/", "Your backups"), Link::new("/jobs", "Jobs")])
        .command(site.jobs.command("replicate status"))
        .command(site.jobs.command("replicate plan"));
    if !mirrors.is_empty() {
        frame = frame.command(site.jobs.command("mirror status"));
    }
    let (refusal, promotion_refusal) = (frame.refusal(Action::Run), frame.refusal(Action::Remove));
    render(StatusCode::OK, &Page { refusal, promotion_refusal, frame, policies, mirrors })
}

/// How a policy stands, and as of when.
async fn measured(site: &Arc<Site>, book: &Arc<Book>, policy: &Replicate) -> (Arc<Status>, As) {
    let (at, asked, meant) = (Arc::clone(site), Arc::clone(book), policy.clone());
    let measure = move || {
        let runner = runner(&at, &asked);
        let asking = async {
            tokio::select! {
                asking = tokio::time::timeout(PATIENCE, Box::pin(replicate::status(&runner, &meant))) => asking.ok(),
                () = at.stop.requested() => None,
            }
        };
        match Handle::current().block_on(asking) {
            Some(Ok(status)) => status,
            Some(Err(error)) => Status::unknown(&runner, &meant, shown::causes(&error).join(": ")),
            None => {
                let minutes = PATIENCE.as_secs() / 60;
                Status::unknown(&runner, &meant, format!("its repositories did not answer within {minutes} minutes"))
            }
        }
    };
    let mut looked = site.policies.look(&policy.name, site.limits.overview, measure).await;
    let targets = |status: &Status| status.targets.iter().map(|target| target.target.clone()).collect::<Vec<_>>();
    let is_of_policy = |found: &Found<Status>| {
        found.what.from == policy.from && targets(&found.what).iter().eq(policy.targets.iter().map(|to| &to.target))
    };
    looked.last = looked.last.filter(is_of_policy);
    match taken(site, book, &policy.name, looked).await {
        (Some(status), as_of) => (status, as_of),
        (None, as_of) => {
            let (at, asked, meant) = (Arc::clone(site), Arc::clone(book), policy.clone());
            let recorded = tokio::task::spawn_blocking(move || replicate::recorded(&runner(&at, &asked), &meant)).await;
            let lost = |_| Status::unknown(&runner(site, book), policy, "the program failed to read its record".into());
            (Arc::new(recorded.unwrap_or_else(lost)), as_of)
        }
    }
}

async fn one(site: &Arc<Site>, book: &Arc<Book>, policy: &Replicate) -> Result<Policy, Problem> {
    let (status, as_of) = measured(site, book, policy).await;
    let mut targets = Vec::new();
    for target in &status.targets {
        targets.push(of_target(site, &status.from, target, as_of).await);
    }
    let (state, says) = standing(&status);
    Ok(Policy {
        href: of_job(&policy.name),
        from: place(site, &status.from),
        state,
        says,
        as_of: as_of.says(site),
        newest: status.newest.map(|newest| site.zone.time(newest)),
        is_here: policy.is_here(),
        is_paused: is_paused(site, book, &policy.name),
        is_running: at_work(site, book, &policy.name).is_some(),
        bad: bad(site, book, &policy.name).await?,
        name: status.name.clone(),
        targets,
    })
}

/// How the origin stands: two things can be bad, and this is the one that no target can mend.
fn standing(status: &Status) -> (State, String) {
    if let Some(why) = &status.unknown {
        return (state("Not known", "◆", "still"), shown::sentence(&shown::text(why)) + ".");
    }
    if status.is_silent {
        let says = "The origin gets no new snapshots for longer than the policy says: see to what backs up there.";
        return (state("Source silent", "■", "bad"), says.to_owned());
    }
    if status.targets.iter().any(|target| target.promoted.is_some()) {
        let says = "A copy was promoted and takes nothing from the origin since, however new it looks.";
        return (state("Promoted", "■", "bad"), says.to_owned());
    }
    match status.targets.iter().map(|target| target.kept).max() {
        _ if status.targets.iter().any(|target| target.unknown.is_some()) => {
            (state("Not known", "◆", "still"), "Not every target could be asked.".to_owned())
        }
        Some(Kept::Broken) => (state("Copy behind", "■", "bad"), "A copy is older than it may be.".to_owned()),
        Some(Kept::Risk) => (state("At risk", "▲", "wary"), "A copy is soon older than it may be.".to_owned()),
        _ => (state("Kept", "●", "good"), "Each copy is as new as it is to be.".to_owned()),
    }
}

async fn of_target(site: &Arc<Site>, from: &str, target: &TargetStatus, as_of: As) -> Target {
    let (state, says) = match (&target.unknown, target.kept, target.missing) {
        (Some(why), ..) => (state("Not known", "◆", "still"), shown::sentence(&shown::text(why)) + "."),
        (None, ..) if target.promoted.is_some() => (state("Promoted", "■", "bad"), parted(site, from, target)),
        (None, Kept::Broken, _) => (state("Copy behind", "■", "bad"), behind(target)),
        (None, Kept::Risk, _) => (state("At risk", "▲", "wary"), behind(target)),
        (None, Kept::Kept, 0) if target.unproven > 0 => {
            let unproven = count(target.unproven, "snapshot is", "snapshots are");
            (
                state("Not proven", "▲", "wary"),
                format!("It has all that it is to have, and {unproven} not proven there."),
            )
        }
        (None, Kept::Kept, 0) => (state("Complete", "●", "good"), "It has all that it is to have.".to_owned()),
        (None, Kept::Kept, _) => (state("On its way", "●", "good"), behind(target)),
    };
    Target {
        place: place(site, &target.target),
        state,
        says,
        newest: target.newest.map(|newest| site.zone.time(newest)),
        facts: match (&target.unknown, as_of) {
            (Some(_), _) => Vec::new(),
            (None, As::Recorded | As::Failed) => recorded_facts(site, target),
            (None, _) => facts(site, target),
        },
        promote: promotion(site, &target.target).await,
    }
}

/// That it was promoted, what has become of both sides since, and how what it has alone comes to its origin.
fn parted(site: &Site, from: &str, target: &TargetStatus) -> String {
    let since = target.promoted.map(|at| site.zone.time(at).text).unwrap_or_default();
    let (here, there) = target.divided.as_ref().map_or((0, 0), |sides| (sides.at_target.len(), sides.at_origin.len()));
    let of = |number: usize| count(number as u64, "snapshot is", "snapshots are");
    let brought = if here > 0 { brought(from, &target.target) } else { String::new() };
    format!(
        "It was promoted on {since} and takes nothing from its origin since. {} here alone, and {} at the origin alone.{brought}",
        of(here),
        of(there)
    )
}

/// The command that brings to an origin what its target has alone.
fn brought(from: &str, target: &str) -> String {
    let (from, target) = (shell_word(from), shell_word(target));
    format!(" To bring those of the target to the origin: credenza at {from} sync from {target}")
}

/// What it lacks, and for how long.
fn behind(target: &TargetStatus) -> String {
    let missing = count(target.missing, "snapshot", "snapshots");
    match target.lag_seconds {
        0 => format!("It lacks {missing} of those that are older than its newest."),
        seconds => format!("It lacks {missing}, the first for {}.", words::long(Duration::from_secs(seconds))),
    }
}

/// What the record says; more is known when it is measured.
fn recorded_facts(site: &Site, target: &TargetStatus) -> Vec<(&'static str, String)> {
    let mut facts = timing(target);
    facts.push(("Missing", target.missing.to_string()));
    facts.push(("Verified until", time_or_never(site, target.verified_until)));
    facts
}

fn timing(target: &TargetStatus) -> Vec<(&'static str, String)> {
    let mut facts = vec![(
        "Behind",
        match target.lag_seconds {
            0 => "by nothing".to_owned(),
            seconds => words::long(Duration::from_secs(seconds)),
        },
    )];
    if let Some(rpo) = target.rpo_seconds {
        facts.push(("May be behind", words::long(Duration::from_secs(rpo))));
    }
    facts
}

fn time_or_never(site: &Site, time: Option<Timestamp>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| site.zone.time(time).text)
}

fn facts(site: &Site, target: &TargetStatus) -> Vec<(&'static str, String)> {
    let mut facts = timing(target);
    if let Some(lag) = &target.lag {
        let about = if lag.is_exact { "" } else { "about " };
        facts.push(("Next run adds", format!("{about}{} ({} bytes)", shown::size(lag.bytes), lag.bytes)));
    }
    if let Some(seconds) = target.left_seconds.filter(|_| target.missing > 0) {
        facts.push(("Takes about", shown::span(seconds)));
    }
    facts.push(("Missing", target.missing.to_string()));
    facts.push(("Left out by its retention", target.spared.to_string()));
    facts.push(("Not proven", target.unproven.to_string()));
    facts.push(("Verified until", time_or_never(site, target.verified_until)));
    facts.push(("Restored for trial", time_or_never(site, target.drilled)));
    facts.push((
        "Locked for",
        match (target.lock_days, target.lock_days_asked) {
            (None, None) => "nothing is locked".to_owned(),
            (None, Some(asked)) => format!("nothing is locked, and {} are asked for", days(asked)),
            (Some(has), Some(asked)) if has < asked => format!("{}, and {} are asked for", days(has), days(asked)),
            (Some(has), _) => days(has),
        },
    ));
    if !target.locks.is_empty() {
        let locks: Vec<String> = target.locks.iter().map(locked).collect();
        facts.push(("Locked by rule", locks.join("; ")));
    }
    facts.push(("Carried by", if target.is_here { "this machine" } else { "another machine" }.to_owned()));
    facts
}

fn days(days: u32) -> String {
    count(u64::from(days), "day", "days")
}

/// For how long what a rule keeps is to be locked, and how far it is.
fn locked(lock: &ClassLocked) -> String {
    let ClassLocked { class, days_asked, snapshots, locked, days: shortest } = lock;
    let asked = days(*days_asked);
    match shortest {
        None => format!("{class} for {asked}: no snapshot to lock yet"),
        Some(shortest) => {
            let all = count(*snapshots, "snapshot", "snapshots");
            format!("{class} for {asked}: {locked} of {all}, the shortest lock is {}", days(*shortest))
        }
    }
}

/// Where a target is promoted, which is a replica and open here or by the configuration.
async fn promotion(site: &Arc<Site>, word: &str) -> Option<String> {
    let name = configured(site, word)?;
    let asking = async {
        let open = site.repositories.open(name).await.ok()?;
        // A run has perhaps made a replica of it since it was opened here.
        replica::state_now(&open.open.repository).await.ok()?
    };
    let role = tokio::time::timeout(site.limits.overview, asking).await.ok()?;
    matches!(role, Some(Role::Replica { .. })).then(|| format!("{}/run", of_repository(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_of_a_rule_is_told_with_how_far_it_is_set() {
        let lock = ClassLocked { class: "monthly", days_asked: 400, snapshots: 3, locked: 1, days: Some(30) };
        assert_eq!(locked(&lock), "monthly for 400 days: 1 of 3 snapshots, the shortest lock is 30 days");
        let none = ClassLocked { snapshots: 0, locked: 0, days: None, ..lock };
        assert_eq!(locked(&none), "monthly for 400 days: no snapshot to lock yet");
    }

    #[test]
    fn what_a_target_has_alone_is_brought_by_a_command_that_a_shell_takes() {
        let told = brought("@main", "/mnt/my disk");
        assert!(told.ends_with(": credenza at @main sync from '/mnt/my disk'"), "{told}");
    }
}
