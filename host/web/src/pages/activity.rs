//! Activity: what runs now, and who did what from where, as the log has it.

use std::sync::Arc;

use askama::Template;
use credenza_model::Timestamp;
use http::StatusCode;

use super::Asked;
use super::frame::{Frame, Link};
use super::places::of_repository;
use super::problem::{Problem, render};
use super::run;
use crate::activity::Entry;
use crate::reply::Reply;
use crate::runs::Run;
use crate::shown::{self, Time};
use crate::site::Site;

#[derive(Template)]
#[template(path = "activity.html")]
struct Page {
    frame: Frame,
    running: Vec<Running>,
    rows: Vec<Row>,
}

/// A run that is under way.
pub(super) struct Running {
    pub(super) href: String,
    pub(super) title: String,
    /// Where, and who started it.
    pub(super) beside: String,
    pub(super) began: Option<Time>,
}

struct Row {
    time: Time,
    by: String,
    what: String,
    href: Option<String>,
    repository: String,
    result: String,
    says: String,
}

pub(super) fn show(site: &Arc<Site>, asked: &Asked) -> Result<Reply, Problem> {
    let newest = site.activity.newest(site.limits.rows).map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The log of what was done cannot be read")
            .because(error.to_string())
            .next("It can be deleted: nothing depends on it.")
    })?;
    let under_way = site.runs.under_way();
    let page = Page {
        frame: Frame::new("Activity", asked.token()).way(vec![Link::new("/", "Your backups")]),
        running: under_way.iter().map(|run| running(site, run)).collect(),
        rows: newest.into_iter().map(|entry| row(site, &under_way, entry)).collect(),
    };
    render(StatusCode::OK, &page)
}

pub(super) fn running(site: &Site, run: &Run) -> Running {
    let place = match run.repository() {
        "" => String::new(),
        name => format!("in {}, ", shown::text(name)),
    };
    Running {
        href: run::of_run(run),
        title: run.operation.title(),
        beside: format!("{place}by {}", run::by(&run.by)),
        began: Some(site.zone.time(run.began)),
    }
}

fn row(site: &Site, under_way: &[Arc<Run>], entry: Entry) -> Row {
    let Entry { at, by, repository, what, result, says } = entry;
    let is_same =
        |run: &&Arc<Run>| run.began.seconds == at && run.repository() == repository && run.operation.title() == what;
    let runs_on = under_way.iter().any(|run| is_same(&run));
    let href = site.repositories.place(&repository).ok().map(|_| of_repository(&repository));
    Row {
        time: site.zone.time(Timestamp { seconds: at, nanoseconds: 0 }),
        by: run::by(&by),
        what: shown::text(&what),
        href,
        repository: shown::text(&repository),
        result: match result {
            Some(result) => shown::text(&result),
            None if runs_on => "Running".to_owned(),
            None => "Broken off: the program ended before it".to_owned(),
        },
        says: shown::text(&says),
    }
}
