//! Runs the scenarios of one table and reports every failure by name.
//!
//! Scenarios that share a server run in one test, because each test is a process of its own; one failing
//! scenario must not hide the others.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The outcome of a table of scenarios; [`Report::finish`] fails the test when any scenario failed.
#[derive(Debug, Default)]
#[must_use = "call finish, or failures are forgotten"]
pub struct Report {
    ran: usize,
    failures: Vec<String>,
}

impl Report {
    /// Runs one scenario; an error and a panic both count as its failure.
    pub fn scenario(&mut self, name: &str, run: impl FnOnce() -> anyhow::Result<()>) {
        self.ran = self.ran.saturating_add(1);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.failures.push(format!("✗ {name}\n{error:#}")),
            Err(panic) => self.failures.push(format!("✗ {name}\n{}", text_of(panic.as_ref()))),
        }
    }

    /// Fails with the names and causes of all failed scenarios.
    ///
    /// # Panics
    /// When a scenario failed, or none ran.
    pub fn finish(self) {
        assert!(self.ran > 0, "no scenario ran");
        let failed = self.failures.len();
        assert!(failed == 0, "{failed} of {} scenarios failed:\n\n{}", self.ran, self.failures.join("\n\n"));
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_else(|| "panicked".to_owned())
}
