//! The connector for Amazon S3 and what speaks its protocol, as source, store and destination.
//!
//! Owned here: requests, documents, headers and errors of S3, and what its servers do differently. Refused here: signatures,
//! credentials, retries, host names (the host's), and bytes of objects, which pass as handles and never enter the sandbox.
//! Called by the host through the contract in `wit/`.
//!
//! [`Bucket`](bucket::Bucket) is generic over a wire, and has the roles itself: it is tested natively with recorded answers, and
//! `tests/bench` runs it natively over the host's own connections.

mod acl;
mod archive;
mod attributes;
pub mod bucket;
mod check;
mod cursor;
mod delete;
mod destination;
mod documents;
mod encoded;
mod fault;
mod history;
mod layout;
mod listing;
mod place;
mod protect;
#[cfg(test)]
mod recorded;
mod retain;
pub mod source;
mod store;
mod sum;
mod upload;
pub mod wire;

use credenza_sdk::wire::Host;
use credenza_sdk::{Config, Connector, Problem, Result};

use crate::bucket::Bucket;

credenza_sdk::export!(Bucket<Host>: source, store, destination);

impl Connector for Bucket<Host> {
    fn open(config: &Config) -> Result<Self> {
        Ok(Self::new(config, Host))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        place::problems(config)
    }
}
