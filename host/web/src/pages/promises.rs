//! Promises: how old the newest good snapshot of each source may become, and how that stands, measured at the repositories.
//!
//! Only what is open here, or what the configuration opens, is asked, and each repository for a bounded time: what does not answer is not known, and the
//! rest is shown. Nothing is written to a repository, so that now is what this machine says; `credenza promises` asks the store.
//!
//! Promises with numbers are judged by what the daemon found when it looked last, and no repository is asked for them. What it has not looked at for longer
//! than [`TRUE_SECONDS`] is not known.

use std::sync::Arc;

use askama::Template;
use credenza_app::jobs::look::book::Book as Looked;
use credenza_app::jobs::needs::{self, Found, Needs};
use credenza_app::jobs::{Job, JobsError};
use http::StatusCode;

use super::Asked;
use super::frame::{Frame, Link};
use super::home::{held, looks};
use super::jobs::{named, of_job, unread};
use super::places::of_repository;
use super::problem::{Problem, render};
use super::protected::{Looks, NOT_KNOWN, Promised, measure, promised, says, state};
use super::run::State;
use crate::jobs::{Book, words};
use crate::reply::Reply;
use crate::shown::{self, Time};
use crate::site::Site;

/// What was measured is true for so long: it is measured once a day, and that takes a while.
const TRUE_SECONDS: i64 = 25 * 3600;

#[derive(Template)]
#[template(path = "promises.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    /// Jobs that promise nothing.
    silent: Vec<Link>,
    /// Where there are promises with numbers, how they stand.
    counted: Option<Counted>,
}

struct Row {
    state: State,
    source: String,
    job: Link,
    promise: String,
    newest: Option<Time>,
    says: String,
    see: Option<Link>,
}

/// Promises with numbers.
struct Counted {
    rows: Vec<CountedRow>,
    /// Those that were not measured yet, by name.
    unmeasured: String,
    /// Repositories that could not be asked.
    unknown: String,
    /// What measures them now.
    command: String,
}

struct CountedRow {
    promise: String,
    source: String,
    state: State,
    lacks: String,
    measured: Time,
}

pub(super) async fn show(site: &Arc<Site>, asked: &Asked) -> Result<Reply, Problem> {
    let book = match site.jobs.read(site.clock.now().wall).await {
        Err(JobsError::NoFile { .. }) => return Err(Problem::see("/jobs")),
        book => book.map_err(unread)?,
    };
    let counted = counted(site, &book).await?;
    let promising = || book.file.jobs.values().filter(|job| job.promise.is_some());
    let mut names: Vec<String> = promising().filter_map(|job| named(site, job)).collect();
    names.sort_unstable();
    names.dedup();
    let looked = looks(site, names).await;
    let looks = held(&looked);
    let page = Page {
        frame: Frame::new("Promises", asked.token())
            .way(vec![Link::new("/", "Your backups"), Link::new("/jobs", "Jobs")])
            .command(site.jobs.command("promises")),
        rows: promising().flat_map(|job| rows(site, &looks, job)).collect(),
        silent: book
            .file
            .jobs
            .values()
            .filter(|job| job.promise.is_none())
            .map(|job| Link::new(of_job(&job.name), &*job.name))
            .collect(),
        counted,
    };
    render(StatusCode::OK, &page)
}

fn rows(site: &Site, looks: &Looks<'_>, job: &Job) -> Vec<Row> {
    let Some(promise) = job.promise else { return Vec::new() };
    let repository = named(site, job);
    let look = repository.as_deref().and_then(|name| looks.get(name).copied().flatten());
    let now = site.clock.now().wall;
    let row = |location: String| {
        let see = repository.as_ref().map(|name| Link::new(of_repository(name), &**name));
        let (source, job_link) = (shown::text(&location), Link::new(of_job(&job.name), &*job.name));
        let promise_text = words::long(promise);
        let (Some(look), Some(name)) = (look, &repository) else {
            let says = not_known(site, repository.as_deref());
            return Row { state: NOT_KNOWN, source, job: job_link, promise: promise_text, newest: None, says, see };
        };
        let protection = measure(site, look, job, &location, promise);
        Row {
            state: state(protection.kept),
            source,
            job: job_link,
            promise: promise_text,
            newest: protection.newest.map(|newest| site.zone.time(newest)),
            says: says(&protection, Some(&job.name), name, now),
            see,
        }
    };
    let lost = |(word, reason): (String, String)| Row {
        state: NOT_KNOWN,
        source: shown::text(&word),
        job: Link::new(of_job(&job.name), &*job.name),
        promise: words::long(promise),
        newest: None,
        says: format!("Where it is cannot be found: {reason}."),
        see: None,
    };
    let Promised { locations, lost: words_lost } = promised(site, job);
    locations.into_iter().map(row).chain(words_lost.into_iter().map(lost)).collect()
}

/// Why nothing can be said.
fn not_known(site: &Site, repository: Option<&str>) -> String {
    let Some(name) = repository else {
        return "The repository has no name in the configuration, by which it could be looked into here.".to_owned();
    };
    match site.repositories.seen(name) {
        Some(seen) => format!("Not known since {}: {name} cannot be looked into.", site.zone.time(seen).text),
        None => format!("{name} cannot be looked into: it is locked, or does not answer."),
    }
}

/// How promises with numbers stand; nothing where there are none.
async fn counted(site: &Site, book: &Book) -> Result<Option<Counted>, Problem> {
    let promises = &book.file.promises;
    if promises.is_empty() {
        return Ok(None);
    }
    let looked = book.looked().await.map_err(unread)?;
    let mut found = Found::default();
    found.remember(looked.copies.keys());
    let is_measured = |needs: &Needs| looked.asked.as_ref().is_some_and(|asked| asked.is_about(needs));
    let (measured, unmeasured): (Vec<&Needs>, Vec<&Needs>) = promises.iter().partition(|needs| is_measured(needs));
    let unknown = looked.asked.iter().flat_map(|asked| &asked.unknown);
    Ok(Some(Counted {
        rows: measured.into_iter().flat_map(|needs| counted_rows(site, needs, &found, &looked)).collect(),
        unmeasured: unmeasured.into_iter().map(|needs| shown::text(&needs.name)).collect::<Vec<_>>().join(", "),
        unknown: unknown.map(|repository| shown::text(repository)).collect::<Vec<_>>().join(", "),
        command: site.jobs.command("promises"),
    }))
}

/// How a promise with numbers stands for each of its sources.
fn counted_rows(site: &Site, needs: &Needs, found: &Found, looked: &Looked) -> Vec<CountedRow> {
    let Some(asked) = &looked.asked else { return Vec::new() };
    let now = site.clock.now().wall;
    let is_true = now.seconds.saturating_sub(asked.at.seconds) <= TRUE_SECONDS;
    let without_source = |lacks: String| CountedRow {
        promise: shown::text(&needs.name),
        source: shown::text(&needs.sources.join(", ")),
        state: NOT_KNOWN,
        lacks,
        measured: site.zone.time(asked.at),
    };
    let sources = match needs::sources(site.repositories.app(), needs, found) {
        Ok(sources) if !sources.is_empty() => sources,
        Ok(_) => return vec![without_source("no source is called so".to_owned())],
        Err(error) => return vec![without_source(shown::text(&error.to_string()))],
    };
    let row = |source: String| {
        let held = looked.held(&source, now)?;
        let judged = needs::judge(needs, &source, &held.copies);
        Some(CountedRow {
            promise: shown::text(&needs.name),
            source: shown::text(&source),
            state: if is_true { state(judged.kept) } else { NOT_KNOWN },
            lacks: shown::text(&judged.lacks.join("; ")),
            measured: site.zone.time(held.at),
        })
    };
    sources.into_iter().filter_map(row).collect()
}
