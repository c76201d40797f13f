//! `connector test`: the kit over a component, a line for each case.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use clap::Args;
use credenza_kit::{Candidate, CaseOutcome, CaseResult, Plan};
use serde::Serialize;

use crate::commands::Session;
use crate::failure::{Exit, Failure};
use crate::report::printable;
use credenza_app::shell::shell_word;

/// Tests a component.
#[derive(Debug, Args)]
pub(crate) struct TestCommand {
    /// The component.
    file: PathBuf,
    /// How it is pointed at a stand-in for its service, instead of `kit.toml` beside it.
    #[arg(long)]
    kit: Option<PathBuf>,
    /// Repeats the random contents of an earlier run.
    #[arg(long)]
    seed: Option<u64>,
    /// Tells of this case only.
    #[arg(long)]
    case: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "connector_case")]
struct CaseLine<'a> {
    id: &'a str,
    outcome: &'static str,
    why: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "connector_tested")]
struct Tested {
    passed: usize,
    skipped: usize,
    failed: usize,
    seed: u64,
}

impl<'a> CaseLine<'a> {
    fn new(result: &'a CaseResult, again: &str) -> Self {
        let (outcome, found) = match &result.outcome {
            CaseOutcome::Passed => ("passed", None),
            CaseOutcome::Skipped(claim) => ("skipped", Some(claim.as_str())),
            CaseOutcome::Failed(found) => ("failed", Some(found.as_str())),
        };
        let repeat = result.is_failed().then(|| format!("{again} --case {}", result.id));
        Self { id: result.id, outcome, why: result.why, found, repeat }
    }
}

impl Display for CaseLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, outcome, why, found, repeat } = self;
        match (*outcome, found) {
            ("skipped", Some(claim)) => write!(f, "skipped  {id}  it does not claim {}", printable(claim)),
            ("failed", Some(found)) => {
                write!(f, "FAILED   {id}  {}\n  it matters because {why}", printable(found))?;
                repeat.iter().try_for_each(|repeat| write!(f, "\n  repeat it with: {repeat}"))
            }
            _ => write!(f, "passed   {id}  {why}"),
        }
    }
}

impl Display for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, skipped, failed, seed } = self;
        write!(f, "{passed} passed, {skipped} skipped, {failed} failed (seed {seed})")
    }
}

impl TestCommand {
    pub(super) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let plan_path = self.kit.clone().unwrap_or_else(|| self.file.with_file_name("kit.toml"));
        let component = read(&self.file, "build it with `credenza connector build`")?;
        let text = read(&plan_path, "say with --kit how the connector is pointed at a stand-in for its service")?;
        let plan = Plan::parse(&String::from_utf8_lossy(&text)).map_err(|error| {
            Failure::usage(format!("{} cannot be used", plan_path.display())).because(error.to_string())
        })?;
        let refused = |error: credenza_kit::CandidateError| {
            Failure::new(format!("{} cannot be tested", self.file.display())).because(error.to_string())
        };
        let candidate = Candidate::load(&component).map_err(refused)?;
        let seed = self.seed.unwrap_or_else(seed_of_now);
        let mut results = candidate.test(&plan, seed).await.map_err(refused)?;
        if let Some(case) = &self.case {
            results.retain(|result| result.id == case);
            if results.is_empty() {
                return Err(Failure::usage(format!("there is no case `{}`", case.escape_debug()))
                    .hint("leave --case out to see all that the connector's roles have"));
            }
        }
        let again = self.again(seed);
        for result in &results {
            session.reporter.result(&CaseLine::new(result, &again))?;
        }
        let failed = results.iter().filter(|result| result.is_failed()).count();
        let passed = results.iter().filter(|result| result.outcome == CaseOutcome::Passed).count();
        let skipped = results.len().saturating_sub(failed).saturating_sub(passed);
        session.reporter.summary(&Tested { passed, skipped, failed, seed })?;
        Ok(if failed > 0 { Exit::ContractBroken } else { Exit::Done })
    }

    /// The command that does the same once more.
    fn again(&self, seed: u64) -> String {
        let word = |path: &Path| shell_word(&path.to_string_lossy());
        let kit = self.kit.as_deref().map(|kit| format!(" --kit {}", word(kit))).unwrap_or_default();
        format!("credenza connector test {}{kit} --seed {seed}", word(&self.file))
    }
}

fn read(path: &Path, hint: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::usage(format!("{} cannot be read", path.display())).because(error.to_string()).hint(hint)
    })
}

/// Another one for each run; a failure prints it.
fn seed_of_now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(1)
}
