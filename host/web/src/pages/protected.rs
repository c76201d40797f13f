//! How each source stands: one sentence, since when, and the next step.
//!
//! A source that a job has promised something of is measured by that promise, in the repository of the job; any other by its usual rhythm, wherever it is
//! kept (`credenza_app::protection`). What cannot be looked into is not known, and never taken for well.
//!
//! Bound: [`LINES_MAX`] sources, those that need somebody first.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use credenza_app::jobs::Job;
use credenza_app::jobs::promise::{Kept, Promise};
use credenza_app::protection::{self, Measure, Protection};
use credenza_app::{Kind, Settings, environment, stream};
use credenza_engine::SnapshotHandle;
use credenza_model::Timestamp;

use super::frame::Link;
use super::jobs::{named, of_job};
use super::places::of_repository;
use super::proof::{Proof, Proofs};
use super::run::State;
use crate::command;
use crate::jobs::{Book, words};
use crate::repositories::Look;
use crate::shown::{self, Time};
use crate::site::Site;

/// Sources that are shown.
const LINES_MAX: usize = 50;

/// One source.
pub(super) struct Line {
    pub(super) title: String,
    pub(super) state: State,
    pub(super) says: String,
    /// Since when it is not protected.
    pub(super) since: Option<Time>,
    pub(super) next: Option<Link>,
    pub(super) command: Option<String>,
    /// Whether what is kept of it can be had again, as far as its repository is known.
    pub(super) proof: Option<Arc<Proof>>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) lines: Vec<Line>,
    /// Those that are not shown.
    pub(super) more: usize,
}

/// Which source: on which machine, and where there.
type Key = (String, String);

/// What is known of a source.
enum Known {
    /// How it stands, by which job, in which repository.
    Measured { protection: Protection, job: Option<String>, repository: String },
    /// Its repository cannot be looked into.
    Unreached { job: Option<String>, repository: Option<String> },
    /// A job has promised something of it, and its word leads nowhere.
    Lost { job: String, reason: String },
    /// It is in the configuration, and in no repository.
    Never,
}

impl Known {
    /// The repository in which it was found.
    fn repository(&self) -> Option<&str> {
        match self {
            Self::Measured { repository, .. } => Some(repository),
            Self::Unreached { .. } | Self::Lost { .. } | Self::Never => None,
        }
    }
}

/// What each repository holds that could be looked into, by its name in addresses.
pub(super) type Looks<'a> = BTreeMap<&'a str, Option<&'a Look>>;

pub(super) fn lines(site: &Site, looks: &Looks<'_>, proofs: &Proofs, book: Option<&Book>) -> Lines {
    let here = environment::host_name();
    let names = configured(site);
    let mut known = by_rhythm(site, looks);
    for (_, location) in &names {
        known.entry((here.clone(), location.clone())).or_insert_with(|| match closed(looks) {
            Some(repository) => Known::Unreached { job: None, repository: Some(repository) },
            None => Known::Never,
        });
    }
    for job in book.iter().flat_map(|book| book.file.jobs.values()) {
        by_promise(site, looks, job, &here, &mut known);
    }
    let mut ranked: Vec<(u8, Line)> = known
        .into_iter()
        .map(|((host, location), known)| {
            let name = names.iter().find(|(_, own)| *own == location && host == here).map(|(name, _)| name.as_str());
            let proof = known.repository().and_then(|name| proofs.get(name)).map(Arc::clone);
            (rank(&known), Line { proof, ..line(site, (&host, &location, name), &here, &known) })
        })
        .collect();
    ranked.sort_by(|(a, left), (b, right)| (a, &left.title).cmp(&(b, &right.title)));
    let more = ranked.len().saturating_sub(LINES_MAX);
    Lines { lines: ranked.into_iter().take(LINES_MAX).map(|(_, line)| line).collect(), more }
}

/// The sources of the configuration, by name, each with its location.
fn configured(site: &Site) -> Vec<(String, String)> {
    let names = site.repositories.sources().unwrap_or_default();
    let located = |name: String| {
        let location = location(site, &format!("@{name}")).ok()?;
        Some((name, location))
    };
    names.into_iter().filter_map(located).collect()
}

/// The location of a source, as its snapshots have it, or why it has none.
fn location(site: &Site, word: &str) -> Result<String, String> {
    let place = site.repositories.app().place(Kind::Source, OsStr::new(word), Settings::new());
    place.map(|place| place.text()).map_err(|error| shown::text(&error.to_string()))
}

/// A repository that could not be looked into.
fn closed(looks: &Looks<'_>) -> Option<String> {
    looks.iter().find(|(_, look)| look.is_none()).map(|(name, _)| (*name).to_owned())
}

/// The times of good snapshots of which something is so, oldest first. What is dated after now says nothing of when it was made.
fn times(look: &Look, is_meant: impl Fn(&SnapshotHandle) -> bool) -> Vec<Timestamp> {
    let snapshots = &look.snapshots;
    let is_good = |handle: &&SnapshotHandle| {
        handle.snapshot.statistics.errors == 0 && !snapshots.is_ahead(handle) && is_meant(handle)
    };
    snapshots.whole.iter().filter(is_good).map(|handle| handle.time().unwrap_or(handle.snapshot.finished)).collect()
}

fn by_rhythm(site: &Site, looks: &Looks<'_>) -> BTreeMap<Key, Known> {
    let mut known: BTreeMap<Key, Known> = BTreeMap::new();
    let now = site.clock.now().wall;
    for (name, look) in looks.iter().filter_map(|(name, look)| Some((*name, (*look)?))) {
        let mut times: BTreeMap<Key, Vec<Timestamp>> = BTreeMap::new();
        for handle in &look.snapshots.whole {
            let (host, location) = (handle.snapshot.host.clone(), handle.snapshot.source.location.clone());
            let of_source = times.entry((host, location)).or_default();
            if handle.snapshot.statistics.errors == 0 && !look.snapshots.is_ahead(handle) {
                of_source.push(handle.time().unwrap_or(handle.snapshot.finished));
            }
        }
        for (key, times) in times {
            let protection = protection::judge(&times, None, now);
            let is_better = match known.get(&key) {
                Some(Known::Measured { protection: other, .. }) => {
                    (protection.kept, other.newest) < (other.kept, protection.newest)
                }
                _ => true,
            };
            if is_better {
                known.insert(key, Known::Measured { protection, job: None, repository: name.to_owned() });
            }
        }
    }
    known
}

/// Takes what a job has promised of its sources instead.
fn by_promise(site: &Site, looks: &Looks<'_>, job: &Job, here: &str, known: &mut BTreeMap<Key, Known>) {
    let Some(promise) = job.promise else { return };
    let repository = named(site, job);
    let look = repository.as_deref().and_then(|name| looks.get(name).copied().flatten());
    let Promised { locations, lost } = promised(site, job);
    for (word, reason) in lost {
        known.entry((here.to_owned(), word)).or_insert_with(|| Known::Lost { job: job.name.clone(), reason });
    }
    for location in locations {
        let measured = match (look, &repository) {
            (Some(look), Some(repository)) => Known::Measured {
                protection: measure(site, look, job, &location, promise),
                job: Some(job.name.clone()),
                repository: repository.clone(),
            },
            _ => Known::Unreached { job: Some(job.name.clone()), repository: repository.clone() },
        };
        let key = (here.to_owned(), location);
        // Of two jobs that promise something of one source, the one that is kept worse counts.
        let is_worse = match known.get(&key) {
            Some(other @ (Known::Measured { job: Some(_), .. } | Known::Unreached { job: Some(_), .. })) => {
                rank(&measured) < rank(other)
            }
            _ => true,
        };
        if is_worse {
            known.insert(key, measured);
        }
    }
}

/// What a job has promised something of.
pub(super) struct Promised {
    pub(super) locations: BTreeSet<String>,
    /// Words of sources that lead to no location, and why.
    pub(super) lost: BTreeMap<String, String>,
}

/// What a job has promised something of, as far as that is known.
pub(super) fn promised(site: &Site, job: &Job) -> Promised {
    let streams = job.hooks.iter().filter_map(|hook| hook.stdin_of.as_deref()).map(stream::location);
    let mut promised = Promised { locations: streams.collect(), lost: BTreeMap::new() };
    for word in &job.sources {
        match location(site, word) {
            Ok(location) => {
                promised.locations.insert(location);
            }
            Err(reason) => {
                promised.lost.insert(word.clone(), reason);
            }
        }
    }
    promised
}

/// How the promise of a job stands for a source, by what its repository holds.
pub(super) fn measure(site: &Site, look: &Look, job: &Job, location: &str, promise: Duration) -> Protection {
    let times = times_of(look, job, location);
    let promise = times.last().and_then(|newest| Promise::of_job(job, *newest)).unwrap_or(Promise::of(promise));
    protection::judge(&times, Some(promise), site.clock.now().wall)
}

/// When a job has made good snapshots of a source on this machine, oldest first.
pub(super) fn times_of(look: &Look, job: &Job, location: &str) -> Vec<Timestamp> {
    let (tag, host) = (job.tag(), environment::host_name());
    times(look, |handle| {
        let snapshot = &handle.snapshot;
        snapshot.source.location == location && snapshot.host == host && snapshot.tags.contains(&tag)
    })
}

/// What needs somebody comes first.
const fn rank(known: &Known) -> u8 {
    match known {
        Known::Measured { protection: Protection { kept: Kept::Broken, .. }, .. } | Known::Never => 0,
        Known::Unreached { .. } | Known::Lost { .. } => 1,
        Known::Measured { protection: Protection { kept: Kept::Risk, .. }, .. } => 2,
        Known::Measured { protection: Protection { kept: Kept::Kept, .. }, .. } => 3,
    }
}

/// How something stands that is measured.
pub(super) const fn state(kept: Kept) -> State {
    match kept {
        Kept::Kept => State { word: "Protected", shape: "●", class: "good" },
        Kept::Risk => State { word: "At risk", shape: "▲", class: "wary" },
        Kept::Broken => State { word: "Not protected", shape: "■", class: "bad" },
    }
}

/// How something stands that cannot be measured.
pub(super) const NOT_KNOWN: State = State { word: "Not known", shape: "◆", class: "still" };

fn line(site: &Site, (host, location, name): (&str, &str, Option<&str>), here: &str, known: &Known) -> Line {
    let mut title = name.map_or_else(|| shown::text(location), |name| format!("{name} ({})", shown::text(location)));
    if host != here {
        title.push_str(&format!(" on {}", shown::text(host)));
    }
    let source = name.map_or_else(|| location.to_owned(), |name| format!("@{name}"));
    let own_page = || name.map(|name| Link::new(format!("/sources/{name}"), "Back it up"));
    match known {
        Known::Measured { protection, job, repository } => {
            let next = match (protection.kept, job) {
                (Kept::Kept, _) => None,
                (_, Some(job)) => Some(Link::new(of_job(job), format!("See to the job {job}"))),
                (_, None) => own_page().or_else(|| Some(Link::new("/jobs", "Let it run by itself"))),
            };
            let is_backed_up_here = next.is_some() && host == here && job.is_none();
            let backup = site.repositories.place(repository).ok().filter(|_| is_backed_up_here);
            let command = match job.as_deref().filter(|_| next.is_some()) {
                Some(job) => Some(site.jobs.command(&format!("jobs run {job}"))),
                None => backup.map(|place| command::at(&place.label(), &format!("backup {}", command::word(&source)))),
            };
            Line {
                title,
                state: state(protection.kept),
                says: says(protection, job.as_deref(), repository, site.clock.now().wall),
                since: protection.broken_since.map(|since| site.zone.time(since)),
                next,
                command,
                proof: None,
            }
        }
        Known::Unreached { job, repository } => {
            let of = job.as_ref().map_or_else(String::new, |job| format!(" that the job {job} backs up to"));
            let since = repository.as_deref().and_then(|name| site.repositories.seen(name));
            let since = since.map(|seen| format!(", last seen {}", shown::ago(seen, site.clock.now().wall)));
            let says = format!("The repository{of} cannot be looked into now{}.", since.unwrap_or_default());
            let next = repository.as_ref().map(|name| Link::new(of_repository(name), format!("See to {name}")));
            Line { title, state: NOT_KNOWN, says, since: None, next, command: None, proof: None }
        }
        Known::Lost { job, reason } => Line {
            title,
            state: NOT_KNOWN,
            says: format!("The job {job} promises snapshots of it, and where it is cannot be found: {reason}."),
            since: None,
            next: Some(Link::new(of_job(job), format!("See to the job {job}"))),
            command: None,
            proof: None,
        },
        Known::Never => Line {
            title,
            state: state(Kept::Broken),
            says: "It was never backed up.".to_owned(),
            since: None,
            next: own_page(),
            command: None,
            proof: None,
        },
    }
}

/// Why it stands so: what it was measured by, and what was found.
pub(super) fn says(protection: &Protection, job: Option<&str>, repository: &str, now: Timestamp) -> String {
    let found = match protection.newest {
        Some(newest) => format!("Its newest good snapshot in {repository} was made {}", shown::ago(newest, now)),
        None => format!("There is no good snapshot of it in {repository}"),
    };
    match (protection.by, job) {
        (Measure::Promise(promise), Some(job)) => {
            format!("{found}; the job {job} promises one in {}.", words::long(promise))
        }
        (Measure::Promise(promise), None) => format!("{found}; one in {} is promised.", words::long(promise)),
        (Measure::Usual(usual), _) => {
            format!("{found}; one in {} is usual, and nobody has promised anything.", words::long(usual))
        }
        (Measure::Nothing, _) => format!("{found}; it has no rhythm yet, and nobody has promised anything."),
    }
}
