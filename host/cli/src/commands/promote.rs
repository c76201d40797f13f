//! `promote`: a replica becomes a repository on its own, on the day when its origin is lost.

use std::fmt::{self, Display};

use clap::Args;
use credenza_engine::Repository;
use credenza_engine::replica::{self, Role};
use credenza_model::{RepositoryId, Timestamp};
use serde::Serialize;

use super::Session;
use super::agree::{agreed, can_ask};
use crate::failure::{Exit, Failure};
use crate::report::Zone;

/// Make a replica a repository on its own, when its origin is lost.
///
/// It takes backups, tags and `maintain` from then on, and nothing from what was its origin: neither `sync` nor a replication writes to it again. This cannot be
/// taken back. All snapshots stay as they are.
#[derive(Debug, Args)]
pub(crate) struct Promote {
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// What was promoted.
#[derive(Serialize)]
#[serde(tag = "type", rename = "promoted")]
struct PromotedLine {
    repository: RepositoryId,
    origin: RepositoryId,
    at: Timestamp,
    /// Whether nothing was to be done.
    unchanged: bool,
}

impl Display for PromotedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, origin, at, unchanged } = self;
        match unchanged {
            true => write!(f, "repository {repository} was promoted on {at} already")?,
            false => write!(f, "promoted: repository {repository} takes backups from now on")?,
        }
        write!(f, ", and nothing from repository {origin}, which was its origin")
    }
}

impl Promote {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let open = session.open_for_writing().await?;
        let before = replica::state(&open.repository);
        if let Some(Role::Replica { origin, .. }) = before {
            describe(&open.repository, origin, session).await?;
            self.require_leave().await?;
        }
        let Role::Promoted { origin, at } = replica::promote(&open.repository).await? else {
            return Err(Failure::new("it was not promoted"));
        };
        let (repository, unchanged) =
            (open.repository.config().repository, matches!(before, Some(Role::Promoted { .. })));
        session.reporter.result(&PromotedLine { repository, origin, at, unchanged })?;
        Ok(Exit::Done)
    }

    async fn require_leave(&self) -> Result<(), Failure> {
        match self.yes {
            true => Ok(()),
            false if can_ask() => match agreed("make it a repository on its own, for good?").await {
                Ok(true) => Ok(()),
                Ok(false) => Err(Failure::new("nothing was changed: you did not agree")),
                Err(error) => Err(Failure::new("no answer could be read").because(error.to_string())),
            },
            false => Err(Failure::usage("a replica is promoted for good, and nobody is there to agree to that")
                .hint("when its origin is lost: credenza at REPOSITORY promote --yes")),
        }
    }
}

/// What somebody must know before they agree.
async fn describe(repository: &Repository, origin: RepositoryId, session: &Session<'_>) -> Result<(), Failure> {
    let newest = repository.snapshots().await?.whole.last().and_then(|handle| handle.time());
    let time = |time: Option<Timestamp>| time.map_or_else(|| "never".to_owned(), |time| Zone::new(false).minutes(time));
    let as_of = replica::kept(repository, &[]).await?.map(|kept| kept.as_of);
    session.reporter.note(format!(
        "it is a replica of repository {origin}: its newest snapshot is of {}, and its origin was last heard of as it was on {}",
        time(newest),
        time(as_of),
    ));
    Ok(())
}
