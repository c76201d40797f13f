//! A month of copies within seconds: three sources are backed up to one origin, a policy carries that to a target that is made alike and locks, to one with
//! other keys and a short retention, and from beside a third one it is pulled. Each of them has its bad days.
//!
//! What is told is held to be said once and in order; at the end each target gives back what the policy promised to be there, as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use credenza_connect::memory::{MemoryDestination, MemoryStore};
use credenza_engine::restore::{self, RestoreOptions};
use credenza_engine::sync::{self, SyncOptions};
use credenza_engine::{CreateOptions, Listener, NoEvents, RunContext, Secret};
use credenza_format::{ChunkerParams, Keys};
use credenza_model::{Key, SnapshotId};
use zeroize::Zeroizing;

use super::super::file::JobsFile;
use super::super::outcome::Step;
use super::super::recording::{Cause, Heard, Occasion};
use super::super::replicate;
use super::super::runner::Runner;
use super::super::schedule::instant;
use super::ear::Ear;
use super::weeks::{encrypt, letters};
use super::world::{DAY, Event, Machine, World, event, expect_each_said_once_and_all_well, told};
use crate::app::{App, AppOptions};
use crate::configuration::{Kind, Settings};
use crate::open::StoreUse;
use crate::remove;
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
    /// What Rome held yesterday.
    yesterday: Mutex<Option<MemoryStore>>,
    /// The machine beside Rome.
    rome: Mutex<Option<Arc<Machine>>>,
    /// A machine that comes and goes.
    another: Mutex<Option<Machine>>,
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
        let month = Self {
            folder,
            millis,
            sites,
            held: Mutex::default(),
            yesterday: Mutex::default(),
            rome: Mutex::default(),
            another: Mutex::default(),
        };
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
            chunker: ChunkerParams::default(),
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

    /// The policy, with its lock at Paris and how often it runs.
    fn policy(lock: &str, every: &str) -> String {
        format!(
            r#"[replicate.main]
from = "@main"
every = "{every}"
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

    /// The file of the machine beside Rome.
    fn pulls(ear: &str) -> String {
        let policy = Self::policy("7d", "12h");
        format!(
            r#"version = 1
[defaults]
beside = ["@rome"]
zone = "Europe/Paris"
retry = {{ tries = 3, wait = "5m..1h" }}
[notify.ops]
to = ["webhook:{ear}/"]
{policy}"#
        )
    }

    /// The file of the machine that has the sources.
    fn jobs(&self, lock: &str, ear: &str) -> String {
        let [home, mail, shop] = SOURCES.map(|source| self.path(source).display().to_string());
        let policy = Self::policy(lock, "8h");
        format!(
            r#"version = 1
[defaults]
zone = "Europe/Paris"
retry = {{ tries = 3, wait = "5m..1h" }}
[job.home]
backup = "{home}"
to = "@main"
at = "04:00"
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

/// An event that needs the stores.
fn day(
    month: &Arc<Month>,
    hour: u64,
    what: &str,
    happens: impl FnOnce(&Arc<Month>, &Arc<World>) + Send + 'static,
) -> Event {
    let month = Arc::clone(month);
    event(hour, what, move |world| happens(&month, world))
}

/// From now on calls of a store end so.
fn weather(month: &Arc<Month>, hour: u64, what: &str, (name, weather): (&'static str, Weather)) -> Event {
    day(month, hour, what, move |month, _| month.site(name).set(weather))
}

/// What happens to the targets.
fn days_of_targets(month: &Arc<Month>) -> Vec<Event> {
    vec![
        weather(month, at(2, 0), "Paris does not answer, for two days", ("paris", Weather::Gone)),
        weather(month, at(4, 0), "Paris is back", ("paris", Weather::Fair)),
        weather(month, at(5, 0), "Oslo is slow: each write takes two minutes", ("oslo", Weather::Slow(120))),
        weather(month, at(6, 0), "Oslo is as quick as before", ("oslo", Weather::Fair)),
        weather(month, at(6, 1), "Paris is full, for a day", ("paris", Weather::Full)),
        weather(month, at(7, 1), "Paris has room again", ("paris", Weather::Fair)),
        day(month, at(9, 20), "Rome is put back to yesterday", Month::put_back),
        day(month, at(11, 0), "the bucket in Oslo is deleted", |month, _| month.site("oslo").hold(MemoryStore::new())),
        day(month, at(11, 12), "somebody makes a new repository in Oslo", |month, world| {
            let month = Arc::clone(month);
            world.beside(async move |world, _| month.create(&world.here.app, "oslo", None).await);
        }),
        day(month, at(13, 0), "the clock in Oslo is a day ahead", |month, _| month.site("oslo").set_skew(86_400)),
        day(month, at(14, 0), "the clock in Oslo is right", |month, _| month.site("oslo").set_skew(0)),
        weather(month, at(15, 0), "the credential for Paris is revoked", ("paris", Weather::Denied)),
        weather(month, at(15, 20), "there is a new credential for Paris", ("paris", Weather::Fair)),
    ]
}

/// What happens to the origin and its sources.
fn days_of_the_origin(month: &Arc<Month>) -> Vec<Event> {
    vec![
        day(month, at(17, 6), "somebody encrypts all of shop", |month, world| {
            encrypt(&world.root);
            month.note(world.now());
        }),
        day(month, at(18, 12), "somebody has looked at it", |_, world| world.acknowledge()),
        day(month, at(20, 20), "an attacker removes all snapshots at the origin", Month::remove_all),
        day(month, at(21, 1), "they are brought back from Paris", Month::bring_back),
        day(month, at(22, 20), "an attacker deletes all snapshots at the origin, without a record", Month::delete_all),
        day(month, at(23, 1), "they are brought back from Paris", Month::bring_back),
        day(month, at(23, 2), "the policy is told that this is known", Month::accept),
        day(month, at(26, 0), "nobody backs up, for two days", |month, world| month.pause(world, true)),
        day(month, at(28, 0), "the backups go on", |month, world| month.pause(world, false)),
    ]
}

/// What happens to the policy.
fn days_of_the_policy(month: &Arc<Month>, ear: &str) -> Vec<Event> {
    let lock = |hour, what: &str, lock: &'static str| {
        let ear = ear.to_owned();
        day(month, hour, what, move |month, world| {
            fs::write(&world.here.path, month.jobs(lock, &ear)).unwrap();
            world.here.reload.notify_one();
        })
    };
    vec![
        lock(at(8, 0), "the policy asks for a lock of 30 days, and Paris locks for 14", "30d"),
        lock(at(8, 20), "it asks for 7 days, which is less than there are", "7d"),
        weather(month, at(23, 20), "Paris does not answer, for a day", ("paris", Weather::Gone)),
        day(month, at(24, 18), "Paris is back, and another machine carries by the same policy", |month, world| {
            month.site("paris").set(Weather::Fair);
            let jobs = format!("version = 1\n{}", Month::policy("7d", "8h"));
            let machine = month.machine("another: ", month.app("another", &[]), &jobs);
            world.start(&machine);
            *month.another.lock().unwrap() = Some(machine);
        }),
        day(month, at(25, 20), "it carries no more", |month, _| {
            month.another.lock().unwrap().take().unwrap().stop.request();
        }),
    ]
}

impl Month {
    /// Keeps of Rome what it holds a day before, and puts it back then.
    fn put_back(self: &Arc<Self>, _: &Arc<World>) {
        let yesterday = self.yesterday.lock().unwrap().take().unwrap();
        self.site("rome").hold(yesterday);
    }

    /// Somebody with full rights, by the program.
    fn remove_all(self: &Arc<Self>, world: &Arc<World>) {
        world.beside(async |world, _| {
            let open = world.here.app.open_named("@main", StoreUse::Write).await.unwrap();
            let all = open.repository.snapshots().await.unwrap().whole;
            remove::remove_all(&open, &all, None).await.unwrap().verdict.unwrap();
        });
    }

    /// And without it.
    fn delete_all(self: &Arc<Self>, _: &Arc<World>) {
        let store = self.site("main").held();
        for key in store.keys().iter().filter(|key| key.as_str().starts_with("snapshot/")) {
            store.tamper(key, None);
        }
    }

    /// What the origin has lost comes back from Paris.
    fn bring_back(self: &Arc<Self>, world: &Arc<World>) {
        world.beside(async |world, _| {
            let app = &world.here.app;
            let from = app.open_named("@paris", StoreUse::Read).await.unwrap().repository;
            let to = app.open_named("@main", StoreUse::Write).await.unwrap().repository;
            let report = sync::run(&from, &to, &SyncOptions::default(), &RunContext::default()).await.unwrap();
            assert_eq!(report.failed, 0, "{report:?}");
            world.tell(&format!("{} snapshots are back", report.copied.len()));
        });
    }

    /// Somebody says on each machine that what has vanished at the origin is known.
    fn accept(self: &Arc<Self>, world: &Arc<World>) {
        let month = Arc::clone(self);
        world.beside(async move |world, clock| {
            let rome = month.rome.lock().unwrap().clone().unwrap();
            for Machine { name, app, state, path, stop, .. } in [&world.here, &*rome] {
                let jobs = JobsFile::read(path, instant(clock.now().wall)).unwrap();
                let runner = Runner { app, state, clock, stop };
                let policy = jobs.replicate("main").unwrap();
                let ending = replicate::run(&runner, policy, true, &Occasion::default(), &Unheard).await;
                world.tell(&format!("{name}it is said: {:?}", ending.unwrap()));
            }
        });
    }

    fn pause(self: &Arc<Self>, world: &Arc<World>, is_paused: bool) {
        let paused = world.here.state.paused();
        for job in SOURCES {
            match is_paused {
                true => paused.pause(job, None).unwrap(),
                false => assert!(paused.resume(job).unwrap()),
            }
        }
    }

    /// Restores all that a target has of what the origin ever had, and compares; gives the snapshots that are there.
    async fn expect_as_it_was(&self, app: &App, name: &str) -> Vec<(SnapshotId, String, u64)> {
        let open = app.open_named(&format!("@{name}"), StoreUse::Read).await.unwrap();
        let mut whole = Vec::new();
        for handle in open.repository.snapshots().await.unwrap().whole {
            let snapshot = &handle.snapshot;
            let source = snapshot.source.location.rsplit('/').next().unwrap().to_owned();
            let at = u64::try_from(snapshot.started.seconds).unwrap();
            let destination = MemoryDestination::new();
            let into = Arc::new(destination.clone());
            let (options, run) = (RestoreOptions::default(), RunContext::default());
            let report = restore::run(&open.repository, &handle, into, &options, &run).await.unwrap();
            assert!(report.is_whole(), "{name}: {report:?}");
            let restored = destination.restored().into_iter().filter(|(key, _)| !key.as_bytes().is_empty());
            let restored: Contents = restored.map(|(key, restored)| (key, restored.bytes.to_vec())).collect();
            assert!(restored == self.held(&source, at), "{name}: {source} of {at} is another");
            whole.push((snapshot.id, source, at));
        }
        whole
    }

    /// Each target has what the policy says, and gives it back as it was.
    async fn expect_nothing_is_lost(&self, app: &App, made: &[SnapshotId]) {
        for name in ["main", "paris", "rome"] {
            let there = self.expect_as_it_was(app, name).await;
            let lost = made.iter().filter(|id| !there.iter().any(|(there, ..)| there == *id)).count();
            assert_eq!((lost, there.len()), (0, made.len()), "{name}");
        }
        // Seven days, of each source.
        let there = self.expect_as_it_was(app, "oslo").await;
        for source in SOURCES {
            let of: Vec<u64> = there.iter().filter(|(_, of, _)| of == source).map(|(.., at)| *at).collect();
            assert_eq!(of.len(), 7, "{source}: {of:?}");
            assert!(of.iter().min().unwrap() + 9 * DAY > of.iter().max().copied().unwrap(), "{source}: {of:?}");
        }
    }
}

/// Nobody hears of a run.
struct Unheard;

impl Heard for Unheard {
    fn step(&self, _: &Step, _: Option<Cause>) {}

    fn events(&self) -> Arc<dyn Listener> {
        Arc::new(NoEvents)
    }
}

/// What each machine tells of each subject in this month.
fn expect_told(lines: &[String]) {
    const NOT_KNOWN: &str = "promise-broken recovered";
    let behind = ["promise-at-risk copy-behind recovered"; 4].join(" ");
    let not_made = "promise-at-risk promise-broken recovered";
    let promised = [NOT_KNOWN, not_made].join(" ");
    let copies = [[NOT_KNOWN; 5].join(" "), not_made.to_owned()].join(" ");
    let job = "failed recovered failed recovered incomplete recovered failed recovered failed recovered \
               incomplete recovered incomplete recovered failed recovered";
    let rome = "damage recovered incomplete recovered incomplete recovered";
    let silent = "source-silent recovered";
    let mut expected: BTreeMap<(&str, String), &str> = BTreeMap::from([
        (("", "the job `replicate.main`".to_owned()), job),
        (("", "the copy of `replicate.main` in @paris".to_owned()), &*behind),
        (("", "the copy of `replicate.main` in @oslo".to_owned()), "promise-at-risk copy-behind recovered"),
        (("", "the origin of `replicate.main`".to_owned()), silent),
        (("", "shop, which `shop` backs up".to_owned()), "suspect recovered"),
        (("at Rome", "the job `replicate.main`".to_owned()), rome),
        (("at Rome", "the origin of `replicate.main`".to_owned()), silent),
    ]);
    for source in SOURCES {
        expected.insert(("", format!("the promise of `{source}` for {source}")), &promised);
        expected.insert(("", format!("the promise `all` for {source}")), &copies);
    }
    let told = told(lines).into_iter().filter(|((machine, _), _)| *machine != "another");
    let told: BTreeMap<(&str, String), String> =
        told.map(|((machine, subject), words)| ((machine, subject.to_owned()), words.join(" "))).collect();
    let expected = expected.into_iter().map(|(of, words)| (of, words.to_owned())).collect::<BTreeMap<_, _>>();
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_copies_loses_nothing_and_is_told_once_and_in_order() {
    let (month, ear, rome_ear) = (Month::new(), Ear::open().await, Ear::open().await);
    let (app, beside) = (month.app("here", &[]), month.app("beside", &["main"]));
    month.create(&app, "main", None).await;
    let keys = app.open_named("@main", StoreUse::Read).await.unwrap().repository.content_keys();
    month.create(&app, "paris", Some(keys.clone())).await;
    month.create(&app, "oslo", None).await;
    month.create(&beside, "rome", Some(keys)).await;
    month.work(BEGIN);
    let here = month.machine("", app.clone(), &month.jobs("7d", &ear.address));
    let rome = Arc::new(month.machine("at Rome: ", beside, &Month::pulls(&rome_ear.address)));
    *month.rome.lock().unwrap() = Some(Arc::clone(&rome));
    let rome_stop = rome.stop.clone();
    let mut events = days_of_targets(&month);
    events.extend(days_of_the_origin(&month));
    events.extend(days_of_the_policy(&month, &ear.address));
    events.extend((1..31).map(|number| day(&month, at(number, 0), "", |month, world| month.work(world.now()))));
    events.push(day(&month, at(8, 20), "", |month, world| {
        let month = Arc::clone(month);
        world.beside(async move |_, _| {
            let copied = month.site("rome").copied().await;
            *month.yesterday.lock().unwrap() = Some(copied);
        });
    }));
    events.push(event(at(31, 0), "a month has passed", move |world| {
        world.here.stop.request();
        rome_stop.request();
    }));
    events.sort_by_key(Event::hour);
    let world = World::of(here, month.path(""), Arc::clone(&month.millis), events, |_| {});
    let pulling = world.start(&rome);
    let lines = world.live().await;
    pulling.await.unwrap();
    let past = world.here.state.log().past(None, 10_000).unwrap();
    let snapshot = |step: &Step| match step {
        Step::BackedUp { snapshot, .. } => *snapshot,
        _ => None,
    };
    let made: Vec<SnapshotId> = past.iter().flat_map(|past| past.steps.iter().filter_map(snapshot)).collect();
    month.expect_nothing_is_lost(&app, &made).await;
    expect_each_said_once_and_all_well(&lines);
    expect_told(&lines);
    // Whoever hears has heard each change of a machine once, in its order.
    for (machine, ear) in [("  ", &ear), ("  at Rome: ", &rome_ear)] {
        let of = |line: &String| Some(line.split_once(&format!("{machine}    --> "))?.1.split_once(':')?.0.to_owned());
        assert_eq!(ear.words(), lines.iter().filter_map(of).collect::<Vec<_>>());
    }
}
