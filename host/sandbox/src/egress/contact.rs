//! Whether an endpoint has ever answered in this run, which decides what a fault of the way to it means:
//!
//! **An endpoint that has answered is away for a while, and is waited for. One that never has is not where the settings say:** what does not fit
//! them (no TLS where TLS is wanted, a certificate that is not trusted) is final at once; where nothing is (a name without an address, a port that
//! is refused), it is looked at once more after [`SECOND_LOOK`], lest a network that is just coming up at the start of a nightly run count for that.
//! What is there and gives no whole answer is waited for in either case.
//!
//! Owned here: this rule. Refused here: trying again (`connect::wrap::Retry`) and the words (`fault`). Kept: a moment for each endpoint.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::EgressError;
use super::fault::{Fault, Kind};

/// How long after the first look there is a second.
pub(super) const SECOND_LOOK: Duration = Duration::from_secs(2);

/// What is known of an endpoint in this run.
#[derive(Debug, Default)]
pub(crate) struct Contact(Mutex<State>);

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Unknown,
    /// Nothing was there then, and since.
    Missed(Instant),
    Answered,
}

impl Contact {
    /// Notes an answer, whichever.
    pub(crate) fn answered(&self) {
        *self.state() = State::Answered;
    }

    /// What a fault means now.
    pub(crate) fn judge(&self, fault: Fault) -> EgressError {
        let Fault { kind, reason, what, advice } = fault;
        let (mut state, now) = (self.state(), Instant::now());
        let first = match (*state, kind) {
            (_, Kind::BrokenOff) => return EgressError::Interrupted { reason, message: what },
            (State::Answered, _) | (_, Kind::Silent) => return EgressError::Unreachable { reason, message: what },
            (_, Kind::Misfit) => {
                let message = format!("{what}; {advice}");
                return EgressError::NeverAnswered { reason, message, again_in: None };
            }
            (State::Unknown, Kind::Absent) => now,
            (State::Missed(first), Kind::Absent) => first,
        };
        *state = State::Missed(first);
        let missed = now.saturating_duration_since(first);
        let again_in = SECOND_LOOK.saturating_sub(missed);
        if again_in.is_zero() {
            let message = format!("{what}, twice within {} s; {advice}", missed.as_secs());
            return EgressError::NeverAnswered { reason, message, again_in: None };
        }
        EgressError::NeverAnswered { reason, message: format!("{what}; {advice}"), again_in: Some(again_in) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: Kind) -> Fault {
        Fault { kind, reason: "connect", what: "it is gone".to_owned(), advice: "look for it" }
    }

    fn again_in(error: &EgressError) -> Option<Duration> {
        match error {
            EgressError::NeverAnswered { again_in, .. } => *again_in,
            other => unreachable!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_is_looked_at_once_more_by_all_that_ask_and_is_final_then() {
        let contact = Contact::default();
        assert_eq!(again_in(&contact.judge(fault(Kind::Absent))), Some(SECOND_LOOK));
        tokio::time::advance(SECOND_LOOK / 2).await;
        assert_eq!(again_in(&contact.judge(fault(Kind::Absent))), Some(SECOND_LOOK / 2));
        tokio::time::advance(SECOND_LOOK / 2).await;
        let last = contact.judge(fault(Kind::Absent));
        assert_eq!((again_in(&last), last.to_string().as_str()), (None, "it is gone, twice within 2 s; look for it"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_fit_the_settings_is_final_until_there_was_an_answer() {
        let contact = Contact::default();
        assert_eq!(again_in(&contact.judge(fault(Kind::Misfit))), None);
        contact.answered();
        for kind in [Kind::Misfit, Kind::Absent, Kind::Silent] {
            assert!(matches!(contact.judge(fault(kind)), EgressError::Unreachable { .. }), "{kind:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_gives_no_whole_answer_is_waited_for() {
        let contact = Contact::default();
        for _ in 0..3 {
            assert!(matches!(contact.judge(fault(Kind::Silent)), EgressError::Unreachable { .. }));
            assert!(matches!(contact.judge(fault(Kind::BrokenOff)), EgressError::Interrupted { .. }));
            tokio::time::advance(SECOND_LOOK).await;
        }
    }
}
