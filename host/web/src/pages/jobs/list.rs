//! The list of jobs; where there is none, how to begin one, and what is wrong with a file that cannot be understood.

use std::collections::BTreeMap;

use askama::Template;
use credenza_app::jobs::log::Past;
use credenza_app::jobs::schedule::{instant, timestamp};
use credenza_app::jobs::{JobsError, Work};
use credenza_model::Timestamp;
use http::StatusCode;

use super::super::Asked;
use super::super::frame::{Frame, Link};
use super::super::problem::{Problem, render};
use super::super::run::State;
use super::{To, at_work, of_job, paused_until, sources, standing, to, unread};
use crate::access::Action;
use crate::jobs::{Book, words};
use crate::reply::Reply;
use crate::shown::{self, Time};
use crate::site::Site;

#[derive(Template)]
#[template(path = "jobs.html")]
struct List {
    frame: Frame,
    path: String,
    /// Why nothing runs by itself, where that is so.
    notice: Option<String>,
    rows: Vec<Row>,
    refusal: Option<String>,
}

/// A job in the list.
struct Row {
    href: String,
    name: String,
    state: State,
    last: Option<Time>,
    reason: String,
    next: Next,
    schedule: String,
    /// What it does with its repository.
    does: String,
    to: To,
}

enum Next {
    At(Time),
    /// It has none, for this reason.
    None(String),
}

#[derive(Template)]
#[template(path = "jobs_none.html")]
struct Nothing {
    frame: Frame,
    path: String,
    source: String,
    repository: String,
}

#[derive(Template)]
#[template(path = "jobs_faulty.html")]
struct Faulty {
    frame: Frame,
    path: String,
    faults: Vec<Fault>,
}

struct Fault {
    line: usize,
    key: String,
    what: String,
    remedy: String,
}

pub(in crate::pages) async fn list(site: &Site, asked: &Asked) -> Result<Reply, Problem> {
    let now = site.clock.now().wall;
    let book = match site.jobs.read(now).await {
        Ok(book) => book,
        Err(JobsError::NoFile { path }) => return nothing(site, asked, &path.to_string_lossy()),
        Err(error) => return faulty(site, asked, error),
    };
    let newest = book.newest().await.map_err(unread)?;
    let paused = book.state.paused().until(now).map_err(unread)?;
    let rows = book.file.works().map(|work| row(site, &book, work, newest.get(work.name()), &paused)).collect();
    let notice = book.state.daemon().is_none().then(|| {
        "No daemon runs these jobs, so that they run only when somebody asks for it, or by timers of the system."
            .to_owned()
    });
    let frame = Frame::new("Jobs", asked.token())
        .way(vec![Link::new("/", "Your backups")])
        .command(site.jobs.command("jobs list"))
        .command(site.jobs.command("jobs plan"));
    let page = List {
        refusal: frame.refusal(Action::Run),
        frame,
        path: shown::text(&book.file.path.to_string_lossy()),
        notice,
        rows,
    };
    render(StatusCode::OK, &page)
}

fn nothing(site: &Site, asked: &Asked, path: &str) -> Result<Reply, Problem> {
    let named = |names: Vec<String>, otherwise: &str| {
        names.into_iter().next().map_or_else(|| otherwise.to_owned(), |name| format!("@{name}"))
    };
    let page = Nothing {
        frame: Frame::new("Jobs", asked.token())
            .way(vec![Link::new("/", "Your backups")])
            .command(site.jobs.command("jobs check"))
            .command(site.jobs.command("daemon")),
        path: shown::text(path),
        source: named(site.repositories.sources()?, "/home"),
        repository: named(site.repositories.names()?.into_iter().filter(|name| name != "-").collect(), "@main"),
    };
    render(StatusCode::OK, &page)
}

/// What is wrong with the file, each fault with its line, its key and its remedy.
fn faulty(site: &Site, asked: &Asked, error: JobsError) -> Result<Reply, Problem> {
    let (path, faults) = match error {
        JobsError::Invalid { path, problems } => {
            let fault = |problem: credenza_app::jobs::Problem| Fault {
                line: problem.line,
                key: shown::text(&problem.key),
                what: shown::sentence(&shown::text(&problem.what)),
                remedy: shown::sentence(&shown::text(&problem.remedy)),
            };
            (path, problems.into_iter().map(fault).collect())
        }
        JobsError::Syntax { path, line, reason } => {
            let (what, key) = (shown::sentence(&shown::text(&reason)), String::new());
            let remedy = "The file is TOML: mend this line, then look again".to_owned();
            (path, vec![Fault { line, key, what, remedy }])
        }
        other => return Err(unread(other)),
    };
    let frame = Frame::new("Jobs", asked.token())
        .way(vec![Link::new("/", "Your backups")])
        .command(site.jobs.command("jobs check"));
    render(StatusCode::OK, &Faulty { frame, path: shown::text(&path.to_string_lossy()), faults })
}

fn row(
    site: &Site,
    book: &Book,
    work: Work<'_>,
    last: Option<&Past>,
    paused: &BTreeMap<String, Option<Timestamp>>,
) -> Row {
    let next = match (paused.get(work.name()), work.schedule().next_after(instant(site.clock.now().wall))) {
        (Some(until), _) => Next::None(paused_until(site, *until)),
        (None, Some(next)) => Next::At(site.zone.time(timestamp(next))),
        (None, None) => Next::None("never again".to_owned()),
    };
    Row {
        href: of_job(work.name()),
        name: work.name().to_owned(),
        state: standing(at_work(site, book, work.name()).is_some(), paused.contains_key(work.name()), last),
        last: last.map(|past| site.zone.time(past.began)),
        reason: last.map(words::reason).unwrap_or_default(),
        next,
        schedule: words::schedule(work.schedule()),
        does: match work {
            Work::Job(job) => format!("backs up {} to", sources(job).join(", ")),
            Work::Verify(_) => "reads again".to_owned(),
            Work::Replicate(policy) => words::carries(policy),
            Work::Mirror(mirror) => format!("mirrors {} to", mirror.from),
        },
        to: to(site, work.repository()),
    }
}
