//! Runs of a policy over stores in memory: several targets at once, and what a run asks of one at which nothing has changed.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use credenza_connect::memory::{MemorySource, MemoryStore};
use credenza_engine::backup::{self, BackupOptions};
use credenza_engine::{Clock, CreateOptions, Event, Listener, NoEvents, Secret, Stop};
use credenza_format::ChunkerParams;

use super::super::file::JobsFile;
use super::super::schedule::instant;
use super::super::state::State;
use super::*;
use crate::app::AppOptions;
use crate::simulated::{Simulated, Site, Weather};

const BEGIN: u64 = 1_800_000_000;
const DAY: u64 = 86_400;
/// Trials at once have scratch folders of their own.
const DRILLED: &str = "prove = \"drill:30d\"";

/// An origin, targets that are made like it, and a machine.
struct Bed {
    folder: tempfile::TempDir,
    simulated: Simulated,
    app: App,
    source: MemorySource,
}

impl Bed {
    async fn new(targets: &[&str]) -> Self {
        Self::locking(targets, None).await
    }

    /// All repositories lock what they store for so many days.
    async fn locking(targets: &[&str], retain_days: Option<u32>) -> Self {
        let store = || if retain_days.is_some() { MemoryStore::versioned() } else { MemoryStore::new() };
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let names = || ["main"].iter().chain(targets);
        let sites = names().map(|name| (at(name), Site::new(store()))).collect();
        let millis = Arc::new(AtomicU64::new(BEGIN * 1000));
        let simulated = Simulated { millis, sites: Arc::new(sites), only_read: Vec::new() };
        let configuration = at("configuration");
        fs::create_dir(&configuration).unwrap();
        let key = at("key");
        fs::write(&key, [7; 64]).unwrap();
        let place = |name: &&str| {
            format!("[repository.{name}]\nlocation = \"{}\"\nkey_file = \"{}\"\n", at(name).display(), key.display())
        };
        fs::write(configuration.join("config.toml"), names().map(place).collect::<String>()).unwrap();
        let app = App::new(AppOptions { configuration_folder: Some(configuration), ..AppOptions::default() });
        let app = app.with_simulated(simulated.clone());
        let bed = Self { folder, simulated, app, source: MemorySource::new() };
        let mut like = None;
        for name in names() {
            let place = bed.app.place(Kind::Repository, format!("@{name}").as_ref(), Settings::new()).unwrap();
            let options = CreateOptions {
                secret: Secret::KeyFile(fs::read(&key).unwrap().into()),
                like: like.take(),
                label: String::new(),
                chunker: ChunkerParams::default(),
                compression: 1,
                retain_days,
                parity: None,
            };
            bed.app.create_repository(&place, &options, false).await.unwrap();
            like = Some(bed.open("main").await.content_keys());
        }
        bed
    }

    fn site(&self, name: &str) -> &Arc<Site> {
        &self.simulated.sites[&self.folder.path().join(name)]
    }

    async fn open(&self, name: &str) -> Repository {
        self.app.open_named(&format!("@{name}"), StoreUse::Write).await.unwrap().repository
    }

    async fn back_up(&self, content: &str) -> SnapshotId {
        self.source.put("letter", content.repeat(500).into_bytes());
        let (origin, options) = (self.open("main").await, BackupOptions::default());
        let run = RunContext::default();
        backup::run(&origin, Arc::new(self.source.clone()), &options, &run).await.unwrap();
        origin.snapshots().await.unwrap().whole.pop().unwrap().snapshot.id
    }

    async fn has(&self, name: &str) -> Vec<SnapshotId> {
        let whole = self.open(name).await.snapshots().await.unwrap().whole;
        whole.iter().map(|handle| handle.snapshot.id).collect()
    }

    /// Does something with a policy that carries to these targets, each with these lines.
    async fn with_policy<T>(
        &self,
        targets: &[(&str, &str)],
        work: impl AsyncFnOnce(&Runner<'_>, &Replicate) -> T,
    ) -> T {
        let to = |(name, lines): &(&str, &str)| format!("[[replicate.main.to]]\ntarget = \"@{name}\"\n{lines}\n");
        let text =
            format!("version = 1\n[replicate.main]\nfrom = \"@main\"\n{}", targets.iter().map(to).collect::<String>());
        let path: PathBuf = self.folder.path().join("jobs.toml");
        let file = JobsFile::parse(&path, &text, instant(self.simulated.now().wall)).unwrap();
        let state = State::of(&path, Some(self.folder.path().join("state"))).unwrap();
        let stop = Stop::default();
        let runner = Runner { app: &self.app, state: &state, clock: &self.simulated, stop: &stop };
        work(&runner, file.replicate("main").unwrap()).await
    }

    /// Runs it.
    async fn run(&self, targets: &[(&str, &str)], heard: &dyn Heard) -> Ending {
        let work = async |runner: &Runner<'_>, policy: &Replicate| {
            run(runner, policy, false, &Occasion::default(), heard).await.unwrap()
        };
        self.with_policy(targets, work).await
    }

    /// How far the first lock of its first target is set: of how many snapshots, of how many as long as asked, and the shortest, in days.
    async fn locked(&self, targets: &[(&str, &str)]) -> (u64, u64, Option<u32>) {
        let work = async |runner: &Runner<'_>, policy: &Replicate| status(runner, policy).await.unwrap();
        let status = self.with_policy(targets, work).await;
        let lock = &status.targets[0].locks[0];
        assert_eq!((lock.class, lock.days_asked), ("monthly", 400), "{status:?}");
        (lock.snapshots, lock.locked, lock.days)
    }

    fn pass(&self, seconds: u64) {
        self.simulated.millis.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

/// Hears what is done, and lets a site go on once a snapshot has arrived anywhere.
#[derive(Default)]
struct Ear {
    steps: Mutex<Vec<Step>>,
    thawed: Option<Arc<Site>>,
}

struct Thaw(Arc<Site>);

impl Listener for Thaw {
    fn on(&self, event: Event) {
        if let Event::Committed { .. } = event {
            self.0.set(Weather::Fair);
        }
    }
}

impl Heard for Ear {
    fn step(&self, step: &Step, _: Option<Cause>) {
        self.steps.lock().unwrap().push(step.clone());
    }

    fn events(&self) -> Arc<dyn Listener> {
        match &self.thawed {
            Some(site) => Arc::new(Thaw(Arc::clone(site))),
            None => Arc::new(NoEvents),
        }
    }
}

impl Ear {
    /// The targets that were carried to, in the order in which that was told, and how many snapshots arrived at each.
    fn carried(&self) -> Vec<(String, u64)> {
        let carried = |step: &Step| match step {
            Step::Replicated(Replicated { target, copied, .. }) => Some((target.clone(), *copied)),
            _ => None,
        };
        self.steps.lock().unwrap().iter().filter_map(carried).collect()
    }
}

fn told(carried: &[(&str, u64)]) -> Vec<(String, u64)> {
    carried.iter().map(|(name, copied)| (format!("@{name}"), *copied)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_hangs_keeps_none_behind_it_waiting_and_all_are_told_in_order() {
    let bed = Bed::new(&["paris", "oslo", "rome"]).await;
    let id = bed.back_up("dear reader").await;
    // Paris goes on when another has its copy.
    bed.site("paris").set(Weather::Frozen);
    let ear = Ear { thawed: Some(Arc::clone(bed.site("paris"))), ..Ear::default() };
    let ending = bed.run(&[("paris", ""), ("oslo", DRILLED), ("rome", DRILLED)], &ear).await;
    assert_eq!((ending, ear.carried()), (Ending::Done, told(&[("paris", 1), ("oslo", 1), ("rome", 1)])));
    for name in ["paris", "oslo", "rome"] {
        assert_eq!(bed.has(name).await, [id], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_targets_no_more_than_four_are_asked_at_once() {
    let names = ["a", "b", "c", "d", "e"];
    let bed = Bed::new(&names).await;
    bed.back_up("dear reader").await;
    names.iter().take(TARGETS_AT_ONCE).for_each(|name| bed.site(name).set(Weather::Frozen));
    names.iter().for_each(|name| {
        bed.site(name).asked();
    });
    let (targets, ear) = (names.map(|name| (name, "")), Ear::default());
    let mut run = Box::pin(bed.run(&targets, &ear));
    let mut held = 0;
    // Until each of the four has been asked, and hangs.
    while held < TARGETS_AT_ONCE {
        tokio::select! {
            biased;
            _ = &mut run => panic!("four of them hang"),
            () = tokio::task::yield_now() => {}
        }
        held = names.iter().take(TARGETS_AT_ONCE).filter(|name| bed.site(name).is_asked()).count();
    }
    assert!(!bed.site("e").is_asked());
    bed.site("c").set(Weather::Fair);
    while !bed.site("e").is_asked() {
        tokio::select! {
            biased;
            _ = &mut run => panic!("three of them hang"),
            () = tokio::task::yield_now() => {}
        }
    }
    names.iter().for_each(|name| bed.site(name).set(Weather::Fair));
    assert_eq!(run.await, Ending::Done);
    assert_eq!(ear.carried(), told(&names.map(|name| (name, 1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_at_which_nothing_has_changed_is_asked_for_little_however_it_is_proven() {
    for prove in ["list", "audit", "drill:30d"] {
        let lines = format!("prove = \"{prove}\"\nkeep = {{ daily = 3 }}");
        let (bed, targets) = (Bed::new(&["paris"]).await, [("paris", &*lines)]);
        for content in ["first", "second", "third"] {
            bed.back_up(content).await;
            bed.pass(DAY);
        }
        let mut asked = Vec::new();
        for number in 0..5 {
            bed.pass(600);
            bed.site("paris").asked();
            let ear = Ear::default();
            assert_eq!(bed.run(&targets, &ear).await, Ending::Done, "{prove}: {:?}", ear.steps);
            assert_eq!(ear.carried(), told(&[("paris", if number == 0 { 3 } else { 0 })]));
            asked.push(bed.site("paris").asked());
        }
        println!("{prove}: {asked:?} requests in five runs");
        assert!(asked[2..].iter().all(|asked| *asked <= 6), "{prove}: {asked:?}");
        // Once a day all is looked at.
        bed.pass(DAY);
        assert_eq!(bed.run(&targets, &Ear::default()).await, Ending::Done);
        assert!(bed.site("paris").asked() > 6);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_changes_on_either_side_is_seen_by_the_next_run() {
    let (bed, targets) = (Bed::new(&["paris"]).await, [("paris", "")]);
    bed.back_up("first").await;
    let run = async || {
        bed.pass(600);
        let ear = Ear::default();
        (bed.run(&targets, &ear).await, ear.carried().iter().map(|(_, copied)| copied).sum::<u64>())
    };
    for copied in [1, 0, 0] {
        assert_eq!(run().await, (Ending::Done, copied));
    }
    let second = bed.back_up("second").await;
    assert_eq!(run().await, (Ending::Done, 1));
    assert!(bed.has("paris").await.contains(&second));
    for _ in 0..2 {
        assert_eq!(run().await, (Ending::Done, 0));
    }
    // What a copy stands on.
    for folder in ["data/", "meta/", "usage/", "index/"] {
        let held = bed.site("paris").copied().await;
        let lost = held.keys().into_iter().find(|key| key.as_str().starts_with(folder)).unwrap();
        bed.site("paris").held().tamper(&lost, None);
        assert_ne!(run().await.0, Ending::Done, "{lost} is gone");
        bed.site("paris").hold(held);
        run().await;
        assert_eq!(run().await, (Ending::Done, 0), "{lost} is back");
    }
}

/// What is kept of a month is to be locked for more than a year.
const MONTHS: &str = "keep = { daily = 30, monthly = 12 }\nlock = { monthly = \"400d\" }";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_locks_for_longer_what_a_rule_keeps_and_the_status_says_how_far() {
    let (bed, targets) = (Bed::locking(&["paris"], Some(30)).await, [("paris", MONTHS)]);
    bed.back_up("January").await;
    assert_eq!(bed.run(&targets, &Ear::default()).await, Ending::Done);
    assert_eq!(bed.locked(&targets).await, (0, 0, None), "the month is not over");
    bed.pass(20 * DAY);
    bed.back_up("February").await;
    let (snapshots, locked, days) = bed.locked(&targets).await;
    assert!((snapshots, locked) == (1, 0) && days.is_some_and(|days| (30..400).contains(&days)), "{days:?}");
    assert_eq!(bed.run(&targets, &Ear::default()).await, Ending::Done);
    assert_eq!(bed.locked(&targets).await, (1, 1, Some(400)));
    // A month more: what was locked already stays, and the next comes to it.
    bed.pass(30 * DAY);
    bed.back_up("March").await;
    assert_eq!(bed.locked(&targets).await.0, 2);
    assert_eq!(bed.run(&targets, &Ear::default()).await, Ending::Done);
    assert_eq!(bed.locked(&targets).await, (2, 2, Some(400)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_locks_nothing_is_told_by_each_run_and_the_status_says_that_none_is_locked() {
    let (bed, targets) = (Bed::new(&["paris"]).await, [("paris", MONTHS)]);
    bed.back_up("January").await;
    bed.pass(20 * DAY);
    for _ in 0..2 {
        assert_eq!(bed.run(&targets, &Ear::default()).await, Ending::Incomplete);
    }
    assert_eq!(bed.locked(&targets).await.1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_is_to_lock_and_that_the_origin_has_not_is_told_by_each_run() {
    let bed = Bed::locking(&["paris"], Some(30)).await;
    let targets = [("paris", "keep = \"same\"\nlock = { monthly = \"400d\" }")];
    bed.back_up("dear reader").await;
    let keeps = async |policy: Policy| bed.open("main").await.set_policy(Some(policy)).await.unwrap();
    keeps(Policy { daily: 3, ..Policy::default() }).await;
    for _ in 0..2 {
        assert_eq!(bed.run(&targets, &Ear::default()).await, Ending::Incomplete, "nothing is kept as monthly there");
    }
    keeps(Policy { daily: 3, monthly: 2, ..Policy::default() }).await;
    assert_eq!(bed.run(&targets, &Ear::default()).await, Ending::Done);
}
