//! A replica that becomes a repository on its own, when its origin is lost.

use credenza_app::{Result, StoreUse};
use credenza_engine::replica::{self, Role};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::access::Action;
use crate::runs::{At, Ending, Operation};

/// Promotes the repository.
pub(crate) struct Promote;

impl Promote {
    /// What it means, a sentence each, for whoever is to agree to it.
    pub(crate) fn means() -> Vec<String> {
        [
            "It takes backups, tags and maintenance from then on; all its snapshots stay as they are.",
            "It takes nothing from what was its origin any more: neither a sync nor a replication writes to it again.",
            "Nothing takes this back. Do it when the origin is lost, or when this is to be used in its place.",
        ]
        .map(str::to_owned)
        .to_vec()
    }
}

impl Operation for Promote {
    fn title(&self) -> String {
        "Promotion of a replica".to_owned()
    }

    fn commands(&self) -> Vec<String> {
        vec!["promote".to_owned()]
    }

    fn action(&self) -> Action {
        Action::Remove
    }

    fn run<'a>(&'a self, at: &'a At) -> LocalBoxFuture<'a, Result<Ending>> {
        async move {
            let open = at.open(StoreUse::Write).await?;
            let role = replica::promote(&open.repository).await?;
            // What is open here knows the role from before.
            at.repositories.open_anew(&at.run.name).await?;
            let origin = match role {
                Role::Promoted { origin, .. } | Role::Replica { origin, .. } => origin,
            };
            let line = format!("It takes backups from now on, and nothing from repository {origin}, its origin.");
            Ok(Ending { lines: vec![line], ..Ending::default() })
        }
        .boxed_local()
    }
}
