//! The hostile peer: each role of a connector against a server that takes one liberty after the other, with the host's retries between.
//!
//! Owned here: the checks, `chaos.LIBERTY.ROLE`, and what counts as getting along: what is claimed to have succeeded is right, what fails says so
//! by an error of a sensible class, and everything ends. Refused here: how a server misbehaves (`peer`). Every check runs twice, with a server
//! that misbehaves now and then and with one that does nothing else, each on a server of its own. Bounds: `peer::REQUESTS_MAX` requests and
//! [`TIME_MAX`] each; no check waits for a time to pass but the pauses of a retry, which are milliseconds here.

mod destination;
mod elsewhere;
#[cfg(test)]
mod flawed;
mod kinds;
mod source;
mod store;
mod verdict;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use credenza_connect::conformance::{CaseOutcome, CaseResult};
use credenza_connect::random::Dice;
use credenza_connect::wrap::RetryPolicy;
use credenza_sandbox::Role;

use crate::bed::Bed;
use crate::peer::{Mood, Odds};
use crate::plan::Names;
use crate::stand_in::{StandIn, StandInKind};
use crate::subject::Subject;
use elsewhere::Elsewhere;
use kinds::{KINDS, Kind};
use verdict::Verdict;

/// After that long a scenario hangs: it takes seconds.
const TIME_MAX: Duration = Duration::from_secs(120);

/// Every check of one connector.
pub(crate) struct Group<'a> {
    pub(crate) subject: Arc<dyn Subject>,
    pub(crate) kind: StandInKind,
    pub(crate) names: Names,
    pub(crate) seed: u64,
    /// The one check that is wanted.
    pub(crate) only: Option<&'a str>,
}

/// A connector at a server that will misbehave.
struct Scene {
    bed: Bed,
    kind: &'static Kind,
    policy: RetryPolicy,
    mood: Mood,
    seed: u64,
}

impl Scene {
    /// From here on the server misbehaves.
    fn begin(&self) {
        self.bed.server().peer().misbehave(self.mood.clone(), self.seed);
    }
}

impl Group<'_> {
    /// The checks of a role, one result each.
    ///
    /// # Errors
    /// Where a stand-in cannot be started.
    pub(crate) async fn run(&self, role: Role) -> io::Result<Vec<CaseResult>> {
        let mut results = Vec::new();
        for kind in &KINDS {
            let Some(id) = kind.id(role).filter(|id| self.only.is_none_or(|only| only == *id)) else { continue };
            let outcome = self.check(kind, role, id).await?;
            results.push(CaseResult { id, why: kind.why, outcome });
        }
        Ok(results)
    }

    async fn check(&self, kind: &'static Kind, role: Role, id: &str) -> io::Result<CaseOutcome> {
        let mut taken = 0_u64;
        for odds in [Odds::Sometimes, Odds::Always] {
            match self.play(kind, role, odds, seed_of(self.seed, id)).await? {
                Ok(times) => taken = taken.saturating_add(times),
                Err(wrong) => {
                    let often = if odds == Odds::Always { "always" } else { "sometimes" };
                    return Ok(CaseOutcome::Failed(format!("a server that {often} {}: {wrong}", kind.does)));
                }
            }
        }
        Ok(if taken > 0 {
            CaseOutcome::Passed
        } else {
            CaseOutcome::Skipped(format!("there were no {} to do it to", kind.needs))
        })
    }

    /// One scenario: how often the server misbehaved, or what was wrong.
    async fn play(&self, kind: &'static Kind, role: Role, odds: Odds, seed: u64) -> io::Result<Result<u64, String>> {
        let elsewhere = Elsewhere::start().await?;
        let server = StandIn::start(self.kind).await?;
        let bed = Bed::new(Arc::clone(&self.subject), self.names, server);
        let mood = Mood { liberty: kind.liberty, odds, elsewhere: elsewhere.address().to_owned() };
        let scene = Scene { bed, kind, policy: policy(odds), mood, seed };
        let played = async {
            match role {
                Role::Source => source::play(&scene).await,
                Role::Store => store::play(&scene).await,
                Role::Destination => destination::play(&scene).await,
                Role::Prune | Role::Replay => Ok(()),
            }
        };
        let peer = scene.bed.server().peer();
        let verdict: Verdict = tokio::select! {
            verdict = played => verdict,
            () = peer.overrun() => Err("it asks again and again, and does not end".to_owned()),
            () = tokio::time::sleep(TIME_MAX) => Err(format!("it did not end within {} s", TIME_MAX.as_secs())),
        };
        let taken = peer.behave();
        Ok(match verdict {
            Ok(()) if elsewhere.was_told_a_secret() => Err("it sends its credentials to another server".to_owned()),
            verdict => verdict.map(|()| taken),
        })
    }
}

/// Patience enough to get through now and then, and little where nothing helps.
fn policy(odds: Odds) -> RetryPolicy {
    let tries_max = if odds == Odds::Always { 3 } else { 12 };
    let (pause_min, pause_max) = (Duration::from_millis(1), Duration::from_millis(2));
    RetryPolicy { pause_min, pause_max, tries_max, time_max: Duration::from_secs(60) }
}

/// A seed of its own for each check, so that one alone does the same as among all.
fn seed_of(seed: u64, id: &str) -> u64 {
    id.bytes().fold(seed, |seed, byte| Dice::new(seed ^ u64::from(byte)).below(u64::MAX))
}
