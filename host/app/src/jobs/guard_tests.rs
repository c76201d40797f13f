//! The guard of a job over real folders: attacks, and ordinary work on real sources of crates.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use credenza_connect::random;
use credenza_engine::{Clock, SystemClock};
use credenza_model::{SnapshotId, Timestamp};

use super::file::JobsFile;
use super::guard::{self, AcknowledgeError, Looked};
use super::outcome::{Ending, Step};
use super::run::Occasion;
use super::tests::Bed;
use crate::error::Error;
use crate::open::StoreUse;
use crate::prune;
use crate::repository::OpenRepository;

const FILES: usize = 120;

/// Bytes that do not shrink, others for each number.
fn noise(number: usize, length: usize) -> Vec<u8> {
    random::noise(number as u64, length)
}

fn letter(number: usize, version: usize) -> String {
    (0..60 + number).map(|line| format!("line {line} of letter {number}, version {version}, dear reader\n")).collect()
}

fn path(bed: &Bed, number: usize) -> PathBuf {
    bed.path("source").join(format!("{:02}", number / 20)).join(format!("{number:03}.txt"))
}

/// A folder of letters and pictures.
fn fill(bed: &Bed) {
    for number in 0..FILES {
        let path = path(bed, number);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, letter(number, 0)).unwrap();
    }
    for number in 0..10 {
        fs::write(bed.path("source").join(format!("{number}.jpg")), noise(number, 20_000)).unwrap();
    }
}

/// A day of work: some letters are written again, one is new, a picture comes.
fn work(bed: &Bed, day: usize) {
    for number in (0..FILES).filter(|number| number % 17 == day % 17) {
        fs::write(path(bed, number), letter(number, day)).unwrap();
    }
    fs::write(bed.path("source").join(format!("new-{day}.txt")), letter(day, day)).unwrap();
    fs::write(bed.path("source").join(format!("new-{day}.jpg")), noise(1000 + day, 30_000)).unwrap();
}

fn encrypted(file: &Path, seed: usize) -> Vec<u8> {
    let length = fs::metadata(file).unwrap().len();
    noise(5000 + seed, usize::try_from(length).unwrap() + 256)
}

fn in_place(bed: &Bed, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let path = path(bed, number);
        fs::write(&path, encrypted(&path, number)).unwrap();
    }
}

fn with_an_ending(bed: &Bed) {
    for number in 0..FILES {
        let path = path(bed, number);
        fs::write(path.with_extension("txt.locked"), encrypted(&path, number)).unwrap();
        fs::remove_file(path).unwrap();
    }
}

fn deleted_with_a_note(bed: &Bed) {
    (0..FILES).for_each(|number| fs::remove_file(path(bed, number)).unwrap());
    fs::write(bed.path("source/HOW-TO-PAY.txt"), "pay").unwrap();
}

fn suspects(steps: &[Step]) -> Vec<(SnapshotId, String)> {
    let suspect = |step: &Step| match step {
        Step::Suspect { snapshot, reason, .. } => Some((*snapshot, reason.clone())),
        _ => None,
    };
    steps.iter().filter_map(suspect).collect()
}

async fn open(bed: &Bed, file: &JobsFile) -> OpenRepository {
    let (state, stop) = (bed.state(), credenza_engine::Stop::default());
    let runner = super::runner::Runner { app: &bed.app, state: &state, clock: &bed.clock, stop: &stop };
    runner.open(&file.jobs["a"], StoreUse::Write).await.unwrap()
}

/// After two quiet days the attack is suspect at once, nothing is removed, and work goes on when somebody has looked.
async fn is_found_at_once(name: &str, attack: fn(&Bed), said: &str) {
    let bed = Bed::new().await;
    let file = bed.write("at = \"02:30\"\nguard = {}\nkeep = { last = 1 }");
    fill(&bed);
    for day in 1..3 {
        let (ending, steps) = bed.run(&file, &Occasion::default()).await;
        assert!(ending == Ending::Done && suspects(&steps).is_empty(), "{name}, day {day}: {steps:?}");
        work(&bed, day);
    }
    attack(&bed);
    let (ending, steps) = bed.run(&file, &Occasion::default()).await;
    let found = suspects(&steps);
    assert!(ending == Ending::Incomplete && found.len() == 1 && found[0].1.contains(said), "{name}: {steps:?}");
    assert!(steps.contains(&Step::Pruned { kept: 2, removed: 0 }), "{name}: {steps:?}");
    // What came before the attack stays, however long nobody looks.
    for _ in 0..3 {
        let (ending, _) = bed.run(&file, &Occasion::default()).await;
        assert_eq!(ending, Ending::Done, "{name}: it is said once");
    }
    assert_eq!(bed.snapshots(&file).await.len(), 5);
    let open = open(&bed, &file).await;
    let by_hand = prune::plan(
        &open.repository,
        Some(prune::Policy { last: 1, ..prune::Policy::default() }),
        &credenza_engine::SnapshotFilter::default(),
        false,
    )
    .await
    .unwrap();
    assert!(prune::removed(&by_hand).is_empty(), "{name}: nor by hand");
    let listed = guard::suspects(&open.repository).await.unwrap();
    assert_eq!(listed.iter().map(|suspect| suspect.snapshot).collect::<Vec<_>>(), [found[0].0]);
    let looked = Looked::At(found[0].0.to_string()[..8].to_owned());
    assert_eq!(guard::acknowledge(&open.repository, &looked, "me").await.unwrap().len(), 1);
    bed.run(&file, &Occasion::default()).await;
    assert_eq!(bed.snapshots(&file).await.len(), 1, "{name}: retention goes on");
}

#[tokio::test]
async fn a_source_that_is_encrypted_in_place_is_suspect_at_the_first_snapshot() {
    is_found_at_once("in place", |bed| in_place(bed, 0..FILES), "no longer compress").await;
}

#[tokio::test]
async fn a_source_that_is_encrypted_and_renamed_is_suspect_at_the_first_snapshot() {
    is_found_at_once("renamed", with_an_ending, "no longer compress").await;
}

#[tokio::test]
async fn a_source_that_is_deleted_with_a_note_is_suspect_at_the_first_snapshot() {
    is_found_at_once("deleted", deleted_with_a_note, "files are gone").await;
}

#[tokio::test]
async fn a_source_that_is_encrypted_a_tenth_a_run_is_suspect_at_the_first_snapshot() {
    let slowly = |bed: &Bed| in_place(bed, 0..FILES / 10);
    is_found_at_once("slowly", slowly, "changed files no longer compress").await;
}

/// Sources of crates, in the order of their names, of ten to thirty files.
fn crates() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"), PathBuf::from);
    let registries = fs::read_dir(home.join("registry/src")).unwrap();
    let mut crates: Vec<PathBuf> = registries
        .flat_map(|registry| fs::read_dir(registry.unwrap().path()).unwrap())
        .map(|found| found.unwrap().path())
        .filter(|found| (10..30).contains(&files(found).len()))
        .collect();
    crates.sort();
    crates
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, fs::read(file).unwrap()).unwrap();
    }
}

/// Work on vendored sources: crates come, go and are updated, files are edited, folders move, logs are packed.
fn generation(source: &Path, crates: &[PathBuf], number: usize) {
    let name = |index: usize| source.join(crates[index].file_name().unwrap());
    copy(&crates[10 + number], &name(10 + number));
    if number.is_multiple_of(3) {
        fs::remove_dir_all(name(9 + number)).unwrap();
    }
    for (index, file) in files(source).into_iter().enumerate() {
        if index % 23 == number % 23 {
            let text = fs::read(&file).unwrap();
            fs::write(file, [&text[..], format!("\n// edited in {number}\n").as_bytes()].concat()).unwrap();
        }
    }
    if number % 7 == 5 {
        fs::rename(name(1), source.join(format!("moved-{number}"))).unwrap();
        fs::rename(source.join(format!("moved-{number}")), source.join(format!("again-{number}"))).unwrap();
        copy(&crates[1], &name(1));
    }
    // A log that was written, and packed some days later.
    fs::write(source.join(format!("day-{number}.log")), letter(100, number)).unwrap();
    if let Some(old) = number.checked_sub(5) {
        let log = source.join(format!("day-{old}.log"));
        fs::write(log.with_extension("log.gz"), noise(number, 900)).unwrap();
        fs::remove_file(log).unwrap();
    }
}

#[tokio::test]
async fn thirty_generations_of_real_sources_raise_no_false_alarm() {
    let bed = Bed::new().await;
    let file = bed.write("at = \"02:30\"\nguard = {}");
    let (crates, source) = (crates(), bed.path("source"));
    crates[..10].iter().for_each(|one| copy(one, &source.join(one.file_name().unwrap())));
    assert_eq!(bed.run(&file, &Occasion::default()).await.0, Ending::Done);
    for number in 0..30 {
        generation(&source, &crates, number);
        let (ending, steps) = bed.run(&file, &Occasion::default()).await;
        assert!(ending == Ending::Done && suspects(&steps).is_empty(), "generation {number}: {steps:?}");
    }
    // The same tree is not blind.
    for (seed, file) in files(&source).into_iter().enumerate().filter(|(index, _)| index % 10 == 0) {
        fs::write(&file, encrypted(&file, seed)).unwrap();
    }
    let (_, steps) = bed.run(&file, &Occasion::default()).await;
    assert_eq!(suspects(&steps).len(), 1, "{steps:?}");
}

#[tokio::test]
async fn more_removals_than_a_run_may_make_are_held() {
    let bed = Bed::new().await;
    let file = bed.write("at = \"02:30\"");
    for _ in 0..4 {
        bed.run(&file, &Occasion::default()).await;
    }
    let file = bed.write("at = \"02:30\"\nguard = { delete_max = 3 }\nkeep = { last = 1 }");
    let (ending, steps) = bed.run(&file, &Occasion::default()).await;
    assert!(ending == Ending::Incomplete && steps.contains(&Step::Held { removals: 4, delete_max: 3 }), "{steps:?}");
    assert_eq!(bed.snapshots(&file).await.len(), 5);
    let file = bed.write("at = \"02:30\"\nguard = { delete_max = 5 }\nkeep = { last = 1 }");
    let (ending, steps) = bed.run(&file, &Occasion::default()).await;
    assert!(ending == Ending::Done && steps.contains(&Step::Pruned { kept: 1, removed: 5 }), "{steps:?}");
}

#[tokio::test]
async fn what_a_run_that_was_killed_has_left_is_looked_at_too() {
    let bed = Bed::new().await;
    let file = bed.write("at = \"02:30\"\nguard = {}");
    fill(&bed);
    bed.run(&file, &Occasion::default()).await;
    in_place(&bed, 0..FILES);
    // Snapshots have the time of this machine: from here on the job has it too.
    let now = Clock::now(&SystemClock).wall;
    let now = Duration::new(u64::try_from(now.seconds).unwrap(), now.nanoseconds);
    bed.clock.pass(now - Clock::now(&bed.clock).monotonic);
    // The process ends between the snapshot and the look at it: without a guard there is none.
    let unguarded = bed.write("at = \"02:30\"");
    let occasion = Occasion { due: Some(Timestamp { seconds: 1_700_001_800, nanoseconds: 0 }), ..Occasion::default() };
    assert_eq!(bed.run(&unguarded, &occasion).await.0, Ending::Done);
    let folder = fs::read_dir(bed.path("state/jobs")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(folder.join("log.jsonl")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.iter().rposition(|line| line.contains("\"due\"") && !line.contains("\"ending\"")).unwrap();
    fs::write(folder.join("log.jsonl"), lines[..=last].join("\n")).unwrap();
    let state = bed.state();
    assert_eq!(state.log().close_lost(|job| state.runs(job), Clock::now(&bed.clock).wall).unwrap().len(), 1);
    let (ending, steps) = bed.run(&file, &occasion).await;
    assert!(matches!(&steps[..], [Step::Found { .. }, Step::Suspect { .. }, ..]), "{steps:?}");
    assert_eq!(ending, Ending::Incomplete);
}

#[tokio::test]
async fn a_snapshot_that_nobody_has_looked_at_does_not_hide_the_attack_from_the_next_run() {
    let bed = Bed::new().await;
    let file = bed.write("at = \"02:30\"\nguard = {}");
    fill(&bed);
    bed.run(&file, &Occasion::default()).await;
    let log = fs::read_dir(bed.path("state/jobs")).unwrap().next().unwrap().unwrap().path().join("log.jsonl");
    let before = fs::read(&log).unwrap();
    in_place(&bed, 0..FILES);
    // As by hand: the log of the job knows nothing of it.
    bed.run(&bed.write("at = \"02:30\""), &Occasion::default()).await;
    fs::write(&log, before).unwrap();
    let hidden = bed.snapshots(&file).await[0].steps[0].clone();
    let Step::BackedUp { snapshot: Some(hidden), .. } = hidden else { panic!("{hidden:?}") };
    let file = bed.write("at = \"02:30\"\nguard = {}");
    let (ending, steps) = bed.run(&file, &Occasion::default()).await;
    let found: Vec<SnapshotId> = suspects(&steps).into_iter().map(|(snapshot, _)| snapshot).collect();
    assert_eq!((ending, found), (Ending::Incomplete, vec![hidden]), "{steps:?}");
    let (ending, steps) = bed.run(&file, &Occasion::default()).await;
    assert!(ending == Ending::Done && suspects(&steps).is_empty(), "it is said once: {steps:?}");
}

#[tokio::test]
async fn a_run_that_failed_at_one_source_has_the_other_looked_at() {
    let bed = Bed::new().await;
    bed.write("at = \"02:30\"\nguard = {}");
    let text = fs::read_to_string(bed.path("jobs.toml")).unwrap();
    let (source, gone) = (bed.path("source").display().to_string(), bed.path("gone").display().to_string());
    let both = text.replace(&format!("backup = \"{source}\""), &format!("backup = [\"{source}\", \"{gone}\"]"));
    assert_ne!(both, text);
    let file = JobsFile::parse(&bed.path("jobs.toml"), &both, "2027-01-01T00:00:00Z".parse().unwrap()).unwrap();
    fill(&bed);
    assert_eq!(bed.run(&file, &Occasion::default()).await.0, Ending::Failed);
    in_place(&bed, 0..FILES);
    let (ending, steps) = bed.run(&file, &Occasion::default()).await;
    assert!(ending == Ending::Failed && suspects(&steps).len() == 1, "{steps:?}");
}

#[tokio::test]
async fn what_cannot_be_acknowledged_says_why() {
    let bed = Bed::new().await;
    let file = bed.write("at = \"02:30\"\nguard = {}");
    fill(&bed);
    bed.run(&file, &Occasion::default()).await;
    let open = open(&bed, &file).await;
    let good = open.repository.snapshots().await.unwrap().whole.pop().unwrap().snapshot.id.to_string();
    let refused = async |looked| match guard::acknowledge(&open.repository, &looked, "me").await {
        Err(Error::Acknowledge(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(refused(Looked::At(good)).await, AcknowledgeError::NotSuspect { .. }));
    let none = if open.repository.snapshots().await.unwrap().whole[0].snapshot.id.to_string().starts_with("0000") {
        "ffff"
    } else {
        "0000"
    };
    assert!(matches!(refused(Looked::At(none.to_owned())).await, AcknowledgeError::NoSnapshot { .. }));
    let until = Timestamp { seconds: 4_000_000_000, nanoseconds: 0 };
    assert!(matches!(refused(Looked::Until(until)).await, AcknowledgeError::NoneUntil { .. }));
    deleted_with_a_note(&bed);
    bed.run(&file, &Occasion::default()).await;
    let early = Timestamp { seconds: 1, nanoseconds: 0 };
    assert!(matches!(refused(Looked::Until(early)).await, AcknowledgeError::NoneUntil { .. }));
    assert_eq!(guard::acknowledge(&open.repository, &Looked::Until(until), "me").await.unwrap().len(), 1);
    assert!(guard::suspects(&open.repository).await.unwrap().is_empty());
}
