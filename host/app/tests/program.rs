//! A program over the crate, as it stands among the examples, and what many tasks of one need.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::ffi::OsStr;
use std::fs;

use credenza_app::sync::Side;
use credenza_app::{
    App, AppOptions, DestinationUse, Kind, Notice, OpenOptions, OpenRepository, Opened, Place, Settings, StoreUse,
    prune, remove, sync,
};
use credenza_connect::{Destination, Source, Store};
use credenza_engine::SnapshotFilter;
use credenza_engine::sync::SyncOptions;
use credenza_engine::{CreateOptions, RunContext, Secret};

#[allow(dead_code, unreachable_pub, reason = "the example is a program of its own, too")]
#[path = "../examples/backup_and_restore.rs"]
mod backup_and_restore;

#[tokio::test]
async fn the_example_restores_what_it_backs_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("source/sub")).unwrap();
    fs::write(path("source/sub/letter"), "dear all").unwrap();
    let options = AppOptions { configuration_folder: Some(path("config")), ..AppOptions::default() };
    let app = App::new(options);
    let secret = Secret::Passphrase(b"six random words of one file".to_vec().into());
    let folders = ["source", "repository", "target"].map(path);
    backup_and_restore::run(&app, secret, folders).await.unwrap();
    assert_eq!(fs::read_to_string(path("target/sub/letter")).unwrap(), "dear all");
}

/// A web server and a runner of jobs use one handle from many tasks, on many threads.
#[test]
fn what_many_tasks_share_can_be_shared_and_what_they_await_can_be_sent() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<App>();
    is_shared::<Place>();
    is_shared::<OpenRepository>();
    is_shared::<OpenOptions>();
    is_shared::<Opened<dyn Source>>();
    is_shared::<Opened<dyn Store>>();
    is_shared::<Opened<dyn Destination>>();
    is_shared::<Side>();
    is_shared::<Notice>();
    is_shared::<credenza_app::Error>();
    fn is_send<T: Send>(_: T) {}
    let app = App::new(AppOptions::default());
    let place = app.place(Kind::Repository, OsStr::new("s3://host/bucket"), Settings::new()).unwrap();
    let options = OpenOptions { purpose: StoreUse::Read, secret: Secret::None, accept_plaintext: false };
    let create = create_options();
    is_send(app.source(&place, None));
    is_send(app.store(&place, StoreUse::Read));
    is_send(app.destination(&place, DestinationUse::Write));
    is_send(app.open_repository(place.clone(), options));
    is_send(app.create_repository(&place, &create, false));
    is_send(app.unproven_key_slots(&place));
    is_send(app.login(None, "drive"));
    is_send(app.check_place(Kind::Repository, &place).next());
    // Never called: what it would await is looked at all the same.
    fn with_open<'a>(
        open: &'a OpenRepository,
        sides: &'a mut [Side; 2],
        sync: &'a SyncOptions,
        filter: &'a SnapshotFilter,
        context: &'a RunContext,
    ) {
        is_send(prune::plan(&open.repository, None, filter, true));
        is_send(remove::remove_all(open, &[], None));
        is_send(sync::carry(sides, sync, None, context));
    }
    let _ = with_open;
}

#[tokio::test]
async fn tasks_of_one_program_open_places_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::new(AppOptions::default());
    let tasks = ["a", "b", "c"].map(|name| {
        let (app, path) = (app.clone(), folder.path().join(name));
        tokio::spawn(async move {
            let place = app.place(Kind::Repository, path.as_os_str(), Settings::new())?;
            app.create_repository(&place, &create_options(), false).await?;
            let options = OpenOptions { purpose: StoreUse::Read, secret: Secret::None, accept_plaintext: false };
            app.open_repository(place, options).await.map(|open| open.repository.config().encrypted)
        })
    });
    for task in tasks {
        assert!(!task.await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn a_folder_that_holds_no_repository_is_named_and_so_is_the_one_that_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repository");
    let options = AppOptions { configuration_folder: Some(folder.path().join("config")), ..AppOptions::default() };
    let app = App::new(options);
    let place = app.place(Kind::Repository, path.as_os_str(), Settings::new()).unwrap();
    let open = || {
        let options = OpenOptions { purpose: StoreUse::Read, secret: Secret::None, accept_plaintext: false };
        app.open_repository(place.clone(), options)
    };
    let Err(credenza_app::Error::NoRepository { known: None, .. }) = open().await else { unreachable!() };
    let (created, _) = app.create_repository(&place, &create_options(), false).await.unwrap();
    fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    let Err(credenza_app::Error::NoRepository { known: Some(known), .. }) = open().await else { unreachable!() };
    assert_eq!(known.id, created.repository.to_string());
}

fn create_options() -> CreateOptions {
    CreateOptions { label: "first".to_owned(), ..CreateOptions::new(Secret::None) }
}
