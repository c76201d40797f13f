//! Daemons on simulated machines: the clock goes on when none of them has anything under way, to what is next, and things happen meanwhile.
//!
//! Owned here: the time, what happens and when, and the timeline of what daemons told. Refused here: what a stretch of time holds (`weeks`, `month`).

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use credenza_engine::{Clock, Moment, Stop};
use credenza_model::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::super::daemon::{Daemon, Listens, News, Options};
use super::super::notify::Word;
use super::super::outcome::Ending;
use super::super::scheduler::Decision;
use super::super::state::State;
use super::Told;
use crate::app::App;

pub(super) const HOUR: u64 = 3600;
pub(super) const DAY: u64 = 24 * HOUR;

type Happens = Box<dyn FnOnce(&Arc<World>) + Send>;

/// What happens at a time, in hours since the begin.
pub(super) struct Event {
    hour: u64,
    what: String,
    happens: Happens,
}

impl Event {
    pub(super) const fn hour(&self) -> u64 {
        self.hour
    }
}

pub(super) fn event(hour: u64, what: &str, happens: impl FnOnce(&Arc<World>) + Send + 'static) -> Event {
    Event { hour, what: what.to_owned(), happens: Box::new(happens) }
}

/// A machine with a file of jobs and a daemon for it.
pub(super) struct Machine {
    /// What its lines in the timeline begin with.
    pub(super) name: &'static str,
    pub(super) app: App,
    pub(super) state: State,
    pub(super) path: PathBuf,
    pub(super) stop: Stop,
    pub(super) reload: Arc<Notify>,
}

impl Machine {
    /// One whose record is in `root`.
    pub(super) fn new(name: &'static str, app: App, path: PathBuf, root: PathBuf) -> Self {
        let state = State::of(&path, Some(root)).unwrap();
        Self { name, app, state, path, stop: Stop::default(), reload: Arc::default() }
    }
}

/// Until when each daemon waits.
#[derive(Default)]
struct Waits {
    next: u64,
    until: BTreeMap<u64, u64>,
}

pub(super) struct World {
    begin: u64,
    millis: Arc<AtomicU64>,
    daemons: AtomicUsize,
    waits: Mutex<Waits>,
    /// Runs and looks under way; and that the machine which is there from the begin has not begun.
    busy: AtomicUsize,
    /// Has what the stores hold keep up with the time.
    keep_time: Box<dyn Fn(u64) + Send + Sync>,
    events: Mutex<VecDeque<Event>>,
    lines: Mutex<Vec<String>>,
    /// What no line of the timeline begins its paths with.
    pub(super) root: PathBuf,
    /// The machine that is there from the begin to the end.
    pub(super) here: Machine,
}

impl World {
    /// The world of a machine, from a time on, which is told in milliseconds.
    pub(super) fn of(
        here: Machine,
        root: PathBuf,
        millis: Arc<AtomicU64>,
        events: Vec<Event>,
        keep_time: impl Fn(u64) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            begin: millis.load(Ordering::SeqCst) / 1000,
            millis,
            daemons: AtomicUsize::new(0),
            waits: Mutex::default(),
            busy: AtomicUsize::new(1),
            keep_time: Box::new(keep_time),
            events: Mutex::new(events.into()),
            lines: Mutex::default(),
            root,
            here,
        })
    }

    /// Has the daemon of the machine run until something ends it, and gives the timeline.
    pub(super) async fn live(self: &Arc<Self>) -> Vec<String> {
        let daemon = self.start(&self.here);
        self.busy.fetch_sub(1, Ordering::SeqCst);
        tokio::time::timeout(Duration::from_mins(20), daemon).await.unwrap().unwrap();
        let lines = self.lines.lock().unwrap().clone();
        println!("{}", lines.join("\n"));
        lines
    }

    /// Has a daemon run on a machine until its stop is asked for.
    pub(super) fn start(self: &Arc<Self>, machine: &Machine) -> JoinHandle<()> {
        let options = Options {
            path: machine.path.clone(),
            state: machine.state.clone(),
            clock: Arc::new(Calm(Arc::clone(self))),
            stop: machine.stop.clone(),
            reload: Arc::clone(&machine.reload),
            pulse: Duration::from_hours(6),
        };
        let voice = Voice { world: Arc::clone(self), machine: machine.name };
        let daemon = Daemon::start(machine.app.clone(), options, Arc::new(voice)).unwrap();
        self.daemons.fetch_add(1, Ordering::SeqCst);
        let counted = Counted(Arc::clone(self), |world| &world.daemons);
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            let _counted = counted;
            runtime.block_on(daemon.run());
        })
    }

    /// Does something beside, for which the time stands still. What came of it is in the timeline: nobody waits for it.
    pub(super) fn beside(self: &Arc<Self>, work: impl AsyncFnOnce(Arc<Self>, &dyn Clock) + Send + 'static) {
        self.busy.fetch_add(1, Ordering::SeqCst);
        let (counted, world) = (Counted(Arc::clone(self), |world| &world.busy), Arc::clone(self));
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            let _counted = counted;
            let clock = Calm(Arc::clone(&world));
            runtime.block_on(work(world, &clock));
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

    /// Goes on to a time, with what happens until then.
    fn pass(self: &Arc<Self>, end: u64) {
        let mut events = self.events.lock().unwrap();
        let next = events.front().map(|event| (self.begin + event.hour * HOUR) * 1000);
        let Some(next) = next.filter(|next| *next <= end) else { return self.millis.store(end, Ordering::SeqCst) };
        // Whoever waits wakes at what happens, and waits again.
        self.millis.fetch_max(next, Ordering::SeqCst);
        let Some(Event { what, happens, .. }) = events.pop_front() else { return };
        drop(events);
        if !what.is_empty() {
            self.tell(&format!("        *** {what}"));
        }
        happens(self);
    }

    pub(super) fn skip(&self, seconds: u64) {
        self.millis.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    pub(super) fn set_back(&self, seconds: u64) {
        self.millis.fetch_sub(seconds * 1000, Ordering::SeqCst);
    }
}

/// Something that is counted until this is dropped.
struct Counted(Arc<World>, fn(&World) -> &AtomicUsize);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1(&self.0).fetch_sub(1, Ordering::SeqCst);
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
            let waiting = Waiting::begin(world, time);
            // First comes what there is to do beside waiting.
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                if waiting.is_over() {
                    return;
                }
            }
        })
    }
}

/// A daemon that waits, until this is dropped.
struct Waiting {
    world: Arc<World>,
    number: u64,
}

impl Waiting {
    fn begin(world: Arc<World>, time: Duration) -> Self {
        let until = world.millis.load(Ordering::SeqCst) + u64::try_from(time.as_millis()).unwrap();
        let mut waits = world.waits.lock().unwrap();
        waits.next += 1;
        let number = waits.next;
        waits.until.insert(number, until);
        drop(waits);
        Self { world, number }
    }

    /// Where all wait and nothing is under way, the time goes on to the first of them.
    fn is_over(&self) -> bool {
        let Waits { until, .. } = &*self.world.waits.lock().unwrap();
        if self.world.millis.load(Ordering::SeqCst) >= until[&self.number] {
            return true;
        }
        let is_calm = self.world.busy.load(Ordering::SeqCst) == 0;
        if is_calm && until.len() >= self.world.daemons.load(Ordering::SeqCst) {
            self.world.pass(*until.values().min().unwrap());
            return true;
        }
        false
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.world.waits.lock().unwrap().until.remove(&self.number);
    }
}

/// Tells in the timeline what the daemon of a machine does.
struct Voice {
    world: Arc<World>,
    machine: &'static str,
}

impl Voice {
    fn tell(&self, line: &str) {
        self.world.tell(&format!("{}{line}", self.machine));
    }
}

impl Listens for Voice {
    fn hear(&self, news: News<'_>) {
        let world = &self.world;
        match news {
            News::Began(start) => {
                (world.keep_time)(world.now());
                world.busy.fetch_add(1, Ordering::SeqCst);
                if start.missed > 0 || start.tries > 0 {
                    self.tell(&format!("{:<5} makes up for {}, after {} tries", start.job, start.missed, start.tries));
                }
            }
            News::Ended(job, ending) => {
                (world.keep_time)(world.now());
                world.busy.fetch_sub(1, Ordering::SeqCst);
                if ending != Ending::Done {
                    self.tell(&format!("{job:<5} {ending:?}"));
                }
            }
            News::Looking => {
                (world.keep_time)(world.now());
                world.busy.fetch_add(1, Ordering::SeqCst);
            }
            News::Looked => {
                world.busy.fetch_sub(1, Ordering::SeqCst);
            }
            News::Told(Told::Changed(notice)) => {
                let subject = notice.subject.as_ref().map_or_else(String::new, ToString::to_string);
                let subject = subject.replace(&*world.root.to_string_lossy(), "");
                self.tell(&format!("    --> {}: {subject}", notice.word.name()));
                if notice.word == Word::Damage {
                    self.tell(&format!("        {}", notice.text));
                }
            }
            News::Told(Told::NotTaken(..) | Told::Fault(_)) | News::Fault(_) => self.tell(&format!("{news:?}")),
            News::Skipped(Decision::Skip { job, count, .. }) => self.tell(&format!("{job:<5} left out {count}")),
            _ => {}
        }
    }
}

/// What was told of each subject, by machine, in order.
pub(super) fn told(lines: &[String]) -> BTreeMap<(&str, &str), Vec<&str>> {
    let mut told: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for line in lines {
        let Some((begin, (word, subject))) =
            line.split_once("    --> ").and_then(|(begin, rest)| Some((begin, rest.split_once(": ")?)))
        else {
            continue;
        };
        // Behind the time stands the machine.
        let machine = begin.split_once("  ").map_or("", |(_, machine)| machine).trim_end_matches(": ");
        told.entry((machine, subject)).or_default().push(word);
    }
    told
}

/// Nothing is said twice in a row of one subject, and all is well in the end.
pub(super) fn expect_each_said_once_and_all_well(lines: &[String]) {
    for (of, words) in told(lines) {
        assert!(words.windows(2).all(|pair| pair[0] != pair[1]), "{of:?}: {words:?}");
        assert_eq!(words.last(), Some(&"recovered"), "{of:?}");
    }
}
