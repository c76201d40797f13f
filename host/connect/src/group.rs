//! A command that leads a process group, so that all that it started ends with it.
//!
//! Owned here: how such a group is ended: asked first (SIGTERM), made to [`GRACE`] later. Refused here: starting commands, and waiting for them. Called by
//! whoever runs commands of the user's: a stream that is backed up, a hook, a command that prints a passphrase.

use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal, getpgid, kill_process_group};

/// Between the request to end and the end.
const GRACE: Duration = Duration::from_secs(5);

/// A process group whose leader was started here, and not waited for before this is used: its number may be another's after that.
#[derive(Debug, Clone, Copy)]
pub struct ProcessGroup(Pid);

impl ProcessGroup {
    /// The group that a child leads; none where it is in that of somebody else, who lives on.
    #[must_use]
    pub fn led_by(child: &Child) -> Option<Self> {
        let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw)?;
        let leads = getpgid(Some(process)).is_ok_and(|group| group == process);
        leads.then_some(Self(process))
    }

    /// Asks all of it to end; `ended` waits for its leader, at most so long. What is left then is made to.
    pub fn end(self, ended: impl FnOnce(Duration)) {
        // What has ended already need not be told.
        let _ = kill_process_group(self.0, Signal::TERM);
        ended(GRACE);
        self.kill();
    }

    /// Ends all of it at once.
    pub fn kill(self) {
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}
