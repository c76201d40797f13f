//! What is damaged is mended from what is left: first a plan, then done.

use std::sync::Arc;

use credenza_app::{Result, StoreUse, environment, signing};
use credenza_engine::repair::{self, Mend, RepairOptions, RepairReport};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::{fact, short};
use crate::access::Action;
use crate::runs::{At, Ending, LINES_MAX, Offer, Operation, Outcome, Table};
use crate::shown::{self, count};

/// Mends what is damaged.
#[derive(Clone, Copy)]
pub(crate) struct Repair {
    /// Whether every byte is looked at.
    pub(crate) read_data: bool,
    /// Whether it is done.
    pub(crate) apply: bool,
}

impl Operation for Repair {
    fn title(&self) -> String {
        if self.apply { "Repair" } else { "Plan of a repair" }.to_owned()
    }

    fn commands(&self) -> Vec<String> {
        let (read, apply) =
            (if self.read_data { " --read-data" } else { "" }, if self.apply { " --apply" } else { "" });
        vec![format!("repair{read}{apply}")]
    }

    fn action(&self) -> Action {
        if self.apply { Action::Remove } else { Action::Run }
    }

    fn run<'a>(&'a self, at: &'a At) -> LocalBoxFuture<'a, Result<Ending>> {
        async move {
            let open = at.open(if self.apply { StoreUse::Write } else { StoreUse::Read }).await?;
            let options = RepairOptions {
                apply: self.apply,
                read_data: self.read_data,
                host: environment::host_name(),
                user: environment::user_name(),
                signing_key: signing::provided(None, &open.place.settings)?,
                ..RepairOptions::default()
            };
            let report = repair::run(&open.repository, &options, &at.run.context()).await?;
            Ok(self.ending(&report))
        }
        .boxed_local()
    }
}

impl Repair {
    fn ending(&self, report: &RepairReport) -> Ending {
        let repairs = count(report.mends.len() as u64, "repair", "repairs");
        let mended = match (report.mends.is_empty(), self.apply) {
            (true, _) => "Nothing to mend".to_owned(),
            (false, true) => format!("{repairs} done"),
            (false, false) => format!("{repairs} would be done"),
        };
        let lost = match report.lost.len() as u64 {
            0 => "nothing is lost".to_owned(),
            damages => format!(
                "{} cannot be mended: {} lost in {}",
                count(damages, "damage", "damages"),
                count(report.entries_lost(), "entry is", "entries are"),
                count(report.losses.len() as u64, "snapshot", "snapshots")
            ),
        };
        let mut lines = vec![format!("{mended}; {lost}.")];
        lines.extend(report.lost.iter().map(|finding| finding.damage.to_string()));
        lines.extend(report.losses.iter().flat_map(|loss| {
            let lost_in = short(loss.snapshot);
            loss.problems.iter().map(move |problem| {
                format!("Lost in {lost_in}: {}: {}", shown::name(problem.key.as_bytes()), shown::text(&problem.reason))
            })
        }));
        let row = |mend: &Mend| vec![mend.action().to_owned(), mend.object()];
        let table = Table {
            caption: if self.apply { "What was mended" } else { "What would be mended" }.to_owned(),
            heads: vec!["What", "Object"],
            rows: report.mends.iter().take(LINES_MAX).map(row).collect(),
        };
        let is_mended = self.apply || report.mends.is_empty();
        Ending {
            outcome: if is_mended && report.lost.is_empty() { Outcome::Done } else { Outcome::Damaged },
            lines,
            facts: vec![
                fact("Repairs", report.mends.len()),
                fact("Snapshots damaged", report.losses.len()),
                fact("Entries lost", report.entries_lost()),
                fact("Damages that stay", report.lost.len()),
            ],
            tables: if report.mends.is_empty() { Vec::new() } else { vec![table] },
            offer: (!is_mended).then(|| Offer {
                operation: Arc::new(Self { apply: true, ..*self }),
                title: format!("Do {repairs}"),
                loses: vec![
                    "Packs that are damaged are given up, once all that can be read of them is copied.".to_owned(),
                ],
            }),
            ..Ending::default()
        }
    }
}
