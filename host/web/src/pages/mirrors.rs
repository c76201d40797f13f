//! Mirrors on the screen of replication: of each target which cut it is, when that was made, and what keeps a newer one from it; and what a person does now:
//! run, plan, pause, and after the source was poisoned, roll back to an older cut.
//!
//! Measured as policies are. Refused here: what the figures are (`credenza_app::jobs::mirror`), and the forms (`jobs`).
//!
//! Bound: [`CUTS_MAX`] cuts to choose from, and what `standing` states.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use credenza_app::Error as AppError;
use credenza_app::jobs::mirror::{self, Standing, TargetStatus, Wish};
use credenza_app::jobs::{Mirror as Policy, Step, Work};
use credenza_app::shell::shell_word;
use credenza_engine::SnapshotName;
use futures_util::future::try_join_all;
use http::StatusCode;
use tokio::runtime::Handle;

use super::Asked;
use super::confirm::{self, Question};
use super::jobs::{at_work, configured, of_job, require_idle, unread};
use super::places::{open, short};
use super::problem::Problem;
use super::run::{self, State};
use super::standing::{As, Bad, PATIENCE, Place, bad, is_paused, place, state, taken};
use crate::form::Fields;
use crate::jobs::{Book, words};
use crate::operations::{JobRun, MirrorPlan};
use crate::reply::{self, Reply};
use crate::runs::{Operation, Room};
use crate::shown::{self, Time, count};
use crate::site::Site;

/// Cuts that can be chosen, the newest of them.
const CUTS_MAX: usize = 100;
/// Runs of the record that are looked at for what was mirrored last.
const PAST_MAX: usize = 1000;

/// One mirror.
pub(super) struct Mirror {
    pub(super) name: String,
    pub(super) href: String,
    pub(super) from: String,
    /// The repository that keeps the cuts, where the file names one.
    pub(super) via: Option<Place>,
    pub(super) state: State,
    pub(super) says: String,
    pub(super) as_of: String,
    /// When the newest cut was made.
    pub(super) newest: Option<Time>,
    pub(super) is_paused: bool,
    pub(super) is_running: bool,
    pub(super) targets: Vec<Target>,
    /// What it can be rolled back to, the newest first.
    pub(super) cuts: Vec<Cut>,
    /// What rolls it back on the command line.
    pub(super) back: String,
    pub(super) bad: Vec<Bad>,
}

/// One of its targets.
pub(super) struct Target {
    pub(super) text: String,
    pub(super) state: State,
    pub(super) says: String,
    /// Whether somebody is to look at what is suspect.
    pub(super) is_suspect: bool,
    pub(super) facts: Vec<(&'static str, String)>,
}

/// A cut to choose.
pub(super) struct Cut {
    pub(super) id: String,
    pub(super) text: String,
}

/// All mirrors of the file.
pub(super) async fn all(site: &Arc<Site>, book: &Arc<Book>) -> Result<Vec<Mirror>, Problem> {
    try_join_all(book.file.mirrors.values().map(|mirror| one(site, book, mirror))).await
}

async fn one(site: &Arc<Site>, book: &Arc<Book>, policy: &Policy) -> Result<Mirror, Problem> {
    let (seen, as_of) = measured(site, book, policy).await;
    let found = seen.as_deref().map(|(_, found)| found);
    let (targets, cuts, unknown) = match found {
        Some(Ok(standing)) => {
            (standing.targets.iter().map(|target| of_target(site, target)).collect(), cuts(site, standing), None)
        }
        Some(Err(why)) => (Vec::new(), Vec::new(), Some(why.clone())),
        None => (recorded(book, policy).await?, Vec::new(), None),
    };
    let newest = found.and_then(|found| found.as_ref().ok()?.cuts.whole.last());
    let (state, says) = standing(&targets, unknown.as_deref());
    Ok(Mirror {
        href: of_job(&policy.name),
        from: shown::text(&policy.from),
        via: policy.via.as_deref().map(|via| place(site, via)),
        state,
        says,
        as_of: as_of.says(site),
        newest: newest.map(|handle| site.zone.time(handle.snapshot.started)),
        is_paused: is_paused(site, book, &policy.name),
        is_running: at_work(site, book, &policy.name).is_some(),
        targets,
        cuts,
        back: site.jobs.command(&format!("mirror run {} --to CUT", shell_word(policy.short_name()))),
        bad: bad(site, book, &policy.name).await?,
        name: policy.short_name().to_owned(),
    })
}

/// What was measured, and how that mirror stands.
type Seen = (Policy, Result<Standing, String>);

/// How a mirror stands, and as of when; nothing where that was not measured here of late.
async fn measured(site: &Arc<Site>, book: &Book, policy: &Policy) -> (Option<Arc<Seen>>, As) {
    let (at, meant) = (Arc::clone(site), policy.clone());
    let measure = move || {
        let asking = async {
            let status = mirror::status(at.repositories.app(), &meant, at.clock.now().wall);
            tokio::select! {
                asking = tokio::time::timeout(PATIENCE, Box::pin(status)) => asking.ok(),
                () = at.stop.requested() => None,
            }
        };
        let found = match Handle::current().block_on(asking) {
            Some(found) => found.map_err(|error| shown::causes(&error).join(": ")),
            None => Err(format!("its places did not answer within {} minutes", PATIENCE.as_secs() / 60)),
        };
        (meant, found)
    };
    let mut looked = site.mirrors.look(&policy.name, site.limits.overview, measure).await;
    // The file may say something else by now.
    let places = |policy: &Policy| (policy.from.clone(), policy.via.clone(), policy.to.clone());
    looked.last = looked.last.filter(|found| places(&found.what.0) == places(policy));
    taken(site, book, &policy.name, looked).await
}

/// What the last runs have done at each target, by the record of this machine.
async fn recorded(book: &Book, policy: &Policy) -> Result<Vec<Target>, Problem> {
    let past = book.past(Some(&policy.name), PAST_MAX).await.map_err(unread)?;
    let last = |word: &String| {
        let of_target = |step: &&Step| matches!(step, Step::Mirrored(mirrored) if mirrored.target == *word);
        past.iter().flat_map(|past| past.steps.iter().rev()).find(of_target)
    };
    let target = |word: &String| {
        let (state, says) = match last(word) {
            Some(step) => (state("By the record", "◆", "still"), words::step(step) + "."),
            None => (
                state("Not known", "◆", "still"),
                "The record of this machine has no run that mirrored there.".to_owned(),
            ),
        };
        Target { text: shown::text(word), state, says, is_suspect: false, facts: Vec::new() }
    };
    Ok(policy.to.iter().map(target).collect())
}

/// How the mirror stands as a whole: as its worst target does.
fn standing(targets: &[Target], unknown: Option<&str>) -> (State, String) {
    if let Some(why) = unknown {
        return (state("Not known", "◆", "still"), shown::sentence(&shown::text(why)) + ".");
    }
    let count_of = |class: &str| targets.iter().filter(|target| target.state.class == class).count() as u64;
    match (count_of("bad"), count_of("wary"), count_of("still")) {
        (0, 0, 0) => (state("Kept", "●", "good"), "Each target is the newest cut.".to_owned()),
        (0, 0, _) => (state("Not known", "◆", "still"), "Not of every target it is known which cut it is.".to_owned()),
        (0, wary, _) => (
            state("Look here", "▲", "wary"),
            format!("{} not the newest cut.", count(wary, "target is", "targets are")),
        ),
        (bad, ..) => (
            state("Waits for you", "■", "bad"),
            format!("{} until somebody has looked.", count(bad, "target stays as it is", "targets stay as they are")),
        ),
    }
}

fn of_target(site: &Site, target: &TargetStatus) -> Target {
    let (state, says) = match (&target.unknown, &target.marker, &target.suspect) {
        (Some(why), ..) => (state("Not known", "◆", "still"), shown::sentence(&shown::text(why)) + "."),
        (None, _, Some(suspect)) => {
            let id = suspect.to_string();
            let says = format!(
                "The snapshot {} of its source is suspect, and nothing newer comes here until somebody has looked at it.",
                short(&id)
            );
            (state("A suspect cut waits", "■", "bad"), says)
        }
        (None, None, None) => (state("Not mirrored yet", "▲", "wary"), "Nothing was mirrored there yet.".to_owned()),
        (None, Some(marker), None) if !marker.towards.is_empty() => (
            state("In progress", "▲", "wary"),
            "A run is under way there, or was broken off: it is no one state of its source.".to_owned(),
        ),
        (None, Some(marker), None) if marker.lacking > 0 => {
            let lacking = count(marker.lacking, "object of the cut is", "objects of the cut are");
            (state("Not whole", "▲", "wary"), format!("{lacking} not there."))
        }
        (None, Some(_), None) if target.behind > 0 => {
            (state("Behind", "▲", "wary"), format!("{} newer.", count(target.behind, "cut is", "cuts are")))
        }
        (None, Some(_), None) => (state("Newest cut", "●", "good"), "It is what the newest cut holds.".to_owned()),
    };
    let is_suspect = target.suspect.is_some();
    Target { text: shown::text(&target.target), state, says, is_suspect, facts: facts(site, target) }
}

fn facts(site: &Site, target: &TargetStatus) -> Vec<(&'static str, String)> {
    let Some(marker) = &target.marker else { return Vec::new() };
    let mut facts = Vec::new();
    if let (Some(cut), Some(made)) = (marker.cut, marker.cut_made) {
        let lag = target.newest_made.map_or(0, |newest| newest.seconds.saturating_sub(made.seconds));
        let lag = u64::try_from(lag).unwrap_or(0);
        facts.push(("Cut", short(&cut.to_string()).to_owned()));
        facts.push(("Made", site.zone.time(made).text));
        facts.push((
            "Behind",
            match (target.behind, lag) {
                (0, _) => "by nothing".to_owned(),
                (behind, lag) => {
                    format!("by {}, {}", count(behind, "cut", "cuts"), words::long(Duration::from_secs(lag)))
                }
            },
        ));
    }
    facts.push(("Lacking", marker.lacking.to_string()));
    facts
}

/// The newest first.
fn cuts(site: &Site, standing: &Standing) -> Vec<Cut> {
    let cut = |handle: &credenza_engine::SnapshotHandle| {
        let (id, entries) = (handle.snapshot.id.to_string(), handle.snapshot.statistics.entries);
        let made = site.zone.time(handle.snapshot.started).text;
        let suspect = if standing.suspect.contains(&handle.snapshot.id) { ", suspect" } else { "" };
        Cut { text: format!("{made}: {}, {}{suspect}", count(entries, "entry", "entries"), short(&id)), id }
    };
    standing.cuts.whole.iter().rev().take(CUTS_MAX).map(cut).collect()
}

/// Says what the next run would do.
pub(super) async fn plan(site: &Arc<Site>, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let book = site.jobs.read(site.clock.now().wall).await.map_err(unread)?;
    of_name(&book, name)?;
    started(site, asked, name, Arc::new(MirrorPlan { jobs: site.jobs.clone(), job: name.to_owned() }))
}

/// Makes the targets an older cut, after it was asked again.
pub(super) async fn roll_back(site: &Arc<Site>, asked: &Asked, name: &str, form: &Fields) -> Result<Reply, Problem> {
    let book = site.jobs.read(site.clock.now().wall).await.map_err(unread)?;
    let mirror = of_name(&book, name)?;
    require_idle(site, &book, name)?;
    let cut = form.text("cut");
    if cut.is_empty() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "No cut was chosen")
            .next("Go back, and choose the last one from before the source was poisoned."));
    }
    let wish = Wish { to: Some(SnapshotName(cut)), ..Wish::default() };
    let operation = Arc::new(JobRun { jobs: site.jobs.clone(), job: name.to_owned(), wish });
    asked.require(operation.action())?;
    let app = site.repositories.app();
    let configuration = app.configuration().map_err(|error| Problem::of(&AppError::from(error), None))?;
    let word = app.repository_word(mirror.via.as_deref().map(OsStr::new), &configuration);
    let word = word.map_err(|error| Problem::of(&error, None))?.to_string_lossy().into_owned();
    let repository = configured(site, &word).ok_or_else(|| {
        let command = site.jobs.command(&format!("mirror run {} --to CUT", shell_word(mirror.short_name())));
        Problem::new(StatusCode::CONFLICT, "It cannot be rolled back from here")
            .because("the repository with its cuts has no name in the configuration, by which it could be asked again")
            .next(format!("Do it with: {command}"))
    })?;
    open(site, repository).await?;
    let says = vec![
        format!("Each target becomes what the cut holds: {}.", shown::text(&mirror.to.join(", "))),
        "What came there since is replaced, and removed as the policy says.".to_owned(),
        "The next run mirrors a new cut of the source: pause the mirror until the source is well.".to_owned(),
    ];
    match confirm::ask(site, asked, repository, Question { title: operation.title(), says }).await? {
        Some(question) => Ok(question),
        None => started(site, asked, name, operation),
    }
}

fn of_name<'b>(book: &'b Book, name: &str) -> Result<&'b Policy, Problem> {
    match book.file.work(name).map_err(unread)? {
        Work::Mirror(mirror) => Ok(mirror),
        _ => Err(Problem::new(StatusCode::NOT_FOUND, "This is no mirror").link(of_job(name), "What it is")),
    }
}

fn started(site: &Site, asked: &Asked, name: &str, operation: Arc<dyn Operation>) -> Result<Reply, Problem> {
    asked.require(operation.action())?;
    run::started(site, asked, name, operation).map(|id| reply::see(&run::of_id(Room::Job, name, id)))
}
