//! A folder of a snapshot, page by page, in the order of its keys.

use askama::Template;
use credenza_engine::view::{FolderItem, FolderPage};
use credenza_model::{EntryKind, EntryStatus, Record};
use http::StatusCode;

use super::Asked;
use super::diff::of_diff;
use super::frame::{Frame, Link};
use super::places::{self, Place, kind, of_entry, of_folder};
use super::problem::{Problem, render};
use super::restore;
use super::space::of_space;
use crate::access::Action;
use crate::basket::Pick;
use crate::command;
use crate::form::encode;
use crate::reply::Reply;
use crate::shown::{self, Time};
use crate::site::Site;

#[derive(Template)]
#[template(path = "browse.html")]
struct Page {
    frame: Frame,
    time: Time,
    source: String,
    rows: Vec<Row>,
    tar: String,
    zip: String,
    space: String,
    /// Since the snapshot before, where that is known.
    changes: Option<String>,
    name: String,
    id: String,
    /// All of this folder, as a field names it.
    word: String,
    is_root: bool,
    basket: Option<Link>,
    refusal: Option<String>,
    first: Option<String>,
    next: Option<String>,
}

struct Row {
    href: String,
    /// As a field names it.
    word: String,
    name: String,
    kind: &'static str,
    size: String,
    time: Option<Time>,
    /// What is odd about it.
    note: Option<&'static str>,
}

pub(super) async fn show(site: &Site, asked: &Asked, name: &str, id: &str) -> Result<Reply, Problem> {
    let place = Place::open(site, name, id).await?;
    let prefix = asked.query.bytes("key").unwrap_or_default();
    if !prefix.is_empty() && !prefix.ends_with(b"/") {
        return Err(Problem::see(of_entry(name, &place.id, "file", prefix)));
    }
    let after = asked.query.bytes("after");
    let page = place.view.folder(&place.snapshot, prefix, after, site.limits.rows).await;
    let FolderPage { items, next, .. } = page.map_err(|error| place.problem(error))?;
    let here = of_folder(name, &place.id, prefix);
    let separator = if prefix.is_empty() { '?' } else { '&' };
    let mut way = vec![Link::new("/", "Your backups")];
    way.extend(places::way(name, &place, prefix));
    way.pop();
    let title = match prefix {
        [] => format!("Snapshot {}", places::short(&place.id)),
        prefix => shown::name(prefix.get(places::folder_of(prefix).len()..).unwrap_or_default()),
    };
    let words = command::in_snapshot(&place.id, prefix);
    let archive = |format: &str| format!("{}&format={format}", of_entry(name, &place.id, "archive", prefix));
    let frame = Frame::new(title, asked.token()).way(way).command(command::at(&place.label, &format!("ls {words}")));
    let page = Page {
        refusal: frame.refusal(Action::Restore),
        frame,
        name: name.to_owned(),
        word: Pick::folder(&place.id, prefix).word(),
        is_root: prefix.is_empty(),
        basket: restore::link(site, asked, name),
        time: site.zone.time(place.snapshot.time().unwrap_or(place.snapshot.snapshot.finished)),
        source: shown::text(&place.snapshot.snapshot.source.location),
        rows: items.iter().map(|item| row(site, name, &place.id, prefix, item)).collect(),
        space: of_space(name, &place.id, prefix),
        changes: place
            .snapshot
            .snapshot
            .parent
            .map(|parent| format!("{}&key={}", of_diff(name, &parent.to_string(), &place.id), encode(prefix))),
        id: place.id.clone(),
        tar: archive("tar"),
        zip: archive("zip"),
        first: after.map(|_| here.clone()),
        next: next.map(|next| format!("{here}{separator}after={}", encode(&next))),
    };
    render(StatusCode::OK, &page)
}

fn row(site: &Site, name: &str, id: &str, prefix: &[u8], item: &FolderItem) -> Row {
    let key = item.key().as_bytes();
    // An object can be called like the folder that is listed.
    let own = key.strip_prefix(prefix).filter(|own| !own.is_empty()).unwrap_or(key);
    let shown = shown::name(own);
    match item {
        FolderItem::Prefix(prefix) => {
            let href = of_folder(name, id, prefix.as_bytes());
            let word = Pick::folder(id, prefix.as_bytes()).word();
            Row {
                href,
                word,
                name: shown,
                kind: kind(EntryKind::Directory),
                size: String::new(),
                time: None,
                note: None,
            }
        }
        FolderItem::Entry(record) => {
            let entry = &record.entry;
            let is_folder = entry.kind == EntryKind::Directory;
            Row {
                word: if is_folder { Pick::folder(id, key) } else { Pick::entry(id, key) }.word(),
                href: if is_folder { of_folder(name, id, key) } else { of_entry(name, id, "file", key) },
                name: shown,
                kind: kind(entry.kind),
                size: entry.size.filter(|_| !is_folder).map(shown::size).unwrap_or_default(),
                time: entry.modified.map(|time| site.zone.time(time)),
                note: note(record),
            }
        }
    }
}

/// What is odd about an entry, in a word or two.
pub(super) fn note(record: &Record) -> Option<&'static str> {
    match &record.status {
        EntryStatus::Stable => None,
        EntryStatus::Changed => Some("changed while it was read"),
        EntryStatus::Vanished => Some("gone before it was read"),
        EntryStatus::Unreadable(_) => Some("could not be read"),
        EntryStatus::Referenced(_) => Some("kept without content"),
        EntryStatus::Undescribed(_) => Some("not fully described"),
        EntryStatus::Doubtful(_) => Some("doubtful"),
    }
}
