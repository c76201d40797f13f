//! Space that no snapshot needs goes back to the store.

use std::sync::Arc;

use credenza_app::{Result, StoreUse, estimate};
use credenza_engine::gc::{self, GcOptions, GcReport};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::{fact, spending};
use crate::access::Action;
use crate::runs::{At, Ending, Offer, Operation, Outcome};
use crate::shown::{self, count};

/// Reclaims space.
pub(crate) struct Maintain {
    /// Whether it only says what it would do.
    pub(crate) is_trial: bool,
}

impl Operation for Maintain {
    fn title(&self) -> String {
        if self.is_trial { "Plan of a maintenance" } else { "Maintenance" }.to_owned()
    }

    fn commands(&self) -> Vec<String> {
        vec![if self.is_trial { "maintain --dry-run" } else { "maintain" }.to_owned()]
    }

    fn action(&self) -> Action {
        Action::Run
    }

    fn run<'a>(&'a self, at: &'a At) -> LocalBoxFuture<'a, Result<Ending>> {
        async move {
            let open = at.open(if self.is_trial { StoreUse::Read } else { StoreUse::Write }).await?;
            let options = GcOptions { dry_run: self.is_trial, repack_bytes_max: None };
            let context = at.run.context();
            // First, since what opening takes is counted until then.
            let estimate = match self.is_trial {
                true => Some(estimate::maintain(&open, options, &context).await),
                false => None,
            };
            let ending = self.ending(&gc::run(&open.repository, &options, &context).await?);
            match estimate {
                Some(estimate) => spending::beside(ending, estimate),
                None => Ok(ending),
            }
        }
        .boxed_local()
    }
}

impl Maintain {
    fn ending(&self, report: &GcReport) -> Ending {
        let would = if self.is_trial { "would be " } else { "" };
        let (freed, deleted) = (shown::size(report.bytes_freed), count(report.deleted, "pack", "packs"));
        let condemned = count(report.condemned, "pack", "packs");
        let mut lines = vec![format!("{freed} {would}freed: {deleted} {would}deleted, {} kept.", report.kept)];
        if report.condemned > 0 {
            lines.push(format!(
                "{condemned} {would}condemned: a later maintenance deletes them, when no run relies on them any more."
            ));
        }
        if report.locked > 0 {
            lines.push(format!(
                "{} that no snapshot needs are locked, until their locks end.",
                count(report.locked, "pack", "packs")
            ));
        }
        if report.full {
            lines.push(
                "The store had no room for copies of what is needed: run it again, now that there is more.".to_owned(),
            );
        }
        lines.extend(report.damages.iter().map(ToString::to_string));
        let offer = (self.is_trial && report.damages.is_empty()).then(|| Offer {
            operation: Arc::new(Self { is_trial: false }),
            title: "Maintain now".to_owned(),
            // What no snapshot needs is nobody's loss.
            loses: Vec::new(),
        });
        Ending {
            outcome: if report.damages.is_empty() { Outcome::Done } else { Outcome::Damaged },
            lines,
            facts: vec![
                fact("Snapshots", report.snapshots),
                fact("Packs", report.packs),
                fact("Kept", report.kept),
                fact("Repacked", report.repacked),
                fact("Bytes repacked", report.bytes_repacked),
                fact("Condemned", report.condemned),
                fact("Spared", report.spared),
                fact("Locked", report.locked),
                fact("Deleted", report.deleted),
                fact("Bytes freed", report.bytes_freed),
                fact("Refused", report.refused),
                fact("Index segments merged", report.segments_merged),
                fact("Damages", report.damages.len()),
            ],
            tables: Vec::new(),
            offer,
            ..Ending::default()
        }
    }
}
