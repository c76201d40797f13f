//! What many snapshots hold by a part of a name, a pattern, a size or a time, each path and content once.

use askama::Template;
use credenza_app::search;
use credenza_app::units::{parse_moment, parse_size};
use credenza_engine::query::{FindQuery, Found};
use credenza_model::{EntryKind, Timestamp};
use http::StatusCode;

use super::Asked;
use super::download::too_many;
use super::finding::{self, Finding};
use super::frame::{Frame, Link};
use super::history::of_history;
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
    /// Bounds by name: what was written, and what is wrong with it.
    bounds: Vec<Bound>,
    /// Whether any is set.
    is_bounded: bool,
    /// None before anything was asked for.
    rows: Option<Vec<Row>>,
    searched: String,
    /// Why there may be more.
    partial: Option<String>,
    unread: u64,
    basket: Option<Link>,
    refusal: Option<String>,
}

/// A bound of what is looked for.
struct Bound {
    field: &'static str,
    label: &'static str,
    example: &'static str,
    text: String,
    wrong: Option<String>,
}

impl Bound {
    /// A field of the form, with its meaning; nothing where it is empty, or wrong.
    fn read<T>(
        asked: &Asked,
        (field, label, example): (&'static str, &'static str, &'static str),
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> (Self, Option<T>) {
        let text = asked.query.text(field);
        let (value, wrong) = match text.trim() {
            "" => (None, None),
            text => match parse(text) {
                Ok(value) => (Some(value), None),
                Err(why) => (None, Some(why)),
            },
        };
        (Self { field, label, example, text, wrong }, value)
    }
}

/// The bounds of the form, and the query with them.
fn bounds(asked: &Asked, now: Timestamp) -> (Vec<Bound>, FindQuery) {
    let moment = |text: &str| parse_moment(text).map(|moment| moment.before(now));
    let (larger, size_min) = Bound::read(asked, ("larger", "At least so large", "10MiB"), parse_size);
    let (smaller, size_max) = Bound::read(asked, ("smaller", "At most so large", "1GiB"), parse_size);
    let (newer, modified_since) =
        Bound::read(asked, ("newer", "Changed then or later", "2026-01-31, or 7d ago"), |text| {
            moment(text.strip_suffix(" ago").unwrap_or(text))
        });
    let (older, modified_until) =
        Bound::read(asked, ("older", "Changed then or earlier", "2026-02-28, or 30d ago"), |text| {
            moment(text.strip_suffix(" ago").unwrap_or(text))
        });
    let query = FindQuery { size_min, size_max, modified_since, modified_until, ..FindQuery::default() };
    (vec![larger, smaller, newer, older], query)
}

/// What says the same on the command line.
fn words(pattern: &str, any_case: bool, bounds: &[Bound]) -> String {
    let mut words = "find".to_owned();
    if any_case {
        words.push_str(" --ignore-case");
    }
    for bound in bounds.iter().filter(|bound| !bound.text.trim().is_empty()) {
        let text = bound.text.trim();
        let text = text.strip_suffix(" ago").unwrap_or(text);
        words.push_str(&format!(" --{} {}", bound.field, command::word(text)));
    }
    let is_bounded = bounds.iter().any(|bound| !bound.text.trim().is_empty());
    if pattern.is_empty() && is_bounded {
        return words;
    }
    words.push_str(if pattern.starts_with('-') { " -- " } else { " " });
    words.push_str(&command::word(if pattern.is_empty() { "NAME" } else { pattern }));
    words
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
    /// All versions of the path.
    history: String,
}

pub(super) async fn show(site: &Site, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let repository = open(site, name).await?;
    let label = repository.label();
    let Look { view, snapshots, .. } = repository.look().await.map_err(|error| Problem::of(&error, Some(&label)))?;
    let pattern = asked.query.text("name");
    let any_case = asked.query.bytes("any_case").is_some();
    let (bounds, query) = bounds(asked, snapshots.now);
    let words = words(&pattern, any_case, &bounds);
    let is_bounded = bounds.iter().any(|bound| !bound.text.trim().is_empty());
    let is_wrong = bounds.iter().any(|bound| bound.wrong.is_some());
    let way = vec![Link::new("/", "Your backups"), Link::new(of_repository(name), title(&label))];
    let frame = Frame::new("Find", asked.token()).way(way).command(command::at(&label, &words));
    let mut page = Page {
        refusal: frame.refusal(Action::Restore),
        frame,
        basket: restore::link(site, asked, name),
        name: name.to_owned(),
        pattern: pattern.clone(),
        any_case,
        bounds,
        is_bounded,
        rows: None,
        searched: shown::count(snapshots.whole.len() as u64, "snapshot", "snapshots"),
        partial: None,
        unread: snapshots.damaged.len() as u64,
    };
    if is_wrong {
        return render(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    if pattern.is_empty() && !is_bounded {
        return render(StatusCode::OK, &page);
    }
    let _reading = site.reader().ok_or_else(|| too_many(site))?;
    let newest_first = finding::newest_first(&snapshots);
    let failed = |error| Problem::of(&credenza_app::Error::Engine(error), Some(&label));
    let names = match pattern.as_str() {
        "" => Vec::new(),
        pattern => search::names(pattern, any_case, &newest_first).map_err(failed)?,
    };
    let finder = view.find(&newest_first, FindQuery { names, ..query });
    let full = |max| format!("These are the first {max}: a longer part of the name finds fewer.");
    let Finding { rows, partial } = finding::rows(site, finder, failed, |found| row(site, name, found), full).await?;
    (page.rows, page.partial) = (Some(rows), partial);
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
        history: of_history(name, key),
        more: found.snapshots.len().saturating_sub(1),
    })
}
