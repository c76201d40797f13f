//! Promises: how old the newest good snapshot of each source may become, and how that stands, measured at the repositories.
//!
//! Only what is open here, or what the configuration opens, is asked, and each repository for a bounded time: what does not answer is not known, and the
//! rest is shown. Nothing is written to a repository, so that now is what this machine says; `credenza promises` asks the store.

use std::sync::Arc;

use askama::Template;
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
use crate::jobs::words;
use crate::reply::Reply;
use crate::shown::{self, Time};
use crate::site::Site;

#[derive(Template)]
#[template(path = "promises.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    /// Jobs that promise nothing.
    silent: Vec<Link>,
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

pub(super) async fn show(site: &Arc<Site>, asked: &Asked) -> Result<Reply, Problem> {
    let book = match site.jobs.read(site.clock.now().wall).await {
        Err(JobsError::NoFile { .. }) => return Err(Problem::see("/jobs")),
        book => book.map_err(unread)?,
    };
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
