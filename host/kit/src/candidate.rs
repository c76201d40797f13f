//! A component that is to be tested.

use std::sync::Arc;
use std::time::Duration;

use credenza_connect::conformance::{self, CaseOutcome, CaseResult};
use credenza_sandbox::{Connector, LoadError, Manifest, Role, RuntimeError, Sandbox, SandboxOptions};

use crate::bed::Bed;
use crate::plan::{Plan, StandInKind};
use crate::stand_in::WebDav;

/// How long a server in this process may be silent.
const IDLE: Duration = Duration::from_secs(20);

/// A component that cannot be tested, and why.
#[derive(Debug, thiserror::Error)]
pub enum CandidateError {
    /// WebAssembly cannot run here.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The host does not accept it.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A stand-in cannot listen.
    #[error("the stand-in for the service cannot be started")]
    StandIn(#[source] std::io::Error),
}

/// A component that the host accepts.
pub struct Candidate {
    connector: Arc<Connector>,
}

impl Candidate {
    /// Loads a component as every command does: its manifest, its imports, and the roles that it claims. None of its code runs.
    ///
    /// # Errors
    /// [`CandidateError`] says what the host does not accept.
    pub fn load(component: &[u8]) -> Result<Self, CandidateError> {
        let sandbox = Sandbox::new(SandboxOptions { idle_timeout: IDLE, ..SandboxOptions::default() })?;
        Ok(Self { connector: Arc::new(sandbox.load(component)?) })
    }

    /// What it says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        self.connector.manifest()
    }

    /// Runs every case of its roles, bare: nothing stands before the connector that could make it right. The seed repeats random contents.
    ///
    /// # Errors
    /// Where the stand-in cannot be started.
    pub async fn test(&self, plan: &Plan, seed: u64) -> Result<Vec<CaseResult>, CandidateError> {
        let StandInKind::Webdav = plan.stand_in;
        let server = WebDav::start().await.map_err(CandidateError::StandIn)?;
        let bed = Bed::new(Arc::clone(&self.connector), plan.clone(), server);
        let mut results = vec![self.settings(&bed).await];
        for role in &self.manifest().roles {
            results.extend(match role {
                Role::Source => conformance::source(&bed, seed).await,
                Role::Store => conformance::store(&bed, seed).await,
                Role::Destination => conformance::destination(&bed, seed).await,
                Role::Prune | Role::Replay => Vec::new(),
            });
        }
        Ok(results)
    }

    /// Whether it takes the settings of the plan, in all its roles.
    async fn settings(&self, bed: &Bed) -> CaseResult {
        let outcome = match bed.configured(&self.manifest().roles).await {
            Ok(_) => CaseOutcome::Passed,
            Err(error) => CaseOutcome::Failed(error.message),
        };
        CaseResult {
            id: "package.settings",
            why: "what the plan says is what the manifest and the connector take",
            outcome,
        }
    }
}
