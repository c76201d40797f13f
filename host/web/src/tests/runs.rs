//! Runs by themselves: what is told of one at its end.

use std::sync::Arc;

use credenza_app::Error;
use credenza_engine::{Error as EngineError, Event, Listener, Stop};
use credenza_model::Timestamp;

use super::HandClock;
use crate::activity::{Activity, Who};
use crate::operations::Check;
use crate::runs::{Ending, Outcome, Run, Runs};

/// A run that has begun, and that nothing does.
fn begun() -> Arc<Run> {
    let runs = Runs::new(HandClock::now_standing(), Arc::new(Activity::new(None, Timestamp::default())));
    let operation = Arc::new(Check { read_data: false });
    runs.begin("mine", operation, Who::default(), Stop::default()).ok().unwrap()
}

#[test]
fn a_run_that_is_cancelled_or_fails_says_how_far_it_got() {
    let cancelled = || Error::Engine(EngineError::Cancelled);
    let failed = || Error::Engine(EngineError::SecretMissing);
    for (error, is_begun) in [(cancelled(), true), (failed(), true), (cancelled(), false)] {
        let run = begun();
        if is_begun {
            run.on(Event::Progress { entries: 2, bytes: 3 });
            run.on(Event::Progress { entries: 1, bytes: 4 });
        }
        run.end(Err(error), |_| ());
        let ending = run.reported().end.unwrap().ending;
        let says = ending.lines.iter().any(|line| line.contains("It got through 3 entries, 7 B, before it ended"));
        assert_eq!(says, is_begun, "{ending:?}");
        let facts: Vec<&str> = ending.facts.iter().map(|(_, number)| number.as_str()).collect();
        assert_eq!(facts, if is_begun { vec!["3", "7 (7 B)"] } else { vec![] });
    }
}

#[test]
fn the_end_of_a_run_is_on_the_log_before_anybody_sees_it() {
    let run = begun();
    let mut is_logged = false;
    run.end(Ok(Ending::default()), |end| {
        assert_eq!((run.has_ended(), end.ending.outcome), (false, Outcome::Done));
        is_logged = true;
    });
    assert!(is_logged && run.has_ended());
}
