//! The connector for Azure Blob Storage, as source, store and destination.
//!
//! Owned here: requests, documents, headers and errors of the blob service. Refused here: signatures, credentials, retries, host names (the
//! host's), and bytes of blobs, which pass as handles and never enter the sandbox. Called by the host through the contract in `wit/`.
//!
//! [`Container`](container::Container) is generic over a wire, and has the roles itself: tests run it natively over recorded answers.

mod attributes;
mod check;
pub mod container;
mod destination;
mod documents;
mod fault;
mod listing;
mod locks;
mod names;
mod place;
#[cfg(test)]
mod recorded;
pub mod source;
mod store;
mod upload;
mod versions;
mod wire;

use credenza_sdk::wire::Host;
use credenza_sdk::{Config, Connector, Problem, Result};

use crate::container::Container;

credenza_sdk::export!(Container<Host>: source, store, destination);

impl Connector for Container<Host> {
    fn open(config: &Config) -> Result<Self> {
        Ok(Self::new(config, Host))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        place::problems(config)
    }
}
