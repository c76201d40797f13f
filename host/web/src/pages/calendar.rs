//! The calendar: on which days jobs ran and how that went, on which days promises were kept, and what comes next.
//!
//! Bound: [`RUNS_MAX`] runs of the record, half a year of days, [`NEXT_MAX`] runs to come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use askama::Template;
use credenza_app::jobs::log::Past;
use credenza_app::jobs::promise::{Kept, Promise};
use credenza_app::jobs::schedule::{instant, timestamp};
use credenza_app::jobs::{Ending, Job, JobsError};
use credenza_app::protection;
use credenza_model::Timestamp;
use http::StatusCode;
use jiff::civil::Date;

use super::Asked;
use super::frame::{Frame, Link};
use super::home::{held, looks};
use super::jobs::{at_work, named, of_job, unread};
use super::problem::{Problem, render};
use super::protected::{Looks, Promised, promised, times_of};
use crate::graphics::{CELL, Calendar, WEEKS};
use crate::jobs::Book;
use crate::reply::Reply;
use crate::shown::{self, Time};
use crate::site::Site;

/// Runs of the record that are looked at.
const RUNS_MAX: usize = 10_000;
/// Runs to come that are shown.
const NEXT_MAX: usize = 20;

#[derive(Template)]
#[template(path = "calendar.html")]
struct Page {
    frame: Frame,
    pictures: Vec<Picture>,
    next: Vec<Next>,
    width: i32,
    height: i32,
    cell: i32,
}

/// Half a year of days.
struct Picture {
    id: &'static str,
    title: &'static str,
    summary: String,
    days: Vec<Cell>,
    months: Vec<(i32, String)>,
    /// Days on which not all was well, newest first, in words.
    trouble: Vec<String>,
}

struct Cell {
    x: i32,
    y: i32,
    class: &'static str,
    /// A cross, so that colour is not all that tells it.
    is_crossed: bool,
    text: String,
}

struct Next {
    time: Time,
    job: Link,
}

/// What is told of a day.
#[derive(Default)]
struct Day {
    /// Nothing, well, not quite well, not well.
    level: u64,
    text: String,
}

pub(super) async fn show(site: &Arc<Site>, asked: &Asked) -> Result<Reply, Problem> {
    let now = site.clock.now().wall;
    let book = match site.jobs.read(now).await {
        Err(JobsError::NoFile { .. }) => return Err(Problem::see("/jobs")),
        book => book.map_err(unread)?,
    };
    let past = book.past(None, RUNS_MAX).await.map_err(unread)?;
    let mut pictures = vec![picture(site, "runs", "Runs", "a run", &runs(site, &book, &past))];
    let promising: Vec<&Job> = book.file.jobs.values().filter(|job| job.promise.is_some()).collect();
    if !promising.is_empty() {
        let mut names: Vec<String> = promising.iter().filter_map(|job| named(site, job)).collect();
        names.sort_unstable();
        names.dedup();
        let looked = looks(site, names).await;
        pictures.push(picture(site, "promises", "Promises", "a promise", &kept(site, &held(&looked), &promising)));
    }
    let page = Page {
        frame: Frame::new("Calendar", asked.token())
            .way(vec![Link::new("/", "Your backups"), Link::new("/jobs", "Jobs")])
            .command(site.jobs.command("jobs history"))
            .command(site.jobs.command("jobs plan")),
        pictures,
        next: next(site, &book, now),
        width: WEEKS * CELL,
        height: 8 * CELL,
        cell: CELL - 4,
    };
    render(StatusCode::OK, &page)
}

/// How the runs of each day went; the newest come first.
fn runs(site: &Site, book: &Book, past: &[Past]) -> BTreeMap<Date, Day> {
    let mut counts: BTreeMap<Date, [u64; 4]> = BTreeMap::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for run in past {
        let is_newest = seen.insert(&run.job);
        let is_under_way = || is_newest && at_work(site, book, &run.job).is_some();
        let level = match run.ending {
            Some(Ending::Done) => 1,
            Some(Ending::Incomplete | Ending::Spent | Ending::Interrupted | Ending::Busy | Ending::Lost) => 2,
            Some(Ending::Damaged | Ending::Failed | Ending::Refused | Ending::Unreachable) => 3,
            // Its program ended in the midst of it, and nobody has put that on record yet.
            None if run.is_open() && !is_under_way() => 2,
            None => 0,
        };
        if let Some(day) = site.zone.day(run.began)
            && let Some(count) = counts.entry(day).or_default().get_mut(level)
        {
            *count += 1;
        }
    }
    let told = |[_, well, partly, failed]: [u64; 4]| {
        let words = [(well, "done"), (partly, "incomplete or broken off"), (failed, "failed")];
        let words =
            words.into_iter().filter(|(number, _)| *number > 0).map(|(number, word)| format!("{number} {word}"));
        let level = if failed > 0 {
            3
        } else if partly > 0 {
            2
        } else {
            u64::from(well > 0)
        };
        Day { level, text: words.collect::<Vec<_>>().join(", ") }
    };
    counts.into_iter().map(|(day, counts)| (day, told(counts))).collect()
}

/// How promises stood at the end of each day, by the snapshots that there are now. A job is judged from its first snapshot on.
fn kept(site: &Site, looks: &Looks<'_>, jobs: &[&Job]) -> BTreeMap<Date, Day> {
    let now = site.clock.now().wall;
    let today = site.zone.day(now).unwrap_or_default();
    let ends: Vec<(Date, Timestamp)> = Calendar::up_to(today, &BTreeMap::new())
        .days
        .into_iter()
        .filter_map(|day| Some((day.date, site.zone.end_of(day.date)?.min(now))))
        .collect();
    let mut days: BTreeMap<Date, Day> = BTreeMap::new();
    let mut unknown: BTreeMap<String, String> = BTreeMap::new();
    for job in jobs {
        let Promised { locations, lost } = promised(site, job);
        unknown.extend(lost);
        let Some(look) = named(site, job).and_then(|name| looks.get(&*name).copied().flatten()) else { continue };
        for location in locations {
            let times = times_of(look, job, &location);
            for (date, end) in &ends {
                let until = times.partition_point(|time| time <= end);
                let before = times.get(..until).filter(|before| !before.is_empty());
                let Some((before, newest)) = before.and_then(|before| before.last().map(|newest| (before, *newest)))
                else {
                    continue;
                };
                let judged = protection::judge(before, Promise::of_job(job, newest), *end);
                let day = days.entry(*date).or_default();
                if judged.kept == Kept::Broken {
                    let comma = if day.text.is_empty() { "broken: " } else { ", " };
                    day.text.push_str(&format!("{comma}{}", shown::text(&location)));
                    day.level = 3;
                } else {
                    day.level = day.level.max(1);
                }
            }
        }
    }
    for day in days.values_mut().filter(|day| day.text.is_empty()) {
        "kept".clone_into(&mut day.text);
    }
    for (word, reason) in unknown {
        let day = days.entry(today).or_default();
        let comma = if day.text.is_empty() { "" } else { "; " };
        day.text.push_str(&format!("{comma}not known: {}: {reason}", shown::text(&word)));
        day.level = day.level.max(2);
    }
    days
}

fn picture(site: &Site, id: &'static str, title: &'static str, what: &str, days: &BTreeMap<Date, Day>) -> Picture {
    let levels = days.iter().map(|(date, day)| (*date, day.level)).collect();
    let calendar = Calendar::up_to(site.zone.day(site.clock.now().wall).unwrap_or_default(), &levels);
    let text = |date: Date| days.get(&date).map_or("nothing", |day| day.text.as_str()).to_owned();
    let with = calendar.days.iter().filter(|day| day.number > 0).count() as u64;
    let bad = calendar.days.iter().filter(|day| day.number > 1).count() as u64;
    let trouble = calendar.days.iter().rev().filter(|day| day.number > 1);
    Picture {
        id,
        title,
        summary: format!(
            "{} with {what} in half a year, {} on which not all was well.",
            shown::count(with, "day", "days"),
            shown::count(bad, "day", "days")
        ),
        trouble: trouble.take(site.limits.rows).map(|day| format!("{}: {}", day.date, text(day.date))).collect(),
        days: calendar
            .days
            .iter()
            .map(|day| Cell {
                x: day.x,
                y: day.y,
                class: match day.number {
                    0 => "none",
                    1 => "well",
                    2 => "partly",
                    _ => "failed",
                },
                is_crossed: day.number > 1,
                text: format!("{}: {}", day.date, text(day.date)),
            })
            .collect(),
        months: calendar.months.iter().map(|(date, x)| (*x, date.strftime("%b").to_string())).collect(),
    }
}

/// The next runs of all jobs, soonest first.
fn next(site: &Site, book: &Book, now: Timestamp) -> Vec<Next> {
    let mut due: Vec<(jiff::Timestamp, &str)> = Vec::new();
    for work in book.file.works() {
        let first = work.schedule().next_after(instant(now));
        let following = std::iter::successors(first, |due| work.schedule().next_after(*due));
        due.extend(following.take(NEXT_MAX).map(|due| (due, work.name())));
    }
    due.sort_unstable();
    let next = |(due, name): (jiff::Timestamp, &str)| Next {
        time: site.zone.time(timestamp(due)),
        job: Link::new(of_job(name), name),
    };
    due.into_iter().take(NEXT_MAX).map(next).collect()
}
