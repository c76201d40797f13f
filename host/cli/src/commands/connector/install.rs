//! `connector install` and `connector update`: what a component asks for, in plain words, and the person's answer.
//!
//! Owned here: which words there are and how the answer is given: on a terminal, with `--yes`, or with the hash of exactly this grant. Refused
//! here: what a grant is (`credenza-sandbox`), and what is kept of it (`credenza-app`). Every foreign text was made one line of plain letters.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use clap::Args;
use credenza_app::{Component, Installation, OCI, Pin, home};
use credenza_format::{Hex, PublicKey};
use credenza_sandbox::{GrantLine, GrantTopic};
use serde::Serialize;

use super::super::agree::{agreed, can_ask};
use super::Session;
use crate::failure::{Exit, Failure};
use crate::globals::path_parser;
use crate::report::{Reporter, brief};
use credenza_app::shell::shell_word;

/// What names a component that the repository keeps.
const ESCROW: &str = "escrow:";

/// Install a component, once you agree to what it may do.
///
/// It is shown what the component reaches, with which requests, and which credentials go along. What you agree to is kept in connectors.lock,
/// with the digest of the file, which is checked at each use.
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// A file, https://…#sha256=DIGEST, oci://SERVER/REPOSITORY:TAG, or escrow:DIGEST: one that a backup has kept in the repository.
    #[arg(value_name = "FILE|URL")]
    from: String,

    #[command(flatten)]
    login: Login,

    /// Let it go before the connector of the same name or scheme that is part of the program.
    #[arg(long = "override")]
    overrides: bool,

    #[command(flatten)]
    consent: Consent,
}

/// Look for another version of an installed component where it came from; ask again where it wants more than you agreed to, or where nobody has signed it.
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Its name.
    name: String,

    /// Take it from there from now on: a file, https://…#sha256=DIGEST, or oci://SERVER/REPOSITORY:TAG.
    #[arg(value_name = "FILE|URL")]
    from: Option<String>,

    #[command(flatten)]
    login: Login,

    #[command(flatten)]
    consent: Consent,
}

/// Who asks a registry.
#[derive(Debug, Args)]
pub(super) struct Login {
    /// Ask the registry with what this file holds, NAME:PASSWORD; else with what docker keeps for that server.
    #[arg(long, value_name = "FILE", value_parser = path_parser())]
    pub(super) login_file: Option<PathBuf>,
}

/// How to agree without being asked.
#[derive(Debug, Args)]
struct Consent {
    /// Agree to whatever it asks for.
    #[arg(long)]
    yes: bool,

    /// Agree to this grant and no other, by the hash that `connector inspect` prints.
    #[arg(long, value_name = "HASH", conflicts_with = "yes")]
    grant: Option<String>,
}

/// What was installed.
#[derive(Serialize)]
#[serde(tag = "type", rename = "installed")]
struct Installed<'a> {
    name: &'a str,
    version: &'a str,
    sha256: &'a str,
    publisher: Option<PublicKey>,
    grant: Hex<[u8; 32]>,
    /// Whether nothing was to be done.
    unchanged: bool,
}

impl Display for Installed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = if self.unchanged { "is installed as it is" } else { "installed" };
        write!(f, "{done}: {} {}, sha256 {}", self.name, brief(self.version), self.sha256)
    }
}

impl Install {
    pub(super) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let (component, from) = candidate(&self.from, &self.login, session).await?;
        let installation = session.app.connectors().examine(component, from, self.overrides)?;
        install(&installation, &self.consent, &format!("install {}", shell_word(&self.from)), session).await
    }
}

impl Update {
    pub(super) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let connectors = session.app.connectors();
        let pin = super::pin(&self.name, session)?;
        let from = self.from.unwrap_or_else(|| pin.from.clone());
        let (component, from) = candidate(&from, &self.login, session).await?;
        if component.manifest.name != pin.name {
            let (name, found) = (pin.name, component.manifest.name);
            return Err(credenza_app::ConnectorsError::OtherName { name, found }.into());
        }
        let again = format!("update {} {}", shell_word(&self.name), shell_word(&from));
        let installation = connectors.examine(component, from, pin.overrides_embedded)?;
        install(&installation, &self.consent, &again, session).await
    }
}

/// A component that is to be installed, and where it is from in a form that means the same wherever one stands.
async fn candidate(from: &str, login: &Login, session: &Session<'_>) -> Result<(Component, String), Failure> {
    let connectors = session.app.connectors();
    if from.starts_with("https://") || from.starts_with("http://") {
        return Ok((session.app.download_connector(from).await?, from.to_owned()));
    }
    if from.starts_with(OCI) {
        return Ok((session.app.fetch_connector(from, login.login_file.as_deref()).await?, from.to_owned()));
    }
    if let Some(digest) = from.strip_prefix(ESCROW) {
        let digest = digest.parse().map_err(|_| {
            Failure::usage(format!("`{}` names no connector in escrow", from.escape_debug()))
                .hint("it is `escrow:` and the 64 digits that `info` prints of a snapshot")
        })?;
        let open = session.open_for_reading().await?;
        return Ok((session.app.connector_in_escrow(&open.repository, digest).await?, from.to_owned()));
    }
    let path = std::path::absolute(home::expand(Path::new(from))?)
        .map_err(|error| Failure::usage(format!("`{from}` is no path")).because(error.to_string()))?;
    Ok((connectors.candidate(&path)?, path.display().to_string()))
}

async fn install(
    installation: &Installation,
    consent: &Consent,
    again: &str,
    session: &Session<'_>,
) -> Result<Exit, Failure> {
    let pin = installation.pin();
    let unchanged = installation.before.as_ref() == Some(&pin);
    if installation.needs_consent() {
        show(installation, &pin, session.reporter);
        agree(installation, consent, again).await?;
    }
    if !unchanged {
        session.app.connectors().install(installation)?;
    }
    session.reporter.done(&Installed {
        name: &pin.name,
        version: &pin.version,
        sha256: &pin.sha256,
        publisher: pin.publisher,
        grant: Hex(installation.grant.hash()),
        unchanged,
    });
    Ok(Exit::Done)
}

/// What it asks for: all of it when none of its name is installed, else what is beyond what was agreed to, and whether it is another file.
fn show(installation: &Installation, pin: &Pin, reporter: &Reporter) {
    let signed = pin.publisher.map_or_else(
        || "nobody signed it: that it is what its author made is for you to know".to_owned(),
        |key| format!("signed by {key}"),
    );
    reporter.note(format!("connector {} {}, sha256 {}\n{signed}", pin.name, brief(&pin.version), pin.sha256));
    if installation.overrides_embedded() {
        reporter.note("goes before the connector that is part of this program");
    }
    if let Some(before) = installation.unvouched() {
        reporter.note(format!(
            "\nanother file than the one that you agreed to, and no publisher is known who vouches for both:\n  before  {}, sha256 {}\n  now     {}, sha256 {}",
            brief(&before.version),
            before.sha256,
            brief(&pin.version),
            pin.sha256
        ));
    }
    let wider = installation.wider();
    match (&installation.before, wider.is_empty()) {
        (None, _) => {}
        (Some(_), true) => reporter.note("\nit asks for nothing that you have not agreed to"),
        (Some(_), false) => reporter.note("\nit asks for more than you agreed to:"),
    }
    reporter.note(topics(wider));
}

/// Lines below their headings.
pub(super) fn topics<'a>(lines: impl IntoIterator<Item = &'a GrantLine>) -> String {
    let mut text = String::new();
    let mut above: Option<GrantTopic> = None;
    for line in lines {
        if above != Some(line.topic) {
            text.push_str(&format!("\n{}\n", line.topic.heading()));
            above = Some(line.topic);
        }
        text.push_str(&format!("  {}\n", line.words));
    }
    text
}

async fn agree(installation: &Installation, consent: &Consent, again: &str) -> Result<(), Failure> {
    let hash = Hex(installation.grant.hash()).to_string();
    match &consent.grant {
        _ if consent.yes => Ok(()),
        Some(given) if *given == hash => Ok(()),
        Some(_) => Err(Failure::usage("this is another grant than the one that you agree to")
            .because(format!("its hash is {hash}"))
            .hint(format!("read what it asks for; to agree: credenza connector {again} --grant {hash}"))),
        None if can_ask() => match agreed("do you agree?").await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::new("nothing was installed: you did not agree")),
            Err(error) => Err(Failure::new("no answer could be read").because(error.to_string())),
        },
        None => Err(Failure::usage("nobody is there to agree to what the connector may do")
            .hint(format!("read what it asks for; to agree to that: credenza connector {again} --grant {hash}"))),
    }
}
