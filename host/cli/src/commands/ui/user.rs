//! `ui user`: who may use the page from other machines.

use std::fmt::{self, Display};
use std::path::PathBuf;

use clap::Subcommand;
use credenza_app::passphrase::{self, Passphrase};
use credenza_app::users::{Role, Users};
use serde::Serialize;

use super::super::Session;
use crate::failure::{Exit, Failure};
use crate::globals::path_parser;
use crate::passphrase::{ask_new, can_ask};

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user, with a password that is asked for.
    Add {
        /// The name.
        name: String,
        /// What the user may do: viewer (see how backups stand), restorer (and read contents, restore), operator (and start and cancel runs) or admin
        /// (and remove, and change the configuration).
        #[arg(long)]
        role: Role,
        /// Read the password from this file.
        #[arg(long, value_name = "FILE", value_parser = path_parser())]
        password_file: Option<PathBuf>,
        /// Give none: a proxy says who the user is.
        #[arg(long, conflicts_with = "password_file")]
        no_password: bool,
    },
    /// Give a user another password. Sessions of the user end.
    Password {
        /// The name.
        name: String,
        /// Read the password from this file.
        #[arg(long, value_name = "FILE", value_parser = path_parser())]
        password_file: Option<PathBuf>,
    },
    /// Give a user another role. Sessions of the user end.
    Role {
        /// The name.
        name: String,
        /// viewer, restorer, operator or admin.
        role: Role,
    },
    /// Remove a user. Sessions of the user end.
    Remove {
        /// The name.
        name: String,
    },
    /// Print the users.
    List,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "user")]
struct UserLine {
    name: String,
    role: Role,
    password: bool,
}

impl Display for UserLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<20} {}", self.name, self.role)?;
        if self.password { Ok(()) } else { f.write_str(" (no password)") }
    }
}

impl UserCommand {
    pub(super) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let folder = session.app.configuration_folder()?;
        match self {
            Self::Add { name, role, no_password: true, .. } => {
                Users::edit(folder, |users| Ok::<_, Failure>(users.add(&name, role, None)?))?;
            }
            Self::Add { name, role, password_file, .. } => {
                let password = password(&name, password_file).await?;
                Users::edit(folder, |users| Ok::<_, Failure>(users.add(&name, role, Some(&password))?))?;
            }
            Self::Password { name, password_file } => {
                let password = password(&name, password_file).await?;
                Users::edit(folder, |users| Ok::<_, Failure>(users.set_password(&name, &password)?))?;
            }
            Self::Role { name, role } => {
                Users::edit(folder, |users| Ok::<_, Failure>(users.set_role(&name, role)?))?;
            }
            Self::Remove { name } => Users::edit(folder, |users| Ok::<_, Failure>(users.remove(&name)?))?,
            Self::List => {
                for user in Users::read(folder)?.all()? {
                    let line = UserLine { password: user.has_password(), role: user.role, name: user.name };
                    session.reporter.result(&line)?;
                }
            }
        }
        Ok(Exit::Done)
    }
}

async fn password(name: &str, file: Option<PathBuf>) -> Result<Passphrase, Failure> {
    match file {
        Some(file) => Ok(passphrase::from_file(&file)?),
        None if can_ask() => ask_new(name).await,
        None => Err(Failure::usage("no password is given").hint("use --password-file FILE, or run this on a terminal")),
    }
}
