//! Runs and the daemon over real folders, with a clock that the test moves.

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use credenza_engine::{Clock, CreateOptions, Listener, Moment, NoEvents, Secret, Stop, SystemClock};
use credenza_model::Timestamp;
use tokio::sync::Notify;

use super::daemon::{Daemon, Listens, News, Options};
use super::error::JobsError;
use super::file::JobsFile;
use super::log::Past;
use super::outcome::{Ending, Step};
use super::promise::{self, Kept};
use super::run::{Cause, Heard, Occasion};
use super::runner::Runner;
use super::schedule::instant;
use super::state::State;
use super::verify;
use crate::app::{App, AppOptions};
use crate::configuration::{Kind, Settings};

/// A clock that goes on by what is waited for, and by nothing else.
#[derive(Clone)]
pub(super) struct Fast(Arc<AtomicU64>);

impl Fast {
    pub(super) fn at(seconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seconds * 1000)))
    }

    pub(super) fn pass(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Fast {
    fn now(&self) -> Moment {
        let millis = self.0.load(Ordering::SeqCst);
        let nanoseconds = u32::try_from(millis % 1000).unwrap() * 1_000_000;
        let wall = Timestamp { seconds: i64::try_from(millis / 1000).unwrap(), nanoseconds };
        Moment { monotonic: Duration::from_millis(millis), wall }
    }

    fn wait(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let clock = self.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            clock.pass(time);
        })
    }
}

/// A folder with a source, a repository and a file of jobs.
pub(super) struct Bed {
    folder: tempfile::TempDir,
    pub(super) app: App,
    pub(super) clock: Fast,
}

/// What a run told.
#[derive(Default)]
pub(super) struct Steps(pub(super) Mutex<Vec<Step>>);

impl Heard for Steps {
    fn step(&self, step: &Step, _cause: Option<Cause>) {
        self.0.lock().unwrap().push(step.clone());
    }

    fn events(&self) -> Arc<dyn Listener> {
        Arc::new(NoEvents)
    }
}

impl Bed {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("source")).unwrap();
        fs::write(folder.path().join("source/a"), "one").unwrap();
        let configuration_folder = Some(folder.path().join("configuration"));
        let app = App::new(AppOptions { configuration_folder, ..AppOptions::default() });
        let bed = Self { folder, app, clock: Fast::at(1_700_002_800) };
        bed.create("repository").await;
        bed
    }

    pub(super) async fn create(&self, name: &str) {
        let place = self.app.place(Kind::Repository, self.path(name).as_os_str(), Settings::new()).unwrap();
        let options = CreateOptions::new(Secret::None);
        self.app.create_repository(&place, &options, false).await.unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file with the job `a`, which has these lines beside what it cannot do without.
    pub(super) fn write(&self, lines: &str) -> JobsFile {
        let path = self.folder.path().display();
        let text = format!("version = 1\n[job.a]\nto = \"{path}/repository\"\nbackup = \"{path}/source\"\n{lines}\n");
        fs::write(self.path("jobs.toml"), text).unwrap();
        JobsFile::read(&self.path("jobs.toml"), instant(self.clock.now().wall)).unwrap()
    }

    pub(super) fn state(&self) -> State {
        State::of(&self.path("jobs.toml"), Some(self.path("state"))).unwrap()
    }

    pub(super) async fn run(&self, file: &JobsFile, occasion: &Occasion) -> (Ending, Vec<Step>) {
        let (state, stop, steps) = (self.state(), Stop::default(), Steps::default());
        let runner = Runner { app: &self.app, state: &state, clock: &self.clock, stop: &stop };
        let ending = runner.run(&file.jobs["a"], occasion, &steps).await.unwrap();
        self.clock.pass(Duration::from_secs(1));
        (ending, steps.0.into_inner().unwrap())
    }

    pub(super) async fn snapshots(&self, file: &JobsFile) -> Vec<Past> {
        let (state, stop) = (self.state(), Stop::default());
        let runner = Runner { app: &self.app, state: &state, clock: &self.clock, stop: &stop };
        runner.past_in_repository(&file.jobs["a"], 100).await.unwrap()
    }
}

/// What a program prints into a file, as a hook.
fn telling(path: &Path, moment: &str, rest: &str) -> String {
    format!(
        "{{ {moment} = \"backup\", {rest} run = [\"sh\", \"-c\", \"echo {moment} $CREDENZA_ENDING $CREDENZA_SNAPSHOTS >>{}\"] }}",
        path.display()
    )
}

impl Bed {
    /// Runs the verification `verify.v` of the repository, which has these lines beside.
    async fn verify(&self, lines: &str) -> (Ending, Vec<Step>) {
        let path = self.path("repository").display().to_string();
        let text = format!("version = 1\n[verify.v]\nrepository = \"{path}\"\n{lines}\n");
        let file = JobsFile::parse(Path::new("jobs.toml"), &text, instant(self.clock.now().wall)).unwrap();
        let (state, stop, steps) = (self.state(), Stop::default(), Steps::default());
        let runner = Runner { app: &self.app, state: &state, clock: &self.clock, stop: &stop };
        let ending = verify::run(&runner, &file.verifies["verify.v"], &Occasion::default(), &steps).await.unwrap();
        self.clock.pass(Duration::from_secs(1));
        (ending, steps.0.into_inner().unwrap())
    }

    /// The packs of the repository.
    fn packs(&self) -> Vec<PathBuf> {
        fn files(folder: PathBuf) -> Vec<PathBuf> {
            let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.flat_map(|path| if path.is_dir() { files(path) } else { vec![path] }).collect()
        }
        files(self.path("repository/data"))
    }
}

#[tokio::test]
async fn a_verification_reads_what_waits_and_restores_a_sample_from_time_to_time() {
    // What is on record in the repository has the time of the system.
    let now = u64::try_from(SystemClock.now().wall.seconds).unwrap();
    let bed = Bed { clock: Fast::at(now), ..Bed::new().await };
    let file = bed.write("at = \"02:30\"");
    assert_eq!(bed.run(&file, &Occasion::default()).await.0, Ending::Done);
    let lines = "drill = { every = \"7d\", files = 1, folders = 0 }";
    let (ending, steps) = bed.verify(lines).await;
    assert_eq!(ending, Ending::Done, "{steps:?}");
    let [
        Step::Verified { packs, packs_read, damages: 0, packs_due: 0, .. },
        Step::Drilled { entries: 1, errors: 0, .. },
        Step::Spent { .. },
    ] = steps[..]
    else {
        panic!("{steps:?}")
    };
    assert_eq!(packs, packs_read);
    assert!(!bed.state().scratch("verify.v").exists(), "the scratch folder is gone");
    let past = bed.state().log().past(Some("verify.v"), 10).unwrap();
    assert_eq!((past[0].ending, &past[0].steps), (Some(Ending::Done), &steps));
    let (ending, steps) = bed.verify(lines).await;
    let [Step::Verified { packs_read: 1, .. }, Step::Spent { .. }] = steps[..] else {
        panic!("a pack keeps the pace: {steps:?}")
    };
    assert_eq!(ending, Ending::Done);
    // A day more, because the drill on record is as much later as all this has taken.
    bed.clock.pass(Duration::from_hours(8 * 24));
    let (_, steps) = bed.verify(lines).await;
    assert!(matches!(steps[..], [_, Step::Drilled { .. }, _]), "{steps:?}");
}

#[tokio::test]
async fn a_budget_that_is_too_small_ends_incomplete_and_says_what_would_do() {
    let bed = Bed::new().await;
    let file = bed.write("at = \"02:30\"");
    for text in ["two", "three", "four"] {
        assert_eq!(bed.run(&file, &Occasion::default()).await.0, Ending::Done);
        fs::write(bed.path("source/a"), text).unwrap();
    }
    let (ending, steps) = bed.verify("every = \"1d\"\nread_all_within = \"2d\"\nbudget = { requests = 1 }").await;
    assert_eq!(ending, Ending::Incomplete, "{steps:?}");
    let past = bed.state().log().past(Some("verify.v"), 1).unwrap();
    let reason = past[0].reason.clone().unwrap();
    assert!(reason.contains("instead of 2d: raise it to { requests = 2 }"), "{reason}");
}

#[tokio::test]
async fn a_pack_that_rots_ends_a_verification_as_damaged_with_the_next_step() {
    let bed = Bed::new().await;
    let file = bed.write("at = \"02:30\"");
    fs::write(bed.path("source/a"), "x".repeat(100_000)).unwrap();
    assert_eq!(bed.run(&file, &Occasion::default()).await.0, Ending::Done);
    for pack in bed.packs() {
        let mut bytes = fs::read(&pack).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::set_permissions(&pack, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(&pack, bytes).unwrap();
    }
    let (ending, steps) = bed.verify("drill = { files = 1, folders = 0 }").await;
    assert_eq!(ending, Ending::Damaged, "{steps:?}");
    assert!(
        matches!(steps[..], [Step::Verified { damages: 1.., .. }, Step::Drilled { errors: 1, .. }, _]),
        "{steps:?}"
    );
    let reason = bed.state().log().past(Some("verify.v"), 1).unwrap()[0].reason.clone().unwrap();
    assert!(reason.contains("objects are damaged: see credenza at /"), "{reason}");
}

#[tokio::test]
async fn a_verification_runs_while_a_backup_is_in_the_repository_and_not_beside_another() {
    let bed = Bed::new().await;
    let place = bed.app.place(Kind::Repository, bed.path("repository").as_os_str(), Settings::new()).unwrap();
    let held = bed.state().be_in_repository(&place.text()).unwrap();
    assert_eq!(bed.verify("").await.0, Ending::Done);
    drop(held);
    let held = bed.state().be_verifying(&place.text()).unwrap();
    assert_eq!(bed.verify("").await.0, Ending::Busy);
    drop(held);
}

#[tokio::test]
async fn what_a_drill_left_that_was_killed_is_removed_also_where_nothing_may_be_written() {
    let bed = Bed::new().await;
    let file = bed.write("at = \"02:30\"");
    assert_eq!(bed.run(&file, &Occasion::default()).await.0, Ending::Done);
    let left = bed.state().scratch("verify.v").join("a/b");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("c"), "left").unwrap();
    for folder in [left.clone(), left.parent().unwrap().to_owned()] {
        fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o500)).unwrap();
    }
    let (ending, steps) = bed.verify("drill = {}").await;
    assert_eq!(ending, Ending::Done, "{steps:?}");
    assert!(!bed.state().scratch("verify.v").exists());
}

#[tokio::test]
async fn a_run_backs_up_prunes_and_reclaims_between_its_hooks_and_is_on_record() {
    let bed = Bed::new().await;
    let told = bed.path("told");
    let (before, after, failed) =
        (telling(&told, "before", ""), telling(&told, "after", ""), telling(&told, "after", "when = [\"failed\"],"));
    let file = bed.write(&format!(
        "at = \"02:30\"\nkeep = {{ last = 1 }}\nmaintain = true\ntags = [\"nightly\"]\nhooks = [ {before}, {after}, {failed}, {{ run = [\"echo\", \"dump\"], stdin_of = \"db.dump\" }} ]"
    ));
    for _ in 0..2 {
        let (ending, steps) = bed.run(&file, &Occasion::default()).await;
        assert_eq!(ending, Ending::Done, "{steps:?}");
        fs::write(bed.path("source/a"), "two").unwrap();
    }
    // One of each source is kept.
    let snapshots = bed.snapshots(&file).await;
    assert_eq!(snapshots.len(), 2, "{snapshots:?}");
    let past = bed.state().log().past(Some("a"), 10).unwrap();
    assert_eq!(past.iter().map(|past| past.ending).collect::<Vec<_>>(), [Some(Ending::Done); 2]);
    assert!(past[0].steps.contains(&Step::Pruned { kept: 2, removed: 2 }), "{past:?}");
    assert!(past[0].steps.iter().any(|step| matches!(step, Step::Maintained { .. })));
    let sources: Vec<&str> = snapshots
        .iter()
        .flat_map(|past| &past.steps)
        .filter_map(|step| match step {
            Step::BackedUp { source, .. } => Some(&**source),
            _ => None,
        })
        .collect();
    assert!(sources.contains(&"stream:db.dump"), "{sources:?}");
    let told = fs::read_to_string(told).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 4, "{told}");
    assert!(lines[0] == "before" && lines[1].starts_with("after done ") && lines[1].split(' ').count() == 4, "{told}");
}

#[tokio::test]
async fn a_hook_before_that_fails_stops_its_job_alone_and_whoever_is_to_hear_does() {
    let bed = Bed::new().await;
    let told = bed.path("told");
    let failed = telling(&told, "after", "when = [\"failed\"],");
    let file =
        bed.write(&format!("at = \"02:30\"\nhooks = [ {{ before = \"backup\", run = [\"false\"] }}, {failed} ]"));
    let (ending, steps) = bed.run(&file, &Occasion::default()).await;
    assert_eq!(ending, Ending::Refused, "{steps:?}");
    assert_eq!(fs::read_to_string(told).unwrap().trim(), "after refused");
    assert!(bed.snapshots(&file).await.is_empty());
    let past = bed.state().log().past(None, 1).unwrap();
    assert!(past[0].reason.as_deref().is_some_and(|reason| reason.contains("`false` failed")), "{past:?}");
}

#[tokio::test]
async fn a_run_that_finds_another_one_in_its_repository_runs_no_hooks() {
    let bed = Bed::new().await;
    let told = bed.path("told");
    let (before, after) = (telling(&told, "before", ""), telling(&told, "after", "when = [\"always\"],"));
    let file = bed.write(&format!("at = \"02:30\"\nhooks = [ {before}, {after} ]"));
    let place = bed.app.place(Kind::Repository, bed.path("repository").as_os_str(), Settings::new()).unwrap();
    let held = bed.state().be_in_repository(&place.text()).unwrap();
    let (ending, steps) = bed.run(&file, &Occasion::default()).await;
    assert!(ending == Ending::Busy && !told.exists(), "{steps:?}");
    drop(held);
    let (ending, steps) = bed.run(&file, &Occasion::default()).await;
    assert!(ending == Ending::Done && told.exists(), "{steps:?}");
}

#[tokio::test]
async fn a_command_that_fails_makes_no_snapshot_of_its_output() {
    let bed = Bed::new().await;
    let file = bed
        .write("at = \"02:30\"\nhooks = [ { run = [\"sh\", \"-c\", \"echo half; exit 3\"], stdin_of = \"db.dump\" } ]");
    let (ending, steps) = bed.run(&file, &Occasion::default()).await;
    assert_eq!(ending, Ending::Failed, "{steps:?}");
    let snapshots = bed.snapshots(&file).await;
    assert_eq!(snapshots.len(), 1, "that of the folder alone: {snapshots:?}");
}

#[tokio::test]
async fn a_repository_that_is_gone_is_waited_for_and_never_made_anew() {
    let bed = Bed::new().await;
    let file = bed.write("at = \"02:30\"");
    assert_eq!(bed.run(&file, &Occasion::default()).await.0, Ending::Done);
    let aside = bed.path("aside");
    fs::rename(bed.path("repository"), &aside).unwrap();
    let (ending, steps) = bed.run(&file, &Occasion::default()).await;
    assert_eq!(ending, Ending::Unreachable, "{steps:?}");
    assert!(!bed.path("repository").exists());
    fs::rename(aside, bed.path("repository")).unwrap();
    assert_eq!(bed.run(&file, &Occasion::default()).await.0, Ending::Done);
}

#[tokio::test]
async fn a_source_that_is_gone_fails_and_the_others_are_backed_up() {
    let bed = Bed::new().await;
    let path = bed.folder.path().display().to_string();
    let text = format!(
        "version = 1\n[job.a]\nto = \"{path}/repository\"\nbackup = [\"{path}/gone\", \"{path}/source\"]\nat = \"02:30\"\n"
    );
    fs::write(bed.path("jobs.toml"), text).unwrap();
    let file = JobsFile::read(&bed.path("jobs.toml"), instant(bed.clock.now().wall)).unwrap();
    let (ending, _) = bed.run(&file, &Occasion::default()).await;
    assert_eq!((ending, bed.snapshots(&file).await.len()), (Ending::Failed, 1));
}

#[tokio::test]
async fn a_run_for_a_timer_is_tried_as_often_as_its_job_says_with_waits_that_double() {
    let bed = Bed::new().await;
    let path = bed.folder.path().display().to_string();
    let job = format!("[job.a]\nto = \"{path}/repository\"\nbackup = \"{path}/gone\"\nat = \"02:30\"\n");
    fs::write(bed.path("jobs.toml"), format!("version = 1\n{job}retry = {{ tries = 4, wait = \"1m..3m\" }}\n"))
        .unwrap();
    let file = JobsFile::read(&bed.path("jobs.toml"), instant(bed.clock.now().wall)).unwrap();
    let (state, stop, tried) = (bed.state(), Stop::default(), AtomicU64::new(0));
    let runner = Runner { app: &bed.app, state: &state, clock: &bed.clock, stop: &stop };
    let count = |_| {
        tried.fetch_add(1, Ordering::SeqCst);
    };
    let ending = runner.run_with_tries(&file.jobs["a"], &Steps::default(), count).await.unwrap();
    assert_eq!((ending, tried.load(Ordering::SeqCst)), (Ending::Failed, 4));
    let past = state.log().past(None, 10).unwrap();
    let begun: Vec<i64> = past.iter().rev().map(|past| past.began.seconds).collect();
    let waits: Vec<i64> = begun.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.iter().zip([60, 120, 180]).all(|(wait, least)| (least..least + 30).contains(wait)), "{waits:?}");
    fs::create_dir(bed.path("gone")).unwrap();
    let ending = runner.run_with_tries(&file.jobs["a"], &Steps::default(), count).await.unwrap();
    assert_eq!((ending, tried.load(Ordering::SeqCst)), (Ending::Done, 5));
}

/// Asks the run to end as soon as a source is backed up.
struct EndedByIt<'a>(&'a Stop);

impl Heard for EndedByIt<'_> {
    fn step(&self, step: &Step, _cause: Option<Cause>) {
        if let Step::BackedUp { .. } = step {
            self.0.request();
        }
    }

    fn events(&self) -> Arc<dyn Listener> {
        Arc::new(NoEvents)
    }
}

/// Asks the run to end before it reclaims space.
struct EndedByRemoval<'a>(&'a Stop);

impl Heard for EndedByRemoval<'_> {
    fn step(&self, step: &Step, _cause: Option<Cause>) {
        if let Step::Pruned { .. } = step {
            self.0.request();
        }
    }

    fn events(&self) -> Arc<dyn Listener> {
        Arc::new(NoEvents)
    }
}

#[tokio::test]
async fn a_run_that_is_to_end_while_it_reclaims_space_keeps_its_snapshot_and_the_next_one_reclaims() {
    let bed = Bed::new().await;
    let file = bed.write("at = \"02:30\"\nkeep = { last = 1 }\nmaintain = \"7d\"");
    let (state, stop) = (bed.state(), Stop::default());
    let runner = Runner { app: &bed.app, state: &state, clock: &bed.clock, stop: &stop };
    let occasion = Occasion { due: Some(Timestamp { seconds: 1_700_001_800, nanoseconds: 0 }), ..Occasion::default() };
    let ending = runner.run(&file.jobs["a"], &occasion, &EndedByRemoval(&stop)).await.unwrap();
    assert_eq!(ending, Ending::Incomplete);
    let past = state.log().past(None, 1).unwrap();
    assert!(past[0].reason.as_deref().is_some_and(|reason| reason.starts_with("reclaiming space")), "{past:?}");
    bed.clock.pass(Duration::from_mins(60));
    let (ending, steps) = bed.run(&file, &Occasion::default()).await;
    assert!(ending == Ending::Done && steps.iter().any(|step| matches!(step, Step::Maintained { .. })), "{steps:?}");
    assert_eq!(bed.snapshots(&file).await.len(), 1);
}

#[tokio::test]
async fn what_fails_when_a_run_is_to_end_was_interrupted_and_is_due_again() {
    let bed = Bed::new().await;
    let path = bed.folder.path().display().to_string();
    let text = format!(
        "version = 1\n[job.a]\nto = \"{path}/repository\"\nbackup = [\"{path}/source\", \"{path}/gone\"]\nat = \"02:30\"\n"
    );
    fs::write(bed.path("jobs.toml"), text).unwrap();
    let file = JobsFile::read(&bed.path("jobs.toml"), instant(bed.clock.now().wall)).unwrap();
    let (state, stop) = (bed.state(), Stop::default());
    let runner = Runner { app: &bed.app, state: &state, clock: &bed.clock, stop: &stop };
    let occasion = Occasion { due: Some(Timestamp { seconds: 1_700_001_800, nanoseconds: 0 }), ..Occasion::default() };
    let ending = runner.run(&file.jobs["a"], &occasion, &EndedByIt(&stop)).await.unwrap();
    assert_eq!(ending, Ending::Interrupted);
    let jobs = std::collections::BTreeSet::from(["a".to_owned()]);
    assert!(state.log().served(&jobs).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_within_its_budget_and_says_what_it_has_spent() {
    let bed = Bed::new().await;
    // What no compressor makes smaller.
    let hashed = (0..100_000_u32).flat_map(|number| *blake3::hash(&number.to_le_bytes()).as_bytes());
    fs::write(bed.path("source/large"), hashed.collect::<Vec<u8>>()).unwrap();
    let spent = |steps: &[Step]| match steps {
        [.., Step::Spent { bill }] => bill.clone(),
        _ => panic!("{steps:?}"),
    };
    let bounded = bed.write("at = \"02:30\"\nbudget = { bytes = \"2MB\" }");
    let (ending, steps) = bed.run(&bounded, &Occasion::default()).await;
    assert_eq!(ending, Ending::Spent, "{steps:?}");
    let bill = spent(&steps);
    assert!(bill.spent.bytes() <= 2_000_000 && bill.spent.requests() == 0 && bill.amount.is_none(), "{bill:?}");
    let reason = bed.state().log().past(None, 1).unwrap().remove(0).reason.unwrap();
    assert!(reason.contains("the budget of the run is spent") && reason.contains("of 2000000 bytes"), "{reason}");
    assert!(bed.snapshots(&bounded).await.is_empty());
    let (ending, steps) = bed.run(&bed.write("at = \"02:30\""), &Occasion::default()).await;
    assert_eq!(ending, Ending::Done, "{steps:?}");
    assert!(spent(&steps).spent.bytes_up > 3_200_000, "{steps:?}");
}

#[test]
fn a_budget_that_cannot_be_meant_is_named_with_its_line() {
    let text = "version = 1\n[job.a]\nto = \"/r\"\nbackup = \"/s\"\nat = \"02:30\"\nbudget = { bytes = \"much\", requests = 0, money = \"1e3\" }\n";
    let now = instant(Timestamp { seconds: 1_700_000_000, nanoseconds: 0 });
    let Err(JobsError::Invalid { problems, .. }) = JobsFile::parse(Path::new("jobs.toml"), text, now) else { panic!() };
    let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["job.a.budget.bytes", "job.a.budget.requests", "job.a.budget.money"]);
    assert!(problems.iter().all(|problem| problem.line == 6), "{problems:?}");
}

#[tokio::test]
async fn a_run_that_was_killed_after_its_snapshot_makes_no_second_one() {
    let bed = Bed::new().await;
    let file = bed.write("at = \"02:30\"");
    let occasion = Occasion { due: Some(Timestamp { seconds: 1_700_001_800, nanoseconds: 0 }), ..Occasion::default() };
    assert_eq!(bed.run(&file, &occasion).await.0, Ending::Done);
    // What a process that is killed then has written: its begin.
    let folder = fs::read_dir(bed.path("state/jobs")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(folder.join("log.jsonl")).unwrap();
    fs::write(folder.join("log.jsonl"), text.lines().next().unwrap()).unwrap();
    let state = bed.state();
    let lost = state.log().close_lost(|job| state.runs(job), bed.clock.now().wall).unwrap();
    assert_eq!(lost.len(), 1);
    let (ending, steps) = bed.run(&file, &occasion).await;
    assert!(ending == Ending::Done && matches!(&steps[..], [Step::Found { .. }, Step::Spent { .. }]), "{steps:?}");
    assert_eq!(bed.snapshots(&file).await.len(), 1);
    let endings: Vec<_> = state.log().past(None, 10).unwrap().iter().map(|past| past.ending).collect();
    assert_eq!(endings, [Some(Ending::Done), Some(Ending::Lost)]);
}

#[tokio::test]
async fn a_full_disk_under_the_log_keeps_nothing_from_being_backed_up() {
    let bed = Bed::new().await;
    let file = bed.write("at = \"02:30\"");
    let folder = {
        bed.state();
        fs::read_dir(bed.path("state/jobs")).unwrap().next().unwrap().unwrap().path()
    };
    std::os::unix::fs::symlink("/dev/full", folder.join("log.jsonl")).unwrap();
    let (ending, steps) = bed.run(&file, &Occasion::default()).await;
    assert_eq!((ending, bed.snapshots(&file).await.len()), (Ending::Done, 1));
    let is_said = |step: &Step| matches!(step, Step::Failed { doing, .. } if doing.contains("record"));
    assert!(steps.iter().any(is_said), "{steps:?}");
}

#[tokio::test]
async fn a_promise_is_measured_at_the_repository_and_not_by_the_log() {
    let bed = Bed::new().await;
    let file = bed.write("at = \"02:30\"\npromise = \"26h\"");
    let (state, stop) = (bed.state(), Stop::default());
    let runner = Runner { app: &bed.app, state: &state, clock: &bed.clock, stop: &stop };
    let none = promise::measure(&runner, &file.jobs["a"]).await.unwrap();
    assert_eq!((none.len(), none[0].kept), (1, Kept::Broken));
    bed.run(&file, &Occasion::default()).await;
    fs::remove_dir_all(bed.path("state/jobs")).unwrap();
    let some = promise::measure(&runner, &file.jobs["a"]).await.unwrap();
    assert!(some[0].kept == Kept::Kept && some[0].slack > 25 * 3600 && some[0].snapshot.is_some(), "{some:?}");
}

/// What a daemon told, and what is done when it tells it.
struct Heeding {
    lines: Mutex<Vec<String>>,
    on_end: Box<dyn Fn(usize) + Send + Sync>,
}

impl Heeding {
    fn of(on_end: impl Fn(usize) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { lines: Mutex::default(), on_end: Box::new(on_end) })
    }

    fn lines(&self, begin: &str) -> Vec<String> {
        self.lines.lock().unwrap().iter().filter(|line| line.starts_with(begin)).cloned().collect()
    }
}

impl Listens for Heeding {
    fn hear(&self, news: News<'_>) {
        if !matches!(news, News::Alive) {
            self.lines.lock().unwrap().push(format!("{news:?}"));
        }
        if let News::Ended(..) = news {
            (self.on_end)(self.lines("Ended").len());
        }
    }
}

fn options(bed: &Bed, stop: &Stop, reload: &Arc<Notify>) -> Options {
    Options {
        path: bed.path("jobs.toml"),
        state: bed.state(),
        clock: Arc::new(bed.clock.clone()),
        stop: stop.clone(),
        reload: Arc::clone(reload),
        pulse: Duration::from_mins(1),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_runs_what_is_due_once_reads_its_file_again_and_ends_in_good_order() {
    let bed = Bed::new().await;
    bed.write("every = \"1h\"");
    let (stop, reload) = (Stop::default(), Arc::new(Notify::new()));
    let (ask, end, path) = (Arc::clone(&reload), stop.clone(), bed.path("jobs.toml"));
    let heeding = Heeding::of(move |ended| match ended {
        2 => {
            fs::write(&path, "version = 1\n[job.a]\nevry = \"1h\"\n").unwrap();
            ask.notify_one();
        }
        4 => end.request(),
        _ => {}
    });
    let daemon = Daemon::start(bed.app.clone(), options(&bed, &stop, &reload), heeding.clone()).unwrap();
    let second = Daemon::start(bed.app.clone(), options(&bed, &stop, &reload), heeding.clone());
    // The file is another one by now, or not: either way there is one daemon.
    assert!(matches!(second, Err(JobsError::Daemon { process: Some(_), .. })));
    daemon.run().await;
    let lines = heeding.lines.lock().unwrap().join("\n");
    assert!(lines.contains("NotReloaded") && lines.contains("evry"), "{lines}");
    assert!(heeding.lines("Ended").iter().all(|line| line.ends_with("Done)")), "{lines}");
    assert_eq!(heeding.lines("Began").len(), heeding.lines("Ended").len(), "{lines}");
    // Each due time is stood for once.
    let past = bed.state().log().past(None, 100).unwrap();
    let dues: Vec<i64> = past.iter().rev().map(|past| past.due.unwrap().seconds).collect();
    assert!(dues.is_sorted_by(|a, b| a < b), "{dues:?}");
    for (pair, later) in dues.windows(2).zip(past.iter().rev().skip(1)) {
        assert_eq!(pair[1] - pair[0], 3600 * i64::from(later.missed + 1), "{past:?}");
    }
    assert!(Daemon::start(bed.app.clone(), options(&bed, &stop, &reload), heeding).is_err(), "the file is broken now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_does_not_begin_where_nobody_can_tell_which_jobs_are_paused() {
    let bed = Bed::new().await;
    bed.write("every = \"1h\"");
    let (stop, reload) = (Stop::default(), Arc::new(Notify::new()));
    let start = || Daemon::start(bed.app.clone(), options(&bed, &stop, &reload), Heeding::of(|_| {}));
    bed.state().paused().pause("a", None).unwrap();
    drop(start().unwrap());
    let folder = fs::read_dir(bed.path("state/jobs")).unwrap().next().unwrap().unwrap().path();
    fs::write(folder.join("paused.json"), "{").unwrap();
    let refused = start().err().map(|error| error.to_string());
    assert!(refused.is_some_and(|error| error.contains("paused.json cannot be read")));
}

/// A clock by which no wait ends: the machine sleeps meanwhile.
struct Asleep(Fast);

impl Clock for Asleep {
    fn now(&self) -> Moment {
        self.0.now()
    }

    fn wait(&self, _time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_woken_after_its_machine_has_slept_makes_up_for_what_was_missed() {
    let bed = Bed::new().await;
    bed.write("every = \"1h\"");
    let (stop, reload) = (Stop::default(), Arc::new(Notify::new()));
    let end = stop.clone();
    let heeding = Heeding::of(move |_| end.request());
    let options = Options { clock: Arc::new(Asleep(bed.clock.clone())), ..options(&bed, &stop, &reload) };
    let daemon = Daemon::start(bed.app.clone(), options, heeding.clone()).unwrap();
    let waker = daemon.waker();
    let sleeps = async {
        while heeding.lines("Looked").is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bed.clock.pass(Duration::from_hours(5));
        waker.notify_one();
    };
    tokio::join!(daemon.run(), sleeps);
    assert_eq!(heeding.lines("Ended"), ["Ended(\"a\", Done)"]);
    assert!(bed.state().log().past(None, 10).unwrap()[0].missed >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_makes_up_for_a_run_that_ended_with_its_process() {
    let bed = Bed::new().await;
    bed.write("every = \"1h\"");
    let (stop, reload) = (Stop::default(), Arc::new(Notify::new()));
    let due = Timestamp { seconds: 1_699_999_200, nanoseconds: 0 };
    let (at, run) = (due, super::log::run_id("a", due));
    let (due, job) = (Some(due), "a".to_owned());
    bed.state()
        .log()
        .add(&super::log::Record::Ended {
            run: "a@0".into(),
            job: job.clone(),
            at,
            due: Some(Timestamp { seconds: 1_699_995_600, nanoseconds: 0 }),
            ending: Ending::Done,
            tries_left: 0,
            reason: None,
        })
        .unwrap();
    bed.state().log().add(&super::log::Record::Began { run, job, at, due, missed: 0, tries: 0 }).unwrap();
    let end = stop.clone();
    let heeding = Heeding::of(move |_| end.request());
    Daemon::start(bed.app.clone(), options(&bed, &stop, &reload), heeding.clone()).unwrap().run().await;
    assert_eq!(heeding.lines("Lost").len(), 1);
    let past = bed.state().log().past(None, 10).unwrap();
    let lost = past.iter().filter(|past| past.ending == Some(Ending::Lost)).count();
    let done: Vec<_> = past.iter().filter(|past| past.ending == Some(Ending::Done)).collect();
    assert_eq!((lost, done.len()), (1, 1), "{past:?}");
    // The lost run and the one that was due since are one.
    assert_eq!((done[0].due.unwrap().seconds, done[0].missed), (1_700_002_800, 1), "{past:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_makes_up_for_what_was_due_while_none_ran_though_the_job_never_has() {
    let bed = Bed::new().await;
    bed.write("every = \"1h\"");
    let (stop, reload) = (Stop::default(), Arc::new(Notify::new()));
    let end = stop.clone();
    let heeding = Heeding::of(move |_| end.request());
    drop(Daemon::start(bed.app.clone(), options(&bed, &stop, &reload), heeding.clone()).unwrap());
    // The machine is off when the first run is due, an hour after the daemon began.
    bed.clock.pass(Duration::from_mins(90));
    Daemon::start(bed.app.clone(), options(&bed, &stop, &reload), heeding).unwrap().run().await;
    let past = bed.state().log().past(None, 10).unwrap();
    let due = Timestamp { seconds: 1_700_006_400, nanoseconds: 0 };
    assert_eq!((past.len(), past[0].due, past[0].ending), (1, Some(due), Some(Ending::Done)), "{past:?}");
}

/// Writes a letter when the daemon is at work, and asks it to end when a run has ended.
struct WritesALetter {
    letter: PathBuf,
    stop: Stop,
}

impl Listens for WritesALetter {
    fn hear(&self, news: News<'_>) {
        match news {
            News::Ready(_) => fs::write(&self.letter, "dear reader").unwrap(),
            News::Unwatched(..) | News::Ended(..) => self.stop.request(),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_when_something_changes_in_its_folder() {
    let bed = Bed::new().await;
    bed.write("every = \"52w\"\non_change = \"1s..10s\"");
    let (stop, reload) = (Stop::default(), Arc::new(Notify::new()));
    let writes = WritesALetter { letter: bed.path("source/letter"), stop: stop.clone() };
    let options = Options { clock: Arc::new(credenza_engine::SystemClock), ..options(&bed, &stop, &reload) };
    Daemon::start(bed.app.clone(), options, Arc::new(writes)).unwrap().run().await;
    let past = bed.state().log().past(None, 10).unwrap();
    assert_eq!(past.iter().map(|past| past.ending).collect::<Vec<_>>(), [Some(Ending::Done)], "{past:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_folder_cannot_be_watched_says_so_and_keeps_its_schedule() {
    let bed = Bed::new().await;
    bed.write("every = \"1h\"\non_change = \"1s..10s\"");
    fs::rename(bed.path("source"), bed.path("away")).unwrap();
    let (stop, reload) = (Stop::default(), Arc::new(Notify::new()));
    let end = stop.clone();
    let heeding = Heeding::of(move |_| end.request());
    let daemon = Daemon::start(bed.app.clone(), options(&bed, &stop, &reload), heeding.clone()).unwrap();
    bed.clock.pass(Duration::from_mins(70));
    daemon.run().await;
    assert_eq!((heeding.lines("Unwatched").len(), heeding.lines("Ended").len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_runs_verifications_when_they_are_due_beside_its_jobs() {
    let bed = Bed::new().await;
    let path = bed.path("repository").display().to_string();
    bed.write(&format!("every = \"1h\"\n[verify.v]\nrepository = \"{path}\"\nevery = \"2h\""));
    let (stop, reload) = (Stop::default(), Arc::new(Notify::new()));
    let end = stop.clone();
    let heeding = Heeding::of(move |ends| {
        if ends >= 6 {
            end.request();
        }
    });
    Daemon::start(bed.app.clone(), options(&bed, &stop, &reload), heeding.clone()).unwrap().run().await;
    assert!(heeding.lines("Fault").is_empty(), "{:?}", heeding.lines("Fault"));
    let log = bed.state().log();
    for name in ["a", "verify.v"] {
        let past = log.past(Some(name), 10).unwrap();
        // What was begun when the daemon was asked to end is interrupted.
        let is_well = |past: &&Past| past.ending == Some(Ending::Done);
        assert!(past.iter().filter(is_well).count() >= past.len().saturating_sub(1).max(1), "{name}: {past:?}");
    }
}

#[tokio::test]
async fn figures_are_written_at_each_end_whatever_it_is() {
    let bed = Bed::new().await;
    let mut file = bed.write("at = \"02:30\"\nlimits = [ { at = \"00-24\", up = \"100MB/s\" } ]");
    file.textfile = Some(bed.path("credenza.prom"));
    assert_eq!(bed.run(&file, &Occasion::default()).await.0, Ending::Done);
    super::metrics::publish(&file, &bed.state(), bed.clock.now().wall).unwrap();
    let figure = |name: &str| {
        let text = fs::read_to_string(bed.path("credenza.prom")).unwrap();
        let begin = format!("{name}{{job=\"a\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&begin)?.parse::<u64>().ok()).unwrap()
    };
    let success = figure("credenza_job_last_success_timestamp_seconds");
    assert!(success >= 1_700_002_800 && figure("credenza_job_last_ok") == 1);
    assert!(figure("credenza_job_last_added_bytes") > 0);
    let text = fs::read_to_string(bed.path("credenza.prom")).unwrap();
    assert!(
        text.contains("credenza_job_last_requests{job=\"a\",verb=\"put\"} 0"),
        "a folder takes no requests: {text}"
    );
    assert!(!text.contains("credenza_job_last_transferred_bytes{job=\"a\",direction=\"up\"} 0"), "{text}");
    fs::rename(bed.path("repository"), bed.path("aside")).unwrap();
    bed.clock.pass(Duration::from_mins(60));
    assert_eq!(bed.run(&file, &Occasion::default()).await.0, Ending::Unreachable);
    super::metrics::publish(&file, &bed.state(), bed.clock.now().wall).unwrap();
    assert_eq!((figure("credenza_job_last_success_timestamp_seconds"), figure("credenza_job_last_ok")), (success, 0));
    assert!(figure("credenza_job_last_attempt_timestamp_seconds") > success);
}
