//! What every connector has to do, as cases that run against any implementation.
//!
//! [`store`], [`source`] and [`destination`] take a *bed*, which makes a fresh, empty connector for each case, and
//! return one [`CaseResult`] per case. A case for a trait that the connector does not claim is skipped; a trait that is
//! claimed and fails is a failure. Ids are stable. Called by the tests of this crate, by the tests of the S3 connector
//! and by `credenza connector test`. Refused here: printing, and hostile peers (`tests/`).

mod destination;
mod keys;
mod source;
mod store;

pub use destination::{DestinationBed, destination};
pub use source::{SourceBed, source};
pub use store::{StoreBed, store};

use futures_util::future::BoxFuture;

/// How one case went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// Stable name, such as `store.if-absent`.
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
    /// Not run, because this trait is not claimed.
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

/// What a case answers: nothing, or what was wrong.
type Verdict = std::result::Result<(), String>;

/// A case against a bed of type `B`.
struct Case<B: ?Sized> {
    id: &'static str,
    why: &'static str,
    /// The claim without which the case is skipped.
    needs: Option<&'static str>,
    run: for<'a> fn(&'a B, u64) -> BoxFuture<'a, Verdict>,
}

/// Runs cases one after the other.
async fn run<B: ?Sized>(bed: &B, seed: u64, claims: Vec<String>, cases: &[Case<B>]) -> Vec<CaseResult> {
    let mut results = Vec::with_capacity(cases.len());
    for case in cases {
        let missing = case.needs.filter(|needed| !claims.iter().any(|claim| claim == needed));
        let outcome = match missing {
            Some(claim) => CaseOutcome::Skipped(claim.to_owned()),
            None => (case.run)(bed, seed).await.map_or_else(CaseOutcome::Failed, |()| CaseOutcome::Passed),
        };
        results.push(CaseResult { id: case.id, why: case.why, outcome });
    }
    results
}

/// The one result of a suite whose connector does not even open.
fn unopened(id: &'static str, error: &crate::Error) -> Vec<CaseResult> {
    let outcome = CaseOutcome::Failed(format!("it cannot be opened: {error}"));
    vec![CaseResult { id, why: "nothing can be tested before the connector opens and describes itself", outcome }]
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Turns a connector's error into a verdict.
trait OrSay<T> {
    fn or_say(self, act: &str) -> std::result::Result<T, String>;
}

impl<T> OrSay<T> for crate::Result<T> {
    fn or_say(self, act: &str) -> std::result::Result<T, String> {
        self.map_err(|error| format!("{act} failed: {error} ({:?}, {})", error.class, error.reason))
    }
}

/// Expects a failure of one class.
fn expect_class<T>(answer: crate::Result<T>, class: crate::ErrorClass, act: &str) -> Verdict {
    match answer {
        Ok(_) => Err(format!("{act} succeeded, but should have failed as {class:?}")),
        Err(error) if error.class == class => Ok(()),
        Err(error) => Err(format!("{act} failed as {:?} instead of {class:?}: {error}", error.class)),
    }
}
