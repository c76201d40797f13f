//! What is tested: something that makes connectors which are pointed at a folder of a stand-in.

use std::sync::Arc;

use async_trait::async_trait;
use credenza_connect::{Destination, Error, ErrorClass, Result, Source, Store};
use credenza_sandbox::{Configured, Connector, Role, Surroundings};

use crate::plan::Plan;

/// Where a connector is pointed at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Host and port of the stand-in.
    pub(crate) address: &'a str,
    pub(crate) folder: &'a str,
}

/// Makes connectors, bare: nothing stands before them.
#[async_trait]
pub(crate) trait Subject: Send + Sync {
    /// The connector as a source.
    ///
    /// # Errors
    /// When the settings are not taken, or it is no source.
    async fn source(&self, at: Place<'_>) -> Result<Arc<dyn Source>>;

    /// The connector as a store that may delete.
    ///
    /// # Errors
    /// When the settings are not taken, or it is no store.
    async fn store(&self, at: Place<'_>) -> Result<Arc<dyn Store>>;

    /// The connector as a destination.
    ///
    /// # Errors
    /// When the settings are not taken, or it is no destination.
    async fn destination(&self, at: Place<'_>) -> Result<Arc<dyn Destination>>;
}

/// A component, with the settings of its plan.
pub(crate) struct Sandboxed {
    pub(crate) connector: Arc<Connector>,
    pub(crate) plan: Plan,
}

impl Sandboxed {
    /// The component in some roles.
    ///
    /// # Errors
    /// When the settings are not taken.
    pub(crate) async fn configured(&self, at: Place<'_>, roles: &[Role]) -> Result<Configured> {
        let settings = self.plan.settings(at.address, at.folder);
        let configured = self.connector.configure(&settings, &Surroundings::none(), roles, "conformance").await;
        configured.map_err(refused)
    }
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorClass::Configuration, "kit.settings", error.to_string())
}

#[async_trait]
impl Subject for Sandboxed {
    async fn source(&self, at: Place<'_>) -> Result<Arc<dyn Source>> {
        self.configured(at, &[Role::Source]).await?.source().map_err(refused)
    }

    async fn store(&self, at: Place<'_>) -> Result<Arc<dyn Store>> {
        self.configured(at, &[Role::Store, Role::Prune]).await?.store().map_err(refused)
    }

    async fn destination(&self, at: Place<'_>) -> Result<Arc<dyn Destination>> {
        self.configured(at, &[Role::Destination, Role::Replay]).await?.destination().map_err(refused)
    }
}
