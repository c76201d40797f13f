//! `chromedriver`: its process, and requests to it. WebDriver is JSON over HTTP, a request at a time, so that no library is needed for it;
//! the one there is wants `reqwest`, which `deny.toml` refuses.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// An answer that takes longer never comes: pages have a minute, and two cores may have much else to do.
const ANSWER_MAX: Duration = Duration::from_secs(180);

/// A running driver; it ends when dropped, and its browsers with it.
#[derive(Debug)]
pub(super) struct Driver {
    process: Child,
    /// Kept open, so that the driver can go on writing.
    _output: BufReader<ChildStdout>,
    port: u16,
    /// Where it and its browsers keep what they need.
    pub(super) folder: TempDir,
}

impl Driver {
    /// Starts one on a port that the system chooses.
    pub(super) fn start() -> Result<Self> {
        let folder = TempDir::with_prefix("credenza-browser-")?;
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").env("HOME", folder.path()).env("TMPDIR", folder.path());
        command.env("XDG_CONFIG_HOME", folder.path()).env("XDG_CACHE_HOME", folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().context(
            "cannot run chromedriver; `apt-get install chromium chromium-driver` installs it, and so does `cargo xtask test` as root",
        )?;
        let mut output = BufReader::new(process.stdout.take().context("a driver has an output")?);
        let mut said = String::new();
        let port = loop {
            let mut line = String::new();
            ensure!(output.read_line(&mut line)? > 0, "chromedriver ended: {said}");
            said.push_str(&line);
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim().trim_end_matches('.').parse().with_context(|| line.clone())?;
            }
        };
        Ok(Self { process, _output: output, port, folder })
    }

    /// The `value` of an answer.
    pub(super) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let text = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", self.port);
        let kind = "Content-Type: application/json; charset=utf-8\r\n";
        stream.write_all(format!("{head}{kind}Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes())?;
        let answer = read(BufReader::new(stream)).with_context(|| format!("{method} {path} was not answered"))?;
        let value = serde_json::from_slice::<Value>(&answer)?.get_mut("value").map(Value::take).unwrap_or_default();
        match value.get("error").and_then(Value::as_str) {
            Some(error) => bail!(
                "{method} {path}: {error}: {}",
                value.get("message").and_then(Value::as_str).unwrap_or_default().lines().next().unwrap_or_default()
            ),
            None => Ok(value),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It ends its browsers first. A test that ends has nobody to tell of what fails.
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let _ = self.process.wait();
    }
}

/// The body of an answer with a length.
fn read(mut stream: BufReader<TcpStream>) -> Result<Vec<u8>> {
    let mut length = None;
    loop {
        let mut line = String::new();
        ensure!(stream.read_line(&mut line)? > 0, "the driver went away");
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse().ok(),
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length.context("an answer has a length")?];
    stream.read_exact(&mut body)?;
    Ok(body)
}
