//! `connector dev`: build and test again whenever a file of the connector changes.
//!
//! A round is a build, and the kit over what was built. What changes while it lasts is seen when it is over. Files are looked at, and nothing is asked of
//! the system to tell of them: that works on every file system, and spares a dependency.

use std::error::Error as _;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use credenza_author::Traces;
use credenza_kit::{Candidate, CaseOutcome, CaseResult, Plan};
use serde::Serialize;

use super::build::{Built, build_into};
use super::test::{CaseLine, seed_of_now};
use crate::commands::Session;
use crate::failure::{Exit, Failure};
use credenza_app::shell::shell_word;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Builds and tests a connector again whenever one of its files changes, until you interrupt it.
#[derive(Debug, Args)]
pub(crate) struct DevCommand {
    /// The folder of its sources.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// How it is pointed at a stand-in for its service, instead of `kit.toml` in that folder.
    #[arg(long)]
    kit: Option<PathBuf>,
}

/// What came of a round.
#[derive(Serialize)]
#[serde(tag = "type", rename = "connector_round")]
struct Round {
    round: u64,
    /// The file that was changed; none in the first round.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<PathBuf>,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Outcome {
    /// It does not build, or the host does not accept what was built.
    NotBuilt {
        why: String,
    },
    /// It was built, and there is no plan for a test.
    NotTested {
        bytes: usize,
        why: String,
    },
    Tested {
        bytes: usize,
        passed: usize,
        skipped: usize,
        failed: usize,
        seed: u64,
    },
}

impl Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {}", self.round)?;
        self.changed.iter().try_for_each(|path| write!(f, " ({})", path.display()))?;
        match &self.outcome {
            Outcome::NotBuilt { why } => write!(f, ": not built: {why}"),
            Outcome::NotTested { bytes, why } => write!(f, ": built, {bytes} bytes; not tested: {why}"),
            Outcome::Tested { bytes, passed, skipped, failed, seed } => {
                write!(f, ": built, {bytes} bytes; {passed} passed, {skipped} skipped, {failed} failed (seed {seed})")
            }
        }
    }
}

impl DevCommand {
    /// Never comes to an end of its own: an interrupt drops it.
    pub(super) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        if !self.folder.join("connector.toml").is_file() {
            return Err(Failure::usage(format!("there is no connector in {}", self.folder.display()))
                .hint("start one: credenza connector new NAME"));
        }
        let (mut round, mut changed, seed) = (1, None, seed_of_now());
        loop {
            let before = Traces::of(&self.folder);
            let outcome = self.round(seed, session).await?;
            session.reporter.result(&Round { round, changed, outcome })?;
            session.reporter.flush()?;
            changed = Some(self.change(&before).await);
            round = round.saturating_add(1);
        }
    }

    /// Waits until a file is another than before.
    async fn change(&self, before: &Traces) -> PathBuf {
        loop {
            if let Some(changed) = Traces::of(&self.folder).changed_since(before) {
                return changed.to_owned();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn round(&self, seed: u64, session: &Session<'_>) -> Result<Outcome, Failure> {
        let (folder, compiled) = (self.folder.clone(), session.app.compiled_folder());
        // On a thread of its own, so that an interrupt ends the program while it waits for the compiler.
        let built = tokio::task::spawn_blocking(move || build_into(&folder, None, compiled)).await;
        let built = built.map_err(|error| Failure::new("the build ended").because(error.to_string()))?;
        let Built { path, bytes, .. } = match built {
            Ok(built) => built,
            Err(failure) => return Ok(Outcome::NotBuilt { why: sentence(&failure) }),
        };
        let plan_path = self.kit.clone().unwrap_or_else(|| self.folder.join("kit.toml"));
        let plan = match std::fs::read_to_string(&plan_path) {
            Ok(text) => Plan::parse(&text).map_err(|error| format!("{}: {error}", plan_path.display())),
            Err(error) => Err(format!("{}: {error}", plan_path.display())),
        };
        let plan = match plan {
            Ok(plan) => plan,
            Err(why) => return Ok(Outcome::NotTested { bytes, why }),
        };
        match tested(&path, &plan, seed, session.app.compiled_folder()).await {
            Err(why) => Ok(Outcome::NotTested { bytes, why }),
            Ok(results) => {
                let word = |path: &Path| shell_word(&path.to_string_lossy());
                let again = format!("credenza connector test {} --kit {} --seed {seed}", word(&path), word(&plan_path));
                for failed in results.iter().filter(|result| result.is_failed()) {
                    session.reporter.result(&CaseLine::new(failed, &again))?;
                }
                let count = |is: fn(&CaseOutcome) -> bool| results.iter().filter(|result| is(&result.outcome)).count();
                Ok(Outcome::Tested {
                    bytes,
                    passed: count(|outcome| matches!(outcome, CaseOutcome::Passed)),
                    skipped: count(|outcome| matches!(outcome, CaseOutcome::Skipped(_))),
                    failed: count(|outcome| matches!(outcome, CaseOutcome::Failed(_))),
                    seed,
                })
            }
        }
    }
}

async fn tested(
    component: &Path,
    plan: &Plan,
    seed: u64,
    compiled: Option<PathBuf>,
) -> Result<Vec<CaseResult>, String> {
    let bytes = std::fs::read(component).map_err(|error| format!("{}: {error}", component.display()))?;
    let refused = |error: credenza_kit::CandidateError| {
        error.source().map_or_else(|| error.to_string(), |why| format!("{error}: {why}"))
    };
    Candidate::load(&bytes, compiled).map_err(refused)?.test(plan, seed).await.map_err(refused)
}

/// A failure on one line.
fn sentence(failure: &Failure) -> String {
    let parts = [Some(&failure.what), failure.why.as_ref()];
    let sentence = parts.into_iter().flatten().map(|part| part.replace('\n', " ")).collect::<Vec<_>>().join(": ");
    failure.hint.iter().fold(sentence, |sentence, hint| format!("{sentence}; {hint}"))
}
