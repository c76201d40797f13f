//! `connector record`: one operation of a connector against its live service, as a tape for the tests of its author.
//!
//! Operations that only read: whoever records changes nothing, and may do it against a service that is in use.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use credenza_app::{Kind, Place, Recorder, StoreUse};
use credenza_connect::{Batches, Error, ErrorClass, Found, Pages, ScanOptions, Source, Store};
use credenza_model::{Entry, Key, StoreKey};
use serde::Serialize;

use crate::commands::Session;
use crate::failure::{Exit, Failure};
use crate::globals::path_parser;
use crate::settings::{SettingWord, parse_settings};

/// Entries asked for at once.
const PAGE: usize = 1000;
/// More of a body does not get onto a tape.
const BYTES_MAX: u64 = 1024 * 1024;

/// Record what a service answers to a connector, for tests without the service.
///
/// The tape has the requests as the connector wrote them, before they were signed, and the answers without cookies and without every secret that is
/// known. It is a text: read it before you give it away. `credenza_sdk::wire::Tape::parse` plays it.
#[derive(Debug, Args)]
pub(crate) struct RecordCommand {
    /// A location such as dav://host/folder, or @name of a source; of a repository for `list` and `get`.
    location: OsString,
    /// The file that becomes the tape.
    #[arg(long, value_name = "FILE", value_parser = path_parser())]
    to: PathBuf,
    /// A setting of the location, as key=value; may be given several times.
    #[arg(short = 'o', long = "setting", value_name = "KEY=VALUE")]
    settings: Vec<SettingWord>,
    #[command(subcommand)]
    operation: Operation,
}

/// What is recorded.
#[derive(Debug, Subcommand)]
enum Operation {
    /// The connector's own check of a source.
    Check,
    /// The listing of a source, to its end.
    Scan {
        /// Only what begins so.
        #[arg(default_value = "")]
        prefix: OsString,
    },
    /// A file of a source: it is looked for, then read.
    Read {
        /// Its key.
        key: OsString,
    },
    /// The listing of a store, to its end.
    List {
        /// Only what begins so.
        #[arg(default_value = "")]
        prefix: String,
    },
    /// An object of a store.
    Get {
        /// Its key.
        key: String,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "connector_recorded")]
struct Recorded {
    path: PathBuf,
    exchanges: usize,
    /// What the connector made of the answers, where that is an error: it belongs to the test as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "recorded: {} requests in {}", self.exchanges, self.path.display())?;
        self.error.iter().try_for_each(|error| write!(f, "; the connector says: {error}"))
    }
}

impl RecordCommand {
    pub(super) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let kind = match self.operation {
            Operation::List { .. } | Operation::Get { .. } => Kind::Repository,
            _ => Kind::Source,
        };
        let place = session.lone_place(kind, &self.location, parse_settings(&self.settings)?)?;
        let recorder = Arc::new(Recorder::default());
        let app = session.app.clone().with_recorder(Arc::clone(&recorder));
        let went = match kind {
            Kind::Repository => {
                let store = app.store(&place, StoreUse::Read).await?.connector;
                of_store(&*store, &self.operation).await
            }
            _ => {
                let source = app.source(&place, None).await?.connector;
                of_source(&*source, &self.operation).await
            }
        };
        if recorder.count() == 0 {
            return Err(nothing(&place, went.err()));
        }
        std::fs::write(&self.to, recorder.tape()).map_err(|error| {
            Failure::new(format!("{} cannot be written", self.to.display())).because(error.to_string())
        })?;
        let error = went.err();
        let exit = if error.is_some() { Exit::Incomplete } else { Exit::Done };
        let error = error.map(|error| error.message);
        session.reporter.done(&Recorded { path: self.to, exchanges: recorder.count(), error });
        Ok(exit)
    }
}

/// No request went out: there is nothing to be played.
fn nothing(place: &Place, error: Option<Error>) -> Failure {
    let doing = format!("recording {}", place.text());
    match error {
        Some(error) => Failure::of_connector(doing, &error),
        None => Failure::new(format!("{doing} failed")).because("no request went out".to_owned()),
    }
}

async fn of_source(source: &dyn Source, operation: &Operation) -> Result<(), Error> {
    match operation {
        Operation::Scan { prefix } => entries(source, prefix.as_encoded_bytes()).await.map(drop),
        Operation::Read { key } => {
            let wanted = Key::new(key.as_encoded_bytes());
            let entry = entries(source, wanted.as_bytes()).await?.into_iter().find(|entry| entry.key == wanted);
            let entry = entry.ok_or_else(|| missing(&wanted))?;
            source.read(&entry, None, None).await?.body.read_all(BYTES_MAX).await.map(drop)
        }
        _ => source.check().await.into_iter().try_for_each(|check| check.outcome.map(drop)),
    }
}

async fn of_store(store: &dyn Store, operation: &Operation) -> Result<(), Error> {
    match operation {
        Operation::Get { key } => {
            let wanted = Key::from(key.as_str());
            let key = StoreKey::new(key.as_str()).map_err(|_| missing(&wanted))?;
            store.get(&key, None, None).await?.read_all(BYTES_MAX).await.map(drop)
        }
        Operation::List { prefix } => Pages::new(store, prefix).collect().await.map(drop),
        _ => store.check().await.into_iter().try_for_each(|check| check.outcome.map(drop)),
    }
}

/// What a source lists.
async fn entries(source: &dyn Source, prefix: &[u8]) -> Result<Vec<Entry>, Error> {
    let options = ScanOptions { prefix: prefix.to_vec(), ..ScanOptions::default() };
    let mut batches = Batches::new(source.scan(&options).await?);
    let mut entries = Vec::new();
    while let Some(batch) = batches.next(PAGE).await? {
        entries.extend(batch.into_iter().filter_map(|found| match found {
            Found::Entry(entry) => Some(entry),
            _ => None,
        }));
    }
    Ok(entries)
}

fn missing(key: &Key) -> Error {
    Error::new(ErrorClass::NotFound, "record.missing", format!("there is no {key}"))
}
