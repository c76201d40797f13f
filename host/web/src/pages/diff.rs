//! What differs between two snapshots, a snapshot and a source as it is now, or two sources as they are now; page by page, in the order of keys.

use askama::Template;
use credenza_app::{Error as AppError, Place as AppPlace};
use credenza_engine::query::{Change, ChangeKind, Diff, Difference, LiveDiff, Side};
use credenza_engine::{Error as EngineError, SnapshotHandle};
use credenza_model::{Entry, EntryKind, Key};
use http::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::Asked;
use super::download::too_many;
use super::frame::{Frame, Link};
use super::places::{of_entry, of_folder, of_repository, open, short, title};
use super::problem::{Problem, render};
use crate::command;
use crate::form::encode;
use crate::reply::Reply;
use crate::repositories::{Look, Repository};
use crate::shown;
use crate::site::Site;

/// Snapshots to choose among; others are named in the address.
const CHOICES_MAX: usize = 100;
/// Rows of a comparison with what is there now. It has one page, as each would list the source once more, which may be another by then.
const LIVE_ROWS_MAX: usize = 2000;
/// What a source is written with, beside a snapshot's id.
const LIVE: char = '@';

#[derive(Template)]
#[template(path = "diff.html")]
struct Page {
    frame: Frame,
    name: String,
    before: Vec<Choice>,
    after: Vec<Choice>,
    key: String,
    /// None before anything was asked for.
    rows: Option<Vec<Row>>,
    notes: Vec<String>,
    first: Option<String>,
    next: Option<String>,
}

#[derive(Clone)]
struct Choice {
    value: String,
    text: String,
    is_chosen: bool,
}

struct Row {
    href: Option<String>,
    name: String,
    shape: &'static str,
    word: &'static str,
    class: &'static str,
    before: String,
    after: String,
}

/// A side as an address names it.
enum Operand {
    Snapshot(Box<SnapshotHandle>),
    /// A source as it is now.
    Live(AppPlace),
}

/// What was found for a page.
#[derive(Default)]
struct Found {
    changes: Vec<Change>,
    /// Whether there is more behind them.
    is_more: bool,
    notes: Vec<String>,
}

impl Found {
    /// Notes that there was no time for all: what is behind that is found by who goes on from there, where nothing is live.
    fn end_late(&mut self, site: &Site) {
        let seconds = site.limits.search.as_secs();
        self.notes.push(format!("The comparison was ended after {seconds} seconds; the command below finds all."));
    }
}

/// The page that compares two snapshots.
pub(super) fn of_diff(name: &str, before: &str, after: &str) -> String {
    format!("/r/{name}/diff?before={before}&after={after}")
}

pub(super) async fn show(site: &Site, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let repository = open(site, name).await?;
    let label = repository.label();
    let look = repository.look().await.map_err(|error| Problem::of(&error, Some(&label)))?;
    let words = ["before", "after"].map(|side| asked.query.text(side));
    let [before, after] = &words;
    let key = asked.query.bytes("key").unwrap_or_default();
    let way = vec![Link::new("/", "Your backups"), Link::new(of_repository(name), title(&label))];
    let said = |word: &str| match word {
        "" => "SNAPSHOT".to_owned(),
        live if live.starts_with(LIVE) => command::word(live),
        id => command::in_snapshot(id, key),
    };
    let frame = Frame::new("Compare", asked.token())
        .way(way)
        .command(command::at(&label, &format!("diff {} {}", said(before), said(after))));
    let choices = choices(site, &look)?;
    let mut page = Page {
        frame,
        name: name.to_owned(),
        before: chosen(&choices, before, 1),
        after: chosen(&choices, after, 0),
        key: shown::name(key),
        rows: None,
        notes: Vec::new(),
        first: None,
        next: None,
    };
    if before.is_empty() || after.is_empty() {
        return render(StatusCode::OK, &page);
    }
    let _reading = site.reader().ok_or_else(|| too_many(site))?;
    let behind = asked.query.bytes("behind").map(Key::new);
    let sides = (operand(site, &repository, before).await?, operand(site, &repository, after).await?);
    let failed = |error: AppError| Problem::of(&error, Some(&label));
    let here = format!("{}&key={}", of_diff(name, &encode(before.as_bytes()), &encode(after.as_bytes())), encode(key));
    let ids = [&sides.0, &sides.1].map(|side| match side {
        Operand::Snapshot(handle) => Some(handle.snapshot.id.to_string()),
        Operand::Live(_) => None,
    });
    let found = differences(site, &look, sides, key, behind.as_ref()).await.map_err(failed)?;
    let last = found.changes.last().and_then(entry).map(|entry| encode(entry.key.as_bytes()));
    page.next = last.filter(|_| found.is_more).map(|last| format!("{here}&behind={last}"));
    page.first = behind.map(|_| here);
    page.rows = Some(found.changes.iter().filter_map(|change| row(name, &ids, key, change)).collect());
    page.notes = found.notes;
    render(StatusCode::OK, &page)
}

/// Snapshots, newest first, and the sources of the configuration.
fn choices(site: &Site, look: &Look) -> Result<Vec<Choice>, Problem> {
    let snapshots = look.snapshots.whole.iter().rev().take(CHOICES_MAX).map(|handle| {
        let id = handle.snapshot.id.to_string();
        let time = site.zone.time(handle.time().unwrap_or(handle.snapshot.finished)).text;
        let text = format!("{time}, {}, {}", short(&id), shown::text(&handle.snapshot.source.location));
        Choice { value: id, text, is_chosen: false }
    });
    let sources = site.repositories.sources().map_err(|error| Problem::of(&error.into(), None))?;
    let sources = sources.into_iter().map(|source| Choice {
        text: format!("{source} as it is now"),
        value: format!("{LIVE}{source}"),
        is_chosen: false,
    });
    Ok(snapshots.chain(sources).collect())
}

/// The same, with the one chosen that was asked for, or one of that number.
fn chosen(choices: &[Choice], asked_for: &str, number: usize) -> Vec<Choice> {
    let is_chosen = |at: usize, choice: &Choice| match asked_for {
        "" => at == number.min(choices.len().saturating_sub(1)),
        word => choice.value == word,
    };
    let choices = choices.iter().enumerate();
    choices.map(|(at, choice)| Choice { is_chosen: is_chosen(at, choice), ..choice.clone() }).collect()
}

async fn operand(site: &Site, repository: &Repository, word: &str) -> Result<Operand, Problem> {
    let failed = |error: AppError| Problem::of(&error, Some(&repository.label()));
    match word.strip_prefix(LIVE) {
        Some(source) => {
            let place = super::sources::place(site, source)?;
            Ok(Operand::Live(place))
        }
        None => Ok(Operand::Snapshot(Box::new(repository.snapshot(word).await.map_err(failed)?.1))),
    }
}

/// A page of differences, as far as they are found in time.
async fn differences(
    site: &Site,
    look: &Look,
    sides: (Operand, Operand),
    key: &[u8],
    behind: Option<&Key>,
) -> Result<Found, AppError> {
    let until = Instant::now() + site.limits.search;
    let mut found = Found::default();
    let is_live = [&sides.0, &sides.1].iter().any(|side| matches!(side, Operand::Live(_)));
    let rows_max = if is_live { LIVE_ROWS_MAX } else { site.limits.rows };
    let mut stream = match sides {
        (Operand::Snapshot(before), Operand::Snapshot(after)) => {
            let diff = look.view.diff((&before, key), (&after, key));
            Changes::Recorded(Box::new(match behind {
                Some(behind) => diff.behind(behind),
                None => diff,
            }))
        }
        (before, after) => {
            let both = async { Ok::<_, AppError>((side(site, look, before).await?, side(site, look, after).await?)) };
            let Ok(both) = timeout_at(until, both).await else {
                found.end_late(site);
                return Ok(found);
            };
            let (before, after) = both?;
            Changes::Live(Box::new(LiveDiff::new(before, after)))
        }
    };
    loop {
        let Ok(next) = timeout_at(until, stream.next(&mut found.notes)).await else {
            found.end_late(site);
            found.is_more = !is_live;
            break;
        };
        let Some(change) = next? else { break };
        let key = entry(&change).map(|entry| entry.key.clone());
        if key.as_ref() <= behind {
            continue;
        }
        let last = found.changes.last().and_then(entry).map(|entry| entry.key.clone());
        // All of one key is on one page.
        if found.changes.len() >= rows_max && key != last {
            if is_live {
                found.notes.push(format!("These are the first {rows_max}; the command below finds all."));
            }
            found.is_more = !is_live;
            break;
        }
        found.changes.push(change);
    }
    if let Changes::Live(diff) = &stream
        && diff.compared_by_size() > 0
    {
        let files = shown::count(diff.compared_by_size(), "file", "files");
        found.notes.push(format!(
            "{files} of equal size have nothing else that could be compared without reading them, and count as equal."
        ));
    }
    Ok(found)
}

async fn side(site: &Site, look: &Look, operand: Operand) -> Result<Side, AppError> {
    match operand {
        Operand::Snapshot(handle) => Ok(look.view.side(&handle, b"")),
        Operand::Live(place) => {
            let source = site.repositories.app().source(&place, None).await?.connector;
            Ok(Side::live(&*source).await?)
        }
    }
}

/// Either kind of comparison.
enum Changes {
    Recorded(Box<Diff>),
    Live(Box<LiveDiff>),
}

impl Changes {
    /// The next change; what could not be listed is noted on the way.
    async fn next(&mut self, notes: &mut Vec<String>) -> Result<Option<Change>, EngineError> {
        match self {
            Self::Recorded(diff) => diff.next().await,
            Self::Live(diff) => loop {
                match diff.next().await? {
                    None => return Ok(None),
                    Some(Difference::Change(change)) => return Ok(Some(*change)),
                    Some(Difference::Skipped(skipped)) => {
                        let name = shown::name(skipped.key.as_bytes());
                        notes.push(format!("{name} could not be listed: {}", shown::text(&skipped.reason)));
                        notes.truncate(NOTES_MAX);
                    }
                }
            },
        }
    }
}

/// Notes that are kept.
const NOTES_MAX: usize = 20;

fn entry(change: &Change) -> Option<&Entry> {
    change.after.as_ref().or(change.before.as_ref())
}

/// `ids` are those of the sides that are snapshots.
fn row(name: &str, ids: &[Option<String>; 2], prefix: &[u8], change: &Change) -> Option<Row> {
    let (word, shape, class) = match change.kind {
        ChangeKind::Added => ("New", "+", "good"),
        ChangeKind::Removed => ("Gone", "−", "bad"),
        ChangeKind::Content => ("Other content", "✱", "wary"),
        ChangeKind::Metadata => ("Other attributes", "~", "still"),
    };
    let entry = entry(change)?;
    let key = entry.key.as_bytes();
    let [before, after] = ids;
    let id = if change.after.is_some() { after } else { before };
    let href = id.as_ref().map(|id| match entry.kind {
        EntryKind::Directory => of_folder(name, id, key),
        _ => of_entry(name, id, "file", key),
    });
    let size = |entry: &Option<Entry>| {
        let of_file = entry.as_ref().filter(|entry| entry.kind == EntryKind::File);
        of_file.and_then(|entry| entry.size).map(shown::size).unwrap_or_default()
    };
    Some(Row {
        href,
        name: shown::name(key.strip_prefix(prefix).filter(|own| !own.is_empty()).unwrap_or(key)),
        shape,
        word,
        class,
        before: size(&change.before),
        after: size(&change.after),
    })
}
