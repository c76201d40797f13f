//! The kit: whether a component does what the contract asks, found out without a service, an account or a container.
//!
//! Owned here: loading a candidate ([`Candidate`]), the file that says how it is pointed at a stand-in ([`Plan`]), the stand-ins, which run in
//! this process, the beds that make connectors for the cases, the cases of a component (its package, its conduct in the sandbox), and the hostile
//! peer with its checks (`chaos`), and a run against a real service (`live`). Refused here: the cases of a source, store and destination (`credenza_connect::conformance`), building
//! (`credenza-author`), printing. Called by `credenza connector build` and `connector test`.

mod bed;
mod candidate;
mod chaos;
mod conduct;
mod exchange;
mod live;
mod package;
mod peer;
mod plan;
mod stand_in;
mod subject;

pub use candidate::{Candidate, CandidateError, catalogue, retired};
pub use credenza_connect::conformance::{CaseOutcome, CaseResult, Choice, Listed};
pub use live::{Live, LiveRun};
pub use plan::{Plan, PlanError};
pub use stand_in::StandInKind;
