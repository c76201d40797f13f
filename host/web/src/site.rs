//! What all requests share.

use std::sync::Arc;

use credenza_app::jobs::Mirror;
use credenza_app::jobs::mirror::Standing;
use credenza_app::jobs::replicate::Status;
use credenza_engine::{Clock, Stop};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::activity::{Activity, Seldom};
use crate::basket::Baskets;
use crate::door::Door;
use crate::hosts::Hosts;
use crate::jobs::Jobs;
use crate::limits::Limits;
use crate::measured::Measured;
use crate::repositories::Repositories;
use crate::runs::Runs;
use crate::session::Sessions;
use crate::shown::Zone;
use crate::throttle::Throttle;

/// One server.
pub(crate) struct Site {
    pub(crate) hosts: Hosts,
    /// The name of its cookie.
    pub(crate) cookie: String,
    /// By which way browsers get in.
    pub(crate) door: Door,
    pub(crate) sessions: Arc<Sessions>,
    /// Counts guesses at passwords and passphrases.
    pub(crate) throttle: Throttle,
    pub(crate) repositories: Arc<Repositories>,
    pub(crate) runs: Runs,
    /// What runs by itself.
    pub(crate) jobs: Jobs,
    /// How policies of replication stood when somebody looked, and mirrors, each as it was written then.
    pub(crate) policies: Measured<Status>,
    pub(crate) mirrors: Measured<(Mirror, Result<Standing, String>)>,
    pub(crate) baskets: Baskets,
    pub(crate) activity: Arc<Activity>,
    /// Those who do not get in by a link or an identity provider.
    pub(crate) refusals: Seldom,
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) zone: Zone,
    /// Ends what is under way with the server.
    pub(crate) stop: Stop,
    pub(crate) readers: Arc<Semaphore>,
}

impl Site {
    /// The name of the cookie of a login that is under way at an identity provider.
    pub(crate) fn login_cookie(&self) -> String {
        format!("{}-login", self.cookie)
    }

    /// Room for one more download, archive or search; none where as many are under way as may be.
    pub(crate) fn reader(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.readers).try_acquire_owned().ok()
    }
}
