//! The sources of the configuration: what is there now, folder by folder, and the ways to check one (`place`) and to back it up (`run`).

use askama::Template;
use credenza_app::{Kind, Place, live};
use credenza_model::{Entry, EntryKind};
use http::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::Asked;
use super::download::too_many;
use super::frame::{Frame, Link};
use super::places::{folder_of, kind};
use super::problem::{Problem, render};
use crate::access::Action;
use crate::command;
use crate::form::encode;
use crate::reply::Reply;
use crate::shown::{self, Time};
use crate::site::Site;

#[derive(Template)]
#[template(path = "sources.html")]
struct List {
    frame: Frame,
    can_add: bool,
    rows: Vec<Source>,
}

struct Source {
    href: String,
    name: String,
    /// Where it is, or why that is not known.
    location: Result<String, String>,
}

#[derive(Template)]
#[template(path = "source.html")]
struct Page {
    frame: Frame,
    name: String,
    location: String,
    /// What it can be backed up into.
    repositories: Vec<String>,
    /// Why nothing can be started here.
    refusal: Option<String>,
    folder: Folder,
    first: Option<String>,
    next: Option<String>,
}

/// What lies there now.
enum Folder {
    Rows(Vec<Row>, Vec<String>),
    /// It cannot be listed.
    Failed(String),
}

struct Row {
    /// A folder is opened; what a file holds is not read from here.
    href: Option<String>,
    name: String,
    kind: &'static str,
    size: String,
    time: Option<Time>,
}

/// Where a source of the configuration is.
pub(super) fn place(site: &Site, name: &str) -> Result<Place, Problem> {
    super::place::place(site, Kind::Source, name)
}

fn of_source(name: &str) -> String {
    format!("/sources/{name}")
}

pub(super) fn list(site: &Site, asked: &Asked) -> Result<Reply, Problem> {
    let names = site.repositories.sources().map_err(|error| Problem::of(&error.into(), None))?;
    let row = |name: String| {
        let location = place(site, &name).map(|place| shown::text(&place.text())).map_err(|problem| problem.what());
        Source { href: of_source(&name), name, location }
    };
    let frame = Frame::new("Sources", asked.token()).command("credenza source list");
    render(
        StatusCode::OK,
        &List {
            can_add: frame.refusal(Action::Configure).is_none(),
            frame,
            rows: names.into_iter().map(row).collect(),
        },
    )
}

pub(super) async fn show(site: &Site, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let place = place(site, name)?;
    let prefix = asked.query.bytes("key").unwrap_or_default();
    let after = asked.query.bytes("after");
    let _reading = site.reader().ok_or_else(|| too_many(site))?;
    let listing = async {
        let source = site.repositories.app().source(&place, None).await?.connector;
        live::folder(&*source, prefix, after, site.limits.rows).await
    };
    let here = format!("{}?key={}", of_source(name), encode(prefix));
    let (folder, next) = match timeout_at(Instant::now() + site.limits.search, listing).await {
        Err(_) => {
            (Folder::Failed(format!("It has not answered within {} seconds", site.limits.search.as_secs())), None)
        }
        Ok(Err(error)) => (Folder::Failed(shown::text(&told(&error))), None),
        Ok(Ok(page)) => {
            let rows = page.entries.iter().map(|entry| row(site, name, prefix, entry)).collect();
            let skipped = page.skipped.iter().map(|one| {
                format!("{} could not be listed: {}", shown::name(one.key.as_bytes()), shown::text(&one.reason))
            });
            let next = page.next.map(|next| format!("{here}&after={}", encode(next.as_bytes())));
            (Folder::Rows(rows, skipped.collect()), next)
        }
    };
    let mut way = vec![Link::new("/sources", "Sources")];
    if !prefix.is_empty() {
        way.push(Link::new(of_source(name), name));
    }
    way.extend(
        folders(folder_of(prefix))
            .map(|(to, own)| Link::new(format!("{}?key={}", of_source(name), encode(to)), shown::name(own))),
    );
    let title = if prefix.is_empty() {
        shown::text(name)
    } else {
        shown::name(prefix.get(folder_of(prefix).len()..).unwrap_or_default())
    };
    let frame = Frame::new(title, asked.token())
        .way(way)
        .command(format!("credenza browse {}", command::word(&format!("@{name}"))))
        .command(format!("credenza source check {}", command::word(name)));
    let page = Page {
        refusal: frame.refusal(Action::Run),
        frame,
        name: name.to_owned(),
        location: shown::text(&place.text()),
        repositories: site.repositories.names().map_err(|error| Problem::of(&error.into(), None))?,
        folder,
        first: after.map(|_| here),
        next,
    };
    render(StatusCode::OK, &page)
}

/// Each folder of a prefix, and its own name.
fn folders(prefix: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let ends = prefix.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
    ends.filter_map(|end| {
        let to = prefix.get(..end)?;
        Some((to, to.get(folder_of(to).len()..)?))
    })
}

fn row(site: &Site, name: &str, prefix: &[u8], entry: &Entry) -> Row {
    let key = entry.key.as_bytes();
    let is_folder = entry.kind == EntryKind::Directory;
    let inside = if key.ends_with(b"/") { key.to_vec() } else { [key, b"/"].concat() };
    Row {
        href: is_folder.then(|| format!("{}?key={}", of_source(name), encode(&inside))),
        name: shown::name(key.strip_prefix(prefix).filter(|own| !own.is_empty()).unwrap_or(key)),
        kind: kind(entry.kind),
        size: entry.size.filter(|_| !is_folder).map(shown::size).unwrap_or_default(),
        time: entry.modified.map(|time| site.zone.time(time)),
    }
}

/// An error with its causes, on one line.
fn told(error: &dyn std::error::Error) -> String {
    shown::causes(error).join(": ")
}
