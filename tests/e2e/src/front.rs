//! Snapshots that are served to other programs: the run that serves them, and how it is reached.

use crate::s3::{Endpoint, S3};
use crate::{Credenza, Run};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

/// A run of `credenza serve`; it ends when dropped.
pub struct Front {
    run: Option<Run>,
    /// The line that it printed: where it is and what lets in.
    pub line: Value,
}

impl Front {
    /// Starts to serve, and waits until it does.
    ///
    /// # Errors
    /// When it does not say where.
    pub fn start(credenza: &Credenza, words: &[&str]) -> Result<Self> {
        let mut run = credenza.start([&["--json", "serve"], words].concat())?;
        let printed = run.printed("\n")?;
        let line = serde_json::from_str(&printed).with_context(|| format!("{printed} is no line of JSON"))?;
        Ok(Self { run: Some(run), line })
    }

    /// A text of its line; empty when there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.line.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// How a front that speaks S3 is reached.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            url: self.text("endpoint").to_owned(),
            access_key: self.text("access_key").to_owned(),
            secret_key: self.text("secret_access_key").to_owned(),
            region: "us-east-1".to_owned(),
            ca_file: None,
        }
    }

    /// A client of it.
    ///
    /// # Errors
    /// As for [`S3::new`].
    pub fn s3(&self) -> Result<S3> {
        S3::new(self.endpoint())
    }

    /// Interrupts it, and demands that it ends well.
    ///
    /// # Errors
    /// When it does not.
    pub fn end(mut self) -> Result<()> {
        let run = self.run.take().context("it runs")?;
        run.signal(Signal::INT)?;
        let outcome = run.wait()?.expect_code(0)?;
        ensure!(!outcome.whole().contains("panicked"), "{}", outcome.whole());
        Ok(())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            let _ = run.signal(Signal::TERM);
            let _ = run.wait();
        }
    }
}
