//! The screen of replication: how each copy stands, and what is done there.

use std::sync::mpsc::channel;
use std::time::Duration;

use credenza_app::{Kind, OpenOptions, OpenRepository, Settings, StoreUse};
use credenza_engine::Secret;
use credenza_engine::replica::{self, KeepOptions};
use http::StatusCode;

use super::jobs::{run_to_its_end, send, with_job, with_job_within, write};
use super::{Stand, patient};
use crate::limits::Limits;

const JOB: &str = "[job.a]\nbackup = \"@home\"\nto = \"@main\"\nat = \"02:30\"";

/// A stand with a snapshot in `@main`, and a policy that carries it to `@paris`, which is alike, and to `@gone`, which is nowhere.
async fn with_policy(lines: &str) -> Stand {
    with_policy_of(with_job("at = \"02:30\"").await, lines).await
}

async fn with_policy_of(stand: Stand, lines: &str) -> Stand {
    stand.repository("paris", Secret::None).await;
    write(&stand, &format!("{JOB}\n[replicate.main]\nfrom = \"@main\"\nevery = \"1h\"\n{lines}"));
    run_to_its_end(&stand, "a").await;
    stand
}

#[tokio::test(flavor = "multi_thread")]
async fn each_copy_says_how_far_it_is_behind_what_it_lacks_and_what_is_proven_and_is_run_and_paused_there() {
    let stand = with_policy("to = [ { target = \"@paris\", rpo = \"24h\", lock = \"30d\" } ]").await;
    let page = stand.page("/replication").await;
    for said in [
        "<strong>Kept.</strong>",
        "<strong>On its way.</strong>",
        "It lacks 1 snapshot",
        "<dt>Newest here</dt><dd>none",
        "<dt>May be behind</dt><dd>24 hours",
        "<dt>Missing</dt><dd>1</dd>",
        "<dt>Verified until</dt><dd>never",
        "nothing is locked, and 30 days are asked for",
        "The record of this machine has no run that went wrong.",
        "credenza replicate status",
        "aria-label=\"Run main now\"",
    ] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    assert!(!page.text().contains("<dt>Next run adds</dt><dd>0"), "{}", page.text());
    assert!(!page.text().contains(">Promote</button>"), "it is no replica: {}", page.text());
    let begun = send(&stand, "/jobs/replicate.main/run", "").await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text());
    stand.ended(begun.header("location")).await;
    let page = stand.page("/replication").await;
    for said in ["<strong>Complete.</strong>", "<dt>Behind</dt><dd>by nothing", "<dt>Missing</dt><dd>0</dd>"] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    assert!(!page.text().contains("<dt>Verified until</dt><dd>never"), "{}", page.text());
    send(&stand, "/jobs/replicate.main/pause", "&for=").await;
    let page = stand.page("/replication").await;
    assert!(page.text().contains("It is paused") && page.text().contains(">Resume</button>"), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_by_rule_stand_beside_the_lock_of_all_and_are_left_out_where_none_is_asked_for() {
    let keep = "keep = { monthly = 12, yearly = 7 }";
    let stand = with_policy(&format!(
        "to = [ {{ target = \"@paris\", {keep}, lock = {{ monthly = \"400d\", yearly = \"7y\" }} }} ]"
    ))
    .await;
    let page = stand.page("/replication").await;
    let said = "<dt>Locked by rule</dt><dd>monthly for 400 days: no snapshot to lock yet; yearly for 2562 days: no snapshot to lock yet</dd>";
    assert!(page.text().contains(said), "{}", page.text());
    assert!(page.text().contains("<dt>Locked for</dt><dd>nothing is locked</dd>"), "{}", page.text());
    write(
        &stand,
        &format!(
            "{JOB}\n[replicate.main]\nfrom = \"@main\"\nevery = \"1h\"\nto = [ {{ target = \"@paris\", {keep} }} ]"
        ),
    );
    let page = stand.page("/replication").await;
    assert!(page.text().contains("<dt>Locked for</dt><dd>nothing is locked</dd>"), "{}", page.text());
    assert!(!page.text().contains("Locked by rule"), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_gone_is_not_known_and_its_bad_days_say_what_was_said_when() {
    let stand = with_policy("to = [ { target = \"@paris\" } ]").await;
    let folder = |name: &str| stand.folder.path().join(name);
    std::fs::rename(folder("paris"), folder("aside")).unwrap();
    let begun = send(&stand, "/jobs/replicate.main/run", "").await;
    stand.ended(begun.header("location")).await;
    let page = stand.page("/replication").await;
    for said in ["<strong>Not known.</strong>", "Not every target could be asked.", "/jobs/replicate.main/past/"] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    assert!(!page.text().contains("has no run that went wrong"), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_wait_sees_the_record_first_and_then_what_was_measured() {
    let limits = Limits { overview: Duration::ZERO, ..patient() };
    let stand =
        with_policy_of(with_job_within(limits, "at = \"02:30\"").await, "to = [ { target = \"@paris\" } ]").await;
    let begun = send(&stand, "/jobs/replicate.main/run", "").await;
    stand.ended(begun.header("location")).await;
    // Somebody else measures it, and does not come to an end.
    let (under_way, waits) = channel::<()>();
    let policies = &stand.site.policies;
    let looked = policies.look("replicate.main", Duration::ZERO, move || {
        let _ = waits.recv();
        panic!("for the test")
    });
    assert!(looked.await.goes_on);
    let page = stand.page("/replication").await;
    for said in ["By the record of this machine", "<strong>Complete.</strong>", "<dt>Behind</dt><dd>by nothing"] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    assert!(!page.text().contains("<dt>Not proven</dt>"), "what the record does not say is not shown: {}", page.text());
    drop(under_way);
    let measured = loop {
        let page = stand.page("/replication").await;
        if page.text().contains("it is being measured again") {
            break page;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    for said in ["Measured ", "<strong>Complete.</strong>", "<dt>Not proven</dt><dd>0</dd>"] {
        assert!(measured.text().contains(said), "{said}: {}", measured.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_the_screen_teaches_the_first_and_without_jobs_leads_to_them() {
    let stand = with_job("at = \"02:30\"").await;
    let page = stand.page("/replication").await;
    let sample = page.text().split("<pre><code>").nth(1).unwrap().split("</code>").next().unwrap();
    assert!(sample.starts_with("[replicate.main]"), "{}", page.text());
    stand.repository("paris", Secret::None).await;
    write(&stand, &format!("{JOB}\n{}", sample.replace("&#34;", "\"")));
    assert!(stand.page("/replication").await.text().contains("@paris"));
    let bare = Stand::entered().await;
    assert_eq!(bare.get("/replication").await.header("location"), "/jobs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_promoted_after_the_passphrase_with_what_it_means() {
    let stand = with_policy("to = [ { target = \"@paris\" } ]").await;
    // What is open here since before it was one says so all the same.
    stand.page("/replication").await;
    let (main, paris) = (open(&stand, "@main").await, open(&stand, "@paris").await);
    replica::keep_heads(&main.repository, &paris.repository, &KeepOptions::default()).await.unwrap();
    let page = stand.page("/replication").await;
    assert!(page.text().contains("aria-label=\"Promote @paris\""), "{}", page.text());
    let asked = send(&stand, "/r/paris/run", "&what=promote").await;
    for said in ["Promotion of a replica", "Nothing takes this back.", "nothing from what was its origin"] {
        assert!(asked.text().contains(said), "{said}: {}", asked.text());
    }
    let refused = send(&stand, "/r/paris/run", "&what=promote&confirm=main").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text());
    let begun = send(&stand, "/r/paris/run", "&what=promote&confirm=paris").await;
    let done = stand.ended(begun.header("location")).await;
    assert!(done.text().contains("It takes backups from now on"), "{}", done.text());
    assert!(done.text().contains("credenza at @paris promote"), "{}", done.text());
    let page = stand.page("/replication").await;
    assert!(!page.text().contains(">Promote</button>"), "{}", page.text());
    // Of the policy and of its target.
    assert_eq!(page.text().matches("<strong>Promoted.</strong>").count(), 2, "{}", page.text());
    assert!(!page.text().contains("<strong>Kept.</strong>"), "{}", page.text());
}

async fn open(stand: &Stand, word: &str) -> OpenRepository {
    let place = stand.app.place(Kind::Repository, word.as_ref(), Settings::new()).unwrap();
    let options = OpenOptions { purpose: StoreUse::Write, secret: Secret::None, accept_plaintext: false };
    stand.app.open_repository(place, options).await.unwrap()
}
