//! Jobs: what runs by itself, when next, how the last runs went, and what a person does about it now: run, pause, resume.
//!
//! Refused here: the file, which is edited in an editor alone: hooks are commands, and nobody installs one from a browser.

mod list;

use std::sync::Arc;

use askama::Template;
use credenza_app::environment;
use credenza_app::jobs::log::Past;
use credenza_app::jobs::mirror::Wish;
use credenza_app::jobs::schedule::{instant, timestamp};
use credenza_app::jobs::{Ending, Job, JobsError, Step, Work};
use credenza_engine::SnapshotHandle;
use credenza_model::Timestamp;
use http::StatusCode;

use super::Asked;
use super::frame::{Frame, Link};
use super::places::{of_folder, of_repository, open, short};
use super::problem::{Problem, render};
use super::run::{self, State};
use crate::access::Action;
use crate::form::{Fields, decode};
use crate::jobs::{Book, words};
use crate::operations::JobRun;
use crate::reply::{self, Reply};
use crate::runs::{Operation, Room};
use crate::shown::{self, Time};
use crate::site::Site;
pub(super) use list::list;

/// Due times that are shown of a job.
const NEXT_MAX: usize = 5;
/// For how long a job can be paused: the word of the command line, and what a person reads.
const PAUSES: [(&str, &str, i64); 4] = [
    ("1h", "for an hour", 3600),
    ("8h", "for 8 hours", 28_800),
    ("1d", "for a day", 86_400),
    ("1w", "for a week", 604_800),
];

/// Where a job backs up to.
struct To {
    text: String,
    href: Option<String>,
}

#[derive(Template)]
#[template(path = "job.html")]
struct Page {
    frame: Frame,
    href: String,
    state: State,
    last: Option<Time>,
    reason: String,
    /// Where it is seen at work.
    at_work: Option<AtWork>,
    /// Until when it is paused: a sentence.
    paused: Option<String>,
    pauses: Vec<(&'static str, &'static str)>,
    refusal: Option<String>,
    sources: Vec<String>,
    to: To,
    facts: Vec<(&'static str, String)>,
    hooks: Vec<String>,
    next: Vec<Time>,
    is_from_repository: bool,
    history: History,
    newer: Option<String>,
    older: Option<String>,
}

/// What has run, as the log has it, or as the snapshots in the repository tell it.
enum History {
    Log(Vec<Run>),
    Repository(Vec<Snapshot>),
    /// There is no asking the repository from here, for this reason.
    Closed(String),
}

struct Run {
    href: String,
    began: Time,
    took: String,
    state: State,
    reason: String,
}

struct Snapshot {
    href: String,
    id: String,
    time: Time,
    source: String,
    entries: u64,
    added: String,
    errors: u64,
}

#[derive(Template)]
#[template(path = "past.html")]
struct PastPage {
    frame: Frame,
    state: State,
    began: Time,
    ended: Option<Time>,
    due: Option<Time>,
    reason: String,
    at_work: Option<AtWork>,
    steps: Vec<Done>,
}

/// Something that a run did.
struct Done {
    text: String,
    /// What a hook has printed, where it is more than a line.
    output: Option<String>,
    is_failed: bool,
}

/// A run that is under way.
pub(super) enum AtWork {
    /// In this process, where it has a page.
    Here(String),
    /// In another one, which alone can end it.
    Elsewhere(Option<u32>),
}

/// The page of a job.
pub(super) fn of_job(name: &str) -> String {
    Room::Job.address(name)
}

/// The page of a run of the record.
pub(super) fn of_past(name: &str, began: Timestamp) -> String {
    format!("{}/past/{began}", of_job(name))
}

/// Where a job is at work, if it is.
pub(super) fn at_work(site: &Site, book: &Book, name: &str) -> Option<AtWork> {
    if let Some(run) = site.runs.of(Room::Job, name).into_iter().find(|run| !run.has_ended()) {
        return Some(AtWork::Here(run::of_run(&run)));
    }
    book.state.runs(name).then(|| AtWork::Elsewhere(book.state.run_process(name)))
}

/// What keeps a page of jobs from being shown.
pub(super) fn unread(error: JobsError) -> Problem {
    let problem = |status, error: &JobsError| {
        let mut why = shown::causes(error);
        let what = shown::text(&why.remove(0));
        let problem = Problem::new(status, what);
        if why.is_empty() { problem } else { problem.because(shown::text(&why.join(": "))) }
    };
    match &error {
        JobsError::NoFile { .. } | JobsError::UnknownJob { .. } => {
            problem(StatusCode::NOT_FOUND, &error).link("/jobs", "All jobs")
        }
        JobsError::Invalid { .. } | JobsError::Syntax { .. } => Problem::see("/jobs"),
        JobsError::Busy { .. } => problem(StatusCode::CONFLICT, &error).next("Wait until it has ended."),
        JobsError::NoFolder => problem(StatusCode::NOT_FOUND, &error).next(
            "Name one for the configuration, and one for the state: CREDENZA_CONFIG=FOLDER CREDENZA_STATE=FOLDER",
        ),
        _ => problem(StatusCode::BAD_GATEWAY, &error).next("See to it that the file can be read and written."),
    }
}

fn sources(job: &Job) -> Vec<String> {
    let streams = job.hooks.iter().filter_map(|hook| hook.stdin_of.as_ref());
    let streams = streams.map(|name| format!("what is printed for {}", shown::text(&name.to_string_lossy())));
    job.sources.iter().map(|source| shown::text(source)).chain(streams).collect()
}

fn to(site: &Site, repository: &str) -> To {
    To { text: shown::text(repository), href: configured(site, repository).map(of_repository) }
}

/// The name of the repository of a job in the configuration.
pub(super) fn named(site: &Site, job: &Job) -> Option<String> {
    configured(site, &job.repository).map(str::to_owned)
}

/// The name of a repository of the configuration, by the word that a job has for it.
pub(super) fn configured<'a>(site: &Site, repository: &'a str) -> Option<&'a str> {
    repository.strip_prefix('@').filter(|name| site.repositories.place(name).is_ok())
}

fn paused_until(site: &Site, until: Option<Timestamp>) -> String {
    match until {
        Some(until) => format!("paused until {}", site.zone.time(until).text),
        None => "paused until it is resumed".to_owned(),
    }
}

/// How a job stands: what it does now, or how its last run ended.
fn standing(is_at_work: bool, is_paused: bool, last: Option<&Past>) -> State {
    let state = |word, shape, class| State { word, shape, class };
    match (is_at_work, is_paused, last) {
        (true, _, _) => state("Running", "▶", "still"),
        (_, true, _) => state("Paused", "◆", "still"),
        (_, _, None) => state("Has not run yet", "◆", "still"),
        (_, _, Some(past)) => ended(past, false),
    }
}

/// How a run of the record ended.
pub(super) fn ended(past: &Past, is_at_work: bool) -> State {
    let state = |word, shape, class| State { word, shape, class };
    match past.ending {
        Some(ending) => {
            let (shape, class) = match ending {
                Ending::Done => ("●", "good"),
                Ending::Incomplete | Ending::Spent | Ending::Busy | Ending::Lost => ("▲", "wary"),
                Ending::Interrupted => ("◆", "still"),
                Ending::Damaged | Ending::Failed | Ending::Refused | Ending::Unreachable => ("■", "bad"),
            };
            state(words::ending(ending), shape, class)
        }
        None if past.reason.is_some() => state("Left out", "◆", "still"),
        None if is_at_work => state("Running", "▶", "still"),
        None => state(words::ending(Ending::Lost), "▲", "wary"),
    }
}

pub(super) async fn show(site: &Site, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let now = site.clock.now().wall;
    let book = site.jobs.read(now).await.map_err(unread)?;
    let work = book.file.work(name).map_err(unread)?;
    let rows_max = site.limits.rows;
    let number: usize = asked.query.text("page").parse().unwrap_or(0);
    let begin = number.saturating_mul(rows_max);
    let past = book.past(Some(name), begin.saturating_add(rows_max).saturating_add(1)).await.map_err(unread)?;
    let newest = if number == 0 { past.first().cloned() } else { book.newest().await.map_err(unread)?.remove(name) };
    let at_work = at_work(site, &book, name);
    let paused = book.state.paused().until(now).map_err(unread)?.get(name).copied();
    let is_from_repository = asked.query.text("from") == "repository";
    let (history, held) = match is_from_repository {
        true => from_repository(site, work, begin).await?,
        false => {
            let run = |past: &Past| of_record(site, past, at_work.is_some());
            (History::Log(past.iter().skip(begin).take(rows_max).map(run).collect()), past.len())
        }
    };
    let href = of_job(name);
    let from = if is_from_repository { "from=repository&" } else { "" };
    let of_page = |page: usize| format!("{href}?{from}page={page}");
    let frame = Frame::new(name, asked.token()).way(vec![Link::new("/", "Your backups"), Link::new("/jobs", "Jobs")]);
    let words = ["jobs run", "jobs pause", "jobs history"].map(|verb| site.jobs.command(&format!("{verb} {name}")));
    let frame = words.into_iter().fold(frame, Frame::command);
    let first = work.schedule().next_after(instant(now));
    let following = std::iter::successors(first, |due| work.schedule().next_after(*due));
    let (sources, facts, hooks) = match work {
        Work::Job(job) => (sources(job), words::facts(job), job.hooks.iter().map(words::hook).collect()),
        Work::Verify(verify) => (Vec::new(), words::facts_of_verification(verify), Vec::new()),
        Work::Replicate(policy) => (Vec::new(), words::facts_of_replication(policy), Vec::new()),
        Work::Mirror(mirror) => (vec![mirror.from.clone()], words::facts_of_mirror(mirror), Vec::new()),
    };
    let page = Page {
        refusal: frame.refusal(Action::Run),
        frame,
        state: standing(at_work.is_some(), paused.is_some(), newest.as_ref()),
        last: newest.as_ref().map(|past| site.zone.time(past.began)),
        reason: newest.as_ref().map(words::reason).unwrap_or_default(),
        at_work,
        paused: paused.map(|until| shown::sentence(&paused_until(site, until))),
        pauses: PAUSES.iter().map(|(word, text, _)| (*word, *text)).collect(),
        sources,
        to: to(site, work.repository()),
        facts,
        hooks,
        next: following.take(NEXT_MAX).map(|due| site.zone.time(timestamp(due))).collect(),
        is_from_repository,
        history,
        newer: number.checked_sub(1).map(of_page),
        older: (begin.saturating_add(rows_max) < held).then(|| of_page(number.saturating_add(1))),
        href: href.clone(),
    };
    render(StatusCode::OK, &page)
}

fn of_record(site: &Site, past: &Past, is_at_work: bool) -> Run {
    let took = past.ended.map(|ended| ended.seconds.saturating_sub(past.began.seconds));
    Run {
        href: of_past(&past.job, past.began),
        began: site.zone.time(past.began),
        took: took.map(|seconds| shown::span(u64::try_from(seconds).unwrap_or(0))).unwrap_or_default(),
        state: ended(past, is_at_work && past.is_open()),
        reason: words::reason(past),
    }
}

/// The snapshots of a job in its repository, newest first, and how many there are.
async fn from_repository(site: &Site, work: Work<'_>, begin: usize) -> Result<(History, usize), Problem> {
    let Work::Job(job) = work else {
        return Ok((History::Closed("it makes no snapshots; what was read when is on record there".to_owned()), 0));
    };
    let Some(name) = named(site, job) else {
        let why = "the repository has no name in the configuration, by which it could be opened here";
        return Ok((History::Closed(why.to_owned()), 0));
    };
    let repository = open(site, &name).await?;
    let look = repository.look().await.map_err(|error| Problem::of(&error, Some(&repository.label())))?;
    let (tag, host) = (job.tag(), environment::host_name());
    let is_own = |handle: &&SnapshotHandle| handle.snapshot.host == host && handle.snapshot.tags.contains(&tag);
    let own: Vec<&SnapshotHandle> = look.snapshots.whole.iter().rev().filter(is_own).collect();
    let rows = own.iter().skip(begin).take(site.limits.rows).map(|handle| {
        let (snapshot, id) = (&handle.snapshot, handle.snapshot.id.to_string());
        Snapshot {
            href: of_folder(&name, &id, b""),
            id: short(&id).to_owned(),
            time: site.zone.time(handle.time().unwrap_or(snapshot.finished)),
            source: shown::text(&snapshot.source.location),
            entries: snapshot.statistics.entries,
            added: shown::size(snapshot.statistics.bytes_added),
            errors: snapshot.statistics.errors,
        }
    });
    Ok((History::Repository(rows.collect()), own.len()))
}

/// One run, as the record has it.
pub(super) async fn past(site: &Site, asked: &Asked, name: &str, began: &str) -> Result<Reply, Problem> {
    let began = String::from_utf8_lossy(&decode(began.as_bytes())).into_owned();
    let book = site.jobs.read(site.clock.now().wall).await.map_err(unread)?;
    let past = book.past(Some(name), usize::MAX).await.map_err(unread)?;
    let past = past.into_iter().find(|past| past.began.to_string() == began).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "The record has no such run")
            .because("the record is bounded and may be deleted; the snapshots of the job are in its repository")
            .link("/jobs", "All jobs")
    })?;
    let at_work = at_work(site, &book, name).filter(|_| past.is_open());
    let way = vec![Link::new("/", "Your backups"), Link::new("/jobs", "Jobs"), Link::new(of_job(name), name)];
    let page = PastPage {
        frame: Frame::new(format!("Run of {}", shown::text(name)), asked.token())
            .way(way)
            .command(site.jobs.command(&format!("jobs history {name}"))),
        state: ended(&past, at_work.is_some()),
        began: site.zone.time(past.began),
        ended: past.ended.map(|ended| site.zone.time(ended)),
        due: past.due.map(|due| site.zone.time(due)),
        reason: words::reason(&past),
        at_work,
        steps: past.steps.iter().map(done).collect(),
    };
    render(StatusCode::OK, &page)
}

fn done(step: &Step) -> Done {
    let output = match step {
        Step::Hooked { output, .. } if output.trim_end().lines().count() > 1 => Some(shown::lines(output)),
        _ => None,
    };
    Done { text: words::step(step), output, is_failed: matches!(step, Step::Failed { .. }) }
}

/// Runs a job now, as `jobs run` does.
pub(super) async fn run(site: &Arc<Site>, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let book = site.jobs.read(site.clock.now().wall).await.map_err(unread)?;
    book.file.work(name).map_err(unread)?;
    require_idle(site, &book, name)?;
    let operation = Arc::new(JobRun { jobs: site.jobs.clone(), job: name.to_owned(), wish: Wish::default() });
    asked.require(operation.action())?;
    run::started(site, asked, name, operation).map(|id| reply::see(&run::of_id(Room::Job, name, id)))
}

/// Refuses to run what another process runs.
pub(super) fn require_idle(site: &Site, book: &Book, name: &str) -> Result<(), Problem> {
    let Some(AtWork::Elsewhere(process)) = at_work(site, book, name) else { return Ok(()) };
    let by = process.map_or_else(|| "another process".to_owned(), |process| format!("the process {process}"));
    Err(Problem::new(StatusCode::CONFLICT, "The job runs already")
        .because(format!("{by} is at work on it, and a job runs once at a time"))
        .next("Wait until it has ended, and run it again.")
        .link(of_job(name), "How it goes"))
}

/// Lets a job rest: for a while, until a time, or until it is resumed.
pub(super) async fn pause(site: &Site, asked: &Asked, name: &str, form: &Fields) -> Result<Reply, Problem> {
    let now = site.clock.now().wall;
    let book = site.jobs.read(now).await.map_err(unread)?;
    book.file.work(name).map_err(unread)?;
    let (length, at) = (form.text("for"), form.text("until"));
    let known = PAUSES.iter().find(|(word, ..)| *word == length);
    let until = match (known, length.as_str(), at.as_str()) {
        (Some((.., seconds)), ..) => Some(Timestamp { seconds: now.seconds.saturating_add(*seconds), nanoseconds: 0 }),
        (None, "", _) => None,
        (None, "until", at) => Some(site.zone.civil(at).filter(|until| *until > now).ok_or_else(|| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Nothing says until when the job is to rest")
                .because("a day and a time to come were not given")
                .link(of_job(name), "To the job")
        })?),
        _ => return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "The form does not say for how long")),
    };
    book.state.paused().pause(name, until).map_err(unread)?;
    asked.note(site, "", &format!("Pause of the job {name}"), &shown::sentence(&paused_until(site, until)));
    Ok(reply::see(&of_job(name)))
}

/// Lets a job that rests go on.
pub(super) async fn resume(site: &Site, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let book = site.jobs.read(site.clock.now().wall).await.map_err(unread)?;
    book.file.work(name).map_err(unread)?;
    let was_paused = book.state.paused().resume(name).map_err(unread)?;
    let result = if was_paused { "Done" } else { "It was not paused" };
    asked.note(site, "", &format!("Resumption of the job {name}"), result);
    Ok(reply::see(&of_job(name)))
}
