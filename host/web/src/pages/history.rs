//! The versions of one path over all snapshots, newest first.

use askama::Template;
use credenza_engine::query::{FindQuery, Found, NamePattern};
use credenza_model::{EntryKind, Key};
use http::StatusCode;

use super::Asked;
use super::download::too_many;
use super::finding::{self, Finding};
use super::frame::{Frame, Link};
use super::places::{kind, of_entry, of_folder, of_repository, open, short, title};
use super::problem::{Problem, render};
use super::restore;
use crate::access::Action;
use crate::basket::Pick;
use crate::command;
use crate::form::encode;
use crate::reply::Reply;
use crate::shown::{self, Time};
use crate::site::Site;

#[derive(Template)]
#[template(path = "history.html")]
struct Page {
    frame: Frame,
    name: String,
    basket: Option<Link>,
    /// Why nothing can be picked here.
    refusal: Option<String>,
    rows: Vec<Row>,
    searched: String,
    partial: Option<String>,
    unread: u64,
}

/// A version: one content, and the snapshots that hold it.
struct Row {
    href: String,
    /// Its bytes; a folder has none of its own.
    download: Option<String>,
    kind: &'static str,
    size: String,
    modified: Option<Time>,
    newest: Kept,
    oldest: Option<Kept>,
    number: u64,
    /// As a field names it, to be restored.
    word: String,
}

/// A snapshot that holds a version.
struct Kept {
    href: String,
    id: String,
    time: Option<Time>,
}

/// The page of a path.
pub(super) fn of_history(name: &str, key: &[u8]) -> String {
    format!("/r/{name}/history?key={}", encode(key))
}

pub(super) async fn show(site: &Site, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let repository = open(site, name).await?;
    let label = repository.label();
    let look = repository.look().await.map_err(|error| Problem::of(&error, Some(&label)))?;
    let key = asked.query.bytes("key").unwrap_or_default();
    let newest_first = finding::newest_first(&look.snapshots);
    let times = |id: &str| {
        let found = newest_first.iter().find(|handle| handle.snapshot.id.to_string() == id)?;
        Some(site.zone.time(found.time().unwrap_or(found.snapshot.finished)))
    };
    let _reading = site.reader().ok_or_else(|| too_many(site))?;
    let names = vec![NamePattern::Exact(Key::new(key))];
    let finder = look.view.find(&newest_first, FindQuery { names, ..FindQuery::default() });
    let failed = |error| Problem::of(&credenza_app::Error::Engine(error), Some(&label));
    let full = |max| format!("These are the newest {max}; the command below lists all.");
    let row = |found: &Found| row(site, name, found, &times);
    let Finding { rows, partial } = finding::rows(site, finder, failed, row, full).await?;
    let way = vec![Link::new("/", "Your backups"), Link::new(of_repository(name), title(&label))];
    let frame = Frame::new(format!("Versions of {}", shown::name(key)), asked.token())
        .way(way)
        .command(command::at(&label, &format!("history {}", command::key(key))));
    let page = Page {
        refusal: frame.refusal(Action::Restore),
        frame,
        name: name.to_owned(),
        basket: restore::link(site, asked, name),
        rows,
        searched: shown::count(newest_first.len() as u64, "snapshot", "snapshots"),
        partial,
        unread: look.snapshots.damaged.len() as u64,
    };
    render(StatusCode::OK, &page)
}

fn row(site: &Site, name: &str, found: &Found, times: &impl Fn(&str) -> Option<Time>) -> Option<Row> {
    let entry = &found.record.entry;
    let key = entry.key.as_bytes();
    let is_folder = entry.kind == EntryKind::Directory;
    let kept = |id: &str| Kept { href: of_folder(name, id, b""), id: short(id).to_owned(), time: times(id) };
    let newest = found.snapshots.first()?.to_string();
    let oldest = found.snapshots.last().filter(|_| found.snapshots.len() > 1).map(ToString::to_string);
    Some(Row {
        href: if is_folder { of_folder(name, &newest, key) } else { of_entry(name, &newest, "file", key) },
        download: super::places::why_no_content(&found.record)
            .is_none()
            .then(|| of_entry(name, &newest, "download", key)),
        kind: kind(entry.kind),
        size: entry.size.filter(|_| !is_folder).map(shown::size).unwrap_or_default(),
        modified: entry.modified.map(|time| site.zone.time(time)),
        word: Pick::entry(&newest, key).word(),
        newest: kept(&newest),
        oldest: oldest.map(|id| kept(&id)),
        number: found.snapshots.len() as u64,
    })
}
