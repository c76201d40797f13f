//! Makes a repository in a folder, backs up another folder into it, and restores that to a third:
//! `cargo run --example backup_and_restore SOURCE REPOSITORY TARGET`, with a passphrase in CREDENZA_PASSPHRASE.

use std::error::Error;
use std::ffi::{OsStr, OsString};

use credenza_app::secret::{self, SecretSources};
use credenza_app::{App, AppOptions, DestinationUse, Kind, OpenOptions, Settings, StoreUse, environment};
use credenza_engine::backup::{self, BackupOptions};
use credenza_engine::restore::{self, RestoreOptions};
use credenza_engine::{CreateOptions, RunContext, Secret, SnapshotName};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folders: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [source, repository, target] = folders.as_slice() else { return Err("name three folders".into()) };
    let secret = secret::provided(&SecretSources::default(), &Settings::new())?;
    if matches!(secret, Secret::None) {
        return Err("set CREDENZA_PASSPHRASE: without a secret the repository would not be encrypted".into());
    }
    run(&App::new(AppOptions::from_environment()), secret, [source, repository, target]).await
}

/// Makes a repository, backs up and restores.
pub async fn run<T: AsRef<OsStr>>(app: &App, secret: Secret, folders: [T; 3]) -> Result<(), Box<dyn Error>> {
    let [source, repository, target] = folders.each_ref().map(AsRef::as_ref);
    let place = app.place(Kind::Repository, repository, Settings::new())?;
    let create = CreateOptions { label: "first".to_owned(), ..CreateOptions::new(secret.clone()) };
    app.create_repository(&place, &create, false).await?;
    let options = OpenOptions { purpose: StoreUse::Write, secret, accept_plaintext: false };
    let open = app.open_repository(place, options).await?;

    let place = app.place(Kind::Source, source, Settings::new())?;
    let source = app.source(&place, None).await?;
    let options = BackupOptions {
        location: place.text(),
        host: environment::host_name(),
        user: environment::user_name(),
        provenance: source.provenance,
        ..BackupOptions::default()
    };
    backup::run(&open.repository, source.connector, &options, &RunContext::default()).await?;

    let latest = open.repository.find(&SnapshotName("latest".to_owned())).await?;
    let place = app.place(Kind::Destination, target, Settings::new())?;
    let destination = app.destination(&place, DestinationUse::Write).await?;
    restore::run(&open.repository, &latest, destination.connector, &RestoreOptions::default(), &RunContext::default())
        .await?;
    Ok(())
}
