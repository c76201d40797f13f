//! The whole line with a real component: from the traits of the engine through a guest to bytes on a socket.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod auth;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use credenza_connect::{Batches, ByteRange, ErrorClass, Found, Pages, Payload, PutOptions, ScanOptions};
use credenza_model::{Entry, EntryKind, Key, StoreKey};
use credenza_sandbox::{
    ConfigureError, Egress, GuestRequest, LoadError, ManifestError, Permit, Role, Sandbox, SandboxOptions, SecretText,
    Surroundings,
};
use support::{Answer, MANIFEST, Server, component, configure, configure_component, sandbox};

const KEYS: &[(&str, &str)] = &[("access_key", "AKIDEXAMPLE"), ("secret_access_key", "verysecretkey")];

fn file(key: &str) -> Entry {
    Entry::new(Key::from(key), EntryKind::File)
}

fn with(behaviour: &str) -> Vec<(&str, &str)> {
    [&[("behaviour", behaviour)], KEYS].concat()
}

/// The error of a read by a guest that misbehaves, the server, and how many requests were refused.
async fn misread(behaviour: &str) -> (credenza_connect::Error, Server, u64) {
    let server = Server::start(|_, _| Answer::ok(b"hello")).await;
    let configured = configure(&server, &[Role::Source], &with(behaviour)).await.unwrap();
    let error = configured.source().unwrap().read(&file("key"), None, None).await.unwrap_err();
    (error, server, configured.traffic().refused())
}

#[tokio::test]
async fn a_read_hands_the_body_on_without_a_byte_in_the_guest() {
    let content = vec![7_u8; 3_000_000];
    let answer = content.clone();
    let server = Server::start(move |_, _| Answer::ok(&answer)).await;
    let configured = configure(&server, &[Role::Source], KEYS).await.unwrap();
    let opened = configured.source().unwrap().read(&file("a"), None, None).await.unwrap();
    assert_eq!(opened.body.length, Some(3_000_000));
    assert_eq!(opened.body.read_all(u64::MAX).await.unwrap(), content);
    let traffic = configured.traffic();
    assert_eq!((traffic.bytes_read_by_guest(), traffic.bytes_made_by_guest()), (0, 0));
    assert_eq!((traffic.requests(), traffic.bytes_received()), (1, 3_000_000));
}

#[tokio::test]
async fn a_put_sends_the_payload_without_a_byte_in_the_guest() {
    let server = Server::start(|_, _| Answer { headers: "etag: \"t\"\r\n".to_owned(), ..Answer::ok(b"") }).await;
    let configured = configure(&server, &[Role::Store], KEYS).await.unwrap();
    let payload = Payload::new(vec![vec![1; 700_000].into(), vec![2; 5].into()]);
    let options = PutOptions { if_absent: true, ..PutOptions::default() };
    let key = StoreKey::new("data/ab").unwrap();
    let stored = configured.store().unwrap().put(&key, payload.clone(), &options).await.unwrap();
    assert_eq!(stored.tag.as_deref(), Some("\"t\""));
    let asked = server.asked();
    assert_eq!(asked[0].body, payload.to_bytes());
    assert!(asked[0].head.contains("if-none-match: *"));
    let digest: String = payload.sha256().iter().map(|b| format!("{b:02x}")).collect();
    assert!(asked[0].head.contains(&format!("x-amz-content-sha256: {digest}")), "{}", asked[0].head);
    let traffic = configured.traffic();
    assert_eq!((traffic.bytes_read_by_guest(), traffic.bytes_made_by_guest()), (0, 0));
    assert_eq!(traffic.bytes_sent(), 700_005);
}

#[tokio::test]
async fn the_bytes_of_a_path_reach_the_wire_as_they_are() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let configured = configure(&server, &[Role::Source], KEYS).await.unwrap();
    let source = configured.source().unwrap();
    let keys = ["a/../c", "/", "//x", "%2e%2e/y", "a+b", "%2F", "."];
    for key in keys {
        source.read(&file(key), None, None).await.unwrap();
    }
    let lines: Vec<String> = server.asked().iter().map(|asked| asked.line().to_owned()).collect();
    let expected: Vec<String> = keys.iter().map(|key| format!("GET /photos/{key} HTTP/1.1")).collect();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn headers_of_the_guest_do_not_replace_those_of_the_host() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let configured = configure(&server, &[Role::Source], &with("other-header")).await.unwrap();
    configured.source().unwrap().read(&file("key"), None, None).await.unwrap();
    let head = server.asked()[0].head.clone();
    assert!(head.contains("authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{head}");
    assert!(head.contains("x-mine: kept") && !head.contains("stolen") && !head.contains("evil"), "{head}");
}

#[tokio::test]
async fn without_keys_a_request_is_anonymous() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let configured = configure(&server, &[Role::Source], &[]).await.unwrap();
    configured.source().unwrap().read(&file("key"), None, None).await.unwrap();
    assert!(!server.asked()[0].head.contains("authorization"));
}

#[tokio::test]
async fn connections_and_instances_are_reused() {
    let server = Server::start(|_, _| Answer::ok(b"x")).await;
    let configured = configure(&server, &[Role::Source], KEYS).await.unwrap();
    let source = configured.source().unwrap();
    for _ in 0..200 {
        let opened = source.read(&file("key"), None, None).await.unwrap();
        assert_eq!(opened.body.read_all(10).await.unwrap(), "x");
    }
    assert_eq!(server.asked().len(), 200);
}

#[tokio::test]
async fn unread_bodies_do_not_hold_instances() {
    let server = Server::start(|_, _| Answer::ok(&[1; 100_000])).await;
    let configured = configure(&server, &[Role::Source], KEYS).await.unwrap();
    let source = configured.source().unwrap();
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(source.read(&file("key"), None, None).await.unwrap());
    }
    assert_eq!(open.len(), 100);
}

#[tokio::test]
async fn a_ranged_read_asks_for_the_range_and_checks_the_answer() {
    let server = Server::start(|_, _| Answer { status: 206, ..Answer::ok(b"abcd") }).await;
    let configured = configure(&server, &[Role::Source], KEYS).await.unwrap();
    let source = configured.source().unwrap();
    let range = |length| Some(ByteRange { offset: 10, length: Some(length) });
    assert_eq!(source.read(&file("k"), range(4), None).await.unwrap().body.length, Some(4));
    assert!(server.asked()[0].head.contains("range: bytes=10-13"));
    let error = source.read(&file("k"), range(3), None).await.unwrap_err();
    assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Corrupt, "guest.size"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_transient() {
    let server = Server::start(|_, _| Answer { claimed_length: Some(10), ..Answer::ok(b"abc") }).await;
    let configured = configure(&server, &[Role::Source], KEYS).await.unwrap();
    let opened = configured.source().unwrap().read(&file("k"), None, None).await.unwrap();
    let error = opened.body.read_all(100).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Transient, "{error}");
}

#[tokio::test]
async fn a_body_that_the_guest_makes_is_pulled() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let configured = configure(&server, &[Role::Source], &with("pulls")).await.unwrap();
    let opened = configured.source().unwrap().read(&file("k"), None, None).await.unwrap();
    assert_eq!(opened.body.read_all(100).await.unwrap(), "333221");
    assert_eq!(configured.traffic().bytes_made_by_guest(), 6);
}

#[tokio::test]
async fn a_scan_yields_pages_to_the_end() {
    let server = Server::start(|_, _| Answer::ok(b"a\nb\nc\n")).await;
    let configured = configure(&server, &[Role::Source], KEYS).await.unwrap();
    let mut batches = Batches::new(configured.source().unwrap().scan(&ScanOptions::default()).await.unwrap());
    let mut keys = Vec::new();
    while let Some(batch) = batches.next(2).await.unwrap() {
        keys.extend(batch.into_iter().map(|found| match found {
            Found::Entry(entry) => entry.key.to_string(),
            Found::Skipped(skipped) => panic!("{skipped:?}"),
        }));
    }
    assert_eq!(keys, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_scan_that_breaks_the_order_it_claims_fails() {
    for listing in ["a\nc\nb\n", "a\na\n"] {
        let server = Server::start(move |_, _| Answer::ok(listing.as_bytes())).await;
        let configured = configure(&server, &[Role::Source], KEYS).await.unwrap();
        let mut scanner = configured.source().unwrap().scan(&ScanOptions::default()).await.unwrap();
        let error = scanner.next(10).await.unwrap_err();
        assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Internal, "guest.listing"), "{error}");
    }
}

#[tokio::test]
async fn a_store_listing_outside_its_prefix_or_out_of_order_is_corrupt() {
    for listing in ["data/b\ndata/a\n", "meta/a\n"] {
        let server = Server::start(move |_, _| Answer::ok(listing.as_bytes())).await;
        let configured = configure(&server, &[Role::Store], KEYS).await.unwrap();
        let store = configured.store().unwrap();
        let error = Pages::new(&*store, "data/").next().await.unwrap_err();
        assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Corrupt, "store.listing"), "{listing}");
    }
}

#[tokio::test]
async fn a_store_listing_passes_over_names_that_no_object_can_have_and_tells_them() {
    let listing = "data/\ndata/../x\ndata/.DS_Store\ndata/a\ndata/\u{1b}[2J\n";
    let server = Server::start(move |_, _| Answer::ok(listing.as_bytes())).await;
    let configured = configure(&server, &[Role::Store], KEYS).await.unwrap();
    let store = configured.store().unwrap();
    let mut pages = Pages::new(&*store, "data/");
    let listed = pages.next().await.unwrap().unwrap();
    let names: Vec<&str> = listed.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(names, ["data/a"]);
    assert!(pages.next().await.unwrap().is_none());
    let strays: Vec<&str> = pages.strays().names().collect();
    assert_eq!(strays, ["data/", "data/../x", "data/.DS_Store", r"data/\x1b[2J"]);
}

#[tokio::test]
async fn a_store_deletes_only_when_pruning_was_granted() {
    let keys = [StoreKey::new("data/a").unwrap()];
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let plain = configure(&server, &[Role::Store], KEYS).await.unwrap();
    let error = plain.store().unwrap().delete(&keys).await.unwrap().remove(0).unwrap_err();
    assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Internal, "egress.verb"));
    assert!(server.asked().is_empty(), "a refused request must not be sent");
    assert_eq!(plain.traffic().refused(), 1);
    let pruning = configure(&server, &[Role::Store, Role::Prune], KEYS).await.unwrap();
    pruning.store().unwrap().delete(&keys).await.unwrap().remove(0).unwrap();
    assert_eq!(server.asked()[0].line(), "DELETE /photos/data/a HTTP/1.1");
}

#[tokio::test]
async fn a_writer_uploads_its_parts_in_order() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let configured = configure(&server, &[Role::Destination], KEYS).await.unwrap();
    let destination = configured.destination().unwrap();
    let mut writer = destination.create(&file("k"), false).await.unwrap().unwrap();
    assert_eq!(writer.part_bytes(), Some(8));
    writer.write(Payload::from(b"12345678".to_vec())).await.unwrap();
    assert_eq!(writer.finish(Payload::from(b"9".to_vec())).await.unwrap(), ["2 parts"]);
    let asked = server.asked();
    assert_eq!(asked[1].line(), "PUT /photos/k?part=2 HTTP/1.1");
    assert_eq!(asked[1].body, b"9");
    let missing = destination.set_metadata(&[file("k")]).await.unwrap().remove(0).unwrap();
    assert_eq!(missing, ["posix.mode"]);
}

#[tokio::test]
async fn panics() {
    let (error, _, _) = misread("panics").await;
    assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Internal, "guest.trap"));
    for part in ["probe 1.0.0", "`read`", "the disc is made of cheese"] {
        assert!(error.message.contains(part), "{}", error.message);
    }
}

#[tokio::test]
async fn a_trapped_call_is_tried_once_more_on_a_new_instance() {
    let server = Server::start(|_, before| if before == 0 { Answer::status(599) } else { Answer::ok(b"ok") }).await;
    let configured = configure(&server, &[Role::Source], KEYS).await.unwrap();
    let opened = configured.source().unwrap().read(&file("k"), None, None).await.unwrap();
    assert_eq!(opened.body.read_all(10).await.unwrap(), "ok");
    let always = Server::start(|_, _| Answer::status(599)).await;
    let configured = configure(&always, &[Role::Source], KEYS).await.unwrap();
    configured.source().unwrap().read(&file("k"), None, None).await.unwrap_err();
    assert_eq!(always.asked().len(), 2);
}

#[tokio::test]
async fn loops() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let short = component(&format!("{MANIFEST}\n[limits]\ncall_cpu_ms_max = 100\n"));
    let configured = configure_component(&short, &server, &[Role::Source], &with("loops")).await.unwrap();
    let error = configured.source().unwrap().read(&file("k"), None, None).await.unwrap_err();
    assert_eq!(error.reason, "guest.cpu");
    assert!(error.message.contains("did not answer within 100 ms of CPU"), "{}", error.message);
}

/// The error of a read by a guest that misbehaves and may use a tenth of a second.
async fn misread_in_a_hurry(behaviour: &str) -> credenza_connect::Error {
    let server = Server::start(|_, _| Answer::ok(b"hello")).await;
    let short = component(&format!("{MANIFEST}\n[limits]\ncall_cpu_ms_max = 100\n"));
    let configured = configure_component(&short, &server, &[Role::Source], &with(behaviour)).await.unwrap();
    configured.source().unwrap().read(&file("k"), None, None).await.unwrap_err()
}

#[tokio::test]
async fn a_refused_request_and_the_end_of_a_body_make_no_time_free() {
    assert_eq!(misread_in_a_hurry("reads-past-the-end").await.reason, "guest.cpu");
    let error = misread_in_a_hurry("asks-in-vain").await;
    assert!(["guest.cpu", "guest.requests"].contains(&error.reason.as_str()), "{error}");
    let (error, server, refused) = misread("asks-in-vain").await;
    assert_eq!(error.reason, "guest.requests");
    assert!(server.asked().is_empty() && refused < 100, "{refused}");
}

#[tokio::test]
async fn a_guest_makes_the_host_hold_no_more_than_its_budget() {
    for (behaviour, reason, limit) in [
        ("hoards-bodies", "guest.held", "32 MiB"),
        ("hoards-views", "guest.held", "32 MiB"),
        ("hoards-answers", "guest.answers", "16"),
    ] {
        let (error, ..) = misread(behaviour).await;
        assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Internal, reason), "{behaviour}: {error}");
        assert!(error.message.contains(limit), "{behaviour}: {error}");
    }
}

#[tokio::test]
async fn a_body_that_was_lent_is_gone_when_the_call_ends() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let configured = configure(&server, &[Role::Store], &with("keeps-bodies")).await.unwrap();
    let store = configured.store().unwrap();
    let key = StoreKey::new("data/ab").unwrap();
    let put = async || store.put(&key, Payload::from(vec![1; 9]), &PutOptions::default()).await;
    put().await.unwrap();
    assert_eq!(put().await.unwrap_err().reason, "body.gone");
}

#[tokio::test]
async fn a_request_that_does_more_than_its_role_may_is_refused() {
    for (behaviour, reason) in
        [("two-verbs", "egress.verb"), ("a-coded-verb", "egress.verb"), ("a-header", "egress.header-name")]
    {
        let (error, server, refused) = misread(behaviour).await;
        assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Internal, reason), "{error}");
        assert_eq!((server.asked().len(), refused), (0, 1), "{behaviour}");
    }
}

#[tokio::test]
async fn an_answer_that_repeats_secrets_and_signatures_does_not_tell_the_guest() {
    let server = Server::start(|asked, _| Answer::ok(format!("verysecretkey {}", asked.head).as_bytes())).await;
    let configured = configure(&server, &[Role::Source], &with("looks-for-secrets")).await.unwrap();
    let error = configured.source().unwrap().read(&file("key"), None, None).await.unwrap_err();
    assert_eq!(error.reason, "probe.hidden", "{error}");
    assert!(error.message.contains("Signature=***"), "{error}");
}

#[tokio::test]
async fn a_header_that_repeats_what_proves_a_request_does_not_tell_the_guest() {
    let server = Server::start(|asked, _| {
        let proof = asked.head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
        Answer { headers: format!("x-echo: {proof}\r\n"), ..Answer::ok(b"") }
    })
    .await;
    let basic = MANIFEST.replace(
        "aws-sigv4\", service = \"s3\", region = \"r1\", key = \"access_key\", secret",
        "basic\", user = \"access_key\", password",
    );
    for (manifest, shown) in [(MANIFEST, "Signature=***"), (&basic, "Basic ***")] {
        let manifest = credenza_sandbox::Manifest::parse(manifest).unwrap();
        let mut raw: credenza_sandbox::RawSettings =
            KEYS.iter().map(|(name, text)| ((*name).to_owned(), SecretText::new(*text))).collect();
        raw.insert("location".to_owned(), SecretText::new(format!("probe://{}/photos", server.address)));
        raw.insert("use_tls".to_owned(), SecretText::new("false"));
        let settings = credenza_sandbox::Settings::resolve(&manifest, &raw, &Surroundings::none()).unwrap();
        let egress = Egress::new(&manifest, &settings, Permit::of(&[Role::Source]), Duration::from_secs(60)).unwrap();
        let request = GuestRequest {
            method: "GET".to_owned(),
            label: "bucket".to_owned(),
            target: "/key".to_owned(),
            ..GuestRequest::default()
        };
        let answer = egress.send(request, None).await.unwrap();
        let echo = answer.headers.iter().find(|(name, _)| name == "x-echo").unwrap();
        assert!(echo.1.ends_with(shown), "{echo:?}");
    }
}

/// A server that only a proxy could know.
const ELSEWHERE: (&str, &str) = ("location", "probe://server.invalid/photos");

#[tokio::test]
async fn a_request_goes_to_the_proxy_that_the_settings_name_with_the_whole_address() {
    let proxy = Server::start(|_, _| Answer::ok(b"through")).await;
    let address = format!("http://me:hunter2@{}", proxy.address);
    let settings = [KEYS, &[("proxy", address.as_str()), ELSEWHERE]].concat();
    let configured = configure(&proxy, &[Role::Source], &settings).await.unwrap();
    let named = format!("http://***@{} (the setting `proxy`)", proxy.address);
    assert_eq!(configured.proxies(), [("server.invalid".to_owned(), named)]);
    let opened = configured.source().unwrap().read(&file("key"), None, None).await.unwrap();
    assert_eq!(opened.body.read_all(100).await.unwrap(), "through");
    let asked = &proxy.asked()[0];
    assert_eq!(asked.line(), "GET http://server.invalid/photos/key HTTP/1.1");
    assert!(asked.head.contains("proxy-authorization: Basic bWU6aHVudGVyMg=="), "{}", asked.head);
    assert!(asked.head.contains("host: server.invalid"), "{}", asked.head);
}

#[tokio::test]
async fn a_server_with_tls_is_reached_through_a_tunnel() {
    let proxy = Server::start(|_, _| Answer::status(403)).await;
    let address = format!("http://{}", proxy.address);
    let tls = [("proxy", address.as_str()), ("tls_insecure_no_verify", "true"), ("use_tls", "true"), ELSEWHERE];
    let settings = [KEYS, &tls].concat();
    let configured = configure(&proxy, &[Role::Source], &settings).await.unwrap();
    let error = configured.source().unwrap().read(&file("key"), None, None).await.unwrap_err();
    assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Transient, "proxy"), "{error}");
    assert_eq!(proxy.asked()[0].line(), "CONNECT server.invalid:443 HTTP/1.1");
    assert!(!proxy.asked()[0].head.contains("authorization"), "{}", proxy.asked()[0].head);
}

#[tokio::test]
async fn waiting_for_the_network_is_not_the_guests_own_time() {
    let server = Server::start(|_, _| {
        std::thread::sleep(std::time::Duration::from_millis(700));
        Answer::ok(b"late")
    });
    let configured = configure(&server.await, &[Role::Source], KEYS).await.unwrap();
    assert!(configured.source().unwrap().read(&file("k"), None, None).await.is_ok());
}

#[tokio::test]
async fn eats_memory() {
    let (error, _, _) = misread("eats-memory").await;
    assert_eq!(error.reason, "guest.memory");
    assert!(error.message.contains("limit 256 MiB"), "{}", error.message);
}

#[tokio::test]
async fn leaks_handles() {
    let (error, _, _) = misread("leaks-handles").await;
    assert_eq!(error.reason, "guest.handles");
    assert!(error.message.contains("4096"), "{}", error.message);
}

#[tokio::test]
async fn passes_too_much() {
    let (error, _, _) = misread("passes-too-much").await;
    assert_eq!(error.reason, "guest.call-bytes");
}

#[tokio::test]
async fn floods_the_log_and_still_works() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let configured = configure(&server, &[Role::Source], &with("floods-log")).await.unwrap();
    configured.source().unwrap().read(&file("k"), None, None).await.unwrap();
}

#[tokio::test]
async fn a_guest_that_goes_on_by_its_own_will_learns_that_the_run_is_to_end() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&asked);
    let configured = configure(&server, &[Role::Source], &with("waits-to-be-told")).await.unwrap();
    let configured = configured.stopped_by(Arc::new(move || seen.fetch_add(1, Relaxed) == 3));
    let error = configured.source().unwrap().read(&file("k"), None, None).await.unwrap_err();
    assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Transient, "probe.cancelled"));
    assert!(error.message.contains("asked 3 times"), "{}", error.message);
    assert_eq!(asked.load(Relaxed), 4);
}

#[tokio::test]
async fn lies_about_size() {
    let (error, _, _) = misread("lies-about-size").await;
    assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Corrupt, "guest.size"));
}

#[tokio::test]
async fn a_refused_request_is_final_counted_and_never_sent() {
    for (behaviour, reason) in [("other-verb", "egress.verb"), ("other-endpoint", "egress.endpoint")] {
        let (error, server, refused) = misread(behaviour).await;
        assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Internal, reason), "{error}");
        assert_eq!((server.asked().len(), refused), (0, 1));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(|_, _| Answer::ok(b"stolen")).await;
    let target = elsewhere.address.clone();
    let server = Server::start(move |_, _| Answer {
        headers: format!("location: http://{target}/x\r\n"),
        ..Answer::status(307)
    });
    let configured = configure(&server.await, &[Role::Source], KEYS).await.unwrap();
    let error = configured.source().unwrap().read(&file("k"), None, None).await.unwrap_err();
    assert!(error.message.contains("307"), "{error}");
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_wrong_clock_is_named_with_both_clocks() {
    let date = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n".to_owned();
    let server = Server::start(move |_, _| Answer { headers: date.clone(), ..Answer::status(403) }).await;
    let configured = configure(&server, &[Role::Source], KEYS).await.unwrap();
    let error = configured.source().unwrap().read(&file("k"), None, None).await.unwrap_err();
    assert!(error.message.contains("1994-11-06T08:49:37Z"), "{error}");
}

#[tokio::test]
async fn what_a_trial_asks_has_a_connection_of_its_own() {
    let server = Server::start(|_, _| Answer::status(401)).await;
    let configured = configure(&server, &[Role::Source], KEYS).await.unwrap();
    assert!(configured.trial().await.iter().all(|line| line.outcome.is_ok()));
    let heads: Vec<String> = server.asked().into_iter().map(|asked| asked.head.to_ascii_lowercase()).collect();
    assert!(heads.len() == 1 && heads[0].contains("\r\nconnection: close\r\n"), "{heads:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_transient_and_named() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let host = [("location", format!("probe://{free}/photos"))];
    let host: Vec<(&str, &str)> = host.iter().map(|(n, t)| (*n, t.as_str())).collect();
    let configured = configure(&server, &[Role::Source], &host).await.unwrap();
    let error = configured.source().unwrap().read(&file("k"), None, None).await.unwrap_err();
    assert_eq!((error.class, error.reason.as_str()), (ErrorClass::Transient, "connect"));
    assert!(error.message.contains(&free), "{error}");
}

#[tokio::test]
async fn control_characters_of_a_self_test_are_escaped() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let configured = configure(&server, &[Role::Source], KEYS).await.unwrap();
    let checks = configured.source().unwrap().check().await;
    assert_eq!(checks[0].outcome.as_ref().unwrap(), "ok \\u{1b}[31m");
}

#[tokio::test]
async fn results_must_match_what_was_asked() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let configured = configure(&server, &[Role::Source], KEYS).await.unwrap();
    let error = configured.source().unwrap().describe(&[file("k")]).await.unwrap_err();
    assert_eq!(error.reason, "guest.answer");
}

#[tokio::test]
async fn a_connector_may_object_to_its_settings() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let error = configure(&server, &[Role::Source], &with("objects")).await.err().unwrap();
    assert!(matches!(&error, ConfigureError::Rejected { message } if message.contains("I object")), "{error}");
}

#[tokio::test]
async fn a_role_that_was_not_granted_cannot_be_used() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let configured = configure(&server, &[Role::Source], KEYS).await.unwrap();
    assert!(matches!(configured.store().err(), Some(ConfigureError::Role { role: Role::Store, .. })));
}

#[test]
fn a_component_of_another_interface_or_without_its_roles_is_not_loaded() {
    let other = component(&MANIFEST.replace("api = \"0.1\"", "api = \"0.9\""));
    let error = sandbox().load(&other).err().unwrap();
    assert!(matches!(error, LoadError::Manifest(ManifestError::Api { .. })), "{error}");
    assert!(sandbox().load(b"\0asm").is_err());
}

#[test]
fn a_second_start_compiles_nothing() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("compiled");
    let options = SandboxOptions { cache_dir: Some(dir.clone()), ..SandboxOptions::default() };
    let files = || walk(&dir);
    Sandbox::new(options.clone()).unwrap().load(&component(MANIFEST)).unwrap();
    let cold = files();
    assert!(cold > 0);
    let second = Sandbox::new(options).unwrap();
    second.load(&component(MANIFEST)).unwrap();
    assert_eq!(second.compiled_from_cache(), Some(1));
}

#[test]
fn without_a_folder_that_can_be_written_connectors_are_compiled_all_the_same() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, "").unwrap();
    let options = SandboxOptions { cache_dir: Some(file.join("compiled")), ..SandboxOptions::default() };
    let sandbox = Sandbox::new(options).unwrap();
    assert!(sandbox.without_cache().unwrap().to_string().contains("file/compiled"));
    sandbox.load(&component(MANIFEST)).unwrap();
}

/// Where a limit is set on it (`ulimit -v`), or memory is not promised beyond what there is, little must do.
#[tokio::test]
async fn connectors_take_little_address_space() {
    let reserved = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    };
    let before = reserved();
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let configured = configure(&server, &[Role::Source], KEYS).await.unwrap();
    let source = configured.source().unwrap();
    let mut scans = Vec::new();
    for _ in 0..32 {
        scans.push(source.scan(&ScanOptions::default()).await.unwrap());
    }
    let mebibytes = reserved() - before;
    assert!(mebibytes < 2048, "{mebibytes} MiB for {} instances", scans.len());
}

fn walk(dir: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { walk(&path) } else { 1 }).sum()
}
