//! The first run with nothing but the page: a repository, a source, a backup, and something back; and the connectors at hand.

use std::fs;

use http::StatusCode;

use super::{PASSPHRASE, Page, Stand};
use crate::form::encode;

/// A form of a page with what a person has filled in.
async fn fill(stand: &Stand, path: &str, values: &[(&str, &str)]) -> Page {
    let values = values.iter().map(|(name, value)| format!("&{name}={}", encode(value.as_bytes())));
    let form = format!("token={}{}", stand.token().await, values.collect::<String>());
    stand.post(path, &form).await
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_empty_configuration_to_a_file_that_came_back_with_nothing_but_the_page() {
    let stand = Stand::entered().await;
    let folder = |name: &str| stand.folder.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(folder("home")).unwrap();
    fs::write(format!("{}/letter.txt", folder("home")), "dear a").unwrap();

    let offers = stand.page(&stand.page("/").await.link("/new/repository")).await;
    let form = stand.page(&offers.link("/new/repository/file")).await;
    assert!(form.text().contains("name=\"setting.location\"") && form.text().contains("required"), "{}", form.text());
    fs::create_dir(folder("disk")).unwrap();
    let added = fill(&stand, "/new/repository/file", &[("name", "mine"), ("setting.location", &folder("disk"))]).await;
    assert_eq!(
        (added.status, added.header("location")),
        (StatusCode::SEE_OTHER, "/place/repository/mine"),
        "{}",
        added.text()
    );
    let place = stand.page("/place/repository/mine").await;
    assert!(
        place.text().contains(&folder("disk")) && place.text().contains("credenza repository check mine"),
        "{}",
        place.text()
    );

    let checked = fill(&stand, "/place/repository/mine/check", &[]).await;
    assert_eq!(checked.status, StatusCode::OK);
    for found in ["small objects were written", "works", "Make a repository there"] {
        assert!(checked.text().contains(found), "{found}: {}", checked.text());
    }
    let create = checked.link("/place/repository/mine/create");
    for (first, second, why) in
        [("short", "short", "too weak"), (PASSPHRASE, "another, quite another", "differ"), ("", "", "too weak")]
    {
        let refused = fill(&stand, &create, &[("passphrase", first), ("again", second)]).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.text().contains(why) && !refused.text().contains(PASSPHRASE), "{why}: {}", refused.text());
    }
    let made = fill(&stand, &create, &[("passphrase", PASSPHRASE), ("again", PASSPHRASE), ("keep", "1")]).await;
    assert_eq!((made.status, made.header("location")), (StatusCode::SEE_OTHER, "/r/mine"), "{}", made.text());
    let place = stand.page("/place/repository/mine").await;
    assert!(place.text().contains("set, and not shown") && !place.text().contains(PASSPHRASE), "{}", place.text());
    assert!(fs::read_to_string(stand.folder.path().join("config/config.toml")).unwrap().contains(PASSPHRASE));

    let source = stand.page("/r/mine").await.link("/new/source");
    let form = stand.page(&stand.page(&source).await.link("/new/source/file")).await;
    assert!(form.text().contains("action=\"/new/source/file\""), "{}", form.text());
    let added = fill(&stand, "/new/source/file", &[("name", "home"), ("setting.location", &folder("home"))]).await;
    assert_eq!(added.header("location"), "/place/source/home", "{}", added.text());
    assert_eq!(fill(&stand, "/place/source/home/check", &[]).await.status, StatusCode::OK);
    let run = fill(&stand, "/r/mine/run", &[("what", "backup"), ("source", "home")]).await;
    assert_eq!(run.status, StatusCode::SEE_OTHER, "{}", run.text());
    // Its events end with it.
    stand.page(&format!("{}/events", run.header("location"))).await;
    let snapshot = stand.page("/r/mine").await.link("/s/");
    let file = stand.page(&stand.page(&snapshot).await.link("/file?key=letter.txt")).await;
    assert_eq!(stand.page(&file.link("/download?")).await.body, "dear a");
    let activity = stand.page("/activity").await;
    for said in ["The repository mine was added", "The repository is made", "The source home was added"] {
        assert!(activity.text().contains(said), "{said}: {}", activity.text());
    }
}

#[tokio::test]
async fn what_cannot_be_kept_is_said_nothing_is_written_and_secrets_never_come_back() {
    let stand = Stand::entered().await;
    let path = stand.folder.path().join("d").to_str().unwrap().to_owned();
    for (values, why) in [
        (&[("name", ""), ("setting.location", path.as_str())][..], "is no name for a repository"),
        (&[("name", "../x"), ("setting.location", &path)], "is no name for a repository"),
        (&[("name", "a")], "`location` is needed"),
        (&[("name", "a"), ("setting.location", "s3://me:hunter2@example.com/b")], "credentials"),
        (
            &[("name", "a"), ("setting.location", &path), ("setting.passphrase_cmd", "touch /tmp/x")],
            "there is no setting",
        ),
        (&[("name", "a"), ("setting.location", &path), ("setting.connector", "/tmp/x.wasm")], "there is no setting"),
        (&[("name", "a"), ("setting.location", "@a")], "is a name"),
    ] {
        let page = fill(&stand, "/new/repository/file", values).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{values:?}");
        assert!(page.text().contains(why), "{values:?}: {}", page.text());
        assert!(stand.page("/").await.text().contains("No repository is in the configuration yet."), "{values:?}");
    }
    assert_eq!(
        fill(&stand, "/new/repository/file", &[("name", "a"), ("setting.location", &path)]).await.status,
        StatusCode::SEE_OTHER
    );
    let again = fill(&stand, "/new/repository/file", &[("name", "a"), ("setting.location", &path)]).await;
    assert!(again.text().contains("there is a repository `a` in the configuration already"), "{}", again.text());
    for nowhere in ["/new/none", "/new/repository/none", "/place/none/a", "/place/source/a"] {
        assert_eq!(stand.get(nowhere).await.status, StatusCode::NOT_FOUND, "{nowhere}");
    }
    // Where there is a connector with secrets, its form asks for them hidden, and what was typed does not come back.
    for offer in stand.page("/new/repository").await.links().iter().filter(|link| link.starts_with("/new/repository/"))
    {
        let secrets = |page: &Page| page.text().matches("type=\"password\"").count();
        let form = stand.page(offer).await;
        let name = form
            .text()
            .split("type=\"password\"")
            .next()
            .unwrap()
            .rsplit("name=\"")
            .next()
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned();
        if secrets(&form) == 0 {
            continue;
        }
        let page = fill(&stand, offer, &[("name", ""), (&name, "hunter2hunter2")]).await;
        assert_eq!((page.status, secrets(&page)), (StatusCode::UNPROCESSABLE_ENTITY, secrets(&form)), "{offer}");
        assert!(!page.text().contains("hunter2"), "{offer}");
    }
}

#[tokio::test]
async fn connectors_are_shown_with_their_digest_publisher_and_grant_and_nothing_is_installed() {
    let stand = Stand::entered().await;
    let page = stand.page("/connectors").await;
    let at_hand: Vec<_> = stand.app.connectors().all().unwrap().into_iter().flatten().collect();
    for component in &at_hand {
        assert!(page.text().contains(&component.sha256()), "{}", page.text());
    }
    assert_eq!(page.text().matches("What it may do").count(), at_hand.len());
    assert_eq!(page.text().matches("part of this program").count(), at_hand.len());
    assert_eq!(page.text().matches("<form").count(), 1, "to leave, and no other");
}

/// A component of nothing but a manifest whose every text is hostile.
fn hostile() -> Vec<u8> {
    let text = "<script>alert(1)</script>\\u202e\\u001b[2J\\\"onload=x";
    let manifest = format!(
        "name = \"shop\"\nversion = \"1.0.0\"\nsummary = \"{text}\"\nlicence = \"{text}\"\napi = \"0.1\"\nroles = [\"store\"]\nschemes = [\"shop\"]\nlocation = [\"bucket\"]\n\
         [settings.bucket]\ntype = \"string\"\nrequired = true\nhelp = \"{text}\"\nexamples = [\"{text}\"]\n\
         [settings.mode]\ntype = \"enum\"\nvalues = [\"{text}\"]\nhelp = \"{text}\"\n\
         [secrets.key]\nhelp = \"{text}\"\n\
         [endpoints.api]\nurl = \"https://{{bucket}}.example.com\"\n[endpoints.api.allow]\nstore = [\"GET /*\"]\n"
    );
    let section = [b"\x11credenza:manifest", manifest.as_bytes()].concat();
    let length = [section.len() as u8 | 0x80, (section.len() >> 7) as u8 | 0x80, (section.len() >> 14) as u8];
    [b"\0asm\x0d\0\x01\0\0".as_slice(), &length, &section].concat()
}

#[tokio::test]
async fn hostile_texts_of_a_manifest_are_shown_and_never_run() {
    let stand = Stand::entered().await;
    let folder = stand.folder.path().join("config/connectors");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("shop.wasm"), hostile()).unwrap();
    let page = stand.page("/connectors").await;
    assert!(
        page.text().contains("Files that nobody has agreed to") && page.text().contains("shop.wasm"),
        "{}",
        page.text()
    );
    // Agreed to, as `credenza connector install` writes it.
    let component = stand.app.connectors().named(folder.join("shop.wasm").to_str().unwrap()).unwrap();
    let granted = component.grant().unwrap();
    let lines: Vec<String> = granted.kept().iter().map(|line| format!("'''{line}'''")).collect();
    let (sha256, grant) = (component.sha256(), credenza_format::Hex(granted.hash()));
    let lock = format!(
        "[shop]\nversion = '1'\nsha256 = '{sha256}'\nfrom = 'x'\ngrant = '{grant}'\ngranted = [{}]\n",
        lines.join(",")
    );
    fs::write(stand.folder.path().join("config/connectors.lock"), lock).unwrap();
    fs::rename(folder.join("shop.wasm"), folder.join(format!("shop-{}.wasm", &sha256[..16]))).unwrap();
    for path in ["/connectors", "/new/repository", "/new/repository/shop"] {
        let page = stand.page(path).await;
        assert!(page.text().contains("&#60;script&#62;alert(1)"), "{path}: {}", page.text());
        for banned in ["<script>", "\u{202e}", "\u{1b}", "\"onload", "javascript:"] {
            assert!(!page.text().contains(banned), "{banned:?} in {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_place_is_given_other_settings_and_what_was_open_is_reached_by_them() {
    let stand = Stand::entered().await;
    stand.repository("mine", credenza_engine::Secret::None).await;
    stand.backup("mine", &[(b"a", b"1")]).await;
    assert!(stand.page("/r/mine").await.text().contains("1 snapshot, newest first"));
    let there = stand.folder.path().join("there").to_str().unwrap().to_owned();
    let here = stand.folder.path().join("mine").to_str().unwrap().to_owned();
    let settings = stand.page("/place/repository/mine").await.link("/settings");
    let form = stand.page(&settings).await;
    assert!(
        form.text().contains(&format!("value=\"{here}\"")) && !form.text().contains("id=\"name\""),
        "{}",
        form.text()
    );
    let refused = fill(&stand, &settings, &[]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().contains("Nothing was kept: `location` is needed"), "{}", refused.text());
    let kept = fill(&stand, &settings, &[("setting.location", &there)]).await;
    assert_eq!((kept.status, kept.header("location")), (StatusCode::SEE_OTHER, "/place/repository/mine"));
    assert!(stand.get("/r/mine").await.text().contains("no repository in"), "the one from before is no longer shown");
    fill(&stand, &settings, &[("setting.location", &here)]).await;
    assert!(stand.page("/r/mine").await.text().contains("1 snapshot, newest first"));
    assert!(stand.page("/activity").await.text().contains("The repository mine was given other settings"));
    assert_eq!(stand.get("/place/repository/none/settings").await.status, StatusCode::NOT_FOUND);
}
