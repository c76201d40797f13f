//! A repository: its snapshots, newest first; or what opens it.

use std::collections::BTreeMap;

use askama::Template;
use credenza_engine::retention::{self, Decision};
use credenza_engine::{Error as EngineError, Secret, SnapshotFilter, SnapshotHandle, Snapshots};
use credenza_model::SnapshotId;
use http::StatusCode;
use zeroize::Zeroizing;

use super::frame::{Frame, Link};
use super::places::{of_folder, of_repository, short, title};
use super::problem::{Problem, engine, render};
use super::{Asked, restore, run};
use crate::access::Action;
use crate::command;
use crate::form::Fields;
use crate::reply::{self, Reply};
use crate::repositories::{Look, Repository};
use crate::runs::{Room, Run};
use crate::shown::{self, Time};
use crate::site::Site;
use crate::throttle::Guess;

/// Runs that are shown with the snapshots.
const RUNS_MAX: usize = 5;
/// The field of a passphrase.
const PASSPHRASE: &str = "passphrase";
/// What the log calls it.
const UNLOCKING: &str = "Opened by a passphrase";

#[derive(Template)]
#[template(path = "repository.html")]
struct Page {
    frame: Frame,
    name: String,
    location: String,
    rows: Vec<Row>,
    /// How many snapshots there are.
    held: String,
    /// What is wrong with those that cannot be read.
    damaged: Vec<String>,
    sources: Vec<String>,
    runs: Vec<RunLine>,
    basket: Option<Link>,
    refusal: Option<String>,
    /// Whether the repository has a policy.
    has_policy: bool,
    newer: Option<String>,
    older: Option<String>,
}

/// A run that was started from here.
struct RunLine {
    href: String,
    what: String,
    state: run::State,
    began: Time,
}

struct Row {
    href: String,
    id: String,
    time: Time,
    host: String,
    source: String,
    entries: u64,
    size: String,
    tags: Vec<String>,
    errors: u64,
    /// Which rules keep it and until when, or that none does; nothing where the repository has no policy.
    kept: String,
}

#[derive(Template)]
#[template(path = "unlock.html")]
struct Unlock {
    frame: Frame,
    name: String,
    location: String,
    failed: Option<&'static str>,
}

pub(super) async fn show(site: &Site, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let place = site.repositories.place(name).map_err(|error| Problem::of(&error.into(), None))?;
    let label = place.label();
    let repository = match site.repositories.open(name).await {
        Ok(repository) => repository,
        Err(error) => {
            return match engine(&error) {
                Some(EngineError::SecretMissing) => ask(site, asked, name, StatusCode::OK, None),
                Some(EngineError::WrongSecret { .. }) => {
                    ask(site, asked, name, StatusCode::OK, Some("What the configuration has does not open it."))
                }
                _ => Err(Problem::of(&error, Some(&label))),
            };
        }
    };
    let Look { snapshots, .. } = repository.look().await.map_err(|error| Problem::of(&error, Some(&label)))?;
    let rows_max = site.limits.rows;
    let page: usize = asked.query.text("page").parse().unwrap_or(0);
    let begin = page.saturating_mul(rows_max);
    let digits = snapshots.short_id_digits();
    let newest_first = snapshots.whole.iter().rev().skip(begin).take(rows_max);
    let kept = kept(&repository, &snapshots);
    let rows = newest_first.map(|handle| Row {
        kept: kept.get(&handle.snapshot.id).cloned().unwrap_or_default(),
        ..row(site, name, handle, digits)
    });
    let rows = rows.collect();
    let of_page = |page: usize| format!("{}?page={page}", of_repository(name));
    let held = snapshots.whole.len();
    let frame = Frame::new(title(&label), asked.token())
        .way(vec![Link::new("/", "Your backups")])
        .command(command::at(&label, "ls"));
    let page = Page {
        basket: restore::link(site, asked, name),
        refusal: frame.refusal(Action::Run),
        frame,
        name: name.to_owned(),
        location: shown::text(&label.location),
        rows,
        held: shown::count(held as u64, "snapshot", "snapshots"),
        damaged: snapshots
            .damaged
            .iter()
            .take(rows_max)
            .map(|damaged| shown::text(&damaged.damage.to_string()))
            .collect(),
        sources: site.repositories.sources().map_err(|error| Problem::of(&error.into(), None))?,
        runs: site.runs.of(Room::Repository, name).iter().take(RUNS_MAX).map(|run| run_line(site, run)).collect(),
        has_policy: !kept.is_empty(),
        newer: page.checked_sub(1).map(of_page),
        older: (begin.saturating_add(rows_max) < held).then(|| of_page(page.saturating_add(1))),
    };
    render(StatusCode::OK, &page)
}

fn run_line(site: &Site, run: &Run) -> RunLine {
    let reported = run.reported();
    RunLine {
        href: run::of_run(run),
        what: run.operation.title(),
        state: run::state(&reported),
        began: site.zone.time(run.began),
    }
}

fn row(site: &Site, name: &str, handle: &SnapshotHandle, digits: usize) -> Row {
    let snapshot = &handle.snapshot;
    let id = snapshot.id.to_string();
    Row {
        href: of_folder(name, &id, b""),
        id: id.get(..digits).unwrap_or_else(|| short(&id)).to_owned(),
        time: site.zone.time(handle.time().unwrap_or(snapshot.finished)),
        host: shown::text(&snapshot.host),
        source: shown::text(&snapshot.source.location),
        entries: snapshot.statistics.entries,
        size: shown::size(snapshot.statistics.bytes),
        tags: snapshot.tags.iter().map(|tag| shown::text(tag)).collect(),
        errors: snapshot.statistics.errors,
        kept: String::new(),
    }
}

/// What the policy of a repository makes of each snapshot, in words.
fn kept(repository: &Repository, snapshots: &Snapshots) -> BTreeMap<SnapshotId, String> {
    let Some(policy) = &repository.open.repository.config().policy else { return BTreeMap::new() };
    let plan = retention::plan(snapshots.clone(), policy, &SnapshotFilter::default());
    let words = |decision: &Decision| match decision.is_kept() {
        true => {
            let reasons: Vec<String> = decision.reasons.iter().map(ToString::to_string).collect();
            format!("{}; {}", reasons.join(", "), decision.until)
        }
        false => "by no rule: the next prune removes it".to_owned(),
    };
    plan.decisions().map(|decision| (decision.snapshot.snapshot.id, words(decision))).collect()
}

/// Asks for the passphrase.
fn ask(
    site: &Site,
    asked: &Asked,
    name: &str,
    status: StatusCode,
    failed: Option<&'static str>,
) -> Result<Reply, Problem> {
    let label = site.repositories.place(name).map_err(|error| Problem::of(&error.into(), None))?.label();
    let frame = Frame::new(title(&label), asked.token())
        .way(vec![Link::new("/", "Your backups")])
        .command(command::at(&label, "ls"));
    render(status, &Unlock { frame, name: name.to_owned(), location: shown::text(&label.location), failed })
}

pub(super) async fn unlock(site: &Site, asked: &Asked, name: &str, form: &Fields) -> Result<Reply, Problem> {
    let typed = Zeroizing::new(form.bytes(PASSPHRASE).unwrap_or_default().to_vec());
    if typed.is_empty() {
        return ask(site, asked, name, StatusCode::UNPROCESSABLE_ENTITY, Some("No passphrase was typed."));
    }
    let guess = [Guess::Opens(name)];
    super::confirm::attempt(site, &guess)?;
    match site.repositories.unlock(name, Secret::Passphrase(typed)).await {
        Ok(()) => {
            site.throttle.forgive(&guess);
            asked.note(site, name, UNLOCKING, "Done");
            Ok(reply::see(&of_repository(name)))
        }
        Err(error) if matches!(engine(&error), Some(EngineError::WrongSecret { .. })) => {
            asked.note(site, name, UNLOCKING, "Wrong passphrase");
            ask(
                site,
                asked,
                name,
                StatusCode::FORBIDDEN,
                Some("This passphrase does not open it. Nothing was changed."),
            )
        }
        Err(error) => Err(Problem::of(&error, None)),
    }
}

pub(super) async fn lock(site: &Site, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    site.repositories.lock(name).await.map_err(|error| Problem::of(&error, None))?;
    asked.note(site, name, "Its key was forgotten", "Done");
    Ok(reply::see("/"))
}
