//! Connectors in escrow: the component that read a source is kept in the repository, so that what it read can be given back when nobody
//! offers the component any more.
//!
//! Owned here: putting one under a name, and reading it back. Refused here: when a name may be relied on (`write::commit`), when it goes (`gc`), running
//! it, and the consent that this takes (`app`). Called by both, by `sync`, and by programs when a component is to be installed. Bound: one component, at
//! most 56 MiB, and its sealed form.
//!
//! It is named by half of the digest that snapshots state, so that two machines that keep the same one meet at one name, and either is right. It has a
//! second name, the other half: what a collector has condemned must not be relied on, and nobody can know when it goes.

use credenza_connect::{ErrorClass, Payload, PutOptions};
use credenza_format::{Digest, EscrowedConnector, ObjectKind, seal_document};
use credenza_model::ObjectId;

use crate::repository::Repository;
use crate::{Damage, DamageKind, Error, Result};

impl Repository {
    /// Keeps a component under one of its names, if there is none yet.
    ///
    /// # Errors
    /// When the store cannot be read or written, or the component has more than 56 MiB.
    pub(crate) async fn keep_connector(&self, connector: &EscrowedConnector, name: ObjectId) -> Result<()> {
        let key = ObjectKind::Connector.store_key(name);
        if self.holds(&key).await? {
            return Ok(());
        }
        let sealed = seal_document(self.keys(), ObjectKind::Connector, name, &connector.encode()?)?;
        let retain_until = self.lock_until().await?;
        let hint = ObjectKind::Connector.name().to_owned();
        let options = PutOptions { if_absent: true, retain_until, hint, ..PutOptions::default() };
        let sha256 = *sealed.sha256();
        match self.bare_store().put(&key, Payload::new(sealed.into_pieces()).with_sha256(sha256), &options).await {
            Ok(_) => Ok(()),
            // Another machine was faster.
            Err(cause) if cause.class == ErrorClass::Precondition => Ok(()),
            Err(cause) => Err(Error::connector(format!("writing `{key}` to the repository"))(cause)),
        }
    }

    /// The component of that digest that is kept in escrow, or its damage; `None` where none is.
    ///
    /// # Errors
    /// When the store cannot be read, or with the keys of a writer.
    pub async fn escrowed_connector(&self, digest: Digest) -> Result<Option<Result<EscrowedConnector, Damage>>> {
        let mut found = None;
        for name in EscrowedConnector::names(digest) {
            let Some(body) = self.body(self.bare_store(), ObjectKind::Connector, name).await? else { continue };
            let key = ObjectKind::Connector.store_key(name);
            let invalid = |why: String| Damage::new(&key, DamageKind::Invalid, why);
            let decoded =
                body.and_then(|body| EscrowedConnector::decode(&body).map_err(|cause| invalid(cause.to_string())));
            let connector = decoded.and_then(|connector| match connector.digest() == digest {
                true => Ok(connector),
                false => Err(invalid("it holds another component than the one that it is named by".to_owned())),
            });
            if connector.is_ok() {
                return Ok(Some(connector));
            }
            found = Some(connector);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use credenza_connect::memory::{MemorySource, MemoryStore};
    use credenza_format::Provenance;
    use credenza_model::{SnapshotId, Timestamp};

    use super::*;
    use crate::backup::{self, BackupOptions};
    use crate::gc::{self, GcOptions, put_record};
    use crate::testing::{handle, noise, open, repository, secret};
    use crate::write::Deduplicator;
    use crate::{RunContext, remove};

    fn connector(release: &str) -> EscrowedConnector {
        EscrowedConnector { name: "shop".into(), release: release.into(), component: format!("\0asm{release}").into() }
    }

    #[tokio::test]
    async fn a_component_is_kept_once_and_read_back() {
        let store: Arc<dyn credenza_connect::Store> = Arc::new(MemoryStore::new());
        let first = repository(store.clone(), secret(), None).await;
        let (old, new) = (connector("1"), connector("2"));
        let [name, other] = EscrowedConnector::names(old.digest());
        first.keep_connector(&old, name).await.unwrap();
        let second = open(store, secret()).await;
        second.keep_connector(&old, name).await.unwrap();
        second.keep_connector(&new, EscrowedConnector::names(new.digest())[1]).await.unwrap();
        assert!(!second.holds(&ObjectKind::Connector.store_key(other)).await.unwrap());
        for kept in [old, new] {
            assert_eq!(second.escrowed_connector(kept.digest()).await.unwrap().unwrap().unwrap(), kept);
        }
        assert!(second.escrowed_connector(connector("3").digest()).await.unwrap().is_none());
    }

    /// A snapshot of a file that tells its number, read by that component.
    async fn back_up(repository: &Repository, number: u64, connector: &EscrowedConnector) -> SnapshotId {
        let source = MemorySource::new();
        source.put("file", noise(number, 2000));
        let provenance = Provenance { digest: Some(connector.digest()), ..Provenance::default() };
        let component = Some(Arc::new(connector.clone()));
        let options = BackupOptions { provenance, component, ..BackupOptions::default() };
        let report = backup::run(repository, Arc::new(source), &options, &RunContext::default()).await.unwrap();
        report.snapshot.unwrap()
    }

    async fn is_kept(repository: &Repository, connector: &EscrowedConnector) -> bool {
        let kept = repository.escrowed_connector(connector.digest()).await.unwrap();
        kept.is_some_and(|kept| kept.unwrap() == *connector)
    }

    async fn collected(repository: &Repository) -> u64 {
        gc::run(repository, &GcOptions::default(), &RunContext::default()).await.unwrap().connectors_deleted
    }

    /// A repository in which the snapshot that the first component read is gone, and days have passed; the second has one.
    async fn one_idle(days: i64) -> (MemoryStore, Repository, [EscrowedConnector; 2]) {
        let store = MemoryStore::new();
        let repository = repository(Arc::new(store.clone()), secret(), None).await;
        let both = [connector("1"), connector("2")];
        let gone = back_up(&repository, 1, &both[0]).await;
        back_up(&repository, 2, &both[1]).await;
        remove::run(&repository, &[handle(&repository, gone).await], None).await.unwrap();
        let here = repository.clock().now().wall;
        store.set_clock(Timestamp { seconds: here.seconds + days * 86_400, nanoseconds: 0 });
        (store, repository, both)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_component_that_reads_no_snapshot_goes_when_no_run_can_need_it_and_others_stay() {
        let (_, repository, [_, read]) = one_idle(0).await;
        assert_eq!(collected(&repository).await, 0, "a run that is at work may have put it");
        let (store, repository, [idle, _]) = one_idle(8).await;
        assert_eq!(collected(&repository).await, 1);
        assert!(!is_kept(&repository, &idle).await && is_kept(&repository, &read).await);
        assert_eq!(collected(&repository).await, 0);
        // A later run needs it again: what was condemned is put under its other name.
        back_up(&open(Arc::new(store), secret()).await, 3, &idle).await;
        assert!(is_kept(&repository, &idle).await);
        let [name, other] = EscrowedConnector::names(idle.digest()).map(|name| ObjectKind::Connector.store_key(name));
        assert!(!repository.holds(&name).await.unwrap() && repository.holds(&other).await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_component_that_a_run_has_announced_is_spared() {
        let (_, repository, [idle, _]) = one_idle(8).await;
        let index = Arc::new(repository.index_for_writing().await.unwrap());
        let dedup = Deduplicator::begin(&repository, index, repository.writer("", "")).await.unwrap();
        let [name, _] = EscrowedConnector::names(idle.digest());
        dedup.record().announce(Vec::new(), Some(name)).await.unwrap();
        assert_eq!(collected(&repository).await, 0);
        dedup.record().withdraw_intents().await;
        assert_eq!(collected(&repository).await, 1);
    }

    /// Whatever the snapshot before says: its component may go as soon as it is removed.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_condemned_name_is_never_relied_on() {
        let store = MemoryStore::new();
        let repository = repository(Arc::new(store.clone()), secret(), None).await;
        let connector = connector("1");
        back_up(&repository, 1, &connector).await;
        let [name, _] = EscrowedConnector::names(connector.digest());
        put_record(&repository, Vec::new(), vec![name]).await.unwrap();
        back_up(&repository, 2, &connector).await;
        store.tamper(&ObjectKind::Connector.store_key(name), None);
        assert!(is_kept(&repository, &connector).await);
    }
}
