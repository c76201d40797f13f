//! `connector`: the components at hand, what one asks for, and what their authors need: start one, build it, test it. Only a test runs their code.

mod build;
mod inspect;
mod new;
mod test;

use std::fmt::{self, Display};

use clap::Subcommand;
use credenza_app::Component;
use serde::Serialize;

use super::Session;
use crate::failure::{Exit, Failure};
use crate::report::brief;
use inspect::ConnectorDetails;

/// What can be done with connectors.
#[derive(Debug, Subcommand)]
pub(crate) enum ConnectorCommand {
    /// Print the connectors at hand.
    List,
    /// Print what a connector is, which settings it has and what it may reach.
    Inspect {
        /// Its name, or the path of a component.
        #[arg(value_name = "NAME|PATH")]
        name_or_path: String,
    },
    /// Start a connector of your own: a crate that builds and passes the tests.
    New(new::NewCommand),
    /// Build a connector into a component.
    Build(build::BuildCommand),
    /// Test whether a component does what connectors must, without the service that it is for.
    Test(test::TestCommand),
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "connector")]
struct ConnectorLine<'a> {
    name: &'a str,
    version: &'a str,
    summary: &'a str,
    roles: Vec<&'static str>,
    schemes: &'a [String],
    origin: String,
}

impl<'a> ConnectorLine<'a> {
    fn new(component: &'a Component) -> Self {
        let manifest = &component.manifest;
        Self {
            name: &manifest.name,
            version: &manifest.version,
            summary: &manifest.summary,
            roles: manifest.roles.iter().map(|role| role.name()).collect(),
            schemes: &manifest.schemes,
            origin: component.origin.to_string(),
        }
    }
}

impl Display for ConnectorLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schemes: Vec<String> = self.schemes.iter().map(|scheme| format!("{scheme}://")).collect();
        write!(
            f,
            "{} {}  {}  ({})",
            brief(self.name),
            brief(self.version),
            brief(&schemes.join(" ")),
            self.roles.join(", ")
        )?;
        write!(f, "  {}", brief(&self.origin))
    }
}

impl ConnectorCommand {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::List => {
                for component in session.app.connectors().all()? {
                    session.reporter.result(&ConnectorLine::new(&component))?;
                }
            }
            Self::Inspect { name_or_path } => {
                let component = session.app.connectors().named(&name_or_path)?;
                session.reporter.result(&ConnectorDetails::new(&component))?;
            }
            Self::New(command) => command.run(session)?,
            Self::Build(command) => command.run(session)?,
            Self::Test(command) => return command.run(session).await,
        }
        Ok(Exit::Done)
    }
}
