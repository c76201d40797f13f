//! `connector publish`: a component goes to a registry, from where others install it.

use std::fmt::{self, Display};
use std::path::PathBuf;

use clap::Args;
use credenza_format::{PublicKey, component_publisher};
use serde::Serialize;

use super::install::Login;
use crate::commands::Session;
use crate::failure::{Exit, Failure};
use crate::globals::path_parser;
use crate::report::brief;
use credenza_app::shell::shell_word;

/// Publish a component to a registry of containers, from where others install it.
///
/// It goes there as it is, with the signature that is in it. Whoever installs it is asked what it may do.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// The component.
    #[arg(value_parser = path_parser())]
    file: PathBuf,
    /// Where it goes: oci://SERVER/REPOSITORY:TAG. Without TLS on this machine alone.
    #[arg(value_name = "URL")]
    to: String,
    #[command(flatten)]
    login: Login,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "connector_published")]
struct Done<'a> {
    name: &'a str,
    version: &'a str,
    /// Where it is, whatever the tag leads to later.
    reference: String,
    publisher: Option<PublicKey>,
}

impl Display for Done<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "published: {} {} as {}", brief(self.name), brief(self.version), self.reference)?;
        self.publisher.iter().try_for_each(|key| write!(f, ", by {key}"))
    }
}

impl Publish {
    pub(super) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let component = session.app.connectors().candidate(&self.file)?;
        let login = self.login.login_file.as_deref();
        let published = session.app.publish_connector(component, &self.to, login).await?;
        let publisher = component_publisher(&published.component.bytes).ok().flatten();
        if publisher.is_none() {
            session.reporter.note(format!(
                "nobody signed it: whoever installs it cannot tell a later one of yours from one of somebody else; sign it before: credenza --signing-key KEY connector sign {}",
                shell_word(&self.file.to_string_lossy())
            ));
        }
        session.reporter.done(&Done {
            name: &published.component.manifest.name,
            version: &published.component.manifest.version,
            reference: published.reference.to_string(),
            publisher,
        });
        Ok(Exit::Done)
    }
}
