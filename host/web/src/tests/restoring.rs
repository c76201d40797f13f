//! What is done from the page: restores from a basket, and care of a repository, each planned before it is done.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use credenza_app::{Kind, OpenOptions, Settings, StoreUse};
use credenza_connect::file::FileSource;
use credenza_engine::{Secret, SlotLock};
use credenza_format::Access;
use http::StatusCode;
use zeroize::Zeroizing;

use super::{PASSPHRASE, Page, Stand, patient};
use crate::basket::Pick;
use crate::form::encode;
use crate::limits::Limits;

impl Stand {
    /// Sends a form with the token of the session.
    async fn form(&self, path: &str, fields: &str) -> Page {
        let token = self.token().await;
        self.post(path, &format!("token={token}&{fields}")).await
    }

    /// Sends a form that starts something, and looks at it until it has ended; its page and its address.
    async fn run(&self, path: &str, fields: &str) -> (Page, String) {
        let begun = self.form(path, fields).await;
        assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text());
        let path = begun.header("location").to_owned();
        (self.ended(&path).await, path)
    }

    async fn pick(&self, picks: &[Pick]) -> Page {
        let fields: Vec<String> = picks.iter().map(|pick| format!("item={}", encode(pick.word().as_bytes()))).collect();
        self.form("/r/mine/restore/add", &fields.join("&")).await
    }
}

/// Files below a folder by their paths.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn number(page: &Page, what: &str) -> String {
    let behind = page.text().split(&format!("<dt>{what}</dt><dd>")).nth(1);
    behind.and_then(|behind| behind.split('<').next()).unwrap_or_else(|| panic!("{what}: {}", page.text())).to_owned()
}

/// What a plan says that the run would spend at a place.
fn spent(page: &Page, place: &str) -> String {
    let table = page.text().split("<caption>What it would spend, where ").nth(1).unwrap_or_default();
    let row = table.split("<tr>").find(|row| row.contains(&format!("<bdi>{place}</bdi>")));
    row.unwrap_or_else(|| panic!("{place}: {}", page.text())).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_picked_in_two_snapshots_is_previewed_and_restored_to_a_folder() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let first =
        stand.backup("mine", &[(b"letters/a.txt", b"dear a, old"), (b"gone", b"only here"), (b"same", b"s")]).await;
    let second =
        stand.backup("mine", &[(b"letters/a.txt", b"dear a"), (b"letters/b.txt", b"dear b"), (b"same", b"s")]).await;

    // The boxes of the pages are what a form sends.
    let folder = stand.page(&format!("/r/mine/s/{second}")).await;
    assert!(folder.text().contains(&format!("value=\"folder:{second}:letters/\"")), "{}", folder.text());
    let found = stand.page("/r/mine/find?name=gone").await;
    assert!(found.text().contains(&format!("value=\"entry:{first}:gone\"")), "{}", found.text());
    let file = stand.page(&format!("/r/mine/s/{second}/file?key=same")).await;
    assert!(file.text().contains(&format!("value=\"entry:{second}:same\"")), "{}", file.text());

    let added = stand.pick(&[Pick::folder(&second, b"letters/"), Pick::entry(&first, b"gone")]).await;
    assert_eq!(
        (added.status, added.header("location")),
        (StatusCode::SEE_OTHER, "/r/mine/restore"),
        "{}",
        added.text()
    );
    let basket = stand.page("/r/mine/restore").await;
    assert!(basket.text().contains("<strong>3 entries, 21 B</strong> in all"), "{}", basket.text());
    assert!(basket.text().contains(&format!("credenza at @mine restore {second}:letters/ --to FOLDER --dry-run")));
    assert!(stand.page("/r/mine").await.text().contains("To restore: 2 items"));

    let target = stand.folder.path().join("target");
    fs::create_dir_all(target.join("letters")).unwrap();
    fs::write(target.join("letters/a.txt"), "somebody's own").unwrap();
    let form = |overwrite: &str| format!("to={}&overwrite={overwrite}", encode(target.to_str().unwrap().as_bytes()));
    let (preview, path) = stand.run("/r/mine/restore/preview", &form("no")).await;
    assert_eq!(
        (number(&preview, "New"), number(&preview, "Overwritten"), number(&preview, "Skipped")),
        ("2".into(), "0".into(), "1".into())
    );
    for said in [
        "Preview of a restore to ",
        "Would restore 2 entries, 15 B, to ",
        "1 entries differ from the snapshot and were left: letters/a.txt.",
        "<bdi>skipped</bdi>",
        "<bdi>new</bdi>",
    ] {
        assert!(preview.text().contains(said), "{said}: {}", preview.text());
    }
    assert_eq!(files(&target).len(), 1, "a preview writes nothing");
    assert!(spent(&preview, "Repository").contains(" get"), "{}", preview.text());
    assert!(spent(&preview, "Destination").contains(" up, "), "{}", preview.text());

    // Nothing is replaced, so that nobody is asked again.
    let (done, _) = stand.run(&format!("{path}/apply"), "").await;
    assert!(
        done.text().contains("<strong>Incomplete.</strong>") && done.text().contains("Restored 2 entries"),
        "{}",
        done.text()
    );
    let expected = |a: &[u8]| {
        BTreeMap::from([
            ("letters/a.txt".to_owned(), a.to_vec()),
            ("letters/b.txt".to_owned(), b"dear b".to_vec()),
            ("gone".to_owned(), b"only here".to_vec()),
        ])
    };
    assert_eq!(files(&target), expected(b"somebody's own"));

    let (preview, path) = stand.run("/r/mine/restore/preview", &form("always")).await;
    assert_eq!(
        (number(&preview, "Overwritten"), number(&preview, "Identical")),
        ("1".into(), "2".into()),
        "{}",
        preview.text()
    );
    let asked = stand.form(&format!("{path}/apply"), "").await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.text());
    assert!(
        asked.text().contains("type its name: <code>mine</code>")
            && asked.text().contains("are replaced by what the snapshots have"),
        "{}",
        asked.text()
    );
    assert_eq!(stand.form(&format!("{path}/apply"), "confirm=other").await.status, StatusCode::FORBIDDEN);
    assert_eq!(files(&target), expected(b"somebody's own"));
    let (done, _) = stand.run(&format!("{path}/apply"), "confirm=mine").await;
    assert!(done.text().contains("<strong>Done.</strong>"), "{}", done.text());
    assert_eq!(files(&target), expected(b"dear a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_preview_offers_is_done_once() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let id = stand.backup("mine", &[(b"a", b"1")]).await;
    stand.pick(&[Pick::folder(&id, b"")]).await;
    let target = stand.folder.path().join("target");
    let form = format!("to={}&overwrite=always", encode(target.to_str().unwrap().as_bytes()));
    let (_, path) = stand.run("/r/mine/restore/preview", &form).await;
    let (done, did) = stand.run(&format!("{path}/apply"), "confirm=mine").await;
    assert!(done.text().contains("<strong>Done.</strong>"), "{}", done.text());
    fs::write(target.join("a"), "written since").unwrap();
    let again = stand.form(&format!("{path}/apply"), "confirm=mine").await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text());
    assert!(again.text().contains("This was begun already"), "{}", again.text());
    assert_eq!(again.link("/run/"), did);
    assert_eq!(files(&target), BTreeMap::from([("a".to_owned(), b"written since".to_vec())]));
    let offered = stand.page(&path).await;
    assert!(offered.text().contains("how it went") && !offered.text().contains("/apply\""), "{}", offered.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_keys_go_into_the_basket_and_come_back_byte_by_byte() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let keys: [&[u8]; 9] =
        [b"..", b"../x", b"a", b"a/", b"a/b", b"\xff\xfe", b"n\nl", "gpj\u{202e}exe".as_bytes(), b"<b>\"'&"];
    let contents: Vec<(&[u8], Vec<u8>)> = keys.iter().map(|key| (*key, [b"of ", *key].concat())).collect();
    let contents: Vec<(&[u8], &[u8])> = contents.iter().map(|(key, bytes)| (*key, bytes.as_slice())).collect();
    let id = stand.backup("mine", &contents).await;
    for key in keys {
        let added = stand.pick(&[Pick::entry(&id, key)]).await;
        assert_eq!(added.status, StatusCode::SEE_OTHER, "{key:?}: {}", added.text());
    }
    let basket = stand.page("/r/mine/restore").await;
    assert!(basket.text().contains("9 entries") && !basket.text().contains('\u{202e}'), "{}", basket.text());
    let target = stand.folder.path().join("target");
    let (preview, path) =
        stand.run("/r/mine/restore/preview", &format!("to={}", encode(target.to_str().unwrap().as_bytes()))).await;
    assert_eq!(number(&preview, "New"), "9", "{}", preview.text());
    let (done, _) = stand.run(&format!("{path}/apply"), "").await;
    // What a folder cannot be called is written under another name, and that is said.
    assert!(done.text().contains("name (restored as `%~%2E%2E`)"), "{}", done.text());
    let restored: Vec<Vec<u8>> = files(&target).into_values().collect();
    assert_eq!(restored.len(), keys.len(), "{:?}", files(&target).keys());
    for (key, bytes) in contents {
        assert!(restored.iter().any(|other| other == bytes), "{key:?} of {:?}", files(&target).keys());
    }
    assert!(!stand.folder.path().join("x").exists(), "nothing is written beside the target");

    // The object `a` alone, beside the folder of its name.
    stand.form("/r/mine/restore/clear", "").await;
    stand.pick(&[Pick::entry(&id, b"a")]).await;
    let alone = stand.folder.path().join("alone");
    let (_, path) =
        stand.run("/r/mine/restore/preview", &format!("to={}", encode(alone.to_str().unwrap().as_bytes()))).await;
    stand.run(&format!("{path}/apply"), "").await;
    assert_eq!(files(&alone), BTreeMap::from([("a".to_owned(), b"of a".to_vec())]));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_one_file_in_two_snapshots_have_the_content_that_each_had() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let source = stand.folder.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("a"), "of monday").unwrap();
    fs::hard_link(source.join("a"), source.join("b")).unwrap();
    let of_folder = || Arc::new(FileSource::new(&source).unwrap());
    let monday = stand.backup_of("mine", Secret::None, of_folder()).await;
    // The same file, by both of its names, and later.
    fs::write(source.join("a"), "of tuesday, longer").unwrap();
    let tuesday = stand.backup_of("mine", Secret::None, of_folder()).await;
    stand.pick(&[Pick::entry(&monday, b"a"), Pick::entry(&tuesday, b"b")]).await;
    let target = stand.folder.path().join("target");
    let (_, path) =
        stand.run("/r/mine/restore/preview", &format!("to={}", encode(target.to_str().unwrap().as_bytes()))).await;
    stand.run(&format!("{path}/apply"), "").await;
    let expected = [("a", "of monday"), ("b", "of tuesday, longer")];
    assert_eq!(files(&target), expected.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_with_credentials_is_refused_and_noted_nowhere() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let id = stand.backup("mine", &[(b"a", b"1")]).await;
    stand.pick(&[Pick::entry(&id, b"a")]).await;
    let to = encode(b"s3://AKIA:hunter2@example.com/bucket");
    let refused = stand.form("/r/mine/restore/preview", &format!("to={to}")).await;
    assert!(refused.status.is_client_error() && !refused.text().contains("hunter2"), "{}", refused.text());
    for page in ["/activity", "/r/mine"] {
        assert!(!stand.page(page).await.text().contains("hunter2"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_picked_is_downloaded_as_one_archive() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let first = stand.backup("mine", &[(b"f/old", b"content of old")]).await;
    let second = stand.backup("mine", &[(b"f/new", b"content of new"), (b"other", b"content of other")]).await;
    assert_eq!(stand.get("/r/mine/restore/archive?format=zip").await.status, StatusCode::NOT_FOUND);
    stand.pick(&[Pick::entry(&first, b"f/old"), Pick::entry(&second, b"f/new")]).await;
    let tar = stand.page("/r/mine/restore/archive?format=tar").await;
    let has = |text: &str| tar.body.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("content of old") && has("content of new") && !has("content of other"));
    assert!(tar.header("content-disposition").contains("restored.tar"));
    assert!(stand.page("/r/mine/restore/archive?format=zip").await.body.starts_with(b"PK"));
    // Whatever leaves is on the log.
    stand.page(&format!("/r/mine/s/{second}/download?key=other")).await;
    stand.page(&format!("/r/mine/s/{second}/archive?key=f/&format=zip")).await;
    let activity = stand.page("/activity").await;
    for said in ["Download of what was picked", "Download of other", "Download of f/ of snapshot"] {
        assert!(activity.text().contains(said), "{said}: {}", activity.text());
    }
}

#[tokio::test]
async fn a_basket_is_of_one_session_refuses_what_meets_and_names_its_limits() {
    let mut stand = Stand::new(Limits { rows: 2, ..patient() });
    stand.enter().await;
    stand.repository("mine", Secret::None).await;
    let first = stand.backup("mine", &[(b"f/a", b"1")]).await;
    let second = stand.backup("mine", &[(b"f/a", b"2")]).await;
    stand.pick(&[Pick::entry(&first, b"f/a")]).await;
    let met = stand.pick(&[Pick::folder(&second, b"f/")]).await;
    assert_eq!(met.status, StatusCode::CONFLICT);
    assert!(
        met.text().contains("would go to the same path") && met.links().contains(&"/r/mine/restore".to_owned()),
        "{}",
        met.text()
    );
    assert_eq!(stand.pick(&[Pick::entry(&first, b"none")]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stand.pick(&[Pick::entry("00ff", b"f/a")]).await.status, StatusCode::NOT_FOUND);
    for wrong in ["", "item=", "item=entry", "item=x:y:z"] {
        assert_eq!(stand.form("/r/mine/restore/add", wrong).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    for wrong in ["to=", "to=relative/folder", "to=s3"] {
        let refused = stand.form("/r/mine/restore/preview", wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}: {}", refused.text());
    }
    let word = encode(Pick::entry(&first, b"f/a").word().as_bytes());
    assert!(stand.page("/r/mine/restore").await.text().contains("1 entry, 1 B"));
    // Another browser has a basket of its own.
    let own = stand.cookie.take();
    stand.enter().await;
    assert!(stand.page("/r/mine/restore").await.text().contains("Nothing is picked yet"));
    stand.cookie = own;
    stand.form("/r/mine/restore/take", &format!("item={word}")).await;
    assert!(stand.page("/r/mine/restore").await.text().contains("Nothing is picked yet"));
    assert_eq!(stand.form("/r/mine/restore/preview", "to=/tmp/x").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_is_planned_with_reasons_and_removes_what_was_agreed_to_and_nothing_else() {
    let stand = Stand::entered().await;
    let secret = Secret::Passphrase(PASSPHRASE.as_bytes().to_vec().into());
    stand.repository("mine", secret.clone()).await;
    let unlocked = stand.form("/r/mine/unlock", &format!("passphrase={}", encode(PASSPHRASE.as_bytes()))).await;
    assert_eq!(unlocked.status, StatusCode::SEE_OTHER, "{}", unlocked.text());
    let old = stand.backup_with("mine", secret.clone(), &[(b"a", b"1")]).await;
    stand.backup_with("mine", secret.clone(), &[(b"a", b"2")]).await;
    assert!(stand.page("/activity").await.text().contains("Opened by a passphrase"));
    let (failed, _) = stand.run("/r/mine/run", "what=prune").await;
    assert!(failed.text().contains("nothing says which snapshots to keep"), "{}", failed.text());
    for wrong in ["keep_last=x", "keep_last=0", "keep_daily=-1"] {
        assert_eq!(
            stand.form("/r/mine/run", &format!("what=prune&{wrong}")).await.status,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
    let (plan, path) = stand.run("/r/mine/run", "what=prune&keep_last=1").await;
    for said in [
        "1 snapshot would be kept, 1 snapshot removed.",
        "Remove 1 snapshot, frees ",
        "<bdi>last</bdi>",
        "<bdi>no rule keeps it</bdi>",
        "credenza at @mine prune --keep-last 1",
    ] {
        assert!(plan.text().contains(said), "{said}: {}", plan.text());
    }
    let asked = stand.form(&format!("{path}/apply"), "").await;
    assert!(
        asked.text().contains("type=\"password\"") && asked.text().contains("Nothing brings it back."),
        "{}",
        asked.text()
    );
    assert_eq!(stand.form(&format!("{path}/apply"), "confirm=wrong").await.status, StatusCode::FORBIDDEN);
    // What came since would go as well, and nobody has agreed to that.
    stand.backup_with("mine", secret, &[(b"a", b"3")]).await;
    let confirm = format!("confirm={}", encode(PASSPHRASE.as_bytes()));
    let (refused, _) = stand.run(&format!("{path}/apply"), &confirm).await;
    assert!(
        refused.text().contains("1 other snapshot would go that the plan did not name: nothing was removed"),
        "{}",
        refused.text()
    );
    let (_, path) = stand.run("/r/mine/run", "what=prune&keep_last=1").await;
    let (done, _) = stand.run(&format!("{path}/apply"), &confirm).await;
    assert_eq!((number(&done, "Kept"), number(&done, "Removed")), ("1".into(), "2".into()), "{}", done.text());
    let left = stand.page("/r/mine").await;
    assert!(left.text().contains("1 snapshot, newest first") && !left.text().contains(&old), "{}", left.text());
    let (plan, path) = stand.run("/r/mine/run", "what=maintain").await;
    assert!(spent(&plan, "Repository").contains(" list"), "{}", plan.text());
    assert!(
        plan.text().contains("Maintain now</button>") && plan.text().contains("maintain --dry-run"),
        "{}",
        plan.text()
    );
    let (done, _) = stand.run(&format!("{path}/apply"), "").await;
    assert!(
        done.text().contains("<strong>Done.</strong>") && done.text().contains("<dt>Condemned</dt>"),
        "{}",
        done.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_a_key_file_has_opened_asks_for_its_passphrase_all_the_same() {
    let stand = Stand::entered().await;
    let secret = Secret::Passphrase(PASSPHRASE.as_bytes().to_vec().into());
    stand.repository("mine", secret.clone()).await;
    let place = stand.app.place(Kind::Repository, "@mine".as_ref(), Settings::new()).unwrap();
    let options = OpenOptions { purpose: StoreUse::Write, secret, accept_plaintext: false };
    let open = stand.app.open_repository(place, options).await.unwrap();
    let key_file = || Zeroizing::new(vec![7_u8; 64]);
    open.repository.add_slot(&SlotLock::KeyFile(key_file()), Access::Full, "file").await.unwrap();
    stand.site.repositories.unlock("mine", Secret::KeyFile(key_file())).await.unwrap();
    let remove = "what=remove&snapshot=none";
    let asked = stand.form("/r/mine/run", remove).await;
    assert!(asked.text().contains("type the passphrase of the repository again"), "{}", asked.text());
    for wrong in ["mine", "wrong"] {
        let refused = stand.form("/r/mine/run", &format!("{remove}&confirm={wrong}")).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{wrong}");
    }
    assert_eq!(stand.page("/activity").await.text().matches("Wrong passphrase").count(), 2, "what was typed wrong");
    let confirm = encode(PASSPHRASE.as_bytes());
    let begun = stand.form("/r/mine/run", &format!("{remove}&confirm={confirm}")).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_carried_to_another_repository_after_a_plan() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    stand.repository("copy", Secret::None).await;
    let id = stand.backup("mine", &[(b"a", b"1")]).await;
    let (plan, path) = stand.run("/r/mine/run", "what=sync&other=copy&direction=to").await;
    for said in [
        "1 snapshot would be carried, 0 there already",
        "credenza at @mine sync to @copy",
        id.get(..8).unwrap(),
        "What it would spend, where chunks go over as they are stored",
        "none: it is a folder of this machine",
    ] {
        assert!(plan.text().contains(said), "{said}: {}", plan.text());
    }
    let (done, _) = stand.run(&format!("{path}/apply"), "").await;
    assert_eq!(number(&done, "Carried"), "1", "{}", done.text());
    assert!(stand.page("/r/copy").await.text().contains(&id));
    let (again, path) = stand.run("/r/copy/run", "what=sync&other=mine&direction=from").await;
    assert!(again.text().contains("0 snapshots would be carried, 1 there already"), "{}", again.text());
    assert!(!again.text().contains("would spend"), "{}", again.text());
    assert_eq!(stand.form(&format!("{path}/apply"), "").await.status, StatusCode::CONFLICT);
    assert_eq!(stand.form("/r/mine/run", "what=sync&other=mine").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_is_planned_and_done() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    stand.backup("mine", &[(b"a", b"1")]).await;
    let (plan, path) = stand.run("/r/mine/run", "what=repair").await;
    assert!(plan.text().contains("Nothing to mend; nothing is lost."), "{}", plan.text());
    assert_eq!(stand.form(&format!("{path}/apply"), "").await.status, StatusCode::CONFLICT);
    let usage = super::pages::walk(&stand.folder.path().join("mine/usage"));
    fs::write(usage.first().unwrap(), b"no usage list").unwrap();
    let (plan, path) = stand.run("/r/mine/run", "what=repair").await;
    assert!(
        plan.text().contains("1 repair would be done") && plan.text().contains("Do 1 repair</button>"),
        "{}",
        plan.text()
    );
    let (done, _) = stand.run(&format!("{path}/apply"), "confirm=mine").await;
    assert!(done.text().contains("<strong>Done.</strong>") && done.text().contains("1 repair done"), "{}", done.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_gets_and_loses_tags_and_is_removed_after_a_question() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let id = stand.backup("mine", &[(b"a", b"1")]).await;
    let about = format!("/r/mine/s/{id}/about");
    let tag = encode("<i>\u{202e}kept".as_bytes());
    let (done, _) = stand.run("/r/mine/run", &format!("what=tag&snapshot={id}&tag={tag}")).await;
    assert!(done.text().contains("Its tags are now: &#60;i&#62;\\u{202e}kept."), "{}", done.text());
    let page = stand.page(&about).await;
    for line in [
        format!("mkdir -p ~/look &amp;&amp; credenza at @mine mount ~/look {id}").replace("&amp;", "&#38;"),
        format!("credenza at @mine serve s3 {id}"),
        format!("credenza at @mine serve webdav {id}"),
        format!("credenza at @mine serve http {id}"),
    ] {
        assert!(page.text().contains(&format!("<code>{line}</code>")), "{line}: {}", page.text());
    }
    assert!(
        page.text().contains("&#60;i&#62;\\u{202e}kept</bdi>") && page.text().contains("<dt>Machine</dt>"),
        "{}",
        page.text()
    );
    let asked = stand.form("/r/mine/run", &format!("what=untag&snapshot={id}&tag={tag}")).await;
    assert!(asked.text().contains("the next prune removes it"), "{}", asked.text());
    let (done, _) = stand.run("/r/mine/run", &format!("what=untag&snapshot={id}&tag={tag}&confirm=mine")).await;
    assert!(done.text().contains("It has no tag now."), "{}", done.text());
    let asked = stand.form("/r/mine/run", &format!("what=remove&snapshot={id}")).await;
    assert!(asked.text().contains("Nothing brings the snapshot back."), "{}", asked.text());
    assert_eq!(stand.page(&about).await.status, StatusCode::OK);
    let (done, _) = stand.run("/r/mine/run", &format!("what=remove&snapshot={id}&confirm=mine")).await;
    assert!(done.text().contains("is removed"), "{}", done.text());
    assert!(stand.page("/r/mine").await.text().contains("no snapshot yet"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_activity_says_who_did_what_from_where_and_how_it_ended_also_after_a_restart() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    assert!(stand.page("/activity").await.text().contains("Entered by a link"));
    stand.run("/r/mine/run", "what=check").await;
    stand.run("/r/mine/run", "what=backup&source=none").await;
    let log = stand.folder.path().join("state/activity.jsonl");
    let told = fs::read_to_string(&log).unwrap_or_default().matches("\"result\"").count();
    assert_eq!(told, 3, "what has ended is on the log, the way in too");
    let again = stand.again().await;
    let page = again.page("/activity").await;
    for said in [
        "Check of the structure",
        "<strong>Done</strong>",
        "no damage found",
        "Backup of none",
        "<strong>Failed</strong>",
        "href=\"/r/mine\"",
    ] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    let user = credenza_app::environment::user_name();
    assert!(page.text().contains(&format!("<td>{user}</td>")), "{}", page.text());
    assert!(!fs::read_to_string(&log).unwrap().contains(&stand.token().await), "no token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_cancelled_or_lacks_its_place_says_so() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let id = stand.backup("mine", &[(b"a", b"1")]).await;
    stand.pick(&[Pick::folder(&id, b"")]).await;
    let (failed, path) = stand.run("/r/mine/restore/preview", "to=none://host/bucket").await;
    assert!(failed.text().contains("<strong>Failed.</strong>") && failed.text().contains("none"), "{}", failed.text());
    assert_eq!(stand.form(&format!("{path}/apply"), "").await.status, StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_removal_and_reading_again_are_previewed_and_done_and_removal_asks_again() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let source = stand.folder.path().join("source");
    let write = |path: &str, text: &str| {
        fs::create_dir_all(source.join(path).parent().unwrap()).unwrap();
        fs::write(source.join(path), text).unwrap();
    };
    let of_folder = || Arc::new(FileSource::new(&source).unwrap());
    [("old/a.txt", "old a"), ("old/a.raw", "raw")].iter().for_each(|(path, text)| write(path, text));
    let first = stand.backup_of("mine", Secret::None, of_folder()).await;
    fs::remove_dir_all(source.join("old")).unwrap();
    [("new/b.txt", "new b"), ("new/b.tmp", "tmp")].iter().for_each(|(path, text)| write(path, text));
    let second = stand.backup_of("mine", Secret::None, of_folder()).await;
    stand.pick(&[Pick::folder(&first, b"old/"), Pick::folder(&second, b"new/")]).await;
    let target = stand.folder.path().join("target");
    for (path, text) in [("old/extra.txt", "goes"), ("beside", "stays")] {
        fs::create_dir_all(target.join(path).parent().unwrap()).unwrap();
        fs::write(target.join(path), text).unwrap();
    }
    let to = encode(target.to_str().unwrap().as_bytes());
    let refused = stand.form("/r/mine/restore/preview", &format!("to={to}&include=%5Bz-a%5D")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().contains("One of the patterns is none"), "{}", refused.text());
    // What matches in one of the snapshots alone is no wish that failed.
    let form = format!("to={to}&include=*.txt%0D%0A*.raw&exclude=*.raw&delete=1&force=1&verify=1");
    let (preview, path) = stand.run("/r/mine/restore/preview", &form).await;
    assert_eq!(number(&preview, "Removed"), "1", "{}", preview.text());
    for said in [
        "--include &#39;*.txt&#39; --include &#39;*.raw&#39; --exclude &#39;*.raw&#39; --delete --force --dry-run",
        "removed, as it is not in the snapshot",
        "1 entry in ",
        "that the snapshots do not have are removed.",
    ] {
        assert!(preview.text().contains(said), "{said}: {}", preview.text());
    }
    let asked = stand.form(&format!("{path}/apply"), "").await;
    assert!(asked.text().contains("type its name: <code>mine</code>"), "{}", asked.text());
    let (done, _) = stand.run(&format!("{path}/apply"), "confirm=mine").await;
    assert_eq!((number(&done, "Removed"), number(&done, "Read again")), ("1".into(), "2".into()), "{}", done.text());
    let expected = [("old/a.txt", "old a"), ("new/b.txt", "new b"), ("beside", "stays")];
    assert_eq!(files(&target), expected.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).into());
    let (nothing, _) = stand.run("/r/mine/restore/preview", &format!("to={to}&include=*.nowhere")).await;
    assert!(nothing.text().contains("<strong>Failed.</strong>") && nothing.text().contains("*.nowhere"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_kept_after_a_question_and_each_snapshot_says_which_rule_keeps_it_and_until_when() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    for number in 0..3 {
        stand.backup("mine", &[(b"a", &[number])]).await;
    }
    assert!(!stand.page("/r/mine").await.text().contains(">Kept</th>"), "without a policy nothing is said of it");
    let nothing = stand.form("/r/mine/run", "what=policy").await;
    assert_eq!(nothing.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(nothing.text().contains("credenza policy clear"), "{}", nothing.text());
    let form = "what=policy&keep_last=2&keep_within=&keep_tag=before%20the%20move%0D%0A";
    let asked = stand.form("/r/mine/run", form).await;
    assert!(asked.text().contains("The next prune of any machine goes by it"), "{}", asked.text());
    let (done, _) = stand.run("/r/mine/run", &format!("{form}&confirm=mine")).await;
    assert!(
        done.text().contains("credenza at @mine policy set --keep-last 2 --keep-tag &#39;before the move&#39;"),
        "{}",
        done.text()
    );
    let page = stand.page("/r/mine").await;
    for said in [
        "<td>last; until 2 newer ones are made</td>",
        "<td>last; until a newer one is made</td>",
        "<td>by no rule: the next prune removes it</td>",
    ] {
        assert!(page.text().contains(said), "{said}: {}", page.text());
    }
    let care = stand.page("/r/mine/care").await;
    assert!(care.text().contains("--keep-last 2 --keep-tag &#39;before the move&#39;</code>"), "{}", care.text());
    let wrong = stand.form("/r/mine/run", "what=prune&keep_within=soon").await;
    assert!(wrong.text().contains("it begins with no number"), "{}", wrong.text());
    let (plan, _) = stand.run("/r/mine/run", "what=prune&keep_within=30d").await;
    assert!(plan.text().contains("prune --keep-within 720h") && plan.text().contains("<bdi>within</bdi>"));
    assert_eq!(number(&plan, "Removed"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_judges_and_removes_what_the_filter_lets_through_alone() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let first = stand.backup("mine", &[(b"a", b"1")]).await;
    stand.backup("mine", &[(b"a", b"2")]).await;
    stand.run("/r/mine/run", &format!("what=tag&snapshot={first}&tag=old")).await;
    assert!(stand.page("/r/mine/care").await.text().contains("<option value=\"old\">old</option>"));
    let (plan, path) = stand.run("/r/mine/run", "what=prune&keep_yearly=1&tag=old").await;
    assert_eq!((number(&plan, "Kept"), number(&plan, "Removed")), ("1".into(), "0".into()), "{}", plan.text());
    assert!(plan.text().contains("prune --keep-yearly 1 --tag old"), "{}", plan.text());
    assert_eq!(stand.form(&format!("{path}/apply"), "").await.status, StatusCode::CONFLICT, "nothing to be done");
    let (plan, _) = stand.run("/r/mine/run", "what=prune&keep_yearly=1&host=nobody").await;
    assert_eq!((number(&plan, "Kept"), number(&plan, "Removed")), ("0".into(), "0".into()), "{}", plan.text());
    let (plan, _) = stand.run("/r/mine/run", "what=prune&keep_yearly=1&source=memory").await;
    assert_eq!((number(&plan, "Kept"), number(&plan, "Removed")), ("1".into(), "1".into()), "{}", plan.text());
}
