//! Two weeks of a daemon over real repositories, within seconds: the clock goes on when the daemon has nothing under way, and what the store holds grows
//! older with it.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use credenza_engine::{Clock, Moment, Stop};
use credenza_model::Timestamp;
use tokio::sync::Notify;

use super::super::daemon::{Daemon, Listens, News, Options};
use super::super::file::JobsFile;
use super::super::guard::{self, Looked};
use super::super::log::{Record, run_id};
use super::super::outcome::Ending;
use super::super::run::Runner;
use super::super::schedule::instant;
use super::super::scheduler::Decision;
use super::super::state::State;
use super::super::tests::Bed;
use super::Told;
use super::ear::Ear;
use crate::app::App;
use crate::open::StoreUse;

/// 2027-03-22 in UTC, a Monday: on the 28th the clocks of Europe go from two to three.
pub(super) const BEGIN: u64 = 1_805_673_600;
pub(super) const HOUR: u64 = 3600;
pub(super) const DAY: u64 = 24 * HOUR;

/// What happens to the machine at a time, in hours since the begin.
pub(super) type Event = (u64, &'static str, fn(&Arc<World>));

pub(super) struct World {
    begin: u64,
    millis: AtomicU64,
    /// Runs and looks under way.
    busy: AtomicUsize,
    /// The store has grown as old as that.
    aged: AtomicU64,
    /// Has what the stores hold keep up with the time.
    keep_time: fn(&World),
    events: Mutex<VecDeque<Event>>,
    pub(super) lines: Mutex<Vec<String>>,
    pub(super) root: PathBuf,
    pub(super) app: App,
    pub(super) state: State,
    pub(super) stop: Stop,
}

impl World {
    /// The world of a bed, from a time on.
    pub(super) fn of(bed: &Bed, begin: u64, events: &[Event], keep_time: fn(&Self)) -> Arc<Self> {
        Arc::new(Self {
            begin,
            millis: AtomicU64::new(begin * 1000),
            busy: AtomicUsize::new(0),
            aged: AtomicU64::new(begin),
            keep_time,
            events: Mutex::new(events.iter().copied().collect()),
            lines: Mutex::default(),
            root: bed.path(""),
            app: bed.app.clone(),
            state: bed.state(),
            stop: Stop::default(),
        })
    }

    /// Has a daemon run in it until something ends it, and gives the timeline.
    pub(super) async fn live(self: &Arc<Self>) -> Vec<String> {
        let options = Options {
            path: self.root.join("jobs.toml"),
            state: self.state.clone(),
            clock: Arc::new(Calm(Arc::clone(self))),
            stop: self.stop.clone(),
            reload: Arc::new(Notify::new()),
            pulse: Duration::from_hours(6),
        };
        let daemon = Daemon::start(self.app.clone(), options, Arc::clone(self) as Arc<dyn Listens>).unwrap();
        tokio::time::timeout(Duration::from_mins(20), daemon.run()).await.unwrap();
        let lines = self.lines.lock().unwrap().clone();
        println!("{}", lines.join("\n"));
        lines
    }

    /// Does something beside, for which the time stands still.
    pub(super) fn beside(self: &Arc<Self>, work: impl AsyncFnOnce(Arc<Self>, &dyn Clock) + Send + 'static) {
        let world = Arc::clone(self);
        world.busy.fetch_add(1, Ordering::SeqCst);
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let clock = Calm(Arc::clone(&world));
            // What came of it is in the timeline: a test that fails here would wait for ever.
            runtime.block_on(work(Arc::clone(&world), &clock));
            world.busy.fetch_sub(1, Ordering::SeqCst);
        });
    }

    pub(super) fn now(&self) -> u64 {
        self.millis.load(Ordering::SeqCst) / 1000
    }

    pub(super) fn tell(&self, line: &str) {
        let now = jiff::Timestamp::from_second(i64::try_from(self.now()).unwrap()).unwrap();
        let local = now.to_zoned(jiff::tz::TimeZone::get("Europe/Paris").unwrap());
        self.lines.lock().unwrap().push(format!("{}  {line}", local.strftime("%a %d %b %H:%M")));
    }

    /// Goes on by so much, with what happens meanwhile.
    fn pass(self: &Arc<Self>, time: Duration) {
        let end = self.millis.load(Ordering::SeqCst) + u64::try_from(time.as_millis()).unwrap();
        let next = self.events.lock().unwrap().front().map(|(hour, ..)| (self.begin + hour * HOUR) * 1000);
        let Some(next) = next.filter(|next| *next <= end) else { return self.millis.store(end, Ordering::SeqCst) };
        // Whoever waits wakes at what happens, and waits again.
        self.millis.fetch_max(next, Ordering::SeqCst);
        let Some((_, what, happens)) = self.events.lock().unwrap().pop_front() else { return };
        self.tell(&format!("        *** {what}"));
        happens(self);
    }

    pub(super) fn skip(&self, seconds: u64) {
        self.millis.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    fn set_back(&self, seconds: u64) {
        self.millis.fetch_sub(seconds * 1000, Ordering::SeqCst);
    }

    /// Makes what the store holds as old as it is by now.
    pub(super) fn age(&self) {
        let now = self.now();
        let by = Duration::from_secs(now.saturating_sub(self.aged.fetch_max(now, Ordering::SeqCst)));
        // Who is at work there has it to himself.
        for repository in ["near", "far"].iter().filter(|_| !by.is_zero()) {
            age(&self.root.join(repository), by);
        }
    }

    /// Somebody looks at what is suspect, and says so.
    fn acknowledge(self: &Arc<Self>) {
        self.beside(async |world, clock| {
            let file = JobsFile::read(&world.root.join("jobs.toml"), instant(clock.now().wall)).unwrap();
            let (stop, app) = (Stop::default(), &world.app);
            let runner = Runner { app, state: &world.state, clock, stop: &stop };
            let open = runner.open(&file.jobs["shop"], StoreUse::Write).await.unwrap();
            let until = Looked::Until(Timestamp { seconds: i64::MAX, nanoseconds: 0 });
            let looked_at = guard::acknowledge(&open.repository, &until, "a person").await;
            world.tell(&format!("looked at {} suspect snapshots", looked_at.map_or(0, |looked_at| looked_at.len())));
        });
    }

    /// A run as another kind of job puts it on record.
    fn record(&self, job: &str, ending: Ending, reason: &str) {
        let at = Timestamp { seconds: i64::try_from(self.now()).unwrap(), nanoseconds: 0 };
        let (run, job) = (run_id(job, at), job.to_owned());
        let began = Record::Began { run: run.clone(), job: job.clone(), at, due: None, missed: 0, tries: 0 };
        let reason = Some(reason.to_owned());
        let ended = Record::Ended { run, job, at, due: None, ending, tries_left: 0, reason };
        for record in [began, ended] {
            self.state.log().add(&record).unwrap();
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

#[derive(Clone)]
struct Calm(Arc<World>);

impl Clock for Calm {
    fn now(&self) -> Moment {
        let millis = self.0.millis.load(Ordering::SeqCst);
        let wall = Timestamp { seconds: i64::try_from(millis / 1000).unwrap(), nanoseconds: 0 };
        Moment { monotonic: Duration::from_millis(millis), wall }
    }

    fn wait(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let world = Arc::clone(&self.0);
        Box::pin(async move {
            while world.busy.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            world.pass(time);
        })
    }
}

impl Listens for World {
    fn hear(&self, news: News<'_>) {
        match news {
            News::Began(start) => {
                (self.keep_time)(self);
                self.busy.fetch_add(1, Ordering::SeqCst);
                if start.missed > 0 || start.tries > 0 {
                    self.tell(&format!("{:<5} makes up for {}, after {} tries", start.job, start.missed, start.tries));
                }
            }
            News::Ended(job, ending) => {
                (self.keep_time)(self);
                self.busy.fetch_sub(1, Ordering::SeqCst);
                if ending != Ending::Done {
                    self.tell(&format!("{job:<5} {ending:?}"));
                }
            }
            News::Looking => {
                (self.keep_time)(self);
                self.busy.fetch_add(1, Ordering::SeqCst);
            }
            News::Looked => {
                self.busy.fetch_sub(1, Ordering::SeqCst);
            }
            News::Told(Told::Changed(notice)) => {
                let subject = notice.subject.as_ref().map_or_else(String::new, ToString::to_string);
                let subject = subject.replace(&*self.root.to_string_lossy(), "");
                self.tell(&format!("    --> {}: {subject}", notice.word.name()));
            }
            News::Told(Told::NotTaken(..) | Told::Fault(_)) | News::Fault(_) => self.tell(&format!("{news:?}")),
            News::Skipped(Decision::Skip { job, count, .. }) => self.tell(&format!("{job:<5} left out {count}")),
            _ => {}
        }
    }
}

const EVENTS: [Event; 9] = [
    (60, "the near repository is gone, for a day", |world| hide(world)),
    (84, "it is back", |world| fs::rename(world.root.join("aside"), world.root.join("near")).unwrap()),
    (180, "the machine sleeps for two days", |world| world.skip(2 * DAY)),
    (236, "the clock is set back by an hour", |world| world.set_back(HOUR)),
    (240, "the clock is set right", |world| world.skip(HOUR)),
    (246, "a pack is damaged, and a run finds it", |world| {
        world.record("mail", Ending::Damaged, "1 objects of the repository are damaged");
    }),
    (270, "somebody encrypts all of shop", |world| {
        for (number, letter) in letters(&world.root) {
            let noise: Vec<u8> =
                (0..64_u32).flat_map(|part| *blake3::hash(&[number, part.to_le_bytes()[0]]).as_bytes()).collect();
            fs::write(letter, noise).unwrap();
        }
    }),
    (301, "somebody has looked at it", World::acknowledge),
    (336, "two weeks have passed", |world| world.stop.request()),
];

/// Enough of them for a guard to judge by.
fn letters(root: &Path) -> impl Iterator<Item = (u8, PathBuf)> {
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

#[tokio::test(flavor = "multi_thread")]
async fn two_weeks_are_told_once_and_in_order() {
    let (bed, ear) = (Bed::new().await, Ear::open().await);
    set_up(&bed, &ear).await;
    let world = World::of(&bed, BEGIN, &EVENTS, World::age);
    let lines = world.live().await;
    // Whoever hears has heard each change once, in its order.
    let told: Vec<String> =
        lines.iter().filter_map(|line| Some(line.split_once("--> ")?.1.split(':').next()?.to_owned())).collect();
    let heard: Vec<String> = ear.words().into_iter().filter(|word| word != "digest").collect();
    assert_eq!(heard, told);
    assert_eq!(ear.words().iter().filter(|word| *word == "digest").count(), 2);
    // Each due time was stood for once: by a run, or by the one that made up for it.
    let past = world.state.log().past(None, 1000).unwrap();
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

/// Nothing is said twice in a row of one subject, and all is well in the end.
pub(super) fn expect_each_said_once_and_all_well(lines: &[String]) {
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    for (word, subject) in lines.iter().filter_map(|line| line.split_once("--> ")?.1.split_once(": ")) {
        assert_ne!(last.insert(subject, word), Some(word), "{subject}");
    }
    assert!(last.values().all(|word| *word == "recovered"), "{last:?}");
}
