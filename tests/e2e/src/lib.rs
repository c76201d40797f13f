//! What end to end tests stand on: a run of the real binary, trees and buckets to back up, servers to talk to.
//!
//! Owned here: no test and no knowledge of how credenza works inside. [`Credenza`] drives the binary, [`tree`]
//! builds and compares folders, [`bucket`] fills and compares buckets over [`s3`], an S3 client that shares no
//! code with the connector under test, [`metadata`] hands out credentials, [`index_server`] serves files that it lists, [`servers`] starts
//! real servers by the scripts of `tests/servers`, [`azure`] talks to an emulator of Azure, [`relay`] stands before a server and misbehaves for it,
//! [`scenario`] has what every store must survive, [`wrong_server`] is one that no client can use. For authors, [`guests`] are components that were
//! built, [`author`] is a machine that builds them, and [`shelf`] what the guide builds one for. [`browser`] is one that is driven as a person drives it. [`front`] is a run that serves snapshots to other programs, and
//! [`process`] is what the kernel tells of a run, and `compiled` keeps for all users what one has compiled.
//!
//! Called by the tests in `tests/e2e/tests`, each a table of scenarios run by [`Report`].

pub mod author;
pub mod azure;
pub mod browser;
pub mod bucket;
mod compiled;
mod credenza;
pub mod front;
pub mod guests;
pub mod index_server;
pub mod metadata;
mod mounting;
pub mod process;
pub mod race;
pub mod relay;
mod report;
pub mod s3;
pub mod scenario;
pub mod servers;
mod setup;
pub mod shelf;
pub mod store;
pub mod tree;
pub mod wrong_server;

pub use credenza::{Credenza, Outcome, PASSPHRASE, Run, binary, number, workspace};
pub use mounting::can_mount;
pub use report::Report;
pub use setup::{Precious, Setup, memory_server, memory_server_of_pages, requests_of, snapshot_of};
