//! Texts: the config, key slots and records of removal are written again from whichever of their two copies is whole.
//!
//! Owned here: nothing but that. A document of which neither copy is whole is for `forged`; who had such a key slot adds the secret again.

use bytes::Bytes;
use credenza_connect::PutOptions;
use credenza_model::StoreKey;

use super::Mend;
use crate::Result;
use crate::repository::{Repository, TwoCopies, put_text};

/// What is to be written, each under its name.
pub(super) struct Texts(Vec<(StoreKey, Bytes)>);

impl Texts {
    pub(super) async fn read(repository: &Repository) -> Result<Self> {
        let config = repository.twofold_config().await?.mend();
        let slots = repository.twofold_slots().await?;
        let removals = repository.removals().await?;
        let texts = slots.iter().filter_map(TwoCopies::mend).chain(removals.iter().filter_map(TwoCopies::mend));
        Ok(Self(config.into_iter().chain(texts).collect()))
    }

    pub(super) fn mends(&self) -> impl Iterator<Item = Mend> + '_ {
        self.0.iter().map(|(object, _)| Mend::Restored { object: object.clone() })
    }

    pub(super) async fn write(&self, repository: &Repository) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let retain_until = repository.lock_until().await?;
        let options = PutOptions { retain_until, hint: "config".to_owned(), ..PutOptions::default() };
        for (key, bytes) in &self.0 {
            put_text(&**repository.bare_store(), key, bytes.clone(), &options).await?;
        }
        Ok(())
    }
}
