//! The kit: whether a component does what the contract asks, found out without a service, an account or a container.
//!
//! Owned here: loading a candidate ([`Candidate`]), the file that says how it is pointed at a stand-in ([`Plan`]), the stand-ins, which run in
//! this process, and the beds that make connectors for the cases. Refused here: the cases themselves (`credenza_connect::conformance`),
//! building (`credenza-author`), printing. Called by `credenza connector build` and `connector test`.

mod bed;
mod candidate;
mod plan;
mod stand_in;

pub use candidate::{Candidate, CandidateError};
pub use credenza_connect::conformance::{CaseOutcome, CaseResult};
pub use plan::{Plan, PlanError, StandInKind};
