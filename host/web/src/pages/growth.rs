//! How a source has grown, what each snapshot added, and on which days there was one: pictures, and the tables that say the same.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use credenza_engine::SnapshotHandle;
use http::StatusCode;
use jiff::civil::Date;

use super::Asked;
use super::frame::{Frame, Link};
use super::places::{of_folder, of_repository, open, short, title};
use super::problem::{Problem, render};
use crate::command;
use crate::form::encode;
use crate::graphics::{BARS_HEIGHT, BARS_WIDTH, Bar, CELL, Calendar, WEEKS, bars};
use crate::reply::Reply;
use crate::shown::{self, Time};
use crate::site::Site;

/// Snapshots that have a bar; those before them are summed up in none.
const BARS_MAX: usize = 90;
/// Sources to choose among.
const SOURCES_MAX: usize = 50;

#[derive(Template)]
#[template(path = "growth.html")]
struct Page {
    frame: Frame,
    sources: Vec<Choice>,
    /// Oldest first.
    rows: Vec<Row>,
    size: Graph,
    added: Graph,
    days: Vec<Cell>,
    months: Vec<Month>,
    calendar_width: i32,
    calendar_height: i32,
    cell: i32,
    /// In words, for who does not see the picture.
    summary: String,
}

struct Choice {
    href: String,
    text: String,
    is_chosen: bool,
}

struct Row {
    href: String,
    id: String,
    time: Time,
    size: String,
    added: String,
    entries: u64,
}

struct Graph {
    bars: Vec<Bar>,
    highest: String,
    width: u64,
    height: u64,
}

impl Graph {
    fn of(values: &[u64]) -> Self {
        let highest = shown::size(values.iter().copied().max().unwrap_or(0));
        Self { bars: bars(values), highest, width: BARS_WIDTH, height: BARS_HEIGHT }
    }
}

/// Above the week in which it begins.
struct Month {
    x: i32,
    text: String,
}

struct Cell {
    x: i32,
    y: i32,
    class: &'static str,
    text: String,
}

pub(super) async fn show(site: &Site, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let repository = open(site, name).await?;
    let label = repository.label();
    let look = repository.look().await.map_err(|error| Problem::of(&error, Some(&label)))?;
    let all = &look.snapshots.whole;
    let sources: BTreeSet<(&str, &str)> = all.iter().map(of_source).collect();
    let asked_for = (asked.query.text("host"), asked.query.text("source"));
    let newest = all.iter().max_by_key(|handle| time(handle)).map(of_source);
    let asked_for = sources.get(&(asked_for.0.as_str(), asked_for.1.as_str())).copied();
    let chosen = asked_for.or(newest);
    let mut mine: Vec<&SnapshotHandle> = all.iter().filter(|handle| Some(of_source(handle)) == chosen).collect();
    mine.sort_by_key(|handle| time(handle));
    let days = counted(site, &mine);
    let summary = summary(&mine, &days);
    let bar_from = mine.len().saturating_sub(BARS_MAX);
    let drawn = mine.get(bar_from..).unwrap_or_default();
    let values = |value: fn(&SnapshotHandle) -> u64| drawn.iter().map(|handle| value(handle)).collect::<Vec<_>>();
    let calendar = Calendar::up_to(site.zone.day(site.clock.now().wall).unwrap_or_default(), &days);
    let way = vec![Link::new("/", "Your backups"), Link::new(of_repository(name), title(&label))];
    let page = Page {
        frame: Frame::new("Growth", asked.token()).way(way).command(command::at(&label, "ls")),
        sources: sources.iter().take(SOURCES_MAX).map(|source| choice(name, source, chosen)).collect(),
        size: Graph::of(&values(|handle| handle.snapshot.statistics.bytes)),
        added: Graph::of(&values(|handle| handle.snapshot.statistics.bytes_added)),
        rows: drawn.iter().map(|handle| row(site, name, handle)).collect(),
        days: calendar.days.iter().map(|day| cell(day.date, day.x, day.y, day.number)).collect(),
        months: calendar
            .months
            .iter()
            .map(|(date, x)| Month { x: *x, text: date.strftime("%b").to_string() })
            .collect(),
        calendar_width: WEEKS * CELL,
        calendar_height: 8 * CELL,
        cell: CELL - 4,
        summary,
    };
    render(StatusCode::OK, &page)
}

fn of_source(handle: &SnapshotHandle) -> (&str, &str) {
    (&handle.snapshot.host, &handle.snapshot.source.location)
}

fn time(handle: &SnapshotHandle) -> credenza_model::Timestamp {
    handle.time().unwrap_or(handle.snapshot.finished)
}

fn choice(name: &str, source: &(&str, &str), chosen: Option<(&str, &str)>) -> Choice {
    let (host, location) = source;
    Choice {
        href: format!("/r/{name}/growth?host={}&source={}", encode(host.as_bytes()), encode(location.as_bytes())),
        text: format!("{} on {}", shown::text(location), shown::text(host)),
        is_chosen: Some(*source) == chosen,
    }
}

fn row(site: &Site, name: &str, handle: &SnapshotHandle) -> Row {
    let id = handle.snapshot.id.to_string();
    Row {
        href: of_folder(name, &id, b""),
        id: short(&id).to_owned(),
        time: site.zone.time(time(handle)),
        size: shown::size(handle.snapshot.statistics.bytes),
        added: shown::size(handle.snapshot.statistics.bytes_added),
        entries: handle.snapshot.statistics.entries,
    }
}

fn counted(site: &Site, snapshots: &[&SnapshotHandle]) -> BTreeMap<Date, u64> {
    let mut days = BTreeMap::new();
    for day in snapshots.iter().filter_map(|handle| site.zone.day(time(handle))) {
        *days.entry(day).or_insert(0) += 1;
    }
    days
}

fn cell(date: Date, x: i32, y: i32, number: u64) -> Cell {
    let class = match number {
        0 => "none",
        1 => "some",
        2..=4 => "more",
        _ => "most",
    };
    Cell { x, y, class, text: format!("{date}: {}", shown::count(number, "snapshot", "snapshots")) }
}

fn summary(snapshots: &[&SnapshotHandle], days: &BTreeMap<Date, u64>) -> String {
    let longest = days.keys().zip(days.keys().skip(1)).map(|(a, b)| (*b - *a).get_days()).max();
    let held = shown::count(snapshots.len() as u64, "snapshot", "snapshots");
    let on = shown::count(days.len() as u64, "day", "days");
    match longest {
        Some(gap @ 2..) => format!("{held} on {on}; the longest time between two was {gap} days."),
        _ => format!("{held} on {on}."),
    }
}
