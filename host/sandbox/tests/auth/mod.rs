//! Every scheme of authentication, from a manifest to bytes on a socket, with servers of tokens that misbehave. One manifest has them all: its setting
//! `auth` chooses.

mod device;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use credenza_connect::Payload;
use credenza_sandbox::{
    Egress, EgressError, GuestRequest, Manifest, Permit, RawSettings, Reserved, Response, Role, SecretText, Settings,
    SettingsError, Surroundings, TokenKeeper, TokenNotKept,
};

use super::support::{Answer, Asked, MANIFEST, Server, component, configure_component};
use super::{file, with};

const SCHEMES: &str = r#"
[settings.auth]
type = "enum"
values = ["aws-sigv4", "basic", "basic-open", "bearer", "header", "query", "signed", "azure-shared-key", "goog4-hmac", "client-credentials", "refresh-token", "service-account", "machine"]
default = "aws-sigv4"
[settings.open_user]
type = "string"
default = "bob"
[settings.token_host]
type = "string"
default = "localhost:1"
[secrets.user]
[secrets.token]
[secrets.sas]
[secrets.account_key]
[secrets.client_id]
[secrets.client_secret]
[secrets.refresh_token]
[secrets.service_account]
[[endpoints.bucket.variants]]
when = { auth = "basic" }
auth = { scheme = "basic", user = "user", password = "token" }
[[endpoints.bucket.variants]]
when = { auth = "basic-open" }
auth = { scheme = "basic", user = "open_user", password = "token" }
[[endpoints.bucket.variants]]
when = { auth = "bearer" }
auth = { scheme = "bearer", token = "token" }
[[endpoints.bucket.variants]]
when = { auth = "header" }
auth = { scheme = "header", headers = { Authorization = "Token {token}", X-Account = "{open_user}" } }
[[endpoints.bucket.variants]]
when = { auth = "query" }
auth = { scheme = "query", parameters = { api_key = "{token}" } }
[[endpoints.bucket.variants]]
when = { auth = "signed" }
auth = { scheme = "query", signed = "sas" }
[[endpoints.bucket.variants]]
when = { auth = "azure-shared-key" }
auth = { scheme = "azure-shared-key", account = "open_user", key = "account_key" }
[[endpoints.bucket.variants]]
when = { auth = "goog4-hmac" }
auth = { scheme = "goog4-hmac", key = "access_key", secret = "secret_access_key" }
[[endpoints.bucket.variants]]
when = { auth = "client-credentials" }
auth = { scheme = "oauth2", token_url = "http://{token_host}/{bucket}/token", scope = "read {bucket}", grant = { type = "client-credentials", client_id = "client_id", client_secret = "client_secret" } }
[[endpoints.bucket.variants]]
when = { auth = "refresh-token" }
auth = { scheme = "oauth2", token_url = "http://{token_host}/token", grant = { type = "refresh-token", client_id = "client_id", client_secret = "client_secret", refresh_token = "refresh_token" } }
[[endpoints.bucket.variants]]
when = { auth = "service-account" }
auth = { scheme = "oauth2", token_url = "http://{token_host}/token", scope = "read", grant = { type = "service-account", key = "service_account" } }
[[endpoints.bucket.variants]]
when = { auth = "machine" }
auth = { scheme = "oauth2", token_url = "http://{token_host}/token?api-version=1&resource=https%3A%2F%2Fstorage", grant = { type = "machine", headers = { Metadata = "true" } } }
"#;

const SERVICE_ACCOUNT: &str = include_str!("../support/service-account.json");
const SIGNATURE: &str = "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA%2BabcdefgHIJ%3D";

/// Each secret that a test could give away, with something that finds it in what is shown.
fn secrets() -> Vec<(&'static str, String)> {
    vec![
        ("user", "a-secret-user-1".to_owned()),
        ("token", "a-secret-token-2".to_owned()),
        ("sas", format!("?sv=2022-11-02&sp=rwdl&sig={SIGNATURE}")),
        ("account_key", "c2VjcmV0LWFjY291bnQta2V5".to_owned()),
        ("access_key", "AKIDSECRETEXAMPLE".to_owned()),
        ("secret_access_key", "verysecretkey".to_owned()),
        ("client_id", "a-secret-client-3".to_owned()),
        ("client_secret", "a-secret/secret 4".to_owned()),
        ("refresh_token", "a-secret-refresh-5".to_owned()),
        ("service_account", SERVICE_ACCOUNT.to_owned()),
    ]
}

/// What each scheme takes.
const TAKES: [(&str, &[&str]); 13] = [
    ("aws-sigv4", &["access_key", "secret_access_key"]),
    ("basic", &["user", "token"]),
    ("basic-open", &["token"]),
    ("bearer", &["token"]),
    ("header", &["token"]),
    ("query", &["token"]),
    ("signed", &["sas"]),
    ("azure-shared-key", &["account_key"]),
    ("goog4-hmac", &["access_key", "secret_access_key"]),
    ("client-credentials", &["client_id", "client_secret"]),
    ("refresh-token", &["client_id", "client_secret", "refresh_token"]),
    ("service-account", &["service_account"]),
    ("machine", &[]),
];

fn manifest() -> String {
    format!("{MANIFEST}{SCHEMES}")
}

/// The settings of a scheme against a server and one of tokens.
fn settings_of(scheme: &str, server: &str, tokens: &str) -> RawSettings {
    let (_, takes) = TAKES.iter().find(|(name, _)| *name == scheme).unwrap();
    let given = secrets().into_iter().filter(|(name, _)| takes.contains(name));
    let more = [
        ("location", format!("probe://{server}/photos")),
        ("use_tls", "false".to_owned()),
        ("auth", scheme.to_owned()),
        ("token_host", tokens.to_owned()),
    ];
    given.chain(more).map(|(name, text)| (name.to_owned(), SecretText::new(text))).collect()
}

fn egress_with(raw: &RawSettings, keeper: Option<Arc<dyn TokenKeeper>>) -> Result<Egress, SettingsError> {
    egress_with_manifest(&Manifest::parse(&manifest()).unwrap(), raw, keeper)
}

fn egress_with_manifest(
    manifest: &Manifest,
    raw: &RawSettings,
    keeper: Option<Arc<dyn TokenKeeper>>,
) -> Result<Egress, SettingsError> {
    let surroundings = Surroundings { token_keeper: keeper, ..Surroundings::none() };
    let settings = Settings::resolve(manifest, raw, &surroundings)?;
    Egress::new(manifest, &settings, Permit::of(&[Role::Source, Role::Store]), Duration::from_secs(60))
}

fn egress(scheme: &str, server: &Server, tokens: &Server) -> Egress {
    egress_with(&settings_of(scheme, &server.address, &tokens.address), None).unwrap()
}

async fn get(egress: &Egress) -> Result<Response, EgressError> {
    let (method, label, target) = ("GET".to_owned(), "bucket".to_owned(), "/key".to_owned());
    egress.send(GuestRequest { method, label, target, ..GuestRequest::default() }, None).await
}

/// Answers with a token, which names how many were handed out before, and says so long it holds.
fn token(number: usize, life: &str) -> Answer {
    Answer::ok(
        format!(r#"{{"access_token":"token-number-{number}","token_type":"Bearer","expires_in":{life}}}"#).as_bytes(),
    )
}

fn header<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn pairs(body: &[u8]) -> Vec<String> {
    String::from_utf8(body.to_vec()).unwrap().split('&').map(str::to_owned).collect()
}

#[tokio::test]
async fn each_scheme_proves_who_asks_in_its_own_way() {
    let tokens = Server::start(|_, before| token(before, "3600")).await;
    for (scheme, name, proof) in [
        ("aws-sigv4", "authorization", "AWS4-HMAC-SHA256 Credential=AKIDSECRETEXAMPLE/"),
        ("basic", "authorization", "Basic YS1zZWNyZXQtdXNlci0xOmEtc2VjcmV0LXRva2VuLTI="),
        ("basic-open", "authorization", "Basic Ym9iOmEtc2VjcmV0LXRva2VuLTI="),
        ("bearer", "authorization", "Bearer a-secret-token-2"),
        ("header", "authorization", "Token a-secret-token-2"),
        ("header", "x-account", "bob"),
        ("azure-shared-key", "authorization", "SharedKey bob:"),
        ("goog4-hmac", "authorization", "GOOG4-HMAC-SHA256 Credential=AKIDSECRETEXAMPLE/"),
        ("client-credentials", "authorization", "Bearer token-number-"),
        ("refresh-token", "authorization", "Bearer token-number-"),
        ("service-account", "authorization", "Bearer token-number-"),
        ("machine", "authorization", "Bearer token-number-"),
    ] {
        let server = Server::start(|_, _| Answer::ok(b"")).await;
        get(&egress(scheme, &server, &tokens)).await.unwrap();
        let asked = &server.asked()[0];
        assert!(header(asked, name).is_some_and(|value| value.starts_with(proof)), "{scheme}: {}", asked.head);
        assert_eq!(asked.line(), "GET /photos/key HTTP/1.1", "{scheme}");
    }
}

#[tokio::test]
async fn a_secret_of_the_query_is_joined_to_that_of_the_request() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let list = |egress: Egress| async move {
        let (method, label, target) = ("GET".to_owned(), "bucket".to_owned(), "?list".to_owned());
        egress.send(GuestRequest { method, label, target, ..GuestRequest::default() }, None).await.unwrap();
    };
    list(egress("signed", &server, &server)).await;
    get(&egress("query", &server, &server)).await.unwrap();
    let lines: Vec<String> = server.asked().iter().map(|asked| asked.line().to_owned()).collect();
    let signed = format!("GET /photos?list&sv=2022-11-02&sp=rwdl&sig={SIGNATURE} HTTP/1.1");
    assert_eq!(lines, [signed, "GET /photos/key?api_key=a-secret-token-2 HTTP/1.1".to_owned()]);
}

#[tokio::test]
async fn without_its_secrets_a_scheme_is_anonymous_and_with_half_of_them_an_error() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    for (scheme, takes) in TAKES.iter().filter(|(scheme, takes)| !takes.is_empty() && *scheme != "basic-open") {
        let mut raw = settings_of(scheme, &server.address, "localhost:1");
        if takes.len() > 1 {
            raw.remove(*takes.last().unwrap());
            let refused = egress_with(&raw, None).map(drop).unwrap_err();
            assert!(matches!(refused, SettingsError::HalfASecret { .. }), "{scheme}: {refused}");
        }
        takes.iter().for_each(|name| drop(raw.remove(*name)));
        get(&egress_with(&raw, None).unwrap()).await.unwrap();
    }
    for asked in server.asked() {
        assert!(header(&asked, "authorization").is_none() && !asked.line().contains('?'), "{}", asked.head);
    }
}

#[tokio::test]
async fn a_client_asks_for_a_token_once_for_all_that_wait() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let tokens = Server::start(|_, before| token(before, "3600")).await;
    let egress = egress("client-credentials", &server, &tokens);
    let answers = futures_util::future::join_all((0..20).map(|_| get(&egress))).await;
    assert!(answers.iter().all(Result::is_ok));
    let asked = tokens.asked();
    assert_eq!((asked.len(), asked[0].line()), (1, "POST /photos/token HTTP/1.1"));
    let expected = [
        "grant_type=client_credentials",
        "client_id=a-secret-client-3",
        "client_secret=a-secret%2Fsecret%204",
        "scope=read%20photos",
    ];
    assert_eq!(pairs(&asked[0].body), expected);
    assert_eq!(header(&asked[0], "content-type"), Some("application/x-www-form-urlencoded"));
}

#[tokio::test]
async fn a_token_that_has_ended_is_replaced_before_the_next_request() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    // Some servers write numbers as texts.
    let tokens = Server::start(|_, before| token(before, "\"0\"")).await;
    let egress = egress("machine", &server, &tokens);
    get(&egress).await.unwrap();
    get(&egress).await.unwrap();
    let proofs: Vec<Option<String>> =
        server.asked().iter().map(|asked| header(asked, "authorization").map(str::to_owned)).collect();
    assert_eq!(proofs, [Some("Bearer token-number-0".to_owned()), Some("Bearer token-number-1".to_owned())]);
    let asked = &tokens.asked()[0];
    assert_eq!(asked.line(), "GET /token?api-version=1&resource=https%3A%2F%2Fstorage HTTP/1.1");
    assert_eq!(header(asked, "metadata"), Some("true"));
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_and_the_request_sent_once_more() {
    let server = Server::start(|asked, _| match asked.head.contains("token-number-0") {
        true => Answer::status(401),
        false => Answer::ok(b""),
    })
    .await;
    let tokens = Server::start(|_, before| token(before, "3600")).await;
    let egress = egress("client-credentials", &server, &tokens);
    let (method, label, target) = ("PUT".to_owned(), "bucket".to_owned(), "/key".to_owned());
    let request = GuestRequest { method, label, target, ..GuestRequest::default() };
    let answer = egress.send(request, Some(Payload::from(b"the body".to_vec()))).await.unwrap();
    assert_eq!((answer.status, server.asked().len(), tokens.asked().len()), (200, 2, 2));
    assert_eq!(server.asked()[1].body, b"the body");
}

#[tokio::test]
async fn a_server_that_refuses_every_token_does_not_make_each_request_fetch_one() {
    let server = Server::start(|_, _| Answer::status(401)).await;
    let tokens = Server::start(|_, before| token(before, "3600")).await;
    let egress = egress("client-credentials", &server, &tokens);
    for _ in 0..10 {
        assert_eq!(get(&egress).await.unwrap().status, 401);
    }
    assert_eq!(tokens.asked().len(), 2);
}

/// Remembers what is kept.
#[derive(Debug, Default)]
struct Kept(Mutex<Option<SecretText>>, Arc<AtomicBool>);

/// Given back when it is dropped.
struct Turn(Arc<AtomicBool>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

impl TokenKeeper for Kept {
    fn newest(&self, given: &SecretText) -> Option<SecretText> {
        assert_eq!(given.expose(), "a-secret-refresh-5");
        self.0.lock().unwrap().clone()
    }

    fn reserve(&self, given: &SecretText) -> Result<Option<Reserved>, TokenNotKept> {
        assert_eq!(given.expose(), "a-secret-refresh-5");
        let is_free = self.1.compare_exchange(false, true, SeqCst, SeqCst).is_ok();
        Ok(is_free.then(|| Box::new(Turn(Arc::clone(&self.1))) as Reserved))
    }

    fn keep(&self, given: &SecretText, newest: &SecretText) -> Result<(), TokenNotKept> {
        assert_eq!(given.expose(), "a-secret-refresh-5");
        *self.0.lock().unwrap() = Some(newest.clone());
        Ok(())
    }
}

#[tokio::test]
async fn a_refresh_token_that_is_replaced_is_kept_for_the_next_time_and_the_next_run() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let tokens = Server::start(|_, before| {
        let answer =
            format!(r#"{{"access_token":"an-access-token","expires_in":0,"refresh_token":"refresh-{before}"}}"#);
        Answer::ok(answer.as_bytes())
    })
    .await;
    let shown = || -> Vec<String> { tokens.asked().iter().map(|asked| pairs(&asked.body)[1].clone()).collect() };
    let raw = settings_of("refresh-token", &server.address, &tokens.address);
    let keeper: Arc<Kept> = Arc::default();
    let first = egress_with(&raw, Some(Arc::clone(&keeper) as Arc<dyn TokenKeeper>)).unwrap();
    get(&first).await.unwrap();
    get(&first).await.unwrap();
    assert_eq!(shown(), ["refresh_token=a-secret-refresh-5", "refresh_token=refresh-0"]);
    get(&egress_with(&raw, Some(Arc::clone(&keeper) as Arc<dyn TokenKeeper>)).unwrap()).await.unwrap();
    assert_eq!(shown()[2], "refresh_token=refresh-1");
    // Without a keeper, for as long as the run.
    let alone = egress_with(&raw, None).unwrap();
    get(&alone).await.unwrap();
    get(&alone).await.unwrap();
    assert_eq!(shown()[3..], ["refresh_token=a-secret-refresh-5", "refresh_token=refresh-3"]);
}

/// A server that takes each refresh token once, and takes all back from who shows one twice.
fn once_each() -> impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static {
    let current = Mutex::new("a-secret-refresh-5".to_owned());
    move |asked, before| {
        let mut current = current.lock().unwrap();
        if pairs(&asked.body).get(1) != Some(&format!("refresh_token={current}")) {
            return Answer { status: 400, ..Answer::ok(br#"{"error":"invalid_grant"}"#) };
        }
        *current = format!("refresh-{before}");
        let answer = format!(r#"{{"access_token":"an-access-token","expires_in":0,"refresh_token":"{current}"}}"#);
        Answer::ok(answer.as_bytes())
    }
}

#[tokio::test]
async fn runs_that_renew_one_refresh_token_at_once_show_each_one_once() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let tokens = Server::start(once_each()).await;
    let raw = settings_of("refresh-token", &server.address, &tokens.address);
    let keeper: Arc<Kept> = Arc::default();
    let runs: Vec<Egress> =
        (0..4).map(|_| egress_with(&raw, Some(Arc::clone(&keeper) as Arc<dyn TokenKeeper>)).unwrap()).collect();
    for answer in futures_util::future::join_all(runs.iter().map(get)).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    let shown: BTreeSet<String> = tokens.asked().iter().map(|asked| pairs(&asked.body)[1].clone()).collect();
    assert_eq!((shown.len(), tokens.asked().len()), (4, 4), "{shown:?}");
    assert_eq!(keeper.0.lock().unwrap().as_ref().map(SecretText::expose), Some("refresh-3"));
}

#[tokio::test]
async fn a_service_account_asks_where_the_manifest_says_and_not_where_its_key_does() {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let tokens = Server::start(|_, before| token(before, "3600")).await;
    get(&egress("service-account", &server, &tokens)).await.unwrap();
    let pairs = pairs(&tokens.asked()[0].body);
    assert_eq!(pairs[0], "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
    assert!(pairs[1].starts_with("assertion=eyJhbGciOiJSUzI1NiIsImtpZCI6ImtleS0xIiwidHlwIjoiSldUIn0."), "{pairs:?}");
    assert_eq!(pairs.len(), 2);
}

/// What a request says when the server of tokens answers so.
async fn without_token(answer: Answer) -> EgressError {
    let server = Server::start(|_, _| Answer::ok(b"")).await;
    let tokens = Server::start(move |_, _| answer.clone()).await;
    let error = get(&egress("client-credentials", &server, &tokens)).await.unwrap_err();
    assert!(server.asked().is_empty(), "nothing is sent without a token");
    assert!(error.to_string().contains(&tokens.address), "{error}");
    error
}

#[tokio::test]
async fn a_server_of_tokens_that_refuses_is_final_and_says_why_without_secrets() {
    let refusal = br#"{"error":"invalid_client","error_description":"no a-secret/secret 4 here\u001b[2J"}"#;
    let error = without_token(Answer { body: refusal.to_vec(), ..Answer::status(401) }).await;
    assert!(matches!(error, EgressError::NeverAnswered { again_in: None, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("401, `invalid_client: no *** here") && text.contains("`client_secret`"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[tokio::test]
async fn a_server_of_tokens_that_is_away_or_mad_gives_no_token() {
    let redirect = Answer { headers: "location: http://elsewhere.invalid/\r\n".to_owned(), ..Answer::status(302) };
    let other = br#"{"access_token":"x","token_type":"mac"}"#;
    let split = br#"{"access_token":"x\r\nx-evil: 1","token_type":"bearer"}"#;
    for (answer, is_final) in [
        (Answer::status(503), false),
        (Answer::status(429), false),
        (Answer::ok(b"<html>a-secret-client-3</html>"), false),
        (Answer::ok(b"{}"), false),
        (Answer::ok(&vec![b'x'; 100_000]), false),
        (Answer { claimed_length: Some(1000), ..Answer::ok(b"{\"access_") }, false),
        (redirect, true),
        (Answer::ok(other), true),
        (Answer::ok(split), true),
    ] {
        let error = without_token(answer).await;
        let judged = matches!(error, EgressError::NeverAnswered { again_in: None, .. });
        assert_eq!(judged, is_final, "{error:?}");
        assert!(!error.to_string().contains("a-secret"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_of_tokens_that_never_answers_is_given_up() {
    // The system takes connections for it, and nobody reads.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let raw = settings_of("client-credentials", "localhost:1", &listener.local_addr().unwrap().to_string());
    let error = get(&egress_with(&raw, None).unwrap()).await.unwrap_err();
    assert!(matches!(error, EgressError::Unreachable { reason: "egress.credentials", .. }), "{error:?}");
}

/// In whatever form a secret could be shown.
fn shows_a_secret(text: &str) -> Option<String> {
    let encoded = ["a-secret%2Fsecret%204", SIGNATURE, "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA+abcdefgHIJ=", "token-number-"];
    let planted = secrets().into_iter().map(|(_, text)| text).chain(encoded.map(str::to_owned));
    planted.into_iter().find(|secret| text.contains(secret.as_str()))
}

#[tokio::test]
async fn no_secret_is_in_what_a_guest_reads_in_a_message_or_shown_to_a_developer() {
    let component = component(&manifest());
    // Whatever was asked comes back, in a header and in the body.
    let server = Server::start(|asked, _| {
        let head = asked.head.replace("\r\n", " | ");
        Answer { headers: format!("x-echo: {head}\r\n"), ..Answer::ok(head.as_bytes()) }
    })
    .await;
    let tokens = Server::start(|_, before| token(before, "3600")).await;
    for (scheme, _) in TAKES {
        let raw = settings_of(scheme, &server.address, &tokens.address);
        let shown = format!("{:?}", egress_with(&raw, None).unwrap());
        assert_eq!(shows_a_secret(&shown), None, "{scheme}: {shown}");
        let mut settings: Vec<(&str, &str)> = with("looks-for-secrets");
        settings.retain(|(name, _)| *name == "behaviour");
        settings.extend(
            raw.iter().filter(|(name, _)| *name != "location").map(|(name, text)| (name.as_str(), text.expose())),
        );
        let configured = configure_component(&component, &server, &[Role::Source], &settings).await.unwrap();
        configured.authenticate().await.unwrap();
        let error = configured.source().unwrap().read(&file("key"), None, None).await.unwrap_err();
        assert_eq!(error.reason, "probe.hidden", "{scheme}: {error}");
        assert_eq!(shows_a_secret(&error.message), None, "{scheme}: {error}");
        let trial = format!("{:?}", configured.trial().await);
        assert_eq!(shows_a_secret(&trial), None, "{scheme}: {trial}");
    }
}

#[test]
fn a_secret_that_cannot_be_used_is_named_and_never_repeated() {
    for (scheme, name, wrong) in [
        ("bearer", "token", "hunter2\nx"),
        ("header", "token", "hunter2\u{7f}"),
        ("signed", "sas", "hunter2 hunter2"),
        ("azure-shared-key", "account_key", "hunter2!"),
        ("service-account", "service_account", "hunter2"),
    ] {
        let mut raw = settings_of(scheme, "localhost:1", "localhost:1");
        raw.insert(name.to_owned(), SecretText::new(wrong));
        let refused = egress_with(&raw, None).map(drop).unwrap_err().to_string();
        assert!(refused.contains(name) || refused.contains("uthorization"), "{scheme}: {refused}");
        assert!(!refused.contains("hunter2"), "{scheme}: {refused}");
    }
}
