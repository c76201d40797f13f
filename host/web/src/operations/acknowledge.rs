//! A suspect snapshot that somebody has looked at.

use credenza_app::jobs::guard::{self, Looked, Suspect};
use credenza_app::{Result, StoreUse};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::short;
use crate::access::Action;
use crate::runs::{At, Ending, Operation};
use crate::shown;

/// Says that a suspect snapshot is as it should be.
pub(crate) struct Acknowledge {
    /// Its whole id.
    pub(crate) snapshot: String,
}

impl Operation for Acknowledge {
    fn title(&self) -> String {
        format!("Acknowledgement of snapshot {}", short(&self.snapshot))
    }

    fn commands(&self) -> Vec<String> {
        vec![format!("jobs acknowledge {}", self.snapshot)]
    }

    fn action(&self) -> Action {
        // Retention of the source goes on by it.
        Action::Remove
    }

    fn run<'a>(&'a self, at: &'a At) -> LocalBoxFuture<'a, Result<Ending>> {
        async move {
            let open = at.open(StoreUse::Write).await?;
            let looked = Looked::At(self.snapshot.clone());
            let cleared = guard::acknowledge(&open.repository, &looked, &at.run.by.name).await?;
            let line = |suspect: &Suspect| {
                format!(
                    "Snapshot {} is suspect no more: retention of {} goes on.",
                    suspect.snapshot,
                    shown::text(&suspect.source)
                )
            };
            Ok(Ending { lines: cleared.iter().map(line).collect(), ..Ending::default() })
        }
        .boxed_local()
    }
}
