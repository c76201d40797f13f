//! What runs by itself, seen and steered from the page.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use credenza_app::jobs::daemon::{Daemon, Options};
use credenza_app::jobs::log::{Record, run_id};
use credenza_app::jobs::look::{Hears, Look, Told};
use credenza_app::jobs::runner::Runner;
use credenza_app::jobs::state::State;
use credenza_app::jobs::{Ending, Step};
use credenza_app::{Kind, OpenOptions, Settings, StoreUse, environment};
use credenza_engine::{Clock as _, Damage, DamageKind, Secret, SnapshotName, Stop, flags};
use credenza_format::Verdict;
use credenza_model::Timestamp;
use http::StatusCode;
use http::header::LOCATION;
use tokio::sync::Notify;

use super::outside::{behind_proxy, one_each};
use super::{Stand, SteppedClock, patient};
use crate::limits::Limits;
use crate::reach::Reach;
use crate::server::{Options as ServerOptions, Server};
use crate::watch::Watch;

/// A stand with the repository `@main`, the folder `home` as `@home`, and a job `a` with these lines.
pub(super) async fn with_job(lines: &str) -> Stand {
    with_job_within(Limits { rows: 3, ..patient() }, lines).await
}

/// The same within other limits.
pub(super) async fn with_job_within(limits: Limits, lines: &str) -> Stand {
    let mut stand = Stand::new(limits);
    stand.enter().await;
    prepare(&stand, lines).await;
    stand
}

async fn prepare(stand: &Stand, lines: &str) {
    stand.repository("main", Secret::None).await;
    let home = stand.folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("letter"), "dear all").unwrap();
    stand.source("home", &home);
    write(stand, &format!("[job.a]\nbackup = \"@home\"\nto = \"@main\"\n{lines}"));
}

pub(super) fn write(stand: &Stand, text: &str) {
    let path = stand.app.configuration_folder().unwrap().join("jobs.toml");
    std::fs::write(path, format!("version = 1\n{text}\n")).unwrap();
}

/// The file, by the name under which its record is.
fn state_path(stand: &Stand) -> PathBuf {
    stand.app.configuration_folder().unwrap().join("jobs.toml").canonicalize().unwrap()
}

/// Where the record of the jobs is.
fn state(stand: &Stand) -> State {
    State::of(&state_path(stand), stand.app.state_folder().map(ToOwned::to_owned)).unwrap()
}

/// Sends a form of the page.
pub(super) async fn send(stand: &Stand, path: &str, fields: &str) -> super::Page {
    let token = stand.token().await;
    stand.post(path, &format!("token={token}{fields}")).await
}

fn before(now: Timestamp, seconds: i64) -> Timestamp {
    Timestamp { seconds: now.seconds - seconds, nanoseconds: 0 }
}

/// Puts a run on record that began some time ago.
pub(super) fn recorded(stand: &Stand, ago: i64, ending: Ending) -> Timestamp {
    let began = before(stand.clock.now().wall, ago);
    let (log, run, job) = (state(stand).log(), run_id("a", began), "a".to_owned());
    let due = Some(began);
    log.add(&Record::Began { run: run.clone(), job: job.clone(), at: began, due, missed: 0, tries: 0 }).unwrap();
    let at = before(began, -5);
    log.add(&Record::Ended { run, job, at, due, ending, tries_left: 0, reason: None }).unwrap();
    began
}

#[tokio::test]
async fn without_a_file_of_jobs_the_page_teaches_the_first() {
    let stand = Stand::entered().await;
    stand.repository("attic", Secret::None).await;
    let page = stand.page("/jobs").await;
    for said in
        ["Nothing runs by itself yet.", "to = \"@attic\"", "jobs.toml", "credenza jobs check", "credenza daemon"]
    {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    for path in ["/jobs/a", "/jobs/a/past/x"] {
        assert_eq!(stand.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for path in ["/promises", "/calendar"] {
        assert_eq!(stand.get(path).await.header(LOCATION.as_str()), "/jobs", "{path}");
    }
    // What the page shows as a sample is a file that can be used.
    let sample = page.text().split("<pre><code>").nth(1).unwrap().split("</code>").next().unwrap();
    let sample = sample.replace("version = 1", "");
    write(&stand, &sample);
    assert!(stand.page("/jobs").await.text().contains(">home</a>"));
}

#[tokio::test]
async fn a_file_with_faults_is_shown_with_line_key_and_remedy() {
    let stand = with_job("evry = \"10s\"\nat = \"25:00\"").await;
    let page = stand.page("/jobs").await;
    for said in
        ["cannot be used", "job.a.evry", ">5<", "Did you mean `every`?", "job.a.at", "there is no such time of day"]
    {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    assert_eq!(stand.get("/jobs/a").await.header(LOCATION.as_str()), "/jobs");
    write(&stand, "[job.a");
    assert!(stand.page("/jobs").await.text().contains("The file is TOML"));
    // The overview goes on without it.
    stand.page("/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_run_from_the_page_and_stands_in_its_history_and_in_its_repository() {
    let stand = with_job("at = \"02:30\"\nzone = \"UTC\"\nkeep = { last = 3, within = \"2d\" }\nhooks = [ { before = \"backup\", run = [\"echo\", \"secret-word\"] } ]").await;
    let job = stand.page("/jobs/a").await;
    for said in [
        "Has not run yet.",
        "At 02:30, UTC",
        "3 newest, all within 2 days of the newest",
        "Before the backup: echo, with 1 argument; ended after 10 minutes",
        "credenza jobs run a",
        "credenza jobs pause a",
    ] {
        assert!(job.text().contains(said), "{said}: {}", job.text());
    }
    assert!(!job.text().contains("secret-word"), "arguments may hold secrets");
    assert_eq!(job.text().matches(" 02:30:00 ").count(), 5, "the next runs: {}", job.text());
    let begun = send(&stand, "/jobs/a/run", "").await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text());
    let ended = stand.ended(begun.header("location")).await;
    for said in [
        "<strong>Done.</strong>",
        "The job did all that it is to do.",
        "Ran the hook echo: ",
        "Backed up ",
        "Pruned: 0 snapshots removed, 1 kept",
    ] {
        assert!(ended.text().contains(said), "{said}: {}", ended.text());
    }
    let job = stand.page("/jobs/a").await;
    assert!(job.text().contains("<strong>Done.</strong>"), "{}", job.text());
    let past = stand.page(&job.link("/jobs/a/past/")).await;
    assert!(past.text().contains("2 entries, 8 B read") && past.text().contains("jobs history a"), "{}", past.text());
    let kept = stand.page(&job.link("from=repository")).await;
    let snapshot = stand.page(&kept.link("/r/main/s/")).await;
    assert!(snapshot.text().contains("letter"), "{}", snapshot.text());
    let list = stand.page("/jobs").await;
    assert!(
        list.text().contains("No daemon runs these jobs")
            && list.text().contains("backs up @home to <a href=\"/r/main\">@main</a>")
    );
    assert!(stand.page("/activity").await.text().contains("Run of the job a"));
    assert_eq!(send(&stand, "/jobs/b/run", "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_job_is_paused_for_a_while_until_a_time_or_for_good_and_resumed() {
    let stand = with_job("at = \"02:30\"").await;
    for (fields, said) in [
        ("&for=8h", "Paused until 20"),
        ("&for=", "Paused until it is resumed"),
        ("&for=until&until=2999-01-01T08:00", "Paused until 2999-01-01 08:00:00"),
    ] {
        let paused = send(&stand, "/jobs/a/pause", fields).await;
        assert_eq!(paused.header("location"), "/jobs/a", "{}", paused.text());
        let job = stand.page("/jobs/a").await;
        assert!(job.text().contains(said) && job.text().contains(">Resume</button>"), "{said}: {}", job.text());
        assert!(state(&stand).paused().now(stand.clock.now().wall).unwrap().contains("a"));
    }
    assert!(stand.page("/jobs").await.text().contains("Paused"));
    assert_eq!(send(&stand, "/jobs/a/resume", "").await.header("location"), "/jobs/a");
    assert!(state(&stand).paused().now(stand.clock.now().wall).unwrap().is_empty());
    for wrong in ["&for=soon", "&for=until&until=", "&for=until&until=1999-01-01T08:00"] {
        assert_eq!(send(&stand, "/jobs/a/pause", wrong).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    assert!(stand.page("/activity").await.text().contains("Pause of the job a"));
}

#[tokio::test]
async fn a_run_of_another_process_is_shown_as_that_and_neither_repeated_nor_cancelled_here() {
    let stand = with_job("at = \"02:30\"").await;
    let state = state(&stand);
    let held = state.be_run("a").unwrap();
    let (at, job) = (before(stand.clock.now().wall, 60), "a".to_owned());
    let run = run_id("a", at);
    state.log().add(&Record::Began { run: run.clone(), job, at, due: None, missed: 0, tries: 0 }).unwrap();
    state.log().add(&Record::Step { run, step: Step::Pruned { kept: 3, removed: 1 } }).unwrap();
    let said = format!("It is at work in another process ({}), which alone can end it", std::process::id());
    let job = stand.page("/jobs/a").await;
    assert!(job.text().contains(&said) && job.text().contains("<button disabled>Cancel</button>"), "{}", job.text());
    let past = stand.page(&job.link("/past/")).await;
    assert!(past.text().contains("1 snapshot removed, 3 kept") && past.text().contains(&said), "{}", past.text());
    let refused = send(&stand, "/jobs/a/run", "").await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.text().contains("The job runs already"), "{}", refused.text());
    assert!(stand.page("/").await.text().contains("Run of the job a, in another process"));
    assert!(!stand.page("/calendar").await.text().contains("1 incomplete or broken off"));
    drop(held);
    assert!(stand.page("/jobs/a").await.text().contains("Broken off: its program ended"));
    assert!(stand.page("/calendar").await.text().contains("1 incomplete or broken off"));
}

#[tokio::test]
async fn the_history_of_a_job_is_paged_and_each_run_tells_how_it_ended() {
    let stand = with_job("at = \"02:30\"").await;
    let endings = [Ending::Done, Ending::Failed, Ending::Unreachable, Ending::Lost, Ending::Damaged];
    // Oldest first, one a day.
    let began: Vec<Timestamp> = [1, 2, 3, 4, 5]
        .into_iter()
        .zip(endings)
        .rev()
        .map(|(day, ending)| recorded(&stand, day * 86_400, ending))
        .collect();
    let first = stand.page("/jobs/a").await;
    for said in ["Done", "Failed", "Repository not reachable"] {
        assert!(first.text().contains(&format!("</span> {said}</td>")), "{said}: {}", first.text());
    }
    let second = stand.page(&first.link("page=1")).await;
    assert!(second.text().contains("Damage found") && second.text().contains("Broken off"), "{}", second.text());
    assert!(second.text().contains("<strong>Done.</strong>"), "how it stands is the same on each page");
    let past = stand.page(&format!("/jobs/a/past/{}", began[0])).await;
    assert!(past.text().contains("<strong>Damage found.</strong>"), "{}", past.text());
    let calendar = stand.page("/calendar").await;
    assert!(
        calendar.text().contains("5 days with a run in half a year, 4 days on which not all was well"),
        "{}",
        calendar.text()
    );
    assert!(calendar.text().contains("1 failed") && calendar.text().matches("/jobs/a\">a</a>").count() == 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_daemon_in_the_same_process_are_seen_as_they_go_and_cancelled_from_the_page() {
    let stand = with_job("every = \"10s\"\nhooks = [ { before = \"backup\", run = [\"sleep\", \"1000\"] } ]").await;
    let stop = Stop::default();
    let options = Options {
        path: state_path(&stand),
        state: state(&stand),
        clock: Arc::clone(&stand.clock) as _,
        stop: stop.clone(),
        reload: Arc::new(Notify::new()),
        pulse: Duration::from_mins(1),
    };
    let daemon = Daemon::start(stand.app.clone(), options, Arc::new(Watch::new(Arc::clone(&stand.site)))).unwrap();
    stand.clock.advance(Duration::from_secs(20));
    let looking = async {
        let run = loop {
            let job = stand.page("/jobs/a").await;
            if job.text().contains("how far it is, and cancel") {
                break job.link("/jobs/a/run/");
            }
            tokio::task::yield_now().await;
        };
        let page = stand.page(&run).await;
        assert!(
            page.text().contains("by the schedule") && page.text().contains("credenza jobs run a"),
            "{}",
            page.text()
        );
        assert!(!stand.page("/jobs").await.text().contains("No daemon runs these jobs"));
        assert!(stand.page("/").await.text().contains("Run of the job a</a> by the schedule"));
        assert_eq!(send(&stand, "/jobs/a/run", "").await.status, StatusCode::CONFLICT);
        assert_eq!(send(&stand, &format!("{run}/cancel"), "").await.status, StatusCode::SEE_OTHER);
        let ended = stand.ended(&run).await;
        assert!(ended.text().contains("<strong>Cancelled.</strong>"), "{}", ended.text());
        let past = stand.page(&stand.page("/jobs/a").await.link("/past/")).await;
        assert!(past.text().contains("<strong>Cancelled.</strong>"), "{}", past.text());
        stop.request();
    };
    tokio::join!(daemon.run(), looking);
    stand.site.runs.ended().await;
}

#[tokio::test]
async fn a_daemon_that_serves_the_page_wakes_for_its_timer_alone() {
    let stand = with_job("cron = \"0 0 29 2 *\"").await;
    let (stop, clock) = (Stop::default(), SteppedClock::new());
    let serving = ServerOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        reach: Reach::Machine,
        given: None,
        jobs: None,
        limits: patient(),
    };
    let server = Server::bind_by(stand.app.clone(), serving, Arc::clone(&clock) as _, stop.clone()).await.unwrap();
    let options = Options {
        path: state_path(&stand),
        state: state(&stand),
        clock: Arc::clone(&clock) as _,
        stop: stop.clone(),
        reload: Arc::new(Notify::new()),
        pulse: Duration::from_mins(1),
    };
    let daemon = Daemon::start(stand.app.clone(), options, Arc::new(server.watch())).unwrap();
    let counting = async {
        for pulse in 1..=3 {
            clock.until_waited_for().await;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            // The end of its first look wakes the daemon once, whenever that comes.
            assert!((pulse..=pulse + 1).contains(&clock.waits()), "one wait a pulse, and none of the page");
            clock.end_all();
        }
        stop.request();
    };
    tokio::join!(daemon.run(), server.run(), counting);
}

#[tokio::test]
async fn who_may_only_look_sees_jobs_and_starts_nothing() {
    let mut stand = Stand::outside(&behind_proxy(None), one_each);
    prepare(&stand, "at = \"02:30\"").await;
    stand.logged_in("viewer");
    let reason = "that takes the role operator, and yours is viewer";
    let job = stand.page("/jobs/a").await;
    assert!(
        job.text().contains("<button class=\"main\" disabled>Run now</button>") && job.text().contains(reason),
        "{}",
        job.text()
    );
    for action in ["run", "pause", "resume"] {
        let refused = send(&stand, &format!("/jobs/a/{action}"), "").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{action}");
    }
    stand.logged_in("operator");
    assert!(!stand.page("/jobs").await.text().contains("disabled"));
}

/// What the overview says of the source `home`, which the promises say too.
async fn standing(stand: &Stand, said: &str) -> String {
    let (home, promises) = (stand.page("/").await, stand.page("/promises").await);
    let line = home.text().split("<li><div class=").find(|line| line.contains("home (")).unwrap().to_owned();
    assert!(line.contains(&format!("<strong>{said}")), "{said}: {line}");
    assert!(promises.text().contains(&format!("</span> {said}<br>")), "{said}: {}", promises.text());
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_says_of_each_source_whether_it_is_protected_since_when_and_what_to_do() {
    let mut stand = with_job("at = \"02:30\"\npromise = \"26h\"").await;
    let empty = stand.folder.path().join("attic");
    std::fs::create_dir(&empty).unwrap();
    stand.source("attic", &empty);
    stand.backup("main", &[(b"a", b"1")]).await;
    let home = stand.page("/").await;
    for said in [
        "<strong>Not protected:</strong> <span class=\"path\">attic (",
        "It was never backed up. <a href=\"/sources/attic\">Back it up</a>",
        "There is no good snapshot of it in main; the job a promises one in 26 hours. <a href=\"/jobs/a\">See to the job a</a>",
        "credenza jobs run a",
        // Of a machine that is not this one.
        "<strong>Protected:</strong> <span class=\"path\">memory on &#60;b&#62;host&#60;/b&#62;.</span>",
        "it has no rhythm yet, and nobody has promised anything",
    ] {
        assert!(home.text().contains(said), "{said}: {}", home.text());
    }
    let begun = send(&stand, "/jobs/a/run", "").await;
    stand.ended(begun.header("location")).await;
    assert!(standing(&stand, "Protected").await.contains("the job a promises one in 26 hours."));
    // The next run was due by then, and brought nothing.
    stand.clock.advance(Duration::from_mins(25 * 60 + 40));
    stand.enter().await;
    standing(&stand, "At risk").await;
    stand.clock.advance(Duration::from_hours(3));
    assert!(standing(&stand, "Not protected").await.contains("<strong>Not protected since <time"));
    assert!(stand.page("/calendar").await.text().contains("<h2 id=\"promises\">Promises</h2>"));
    // A repository that cannot be looked into says nothing of its sources, and is not waited for.
    stand.set(Kind::Repository, "main", "location", stand.folder.path().join("away").to_str().unwrap());
    let line = standing(&stand, "Not known").await;
    assert!(line.contains("The repository that the job a backs up to cannot be looked into now, last seen "), "{line}");
    assert!(stand.page("/promises").await.text().contains("Not known since "));
    assert_ne!(environment::host_name(), "<b>host</b>");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_of_a_source_that_is_not_found_does_not_vanish() {
    let stand = with_job("at = \"02:30\"").await;
    write(&stand, "[job.a]\nbackup = \"@gone\"\nto = \"@main\"\nat = \"02:30\"\npromise = \"26h\"");
    let home = stand.page("/").await;
    let said = "The job a promises snapshots of it, and where it is cannot be found: ";
    assert!(home.text().contains("@gone") && home.text().contains(said), "{}", home.text());
    let promises = stand.page("/promises").await;
    assert!(promises.text().contains("@gone") && promises.text().contains("</span> Not known<br>"));
    assert!(stand.page("/calendar").await.text().contains("not known: @gone: "));
}

/// Hears nothing.
struct Deaf;

impl Hears for Deaf {
    fn told(&self, _: Told<'_>) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_with_numbers_stand_as_they_were_measured_last() {
    let mut stand = with_job("at = \"02:30\"").await;
    stand.backup("main", &[(b"a", b"1")]).await;
    let job = "[job.a]\nbackup = \"@home\"\nto = \"@main\"\nat = \"02:30\"\n";
    let promise = |name: &str, needs: &str| format!("[promise.{name}]\nsources = [\"mem*\"]\nneeds = {{ {needs} }}\n");
    let promises = promise("one", "copies = 1") + &promise("two", "copies = 2");
    write(&stand, &format!("{job}{promises}"));
    let page = stand.page("/promises").await;
    for said in ["Not measured yet: one, two.", "To measure now: <code>credenza promises</code>"] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    let book = stand.site.jobs.read_now(stand.clock.now().wall).unwrap();
    let stop = Stop::default();
    let runner = Runner { app: &stand.app, state: &book.state, clock: &*stand.clock, stop: &stop };
    Look { runner, jobs: &book.file, hears: Arc::new(Deaf) }.at_all(None).await.unwrap();
    // What is not there cannot be asked, and is not.
    std::fs::rename(stand.folder.path().join("main"), stand.folder.path().join("aside")).unwrap();
    let page = stand.page("/promises").await;
    let row = |name: &str| {
        let begin = format!("<th scope=\"row\">{name}</th><td class=\"path\">memory</td>");
        page.text().split("<tr>").find(|row| row.starts_with(&begin)).unwrap_or_else(|| panic!("{}", page.text()))
    };
    assert!(row("one").contains("</span> Protected</td>") && row("one").contains("nothing"), "{}", row("one"));
    assert!(
        row("two").contains("</span> Not protected</td>") && row("two").contains("1 of 2 copies"),
        "{}",
        row("two")
    );
    assert!(row("two").contains("<time datetime=") && !page.text().contains("Not measured yet"), "{}", page.text());
    // What a promise needs that nobody has asked for is not measured.
    write(&stand, &format!("{job}{promises}{}", promise("whole", "verified = \"30d\"")));
    assert!(stand.page("/promises").await.text().contains("Not measured yet: whole."));
    stand.clock.advance(Duration::from_hours(26));
    stand.enter().await;
    let page = stand.page("/promises").await;
    assert_eq!(page.text().matches("</span> Not known</td>").count(), 2, "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspect_snapshot_is_shown_with_its_reason_and_acknowledged_by_who_proves_it() {
    let stand = Stand::entered().await;
    stand.repository("main", Secret::None).await;
    let id = stand.backup("main", &[(b"a", b"1")]).await;
    assert!(stand.page("/guard").await.text().contains("No snapshot is suspect."));
    let place = stand.app.place(Kind::Repository, "@main".as_ref(), Settings::new()).unwrap();
    let options = OpenOptions { purpose: StoreUse::Write, secret: Secret::None, accept_plaintext: false };
    let open = stand.app.open_repository(place, options).await.unwrap();
    let handle = open.repository.find(&SnapshotName(id.clone())).await.unwrap();
    flags::put_flag(&open.repository, &handle, Verdict::Suspect, "40 of 50 <b>entries</b> are gone").await.unwrap();
    assert!(stand.page("/").await.text().contains("<strong>Suspect.</strong> In 1 snapshot too much is gone"));
    let guard = stand.page("/guard").await;
    for said in
        ["40 of 50 &#60;b&#62;entries&#60;/b&#62; are gone", "memory, in <a href=\"/r/main\">", "jobs acknowledge"]
    {
        assert!(guard.text().contains(said), "{said}: {}", guard.text());
    }
    let fields = format!("&what=acknowledge&snapshot={id}");
    let asked = send(&stand, "/r/main/run", &fields).await;
    assert!(asked.text().contains("Retention of its source goes on"), "{}", asked.text());
    assert!(stand.page("/guard").await.text().contains("40 of 50"));
    let begun = send(&stand, "/r/main/run", &format!("{fields}&confirm=main")).await;
    let ended = stand.ended(begun.header("location")).await;
    assert!(ended.text().contains("is suspect no more: retention of memory goes on."), "{}", ended.text());
    assert!(stand.page("/guard").await.text().contains("No snapshot is suspect."));
}

/// What the overview says of the proof of its one source.
async fn proof(stand: &Stand) -> String {
    let home = stand.page("/").await;
    let line = home.text().split("<li><div class=").find(|line| line.contains("home (")).unwrap();
    line.split("<div class=").nth(1).unwrap_or_else(|| panic!("no proof: {line}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_says_of_each_source_when_it_was_read_again_restored_for_trial_and_found_damaged() {
    let stand = with_job("at = \"02:30\"").await;
    run_to_its_end(&stand, "a").await;
    let fresh = proof(&stand).await;
    for said in [
        "Not proven yet:",
        "No damage is on record. None of it was read again yet. It was never restored for trial.",
        "<a href=\"/r/main\">Read all of it</a>",
        "credenza at @main check --read-data",
    ] {
        assert!(fresh.contains(said), "{said}: {fresh}");
    }
    let job = "[job.a]\nbackup = \"@home\"\nto = \"@main\"\nat = \"02:30\"";
    let verify = "[verify.v]\nrepository = \"@main\"\nevery = \"2h\"\ndrill = { every = \"7d\", files = 5 }";
    write(&stand, &format!("{job}\n{verify}"));
    run_to_its_end(&stand, "verify.v").await;
    let proven = proof(&stand).await;
    for said in [
        "good\"",
        "Proven:",
        "All was read again since ",
        // The drill has the time of the system, and the page the clock of the test, which stands.
        " came back unchanged in a restore for trial ",
        "More is read on <time",
        "<a href=\"/jobs/verify.v\">See to verify.v</a>",
    ] {
        assert!(proven.contains(said), "{said}: {proven}");
    }
    let place = stand.app.place(Kind::Repository, "@main".as_ref(), Settings::new()).unwrap();
    let options = OpenOptions { purpose: StoreUse::Write, secret: Secret::None, accept_plaintext: false };
    let open = stand.app.open_repository(place, options).await.unwrap();
    let packs = super::pages::walk(&stand.folder.path().join("main/meta"));
    let pack = packs.first().unwrap().strip_prefix(stand.folder.path().join("main")).unwrap();
    let (object, detail) = (pack.to_string_lossy().into_owned(), "a bit has flipped".to_owned());
    let damage = Damage { object, kind: DamageKind::Corrupt, chunk: None, detail };
    open.repository.record_damage(&[damage]).await.unwrap();
    let damaged = proof(&stand).await;
    for said in [
        "bad\"",
        "Damaged:",
        "1 pack is damaged by the record, found last on ",
        "<a href=\"/r/main/care\">Mend it</a>",
        "credenza at @main repair",
    ] {
        assert!(damaged.contains(said), "{said}: {damaged}");
    }
    let home = stand.page("/").await;
    assert!(home.text().contains("<strong>Damaged.</strong> 1 pack is damaged by the record"), "{}", home.text());
}

pub(super) async fn run_to_its_end(stand: &Stand, job: &str) {
    let begun = send(stand, &format!("/jobs/{job}/run"), "").await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text());
    let ended = stand.ended(begun.header("location")).await;
    assert!(ended.text().contains("<strong>Done.</strong>"), "{}", ended.text());
}
