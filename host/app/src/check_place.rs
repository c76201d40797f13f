//! A check of a place: it is reached step by step, and each step says whether it works, measured and not believed.
//!
//! Owned here: the order of the steps. Refused here: what a step is: the way to the place is the sandbox's, what the connector needs is its
//! own, what a repository relies on is the engine's (`probe`, which writes small objects and deletes them where it may).

use std::collections::VecDeque;

use credenza_connect::{Check, Destination, Error as ConnectError, ErrorClass, Store, ability};
use credenza_engine::{Error as EngineError, probe};
use credenza_sandbox::Role;

use crate::app::App;
use crate::configuration::Kind;
use crate::error::Result;
use crate::guarantees::{self, Guarantee};
use crate::open::{DestinationUse, StoreUse};
use crate::place::Place;

/// A check under way. Nothing is done before it is asked for; a step comes after the one before it has worked.
pub struct PlaceCheck<'a> {
    app: &'a App,
    kind: Kind,
    place: &'a Place,
    next: Option<Step>,
    /// Of the step that was done last; some tens at most.
    found: VecDeque<Check>,
    failed: usize,
}

/// What is tried at once.
#[derive(Clone, Copy)]
enum Step {
    /// Name, connection, certificate, an answer.
    Way,
    /// What the connector itself tries, and for a repository what its store can do.
    Connector,
}

impl App {
    /// Begins a check of a place.
    #[must_use]
    pub fn check_place<'a>(&'a self, kind: Kind, place: &'a Place) -> PlaceCheck<'a> {
        PlaceCheck { app: self, kind, place, next: Some(Step::Way), found: VecDeque::new(), failed: 0 }
    }
}

impl PlaceCheck<'_> {
    /// The next finding; `None` when the check is over, which it is when a step has failed.
    ///
    /// # Errors
    /// When no step can be tried: no connector serves the place, or its settings are refused.
    pub async fn next(&mut self) -> Result<Option<Check>> {
        loop {
            if let Some(check) = self.found.pop_front() {
                self.failed += usize::from(check.outcome.is_err());
                return Ok(Some(check));
            }
            let Some(step) = self.next.filter(|_| self.failed == 0) else { return Ok(None) };
            self.next = match step {
                Step::Way => Some(Step::Connector),
                Step::Connector => None,
            };
            self.found = match step {
                Step::Way => self.app.trial(self.place, role(self.kind)).await?.into(),
                Step::Connector => self.connector().await?.into(),
            };
        }
    }

    /// How many findings have reported a failure.
    #[must_use]
    pub const fn failed(&self) -> usize {
        self.failed
    }

    async fn connector(&self) -> Result<Vec<Check>> {
        Ok(match self.kind {
            Kind::Source => self.app.source(self.place, None).await?.connector.check().await,
            Kind::Destination => {
                let destination = self.app.destination(self.place, DestinationUse::Write).await?.connector;
                let mut checks = destination.check().await;
                if checks.iter().all(|check| check.outcome.is_ok()) {
                    checks.extend(leftovers(&*destination).await);
                }
                checks
            }
            Kind::Repository => {
                let store = self.app.store(self.place, StoreUse::Write).await?.connector;
                let mut checks = store.check().await;
                if checks.iter().all(|check| check.outcome.is_ok()) {
                    checks.extend(abilities(&*store).await);
                }
                checks
            }
        })
    }
}

const fn role(kind: Kind) -> Role {
    match kind {
        Kind::Repository => Role::Store,
        Kind::Source => Role::Source,
        Kind::Destination => Role::Destination,
    }
}

/// What a restore that is broken off leaves where the remote cannot remove it.
async fn leftovers(destination: &dyn Destination) -> Option<Check> {
    let leaves_parts = destination.info().await.is_ok_and(|info| info.has(ability::LEAVES_PARTS));
    let reported = "parts of what a restore gives up stay there until the service removes them; they may be paid for";
    leaves_parts.then(|| Check { name: "note".to_owned(), outcome: Ok(reported.to_owned()) })
}

/// An ability that is missing is none that a repository cannot do without; that it can be written is.
async fn abilities(store: &dyn Store) -> Vec<Check> {
    let found = match probe(store).await {
        Ok(found) => found,
        Err(error) => return vec![Check { name: "write".to_owned(), outcome: Err(cause(error)) }],
    };
    let write = Check { name: "write".to_owned(), outcome: Ok("small objects were written".to_owned()) };
    let ability = |Guarantee { name, holds, means }| Check {
        name: name.to_owned(),
        outcome: Ok(format!("{}: {means}", if holds { "yes" } else { "no" })),
    };
    let caveat = |caveat: String| Check { name: "note".to_owned(), outcome: Ok(caveat) };
    let caveats = store.info().await.map(|info| info.caveats).unwrap_or_default();
    let abilities = guarantees::of(&found).into_iter().map(ability);
    std::iter::once(write).chain(abilities).chain(caveats.into_iter().map(caveat)).collect()
}

fn cause(error: EngineError) -> ConnectError {
    match error {
        EngineError::Connector { cause, .. } => cause,
        other => ConnectError::new(ErrorClass::Internal, "probe", other.to_string()),
    }
}
