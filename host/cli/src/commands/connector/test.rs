//! `connector test`: the kit over a component, a line for each case.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use clap::Args;
use credenza_kit::{Candidate, CaseOutcome, CaseResult, Choice, Listed, Plan, catalogue};
use serde::Serialize;

use super::live::LiveTest;
use crate::commands::Session;
use crate::failure::{Exit, Failure};
use crate::report::printable;
use credenza_app::shell::shell_word;

/// Tests a component.
#[derive(Debug, Args)]
pub(crate) struct TestCommand {
    /// The component.
    #[arg(required_unless_present = "list")]
    file: Option<PathBuf>,
    /// Print the checks that there are, without running any.
    #[arg(long)]
    list: bool,
    /// How it is pointed at a stand-in for its service, instead of `kit.toml` beside it.
    #[arg(long)]
    kit: Option<PathBuf>,
    /// Repeats the random contents of an earlier run.
    #[arg(long)]
    seed: Option<u64>,
    /// Run one check only, or all whose ids begin with these words, such as `store.list`.
    #[arg(long, value_name = "ID")]
    only: Option<String>,
    /// Tests instead how it gets along with a server that takes every liberty of a bad one: resets, truncations, pages without end, errors that
    /// look like success.
    #[arg(long)]
    chaos: bool,
    #[command(flatten)]
    live: LiveTest,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "connector_case")]
pub(super) struct CaseLine<'a> {
    id: &'a str,
    outcome: &'static str,
    why: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat: Option<String>,
}

/// A check that there is.
#[derive(Serialize)]
#[serde(tag = "type", rename = "connector_check")]
struct CheckLine<'a> {
    id: &'a str,
    why: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<&'a str>,
}

impl Display for CheckLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, why, needs } = self;
        write!(f, "{id}  {why}")?;
        match needs.and_then(|needs| needs.strip_prefix('!')) {
            Some(claim) => write!(f, " (without {claim})"),
            None => needs.iter().try_for_each(|claim| write!(f, " (for {claim})")),
        }
    }
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
    pub(super) fn new(result: &'a CaseResult, again: &str) -> Self {
        let (outcome, found) = match &result.outcome {
            CaseOutcome::Passed => ("passed", None),
            CaseOutcome::Skipped(reason) => ("skipped", Some(reason.as_str())),
            CaseOutcome::Failed(found) => ("failed", Some(found.as_str())),
        };
        let repeat = result.is_failed().then(|| format!("{again} --only {}", result.id));
        Self { id: result.id, outcome, why: result.why, found, repeat }
    }
}

impl Display for CaseLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, outcome, why, found, repeat } = self;
        match (*outcome, found) {
            ("skipped", Some(reason)) => write!(f, "skipped  {id}  {}", printable(reason)),
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
        let seed = self.seed.unwrap_or_else(seed_of_now);
        let choice = Choice { seed, only: self.only.clone(), ..Choice::default() };
        let listed: Vec<Listed> = catalogue().into_iter().filter(|check| choice.takes(check.id)).collect();
        if listed.is_empty() && !self.chaos {
            let only = choice.only.as_deref().unwrap_or_default();
            return Err(Failure::usage(format!("there is no check `{}`", only.escape_debug()))
                .hint("see all of them: credenza connector test --list"));
        }
        let Some(file) = self.file.as_deref().filter(|_| !self.list) else {
            for Listed { id, why, needs } in listed {
                session.reporter.result(&CheckLine { id, why, needs })?;
            }
            return Ok(Exit::Done);
        };
        if let Some(location) = &self.live.live {
            let run = self.live.run(file, location, &choice, session).await?;
            let again = format!("{} --seed {}", self.live.again(file, location), choice.seed);
            let exit = self.report(&run.results, &again, choice.seed, session)?;
            return run.require_clean().map(|()| exit);
        }
        let results = self.test(file, &choice, session.app.compiled_folder()).await?;
        self.report(&results, &self.again(file, choice.seed), choice.seed, session)
    }

    fn report(&self, results: &[CaseResult], again: &str, seed: u64, session: &Session<'_>) -> Result<Exit, Failure> {
        for result in results {
            session.reporter.result(&CaseLine::new(result, again))?;
        }
        let failed = results.iter().filter(|result| result.is_failed()).count();
        let passed = results.iter().filter(|result| result.outcome == CaseOutcome::Passed).count();
        let skipped = results.len().saturating_sub(failed).saturating_sub(passed);
        session.reporter.summary(&Tested { passed, skipped, failed, seed })?;
        Ok(if failed > 0 { Exit::ContractBroken } else { Exit::Done })
    }

    /// Runs the chosen checks; none is an error, where the connector has none of the roles that they are for.
    async fn test(&self, file: &Path, choice: &Choice, compiled: Option<PathBuf>) -> Result<Vec<CaseResult>, Failure> {
        let plan_path = self.kit.clone().unwrap_or_else(|| file.with_file_name("kit.toml"));
        let component = read(file, "build it with `credenza connector build`")?;
        let text = read(&plan_path, "say with --kit how the connector is pointed at a stand-in for its service")?;
        let plan = Plan::parse(&String::from_utf8_lossy(&text)).map_err(|error| {
            Failure::usage(format!("{} cannot be used", plan_path.display())).because(error.to_string())
        })?;
        let refused = |error: credenza_kit::CandidateError| {
            Failure::new(format!("{} cannot be tested", file.display())).because(error.to_string())
        };
        let candidate = Candidate::load(&component, compiled).map_err(refused)?;
        let results = match self.chaos {
            true => candidate.chaos(&plan, choice.seed, choice.only.as_deref()).await,
            false => candidate.test(&plan, choice.clone()).await,
        };
        let results = results.map_err(refused)?;
        match results.is_empty() {
            true => Err(Failure::usage("the connector has no role that this check is for")
                .hint("leave --only out to run all checks of its roles")),
            false => Ok(results),
        }
    }

    /// The command that does the same once more.
    fn again(&self, file: &Path, seed: u64) -> String {
        let word = |path: &Path| shell_word(&path.to_string_lossy());
        let kit = self.kit.as_deref().map(|kit| format!(" --kit {}", word(kit))).unwrap_or_default();
        let chaos = if self.chaos { " --chaos" } else { "" };
        format!("credenza connector test {}{kit}{chaos} --seed {seed}", word(file))
    }
}

fn read(path: &Path, hint: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::usage(format!("{} cannot be read", path.display())).because(error.to_string()).hint(hint)
    })
}

/// Another one for each run; a failure prints it.
pub(super) fn seed_of_now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(1)
}
