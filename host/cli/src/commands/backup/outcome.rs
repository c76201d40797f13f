//! What came of several sources: one that fails does not keep the others from being backed up.
//!
//! Owned here: which failures are of one source alone, when they are reported, the exit code of all, and the patterns that matched nothing in any of them.
//! Called by `backup`.
//!
//! Bound: the patterns, as many as were given.

use credenza_engine::Error as EngineError;

use super::super::Session;
use crate::failure::{Exit, Failure};
use crate::report::{Reporter, printable};

/// Patterns that are named; of more, the number is reported.
const UNMATCHED_TOLD_MAX: usize = 8;

/// Why there is no snapshot of a source.
pub(super) enum Attempt {
    /// Others may well be backed up.
    Source(Failure),
    /// Nothing more can be done.
    Run(Failure),
}

impl From<EngineError> for Attempt {
    fn from(error: EngineError) -> Self {
        match error.is_of_source() {
            true => Self::Source(error.into()),
            false => Self::Run(error.into()),
        }
    }
}

/// A source that was backed up.
pub(super) struct Done {
    /// Nothing in it failed.
    pub(super) is_whole: bool,
    /// Patterns that no entry of it matched.
    pub(super) unmatched: Vec<String>,
}

/// What came of the sources so far.
pub(super) struct Outcome {
    sources: usize,
    done: usize,
    is_whole: bool,
    /// Patterns that no entry of any source matched; `None` before the first.
    unmatched: Option<Vec<String>>,
    /// How those ended that failed.
    failed: Vec<Exit>,
}

impl Outcome {
    /// Of so many sources, none of which was looked at yet.
    pub(super) const fn of(sources: usize) -> Self {
        Self { sources, done: 0, is_whole: true, unmatched: None, failed: Vec::new() }
    }

    /// Takes what came of one. A failure is reported at once where there are others.
    ///
    /// # Errors
    /// Where nothing more is to be done: the failure, which is not reported yet.
    pub(super) fn take(
        &mut self,
        source: &str,
        attempt: Result<Done, Attempt>,
        session: &Session<'_>,
    ) -> Result<(), Failure> {
        match attempt {
            Ok(done) => {
                self.done += 1;
                self.is_whole &= done.is_whole;
                match &mut self.unmatched {
                    None => self.unmatched = Some(done.unmatched),
                    Some(unmatched) => unmatched.retain(|pattern| done.unmatched.contains(pattern)),
                }
                Ok(())
            }
            Err(Attempt::Source(failure)) if self.sources > 1 => {
                self.failed.push(failure.exit);
                let what = format!("{} is not backed up: {}", printable(source), failure.what);
                session
                    .reporter
                    .failure(&Failure { what, ..failure }.of_repository(session.at_repository().as_deref()));
                Ok(())
            }
            Err(Attempt::Source(failure) | Attempt::Run(failure)) => Err(failure),
        }
    }

    pub(super) const fn is_any_done(&self) -> bool {
        self.done > 0
    }

    /// Names the patterns that matched nothing anywhere.
    pub(super) fn tell_unmatched(&self, reporter: &Reporter) {
        let unmatched = self.unmatched.as_deref().unwrap_or_default();
        for pattern in unmatched.iter().take(UNMATCHED_TOLD_MAX) {
            reporter.warning(format!("the pattern `{}` matched nothing{}", printable(pattern), reason(pattern)));
        }
        let more = unmatched.len().saturating_sub(UNMATCHED_TOLD_MAX);
        if more > 0 {
            reporter.warning(format!("{more} more patterns matched nothing; --json names them all"));
        }
    }

    /// How the command ends by what came of all.
    pub(super) fn exit(&self) -> Exit {
        match (self.failed.iter().copied().max(), self.done) {
            (Some(worst), 0) => worst,
            (None, _) if self.is_whole => Exit::Done,
            _ => Exit::Incomplete,
        }
    }
}

/// What a person may have meant otherwise.
fn reason(pattern: &str) -> &'static str {
    match pattern.trim_start_matches('!').starts_with('/') {
        true => " (it begins at the source)",
        false => "",
    }
}
