//! Replication: of each policy and each of its targets what is there, how far it is behind in time and in bytes, what is missing and what is proven; what
//! went wrong when; and what a person does now: run, pause, and on the day when the origin is lost, promote.
//!
//! It is measured at the repositories for each look, as the configuration opens them, and nothing is written. Refused here: what the figures are
//! (`credenza_app::jobs::replicate`), the pages of a policy's runs (`jobs`).
//!
//! Bound: each policy for [`PATIENCE`], and [`BAD_MAX`] runs that went wrong.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use credenza_app::jobs::promise::Kept;
use credenza_app::jobs::replicate::{self, Status, TargetStatus};
use credenza_app::jobs::replication::Replicate;
use credenza_app::jobs::run::Runner;
use credenza_app::jobs::{Ending, JobsError};
use credenza_engine::replica::{self, Role};
use credenza_model::Timestamp;
use futures_util::future::join_all;
use http::StatusCode;
use tokio::runtime::Handle;

use super::Asked;
use super::frame::{Frame, Link};
use super::jobs::{configured, of_job, of_past, unread};
use super::places::of_repository;
use super::problem::{Problem, render};
use super::run::State;
use crate::access::Action;
use crate::jobs::{Book, words};
use crate::reply::{self, Reply};
use crate::shown::{self, Time, count};
use crate::site::Site;

/// How long the repositories of a policy are asked.
const PATIENCE: Duration = Duration::from_secs(30);
/// Runs that went wrong, of each policy; and those of the record that are looked at for them.
const BAD_MAX: usize = 20;
const PAST_MAX: usize = 1000;

#[derive(Template)]
#[template(path = "replication.html")]
struct Page {
    frame: Frame,
    policies: Vec<Policy>,
    /// Why nothing is run and paused, or promoted, by whoever looks.
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

struct Place {
    text: String,
    href: Option<String>,
}

/// A run that went wrong.
struct Bad {
    link: Link,
    time: Time,
    word: &'static str,
    says: String,
}

pub(super) async fn show(site: &Arc<Site>, asked: &Asked) -> Result<Reply, Problem> {
    let book = match site.jobs.read(site.clock.now().wall).await {
        Ok(book) => book,
        // Where the jobs are it is said how a file begins, and what is wrong with one.
        Err(JobsError::NoFile { .. }) => return Ok(reply::see("/jobs")),
        Err(error) => return Err(unread(error)),
    };
    let book = Arc::new(book);
    let statuses = measured(site, &book).await;
    let mut policies = Vec::new();
    for (policy, status) in book.file.replicates.values().zip(statuses) {
        policies.push(one(site, &book, policy, status).await?);
    }
    let frame = Frame::new("Replication", asked.token())
        .way(vec![Link::new("/", "Your backups"), Link::new("/jobs", "Jobs")])
        .command(site.jobs.command("replicate status"))
        .command(site.jobs.command("replicate plan"));
    let page =
        Page { refusal: frame.refusal(Action::Run), promotion_refusal: frame.refusal(Action::Remove), frame, policies };
    render(StatusCode::OK, &page)
}

/// How each policy stands, all asked at once, on a thread of their own: what asks them is not made to change threads.
async fn measured(site: &Arc<Site>, book: &Arc<Book>) -> Vec<Status> {
    let (at, asked) = (Arc::clone(site), Arc::clone(book));
    let asking = move || {
        let runner = runner(&at, &asked);
        let one = async |policy: &Replicate| {
            let asking = tokio::time::timeout(PATIENCE, Box::pin(replicate::status(&runner, policy)));
            match asking.await {
                Ok(Ok(status)) => status,
                Ok(Err(error)) => Status::unknown(&runner, policy, shown::causes(&error).join(": ")),
                Err(_) => {
                    let seconds = PATIENCE.as_secs();
                    let why = format!("its repositories did not answer within {seconds} seconds");
                    Status::unknown(&runner, policy, why)
                }
            }
        };
        Handle::current().block_on(join_all(asked.file.replicates.values().map(one)))
    };
    // A fault of the program is the only other end.
    let statuses = tokio::task::spawn_blocking(asking).await;
    let lost = |policy: &Replicate| {
        Status::unknown(&runner(site, book), policy, "the program failed to measure it".to_owned())
    };
    statuses.unwrap_or_else(|_| book.file.replicates.values().map(lost).collect())
}

async fn one(site: &Arc<Site>, book: &Book, policy: &Replicate, status: Status) -> Result<Policy, Problem> {
    let mut targets = Vec::new();
    for target in &status.targets {
        targets.push(of_target(site, target).await);
    }
    let (state, says) = standing(&status);
    Ok(Policy {
        href: of_job(&policy.name),
        from: place(site, &status.from),
        state,
        says,
        newest: status.newest.map(|newest| site.zone.time(newest)),
        is_here: policy.is_here(),
        is_paused: status.is_paused,
        is_running: super::jobs::at_work(site, book, &policy.name).is_some(),
        bad: bad(site, book, policy).await?,
        name: status.name,
        targets,
    })
}

fn runner<'a>(site: &'a Site, book: &'a Book) -> Runner<'a> {
    Runner { app: site.repositories.app(), state: &book.state, clock: &*site.clock, stop: &site.stop }
}

fn place(site: &Site, word: &str) -> Place {
    Place { text: shown::text(word), href: configured(site, word).map(of_repository) }
}

const fn state(word: &'static str, shape: &'static str, class: &'static str) -> State {
    State { word, shape, class }
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
    match status.targets.iter().map(|target| target.kept).max() {
        _ if status.targets.iter().any(|target| target.unknown.is_some()) => {
            (state("Not known", "◆", "still"), "Not every target could be asked.".to_owned())
        }
        Some(Kept::Broken) => (state("Copy behind", "■", "bad"), "A copy is older than it may be.".to_owned()),
        Some(Kept::Risk) => (state("At risk", "▲", "wary"), "A copy is soon older than it may be.".to_owned()),
        _ => (state("Kept", "●", "good"), "Each copy is as new as it is to be.".to_owned()),
    }
}

async fn of_target(site: &Arc<Site>, target: &TargetStatus) -> Target {
    let (state, says) = match (&target.unknown, target.kept, target.missing) {
        (Some(why), ..) => (state("Not known", "◆", "still"), shown::sentence(&shown::text(why)) + "."),
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
        facts: if target.unknown.is_some() { Vec::new() } else { facts(site, target) },
        promote: promotion(site, &target.target).await,
    }
}

/// What it lacks, and for how long.
fn behind(target: &TargetStatus) -> String {
    let missing = count(target.missing, "snapshot", "snapshots");
    match target.lag_seconds {
        0 => format!("It lacks {missing} of those that are older than its newest."),
        seconds => format!("It lacks {missing}, the first for {}.", words::long(Duration::from_secs(seconds))),
    }
}

fn facts(site: &Site, target: &TargetStatus) -> Vec<(&'static str, String)> {
    let time = |time: Option<Timestamp>| time.map(|time| site.zone.time(time).text);
    let never = || "never".to_owned();
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
    facts.push(("Verified until", time(target.verified_until).unwrap_or_else(never)));
    facts.push(("Restored for trial", time(target.drilled).unwrap_or_else(never)));
    let days = |days: u32| count(u64::from(days), "day", "days");
    facts.push((
        "Locked for",
        match (target.lock_days, target.lock_days_asked) {
            (None, None) => "nothing is locked".to_owned(),
            (None, Some(asked)) => format!("nothing is locked, and {} are asked for", days(asked)),
            (Some(has), Some(asked)) if has < asked => format!("{}, and {} are asked for", days(has), days(asked)),
            (Some(has), _) => days(has),
        },
    ));
    facts.push(("Carried by", if target.is_here { "this machine" } else { "another machine" }.to_owned()));
    facts
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

/// The last runs of a policy that did not do all, the newest first.
async fn bad(site: &Site, book: &Book, policy: &Replicate) -> Result<Vec<Bad>, Problem> {
    let past = book.past(Some(&policy.name), PAST_MAX).await.map_err(unread)?;
    let is_bad = |ending: &Ending| *ending != Ending::Done;
    let bad = past.iter().filter_map(|past| Some((past, past.ending.filter(is_bad)?)));
    let line = |(past, ending): (&credenza_app::jobs::log::Past, Ending)| Bad {
        link: Link::new(of_past(&policy.name, past.began), "What it did"),
        time: site.zone.time(past.began),
        word: words::ending(ending),
        says: words::reason(past),
    };
    Ok(bad.take(BAD_MAX).map(line).collect())
}
