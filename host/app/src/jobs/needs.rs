//! Promises with numbers, `[promise.NAME]`: how many copies there are of a source, with how many providers, in how many regions, how many of them nobody can
//! delete, when they were read whole and restored for trial.
//!
//! Owned here: what counts as a copy and what the numbers mean; measured at the repositories that the configuration and the jobs name, by the time of each
//! store. Refused here: the record of runs, which proves nothing, and when it is measured (`look`).
//!
//! A repository holds a copy of a source where it has a good snapshot of it, of whatever machine; with `fresh`, one that is no older. In a target of a policy
//! of replication a snapshot counts when its packs are proven as the policy says. Two repositories with one
//! provider or in one region are two copies and one provider or region. What a repository that cannot be asked holds is not known. Bound: a few words for each
//! source in each repository.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use credenza_engine::check::{self, Readings};
use credenza_engine::copies::{Proofs, Prove, fits};
use credenza_engine::latest::last_drill;
use credenza_format::Drill;
use credenza_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::file::JobsFile;
use super::promise::{Kept, RISK_PERCENT};
use super::runner::Runner;
use super::span::shown;
use crate::app::App;
use crate::configuration::{Kind, Settings};
use crate::environment;
use crate::error::Error;
use crate::location::Location;
use crate::open::StoreUse;
use crate::passphrase::{CommandFault, PassphraseError};
use crate::place::Place;
use crate::repository::OpenOptions;
use crate::secret;

pub use super::file::Needs;

/// How long a command for a secret may take.
const SECRET_TIMEOUT: Duration = Duration::from_secs(10);
/// A repository that says nothing for so long is not waited for.
const REPOSITORY_TIMEOUT: Duration = Duration::from_mins(2);

/// What a repository holds of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// The repository, as it is called.
    pub repository: String,
    /// Who runs the store.
    pub provider: String,
    /// Where it stands.
    pub region: String,
    /// Whether what is stored is locked, so that nobody can delete it.
    pub is_immutable: bool,
    /// Seconds since the newest good snapshot was made.
    pub age: u64,
    /// Seconds since the pack was read whole that waits the longest; nothing where one never was, or damage is on record.
    pub verified: Option<u64>,
    /// Seconds since it was restored for trial without a fault; nothing where it never was.
    pub restored: Option<u64>,
}

impl Copy {
    /// The same after so many seconds in which nothing came.
    #[must_use]
    pub fn older_by(&self, seconds: u64) -> Self {
        let later = |age: u64| age.saturating_add(seconds);
        Self {
            age: later(self.age),
            verified: self.verified.map(later),
            restored: self.restored.map(later),
            ..self.clone()
        }
    }
}

/// How a promise with numbers stands for one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// The promise.
    pub promise: String,
    /// The source, as its snapshots have it.
    pub source: String,
    /// How it stands.
    pub kept: Kept,
    /// What is missing, or will be soon, in words.
    pub lacks: Vec<String>,
    /// What there is.
    pub copies: Vec<Copy>,
}

/// What was found at the repositories.
#[derive(Debug, Default)]
pub struct Found {
    /// By source, what the repositories hold.
    pub copies: BTreeMap<String, Vec<Copy>>,
    /// Repositories that could not be asked, and why.
    pub unknown: Vec<(String, String)>,
}

impl Found {
    /// Takes sources of which there were copies for sources of which there may be none by now.
    pub fn remember<'a>(&mut self, sources: impl IntoIterator<Item = &'a String>) {
        for source in sources {
            self.copies.entry(source.clone()).or_default();
        }
    }
}

/// Asks all repositories that the configuration and the jobs name. None is asked for a passphrase that a person would have to type.
///
/// # Errors
/// When the configuration cannot be read.
pub async fn ask(runner: &Runner<'_>, jobs: &JobsFile) -> Result<Found, Error> {
    let wants = Wants::of(jobs);
    let mut found = Found::default();
    let mut places = repositories(runner.app, jobs)?.into_iter().peekable();
    while places.peek().is_some() {
        // Side by side, so that one that does not answer keeps few of the others waiting.
        let one = |place| Box::pin(asked(runner.app, place, wants));
        let (first, second) = (one(places.next()), one(places.next()));
        let (third, fourth) = (one(places.next()), one(places.next()));
        let (first, second, third, fourth) = tokio::join!(first, second, third, fourth);
        for (named, held) in [first, second, third, fourth].into_iter().flatten() {
            match held {
                Ok(held) => {
                    for (source, copy) in held {
                        found.copies.entry(source).or_default().push(Copy { repository: named.clone(), ..copy });
                    }
                }
                Err(why) => found.unknown.push((named, why)),
            }
        }
    }
    Ok(found)
}

/// What a repository is called, and what it holds, or why that is not known.
async fn asked(
    app: &App,
    place: Option<(Place, Option<Prove>)>,
    wants: Wants,
) -> Option<(String, Result<BTreeMap<String, Copy>, String>)> {
    let (place, prove) = place?;
    let named = place.name().map_or_else(|| place.text(), |name| format!("@{name}"));
    let held = match tokio::time::timeout(REPOSITORY_TIMEOUT, held(app, (place, prove), wants)).await {
        Ok(held) => held.map_err(|error| super::run::Cause::App(error).to_string()),
        Err(_) => Err(format!("it did not answer within {} s", REPOSITORY_TIMEOUT.as_secs())),
    };
    Some((named, held))
}

/// Each repository once, however it is named, with what proves a copy in it where it is a target of a policy.
fn repositories(app: &App, jobs: &JobsFile) -> Result<Vec<(Place, Option<Prove>)>, Error> {
    let names = app.configuration()?.names(Kind::Repository)?;
    let named = names.into_iter().map(|name| format!("@{name}"));
    let targets = || jobs.replicates.values().flat_map(|policy| &policy.targets);
    let words = named.chain(jobs.jobs.values().map(|job| job.repository.clone()));
    let words = words.chain(targets().map(|to| to.target.clone()));
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for word in words {
        let place = app.place(Kind::Repository, OsStr::new(&word), Settings::new())?;
        places.entry(place.text()).or_insert(place);
    }
    let mut proofs = BTreeMap::new();
    for to in targets() {
        proofs
            .insert(app.place(Kind::Repository, OsStr::new(&to.target), Settings::new())?.text(), to.prove.of_packs());
    }
    Ok(places.into_iter().map(|(text, place)| (place, proofs.get(&text).copied())).collect())
}

/// What is asked for beside snapshots, since it takes more requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wants {
    verified: bool,
    restored: bool,
}

impl Wants {
    /// What the promises of a file take.
    pub(super) fn of(jobs: &JobsFile) -> Self {
        Self {
            verified: jobs.promises.iter().any(|needs| needs.verified.is_some()),
            restored: jobs.promises.iter().any(|needs| needs.restorable.is_some()),
        }
    }

    /// Whether a promise takes no more than that.
    pub(super) const fn suffice(self, needs: &Needs) -> bool {
        (self.verified || needs.verified.is_none()) && (self.restored || needs.restorable.is_none())
    }
}

/// The newest good snapshot of each source in a repository.
async fn held(
    app: &App,
    (place, prove): (Place, Option<Prove>),
    wants: Wants,
) -> Result<BTreeMap<String, Copy>, Error> {
    let (provider, region) = (provider(&place), region(&place));
    let settings = place.settings.clone();
    let secret = tokio::task::spawn_blocking(move || secret::provided_unattended(None, &settings, SECRET_TIMEOUT));
    let broken = |error| PassphraseError::from(CommandFault::Io(std::io::Error::other(error)));
    let secret = secret.await.map_err(broken)??;
    let open =
        app.open_repository(place, OpenOptions { purpose: StoreUse::Write, secret, accept_plaintext: true }).await?;
    // What anybody could have put there is no copy.
    app.require_encryption(&open, false)?;
    let repository = &open.repository;
    let snapshots = repository.snapshots_by_age().await?;
    let now = snapshots.now;
    let since = |time: Timestamp| u64::try_from(now.seconds.saturating_sub(time.seconds)).unwrap_or(0);
    let (verified, drill) = match (wants.verified, wants.restored) {
        (true, _) => check::readings_and_drill(repository).await?,
        (false, true) => (Readings::default(), last_drill(repository).await?),
        (false, false) => (Readings::default(), None),
    };
    let is_read = verified.packs_never_read == 0 && verified.packs_damaged == 0;
    let verified = verified.oldest.filter(|_| is_read).map(since);
    let is_proof = |drill: &Drill| drill.errors == 0 && drill.reason.is_none() && drill.entries > 0;
    let restored = drill.filter(|drill| wants.restored && is_proof(drill)).map(|drill| since(drill.at));
    let is_immutable = repository.config().retain_days.is_some();
    let proofs = match prove {
        Some(prove) => Some(Proofs::load(repository, prove).await?),
        None => None,
    };
    let mut held = BTreeMap::new();
    // The newest comes first, and is what counts.
    for handle in snapshots.whole.iter().rev().filter(|handle| !snapshots.is_ahead(handle)) {
        let (Some(time), 0) = (handle.time(), handle.snapshot.statistics.errors) else { continue };
        if held.contains_key(&handle.snapshot.source.location) {
            continue;
        }
        if let Some(proofs) = &proofs
            && !proofs.cover(repository, handle).await?
        {
            continue;
        }
        let copy = Copy {
            repository: String::new(),
            provider: provider.clone(),
            region: region.clone(),
            is_immutable,
            age: since(time),
            verified,
            restored,
        };
        held.insert(handle.snapshot.source.location.clone(), copy);
    }
    Ok(held)
}

/// Who runs the store: as the configuration says, else the server of its endpoint, else its scheme, else this machine.
fn provider(place: &Place) -> String {
    let said = ["provider", "preset", "endpoint"].iter().find_map(|setting| place.settings.get(*setting));
    match (&place.location, said) {
        (_, Some(said)) => said.expose().to_owned(),
        (Location::Remote { scheme, text }, None) => server(text).unwrap_or(scheme).to_owned(),
        _ => environment::host_name(),
    }
}

/// Where the store stands: as the configuration says, else its provider.
fn region(place: &Place) -> String {
    let said = ["site", "region"].iter().find_map(|setting| place.settings.get(*setting));
    said.map_or_else(|| provider(place), |said| said.expose().to_owned())
}

/// The server of a location, without who asks.
fn server(text: &str) -> Option<&str> {
    let rest = text.split_once("://")?.1;
    let authority = rest.split('/').next()?;
    Some(authority.rsplit('@').next().unwrap_or(authority)).filter(|server| !server.is_empty())
}

/// The sources that a promise is about: those of the configuration that its names fit, those that were found, and those that are written out.
///
/// # Errors
/// When the configuration cannot be read.
pub fn sources(app: &App, needs: &Needs, found: &Found) -> Result<BTreeSet<String>, Error> {
    let mut sources = BTreeSet::new();
    for pattern in &needs.sources {
        if let Some(name) = pattern.strip_prefix('@') {
            let names = app.configuration()?.names(Kind::Source)?;
            for name in names.into_iter().filter(|known| fits(name, known)) {
                let word = OsString::from(format!("@{name}"));
                sources.insert(app.place(Kind::Source, &word, Settings::new())?.text());
            }
            continue;
        }
        match pattern.contains('*') {
            true => sources.extend(found.copies.keys().filter(|source| fits(pattern, source)).cloned()),
            false => drop(sources.insert(pattern.clone())),
        }
    }
    Ok(sources)
}

/// How a promise stands for a source of which there are these copies.
#[must_use]
pub fn judge(needs: &Needs, source: &str, copies: &[Copy]) -> Measured {
    let is_fresh = |copy: &&Copy| needs.fresh.is_none_or(|fresh| copy.age <= fresh.as_secs());
    let counted: Vec<&Copy> = copies.iter().filter(is_fresh).collect();
    let distinct = |of: fn(&Copy) -> &String| counted.iter().map(|copy| of(copy)).collect::<BTreeSet<_>>().len();
    let numbers = [
        (needs.copies, counted.len(), "copies"),
        (needs.providers, distinct(|copy| &copy.provider), "providers"),
        (needs.regions, distinct(|copy| &copy.region), "regions"),
        (needs.immutable, counted.iter().filter(|copy| copy.is_immutable).count(), "copies that nobody can delete"),
    ];
    let mut lacks = Vec::new();
    let mut kept = Kept::Kept;
    for (needed, there, what) in numbers {
        let needed = needed.map_or(0, |needed| usize::try_from(needed).unwrap_or(usize::MAX));
        if there < needed {
            kept = Kept::Broken;
            lacks.push(format!("{there} of {needed} {what}"));
        }
    }
    let mut within = |span: Option<Duration>, age: Option<u64>, what: &str| {
        let Some(span) = span else { return };
        let judged = match age {
            Some(age) if age.saturating_mul(100) < span.as_secs().saturating_mul(RISK_PERCENT) => return,
            Some(age) if age <= span.as_secs() => Kept::Risk,
            _ => Kept::Broken,
        };
        kept = kept.max(judged);
        let ago = age.map_or_else(|| "never".to_owned(), |age| format!("{} h ago", age / 3600));
        lacks.push(format!("{what} {ago}, and within {} is promised", shown(span)));
    };
    within(needs.fresh, copies.iter().map(|copy| copy.age).min(), "the newest good snapshot was made");
    // Each copy that counts is to be read; one restore proves that there is a way back.
    for copy in &counted {
        within(needs.verified, copy.verified, &format!("all of {} was read whole", copy.repository));
    }
    within(needs.restorable, counted.iter().filter_map(|copy| copy.restored).min(), "it was restored for trial");
    Measured { promise: needs.name.clone(), source: source.to_owned(), kept, lacks, copies: copies.to_vec() }
}

/// How long it takes until a promise may be worse by the clock alone, for these copies; nothing where no age of them matters any more.
#[must_use]
pub fn next_change(needs: &Needs, copies: &[Copy]) -> Option<Duration> {
    let changes = copies.iter().flat_map(|copy| {
        let ages = [(needs.fresh, Some(copy.age)), (needs.verified, copy.verified), (needs.restorable, copy.restored)];
        ages.into_iter().filter_map(|(span, age)| Some((span?.as_secs(), age?))).flat_map(|(span, age)| {
            let at_risk = span.saturating_mul(RISK_PERCENT).div_ceil(100);
            [at_risk, span.saturating_add(1)].into_iter().filter_map(move |change| change.checked_sub(age))
        })
    });
    changes.filter(|seconds| *seconds > 0).min().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn copy(repository: &str, provider: &str, region: &str) -> Copy {
        Copy {
            repository: repository.to_owned(),
            provider: provider.to_owned(),
            region: region.to_owned(),
            is_immutable: false,
            age: 3600,
            verified: Some(DAY),
            restored: None,
        }
    }

    fn needs() -> Needs {
        Needs { name: "p".to_owned(), sources: vec!["/s".to_owned()], ..Needs::default() }
    }

    #[test]
    fn copies_with_one_provider_or_in_one_region_count_once_there() {
        let copies = [copy("@a", "aws", "paris"), copy("@b", "aws", "frankfurt"), copy("@c", "here", "paris")];
        let needs = Needs { copies: Some(3), providers: Some(2), regions: Some(2), ..needs() };
        assert_eq!(judge(&needs, "/s", &copies).kept, Kept::Kept);
        let two = judge(&needs, "/s", &copies[..2]);
        assert_eq!(
            (two.kept, two.lacks),
            (Kept::Broken, vec!["2 of 3 copies".to_owned(), "1 of 2 providers".to_owned()])
        );
        let immutable = Needs { immutable: Some(1), ..needs };
        assert_eq!(judge(&immutable, "/s", &copies).lacks, ["0 of 1 copies that nobody can delete"]);
    }

    #[test]
    fn a_copy_that_is_too_old_is_none() {
        let old = Copy { age: 3 * DAY, ..copy("@b", "aws", "paris") };
        let needs = Needs { copies: Some(2), fresh: Some(Duration::from_hours(26)), ..needs() };
        assert_eq!(judge(&needs, "/s", &[copy("@a", "here", "here"), old.clone()]).lacks, ["1 of 2 copies"]);
        let none = judge(&Needs { copies: None, ..needs }, "/s", &[old]);
        assert_eq!((none.kept, none.lacks.len()), (Kept::Broken, 1));
    }

    #[test]
    fn each_copy_is_to_be_read_and_one_of_them_restored() {
        let month = Some(Duration::from_hours(30 * 24));
        let needs = Needs { verified: month, restorable: month, ..needs() };
        let good = Copy { restored: Some(DAY), ..copy("@a", "x", "y") };
        let kept = |copies: &[Copy]| judge(&needs, "/s", copies).kept;
        assert_eq!(kept(&[good.clone(), copy("@b", "x", "y")]), Kept::Kept);
        assert_eq!(kept(&[good.clone(), Copy { verified: Some(25 * DAY), ..good.clone() }]), Kept::Risk);
        assert_eq!(kept(&[good.clone(), Copy { verified: None, ..good.clone() }]), Kept::Broken);
        assert_eq!(kept(&[copy("@b", "x", "y")]), Kept::Broken, "it was never restored");
        assert_eq!(kept(&[]), Kept::Broken);
    }

    #[test]
    fn a_promise_becomes_worse_when_a_copy_reaches_four_fifths_and_all_of_its_time() {
        let needs =
            Needs { fresh: Some(Duration::from_secs(1000)), verified: Some(Duration::from_secs(500)), ..needs() };
        let of = |age, verified| {
            let copy = Copy { age, verified, ..copy("@a", "x", "y") };
            next_change(&needs, &[copy]).map(|change| change.as_secs())
        };
        assert_eq!(of(100, None), Some(700));
        assert_eq!(of(100, Some(50)), Some(350));
        assert_eq!(of(800, Some(900)), Some(201));
        assert_eq!(of(1001, Some(501)), None);
    }

    #[test]
    fn a_pattern_is_about_a_source_of_which_all_copies_are_gone() {
        let app = App::new(crate::app::AppOptions::default());
        let needs = Needs { sources: vec!["/s*".to_owned()], copies: Some(1), ..needs() };
        let mut found = Found::default();
        assert!(sources(&app, &needs, &found).unwrap().is_empty());
        found.remember(&["/srv".to_owned(), "/home".to_owned()]);
        assert_eq!(sources(&app, &needs, &found).unwrap(), BTreeSet::from(["/srv".to_owned()]));
        assert_eq!(judge(&needs, "/srv", &found.copies["/srv"]).kept, Kept::Broken);
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, does) in [
            ("shop*", "shop", true),
            ("shop*", "shopé", true),
            ("*a*b", "xaéb", true),
            ("shop", "shops", false),
            ("a*b", "ab c", false),
        ] {
            assert_eq!(fits(pattern, text), does, "{pattern} {text}");
        }
    }
}
