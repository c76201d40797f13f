//! Looks over real repositories and a service on this machine, with a clock that the test moves.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use credenza_engine::{Clock, Stop};
use credenza_sandbox::{SecretText, message_proof};

use super::super::error::JobsError;
use super::super::file::JobsFile;
use super::super::outcome::{Ending, Step};
use super::super::run::Occasion;
use super::super::runner::Runner;
use super::super::schedule::timestamp;
use super::super::tests::Bed;
use super::book::Book;
use super::ear::{Ear, Mood};
use super::found::is_suspect_alone;
use super::{Hears, Look, Looked, Told};
use crate::trouble::Trouble;

/// What looks told.
#[derive(Default)]
pub(super) struct Lines(pub(super) Mutex<Vec<String>>);

impl Hears for Lines {
    fn told(&self, told: Told<'_>) {
        self.0.lock().unwrap().push(format!("{told:?}"));
    }
}

impl Bed {
    /// Looks once, and gives what that told.
    async fn look(&self, file: &JobsFile, unwritten: Option<Looked>) -> (Looked, Vec<String>) {
        let (state, stop, hears) = (self.state(), Stop::default(), Arc::new(Lines::default()));
        let runner = Runner { app: &self.app, state: &state, clock: &self.clock, stop: &stop };
        let look = Look { runner, jobs: file, hears: Arc::clone(&hears) as Arc<dyn Hears> };
        let looked = look.at_all(unwritten.and_then(|looked| looked.unwritten)).await.unwrap();
        (looked, hears.0.lock().unwrap().clone())
    }

    fn hide(&self) {
        fs::rename(self.path("repository"), self.path("aside")).unwrap();
    }

    fn bring_back(&self) {
        fs::rename(self.path("aside"), self.path("repository")).unwrap();
    }
}

fn told_to(ear: &Ear, more: &str) -> String {
    format!("at = \"02:30\"\n[notify.ops]\nto = [\"webhook:{}/hook\"]\n{more}", ear.address)
}

#[tokio::test]
async fn a_state_is_told_once_also_over_a_restart_and_again_where_what_is_known_is_gone() {
    let (bed, ear) = (Bed::new().await, Ear::open().await);
    let file = bed.write(&told_to(&ear, ""));
    assert_eq!(bed.run(&file, &Occasion::default()).await.0, Ending::Done);
    bed.look(&file, None).await;
    assert!(ear.heard().is_empty(), "what is well is not told");
    bed.hide();
    for _ in 0..2 {
        assert_eq!(bed.run(&file, &Occasion::default()).await.0, Ending::Unreachable);
        bed.look(&file, None).await;
        bed.look(&file, None).await;
    }
    assert_eq!(ear.words(), ["failed"]);
    fs::remove_file(bed.state().notices()).unwrap();
    bed.look(&file, None).await;
    assert_eq!(ear.words(), ["failed", "failed"], "who has forgotten what is known tells it again");
    bed.bring_back();
    assert_eq!(bed.run(&file, &Occasion::default()).await.0, Ending::Done);
    bed.look(&file, None).await;
    bed.look(&file, None).await;
    assert_eq!(ear.words(), ["failed", "failed", "recovered"]);
    let first = ear.heard()[0].json();
    assert_eq!((first["subject"]["of"].as_str(), first["subject"]["job"].as_str()), (Some("job"), Some("a")));
    assert!(first["text"].as_str().unwrap().contains("credenza jobs history a"), "{first}");
}

#[tokio::test]
async fn runs_between_two_looks_are_told_in_their_order() {
    let (bed, ear) = (Bed::new().await, Ear::open().await);
    let file = bed.write(&told_to(&ear, ""));
    bed.run(&file, &Occasion::default()).await;
    bed.look(&file, None).await;
    for _ in 0..2 {
        bed.hide();
        bed.run(&file, &Occasion::default()).await;
        bed.bring_back();
        bed.run(&file, &Occasion::default()).await;
    }
    bed.look(&file, None).await;
    assert_eq!(ear.words(), ["failed", "recovered", "failed", "recovered"]);
}

#[tokio::test]
async fn a_run_that_is_tried_again_is_told_when_no_try_is_left() {
    let (bed, ear) = (Bed::new().await, Ear::open().await);
    let file = bed.write(&told_to(&ear, ""));
    bed.hide();
    let due = Some(bed.clock.now().wall);
    for tries in 0..3 {
        bed.look(&file, None).await;
        assert!(ear.heard().is_empty(), "after {tries} tries");
        bed.run(&file, &Occasion { due, missed: 0, tries }).await;
    }
    bed.look(&file, None).await;
    assert_eq!(ear.words(), ["failed"]);
}

#[tokio::test]
async fn what_is_not_taken_waits_in_its_order_and_is_given_up_after_days() {
    let (bed, ear) = (Bed::new().await, Ear::open().await);
    let file = bed.write(&told_to(&ear, ""));
    bed.hide();
    bed.run(&file, &Occasion::default()).await;
    ear.is_to(&[Mood::Status(500), Mood::Reset, Mood::Redirect, Mood::Half]);
    let (looked, lines) = bed.look(&file, None).await;
    assert!(lines.iter().any(|line| line.starts_with("NotTaken") && line.contains("500")), "{lines:?}");
    bed.bring_back();
    bed.run(&file, &Occasion::default()).await;
    assert!(looked.again_at.unwrap() > bed.clock.now().wall);
    bed.look(&file, None).await;
    assert_eq!(ear.words(), ["failed"], "it is not time yet, and what comes after waits with it");
    for wait in [30, 60, 120, 240] {
        bed.clock.pass(Duration::from_secs(wait));
        bed.look(&file, None).await;
    }
    assert_eq!(ear.words(), ["failed", "failed", "failed", "failed", "failed", "recovered"]);
    assert!(!ear.heard().iter().any(|message| message.path().contains("elsewhere")), "redirects are not followed");
    let ids: Vec<String> = ear.heard().iter().take(5).map(|message| message.json()["id"].to_string()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
    bed.hide();
    bed.run(&file, &Occasion::default()).await;
    ear.is_to(&[Mood::Status(500); 200]);
    for _ in 0..100 {
        bed.clock.pass(Duration::from_hours(1));
        bed.look(&file, None).await;
    }
    let log = fs::read_dir(bed.path("state/jobs")).unwrap().next().unwrap().unwrap().path().join("log.jsonl");
    let log = fs::read_to_string(log).unwrap();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("\"event\":\"told\"")).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[2].contains("answered 500") && !log.contains("/hook"), "{told:?}");
    let tries = ear.heard().len() - 6;
    assert!((72..85).contains(&tries), "{tries} tries in three days");
}

#[tokio::test]
async fn a_repository_that_cannot_be_asked_is_an_alarm_when_the_promise_would_be_broken() {
    let (bed, ear) = (Bed::new().await, Ear::open().await);
    let file = bed.write(&format!(
        "promise = \"10h\"\n{}",
        told_to(&ear, "when = [\"promise-at-risk\", \"promise-broken\", \"recovered\"]")
    ));
    bed.run(&file, &Occasion::default()).await;
    let (looked, _) = bed.look(&file, None).await;
    assert!(ear.heard().is_empty());
    let at_risk = looked.again_at.unwrap().seconds - bed.clock.now().wall.seconds;
    assert!((8 * 3600 - 60..=8 * 3600).contains(&at_risk), "nothing is opened before it may have changed: {at_risk} s");
    bed.hide();
    for (hours, words) in [(7, &[][..]), (2, &["promise-at-risk"]), (2, &["promise-at-risk", "promise-broken"])] {
        bed.clock.pass(Duration::from_hours(hours));
        bed.look(&file, None).await;
        bed.look(&file, None).await;
        assert_eq!(ear.words(), words);
    }
    let text = ear.heard()[1].json()["text"].as_str().unwrap().to_owned();
    assert!(text.contains("cannot be asked") && text.contains("10h are promised"), "{text}");
    bed.bring_back();
    bed.run(&file, &Occasion::default()).await;
    bed.look(&file, None).await;
    assert_eq!(ear.words().last().unwrap(), "recovered");
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_says_nothing_keeps_no_look_waiting_and_its_promise_is_an_alarm_when_it_would_be_broken() {
    let bed = Bed::new().await;
    let file = bed.write("at = \"02:30\"\npromise = \"10h\"");
    bed.run(&file, &Occasion::default()).await;
    bed.look(&file, None).await;
    bed.app.troubles().begin(bed.path("repository"), Trouble::Silent);
    bed.clock.pass(Duration::from_hours(9));
    let began = tokio::time::Instant::now();
    let (_, told) = bed.look(&file, None).await;
    assert!(began.elapsed() < Duration::from_mins(10), "{:?}", began.elapsed());
    let told = told.join("\n");
    assert!(told.contains("PromiseAtRisk"), "{told}");
    let known = Book::read(&bed.state().notices()).known;
    let unknown = known.values().flat_map(BTreeMap::values).filter_map(|known| known.unknown.as_ref());
    let why: Vec<&str> = unknown.map(|(_, why)| why.as_str()).collect();
    assert!(why.len() == 1 && why[0].contains("did not answer within 120 s"), "{why:?}");
}

#[tokio::test]
async fn a_full_disk_under_what_is_known_has_nothing_told_twice() {
    let (bed, ear) = (Bed::new().await, Ear::open().await);
    let file = bed.write(&told_to(&ear, ""));
    bed.hide();
    bed.run(&file, &Occasion::default()).await;
    // A file cannot take the place of a folder.
    fs::create_dir(bed.state().notices()).unwrap();
    let (looked, lines) = bed.look(&file, None).await;
    assert!(lines.iter().any(|line| line.starts_with("Fault")) && looked.unwritten.is_some(), "{lines:?}");
    let (looked, _) = bed.look(&file, Some(looked)).await;
    assert_eq!(ear.words(), ["failed"]);
    fs::remove_dir(bed.state().notices()).unwrap();
    let (looked, _) = bed.look(&file, Some(looked)).await;
    assert!(looked.unwritten.is_none() && bed.state().notices().is_file());
    assert_eq!(ear.words(), ["failed"]);
}

#[tokio::test]
async fn a_webhook_is_signed_and_a_topic_of_ntfy_gets_its_token_and_neither_is_shown() {
    let (bed, ear) = (Bed::new().await, Ear::open().await);
    fs::write(bed.path("key"), "hunter2\n").unwrap();
    let file = bed.write(&format!(
        "at = \"02:30\"\n[notify.ops]\nto = [\"webhook:{0}/hook\", \"ntfy:{0}/topic\"]\nkey_file = \"{1}\"\ntoken_cmd = \"echo hunter3\"\n",
        ear.address,
        bed.path("key").display()
    ));
    bed.hide();
    bed.run(&file, &Occasion::default()).await;
    let (_, lines) = bed.look(&file, None).await;
    assert_eq!(lines.iter().filter(|line| line.starts_with("Taken")).count(), 2, "{lines:?}");
    let [hook, topic] = &ear.heard()[..] else { panic!("{:?}", ear.heard()) };
    let time = hook.header("credenza-timestamp").unwrap().parse().unwrap();
    let proof = format!("v1={}", message_proof(&SecretText::new("hunter2"), time, &hook.body));
    assert_eq!((hook.header("credenza-signature"), time), (Some(&*proof), bed.clock.now().wall.seconds));
    assert_eq!((topic.path(), topic.header("authorization")), ("/topic", Some("bearer hunter3")));
    assert!(topic.header("priority").is_some() && String::from_utf8_lossy(&topic.body).contains("made no backup"));
    assert!(!lines.iter().any(|line| line.contains("hunter") || line.contains("/topic")), "{lines:?}");
}

#[tokio::test]
async fn a_run_gives_a_sign_of_life_at_its_begin_and_its_end_and_a_silent_service_changes_nothing() {
    let (bed, ear) = (Bed::new().await, Ear::open().await);
    let file = bed.write(&format!("at = \"02:30\"\n[ping.a]\nhealthchecks = \"{}/check\"", ear.address));
    let paths = || ear.heard().iter().map(|message| message.path().to_owned()).collect::<Vec<_>>();
    assert_eq!(bed.run(&file, &Occasion::default()).await.0, Ending::Done);
    assert_eq!(paths(), ["/check/start", "/check/0"]);
    bed.hide();
    bed.run(&file, &Occasion::default()).await;
    assert_eq!(paths()[2..], ["/check/start", "/check/1"]);
    assert!(String::from_utf8_lossy(&ear.heard()[3].body).contains("no repository"));
    bed.bring_back();
    ear.is_to(&[Mood::Status(500); 6]);
    let (ending, steps) = bed.run(&file, &Occasion::default()).await;
    let is_said = |step: &&Step| matches!(step, Step::Failed { doing, reason } if doing.contains("sign of life") && !reason.contains("check"));
    assert_eq!((ending, steps.iter().filter(is_said).count(), paths().len()), (Ending::Done, 2, 10), "{steps:?}");
    assert!(matches!(bed.state().log().past(None, 1).unwrap()[0].ending, Some(Ending::Done)));
}

#[tokio::test]
async fn a_summary_comes_once_at_its_time_and_says_what_ran() {
    let (bed, ear) = (Bed::new().await, Ear::open().await);
    let file = bed.write(&told_to(&ear, "digest = \"mon 08:00\"\nwhen = []"));
    bed.look(&file, None).await;
    bed.run(&file, &Occasion::default()).await;
    let next = file.notify.sections[0].digest.as_ref().unwrap();
    let next = timestamp(next.next_after(super::instant(bed.clock.now().wall)).unwrap());
    let (looked, _) = bed.look(&file, None).await;
    assert_eq!(looked.again_at, Some(next));
    bed.clock.pass(Duration::from_secs(u64::try_from(next.seconds - bed.clock.now().wall.seconds).unwrap() + 1));
    // What ends behind the due time is in the next one.
    bed.run(&file, &Occasion::default()).await;
    bed.look(&file, None).await;
    bed.look(&file, None).await;
    assert_eq!(ear.words(), ["digest"]);
    let text = ear.heard()[0].json()["text"].as_str().unwrap().to_owned();
    assert!(
        text.contains("- a: 1 runs did all that they should, 0 did not") && text.contains("Nothing is known"),
        "{text}"
    );
}

#[tokio::test]
async fn one_process_looks_at_a_time() {
    let bed = Bed::new().await;
    let file = bed.write("at = \"02:30\"");
    let held = bed.state().be_looking().unwrap();
    assert!(matches!(bed.state().be_looking(), Err(JobsError::Busy { .. })));
    let (looked, lines) = bed.look(&file, None).await;
    assert!(looked.again_at.unwrap() > bed.clock.now().wall && lines.is_empty());
    drop(held);
    assert_eq!(bed.look(&file, None).await.0.again_at, None, "with nothing to wait for, nothing is waited for");
}

#[tokio::test]
async fn a_promise_in_numbers_counts_copies_over_all_repositories() {
    let (bed, ear) = (Bed::new().await, Ear::open().await);
    bed.create("second").await;
    let path = bed.path("").display().to_string();
    fs::create_dir_all(bed.path("configuration")).unwrap();
    let text = format!(
        "[repository.first]\nlocation = \"{path}repository\"\nprovider = \"here\"\n[repository.second]\nlocation = \"{path}second\"\nprovider = \"elsewhere\"\nsite = \"paris\"\n"
    );
    fs::write(bed.path("configuration/config.toml"), text).unwrap();
    let backing_up_to = |repository: &str| {
        let text = format!(
            "version = 1\n[job.a]\nbackup = \"{path}source\"\nto = \"{repository}\"\nat = \"02:30\"\n[promise.two]\nsources = [\"{path}sou*\"]\nneeds = {{ fresh = \"10d\", copies = 2, providers = 2, regions = 2 }}\n[notify.ops]\nto = \"webhook:{}/\"\n",
            ear.address
        );
        fs::write(bed.path("jobs.toml"), text).unwrap();
        JobsFile::read(&bed.path("jobs.toml"), super::instant(bed.clock.now().wall)).unwrap()
    };
    let file = backing_up_to("@first");
    assert_eq!(bed.run(&file, &Occasion::default()).await.0, Ending::Done);
    bed.look(&file, None).await;
    bed.look(&file, None).await;
    assert_eq!(ear.words(), ["promise-broken"]);
    let text = ear.heard()[0].json()["text"].as_str().unwrap().to_owned();
    assert!(text.contains("1 of 2 copies; 1 of 2 providers; 1 of 2 regions"), "{text}");
    let file = backing_up_to("@second");
    assert_eq!(bed.run(&file, &Occasion::default()).await.0, Ending::Done);
    bed.look(&file, None).await;
    assert_eq!(ear.words(), ["promise-broken", "recovered"]);
    fs::rename(bed.path("second"), bed.path("aside")).unwrap();
    bed.clock.pass(Duration::from_hours(47));
    bed.look(&file, None).await;
    assert_eq!(ear.words().len(), 2, "it is asked once a day, and what it held is held for another");
    bed.clock.pass(Duration::from_hours(2));
    bed.look(&file, None).await;
    assert_eq!(ear.words()[2..], ["promise-broken"]);
    assert!(ear.heard()[2].json()["text"].as_str().unwrap().contains("@second cannot be asked"));
}

#[test]
fn a_run_with_a_suspect_snapshot_is_incomplete_by_itself_where_more_was_amiss() {
    let snapshot = "00112233445566778899aabbccddeeff".parse().unwrap();
    let suspect = Step::Suspect { source: "/s".to_owned(), snapshot, reason: "all is gone".to_owned() };
    let found = |errors| Step::Found { source: "/s".to_owned(), snapshot, errors };
    assert!(is_suspect_alone(&[found(0), suspect.clone()]));
    assert!(!is_suspect_alone(&[found(2), suspect.clone()]));
    assert!(!is_suspect_alone(&[suspect, Step::Held { removals: 5, delete_max: 3 }]));
    assert!(!is_suspect_alone(&[found(0)]));
}
