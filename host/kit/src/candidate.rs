//! A component that is to be tested.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use credenza_connect::conformance::{self, CaseOutcome, CaseResult, Choice, Listed, Miss};
use credenza_sandbox::{Connector, LoadError, Manifest, Role, RuntimeError, Sandbox, SandboxOptions};

use crate::bed::Bed;
use crate::chaos;
use crate::conduct::{self, Yard};
use crate::package::{self, Package};
use crate::plan::Plan;
use crate::stand_in::StandIn;
use crate::subject::{Place, Sandboxed};

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
    /// As it lies in its file; without, where it cannot be taken apart.
    package: Result<Package, Miss>,
}

const SETTINGS: Listed = Listed {
    id: "package.settings.plan",
    why: "what the plan says is what the manifest and the connector take",
    needs: None,
};

/// Ids that were given to cases which there are no more. None is given again.
const RETIRED: [&str; 0] = [];

/// All cases of the kit, in the order in which they run.
#[must_use]
pub fn catalogue() -> Vec<Listed> {
    let own = [vec![SETTINGS], package::catalogue(), conduct::catalogue()].concat();
    [own, conformance::catalogue()].concat()
}

/// Ids that no case may have again.
#[must_use]
pub fn retired() -> &'static [&'static str] {
    &RETIRED
}

impl Candidate {
    /// Loads a component as every command does: its manifest, its imports, and the roles that it claims. None of its code runs.
    /// What is compiled is kept in the folder `compiled`, where one is given: an interpreter takes half a minute.
    ///
    /// # Errors
    /// [`CandidateError`] says what the host does not accept.
    pub fn load(component: &[u8], compiled: Option<PathBuf>) -> Result<Self, CandidateError> {
        let options = SandboxOptions { idle_timeout: IDLE, cache_dir: compiled, ..SandboxOptions::default() };
        let sandbox = Sandbox::new(options)?;
        let connector = Arc::new(sandbox.load(component)?);
        let package = Package::of(component, connector.manifest());
        Ok(Self { connector, package })
    }

    /// What it says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        self.connector.manifest()
    }

    /// Runs the chosen cases, bare: nothing stands before the connector that could make it right. The seed repeats random contents.
    ///
    /// # Errors
    /// Where the stand-in cannot be started.
    pub async fn test(&self, plan: &Plan, choice: impl Into<Choice>) -> Result<Vec<CaseResult>, CandidateError> {
        let choice = Choice { lacking: plan.lacking.clone(), ..choice.into() };
        let start = || async { StandIn::start(plan.stand_in).await.map_err(CandidateError::StandIn) };
        let subject = self.subject(plan);
        let bed = Bed::new(Arc::<Sandboxed>::clone(&subject), plan.names(), start().await?);
        let yard = Yard::new(&self.connector, plan.clone(), start().await?);
        let roles: Vec<String> = self.manifest().roles.iter().map(|role| role.name().to_owned()).collect();
        let mut results = Vec::new();
        if choice.takes(SETTINGS.id) {
            results.push(self.settings(&subject, &bed).await);
        }
        results.extend(match &self.package {
            Ok(package) => conformance::run(package, &choice, &roles, package::CASES).await,
            Err(miss) => vec![result_of(package::catalogue().first().copied().unwrap_or(SETTINGS), miss.clone())],
        });
        results.extend(conformance::run(&yard, &choice, &roles, conduct::CASES).await);
        for role in &self.manifest().roles {
            results.extend(match role {
                Role::Source => conformance::source(&bed, choice.clone()).await,
                Role::Store => conformance::store(&bed, choice.clone()).await,
                Role::Destination => conformance::destination(&bed, choice.clone()).await,
                Role::Prune | Role::Replay => Vec::new(),
            });
        }
        Ok(results)
    }

    /// Runs every check of its roles against a server that takes each liberty of a bad one, with the host's retries before the connector; one
    /// check alone where `only` names it. The seed repeats what the server does.
    ///
    /// # Errors
    /// Where the stand-in cannot be started.
    pub async fn chaos(&self, plan: &Plan, seed: u64, only: Option<&str>) -> Result<Vec<CaseResult>, CandidateError> {
        let group = chaos::Group { subject: self.subject(plan), kind: plan.stand_in, names: plan.names(), seed, only };
        let mut results = Vec::new();
        for role in &self.manifest().roles {
            results.extend(group.run(*role).await.map_err(CandidateError::StandIn)?);
        }
        Ok(results)
    }

    fn subject(&self, plan: &Plan) -> Arc<Sandboxed> {
        Arc::new(Sandboxed { connector: Arc::clone(&self.connector), plan: plan.clone() })
    }

    /// Whether it takes the settings of the plan, in all its roles.
    async fn settings(&self, subject: &Sandboxed, bed: &Bed) -> CaseResult {
        let folder = bed.new_folder();
        let at = Place { address: bed.server().address(), folder: &folder };
        let outcome = match subject.configured(at, &self.manifest().roles).await {
            Ok(_) => CaseOutcome::Passed,
            Err(error) => CaseOutcome::Failed(error.message),
        };
        CaseResult { id: SETTINGS.id, why: SETTINGS.why, outcome }
    }
}

fn result_of(listed: Listed, miss: Miss) -> CaseResult {
    let outcome = match miss {
        Miss::Skipped(reason) => CaseOutcome::Skipped(reason),
        Miss::Failed(wrong) => CaseOutcome::Failed(wrong),
    };
    CaseResult { id: listed.id, why: listed.why, outcome }
}
