//! The retention policy that the config keeps.

use credenza_format::{Config, Policy};

use super::Repository;
use crate::Result;

impl Repository {
    /// Writes a policy into the config, or takes it out.
    ///
    /// # Errors
    /// [`crate::Error::ConcurrentChange`] when the config was changed since the repository was opened.
    pub async fn set_policy(&self, policy: Option<Policy>) -> Result<()> {
        self.require_reading("the retention policy")?;
        let config = Config { policy, ..self.config.clone() };
        self.replace_config(&config, self.keys.keyring()).await
    }
}
