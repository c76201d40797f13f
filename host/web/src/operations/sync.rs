//! Snapshots carried from the repository to another of the configuration: first which, then done.

use std::sync::Arc;

use credenza_app::sync::{self, Carried, Side};
use credenza_app::{OpenRepository, Result, StoreUse, environment, estimate};
use credenza_engine::SnapshotHandle;
use credenza_engine::replica::Retreat;
use credenza_engine::sync::SyncOptions;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::{fact, short, spending};
use crate::access::Action;
use crate::command;
use crate::runs::{At, Ending, LINES_MAX, Offer, Operation, Outcome, Table};
use crate::shown::{self, Zone, count};

/// Carries what the other side lacks.
#[derive(Clone)]
pub(crate) struct Sync {
    /// The other repository, as addresses have it.
    pub(crate) other: String,
    /// Whether snapshots come from it, instead of going there.
    pub(crate) is_from: bool,
    /// Whether it only says which would go.
    pub(crate) is_trial: bool,
}

impl Operation for Sync {
    fn title(&self) -> String {
        let what = if self.is_trial { "Plan of a sync" } else { "Sync" };
        format!("{what} {} {}", self.direction(), shown::text(&self.other))
    }

    fn commands(&self) -> Vec<String> {
        vec![format!("sync {} {}", self.direction(), command::word(&format!("@{}", self.other)))]
    }

    fn action(&self) -> Action {
        Action::Run
    }

    fn run<'a>(&'a self, at: &'a At) -> LocalBoxFuture<'a, Result<Ending>> {
        self.sync(at).boxed_local()
    }
}

impl Sync {
    const fn direction(&self) -> &'static str {
        if self.is_from { "from" } else { "to" }
    }

    async fn sync(&self, at: &At) -> Result<Ending> {
        let written = if self.is_trial { StoreUse::Read } else { StoreUse::Write };
        let (own, other) = if self.is_from { (written, StoreUse::Read) } else { (StoreUse::Read, written) };
        let own = at.open(own).await?;
        let other = at.open_other(&self.other, other).await?;
        let (from, to) = if self.is_from { (other, own) } else { (own, other) };
        if !self.is_trial {
            return self.carry(from, to, at).await;
        }
        // First, since what opening takes is counted until then.
        let estimate = estimate::sync(&from, &to, &options(), &at.run.context().stop).await;
        let plan = self.plan(&from, &to).await?;
        if plan.offer.is_some() { spending::beside(plan, estimate) } else { Ok(plan) }
    }

    async fn plan(&self, from: &OpenRepository, to: &OpenRepository) -> Result<Ending> {
        let (missing, there) = sync::missing(from, to).await?;
        let zone = Zone::system();
        let row = |handle: &SnapshotHandle| {
            let snapshot = &handle.snapshot;
            vec![
                short(snapshot.id),
                zone.time(handle.time().unwrap_or(snapshot.finished)).text,
                shown::text(&snapshot.source.location),
                shown::size(snapshot.statistics.bytes),
            ]
        };
        let carried = count(missing.len() as u64, "snapshot", "snapshots");
        let table = Table {
            caption: "What would be carried, oldest first".to_owned(),
            heads: vec!["Snapshot", "Made", "Source", "Size"],
            rows: missing.iter().take(LINES_MAX).map(row).collect(),
        };
        Ok(Ending {
            lines: vec![format!("{carried} would be carried, {there} there already.")],
            facts: vec![fact("To carry", missing.len()), fact("There already", there)],
            tables: if missing.is_empty() { Vec::new() } else { vec![table] },
            offer: (!missing.is_empty()).then(|| Offer {
                operation: Arc::new(Self { is_trial: false, ..self.clone() }),
                title: format!("Carry {carried}"),
                loses: Vec::new(),
            }),
            ..Ending::default()
        })
    }

    async fn carry(&self, from: OpenRepository, to: OpenRepository, at: &At) -> Result<Ending> {
        let (app, options) = (at.app(), options());
        let went_back = app.replica_went_back(&to).await?;
        let mut sides = [Side::new(from), Side::new(to)];
        let Carried { report, requests_from, requests_to } =
            sync::carry(&mut sides, &options, None, &at.run.context()).await?;
        let [_, to] = &sides;
        if let Some(heads) = &report.heads {
            app.remember_heads(&to.open, heads);
        }
        let (copied, added) = (count(report.copied.len() as u64, "snapshot", "snapshots"), shown::size(report.bytes));
        let mut lines = vec![format!("{copied} carried, {} there already, {added} added.", report.skipped)];
        lines.extend(went_back.iter().map(|went_back| format!("{went_back}. What it had lost was carried again.")));
        let lost = |retreat: &Retreat| format!("{retreat}. Nothing was removed from the replica.");
        lines.extend(report.retreats.iter().map(lost));
        if report.failed > 0 {
            let failed = count(report.failed, "snapshot was", "snapshots were");
            lines.push(format!("{failed} not carried: something that they need is damaged."));
        }
        lines.extend(report.findings.iter().map(|finding| finding.damage.to_string()));
        let is_sound = report.failed == 0 && report.retreats.is_empty() && went_back.is_none();
        Ok(Ending {
            outcome: if is_sound { Outcome::Done } else { Outcome::Damaged },
            lines,
            facts: vec![
                fact("Carried", report.copied.len()),
                fact("There already", report.skipped),
                fact("Not carried", report.failed),
                fact("Chunks", report.chunks),
                fact("Bytes added", report.bytes),
                fact("Tags changed", report.tags),
                fact("Requests", format!("{requests_from} + {requests_to}")),
            ],
            ..Ending::default()
        })
    }
}

fn options() -> SyncOptions {
    SyncOptions { host: environment::host_name(), user: environment::user_name(), ..SyncOptions::default() }
}
