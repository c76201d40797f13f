//! What is in a repository can be seen, found and had.

use std::collections::BTreeSet;
use std::sync::Arc;

use credenza_engine::{Event, Listener, Phase, Secret};
use http::StatusCode;

use super::{Stand, patient};
use crate::activity::Who;
use crate::form::encode;
use crate::limits::Limits;
use crate::operations::Check;

#[tokio::test]
async fn an_empty_configuration_teaches_the_first_commands() {
    let stand = Stand::entered().await;
    let page = stand.page("/").await;
    for command in
        ["credenza repository add mine /mnt/disk/backups", "credenza at @mine create", "credenza at @mine backup ~"]
    {
        assert!(page.text().contains(command), "{}", page.text());
    }
}

#[tokio::test]
async fn the_overview_says_of_each_repository_how_it_stands_and_what_to_do() {
    let stand = Stand::entered().await;
    stand.repository("kept", Secret::None).await;
    stand.repository("empty", Secret::None).await;
    stand.repository("gone", Secret::None).await;
    stand.backup("kept", &[(b"a", b"1")]).await;
    std::fs::remove_dir_all(stand.folder.path().join("gone")).unwrap();
    let page = stand.page("/").await;
    for said in [
        "<strong>Kept.</strong> It holds 1 snapshot, the newest was made ",
        "<strong>Look here.</strong> It is open and holds no snapshot yet.",
        "credenza at @empty backup FOLDER",
        "<strong>Not reachable.</strong> It cannot be opened: there is no repository in",
        "credenza at @gone ls",
        "<time datetime=\"",
    ] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
}

#[tokio::test]
async fn snapshots_are_listed_newest_first_and_a_new_one_shows_without_a_restart() {
    let mut stand = Stand::new(Limits { rows: 2, ..patient() });
    stand.enter().await;
    stand.repository("mine", Secret::None).await;
    let first = stand.backup("mine", &[(b"a", b"1")]).await;
    assert!(stand.page("/r/mine").await.text().contains(&first));
    let second = stand.backup("mine", &[(b"a", b"2")]).await;
    let third = stand.backup("mine", &[(b"new", b"3")]).await;
    let page = stand.page("/r/mine").await;
    let at = |id: &str| page.text().find(&format!("/s/{id}\""));
    assert!(at(&third).unwrap() < at(&second).unwrap() && at(&first).is_none(), "{}", page.text());
    assert!(page.text().contains("3 snapshots, newest first") && page.text().contains("credenza at @mine ls"));
    let older = stand.page(&page.link("page=1")).await;
    assert!(older.text().contains(&first) && !older.text().contains(&third));
    assert_eq!(stand.page(&format!("/r/mine/s/{third}/download?key=new")).await.body, "3");
}

/// Follows pages to the end, and folders into their depth; the keys of all that can be downloaded.
async fn all_keys(stand: &Stand, id: &str) -> BTreeSet<String> {
    let (mut waiting, mut seen, mut files) = (vec![format!("/r/mine/s/{id}")], BTreeSet::new(), BTreeSet::new());
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        for link in stand.page(&path).await.links() {
            if link.contains("/file?key=") {
                files.insert(link.split("key=").nth(1).unwrap().to_owned());
            } else if link.starts_with(&format!("/r/mine/s/{id}")) && !link.contains("/archive?") {
                waiting.push(link);
            }
        }
    }
    files
}

#[tokio::test]
async fn every_key_is_reached_by_links_and_downloaded_as_it_was() {
    let mut stand = Stand::new(Limits { rows: 3, ..patient() });
    stand.enter().await;
    stand.repository("mine", Secret::None).await;
    let deep = [b"d/".repeat(40), b"end".to_vec()].concat();
    let keys: [&[u8]; 18] = [
        b"a",
        b"a/",
        b"a/b",
        b"a//b",
        b"..",
        b"../x",
        b".",
        b"/abs",
        b"\xff\xfe",
        b"sp ace+plus&amp",
        b"q?h#x%41",
        "gpj\u{202e}exe".as_bytes(),
        b"\x00nul",
        b"n\nl",
        b"quote\"'",
        &deep,
        "\u{1f600}".as_bytes(),
        b"z",
    ];
    let contents: Vec<(&[u8], Vec<u8>)> = keys.iter().map(|key| (*key, [b"of ", *key].concat())).collect();
    let contents: Vec<(&[u8], &[u8])> = contents.iter().map(|(key, bytes)| (*key, bytes.as_slice())).collect();
    let id = stand.backup("mine", &contents).await;
    let expected: BTreeSet<String> = keys.iter().map(|key| encode(key)).collect();
    assert_eq!(all_keys(&stand, &id).await, expected);
    for (key, bytes) in contents {
        let file = stand.page(&format!("/r/mine/s/{id}/download?key={}", encode(key))).await;
        assert_eq!(file.body, bytes, "{key:?}");
        assert_eq!(file.header("content-length"), bytes.len().to_string());
        let page = stand.page(&format!("/r/mine/s/{id}/file?key={}", encode(key))).await;
        assert!(page.text().contains("credenza at @mine cat "), "{key:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_with_the_way_on() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let id = stand.backup("mine", &[(b"a", b"1")]).await;
    for path in [
        format!("/r/mine/s/{id}/file?key=b"),
        format!("/r/mine/s/{id}/download?key=b"),
        format!("/r/mine/s/{id}/archive?key=b/"),
        "/r/mine/s/00ff".to_owned(),
        "/r/other".to_owned(),
    ] {
        let page = stand.get(&path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}: {}", page.text());
        assert!(page.text().contains("To your backups"));
    }
    stand.repository("gone", Secret::None).await;
    std::fs::remove_dir_all(stand.folder.path().join("gone")).unwrap();
    let gone = stand.get("/r/gone").await;
    let settings = stand.page(&gone.link("/place/repository/gone")).await;
    assert!(settings.text().contains("Check it step by step") && settings.text().contains("Make a repository there"));
    let folder = stand.get(&format!("/r/mine/s/{id}?key=a")).await;
    assert!(folder.header("location").ends_with("/file?key=a"));
}

#[tokio::test]
async fn a_name_is_found_in_all_snapshots_and_each_content_once() {
    let mut stand = Stand::new(Limits { rows: 3, ..patient() });
    stand.enter().await;
    stand.repository("mine", Secret::None).await;
    stand.backup("mine", &[(b"letters/A.txt", b"old"), (b"same.txt", b"same")]).await;
    let newest = stand.backup("mine", &[(b"letters/A.txt", b"newer"), (b"same.txt", b"same")]).await;
    let page = stand.page("/r/mine/find?name=.txt").await;
    assert_eq!(page.text().matches("/file?key=letters/A.txt").count(), 2, "{}", page.text());
    assert_eq!(page.text().matches("/file?key=same.txt").count(), 1);
    assert!(
        page.text().contains(&format!("/r/mine/s/{newest}/file?key=same.txt")) && page.text().contains("and 1 older")
    );
    assert!(page.text().contains("credenza at @mine find .txt"));
    assert!(stand.page("/r/mine/find?name=a.TXT").await.text().contains("Nothing in 2 snapshots is called so"));
    assert!(stand.page("/r/mine/find?name=a.TXT&any_case=1").await.text().contains("letters/A.txt"));
    let empty = stand.page("/r/mine/find").await;
    assert!(!empty.text().contains("Nothing in"));
    stand.backup("mine", &[(b"1.txt", b"1"), (b"2.txt", b"2")]).await;
    assert!(stand.page("/r/mine/find?name=.txt").await.text().contains("These are the first 3"));
    let hostile = stand.page("/r/mine/find?name=%3Cscript%3E%22").await;
    assert!(!hostile.text().contains("<script>"), "{}", hostile.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_had_as_tar_and_as_zip() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let large = vec![7_u8; 3_000_000];
    let id = stand.backup("mine", &[(b"f/large", &large), (b"f/small", b"dear a"), (b"other", b"x")]).await;
    let tar = stand.page(&format!("/r/mine/s/{id}/archive?key=f/&format=tar")).await;
    assert!(tar.body.len() > 3_000_000 && tar.body.windows(6).any(|window| window == b"dear a"));
    assert!(tar.header("content-disposition").contains("filename=\"f.tar\""));
    let zip = stand.page(&format!("/r/mine/s/{id}/archive?format=zip")).await;
    assert!(zip.body.starts_with(b"PK") && zip.header("content-disposition").contains(".zip\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_and_a_check_run_from_the_page_and_tell_how_they_ended() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let source = stand.folder.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("letter"), "dear all").unwrap();
    stand.source("home", &source);
    let token = stand.token().await;
    let start = async |form: &str| {
        let begun = stand.post("/r/mine/run", &format!("token={token}&{form}")).await;
        assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text());
        stand.ended(begun.header("location")).await
    };
    assert!(stand.page("/r/mine").await.text().contains("<option>home</option>"));
    let backup = start("what=backup&source=home").await;
    assert!(
        backup.text().contains("<strong>Done.</strong>") && backup.text().contains("credenza at @mine backup @home"),
        "{}",
        backup.text()
    );
    let folder = stand.page(&stand.page("/r/mine").await.link("/s/")).await;
    assert_eq!(stand.page(&folder.link("/file?key=letter").replace("/file", "/download")).await.body, "dear all");
    let structure = start("what=check").await;
    assert!(structure.text().contains("(structure only): no damage found"), "{}", structure.text());
    let whole = start("what=check&read_data=1").await;
    assert!(
        whole.text().contains("(every byte, ") && whole.text().contains("credenza at @mine check --read-data"),
        "{}",
        whole.text()
    );
    let failed = start("what=backup&source=none").await;
    assert!(failed.text().contains("<strong>Failed.</strong>"), "{}", failed.text());

    let packs = walk(&stand.folder.path().join("mine/meta"));
    std::fs::remove_file(packs.first().unwrap()).unwrap();
    let damaged = start("what=check").await;
    assert!(damaged.text().contains("<strong>Damage found.</strong>"), "{}", damaged.text());
    let runs = stand.page("/r/mine").await;
    for said in ["Damage found, began", "Failed, began", "Done, began"] {
        assert!(runs.text().contains(said), "{said}: {}", runs.text());
    }
    for (form, status) in [("what=rm", StatusCode::UNPROCESSABLE_ENTITY), ("", StatusCode::UNPROCESSABLE_ENTITY)] {
        assert_eq!(stand.post("/r/mine/run", &format!("token={token}&{form}")).await.status, status);
    }
    assert_eq!(stand.post("/r/none/run", &format!("token={token}&what=check")).await.status, StatusCode::NOT_FOUND);
}

/// All files below a folder.
pub(super) fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_run_is_followed_to_its_end_refuses_a_second_beside_it_and_is_cancelled() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let token = stand.token().await;
    let run = stand
        .site
        .runs
        .begin("mine", Arc::new(Check { read_data: true }), Who::default(), stand.site.stop.child())
        .ok()
        .unwrap();
    let path = format!("/r/mine/run/{}", run.id);
    run.on(Event::Phase { phase: Phase::CheckingData });
    run.on(Event::Expected { entries: 2, bytes: 4096 });
    run.on(Event::Progress { entries: 1, bytes: 1024 });
    let page = stand.page(&path).await;
    for said in [
        "checking data",
        "1.00 KiB in 1 entry, of about 4.00 KiB",
        "value=\"250\"",
        "<noscript><meta http-equiv=\"refresh\"",
        "script type=\"module\" src=\"/assets/page-",
    ] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    let second = stand.post("/r/mine/run", &format!("token={token}&what=check")).await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    assert!(second.text().contains("one run at a time"), "{}", second.text());

    assert!(!run.context().stop.is_requested());
    assert_eq!(stand.post(&format!("{path}/cancel"), &format!("token={token}")).await.status, StatusCode::SEE_OTHER);
    assert!(run.context().stop.is_requested() && !stand.site.stop.is_requested());
    run.end(Err(credenza_app::Error::Engine(credenza_engine::Error::Cancelled)), |_| ());
    let events = stand.page(&format!("{path}/events")).await;
    assert_eq!(events.header("content-type"), "text/event-stream");
    assert!(
        events.text().contains("event: part\ndata: 250\n\n") && events.text().ends_with("event: end\ndata:\n\n"),
        "{}",
        events.text()
    );
    assert!(stand.page(&path).await.text().contains("<strong>Cancelled.</strong>"));
    assert_eq!(stand.get("/r/mine/run/99").await.status, StatusCode::NOT_FOUND);
    assert_eq!(stand.get("/r/other/run/1").await.status, StatusCode::NOT_FOUND);
    stand.site.runs.ended().await;
}
