//! Any path, query, form and header at every route: an answer that is no fault, and none that lets somebody in.

use http::StatusCode;
use http::header::HOST;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{ADDRESS, Stand};
use crate::access::ROUTES;
use credenza_engine::Secret;

/// A segment as browsers, and others, may send one.
fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("mine".to_owned()),
        Just("..".to_owned()),
        Just("-".to_owned()),
        Just("repository".to_owned()),
        Just("source".to_owned()),
        Just("file".to_owned()),
        "[0-9a-f]{0,64}",
        "[!-~&&[^/?# \"<>\\\\^`{|}]]{1,40}",
        proptest::collection::vec(any::<u8>(), 1..12)
            .prop_map(|bytes| bytes.iter().map(|byte| format!("%{byte:02x}")).collect()),
    ]
}

fn values() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("key"),
        Just("after"),
        Just("page"),
        Just("format"),
        Just("name"),
        Just("what"),
        Just("source"),
        Just("passphrase"),
        Just("confirm"),
        Just("user"),
        Just("password"),
        Just("setting.location"),
    ];
    let value = proptest::collection::vec(any::<u8>(), 0..24)
        .prop_map(|bytes| bytes.iter().map(|byte| format!("%{byte:02x}")).collect::<String>());
    let value = prop_oneof![value, "[0-9]{1,24}", Just("backup".to_owned()), Just("check".to_owned())];
    proptest::collection::vec((name, value), 0..4)
        .prop_map(|pairs| pairs.iter().map(|(name, value)| format!("&{name}={value}")).collect())
}

/// A route with any segments in the place of its stars.
fn path() -> impl Strategy<Value = (bool, String)> {
    (0..ROUTES.len(), proptest::collection::vec(segment(), 4)).prop_map(|(route, segments)| {
        let route = &ROUTES[route];
        let mut segments = segments.into_iter();
        let parts: Vec<String> = route
            .pattern
            .split('/')
            .map(|part| if part.contains('*') { segments.next().unwrap() } else { part.to_owned() })
            .collect();
        (route.is_form, format!("/{}", parts.join("/")))
    })
}

fn runner() -> TestRunner {
    TestRunner::new(Config { cases: 256, failure_persistence: None, ..Config::default() })
}

#[test]
fn whatever_is_asked_of_a_route_is_answered_without_a_fault() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let stand = runtime.block_on(async {
        let stand = Stand::entered().await;
        stand.repository("mine", Secret::None).await;
        stand.backup("mine", &[(b"a", b"1")]).await;
        stand
    });
    let token = runtime.block_on(stand.token());
    runner()
        .run(&(path(), values()), |((is_form, path), values)| {
            // Whoever leaves is out, and a passphrase is dear.
            prop_assume!(path != "/leave" && !path.ends_with("/unlock") && !path.ends_with("/create"));
            let page = runtime.block_on(async {
                match is_form {
                    true => stand.post(&path, &format!("token={token}{values}")).await,
                    false => stand.get(&format!("{path}?{}", values.trim_start_matches('&'))).await,
                }
            });
            let is_limit = page.status == StatusCode::SERVICE_UNAVAILABLE;
            let is_fault = page.status.is_server_error() && !is_limit && page.status != StatusCode::BAD_GATEWAY;
            prop_assert!(!is_fault, "{path} {values}: {} {}", page.status, String::from_utf8_lossy(&page.body));
            prop_assert!(!String::from_utf8_lossy(&page.body).contains("<script>"), "{path}");
            prop_assert!(page.headers.contains_key("content-security-policy"));
            Ok(())
        })
        .unwrap();
}

#[test]
fn whatever_is_asked_without_a_session_or_from_elsewhere_lets_nobody_in() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stand = runtime.block_on(Stand::entered());
    let cookie = stand.cookie.clone().unwrap();
    let header = "[!-~]{0,40}";
    runner()
        .run(
            &(path(), values(), header, header, header, any::<bool>()),
            |((is_form, path), values, host, origin, site, is_known)| {
                prop_assume!(
                    !host.eq_ignore_ascii_case(ADDRESS)
                        && site != "same-origin"
                        && path != "/enter"
                        && path != "/login"
                        && !path.starts_with("/assets")
                );
                let ask = |host: &str, cookie: Option<&str>| {
                    let request = http::Request::builder()
                        .method(if is_form { "POST" } else { "GET" })
                        .uri(&path)
                        .header(HOST, host);
                    let request = request.header("origin", &origin).header("sec-fetch-site", &site);
                    cookie.iter().fold(request, |request, cookie| request.header("cookie", *cookie))
                };
                let foreign = runtime.block_on(stand.send(ask(&host, Some(&cookie)), values.clone()));
                prop_assert_eq!(foreign.status, StatusCode::MISDIRECTED_REQUEST);
                let stranger =
                    runtime.block_on(stand.send(ask(ADDRESS, is_known.then_some("credenza-4711=0000")), values));
                let refused = [StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED];
                prop_assert!(refused.contains(&stranger.status), "{}: {}", path, stranger.status);
                Ok(())
            },
        )
        .unwrap();
}
