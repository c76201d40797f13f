//! The sign of life of each run to a service that alarms when none comes: a dead man's switch, such as healthchecks.io has it.
//!
//! Owned here: which address says what, and its tries. Refused here: what a run is. A service that does not answer changes nothing about the run; that it did
//! not is put on record. Bound: [`WAITS`] and the 10 s that each message may take, some 40 s for both together.

use std::time::Duration;

use credenza_engine::Clock;
use credenza_sandbox::{MessageAddress, MessageError, post};

use super::super::outcome::Ending;
use super::carry::surroundings;

/// The waits between tries.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Says that a run begins.
pub(in crate::jobs) async fn begin(to: &MessageAddress, clock: &dyn Clock) -> Result<(), MessageError> {
    say(&to.below("start")?, "", clock).await
}

/// Says how it ended: 0 for all done, else what the program would end with. One that is to be tried again soon has not ended.
pub(in crate::jobs) async fn end(
    to: &MessageAddress,
    ending: Ending,
    reason: &str,
    clock: &dyn Clock,
) -> Result<(), MessageError> {
    match status(ending) {
        Some(status) => say(&to.below(&status.to_string())?, reason, clock).await,
        None => Ok(()),
    }
}

/// As the command line has it.
const fn status(ending: Ending) -> Option<u8> {
    match ending {
        Ending::Done => Some(0),
        Ending::Incomplete => Some(3),
        Ending::Spent => Some(4),
        Ending::Damaged => Some(20),
        Ending::Failed | Ending::Refused | Ending::Unreachable | Ending::Lost => Some(1),
        Ending::Busy | Ending::Interrupted => None,
    }
}

async fn say(to: &MessageAddress, text: &str, clock: &dyn Clock) -> Result<(), MessageError> {
    let mut waits = WAITS.into_iter();
    loop {
        let headers = [("content-type", "text/plain; charset=utf-8".to_owned())];
        let Err(error) = post(to, &headers, text.as_bytes().to_vec(), &surroundings()).await else { return Ok(()) };
        match waits.next() {
            Some(wait) => clock.wait(wait).await,
            None => return Err(error),
        }
    }
}
