//! What a call's outcome is worth.

use credenza_connect::Result;

use super::Scene;

/// Nothing, or what was wrong, in a sentence.
pub(super) type Verdict = std::result::Result<(), String>;

/// What a call gave, nothing where it failed as it may; else what was wrong.
pub(super) type Outcome<T> = std::result::Result<Option<T>, String>;

impl Scene {
    /// Judges a call that reads.
    pub(super) fn read<T>(&self, act: &str, outcome: Result<T>) -> Outcome<T> {
        self.judge(act, outcome, false)
    }

    /// Judges a call that writes.
    pub(super) fn write<T>(&self, act: &str, outcome: Result<T>) -> Outcome<T> {
        self.judge(act, outcome, true)
    }

    fn judge<T>(&self, act: &str, outcome: Result<T>, is_write: bool) -> Outcome<T> {
        match outcome {
            Ok(done) => Ok(Some(done)),
            Err(error) => match self.kind.objection(&error, is_write) {
                None => Ok(None),
                Some(objection) => {
                    Err(format!("{act} tells {objection}: {error} ({:?}, {})", error.class, error.reason))
                }
            },
        }
    }
}

pub(super) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// What must succeed, because the server is honest.
pub(super) fn honestly<T>(act: &str, outcome: Result<T>) -> std::result::Result<T, String> {
    outcome.map_err(|error| format!("before it misbehaves, {act} fails: {error} ({:?}, {})", error.class, error.reason))
}
