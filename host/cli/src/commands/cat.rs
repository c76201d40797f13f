//! `cat`: the content of files in a snapshot.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsString;

use clap::Args;
use credenza_app::{Located, SnapshotPath, StoreUse};
use credenza_engine::view::never_read;
use credenza_model::EntryKind;

use super::Session;
use super::newest::{Newest, choose};
use crate::failure::{Exit, Failure};

/// Print the content of files in a snapshot, verified.
#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// The snapshot and the path of a file in it.
    #[arg(required = true, value_name = "SNAPSHOT:PATH")]
    files: Vec<OsString>,

    #[command(flatten)]
    newest: Newest,
}

impl Cat {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let paths = self.files.iter().map(|word| SnapshotPath::parse(word)).collect::<Result<Vec<_>, _>>()?;
        let open = session.open_healthy(StoreUse::Read).await?;
        let choice = self.newest.among(&open, session).await?;
        let view = open.repository.view().await?;
        let mut chosen = BTreeMap::new();
        for path in paths {
            if path.key.is_none() {
                return Err(
                    Failure::usage("no file is named").hint("write SNAPSHOT:PATH, for example latest:etc/hosts")
                );
            }
            // What a name means is reported once.
            let snapshot = match chosen.entry(path.snapshot.0.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(choose(&choice, &path.snapshot, session)?),
            };
            let Located { key, record } = path.locate(&view, snapshot).await?;
            let Some(record) = record else {
                return Err(Failure::new(format!("`{key}` is a folder, which has no content")));
            };
            if record.entry.kind != EntryKind::File {
                return Err(Failure::new(format!("`{key}` is a {}, which has no content", record.entry.kind.name())));
            }
            if record.entry.version.as_ref().is_some_and(|version| version.deleted) {
                return Err(Failure::new(format!(
                    "`{key}` was deleted when the snapshot was made: only older versions have content"
                ))
                .hint("write them to a bucket that keeps versions with `restore --versions`"));
            }
            if let Some(reason) = never_read(&record) {
                return Err(Failure::new(format!("the content of `{key}` was never backed up")).because(reason));
            }
            let mut content = view.content(&record);
            while let Some(bytes) = content.next().await? {
                session.reporter.bytes(&bytes)?;
            }
        }
        Ok(Exit::Done)
    }
}
