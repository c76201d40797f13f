//! A run: what it has told so far, to who looks now and to who goes on looking, and how it ended.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use bytes::Bytes;
use credenza_app::prune::Policy;
use credenza_app::units::parse_span;
use credenza_engine::{Phase, SnapshotFilter};
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use http_body::Frame as Piece;
use http_body_util::{BodyExt, StreamBody};

use super::Asked;
use super::confirm::{self, Question};
use super::frame::{Frame, Link};
use super::places::{of_folder, of_repository, title};
use super::problem::{Problem, render};
use crate::activity::Who;
use crate::command;
use crate::form::{Fields, encode};
use crate::operations::{Acknowledge, Backup, Check, Maintain, Promote, Prune, Remove, Repair, SetPolicy, Sync, Tag};
use crate::reply::{self, Broken, Reply};
use crate::runs::{Ending, Operation, Outcome, Reported, Room, Run};
use crate::shown::{self, Time};
use crate::site::Site;

/// Seconds after which a rate says something.
const PACE_SECONDS_MIN: u64 = 3;
/// How often a browser is reported at most.
const EVERY: Duration = Duration::from_millis(250);

#[derive(Template)]
#[template(path = "run.html")]
struct Page {
    frame: Frame,
    href: String,
    began: Time,
    ended: Option<Time>,
    by: String,
    state: State,
    lines: Vec<String>,
    /// What it has done so far, of several things.
    done: Vec<String>,
    /// What was found or done, when it has ended.
    ending: Option<Arc<Ending>>,
    trouble: Vec<String>,
    numbers: Numbers,
    /// The page of the snapshot that it made.
    made: Option<String>,
    /// The run that did what it offers, if one was begun.
    applied: Option<String>,
    /// Why it cannot be cancelled, or what it offers be done, by whoever looks.
    refusal: Option<String>,
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
    /// How quick it is, how long it may take, and what it asks for.
    pace: String,
    waiting: String,
    /// The last thing that was done, of several.
    did: String,
    trouble: String,
    /// Of 1000; none where nobody knows how much there is.
    part: Option<u64>,
}

impl Numbers {
    fn of(run: &Run, reported: &Reported) -> Self {
        let done = format!("{} in {}", shown::size(reported.bytes), shown::count(reported.entries, "entry", "entries"));
        let is_known = reported.bytes_expected > 0;
        let trouble = match (reported.damages, reported.failed) {
            (0, 0) => String::new(),
            (0, failed) => format!("{} failed", shown::count(failed, "entry", "entries")),
            (damages, _) => format!("{} found", shown::count(damages, "damage", "damages")),
        };
        let part = u128::from(reported.bytes) * 1000 / u128::from(reported.bytes_expected.max(1));
        Self {
            phase: reported.phase.map_or("beginning", Phase::name),
            amount: if is_known { format!("{done}, of about {}", shown::size(reported.bytes_expected)) } else { done },
            pace: pace(run, reported),
            waiting: reported
                .waiting
                .as_ref()
                .map(|cause| format!("Waits: {}", shown::text(cause)))
                .unwrap_or_default(),
            did: reported.did.clone().unwrap_or_default(),
            trouble,
            part: is_known.then(|| u64::try_from(part).unwrap_or(1000).min(1000)),
        }
    }

    /// As events of a stream, a text each.
    fn events(&self) -> String {
        let part = self.part.map(|part| part.to_string()).unwrap_or_default();
        let reported = [
            ("phase", self.phase),
            ("amount", &self.amount),
            ("pace", &self.pace),
            ("waiting", &self.waiting),
            ("did", &self.did),
            ("trouble", &self.trouble),
            ("part", &part),
        ];
        reported.map(|(name, text)| format!("event: {name}\ndata: {text}\n\n")).concat()
    }
}

/// Bytes a second and what is left at that, after some seconds; and requests.
fn pace(run: &Run, reported: &Reported) -> String {
    let mut said = Vec::new();
    let elapsed = reported.since.map_or(0, |since| run.now().monotonic.saturating_sub(since.monotonic).as_secs());
    let rate = reported.bytes.checked_div(elapsed).filter(|rate| *rate > 0 && elapsed >= PACE_SECONDS_MIN);
    if let Some(rate) = rate {
        said.push(format!("{} a second", shown::size(rate)));
        let left = reported.bytes_expected.saturating_sub(reported.bytes) / rate;
        if reported.bytes_expected > 0 {
            said.push(format!("about {} left", shown::span(left)));
        }
    }
    match run.requests() {
        0 => {}
        requests => said.push(shown::count(requests, "request", "requests")),
    }
    said.join(", ")
}

/// How a run stands.
pub(super) fn state(reported: &Reported) -> State {
    let state = |word, shape, class| State { word, shape, class };
    let Some(outcome) = reported.end.as_ref().map(|end| end.ending.outcome) else {
        return state("Running", "▶", "still");
    };
    let (shape, class) = match outcome {
        Outcome::Done => ("●", "good"),
        Outcome::Incomplete => ("▲", "wary"),
        Outcome::Damaged | Outcome::Failed => ("■", "bad"),
        Outcome::Cancelled => ("◆", "still"),
    };
    state(outcome.word(), shape, class)
}

/// The page of a run.
pub(super) fn of_run(run: &Run) -> String {
    of_id(run.operation.room(), &run.name, run.id)
}

pub(super) fn of_id(room: Room, name: &str, id: u64) -> String {
    format!("{}/run/{id}", room.address(name))
}

pub(super) async fn start(site: &Arc<Site>, asked: &Asked, name: &str, form: &Fields) -> Result<Reply, Problem> {
    let snapshot = || form.text("snapshot");
    let operation: Arc<dyn Operation> = match form.text("what").as_str() {
        "check" => Arc::new(Check { read_data: form.bytes("read_data").is_some() }),
        "backup" => Arc::new(Backup { source: form.text("source") }),
        "prune" => Arc::new(Prune { policy: policy(form)?, filter: filter(form), ..Prune::default() }),
        "policy" => Arc::new(SetPolicy { policy: policy(form)?.ok_or_else(no_rule)? }),
        "maintain" => Arc::new(Maintain { is_trial: true }),
        "repair" => Arc::new(Repair { read_data: form.bytes("read_data").is_some(), apply: false }),
        "sync" => {
            let other = form.text("other");
            if other == name {
                return Err(wrong("A repository cannot be synced with itself"));
            }
            Arc::new(Sync { other, is_from: form.text("direction") == "from", is_trial: true })
        }
        "tag" if form.text("tag").is_empty() => return Err(wrong("No tag was typed")),
        "tag" => Arc::new(Tag { snapshot: snapshot(), tag: form.text("tag"), is_taken: false }),
        "untag" => Arc::new(Tag { snapshot: snapshot(), tag: form.text("tag"), is_taken: true }),
        "acknowledge" => Arc::new(Acknowledge { snapshot: snapshot() }),
        "remove" => Arc::new(Remove { snapshot: snapshot() }),
        "promote" => Arc::new(Promote),
        _ => return Err(wrong("The form does not say what to do")),
    };
    let loses = match form.text("what").as_str() {
        "untag" => vec!["Where a rule keeps the snapshot for this tag, the next prune removes it.".to_owned()],
        "policy" => vec!["The next prune of any machine goes by it, and removes what it does not keep.".to_owned()],
        "acknowledge" => {
            vec!["Retention of its source goes on: the next prune may remove what was made before it.".to_owned()]
        }
        "remove" => vec!["Nothing brings the snapshot back.".to_owned()],
        "promote" => Promote::means(),
        _ => Vec::new(),
    };
    asked.require(operation.action())?;
    if let Some(question) = asks(site, asked, name, operation.title(), loses).await? {
        return Ok(question);
    }
    begin(site, asked, name, operation).await
}

fn no_rule() -> Problem {
    wrong("No rule was typed").next("Go back, and type at least one. To take the policy out: credenza policy clear")
}

fn wrong(what: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, what)
}

/// The rules that were typed; none where none was, and those of the repository count.
fn policy(form: &Fields) -> Result<Option<Policy>, Problem> {
    let mut is_typed = false;
    let mut number = |name: &str| match form.text(name).trim() {
        "" => Ok(0),
        text => {
            is_typed = true;
            text.parse::<u32>().map_err(|_| {
                wrong("A rule keeps a number of snapshots").because(format!("`{}` is none", shown::text(text)))
            })
        }
    };
    let policy = Policy {
        last: number("keep_last")?,
        hourly: number("keep_hourly")?,
        daily: number("keep_daily")?,
        weekly: number("keep_weekly")?,
        monthly: number("keep_monthly")?,
        yearly: number("keep_yearly")?,
        ..Policy::default()
    };
    let within = form.text("keep_within");
    let within_seconds = match within.trim() {
        "" => None,
        text => Some(parse_span(text).map_err(|why| {
            wrong("How long all are kept is no span of time").because(why).next("Go back, and type one such as 30d.")
        })?),
    };
    let tags: Vec<String> = lines(form, "keep_tag");
    is_typed |= within_seconds.is_some() || !tags.is_empty();
    let policy = Policy { within_seconds, tags, ..policy };
    match (is_typed, policy.is_empty()) {
        (false, _) => Ok(None),
        (true, false) => Ok(Some(policy)),
        (true, true) => {
            Err(wrong("These rules keep no snapshot").next("Type a number above 0 for one of them at least."))
        }
    }
}

/// The lines of a field that are not empty.
pub(super) fn lines(form: &Fields, name: &str) -> Vec<String> {
    form.text(name).lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Which snapshots are judged.
fn filter(form: &Fields) -> SnapshotFilter {
    let of = |name: &str| Some(form.text(name)).filter(|value| !value.is_empty()).into_iter().collect();
    SnapshotFilter { sources: of("source"), hosts: of("host"), tags: of("tag"), ..SnapshotFilter::default() }
}

/// Asks again before something is lost by it; none where nothing is, or it was agreed to.
async fn asks(
    site: &Site,
    asked: &Asked,
    name: &str,
    title: String,
    loses: Vec<String>,
) -> Result<Option<Reply>, Problem> {
    if loses.is_empty() {
        return Ok(None);
    }
    super::places::open(site, name).await?;
    confirm::ask(site, asked, name, Question { title, says: loses }).await
}

/// Begins a run, and shows it.
pub(super) async fn begin(
    site: &Arc<Site>,
    asked: &Asked,
    name: &str,
    operation: Arc<dyn Operation>,
) -> Result<Reply, Problem> {
    asked.require(operation.action())?;
    // What is not configured, or not open, is no run that fails.
    super::places::open(site, name).await?;
    let room = operation.room();
    started(site, asked, name, operation).map(|id| reply::see(&of_id(room, name, id)))
}

/// Starts a run in a repository that is open, or of a job; its number.
pub(super) fn started(site: &Site, asked: &Asked, name: &str, operation: Arc<dyn Operation>) -> Result<u64, Problem> {
    match site.runs.begin(name, operation, asked.who(), site.stop.child()) {
        Ok(run) => {
            let id = run.id;
            site.runs.start(&site.repositories, run);
            Ok(id)
        }
        Err(other) => Err(Problem::new(StatusCode::CONFLICT, "Something else is under way here")
            .because("one run at a time is started from here in each repository, and of each job")
            .next("Wait until it has ended, or cancel it, and try again.")
            .link(of_run(&other), other.operation.title())),
    }
}

/// Does what a run that only looked has offered, once: what was found then is not so any more when it was done.
pub(super) async fn apply(site: &Arc<Site>, asked: &Asked, name: &str, id: &str) -> Result<Reply, Problem> {
    let run = find(site, Room::Repository, name, id)?;
    let ending = run.reported().end.map(|end| end.ending);
    let offer = ending.as_ref().and_then(|ending| ending.offer.as_ref()).ok_or_else(|| {
        Problem::new(StatusCode::CONFLICT, "There is nothing to be done by this run")
            .link(of_run(&run), run.operation.title())
    })?;
    asked.require(offer.operation.action())?;
    require_first(name, *run.applied())?;
    if let Some(question) = asks(site, asked, name, offer.title.clone(), offer.loses.clone()).await? {
        return Ok(question);
    }
    super::places::open(site, name).await?;
    let mut applied = run.applied();
    require_first(name, *applied)?;
    let id = started(site, asked, name, Arc::clone(&offer.operation))?;
    *applied = Some(id);
    Ok(reply::see(&of_id(Room::Repository, name, id)))
}

/// Refuses to do what another run has begun to do.
fn require_first(name: &str, applied: Option<u64>) -> Result<(), Problem> {
    match applied {
        None => Ok(()),
        Some(id) => Err(Problem::new(StatusCode::CONFLICT, "This was begun already")
            .because("what a plan or a preview offers is done once")
            .next("Look how it went. To do more, make a new plan or preview.")
            .link(of_id(Room::Repository, name, id), "How it went")),
    }
}

fn find(site: &Site, room: Room, name: &str, id: &str) -> Result<Arc<Run>, Problem> {
    let (why, href, text) = match room {
        Room::Repository => ("the activity has them longer", "/activity".to_owned(), "Activity"),
        Room::Job => ("the history of the job has them longer", room.address(&encode(name.as_bytes())), "The job"),
    };
    site.runs.get(room, name, id).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "There is no such run")
            .because(format!("runs are kept while the page is served, the last of them only; {why}"))
            .link(href, text)
    })
}

/// The way to a run, and what does the same on the command line.
fn frame(site: &Site, asked: &Asked, run: &Run) -> Result<Frame, Problem> {
    let frame = Frame::new(run.operation.title(), asked.token());
    let commands = run.operation.commands();
    if run.operation.room() == Room::Job {
        let way = vec![Link::new("/jobs", "Jobs"), Link::new(Room::Job.address(&run.name), &*run.name)];
        return Ok(commands.into_iter().fold(frame.way(way), Frame::command));
    }
    let label = site.repositories.place(&run.name).map_err(|error| Problem::of(&error.into(), None))?.label();
    let way = vec![Link::new("/", "Your backups"), Link::new(of_repository(&run.name), title(&label))];
    Ok(commands.iter().fold(frame.way(way), |frame, words| frame.command(command::at(&label, words))))
}

pub(super) fn show(site: &Site, asked: &Asked, room: Room, name: &str, id: &str) -> Result<Reply, Problem> {
    let run = find(site, room, name, id)?;
    let reported = run.reported();
    let frame = frame(site, asked, &run)?;
    let ending = reported.end.as_ref().map(|end| Arc::clone(&end.ending));
    let offered = ending.as_ref().and_then(|ending| ending.offer.as_ref()).map(|offer| offer.operation.action());
    let made = ending.as_ref().and_then(|ending| ending.made.clone());
    let page = Page {
        refusal: frame.refusal(offered.unwrap_or_else(|| run.operation.action())),
        frame,
        href: of_run(&run),
        began: site.zone.time(run.began),
        ended: reported.end.as_ref().map(|end| site.zone.time(end.at)),
        by: by(&run.by),
        state: state(&reported),
        lines: ending.iter().flat_map(|ending| &ending.lines).map(|line| shown::text(line)).collect(),
        trouble: run.trouble().iter().map(|line| shown::text(line)).collect(),
        numbers: Numbers::of(&run, &reported),
        done: if ending.is_none() { run.done() } else { Vec::new() },
        ending,
        made: made.map(|id| of_folder(name, &id, b"")),
        applied: (*run.applied()).map(|id| of_id(room, name, id)),
    };
    render(StatusCode::OK, &page)
}

/// Who started something, and from where, as far as that is known.
pub(super) fn by(who: &Who) -> String {
    match (who.name.as_str(), who.from.as_str()) {
        (name, "") => shown::text(name),
        (name, from) => format!("{} from {}", shown::text(name), shown::text(from)),
    }
}

pub(super) fn cancel(site: &Site, asked: &Asked, room: Room, name: &str, id: &str) -> Result<Reply, Problem> {
    let run = find(site, room, name, id)?;
    asked.require(run.operation.action())?;
    if room == Room::Job && !run.has_ended() {
        asked.note(site, "", &run.operation.title(), "Asked to end");
    }
    run.cancel();
    Ok(reply::see(&of_run(&run)))
}

/// What the run tells, until it or the server ends.
pub(super) fn events(site: &Arc<Site>, room: Room, name: &str, id: &str) -> Result<Reply, Problem> {
    let run = find(site, room, name, id)?;
    let mut reported = run.follow();
    // What is so now is reported first.
    reported.mark_changed();
    let site = Arc::clone(site);
    let events = stream::unfold(Some((reported, run, site)), |following| async move {
        let (mut reported, run, site) = following?;
        tokio::select! {
            changed = reported.changed() => changed.ok()?,
            () = site.stop.requested() => return None,
        }
        let now = reported.borrow_and_update().clone();
        let text = Numbers::of(&run, &now).events();
        if now.end.is_some() {
            return Some((sent(text + "event: end\ndata:\n\n"), None));
        }
        site.clock.wait(EVERY).await;
        Some((sent(text), Some((reported, run, site))))
    });
    let mut reply = Reply::new(StreamBody::new(events).boxed_unsync());
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(reply::EVENTS));
    Ok(reply)
}

fn sent(text: String) -> Result<Piece<Bytes>, Broken> {
    Ok(Piece::data(Bytes::from(text)))
}
