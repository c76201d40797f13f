//! The steps: a first backup, daily work, and upkeep, each by a process of its own on a machine with a cache.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use credenza_connect::Store;
use credenza_connect::file::FileStore;
use credenza_connect::memory::MemoryDestination;
use credenza_connect::wrap::{Spent, Tallied, Tally};
use credenza_engine::backup::{self, BackupOptions};
use credenza_engine::check::{self, CheckOptions};
use credenza_engine::gc::{self, GcOptions};
use credenza_engine::restore::{self, RestoreOptions};
use credenza_engine::{CreateOptions, ObjectCache, Parts, Repository, RunContext, Secret, remove};
use credenza_model::Key;

use crate::keys::{FOLDER_KEYS, Keys};

/// In the order in which they are done. The last but one removes all snapshots but the newest, and the last reclaims what only those needed.
pub(crate) const STEPS: [&str; 7] = ["first", "unchanged", "changed", "prefix", "check", "prune", "maintain"];

/// Copies of small objects, as the program keeps them.
const CACHE_BYTES_MAX: u64 = 1 << 33;

/// Does one step; what it asked of the store.
pub(crate) async fn run(folder: &Path, keys: u64, step: &str) -> Result<Spent> {
    let place = folder.join("repository");
    if step == "first" {
        create(&place).await?;
    }
    let tally = Arc::new(Tally::default());
    let store: Arc<dyn Store> = Arc::new(FileStore::open(&place)?);
    let store: Arc<dyn Store> = Arc::new(Tallied::new(store, Arc::clone(&tally)));
    let cache = ObjectCache::new(folder.join("cache"), CACHE_BYTES_MAX);
    let repository = Repository::open(store, &secret(), Some(&cache)).await?;
    match step {
        "first" | "unchanged" => back_up(&repository, Keys { count: keys, changed: false }).await?,
        "changed" => back_up(&repository, Keys { count: keys, changed: true }).await?,
        "prefix" => restore_prefix(&repository, keys).await?,
        "check" => {
            let report = check::run(&repository, &CheckOptions::default(), &RunContext::default()).await?;
            ensure!(report.findings.is_empty(), "{:?}", report.findings);
        }
        "prune" => {
            let mut all = repository.snapshots().await?.whole;
            all.sort_by_key(|handle| handle.snapshot.sequence);
            all.pop();
            remove::run(&repository, &all, None).await?;
        }
        "maintain" => {
            let report = gc::run(&repository, &GcOptions::default(), &RunContext::default()).await?;
            ensure!(report.damages.is_empty(), "{report:?}");
        }
        _ => bail!("`{step}` is none of {STEPS:?}"),
    }
    Ok(tally.spent())
}

/// A key file: the function that makes a key of a passphrase would add the same memory and time to every step.
fn secret() -> Secret {
    Secret::KeyFile(vec![7; credenza_format::KEY_FILE_BYTES_MIN].into())
}

async fn create(place: &Path) -> Result<()> {
    let options = CreateOptions { label: "scale".to_owned(), ..CreateOptions::new(secret()) };
    Repository::create(Arc::new(FileStore::create(place)?), &options).await?;
    Ok(())
}

async fn back_up(repository: &Repository, source: Keys) -> Result<()> {
    let options = BackupOptions { host: "scale".into(), user: "scale".into(), ..BackupOptions::default() };
    let report = backup::run(repository, Arc::new(source), &options, &RunContext::default()).await?;
    ensure!(report.entries == source.count && report.errors == 0, "{report:?}");
    Ok(())
}

/// The folder in the middle.
async fn restore_prefix(repository: &Repository, keys: u64) -> Result<()> {
    let all = repository.snapshots().await?.whole;
    let newest = all.iter().max_by_key(|handle| handle.snapshot.sequence).context("there is no snapshot")?;
    let folder = format!("{:06}/", keys / FOLDER_KEYS / 2);
    let options = RestoreOptions { parts: Parts::under(Key::from(folder.as_str())), ..RestoreOptions::default() };
    let destination = Arc::new(MemoryDestination::new());
    let report = restore::run(repository, newest, destination, &options, &RunContext::default()).await?;
    ensure!(report.entries == FOLDER_KEYS.min(keys) && report.damaged + report.failed == 0, "{report:?}");
    Ok(())
}
