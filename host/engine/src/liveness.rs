//! Liveness: whether the other side of a run still answers, and does what it is asked for. By these rules, and not by which answer comes first, a
//! failure is one entry's or the run's:
//!
//! 1. **While the other side answers anything, an entry's failure is that entry's: it is recorded, and the run goes on. The run ends when
//!    nothing was answered for [`SILENCE_MAX`].** A refusal is an answer, and so is "not now"; what never came back, or broke off, is none. An
//!    entry that got no whole answer is no proof of either, so the other side is asked for something else then. If that is not answered, it was
//!    away, and the entry is asked for again when it is back: [`ABSENCES_MAX`] times, for the entry may be what takes it down.
//! 2. **The run ends when no entry succeeded for [`ROW_TIME`], though [`LONG_ROW`] of them or more were asked for and might do better later.** They are
//!    counted in the order in which entries are taken, whichever answer came first. How many fail in a shorter time decides nothing: thousands of
//!    neighbours may, and those behind them are read.
//!
//! Owned here: these rules. Refused here: trying a call again (`connect::wrap::Retry`, which has done so before anything fails here, and paces what is
//! asked here). Called by `backup` for the source, by `restore` for the destination, and by `blobs` for the
//! repository that `restore` and `check` read.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use credenza_connect::{Body, BodyReader, Error as ConnectError};
use futures_util::StreamExt;

use crate::clock::Clock;
use crate::poison::lock_unpoisoned;
use crate::{Error, Result};

/// How long the other side may answer nothing before the run ends.
const SILENCE_MAX: Duration = Duration::from_mins(5);
/// How often an entry is asked for again because the other side was away.
const ABSENCES_MAX: u8 = 8;
/// Entries that make a row: more than are asked for at once, so that a few neighbours cannot be one however long each takes.
const LONG_ROW: u32 = 64;
/// How long a row may last: an entry has tries for some two minutes.
const ROW_TIME: Duration = Duration::from_mins(30);

/// When the other side of a run answered last.
pub(crate) struct Liveness {
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

impl Liveness {
    /// Silence counts from now.
    pub(crate) fn begin(side: &'static str, clock: &Arc<dyn Clock>) -> Arc<Self> {
        let answered = Mutex::new(Last { at: clock.now().monotonic, count: 0 });
        Arc::new(Self { side, clock: Arc::clone(clock), answered })
    }

    /// Notes an answer.
    pub(crate) fn beat(&self) {
        let mut last = lock_unpoisoned(&self.answered);
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

    /// Makes a call for one entry; `probe` asks the other side for anything else, and is sure to ask it. A failure that comes back is the entry's
    /// own. Whether the call's answer is one of the other side is for the caller to note.
    ///
    /// # Errors
    /// [`Error::Unanswered`] when it is the run's.
    pub(crate) async fn call<T, F, P>(
        &self,
        absences: &mut Absences,
        doing: impl Fn() -> String,
        call: impl Fn() -> F,
        probe: impl Fn() -> P,
    ) -> Result<Result<T, ConnectError>>
    where
        F: Future<Output = Result<T, ConnectError>>,
        P: Future<Output = Result<(), ConnectError>>,
    {
        loop {
            let asked = self.now();
            let cause = match call().await {
                Err(cause) => cause,
                answer => return Ok(answer),
            };
            if !self.was_away(absences, asked, &cause, &doing, &probe).await? {
                return Ok(Err(cause));
            }
        }
    }

    /// Whether what failed for an entry is to be asked for again, because the other side was away and is back. It was `asked` at that time.
    ///
    /// # Errors
    /// [`Error::Unanswered`] when it does not come back.
    pub(crate) async fn was_away<P: Future<Output = Result<(), ConnectError>>>(
        &self,
        absences: &mut Absences,
        asked: Duration,
        cause: &ConnectError,
        doing: impl Fn() -> String,
        probe: impl Fn() -> P,
    ) -> Result<bool> {
        let mut was_away = false;
        while cause.is_unanswered() {
            // Only what is answered from now on says anything: answers to others may have come before it went away.
            let before = lock_unpoisoned(&self.answered).count;
            if !self.of(probe().await).is_err_and(|e| e.is_unanswered()) {
                break;
            }
            was_away = true;
            if lock_unpoisoned(&self.answered).count != before {
                break;
            }
            self.demand(asked, &doing, cause)?;
            tokio::task::yield_now().await;
        }
        Ok(was_away && absences.excuse())
    }

    /// What an entry failed of now.
    pub(crate) fn failed(&self, cause: ConnectError) -> Failed {
        Failed { cause, at: self.now() }
    }

    /// The time now, for what is asked.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now().monotonic
    }

    /// Silence counts from when something was asked: before, nobody may have had a question.
    fn demand(&self, asked: Duration, doing: &impl Fn() -> String, cause: &ConnectError) -> Result<()> {
        let silent = self.now().saturating_sub(asked.max(lock_unpoisoned(&self.answered).at));
        if silent < SILENCE_MAX {
            return Ok(());
        }
        let (side, seconds) = (self.side, silent.as_secs());
        Err(Error::Unanswered { side, seconds, doing: doing(), cause: cause.clone() })
    }

    /// A row of entries at the same side, none so far.
    pub(crate) const fn row(&self) -> Row {
        Row { side: self.side, failed: 0, since: Duration::ZERO }
    }
}

/// How often the other side was away while one entry was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Absences(u8);

impl Absences {
    /// Counts one; whether the entry is to be asked for again.
    const fn excuse(&mut self) -> bool {
        let is_again = self.0 < ABSENCES_MAX;
        self.0 = if is_again { self.0.saturating_add(1) } else { self.0 };
        is_again
    }
}

/// What an entry failed of, and when.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    cause: ConnectError,
    at: Duration,
}

/// Entries that failed one after the other.
pub(crate) struct Row {
    side: &'static str,
    failed: u32,
    /// When the first of them did.
    since: Duration,
}

impl Row {
    /// Takes what came of the next entry. What is refused for good neither makes a row longer nor ends it.
    ///
    /// # Errors
    /// [`Error::Fruitless`] when the row is too long.
    pub(crate) fn take(&mut self, outcome: Result<(), &Failed>, doing: impl Fn() -> String) -> Result<()> {
        let Failed { cause, at } = match outcome {
            Ok(()) => {
                self.failed = 0;
                return Ok(());
            }
            Err(failed) if failed.cause.is_transient() => failed,
            Err(_) => return Ok(()),
        };
        self.since = if self.failed == 0 { *at } else { self.since };
        self.failed = self.failed.saturating_add(1);
        let time = at.saturating_sub(self.since);
        if self.failed < LONG_ROW || time < ROW_TIME {
            return Ok(());
        }
        let (side, entries) = (self.side, self.failed);
        let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        Err(Error::Fruitless { side, entries, seconds, doing: doing(), cause: Box::new(cause.clone()) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use credenza_connect::ErrorClass;

    use super::*;
    use crate::testing::TestClock;

    fn unanswered() -> ConnectError {
        ConnectError::new(ErrorClass::Transient, "connect", "nobody is there")
    }

    fn liveness() -> (Arc<Liveness>, Arc<TestClock>) {
        let hands = Arc::new(TestClock::default());
        let clock = Arc::clone(&hands) as Arc<dyn Clock>;
        (Liveness::begin("source", &clock), hands)
    }

    #[tokio::test]
    async fn an_answer_to_somebody_else_from_before_a_failure_does_not_prove_that_anybody_is_there() {
        let (liveness, _) = liveness();
        let (calls, probes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let call = || async {
            // Somebody else is answered while this hangs.
            liveness.beat();
            if calls.fetch_add(1, SeqCst) == 0 { Err(unanswered()) } else { Ok("read") }
        };
        let probe = || async { if probes.fetch_add(1, SeqCst) < 2 { Err(unanswered()) } else { Ok(()) } };
        let answer = liveness.call(&mut Absences::default(), || "reading".to_owned(), call, probe).await.unwrap();
        assert_eq!(answer.unwrap(), "read");
    }

    #[tokio::test]
    async fn a_run_that_was_busy_elsewhere_does_not_take_that_for_silence() {
        let (liveness, hands) = liveness();
        hands.pass(Duration::from_mins(10));
        let (calls, probes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let call = || async { if calls.fetch_add(1, SeqCst) == 0 { Err(unanswered()) } else { Ok("read") } };
        let probe = || async {
            hands.pass(Duration::from_mins(2));
            if probes.fetch_add(1, SeqCst) < 2 { Err(unanswered()) } else { Ok(()) }
        };
        let answer = liveness.call(&mut Absences::default(), || "reading".to_owned(), call, probe).await.unwrap();
        assert_eq!(answer.unwrap(), "read");
    }

    #[test]
    fn entries_that_fail_in_a_row_end_the_run_and_one_that_does_not_begins_a_new_row() {
        let (liveness, hands) = liveness();
        let doing = || "reading".to_owned();
        let failures = |row: &mut Row, count: u32, each: Duration| {
            (0..count).try_for_each(|_| {
                hands.pass(each);
                row.take(Err(&liveness.failed(unanswered())), doing)
            })
        };
        let mut row = liveness.row();
        for _ in 0..10 {
            failures(&mut row, 100_000, Duration::from_millis(10)).unwrap();
            row.take(Ok(()), doing).unwrap();
            failures(&mut row, LONG_ROW - 1, Duration::from_hours(1)).unwrap();
            row.take(Ok(()), doing).unwrap();
        }
        let denied = ConnectError::new(ErrorClass::Denied, "s3.access-denied", "not for you");
        let denied = liveness.failed(denied);
        (0..2 * LONG_ROW).for_each(|_| {
            hands.pass(Duration::from_mins(2));
            row.take(Err(&denied), doing).unwrap();
        });
        let fast = failures(&mut liveness.row(), 1_000_000, Duration::from_millis(10));
        assert!(matches!(fast, Err(Error::Fruitless { entries: 180_001, seconds: 1800, .. })), "{fast:?}");
        let slow = failures(&mut liveness.row(), LONG_ROW, Duration::from_mins(2));
        assert!(matches!(slow, Err(Error::Fruitless { entries: LONG_ROW, seconds: 7560, .. })), "{slow:?}");
    }
}
