//! Two machines over one repository in a folder.

use std::path::Path;

use credenza_engine::latest::configurations;
use credenza_engine::{CreateOptions, Secret};

use super::*;
use crate::app::AppOptions;
use crate::configuration::Settings;
use crate::error::Error;
use crate::open::StoreUse;
use crate::repository::OpenOptions;

/// A machine with its folders below one.
fn machine(folder: &Path) -> App {
    let options = AppOptions {
        configuration_folder: Some(folder.join("configuration")),
        state_folder: Some(folder.join("state")),
        ..AppOptions::default()
    };
    App::new(options)
}

async fn repository(app: &App, folder: &Path) -> Repository {
    let place = app.place(Kind::Repository, folder.as_os_str(), Settings::new()).unwrap();
    let options = CreateOptions::new(Secret::None);
    app.create_repository(&place, &options, false).await.unwrap();
    let options = OpenOptions { purpose: StoreUse::Write, secret: Secret::None, accept_plaintext: true };
    app.open_repository(place, options).await.unwrap().repository
}

fn configure(folder: &Path, places: &str, jobs: &str) {
    fs::create_dir_all(folder.join("configuration")).unwrap();
    fs::write(folder.join("configuration/config.toml"), places).unwrap();
    fs::write(folder.join("configuration/jobs.toml"), jobs).unwrap();
}

const PLACES: &str = "[repository.main]\nlocation = \"/r\"\npassphrase = \"hunter2\"\n";
const JOBS: &str = "version = 1\n\n[job.a]\nbackup = \"/a\"\nto = \"@main\"\nat = \"02:30\"\n";

#[tokio::test]
async fn a_new_machine_is_set_up_as_the_one_was_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    configure(&old, PLACES, JOBS);
    let app = machine(&old);
    let repository = repository(&app, &folder.path().join("r")).await;
    assert!(matches!(
        set_up(&machine(&new), &repository, None).await,
        Err(Error::Bootstrap(BootstrapError::None { host: None, .. }))
    ));
    assert!(keep(&app, &repository, None).await.unwrap());
    let done = set_up(&machine(&new), &repository, None).await.unwrap();
    assert_eq!((done.written.len(), done.left_out), (2, vec!["config.toml: repository.main.passphrase".to_owned()]));
    let written = |name: &str| fs::read_to_string(new.join("configuration").join(name)).unwrap();
    assert!(written("config.toml").contains("location = \"/r\"") && !written("config.toml").contains("hunter2"));
    assert_eq!(written("jobs.toml"), JOBS);
    let again = set_up(&machine(&new), &repository, None).await.unwrap_err();
    assert!(matches!(again, Error::Bootstrap(BootstrapError::Exists { .. })), "{again}");
    let other = set_up(&machine(&new), &repository, Some("elsewhere")).await.unwrap_err();
    assert!(matches!(other, Error::Bootstrap(BootstrapError::None { host: Some(_), .. })), "{other}");
}

#[tokio::test]
async fn an_unchanged_configuration_is_kept_once_and_the_last_one_counts() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), PLACES, JOBS);
    let app = machine(folder.path());
    let repository = repository(&app, &folder.path().join("r")).await;
    let kept = async || keep(&app, &repository, None).await.unwrap();
    assert_eq!((kept().await, kept().await), (true, false));
    let later = JOBS.replace("02:30", "03:30");
    configure(folder.path(), PLACES, &later);
    assert_eq!((kept().await, kept().await), (true, false));
    fs::remove_dir_all(folder.path().join("state")).unwrap();
    assert!(!kept().await, "the repository is asked where nothing is remembered");
    let (machines, unreadable) = configurations(&repository).await.unwrap();
    let texts: Vec<&str> = machines.iter().flat_map(|machine| &machine.files).map(|file| &*file.text).collect();
    assert!(machines.len() == 1 && texts.contains(&&*later) && unreadable.is_empty(), "{machines:?}");
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_has_kept_is_replaced_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), PLACES, JOBS);
    let app = machine(folder.path());
    let repository = repository(&app, &folder.path().join("r")).await;
    assert!(keep(&app, &repository, None).await.unwrap());
    let mut ahead = configurations(&repository).await.unwrap().0.remove(0);
    ahead.at.seconds += 1_000_000_000;
    keep_configuration(&repository, ahead).await.unwrap();
    let later = JOBS.replace("02:30", "03:30");
    configure(folder.path(), PLACES, &later);
    assert!(keep(&app, &repository, None).await.unwrap());
    let machines = configurations(&repository).await.unwrap().0;
    assert!(machines[0].files.iter().any(|file| file.text == later), "{machines:?}");
}

#[tokio::test]
async fn a_backup_by_hand_keeps_the_jobs_that_are_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), PLACES, JOBS);
    let elsewhere = folder.path().join("elsewhere.toml");
    fs::rename(folder.path().join("configuration/jobs.toml"), &elsewhere).unwrap();
    let app = machine(folder.path());
    let repository = repository(&app, &folder.path().join("r")).await;
    assert!(keep(&app, &repository, Some(&elsewhere)).await.unwrap());
    assert!(!keep(&app, &repository, None).await.unwrap(), "nothing is lost by it, and nothing new");
    let machines = configurations(&repository).await.unwrap().0;
    assert!(machines[0].files.iter().any(|file| file.text == JOBS), "{machines:?}");
}

#[tokio::test]
async fn a_machine_without_a_configuration_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let app = machine(folder.path());
    let repository = repository(&app, &folder.path().join("r")).await;
    assert!(!keep(&app, &repository, None).await.unwrap());
    assert!(configurations(&repository).await.unwrap().0.is_empty());
}

#[test]
fn of_several_machines_the_one_of_this_name_is_meant_or_one_is_to_be_named() {
    let machine = |host: &str| MachineConfiguration {
        host: host.to_owned(),
        at: Timestamp { seconds: 0, nanoseconds: 0 },
        files: Vec::new(),
        left_out: Vec::new(),
        connectors: Vec::new(),
    };
    let both = || vec![machine("a"), machine("b")];
    assert_eq!(choose(both(), None, "b").unwrap().host, "b");
    assert_eq!(choose(both(), Some("a"), "b").unwrap().host, "a");
    assert!(matches!(choose(both(), None, "c"), Err(BootstrapError::Several { .. })));
    assert!(matches!(choose(both(), Some("c"), "a"), Err(BootstrapError::None { .. })));
}
