//! The overview: what runs now, and one sentence for each source and for each repository.

use std::sync::Arc;

use askama::Template;
use credenza_app::{Error as AppError, Kind, PlaceLabel};
use credenza_engine::Error as EngineError;
use futures_util::future::join_all;
use http::StatusCode;

use super::activity::Running;
use super::frame::{Frame, of_place};
use super::jobs::AtWork;
use super::places::{of_repository, title};
use super::problem::{Problem, engine, render};
use super::proof::{Looked, Proof};
use super::protected::{Lines, Looks};
use super::{Asked, activity, jobs, proof, protected};
use crate::access::Action;
use crate::command;
use crate::jobs::Book;
use crate::reply::Reply;
use crate::repositories::Look;
use crate::shown::{self, Time};
use crate::site::Site;

#[derive(Template)]
#[template(path = "home.html")]
struct Page {
    frame: Frame,
    running: Vec<Running>,
    sources: Lines,
    lines: Vec<Line>,
}

/// One repository.
struct Line {
    href: String,
    title: String,
    location: String,
    state: State,
    says: String,
    time: Option<Time>,
    next: Option<String>,
    command: Option<String>,
    /// The page of its settings, where it is in the configuration.
    place: Option<String>,
}

/// How it stands: a word, a shape and a colour.
struct State {
    word: &'static str,
    shape: &'static str,
    class: &'static str,
}

const KEPT: State = State { word: "Kept", shape: "●", class: "good" };
const LOOK: State = State { word: "Look here", shape: "▲", class: "wary" };
const BROKEN: State = State { word: "Not reachable", shape: "■", class: "bad" };
const DAMAGED: State = State { word: "Damaged", shape: "■", class: "bad" };
const SUSPECT: State = State { word: "Suspect", shape: "▲", class: "wary" };
const LOCKED: State = State { word: "Locked", shape: "◆", class: "still" };

pub(super) async fn show(site: &Arc<Site>, asked: &Asked) -> Result<Reply, Problem> {
    let names = site.repositories.names().map_err(|error| Problem::of(&error.into(), None))?;
    let looked = looks(site, names).await;
    // What is wrong with its file is said where the jobs are.
    let book = site.jobs.read(site.clock.now().wall).await.ok();
    let proofs = proof::proofs(site, &looked, book.as_ref()).await;
    let lines = looked.iter().map(|(name, looked)| line(site, name, looked, proofs.get(name))).collect();
    let sources = protected::lines(site, &held(&looked), &proofs, book.as_ref());
    let running = running(site, book.as_ref());
    let frame = Frame::new("Your backups", asked.token()).command("credenza repository list");
    let frame = if book.is_some() { frame.command(site.jobs.command("promises")) } else { frame };
    render(StatusCode::OK, &Page { frame, running, sources, lines })
}

/// What those hold that could be looked into.
pub(super) fn held(looked: &[(String, Looked)]) -> Looks<'_> {
    looked.iter().map(|(name, looked)| (&**name, looked.as_ref().and_then(|looked| looked.as_ref().ok()))).collect()
}

/// Looks into repositories, all at once.
pub(super) async fn looks(site: &Arc<Site>, names: Vec<String>) -> Vec<(String, Looked)> {
    let one = async |name: String| {
        let looked = match site.repositories.place(&name) {
            Ok(_) => look(site, &name).await,
            Err(error) => Some(Err(error.into())),
        };
        if let Some(Ok(_)) = looked {
            site.repositories.saw(&name, site.clock.now().wall);
        }
        (name, looked)
    };
    join_all(names.into_iter().map(one)).await
}

/// What is under way: in this process, and jobs in others.
fn running(site: &Site, book: Option<&Book>) -> Vec<Running> {
    let here = site.runs.under_way();
    let mut running: Vec<Running> = here.iter().map(|run| activity::running(site, run)).collect();
    for (book, name) in book.iter().flat_map(|book| book.names().into_iter().map(move |name| (book, name))) {
        if let Some(AtWork::Elsewhere(_)) = jobs::at_work(site, book, &name) {
            let what = format!("Run of the job {name}, in another process");
            running.push(Running { href: jobs::of_job(&name), title: what, beside: String::new(), began: None });
        }
    }
    running
}

fn line(site: &Arc<Site>, name: &str, looked: &Looked, proof: Option<&Arc<Proof>>) -> Line {
    let label = match site.repositories.place(name) {
        Ok(place) => place.label(),
        Err(_) => PlaceLabel { name: Some(name.to_owned()), location: String::new() },
    };
    let (state, says) = match looked {
        None => {
            (LOOK, format!("It has not answered within {} seconds; opening goes on.", site.limits.overview.as_secs()))
        }
        Some(Ok(look)) => match proof.and_then(|proof| proof.damage.as_ref()) {
            Some(damage) => (DAMAGED, damage.clone()),
            None => holding(site, look),
        },
        Some(Err(error)) => failing(error),
    };
    let newest = looked.as_ref().and_then(|looked| looked.as_ref().ok()).and_then(|look| look.snapshots.whole.last());
    let next = match state.word {
        "Damaged" => Some(("Find out how far the damage goes.", "check")),
        "Suspect" => Some(("Look at what has changed, and say whether it is as it should be.", "jobs acknowledge")),
        "Not reachable" => Some(("See to it that the place can be reached.", "ls")),
        "Look here" if newest.is_none() && looked.is_some() => Some(("Make the first snapshot.", "backup FOLDER")),
        _ => None,
    };
    Line {
        href: of_repository(name),
        title: title(&label),
        location: shown::text(&label.location),
        time: newest.map(|handle| site.zone.time(handle.time().unwrap_or(handle.snapshot.finished))),
        next: next.map(|(next, _)| next.to_owned()),
        place: label.name.as_deref().map(|name| of_place(Kind::Repository, name)),
        command: next.map(|(_, words)| command::at(&label, words)),
        state,
        says,
    }
}

/// What a repository holds; none where it does not say so in time. Opening goes on all the same, so that the next look has it.
async fn look(site: &Arc<Site>, name: &str) -> Option<Result<Look, AppError>> {
    let (repositories, name) = (Arc::clone(&site.repositories), name.to_owned());
    let looking = tokio::spawn(async move { repositories.open(&name).await?.look().await });
    tokio::time::timeout(site.limits.overview, looking).await.ok()?.ok()
}

fn holding(site: &Site, look: &Look) -> (State, String) {
    let snapshots = &look.snapshots;
    let held = shown::count(snapshots.whole.len() as u64, "snapshot", "snapshots");
    let ago = |handle: &credenza_engine::SnapshotHandle| {
        shown::ago(handle.time().unwrap_or(handle.snapshot.finished), site.clock.now().wall)
    };
    match (snapshots.damaged.len() as u64, snapshots.whole.last()) {
        (0, None) => (LOOK, "It is open and holds no snapshot yet.".to_owned()),
        (0, Some(_)) if !look.suspects.is_empty() => (
            SUSPECT,
            format!(
                "In {} too much is gone, changed or encrypted; nothing of their sources is removed until somebody has looked.",
                shown::count(look.suspects.len() as u64, "snapshot", "snapshots")
            ),
        ),
        (0, Some(newest)) => (KEPT, format!("It holds {held}, the newest was made {}.", ago(newest))),
        (damaged, _) => {
            (DAMAGED, format!("{} cannot be read, {held} can.", shown::count(damaged, "snapshot", "snapshots")))
        }
    }
}

fn failing(error: &AppError) -> (State, String) {
    match engine(error) {
        Some(EngineError::SecretMissing) => {
            (LOCKED, "It is encrypted, and nothing in the configuration opens it.".to_owned())
        }
        Some(EngineError::WrongSecret { .. }) => (LOCKED, "What the configuration has does not open it.".to_owned()),
        Some(EngineError::Damage(_)) => (DAMAGED, shown::text(&format!("It cannot be opened: {error}."))),
        _ => (BROKEN, shown::text(&format!("It cannot be opened: {error}."))),
    }
}
