//! Jobs that run when something changes: which folders are watched, and when a change is old enough.
//!
//! Owned here: one task a job that waits for changes of its sources, and until they have been quiet for a time, or go on for longest. Refused here: watching
//! (`credenza_connect`), and runs. A job has its schedule beside that, which makes up for what was not seen: where a source cannot be watched, it runs by the
//! schedule alone, and that is said. Called by `daemon`.
//!
//! Bound: what a watch states, and one word a job.

use std::sync::Arc;

use credenza_connect::file::{Watch, WatchError, Watched};
use credenza_engine::Clock;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

use super::file::{Job, JobsFile, OnChange};
use crate::app::App;
use crate::configuration::{Kind, Settings};
use crate::error::Error;
use crate::location::Location;
use crate::patterns::PatternList;

/// Why a job is not run by changes.
#[derive(Debug, thiserror::Error)]
pub enum Unwatched {
    /// The source cannot be had.
    #[error(transparent)]
    Place(Box<Error>),
    /// Only folders tell of changes.
    #[error("{location} is no folder, and tells of no changes")]
    NoFolder {
        /// The source.
        location: String,
    },
    /// Its folders cannot be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
}

/// What was seen of a job.
pub(super) enum Seen {
    /// Its sources have changed.
    Changed(String),
    /// They cannot be watched any more.
    Lost(String, WatchError),
}

/// The jobs that are run by changes.
pub(super) struct Changes {
    seen: Receiver<Seen>,
    // Dropped, nobody watches any more.
    _tasks: JoinSet<()>,
    /// So that the end of the tasks is not the end of the changes.
    _sender: Sender<Seen>,
}

impl Changes {
    /// Watches the sources of each job that asks for it, and says which cannot be watched.
    pub(super) fn of(app: &App, jobs: &JobsFile, clock: &Arc<dyn Clock>) -> (Self, Vec<(String, Unwatched)>) {
        let (sender, seen) = channel(1);
        let (mut tasks, mut unwatched) = (JoinSet::new(), Vec::new());
        for job in jobs.jobs.values() {
            let Some(on_change) = job.on_change else { continue };
            match watch(app, job) {
                Ok(watch) => {
                    let (name, sender, clock) = (job.name.clone(), sender.clone(), Arc::clone(clock));
                    tasks.spawn(async move {
                        let mut folders = Folders { watch, failed: None };
                        while folders.settled(on_change, &*clock).await
                            && sender.send(Seen::Changed(name.clone())).await.is_ok()
                        {}
                        if let Some(why) = folders.failed {
                            // Where nobody hears of it any more, the daemon is gone.
                            let _ = sender.send(Seen::Lost(name, why)).await;
                        }
                    });
                }
                Err(why) => unwatched.push((job.name.clone(), why)),
            }
        }
        (Self { seen, _tasks: tasks, _sender: sender }, unwatched)
    }

    /// The next job whose sources have changed, or cannot be watched any more.
    pub(super) async fn next(&mut self) -> Option<Seen> {
        self.seen.recv().await
    }
}

fn watch(app: &App, job: &Job) -> Result<AsyncFd<Watch>, Unwatched> {
    let watched = watched(app, job)?;
    let folder = watched.first().map(|watched| watched.root.clone()).unwrap_or_default();
    let refused = |source| Unwatched::Watch(WatchError::Refused { folder, source });
    registered(Watch::below(watched)?).map_err(refused)
}

/// The folders whose changes lead to a run of a job. What its patterns leave out is no change.
pub(super) fn watched(app: &App, job: &Job) -> Result<Vec<Watched>, Unwatched> {
    let refused = |error| Unwatched::Place(Box::new(error));
    let out = &job.leaving_out;
    let patterns = PatternList::gather(&out.patterns, &out.files).map_err(|error| refused(error.into()))?;
    let of = |word: &String| {
        let place = app.place(Kind::Source, std::ffi::OsStr::new(word), Settings::new()).map_err(refused)?;
        match &place.location {
            Location::Folder(folder) => {
                let leaving_out = patterns.of(&place.location).map_err(|error| refused(error.into()))?;
                Ok(Watched { root: folder.clone(), leaving_out })
            }
            _ => Err(Unwatched::NoFolder { location: place.text() }),
        }
    };
    job.sources.iter().map(of).collect()
}

/// What it is called by now is unsafe, since a type might give away another descriptor than it owns: a watch gives one, and owns it.
#[expect(deprecated, reason = "its successor is unsafe, which is forbidden here")]
fn registered(watch: Watch) -> std::io::Result<AsyncFd<Watch>> {
    AsyncFd::new(watch)
}

/// What tells of changes.
trait Changing {
    /// Waits for a change; `false` where none will be seen any more.
    async fn changed(&mut self) -> bool;

    /// Waits until a change is old enough.
    async fn settled(&mut self, on_change: OnChange, clock: &dyn Clock) -> bool {
        if !self.changed().await {
            return false;
        }
        let latest = clock.now().monotonic.saturating_add(on_change.longest);
        loop {
            let left = latest.saturating_sub(clock.now().monotonic);
            tokio::select! {
                biased;
                () = clock.wait(on_change.quiet.min(left)) => return true,
                goes_on = self.changed() => {
                    if !goes_on || clock.now().monotonic >= latest {
                        return true;
                    }
                }
            }
        }
    }
}

struct Folders {
    watch: AsyncFd<Watch>,
    /// Why no change will be seen any more.
    failed: Option<WatchError>,
}

impl Changing for Folders {
    async fn changed(&mut self) -> bool {
        while self.failed.is_none() {
            let Ok(mut ready) = self.watch.readable_mut().await else { return false };
            let taken = ready.get_inner_mut().take();
            ready.clear_ready();
            match taken {
                Ok(true) => return true,
                Ok(false) => {}
                // What came cannot be watched: the schedule makes up for it.
                Err(why) => self.failed = Some(why),
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Mutex;

    use credenza_engine::Moment;

    use std::time::Duration;

    use super::*;

    const ON_CHANGE: OnChange = OnChange { quiet: Duration::from_secs(30), longest: Duration::from_mins(5) };

    /// A clock that goes on when a wait ends before the next change.
    #[derive(Default)]
    struct Script {
        now: Mutex<Duration>,
        changes: Mutex<Vec<Duration>>,
    }

    impl Clock for Script {
        fn now(&self) -> Moment {
            let wall = credenza_model::Timestamp { seconds: 0, nanoseconds: 0 };
            Moment { monotonic: *self.now.lock().unwrap(), wall }
        }

        fn wait(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            let end = *self.now.lock().unwrap() + time;
            if self.changes.lock().unwrap().last().is_some_and(|next| *next < end) {
                return Box::pin(std::future::pending());
            }
            *self.now.lock().unwrap() = end;
            Box::pin(async {})
        }
    }

    impl Changing for &Script {
        async fn changed(&mut self) -> bool {
            let Some(next) = self.changes.lock().unwrap().pop() else { return false };
            *self.now.lock().unwrap() = next;
            true
        }
    }

    /// When runs begin, after changes at these seconds.
    async fn runs(changes: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut changes: Vec<Duration> = changes.into_iter().map(Duration::from_secs).collect();
        changes.reverse();
        let script = Script { changes: Mutex::new(changes), ..Script::default() };
        let (mut changing, mut runs) = (&script, Vec::new());
        while changing.settled(ON_CHANGE, &script).await {
            runs.push(script.now.lock().unwrap().as_secs());
        }
        runs
    }

    #[tokio::test]
    async fn a_run_begins_when_changes_have_been_quiet() {
        assert_eq!(runs([10]).await, [40]);
        assert_eq!(runs([10, 20, 45]).await, [75]);
        assert_eq!(runs([10, 100]).await, [40, 130]);
    }

    #[tokio::test]
    async fn changes_that_go_on_and_on_lead_to_a_run_in_the_end() {
        let ended = runs((0..1000).map(|number| number * 10)).await;
        assert!(ended.len() >= 30 && ended.windows(2).all(|pair| pair[1] - pair[0] <= 320), "{ended:?}");
    }
}
