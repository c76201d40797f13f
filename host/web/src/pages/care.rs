//! What a repository needs now and then: fewer snapshots, its space back, a copy elsewhere, mending. Each begins with a plan.

use askama::Template;
use http::StatusCode;

use super::Asked;
use super::frame::{Frame, Link};
use super::places::{of_repository, open, title};
use super::problem::{Problem, render};
use crate::access::Action;
use crate::command;
use crate::reply::Reply;
use crate::site::Site;

/// The rules of a policy: the field, and what it keeps.
const RULES: [(&str, &str); 6] = [
    ("keep_last", "newest"),
    ("keep_hourly", "hours"),
    ("keep_daily", "days"),
    ("keep_weekly", "weeks"),
    ("keep_monthly", "months"),
    ("keep_yearly", "years"),
];

#[derive(Template)]
#[template(path = "care.html")]
struct Page {
    frame: Frame,
    name: String,
    has_policy: bool,
    rules: [(&'static str, &'static str); 6],
    others: Vec<String>,
    refusal: Option<String>,
}

pub(super) async fn show(site: &Site, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let repository = open(site, name).await?;
    let label = repository.label();
    let names = site.repositories.names().map_err(|error| Problem::of(&error.into(), Some(&label)))?;
    let frame = Frame::new("Care", asked.token())
        .way(vec![Link::new("/", "Your backups"), Link::new(of_repository(name), title(&label))])
        .command(command::at(&label, "prune"))
        .command(command::at(&label, "maintain --dry-run"))
        .command(command::at(&label, "repair"))
        .command(command::at(&label, "sync to @OTHER"));
    let page = Page {
        refusal: frame.refusal(Action::Run),
        frame,
        name: name.to_owned(),
        has_policy: repository.open.repository.config().policy.is_some(),
        rules: RULES,
        others: names.into_iter().filter(|other| other != name).collect(),
    };
    render(StatusCode::OK, &page)
}
