//! What keeps others out, and what is hostile harmless.

use std::time::Duration;

use credenza_engine::Secret;
use http::header::{HOST, ORIGIN, SET_COOKIE};
use http::{Request, StatusCode};

use super::{ADDRESS, PASSPHRASE, Stand, patient};
use crate::form::encode;
use crate::limits::Limits;
use crate::session::{LINK_MAX, Stay};

const IDLE_MAX: Duration = Stay::HERE.idle;

#[tokio::test]
async fn a_link_lets_one_browser_in_once_and_within_60_seconds() {
    let stand = Stand::new(patient());
    let form = |link: &str| link.strip_prefix("/enter?").unwrap().to_owned();
    let first = stand.link();
    // Whatever opens links beforehand uses none up.
    for _ in 0..3 {
        assert!(stand.page(&first).await.headers.get(SET_COOKIE).is_none());
    }
    let entered = stand.post("/enter", &form(&first)).await;
    let cookie = entered.header("set-cookie");
    assert!(
        cookie.starts_with("credenza-4711=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"),
        "{cookie}"
    );
    assert!(!cookie.contains(first.split('=').nth(1).unwrap()), "the secret of a link is no session");
    assert_eq!(stand.post("/enter", &form(&first)).await.status, StatusCode::FORBIDDEN, "used twice");

    let late = stand.link();
    stand.clock.advance(LINK_MAX);
    assert_eq!(stand.post("/enter", &form(&late)).await.status, StatusCode::FORBIDDEN, "too late");
    let in_time = stand.link();
    stand.clock.advance(LINK_MAX - Duration::from_secs(1));
    let replaced = stand.post("/enter", &form(&late)).await;
    assert_eq!(replaced.status, StatusCode::FORBIDDEN, "replaced");
    assert_eq!(stand.post("/enter", &form(&in_time)).await.status, StatusCode::SEE_OTHER);
    for nonsense in ["", "key=", "key=%ff", "key=0000"] {
        assert_eq!(stand.post("/enter", nonsense).await.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn who_has_not_entered_or_was_idle_for_long_sees_nothing() {
    let mut stand = Stand::new(patient());
    stand.repository("mine", Secret::None).await;
    for path in ["/", "/r/mine", "/r/mine/find?name=a", "/nowhere", "/leave"] {
        let page = stand.get(path).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(
            !page.text().contains("mine") && page.text().contains("Press Enter in that terminal"),
            "{}",
            page.text()
        );
    }
    stand.enter().await;
    stand.clock.advance(IDLE_MAX - Duration::from_secs(1));
    stand.page("/").await;
    stand.clock.advance(IDLE_MAX - Duration::from_secs(1));
    stand.page("/").await;
    stand.clock.advance(IDLE_MAX);
    assert_eq!(stand.get("/").await.status, StatusCode::UNAUTHORIZED);
    stand.enter().await;
    let token = stand.token().await;
    assert_eq!(stand.post("/leave", &format!("token={token}")).await.status, StatusCode::OK);
    assert_eq!(stand.get("/").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn another_host_is_misdirected_before_anything_else() {
    let stand = Stand::entered().await;
    let key = stand.link();
    let form = key.strip_prefix("/enter?").unwrap();
    let cookie = stand.cookie.clone().unwrap();
    let ask = |host: &str, method: &str, path: &str| {
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, host)
            .header("cookie", &cookie)
            .header("sec-fetch-site", "same-origin")
    };
    for host in [
        "evil.example",
        "evil.example:4711",
        "127.0.0.1",
        "127.0.0.1:4711",
        "localhost:4711",
        "other-label.localhost:4711",
        "secret-label.localhost.evil.example:4711",
        "[::1]:4711",
        "",
        "secret-label.localhost:4711.evil",
    ] {
        for (method, path) in [("GET", "/"), ("POST", "/enter"), ("GET", "/assets/x"), ("DELETE", "/")] {
            let page = stand.send(ask(host, method, path), form.to_owned()).await;
            assert_eq!(page.status, StatusCode::MISDIRECTED_REQUEST, "{method} {path} at {host:?}");
            assert!(page.text().contains("--listen"), "{}", page.text());
        }
    }
    let twice = ask(ADDRESS, "GET", "/").header(HOST, "evil.example");
    assert_eq!(stand.send(twice, "").await.status, StatusCode::MISDIRECTED_REQUEST);
    let absolute = Request::builder().uri("http://evil.example/").header(HOST, ADDRESS).header("cookie", &cookie);
    assert_eq!(stand.send(absolute, "").await.status, StatusCode::MISDIRECTED_REQUEST);
    let none = Request::builder().uri("/").header("cookie", &cookie);
    assert_eq!(stand.send(none, "").await.status, StatusCode::MISDIRECTED_REQUEST);
    for host in [ADDRESS, "SECRET-LABEL.LOCALHOST:4711"] {
        assert_eq!(stand.send(ask(host, "GET", "/"), "").await.status, StatusCode::OK, "{host}");
    }
    // The link was not used up by any of them.
    assert_eq!(stand.post("/enter", form).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_changes_anything_comes_from_an_own_page_and_carries_its_token() {
    let stand = Stand::entered().await;
    let token = stand.token().await;
    let leave = |headers: &[(&str, &str)]| {
        headers.iter().fold(stand.request("POST", "/leave"), |request, (name, value)| request.header(*name, *value))
    };
    let form = format!("token={token}");
    let foreign: [&[(&str, &str)]; 10] = [
        &[],
        &[("origin", "null")],
        &[("origin", "http://evil.example")],
        &[("origin", "https://secret-label.localhost:4711")],
        &[("origin", "http://127.0.0.1:4711")],
        &[("origin", "http://secret-label.localhost:4711"), ("sec-fetch-site", "cross-site")],
        &[("origin", "http://secret-label.localhost:4712"), ("sec-fetch-site", "same-site")],
        &[("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")],
        &[("origin", "null"), ("sec-fetch-site", "none")],
        &[("sec-fetch-site", "cross-site")],
    ];
    for headers in foreign {
        assert_eq!(stand.send(leave(headers), form.clone()).await.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    let other = Stand::entered().await.token().await;
    for wrong in ["", "token=", "token=x", &format!("token={other}"), &format!("token={token}x")] {
        assert_eq!(stand.post("/leave", wrong).await.status, StatusCode::FORBIDDEN, "{wrong}");
    }
    stand.page("/").await;
    let own = leave(&[(ORIGIN.as_str(), "http://secret-label.localhost:4711")]);
    assert_eq!(stand.send(own, form).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_hostile_second_origin_neither_embeds_nor_reads_nor_sends_anything() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let token = stand.token().await;
    let ask = |method: &str, path: &str, fetch: [&str; 3]| {
        let [site, mode, dest] = fetch;
        let request = stand.request(method, path).header(ORIGIN, "http://evil.example");
        request.header("sec-fetch-site", site).header("sec-fetch-mode", mode).header("sec-fetch-dest", dest)
    };
    for (what, method, path, mode, dest) in [
        ("a form in a tab", "POST", "/r/mine/lock", "navigate", "document"),
        ("a form in a frame", "POST", "/r/mine/lock", "navigate", "iframe"),
        ("a frame", "GET", "/r/mine", "navigate", "iframe"),
        ("an object", "GET", "/r/mine", "no-cors", "object"),
        ("a picture", "GET", "/r/mine", "no-cors", "image"),
        ("a script", "GET", "/r/mine", "no-cors", "script"),
        ("a fetch", "GET", "/r/mine", "cors", "empty"),
        ("a fetch that sends", "POST", "/r/mine/run", "no-cors", "empty"),
        ("a beacon", "POST", "/r/mine/run", "no-cors", "empty"),
        ("a question beforehand", "OPTIONS", "/r/mine", "cors", "empty"),
        ("events", "GET", "/r/mine/run/1/events", "cors", "empty"),
        ("a socket", "GET", "/r/mine/run/1/events", "websocket", "empty"),
    ] {
        for site in ["cross-site", "same-site"] {
            let page = stand.send(ask(method, path, [site, mode, dest]), format!("token={token}&what=check")).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{what}, {site}");
            assert!(!page.headers.contains_key("access-control-allow-origin"), "{what}, {site}");
        }
    }
    // A link from elsewhere leads here; browsers send no cookie along with it, so that it shows nothing.
    assert_eq!(
        stand.send(ask("GET", "/r/mine", ["cross-site", "navigate", "document"]), "").await.status,
        StatusCode::OK
    );
    stand.page("/r/mine").await;
    assert!(!stand.page("/r/mine").await.text().contains("Started from here"), "no run was started");
}

#[tokio::test]
async fn reading_with_get_changes_nothing() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    stand.page("/r/mine").await;
    let token = stand.token().await;
    for path in ["/leave", "/r/mine/lock", "/r/mine/unlock"] {
        for method in ["GET", "HEAD"] {
            let request = stand.request(method, &format!("{path}?token={token}"));
            assert_eq!(stand.send(request, "").await.status, StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
    for method in ["PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH"] {
        assert_eq!(stand.send(stand.request(method, "/"), "").await.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
    stand.page("/r/mine").await;
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_it_apart() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let id = stand.backup("mine", &[(b"a.html", b"<script>alert(1)</script>")]).await;
    let home = stand.page("/").await;
    let (style, icon) = (home.link("/assets/style"), home.link("/assets/icon"));
    let paths = [
        "/",
        "/enter",
        "/nowhere",
        "/assets/none.css",
        "/r/mine",
        &format!("/r/mine/s/{id}"),
        &format!("/r/mine/s/{id}/download?key=a.html"),
        &style,
        &icon,
    ];
    for path in paths {
        let page = stand.get(path).await;
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none';")
                && policy.contains("frame-ancestors 'none'")
                && policy.contains("base-uri 'none'"),
            "{path}: {policy}"
        );
        assert!(
            !policy.contains("unsafe")
                && policy.contains("script-src 'self';")
                && !policy.contains('*')
                && !policy.contains("http"),
            "{policy}"
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(page.header(name), value, "{path}");
        }
        let kept = page.header("cache-control");
        assert_eq!(
            kept,
            if path.starts_with("/assets/") && page.status == StatusCode::OK {
                "public, max-age=31536000, immutable"
            } else {
                "no-store"
            },
            "{path}"
        );
    }
    // No page asks anybody else for anything, or runs anything.
    for path in ["/", "/r/mine", &format!("/r/mine/s/{id}/file?key=a.html")] {
        let page = stand.page(path).await;
        for banned in ["<script", "http://", "https://", "style=", "javascript:", "<img", "<iframe"] {
            assert!(!page.text().contains(banned), "{path} has {banned}");
        }
        assert!(page.links().iter().all(|link| link.starts_with('/') || link.starts_with('#')), "{:?}", page.links());
    }
}

#[tokio::test]
async fn hostile_names_and_contents_are_shown_and_never_run() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let script = b"<script>alert(1)</script>";
    let contents: [(&[u8], &[u8]); 6] = [
        (b"<script>alert(2)\"onload=x", script),
        (b"esc\x1b[2J", b"\x1b]0;owned\x07 and \xe2\x80\xae turned"),
        ("gpj.\u{202e}exe".as_bytes(), b"MZ"),
        (b"page.html", b"<html><body onload=alert(3)>"),
        (b"picture.svg", b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(4)\"/>"),
        (b"zero", b"a\0b"),
    ];
    let id = stand.backup("mine", &contents).await;
    let list = stand.page(&format!("/r/mine/s/{id}")).await;
    for (shown, is_there) in [
        ("<script", false),
        ("onload=x", true),
        ("&#60;script&#62;alert(2)", true),
        ("esc\\x1b[2J", true),
        ("gpj.\\u{202e}exe", true),
        ("\u{202e}", false),
        ("\u{1b}", false),
    ] {
        assert_eq!(list.text().contains(shown), is_there, "{shown:?} in {}", list.text());
    }
    assert!(stand.page("/r/mine").await.text().contains("&#60;b&#62;host&#60;/b&#62;"));
    for (key, bytes) in contents {
        let page = stand.page(&format!("/r/mine/s/{id}/file?key={}", encode(key))).await;
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        for banned in ["<script", "<svg", "<body onload", "\u{1b}", "\u{202e}", "\u{7}"] {
            assert!(!page.text().contains(banned), "{banned:?} of {key:?}");
        }
        let file = stand.page(&format!("/r/mine/s/{id}/download?key={}", encode(key))).await;
        assert_eq!(file.body, bytes);
        assert_eq!(file.header("content-type"), "application/octet-stream");
        assert!(file.header("content-disposition").starts_with("attachment; "));
    }
}

#[tokio::test]
async fn a_refusal_names_the_cap_that_was_met() {
    let mut stand = Stand::new(Limits { sessions: 1, readers: 0, rows: 2, preview_bytes: 8, ..patient() });
    stand.enter().await;
    let second = stand.link();
    let full = stand.post("/enter", second.strip_prefix("/enter?").unwrap()).await;
    assert_eq!(full.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(full.text().contains("1 are in"), "{}", full.text());
    let long = stand.post("/leave", &format!("token={}", "x".repeat(300_000))).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(long.text().contains("262144 bytes"), "{}", long.text());

    stand.repository("mine", Secret::None).await;
    let id = stand.backup("mine", &[(b"1", b"0123456789"), (b"2", b""), (b"3", b""), (b"4", b"")]).await;
    for path in [
        format!("/r/mine/s/{id}/download?key=1"),
        format!("/r/mine/s/{id}/archive?format=zip"),
        "/r/mine/find?name=1".to_owned(),
    ] {
        let page = stand.get(&path).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(page.text().contains("0 downloads and searches are under way"), "{}", page.text());
    }
    let shown = stand.page(&format!("/r/mine/s/{id}/file?key=1")).await;
    assert!(
        shown.text().contains("The beginning of the content") && shown.text().contains("01234567<"),
        "{}",
        shown.text()
    );
    let list = stand.page(&format!("/r/mine/s/{id}")).await;
    assert_eq!(list.text().matches("<th scope=\"row\"").count(), 2);
}

#[tokio::test]
async fn a_passphrase_opens_a_repository_for_this_process_and_is_in_no_page() {
    let stand = Stand::entered().await;
    stand.repository("secret", Secret::Passphrase(PASSPHRASE.as_bytes().to_vec().into())).await;
    let token = stand.token().await;
    assert!(stand.page("/").await.text().contains("Locked."));
    let asked = stand.page("/r/secret").await;
    assert!(asked.text().contains("type=\"password\""), "{}", asked.text());
    // What needs it is not a dead end.
    assert_eq!(stand.get("/r/secret/find?name=a").await.header("location"), "/r/secret");
    let form = |passphrase: &str| format!("token={token}&passphrase={}", encode(passphrase.as_bytes()));
    for (wrong, status) in [("", StatusCode::UNPROCESSABLE_ENTITY), ("wrong, quite wrong", StatusCode::FORBIDDEN)] {
        let page = stand.post("/r/secret/unlock", &form(wrong)).await;
        assert_eq!(page.status, status, "{}", page.text());
        assert!(page.text().contains("type=\"password\"") && !page.text().contains("quite wrong"));
    }
    let opened = stand.post("/r/secret/unlock", &form(PASSPHRASE)).await;
    assert_eq!((opened.status, opened.header("location")), (StatusCode::SEE_OTHER, "/r/secret"));
    let page = stand.page("/r/secret").await;
    assert!(page.text().contains("no snapshot yet") && !page.text().contains(PASSPHRASE), "{}", page.text());
    assert_eq!(stand.post("/r/secret/lock", &format!("token={token}")).await.status, StatusCode::SEE_OTHER);
    assert!(stand.page("/r/secret").await.text().contains("type=\"password\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_breaks_a_page_or_leads_out_of_a_repository() {
    let stand = Stand::entered().await;
    stand.repository("mine", Secret::None).await;
    let id = stand.backup("mine", &[(b"a", b"1")]).await;
    let odd = [
        "",
        ".",
        "..",
        "../mine",
        "%2e%2e",
        "-",
        "@mine",
        "none",
        "%00",
        "%ff",
        "a%2fb",
        "latest",
        "0",
        "zz",
        "ffffffffffffffffffffffffffffffff",
        "%F0%9F%98%80",
    ];
    let keys = [
        "",
        "key=",
        "key=..",
        "key=..%2f..%2fetc%2fpasswd",
        "key=%00",
        "key=%ff%fe",
        "key=a/",
        "key=a&after=%ff",
        "key=%",
        "key=/",
        "after=",
        "key=a&key=b",
        "&&==&=",
    ];
    let mut paths = Vec::new();
    for word in odd {
        paths.extend(["", "/find", "/s", "/unlock"].map(|end| format!("/r/{word}{end}")));
        paths.push(format!("/{word}"));
        for end in ["", "/file", "/download", "/archive"] {
            paths.extend(keys.map(|key| format!("/r/mine/s/{word}{end}?{key}")));
        }
    }
    for end in ["", "/file", "/download", "/archive"] {
        paths.extend(keys.map(|key| format!("/r/mine/s/{id}{end}?{key}")));
    }
    for path in paths {
        let page = stand.get(&path).await;
        assert!(!page.status.is_server_error(), "{path}: {} {}", page.status, String::from_utf8_lossy(&page.body));
        assert!(!String::from_utf8_lossy(&page.body).contains("root:"), "{path}");
    }
}

#[tokio::test]
async fn a_wrong_link_is_on_the_log_and_a_thousand_of_them_drive_nothing_out() {
    let stand = Stand::entered().await;
    for _ in 0..1000 {
        assert_eq!(stand.post("/enter", "key=00").await.status, StatusCode::FORBIDDEN);
    }
    let log = stand.site.activity.newest(2000).unwrap();
    let said: Vec<&str> = log.iter().map(|entry| entry.what.as_str()).collect();
    assert_eq!(said, ["Enter by a link", "Entered by a link"]);
    assert_eq!(log[0].result.as_deref(), Some("No such link"));
}
