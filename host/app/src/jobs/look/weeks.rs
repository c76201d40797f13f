//! Two weeks of a daemon over real folders, within seconds: what the store holds grows older as the time goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use credenza_model::Timestamp;

use super::super::file::JobsFile;
use super::super::guard::{self, Looked};
use super::super::log::{Record, run_id};
use super::super::outcome::Ending;
use super::super::runner::Runner;
use super::super::schedule::instant;
use super::super::tests::Bed;
use super::ear::Ear;
use super::world::{DAY, Event, HOUR, Machine, World, event, expect_each_said_once_and_all_well};
use crate::open::StoreUse;

/// 2027-03-22 in UTC, a Monday: on the 28th the clocks of Europe go from two to three.
pub(super) const BEGIN: u64 = 1_805_673_600;

impl World {
    /// A run as another kind of job puts it on record.
    fn record(&self, job: &str, ending: Ending, reason: &str) {
        let at = Timestamp { seconds: i64::try_from(self.now()).unwrap(), nanoseconds: 0 };
        let (run, job) = (run_id(job, at), job.to_owned());
        let began = Record::Began { run: run.clone(), job: job.clone(), at, due: None, missed: 0, tries: 0 };
        let reason = Some(reason.to_owned());
        let ended = Record::Ended { run, job, at, due: None, ending, tries_left: 0, reason };
        for record in [began, ended] {
            self.here.state.log().add(&record).unwrap();
        }
    }

    /// Somebody looks at what is suspect, and says so.
    pub(super) fn acknowledge(self: &Arc<Self>) {
        self.beside(async |world, clock| {
            let Machine { app, state, path, stop, .. } = &world.here;
            let file = JobsFile::read(path, instant(clock.now().wall)).unwrap();
            let runner = Runner { app, state, clock, stop };
            let open = runner.open(&file.jobs["shop"], StoreUse::Write).await.unwrap();
            let until = Looked::Until(Timestamp { seconds: i64::MAX, nanoseconds: 0 });
            let looked_at = guard::acknowledge(&open.repository, &until, "a person").await;
            world.tell(&format!("looked at {} suspect snapshots", looked_at.map_or(0, |looked_at| looked_at.len())));
        });
    }
}

/// Makes what the repositories hold as old as it is by now. Who is at work there has it to himself.
fn aging(root: PathBuf) -> impl Fn(u64) + Send + Sync {
    let aged = AtomicU64::new(BEGIN);
    move |now| {
        let by = Duration::from_secs(now.saturating_sub(aged.fetch_max(now, Ordering::SeqCst)));
        for repository in ["near", "far"].iter().filter(|_| !by.is_zero()) {
            age(&root.join(repository), by);
        }
    }
}

fn age(folder: &Path, by: Duration) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            age(&entry.path(), by);
        } else {
            // What is written just now has its name later.
            let file = match fs::File::open(entry.path()) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                file => file.unwrap(),
            };
            let modified: SystemTime = file.metadata().unwrap().modified().unwrap();
            file.set_modified(modified - by).unwrap();
        }
    }
}

fn events() -> Vec<Event> {
    vec![
        event(60, "the near repository is gone, for a day", hide),
        event(84, "it is back", |world| fs::rename(world.root.join("aside"), world.root.join("near")).unwrap()),
        event(180, "the machine sleeps for two days", |world| world.skip(2 * DAY)),
        event(236, "the clock is set back by an hour", |world| world.set_back(HOUR)),
        event(240, "the clock is set right", |world| world.skip(HOUR)),
        event(246, "a pack is damaged, and a run finds it", |world| {
            world.record("mail", Ending::Damaged, "1 objects of the repository are damaged");
        }),
        event(270, "somebody encrypts all of shop", |world| encrypt(&world.root)),
        event(301, "somebody has looked at it", World::acknowledge),
        event(336, "two weeks have passed", |world| world.here.stop.request()),
    ]
}

/// Writes what nobody can read in the place of all of shop.
pub(super) fn encrypt(root: &Path) {
    for (number, letter) in letters(root) {
        let noise: Vec<u8> =
            (0..64_u32).flat_map(|part| *blake3::hash(&[number, part.to_le_bytes()[0]]).as_bytes()).collect();
        fs::write(letter, noise).unwrap();
    }
}

/// Enough of them for a guard to judge by.
pub(super) fn letters(root: &Path) -> impl Iterator<Item = (u8, PathBuf)> {
    let folder = root.join("shop");
    (0..40).map(move |number| (number, folder.join(number.to_string())))
}

fn hide(world: &Arc<World>) {
    fs::rename(world.root.join("near"), world.root.join("aside")).unwrap();
}

/// Two repositories, three sources, and the jobs that back them up.
pub(super) async fn set_up(bed: &Bed, ear: &Ear) {
    let root = bed.path("");
    // This machine knows each by where it was made: one that is plain may not be moved.
    for repository in ["near", "far"] {
        bed.create(repository).await;
    }
    for source in ["shop", "home", "mail"] {
        fs::create_dir(bed.path(source)).unwrap();
        fs::write(bed.path(source).join("file"), source).unwrap();
    }
    for (number, letter) in letters(&root) {
        fs::write(letter, format!("letter {number}: dear reader, {}", "and so on, ".repeat(180))).unwrap();
    }
    let path = root.display();
    let text = format!(
        r#"version = 1
[defaults]
zone = "Europe/Paris"
retry = {{ tries = 3, wait = "1m..1h" }}
[job.shop]
backup = "{path}shop"
to = "{path}near"
at = "02:30"
promise = "26h"
guard = {{ shrink = "40%", changed = "60%" }}
[job.home]
backup = "{path}home"
to = "{path}near"
every = "8h"
promise = "20h"
[job.mail]
backup = "{path}mail"
to = "{path}far"
every = "12h"
promise = "30h"
[notify.ops]
to = ["webhook:{}/"]
digest = "mon 08:00"
"#,
        ear.address
    );
    fs::write(bed.path("jobs.toml"), text).unwrap();
}

/// The world of a bed, whose repositories grow older as the time goes on.
pub(super) fn world_of(bed: &Bed, events: Vec<Event>) -> Arc<World> {
    let here = Machine::new("", bed.app.clone(), bed.path("jobs.toml"), bed.path("state"));
    let time = Arc::new(AtomicU64::new(BEGIN * 1000));
    World::of(here, bed.path(""), time, events, aging(bed.path("")))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_weeks_are_told_once_and_in_order() {
    let (bed, ear) = (Bed::new().await, Ear::open().await);
    set_up(&bed, &ear).await;
    let world = world_of(&bed, events());
    let lines = world.live().await;
    // Whoever hears has heard each change once, in its order.
    let told: Vec<String> =
        lines.iter().filter_map(|line| Some(line.split_once("--> ")?.1.split(':').next()?.to_owned())).collect();
    let heard: Vec<String> = ear.words().into_iter().filter(|word| word != "digest").collect();
    assert_eq!(heard, told);
    assert_eq!(ear.words().iter().filter(|word| *word == "digest").count(), 2);
    // Each due time was stood for once: by a run, or by the one that made up for it.
    let past = world.here.state.log().past(None, 1000).unwrap();
    for job in ["shop", "home", "mail"] {
        let done = past.iter().rev().filter(|past| past.job == job && past.ending == Some(Ending::Done));
        let dues: Vec<Timestamp> = done.filter_map(|past| past.due).collect();
        assert!(dues.is_sorted_by(|a, b| a < b), "{job}: {dues:?}");
    }
    expect_each_said_once_and_all_well(&lines);
    for (word, count) in [("damage", 1), ("suspect", 1), ("failed", 1)] {
        assert_eq!(told.iter().filter(|told| *told == word).count(), count, "{word}");
    }
}
