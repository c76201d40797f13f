//! A month of a daemon that copies one repository to three others, with bad days, within seconds.
//!
//! The month ends now, since repositories judge by the clock of the machine; what is put into a store is dated to the time of the simulation.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use credenza_engine::{Clock, Listener, NoEvents, Stop};
use credenza_model::SnapshotId;

use super::super::file::JobsFile;
use super::super::outcome::Step;
use super::super::recording::{Cause, Heard, Occasion};
use super::super::replicate;
use super::super::run::Runner;
use super::super::schedule::instant;
use super::super::tests::Bed;
use super::ear::Ear;
use super::weeks::{DAY, Event, World, expect_each_said_once_and_all_well};
use crate::open::StoreUse;
use crate::remove;

const REPOSITORIES: [&str; 4] = ["main", "paris", "oslo", "rome"];

/// Hears of a run that the timeline says enough of.
struct Deaf;

impl Heard for Deaf {
    fn step(&self, _step: &Step, _cause: Option<Cause>) {}

    fn events(&self) -> Arc<dyn Listener> {
        Arc::new(NoEvents)
    }
}

const EVENTS: [Event; 13] = [
    (3 * 24, "paris is gone, for two days", |world| hide(world, "paris")),
    (5 * 24, "paris is back", |world| bring_back(world, "paris")),
    (7 * 24, "somebody keeps oslo as it is", |world| copy(&world.root.join("oslo"), &world.root.join("old"))),
    (8 * 24, "oslo is rolled back to yesterday", |world| {
        fs::remove_dir_all(world.root.join("oslo")).unwrap();
        fs::rename(world.root.join("old"), world.root.join("oslo")).unwrap();
    }),
    (10 * 24, "an attacker removes five snapshots at the origin", remove_five),
    (11 * 24 + 12, "somebody says that it is known", accept),
    (15 * 24 + 3, "rome loses its packs", hide_packs),
    (15 * 24 + 7, "rome has its packs again", |world| copy(&world.root.join("packs"), &world.root.join("rome/data"))),
    (19 * 24, "nothing is backed up, for three days", |world| world.state.paused().pause("shop", None).unwrap()),
    (22 * 24, "it goes on", |world| drop(world.state.paused().resume("shop").unwrap())),
    (24 * 24, "the machine sleeps for two days", |world| world.skip(2 * DAY)),
    (27 * 24, "the disk of the origin is not there, for a day", |world| hide(world, "main")),
    (28 * 24, "it is there again", |world| bring_back(world, "main")),
];

fn hide(world: &World, name: &str) {
    fs::rename(world.root.join(name), world.root.join("aside")).unwrap();
}

fn bring_back(world: &World, name: &str) {
    fs::rename(world.root.join("aside"), world.root.join(name)).unwrap();
}

fn hide_packs(world: &Arc<World>) {
    fs::rename(world.root.join("rome/data"), world.root.join("packs")).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            let modified = entry.metadata().unwrap().modified().unwrap();
            fs::copy(entry.path(), &target).unwrap();
            fs::File::open(&target).unwrap().set_modified(modified).unwrap();
        }
    }
}

/// Dates what was put into the stores since to the time of the simulation.
fn stamp(world: &World) {
    let now = UNIX_EPOCH + Duration::from_secs(world.now());
    REPOSITORIES.iter().for_each(|repository| date(&world.root.join(repository), now));
}

fn date(folder: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        match entry.metadata() {
            Ok(found) if found.is_dir() => date(&path, now),
            Ok(found) if found.modified().unwrap() > now => {
                if let Ok(file) = fs::File::open(&path) {
                    file.set_modified(now).unwrap();
                }
            }
            _ => {}
        }
    }
}

fn remove_five(world: &Arc<World>) {
    world.beside(async |world, clock| {
        let stop = Stop::default();
        let runner = Runner { app: &world.app, state: &world.state, clock, stop: &stop };
        let main = world.root.join("main");
        let open = runner.open_named(&main.to_string_lossy(), StoreUse::Write).await.unwrap();
        let snapshots = open.repository.snapshots().await.unwrap().whole;
        let removed = remove::remove_all(&open, &snapshots[..5], None).await.unwrap();
        world.tell(&format!("        {} are gone", removed.removed.len()));
        stamp(&world);
    });
}

fn accept(world: &Arc<World>) {
    world.beside(async |world, clock| {
        let stop = Stop::default();
        let runner = Runner { app: &world.app, state: &world.state, clock, stop: &stop };
        let file = JobsFile::read(&world.root.join("jobs.toml"), instant(clock.now().wall)).unwrap();
        let policy = file.replicate("main").unwrap();
        let ending = replicate::run(&runner, policy, true, &Occasion::default(), &Deaf).await;
        world.tell(&format!("        {ending:?}"));
        stamp(&world);
    });
}

async fn set_up(bed: &Bed, ear: &Ear) {
    for repository in REPOSITORIES {
        bed.create(repository).await;
    }
    fs::create_dir(bed.path("shop")).unwrap();
    let path = bed.path("");
    let path = path.display();
    let text = format!(
        r#"version = 1
[defaults]
zone = "UTC"
retry = {{ tries = 2, wait = "10m..1h" }}
[job.shop]
backup = "{path}shop"
to = "{path}main"
at = "02:30"
hooks = [ {{ before = "backup", run = ["sh", "-c", "date +%N > {path}shop/$(date +%N)"] }} ]
[replicate.main]
from = "{path}main"
guard = {{ vanish_max = 3 }}
silent = "40h"
every = "6h"
[[replicate.main.to]]
target = "{path}paris"
rpo = "12h"
keep = {{ daily = 7 }}
[[replicate.main.to]]
target = "{path}oslo"
rpo = "12h"
[[replicate.main.to]]
target = "{path}rome"
keep = {{ last = 3 }}
[notify.ops]
to = ["webhook:{}/"]
"#,
        ear.address
    );
    fs::write(bed.path("jobs.toml"), text).unwrap();
}

async fn ids(world: &World, name: &str) -> BTreeSet<SnapshotId> {
    let stop = Stop::default();
    let runner = Runner { app: &world.app, state: &world.state, clock: &credenza_engine::SystemClock, stop: &stop };
    let open = runner.open_named(&world.root.join(name).to_string_lossy(), StoreUse::Read).await.unwrap();
    let whole = open.repository.snapshots().await.unwrap().whole;
    whole.iter().map(|handle| handle.snapshot.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_copies_with_bad_days_is_told_once_and_nothing_is_lost() {
    let (bed, ear) = (Bed::new().await, Ear::open().await);
    set_up(&bed, &ear).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    // At midnight, 31 days ago.
    let begin = (now / DAY - 31) * DAY;
    let mut events = EVENTS.to_vec();
    events.push((30 * 24 + 12, "a month has passed", |world| world.stop.request()));
    let world = World::of(&bed, begin, &events, stamp);
    let lines = world.live().await;
    expect_each_said_once_and_all_well(&lines);
    let said = |word: &str, subject: &str| {
        lines.iter().filter(|line| line.contains(&format!("--> {word}: ")) && line.ends_with(subject)).count()
    };
    for (word, subject) in [
        // Paris is gone for longer than its copy may be behind, and the run says so too.
        ("promise-at-risk", "in paris"),
        ("copy-behind", "in paris"),
        // What vanished holds the retention, once said, until somebody says that it is known.
        ("incomplete", "`replicate.main`"),
        ("damage", "`replicate.main`"),
        ("source-silent", "`replicate.main`"),
    ] {
        assert_eq!(said(word, subject), 1, "{word} {subject}");
    }
    let heard: Vec<String> = ear.words();
    assert_eq!(heard.len(), lines.iter().filter(|line| line.contains("--> ")).count());
    let [main, paris, oslo, rome] =
        [ids(&world, "main").await, ids(&world, "paris").await, ids(&world, "oslo").await, ids(&world, "rome").await];
    // Oslo keeps all that there ever was, what the attacker removed too; the others what their retention says.
    assert!(oslo.is_superset(&main) && oslo.len() == main.len() + 5, "{} of {}", oslo.len(), main.len());
    assert_eq!((paris.len(), rome.len()), (7, 3));
    assert!(paris.is_subset(&oslo) && rome.is_subset(&paris));
}
