//! `repository|source|destination check`: reaches a place step by step and says of each step whether it works, measured and not believed.
//!
//! Owned here: the order of the steps. Refused here: what a step is: the way to the place is the sandbox's, what the connector needs is its
//! own, what a repository relies on is the engine's (`probe`, which writes small objects and deletes them where it may).

use std::sync::Arc;

use credenza_connect::{Check, Error as ConnectError, ErrorClass, Store};
use credenza_engine::{Error as EngineError, probe};
use credenza_sandbox::Role;

use super::{Session, guarantees};
use crate::configuration::{Kind, PlaceName, Settings};
use crate::failure::{Exit, Failure};
use crate::open::{Opener, StoreUse};
use crate::place::Place;
use crate::report::CheckLine;

/// Checks a place of the configuration.
pub(super) async fn run(kind: Kind, name: &str, session: &Session<'_>) -> Result<Exit, Failure> {
    let name = PlaceName::new(kind, name)?;
    let place = Place::named(kind, &name, Settings::new(), &session.configuration()?)?;
    let connectors = session.connectors();
    let opener = Opener::new(&connectors, session.reporter);
    let mut failed = told(&opener.trial(&place, role(kind)).await?, session)?;
    if failed == 0 {
        failed = check_connector(kind, &place, &opener, session).await?;
    }
    if failed == 0 {
        return Ok(Exit::Done);
    }
    let steps = if failed == 1 { "a step".to_owned() } else { format!("{failed} steps") };
    Err(Failure::new(format!("{steps} of the check of {} failed", place.text())))
}

const fn role(kind: Kind) -> Role {
    match kind {
        Kind::Repository => Role::Store,
        Kind::Source => Role::Source,
        Kind::Destination => Role::Destination,
    }
}

/// What the connector tries, and for a repository what its store can do; how many steps failed.
async fn check_connector(
    kind: Kind,
    place: &Place,
    opener: &Opener<'_>,
    session: &Session<'_>,
) -> Result<usize, Failure> {
    match kind {
        Kind::Source => told(&opener.source(place).await?.connector.check().await, session),
        Kind::Destination => told(&opener.destination(place, false).await?.connector.check().await, session),
        Kind::Repository => {
            let store = opener.store(place, StoreUse::Write).await?.connector;
            let failed = told(&store.check().await, session)?;
            if failed > 0 { Ok(failed) } else { told(&abilities(&store).await, session) }
        }
    }
}

/// An ability that is missing is none that a repository cannot do without; that it can be written is.
async fn abilities(store: &Arc<dyn Store>) -> Vec<Check> {
    let found = match probe(&**store).await {
        Ok(found) => found,
        Err(error) => return vec![Check { name: "write".to_owned(), outcome: Err(cause(error)) }],
    };
    let write = Check { name: "write".to_owned(), outcome: Ok("small objects were written".to_owned()) };
    let ability = |guarantee: guarantees::Guarantee| Check {
        name: guarantee.name().to_owned(),
        outcome: Ok(guarantee.verdict()),
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

/// Prints the lines; how many tell of a failure.
fn told(checks: &[Check], session: &Session<'_>) -> Result<usize, Failure> {
    for check in checks {
        session.reporter.result(&CheckLine::from(check))?;
    }
    Ok(checks.iter().filter(|check| check.outcome.is_err()).count())
}
