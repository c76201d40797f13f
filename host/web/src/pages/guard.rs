//! Guard: the snapshots in which too much is gone, changed or encrypted, with the reason, and the way to say that somebody has looked at them.
//!
//! Only what is open here, or what the configuration opens, is asked, and each repository for a bounded time.

use std::sync::Arc;

use askama::Template;
use credenza_app::PlaceLabel;
use http::StatusCode;

use super::Asked;
use super::frame::{Frame, Link};
use super::home::looks;
use super::places::{of_folder, of_repository, short};
use super::problem::{Problem, render};
use crate::access::Action;
use crate::command;
use crate::reply::Reply;
use crate::shown::{self, Time};
use crate::site::Site;

#[derive(Template)]
#[template(path = "guard.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    /// Repositories that cannot be looked into now.
    closed: Vec<Link>,
    /// Why whoever looks cannot acknowledge anything.
    refusal: Option<String>,
}

/// A suspect snapshot.
struct Row {
    repository: Link,
    /// Where it is acknowledged.
    action: String,
    snapshot: Link,
    id: String,
    time: Option<Time>,
    source: String,
    reason: String,
}

pub(super) async fn show(site: &Arc<Site>, asked: &Asked) -> Result<Reply, Problem> {
    let names = site.repositories.names()?;
    let (mut rows, mut closed, mut commands) = (Vec::new(), Vec::new(), Vec::new());
    for (name, looked) in looks(site, names).await {
        let Some(Ok(look)) = looked else {
            closed.push(Link::new(of_repository(&name), name));
            continue;
        };
        if !look.suspects.is_empty() {
            let label = site
                .repositories
                .place(&name)
                .map(|place| place.label())
                .unwrap_or(PlaceLabel { name: Some(name.clone()), location: String::new() });
            commands.push(command::at(&label, "jobs acknowledge"));
        }
        // The newest first.
        rows.extend(look.suspects.iter().rev().take(site.limits.rows).map(|suspect| {
            let id = suspect.snapshot.to_string();
            Row {
                repository: Link::new(of_repository(&name), &*name),
                action: format!("{}/run", of_repository(&name)),
                snapshot: Link::new(of_folder(&name, &id, b""), short(&id)),
                time: suspect.time.map(|time| site.zone.time(time)),
                source: shown::text(&suspect.source),
                reason: shown::sentence(&shown::text(&suspect.reason)),
                id,
            }
        }));
    }
    let frame =
        Frame::new("Guard", asked.token()).way(vec![Link::new("/", "Your backups"), Link::new("/jobs", "Jobs")]);
    let frame = commands.into_iter().fold(frame, Frame::command);
    render(StatusCode::OK, &Page { refusal: frame.refusal(Action::Remove), frame, rows, closed })
}
