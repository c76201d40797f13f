//! Snapshots that are served to other programs: the run that serves them, and how it is reached.

use crate::s3::{Endpoint, S3};
use crate::{Credenza, Run, servers};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

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

    /// Runs a client that `tests/servers/install.sh` installs, with what lets in; what it said. `home` is where it keeps what it likes.
    ///
    /// # Errors
    /// When it is not there, or fails.
    pub fn client(&self, home: &Path, (package, program): (&str, &str), words: &[&str]) -> Result<String> {
        let path = servers::program(package, program);
        ensure!(path.exists(), "{} is not there: run tests/servers/install.sh {package}", path.display());
        std::fs::create_dir_all(home)?;
        let mut command = Command::new(&path);
        command.args(words).env_clear().current_dir(home).env("HOME", home).env("LANG", "C.UTF-8");
        command.env("PATH", format!("{}:/usr/bin:/bin", path.parent().unwrap_or(Path::new("/")).display()));
        command.env("AWS_ACCESS_KEY_ID", self.text("access_key")).env("AWS_REGION", "us-east-1");
        command.env("AWS_SECRET_ACCESS_KEY", self.text("secret_access_key"));
        command.env("RCLONE_CONFIG", "/dev/null").env("RCLONE_WEBDAV_URL", self.text("endpoint"));
        if program == "rclone" {
            let obscured = Command::new(&path).args(["obscure", self.text("password")]).output()?;
            command.env("RCLONE_WEBDAV_USER", self.text("user"));
            command.env("RCLONE_WEBDAV_PASS", String::from_utf8(obscured.stdout)?.trim());
        }
        let output = command.output().with_context(|| format!("cannot run {}", path.display()))?;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "{program}: {said}");
        Ok(said)
    }

    /// The address with what lets in before the host, as some clients take it.
    #[must_use]
    pub fn url_with_password(&self) -> String {
        let (scheme, rest) = self.text("endpoint").split_once("://").unwrap_or_default();
        format!("{scheme}://{}:{}@{rest}", self.text("user"), self.text("password"))
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
