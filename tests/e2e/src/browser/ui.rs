//! `credenza ui` as it runs beside a browser.

use std::io::Write;
use std::process::ChildStdin;

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::Value;

use super::Browser;
use crate::credenza::{Outcome, Run};
use crate::{Credenza, Setup};

/// What is asked of one that is no more.
const ENDED: &str = "the page is served no more";

/// A page that is served.
#[derive(Debug)]
pub struct Ui {
    /// None once it has ended.
    run: Option<Run>,
    enter: ChildStdin,
    links: usize,
    /// Where it is, without a slash at the end.
    pub address: String,
}

impl Ui {
    /// Starts one for a user, with these options.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(credenza: &Credenza, options: &[&str]) -> Result<Self> {
        Ok(Self::started(credenza, &[["--json", "ui"].as_slice(), options].concat())?.0)
    }

    /// Starts a daemon that serves the page, with these options, and lets a browser in.
    ///
    /// # Errors
    /// When it does not start.
    pub fn of_daemon(credenza: &Credenza, options: &[&str], browser: &Browser) -> Result<Self> {
        let words = ["--json", "daemon", "--listen", "127.0.0.1:0"];
        let (ui, link) = Self::started(credenza, &[words.as_slice(), options].concat())?;
        enter(browser, &link)?;
        Ok(ui)
    }

    /// Starts one, and hands back the first link with it.
    fn started(credenza: &Credenza, words: &[&str]) -> Result<(Self, String)> {
        let (mut run, fed) = credenza.start_with(words, Vec::new())?;
        let enter = fed.join().ok().context("a run reads its standard input")?;
        let first = link(&mut run, 1)?;
        let address = first.split("/enter").next().unwrap_or_default().trim_end_matches('/').to_owned();
        Ok((Self { run: Some(run), enter, links: 1, address }, first))
    }

    /// Starts one for the user of a setup and lets a browser in.
    ///
    /// # Errors
    /// When it does not start.
    pub fn entered(setup: &Setup, browser: &Browser) -> Result<Self> {
        let mut ui = Self::start(&setup.credenza, &[])?;
        ui.let_in(browser)?;
        Ok(ui)
    }

    /// A link that can be used once.
    ///
    /// # Errors
    /// When none is printed.
    pub fn link(&mut self) -> Result<String> {
        self.enter.write_all(b"\n")?;
        self.links += 1;
        link(self.run.as_mut().context(ENDED)?, self.links)
    }

    /// Lets a browser in, as its user does: by a link, and the button behind it.
    ///
    /// # Errors
    /// When it is not let in.
    pub fn let_in(&mut self, browser: &Browser) -> Result<()> {
        enter(browser, &self.link()?)
    }

    /// An address of it.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// The bytes of memory that it holds now.
    ///
    /// # Errors
    /// When it has ended.
    pub fn memory(&self) -> Result<u64> {
        self.run.as_ref().context(ENDED)?.memory()
    }

    /// Ends it, as Ctrl-C does.
    ///
    /// # Errors
    /// When it does not end in good order.
    pub fn end(mut self) -> Result<Outcome> {
        let run = self.run.take().context(ENDED)?;
        run.signal(Signal::INT)?;
        run.wait()?.expect_code(0)
    }
}

impl Drop for Ui {
    fn drop(&mut self) {
        // A test that fails has more to say than what fails here.
        let _ = self.run.take().map(|run| run.signal(Signal::INT).and_then(|()| run.wait()));
    }
}

fn enter(browser: &Browser, link: &str) -> Result<()> {
    browser.open(link)?;
    browser.click("Enter")?;
    browser.expect("Your backups")
}

/// A link that was printed: the first, the second and so on.
fn link(run: &mut Run, number: usize) -> Result<String> {
    let printed = run.printed_lines(number)?;
    let line: Value = serde_json::from_str(printed.last().context("a link is printed")?)?;
    Ok(line.get("link").and_then(Value::as_str).context("a line has a link")?.to_owned())
}
