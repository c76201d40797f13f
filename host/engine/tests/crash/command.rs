//! The commands that write, each with the repository that it begins with and what must be in it whenever it ends.

use std::sync::Arc;

use credenza_connect::memory::MemoryStore;
use credenza_connect::wrap::FaultKind;
use credenza_connect::{ErrorClass, Payload, Store};
use credenza_engine::gc::{self, GcOptions};
use credenza_engine::sync::{self, SyncOptions};
use credenza_engine::{CreateOptions, Error, Repository, RunContext, Secret, SnapshotName, remove};
use credenza_format::{Condemned, Identity, ObjectKind, RecipientKind, seal_document};
use credenza_model::{ObjectId, SnapshotId, StoreKey};

use crate::common::{self, BEGIN, Files, at, backup, files, key_file, rm};

/// What a command does.
enum Act {
    Create,
    Backup(&'static str, Files),
    Sync(MemoryStore),
    Remove(SnapshotId),
    Maintain,
    Rotate,
    ChangePassphrase(Secret),
}

/// A command before it is run.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    act: Act,
    /// The store that it begins with.
    pub(crate) store: MemoryStore,
    /// What opens the repository; the second after a change of passphrases.
    secrets: Vec<Secret>,
    /// Snapshots that must be there at any time.
    pub(crate) must: Vec<(SnapshotId, Files)>,
    /// Snapshots that come or go.
    pub(crate) may: Vec<(SnapshotId, Files)>,
    /// What a new snapshot holds.
    pub(crate) new: Option<Files>,
    /// What befalls each writing request.
    pub(crate) faults: &'static [FaultKind],
    /// What somebody else puts when the run announces what it relies on.
    pub(crate) meanwhile: Option<(StoreKey, Payload)>,
}

impl Command {
    fn new(name: &'static str, act: Act, store: MemoryStore) -> Self {
        let (must, may) = (Vec::new(), Vec::new());
        let faults = &[FaultKind::Fail(ErrorClass::Transient), FaultKind::LoseAnswer];
        Self { name, act, store, secrets: vec![key_file()], must, may, new: None, faults, meanwhile: None }
    }

    /// Opens the repository in that store by whatever opens it.
    pub(crate) async fn open(&self, store: Arc<dyn Store>) -> Result<Repository, Error> {
        let mut refused = None;
        for secret in self.secrets.iter().rev() {
            match Repository::open(common::as_asked(Arc::clone(&store)), secret, None).await {
                Ok(repository) => return Ok(repository),
                Err(refusal) => refused = Some(refusal),
            }
        }
        Err(refused.unwrap())
    }

    /// Runs it to its end, or until it fails.
    pub(crate) async fn run(&self, store: Arc<dyn Store>) -> Result<(), Error> {
        if matches!(self.act, Act::Create) {
            return match Repository::create(common::as_asked(store), &create_options(key_file())).await {
                Err(Error::RepositoryExists { .. }) => Ok(()),
                other => other.map(drop),
            };
        }
        let repository = self.open(store).await?;
        match &self.act {
            Act::Create => Ok(()),
            Act::Backup(host, files) => backup(&repository, host, files).await.map(drop),
            Act::Sync(origin) => {
                let origin = common::open(Arc::new(origin.clone()), &key_file()).await;
                let report = sync::run(&origin, &repository, &SyncOptions::default(), &RunContext::default()).await?;
                assert_eq!(report.failed, 0, "{:?}", report.findings);
                Ok(())
            }
            Act::Remove(id) => match repository.find(&SnapshotName(id.to_string())).await {
                Ok(handle) => remove::run(&repository, &[handle], None).await.map(drop),
                // An earlier run has removed it.
                Err(Error::NoSnapshot { .. }) => Ok(()),
                Err(cause) => Err(cause),
            },
            Act::Maintain => gc::run(&repository, &GcOptions::default(), &RunContext::default()).await.map(drop),
            Act::Rotate => repository.rotate_keys(&key_file(), false).await.map(drop),
            Act::ChangePassphrase(new) => repository.change_passphrase(&new.lock().unwrap()).await.map(drop),
        }
    }
}

fn create_options(secret: Secret) -> CreateOptions {
    CreateOptions { label: "test".into(), ..CreateOptions::new(secret) }
}

/// An empty repository.
async fn empty() -> (MemoryStore, Repository) {
    let store = MemoryStore::new();
    let repository = common::create(&store, key_file()).await;
    (store, repository)
}

/// A repository with these snapshots, each of another host.
async fn with(all: &[Files]) -> (MemoryStore, Repository, Vec<(SnapshotId, Files)>) {
    let (store, repository) = empty().await;
    let mut snapshots = Vec::new();
    for (host, files) in ["a", "b", "c", "d"].into_iter().zip(all) {
        snapshots.push((backup(&repository, host, files).await.unwrap(), files.clone()));
    }
    (store, repository, snapshots)
}

/// Every command but those that are about a passphrase.
pub(crate) async fn all() -> Vec<Command> {
    let store = MemoryStore::new();
    store.set_clock(at(BEGIN));
    vec![
        Command::new("create", Act::Create, store),
        first_backup().await,
        later_backup().await,
        backup_beside_a_collector().await,
        sync_rekeyed().await,
        removal().await,
        maintenance().await,
        rotation().await,
    ]
}

async fn first_backup() -> Command {
    let (store, _) = empty().await;
    let new = Some(files(0..6));
    Command { new, ..Command::new("backup, the first", Act::Backup("a", files(0..6)), store) }
}

async fn later_backup() -> Command {
    let (store, _, must) = with(&[files(0..6)]).await;
    let new = Some(files(2..9));
    Command { must, new, ..Command::new("backup, a later one", Act::Backup("a", files(2..9)), store) }
}

/// Everything that the run deduplicates against is condemned before it commits.
async fn backup_beside_a_collector() -> Command {
    let (store, repository, must) = with(&[files(0..6)]).await;
    let is_pack = |kind: &ObjectKind| matches!(kind, ObjectKind::DataPack | ObjectKind::MetaPack);
    let parsed = store.keys().iter().filter_map(ObjectKind::parse).collect::<Vec<_>>();
    let packs = parsed.into_iter().filter(|(kind, _)| is_pack(kind)).map(|(_, id)| id).collect();
    let body = Condemned { connectors: Vec::new(), packs, created: at(BEGIN) }.encode().unwrap();
    let sealed =
        seal_document(&repository.content_keys(), ObjectKind::Condemned, ObjectId::new([9; 16]), &body).unwrap();
    let meanwhile = Some((sealed.key().clone(), Payload::new(sealed.into_pieces())));
    let new = Some(files(2..9));
    let act = Act::Backup("b", files(2..9));
    Command { must, new, meanwhile, ..Command::new("backup, relocating", act, store) }
}

async fn sync_rekeyed() -> Command {
    let (origin, _, may) = with(&[files(0..6), files(4..9)]).await;
    let (store, _, must) = with(&[files(20..24)]).await;
    Command { must, may, ..Command::new("sync", Act::Sync(origin), store) }
}

async fn removal() -> Command {
    let (store, _, mut must) = with(&[files(0..6), files(4..9)]).await;
    let may = vec![must.remove(0)];
    Command { must, ..Command { may: may.clone(), ..Command::new("rm", Act::Remove(may[0].0), store) } }
}

/// A sparse pack to repack, packs to delete, and index segments to merge.
async fn maintenance() -> Command {
    let (store, repository, mut must) = with(&[files(0..20), files(0..4), files(30..34), files(40..44)]).await;
    for gone in [3, 0] {
        rm(&repository, must.remove(gone).0).await;
    }
    let trial = common::open(Arc::new(common::copy_of(&store).await), &key_file()).await;
    let report = common::collect(&trial).await.unwrap();
    assert!(report.repacked > 0 && report.deleted > 0 && report.segments_merged > 0, "{report:?}");
    Command { must, ..Command::new("maintain", Act::Maintain, store) }
}

async fn rotation() -> Command {
    let (store, repository, must) = with(&[files(0..6)]).await;
    let recipient = Secret::Identity(Identity::generate(RecipientKind::X25519).unwrap()).lock().unwrap();
    repository.add_slot(&recipient, credenza_format::Access::Full, "recipient").await.unwrap();
    Command { must, ..Command::new("key rotate", Act::Rotate, store) }
}

/// Each try of a passphrase costs its tenth of a second, and the two requests follow one another: one that is lost is a run cut off.
pub(crate) async fn passphrase() -> Command {
    let [old, new] = ["five odd words of mine", "six quite other words of mine"]
        .map(|words| Secret::Passphrase(words.as_bytes().to_vec().into()));
    let store = MemoryStore::new();
    let repository = common::create(&store, old.clone()).await;
    let must = vec![(backup(&repository, "a", &files(0..6)).await.unwrap(), files(0..6))];
    let act = Act::ChangePassphrase(new.clone());
    let faults = &[FaultKind::LoseAnswer];
    Command { must, faults, secrets: vec![old, new], ..Command::new("key passwd", act, store) }
}
