//! What reaches other places: the connectors at hand, who made them, and what each may do. Nothing is installed from here, and none of their code runs for it.

use askama::Template;
use credenza_app::{Component, ConnectorsError, Trust};
use http::StatusCode;

use super::Asked;
use super::frame::{Frame, Link};
use super::problem::{Problem, render};
use crate::reply::Reply;
use crate::shown;
use crate::site::Site;

#[derive(Template)]
#[template(path = "connectors.html")]
struct Page {
    frame: Frame,
    connectors: Vec<Shown>,
    /// What cannot be used, and why.
    broken: Vec<String>,
    /// Files that nobody has agreed to.
    strays: Vec<String>,
}

/// A connector; all texts are its own, each on one line.
struct Shown {
    name: String,
    version: String,
    summary: String,
    serves: String,
    origin: String,
    sha256: String,
    publisher: Option<String>,
    /// What it may do, by topics.
    grant: Vec<(&'static str, Vec<String>)>,
}

impl Shown {
    fn of(component: &Component) -> Result<Self, ConnectorsError> {
        let manifest = &component.manifest;
        let mut grant: Vec<(&'static str, Vec<String>)> = Vec::new();
        for line in component.grant()?.lines() {
            let heading = line.topic.heading();
            match grant.last_mut().filter(|(topic, _)| *topic == heading) {
                Some((_, lines)) => lines.push(shown::text(&line.words)),
                None => grant.push((heading, vec![shown::text(&line.words)])),
            }
        }
        let roles: Vec<&str> = manifest.roles.iter().map(|role| role.name()).collect();
        Ok(Self {
            name: shown::text(&manifest.name),
            version: shown::text(&manifest.version),
            summary: shown::text(&manifest.summary),
            serves: shown::text(&format!("{}:// as {}", manifest.schemes.join("://, "), roles.join(", "))),
            origin: match component.trust {
                Trust::Embedded => "part of this program".to_owned(),
                _ => shown::text(&component.origin.to_string()),
            },
            sha256: component.sha256(),
            publisher: component.publisher().map(|key| key.to_string()),
            grant,
        })
    }
}

pub(super) fn show(site: &Site, asked: &Asked) -> Result<Reply, Problem> {
    let at_hand = site.repositories.app().connectors();
    let failed = |error: ConnectorsError| Problem::of(&error.into(), None);
    let (mut connectors, mut broken) = (Vec::new(), Vec::new());
    for component in at_hand.all().map_err(failed)? {
        match component.and_then(|component| Shown::of(&component)) {
            Ok(connector) => connectors.push(connector),
            Err(error) => broken.push(Problem::of(&error.into(), None).said()),
        }
    }
    let strays = at_hand.strays().map_err(failed)?;
    let page = Page {
        frame: Frame::new("Connectors", asked.token())
            .way(vec![Link::new("/", "Your backups")])
            .command("credenza connector list")
            .command("credenza connector verify"),
        connectors,
        broken,
        strays: strays.iter().map(|path| shown::text(&path.display().to_string())).collect(),
    };
    render(StatusCode::OK, &page)
}
