//! `connector new`: a connector to start from.

use std::fmt::{self, Display};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use credenza_author::{Language as Written, scaffold};
use serde::Serialize;

use crate::commands::Session;
use crate::failure::Failure;
use credenza_app::shell::shell_word;

/// Starts a connector.
#[derive(Debug, Args)]
pub(crate) struct NewCommand {
    /// Its name, which is also the scheme of its locations: a-z, 0-9 and `-`.
    name: String,
    /// What it is to be: source, store, destination; all that the language has a template for, when it is left out.
    #[arg(long, value_delimiter = ',', value_name = "ROLE,…")]
    roles: Vec<String>,
    /// What it is written in.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    language: Language,
    /// Where it is to lie, instead of in a folder of its name.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// A folder with the sources of credenza-sdk, instead of a copy beside the connector.
    #[arg(long)]
    sdk: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    /// A source, a store and a destination of files on a WebDAV server.
    Rust,
    /// A source of files that an index in JSON names; built with Node.js.
    Javascript,
    /// A source of files that an index in JSON names; built with Python.
    Python,
}

impl From<Language> for Written {
    fn from(language: Language) -> Self {
        match language {
            Language::Rust => Self::Rust,
            Language::Javascript => Self::Javascript,
            Language::Python => Self::Python,
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "connector_started")]
struct Started {
    name: String,
    folder: PathBuf,
}

impl Display for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = shell_word(&self.folder.to_string_lossy());
        write!(
            f,
            "started {} in {folder}; what comes next:\n  credenza connector build {folder}\n  credenza connector test {}",
            self.name,
            shell_word(&self.folder.join(format!("{}.wasm", self.name)).to_string_lossy())
        )
    }
}

impl NewCommand {
    pub(super) fn run(self, session: &Session<'_>) -> Result<(), Failure> {
        let Self { name, roles, language, folder, sdk } = self;
        let language = Written::from(language);
        let folder = folder.unwrap_or_else(|| PathBuf::from(&name));
        let roles: Vec<&str> = match roles.is_empty() {
            true => language.roles().to_vec(),
            false => roles.iter().map(String::as_str).collect(),
        };
        let sdk = sdk.map(|sdk| {
            let unusable = |why: String| Failure::usage(format!("{} is not the SDK", sdk.display())).because(why);
            let absolute = sdk.canonicalize().map_err(|error| unusable(error.to_string()))?;
            match absolute.join("Cargo.toml").is_file() {
                true => Ok(absolute),
                false => Err(unusable("there is no Cargo.toml in it".to_owned())),
            }
        });
        scaffold(&folder, &name, &roles, language, sdk.transpose()?.as_deref()).map_err(|error| {
            let failure = Failure::usage(error.to_string()).hint(error.remedy());
            match std::error::Error::source(&error) {
                Some(why) => failure.because(why.to_string()),
                None => failure,
            }
        })?;
        session.reporter.done(&Started { name, folder });
        Ok(())
    }
}
