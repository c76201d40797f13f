//! `jobs check`: what jobs need and this machine has not.

use clap::Args;
use credenza_app::jobs::Work;
use credenza_app::jobs::change::Unwatched;
use credenza_app::jobs::preflight::{self, LackCause};
use credenza_app::shell::shell_word;
use credenza_connect::file::watches_max;

use super::super::Session;
use super::JobsAt;
use super::shown::CheckedLine;
use crate::failure::{Exit, Failure};
use crate::report::printable;

/// Read the file and look for what its jobs need, without running anything.
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    at: JobsAt,
}

impl Check {
    pub(super) fn run(self, session: &Session<'_>) -> Result<Exit, Failure> {
        let file = self.at.read(session)?;
        let mut lacking = 0;
        for work in file.works() {
            let (above, lacks) = match work {
                Work::Job(job) => (format!("job.{}", job.name), preflight::lacks(&session.app, job)),
                Work::Verify(verify) => (verify.name.clone(), preflight::lacks_of_verify(&session.app, verify)),
                Work::Replicate(policy) => (policy.name.clone(), preflight::lacks_of_replicate(&session.app, policy)),
                Work::Mirror(mirror) => (mirror.name.clone(), preflight::lacks_of_mirror(&session.app, mirror, &file)),
            };
            for lack in lacks {
                lacking += 1;
                let failure = of_lack(lack.cause);
                let what = format!("{}.{}: {}", printable(&above), lack.key, failure.what);
                session.reporter.failure(&Failure { what, ..failure });
            }
        }
        for (job, cause) in preflight::lacks_of_changes(&session.app, &file, watches_max().unwrap_or(usize::MAX)) {
            lacking += 1;
            let failure = of_lack(cause);
            let what = format!("job.{}.on_change: {}", job.name, failure.what);
            session.reporter.failure(&Failure { what, ..failure });
        }
        for (key, cause) in preflight::lacks_of_notices(&file.notify) {
            lacking += 1;
            let failure = of_lack(cause);
            session.reporter.failure(&Failure { what: format!("{key}: {}", failure.what), ..failure });
        }
        let jobs = file.works().count();
        session.reporter.result(&CheckedLine { path: file.path, jobs, lacking })?;
        Ok(if lacking == 0 { Exit::Done } else { Exit::Failed })
    }
}

fn of_lack(cause: LackCause) -> Failure {
    let said = Failure::new(cause.to_string());
    match cause {
        LackCause::App(error) => (*error).into(),
        LackCause::Watches { folders, .. } => {
            let enough = folders.saturating_mul(2);
            said.hint(format!("let it watch more, as root: sysctl fs.inotify.max_user_watches={enough} (and write that to a file in /etc/sysctl.d, so that it stays), or exclude folders; until then such a job runs by its schedule alone"))
        }
        LackCause::Unwatched(Unwatched::Watch(_)) => {
            said.hint("exclude folders, or make several jobs of it: until then its schedule goes on alone")
        }
        LackCause::Unwatched(_) => said.hint("leave out on_change, or back up a folder: its schedule goes on"),
        LackCause::SameRepository { .. } => said.hint("name another repository as the target"),
        LackCause::NoFolder { .. } => said.hint("make it, mount its disk, or correct the path"),
        LackCause::Unreadable { .. } => said.hint("make it, for its owner alone, or correct the path"),
        LackCause::NoProgram { .. } => said.hint("install it, or write its whole path"),
        LackCause::NotExecutable { path } => {
            said.hint(format!("let it be run: chmod u+x {}", shell_word(&path.to_string_lossy())))
        }
    }
}
