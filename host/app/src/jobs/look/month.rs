//! A month of copies within seconds: three sources are backed up to one origin, a policy carries that to a target that is made alike and locks, to one with
//! other keys and a short retention, and from beside a third one it is pulled. Each of them has its bad days.
//!
//! What is told is held to be said once and in order; at the end each target gives back what the policy promised to be there, as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use credenza_connect::Store;
use credenza_connect::memory::{MemoryDestination, MemoryStore};
use credenza_engine::restore::{self, RestoreOptions};
use credenza_engine::sync::{self, SyncOptions};
use credenza_engine::{Clock, CreateOptions, RunContext, Secret, Stop};
use credenza_format::Keys;
use credenza_model::{Key, SnapshotId, StoreKey};
use zeroize::Zeroizing;

use super::super::file::JobsFile;
use super::super::log::Past;
use super::super::outcome::Step;
use super::super::recording::Occasion;
use super::super::replicate;
use super::super::run::Runner;
use super::super::schedule::instant;
use super::super::tests::Steps;
use super::ear::Ear;
use super::weeks::{encrypt, letters};
use super::world::{DAY, Event, HOUR, Machine, World, event, expect_each_said_once_and_all_well};
use crate::app::{App, AppOptions};
use crate::configuration::{Kind, Settings};
use crate::open::StoreUse;
use crate::remove;
use crate::repository::OpenRepository;
use crate::simulated::{Simulated, Site, Weather};

/// 2027-03-01 in UTC, a Monday.
const BEGIN: u64 = 1_803_859_200;
const SOURCES: [&str; 3] = ["home", "mail", "shop"];
/// The origin, one made alike that locks, one with other keys, one beside which another machine stands.
const REPOSITORIES: [&str; 4] = ["main", "paris", "oslo", "rome"];
/// For so many days Paris locks.
const LOCKED_DAYS: u32 = 14;

type Contents = BTreeMap<Key, Vec<u8>>;

/// The stores of the month, and what its sources held.
struct Month {
    folder: tempfile::TempDir,
    millis: Arc<AtomicU64>,
    sites: Arc<BTreeMap<PathBuf, Arc<Site>>>,
    /// From when on a source held what.
    held: Mutex<Vec<(u64, &'static str, Contents)>>,
    /// A machine that comes and goes.
    second: Mutex<Option<Machine>>,
}

impl Month {
    fn new() -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let site = |name: &str| {
            let store = if name == "paris" { MemoryStore::versioned() } else { MemoryStore::new() };
            (folder.path().join(name), Site::new(store))
        };
        let sites = Arc::new(REPOSITORIES.iter().map(|name| site(name)).collect());
        let millis = Arc::new(AtomicU64::new(BEGIN * 1000));
        fs::write(folder.path().join("key"), [7; 64]).unwrap();
        let month = Self { folder, millis, sites, held: Mutex::default(), second: Mutex::default() };
        for source in SOURCES {
            fs::create_dir(month.path(source)).unwrap();
        }
        for (number, letter) in letters(&month.path("")) {
            fs::write(letter, format!("letter {number}: dear reader, {}", "and so on, ".repeat(180))).unwrap();
        }
        Arc::new(month)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn site(&self, name: &str) -> &Arc<Site> {
        &self.sites[&self.path(name)]
    }

    /// The program on a machine, which may only read some of the stores.
    fn app(&self, machine: &str, only_read: &[&str]) -> App {
        let configuration = self.path(machine).join("configuration");
        fs::create_dir_all(&configuration).unwrap();
        let place = |name: &&str| {
            let [location, key] = [*name, "key"].map(|name| self.path(name).display().to_string());
            format!("[repository.{name}]\nlocation = \"{location}\"\nkey_file = \"{key}\"\n")
        };
        fs::write(configuration.join("config.toml"), REPOSITORIES.iter().map(place).collect::<String>()).unwrap();
        let app = App::new(AppOptions { configuration_folder: Some(configuration), ..AppOptions::default() });
        let only_read = only_read.iter().map(|name| self.path(name)).collect();
        app.with_simulated(Simulated { millis: Arc::clone(&self.millis), sites: Arc::clone(&self.sites), only_read })
    }

    /// A machine with this file of jobs.
    fn machine(&self, name: &'static str, app: App, jobs: &str) -> Machine {
        let folder = self.path("machines").join(name.trim());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("jobs.toml"), jobs).unwrap();
        Machine::new(name, app, folder.join("jobs.toml"), folder.join("state"))
    }

    async fn create(&self, app: &App, name: &str, like: Option<Keys>) {
        let place = app.place(Kind::Repository, format!("@{name}").as_ref(), Settings::new()).unwrap();
        let options = CreateOptions {
            secret: Secret::KeyFile(Zeroizing::new(fs::read(self.path("key")).unwrap())),
            like,
            label: String::new(),
            chunker: credenza_format::ChunkerParams::default(),
            compression: 1,
            retain_days: (name == "paris").then_some(LOCKED_DAYS),
            parity: None,
        };
        app.create_repository(&place, &options, false).await.unwrap();
    }

    /// Somebody works: each source has something new.
    fn work(&self, now: u64) {
        let day = (now - BEGIN) / DAY;
        let text = |what: &str| format!("{what} of day {day}: {}", format!("{now}, ").repeat(200));
        fs::write(self.path("home/diary"), text("diary")).unwrap();
        fs::write(self.path("mail").join(format!("{day}.eml")), text("a letter")).unwrap();
        fs::write(self.path("shop").join((day % 40).to_string()), text("an order")).unwrap();
        self.note(now);
    }

    /// Notes what the sources hold from now on.
    fn note(&self, now: u64) {
        for source in SOURCES {
            let files = fs::read_dir(self.path(source)).unwrap().map(Result::unwrap);
            let content = |entry: fs::DirEntry| {
                (Key::new(entry.file_name().into_encoded_bytes()), fs::read(entry.path()).unwrap())
            };
            self.held.lock().unwrap().push((now, source, files.map(content).collect()));
        }
    }

    /// What a source held at a time.
    fn held(&self, source: &str, at: u64) -> Contents {
        let held = self.held.lock().unwrap();
        let is_of = |(since, of, _): &&(u64, &str, Contents)| *of == source && *since <= at;
        held.iter().rfind(is_of).unwrap().2.clone()
    }

    /// The policy, whose lock at Paris and where it runs is said.
    fn policy(lock: &str) -> String {
        format!(
            r#"[replicate.main]
from = "@main"
every = "6h"
silent = "30h"
guard = {{ vanish_max = 5 }}
[[replicate.main.to]]
target = "@paris"
rpo = "20h"
prove = "audit"
lock = "{lock}"
[[replicate.main.to]]
target = "@oslo"
rpo = "20h"
keep = {{ daily = 7 }}
prove = "drill:7d"
[[replicate.main.to]]
target = "@rome"
run = "target"
rpo = "30h"
"#
        )
    }

    /// The file of the machine that has the sources.
    fn jobs(&self, lock: &str, ear: &str) -> String {
        let [home, mail, shop] = SOURCES.map(|source| self.path(source).display().to_string());
        let policy = Self::policy(lock);
        format!(
            r#"version = 1
[defaults]
zone = "Europe/Paris"
retry = {{ tries = 3, wait = "5m..1h" }}
[job.home]
backup = "{home}"
to = "@main"
every = "12h"
promise = "30h"
[job.mail]
backup = "{mail}"
to = "@main"
at = "05:00"
promise = "30h"
[job.shop]
backup = "{shop}"
to = "@main"
at = "02:30"
promise = "30h"
guard = {{ shrink = "40%", changed = "60%" }}
[promise.all]
sources = ["{home}", "{mail}", "{shop}"]
needs = {{ copies = 4, immutable = 1, fresh = "60h" }}
[notify.ops]
to = ["webhook:{ear}/"]
{policy}"#
        )
    }
}

/// An hour of a day.
const fn at(day: u64, hour: u64) -> u64 {
    day * 24 + hour
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_copies_loses_nothing_and_is_told_once_and_in_order() {
    let (month, ear, beside_ear) = (Month::new(), Ear::open().await, Ear::open().await);
    let (app, beside) = (month.app("here", &[]), month.app("beside", &["main"]));
    month.create(&app, "main", None).await;
    let keys = app.open_named("@main", StoreUse::Read).await.unwrap().repository.content_keys();
    month.create(&app, "paris", Some(keys.clone())).await;
    month.create(&app, "oslo", None).await;
    month.create(&beside, "rome", Some(keys)).await;
    month.work(BEGIN);
    let here = month.machine("", app.clone(), &month.jobs("7d", &ear.address));
    let pulls = format!(
        "version = 1\n[defaults]\nbeside = [\"@rome\"]\nretry = {{ tries = 3, wait = \"5m..1h\" }}\n[notify.ops]\nto = [\"webhook:{}/\"]\n{}",
        beside_ear.address,
        Month::policy("7d")
    );
    let rome = month.machine("at Rome: ", beside, &pulls);
    let rome_stop = rome.stop.clone();
    let mut events = bad_days(&month, &ear.address);
    events.push(event(at(31, 0), "a month has passed", move |world| {
        world.here.stop.request();
        rome_stop.request();
    }));
    events.extend((1..31).map(|day| {
        let month = Arc::clone(&month);
        event(at(day, 0), "", move |world| month.work(world.now()))
    }));
    events.sort_by_key(Event::hour);
    let world = World::of(here, month.path(""), Arc::clone(&month.millis), events, |_| {});
    let pulling = world.start(&rome);
    let lines = world.live().await;
    pulling.await.unwrap();
    expect_each_said_once_and_all_well(&lines);
}

fn bad_days(month: &Arc<Month>, _ear: &str) -> Vec<Event> {
    let weather = |hour, what: &str, name: &'static str, weather| {
        let month = Arc::clone(month);
        event(hour, what, move |_| month.site(name).set(weather))
    };
    vec![
        weather(at(2, 0), "Paris is gone for two days", "paris", Weather::Gone),
        weather(at(4, 0), "Paris is back", "paris", Weather::Fair),
    ]
}
