//! A run of a job of the schedule, which somebody asks for now.

use std::sync::Arc;

use credenza_app::Result;
use credenza_app::jobs::look::{Hears, Look, Told};
use credenza_app::jobs::mirror::{self, Wish};
use credenza_app::jobs::run::{Heard, Occasion};
use credenza_app::jobs::runner::Runner;
use credenza_app::jobs::{Cause, Ending as JobEnding, JobsError, Step, Work, metrics, replicate, verify};
use credenza_engine::Listener;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::access::Action;
use crate::jobs::{Jobs, words};
use crate::runs::{At, Ending, Operation, Outcome, Room, Run};
use crate::shown;

/// Runs a job, with its hooks and all that comes after it.
pub(crate) struct JobRun {
    pub(crate) jobs: Jobs,
    /// Its name.
    pub(crate) job: String,
    /// What is wished of a mirror.
    pub(crate) wish: Wish,
}

impl Operation for JobRun {
    fn title(&self) -> String {
        match &self.wish.to {
            None => format!("Run of the job {}", shown::text(&self.job)),
            Some(cut) => format!("Roll-back of {} to the cut {:.8}", shown::text(&self.job), shown::text(&cut.0)),
        }
    }

    fn commands(&self) -> Vec<String> {
        match &self.wish.to {
            None => vec![self.jobs.command(&format!("jobs run {}", self.job))],
            Some(cut) => vec![self.jobs.command(&format!("mirror run {} --to {:.8}", self.job, cut.0))],
        }
    }

    fn action(&self) -> Action {
        match self.wish.to {
            None => Action::Run,
            // What came since goes from the targets.
            Some(_) => Action::Remove,
        }
    }

    fn room(&self) -> Room {
        Room::Job
    }

    fn run<'a>(&'a self, at: &'a At) -> LocalBoxFuture<'a, Result<Ending>> {
        async move {
            let went = self.run_now(at).await;
            Ok(went.map_or_else(|error| refused(&error), |ending| ended(&at.run, ending)))
        }
        .boxed_local()
    }
}

impl JobRun {
    async fn run_now(&self, at: &At) -> Result<JobEnding, JobsError> {
        let now = at.run.now().wall;
        let book = self.jobs.read_now(now)?;
        let (work, state, app) = (book.file.work(&self.job)?, &book.state, at.app());
        state.log().close_lost(|job| state.runs(job), now)?;
        let (clock, stop) = (at.run.clock(), at.run.context().stop);
        let runner = Runner { app: &app, state, clock: &**clock, stop: &stop };
        let (occasion, heard) = (Occasion::default(), Hearing(&at.run));
        let ending = match work {
            Work::Job(job) => runner.run(job, &occasion, &heard).await?,
            Work::Verify(verify) => verify::run(&runner, verify, &occasion, &heard).await?,
            Work::Replicate(policy) => replicate::run(&runner, policy, false, &occasion, &heard).await?,
            Work::Mirror(mirror) => {
                mirror::run(&runner, (mirror, &book.file.routes()), (&occasion, &self.wish), &heard).await?
            }
        };
        let hears = Arc::new(Telling(Arc::clone(&at.run)));
        // What could not be sent or written is told by the daemon, or after the next run.
        if let Err(error) = (Look { runner, jobs: &book.file, hears }).at_all(None).await {
            at.run.did(shown::text(&shown::causes(&error).join(": ")));
        }
        if let Err(error) = metrics::publish(&book.file, state, at.run.now().wall) {
            at.run.did(shown::text(&shown::causes(&error).join(": ")));
        }
        Ok(ending)
    }
}

/// Tells the run of the page what the run of the job does.
struct Hearing<'a>(&'a Arc<Run>);

impl Heard for Hearing<'_> {
    fn step(&self, step: &Step, _cause: Option<Cause>) {
        self.0.did(words::step(step));
    }

    fn events(&self) -> Arc<dyn Listener> {
        Arc::clone(self.0) as Arc<dyn Listener>
    }
}

/// Tells the run of the page who was told of a change.
struct Telling(Arc<Run>);

impl Hears for Telling {
    fn told(&self, told: Told<'_>) {
        let line = match told {
            Told::Changed(notice) => format!("{}: {}", shown::sentence(notice.word.name()), notice.text),
            Told::Taken(notice, to) => format!("Told {to} of: {}", notice.word.name()),
            Told::NotTaken(notice, to, error, _) => {
                format!("{to} could not be told of: {}: {error}", notice.word.name())
            }
            Told::Fault(error) => shown::causes(error).join(": "),
        };
        self.0.did(shown::text(&line));
    }
}

/// What is shown of a run that came to its end.
pub(crate) fn ended(run: &Run, ending: JobEnding) -> Ending {
    let lines = std::iter::once(words::says(ending).to_owned()).chain(run.done()).collect();
    Ending { outcome: words::outcome(ending), lines, ..Ending::default() }
}

/// What is shown of one that was none: the job runs already, or its file cannot be used any more.
pub(super) fn refused(error: &JobsError) -> Ending {
    let mut lines = shown::causes(error);
    if matches!(error, JobsError::Busy { .. }) {
        lines.push("Nothing was done. Wait until it has ended, and run the job again.".to_owned());
    }
    Ending { outcome: Outcome::Failed, lines, ..Ending::default() }
}
