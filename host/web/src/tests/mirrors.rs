//! Mirrors on the screen of replication: which cut each target is, and what is done there.

use std::fs;

use http::StatusCode;

use super::Stand;
use super::jobs::{send, with_job, write};

const PATH: &str = "/jobs/replicate-bucket.a";

/// A stand whose home is mirrored to the folder `copy`, and to `gone` where that is wished.
async fn with_mirror(to: &[&str]) -> Stand {
    let stand = with_job("at = \"02:30\"").await;
    let places: Vec<String> = to.iter().map(|name| format!("{:?}", stand.folder.path().join(name))).collect();
    fs::create_dir(stand.folder.path().join("copy")).unwrap();
    let job = "[job.a]\nbackup = \"@home\"\nto = \"@main\"\nat = \"02:30\"";
    let mirror = format!(
        "[replicate-bucket.a]\nfrom = \"@home\"\nto = [{}]\nvia = \"@main\"\nevery = \"1h\"\ndeletes = \"now\"",
        places.join(", ")
    );
    write(&stand, &format!("{job}\n{mirror}"));
    stand
}

/// Sends a form that begins a run, and gives the page of that when it has ended.
async fn run(stand: &Stand, path: &str, fields: &str) -> super::Page {
    let begun = send(stand, path, fields).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text());
    stand.ended(begun.header("location")).await
}

/// The cuts that can be chosen, the newest first.
async fn cuts(stand: &Stand) -> Vec<String> {
    let page = stand.page("/replication").await;
    let behind = page.text().split("<option value=\"").skip(1);
    behind.map(|part| part.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_says_which_cut_each_target_is_and_is_planned_run_and_paused_there() {
    let stand = with_mirror(&["copy"]).await;
    let page = stand.page("/replication").await;
    for said in ["Mirror a", "Nothing was mirrored there yet.", "credenza mirror status", "Measured just now."] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    let done = run(&stand, &format!("{PATH}/run"), "").await;
    assert!(done.text().contains("The job did all that it is to do."), "{}", done.text());
    let page = stand.page("/replication").await;
    for said in ["<strong>Kept.</strong>", "<strong>Newest cut.</strong>", "<dt>Behind</dt><dd>by nothing"] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    let plan = run(&stand, &format!("{PATH}/plan"), "").await;
    for said in ["Nothing was written.", "Objects at each target", "credenza mirror plan replicate-bucket.a"] {
        assert!(plan.text().contains(said), "{said}: {}", plan.text());
    }
    send(&stand, &format!("{PATH}/pause"), "&for=").await;
    assert!(stand.page("/replication").await.text().contains("It is paused"));
    let refused = send(&stand, "/jobs/a/plan", "").await;
    assert!(refused.text().contains("This is no mirror"), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_rolled_back_to_a_cut_after_it_was_asked_again() {
    let stand = with_mirror(&["copy"]).await;
    let [home, copy] = ["home", "copy"].map(|name| stand.folder.path().join(name).join("letter"));
    run(&stand, &format!("{PATH}/run"), "").await;
    fs::write(&home, "nothing but noise").unwrap();
    run(&stand, &format!("{PATH}/run"), "").await;
    assert_eq!(fs::read_to_string(&copy).unwrap(), "nothing but noise");
    let cuts = cuts(&stand).await;
    assert_eq!(cuts.len(), 2);
    let back = format!("{PATH}/back");
    let none = send(&stand, &back, "&cut=").await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", none.text());
    let fields = format!("&cut={}", cuts[1]);
    let asked = send(&stand, &back, &fields).await;
    for said in ["Each target becomes what the cut holds", "pause the mirror until the source is well"] {
        assert!(asked.text().contains(said), "{said}: {}", asked.text());
    }
    let refused = send(&stand, &back, &format!("{fields}&confirm=other")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text());
    assert_eq!(fs::read_to_string(&copy).unwrap(), "nothing but noise");
    let done = run(&stand, &back, &format!("{fields}&confirm=main")).await;
    assert!(done.text().contains("credenza mirror run replicate-bucket.a --to"), "{}", done.text());
    assert_eq!(fs::read_to_string(&copy).unwrap(), "dear all", "{}", done.text());
    let page = stand.page("/replication").await;
    assert!(page.text().contains("<dt>Behind</dt><dd>by 1 cut"), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_gone_hides_no_other_of_its_mirror() {
    let stand = with_mirror(&["copy", "file/below"]).await;
    fs::write(stand.folder.path().join("file"), "no folder").unwrap();
    run(&stand, &format!("{PATH}/run"), "").await;
    let page = stand.page("/replication").await;
    for said in ["<strong>Newest cut.</strong>", "<h3>Bad days</h3>", &format!("{PATH}/past/")] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
}
