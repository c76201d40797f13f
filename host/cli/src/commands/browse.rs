//! `browse`: a folder or a bucket as it is now, without a snapshot.

use std::ffi::OsString;

use clap::Args;
use credenza_app::Kind;
use credenza_connect::{Batches, Found, ScanOptions};
use credenza_model::EntryStatus;

use super::Session;
use crate::failure::{Exit, Failure};
use crate::report::{EntryLine, Zone};
use crate::settings::{SettingWord, parse_settings};

/// Entries asked of the source at once.
const PAGE: usize = 1000;

/// List a folder or bucket as it is now, without a snapshot.
#[derive(Debug, Args)]
pub(crate) struct Browse {
    /// A folder, a location such as s3://host/bucket/prefix, or @name of a source.
    location: OsString,

    /// Show mode, owner, size and time; with --json, their attributes too.
    #[arg(short, long)]
    long: bool,

    /// Show times in UTC, as --json always does, and not in the zone of this machine.
    #[arg(long)]
    utc: bool,

    /// List everything below, not only what lies directly there.
    #[arg(short, long)]
    recursive: bool,

    /// A setting of the location, as key=value; may be given several times. One of the repository stands before the command.
    #[arg(short = 'o', long = "source-option", value_name = "KEY=VALUE")]
    settings: Vec<SettingWord>,
}

impl Browse {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let place = session.lone_place(Kind::Source, &self.location, parse_settings(&self.settings)?)?;
        let source = session.app.source(&place, None).await?.connector;
        let failed = |error| Failure::of_connector(format!("listing {}", place.text()), &error);
        let options = ScanOptions { one_level: !self.recursive, ..ScanOptions::default() };
        let mut batches = Batches::new(source.scan(&options).await.map_err(failed)?);
        let mut exit = Exit::Done;
        while let Some(batch) = batches.next(PAGE).await.map_err(failed)? {
            for found in batch {
                exit = exit.max(self.show(&found, session)?);
            }
        }
        Ok(exit)
    }

    fn show(&self, found: &Found, session: &Session<'_>) -> Result<Exit, Failure> {
        match found {
            // The location itself is no news.
            Found::Entry(entry) if entry.key.as_bytes().is_empty() => Ok(Exit::Done),
            Found::Entry(entry) => {
                session.reporter.result(&EntryLine::new(
                    entry,
                    &EntryStatus::Stable,
                    self.long.then(|| Zone::new(self.utc)).as_ref(),
                ))?;
                Ok(Exit::Done)
            }
            Found::Skipped(skipped) => {
                session.reporter.note(format!("{}: {}", skipped.key, skipped.reason));
                Ok(Exit::Incomplete)
            }
        }
    }
}
