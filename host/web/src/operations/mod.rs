//! What a run does: the operations of the engine with the options that the command line has by itself.
//!
//! Owned here: which they are, and what is reported their reports. Refused here: what else is under way (`runs`).

use std::sync::Arc;

use credenza_app::{Kind, Place, PlaceName, Result, Settings, StoreUse, environment, shell, signing};
use credenza_engine::backup::{self, BackupOptions, BackupReport};
use credenza_engine::check::{self, CheckOptions, CheckReport, Sample};

use tokio::runtime::Handle;

use crate::runs::{Outcome, Run, What};
use crate::shown::{self, count};
use crate::site::Site;

/// Starts a run that goes on by itself, on a thread of its own: a backup stays on the one where it began.
pub(crate) fn start(site: &Arc<Site>, run: Arc<Run>) {
    let site = Arc::clone(site);
    let runtime = Handle::current();
    let (run_site, running) = (Arc::clone(&site), Arc::clone(&run));
    let ending = tokio::task::spawn_blocking(move || {
        let went = runtime.block_on(async {
            match running.what.clone() {
                What::Check { read_data } => verify(&run_site, &running, read_data).await,
                What::Backup { source } => back_up(&run_site, &running, &source).await,
            }
        });
        running.end(went, run_site.clock.now().wall);
    });
    tokio::spawn(async move {
        // A run that broke down has ended too.
        if ending.await.is_err() {
            let said = vec!["A fault of the program ended it; please report that.".to_owned()];
            run.end(Ok((Outcome::Failed, said)), site.clock.now().wall);
        }
    });
}

async fn verify(site: &Site, run: &Arc<Run>, read_data: bool) -> Result<(Outcome, Vec<String>)> {
    let repository = site.repositories.open(&run.name).await?;
    let options = if read_data { CheckOptions::reading(Sample::All) } else { CheckOptions::default() };
    let report = check::run(&repository.open.repository, &options, &run.context()).await?;
    Ok((checked(&report), lines_of_check(&report, read_data)))
}

fn checked(report: &CheckReport) -> Outcome {
    if report.findings.is_empty() { Outcome::Done } else { Outcome::Damaged }
}

fn lines_of_check(report: &CheckReport, read_data: bool) -> Vec<String> {
    let depth = match read_data {
        true => format!("every byte, {}", shown::size(report.bytes_read)),
        false => "structure only".to_owned(),
    };
    let (snapshots, packs) = (count(report.snapshots, "snapshot", "snapshots"), count(report.packs, "pack", "packs"));
    let found = match report.findings.len() as u64 {
        0 => "no damage found".to_owned(),
        damages => format!("{} found", count(damages, "damage", "damages")),
    };
    let findings = report.findings.iter().map(|finding| {
        let affected = count(finding.affects.len() as u64, "snapshot", "snapshots");
        format!("{}; {affected} rely on it", finding.damage)
    });
    std::iter::once(format!("Checked {snapshots}, {packs} ({depth}): {found}.")).chain(findings).collect()
}

async fn back_up(site: &Site, run: &Arc<Run>, source: &str) -> Result<(Outcome, Vec<String>)> {
    let app = site.repositories.app();
    let name = PlaceName::new(Kind::Source, source)?;
    let place = Place::named(Kind::Source, &name, Settings::new(), &app.configuration()?)?;
    let open = site.repositories.open_again(&run.name, StoreUse::Write).await?;
    app.require_encryption(&open, false)?;
    let source = app.source(&place, None).await?;
    let options = BackupOptions {
        location: place.text(),
        host: environment::host_name(),
        user: environment::user_name(),
        provenance: source.provenance.clone(),
        component: source.component.clone(),
        signing_key: signing::provided(None, &open.place.settings)?,
        ..BackupOptions::default()
    };
    let report = backup::run(&open.repository, source.connector, &options, &run.context()).await?;
    Ok((backed_up(&report), lines_of_backup(&report, &shell::place_word(&open.place))))
}

fn backed_up(report: &BackupReport) -> Outcome {
    match (report.damages.is_empty(), report.errors) {
        (false, _) => Outcome::Damaged,
        (true, 0) => Outcome::Done,
        (true, _) => Outcome::Incomplete,
    }
}

fn lines_of_backup(report: &BackupReport, repository: &str) -> Vec<String> {
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
        lines.push(format!("{damaged} of the repository are damaged, which this snapshot does without: credenza at {repository} repair --apply"));
    }
    lines
}
