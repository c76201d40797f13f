//! The conformance suite over each component of `plugins`, in the sandbox and bare: the wrappers that stand before it in use must not be what makes it right.

#![allow(clippy::disallowed_methods, reason = "a test makes times of its own")]
#![allow(clippy::unwrap_used, reason = "a bed that cannot be made is a failed test")]

mod azure;
mod bed;
mod gcs;
mod gcs_server;
mod identities;
mod s3;
#[path = "../support/server.rs"]
mod script;
mod webdav;
