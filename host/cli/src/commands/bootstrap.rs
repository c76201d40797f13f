//! `bootstrap`: sets this machine up as another one was, by what that left in a repository.

use std::ffi::OsString;
use std::fmt::{self, Display};

use clap::Args;
use credenza_app::bootstrap::{self, SetUp};
use credenza_app::shell::shell_word;
use credenza_app::{Kind, StoreUse};
use serde::Serialize;

use super::Session;
use crate::failure::{Exit, Failure};
use crate::report::printable;
use crate::settings::{SettingWord, parse_settings};

/// Write the configuration of a machine that is gone on this one: its places and jobs, without their secrets.
///
/// Whatever backs up into a repository of its configuration keeps that configuration there. Nothing that is here is overwritten. Look at the files before
/// you run anything by them: they name commands. What was secret is listed, and is to be supplied again; `jobs check` names what else is missing.
#[derive(Debug, Args)]
pub(crate) struct Bootstrap {
    /// The repository: a folder, or a location such as s3://host/bucket.
    #[arg(value_name = "REPOSITORY")]
    repository: Option<OsString>,

    /// The machine, where the repository has the configurations of several.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,

    /// A setting of the repository, as key=value; may be given several times.
    #[arg(short = 'o', long = "option", value_name = "KEY=VALUE")]
    settings: Vec<SettingWord>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "bootstrap")]
struct Done {
    #[serde(flatten)]
    set_up: SetUp,
}

impl Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SetUp { host, here, at, written, left_out, connectors } = &self.set_up;
        write!(f, "the configuration of {}, as it was on {at}", printable(host))?;
        for path in written {
            write!(f, "\nwrote {}", printable(&path.display().to_string()))?;
        }
        if host != here {
            let (host, here) = (printable(host), printable(here));
            write!(
                f,
                "\nthis machine is called {here}: snapshots of {host} stay those of {host}, and the jobs here keep and prune their own"
            )?;
        }
        for key in left_out {
            write!(f, "\nsecret, to be supplied: {}", printable(key))?;
        }
        for connector in connectors {
            match connector.from.as_str() {
                "" => write!(f, "\nconnector to install: {}", printable(&connector.name))?,
                from => {
                    write!(f, "\nconnector to install: credenza connector install {}", printable(&shell_word(from)))?
                }
            }
        }
        f.write_str("\nnext: look at the files, then: credenza jobs check")
    }
}

impl Bootstrap {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let place = match &self.repository {
            Some(word) => session.lone_place(Kind::Repository, word, parse_settings(&self.settings)?)?,
            None => session.repository_place()?,
        };
        let open = session.open_repository(place, StoreUse::Read).await?;
        let set_up = bootstrap::set_up(&session.app, &open.repository, self.host.as_deref()).await?;
        session.reporter.done(&Done { set_up });
        Ok(Exit::Done)
    }
}
