//! What every connector has to do, as cases that run against any implementation.
//!
//! [`store`], [`source`] and [`destination`] take a *bed*, which makes a fresh, empty connector for each case, and
//! return one [`CaseResult`] per case. A case for a trait that the connector does not claim is skipped, and so is one that
//! the bed cannot set up; a trait that is claimed and fails is a failure. What a case demands stands in `wit/CONTRACT.md` or in
//! `wit/connector.wit`. Ids are stable, and never used again for something else ([`catalogue`]). Called by the tests of this crate, by the
//! tests of the connectors and by `credenza-kit`, which has more cases of the same form. Refused here: printing, and hostile peers.
//!
//! Bound: an object of 3 MiB at a time, and 1,100 small ones.

mod destination;
mod keys;
mod operations;
mod source;
mod store;

pub use destination::{DestinationBed, destination};
pub use source::{SourceBed, source};
pub use store::{StoreBed, store};

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;

/// How one case went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// Stable name, such as `store.put.empty`.
    pub id: &'static str,
    /// Why the case exists, in a line.
    pub why: &'static str,
    /// How it went.
    pub outcome: CaseOutcome,
}

/// How one case went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseOutcome {
    /// As it should.
    Passed,
    /// Not run, for that reason.
    Skipped(String),
    /// Not as it should, in a sentence.
    Failed(String),
}

impl CaseResult {
    /// Whether the case failed.
    #[must_use]
    pub const fn is_failed(&self) -> bool {
        matches!(self.outcome, CaseOutcome::Failed(_))
    }
}

/// Which cases are run, and what repeats their random contents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// Seed of everything random.
    pub seed: u64,
    /// An id, or the beginning of some up to a dot; all cases, where it is not given.
    pub only: Option<String>,
    /// Claims that nothing holds here, because a stand-in or emulator has less than the service: their cases are skipped.
    pub lacking: Vec<String>,
}

impl Choice {
    /// Whether a case is run.
    #[must_use]
    pub fn takes(&self, id: &str) -> bool {
        let begins = |only: &str| id.strip_prefix(only).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.only.as_deref().is_none_or(begins)
    }
}

impl From<u64> for Choice {
    fn from(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }
}

/// Why a case did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    /// It could not be run, for that reason.
    Skipped(String),
    /// What was wrong.
    Failed(String),
}

impl Miss {
    /// A failure with where it happened before it.
    #[must_use]
    pub fn at(self, place: impl std::fmt::Display) -> Self {
        match self {
            Self::Failed(wrong) => Self::Failed(format!("{place}: {wrong}")),
            skipped @ Self::Skipped(_) => skipped,
        }
    }
}

impl From<String> for Miss {
    fn from(wrong: String) -> Self {
        Self::Failed(wrong)
    }
}

impl From<&str> for Miss {
    fn from(wrong: &str) -> Self {
        Self::Failed(wrong.to_owned())
    }
}

/// What a case answers: nothing, or why it did not pass.
pub type Told<T = ()> = std::result::Result<T, Miss>;

type Run<B> = for<'a> fn(&'a B, u64) -> BoxFuture<'a, Told>;

/// A case against a bed of type `B`.
pub struct Case<B: ?Sized> {
    id: &'static str,
    why: &'static str,
    /// The claim without which the case is skipped; with `!` before it, the claim with which it is.
    needs: Option<&'static str>,
    run: Run<B>,
}

impl<B: ?Sized> Case<B> {
    /// A case for every connector.
    #[must_use]
    pub const fn new(id: &'static str, why: &'static str, run: Run<B>) -> Self {
        Self { id, why, needs: None, run }
    }

    /// The same for a connector that claims a trait only, or with `!` before it for one that does not.
    #[must_use]
    pub const fn needing(self, claim: &'static str) -> Self {
        Self { id: self.id, why: self.why, needs: Some(claim), run: self.run }
    }

    /// What the table of cases says of it.
    #[must_use]
    pub const fn listed(&self) -> Listed {
        Listed { id: self.id, why: self.why, needs: self.needs }
    }

    fn unmet(&self, claims: &[String]) -> Option<String> {
        let claimed = |name: &str| claims.iter().any(|claim| claim == name);
        let needs = self.needs?;
        let is_met = needs.strip_prefix('!').map_or_else(|| claimed(needs), |name| !claimed(name));
        (!is_met).then(|| unmet(needs))
    }
}

/// Why a case is skipped that needs a claim, or with `!` before it that there is none.
fn unmet(needs: &str) -> String {
    match needs.strip_prefix('!') {
        Some(claim) => format!("it claims `{claim}`"),
        None => format!("it does not claim `{needs}`"),
    }
}

/// Why a case is skipped whose claim nothing here holds.
fn lacks(claim: &str) -> String {
    format!("what stands in for the service has no `{claim}`")
}

/// A line of the table of cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Stable name.
    pub id: &'static str,
    /// Why the case exists, in a line.
    pub why: &'static str,
    /// The trait that it is for; with `!` before it, for connectors without.
    pub needs: Option<&'static str>,
}

/// All cases of this suite, in the order in which they run.
#[must_use]
pub fn catalogue() -> Vec<Listed> {
    [source::catalogue(), store::catalogue(), destination::catalogue()].concat()
}

/// Runs the chosen ones of some cases, one after the other.
pub async fn run<B: ?Sized>(bed: &B, choice: &Choice, claims: &[String], cases: &[Case<B>]) -> Vec<CaseResult> {
    let mut results = Vec::new();
    for case in cases.iter().filter(|case| choice.takes(case.id)) {
        let lacking = case.needs.filter(|claim| choice.lacking.iter().any(|lacking| lacking == claim));
        let outcome = match lacking.map(lacks).or_else(|| case.unmet(claims)) {
            Some(reason) => CaseOutcome::Skipped(reason),
            None => match (case.run)(bed, choice.seed).await {
                Ok(()) => CaseOutcome::Passed,
                Err(Miss::Skipped(reason)) => CaseOutcome::Skipped(reason),
                Err(Miss::Failed(wrong)) => CaseOutcome::Failed(wrong),
            },
        };
        results.push(CaseResult { id: case.id, why: case.why, outcome });
    }
    results
}

/// Opens a connector and runs the cases for what it claims: `OPEN` first, and nothing else where it does not open.
async fn open_and_run<B: ?Sized>(
    bed: &B,
    choice: &Choice,
    open: Listed,
    claims: impl Future<Output = crate::Result<Vec<String>>>,
    cases: &[Case<B>],
) -> Vec<CaseResult> {
    if !choice.takes(open.id) && !cases.iter().any(|case| choice.takes(case.id)) {
        return Vec::new();
    }
    let result = |outcome| CaseResult { id: open.id, why: open.why, outcome };
    match claims.await {
        Ok(claims) => {
            let mut results = Vec::from_iter(choice.takes(open.id).then(|| result(CaseOutcome::Passed)));
            results.extend(run(bed, choice, &claims, cases).await);
            results
        }
        Err(error) => vec![result(CaseOutcome::Failed(format!("it cannot be opened: {error}")))],
    }
}

/// Requires that no case failed, and that cases were skipped for these reasons and no others: a claim that is not made, with `!` before it one
/// that is, or else a sentence.
///
/// # Errors
/// What failed, or the reasons that differ, for a person.
pub fn require_all(results: &[CaseResult], skipped: &[&str]) -> Result<(), String> {
    let failed: Vec<&CaseResult> = results.iter().filter(|result| result.is_failed()).collect();
    if !failed.is_empty() {
        return Err(format!("{failed:#?}"));
    }
    let reason = |result: &CaseResult| match &result.outcome {
        CaseOutcome::Skipped(reason) => Some(reason.clone()),
        CaseOutcome::Passed | CaseOutcome::Failed(_) => None,
    };
    let found: BTreeSet<String> = results.iter().filter_map(reason).collect();
    let expected = skipped.iter().map(|why| if why.contains(' ') { (*why).to_owned() } else { unmet(why) }).collect();
    if found == expected {
        return Ok(());
    }
    Err(format!("cases are skipped because of {found:?} instead of {expected:?}"))
}

const OPENS: &str = "nothing can be tested before the connector opens and describes itself";

/// Passes where something holds.
///
/// # Errors
/// What was wrong, where it does not.
pub fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Told {
    if holds { Ok(()) } else { Err(Miss::Failed(otherwise())) }
}

/// Passes where something is given; else the case is skipped.
///
/// # Errors
/// The reason for which it is skipped.
pub fn given<T>(found: Option<T>, otherwise: &str) -> Told<T> {
    found.ok_or_else(|| Miss::Skipped(otherwise.to_owned()))
}

/// Turns a connector's error into a failure.
pub trait OrSay<T> {
    /// What was got, or that doing so failed, and how.
    ///
    /// # Errors
    /// The connector's error in words.
    fn or_say(self, act: &str) -> Told<T>;
}

impl<T> OrSay<T> for crate::Result<T> {
    fn or_say(self, act: &str) -> Told<T> {
        self.map_err(|error| format!("{act} failed: {error} ({:?}, {})", error.class, error.reason).into())
    }
}

/// Expects a failure of one class.
fn expect_class<T>(answer: crate::Result<T>, class: crate::ErrorClass, act: &str) -> Told {
    match answer {
        Ok(_) => Err(format!("{act} succeeded, but should have failed as {class:?}").into()),
        Err(error) if error.class == class => Ok(()),
        Err(error) => Err(format!("{act} failed as {:?} instead of {class:?}: {error}", error.class).into()),
    }
}

/// That a connector says who it is, always the same, and claims nothing twice.
fn ensure_described(first: (&str, &[String]), again: (&str, &[String])) -> Told {
    let (identity, traits) = first;
    ensure(!identity.is_empty() && identity.len() <= 4096, || format!("its identity has {} bytes", identity.len()))?;
    ensure(!identity.chars().any(char::is_control), || "its identity holds control characters".to_owned())?;
    ensure(first == again, || format!("it describes itself as {first:?} and then as {again:?}"))?;
    let twice = traits.iter().enumerate().find(|(at, claim)| traits.iter().take(*at).any(|one| one == *claim));
    ensure(twice.is_none(), || format!("it claims {twice:?} twice"))
}

/// That a self-test says what it found, and that all is well.
fn ensure_well(lines: &[crate::Check]) -> Told {
    ensure(!lines.is_empty(), || "the self-test says nothing".to_owned())?;
    lines.iter().try_for_each(|line| match &line.outcome {
        Ok(_) => ensure(!line.name.is_empty(), || "a line of the self-test does not say what was tried".to_owned()),
        Err(error) => Err(format!("the self-test fails on a place where all is well: {}: {error}", line.name).into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_takes_one_case_or_all_below_a_name() {
        let only = |only: &str| Choice { only: Some(only.to_owned()), ..Choice::default() };
        assert!(Choice::from(1).takes("store.put.empty"));
        for (chosen, takes) in [("store.put.empty", true), ("store.put", true), ("store", true), ("store.pu", false)] {
            assert_eq!(only(chosen).takes("store.put.empty"), takes, "{chosen}");
        }
    }

    #[test]
    fn every_case_has_a_name_of_its_own_in_the_group_of_its_role() {
        let listed = catalogue();
        let mut ids: Vec<&str> = listed.iter().map(|case| case.id).collect();
        ids.sort_unstable();
        assert!(ids.is_sorted_by(|a, b| a < b), "a name is used twice");
        for case in &listed {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            assert!(case.id.chars().all(plain) && case.id.matches('.').count() >= 1, "{}", case.id);
            assert!(!case.why.is_empty() && !case.why.ends_with('.'), "{}", case.id);
        }
    }
}
