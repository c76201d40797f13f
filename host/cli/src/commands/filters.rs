//! Which snapshots a command looks at: the options that all such commands share.
//!
//! Owned here: the options and how a source is written. Refused here: what they let through (`credenza_engine::SnapshotFilter`).

use clap::Args;
use credenza_app::{Kind, Location, Settings};
use credenza_engine::SnapshotFilter;

use super::Session;
use crate::failure::Failure;

/// Which snapshots are looked at. Of each option one of the values must fit.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Filters {
    /// Only snapshots that were made on this machine; may be given several times.
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Only snapshots of this source: a folder, a location, @name, or the identity that `info` shows; may be given several times.
    #[arg(long, value_name = "SOURCE")]
    source: Vec<String>,
    /// Only snapshots with this tag; may be given several times.
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Only snapshots of a source that is this folder or location, or that it lies in; may be given several times.
    #[arg(long, value_name = "PATH")]
    path: Vec<String>,
}

impl Filters {
    /// The filter that they make.
    pub(crate) fn filter(&self, session: &Session<'_>) -> Result<SnapshotFilter, Failure> {
        let mut sources = Vec::new();
        for source in &self.source {
            sources.extend(recorded(source, session)?);
            sources.push(source.clone());
        }
        let mut paths = Vec::new();
        for path in &self.path {
            paths.extend(recorded(path, session)?);
        }
        Ok(SnapshotFilter { tags: self.tag.clone(), sources, hosts: self.host.clone(), paths, not_after: None })
    }
}

/// A location as `backup` records it; none where the word is no location.
fn recorded(word: &str, session: &Session<'_>) -> Result<Option<String>, Failure> {
    match Location::parse(word.as_ref()) {
        Ok(Location::Named(_)) => Ok(Some(session.lone_place(Kind::Source, word.as_ref(), Settings::new())?.text())),
        Ok(location) => Ok(Some(location.text())),
        Err(_) => Ok(None),
    }
}
