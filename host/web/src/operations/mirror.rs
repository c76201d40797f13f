//! What the next run of a mirror would do at each target, with the newest cut. Nothing is written, and no cut is made.

use credenza_app::Result;
use credenza_app::jobs::mirror::{self, Wish};
use credenza_app::jobs::{JobsError, Mirror, Work};
use credenza_engine::mirror::MirrorReport;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::job::refused;
use crate::access::Action;
use crate::jobs::Jobs;
use crate::runs::{At, Ending, Operation, Outcome, Room, Table};
use crate::shown;

/// Plans a run of a mirror.
pub(crate) struct MirrorPlan {
    pub(crate) jobs: Jobs,
    /// Its name, as runs have it.
    pub(crate) job: String,
}

impl Operation for MirrorPlan {
    fn title(&self) -> String {
        format!("Plan of the mirror {}", shown::text(&self.job))
    }

    fn commands(&self) -> Vec<String> {
        vec![self.jobs.command(&format!("mirror plan {}", self.job))]
    }

    fn action(&self) -> Action {
        Action::Run
    }

    fn room(&self) -> Room {
        Room::Job
    }

    fn run<'a>(&'a self, at: &'a At) -> LocalBoxFuture<'a, Result<Ending>> {
        async move {
            let mirror = match self.mirror(at) {
                Ok(mirror) => mirror,
                Err(error) => return Ok(refused(&error)),
            };
            let plans = mirror::plan(&at.app(), &mirror, &Wish::default(), &at.run.context()).await?;
            Ok(ending(&plans))
        }
        .boxed_local()
    }
}

impl MirrorPlan {
    fn mirror(&self, at: &At) -> Result<Mirror, JobsError> {
        let file = self.jobs.read_now(at.run.now().wall)?.file;
        match file.work(&self.job)? {
            Work::Mirror(mirror) => Ok(mirror.clone()),
            _ => Err(JobsError::UnknownJob { path: file.path.clone(), name: self.job.clone(), near: None }),
        }
    }
}

fn ending(plans: &[(String, MirrorReport)]) -> Ending {
    let held = plans.iter().filter_map(|(target, report)| Some((target, report.held?, report)));
    let mut lines = vec!["Nothing was written. With the newest cut, a run would do this:".to_owned()];
    lines.extend(
        held.map(|(target, held, report)| format!("Nothing would be done at {target}: {}.", mirror::why(held, report))),
    );
    let outcome = if lines.len() > 1 { Outcome::Incomplete } else { Outcome::Done };
    let row = |(target, report): &(String, MirrorReport)| {
        let numbers = [report.new, report.changed, report.same, report.gone, report.kept, report.foreign.entries];
        std::iter::once(shown::text(target)).chain(numbers.map(|number| number.to_string())).collect()
    };
    let table = Table {
        caption: "Objects at each target".to_owned(),
        heads: vec!["Target", "New", "Changed", "As they are", "To remove", "Kept", "Somebody else's"],
        rows: plans.iter().map(row).collect(),
    };
    Ending { outcome, lines, tables: vec![table], ..Ending::default() }
}
