//! A snapshot that a person removes.

use credenza_app::{Result, StoreUse, remove, signing};
use credenza_engine::SnapshotName;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::{fact, short};
use crate::access::Action;
use crate::runs::{At, Ending, Operation};

/// Removes one snapshot.
pub(crate) struct Remove {
    /// Its whole id.
    pub(crate) snapshot: String,
}

impl Operation for Remove {
    fn title(&self) -> String {
        format!("Removal of snapshot {}", short(&self.snapshot))
    }

    fn commands(&self) -> Vec<String> {
        vec![format!("rm {}", self.snapshot)]
    }

    fn action(&self) -> Action {
        Action::Remove
    }

    fn run<'a>(&'a self, at: &'a At) -> LocalBoxFuture<'a, Result<Ending>> {
        async move {
            let open = at.open(StoreUse::Write).await?;
            let handle = open.repository.find_for_removal(&SnapshotName(self.snapshot.clone())).await?;
            let signing_key = signing::provided(None, &open.place.settings)?;
            let removal = remove::remove_all(&open, &[handle], signing_key.as_ref()).await?;
            removal.verdict?;
            let line =
                format!("Snapshot {} is removed. Maintenance gives the store back what it alone took.", self.snapshot);
            Ok(Ending { lines: vec![line], facts: vec![fact("Removed", removal.removed.len())], ..Ending::default() })
        }
        .boxed_local()
    }
}
