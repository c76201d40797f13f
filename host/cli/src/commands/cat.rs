//! `cat`: the content of files in a snapshot.

use std::ffi::OsString;

use clap::Args;
use credenza_app::SnapshotPath;
use credenza_engine::view::never_read;
use credenza_model::EntryKind;

use super::Session;
use super::newest::Newest;
use crate::failure::{Exit, Failure};

/// Print the content of files in a snapshot, verified.
#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// The snapshot and the key of a file in it.
    #[arg(required = true, value_name = "SNAPSHOT:KEY")]
    files: Vec<OsString>,

    #[command(flatten)]
    newest: Newest,
}

impl Cat {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let paths = self.files.iter().map(|word| SnapshotPath::parse(word)).collect::<Result<Vec<_>, _>>()?;
        let open = session.open_for_reading().await?;
        let view = open.repository.view().await?;
        for path in paths {
            let key = path.key.as_ref().ok_or_else(|| {
                Failure::usage("no key is named").hint("write SNAPSHOT:KEY, for example latest:etc/hosts")
            })?;
            let snapshot = self.newest.find(&open, &path.snapshot, session).await?;
            let record = view.entry(&snapshot, key).await?;
            if record.entry.kind != EntryKind::File {
                return Err(Failure::new(format!("`{key}` is a {}, which has no content", record.entry.kind.name())));
            }
            if record.entry.version.as_ref().is_some_and(|version| version.deleted) {
                return Err(Failure::new(format!(
                    "`{key}` was deleted when the snapshot was made: only older versions have content"
                ))
                .hint(
                    "write them to a bucket that keeps versions: credenza restore SNAPSHOT --versions --to LOCATION",
                ));
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
