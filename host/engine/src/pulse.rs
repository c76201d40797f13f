//! Pulse: whether the other side of a run still answers. By this rule, and not by which answer comes first, a failure is one entry's or the run's:
//!
//! **While the other side answers anything, an entry's failure is that entry's: it is recorded, and the run goes on. The run ends when nothing
//! was answered for [`SILENCE_MAX`].** A refusal is an answer, and so is "not now"; only what never came back is none. An entry that nobody
//! answered is no proof of either, so the other side is asked for something else then.
//!
//! Owned here: that rule. Refused here: trying a call again (`connect::wrap::Retry`, which has done so before anything fails here, and paces what is
//! asked here). Called by `backup::load` for the source and by `restore` for the destination.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use credenza_connect::{Body, BodyReader, Error as ConnectError};
use futures_util::StreamExt;

use crate::clock::Clock;
use crate::write::locked;
use crate::{Error, Result};

/// How long the other side may answer nothing before the run ends.
const SILENCE_MAX: Duration = Duration::from_mins(5);

/// When the other side of a run answered last.
pub(crate) struct Pulse {
    /// Which side, for a person.
    side: &'static str,
    clock: Arc<dyn Clock>,
    answered: Mutex<Last>,
}

struct Last {
    at: Duration,
    /// Answers so far.
    count: u64,
}

impl Pulse {
    /// Silence counts from now.
    pub(crate) fn begin(side: &'static str, clock: &Arc<dyn Clock>) -> Arc<Self> {
        let answered = Mutex::new(Last { at: clock.now().monotonic, count: 0 });
        Arc::new(Self { side, clock: Arc::clone(clock), answered })
    }

    /// Notes an answer.
    pub(crate) fn beat(&self) {
        let mut last = locked(&self.answered);
        last.at = self.clock.now().monotonic;
        last.count += 1;
    }

    /// Notes what came of a call, and hands it on.
    pub(crate) fn of<T>(&self, outcome: Result<T, ConnectError>) -> Result<T, ConnectError> {
        if !outcome.as_ref().is_err_and(ConnectError::is_unanswered) {
            self.beat();
        }
        outcome
    }

    /// The same body, whose pieces are answers.
    pub(crate) fn listen(self: &Arc<Self>, body: Body) -> Body {
        match body.reader {
            BodyReader::Blocking(_) => body,
            BodyReader::Stream(pieces) => {
                let this = Arc::clone(self);
                Body::from_stream(body.length, pieces.map(move |piece| this.of(piece)))
            }
        }
    }

    /// Makes a call for one entry; `probe` asks the other side for anything else. A failure that comes back is the entry's own.
    ///
    /// # Errors
    /// [`Error::Unanswered`] when it is the run's.
    pub(crate) async fn call<T, F, P>(
        &self,
        doing: impl Fn() -> String,
        call: impl Fn() -> F,
        probe: impl Fn() -> P,
    ) -> Result<Result<T, ConnectError>>
    where
        F: Future<Output = Result<T, ConnectError>>,
        P: Future<Output = Result<(), ConnectError>>,
    {
        loop {
            let before = locked(&self.answered).count;
            let cause = match self.of(call().await) {
                Err(cause) if cause.is_unanswered() => cause,
                answer => return Ok(answer),
            };
            let mut was_away = false;
            while locked(&self.answered).count == before && self.of(probe().await).is_err_and(|e| e.is_unanswered()) {
                was_away = true;
                self.demand(&doing, &cause)?;
                tokio::task::yield_now().await;
            }
            // What was asked of somebody who was away is asked again.
            if !was_away {
                return Ok(Err(cause));
            }
        }
    }

    fn demand(&self, doing: &impl Fn() -> String, cause: &ConnectError) -> Result<()> {
        let silent = self.clock.now().monotonic.saturating_sub(locked(&self.answered).at);
        if silent < SILENCE_MAX {
            return Ok(());
        }
        let (side, seconds) = (self.side, silent.as_secs());
        Err(Error::Unanswered { side, seconds, doing: doing(), cause: cause.clone() })
    }
}
