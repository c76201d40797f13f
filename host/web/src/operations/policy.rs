//! The policy of a repository: which snapshots a prune keeps that is told nothing else, on every machine.

use credenza_app::{Result, StoreUse, prune::Policy};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::access::Action;
use crate::command;
use crate::runs::{At, Ending, Operation};

/// Keeps a policy in the repository.
pub(crate) struct SetPolicy {
    pub(crate) policy: Policy,
}

impl Operation for SetPolicy {
    fn title(&self) -> String {
        "Another policy".to_owned()
    }

    fn commands(&self) -> Vec<String> {
        vec![format!("policy set{}", rules(&self.policy))]
    }

    fn action(&self) -> Action {
        Action::Remove
    }

    fn run<'a>(&'a self, at: &'a At) -> LocalBoxFuture<'a, Result<Ending>> {
        async move {
            let open = at.open(StoreUse::Write).await?;
            open.repository.set_policy(Some(self.policy.clone())).await?;
            // What is open here knows the one from before.
            at.repositories.open_anew(&at.run.name).await?;
            let line = format!("The policy of the repository is now{}.", rules(&self.policy));
            Ok(Ending { lines: vec![line], ..Ending::default() })
        }
        .boxed_local()
    }
}

/// The rules as options of a command, each with a space before it.
pub(crate) fn rules(policy: &Policy) -> String {
    let mut words: Vec<String> = policy.counts().map(|(name, number)| format!(" --keep-{name} {number}")).collect();
    words.extend(policy.within_seconds.map(|seconds| format!(" --keep-within {}h", seconds / 3600)));
    words.extend(policy.tags.iter().map(|tag| format!(" --keep-tag {}", command::word(tag))));
    words.concat()
}
