//! What end to end tests stand on: a run of the real binary, trees and buckets to back up, servers to talk to.
//!
//! Owned here: no test and no knowledge of how credenza works inside. [`Credenza`] drives the binary, [`tree`]
//! builds and compares folders, [`bucket`] fills and compares buckets over [`s3`], an S3 client that shares no
//! code with the connector under test, [`guests`] are components that were built, [`author`] is a machine that builds them, [`shelf`] what the guide builds one for, [`metadata`] hands out credentials, [`servers`] starts
//! real servers by the scripts of `tests/servers`, and [`wrong_server`] one that no client can use.
//!
//! Called by the tests in `tests/e2e/tests`, each a table of scenarios run by [`Report`].

pub mod author;
pub mod bucket;
mod credenza;
pub mod guests;
pub mod metadata;
pub mod race;
mod report;
pub mod s3;
pub mod servers;
mod setup;
pub mod shelf;
pub mod store;
pub mod tree;
pub mod wrong_server;

pub use credenza::{Credenza, Outcome, PASSPHRASE, Run, binary, number, workspace};
pub use report::Report;
pub use setup::{Precious, Setup, memory_server, memory_server_of_pages, requests_of, snapshot_of};
