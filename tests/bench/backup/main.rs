//! One backup of a bucket into a new repository, with the S3 library in the sandbox or called natively.
//!
//! `credenza-bench-backup sandbox|native REPOSITORY CACHE KEY=VALUE...`; `credenza-bench-backup ready CACHE COMPONENT`, which only loads one;
//! `credenza-bench-backup stages FOLDER`, which does each stage of a backup alone.
//!
//! Owned here: two ways to the same library, which differ in WebAssembly alone: engine, connections, policy and signatures are
//! the host's own in both. Refused here: measuring, which `credenza-bench` does from outside. Prints one JSON line of counts.

mod convert;
mod native;
mod ready;
mod stages;
mod wire;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use credenza_connect::Source;
use credenza_connect::file::FileStore;
use credenza_connect::wrap::{Retry, RetryPolicy};
use credenza_engine::backup::{self, BackupOptions, BackupReport};
use credenza_engine::{CreateOptions, Repository, RunContext, Secret};
use credenza_sandbox::{
    Egress, Manifest, Permit, RawSettings, Role, Sandbox, SandboxOptions, SecretText, Settings, Surroundings, Traffic,
};

use native::NativeSource;

const USAGE: &str =
    "usage: credenza-bench-backup sandbox|native REPOSITORY CACHE KEY=VALUE... | ready CACHE COMPONENT | stages FOLDER";

/// As long as the sandbox lets a connection stand still.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A source, and what it sent.
type Opened = (Arc<dyn Source>, Arc<Traffic>);

#[tokio::main]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [way, cache, component] = words.as_slice()
        && way == "ready"
    {
        return print_line(&serde_json::json!({ "ms": ready::milliseconds(cache.as_ref(), component.as_ref())? }));
    }
    if let [way, folder] = words.as_slice()
        && way == "stages"
    {
        return print_line(&stages::measure(folder.as_ref())?);
    }
    let [way, repository, cache, settings @ ..] = words.as_slice() else { bail!(USAGE) };
    let settings = settings.iter().filter_map(|word| word.split_once('='));
    let settings: RawSettings = settings.map(|(name, text)| (name.to_owned(), SecretText::new(text))).collect();
    let path = credenza_e2e::workspace().join("target/connectors/s3.wasm");
    let component = std::fs::read(&path).with_context(|| format!("{} is missing", path.display()))?;
    let (source, traffic) = match way.as_str() {
        "sandbox" => sandboxed(&component, &settings, cache.into()).await?,
        "native" => native(&component, &settings)?,
        _ => bail!(USAGE),
    };
    let report = back_up(source, repository.as_ref()).await?;
    print(&report, &traffic)
}

async fn sandboxed(component: &[u8], settings: &RawSettings, cache: PathBuf) -> Result<Opened> {
    let sandbox = Sandbox::new(SandboxOptions { cache_dir: Some(cache), ..SandboxOptions::default() })?;
    let connector = sandbox.load(component)?;
    let configured = connector.configure(settings, &Surroundings::none(), &[Role::Source], "backup").await?;
    Ok((configured.source()?, configured.traffic()))
}

fn native(component: &[u8], settings: &RawSettings) -> Result<Opened> {
    let manifest = Manifest::of_component(component)?;
    let settings = Settings::resolve(&manifest, settings, &Surroundings::none())?;
    let egress = Arc::new(Egress::new(&manifest, &settings, Permit::of(&[Role::Source]), IDLE_TIMEOUT)?);
    let traffic = Arc::clone(egress.traffic());
    Ok((Arc::new(NativeSource::new(&convert::config(&settings), egress)), traffic))
}

/// Encrypts with a key file: the function that makes a key of a passphrase would only add the same time to both ways.
async fn back_up(source: Arc<dyn Source>, repository: &Path) -> Result<BackupReport> {
    let store = Arc::new(FileStore::create(repository)?);
    let secret = Secret::KeyFile(vec![7; credenza_format::KEY_FILE_BYTES_MIN].into());
    let options = CreateOptions { label: "first".to_owned(), ..CreateOptions::new(secret.clone()) };
    Repository::create(store.clone(), &options).await?;
    let repository = Repository::open(store, &secret, None).await?;
    let source = Arc::new(Retry::new(source, RetryPolicy::default()));
    Ok(backup::run(&repository, source, &BackupOptions::default(), &RunContext::default()).await?)
}

fn print(report: &BackupReport, traffic: &Traffic) -> Result<()> {
    print_line(&serde_json::json!({
        "entries": report.entries,
        "errors": report.errors,
        "bytes_read": report.bytes_read,
        "requests": traffic.requests(),
        "bytes_read_by_connector": traffic.bytes_read_by_guest(),
    }))
}

#[allow(clippy::print_stdout)]
fn print_line(line: &serde_json::Value) -> Result<()> {
    println!("{line}");
    Ok(())
}
