//! A backup of a source of the configuration.

use credenza_app::{Kind, Place, PlaceName, Result, Settings, StoreUse, shell, signing};
use credenza_engine::backup::{self, BackupOptions, BackupReport};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::fact;
use crate::access::Action;
use crate::command;
use crate::runs::{At, Ending, Operation, Outcome};
use crate::shown::{self, count};

/// Backs up a source of the configuration.
pub(crate) struct Backup {
    /// Its name.
    pub(crate) source: String,
}

impl Operation for Backup {
    fn title(&self) -> String {
        format!("Backup of {}", shown::text(&self.source))
    }

    fn commands(&self) -> Vec<String> {
        vec![format!("backup {}", command::word(&format!("@{}", self.source)))]
    }

    fn action(&self) -> Action {
        Action::Run
    }

    fn run<'a>(&'a self, at: &'a At) -> LocalBoxFuture<'a, Result<Ending>> {
        async move {
            let app = at.app();
            let name = PlaceName::new(Kind::Source, &self.source)?;
            let place = Place::named(Kind::Source, &name, Settings::new(), &app.configuration()?)?;
            let open = at.open(StoreUse::Write).await?;
            app.require_encryption(&open, false)?;
            let source = app.source(&place, None).await?;
            at.run.counts(&source);
            let options = BackupOptions {
                location: place.text(),
                signing_key: signing::provided(None, &open.place.settings)?,
                ..source.backup_options()
            };
            let report = backup::run(&open.repository, source.connector, &options, &at.run.context()).await?;
            Ok(ending(&report, &shell::place_word(&open.place)))
        }
        .boxed_local()
    }
}

fn ending(report: &BackupReport, repository: &str) -> Ending {
    Ending {
        outcome: match (report.damages.is_empty(), report.errors) {
            (false, _) => Outcome::Damaged,
            (true, 0) => Outcome::Done,
            (true, _) => Outcome::Incomplete,
        },
        lines: lines(report, repository),
        facts: vec![
            fact("Entries", report.entries),
            fact("Read", report.read),
            fact("Unchanged", report.unchanged),
            fact("Bytes read", report.bytes_read),
            fact("Bytes added", report.bytes_added),
            fact("Could not be read", report.errors),
        ],
        made: report.snapshot.map(|id| id.to_string()),
        ..Ending::default()
    }
}

fn lines(report: &BackupReport, repository: &str) -> Vec<String> {
    let made = match (&report.snapshot, &report.unchanged_since) {
        (Some(id), _) => format!("Snapshot {id}"),
        (None, Some(before)) => format!("Unchanged since snapshot {before}, none made"),
        (None, None) => "Nothing was written".to_owned(),
    };
    let (read, added) = (shown::size(report.bytes_read), shown::size(report.bytes_added));
    let entries = count(report.entries, "entry", "entries");
    let mut lines = vec![format!(
        "{made}: {entries}, {} read ({read}), {} unchanged, {added} added.",
        report.read, report.unchanged
    )];
    let mut note = |number: u64, reported: &str| {
        if number > 0 {
            lines.push(format!("{} {reported}", count(number, "entry", "entries")));
        }
    };
    note(report.errors.saturating_sub(report.changed), "could not be read.");
    note(report.changed, "changed at each read and may be kept torn.");
    if !report.damages.is_empty() {
        let damaged = count(report.damages.len() as u64, "object", "objects");
        lines.push(format!(
            "{damaged} of the repository are damaged, which this snapshot does without: credenza at {repository} repair --apply"
        ));
    }
    lines
}
