//! A tag that a snapshot is given, or loses.

use credenza_app::{Result, StoreUse};
use credenza_engine::SnapshotName;
use credenza_engine::tags::{self, Change};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::short;
use crate::access::Action;
use crate::command;
use crate::runs::{At, Ending, Operation};
use crate::shown;

/// Changes a tag of one snapshot.
pub(crate) struct Tag {
    /// Its whole id.
    pub(crate) snapshot: String,
    pub(crate) tag: String,
    /// Whether it is taken away.
    pub(crate) is_taken: bool,
}

impl Operation for Tag {
    fn title(&self) -> String {
        let (did, tag) = (if self.is_taken { "removed from" } else { "added to" }, shown::text(&self.tag));
        format!("Tag {tag} {did} snapshot {}", short(&self.snapshot))
    }

    fn commands(&self) -> Vec<String> {
        let does = if self.is_taken { "remove" } else { "add" };
        vec![format!("tag {does} {} {}", command::word(&self.tag), self.snapshot)]
    }

    fn action(&self) -> Action {
        // A tag may be what keeps a snapshot.
        if self.is_taken { Action::Remove } else { Action::Run }
    }

    fn run<'a>(&'a self, at: &'a At) -> LocalBoxFuture<'a, Result<Ending>> {
        async move {
            let open = at.open(StoreUse::Write).await?;
            let handle = open.repository.find(&SnapshotName(self.snapshot.clone())).await?;
            let change = match self.is_taken {
                true => Change { remove: vec![self.tag.clone()], ..Change::default() },
                false => Change { add: vec![self.tag.clone()], ..Change::default() },
            };
            let tagged = tags::edit(&open.repository, &[handle], &change).await?;
            let line = |tagged: &tags::Tagged| match tagged.tags.as_slice() {
                [] => "It has no tag now.".to_owned(),
                tags => format!("Its tags are now: {}.", shown::text(&tags.join(", "))),
            };
            Ok(Ending { lines: tagged.iter().map(line).collect(), ..Ending::default() })
        }
        .boxed_local()
    }
}
