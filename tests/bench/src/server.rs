//! The S3 server of the tests as a process of its own, whose CPU is nobody's business here.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use credenza_e2e::workspace;

/// A running server with one bucket; it is ended when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    lines: Vec<(String, String)>,
}

impl Server {
    /// Starts a server whose bucket holds so many incompressible objects of so many bytes, computed as they are read.
    pub(crate) fn start(objects: u64, object_bytes: u64) -> Result<Self> {
        let program = workspace().join("target/debug/credenza-s3-server");
        let mut command = Command::new(&program);
        command.args(["--seed-objects", &objects.to_string(), "--seed-bytes", &object_bytes.to_string()]);
        let mut process =
            command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {command:?}"))?;
        let out = process.stdout.take().context("the server has no output")?;
        let mut server = Self { process, lines: Vec::new() };
        for line in BufReader::new(out).lines().take(4) {
            let line = line?;
            let (name, value) = line.split_once('=').with_context(|| format!("the server says {line}"))?;
            server.lines.push((name.to_owned(), value.to_owned()));
        }
        Ok(server)
    }

    /// The settings of a connector for the bucket.
    pub(crate) fn settings(&self) -> Vec<String> {
        let host = self.line("endpoint").trim_start_matches("http://");
        vec![
            format!("location=s3://{host}/{}", self.line("bucket")),
            format!("access_key={}", self.line("access_key")),
            format!("secret_access_key={}", self.line("secret_key")),
            "use_tls=false".to_owned(),
        ]
    }

    fn line(&self, name: &str) -> &str {
        self.lines.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that is gone already needs no end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
