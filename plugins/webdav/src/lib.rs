//! The connector for WebDAV (RFC 4918), as source, store and destination.
//!
//! Owned here: requests, documents and errors of WebDAV, and what its servers do differently. Refused here: credentials, retries, host
//! names (the host's), and bytes of files, which pass as handles and do not enter the sandbox, but for files of unknown size. Called by
//! the host through the contract in `wit/`.
//!
//! [`Folder`](folder::Folder) is generic over a wire, and has the roles itself: it is tested natively with recorded answers.

mod check;
mod destination;
mod fault;
pub mod folder;
mod multistatus;
mod place;
#[cfg(test)]
mod recorded;
pub mod source;
mod store;
mod upload;
mod walk;
pub mod wire;

use credenza_sdk::{Config, Connector, Problem, Result};

use crate::folder::Folder;
use crate::wire::Host;

credenza_sdk::export!(Folder<Host>: source, store, destination);

impl Connector for Folder<Host> {
    fn open(config: &Config) -> Result<Self> {
        Ok(Self::new(config, Host))
    }

    fn validate(config: &Config) -> Vec<Problem> {
        place::problems(config)
    }
}
