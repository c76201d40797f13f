//! A run: what it has told so far, to who looks now and to who goes on looking, and how it ended.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use bytes::Bytes;
use credenza_engine::Phase;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use http_body::Frame as Piece;
use http_body_util::{BodyExt, StreamBody};

use super::Asked;
use super::frame::{Frame, Link};
use super::places::{of_repository, title};
use super::problem::{Problem, render};
use crate::command;
use crate::form::Fields;
use crate::operations;
use crate::reply::{self, Broken, Reply};
use crate::runs::{Outcome, Reported, Run, What};
use crate::shown::{self, Time};
use crate::site::Site;

/// How often a browser is reported at most.
const EVERY: Duration = Duration::from_millis(250);

#[derive(Template)]
#[template(path = "run.html")]
struct Page {
    frame: Frame,
    href: String,
    began: Time,
    ended: Option<Time>,
    state: State,
    lines: Vec<String>,
    numbers: Numbers,
}

/// A word, a shape and a colour.
pub(super) struct State {
    pub(super) word: &'static str,
    pub(super) shape: &'static str,
    pub(super) class: &'static str,
}

/// What a run has told, as texts.
struct Numbers {
    phase: &'static str,
    amount: String,
    trouble: String,
    /// Of 1000; none where nobody knows how much there is.
    part: Option<u64>,
}

impl Numbers {
    fn of(reported: &Reported) -> Self {
        let done = format!("{} in {}", shown::size(reported.bytes), shown::count(reported.entries, "entry", "entries"));
        let is_known = reported.bytes_expected > 0;
        let trouble = match (reported.damages, reported.failed) {
            (0, 0) => String::new(),
            (0, failed) => format!("{} could not be read", shown::count(failed, "entry", "entries")),
            (damages, _) => format!("{} found", shown::count(damages, "damage", "damages")),
        };
        let part = u128::from(reported.bytes) * 1000 / u128::from(reported.bytes_expected.max(1));
        Self {
            phase: reported.phase.map_or("beginning", phase),
            amount: if is_known { format!("{done}, of about {}", shown::size(reported.bytes_expected)) } else { done },
            trouble,
            part: is_known.then(|| u64::try_from(part).unwrap_or(1000).min(1000)),
        }
    }

    /// As events of a stream, a text each.
    fn events(&self) -> String {
        let part = self.part.map(|part| part.to_string()).unwrap_or_default();
        let reported = [("phase", self.phase), ("amount", &self.amount), ("trouble", &self.trouble), ("part", &part)];
        reported.map(|(name, text)| format!("event: {name}\ndata: {text}\n\n")).concat()
    }
}

/// The same words as on the command line.
const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Opening => "opening",
        Phase::Reading => "reading",
        Phase::Committing => "committing",
        Phase::Copying => "copying",
        Phase::Restoring => "restoring",
        Phase::Archiving => "writing the archive",
        Phase::Collecting => "reclaiming space",
        Phase::Repairing => "repairing",
        Phase::CheckingStructure => "checking structure",
        Phase::CheckingData => "checking data",
        Phase::Auditing => "auditing",
    }
}

/// What a run is called.
pub(super) fn what(run: &Run) -> String {
    match &run.what {
        What::Check { read_data: false } => "Check of the structure".to_owned(),
        What::Check { read_data: true } => "Check of every byte".to_owned(),
        What::Backup { source } => format!("Backup of {}", shown::text(source)),
    }
}

/// How a run stands.
pub(super) fn state(reported: &Reported) -> State {
    let state = |word, shape, class| State { word, shape, class };
    match reported.end.as_ref().map(|end| end.outcome) {
        None => state("Running", "▶", "still"),
        Some(Outcome::Done) => state("Done", "●", "good"),
        Some(Outcome::Incomplete) => state("Incomplete", "▲", "wary"),
        Some(Outcome::Damaged) => state("Damage found", "■", "bad"),
        Some(Outcome::Failed) => state("Failed", "■", "bad"),
        Some(Outcome::Cancelled) => state("Cancelled", "◆", "still"),
    }
}

/// The page of a run.
pub(super) fn of_run(run: &Run) -> String {
    format!("{}/run/{}", of_repository(&run.name), run.id)
}

pub(super) async fn start(site: &Arc<Site>, name: &str, form: &Fields) -> Result<Reply, Problem> {
    // What is not configured, or not open, is no run that fails.
    super::places::open(site, name).await?;
    let what = match form.text("what").as_str() {
        "check" => What::Check { read_data: form.bytes("read_data").is_some() },
        "backup" => What::Backup { source: form.text("source") },
        _ => return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "The form does not say what to do")),
    };
    match site.runs.begin(name, what, site.clock.now().wall, site.stop.child()) {
        Ok(run) => {
            let path = of_run(&run);
            operations::start(site, run);
            Ok(reply::see(&path))
        }
        Err(other) => Err(Problem::new(StatusCode::CONFLICT, "Another run is under way")
            .because(format!(
                "one run at a time is started from here in a repository, and `{}` has not ended",
                self::what(&other)
            ))
            .next("Wait for it, or cancel it.")),
    }
}

fn find(site: &Site, name: &str, id: &str) -> Result<Arc<Run>, Problem> {
    site.runs.get(name, id).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "There is no such run")
            .because("runs are shown until `credenza ui` ends, the last 50 of them")
    })
}

pub(super) fn show(site: &Site, asked: &Asked, name: &str, id: &str) -> Result<Reply, Problem> {
    let run = find(site, name, id)?;
    let label = site.repositories.place(name).map_err(|error| Problem::of(&error.into(), None))?.label();
    let reported = run.reported();
    let words = match &run.what {
        What::Check { read_data: false } => "check".to_owned(),
        What::Check { read_data: true } => "check --read-data".to_owned(),
        What::Backup { source } => format!("backup {}", command::word(&format!("@{source}"))),
    };
    let way = vec![Link::new("/", "Your backups"), Link::new(of_repository(name), title(&label))];
    let page = Page {
        frame: Frame::new(what(&run), asked.token()).way(way).command(command::at(&label, &words)),
        href: of_run(&run),
        began: site.zone.time(run.began),
        ended: reported.end.as_ref().map(|end| site.zone.time(end.at)),
        state: state(&reported),
        lines: reported.end.iter().flat_map(|end| &end.lines).map(|line| shown::text(line)).collect(),
        numbers: Numbers::of(&reported),
    };
    render(StatusCode::OK, &page)
}

pub(super) fn cancel(site: &Site, name: &str, id: &str) -> Result<Reply, Problem> {
    let run = find(site, name, id)?;
    run.cancel();
    Ok(reply::see(&of_run(&run)))
}

/// What the run tells, until it or the server ends.
pub(super) fn events(site: &Arc<Site>, name: &str, id: &str) -> Result<Reply, Problem> {
    let mut reported = find(site, name, id)?.follow();
    // What is so now is reported first.
    reported.mark_changed();
    let site = Arc::clone(site);
    let events = stream::unfold(Some((reported, site)), |following| async move {
        let (mut reported, site) = following?;
        tokio::select! {
            changed = reported.changed() => changed.ok()?,
            () = site.stop.requested() => return None,
        }
        let now = reported.borrow_and_update().clone();
        let text = Numbers::of(&now).events();
        if now.end.is_some() {
            return Some((sent(text + "event: end\ndata:\n\n"), None));
        }
        site.clock.wait(EVERY).await;
        Some((sent(text), Some((reported, site))))
    });
    let mut reply = Reply::new(StreamBody::new(events).boxed_unsync());
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(reply)
}

fn sent(text: String) -> Result<Piece<Bytes>, Broken> {
    Ok(Piece::data(Bytes::from(text)))
}
