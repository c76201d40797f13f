//! Verification of a repository.

use credenza_app::{Result, StoreUse};
use credenza_engine::check::{self, CheckOptions, CheckReport, Sample};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::fact;
use crate::access::Action;
use crate::runs::{At, Ending, Operation, Outcome};
use crate::shown::{self, count};

/// Verifies the repository.
pub(crate) struct Check {
    /// Every byte of it, or its structure.
    pub(crate) read_data: bool,
}

impl Operation for Check {
    fn title(&self) -> String {
        if self.read_data { "Check of every byte" } else { "Check of the structure" }.to_owned()
    }

    fn commands(&self) -> Vec<String> {
        vec![if self.read_data { "check --read-data" } else { "check" }.to_owned()]
    }

    fn action(&self) -> Action {
        Action::Run
    }

    fn run<'a>(&'a self, at: &'a At) -> LocalBoxFuture<'a, Result<Ending>> {
        async move {
            let open = at.open(StoreUse::Read).await?;
            let options = if self.read_data { CheckOptions::reading(Sample::All) } else { CheckOptions::default() };
            let report = check::run(&open.repository, &options, &at.run.context()).await?;
            Ok(self.ending(&report))
        }
        .boxed_local()
    }
}

impl Check {
    fn ending(&self, report: &CheckReport) -> Ending {
        let depth = match self.read_data {
            true => format!("every byte, {}", shown::size(report.bytes_read)),
            false => "structure only".to_owned(),
        };
        let snapshots = count(report.snapshots, "snapshot", "snapshots");
        let packs = count(report.packs, "pack", "packs");
        let damages = report.findings.len() as u64;
        let found = match damages {
            0 => "no damage found".to_owned(),
            damages => format!("{} found", count(damages, "damage", "damages")),
        };
        let findings = report.findings.iter().map(|finding| {
            let affected = count(finding.affects.len() as u64, "snapshot", "snapshots");
            format!("{}; {affected} rely on it", finding.damage)
        });
        Ending {
            outcome: if damages == 0 { Outcome::Done } else { Outcome::Damaged },
            lines: std::iter::once(format!("Checked {snapshots}, {packs} ({depth}): {found}."))
                .chain(findings)
                .collect(),
            facts: vec![
                fact("Snapshots", report.snapshots),
                fact("Packs", report.packs),
                fact("Bytes read", report.bytes_read),
                fact("Damages", damages),
            ],
            ..Ending::default()
        }
    }
}
