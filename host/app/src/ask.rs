//! Asking a person for what nothing else provides.
//!
//! Owned here: when a program may ask and for what. Refused here: how (`cli` prompts on a terminal, a job runner asks nobody).

use std::io;

use async_trait::async_trait;

use crate::passphrase::Passphrase;
use crate::place::PlaceLabel;

/// Somebody who may know a passphrase.
#[async_trait]
pub trait Ask: Send + Sync {
    /// The passphrase of the repository at a place; `None` when nobody is there.
    ///
    /// # Errors
    /// When the answer cannot be read.
    async fn passphrase(&self, place: &PlaceLabel) -> io::Result<Option<Passphrase>>;
}

/// Nobody is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

#[async_trait]
impl Ask for Nobody {
    async fn passphrase(&self, _: &PlaceLabel) -> io::Result<Option<Passphrase>> {
        Ok(None)
    }
}
