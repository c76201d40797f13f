//! `login NAME`: a code for a browser, and the refresh token that comes of it.

use std::fmt::{self, Display};

use clap::Args;
use credenza_app::{DeviceCode, Kind};
use serde::Serialize;

use super::Session;
use crate::failure::{Exit, Failure};
use crate::report::printable;

/// Log in to a place of the configuration, by a code that is entered in a browser anywhere.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The name of a repository, source or destination in the configuration.
    name: String,

    /// What it is, where places of several kinds have that name.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<Kind>,
}

impl Login {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let login = session.app.login(self.kind, &self.name).await?;
        let code = login.begin().await?;
        session.reporter.at_once(&CodeLine::from(&code))?;
        let setting = login.finish(&code).await?;
        let (kind, name) = login.place();
        session.reporter.done(&DoneLine { record: "logged-in", kind, name: name.as_str(), setting });
        Ok(Exit::Done)
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    let kinds = [Kind::Repository, Kind::Source, Kind::Destination];
    kinds.into_iter().find(|kind| kind.name() == text).ok_or_else(|| "use repository, source or destination".to_owned())
}

/// What a person does.
#[derive(Serialize)]
struct CodeLine<'a> {
    #[serde(rename = "type")]
    record: &'static str,
    verification_uri: &'a str,
    user_code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_uri_complete: Option<&'a str>,
    expires_in_seconds: u64,
}

impl<'a> From<&'a DeviceCode> for CodeLine<'a> {
    fn from(code: &'a DeviceCode) -> Self {
        Self {
            record: "login",
            verification_uri: &code.verification_uri,
            user_code: &code.user_code,
            verification_uri_complete: code.verification_uri_complete.as_deref(),
            expires_in_seconds: code.expires_in.as_secs(),
        }
    }
}

impl Display for CodeLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "open this in a browser, here or on another device: {}", printable(self.verification_uri))?;
        write!(f, "and enter the code: {}", printable(self.user_code))?;
        if let Some(address) = self.verification_uri_complete {
            write!(f, "\nor open this, with the code in it: {}", printable(address))?;
        }
        Ok(())
    }
}

/// What came of it.
#[derive(Serialize)]
struct DoneLine<'a> {
    #[serde(rename = "type")]
    record: &'static str,
    kind: Kind,
    name: &'a str,
    setting: &'a str,
}

impl Display for DoneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "logged in: the {} {} keeps the refresh token as its setting `{}`",
            self.kind, self.name, self.setting
        )
    }
}
