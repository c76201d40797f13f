//! What a daemon in the same process does, seen in the page: its runs stand among those of the page, with live progress, and are cancelled there.
//!
//! Refused here: what runs when, and the record (`credenza_app::jobs`). Called by the daemon, from any thread; nothing here waits.
//!
//! Bound: one run a job.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use credenza_app::jobs::daemon::{Listens, News};
use credenza_app::jobs::mirror::Wish;
use credenza_engine::{Listener, NoEvents, Stop};

use crate::activity::Who;
use crate::jobs::words;
use crate::operations::{JobRun, ended};
use crate::runs::Run;
use crate::site::Site;

/// Hears of the runs of a daemon.
pub struct Watch {
    site: Arc<Site>,
    /// By job.
    running: Mutex<BTreeMap<String, Arc<Run>>>,
}

impl Watch {
    pub(crate) fn new(site: Arc<Site>) -> Self {
        Self { site, running: Mutex::default() }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Run>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listens for Watch {
    fn hear(&self, news: News<'_>) {
        match news {
            News::Did(job, step) => {
                if let Some(run) = self.running().get(job) {
                    run.did(words::step(step));
                }
            }
            News::Ended(job, ending) => {
                if let Some(run) = self.running().remove(job) {
                    // Its own record has it.
                    run.end(Ok(ended(&run, ending)), |_| ());
                }
            }
            _ => {}
        }
    }

    fn follow(&self, job: &str, stop: &Stop) -> Arc<dyn Listener> {
        let operation = Arc::new(JobRun { jobs: self.site.jobs.clone(), job: job.to_owned(), wish: Wish::default() });
        let by = Who { name: "the schedule".to_owned(), from: String::new() };
        match self.site.runs.begin(job, operation, by, stop.clone()) {
            Ok(run) => {
                self.running().insert(job.to_owned(), Arc::clone(&run));
                run
            }
            // It runs already, from the page, and the daemon is about to find that.
            Err(_) => Arc::new(NoEvents),
        }
    }
}
