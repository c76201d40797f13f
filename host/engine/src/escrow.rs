//! Connectors in escrow: the component that read a source is kept in the repository, so that what it read can be given back when nobody
//! offers the component any more.
//!
//! Owned here: keeping one once for each digest, and reading it back. Refused here: running it, and the consent that this takes (`app`). Called by
//! `backup` and `sync`, and by programs when a component is to be installed. Bound: one component, at most 16 MiB, and its sealed form.
//!
//! It is named by the beginning of the digest that snapshots state, so that two machines that keep the same one meet at one name, and either is right.

use credenza_connect::{ErrorClass, Payload, PutOptions};
use credenza_format::{Digest, EscrowedConnector, Hex, ObjectKind, seal_document};
use credenza_model::ObjectId;

use crate::repository::Repository;
use crate::{Damage, DamageKind, Error, Result};

impl Repository {
    /// Keeps a component in escrow; `false` where it is kept already.
    ///
    /// # Errors
    /// When the store cannot be written, or the component has more than 16 MiB.
    pub async fn keep_connector(&self, connector: &EscrowedConnector) -> Result<bool> {
        let id = object_id(connector.digest());
        let key = ObjectKind::Connector.store_key(id);
        if self.holds(&key).await? {
            return Ok(false);
        }
        let sealed = seal_document(self.keys(), ObjectKind::Connector, id, &connector.encode()?)?;
        let retain_until = self.lock_until().await?;
        let hint = ObjectKind::Connector.name().to_owned();
        let options = PutOptions { if_absent: true, retain_until, hint, ..PutOptions::default() };
        let sha256 = *sealed.sha256();
        match self.bare_store().put(&key, Payload::new(sealed.into_pieces()).with_sha256(sha256), &options).await {
            Ok(_) => Ok(true),
            // Another machine was faster.
            Err(cause) if cause.class == ErrorClass::Precondition => Ok(false),
            Err(cause) => Err(Error::connector(format!("writing `{key}` to the repository"))(cause)),
        }
    }

    /// The component of that digest that is kept in escrow, or its damage; `None` where none is.
    ///
    /// # Errors
    /// When the store cannot be read, or with the keys of a writer.
    pub async fn escrowed_connector(&self, digest: Digest) -> Result<Option<Result<EscrowedConnector, Damage>>> {
        let id = object_id(digest);
        let Some(body) = self.body(self.bare_store(), ObjectKind::Connector, id).await? else { return Ok(None) };
        let key = ObjectKind::Connector.store_key(id);
        let invalid = |why: String| Damage::new(&key, DamageKind::Invalid, why);
        let connector =
            body.and_then(|body| EscrowedConnector::decode(&body).map_err(|cause| invalid(cause.to_string())));
        Ok(Some(connector.and_then(|connector| match connector.digest() == digest {
            true => Ok(connector),
            false => Err(invalid("it holds another component than the one that it is named by".to_owned())),
        })))
    }
}

/// The first half of the digest; what is under it is held against the whole.
fn object_id(Hex(digest): Digest) -> ObjectId {
    let mut id = [0; 16];
    id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    ObjectId::new(id)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use credenza_connect::memory::MemoryStore;

    use super::*;
    use crate::testing::{open, repository, secret};

    fn connector(release: &str) -> EscrowedConnector {
        EscrowedConnector { name: "shop".into(), release: release.into(), component: format!("\0asm{release}").into() }
    }

    #[tokio::test]
    async fn a_component_is_kept_once_and_read_back() {
        let store: Arc<dyn credenza_connect::Store> = Arc::new(MemoryStore::new());
        let first = repository(store.clone(), secret(), None).await;
        let (old, new) = (connector("1"), connector("2"));
        assert!(first.keep_connector(&old).await.unwrap());
        let second = open(store, secret()).await;
        assert!(!second.keep_connector(&old).await.unwrap() && second.keep_connector(&new).await.unwrap());
        for kept in [old, new] {
            assert_eq!(second.escrowed_connector(kept.digest()).await.unwrap().unwrap().unwrap(), kept);
        }
        assert!(second.escrowed_connector(connector("3").digest()).await.unwrap().is_none());
    }
}
