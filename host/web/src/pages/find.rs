//! What many snapshots hold by a part of a name, each path and content once.

use std::cmp::Reverse;

use askama::Template;
use credenza_app::search;
use credenza_engine::SnapshotHandle;
use credenza_engine::query::{FindQuery, Found};
use credenza_model::EntryKind;
use http::StatusCode;

use super::Asked;
use super::download::too_many;
use super::frame::{Frame, Link};
use super::places::{kind, of_entry, of_folder, of_repository, open, short, title};
use super::problem::{Problem, render};
use super::restore;
use crate::access::Action;
use crate::basket::Pick;
use crate::command;
use crate::reply::Reply;
use crate::repositories::Look;
use crate::shown::{self, Time};
use crate::site::Site;

#[derive(Template)]
#[template(path = "find.html")]
struct Page {
    frame: Frame,
    name: String,
    pattern: String,
    any_case: bool,
    /// None before anything was asked for.
    rows: Option<Vec<Row>>,
    searched: String,
    /// Why there may be more.
    partial: Option<String>,
    unread: u64,
    basket: Option<Link>,
    refusal: Option<String>,
}

struct Row {
    href: String,
    /// As a field names it.
    word: String,
    path: String,
    kind: &'static str,
    size: String,
    time: Option<Time>,
    newest: String,
    more: usize,
}

pub(super) async fn show(site: &Site, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let repository = open(site, name).await?;
    let label = repository.label();
    let Look { view, snapshots } = repository.look().await.map_err(|error| Problem::of(&error, Some(&label)))?;
    let pattern = asked.query.text("name");
    let any_case = asked.query.bytes("any_case").is_some();
    let mut words = "find".to_owned();
    if any_case {
        words.push_str(" --ignore-case");
    }
    words.push_str(if pattern.starts_with('-') { " -- " } else { " " });
    words.push_str(&command::word(if pattern.is_empty() { "NAME" } else { &pattern }));
    let way = vec![Link::new("/", "Your backups"), Link::new(of_repository(name), title(&label))];
    let frame = Frame::new("Find", asked.token()).way(way).command(command::at(&label, &words));
    let mut page = Page {
        refusal: frame.refusal(Action::Restore),
        frame,
        basket: restore::link(site, asked, name),
        name: name.to_owned(),
        pattern: pattern.clone(),
        any_case,
        rows: None,
        searched: shown::count(snapshots.whole.len() as u64, "snapshot", "snapshots"),
        partial: None,
        unread: snapshots.damaged.len() as u64,
    };
    if pattern.is_empty() {
        return render(StatusCode::OK, &page);
    }
    let _reading = site.reader().ok_or_else(|| too_many(site))?;
    let mut newest_first: Vec<SnapshotHandle> = snapshots.whole.clone();
    newest_first.sort_by_key(|handle| Reverse((handle.time(), handle.snapshot.sequence, handle.snapshot.id)));
    let failed = |error| Problem::of(&credenza_app::Error::Engine(error), Some(&label));
    let names = search::names(&pattern, any_case, &newest_first).map_err(failed)?;
    let mut finder = view.find(&newest_first, FindQuery { names, ..FindQuery::default() });
    let mut rows = Vec::new();
    let until = tokio::time::Instant::now() + site.limits.search;
    page.partial = loop {
        match tokio::time::timeout_at(until, finder.next()).await {
            Err(_) => {
                break Some(format!(
                    "The search was ended after {} seconds: there may be more.",
                    site.limits.search.as_secs()
                ));
            }
            Ok(found) => match found.map_err(failed)? {
                None => break None,
                Some(_) if rows.len() >= site.limits.rows => {
                    break Some(format!(
                        "These are the first {}: a longer part of the name finds fewer.",
                        site.limits.rows
                    ));
                }
                Some(found) => rows.extend(row(site, name, &found)),
            },
        }
    };
    page.rows = Some(rows);
    render(StatusCode::OK, &page)
}

fn row(site: &Site, name: &str, found: &Found) -> Option<Row> {
    let entry = &found.record.entry;
    let newest = found.snapshots.first()?.to_string();
    let key = entry.key.as_bytes();
    let is_folder = entry.kind == EntryKind::Directory;
    Some(Row {
        word: if is_folder { Pick::folder(&newest, key) } else { Pick::entry(&newest, key) }.word(),
        href: if is_folder { of_folder(name, &newest, key) } else { of_entry(name, &newest, "file", key) },
        path: shown::name(key),
        kind: kind(entry.kind),
        size: entry.size.filter(|_| !is_folder).map(shown::size).unwrap_or_default(),
        time: entry.modified.map(|time| site.zone.time(time)),
        newest: short(&newest).to_owned(),
        more: found.snapshots.len().saturating_sub(1),
    })
}
