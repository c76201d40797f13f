//! The retention policy that the config keeps.

use credenza_connect::{ErrorClass, Payload, PutOptions};
use credenza_format::{Config, Policy, config_key};

use super::{Repository, fetch};
use crate::{Damage, DamageKind, Error, Result};

impl Repository {
    /// Writes a policy into the config, or takes it out. The config is read anew, so that nothing else in it is lost; where the
    /// store has conditions, a config that somebody changes at the same time is not overwritten.
    ///
    /// # Errors
    /// [`Error::Restless`] when somebody does.
    pub async fn set_policy(&self, policy: Option<Policy>) -> Result<()> {
        let key = config_key();
        let stat = self.bare.stat(&key).await.map_err(Error::connector("reading the config of the repository"))?;
        let missing = || Damage::new(&key, DamageKind::Missing, "the config is not in the store");
        let bytes = fetch(&*self.bare, &key).await?.ok_or_else(missing)??;
        let corrupt = |cause: credenza_format::ConfigError| Damage::new(&key, DamageKind::Corrupt, cause.to_string());
        let config = Config::decode(&bytes).and_then(|config| config.verify(&self.keys)).map_err(corrupt)?;
        let encoded = Config { policy, ..config }
            .encode(&self.keys)
            .map_err(|cause| Error::Encode { doing: "encoding the config".to_owned(), cause: cause.to_string() })?;
        let info = self.bare.info().await.map_err(Error::connector("opening the store"))?;
        let if_match = stat.tag.filter(|_| info.has("if-match"));
        let options = PutOptions { if_match, hint: "config".to_owned(), ..PutOptions::default() };
        match self.bare.put(&key, Payload::from(encoded), &options).await {
            Ok(_) => Ok(()),
            Err(cause) if cause.class == ErrorClass::Precondition => {
                Err(Error::Restless { what: "the config".to_owned() })
            }
            Err(cause) => Err(Error::connector("writing the config of the repository")(cause)),
        }
    }
}
