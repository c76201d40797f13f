//! `promises`: whether what jobs and sections promise is kept, measured at the repositories.

use clap::Args;
use credenza_app::jobs::look::book::Book;
use credenza_app::jobs::needs;
use credenza_app::jobs::promise::{self, Kept};
use credenza_app::jobs::runner::Runner;
use credenza_engine::SystemClock;

use super::super::Session;
use super::shown::{NeedsLine, PromiseLine};
use super::{JobsAt, state};
use crate::failure::{Exit, Failure};
use crate::report::{Zone, printable};

/// Measure at the repositories whether the newest good snapshot of each source is as new as its job promises.
///
/// It goes by the time of each store. A promise that is broken, or that cannot be measured, ends this with 1.
#[derive(Debug, Args)]
pub(crate) struct Promises {
    #[command(flatten)]
    at: JobsAt,
}

impl Promises {
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let file = self.at.read(session)?;
        let state = state(&file.path)?;
        let runner = Runner { app: &session.app, state: &state, clock: &SystemClock, stop: &session.stop };
        let zone = Zone::new(false);
        let mut exit = Exit::Done;
        for job in file.jobs.values() {
            match promise::measure(&runner, job).await {
                Ok(standings) => {
                    for standing in standings {
                        exit = if standing.kept == Kept::Broken { Exit::Failed } else { exit };
                        session.reporter.result(&PromiseLine::new(standing, &zone))?;
                    }
                }
                Err(error) => {
                    let failure = Failure::from(error);
                    let what = format!("the promise of `{}` cannot be measured: {}", job.name, failure.what);
                    session.reporter.failure(&Failure { what, ..failure });
                    exit = Exit::Failed;
                }
            }
        }
        if file.promises.is_empty() {
            return Ok(exit);
        }
        let mut found = needs::ask(&runner, &file).await?;
        found.remember(Book::read(&state.notices()).copies.keys());
        for (repository, why) in &found.unknown {
            let what = format!("what {} holds is not known: {}", printable(repository), printable(why));
            session.reporter.failure(&Failure::new(what));
            exit = Exit::Failed;
        }
        for promise in &file.promises {
            for source in needs::sources(&session.app, promise, &found)? {
                let copies = found.copies.get(&source).map_or(&[][..], Vec::as_slice);
                let measured = needs::judge(promise, &source, copies);
                exit = if measured.kept == Kept::Broken { Exit::Failed } else { exit };
                session.reporter.result(&NeedsLine { measured })?;
            }
        }
        Ok(exit)
    }
}
