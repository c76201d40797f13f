//! Prints what the demonstration does: each step, its outcome, and what the server was asked meanwhile.

use anyhow::{Context, Result};
use credenza_s3_server::Log;
use std::cell::Cell;
use std::io::{Write, stdout};

/// Numbers the steps and reads the server's log after each.
pub(crate) struct Narrator {
    log: Log,
    steps: Cell<u32>,
}

impl Narrator {
    pub(crate) fn new(log: Log) -> Self {
        Self { log, steps: Cell::new(0) }
    }

    /// Prints a line.
    pub(crate) fn say(&self, text: &str) -> Result<()> {
        Ok(writeln!(stdout(), "{text}")?)
    }

    /// Runs a step and prints its outcome with the requests and bytes that it caused.
    pub(crate) fn step(&self, title: &str, run: impl FnOnce() -> Result<String>) -> Result<()> {
        self.steps.set(self.steps.get().saturating_add(1));
        self.say(&format!("\n{}. {title}", self.steps.get()))?;
        self.log.clear();
        let outcome = run().with_context(|| format!("step {} is not as it should be", self.steps.get()))?;
        self.say(&format!("   {outcome}"))?;
        for (bucket, operation, count) in self.log.counts() {
            let (requests, sent, received) = (count.requests, count.bytes_in, count.bytes_out);
            self.say(&format!("   {bucket}: {requests} × {operation:?}, {sent} bytes up, {received} bytes down"))?;
        }
        Ok(())
    }

    /// Says that all went well.
    pub(crate) fn end(&self) -> Result<()> {
        self.say(&format!("\nAll {} steps are as they should be.", self.steps.get()))
    }
}
