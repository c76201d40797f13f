//! An S3 server in memory, for tests: the real wire protocol and real signature checks on a loopback port.
//!
//! Owned here: buckets, objects, versions, locks and multipart uploads kept in memory; a log of what was asked
//! ([`Log`]); switches that make the server misbehave ([`Faults`]) or
//! wait for a test ([`Hold`]); and access to what is stored without the
//! wire ([`Buckets`]), so that a test can seed, compare and damage behind the server's back.
//!
//! ([`Policy`] decides what the one access key may do.)
//!
//! Refused here: persistence, ACLs, encryption, anything of AWS outside S3. Keys are UTF-8, as S3
//! demands, and kept exactly: nothing is normalised, `a/../b`, `c//d` and `/lead` are three plain keys.
//!
//! Called by the end to end tests, the demo and, as a process of its own, `credenza-s3-server`.
//!
//! A request passes: [`door`] (counts, faults) → `s3s` (parses, verifies the signature) → [`storage`] (answers).

mod buckets;
mod content;
mod door;
mod faults;
mod hold;
mod log;
mod object;
mod operation;
mod policy;
mod server;
mod storage;

pub use buckets::{Buckets, Stored};
pub use content::Content;
pub use faults::{Fault, Faults, Rule};
pub use hold::{Hold, NotHeld};
pub use log::{Count, Log};
pub use object::{Attributes, Lock};
pub use operation::Operation;
pub use policy::{Policy, PolicyError};
pub use server::{Options, Server};
