//! `connector`: the components at hand, what one asks for, which ones may run, and what their authors need: start one, build it, test it, publish it. Only
//! a test runs their code.

mod build;
mod dev;
mod inspect;
mod install;
mod live;
mod new;
mod publish;
mod record;
mod test;

use std::fmt::{self, Display};
use std::path::PathBuf;

use clap::Subcommand;
use credenza_app::{Component, ConnectorsError, Pin, Settings, Trust, signing};
use credenza_format::{PublicKey, sign_component};
use serde::Serialize;

use super::Session;
use crate::failure::{Exit, Failure};
use crate::globals::path_parser;
use crate::report::brief;
use inspect::ConnectorDetails;

/// What can be done with connectors.
#[derive(Debug, Subcommand)]
pub(crate) enum ConnectorCommand {
    /// Print the connectors at hand.
    List,
    /// Print what a connector is, whether it will run, which settings it has and what it may reach.
    Inspect {
        /// Its name, or the path of a component.
        #[arg(value_name = "NAME|PATH")]
        name_or_path: String,
    },
    /// Start a connector of your own, in Rust, JavaScript or Python: a folder that builds at once.
    New(new::NewCommand),
    /// Build a connector into a component.
    Build(build::BuildCommand),
    /// Test whether a component does what connectors must, without the service that it is for.
    Test(test::TestCommand),
    /// Build and test a connector again whenever one of its files changes, until you interrupt it.
    Dev(dev::DevCommand),
    Install(install::Install),
    Update(install::Update),
    /// Take back what you agreed to, and remove the component.
    Remove {
        /// Its name.
        name: String,
    },
    /// Hold installed connectors against what you agreed to: digest, publisher, signature, and that they will run.
    Verify {
        /// Its name; all, when none is given.
        name: Option<String>,
    },
    Publish(publish::Publish),
    Record(record::RecordCommand),
    /// Sign a component as its publisher, with the key of --signing-key (see `key signer`), in the component's own file.
    Sign {
        /// The component.
        #[arg(value_parser = path_parser())]
        file: PathBuf,
    },
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
    trust: &'static str,
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
            trust: match component.trust {
                Trust::Embedded => "embedded",
                Trust::Pinned => "installed",
                Trust::ThisRun | Trust::None => "not installed",
            },
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
        match self.trust {
            "embedded" => write!(f, "  {}", brief(&self.origin)),
            trust => write!(f, "  {}, {trust}", brief(&self.origin)),
        }
    }
}

/// What became of an installed connector.
#[derive(Serialize)]
#[serde(tag = "type", rename = "connector_done")]
struct Done<'a> {
    name: &'a str,
    done: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<PublicKey>,
}

impl Display for Done<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.done, brief(self.name))?;
        self.publisher.iter().try_for_each(|key| write!(f, ", by {key}"))
    }
}

impl ConnectorCommand {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        match self {
            Self::List => list(session),
            Self::Inspect { name_or_path } => {
                let component = session.app.connectors().named(&name_or_path)?;
                session.reporter.result(&ConnectorDetails::new(&component)?)?;
                Ok(Exit::Done)
            }
            Self::Install(install) => install.run(session).await,
            Self::Update(update) => update.run(session).await,
            Self::Remove { name } => {
                let pin = session.app.connectors().remove(&name)?;
                session.reporter.done(&Done { name: &pin.name, done: "removed", publisher: None });
                Ok(Exit::Done)
            }
            Self::Verify { name } => verify(name.as_deref(), session),
            Self::Sign { file } => sign(&file, session),
            Self::Publish(command) => command.run(session).await,
            Self::Record(command) => command.run(session).await,
            Self::New(command) => command.run(session).map(|()| Exit::Done),
            Self::Build(command) => command.run(session).map(|()| Exit::Done),
            Self::Test(command) => command.run(session).await,
            Self::Dev(command) => command.run(session).await,
        }
    }
}

/// One that cannot be used does not hide the others.
fn list(session: &Session<'_>) -> Result<Exit, Failure> {
    let connectors = session.app.connectors();
    let mut broken = None;
    for component in connectors.all()? {
        match component {
            Ok(component) => session.reporter.result(&ConnectorLine::new(&component))?,
            Err(error) => {
                session.reporter.warning(&error);
                broken = Some(error);
            }
        }
    }
    for path in connectors.strays()? {
        session.reporter.note(format!(
            "{} is not installed: credenza connector install {}",
            path.display(),
            credenza_app::shell::shell_word(&path.to_string_lossy())
        ));
    }
    broken.map_or(Ok(Exit::Done), |error| Err(error.into()))
}

/// The installed connector of that name.
fn pin(name: &str, session: &Session<'_>) -> Result<Pin, Failure> {
    let pin = session.app.connectors().pins()?.into_iter().find(|pin| pin.name == name);
    Ok(pin.ok_or_else(|| ConnectorsError::Unknown { name: name.to_owned() })?)
}

/// Looks at all of them before it fails.
fn verify(name: Option<&str>, session: &Session<'_>) -> Result<Exit, Failure> {
    let connectors = session.app.connectors();
    let pins = match name {
        Some(name) => vec![pin(name, session)?],
        None => connectors.pins()?,
    };
    let mut broken = None;
    for pin in &pins {
        match connectors.verify(pin) {
            Ok(_) => {
                session.reporter.result(&Done { name: &pin.name, done: "as agreed", publisher: pin.publisher })?;
            }
            Err(error) => {
                session.reporter.warning(&error);
                broken = Some(error);
            }
        }
    }
    broken.map_or(Ok(Exit::Done), |error| Err(error.into()))
}

/// Replaces the file whole.
fn sign(file: &PathBuf, session: &Session<'_>) -> Result<Exit, Failure> {
    let key = signing::provided(session.globals.signing_key.as_deref(), &Settings::default())?;
    let key = key.ok_or_else(|| {
        Failure::usage("no signing key is given")
            .hint("make one: credenza key signer FILE; then name it with --signing-key FILE")
    })?;
    let component = session.app.connectors().candidate(file)?;
    let failed = |error: std::io::Error| {
        Failure::new(format!("{} cannot be written", file.display())).because(error.to_string())
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| ".".as_ref());
    let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    std::io::Write::write_all(&mut temporary, &sign_component(&component.bytes, &key)).map_err(failed)?;
    let permissions = std::fs::metadata(file).map_err(failed)?.permissions();
    temporary.as_file().set_permissions(permissions).map_err(failed)?;
    temporary.persist(file).map_err(|error| failed(error.error))?;
    session.reporter.done(&Done { name: &component.manifest.name, done: "signed", publisher: Some(key.public()) });
    Ok(Exit::Done)
}
