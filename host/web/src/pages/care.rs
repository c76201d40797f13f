//! What a repository needs now and then: fewer snapshots, its space back, a copy elsewhere, mending. Each begins with a plan.

use std::collections::BTreeSet;

use askama::Template;
use http::StatusCode;

use super::Asked;
use super::frame::{Frame, Link};
use super::places::{of_repository, open, title};
use super::problem::{Problem, render};
use crate::access::Action;
use crate::command;
use crate::operations::rules;
use crate::reply::Reply;
use crate::repositories::Look;
use crate::shown;
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

/// Sources, hosts and tags to choose among; others are named on the command line.
const CHOICES_MAX: usize = 100;

#[derive(Template)]
#[template(path = "care.html")]
struct Page {
    frame: Frame,
    name: String,
    /// Its policy, as words of the command line.
    policy: Option<String>,
    /// Fields by which fewer are judged: the name, what it is, and what there is to choose, as it is and as it is shown.
    filters: [(&'static str, &'static str, Vec<(String, String)>); 3],
    policy_refusal: Option<String>,
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
    let Look { snapshots, .. } = repository.look().await.map_err(|error| Problem::of(&error, Some(&label)))?;
    let all = || snapshots.whole.iter().map(|handle| &handle.snapshot);
    let page = Page {
        filters: [
            ("source", "of the source", choices(all().map(|snapshot| snapshot.source.location.as_str()))),
            ("host", "made on", choices(all().map(|snapshot| snapshot.host.as_str()))),
            ("tag", "with the tag", choices(all().flat_map(|snapshot| snapshot.tags.iter().map(String::as_str)))),
        ],
        policy_refusal: frame.refusal(Action::Remove),
        refusal: frame.refusal(Action::Run),
        frame,
        name: name.to_owned(),
        policy: repository.open.repository.config().policy.as_ref().map(|policy| rules(policy).trim().to_owned()),
        rules: RULES,
        others: names.into_iter().filter(|other| other != name).collect(),
    };
    render(StatusCode::OK, &page)
}

/// What snapshots have, each once. What cannot be seen cannot be chosen with open eyes.
fn choices<'a>(values: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let values: BTreeSet<&str> = values.filter(|value| value.chars().all(shown::is_visible)).collect();
    values.into_iter().take(CHOICES_MAX).map(|value| (value.to_owned(), shown::text(value))).collect()
}
