//! The lines of a self-test, and what a first request proves by its answer.
//!
//! Owned here: which steps a failure leaves proven. Refused here: making requests, and the words of a protocol.
//!
//! ```
//! use credenza_sdk::check::{Proof, proven};
//! use credenza_sdk::{Error, ErrorClass};
//!
//! const PROOFS: [Proof; 2] = [
//!     Proof { name: "credentials", means: "are accepted", reasons: &["web.unauthorised"] },
//!     Proof { name: "folder", means: "it is there", reasons: &["web.no-folder"] },
//! ];
//! let missing = Error::new(ErrorClass::Configuration, "web.no-folder", "listing failed: there is no such folder");
//! let lines = proven(&PROOFS, "list", Err(missing));
//! assert_eq!(lines.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), ["credentials", "folder"]);
//! assert!(lines[0].outcome.is_ok() && lines[1].outcome.is_err());
//! ```

use crate::{Check, ErrorClass, Result};

/// Failures that prove nothing but that something answered, or not even that.
const NO_PROOF: [ErrorClass; 3] = [ErrorClass::Transient, ErrorClass::Corrupt, ErrorClass::Internal];

/// A step that the first request proves when it fails for another reason, or not at all. Steps stand in the order in which servers look at them.
#[derive(Debug, Clone, Copy)]
pub struct Proof {
    /// Of its line.
    pub name: &'static str,
    /// What it means that it holds, for a person.
    pub means: &'static str,
    /// Reasons of failures that tell that it does not hold.
    pub reasons: &'static [&'static str],
}

/// The line of a first request, after those of what it proves. A failure of a step has the name of that step, and what comes after it is left out.
#[must_use]
pub fn proven(proofs: &[Proof], name: &str, outcome: Result<String>) -> Vec<Check> {
    let error = outcome.as_ref().err();
    let failed = error.and_then(|error| proofs.iter().position(|proof| proof.reasons.contains(&&*error.reason)));
    let held = match error {
        Some(error) if failed.is_none() && NO_PROOF.contains(&error.class) => 0,
        _ => failed.unwrap_or(proofs.len()),
    };
    let mut lines: Vec<Check> =
        proofs.iter().take(held).map(|proof| line(proof.name, Ok(proof.means.to_owned()))).collect();
    let name = failed.and_then(|step| proofs.get(step)).map_or(name, |proof| proof.name);
    lines.push(line(name, outcome));
    lines
}

/// A line of a self-test.
#[must_use]
pub fn line(name: &str, outcome: Result<String>) -> Check {
    Check { name: name.to_owned(), outcome }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    const PROOFS: [Proof; 2] = [
        Proof { name: "credentials", means: "are accepted", reasons: &["x.key", "x.clock"] },
        Proof { name: "bucket", means: "it is there", reasons: &["x.no-bucket"] },
    ];

    fn names(outcome: Result<String>) -> Vec<(String, bool)> {
        proven(&PROOFS, "list", outcome).into_iter().map(|line| (line.name, line.outcome.is_ok())).collect()
    }

    fn failure(class: ErrorClass, reason: &str) -> Result<String> {
        Err(Error::new(class, reason, "listing failed"))
    }

    #[test]
    fn a_success_proves_every_step() {
        let expected = [("credentials", true), ("bucket", true), ("list", true)];
        assert_eq!(names(Ok("3 objects".to_owned())), expected.map(|(name, held)| (name.to_owned(), held)));
    }

    #[test]
    fn a_failure_of_a_step_proves_those_before_it_and_has_its_name() {
        assert_eq!(names(failure(ErrorClass::Configuration, "x.clock")), [("credentials".to_owned(), false)]);
        let expected = [("credentials".to_owned(), true), ("bucket".to_owned(), false)];
        assert_eq!(names(failure(ErrorClass::Configuration, "x.no-bucket")), expected);
    }

    #[test]
    fn a_refusal_proves_who_asks_and_a_broken_answer_nothing() {
        let expected = [("credentials", true), ("bucket", true), ("list", false)];
        assert_eq!(names(failure(ErrorClass::Denied, "x.denied")), expected.map(|(n, held)| (n.to_owned(), held)));
        for class in NO_PROOF {
            assert_eq!(names(failure(class, "x.other")), [("list".to_owned(), false)]);
        }
    }
}
